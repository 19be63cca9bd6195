"""Baselines: what the artificial network of the same shape would cost, under the same prices as the spiking one.

    RNN:  macs = T_ann x synapses             int8, same memory model, run T_ann times per sample
    QNN:  macs = synapses                     one pass with ceil(log2(T + 1)) bits of activation, for static inputs

The baseline pays for its multiply-accumulates and the weights they read; its activations, its state and its control are free,
which favours the baseline. A GPU is a floor at peak rate that no recurrent network reaches at batch 1. Activations of more than
8 bits are priced like 8, which favours the baseline as well.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import ConfigurationError
from .band import Band
from .counts import Counts
from .estimate import estimate
from .loading import load
from .memory import Flow
from .profile import Profile
from .synapses import whole

__all__ = ["YARDSTICKS", "Baseline", "baselines", "quantised_bits"]

YARDSTICKS = (
    "horowitz2014_cmos45_naive",
    "horowitz2014_cmos45_int8",
    "jouppi2021_cmos7_int8",
    "nano33_cortex_m4",
    "nvidia2022_h100",
    "nvidia2020_a100",
)
"""Priced unless others are asked for: the usual ratio, two generations of CMOS with memory, a microcontroller, two floors."""


@dataclasses.dataclass(frozen=True)
class Baseline:
    """The spiking network and an artificial one under the same prices.

    Attributes:
        profile: the yardstick.
        flow: row or scatter, how the spiking network accumulates where memory is priced; "" where it is not.
        network: ``RNN`` (all steps) or ``QNN`` (one pass on a static input).
        activation_bits: of the artificial network: 8, or those that carry as much as T steps.
        macs: its multiply-accumulates per sample.
        ann_uj: what they cost.
        snn_uj: dynamic energy of the spiking network; None when the yardstick does not price it.
        notes: caveats of the prices.
    """

    profile: str
    flow: str
    network: str
    activation_bits: int
    macs: float
    ann_uj: Band
    snn_uj: Band | None
    notes: tuple[str, ...]

    @property
    def ratio(self) -> float | None:
        """ann / snn, nominal: above 1 the spiking network is cheaper; None when one of them is not priced, or silent."""
        return self.ann_uj.nominal / self.snn_uj.nominal if self.snn_uj is not None and self.snn_uj.nominal else None

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as they go into JSON."""
        snn = None if self.snn_uj is None else self.snn_uj._asdict()
        plain = {**dataclasses.asdict(self), "notes": list(self.notes), "ann_uj": self.ann_uj._asdict(), "snn_uj": snn}
        return {**plain, "ratio": self.ratio}


def quantised_bits(steps: int) -> int:
    """Bits of an activation that carries as much as T steps with or without a spike: ceil(log2(T + 1)).

    Source: Yan et al. 2024.

    Example:
        >>> quantised_bits(6), quantised_bits(7), quantised_bits(8), quantised_bits(100)
        (3, 3, 4, 7)
    """
    whole("steps", steps)
    return steps.bit_length()


def baselines(
    counts: Counts,
    *,
    ann_steps: int | None = None,
    static_input: bool = False,
    profiles: Sequence[Profile | str | Path] = YARDSTICKS,
) -> tuple[Baseline, ...]:
    """The counted network beside artificial ones of the same shape.

    Args:
        counts: of one sample, with the shape of the network.
        ann_steps: how often the artificial network runs per sample (T_ann); None: as often as the spiking one.
        static_input: whether the input does not change over time, so that an artificial network needs one pass; adds the
            rows of the quantised twin.
        profiles: yardsticks; those without a price of multiply-accumulates are refused.

    Raises:
        ConfigurationError: counts without a network, or a profile that prices no multiply-accumulates.

    Example:
        >>> from snnlightning.hardware import Network
        >>> counts = Counts(10, {"readout.w_in": 60.0}, 20.0, input_events=30.0, network=Network.chain(9, [2]))
        >>> row = baselines(counts, profiles=["horowitz2014_cmos45_naive"])[0]
        >>> row.macs, round(row.ann_uj.nominal, 6), round(row.ratio, 2)
        (180.0, 0.000828, 15.33)
    """
    runs = [("RNN", 8, counts.dense_twin(ann_steps))]
    if static_input:
        runs.append(("QNN", quantised_bits(counts.steps), counts.dense_twin(1)))
    rows = []
    for profile in (given if isinstance(given, Profile) else load(given) for given in profiles):
        flows: tuple[Flow, ...] = ("row", "scatter") if profile.has_memory else ("row",)
        for flow in flows:
            spiking = estimate(counts, profile, flow=flow)
            # The price of its neurons alone would make the spiking network look free.
            gap = any(g.startswith(("synop_pj", "mac_pj")) for g in spiking.not_priced)
            for network, bits, twin in runs:
                ann = estimate(twin, profile, flow=flow)
                if "mac_pj" not in {term.name for term in ann.terms} or ann.dynamic_uj is None:
                    raise ConfigurationError(
                        f"{profile.name} prices no multiply-accumulates, so it is no yardstick; take one of {', '.join(YARDSTICKS)}."
                    )
                rows.append(
                    Baseline(
                        profile=profile.name,
                        flow=flow if profile.has_memory else "",
                        network=network,
                        activation_bits=bits,
                        macs=twin.macs,
                        ann_uj=ann.dynamic_uj,
                        snn_uj=None if gap else spiking.dynamic_uj,
                        notes=ann.notes,
                    )
                )
    return tuple(rows)
