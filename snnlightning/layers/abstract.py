"""What layers have in common: stages of a network, neurons and their learned constants, weights as they are in effect."""

import abc
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from ..distributions import AbstractDistribution
from ..errors import ConfigurationError, ShapeError
from ..events import Events, dense
from ..firing import AbstractFiring
from ..initializers import AbstractInitializer, ScaledNormal
from ..neurons import AbstractNeuron
from ..scan import BACKENDS
from ..surrogates import AbstractSurrogate, SuperSpike
from ..typing import Coefficients, ConnectionKind, LayerRecord, NeuronLike, SpikeFunction, State
from .normalization import AbstractNorm
from .quantization import Quantization, QuantizeMode
from .weight_rule import AbstractWeightRule

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

    def initial_state(self, batch: int) -> State | None:
        """With what the first piece of a longer sequence begins; None where that is all zeros and nobody needs to say so."""
        return None

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
        norm: normalises the drive w_in x + bias, before recurrent input is added; None for none.
    """

    w_in: Tensor
    w_rec: Tensor | None
    bias: Tensor | None

    def __init__(
        self,
        neuron: AbstractNeuron,
        surrogate: AbstractSurrogate | AbstractFiring | SpikeFunction | None,
        *,
        channels: int,
        recurrent: bool,
        backend: str,
        initializer: Initializer | None,
        rec_initializer: Initializer | None,
        quantization: Quantization | None,
        quantize: QuantizeMode,
        norm: AbstractNorm | None = None,
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
        self.recurrent, self.backend, self.channels = recurrent, backend, channels
        self.initializer = initializer or ScaledNormal()
        self.rec_initializer = rec_initializer or self.initializer
        if norm is not None and (not isinstance(norm, AbstractNorm) or norm.features != channels):
            raise ConfigurationError(
                f"norm is {norm!r}; one of {channels} features, such as BatchNorm({channels}), is expected."
            )
        self.norm = norm
        self.set_quantization(quantization, quantize)
        for name in neuron.constants:
            value = getattr(neuron, name)
            if isinstance(value, tuple) and len(value) != channels:
                what = "time constants" if name in neuron.time_constants else "numbers"
                raise ShapeError(f"{name} lists {len(value)} {what} for a layer of {channels} neurons.")
        for name in neuron.learned:
            shape = (channels,) if neuron.learning(name) == "per_neuron" else ()
            self.register_parameter(neuron.parameter_name(name), nn.Parameter(torch.empty(shape)))
        for name in neuron.drawn:
            self.register_buffer(name, torch.empty(channels))

    def _add_dense_weights(self, in_features: int, out_features: int, *, bias: bool) -> None:
        """``w_in`` [N, N_in], ``w_rec`` [N, N] and ``bias`` [N], not filled yet."""
        self.in_features, self.out_features = in_features, out_features
        self.w_in = nn.Parameter(torch.empty(out_features, in_features))
        self.w_rec = nn.Parameter(torch.empty(out_features, out_features)) if self.recurrent else None
        self.bias = nn.Parameter(torch.empty(out_features)) if bias else None

    def reset_parameters(self) -> None:
        """Draw the weights anew, then what comes from a distribution, and set bias and learned constants to their start."""
        self.initializer(raw(self, "w_in"))
        if self.w_rec is not None:
            self.rec_initializer(raw(self, "w_rec"))
        with torch.no_grad():
            if self.bias is not None:
                self.bias.zero_()
            for name in self.neuron.constants:
                self._start(name)

    def start_epoch(self, epoch: int) -> None:
        """Tell the constraints of the weights that an epoch begins."""
        for name, rule in self._rules():
            rule.start_epoch(epoch, raw(self, name))

    def after_step(self) -> None:
        """Tell the constraints of the weights that the optimizer changed them."""
        for name, rule in self._rules():
            rule.after_step(raw(self, name))

    def _rules(self) -> Iterator[tuple[str, AbstractWeightRule]]:
        if parametrize.is_parametrized(self):
            for name, chain in cast(nn.ModuleDict, self.parametrizations).items():
                yield from ((name, rule) for rule in cast(nn.ModuleList, chain) if isinstance(rule, AbstractWeightRule))

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
        return {name: self._value(name) for name in self.neuron.learned}

    def values(self) -> dict[str, Tensor]:
        """What the layer holds of its neuron's constants, by field name: learned or drawn, [] or [N] each."""
        neuron = self.neuron
        held = (*neuron.learned, *neuron.drawn)
        return {name: self._value(name) for name in held} if held else {}

    def taus_ms(self) -> dict[str, Tensor]:
        """The time constants in ms that the layer holds, by field name; empty when none is learned or drawn."""
        return {name: value for name, value in self.values().items() if name in self.neuron.time_constants}

    def settled_neuron(self) -> AbstractNeuron:
        """The neuron's record with the numbers in effect in place of what was drawn, and of learned gains and thresholds."""
        neuron = self.neuron
        names = (
            name
            for name in (*neuron.learned, *neuron.drawn)
            if name not in neuron.time_constants or isinstance(getattr(neuron, name), AbstractDistribution)
        )
        return neuron.with_values({name: self._value(name) for name in names})

    def _value(self, name: str) -> Tensor:
        if name in self.neuron.drawn:
            return cast(Tensor, getattr(self, name))
        return self.neuron.from_parameter(name, cast(Tensor, getattr(self, self.neuron.parameter_name(name))))

    def _start(self, name: str) -> None:
        """Set what the layer holds of a constant to what the record says, drawn where that is a distribution."""
        neuron, given = self.neuron, getattr(self.neuron, name)
        held = name in neuron.drawn or name in neuron.learned
        if not held:
            return
        if isinstance(given, AbstractDistribution):
            limits = neuron.limits(name)
            value = given.draw(self.channels)
            value = value if limits is None else value.clamp(*limits)
        else:
            value = torch.tensor(given, dtype=torch.float64)
        if name in neuron.learned:
            value, name = neuron.to_parameter(name, value), neuron.parameter_name(name)
        into = cast(Tensor, getattr(self, name))
        into.copy_(value.expand_as(into))

    def forward(self, x: Tensor | Events, state: State | None = None) -> tuple[Tensor, State]:
        """x [B, T, N_in], dense or as events, and a state (or None: zero) to output [B, T, N] and the state after the last step."""
        record = self.run(x, state)
        return record.output, record.state

    @property
    def weight_bits(self) -> int | None:
        """Width of a stored weight where the layer runs at a chip's precision; None in float."""
        return None if self.quantization is None else self.quantization.weight_bits

    @property
    def sends_spikes(self) -> bool:
        """Whether the output is known to be 0 and 1 only."""
        firing = self.surrogate
        if firing is None:
            return False
        return isinstance(firing, AbstractSurrogate) or (isinstance(firing, AbstractFiring) and firing.binary)

    @property
    def live_norm(self) -> AbstractNorm | None:
        """The normalisation, where it depends on the input and is not part of the weights."""
        norm = self.norm
        return norm if norm is not None and norm.folded() is None else None

    def normalised_weights(self) -> tuple[Tensor, Tensor | None]:
        """``w_in`` and ``bias`` with a normalisation that does not depend on the input multiplied in."""
        norm = self.norm
        folded = None if norm is None else norm.folded()
        if folded is None:
            return cast(Tensor, _weight(self, "w_in")), _weight(self, "bias")
        (scale, shift), w_in = folded, self.w_in
        return scale.view(-1, *[1] * (w_in.ndim - 1)) * w_in, shift if self.bias is None else scale * self.bias + shift

    def effective(self, places: int = 1) -> Effective:
        """What a call uses; a parametrisation computes a weight each time it is read, so it is read once.

        Args:
            places: neurons that share a time constant: the size of a map.
        """
        w_in, bias = self.normalised_weights()
        w_rec = _weight(self, "w_rec")
        neuron, quantization = self.neuron, self.quantization
        coefficients: Coefficients = neuron.coefficients(self.values())
        if places > 1:
            coefficients = {name: _spread(value, places) for name, value in coefficients.items()}
        if quantization is None or (self.quantize_mode == "after" and self.training):
            return Effective(w_in, w_rec, bias, neuron, coefficients)
        if self.live_norm is not None:
            raise ConfigurationError(
                f"a {type(self.live_norm).__name__} that depends on the input comes between the weights and the neurons, so the "
                "weights have no grid of their own; train BatchNorm with quantize='after', or fold(network) first."
            )
        rounded = quantization.rounded(w_in.flatten(1), None if w_rec is None else w_rec.flatten(1), bias)
        return Effective(
            rounded.w_in.view_as(w_in),
            None if w_rec is None or rounded.w_rec is None else rounded.w_rec.view_as(w_rec),
            rounded.bias,
            quantization.neuron(neuron, _spread(rounded.scale.squeeze(-1), places).unsqueeze(-1))
            if rounded.scale.ndim
            else quantization.neuron(neuron, rounded.scale),
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


def check_features(in_features: int, out_features: int) -> None:
    """Refuse sizes that a layer cannot have.

    Raises:
        ConfigurationError: one is no whole number of at least 1.
    """
    if not all(isinstance(size, int) and size >= 1 for size in (in_features, out_features)):
        raise ConfigurationError(
            f"a layer of {in_features!r} -> {out_features!r} features; both must be whole numbers of at least 1."
        )


def drive_of(x: Tensor | Events, w_in: Tensor, bias: Tensor | None) -> Tensor:
    """w_in x + bias [B, T, N] in the precision of the weights, for what comes between them and the neurons.

    Raises:
        ShapeError: x and w_in that do not fit.
    """
    if x.ndim != 3 or x.shape[2] != w_in.shape[1]:
        raise ShapeError(f"x is {list(x.shape)}; [B, T, N_in] with N_in = {w_in.shape[1]} is expected.")
    return F.linear(dense(x).to(w_in.dtype), w_in, bias).to(w_in.dtype)


def _weight(module: nn.Module, name: str) -> Tensor | None:
    """``module.<name>``; a parameter is taken from where it lies, because Python looks there last."""
    found = module._parameters.get(name)
    return cast(Tensor | None, getattr(module, name)) if found is None else found


def raw(module: nn.Module, name: str) -> Tensor:
    """The stored tensor of a weight: what a parametrisation is computed from, or the weight itself."""
    if parametrize.is_parametrized(module, name):
        parametrizations = cast(nn.ModuleDict, module.parametrizations)
        return cast(Tensor, parametrizations[name].original)
    return cast(Tensor, getattr(module, name))
