"""study run, status, report, export, verify."""

import argparse
import logging
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from ..errors import ConfigurationError, MissingDependencyError, require
from ..report import front_figure, read_study, write_report
from ..study import Study, StudyConfig, StudyObserver
from ..study.bundle import export_bundle, verify_bundle
from ..study.files import read_json
from ..tracking import WandbTracker
from .tables import failures_table, front_table, progress_line

__all__ = ["run_study_command"]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigurationError(f"{message}; see `{self.prog} --help`.")


def run_study_command(arguments: Sequence[str]) -> int:
    """``snnlightning study ...``; returns the exit status."""
    parser = _Parser(prog="snnlightning study", description="Multi-objective search over spiking networks.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="{run,status,report,export,verify}")

    run = commands.add_parser("run", help="search; takes a study up again when DIR holds one")
    run.add_argument("config", type=Path, help="the study's YAML file")
    run.add_argument("--dir", type=Path, help="where everything goes (default: studies/NAME)")
    run.add_argument("--trials", type=int, help="budget in full trainings, instead of the number in CONFIG")
    run.add_argument(
        "--workers", type=int, help="worker processes (default: one per core; 0: none, run in this process)"
    )
    run.add_argument("--storage", metavar="URL", help="database for Optuna's tables (default: study.db in DIR)")
    run.add_argument("--wandb", choices=("offline", "online", "disabled"), default="offline", help="default: offline")
    run.add_argument("--no-report", action="store_true", help="do not write report.html at the end")
    run.set_defaults(function=_run)

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
            front = study.run(options.workers, observers)
    except KeyboardInterrupt:
        if not (directory / "front.json").exists():
            raise
        interrupted = True
        front = read_json(directory / "front.json")
    rows = study.rows()
    console = progress.console
    console.print(front_table(config, front))
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


def _status(options: argparse.Namespace) -> int:
    rich_console = require("rich.console", "study", "The status table")
    _quiet()
    study = Study.open(options.dir, options.storage)
    console = rich_console.Console()
    rows = study.rows()
    file = options.dir / "front.json"
    front: dict[str, Any] = read_json(file) if file.exists() else {"points": [], "hypervolume": {}}
    console.print(front_table(study.config, front))
    if any(row.state == "failed" for row in rows):
        console.print(failures_table(rows))
    console.print(progress_line(study.config, rows, front))
    return 0


def _report(options: argparse.Namespace) -> int:
    print(write_report(options.dir, options.output))
    return 0


def _export(options: argparse.Namespace) -> int:
    for note in export_bundle(options.dir, options.trial, options.output, options.profile):
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
