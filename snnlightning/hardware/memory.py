"""Memory: the price of an operation on generic CMOS, built from adders, multipliers and SRAM of the network's size.

    e_x    = E_sram(size_x) * bits_x / 64,   E_sram piecewise linear in the size
    synop  = add_int8 + e_w (+ 2 e_s)        weight read; scatter: the potential is read and written at every operation
    update = mul_int32 + 2 add_int32 (+ 2 e_s)   leak, input, compare; row: the potential is read and written per step
    event  = e_a                             the address of the row of weights, read from the weight memory
    mac    = mul_int8 + add_int8 + e_w

``row`` accumulates whole rows beside the memory, ``scatter`` touches each potential at each event and makes up the leak
there, so that a step costs no access. A kernel is stored once. Widths of state (16 bits) and address (32 bits) and the 32-bit leak are our choice:
the sources price parts only, and these widths agree with the worked example of the tests, which does not state its own.
Sizes below the smallest published memory cost as much as that one.
"""

import itertools
from typing import Literal

from ..errors import ConfigurationError
from .band import Band
from .network import Network
from .profile import Profile

__all__ = ["Flow", "memory_prices", "sram_pj"]

Flow = Literal["row", "scatter"]

_WORD_BITS = 64
_ADDRESS_BITS = 32
_KIB = 1024.0


def sram_pj(profile: Profile, size_bytes: float) -> Band:
    """Energy of one 64-bit access to a memory, in pJ.

    Args:
        profile: a profile with prices of memory.
        size_bytes: capacity; between the published sizes linear, outside of them as the nearest one.
    """
    points = [(8.0, "sram_8kib_pj"), (32.0, "sram_32kib_pj"), (1024.0, "sram_1mib_pj")]
    size_kib = min(max(size_bytes / _KIB, points[0][0]), points[-1][0])
    for (left, below), (right, above) in itertools.pairwise(points):
        if size_kib <= right:
            share = (size_kib - left) / (right - left)
            return Band.sum([_part(profile, below).times(1.0 - share), _part(profile, above).times(share)])
    raise AssertionError(size_kib)


def memory_prices(profile: Profile, network: Network | None, flow: Flow) -> dict[str, Band]:
    """Prices in pJ of ``synop``, ``mac``, ``update`` and ``event`` for a network of this size.

    Raises:
        ConfigurationError: no network (memory prices depend on its size), or no such flow.
    """
    if network is None:
        raise ConfigurationError(f"{profile.name} prices memory by its size; give Counts a network.")
    if flow not in ("row", "scatter"):
        raise ConfigurationError(f"flow is {flow!r}; row or scatter is expected.")
    size_bits = network.weight_memory_bits
    weights = sram_pj(profile, size_bits / 8)
    # Where widths differ: the mean of the stored ones.
    stored = sum(network.weights_of(matrix) for matrix in network.synapses)
    e_w = weights.times((size_bits / stored if stored else network.weight_bits) / _WORD_BITS)
    e_a = weights.times(_ADDRESS_BITS / _WORD_BITS)
    e_s = sram_pj(profile, network.updated_neurons * network.state_bits / 8).times(network.state_bits / _WORD_BITS)
    add, mul = _part(profile, "add_int8_pj"), _part(profile, "mul_int8_pj")
    leak = [_part(profile, "mul_int32_pj"), _part(profile, "add_int32_pj").times(2)]
    return {
        "synop": Band.sum([add, e_w, *([e_s.times(2)] if flow == "scatter" else [])]),
        "update": Band.sum([*leak, *([e_s.times(2)] if flow == "row" else [])]),
        "event": e_a,
        "mac": Band.sum([mul, add, e_w]),
    }


def _part(profile: Profile, name: str) -> Band:
    price = profile.price(name)
    if price is None:
        raise ConfigurationError(f"{profile.name} prices memory, but not {name}; all parts are needed.")
    return price
