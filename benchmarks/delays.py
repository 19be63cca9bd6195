"""Accuracy with and without delays on a task that is made of them.

    python benchmarks/delays.py [--seeds 5] [--epochs 30] [--rows learned] [--page docs/architecture.md]

The interval between two volleys (CoincidenceDataModule, defaults), 16 hidden LIF neurons of tau_mem 2 ms, a leaky readout that is
averaged over time, so that nothing behind the hidden layer can tell an order. Every row has a few settings (the learning rate of Adam; for
learned delays their speed and the last width of the kernel), and the one with the best accuracy on validation data, over all seeds, is
in the table with its accuracy on test data after the last epoch. Counts are per sample of the test set. ``--page`` writes the table
between the marks of a page; ``--rows`` runs those with a word in their name.
"""

import argparse
import dataclasses
import functools
import logging
import platform
import re
import statistics
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import lightning.pytorch as L
import torch

import snnlightning as snn
from snnlightning.data import CoincidenceDataModule
from snnlightning.initializers import ScaledNormal

HIDDEN, CLASSES, INPUTS = 16, 5, 8
MARK = re.compile(r"(<!-- delays -->\n).*?(<!-- /delays -->)", re.DOTALL)


@dataclasses.dataclass(frozen=True)
class Setting:
    """What a row may be trained with: learning rate, how much faster learned delays move, and the last width of their kernel in steps."""

    learning_rate: float
    delay_lr_factor: float = 0.0
    sigma_end: float = 0.0

    def __str__(self) -> str:
        return (
            f"x {self.delay_lr_factor:g}, width {self.sigma_end:g}"
            if self.delay_lr_factor
            else f"rate {self.learning_rate:g}"
        )


Make = Callable[[Setting, int], snn.layers.AbstractLayer]
RATES = (Setting(5e-3), Setting(2e-2))
SPEEDS = tuple(Setting(5e-3, factor, width) for factor in (10.0, 100.0) for width in (0.01, 0.23))


def plain(tau_mem_ms: float = 2.0, recurrent: bool = False) -> snn.SpikingLayer:
    neuron = snn.LIF(tau_mem_ms=tau_mem_ms)
    return snn.SpikingLayer(INPUTS, HIDDEN, neuron=neuron, recurrent=recurrent, initializer=ScaledNormal(2.0))


def delayed(setting: Setting, epochs: int, *, per: str, learn: bool) -> snn.DelayedLayer:
    return snn.DelayedLayer(
        INPUTS,
        HIDDEN,
        neuron=snn.LIF(tau_mem_ms=2.0),
        max_delay_ms=25.0,
        per=per,
        learn_delay=learn,
        delay_lr_factor=setting.delay_lr_factor or 1.0,
        sigma_end=setting.sigma_end or 0.23,
        sigma_epochs=max(1, epochs // 2),
        initializer=ScaledNormal(2.0),
    )


ROWS: dict[str, tuple[tuple[Setting, ...], Make]] = {
    "no delays": (RATES, lambda *_: plain()),
    "no delays, recurrent": (RATES, lambda *_: plain(recurrent=True)),
    "no delays, tau_mem 20 ms": (RATES, lambda *_: plain(tau_mem_ms=20.0)),
    "per axon, drawn once": (RATES, functools.partial(delayed, per="axon", learn=False)),
    "per axon, learned": (SPEEDS, functools.partial(delayed, per="axon", learn=True)),
    "per synapse, drawn once": (RATES, functools.partial(delayed, per="synapse", learn=False)),
    "per synapse, learned": (SPEEDS, functools.partial(delayed, per="synapse", learn=True)),
}


class Trained(NamedTuple):
    """Accuracies in per cent, operations per test sample, bytes."""

    validation: float
    test: float
    synops: float
    size: int


def result(make: Make, setting: Setting, seed: int, epochs: int) -> Trained:
    """One training."""
    L.seed_everything(seed, verbose=False)
    network = snn.SpikingNetwork(
        [make(setting, epochs), snn.SpikingLayer(HIDDEN, CLASSES, neuron=snn.LI(tau_mem_ms=2.0))], snn.MeanOverTime()
    )
    # A mean over 60 steps of a few spikes is small; the readout's weights start large enough to be told apart.
    torch.nn.init.normal_(network.layers[-1].w_in, 0.0, 2.0)
    model = snn.SpikingModule(network, num_classes=CLASSES, learning_rate=setting.learning_rate)
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
    data = CoincidenceDataModule(seed=seed)
    trainer.fit(model, data)
    (chosen_by,) = trainer.test(model, data.val_dataloader(), verbose=False)
    (found,) = trainer.test(model, data, verbose=False)
    return Trained(
        100.0 * chosen_by["test_accuracy"],
        100.0 * found["test_accuracy"],
        found["test_synops"],
        int(found["test_footprint_bytes"]),
    )


def chosen(trained: dict[Setting, list[Trained]]) -> Setting:
    """The setting with the best mean accuracy on validation data; the first of equals."""
    return max(trained, key=lambda setting: statistics.fmean(one.validation for one in trained[setting]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--rows", default="")
    parser.add_argument("--page", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    lines = [
        f"snnlightning {snn.__version__}, torch {torch.__version__}, {platform.machine()}, one thread; {options.seeds} seeds (weights,",
        f"delays and data), {options.epochs} epochs.",
        "",
        "| delays | test accuracy, % | lowest - highest | validation, % | chosen | of | synops | bytes |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, (settings, make) in ROWS.items():
        if options.rows not in name:
            continue
        trained = {
            setting: [result(make, setting, seed, options.epochs) for seed in range(options.seeds)]
            for setting in settings
        }
        for setting, found in trained.items():
            print(f"{name}, {setting}: {[(round(one.validation, 1), round(one.test, 1)) for one in found]}", flush=True)
        best = chosen(trained)
        found = trained[best]
        tests = [one.test for one in found]
        lines.append(
            f"| {name} | {statistics.fmean(tests):.1f} ± {statistics.pstdev(tests):.1f} | {min(tests):.1f} - {max(tests):.1f} | "
            f"{statistics.fmean(one.validation for one in found):.1f} | {best} | {len(settings)} | "
            f"{statistics.fmean(one.synops for one in found):.0f} | {found[0].size} |"
        )
        print(lines[-1], flush=True)
    text = "\n".join(lines) + "\n"
    if options.page is None:
        print(text)
    else:
        page = options.page.read_text(encoding="utf-8")
        options.page.write_text(MARK.sub(lambda found: found[1] + text + found[2], page), encoding="utf-8")


if __name__ == "__main__":
    main()
