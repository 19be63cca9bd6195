"""Normalisation of what synapses bring, W x, before the neurons: over the batch, or over the layer."""

import abc

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import ConfigurationError, ShapeError
from ..units import positive

__all__ = ["AbstractNorm", "BatchNorm", "LayerNorm"]


class AbstractNorm(nn.Module, abc.ABC):
    """y = gain (x - mean) / √(variance + eps) + shift on a drive [B, T, N] or [B, T, C, *S]; gain and shift are [N] or [C]."""

    def __init__(self, features: int, *, gain: float = 1.0, eps: float = 1e-5) -> None:
        super().__init__()
        if isinstance(features, bool) or not isinstance(features, int) or features < 1:
            raise ConfigurationError(f"features is {features!r}; a whole number of at least 1 is expected.")
        self.features, self.eps = features, positive("eps", eps)
        self.gain = nn.Parameter(torch.full((features,), positive("gain", gain)))
        self.shift = nn.Parameter(torch.zeros(features))

    def forward(self, drive: Tensor) -> Tensor:
        """Normalised, same shape."""
        if drive.ndim < 3 or drive.shape[2] != self.features:
            raise ShapeError(
                f"a drive {list(drive.shape)} in a normalisation of {self.features} features [B, T, N, ...]."
            )
        return self.normalised(drive.flatten(0, 1)).unflatten(0, drive.shape[:2]) if drive.numel() else drive

    @abc.abstractmethod
    def normalised(self, drive: Tensor) -> Tensor:
        """[B T, N] or [B T, C, *S], one row per step of a sample."""

    @abc.abstractmethod
    def folded(self) -> tuple[Tensor, Tensor] | None:
        """(scale, shift), each [N], with which y = scale x + shift for any x; None where mean and variance depend on x."""

    def extra_repr(self) -> str:
        return f"{self.features}, eps={self.eps}"


class BatchNorm(AbstractNorm):
    """Mean and variance per neuron (or map) over batch and time; running ones in ``eval()``, where it is part of the weights.

    In ``eval()`` a layer computes, counts and quantises with w' = scale w and b' = scale b + shift: nothing is left of it but a
    bias, which makes every update of the layer active.

    Args:
        features: N of the layer, or its output channels.
        momentum: share of a new batch in the running mean and variance, in (0, 1].
        gain: start of the gain; v_th gives the scale of threshold-dependent batch normalisation.
        eps: > 0.

    Source: placed as in sparch (Bittar & Garner 2022: on W x, momentum 0.05, recurrent input not normalised) and in SNN-delays.

    Example:
        >>> norm = BatchNorm(2)
        >>> y = norm(torch.randn(8, 50, 2) * 3.0 + 1.0)
        >>> [round(s, 3) for s in y.std(dim=(0, 1), correction=0).tolist()]
        [1.0, 1.0]
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, features: int, *, momentum: float = 0.05, gain: float = 1.0, eps: float = 1e-5) -> None:
        super().__init__(features, gain=gain, eps=eps)
        self.momentum = positive("momentum", momentum)
        if self.momentum > 1.0:
            raise ConfigurationError(f"momentum is {momentum}; a share in (0, 1] is expected.")
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("variance", torch.ones(features))

    def normalised(self, drive: Tensor) -> Tensor:
        return F.batch_norm(
            drive, self.mean, self.variance, self.gain, self.shift, self.training, self.momentum, self.eps
        )

    def folded(self) -> tuple[Tensor, Tensor] | None:
        if self.training:
            return None
        scale = self.gain / (self.variance + self.eps).sqrt()
        return scale, self.shift - scale * self.mean


class LayerNorm(AbstractNorm):
    """Mean and variance of a step over all neurons (and places) of the layer; the same in training and ``eval()``.

    They depend on the input, so they cannot be folded: the layer cannot run on chips that only add weights, and what the
    normalisation itself costs is not among the counts.

    Args:
        features: N of the layer, or its output channels.
        gain: start of the gain.
        eps: > 0.

    Source: Ba, Kiros & Hinton 2016; placed as in sparch (``normalization="layernorm"``).

    Example:
        >>> LayerNorm(2)(torch.tensor([[[3.0, 1.0]]]))
        tensor([[[ 1.0000, -1.0000]]], grad_fn=<ViewBackward0>)
    """

    def normalised(self, drive: Tensor) -> Tensor:
        return F.group_norm(drive, 1, self.gain, self.shift, self.eps)

    def folded(self) -> tuple[Tensor, Tensor] | None:
        return None
