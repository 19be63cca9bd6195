"""Every rule with every neuron, under a leaky and a spiking output: trained, or refused with the reason and a way out."""

import dataclasses
import math

import pytest
from helpers import neuron_variants
from learning_cases import batch, gradients, network

from snnlightning import learning
from snnlightning.errors import ConfigurationError
from snnlightning.naming import available
from snnlightning.neurons import LI, LIF, AdLIF, CubaLI, CubaLIF
from snnlightning.readouts import MeanOverTime, SpikeCount

ARGUMENTS = {
    "truncated_bptt": {"steps": 7},
    "eprop": {"feedback": "random"},
    "superspike": {"feedback": "random"},
    "sparse": {"bound": 50.0},
}
NEURONS = [
    *neuron_variants(spiking=True),
    pytest.param(CubaLIF(tau_mem_ms=math.inf), id="cuba_lif-without-leak"),
    pytest.param(CubaLIF(ordering="stork", reset="zero", learn_tau="per_neuron"), id="cuba_lif-learned"),
    pytest.param(LIF(refractory_ms=2.0), id="lif-refractory"),
    pytest.param(LIF(learn_v_th="per_neuron", bounds={"v_th": (0.5, 1.5)}), id="lif-learned-threshold"),
    pytest.param(AdLIF(learn_gains="per_neuron", q=4.0), id="ad_lif-learned-gains"),
]
EVERYTHING = ("bptt", "decolle", "direct_feedback_alignment", "feedback_alignment", "local_errors", "rtrl", "sparse", "truncated_bptt")  # fmt: skip
"""Rules that train every neuron, whatever reads it."""
SUPPORTED = {
    "eprop": lambda neuron, spiking: not spiking,
    "superspike": lambda neuron, spiking: spiking,
    "ottt": lambda neuron, spiking: not isinstance(neuron, CubaLIF),
    "eventprop": lambda neuron, spiking: (
        isinstance(neuron, CubaLIF) and neuron.ordering == "stork" and neuron.reset == "zero" and not neuron.learned
    ),
    "mostafa": lambda neuron, spiking: spiking and isinstance(neuron, CubaLIF) and math.isinf(neuron.tau_mem_ms),
}


@pytest.mark.parametrize("spiking", [False, True], ids=["leaky", "spiking"])
@pytest.mark.parametrize("neuron", NEURONS)
@pytest.mark.parametrize("name", available(learning))
def test_it_trains_every_weight_or_says_why_not_and_what_else(name, neuron, spiking):
    rule = available(learning)[name](**ARGUMENTS.get(name, {}))
    last = neuron if spiking else _integrator(neuron)
    net = network(neuron=neuron, last=last, readout=SpikeCount() if spiking else MeanOverTime(), gain=8.0, recurrent=name != "mostafa")  # fmt: skip
    x, y = batch()
    if name in EVERYTHING or SUPPORTED[name](neuron, spiking):
        found = gradients(rule, net, x, y)
        assert all(gradient.isfinite().all() for gradient in found.values())
        weights = [f"layers.{k}.{weight}" for k in (0, 1) for weight in ("w_in", "w_rec") if getattr(net.layers[k], weight) is not None]  # fmt: skip
        assert [weight for weight in weights if not found[weight].any()] == []
    else:
        with pytest.raises(ConfigurationError, match=rf"^{name} .*; use .*learning='\w+'"):
            rule.check(net)


def _integrator(neuron):
    if not isinstance(neuron, CubaLIF):
        return LI(tau_mem_ms=5.0)
    return CubaLI(tau_mem_ms=5.0, tau_syn_ms=4.0, ordering="stork" if neuron.ordering == "stork" else "seed")


def test_what_is_said_of_every_rule_is_what_there_is():
    assert sorted([*EVERYTHING, *SUPPORTED]) == sorted(available(learning))
    assert all(dataclasses.is_dataclass(rule) for rule in available(learning).values())
