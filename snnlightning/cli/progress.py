"""Progress: the live display of a study; one line per finished trial where there is no terminal to draw on."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from ..study import StudyConfig
from .tables import format_value

__all__ = ["Progress"]


class Progress:
    """A study observer that draws: a bar for the study, one for each open trial, and the front so far."""

    def __init__(self, config: StudyConfig, console: Console | None = None) -> None:
        self.config = config
        self.console = console or Console()
        self.bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[text]}"),
            console=self.console,
        )
        self._counts_trials = config.policy.counts_trials(config)
        if self._counts_trials:
            self._all = self.bars.add_task("trials", total=config.trials, text="")
        else:
            self._all = self.bars.add_task("epochs", total=config.budget, text="")
        self._spent = 0.0
        self._open: dict[int, Any] = {}
        epochs = config.base["trainer"].get("max_epochs")
        self._epochs = epochs if isinstance(epochs, int) and epochs > 0 else None
        self._front: Sequence[Mapping[str, Any]] = ()
        self._live = Live(self.bars, console=self.console, refresh_per_second=4, transient=True)

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live.is_started:
            self._live.stop()

    def note(self, text: str) -> None:
        """A line that stays."""
        self.console.print(escape(text))

    def started(self, config: Mapping[str, Any], directory: Path, rows: Sequence[Mapping[str, Any]]) -> None:
        self._spent = float(len(rows)) if self._counts_trials else sum(row["charged"] for row in rows)
        self.bars.update(self._all, completed=int(self._spent))
        if rows:
            self.note(f"going on with {directory}: {len(rows)} trials are done")

    def asked(self, number: int, params: Mapping[str, Any]) -> None:
        if number not in self._open:  # else it goes on
            self._open[number] = self.bars.add_task(f"trial {number}", total=self._epochs, text="")

    def epoch(self, number: int, epoch: int, metrics: Mapping[str, float]) -> None:
        self.bars.update(self._open[number], completed=epoch + 1, text=self._values(metrics, "val_"))

    def finished(self, row: Mapping[str, Any], front: Sequence[Mapping[str, Any]]) -> None:
        task = self._open.pop(row["number"], None)
        if task is not None:
            self.bars.remove_task(task)
        self._spent += 1.0 if self._counts_trials else row["charged"]
        self.bars.update(self._all, completed=int(self._spent), text=f"{len(front)} on the front")
        self._front = front
        if self._live.is_started:
            self._live.update(Group(self.bars, self._summary()))
            return
        what = self._values(row, "") if row["state"] != "failed" else ""
        text = " ".join(part for part in (row["state"], what, row["reason"]) if part)
        so_far = (
            f"/{self.config.trials}" if self._counts_trials else f", {self._spent:.0f}/{self.config.budget:.0f} epochs:"
        )
        self.console.print(
            f"trial {row['number'] + 1}{so_far} {escape(text)} ({row['seconds']:.1f} s)",
            highlight=False,
            soft_wrap=True,
        )

    def testing(self, done: int, total: int) -> None:
        self.bars.update(self._all, text=f"testing the front, {done + 1} of {total}")

    def ended(self, front: Mapping[str, Any]) -> None:
        self._front = front["points"]

    def _values(self, metrics: Mapping[str, Any], prefix: str) -> str:
        parts = []
        for name, objective in self.config.objectives.items():
            key = f"{prefix}{objective.metric if prefix else name}"
            if isinstance(metrics.get(key), int | float):
                parts.append(f"{name} {format_value(objective, metrics[key])}")
        return ", ".join(parts)

    def _summary(self) -> str:
        lines = [f"  trial {point['number']}: {self._values(point['values'], '')}" for point in self._front]
        return "front so far\n" + "\n".join(lines)
