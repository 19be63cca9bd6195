"""The claims: what was published, which number of ours answers it, and the band in which the number has to lie.

The bands were set before the runs: around a published figure by what seeds and our deviations can explain, and for
statements in words at the line where the statement would be wrong.
"""

import dataclasses
import math
from collections.abc import Callable

from .results import Results

__all__ = ["CLAIMS", "Claim"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Claim:
    """A published statement and our number for it.

    Args:
        name: short, as in the table.
        says: the statement.
        published: the figure, as published; empty when there is none.
        source: who says so.
        number: what our number is, in words.
        of: from results to the number; NaN while results are missing.
        low, high: the band.
        recipes: by name; their results are what the number rests on.
    """

    name: str
    says: str
    published: str
    source: str
    number: str
    of: Callable[[Results], float]
    low: float = -math.inf
    high: float = math.inf
    recipes: tuple[str, ...]

    def verdict(self, results: Results) -> str:
        """``reproduced``, ``not reproduced``, or ``not run`` while a recipe has no result."""
        value = self.of(results)
        if math.isnan(value):
            return "not run"
        return "reproduced" if self.low <= value <= self.high else "not reproduced"

    @property
    def band(self) -> str:
        if math.isinf(self.high):
            return f">= {self.low:g}"
        return f"<= {self.high:g}" if math.isinf(self.low) else f"{self.low:g} to {self.high:g}"


def accuracy(
    name: str,
    recipe: str,
    says: str,
    source: str,
    *,
    published: str = "",
    low: float = -math.inf,
    high: float = math.inf,
    field: str = "test",
) -> Claim:
    """A claim about the mean of one recipe."""
    number = {"test": "test accuracy", "train": "training accuracy"}[field]
    return Claim(
        name=name,
        says=says,
        published=published,
        source=source,
        number=f"{number}, `{recipe}`",
        of=lambda results: results.mean(recipe, field),
        low=low,
        high=high,
        recipes=(recipe,),
    )


def difference(name: str, more: str, less: str, says: str, source: str, low: float, published: str = "") -> Claim:
    """A claim that the test accuracy of one recipe is higher than another's."""
    return Claim(
        name=name,
        says=says,
        published=published,
        source=source,
        number=f"`{more}` - `{less}`, test accuracy",
        of=lambda results: results.mean(more) - results.mean(less),
        low=low,
        recipes=(more, less),
    )


ZV = "Zenke & Vogels 2021"
SHAPES = ("randman/superspike_10", "randman/sigmoid_10", "randman/esser_1")
SCALES = ("randman/superspike_10_attached", "randman/asymptotic_10_attached", "randman/asymptotic_100_attached")


def spread(results: Results, recipes: tuple[str, ...]) -> float:
    means = [results.mean(recipe) for recipe in recipes]
    return math.nan if any(map(math.isnan, means)) else max(means) - min(means)


def within(results: Results, recipe: str, spikes: float, otherwise: float) -> float:
    """Test accuracy of a recipe that uses at most so many hidden spikes; ``otherwise`` when it uses more."""
    return results.mean(recipe) if not results.mean(recipe, "spikes") > spikes else otherwise


RANDMAN = (
    Claim(
        name="Q1",
        says="the shape of the surrogate hardly matters: SuperSpike, sigmoid', Esser, each at a slope of its own",
        published="in words",
        source=f"{ZV}, abstract",
        number="largest difference between shapes, test accuracy",
        of=lambda results: spread(results, SHAPES),
        high=0.03,
        recipes=SHAPES,
    ),
    Claim(
        name="Q1'",
        says="shapes differ less than scales do (scales with the reset attached, where they matter)",
        published="in words",
        source=f"{ZV}, abstract",
        number="spread over scales - spread over shapes",
        of=lambda results: spread(results, SCALES) - spread(results, SHAPES),
        low=0.1,
        recipes=(*SHAPES, *SCALES),
    ),
    difference(
        "Q2",
        "randman/recurrent_superspike_10",
        "randman/recurrent_asymptotic_100",
        "a large scale (peak 100) harms a recurrent network, reset detached",
        f"{ZV}, abstract and Fig. 5",
        low=0.03,
        published="in words",
    ),
    accuracy(
        "Q3",
        "randman/asymptotic_10_attached",
        "the attached reset together with a large scale (peak 10) ruins learning",
        f"{ZV}, Fig. 5",
        published="about 0.78 (best ten of a grid of slopes and rates; second hand)",
        high=0.7,
    ),
    accuracy(
        "Q3'",
        "randman/superspike_10_attached",
        "and is harmless with peak 1",
        f"{ZV}, Fig. 5",
        published=">= 0.95 (second hand)",
        low=0.95,
    ),
    accuracy(
        "Q4",
        "randman/asymptotic_10",
        "the large scale itself is harmless while the reset is detached",
        f"{ZV}, Fig. 5",
        published=">= 0.95 (second hand)",
        low=0.95,
    ),
    accuracy(
        "Q5",
        "randman/no_gradient",
        "with the true gradient a network that starts silent stays at chance",
        "Neftci, Mostafa & Zenke 2019, section III",
        published="0.1 (chance)",
        high=0.15,
    ),
    accuracy(
        "Q5'",
        "randman/no_gradient_awake",
        "and one that starts awake learns with its readout only",
        "Neftci, Mostafa & Zenke 2019, section III",
        published="about 0.65 (second hand)",
        low=0.5,
        high=0.8,
    ),
    accuracy(
        "Q5''",
        "randman/constant",
        "a surrogate that does not know the threshold is clearly worse",
        ZV,
        published="about 0.58 (second hand)",
        high=0.8,
    ),
    Claim(
        name="Q6",
        says="regularised activity costs nothing at first: at most 40 spikes per sample",
        published="in words",
        source=f"{ZV}, abstract",
        number="test accuracy, `randman/at_most_0.1`; 0 if it uses more",
        of=lambda results: within(results, "randman/at_most_0.1", 40.0, otherwise=0.0),
        low=0.95,
        recipes=("randman/at_most_0.1",),
    ),
    Claim(
        name="Q6'",
        says="and breaks below a critical number: at most 15 spikes per sample",
        published="in words",
        source=f"{ZV}, abstract",
        number="test accuracy, `randman/at_most_0.02`; 1 if it uses more",
        of=lambda results: within(results, "randman/at_most_0.02", 15.0, otherwise=1.0),
        high=0.93,
        recipes=("randman/at_most_0.02",),
    ),
    accuracy(
        "Q7",
        "randman/no_lower_bound",
        "without the lower bound this initialisation never wakes up",
        ZV,
        published="0.1 (chance)",
        high=0.15,
    ),
)
SPY = "github.com/fzenke/spytorch, tutorial"
SPYTORCH = (
    accuracy(
        "T1",
        "spytorch/1",
        "four hidden neurons learn 256 random labels by heart",
        f"{SPY} 1",
        published="0.859 (one seed)",
        low=0.8,
        high=1.0,
        field="train",
    ),
    accuracy(
        "T1'",
        "spytorch/1_true_gradient",
        "the true gradient does not",
        f"{SPY} 1",
        published="0.512 (one seed)",
        high=0.7,
        field="train",
    ),
    accuracy(
        "T2",
        "spytorch/2",
        "Fashion-MNIST in latency code",
        f"{SPY} 2",
        published="test 0.863, train 0.912",
        low=0.843,
        high=0.883,
    ),
    accuracy(
        "T3",
        "spytorch/3",
        "the same with penalties on spikes",
        f"{SPY} 3",
        published="test 0.827, train 0.848",
        low=0.797,
        high=0.857,
    ),
    accuracy(
        "T4",
        "spytorch/4",
        "a recurrent network uses the timing of speech: better than spike counts allow",
        f"{SPY} 4 (its SHD is replaced: other recordings, so the figures are not comparable)",
        published="SHD: test 0.692, train 0.982; here spike counts give 0.488",
        low=0.55,
    ),
    accuracy(
        "T4'",
        "spytorch/4",
        "and learns its training set almost by heart",
        f"{SPY} 4 (data replaced)",
        published="SHD: train 0.982",
        low=0.93,
        field="train",
    ),
    accuracy(
        "T5",
        "spytorch/5",
        "Braille letters by touch",
        f"{SPY} 5",
        published="test 0.967, train 0.994",
        low=0.937,
    ),
)
YIN_YANG = (
    accuracy(
        "Y1",
        "yin_yang/surrogate",
        "a trained hidden layer solves it as deep networks do",
        "Kriener, Göltz & Petrovici 2022 (perceptron, 30 hidden units)",
        published="0.976",
        low=0.95,
    ),
    accuracy(
        "Y2",
        "yin_yang/true_gradient",
        "a readout alone falls clearly short",
        "Kriener, Göltz & Petrovici 2022 (shallow 0.64)",
        published="in words",
        high=0.9,
    ),
)
CLAIMS = (*RANDMAN, *SPYTORCH, *YIN_YANG)
