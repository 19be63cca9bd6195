"""Pooling over space: by sum, which events can do, and by maximum, which any event sets."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import ConfigurationError, ShapeError
from ..events import Events, dense
from ..typing import Connection, ConnectionKind, Convolution, LayerRecord, State
from .abstract import AbstractStage, Shape
from .convolution import per_axis, sizes_after

__all__ = ["MaxPool", "SumPool"]

_MAX_POOL = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}


class SumPool(AbstractStage):
    """y[c, s] = Σ_k x[c, s stride + k]: events of a patch, added; k spikes in a step are k events.

    A stage without neurons: it has no state and no updates; its synapses of weight one are a convolution and count as one
    (an operation per event and patch). Mean pooling is this with the next layer's weights divided by prod(K): an event that
    is worth 1/4 would be a multiplication on a chip.

    Args:
        kernel_size: K, one number per axis (one to three).
        stride: one number, or one per axis; K when None.

    Example:
        >>> SumPool([2]).run(torch.tensor([[[[1.0, 1.0, 0.0, 1.0]]]])).output
        tensor([[[[2., 1.]]]])
    """

    label = "pool"

    def __init__(self, kernel_size: Sequence[int], stride: int | Sequence[int] | None = None) -> None:
        super().__init__()
        self.kernel_size, self.slide = _patches(kernel_size, stride)

    def run(
        self,
        x: Tensor | Events,
        state: State | None = None,
        *,
        potentials: bool = False,
        name: str = "pool",
        kind: ConnectionKind = "feedforward",
        binary: bool = False,
    ) -> LayerRecord:
        """[B, T, C, *S] to [B, T, C, *S'] and what that cost; see :meth:`AbstractStage.run`."""
        x = out = dense(x)
        try:
            self.shape_after(tuple(x.shape[2:]))
        except ShapeError as error:
            raise ShapeError(f"layer {name!r}: {error}") from None
        # Axis by axis, by addition alone: a mean times its size would round, and an event of 0.9999 is none.
        for axis, (k, s) in enumerate(zip(self.kernel_size, self.slide.stride, strict=True), start=3):
            out = out.unfold(axis, k, s).sum(dim=-1)
        channels = x.shape[2]
        ones = torch.ones(channels, 1, *self.kernel_size, device=x.device)
        synapses = Connection(f"{name}.w_in", kind, x, ones, binary, self.slide._replace(groups=channels))
        return LayerRecord(name, False, out, (), None, (synapses,), neurons=False)

    def shape_after(self, shape: Shape | None) -> Shape | None:
        """(C, *S')."""
        return _shape_after(shape, self.kernel_size, self.slide)

    def extra_repr(self) -> str:
        return f"{list(self.kernel_size)}, stride={list(self.slide.stride)}"


class MaxPool(nn.Module):
    """y[c, s] = max_k x[c, s stride + k]: of spikes, whether any of the patch fired; spikes stay spikes.

    It has no synapses and leaves no record. Chips have no such unit, so a network with it can be counted, and not placed.

    Gradient: to the first of the largest, as ``torch.nn.functional.max_pool2d``.

    Args:
        kernel_size: K, one number per axis (one to three).
        stride: one number, or one per axis; K when None.

    Example:
        >>> MaxPool([2])(torch.tensor([[[[1.0, 1.0, 0.0, 0.0]]]]))
        tensor([[[[1., 0.]]]])
    """

    keeps_spikes = True

    def __init__(self, kernel_size: Sequence[int], stride: int | Sequence[int] | None = None) -> None:
        super().__init__()
        self.kernel_size, self.slide = _patches(kernel_size, stride)

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, C, *S] to [B, T, C, *S']."""
        self.shape_after(tuple(x.shape[2:]))
        out: Tensor = _MAX_POOL[len(self.kernel_size)](x.flatten(0, 1), self.kernel_size, self.slide.stride)
        maps: Tensor = out.unflatten(0, x.shape[:2])
        return maps

    def shape_after(self, shape: Shape | None) -> Shape | None:
        """(C, *S')."""
        return _shape_after(shape, self.kernel_size, self.slide)

    def extra_repr(self) -> str:
        return f"{list(self.kernel_size)}, stride={list(self.slide.stride)}"


def _patches(kernel_size: Sequence[int], stride: int | Sequence[int] | None) -> tuple[tuple[int, ...], Convolution]:
    axes = len(kernel_size) if isinstance(kernel_size, Sequence) else 0
    if not 1 <= axes <= 3:
        raise ConfigurationError(
            f"kernel_size is {kernel_size!r}; one number per axis is expected, for one to three axes: [2], or [2, 2]."
        )
    kernel = per_axis("kernel_size", kernel_size, axes, 1)
    steps = kernel if stride is None else per_axis("stride", stride, axes, 1)
    return kernel, Convolution(steps, (0,) * axes, (1,) * axes)


def _shape_after(shape: Shape | None, kernel: tuple[int, ...], slide: Convolution) -> Shape | None:
    if shape is None:
        return None
    if len(shape) != len(kernel) + 1:
        raise ShapeError(
            f"a step of the input is {list(shape)}; pooling over {len(kernel)} axes takes channels first, then those."
        )
    return (shape[0], *sizes_after(shape[1:], kernel, slide))
