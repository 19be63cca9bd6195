"""Terms: which counts are multiplied with which prices, and which counts nobody prices."""

import dataclasses

from .band import Band
from .counts import Counts
from .memory import Flow, memory_prices
from .network import INPUT
from .placement import Traffic
from .profile import Profile

__all__ = ["UJ_PER_PJ", "Term", "terms_of"]

UJ_PER_PJ = 1e-6
_MACS = "macs"
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
    target = {matrix.name: matrix.target for matrix in network.synapses} if network else {}
    synops: dict[str, float] = {}
    for name, count in counts.synops.items():
        layer = target.get(name, name)
        synops[layer] = synops.get(layer, 0.0) + count
    first = network.layers[0].name if network else _MACS
    shares = {layer.name: layer.neurons / network.neurons for layer in network.layers} if network else {"network": 1.0}

    def spread(total: float) -> dict[str, float]:
        return {layer: total * share for layer, share in shares.items()}

    counted: dict[str, dict[str, float] | None] = {
        "synop_pj": synops,
        "mac_pj": {first: counts.macs} if counts.macs else {},
        "neuron_access_pj": spread(counts.neuron_updates) if counts.neuron_updates else {},
        "neuron_update_pj": spread(counts.active) if counts.active else {},
        "spike_pj": dict(counts.spikes),
        "message_pj": None if sent is None else sent.messages,
        "hop_ew_pj": None if sent is None else sent.hops_ew,
        "hop_ns_pj": None if sent is None else sent.hops_ns,
    }
    if "chip_mw" in profile.coefficients:
        return [], []
    if (all_in := profile.price("synop_all_in_pj")) is not None:
        gap = [f"mac_pj: {counts.macs:g} multiply-accumulates"] if counts.macs else []
        return [Term("synop_all_in_pj", all_in, synops)], gap
    prices = {name: price for name in counted if (price := profile.price(name)) is not None}
    if profile.has_memory:
        built = memory_prices(profile, network, flow)
        prices |= {"synop_pj": built["synop"], "mac_pj": built["mac"], "neuron_access_pj": built["update"]}
        events = dict(counts.spikes) | ({} if counts.input_events is None else {INPUT: counts.input_events})
        counted["event_pj"], prices["event_pj"] = events, built["event"]
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
