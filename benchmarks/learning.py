"""Every rule of credit assignment trains something real; the page docs/learning.md is written from what came out.

    python benchmarks/learning.py [--quick] [--seeds 3] [--only eprop ottt] [--page]

Each rule trains the same kind of network on the same data as backpropagation through time does in the same command, for as many
epochs and with the same optimizer (but where the rule brings its own); the weights of the last epoch are tested, nothing is
selected. Results are added to benchmarks/learning.jsonl, finished runs are not repeated. ``--quick`` runs one seed for one epoch
and writes nothing; ``--page`` writes the page from the results that there are.
"""

import argparse
import dataclasses
import importlib.util
import inspect
import itertools
import json
import logging
import platform
import statistics
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import torch

import snnlightning as snn
from snnlightning import learning, neurons
from snnlightning.data import YinYangDataModule
from snnlightning.errors import ConfigurationError
from snnlightning.layers import SpikingLayer, SpikingNetwork
from snnlightning.naming import available
from snnlightning.neurons import AbstractNeuron
from snnlightning.readouts import LastStep, MaxOverTime, MeanOverTime, SpikeCount

HERE = Path(__file__).parent
RESULTS, PAGE = HERE / "learning.jsonl", HERE.parent / "docs" / "learning.md"
INF = float("inf")

DIGITS = {"in_features": 64, "num_classes": 10, "hidden_sizes": [64], "surrogate_width": 0.3, "learning_rate": 5e-3}
CUBA = DIGITS | {"neuron": "cuba_lif", "tau_mem_ms": 6.0, "tau_syn_ms": 5.0, "readout": "mean_over_time"}
LIF = DIGITS | {"neuron": "lif", "tau_mem_ms": 6.0, "readout": "mean_over_time"}
SPIKING = CUBA | {"readout": "spike_count", "recurrent": False}
STORK = CUBA | {"ordering": "stork", "reset": "zero", "recurrent": False, "init_gain": 8.0, "learning_rate": 3e-2}
TIMED = DIGITS | {
    "neuron": "cuba_lif", "tau_mem_ms": INF, "tau_syn_ms": 8.0, "readout": "spike_count", "recurrent": False, "init_gain": 0.3,
    "learning_rate": 5e-4,
}  # fmt: skip
POINTS = {"in_features": 5, "num_classes": 3, "hidden_sizes": [120], "recurrent": False, "surrogate_width": 0.0414}
YIN_YANG = POINTS | {
    "neuron": "cuba_lif", "tau_mem_ms": 12.0, "tau_syn_ms": 6.0, "ordering": "stork", "reset": "zero", "init_gain": 8.0,
    "readout": "max_over_time", "learning_rate": 1e-2,
}  # fmt: skip
POINTS_TIMED = POINTS | {
    "neuron": "cuba_lif", "tau_mem_ms": INF, "tau_syn_ms": 12.0, "readout": "spike_count", "init_gain": 1.0, "learning_rate": 5e-3,
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What a rule is tried on.

    Args:
        rule: name.
        arguments: of the rule.
        model: of the classifier.
        data: ``digits`` or ``yin_yang``.
        epochs: of training.
    """

    rule: str
    arguments: dict[str, Any]
    model: dict[str, Any]
    data: str = "digits"
    epochs: int = 10

    @property
    def key(self) -> str:
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    def with_bptt(self) -> "Recipe":
        """The same training by backpropagation through time."""
        return dataclasses.replace(self, rule="bptt", arguments={})


RECIPES = [
    Recipe("bptt", {}, CUBA),
    Recipe("truncated_bptt", {"steps": 5}, CUBA),
    Recipe("sparse", {"bound": 0.2}, CUBA),
    Recipe("rtrl", {}, CUBA | {"hidden_sizes": [8]}, epochs=4),
    Recipe("eprop", {"feedback": "symmetric"}, CUBA),
    Recipe("eprop", {"feedback": "random"}, CUBA),
    Recipe("eprop", {"feedback": "adaptive"}, CUBA),
    Recipe("feedback_alignment", {}, CUBA | {"hidden_sizes": [64, 64]}),
    Recipe("direct_feedback_alignment", {}, CUBA | {"hidden_sizes": [64, 64]}),
    Recipe("local_errors", {}, CUBA | {"hidden_sizes": [64, 64]}),
    Recipe("decolle", {"burn_in": 4}, CUBA | {"hidden_sizes": [64, 64], "recurrent": False}),
    Recipe("ottt", {}, LIF),
    Recipe("superspike", {"feedback": "symmetric", "interval_ms": 4.0}, SPIKING),
    Recipe("eventprop", {}, STORK),
    Recipe("mostafa", {"weight_sum_penalty": 100.0}, TIMED, epochs=20),
    Recipe("eventprop", {}, YIN_YANG, "yin_yang"),
    Recipe("mostafa", {}, POINTS_TIMED, "yin_yang", 20),
]

PUBLISHED = {
    ("eventprop", "yin_yang"): "98.1 ± 0.2 (200 hidden; Wunderlich & Pehle 2021, second hand)",
    ("mostafa", "digits"): "97.5 on MNIST (800 hidden; Mostafa 2017, second hand)",
    ("sparse", "digits"): "92.0 against 89.1 dense on N-MNIST (200 hidden; files of Perez-Nieves & Goodman 2021)",
    ("decolle", "digits"): "95.5 on DVS gestures (Kaiser et al. 2020, second hand)",
}
"""What the rule's own paper reports, in per cent; elsewhere its data or its measure has nothing near this one."""


def data(name: str) -> L.LightningDataModule:
    if name == "digits":
        return snn.DigitsDataModule(encoder="latency", steps=20, threshold=0.1, batch_size=64)
    return YinYangDataModule(steps=60, dt_ms=1.0, t_early_ms=2.0, t_late_ms=40.0, bias_ms=18.0, batch_size=75)


def trained(recipe: Recipe, seed: int, epochs: int) -> dict[str, Any]:
    """Test accuracy and seconds of one training."""
    L.seed_everything(seed, verbose=False)
    model = snn.SpikingClassifier(**recipe.model, learning={"rule": recipe.rule, **recipe.arguments})
    trainer = L.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        gradient_clip_val=1.0,
        limit_val_batches=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    module = data(recipe.data)
    start = time.process_time()
    trainer.fit(model, module)
    seconds = time.process_time() - start
    (result,) = trainer.test(model, module, verbose=False)
    return {
        "seed": seed,
        "test_accuracy": result["test_accuracy"],
        "spikes": result["test_spikes"],
        "cpu_seconds": seconds,
        "torch": torch.__version__,
        "cpu": platform.processor() or platform.machine(),
    }


def results() -> dict[tuple[str, int], dict[str, Any]]:
    """Every finished training by recipe and seed."""
    if not RESULTS.exists():
        return {}
    rows = [json.loads(line) for line in RESULTS.read_text(encoding="utf-8").splitlines()]
    return {(row["recipe"], row["seed"]): row for row in rows}


def train_all(recipes: list[Recipe], seeds: int) -> None:
    done = results()
    wanted = list(dict.fromkeys(itertools.chain.from_iterable((r.key, r.with_bptt().key) for r in recipes)))
    by_key = {r.key: r for recipe in recipes for r in (recipe, recipe.with_bptt())}
    for seed, key in itertools.product(range(seeds), wanted):
        if (key, seed) in done:
            continue
        recipe = by_key[key]
        row = trained(recipe, seed, recipe.epochs)
        say(recipe, row)
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"recipe": key, **row}) + "\n")


def say(recipe: Recipe, row: dict[str, Any]) -> None:
    print(
        f"{recipe.rule:26s} {recipe.data:9s} seed {row['seed']}  {100 * row['test_accuracy']:6.2f} %  "
        f"{row['spikes']:8.1f} spikes  {row['cpu_seconds']:7.1f} s",
        flush=True,
    )


# The page.


def plain_network(
    neuron: AbstractNeuron, last: AbstractNeuron, readout: Any, *, recurrent: bool, hidden: int
) -> SpikingNetwork:
    layers = [SpikingLayer(4, 4, neuron=neuron, recurrent=recurrent) for _ in range(hidden)]
    return SpikingNetwork([*layers, SpikingLayer(4, 4, neuron=last)], readout)


def accepted(rule: learning.AbstractRule, network: SpikingNetwork) -> bool:
    try:
        rule.check(network)
        rule.feedback_weights(network)
    except ConfigurationError:
        return False
    return True


def hidden_neurons() -> Iterator[tuple[str, AbstractNeuron]]:
    for cls in available(neurons).values():
        if cls.spiking:
            yield cls.__name__, cls()
    yield "CubaLIF (stork, zero)", neurons.CubaLIF(ordering="stork", reset="zero")
    yield "CubaLIF (no leak)", neurons.CubaLIF(tau_mem_ms=INF)


def what_it_trains(rule: learning.AbstractRule) -> tuple[str, str, str, str]:
    """Hidden neurons, outputs with their readouts, recurrence and depth that a rule accepts, by asking it."""
    outputs = {
        "leaky": [neurons.LI(), neurons.CubaLI(), neurons.CubaLI(ordering="stork")],
        "spiking": [neurons.LIF(), neurons.CubaLIF(ordering="stork", reset="zero"), neurons.CubaLIF(tau_mem_ms=INF)],
    }
    readouts = {"mean": MeanOverTime(), "last": LastStep(), "max": MaxOverTime(), "count": SpikeCount()}
    kinds, found = dict(hidden_neurons()), []
    for (name, neuron), (kind, lasts), (read, readout), recurrent, depth in itertools.product(
        kinds.items(), outputs.items(), readouts.items(), (False, True), (1, 2)
    ):
        if any(
            accepted(rule, plain_network(neuron, last, readout, recurrent=recurrent, hidden=depth)) for last in lasts
        ):
            found.append((name, kind, read, recurrent, depth))
    names = [name for name in kinds if any(row[0] == name for row in found)]
    plain = [name for name in kinds if "(" not in name]
    trains = "all" if names[: len(plain)] == plain else ", ".join(n for n in names if "(" in n or n in plain)
    outs = [
        kind if len(reads) == len(readouts) else f"{kind} ({', '.join(reads)})"
        for kind in outputs
        if (reads := [read for read in readouts if any(row[1:3] == (kind, read) for row in found)])
    ]
    recurrence = "yes" if any(row[3] for row in found) else "no"
    layers = "any" if any(row[4] == 2 for row in found) else "one hidden"
    return trains, " or ".join(outs), recurrence, layers


def section(cls: type, name: str) -> str:
    """A part of a docstring on one line, such as its ``Source``."""
    lines, found = inspect.cleandoc(cls.__doc__ or "").splitlines(), []
    for line in lines:
        if line.startswith(f"{name}:"):
            found.append(line.removeprefix(f"{name}:").strip())
        elif found:
            if not line.strip() or line.split(":")[0] in ("Example", "Args", "Raises", "Gradient", "Source"):
                break
            found.append(line.strip())
    return " ".join(found)


MEMORY = {
    "bptt": "T", "feedback_alignment": "T", "direct_feedback_alignment": "T", "local_errors": "T", "sparse": "T",
    "truncated_bptt": "window", "eventprop": "T and spikes", "mostafa": "inputs",
}  # fmt: skip
"""What memory grows with; rules that are not here keep no sequence."""


def table_of_rules() -> list[str]:
    lines = [
        "| `learning:` | hidden neurons | output (readout) | recurrent | layers | memory grows with | source |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, cls in available(learning).items():
        rule = cls(steps=5) if name == "truncated_bptt" else cls(feedback="random") if name == "eprop" else cls()
        if name == "superspike":
            rule = dataclasses.replace(rule, feedback="random")
        cells = [f"`{name}`", *what_it_trains(rule), MEMORY.get(name, "not T"), section(cls, "Source")]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def percent(rows: list[dict[str, Any]]) -> str:
    values = [100.0 * row["test_accuracy"] for row in rows]
    if not values:
        return "not run"
    spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.1f}{spread} ({len(values)})"


def network_of(recipe: Recipe) -> str:
    model = recipe.model
    sizes = [model["in_features"], *model["hidden_sizes"], model["num_classes"]]
    own = "rec." if model.get("recurrent", True) else "ff."
    return f"{'-'.join(map(str, sizes))} {own}, {model['neuron']}, {model['readout']}"


def table_of_results() -> list[str]:
    done = results()
    lines = [
        "| rule | data | network | epochs | test accuracy | BPTT there | s per epoch | BPTT | published |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for recipe in RECIPES:
        ours, exact = ([row for (key, _), row in done.items() if key == r.key] for r in (recipe, recipe.with_bptt()))
        times = [
            statistics.median(r["cpu_seconds"] for r in rows) / recipe.epochs if rows else None
            for rows in (ours, exact)
        ]
        seconds = ["-" if t is None else f"{t:.1f}" for t in times]
        arguments = "".join(f", {key} {value}" for key, value in recipe.arguments.items())
        same = recipe.rule == "bptt"
        cells = [
            f"`{recipe.rule}`{arguments}", recipe.data, network_of(recipe), str(recipe.epochs), percent(ours),
            "" if same else percent(exact), seconds[0], "" if same else seconds[1], PUBLISHED.get((recipe.rule, recipe.data), "-"),
        ]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def page() -> str:
    done = results().values()
    versions = ", ".join(sorted({row["torch"] for row in done})) or "-"
    return "\n".join(
        [
            "# Credit assignment",
            "",
            "Written by `python benchmarks/learning.py`; nothing here is written by hand. A training names its rule by one key:",
            "",
            "```yaml",
            "model:",
            "  class_path: SpikingClassifier",
            "  init_args:",
            "    learning: {rule: eprop, feedback: random}   # or just: learning: bptt",
            "```",
            "",
            "What a rule cannot train is refused when the module is built, with the reason and the nearest way out.",
            "",
            "## What there is",
            "",
            "What a rule trains was found by asking it, for every neuron, readout, recurrence and depth.",
            "",
            *table_of_rules(),
            "",
            "Formulas, and in which cases a rule is backpropagation exactly, are in the docstrings; `tests/learning` holds them to "
            "it in float64. Memory over T, measured: `benchmarks/learning_memory.py`.",
            "",
            *memory_part(),
            "## What they reach",
            "",
            f"Test accuracy in per cent, mean ± standard deviation (seeds), after the last epoch; Adam (`superspike`: RMaxProp), "
            f"gradients clipped at norm 1, CPU, torch {versions}. BPTT runs the same network for as many epochs, on the fused "
            "backend where there is one; rules that go forward in time run the reference, one step at a time. Seconds are CPU "
            "time of a busy machine: compare them within a row. Learning rate and initial gain of `eventprop` and `mostafa` "
            "(and `mostafa`'s penalty) were tried out on seed 0; all others share theirs with BPTT as it was.",
            "",
            "`digits`: 1,797 images of scikit-learn in latency code, T = 20. `yin_yang`: 5,000 points, T = 60, dt = 1 ms.",
            "",
            *table_of_results(),
            "",
        ]
    )


def memory_part() -> list[str]:
    """The table of benchmarks/learning_memory.py, where it has run."""
    path = HERE / "learning_memory.json"
    if not path.exists():
        return []
    spec = importlib.util.spec_from_file_location("learning_memory", HERE / "learning_memory.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    lines: list[str] = module.lines(json.loads(path.read_text(encoding="utf-8")))
    return [*lines, ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one seed, one epoch, nothing written")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=None, help="names of rules")
    parser.add_argument("--page", action="store_true", help="write the page and train nothing")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    chosen = [r for r in RECIPES if arguments.only is None or r.rule in arguments.only]
    if arguments.quick:
        for recipe in chosen:
            say(recipe, trained(recipe, 0, 1))
        return
    if not arguments.page:
        train_all(chosen, arguments.seeds)
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
