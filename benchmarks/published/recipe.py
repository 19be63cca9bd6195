"""Recipe: a network, a data set and a way to train, as one record that says all of it."""

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import Any, Protocol

import lightning.pytorch as L
import torch
from torch import nn

from snnlightning import SpikingLayer, SpikingModule, SpikingNetwork
from snnlightning.initializers import AbstractInitializer
from snnlightning.neurons import CubaLI, CubaLIF
from snnlightning.readouts import MaxOverTime
from snnlightning.regularizers import AbstractRegularizer
from snnlightning.surrogates import AbstractSurrogate

from .parts import OneMoreStep, Scaled, TactileEncoder

__all__ = ["Data", "Published", "Recipe", "Trainable", "trainer"]


@dataclasses.dataclass(frozen=True)
class Data:
    """A data module by class name with its arguments; ``seed`` is added for each run."""

    name: str
    arguments: tuple[tuple[str, Any], ...] = ()


class Trainable(Protocol):
    """What can be trained and noted down: a recipe."""

    @property
    def name(self) -> str: ...

    @property
    def data(self) -> Data: ...

    @property
    def epochs(self) -> int: ...

    @property
    def batches(self) -> int: ...

    @property
    def clip(self) -> float: ...

    @property
    def seeds(self) -> int: ...

    @property
    def fingerprint(self) -> str: ...

    def module(self, in_features: int, num_classes: int) -> L.LightningModule: ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """Input -> one spiking layer -> leaky integrators -> maximum over time -> cross-entropy.

    Args:
        name: what results and claims call it, ``suite/what``.
        title: what the page calls it.
        data: where samples come from.
        hidden: neurons of the spiking layer.
        classes: readout neurons; the data's classes when 0.
        neuron, readout, surrogate: records of the package.
        recurrent: whether the spiking layer is recurrent.
        initializer, rec_initializer, out_initializer: of w_in, w_rec, and the readout's w_in.
        weight_factor: what the hidden layer multiplies its weights with in every call.
        encoder_copies: spiking encoder neurons for each input channel (tutorial 5); 0 for none.
        one_more_step: whether the readout is read once more after the last input, as SpyTorch does.
        regularizers: penalties on the hidden spikes.
        optimizer, learning_rate, betas: a class of ``torch.optim``.
        epochs: passes over the training set.
        batches: batches per epoch; all when 0.
        clip: largest norm of a gradient; none when 0.
        seeds: how often it is trained.
    """

    name: str
    title: str
    data: Data
    hidden: int = 100
    classes: int = 0
    neuron: CubaLIF
    readout: CubaLI
    surrogate: AbstractSurrogate
    recurrent: bool = False
    initializer: AbstractInitializer
    rec_initializer: AbstractInitializer | None = None
    out_initializer: AbstractInitializer | None = None
    weight_factor: float = 1.0
    encoder_copies: int = 0
    one_more_step: bool = False
    regularizers: Sequence[AbstractRegularizer] = ()
    optimizer: str = "Adam"
    learning_rate: float
    betas: tuple[float, float] = (0.9, 0.999)
    epochs: int
    batches: int = 0
    clip: float = 0.0
    seeds: int = 3

    @property
    def fingerprint(self) -> str:
        """Of everything that decides the outcome of a seed: results of another recipe are not taken for this one's."""
        decides = dataclasses.replace(self, name="", title="", seeds=0)
        return hashlib.sha256(_said(decides).encode()).hexdigest()[:12]

    def network(self, in_features: int, num_classes: int) -> SpikingNetwork:
        """Weights drawn from torch's global generator."""
        layers: list[nn.Module] = []
        if self.encoder_copies:
            layers.append(
                TactileEncoder(
                    in_features, self.encoder_copies, self.neuron.coefficients()["decay_mem"], self.surrogate
                )
            )
            in_features *= self.encoder_copies
        hidden = SpikingLayer(
            in_features,
            self.hidden,
            neuron=self.neuron,
            surrogate=self.surrogate,
            recurrent=self.recurrent,
            initializer=self.initializer,
            rec_initializer=self.rec_initializer,
        )
        if self.weight_factor != 1.0:
            for weight in ("w_in", "w_rec") if self.recurrent else ("w_in",):
                nn.utils.parametrize.register_parametrization(hidden, weight, Scaled(self.weight_factor))
        layers.append(hidden)
        if self.one_more_step:
            layers.append(OneMoreStep())
        layers.append(
            SpikingLayer(
                self.hidden, num_classes, neuron=self.readout, initializer=self.out_initializer or self.initializer
            )
        )
        return SpikingNetwork(layers, MaxOverTime())

    def module(self, in_features: int, num_classes: int) -> "Published":
        """The network and how it is trained."""
        classes = self.classes or num_classes
        return Published(self, self.network(in_features, classes), classes)


class Published(SpikingModule):
    """A recipe in Lightning: the module of the package with the recipe's optimizer."""

    def __init__(self, recipe: Recipe, network: SpikingNetwork, num_classes: int) -> None:
        super().__init__(network, num_classes=num_classes, regularizers=recipe.regularizers)
        self.recipe = recipe

    def configure_optimizers(self) -> torch.optim.Optimizer:
        recipe = self.recipe
        optimizer: type[torch.optim.Adam] = getattr(torch.optim, recipe.optimizer)
        return optimizer(self.parameters(), lr=recipe.learning_rate, betas=recipe.betas)


def _said(value: object) -> str:
    """A record as its class and what differs from the defaults, so that a new option leaves it as it was."""
    if isinstance(value, list | tuple):
        return f"({', '.join(map(_said, value))})"
    if not dataclasses.is_dataclass(value):
        return repr(value)
    fields = [(field, getattr(value, field.name)) for field in dataclasses.fields(value)]
    told = [f"{field.name}={_said(given)}" for field, given in fields if given != field.default]
    return f"{type(value).__name__}({', '.join(told)})"


def trainer(epochs: int, batches: int = 0, clip: float = 0.0) -> L.Trainer:
    """Lightning's trainer with nothing but the training; ``batches`` per epoch, 0 for all; gradients of norm ``clip`` at most."""
    return L.Trainer(
        max_epochs=epochs,
        limit_train_batches=batches or 1.0,
        gradient_clip_val=clip or None,
        limit_val_batches=0,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
