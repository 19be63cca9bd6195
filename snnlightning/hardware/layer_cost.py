"""LayerCost: one line of a table by layers, with what a layer did and what that costs."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from .band import Band
from .counts import Counts
from .placement import Placement
from .synapses import INPUT
from .terms import UJ_PER_PJ, Term

__all__ = ["LayerCost", "costs_by_layer"]


@dataclasses.dataclass(frozen=True)
class LayerCost:
    """One layer, per sample; operations belong to the layer where they end, messages to the one where they start.

    Attributes:
        layer: its name, or ``input``; of the weights where the shape of the network is not known.
        neurons: how many; None when the shape is not known.
        cores: how many hold them; None without a placement.
        synops: synaptic operations that end here.
        macs: multiply-accumulates that end here.
        spikes: sent by it; None for neurons that send none, and when nobody counted.
        updates: neurons times steps.
        active_updates: updates with input or bias.
        energy_uj: its share of the terms (dynamic, or all-in); None when none is priced. Static and host power belong to
            no layer.
    """

    layer: str
    neurons: int | None
    cores: int | None
    synops: float
    macs: float
    spikes: float | None
    updates: float
    active_updates: float
    energy_uj: Band | None

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as they go into JSON."""
        energy = None if self.energy_uj is None else self.energy_uj._asdict()
        return {**dataclasses.asdict(self), "energy_uj": energy}


def costs_by_layer(counts: Counts, terms: Sequence[Term], placement: Placement | None) -> tuple[LayerCost, ...]:
    """One line per layer, in the order of the network; at last what belongs to none of them."""
    network = counts.network
    synops, macs = counts.synops_by_layer, counts.macs_by_layer
    updates, active = counts.updates_by_layer, counts.active_by_layer
    energies: dict[str, list[Band]] = {}
    for term in terms:
        for layer, count in term.by_layer.items():
            energies.setdefault(layer, []).append(term.price_pj.times(count).times(UJ_PER_PJ))
    names = [] if network is None else [INPUT, *(layer.name for layer in network.layers)]
    names += [name for name in (*synops, *macs, *counts.spikes, *energies) if network is None]
    sizes = {} if network is None else {name: network.size(name) for name in names}
    sent = {**counts.spikes, **({} if counts.input_events is None else {INPUT: counts.input_events})}
    return tuple(
        LayerCost(
            layer=name,
            neurons=sizes.get(name),
            cores=None if placement is None else len(placement.of(name)),
            synops=synops.get(name, 0.0),
            macs=macs.get(name, 0.0),
            spikes=sent.get(name),
            updates=updates.get(name, 0.0),
            active_updates=active.get(name, 0.0),
            energy_uj=Band.sum(energies[name]) if name in energies else None,
        )
        for name in dict.fromkeys(names)
    )
