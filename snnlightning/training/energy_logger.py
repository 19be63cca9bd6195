"""EnergyLogger: energy, latency and fit on named chips in every validation and test, from the counts that are there anyway."""

from collections.abc import Sequence

import lightning.pytorch as L

from ..errors import ConfigurationError
from ..hardware import load
from .spiking_module import SpikingModule, Stage

__all__ = ["EnergyLogger"]


class EnergyLogger(L.Callback):
    """Logs, for every profile P, ``*_energy_pj@P``, ``*_latency_ms@P`` and ``*_overload@P`` (lower is better for all).

    Energy is the nominal sum of what the profile prices, per sample; a quantity that it does not price is not logged.
    ``overload`` is by how much the worst limit of the chip is passed, needed / limit - 1 (needed itself where the chip has
    none of it); 0 when none is. No batch is evaluated for it: the counts of the epoch are priced once.

    Args:
        profiles: names that ``snnlightning profiles`` lists, or paths of TOML files.
        dt_ms: time step of the data, for chips that run in real time; the data module's ``dt_ms`` when None.
        paced: whether chips wait for the data at every step.

    Attributes:
        values: what was logged last, by stage and name, not rounded.
        misfits: limits that are not kept, by stage and profile, in words.

    Raises:
        UnknownNameError: no such profile.
        ConfigurationError: the model is no ``SpikingModule``, or cannot be placed on chips.

    Example:
        >>> EnergyLogger(["davies2018_loihi"]).profiles
        ('davies2018_loihi',)
    """

    def __init__(self, profiles: Sequence[str], dt_ms: float | None = None, paced: bool = False) -> None:
        if isinstance(profiles, str):
            raise ConfigurationError(f"profiles is {profiles!r}; a list of names is expected: [{profiles!r}].")
        self.profiles, self.dt_ms, self.paced = tuple(profiles), dt_ms, paced
        self._loaded = {name: load(name) for name in self.profiles}
        self.values: dict[str, dict[str, float]] = {}
        self.misfits: dict[str, dict[str, list[str]]] = {}

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        if not isinstance(pl_module, SpikingModule):
            raise ConfigurationError(
                f"EnergyLogger prices the counts of a SpikingModule, and the model is a {type(pl_module).__name__}."
            )

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._log(trainer, pl_module, "val")

    def on_test_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._log(trainer, pl_module, "test")

    def _log(self, trainer: L.Trainer, module: L.LightningModule, stage: Stage) -> None:
        assert isinstance(module, SpikingModule)
        module.finish_counts(stage)
        values = self.price(module, stage, getattr(trainer.datamodule, "dt_ms", None))  # type: ignore[attr-defined]
        # The counts are those of all processes already.
        module.log_dict(values, sync_dist=False)

    def price(self, module: SpikingModule, stage: Stage, dt_ms: float | None = None) -> dict[str, float]:
        """Price what the module has counted in a stage; kept in ``values`` and ``misfits``, and given back.

        Args:
            module: that counted.
            stage: ``val`` or ``test``.
            dt_ms: time step of the data, when the logger was not given one.
        """
        dt_ms = self.dt_ms if self.dt_ms is not None else dt_ms
        values: dict[str, float] = {}
        misfits: dict[str, list[str]] = {}
        for name, profile in self._loaded.items():
            cost = module.estimate(stage, profile, dt_ms=dt_ms, paced=self.paced and dt_ms is not None)
            if cost.priced_uj is not None:
                values[f"{stage}_energy_pj@{name}"] = cost.priced_uj.nominal * 1e6
            if cost.latency_ms is not None:
                values[f"{stage}_latency_ms@{name}"] = cost.latency_ms.nominal
            passed = [*cost.walls, *cost.budgets]
            values[f"{stage}_overload@{name}"] = max((misfit.excess for misfit in passed), default=0.0)
            misfits[name] = [str(misfit) for misfit in passed]
        self.values[stage], self.misfits[stage] = values, misfits
        return values
