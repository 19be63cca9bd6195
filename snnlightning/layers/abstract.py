"""What layers have in common: stages of a network, neurons and their learned constants, weights as they are in effect."""

import abc
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ..errors import ConfigurationError, ShapeError
from ..events import Events
from ..initializers import AbstractInitializer, ScaledNormal
from ..neurons import AbstractNeuron
from ..scan import BACKENDS
from ..surrogates import AbstractSurrogate, SuperSpike
from ..typing import Coefficients, ConnectionKind, LayerRecord, NeuronLike, SpikeFunction, State
from .quantization import Quantization, QuantizeMode

__all__ = ["AbstractLayer", "AbstractStage", "Effective", "Initializer", "Shape"]

# The abstract classes come first, so that a configuration file may name one of ours with its arguments.
Initializer = AbstractInitializer | Callable[[Tensor], Tensor]

Shape = tuple[int, ...]
"""What one time step of one sample is: (N,), or (C, *S)."""


class Effective(NamedTuple):
    """Weights, neuron and coefficients as one call uses them: masks, constraints, quantisation and learned constants
    applied."""

    w_in: Tensor
    w_rec: Tensor | None
    bias: Tensor | None
    neuron: NeuronLike
    coefficients: Coefficients


class AbstractStage(nn.Module, abc.ABC):
    """One stage of a network that leaves a record: synapses, and mostly neurons. It keeps no state between calls."""

    label: str = "hidden"
    """What stages of this kind are called in a network, with a number behind it."""

    @abc.abstractmethod
    def run(
        self,
        x: Tensor | Events,
        state: State | None = None,
        *,
        potentials: bool = False,
        name: str = "layer",
        kind: ConnectionKind = "feedforward",
        binary: bool = False,
    ) -> LayerRecord:
        """From input [B, T, N_in] (or [B, T, C, *S]) to the record of what happened.

        Args:
            x: input, dense or as its :class:`~snnlightning.events.Events`.
            state: from an earlier call, or None.
            potentials: whether the record holds the potentials.
            name: what the stage is called in the record.
            kind: what its input weights are: ``input`` when x comes from the data, ``readout`` when its output is read.
            binary: whether x is known to hold spikes only (it does when it is a spiking layer's output).
        """

    def start_epoch(self, epoch: int) -> None:
        """Set what changes from epoch to epoch (widths of learned delays, sparsity schedules); epoch >= 0."""

    @abc.abstractmethod
    def shape_after(self, shape: Shape | None) -> Shape | None:
        """The shape of a step's output for the shape of its input; None where that is not known before data come.

        Raises:
            ShapeError: an input that does not fit.
        """


class AbstractLayer(AbstractStage):
    """A stage with neurons. Weights ``w_in``, ``w_rec`` and ``bias`` belong to the concrete layer.

    Args:
        neuron, surrogate, recurrent, backend, quantization, quantize: as :class:`SpikingLayer` has them.
        channels: how many neurons have time constants of their own: N, or the channels of a convolution.
        initializer, rec_initializer: fill the weights.
    """

    w_in: Tensor
    w_rec: Tensor | None
    bias: Tensor | None

    def __init__(
        self,
        neuron: AbstractNeuron,
        surrogate: AbstractSurrogate | SpikeFunction | None,
        *,
        channels: int,
        recurrent: bool,
        backend: str,
        initializer: Initializer | None,
        rec_initializer: Initializer | None,
        quantization: Quantization | None,
        quantize: QuantizeMode,
    ) -> None:
        super().__init__()
        if not isinstance(neuron, AbstractNeuron):
            raise ConfigurationError(f"neuron is {neuron!r}; a record such as CubaLIF() is expected.")
        if backend not in BACKENDS:
            raise ConfigurationError(f"no backend named {backend!r}; available: {', '.join(BACKENDS)}.")
        if not neuron.spiking and (recurrent or surrogate is not None):
            what = "recurrent=True" if recurrent else "a surrogate"
            raise ConfigurationError(f"{type(neuron).__name__} has no threshold and does not spike; leave out {what}.")
        self.neuron = neuron
        self.surrogate = (surrogate or SuperSpike()) if neuron.spiking else None
        self.recurrent, self.backend = recurrent, backend
        self.initializer = initializer or ScaledNormal()
        self.rec_initializer = rec_initializer or self.initializer
        self.set_quantization(quantization, quantize)
        for name in (*neuron.time_constants, *neuron.gains):
            value = getattr(neuron, name)
            if isinstance(value, tuple) and len(value) != channels:
                what = "time constants" if name in neuron.time_constants else "numbers"
                raise ShapeError(f"{name} lists {len(value)} {what} for a layer of {channels} neurons.")
        for name in neuron.learned:
            shape = (channels,) if neuron.learning(name) == "per_neuron" else ()
            self.register_parameter(self._parameter_name(name), nn.Parameter(torch.empty(shape)))

    def reset_parameters(self) -> None:
        """Draw the weights anew, and set bias and time constants to their start."""
        self.initializer(raw(self, "w_in"))
        if self.w_rec is not None:
            self.rec_initializer(raw(self, "w_rec"))
        with torch.no_grad():
            if self.bias is not None:
                self.bias.zero_()
            for name in self.neuron.learned:
                self._start(name)

    def set_quantization(self, quantization: Quantization | None, mode: QuantizeMode = "aware") -> None:
        """Run at this precision from now on, or in float again; see :func:`snnlightning.layers.quantize`."""
        if quantization is not None and not isinstance(quantization, Quantization):
            raise ConfigurationError(
                f"quantization is {quantization!r}; a record such as Quantization(weight_bits=8) is expected."
            )
        if mode not in ("aware", "after"):
            raise ConfigurationError(f"quantize is {mode!r}; it must be one of aware, after.")
        self.quantization, self.quantize_mode = quantization, mode

    def learned_values(self) -> dict[str, Tensor]:
        """The learned time constants in ms and the learned gains, by field name; empty when none of them is learned."""
        found = {}
        for name in self.neuron.learned:
            parameter = cast(Tensor, getattr(self, self._parameter_name(name)))
            found[name] = torch.exp(parameter) if name in self.neuron.time_constants else parameter
        return found

    def taus_ms(self) -> dict[str, Tensor]:
        """The learned time constants in ms, by field name; empty when none is learned."""
        return {name: value for name, value in self.learned_values().items() if name in self.neuron.time_constants}

    def _parameter_name(self, name: str) -> str:
        return f"log_{name}" if name in self.neuron.time_constants else name

    def _start(self, name: str) -> None:
        """Set a learned parameter to what the record says."""
        value = torch.tensor(getattr(self.neuron, name), dtype=torch.float64)
        parameter = cast(Tensor, getattr(self, self._parameter_name(name)))
        if name in self.neuron.time_constants:
            if value.isinf().any():
                raise ConfigurationError(f"{name} is infinite and cannot be learned; use learn_tau='none'.")
            value = value.log()
        parameter.copy_(value.expand_as(parameter))

    def forward(self, x: Tensor | Events, state: State | None = None) -> tuple[Tensor, State]:
        """x [B, T, N_in], dense or as events, and a state (or None: zero) to output [B, T, N] and the state after the last step."""
        record = self.run(x, state)
        return record.output, record.state

    @property
    def sends_spikes(self) -> bool:
        """Whether the output is known to be 0 and 1 only."""
        return isinstance(self.surrogate, AbstractSurrogate)

    def effective(self, places: int = 1) -> Effective:
        """What a call uses; a parametrisation computes a weight each time it is read, so it is read once.

        Args:
            places: neurons that share a time constant: the size of a map.
        """
        weights: tuple[Tensor, Tensor | None, Tensor | None] = (self.w_in, self.w_rec, self.bias)
        given = self.neuron.coefficients(self.learned_values())
        coefficients: Coefficients = {name: _spread(value, places) for name, value in given.items()}
        quantization = self.quantization
        if quantization is None or (self.quantize_mode == "after" and self.training):
            return Effective(*weights, self.neuron, coefficients)
        w_in, w_rec, bias = weights
        rounded = quantization.rounded(w_in.flatten(1), None if w_rec is None else w_rec.flatten(1), bias)
        return Effective(
            rounded.w_in.view_as(w_in),
            None if w_rec is None or rounded.w_rec is None else rounded.w_rec.view_as(w_rec),
            rounded.bias,
            quantization.neuron(self.neuron, _spread(rounded.scale.squeeze(-1), places).unsqueeze(-1))
            if rounded.scale.ndim
            else quantization.neuron(self.neuron, rounded.scale),
            quantization.coefficients(coefficients),
        )

    def _repr_of_neurons(self) -> list[str]:
        parts = [f"neuron={self.neuron}"]
        if self.surrogate is not None:
            parts.append(f"surrogate={self.surrogate}")
        parts += [f"recurrent={self.recurrent}", f"bias={self.bias is not None}"]
        if self.quantization is not None:
            parts += [str(self.quantization), f"quantize={self.quantize_mode}"]
        return parts


def _spread(value: Any, places: int) -> Any:
    """One value per map as one per neuron; what is one number for all stays so."""
    return value.repeat_interleave(places) if places > 1 and isinstance(value, Tensor) and value.ndim else value


def raw(module: nn.Module, name: str) -> Tensor:
    """The stored tensor of a weight: what a parametrisation is computed from, or the weight itself."""
    if parametrize.is_parametrized(module, name):
        parametrizations = cast(nn.ModuleDict, module.parametrizations)
        return cast(Tensor, parametrizations[name].original)
    return cast(Tensor, getattr(module, name))
