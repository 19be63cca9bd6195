"""docs/methods.md, from the results; nothing on it is written by hand."""

import math
from pathlib import Path

from ..published.results import Results
from .method import Method
from .rows import BASE, METHODS, SAME_AS_BASE, SECTIONS

__all__ = ["PAGE", "page"]

PAGE = Path(__file__).parents[2] / "docs" / "methods.md"

HEAD = """\
# What every method reaches

Written by `python -m benchmarks.methods`; nothing here is written by hand. Each row trains a network with one thing of the package set
otherwise, on real data, and tests the weights of the last epoch. It says that the method trains, and roughly what it costs; one
network on small data ranks nothing. Test accuracy in per cent, mean ± standard deviation (seeds); accuracy on the training set;
spikes of all spiking layers and synaptic operations, per test sample.

**Published** is what a publication reports of the method, with its own data and network: SHD are the Spiking Heidelberg Digits, which
are not at hand here. Empty: no figure was read. "Chosen on test": the best epoch by test accuracy.

Rules of credit assignment: [learning.md](learning.md). Delays on a task that is made of them: [architecture.md](architecture.md).
Training to a number of operations: [budget.md](budget.md). Precision of chips: [quantisation.md](quantisation.md). Published experiments
with verdicts: [published.md](published.md).
"""

TITLES = {
    "neuron": "Neurons",
    "distribution": "Time constants that are drawn",
    "firing": "Firing",
    "surrogate": "Surrogates, all of height 1 and half width 0.3",
    "initializer": "Initial weights",
    "regularizer": "Regularizers",
    "readout": "Readouts and losses",
    "encoder": "Encoders",
    "layer": "Layers",
    "constraint": "Constraints",
    "recipe": "Recipes",
}

DIGITS = """\
1,797 images of 8 x 8 handwritten digits (scikit-learn) in latency code, T = 20, split by the seed; 64-64 (recurrent)-10, `cuba_lif` with
time constants of 6 and 5 ms, `mean_over_time`, Adam at 5e-3, batches of 64, gradients clipped at norm 1, 10 epochs. Logistic
regression on the pixels gets 96.3 % (seeds 0 to 2). Settings were not searched, but where a row says so; strengths of regularizers are such that they act.
"""

NOTES = {
    "layer": "LIF neurons of 6 ms, feed-forward where nothing is said, weights of standard deviation 2 / √fan-in.",
    "recipe": "3,600 utterances of 20 spoken digits in the layout of SHD (other recordings, speakers of the test set partly unknown), steps of "
    "5 ms, T = 200, 700 channels summed in groups of 5; 128 recurrent neurons, Adam, batches of 64, 20 epochs where nothing is said, one seed, no augmentation. "
    "The publications train longer, often more neurons, and from other learning rates downwards. Spike counts alone give 48.8 % here (logistic regression). Published: on SHD "
    "where nothing else is said.",
}

COLUMNS = "| | set | test | training | spikes | synops | published |\n|---|---|---|---|---|---|---|"


def page(results: Results) -> str:
    """The whole page."""
    parts = [HEAD, "## The network of the digits\n", DIGITS, COLUMNS, _row(BASE, results), ""]
    for section, methods in SECTIONS.items():
        if section != "base":
            parts += [f"## {TITLES[section]}\n"]
            parts += [f"{NOTES[section]}\n"] if section in NOTES else []
            same = [name for name in SAME_AS_BASE if name.partition("/")[0] in (section, *_also(section))]
            parts += [f"The first row of this page has {' and '.join(f'`{name}`' for name in same)}.\n"] if same else []
            parts += [COLUMNS, *(_row(method, results) for method in methods), ""]
    return "\n".join(
        [
            *parts,
            "## Conditions\n",
            *(f"- {versions}" for versions in results.versions()),
            f"- {len(results)} trainings of {sum(method.seeds for method in METHODS.values())}, {results.total('cpu_seconds') / 60:.0f} "
            "minutes of CPU time in processes of one thread.",
            "",
        ]
    )


def _also(section: str) -> tuple[str, ...]:
    return ("loss",) if section == "readout" else ()


def _row(method: Method, results: Results) -> str:
    thing = method.name.partition("/")[2]
    done = results.of(method.name)
    if not done:
        return f"| `{thing}` | {method.says} | not run | | | | {method.published} |"
    mean, sd = 100.0 * results.mean(method.name), 100.0 * results.sd(method.name)
    spread = "" if math.isnan(sd) else f" ± {sd:.1f}"
    cells = (
        f"`{thing}`",
        method.says,
        f"{mean:.1f}{spread} ({len(done)})",
        f"{100.0 * results.mean(method.name, 'train'):.1f}",
        f"{results.mean(method.name, 'spikes'):,.0f}",
        f"{results.mean(method.name, 'synops'):,.0f}",
        method.published,
    )
    return f"| {' | '.join(cells)} |"
