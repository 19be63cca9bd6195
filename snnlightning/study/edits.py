"""Edits: how a child differs from the network whose weights it starts from. Plain mappings, in jobs and in records.

    {edit: prune, share: 0.3}              the smallest 30 % of the weights of every matrix are zero, and stay so
    {edit: narrow, share: 0.3}             every hidden layer loses the 30 % of its neurons that say least
    {edit: stop, step: 12}                 the network answers after 12 steps
    {edit: regularize, factor: 3.0}        every regularizer's strength is multiplied
    {edit: learning_rate, factor: 0.3}     so is the learning rate

An edit changes the configuration (:func:`edited`) or the weights (:class:`Inheritance`), or both. Optimizer state goes along
with its weights. A weight of zero stays zero while the child is trained (:class:`KeepZeros`): no training leaves one by chance.
"""

import copy
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import torch
from torch import Tensor

from ..layers import AbstractLayer
from ..layers.abstract import raw
from ..training import SpikingClassifier, SpikingModule
from .building import resolve_class
from .files import CHECKPOINT, STATE
from .sweep import can_stop, prune_tensor

__all__ = ["Edit", "Inheritance", "KeepZeros", "draw_edits", "edited", "inherit_weights"]

Edit = dict[str, Any]

PRUNE_SHARES = (0.15, 0.3, 0.5)
NARROW_SHARES = (0.15, 0.3)
STOP_SHARES = (-0.15, -0.1, -0.05, 0.05)
"""Of the steps that the first ancestor looked at; at least one step."""
REGULARIZE_FACTORS = (0.2, 3.0, 10.0)
LEARNING_RATE_FACTORS = (0.3, 0.6, 1.5)


def draw_edits(config: Mapping[str, Any], steps: int, count: int, source: random.Random) -> tuple[Edit, ...]:
    """Different edits that a configuration allows.

    Args:
        config: of the network that is edited: ``model`` with ``class_path`` and ``init_args``.
        steps: time steps that its first ancestor looked at; 0 when nobody knows.
        count: how many, at most.
        source: of randomness.
    """
    possible = _possible(config, steps)
    return tuple(source.choice(possible[kind]) for kind in source.sample(sorted(possible), min(count, len(possible))))


def edited(config: Mapping[str, Any], edits: Sequence[Edit]) -> dict[str, Any]:
    """A child's configuration; weights are not its business, but the sizes of layers are.

    Example:
        >>> config = {"model": {"class_path": "SpikingClassifier", "init_args": {"hidden_sizes": [20], "learning_rate": 0.01}}}
        >>> edits = [{"edit": "narrow", "share": 0.3}, {"edit": "learning_rate", "factor": 0.5}]
        >>> edited(config, edits)["model"]["init_args"]
        {'hidden_sizes': [14], 'learning_rate': 0.005}
    """
    changed = copy.deepcopy(dict(config))
    arguments = changed["model"].setdefault("init_args", {})
    for edit in edits:
        match edit["edit"]:
            case "prune":
                pass  # of weights, not of the configuration: done when they are inherited
            case "narrow":
                arguments["hidden_sizes"] = [_left(size, edit["share"]) for size in arguments["hidden_sizes"]]
            case "stop":
                arguments["stop_step"] = edit["step"]
            case "regularize":
                for regularizer in arguments["regularizers"].values():
                    if "strength" in regularizer:
                        regularizer["strength"] *= edit["factor"]
            case "learning_rate":
                arguments["learning_rate"] *= edit["factor"]
            case _:
                raise ValueError(f"unknown edit {edit}")
    return changed


def inherit_weights(model: L.LightningModule, parent: Path, edits: Sequence[Edit]) -> "Inheritance":
    """Give a child the weights of its parent's best epoch, edited.

    Args:
        model: the child, built from its own configuration.
        parent: folder of the parent's trial.
        edits: as in the job.

    Returns:
        The callback that gives it the optimizer's state too.
    """
    state = torch.load(parent / CHECKPOINT, map_location="cpu", weights_only=True)["state_dict"]
    kept: dict[str, list[Tensor | None]] = {}
    for edit in edits:
        if edit["edit"] == "prune":
            for name, weight in state.items():
                if name.rpartition(".")[2] in ("w_in", "w_rec"):
                    prune_tensor(weight, edit["share"])
        elif edit["edit"] == "narrow":
            for name, axes in _narrowed(model, state, edit["share"]).items():
                state[name] = _select(state[name], axes)
                kept.setdefault(name, []).extend([axes])  # type: ignore[list-item]
    model.load_state_dict(state)
    steps: dict[str, list[Any]] = dict(kept)
    return Inheritance(parent / STATE, steps)


class Inheritance(L.Callback):
    """Gives the optimizers of a child the moments of its parent's, cut as its weights were.

    Where the parent left no state, or its optimizers are others, the child's start from nothing. Learning rates and the
    like are the child's own.

    Args:
        checkpoint: the parent's whole state.
        kept: which rows and columns of a parameter were kept, one pair after the other, by the parameter's name.
    """

    def __init__(self, checkpoint: Path, kept: Mapping[str, Sequence[Any]]) -> None:
        self.checkpoint, self.kept = checkpoint, kept

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not self.checkpoint.exists():
            return
        saved = torch.load(self.checkpoint, map_location="cpu", weights_only=True)["optimizer_states"]
        names = {id(parameter): name for name, parameter in pl_module.named_parameters()}
        if len(saved) != len(trainer.optimizers):
            return
        for optimizer, earlier in zip(trainer.optimizers, saved, strict=True):
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            moments = {k: self._cut(names.get(id(p), ""), earlier["state"].get(k)) for k, p in enumerate(parameters)}
            if all(_fits(moments[k], p) for k, p in enumerate(parameters)):
                own = optimizer.state_dict()
                own["state"] = {k: state for k, state in moments.items() if state}
                optimizer.load_state_dict(own)

    def _cut(self, name: str, state: Mapping[str, Any] | None) -> dict[str, Any]:
        cut = dict(state or {})
        for axes in self.kept.get(name, ()):
            for key, value in cut.items():
                if isinstance(value, Tensor) and value.ndim:
                    cut[key] = _select(value, axes)
        return cut


class KeepZeros(L.Callback):
    """Weights that are zero when the training starts are zero after every step of it."""

    def __init__(self) -> None:
        self._masks: list[tuple[Tensor, Tensor]] = []

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        weights = [
            raw(layer, name)
            for layer in pl_module.modules()
            if isinstance(layer, AbstractLayer)
            for name in ("w_in", "w_rec")
            if getattr(layer, name) is not None
        ]
        self._masks = [(weight, weight != 0.0) for weight in weights if bool((weight == 0.0).any())]

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        with torch.no_grad():
            for weight, mask in self._masks:
                weight.mul_(mask)


def _possible(config: Mapping[str, Any], steps: int) -> dict[str, list[Edit]]:
    """Every edit that makes sense for a configuration, by kind."""
    arguments = config["model"].get("init_args", {})
    possible: dict[str, list[Edit]] = {"prune": [{"edit": "prune", "share": share} for share in PRUNE_SHARES]}
    sizes = arguments.get("hidden_sizes")
    if (
        isinstance(sizes, list)
        and sizes
        and issubclass(resolve_class("model", config["model"]["class_path"]), SpikingClassifier)
    ):
        possible["narrow"] = [
            {"edit": "narrow", "share": share}
            for share in NARROW_SHARES
            if any(_left(size, share) < size for size in sizes)
        ]
    if steps and can_stop(config["model"]):
        now = arguments.get("stop_step") or steps
        stops = {_moved(now, steps, share) for share in STOP_SHARES} - {now}
        possible["stop"] = [{"edit": "stop", "step": step} for step in sorted(stops) if 1 <= step <= steps]
    regularizers = arguments.get("regularizers") or {}
    if any(isinstance(r, Mapping) and r.get("strength", 0.0) > 0.0 for r in regularizers.values()):
        possible["regularize"] = [{"edit": "regularize", "factor": factor} for factor in REGULARIZE_FACTORS]
    if isinstance(arguments.get("learning_rate"), float):
        possible["learning_rate"] = [{"edit": "learning_rate", "factor": factor} for factor in LEARNING_RATE_FACTORS]
    return {kind: edits for kind, edits in possible.items() if edits}


def _left(size: int, share: float) -> int:
    """Neurons that are left of a layer."""
    return max(1, round(size * (1.0 - share)))


def _moved(now: int, steps: int, share: float) -> int:
    far = max(1, round(abs(share) * steps))
    return now + far if share > 0.0 else now - far


def _narrowed(
    model: L.LightningModule, state: Mapping[str, Tensor], share: float
) -> dict[str, tuple[Tensor | None, ...]]:
    """Which rows and columns of each parameter stay when hidden layers lose neurons; None: all of them.

    A neuron says as much as the sum of the sizes of the weights that leave it, its own recurrent ones aside.
    """
    assert isinstance(model, SpikingModule)
    prefixes = [name for name, module in model.named_modules() if isinstance(module, AbstractLayer)]
    before: Tensor | None = None
    axes: dict[str, tuple[Tensor | None, ...]] = {}
    for k, prefix in enumerate(prefixes):
        w_in = state[f"{prefix}.w_in"]
        stay = None
        if k + 1 < len(prefixes):
            says = state[f"{prefixes[k + 1]}.w_in"].abs().sum(0)
            w_rec = state.get(f"{prefix}.w_rec")
            if w_rec is not None:
                says = says + w_rec.abs().sum(0) - w_rec.diagonal().abs()
            count = _left(len(w_in), share)
            stay = says.argsort(stable=True, descending=True)[:count].sort().values
        for name, value in state.items():
            if name.rpartition(".")[0] != prefix or not value.ndim:
                continue
            columns = {"w_in": (before,), "w_rec": (stay,)}.get(name.rpartition(".")[2], ())
            axes[name] = (stay, *columns)
        before = stay
    return axes


def _select(value: Tensor, axes: Sequence[Tensor | None]) -> Tensor:
    for axis, index in enumerate(axes):
        if index is not None:
            value = value.index_select(axis, index.to(value.device))
    return value


def _fits(state: Mapping[str, Any], parameter: Tensor) -> bool:
    return all(value.shape == parameter.shape for value in state.values() if isinstance(value, Tensor) and value.ndim)
