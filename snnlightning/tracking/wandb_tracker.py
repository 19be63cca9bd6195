"""WandbTracker: one W&B run per study, and one per point of the front; offline unless told otherwise.

A study of hundreds of trials is one run: a table of all trials, the front as a table and as a picture, hypervolume as it
grew. Only points of the front become runs of their own (group: the study, job_type: trial), with their learning curves,
when the study ends. Every run is finished before the next one starts, so no trial's rows end in another's run.
"""

import csv
import hashlib
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from ..errors import MissingDependencyError, require

__all__ = ["Mode", "WandbTracker"]

Mode = Literal["offline", "online", "disabled"]


class WandbTracker:
    """Told of a study's progress; does nothing, and imports nothing, when W&B is absent or disabled.

    Args:
        mode: ``offline`` writes runs into ``DIR/wandb`` (``wandb sync DIR/wandb/offline-run-*`` uploads them later),
            ``online`` sends them, ``disabled`` does nothing. The environment variable WANDB_MODE wins.
        project: W&B project.
        picture: (directory of the study) -> plotly figure of the front, or None.
        notice: told, once, why nothing is tracked.
    """

    def __init__(
        self,
        mode: Mode = "offline",
        project: str = "snnlightning",
        picture: Callable[[Path], Any] | None = None,
        notice: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.mode = os.environ.get("WANDB_MODE") or mode
        self.project, self.picture, self.notice = project, picture, notice
        self._run: Any = None
        self._rows: list[dict[str, Any]] = []
        self._config: dict[str, Any] = {}
        self._directory = Path()
        self._nothing_new = False

    def started(self, config: Mapping[str, Any], directory: Path, rows: Sequence[Mapping[str, Any]]) -> None:
        self._config, self._directory = dict(config), directory
        self._rows = [dict(row) for row in rows]
        self._nothing_new = bool(rows) and any((directory / "wandb").glob("*run-*"))

    def asked(self, number: int, params: Mapping[str, Any]) -> None:
        """Nothing: a trial is told of when it has finished."""

    def epoch(self, number: int, epoch: int, metrics: Mapping[str, float]) -> None:
        """Nothing: learning curves go with the points of the front, at the end."""

    def note(self, text: str) -> None:
        """What happens to workers and storage is no business of W&B."""

    def testing(self, done: int, total: int) -> None:
        """Nothing: the front comes with its test values, at the end."""

    def finished(self, row: Mapping[str, Any], front: Sequence[Mapping[str, Any]]) -> None:
        self._rows.append(dict(row))
        self._nothing_new = False
        run = self._study_run()
        if run is not None:
            run.log({"trial": row["number"], "front/points": len(front), **self._numbers(row)})

    def ended(self, front: Mapping[str, Any]) -> None:
        run = None if self._nothing_new else self._study_run()
        if run is None:
            return
        wandb = require("wandb", "wandb", "Tracking")
        names = list(front["directions"])
        run.log({"trials": _table(wandb, self._rows), "front/table": _table(wandb, _front_rows(front, names))})
        if front.get("finalists"):
            run.log({"front/finalists": _table(wandb, _finalist_rows(front["finalists"], names))})
        figure = self.picture(self._directory) if self.picture is not None else None
        if figure is not None:
            run.log({"front/picture": wandb.Plotly(figure)})
        for kind, value in front["hypervolume"].items():
            if value is not None:
                run.summary[f"hypervolume/{kind}"] = value
        run.summary["trials"] = len(self._rows)
        run.finish()
        self._run = None
        for point in front["points"]:
            self._promote(wandb, point)

    def _study_run(self) -> Any:
        if self._run is None and self.mode != "disabled":
            try:
                wandb = require("wandb", "wandb", "Tracking with W&B")
            except MissingDependencyError as error:
                self.notice(f"not tracked in W&B: {error}")
                self.mode = "disabled"
                return None
            try:
                self._run = self._init(wandb, self._config["name"], "study", self._config, self._run_id("study"))
            except (wandb.Error, OSError) as error:
                # A study must not die because nobody is there to watch it.
                self.notice(f"not tracked in W&B: {' '.join(str(error).split())}")
                self.mode = "disabled"
        return self._run

    def _promote(self, wandb: Any, point: Mapping[str, Any]) -> None:
        """A run of its own for a point of the front: parameters, learning curves, values."""
        number, sweep = point["number"], point.get("sweep") or {}
        name = "-".join([f"trial-{number}", *(f"{key}-{value:g}" for key, value in sweep.items())])
        run = self._init(
            wandb,
            f"{self._config['name']}/{name}",
            "trial",
            {**point["params"], "trial": number, "kind": point["kind"], **sweep, "checkpoint": point["checkpoint"]},
            self._run_id(name),
        )
        metrics = self._directory / "trials" / str(number) / "metrics.csv"
        if metrics.exists():
            with metrics.open(encoding="utf-8", newline="") as file:
                for line in csv.DictReader(file):
                    run.log({name: float(value) for name, value in line.items() if value})
        for stage in ("values", "test"):
            for name, value in (point[stage] or {}).items():
                run.summary[f"{'val' if stage == 'values' else stage}/{name}"] = value
        run.finish()

    def _init(self, wandb: Any, name: str, job_type: str, config: Mapping[str, Any], run_id: str) -> Any:
        # W&B samples the machine, records the console and asks git by default; a study wants none of that.
        settings = wandb.Settings(
            silent=True,
            console="off",
            x_disable_stats=True,
            x_disable_machine_info=True,
            disable_git=True,
            disable_code=True,
        )
        return wandb.init(
            project=self.project,
            name=name,
            group=self._config["name"],
            job_type=job_type,
            config=dict(config),
            id=run_id,
            dir=str(self._directory),
            mode=self.mode,
            resume="allow" if self.mode == "online" else None,
            settings=settings,
            reinit="create_new",
        )

    def _run_id(self, what: str) -> str:
        """The same for the same study directory, so that a study taken up again goes on in its own run."""
        text = f"{self._directory.absolute()}:{self._config['name']}:{self._config['seed']}:{what}"
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def _numbers(self, row: Mapping[str, Any]) -> dict[str, float]:
        names = ("seconds", "epochs", *(objective["name"] for objective in self._config["objectives"]))
        return {f"trial/{name}": row[name] for name in names if name in row}


def _front_rows(front: Mapping[str, Any], names: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {
            "number": point["number"],
            **{f"val_{name}": point["values"][name] for name in names},
            **{f"test_{name}": (point["test"] or {}).get(name) for name in names},
            **point["params"],
        }
        for point in front["points"]
    ]


def _finalist_rows(finalists: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {
            "number": one["number"],
            "on_front": one["on_front"],
            **{f"val_{name}": one["values"][name] for name in names},
            **{
                f"fresh_{name}_{key}": _finite(one["test"][name][key])
                for name in names
                for key in ("mean", "low", "high")
            },
            **{f"sweep_{key}": value for key, value in (one["sweep"] or {}).items()},
            "beaten_by": ", ".join(str(other["number"]) for other in one["beaten_by"]),
        }
        for one in finalists
    ]


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _table(wandb: Any, rows: Sequence[Mapping[str, Any]]) -> Any:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    # A column of a W&B table has one type; parameters may be a number in one trial and absent or a list in another.
    mixed = {name for name in columns if len({_type(row.get(name)) for row in rows} - {None}) > 1}
    data = [[_cell(row.get(name), name in mixed) for name in columns] for row in rows]
    return wandb.Table(columns=columns, data=data)


def _type(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return "bool"
    return "number" if isinstance(value, int | float) else "text"


def _cell(value: Any, as_text: bool) -> Any:
    if value is None:
        return None
    return str(value) if as_text or isinstance(value, list | dict) else value
