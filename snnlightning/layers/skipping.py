"""Skip connections by composition: Residual adds what came in to what stages make of it, Concat puts both side by side."""

import abc
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ..errors import ConfigurationError, ShapeError
from .abstract import Shape

__all__ = ["AbstractSkip", "Concat", "Residual"]


class AbstractSkip(nn.Module, abc.ABC):
    """A row of stages beside a wire; it may stand wherever a stage may, and hold others.

    Its stages leave their records as all others do, and are numbered along with them. What comes out is counted where it goes: an
    element k is k events. It is no layer's output, so where synapses take it, a network can be counted and not placed on a chip.

    Args:
        layers: at least one stage or module, each taking what the one before it gives.
    """

    def __init__(self, layers: Iterable[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        if not len(self.layers):
            raise ConfigurationError(f"{type(self).__name__} of nothing; give at least one layer.")

    @property
    @abc.abstractmethod
    def keeps_spikes(self) -> bool:
        """Whether spikes on both ways come out as 0 and 1."""

    @abc.abstractmethod
    def merge(self, x: Tensor, y: Tensor) -> Tensor:
        """What came in and what the stages made of it, as one [B, T, ...].

        Raises:
            ShapeError: they do not fit.
        """

    @abc.abstractmethod
    def merged_shape(self, shape: Shape, inner: Shape) -> Shape:
        """The shape of ``merge`` for those of its arguments' steps.

        Raises:
            ShapeError: they do not fit.
        """

    def shape_after(self, shape: Shape | None) -> Shape | None:
        """Through the stages, and merged."""
        inner = shape
        for module in self.layers:
            follow = getattr(module, "shape_after", None)
            inner = None if follow is None else follow(inner)
        return None if shape is None or inner is None else self.merged_shape(shape, inner)


class Residual(AbstractSkip):
    """y = x + f(x): two spikes that meet are two events.

    Source: He et al. 2016; between spikes: the ADD of SEW-ResNet (Fang et al. 2021).

    Example:
        >>> from snnlightning.layers import SpikingLayer, SpikingNetwork
        >>> from snnlightning.neurons import LI, LIF
        >>> from snnlightning.readouts import MaxOverTime
        >>> rows = [SpikingLayer(3, 8, neuron=LIF()), Residual([SpikingLayer(8, 8, neuron=LIF())]), SpikingLayer(8, 2, neuron=LI())]
        >>> SpikingNetwork(rows, MaxOverTime()).names
        ('hidden_0', 'hidden_1', 'readout')
    """

    @property
    def keeps_spikes(self) -> bool:
        """No: 1 + 1 = 2."""
        return False

    def merge(self, x: Tensor, y: Tensor) -> Tensor:
        self.merged_shape(tuple(x.shape[2:]), tuple(y.shape[2:]))
        return x + y

    def merged_shape(self, shape: Shape, inner: Shape) -> Shape:
        if shape != inner:
            raise ShapeError(
                f"a step of {list(shape)} and {list(inner)} behind the stages cannot be added; give the last stage the size of the "
                "input, or use Concat."
            )
        return shape


class Concat(AbstractSkip):
    """y = [x, f(x)] along the features (or channels), as in densely connected networks.

    Source: Huang et al. 2017.

    Example:
        >>> from snnlightning.layers import SpikingLayer
        >>> from snnlightning.neurons import LIF
        >>> Concat([SpikingLayer(3, 8, neuron=LIF())]).shape_after((3,))
        (11,)
    """

    @property
    def keeps_spikes(self) -> bool:
        """Yes."""
        return True

    def merge(self, x: Tensor, y: Tensor) -> Tensor:
        self.merged_shape(tuple(x.shape[2:]), tuple(y.shape[2:]))
        return torch.cat([x.to(y.dtype), y], dim=2)

    def merged_shape(self, shape: Shape, inner: Shape) -> Shape:
        if shape[1:] != inner[1:]:
            raise ShapeError(
                f"a step of {list(shape)} and {list(inner)} behind the stages differ in more than their features; only those are "
                "put side by side."
            )
        return (shape[0] + inner[0], *inner[1:])
