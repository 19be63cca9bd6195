"""study run, launch, worker, status, report, export, verify."""

import argparse
import logging
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from ..errors import ConfigurationError, MissingDependencyError, require
from ..report import front_figure, read_study, write_report
from ..study import Study, StudyConfig, StudyObserver
from ..study.bundle import export_bundle, verify_bundle
from ..study.files import read_json
from ..study.front import Front
from ..study.storage import recall
from ..tracking import WandbTracker
from .tables import failures_table, finalists_table, front_table, progress_line

__all__ = ["run_study_command"]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigurationError(f"{message}; see `{self.prog} --help`.")


def run_study_command(arguments: Sequence[str]) -> int:
    """``snnlightning study ...``; returns the exit status."""
    parser = _Parser(prog="snnlightning study", description="Multi-objective search over spiking networks.")
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="{run,launch,worker,status,report,export,verify}"
    )

    run = commands.add_parser("run", help="search; takes a study up again when DIR holds one")
    _add_run_arguments(run)
    run.add_argument(
        "--workers",
        type=int,
        help="worker processes on this machine (default: one per core; 0: none, run in this process, or wait for workers "
        "elsewhere)",
    )
    run.add_argument(
        "--remote",
        action="store_true",
        help="put the jobs up in the storage, for `study worker` anywhere (understood when --storage is a server)",
    )
    run.set_defaults(function=_run, engine="local", slurm=[])

    launch = commands.add_parser("launch", help="run, with workers that an engine starts")
    _add_run_arguments(launch)
    launch.add_argument("--engine", choices=("local", "slurm"), default="local", help="default: local")
    launch.add_argument("--workers", type=int, required=True, help="how many workers")
    launch.add_argument(
        "--slurm", action="append", default=[], metavar="KEY=VALUE", help="an option of sbatch; as often as you like"
    )
    launch.set_defaults(function=_run, remote=True)

    worker = commands.add_parser("worker", help="one more worker for a study that runs with --remote, on any machine")
    worker.add_argument("dir", type=Path, nargs="?", help="the study's directory, as this machine sees it")
    worker.add_argument("--storage", metavar="URL", help="of the study (default: as DIR says)")
    worker.add_argument("--study", metavar="NAME", help="of the study, when DIR is not given")
    worker.add_argument("--idle", type=float, metavar="SECONDS", help="end after so long without a job (default: 1800)")
    worker.set_defaults(function=_worker)

    status = commands.add_parser("status", help="progress, front, failures; works while the study runs")
    status.add_argument("dir", type=Path)
    status.add_argument("--storage", metavar="URL")
    status.set_defaults(function=_status)

    report = commands.add_parser("report", help="the report as one self-contained HTML page")
    report.add_argument("dir", type=Path)
    report.add_argument("-o", "--output", type=Path, help="default: DIR/report.html")
    report.set_defaults(function=_report)

    export = commands.add_parser("export", help="a trial as checkpoint, configuration, NIR graph and certified counts")
    export.add_argument("dir", type=Path)
    export.add_argument("--trial", type=int, required=True)
    export.add_argument(
        "--sweep", metavar="NAME", help="a swept network of the trial, such as s12_p60 (its folder's name)"
    )
    export.add_argument("-o", "--output", type=Path, required=True, help="a directory that does not exist yet")
    export.add_argument(
        "--profile", action="append", default=[], metavar="NAME", help="a chip to estimate for; as often as you like"
    )
    export.set_defaults(function=_export)

    verify = commands.add_parser("verify", help="count an exported trial again and compare with its certificate")
    verify.add_argument("bundle", type=Path, help="the folder that export made")
    verify.set_defaults(function=_verify)

    options = parser.parse_args(list(arguments))
    status_code: int = options.function(options)
    return status_code


def _add_run_arguments(run: argparse.ArgumentParser) -> None:
    run.add_argument("config", type=Path, help="the study's YAML file")
    run.add_argument("--dir", type=Path, help="where everything goes (default: studies/NAME)")
    run.add_argument("--trials", type=int, help="budget in full trainings, instead of the number in CONFIG")
    run.add_argument(
        "--storage",
        metavar="URL",
        help="postgresql://..., mysql+pymysql://..., grpc://HOST:PORT (default: study.db in DIR)",
    )
    run.add_argument("--wandb", choices=("offline", "online", "disabled"), default="offline", help="default: offline")
    run.add_argument("--no-report", action="store_true", help="do not write report.html at the end")


def _run(options: argparse.Namespace) -> int:
    from .progress import Progress

    require("optuna", "study", "A study")
    config = StudyConfig.load(options.config)
    if options.trials is not None:
        config = config.with_trials(options.trials)
    if options.workers is not None and options.workers < 0:
        raise ConfigurationError(f"--workers is {options.workers}; 0 or more are expected.")
    directory = options.dir or Path("studies") / (re.sub(r"[^\w.-]+", "-", config.name).strip(".-") or "study")
    _quiet()
    progress = Progress(config)
    tracker = WandbTracker(mode=options.wandb, picture=_picture, notice=progress.note)
    study = Study(config, directory, options.storage)
    observers: list[StudyObserver] = [progress, tracker]
    interrupted = False
    try:
        with progress:
            front = _search(study, options, observers, progress.note)
    except KeyboardInterrupt:
        if not (directory / "front.json").exists():
            raise
        interrupted = True
        front = read_json(directory / "front.json")
    rows = study.rows()
    console = progress.console
    console.print(front_table(config, front, console))
    if front.get("finalists"):
        console.print(finalists_table(config, front))
    if any(row.state == "failed" for row in rows):
        console.print(failures_table(rows))
    for note in study.notes:
        progress.note(note)
    console.print(progress_line(config, rows, front))
    if not options.no_report:
        _write_report(directory, None, console)
    console.print(f"study      {directory}")
    if interrupted:
        console.print("interrupted; run the same command again to go on from here")
        return 130
    return 0 if front["points"] else 1


def _search(
    study: Study, options: argparse.Namespace, observers: Sequence[StudyObserver], told: Callable[[str], None]
) -> Front:
    url, _ = recall(study.directory, options.storage)  # a study goes on in the storage in which it began
    remote = options.remote or (url is not None and not url.startswith("sqlite"))
    if options.engine == "local":
        if options.slurm:
            raise ConfigurationError("--slurm is for --engine slurm; leave it out, or choose that engine.")
        if remote and options.workers == 0:
            told(f"no workers here: start some with `snnlightning study worker {study.directory}`, on any machine")
        return study.run(options.workers, observers, remote=remote)
    from ..study.launching import slurm_workers

    if options.workers < 1:
        raise ConfigurationError(f"--workers is {options.workers}; SLURM has to start 1 or more.")
    sbatch = _options_of_sbatch(options.slurm)
    engine = slurm_workers(study.directory, options.workers, options.storage, sbatch, told)
    return study.run(0, observers, remote=True, engine=engine)


def _options_of_sbatch(given: Sequence[str]) -> dict[str, str]:
    options = {}
    for item in given:
        key, equals, value = item.partition("=")
        if not equals or not key.strip("-"):
            raise ConfigurationError(f"--slurm is {item!r}; KEY=VALUE is expected, such as --slurm partition=short.")
        options[key.strip("-").replace("-", "_")] = value
    return options


def _worker(options: argparse.Namespace) -> int:
    require("optuna", "study", "A worker")
    from ..study.serving import IDLE_S, STORAGE, serve_directory, serve_storage
    from ..study.worker import be_quiet

    if options.idle is not None and options.idle < 0:
        raise ConfigurationError(f"--idle is {options.idle:g}; 0 or more seconds are expected.")
    if options.study is None and options.dir is None:
        raise ConfigurationError("a worker needs DIR, or --storage URL and --study NAME.")
    _quiet()
    be_quiet()
    import torch

    torch.set_num_threads(1)  # more would round differently
    idle_s = IDLE_S if options.idle is None else options.idle
    if options.study is None:
        done = serve_directory(options.dir, options.storage, idle_s=idle_s, told=_say)
    else:
        url = options.storage or os.environ.get(STORAGE)
        if url is None:
            raise ConfigurationError("--study NAME needs --storage URL.")
        done = serve_storage(url, options.study, options.dir, idle_s=idle_s, told=_say)
    _say(f"{done} jobs done")
    return 0


def _say(sentence: str) -> None:
    print(sentence, flush=True)


def _status(options: argparse.Namespace) -> int:
    rich_console = require("rich.console", "study", "The status table")
    _quiet()
    study = Study.open(options.dir, options.storage)
    console = rich_console.Console()
    rows = study.rows()
    file = options.dir / "front.json"
    front: dict[str, Any] = read_json(file) if file.exists() else {"points": [], "hypervolume": {}}
    console.print(front_table(study.config, front, console))
    if front.get("finalists"):
        console.print(finalists_table(study.config, front))
    if any(row.state == "failed" for row in rows):
        console.print(failures_table(rows))
    console.print(progress_line(study.config, rows, front))
    if workers := study.workers():
        console.print(f"workers    {', '.join(workers)}")
    return 0


def _report(options: argparse.Namespace) -> int:
    print(write_report(options.dir, options.output))
    return 0


def _export(options: argparse.Namespace) -> int:
    for note in export_bundle(options.dir, options.trial, options.output, options.profile, options.sweep):
        print(note)
    print(options.output)
    return 0


def _verify(options: argparse.Namespace) -> int:
    found = verify_bundle(options.bundle)
    for difference in found.differences:
        print(difference)
    summary = f"accuracy {100 * found.accuracy:.1f} %, {found.synops:,.1f} synaptic operations per sample"
    print(
        f"{len(found.differences)} numbers differ; {summary}"
        if found.differences
        else f"every number is the same: {summary}"
    )
    return 1 if found.differences else 0


def _write_report(directory: Path, output: Path | None, console: Any) -> None:
    try:
        console.print(f"report     {write_report(directory, output)}")
    except MissingDependencyError as error:
        console.print(f"no report: {error}")


def _picture(directory: Path) -> Any:
    try:
        files = read_study(directory)
        return front_figure(files.front, files.trials)
    except MissingDependencyError:
        return None


def _quiet() -> None:
    """Optuna and Lightning say nothing on their own while a study has the terminal."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    if not sys.warnoptions:
        import warnings

        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
