"""Accuracy with and without delays on a task that is made of them.

    python benchmarks/delays.py [--seeds 5] [--epochs 30] [--rows learned] [--page docs/architecture.md]

The interval between two volleys (CoincidenceDataModule, defaults), 16 hidden LIF neurons of tau_mem 2 ms, a leaky readout that is
averaged over time, so that nothing behind the hidden layer can tell an order. Adam 5e-3 for all rows (learned delays move by a twentieth
of a step per update), no selection of an epoch: the test set after the last one. Counts are per sample of the test set. ``--page`` writes the
table between the marks of a page; ``--rows`` runs those with a word in their name.
"""

import argparse
import logging
import platform
import re
import statistics
import warnings
from collections.abc import Callable
from pathlib import Path

import lightning.pytorch as L
import torch

import snnlightning as snn
from snnlightning.data import CoincidenceDataModule
from snnlightning.initializers import ScaledNormal

HIDDEN, CLASSES, INPUTS = 16, 5, 8
MARK = re.compile(r"(<!-- delays -->\n).*?(<!-- /delays -->)", re.DOTALL)


def plain(tau_mem_ms: float = 2.0, recurrent: bool = False) -> snn.SpikingLayer:
    neuron = snn.LIF(tau_mem_ms=tau_mem_ms)
    return snn.SpikingLayer(INPUTS, HIDDEN, neuron=neuron, recurrent=recurrent, initializer=ScaledNormal(2.0))


def delayed(epochs: int, *, per: str, learn: bool) -> snn.DelayedLayer:
    return snn.DelayedLayer(
        INPUTS,
        HIDDEN,
        neuron=snn.LIF(tau_mem_ms=2.0),
        max_delay_ms=25.0,
        per=per,
        learn_delay=learn,
        delay_lr_factor=10.0,
        sigma_end=0.01,  # neurons of 2 ms feel what is rounded in evaluation: the published 0.23 leaves more to round
        sigma_epochs=max(1, epochs // 2),
        initializer=ScaledNormal(2.0),
    )


def rows(epochs: int) -> dict[str, Callable[[], snn.layers.AbstractLayer]]:
    return {
        "no delays": plain,
        "no delays, recurrent": lambda: plain(recurrent=True),
        "no delays, tau_mem 20 ms": lambda: plain(tau_mem_ms=20.0),
        "per axon, drawn once": lambda: delayed(epochs, per="axon", learn=False),
        "per axon, learned": lambda: delayed(epochs, per="axon", learn=True),
        "per synapse, drawn once": lambda: delayed(epochs, per="synapse", learn=False),
        "per synapse, learned": lambda: delayed(epochs, per="synapse", learn=True),
    }


def result(layer: Callable[[], snn.layers.AbstractLayer], seed: int, epochs: int) -> tuple[float, float, int]:
    """Accuracy, operations per sample and bytes of one training."""
    L.seed_everything(seed, verbose=False)
    network = snn.SpikingNetwork(
        [layer(), snn.SpikingLayer(HIDDEN, CLASSES, neuron=snn.LI(tau_mem_ms=2.0))], snn.MeanOverTime()
    )
    # A mean over 60 steps of a few spikes is small; the readout's weights start large enough to be told apart.
    torch.nn.init.normal_(network.layers[-1].w_in, 0.0, 2.0)
    model = snn.SpikingModule(network, num_classes=CLASSES, learning_rate=5e-3)
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
    (found,) = trainer.test(model, data, verbose=False)
    return found["test_accuracy"], found["test_synops"], int(found["test_footprint_bytes"])


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
        "| delays | accuracy, % | lowest - highest | synops | bytes |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, layer in rows(options.epochs).items():
        if options.rows not in name:
            continue
        found = [result(layer, seed, options.epochs) for seed in range(options.seeds)]
        accuracies = [100.0 * accuracy for accuracy, _, _ in found]
        synops = statistics.fmean(count for _, count, _ in found)
        lines.append(
            f"| {name} | {statistics.fmean(accuracies):.1f} ± {statistics.pstdev(accuracies):.1f} | {min(accuracies):.1f} - "
            f"{max(accuracies):.1f} | {synops:.0f} | {found[0][2]} |"
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
