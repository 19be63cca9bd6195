"""Latency: the time of a step, which is that of its slowest core and not a sum over cores."""

import itertools

from .band import Band
from .counts import Counts
from .placement import Placement, axons_of, matrix_kind
from .profile import Profile
from .traffic import busiest_link, traffic

__all__ = ["step_latency_ns", "sync_ns"]

_SYNC = {1: "sync_ns", 2: "sync_2_tiles_ns", 4: "sync_4_tiles_ns", 29: "sync_29_tiles_ns", 32: "sync_32_tiles_ns"}
"""Numbers of tiles whose barrier somebody published."""


def step_latency_ns(counts: Counts, profile: Profile, placement: Placement) -> Band | None:
    """Time of one step on the slowest core or link, in ns; None when times, or the events that take them, are not known.

    t_step = t_sync(tiles) + max(max_core[messages t_msg + synops t_syn],
                                 max_core[n t_access + active t_update + spikes t_spike],
                                 max_link[messages] t_link)

    Work is taken as even over steps and over the neurons of a layer, so this is the mean step: bursts are slower. MACs have
    no time: with them, None.
    """
    network = counts.network
    if network is None or profile.price("synop_ns") is None or counts.macs:
        return None
    if profile.price("message_ns") is not None and traffic(counts, placement) is None:
        return None

    def price(name: str) -> Band:
        return profile.price(name) or Band.exact(0.0)

    work: list[Band] = []
    active = counts.active_by_layer
    for layer in network.layers:
        neurons = max(core.neurons for core in placement.of(layer.name))
        share = neurons / layer.neurons / counts.steps
        arriving = []
        for matrix in network.into(layer.name):
            reaching = axons_of(network, matrix, neurons) / network.size(matrix.source)
            arriving.append(price("message_ns").times((counts.sent_through(matrix) or 0.0) * reaching / counts.steps))
            operation = profile.synop_name(matrix_kind(network, matrix), "ns")
            arriving.append(price(operation).times(counts.synops.get(matrix.name, 0.0) * share))
        work.append(Band.sum(arriving))
        work.append(
            Band.sum(
                [
                    price("neuron_access_ns").times(neurons),
                    price("neuron_update_ns").times(active.get(layer.name, 0.0) * share),
                    price("spike_ns").times(counts.spikes.get(layer.name, 0.0) * share),
                ]
            )
        )
    if (link := profile.price("link_ns")) is not None:
        work.append(link.times((busiest_link(counts, placement) or 0.0) / counts.steps))
    return Band.sum([sync_ns(profile, placement.tiles), Band.max(work)])


def sync_ns(profile: Profile, tiles: int) -> Band:
    """End of a step on so many tiles: linear between the published numbers of tiles, outside of them as the nearest one."""
    points = [(at, price) for at, name in _SYNC.items() if (price := profile.price(name)) is not None]
    if not points:
        return Band.exact(0.0)
    for (left, below), (right, above) in itertools.pairwise(points):
        if left <= tiles <= right:
            share = (tiles - left) / (right - left)
            return Band.sum([below.times(1.0 - share), above.times(share)])
    return points[0][1] if tiles < points[0][0] else points[-1][1]
