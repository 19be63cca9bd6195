"""Sweep: a trained network is a curve, not a point. It is stopped earlier and pruned, and never trained again.

One pass over the validation set per level of pruning gives every stop step, because a network's answer after t steps does
not depend on what comes later. The sweep is charged to the budget as what it costs beside an epoch of training (a forward
pass is a third of a training step):

    charged = levels * validation batches / training batches / 3.
"""

import copy
import dataclasses
import inspect
import math
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import torch
from lightning.pytorch.trainer.states import RunningStage
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch import Tensor

from ..errors import ConfigurationError
from ..events import Events
from ..layers import AbstractLayer, AbstractStage, Flatten, SpikingNetwork, Unflatten
from ..layers.abstract import raw
from ..pareto import non_dominated
from ..training import EnergyLogger, SpikingModule
from ..typing import Connection, LayerRecord, NetworkOutput
from .building import resolve_class
from .files import CHECKPOINT, read_yaml, write_yaml
from .jobs import SweptPoint

__all__ = ["Candidate", "Sweep", "can_stop", "materialise", "prune", "sweep_network"]

Ranking = Sequence[tuple[str, float]]
"""Pairs (metric, sign); sign -1 where higher is better."""
_AT_ONCE = 1 << 22
"""Elements of the input that are run in one batch: larger batches than training's are faster, and this bounds memory."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sweep:
    """Where a trained network is looked at again.

    Args:
        prune: shares of the smallest weights of each matrix that are set to zero, each in [0, 1); 0 is the network itself.
        first_step: the earliest stop step, >= 1.
        stop_steps: how many stop steps are tried at most, evenly spread up to the end, >= 1.

    Raises:
        ConfigurationError: out of range.

    Example:
        >>> Sweep(first_step=4, stop_steps=5).steps(20)
        [4, 8, 12, 16, 20]
    """

    prune: tuple[float, ...] = (0.0, 0.2, 0.4, 0.6, 0.75)
    first_step: int = 4
    stop_steps: int = 8

    def __post_init__(self) -> None:
        levels = self.prune
        if not isinstance(levels, list | tuple) or not levels or not all(_share(level) for level in levels):
            raise ConfigurationError(f"sweep: prune is {levels!r}; shares in [0, 1) are expected, such as [0.0, 0.5].")
        object.__setattr__(self, "prune", tuple(float(level) for level in levels))
        for name in ("first_step", "stop_steps"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigurationError(f"sweep: {name} is {value!r}; a whole number of at least 1 is expected.")

    @classmethod
    def of(cls, value: object) -> "Sweep | None":
        """From what a configuration says: a mapping, ``true`` (as it is by default), or ``false`` and null for none.

        Raises:
            ConfigurationError: something else, or an unknown key.
        """
        if isinstance(value, cls):
            return value
        if value is None or isinstance(value, bool):
            return cls() if value else None
        known = [field.name for field in dataclasses.fields(cls)]
        if not isinstance(value, Mapping) or not set(value) <= set(known):
            raise ConfigurationError(
                f"sweep is {value!r}; true, false or a mapping with {', '.join(known)} is expected."
            )
        return cls(**value)

    @staticmethod
    def arguments(sweep: "Sweep | None") -> dict[str, Any] | None:
        """As a job holds them."""
        return None if sweep is None else {**dataclasses.asdict(sweep), "prune": list(sweep.prune)}

    def steps(self, last: int) -> list[int]:
        """The stop steps of a network that looks at ``last`` steps."""
        first = min(self.first_step, last)
        count = min(self.stop_steps, last - first + 1)
        if count == 1:
            return [last]
        return [first + round(k * (last - first) / (count - 1)) for k in range(count)]


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A network stopped and pruned, and everything that was measured of it on the validation set."""

    stop_step: int
    prune: float
    metrics: dict[str, float]


def sweep_network(
    model: L.LightningModule,
    trainer: L.Trainer,
    sweep: Sweep,
    ranking: Ranking,
    own: Mapping[str, float],
    energy: EnergyLogger | None,
    stops: bool,
) -> tuple[list[Candidate], float]:
    """Look at a trained network again; its weights are as before when this is done.

    Answers are cheap and counts are not, so counted is only what may stay: a later stop costs at least as much as an earlier
    one of the same level; when its answers are no better, or when something that was counted already answers as well and costs
    no more than the earlier stop, it is beaten. The levels that leave the fewest weights come first: they cost the least.

    Args:
        model: with the weights of its best epoch.
        trainer: that trained it; its validation set is used, as far as it used it.
        sweep: where to look.
        ranking: the objectives.
        own: metrics of the network as it is.
        energy: what prices the counts, when an objective needs it.
        stops: whether the network can be stopped early (see :func:`can_stop`).

    Returns:
        What neither the network itself nor another candidate beats, and the charge in epochs; nothing for a module that
        is no :class:`SpikingModule`, whose operations nobody counts, or that has a ``validation_step`` of its own, of which
        nobody knows what it shows the network.
    """
    if not isinstance(model, SpikingModule) or is_overridden("validation_step", model, SpikingModule):
        return [], 0.0
    model.to(trainer.strategy.root_device).eval()
    stage, trainer.state.stage = trainer.state.stage, RunningStage.VALIDATING  # hooks may ask
    try:
        batches = _batches(trainer, model)
    finally:
        trainer.state.stage = stage
    if batches is None:
        return [], 0.0
    weights = copy.deepcopy(model.state_dict())
    chunks = list(_chunks(batches))
    dt_ms = getattr(trainer.datamodule, "dt_ms", None)  # type: ignore[attr-defined]
    by_loss = any(metric == "val_loss" for metric, _ in ranking)
    looked_at: list[tuple[Candidate, bool]] = []
    known = [_costs(own, ranking)]

    def beaten(answers: Mapping[str, float], earlier: Mapping[str, float]) -> bool:
        """Whether a stop with these answers is beaten, whatever it costs more than an earlier one of its level."""
        least = [_least(metric, sign, answers, earlier) for metric, sign in ranking]
        return any(all(map(operator.le, costs, least)) and costs != least for costs in known)

    try:
        with torch.no_grad(), trainer.precision_plugin.val_step_context():
            for level in sorted(set(sweep.prune), reverse=True):
                model.load_state_dict(weights)
                prune(model, level)
                for candidate, is_new in _stopped(model, chunks, sweep, level, energy, dt_ms, stops, by_loss, beaten):
                    looked_at.append((candidate, is_new))
                    known.append(_costs(candidate.metrics, ranking))
    finally:
        model.load_state_dict(weights)
    stay = [c for (c, is_new), keep in zip(looked_at, non_dominated(known)[1:], strict=True) if keep and is_new]
    charged = len(sweep.prune) * len(batches) / max(1, trainer.num_training_batches) / 3.0
    return sorted(stay, key=lambda c: (sweep.prune.index(c.prune), c.stop_step)), charged


def can_stop(component: Mapping[str, Any]) -> bool:
    """Whether a model's class has the argument ``stop_step``, so that a network which stops early can be built again."""
    parameters = inspect.signature(resolve_class("model", component["class_path"])).parameters
    return "stop_step" in parameters


def prune(module: torch.nn.Module, share: float) -> None:
    """Set the smallest weights of every matrix of a layer to zero, in place; ties go by position.

    Args:
        module: with layers of :mod:`snnlightning.layers`.
        share: of the weights that are not zero yet, in [0, 1), rounded down.
    """
    for layer in module.modules():
        if isinstance(layer, AbstractLayer):
            for name in ("w_in", "w_rec"):
                if getattr(layer, name) is not None:
                    with torch.no_grad():
                        prune_tensor(raw(layer, name), share)


def prune_tensor(weight: Tensor, share: float) -> None:
    """The same for one tensor."""
    flat = weight.view(-1)
    alive = flat.nonzero().squeeze(1)
    order = flat[alive].abs().argsort(stable=True)
    flat[alive[order[: int(share * len(alive))]]] = 0.0


def materialise(folder: Path, point: SweptPoint) -> Path:
    """Write a swept network of a trial as a checkpoint with a configuration, as its trial has them; once.

    Returns:
        The folder that holds them.
    """
    target = folder / "swept" / point.label
    if (target / CHECKPOINT).exists():
        return target
    from .loading import load_network

    config = read_yaml(folder / "config.yaml")
    model = load_network(folder / CHECKPOINT, config)
    prune(model, point.prune)
    content = torch.load(folder / CHECKPOINT, map_location="cpu", weights_only=True)
    content["state_dict"] = model.state_dict()
    if can_stop(config["model"]):
        config["model"].setdefault("init_args", {})["stop_step"] = point.stop_step
        if "hyper_parameters" in content:
            content["hyper_parameters"]["stop_step"] = point.stop_step
    target.mkdir(parents=True, exist_ok=True)
    write_yaml(target / "config.yaml", config)
    torch.save(content, target / f".{CHECKPOINT}")
    (target / f".{CHECKPOINT}").replace(target / CHECKPOINT)
    return target


def _stopped(
    model: SpikingModule,
    chunks: Sequence[tuple[Tensor | Events, Tensor]],
    sweep: Sweep,
    level: float,
    energy: EnergyLogger | None,
    dt_ms: float | None,
    stops: bool,
    by_loss: bool,
    beaten: Callable[[Mapping[str, float], Mapping[str, float]], bool],
) -> Iterator[tuple[Candidate, bool]]:
    """Every stop of one level of pruning that answers better than all earlier ones and that nothing is known to beat; and
    whether it is another network than the one that was trained."""
    whole: NetworkOutput | None = None
    network: Any = model.network
    right: dict[int, int] = {}
    lost: dict[int, float] = {}
    samples = sum(len(y) for _, y in chunks)
    for x, y in chunks:
        whole = model(x)
        last = whole.records[0].output.shape[1]
        for step in sweep.steps(last) if stops and _causal(network) else [last]:
            logits = whole.logits if step == last else network.readout(whole.records[-1].output[:, :step])
            right[step] = right.get(step, 0) + int((logits.argmax(dim=-1) == y).sum())
            lost[step] = lost.get(step, 0.0) + float(model.loss(logits, y)) * len(y)
    most_right, least_lost = -1, math.inf
    earlier: dict[str, float] = {}
    for step in sorted(right):
        better = right[step] > most_right or (by_loss and lost[step] < least_lost)
        most_right, least_lost = max(most_right, right[step]), min(least_lost, lost[step])
        if not better:
            continue
        answers = {"val_accuracy": right[step] / samples, "val_loss": lost[step] / samples}
        is_new = level > 0.0 or step < max(right)
        if is_new and beaten(answers, earlier):
            continue
        outputs = (_until(whole if len(chunks) == 1 and whole is not None else model(x), step) for x, _ in chunks)
        metrics = model.count("val", outputs)
        metrics |= answers
        if energy is not None:
            metrics |= energy.price(model, "val", dt_ms)
        earlier = metrics
        yield Candidate(step, level, metrics), is_new


def _costs(metrics: Mapping[str, float], ranking: Ranking) -> list[float]:
    """What is ranked, lower is better."""
    return [sign * metrics.get(metric, math.nan) for metric, sign in ranking]


def _least(metric: str, sign: float, answers: Mapping[str, float], earlier: Mapping[str, float]) -> float:
    """The least cost that a stop may have in a metric: what it answers is known, all else is that of an earlier stop or more."""
    if metric in answers:
        return sign * answers[metric]
    return earlier.get(metric, -math.inf) if sign > 0.0 else -math.inf


def _causal(network: Any) -> bool:
    """Whether it is known that nothing looks ahead in time, and what reads the last layer."""
    known = (AbstractStage, Flatten, Unflatten, torch.nn.Dropout)
    return isinstance(network, SpikingNetwork) and all(isinstance(module, known) for module in network.layers)


def _until(out: NetworkOutput, step: int) -> NetworkOutput:
    """The output of the same network for the first steps only, as far as counting reads it."""
    return NetworkOutput(out.logits, tuple(_record_until(record, step) for record in out.records))


def _record_until(record: LayerRecord, step: int) -> LayerRecord:
    connections = tuple(_connection_until(connection, step) for connection in record.connections)
    return record._replace(output=record.output[:, :step], potentials=None, connections=connections)


def _connection_until(connection: Connection, step: int) -> Connection:
    activity = connection.activity
    cut = activity.first(step) if isinstance(activity, Events) else activity[:, :step]
    return connection._replace(activity=cut)


def _batches(trainer: L.Trainer, model: L.LightningModule) -> list[tuple[Tensor | Events, Tensor]] | None:
    """The validation batches as the trainer gave them to the network, where that is; None when there are several sets of them."""
    loaders = trainer.val_dataloaders
    if loaders is None or isinstance(loaders, list | tuple | Mapping):
        return None
    (limit,) = trainer.num_val_batches
    data, batches = trainer.datamodule, []  # type: ignore[attr-defined]
    before = "on_before_batch_transfer"
    owner = data if data is not None and is_overridden(before, data, L.LightningDataModule) else model
    for k, batch in enumerate(loaders):
        if k >= limit:
            break
        # What Lightning's loop does: the other hooks of module and data module are called by the strategy.
        shown = getattr(owner, before)(trainer.precision_plugin.convert_input(batch), 0)
        shown = trainer.strategy.batch_to_device(shown)
        if not (isinstance(shown, list | tuple) and len(shown) == 2):
            return None
        batches.append((shown[0], shown[1]))
    return batches


def _chunks(batches: Sequence[tuple[Tensor | Events, Tensor]]) -> Iterator[tuple[Tensor | Events, Tensor]]:
    """Batches put together, as many as fit."""
    held: list[tuple[Tensor | Events, Tensor]] = []
    for batch in batches:
        if held and sum(x.numel() for x, _ in held) + batch[0].numel() > _AT_ONCE:
            yield _joined(held)
            held = []
        held.append(batch)
    if held:
        yield _joined(held)


def _joined(batches: Sequence[tuple[Tensor | Events, Tensor]]) -> tuple[Tensor | Events, Tensor]:
    xs = [x for x, _ in batches]
    events = [x for x in xs if isinstance(x, Events)]
    x = Events.cat(events) if events else torch.cat([x for x in xs if isinstance(x, Tensor)])
    return x, torch.cat([y for _, y in batches])


def _share(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0.0 <= value < 1.0
