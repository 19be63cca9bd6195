"""Kernel: a convolution as a chip sees it, with its places, its taps and its stored weights."""

import dataclasses
import math

from ..errors import ConfigurationError

__all__ = ["Kernel"]


@dataclasses.dataclass(frozen=True)
class Kernel:
    """How a kernel slides over one to three spatial axes.

        places = (size + 2 padding - dilation (taps - 1) - 1) // stride + 1     per axis
        uses   = channels_out channels_in / groups  prod over axes of taps that land inside the input, over all places
        fan_in = channels_in / groups  prod over axes of taps

    Pooling by sum or mean is a kernel of ``groups`` = channels.

    Args:
        channels_in, channels_out: channels before and behind, multiples of ``groups``.
        size: places of the input, one number per axis.
        taps: size of the kernel, one number per axis.
        stride, padding, dilation: one number per axis; padding is with zeros.
        groups: input channels that see each other's outputs are ``channels_in / groups``.

    Raises:
        ConfigurationError: numbers that make no convolution.

    Example:
        >>> kernel = Kernel(2, 4, (5, 5), (3, 3), (1, 1), (1, 1), (1, 1))
        >>> kernel.places, kernel.fan_in, kernel.uses  # 3 taps at 5 places, of which 2 lie outside: 13 per axis
        ((5, 5), 18, 1352)
    """

    channels_in: int
    channels_out: int
    size: tuple[int, ...]
    taps: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int = 1

    def __post_init__(self) -> None:
        axes = {len(part) for part in (self.size, self.taps, self.stride, self.padding, self.dilation)}
        positive = (
            self.channels_in,
            self.channels_out,
            self.groups,
            *self.size,
            *self.taps,
            *self.stride,
            *self.dilation,
        )
        if len(axes) != 1 or not axes <= {1, 2, 3} or min(positive) < 1 or min(self.padding) < 0:
            raise ConfigurationError(
                f"{self} is no convolution: one to three axes, all numbers of 1 or more (padding 0)."
            )
        if self.channels_in % self.groups or self.channels_out % self.groups:
            raise ConfigurationError(f"{self} is no convolution: both channels are multiples of the groups.")
        if min(self.places) < 1:
            raise ConfigurationError(f"{self} is no convolution: the kernel lies outside of the padded input.")

    @property
    def places(self) -> tuple[int, ...]:
        """Places of the output, per axis."""
        sizes = zip(self.size, self.taps, self.stride, self.padding, self.dilation, strict=True)
        return tuple((size + 2 * p - d * (taps - 1) - 1) // s + 1 for size, taps, s, p, d in sizes)

    @property
    def inputs(self) -> int:
        """Presynaptic neurons."""
        return self.channels_in * math.prod(self.size)

    @property
    def outputs(self) -> int:
        """Postsynaptic neurons."""
        return self.channels_out * math.prod(self.places)

    @property
    def weights(self) -> int:
        """Weights that are stored when every place shares them."""
        return self.channels_out * self.fan_in

    @property
    def fan_in(self) -> int:
        """Synapses into a neuron that no border cuts."""
        return self.channels_in // self.groups * math.prod(self.taps)

    @property
    def fan_out(self) -> int:
        """Synapses that leave a neuron, at most."""
        axes = zip(self.taps, self.stride, self.dilation, self.places, strict=True)
        reached = (min(places, math.ceil(taps / (s // math.gcd(s, d)))) for taps, s, d, places in axes)
        return self.channels_out // self.groups * math.prod(reached)

    @property
    def uses(self) -> int:
        """Synapses: uses of a weight at a place, those on the padding left out."""
        inside = math.prod(sum(self.inside(axis)) for axis in range(len(self.taps)))
        return self.channels_out * (self.channels_in // self.groups) * inside

    def inside(self, axis: int) -> list[int]:
        """For each tap of an axis: at how many places it lies inside the input."""
        s, p, d = self.stride[axis], self.padding[axis], self.dilation[axis]
        places, size = self.places[axis], self.size[axis]
        starts = [tap * d - p for tap in range(self.taps[axis])]
        # place * s + start lies in [0, size)
        return [max(0, min(places - 1, (size - 1 - at) // s) - max(0, -(at // s)) + 1) for at in starts]

    def sources(self, neurons: int) -> int:
        """At most so many presynaptic neurons feed ``neurons`` that lie side by side.

        Neurons are taken place by place, row after row, all channels of a place together: r rows of places see
        (r - 1) stride + dilation (taps - 1) + 1 rows of the input, in all columns when there is more than one.
        """
        places = min(math.prod(self.places), math.ceil((neurons - 1) / self.channels_out) + 1)
        rest = math.prod(self.places[1:])
        rows = min(self.places[0], math.ceil((places - 1) / rest) + 1)
        seen = self._seen(0, rows)
        for axis in range(1, len(self.taps)):
            seen *= self.size[axis] if rows > 1 else self._seen(axis, min(self.places[axis], places))
        return min(self.channels_in * seen, neurons * self.fan_in)

    def _seen(self, axis: int, places: int) -> int:
        reach = (places - 1) * self.stride[axis] + self.dilation[axis] * (self.taps[axis] - 1) + 1
        return min(self.size[axis], reach)
