"""Results: one JSON line for each recipe and seed, so that a run that is cut off goes on where it was."""

import dataclasses
import json
import math
import statistics
from collections.abc import Iterable, Mapping
from pathlib import Path

from .recipe import Trainable

__all__ = ["Result", "Results"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """What one training gave.

    Args:
        recipe, fingerprint, seed: which training it was.
        test, train: accuracies after the last epoch, in [0, 1].
        spikes: hidden spikes per test sample.
        synops: synaptic operations per test sample.
        seconds, cpu_seconds: of training and evaluation.
        epochs: how many were trained.
        versions: of the packages that decide the numbers.
    """

    recipe: str
    fingerprint: str
    seed: int
    test: float
    train: float
    spikes: float
    synops: float
    seconds: float
    cpu_seconds: float
    epochs: int
    versions: str

    @property
    def line(self) -> str:
        return json.dumps(dataclasses.asdict(self))


class Results:
    """What a results file holds for the recipes as they are now; lines of earlier forms of a recipe do not count.

    Args:
        lines: of a results file.
        recipes: by name.
    """

    def __init__(self, lines: Iterable[str], recipes: Mapping[str, Trainable]) -> None:
        self._found: dict[tuple[str, int], Result] = {}
        for line in filter(str.strip, lines):
            result = Result(**json.loads(line))
            recipe = recipes.get(result.recipe)
            if recipe is not None and (result.fingerprint, result.epochs) == (recipe.fingerprint, recipe.epochs):
                self._found[result.recipe, result.seed] = result

    @classmethod
    def read(cls, path: Path, recipes: Mapping[str, Trainable]) -> "Results":
        """Of a file, or none when there is no file yet."""
        return cls(path.read_text(encoding="utf-8").splitlines() if path.exists() else (), recipes)

    def has(self, name: str, seed: int) -> bool:
        return (name, seed) in self._found

    def of(self, name: str) -> list[Result]:
        """Of one recipe, in the order of the seeds."""
        return [result for (recipe, _), result in sorted(self._found.items()) if recipe == name]

    def mean(self, name: str, field: str = "test") -> float:
        """Over the seeds; NaN without any."""
        values = [getattr(result, field) for result in self.of(name)]
        return statistics.fmean(values) if values else float("nan")

    def sd(self, name: str, field: str = "test") -> float:
        """Sample standard deviation over the seeds; NaN with fewer than two."""
        values = [getattr(result, field) for result in self.of(name)]
        return statistics.stdev(values) if len(values) > 1 else float("nan")

    def versions(self) -> list[str]:
        """The versions that the results were made with."""
        return sorted({result.versions for result in self._found.values()})

    def total(self, field: str) -> float:
        return math.fsum(getattr(result, field) for result in self._found.values())

    def __len__(self) -> int:
        return len(self._found)
