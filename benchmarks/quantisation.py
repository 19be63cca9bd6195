"""Accuracy and operations of the digits experiment at few bits: trained in float and rounded, or trained on the grid.

    python benchmarks/quantisation.py [--seeds 5] [--epochs 20] [--bits 8 4 3 2] [--state_bits 16 12 10]

The network of configs/experiments/digits.yaml, the weights of the last epoch, the test set. ``after`` rounds the float
network; ``aware`` trains from scratch at that width, for as long. Prints the table of docs/quantisation.md: means over the seeds, with
the lowest and the highest accuracy. A seed sets the initial weights and the order of the samples; the split is the same.
"""

import argparse
import logging
import platform
import statistics
import warnings
from collections import defaultdict
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import torch
import yaml

import snnlightning as snn

CONFIG = Path(__file__).parents[1] / "configs" / "experiments" / "digits.yaml"


def trainer(epochs: int) -> L.Trainer:
    return L.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        gradient_clip_val=1.0,
        limit_val_batches=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def trained(config: dict[str, Any], seed: int, epochs: int, quantization: dict[str, Any] | None) -> snn.SpikingModule:
    L.seed_everything(seed, verbose=False)
    model = snn.SpikingClassifier(**config["model"]["init_args"], quantization=quantization)
    trainer(epochs).fit(model, snn.DigitsDataModule(**config["data"]["init_args"]))
    return model


def tested(config: dict[str, Any], model: snn.SpikingModule) -> tuple[float, float]:
    """Accuracy and synaptic operations per image on the test set."""
    (result,) = trainer(1).test(model, snn.DigitsDataModule(**config["data"]["init_args"]), verbose=False)
    return result["test_accuracy"], result["test_synops"]


def name(quantization: dict[str, Any]) -> str:
    state = f", state {quantization['state_bits']}" if "state_bits" in quantization else ""
    return f"{quantization['weight_bits']} bits{state}, scale {quantization['scale']}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--bits", type=int, nargs="+", default=[8, 4, 3, 2])
    parser.add_argument("--state_bits", type=int, nargs="*", default=[16, 12, 10])
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    config = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    widths = [{"weight_bits": bits, "scale": scale} for bits in options.bits for scale in ("max", "mse")]
    widths += [{"weight_bits": 8, "state_bits": bits, "scale": "max"} for bits in options.state_bits]
    found: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for seed in range(options.seeds):
        model = trained(config, seed, options.epochs, None)
        found["float", ""].append(tested(config, model))
        for width in widths:
            snn.quantize(model.network, snn.Quantization(**width))
            found[name(width), "after"].append(tested(config, model))
        for width in widths:
            found[name(width), "aware"].append(tested(config, trained(config, seed, options.epochs, width)))
    print(
        f"\nsnnlightning {snn.__version__}, torch {torch.__version__}, lightning {L.__version__}, {platform.machine()}"
    )
    print(f"{options.seeds} seeds, {options.epochs} epochs, test set of the digits\n")
    print("| precision | trained | accuracy, % | lowest - highest | synops per image |\n|---|---|---|---|---|")
    for (precision, mode), results in found.items():
        accuracies = [100.0 * accuracy for accuracy, _ in results]
        synops = statistics.fmean(count for _, count in results)
        spread = f"{min(accuracies):.1f} - {max(accuracies):.1f}"
        print(f"| {precision} | {mode or 'float'} | {statistics.fmean(accuracies):.1f} | {spread} | {synops:,.0f} |")


if __name__ == "__main__":
    main()
