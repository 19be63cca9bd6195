"""Vocabulary of profiles: what a coefficient or a limit may be called, and what its name means.

A name ends in its unit. What a coefficient is multiplied with follows from its name, so a profile cannot say it wrongly.
"""

from typing import Literal, NamedTuple

__all__ = [
    "CLOCKS",
    "COEFFICIENTS",
    "EVIDENCE",
    "LIMITS",
    "MEMORY",
    "READING",
    "SCOPES",
    "CoefficientKind",
    "LimitKind",
]

Scope = Literal["one term", "all-in", "power times time", "time", "component"]
SCOPES: tuple[str, ...] = ("one term", "all-in", "power times time", "time", "component")
"""one term: one summand of the energy; all-in: everything the chip used, divided by the events; power times time: watts
that need a latency; time: a summand of the latency; component: a part from which a term is built (memory, adders)."""

EVIDENCE: dict[str, str] = {
    "measured": "measured on the chip",
    "fitted": "regressed on measurements of the chip",
    "simulated": "simulated before there was silicon",
    "datasheet": "stated by the manufacturer",
    "declared": "stated by a tool or a paper without its own measurement",
    "bound": "known from one side only",
    "derived": "computed from other published numbers; the note shows how",
}
READING: dict[str, str] = {
    "primary": "read in the primary source",
    "digest": "read in a digest of the primary source",
    "recalled": "recalled, not re-read: verify before it is relied on",
}
CLOCKS = ("free", "real-time", "accelerated", "none")
"""free: a step takes as long as the work; real-time: dt; accelerated: dt / speedup; none: not known to the profile."""


class CoefficientKind(NamedTuple):
    """unit: what the number is in; scope: what it may be used for; meaning: what it is the price of."""

    unit: str
    scope: str
    meaning: str


COEFFICIENTS: dict[str, CoefficientKind] = {
    "synop_pj": CoefficientKind("pJ per synaptic operation", "one term", "a spike that passes a synapse"),
    "synop_sparse_pj": CoefficientKind(
        "pJ per synaptic operation", "one term", "the same where weights are missing; without it as dense"
    ),
    "synop_conv_pj": CoefficientKind(
        "pJ per synaptic operation", "one term", "the same of a convolution; without it as dense"
    ),
    "mac_pj": CoefficientKind("pJ per multiply-accumulate", "one term", "an analog value that passes a synapse"),
    "neuron_access_pj": CoefficientKind("pJ per neuron and step", "one term", "a neuron that is visited in a step"),
    "neuron_update_pj": CoefficientKind("pJ per active neuron and step", "one term", "extra when it has input or bias"),
    "spike_pj": CoefficientKind("pJ per spike", "one term", "extra when it fires"),
    "message_pj": CoefficientKind("pJ per spike and destination core", "one term", "a spike that reaches a core"),
    "hop_ew_pj": CoefficientKind("pJ per message and hop", "one term", "one tile to the east or west"),
    "hop_ns_pj": CoefficientKind("pJ per message and hop", "one term", "one tile to the north or south"),
    "synop_all_in_pj": CoefficientKind("pJ per synaptic operation", "all-in", "chip power over rate of operations"),
    "chip_mw": CoefficientKind("mW", "all-in", "the whole chip while it runs"),
    "dynamic_mw": CoefficientKind("mW", "power times time", "what running adds to idling"),
    "static_mw": CoefficientKind("mW", "power times time", "leakage and clocks of an idle chip"),
    "host_mw": CoefficientKind("mW", "power times time", "the processors beside the cores, waiting"),
    "host_busy_mw": CoefficientKind("mW", "power times time", "what they add while they work"),
    "synop_ns": CoefficientKind("ns per synaptic operation", "time", "on one core"),
    "synop_sparse_ns": CoefficientKind("ns per synaptic operation", "time", "the same where weights are missing"),
    "synop_conv_ns": CoefficientKind("ns per synaptic operation", "time", "the same of a convolution"),
    "message_ns": CoefficientKind("ns per message", "time", "received by one core"),
    "neuron_access_ns": CoefficientKind("ns per neuron and step", "time", "on one core"),
    "neuron_update_ns": CoefficientKind("ns per active neuron and step", "time", "extra, on one core"),
    "spike_ns": CoefficientKind("ns per spike", "time", "extra, on one core"),
    "link_ns": CoefficientKind("ns per message and link", "time", "over a link between two tiles: 1 / bandwidth"),
    "sync_ns": CoefficientKind("ns per step", "time", "end of a step on one tile"),
    "sync_2_tiles_ns": CoefficientKind("ns per step", "time", "end of a step on two tiles"),
    "sync_4_tiles_ns": CoefficientKind("ns per step", "time", "end of a step on four tiles"),
    "sync_29_tiles_ns": CoefficientKind("ns per step", "time", "end of a step on 29 tiles"),
    "sync_32_tiles_ns": CoefficientKind("ns per step", "time", "end of a step on 32 tiles"),
    "speedup": CoefficientKind("ratio of model time to chip time", "time", "accelerated analog neurons"),
    "add_int8_pj": CoefficientKind("pJ per addition", "component", "8-bit integers"),
    "mul_int8_pj": CoefficientKind("pJ per multiplication", "component", "8-bit integers"),
    "add_int32_pj": CoefficientKind("pJ per addition", "component", "32-bit integers"),
    "mul_int32_pj": CoefficientKind("pJ per multiplication", "component", "32-bit integers"),
    "sram_8kib_pj": CoefficientKind("pJ per 64-bit access", "component", "memory of 8 KiB"),
    "sram_32kib_pj": CoefficientKind("pJ per 64-bit access", "component", "memory of 32 KiB"),
    "sram_1mib_pj": CoefficientKind("pJ per 64-bit access", "component", "memory of 1 MiB"),
}
MEMORY = tuple(name for name, kind in COEFFICIENTS.items() if kind.scope == "component")


class LimitKind(NamedTuple):
    """kind: wall (more chips do not help), budget (more chips or time help) or layout (how things are placed)."""

    kind: Literal["wall", "budget", "layout"]
    unit: str
    meaning: str


LIMITS: dict[str, LimitKind] = {
    "fan_in": LimitKind("wall", "synapses per neuron", "inputs of one neuron"),
    "in_axons_per_core": LimitKind(
        "wall", "axons", "sources of one core; every neuron of a dense layer needs them all"
    ),
    "inputs": LimitKind("wall", "channels", "input channels"),
    "outputs": LimitKind("wall", "neurons", "output neurons"),
    "recurrent_connections": LimitKind("wall", "connections", "recurrent weight matrices"),
    "weight_bits": LimitKind("wall", "bits", "bits of a weight"),
    "kernel_taps": LimitKind("wall", "taps", "taps of a kernel along one axis"),
    "channels": LimitKind("wall", "channels", "channels of one layer"),
    "places": LimitKind("wall", "places", "places of a layer along one axis"),
    "destinations": LimitKind("wall", "layers", "layers that one layer feeds"),
    "delay_steps": LimitKind("wall", "steps", "longest delay of a synapse"),
    "layers": LimitKind("budget", "layers", "layers of one chip"),
    "state_bits": LimitKind("wall", "bits", "bits of a potential or a current, sign included"),
    "decay_bits": LimitKind("wall", "bits", "bits of a decay after the point"),
    "cores": LimitKind("budget", "cores", "cores of one chip"),
    "neurons_per_core": LimitKind("budget", "neurons", "neurons of one core"),
    "neurons": LimitKind("budget", "neurons", "neurons of one chip"),
    "hidden_neurons": LimitKind("budget", "neurons", "neurons of one chip, outputs not counted"),
    "synapses": LimitKind("budget", "synapses", "synapses of one chip"),
    "synapse_memory_bits": LimitKind("budget", "bits", "synapse memory of one core"),
    "out_axons_per_core": LimitKind("budget", "axons", "destinations of one core"),
    "input_cores": LimitKind("layout", "1: yes, 0: no", "inputs are sent from cores of the chip"),
    "cores_per_tile": LimitKind("layout", "cores", "cores that share a router"),
    "axon_overhead_bits": LimitKind("layout", "bits", "synapse memory that each axon costs beside its weights"),
    "axon_index_bits": LimitKind("layout", "bits", "fewest bits that name the target of a weight in a sparse axon"),
    "shared_kernels": LimitKind("layout", "1: yes, 0: no", "the places of a kernel share its stored weights"),
    "axon_word_bits": LimitKind("layout", "bits", "the synapses of an axon fill whole words of this size"),
}
