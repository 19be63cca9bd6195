"""What every surrogate is: the step forward, h backward.

A surrogate is a frozen record of numbers. It holds no tensor and no state, is an attribute of the layer that uses it
(never of a class), pickles, and can be written into a configuration file as its name and two numbers.
"""

import abc
import dataclasses
import math
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor

from ..errors import ConfigurationError
from ..units import positive

__all__ = ["AbstractSurrogate", "Side"]

Side = Literal["both", "below", "above"]
"""On which side of threshold a family falls to half its height."""


class _Step(torch.autograd.Function):
    """Heaviside step forward, h(x) backward; the surrogate travels as an argument, so nothing is shared."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, surrogate: "AbstractSurrogate") -> Tensor:
        return (x > 0).to(x.dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, "AbstractSurrogate"], output: Tensor) -> None:
        x, ctx.surrogate = inputs
        ctx.save_for_backward(x)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return grad * ctx.surrogate.derivative(x), None


@dataclasses.dataclass(frozen=True)
class AbstractSurrogate(abc.ABC):
    """Forward S = 1 if x > 0 else 0 (strictly greater); backward dS/dx := h(x), with x = v - v_th.

    Every family can be built from its paper's parameter or from two numbers that mean the same in all families:
    ``height``, h at threshold, and ``width``, half of the full width at half maximum, in the unit of v (the threshold,
    when v_th is 1). "Slope", "alpha" and "beta" mean something else in every library; these two do not.

    Gradient: h is a surrogate, not the derivative of the forward step. Double backward is refused by autograd.
    NaN: x = NaN gives spike 0 and a NaN gradient.

    What a family is like: ``side``, where the half width is measured (symmetric families: both); ``falls``: h never rises on
    the way out on that side; ``jumps``: it jumps at the half width; ``signed``: it is negative somewhere.
    """

    side: ClassVar[Side] = "both"
    falls: ClassVar[bool] = True
    jumps: ClassVar[bool] = False
    signed: ClassVar[bool] = False

    def __call__(self, x: Tensor) -> Tensor:
        """Spikes for x = v - v_th: 1 where x > 0, else 0; same shape and dtype as ``x``."""
        spikes: Tensor = _Step.apply(x, self)
        return spikes

    @property
    @abc.abstractmethod
    def height(self) -> float:
        """h(0)."""

    @property
    @abc.abstractmethod
    def width(self) -> float:
        """Half width at half maximum: h(width) = h(0) / 2 (for a boxcar: where it ends)."""

    @property
    @abc.abstractmethod
    def area(self) -> float:
        """The integral of h; ``inf`` where tails are heavy or h stays, NaN for an h that oscillates for ever."""

    @classmethod
    @abc.abstractmethod
    def from_height_width(cls, height: float, width: float) -> Self:
        """The member of the family with this height and this half width at half maximum.

        Raises:
            ConfigurationError: a number that is not greater than 0.
        """

    @abc.abstractmethod
    def derivative(self, x: Tensor) -> Tensor:
        """h(x), elementwise."""

    @abc.abstractmethod
    def soft(self, x: Tensor) -> Tensor:
        """The smooth twin: 1/2 + the integral of h from 0 to x, differentiable, with h as its exact derivative.

        Used in place of the step it gives the network whose true gradient is the surrogate gradient's formula;
        that is what ``gradcheck`` is run on.
        """

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if field.type is not float:
                continue
            name = f"{type(self).__name__}.{field.name}"
            value = float(positive(name, getattr(self, field.name)))
            if not math.isfinite(value):
                raise ConfigurationError(f"{name} is {value}; a finite number greater than 0 is expected.")
            object.__setattr__(self, field.name, value)
