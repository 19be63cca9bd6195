"""SynOpsBudget: how a training stands against a number of synaptic operations per sample."""

import lightning.pytorch as L
from lightning.pytorch.utilities import rank_zero_warn

from ..errors import ConfigurationError
from ..units import format_count, positive
from .spiking_module import SpikingModule, Stage

__all__ = ["SynOpsBudget"]


class SynOpsBudget(L.Callback):
    """Logs at every validation and test, from the counts that are there anyway:

        *_synops_budget_used   = synops / budget                           (lower is better; 1 is the budget)
        *_accuracy_in_budget   = accuracy if synops <= budget else 0       (higher is better)

    so that Lightning's own callbacks keep to the budget: ``ModelCheckpoint(monitor="val_accuracy_in_budget", mode="max")``
    keeps the most accurate network that is cheap enough, ``EarlyStopping`` stops when it gets no better. A fit that ends
    without a single epoch within the budget says so.

    Args:
        synops: budget in synaptic operations per sample, > 0.

    Raises:
        ConfigurationError: a budget out of range, or a model that is no ``SpikingModule``.

    Example:
        >>> SynOpsBudget(5000).synops
        5000.0
    """

    def __init__(self, synops: float) -> None:
        self.synops = positive("synops", synops)
        self._least: float | None = None

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        if not isinstance(pl_module, SpikingModule):
            raise ConfigurationError(
                f"SynOpsBudget reads the counts of a SpikingModule, and the model is a {type(pl_module).__name__}."
            )

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._least = None

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        used = self._log(pl_module, "val")
        if not trainer.sanity_checking:
            self._least = used if self._least is None else min(used, self._least)

    def on_test_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._log(pl_module, "test")

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self._least is not None and self._least > 1.0:
            rank_zero_warn(
                f"no epoch kept to {format_count(self.synops)} synaptic operations per sample; the nearest one used "
                f"{self._least:.3g} times as many. Make a regularizer stronger, or the network smaller."
            )

    def _log(self, module: L.LightningModule, stage: Stage) -> float:
        assert isinstance(module, SpikingModule)
        used = module.finish_counts(stage).total / self.synops
        accuracy = float((module.val_accuracy if stage == "val" else module.test_accuracy).compute())
        values = {"synops_budget_used": used, "accuracy_in_budget": accuracy if used <= 1.0 else 0.0}
        # Both are those of all processes already.
        module.log_dict({f"{stage}_{name}": value for name, value in values.items()}, sync_dist=False)
        return used
