"""Estimate: counts times prices, with the parts kept apart and the gaps named.

    dynamic = synops e_syn + macs e_mac + slots e_access + active e_update + spikes e_spike
              + messages e_msg + hops e_hop          (linear in the counts)
              + P_dynamic t                          (chips whose price is a power)
    static  = P_static t,   host = P_host t
    all-in  = synops e_all_in, or P_chip t           (contains everything; nothing is added)

Energies are per sample, in uJ; lower is better. A part that a profile does not price is None, never zero, and
``not_priced`` says so by name.
"""

import dataclasses
import math
from pathlib import Path
from typing import Any

from ..errors import ConfigurationError, unknown_name
from ..units import positive
from .band import Band
from .counts import Counts
from .latency import step_latency_ns
from .layer_cost import LayerCost, costs_by_layer
from .limits import Misfit, check
from .loading import load
from .memory import Flow
from .placement import Placement, place
from .profile import Profile
from .terms import Term, terms_of
from .traffic import traffic

__all__ = ["Estimate", "estimate"]

QUANTITIES = ("priced_uj", "all_in_uj", "dynamic_uj", "static_uj", "host_uj", "latency_ms")
_NEED_DT = ("real-time", "accelerated")


@dataclasses.dataclass(frozen=True)
class Estimate:
    """What one sample costs on one chip, according to one profile.

    Attributes:
        profile: name of the profile.
        all_in_uj: everything, for profiles whose prices contain everything; the three parts below are None then.
        dynamic_uj: what the work costs.
        static_uj: what the chip costs while it works.
        host_uj: what the processors beside the cores cost meanwhile, waiting.
        latency_ms: time per sample.
        terms: summands of the dynamic (or all-in) energy.
        by_layer: what each layer did and what it costs; inputs first.
        placement: where the neurons are; None when the profile does not say how large cores are.
        walls: limits that more chips do not lift.
        budgets: limits that more chips or more time lift.
        unchecked: limits that the profile does not give.
        not_priced: parts of the energy and of the counts that the profile does not price.
        notes: caveats of the prices that were used.
        sources: citations of the prices that were used.
    """

    profile: str
    all_in_uj: Band | None
    dynamic_uj: Band | None
    static_uj: Band | None
    host_uj: Band | None
    latency_ms: Band | None
    terms: tuple[Term, ...]
    by_layer: tuple[LayerCost, ...]
    placement: Placement | None
    walls: tuple[Misfit, ...]
    budgets: tuple[Misfit, ...]
    unchecked: tuple[str, ...]
    not_priced: tuple[str, ...]
    notes: tuple[str, ...]
    sources: tuple[str, ...]

    @property
    def fits(self) -> bool | None:
        """False: a limit is passed; None: none is, but some are unchecked; True: all are known and kept."""
        if self.walls or self.budgets:
            return False
        return None if self.unchecked else True

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it does not fit, one sentence each; walls first. Empty when nothing that was checked is passed."""
        walls = (f"{misfit}: more chips do not help." for misfit in self.walls)
        return (*walls, *(f"{misfit}: more chips or more time do." for misfit in self.budgets))

    @property
    def priced_uj(self) -> Band | None:
        """The sum of what is priced; what is missing from it is in ``not_priced``."""
        parts = [part for part in (self.all_in_uj, self.dynamic_uj, self.static_uj, self.host_uj) if part is not None]
        return Band.sum(parts) if parts else None

    def nominal(self, quantity: str) -> float:
        """One of the energies or the latency as a number, for those who cannot go on without it.

        Args:
            quantity: priced_uj, all_in_uj, dynamic_uj, static_uj, host_uj or latency_ms.

        Raises:
            UnknownNameError: no such quantity.
            ConfigurationError: the profile does not price it; the message says what is missing.
        """
        if quantity not in QUANTITIES:
            raise unknown_name("quantity of an estimate", quantity, QUANTITIES)
        band: Band | None = getattr(self, quantity)
        if band is None:
            contained = ["contained in all_in_uj"] if self.all_in_uj is not None and quantity != "latency_ms" else []
            gaps = "; ".join([*contained, *self.not_priced]) or "no price"
            raise ConfigurationError(f"{self.profile} gives no {quantity}: {gaps}.")
        return band.nominal

    @property
    def by_layer_uj(self) -> dict[str, Band]:
        """The terms by layer: operations where they end, messages where they start."""
        return {cost.layer: cost.energy_uj for cost in self.by_layer if cost.energy_uj is not None}

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as they go into JSON."""
        bands: dict[str, Band | None] = {name: getattr(self, name) for name in QUANTITIES}
        return {
            "profile": self.profile,
            **{name: None if band is None else band._asdict() for name, band in bands.items()},
            "terms": [
                {"name": t.name, "count": t.count, "price_pj": t.price_pj._asdict(), "energy_uj": t.energy_uj._asdict()}
                for t in self.terms
            ],
            "by_layer": [cost.as_dict() for cost in self.by_layer],
            "cores": None if self.placement is None else len(self.placement.cores),
            "fits": self.fits,
            "reasons": list(self.reasons),
            "walls": [str(misfit) for misfit in self.walls],
            "budgets": [str(misfit) for misfit in self.budgets],
            **{name: list(getattr(self, name)) for name in ("unchecked", "not_priced", "notes", "sources")},
        }


def estimate(
    counts: Counts,
    profile: Profile | str | Path,
    *,
    dt_ms: float | None = None,
    paced: bool = False,
    latency_ms: float | None = None,
    flow: Flow = "row",
) -> Estimate:
    """Price the counts of one sample on one chip.

    Args:
        counts: of one sample; with a network, placement and limits are checked.
        profile: what ``load`` gives, or its name.
        dt_ms: time step of the model; chips that run in real time or at a fixed speed-up need it for their latency.
        paced: a chip that could run freely waits for dt at every step, as it does on a live sensor.
        latency_ms: measured time per sample, instead of the modelled one.
        flow: how generic CMOS accumulates, row or scatter; see ``memory``.

    Raises:
        ConfigurationError: an argument out of range, or a profile that needs the network's sizes and has none.
    """
    if not isinstance(counts, Counts):
        raise ConfigurationError(
            f"counts are a {type(counts).__name__}; Counts are expected: Counts.of(SynOps().compute(), Network.of(net(x)), steps)."
        )
    profile = profile if isinstance(profile, Profile) else load(profile)
    for name, value in (("dt_ms", dt_ms), ("latency_ms", latency_ms)):
        if value is not None and positive(name, value) == math.inf:
            raise ConfigurationError(f"{name} is {value}; a finite number is expected.")
    if paced and dt_ms is None:
        raise ConfigurationError("paced without dt_ms; a paced chip waits for dt at every step.")
    placement = place(counts.network, profile) if counts.network is not None else None
    step_ns = step_latency_ns(counts, profile, placement) if placement is not None else None
    time_ms = Band.exact(latency_ms) if latency_ms is not None else _latency(counts, profile, step_ns, dt_ms, paced)
    walls, budgets, unchecked = check(counts, profile, placement)
    if paced and step_ns is not None and dt_ms is not None and step_ns.nominal > dt_ms * 1e6:
        budgets.append(Misfit("deadline", step_ns.nominal / 1e3, dt_ms * 1e3))
    if step_ns is None and (paced or profile.clock == "real-time"):
        unchecked.append("deadline")
    sent = traffic(counts, placement) if placement is not None else None
    terms, not_priced = terms_of(counts, profile, sent, flow)
    used = {term.name for term in terms}

    def energy(power: str) -> Band | None:
        price = profile.price(power)
        if price is None:
            return None
        if time_ms is None:
            not_priced.append(
                f"{power}: no latency; give latency_ms" + (" or dt_ms" if profile.clock in _NEED_DT else "")
            )
            return None
        used.add(power)
        return price.times(time_ms)

    parts = [term.energy_uj for term in terms]
    running = energy("chip_mw" if profile.is_all_in else "dynamic_mw")
    parts += [running] if running is not None else []
    total = Band.sum(parts) if parts else None
    static, host = energy("static_mw"), energy("host_mw")
    if not profile.is_all_in:
        not_priced += [part for part in ("static", "host") if f"{part}_mw" not in profile.coefficients]
        if total is None:
            not_priced.insert(0, "dynamic")
        if time_ms is None and profile.clock == "free":
            not_priced.append("latency: a network, its spikes and input events are needed, and MACs have no time")
    chosen = [c for name, c in profile.coefficients.items() if name in used or profile.has_memory or c.scope == "time"]
    return Estimate(
        profile=profile.name,
        all_in_uj=total if profile.is_all_in else None,
        dynamic_uj=None if profile.is_all_in else total,
        static_uj=static,
        host_uj=host,
        latency_ms=time_ms,
        terms=tuple(terms),
        by_layer=costs_by_layer(counts, terms, placement),
        placement=placement,
        walls=tuple(walls),
        budgets=tuple(budgets),
        unchecked=tuple(unchecked),
        not_priced=tuple(not_priced),
        notes=(*_relays(counts, placement), *profile.notes, *(f"{c.name}: {c.note}" for c in chosen if c.note)),
        sources=tuple(dict.fromkeys(profile.sources[c.source] for c in chosen)),
    )


def _relays(counts: Counts, placement: Placement | None) -> list[str]:
    """What was assumed of pooling."""
    if counts.network is None or placement is None:
        return []
    idle = [layer for layer in counts.network.layers if not layer.updated]
    return [f"{layer.name} is placed as {layer.neurons} relays; their updates are not priced" for layer in idle]


def _latency(counts: Counts, profile: Profile, step_ns: Band | None, dt_ms: float | None, paced: bool) -> Band | None:
    model_ms = None if dt_ms is None else counts.steps * dt_ms
    match profile.clock:
        case "free":
            if step_ns is None:
                return None
            free = step_ns.times(counts.steps * 1e-6)
            return free if not paced or model_ms is None else Band(*(max(end, model_ms) for end in free))
        case "real-time":
            return None if model_ms is None else Band.exact(model_ms)
        case "accelerated":
            speedup = profile.price("speedup")
            if model_ms is None or speedup is None:
                return None
            return Band(model_ms / speedup.high, model_ms / speedup.nominal, model_ms / speedup.low)
        case "none":
            return None
        case _:
            raise ConfigurationError(f"{profile.name}: clock is {profile.clock!r}.")
