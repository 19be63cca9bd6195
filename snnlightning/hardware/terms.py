"""Terms: which counts are multiplied with which prices, and which counts nobody prices."""

import dataclasses

from .band import Band
from .counts import Counts
from .memory import Flow, memory_prices
from .placement import matrix_kind
from .profile import Profile
from .synapses import INPUT
from .traffic import Traffic

__all__ = ["UJ_PER_PJ", "Term", "terms_of"]

UJ_PER_PJ = 1e-6
_MISSED = {
    "synop_pj": "synaptic operations",
    "mac_pj": "multiply-accumulates",
    "neuron_access_pj": "neuron updates",
    "spike_pj": "spikes",
    "message_pj": "messages",
}
"""Counts whose price is missed when a profile has none, and what they are called then."""


@dataclasses.dataclass(frozen=True)
class Term:
    """One summand of the dynamic or all-in energy: ``count`` times ``price_pj`` is ``energy_uj``; by layer."""

    name: str
    price_pj: Band
    by_layer: dict[str, float]

    @property
    def count(self) -> float:
        """How often it is paid per sample."""
        return sum(self.by_layer.values())

    @property
    def energy_uj(self) -> Band:
        """count x price."""
        return self.price_pj.times(self.count).times(UJ_PER_PJ)


def terms_of(counts: Counts, profile: Profile, sent: Traffic | None, flow: Flow) -> tuple[list[Term], list[str]]:
    """Summands that have a price, and names of counts that have none."""
    network = counts.network
    synops: dict[str, dict[str, float]] = {"synop_pj": {}}
    for name, count in counts.synops.items():
        matrix = None if network is None else network.matrix(name)
        kind = "dense" if network is None or matrix is None else matrix_kind(network, matrix)
        by_layer = synops.setdefault(profile.synop_name(kind, "pj"), {})
        layer = name if matrix is None else matrix.target
        by_layer[layer] = by_layer.get(layer, 0.0) + count
    counted: dict[str, dict[str, float] | None] = {
        **synops,
        "mac_pj": counts.macs_by_layer,
        "neuron_access_pj": counts.updates_by_layer if counts.neuron_updates else {},
        "neuron_update_pj": counts.active_by_layer if counts.active else {},
        "spike_pj": dict(counts.spikes),
        "message_pj": None if sent is None else sent.messages,
        "hop_ew_pj": None if sent is None else sent.hops_ew,
        "hop_ns_pj": None if sent is None else sent.hops_ns,
    }
    if "chip_mw" in profile.coefficients:
        return [], []
    if (all_in := profile.price("synop_all_in_pj")) is not None:
        gap = [f"mac_pj: {counts.macs:g} multiply-accumulates"] if counts.macs else []
        return [Term("synop_all_in_pj", all_in, synops["synop_pj"])], gap
    prices = {name: price for name in counted if (price := profile.price(name)) is not None}
    if profile.has_memory:
        built = memory_prices(profile, network, flow)
        prices |= {"synop_pj": built["synop"], "mac_pj": built["mac"], "neuron_access_pj": built["update"]}
        counted["event_pj"], prices["event_pj"] = _events(counts), built["event"]
    terms, not_priced = [], []
    power = "dynamic_mw" in profile.coefficients
    missed = {name: words for name, words in _MISSED.items() if name != "spike_pj" or not profile.has_memory}
    for name, layers in counted.items():
        if name in prices and layers is None:
            not_priced.append(f"{name}: messages need a network and the number of input events")
        elif name in prices and layers:
            terms.append(Term(name, prices[name], layers))
        elif name not in prices and not power and name in missed and sum((layers or {}).values()) > 0:
            not_priced.append(f"{name}: {sum((layers or {}).values()):g} {missed[name]}")
    return terms, not_priced


def _events(counts: Counts) -> dict[str, float]:
    """Events whose row of weights is looked up, by the layer that sends them."""
    events = dict(counts.spikes) | ({} if counts.input_events is None else {INPUT: counts.input_events})
    for matrix in counts.network.synapses if counts.network else ():
        if matrix.source not in events and matrix.name in counts.sent:
            events[matrix.source] = counts.sent[matrix.name]
    return events
