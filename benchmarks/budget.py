"""Training to a number of synaptic operations per sample: what is reached, and what it costs, over a decade of targets.

    python benchmarks/budget.py [--seeds 3] [--epochs 40] [--targets 3000 5000 10000 18000 30000] [--write docs/budget.md]

The network of configs/experiments/digits.yaml, without its upper bound and with a cosine schedule of the learning rate; the weights
of the last epoch, the test set, counted by ``SynOps``. The first row is free. A seed sets the initial weights and the order of the
samples; the split is the same. ``held`` is the share of the runs that end within 5 % of their target.
"""

import argparse
import logging
import platform
import re
import statistics
import warnings
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import torch
import yaml

import snnlightning as snn

CONFIG = Path(__file__).parents[1] / "configs" / "experiments" / "digits.yaml"


class Cooling(snn.SpikingClassifier):
    """With a learning rate that ends at a twentieth: the last steps are small, so the last weights are those of the average."""

    def configure_optimizers(self) -> Any:
        optimizer = super().configure_optimizers()
        end = 0.05 * self.learning_rate
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.trainer.max_epochs or 1, eta_min=end)
        return {"optimizer": optimizer, "lr_scheduler": schedule}


def run(config: dict[str, Any], seed: int, epochs: int, target: float | None) -> tuple[float, dict[str, float]]:
    """Multiplier at the end (0 when free) and what the test logs."""
    L.seed_everything(seed, verbose=False)
    options = config["model"]["init_args"] | {"regularizers": {"lower_bound": {"strength": 1.0, "bound": 0.1}}}
    model, data = Cooling(**options, synops_target=target), snn.DigitsDataModule(**config["data"]["init_args"])
    trainer = L.Trainer(
        max_epochs=epochs, accelerator="cpu", gradient_clip_val=1.0, limit_val_batches=0, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(model, data)
    multiplier = 0.0 if model.synops_target is None else float(model.synops_target.multiplier)
    (tested,) = trainer.test(model, data, verbose=False)
    return multiplier, tested


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--targets", type=float, nargs="+", default=[3000, 5000, 10000, 18000, 30000])
    parser.add_argument(
        "--write", type=Path, help="page whose table, between <!-- budget --> and <!-- end -->, is replaced"
    )
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    config = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    lines = [
        f"{options.seeds} seeds, {options.epochs} epochs; snnlightning {snn.__version__}, torch {torch.__version__}, lightning "
        f"{L.__version__}, {platform.machine()}.",
        "",
        "| target | synops per sample | reached / target | held | of it input | accuracy, % | lowest - highest | multiplier |",
        "| ---: | ---: | --- | ---: | ---: | ---: | --- | --- |",
    ]
    for target in (None, *sorted(options.targets, reverse=True)):
        runs = [run(config, seed, options.epochs, target) for seed in range(options.seeds)]
        synops = [tested["test_synops"] for _, tested in runs]
        accuracy = [100.0 * tested["test_accuracy"] for _, tested in runs]
        of_input = statistics.fmean(tested["test_synops_input"] for _, tested in runs)
        ratios = [count / target for count in synops] if target else []
        held = f"{sum(abs(ratio - 1.0) <= 0.05 for ratio in ratios)}/{len(ratios)}" if target else ""
        lines.append(
            f"| {f'{target:,.0f}' if target else 'none'} | {statistics.fmean(synops):,.0f} | "
            f"{f'{min(ratios):.3f} - {max(ratios):.3f}' if target else ''} | {held} | {of_input:,.0f} | "
            f"{statistics.fmean(accuracy):.1f} | {min(accuracy):.1f} - {max(accuracy):.1f} | "
            f"{f'{min(m for m, _ in runs):.2g} - {max(m for m, _ in runs):.2g}' if target else ''} |"
        )
        print(lines[-1], flush=True)
    table = "\n".join(lines)
    print(table)
    if options.write is not None:
        page = options.write.read_text(encoding="utf-8")
        marked = re.sub(
            r"(<!-- budget -->\n).*?(<!-- end -->)", lambda m: f"{m[1]}\n{table}\n\n{m[2]}", page, flags=re.DOTALL
        )
        options.write.write_text(marked, encoding="utf-8")


if __name__ == "__main__":
    main()
