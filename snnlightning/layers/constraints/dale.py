"""Dale's law: a neuron excites all that it reaches, or inhibits all."""

import dataclasses

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ...errors import ConfigurationError
from ...units import positive
from ..abstract import AbstractLayer
from ..reshaping import Flatten
from ..skipping import Concat
from ..weight_rule import AbstractWeightRule
from .abstract import AbstractConstraint, share

__all__ = ["Dale", "signs"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dale(AbstractConstraint):
    """w_ij = |raw_ij| s_j with s_j = +1 for the first round(excitatory · N) neurons of a layer and -g for the others.

    The signs of a layer hold for its ``w_rec`` and for the ``w_in`` of the layer behind it (readout included); channels of the
    data have no sign. Maps of a convolution have one sign each.

    Args:
        excitatory: share of excitatory neurons, in (0, 1].
        inhibitory_gain: g > 0; excitatory / (1 - excitatory) balances the two.

    Raises:
        ConfigurationError: weights that are constrained already, or layers whose neurons cannot be told apart behind what stands
            between them.

    Gradient: that of |raw|; a weight that reaches zero turns back.
    Source: Song, Yang & Wang 2016, eq. 12-13; differs: |raw| instead of [raw]₊, whose gradient dies.

    Example:
        >>> from snnlightning.layers import SpikingLayer
        >>> from snnlightning.neurons import LIF
        >>> layer = SpikingLayer(3, 5, neuron=LIF(), recurrent=True)
        >>> Dale(excitatory=0.8).apply(layer)
        >>> layer.w_rec.sign()[0].tolist()
        [1.0, 1.0, 1.0, 1.0, -1.0]
    """

    excitatory: float = 0.8
    inhibitory_gain: float = 1.0

    def __post_init__(self) -> None:
        share("Dale.excitatory", self.excitatory)
        positive("Dale.inhibitory_gain", self.inhibitory_gain)

    def apply(self, network: nn.Module) -> None:
        before, flattened = None, False
        for layer in network.modules():
            if isinstance(layer, Concat):
                raise ConfigurationError(
                    "Dale cannot tell whose spikes are whose behind a Concat; use Residual, or no Dale."
                )
            flattened |= isinstance(layer, Flatten)
            if not isinstance(layer, AbstractLayer):
                continue
            if before is not None:
                self._put(layer, "w_in", before, flattened)
            flattened = False
            before = signs(layer.channels, self.excitatory, self.inhibitory_gain)
            if layer.w_rec is not None:
                self._put(layer, "w_rec", before, False)

    def _put(self, layer: AbstractLayer, name: str, sign: Tensor, flattened: bool) -> None:
        weight: Tensor = getattr(layer, name)
        columns = weight.shape[1]
        if parametrize.is_parametrized(layer, name):
            raise ConfigurationError(
                f"{name} of a {type(layer).__name__} is constrained already; put Dale first in the list (DeepR keeps signs itself: "
                "DeepR(excitatory=...))."
            )
        if columns % len(sign) or (columns != len(sign) and not flattened):
            raise ConfigurationError(
                f"{name} {list(weight.shape)} takes {columns} inputs and the layer before it has {len(sign)} neurons or maps with a "
                "sign; Dale needs them to be the same, or maps with Flatten() between (groups mix signs)."
            )
        sign = sign.repeat_interleave(columns // len(sign)).to(weight)
        parametrize.register_parametrization(layer, name, _Signed(sign.view(1, -1, *[1] * (weight.ndim - 2))))


def signs(neurons: int, excitatory: float, inhibitory_gain: float = 1.0) -> Tensor:
    """+1 for the first round(excitatory · N), -g for the others, [N]."""
    sign = torch.full((neurons,), -inhibitory_gain)
    sign[: round(excitatory * neurons)] = 1.0
    return sign


class _Signed(AbstractWeightRule):
    sign: Tensor

    def __init__(self, sign: Tensor) -> None:
        super().__init__()
        self.register_buffer("sign", sign)

    def forward(self, raw: Tensor) -> Tensor:
        return raw.abs() * self.sign
