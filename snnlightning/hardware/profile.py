"""Profiles: what a chip's work costs according to one source, as frozen records; ``loading`` reads them from TOML."""

import dataclasses
from collections.abc import Mapping

from ..errors import ConfigurationError, unknown_name
from .band import Band
from .vocabulary import COEFFICIENTS, LIMITS, MEMORY, SCOPES

__all__ = ["Coefficient", "Limit", "Profile", "refuse_mixture"]


@dataclasses.dataclass(frozen=True)
class Coefficient:
    """One price, power or time.

    Attributes:
        name: what it is, ending in its unit; a key of ``vocabulary.COEFFICIENTS``.
        value: nominal value; ``low`` and ``high`` are the ends of its band.
        unit: spelled out.
        scope: one term, all-in, power times time, time, or component.
        evidence: measured, fitted, simulated, datasheet, declared, bound or derived.
        reading: whether the number was read in the primary source, in a digest of it, or is recalled.
        source: key of the profile's sources.
        band: where low and high come from.
        note: arithmetic, operating point, caveats.
    """

    name: str
    value: float
    low: float
    high: float
    unit: str
    scope: str
    evidence: str
    reading: str
    source: str
    band: str
    note: str = ""

    @property
    def range(self) -> Band:
        """Low, nominal, high."""
        return Band(self.low, self.value, self.high)


@dataclasses.dataclass(frozen=True)
class Limit:
    """One structural limit; wall, budget or layout follows from the name (``vocabulary.LIMITS``)."""

    name: str
    value: int
    unit: str
    reading: str
    source: str
    note: str = ""

    @property
    def kind(self) -> str:
        """wall: more chips do not help; budget: they do; layout: no limit, but how things are placed."""
        return LIMITS[self.name].kind


@dataclasses.dataclass(frozen=True)
class Profile:
    """What one source says about one chip.

    Attributes:
        name: file name without ending.
        chip: the chip as its makers call it.
        summary: one line.
        clock: free, real-time, accelerated or none; how steps take time.
        baseline: a yardstick (naive AC/MAC, GPU, microcontroller), not a chip to choose.
        sources: key to citation.
        coefficients: by name; what is absent is not priced.
        limits: by name; what is absent is unchecked.
        unlimited: limits that are known not to exist on this chip.
        notes: caveats, what a source says that is not a coefficient.
    """

    name: str
    chip: str
    summary: str
    clock: str
    baseline: bool
    sources: Mapping[str, str]
    coefficients: Mapping[str, Coefficient]
    limits: Mapping[str, Limit]
    unlimited: tuple[str, ...]
    notes: tuple[str, ...]

    def price(self, name: str) -> Band | None:
        """The band of a coefficient, or None when the source does not say."""
        if name not in COEFFICIENTS:
            raise unknown_name("coefficient", name, COEFFICIENTS)
        coefficient = self.coefficients.get(name)
        return None if coefficient is None else coefficient.range

    def limit(self, name: str) -> int | None:
        """A limit, or None when it is not known or not there (see ``unlimited``)."""
        if name not in LIMITS:
            raise unknown_name("limit", name, LIMITS)
        limit = self.limits.get(name)
        return None if limit is None else limit.value

    def synop_name(self, kind: str, unit: str) -> str:
        """Name of the coefficient of an operation of dense, sparse or conv weights: its own, or that of dense ones."""
        own = "synop" if kind == "dense" else f"synop_{kind}"
        return f"{own}_{unit}" if f"{own}_{unit}" in self.coefficients else f"synop_{unit}"

    @property
    def is_all_in(self) -> bool:
        """Prices that contain everything, so that nothing may be added to them."""
        return any(coefficient.scope == "all-in" for coefficient in self.coefficients.values())

    @property
    def has_memory(self) -> bool:
        """Prices of memory and arithmetic, from which terms are built for a network's sizes."""
        return any(name in self.coefficients for name in MEMORY)

    def joined(self, other: "Profile") -> "Profile":
        """This profile with the coefficients that only ``other`` has; for prices and powers of different sources.

        Raises:
            ConfigurationError: all-in prices and single terms would be mixed, or both price the same thing.
        """
        if both := sorted(set(self.coefficients) & set(other.coefficients)):
            raise ConfigurationError(f"{self.name} and {other.name} both price {', '.join(both)}; choose one of them.")
        joined = dataclasses.replace(
            self,
            name=f"{self.name}+{other.name}",
            sources={**other.sources, **self.sources},
            coefficients={**self.coefficients, **other.coefficients},
            notes=(*self.notes, *other.notes),
        )
        refuse_mixture(joined.name, joined.coefficients)
        return joined


def refuse_mixture(where: str, coefficients: Mapping[str, Coefficient]) -> None:
    """All-in prices contain the terms, so the two are never in one profile.

    Raises:
        ConfigurationError: they are.
    """
    scopes: dict[str, list[str]] = {scope: [] for scope in SCOPES}
    for coefficient in coefficients.values():
        scopes[coefficient.scope].append(coefficient.name)
    others = [*scopes["one term"], *scopes["power times time"], *scopes["component"]]
    if scopes["all-in"] and others:
        raise ConfigurationError(
            f"{where}: {scopes['all-in'][0]} is all-in, it contains {', '.join(others)}; all-in prices and terms are "
            "never added. Keep them in two profiles."
        )
    if len(scopes["all-in"]) > 1:
        raise ConfigurationError(f"{where}: {' and '.join(scopes['all-in'])} are both all-in; one of them is expected.")
