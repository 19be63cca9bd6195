"""Quantization: weights, state and decays of a layer on the grids of a chip, rounded in float tensors.

    s    = max |w| / q,  q = 2^(weight_bits - 1) - 1                          the layer's LSB
    w    -> s k,         k = clip(round(w / s), -q, q)                        weights
    LSB  = s / 2^f,      Q = 2^(state_bits - 1) - 1                           one step of the state
    x    -> LSB m,       m = clip(round(x / LSB), -Q, Q)                      state after every step, and the bias
    a    -> round(a 2^d) / 2^d                                                decays

``round`` goes to the nearest whole number, ties to the even one. All weights that arrive at the same neurons, w_in and
w_rec, share one s: they are added to the same state, whose integers must mean the same for both (the quantiser of Xylo's
own tools does so: Rockpool, ``global_quantize`` and, per neuron, ``channel_quantize``). The state is an integer of the
same unit, shifted left by f bits when the weights are added to it (6 bits and a weight exponent on Loihi, a weight shift on
Xylo). s is kept short, to ``weight_bits + 1`` significant bits: then whole multiples of it, and their sums, are exact in
float32 up to 2^(23 - weight_bits) s (at 8 bits 256 of the largest weight, at 9 bits 64), in whatever order they are added;
neither the batch size nor the device decides on which side of a tie such a sum falls. Quantising twice is quantising once.

Gradient, straight through (Bengio et al. 2013; Jacob et al. 2018): d(rounded)/dx := 1 where |x| <= (Q + 1/2) LSB, and 0
where the number was clipped. s is a constant of the backward pass.

Differs from chips: those that round the product of decay and state toward zero (Loihi) forget small numbers, where
rounding to the nearest keeps |x| <= LSB / (2 (1 - decay)) for ever; the threshold is compared as a real number, which is
the same as the integer threshold floor(v_th / LSB), and subtracted before the state is rounded; overflow saturates.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from ..errors import ConfigurationError
from ..typing import Coefficients, NeuronLike, SpikeFunction, State, Trace

__all__ = ["FixedPoint", "Quantization", "QuantizeMode", "RoundedWeights"]

QuantizeMode = Literal["aware", "after"]
"""aware: training runs on the grid as well, straight through; after: only what runs in ``eval()`` mode does."""

_HEADROOM_BITS = 8
_COARSE = tuple(tenths / 10.0 for tenths in range(9, 0, -1))
_FINE = (-0.075, -0.05, -0.025, 0.025, 0.05, 0.075)
"""Parts of the largest weight that ``scale="mse"`` tries beside 1, and then around the best of them."""


class RoundedWeights(NamedTuple):
    """Weights of a layer on their grid: ``w_in`` [N, N_in], ``w_rec`` [N, N] or None, ``bias`` [N] or None.

    ``scale`` is s as a tensor [], or [N, 1] with one s per neuron.
    """

    w_in: Tensor
    w_rec: Tensor | None
    bias: Tensor | None
    scale: Tensor


@dataclasses.dataclass(frozen=True, kw_only=True)
class Quantization:
    """What is rounded and how; the formulas are those of the module :mod:`snnlightning.layers.quantization`.

    Args:
        weight_bits: width of a weight with its sign, 2 to 16; symmetric, so that zero stays zero (2 bits: -s, 0, s).
        state_bits: width of every state variable with its sign, ``weight_bits`` to 32; None leaves the state alone. Spikes
            that are part of a state stay 0 and 1. float32 holds up to 25 bits; more need ``double()``.
        state_fraction_bits: f, bits of the state below the LSB of the weights, 0 to ``state_bits - weight_bits``; None takes
            max(0, state_bits - weight_bits - 8), so that the state has room for 256 of the largest weight.
        decay_bits: d, bits of a decay after the point (Loihi: 12), 1 to 24; None leaves the decays alone.
        per_channel: whether each neuron has its own s, from the weights that arrive at it; else one per layer.
        scale: ``max``: s from the largest weight, nothing is clipped; ``mse``: a smaller one where that lowers
            Σ(w - s k)², found to a fortieth of the largest weight; it clips the largest weights, which then get no gradient.
            Better at few bits, and slower.

    Raises:
        ConfigurationError: a width out of range.

    Source: Jacob et al. 2018, arXiv:1712.05877 (training at the precision of inference); Bengio, Léonard & Courville
    2013, arXiv:1308.3432 (straight through).

    Example:
        >>> w = torch.tensor([[0.875, -0.3, 0.06, 0.0]])
        >>> Quantization(weight_bits=4).rounded(w).w_in  # q = 7, s = 1/8
        tensor([[ 0.8750, -0.2500,  0.0000,  0.0000]])
    """

    weight_bits: int = 8
    state_bits: int | None = None
    state_fraction_bits: int | None = None
    decay_bits: int | None = None
    per_channel: bool = False
    scale: Literal["max", "mse"] = "max"

    def __post_init__(self) -> None:
        if self.weight_bits == 1 and self.weight_bits is not True:
            raise ConfigurationError(
                "weight_bits is 1; symmetric integers of 1 bit hold nothing but 0. Use at least 2: -1, 0 and 1."
            )
        self._whole("weight_bits", 2, 16)
        if self.state_bits is not None:
            self._whole("state_bits", self.weight_bits, 32)
        if self.state_fraction_bits is not None:
            if self.state_bits is None:
                raise ConfigurationError("state_fraction_bits belongs to a rounded state; give state_bits as well.")
            self._whole("state_fraction_bits", 0, self.state_bits - self.weight_bits)
        if self.decay_bits is not None:
            self._whole("decay_bits", 1, 24)
        if not isinstance(self.per_channel, bool):
            raise ConfigurationError(f"per_channel is {self.per_channel!r}; true or false is expected.")
        if self.scale not in ("max", "mse"):
            raise ConfigurationError(f"scale is {self.scale!r}; it must be one of max, mse.")

    @property
    def largest_weight(self) -> int:
        """q = 2^(weight_bits - 1) - 1."""
        return int(2 ** (self.weight_bits - 1) - 1)

    @property
    def largest_state(self) -> int | None:
        """Q = 2^(state_bits - 1) - 1, or None when the state is not rounded."""
        return None if self.state_bits is None else int(2 ** (self.state_bits - 1) - 1)

    @property
    def fraction_bits(self) -> int:
        """f: ``state_fraction_bits``, or what stands for it when it is None."""
        if self.state_fraction_bits is not None:
            return self.state_fraction_bits
        return 0 if self.state_bits is None else max(0, self.state_bits - self.weight_bits - _HEADROOM_BITS)

    def state_lsb(self, scale: Tensor) -> Tensor:
        """s / 2^f as [] or [N], from the scale of the weights."""
        return (scale if scale.ndim == 0 else scale.squeeze(-1)) / 2.0**self.fraction_bits

    def rounded(self, w_in: Tensor, w_rec: Tensor | None = None, bias: Tensor | None = None) -> RoundedWeights:
        """Weights and bias on their grids, straight through for the backward pass.

        Args:
            w_in: [N, N_in].
            w_rec: [N, N] or None.
            bias: [N] or None; it is added to the state and has its grid, so that it changes only with ``state_bits``.

        Raises:
            ConfigurationError: a dtype that cannot hold integers of these widths.
        """
        self._check_dtype(w_in.dtype)
        matrices = [w_in] if w_rec is None else [w_in, w_rec]
        scale = self._scale([matrix.detach() for matrix in matrices])
        w_in, *recurrent = (_on_grid(matrix, scale, self.largest_weight) for matrix in matrices)
        if bias is not None and self.largest_state is not None:
            bias = _on_grid(bias, self.state_lsb(scale), self.largest_state)
        return RoundedWeights(w_in, recurrent[0] if recurrent else None, bias, scale)

    def coefficients(self, decays: Coefficients) -> Coefficients:
        """Decays by name, rounded to ``decay_bits`` where asked, straight through; gains that are no decays stay.

        Example:
            >>> Quantization(decay_bits=3).coefficients({"decay_mem": 0.9})
            {'decay_mem': 0.875}
        """
        if self.decay_bits is None:
            return decays
        steps = 2**self.decay_bits
        return {
            name: value
            if not name.startswith("decay_")
            else _on_grid(value, torch.full_like(value, 1.0 / steps), steps)
            if isinstance(value, Tensor)
            else round(value * steps) / steps
            for name, value in decays.items()
        }

    def neuron(self, neuron: NeuronLike, scale: Tensor) -> NeuronLike:
        """The neuron with its state on the grid that belongs to ``scale``; itself when the state is not rounded."""
        if self.largest_state is None:
            return neuron
        return FixedPoint(neuron, self.state_lsb(scale), self.largest_state)

    def _scale(self, matrices: Sequence[Tensor]) -> Tensor:
        """s, [] or [N, 1]; of weights that are all zero any: 1 / q for a layer, the layer's for a neuron."""
        weights = torch.cat(list(matrices), dim=-1)
        tiny = 2.0**40 * torch.finfo(weights.dtype).tiny  # below this, s or s / 2^f could vanish
        largest = weights.abs().amax()
        largest = torch.where(largest > tiny, largest, torch.ones_like(largest))
        if self.per_channel:
            row = weights.abs().amax(dim=-1, keepdim=True)
            largest = torch.where(row > tiny, row, largest)
        scale = largest / self.largest_weight
        return self._short(scale if self.scale == "max" else scale * self._best_part(weights, scale))

    def _best_part(self, weights: Tensor, scale: Tensor) -> Tensor:
        """How much smaller the scale should be for the least error, coarse and then fine; 1 when nothing is better."""
        part = torch.ones_like(scale)
        error = self._error(weights, self._short(scale))
        for centre, offsets in ((torch.zeros_like(part), _COARSE), (None, _FINE)):
            around = part if centre is None else centre
            for offset in offsets:
                other = (around + offset).clamp(max=1.0)
                others = self._error(weights, self._short(scale * other))
                part, error = torch.where(others < error, other, part), torch.minimum(others, error)
        return part

    def _error(self, weights: Tensor, scale: Tensor) -> Tensor:
        """Σ(w - s k)² over the layer, or over each row."""
        squares = (weights - _on_grid(weights, scale, self.largest_weight)).square()
        return squares.sum(dim=-1, keepdim=True) if self.per_channel else squares.sum()

    def _short(self, scale: Tensor) -> Tensor:
        """The nearest number of ``weight_bits + 1`` significant bits: the largest weight still rounds to q."""
        mantissa, _ = torch.frexp(scale)
        power = scale / mantissa
        steps = 2.0 ** (self.weight_bits + 1)
        return (mantissa * steps).round() / steps * power

    def _whole(self, name: str, low: int, high: int) -> None:
        value = getattr(self, name)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ConfigurationError(f"{name} is {value!r}; a whole number from {low} to {high} is expected.")

    def _check_dtype(self, dtype: torch.dtype) -> None:
        if dtype not in (torch.float32, torch.float64):
            raise ConfigurationError(
                f"weights of {dtype} cannot hold integers times a scale; quantization takes torch.float32 (which mixed "
                "precision keeps) or torch.float64."
            )
        if self.state_bits is not None and self.state_bits > 25 and dtype == torch.float32:
            raise ConfigurationError(
                f"state_bits is {self.state_bits}, and torch.float32 holds whole numbers of 25 bits with their sign; use "
                "fewer bits, or double()."
            )


class FixedPoint:
    """A neuron whose state lies on a grid: LSB m with |m| <= Q, rounded when it comes in and after every step.

    It runs the neuron one step at a time and so works with every neuron; output n is read from a state that is already
    rounded. What is called ``z`` in a state is a spike, what is called
    ``refractory`` a number of steps; both are left alone.

    Args:
        neuron: what updates the state.
        lsb: [] or [N].
        largest: Q.

    Gradient: straight through within the range, 0 where the state saturates.
    """

    def __init__(self, neuron: NeuronLike, lsb: Tensor, largest: int) -> None:
        self.inner, self.lsb, self.largest = neuron, lsb, largest

    @property
    def spiking(self) -> bool:
        return self.inner.spiking

    @property
    def state_names(self) -> tuple[str, ...]:
        return self.inner.state_names

    @property
    def coefficient_names(self) -> tuple[str, ...]:
        return self.inner.coefficient_names

    def coefficients(self) -> dict[str, float | Tensor]:
        return self.inner.coefficients()

    def run(
        self,
        drive: Tensor,
        w_rec: Tensor | None,
        state: State,
        spike: SpikeFunction | None,
        coefficients: Coefficients,
        potentials: bool,
    ) -> Trace:
        state = self._rounded(state)
        outputs, membranes = [], []
        for step in drive.split(1, dim=-2):
            trace = self.inner.run(step, w_rec, state, spike, coefficients, potentials)
            state = self._rounded(trace.state)
            outputs.append(trace.output)
            membranes.append(trace.potentials)
        seen = [v for v in membranes if v is not None]
        return Trace(torch.cat(outputs, dim=-2), state, torch.cat(seen, dim=-2) if potentials else None)

    def _rounded(self, state: State) -> State:
        return tuple(
            variable if name in ("z", "refractory") else _on_grid(variable, self.lsb, self.largest)
            for name, variable in zip(self.state_names, state, strict=True)
        )


class _Round(torch.autograd.Function):
    """LSB clip(round(x / LSB), -Q, Q) forward; 1 where |x| <= (Q + 1/2) LSB backward, 0 elsewhere."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, lsb: Tensor, largest: int) -> Tensor:
        return (x / lsb).round().clamp(-largest, largest) * lsb

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, int], output: Tensor) -> None:
        x, lsb, ctx.largest = inputs
        ctx.save_for_backward(x, lsb)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        x, lsb = ctx.saved_tensors
        return grad * (x.abs() <= (ctx.largest + 0.5) * lsb), None, None


def _on_grid(x: Tensor, lsb: Tensor, largest: int) -> Tensor:
    rounded: Tensor = _Round.apply(x, lsb, largest)
    return rounded
