"""Limits: what of a network does not fit a chip, and what nobody checked.

A wall (fan-in, width of a weight, input channels) stays whatever one spends; a budget (cores, neurons, synapse memory, the
deadline of a step) yields to more chips or more time. A limit that a profile does not give is unchecked, never passed.
"""

import dataclasses
from collections.abc import Iterator

from .counts import Counts
from .network import Network
from .placement import Placement
from .profile import Profile
from .vocabulary import LIMITS

__all__ = ["Misfit", "check"]

_ASKED = ("fan_in", "inputs", "outputs", "weight_bits", "neurons", "synapses")
"""What is asked of every chip; the others belong to some."""


@dataclasses.dataclass(frozen=True)
class Misfit:
    """One limit that is passed: ``needed`` of it, where the chip has ``limit``."""

    name: str
    needed: float
    limit: float

    @property
    def excess(self) -> float:
        """By how much it is passed: needed / limit - 1, or needed itself where the chip has none of it."""
        return self.needed / self.limit - 1.0 if self.limit else float(self.needed)

    def __str__(self) -> str:
        meaning = LIMITS[self.name].meaning if self.name in LIMITS else "time of a step, in us"
        return f"{self.name} {self.needed:,.10g} > {self.limit:,.10g} ({meaning})"


def check(
    counts: Counts, profile: Profile, placement: Placement | None
) -> tuple[list[Misfit], list[Misfit], list[str]]:
    """Walls, budgets, and the limits that are unchecked."""
    network = counts.network
    if network is None:
        return [], [], sorted({*_ASKED, *profile.limits} - set(profile.unlimited))
    misfits = []
    checked = set(profile.unlimited)
    for name, needed in _needs(network, profile, placement):
        limit = profile.limit(name)
        if limit is not None:
            checked.add(name)
            if needed > limit:
                misfits.append(Misfit(name, needed, limit))
    if placement is not None and profile.limit("cores") is not None:
        checked.add("neurons")
    if profile.limit("synapse_memory_bits") is not None:
        checked.add("synapses")
    walls = [misfit for misfit in misfits if LIMITS[misfit.name].kind == "wall"]
    if placement is not None and placement.too_large:
        largest = max(placement.memory_bits[name] for name in placement.too_large)
        walls.append(Misfit("synapse_memory_bits", largest, profile.limit("synapse_memory_bits") or 0))
    budgets = [misfit for misfit in misfits if LIMITS[misfit.name].kind == "budget"]
    delayed = ("delay_steps",) if any(matrix.delay_steps for matrix in network.synapses) else ()
    return walls, budgets, [name for name in (*_ASKED, *delayed) if name not in checked]


def _needs(network: Network, profile: Profile, placement: Placement | None) -> Iterator[tuple[str, float]]:
    fan_in = max(network.fan_in(layer.name) for layer in network.layers)
    yield "fan_in", fan_in
    yield "in_axons_per_core", fan_in
    yield "inputs", network.inputs
    yield "outputs", network.layers[-1].neurons
    yield "recurrent_connections", sum(matrix.source == matrix.target for matrix in network.synapses)
    yield "weight_bits", max(map(network.bits_of, network.synapses), default=network.weight_bits)
    yield "state_bits", network.state_bits
    yield "neurons", network.neurons
    yield "hidden_neurons", network.neurons - network.layers[-1].neurons
    yield "synapses", network.synapses_total
    yield "layers", sum(layer.updated for layer in network.layers)
    yield "delay_steps", max((matrix.delay_steps for matrix in network.synapses), default=0)
    yield "destinations", max(_destinations(network, layer.name) for layer in network.layers)
    kernels = [matrix.kernel for matrix in network.synapses if matrix.kernel is not None]
    yield "kernel_taps", max((tap for kernel in kernels for tap in kernel.taps), default=1)
    yield "places", max((place for kernel in kernels for place in kernel.places), default=1)
    yield "channels", max(_channels(network, layer.name) for layer in network.layers)
    if placement is not None:
        yield "cores", len(placement.cores)
        yield "out_axons_per_core", max(placement.out_axons.values())


def _destinations(network: Network, source: str) -> int:
    return len({matrix.target for matrix in network.synapses if matrix.source == source})


def _channels(network: Network, layer: str) -> int:
    """Channels of a layer; a layer without places has one per neuron."""
    kernels = [matrix.kernel for matrix in network.into(layer) if matrix.kernel is not None]
    return max((kernel.channels_out for kernel in kernels), default=network.size(layer))
