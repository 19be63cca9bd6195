"""Band: a number with its low and high ends, which is how every price and every estimate is written here."""

from collections.abc import Iterable
from typing import NamedTuple

__all__ = ["Band"]


class Band(NamedTuple):
    """low <= nominal <= high.

    Sums and products take low with low and high with high: within one source the errors of the coefficients are taken as
    fully correlated, which is the widest band that the coefficients allow.

    Example:
        >>> Band(1.0, 2.0, 4.0).times(10)
        Band(low=10.0, nominal=20.0, high=40.0)
        >>> Band.sum([Band(1.0, 2.0, 4.0), Band.exact(1.0)])
        Band(low=2.0, nominal=3.0, high=5.0)
    """

    low: float
    nominal: float
    high: float

    @classmethod
    def exact(cls, value: float) -> "Band":
        """A number without a band."""
        return cls(value, value, value)

    @classmethod
    def sum(cls, bands: Iterable["Band"]) -> "Band":
        """End by end; of nothing: zero."""
        rows = list(bands)
        return cls(sum(b.low for b in rows), sum(b.nominal for b in rows), sum(b.high for b in rows))

    @classmethod
    def max(cls, bands: Iterable["Band"]) -> "Band":
        """End by end; of nothing: zero."""
        rows = [*bands, cls.exact(0.0)]
        return cls(max(b.low for b in rows), max(b.nominal for b in rows), max(b.high for b in rows))

    def times(self, factor: "float | Band") -> "Band":
        """Scaled by a number >= 0 or by another band, end by end."""
        if isinstance(factor, Band):
            return Band(self.low * factor.low, self.nominal * factor.nominal, self.high * factor.high)
        return Band(self.low * factor, self.nominal * factor, self.high * factor)
