"""Counts and networks: what the metric measures goes in as it is, counts of another network are refused."""

import dataclasses

import pytest
import torch

from snnlightning.errors import ConfigurationError
from snnlightning.hardware import Counts, Layer, Network, Synapses, estimate
from snnlightning.layers import SpikingLayer, SpikingNetwork
from snnlightning.metrics import SynOps
from snnlightning.neurons import LI, LIF
from snnlightning.readouts import MaxOverTime
from snnlightning.surrogates import SuperSpike

NETWORK = Network.chain(4, [3, 2])
SYNOPS = {"hidden_0.w_in": 6.0, "hidden_0.w_rec": 3.0, "readout.w_in": 2.0}
GOOD = Counts(5, SYNOPS, 25.0, {"hidden_0": 1.0}, input_events=2.0, network=NETWORK)


def test_what_the_metric_counts_can_be_priced():
    torch.manual_seed(0)
    surrogate = SuperSpike()
    net = SpikingNetwork(
        [
            SpikingLayer(4, 3, neuron=LIF(dt_ms=1.0), surrogate=surrogate, recurrent=True),
            SpikingLayer(3, 2, neuron=LI(dt_ms=1.0)),
        ],
        MaxOverTime(),
    )
    x = (torch.rand(6, 20, 4) < 0.5).float()
    metric = SynOps()
    metric.update(net(x))
    measured = metric.compute()
    counts = Counts.of(measured, NETWORK, steps=20)
    assert counts.input_events == pytest.approx(float(x.sum()) / 6)
    assert counts.synops_total == pytest.approx(measured.total)
    expected = measured.total * 27.1e-6 + measured.neuron_updates * 81e-6
    assert estimate(counts, "kerasspiking_loihi").dynamic_uj.nominal == pytest.approx(expected)


def test_names_are_those_of_spiking_networks():
    assert [layer.name for layer in Network.chain(4, [3, 3, 2]).layers] == ["hidden_0", "hidden_1", "readout"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"synops": {"hidden_0.w_in": 1.0}}, "counts of another network: they are of hidden_0.w_in; the network has"),
        ({"spikes": {"hidden_7": 1.0}}, "counts of another network: spikes of 'hidden_7'; layers: hidden_0, readout"),
        ({"neuron_updates": 24.0}, r"24 neuron updates; 5 neurons x 5 steps make 25"),
        ({"spikes": {"hidden_0": 0.5}}, "3 operations of hidden_0.w_rec; 0.5 events of 'hidden_0' into 3 neurons"),
        ({"steps": 0}, "steps is 0; a whole number greater than 0"),
        ({"macs": -1.0}, "macs is -1.0; a finite number of 0 or more"),
        ({"input_events": float("nan")}, "input_events is nan"),
        ({"active_updates": 26.0}, "active_updates is 26.0 and neuron_updates 25.0"),
    ],
)
def test_counts_of_another_network_are_refused(change, message):
    with pytest.raises(ConfigurationError, match=message):
        dataclasses.replace(GOOD, **change)


@pytest.mark.parametrize(
    ("layers", "synapses", "message"),
    [
        ((), (), "a network without layers"),
        ((Layer("a", 2), Layer("a", 2)), (), "'a' names two things"),
        ((Layer("input", 2),), (), "'input' names two things"),
        ((Layer("hidden", 2),), (Synapses("w", "input", "hiden"),), "a layer 'hiden'; did you mean 'hidden'"),
        ((Layer("a", 2),), (Synapses("w", "input", "a", 9),), "w has 9 synapses; between 0 and 8 fit"),
    ],
)
def test_networks_that_cannot_be_are_refused(layers, synapses, message):
    with pytest.raises(ConfigurationError, match=message):
        Network(4, layers, synapses)


def test_recurrent_has_one_entry_per_layer():
    with pytest.raises(ConfigurationError, match="recurrent has 1 entries for 2 layers"):
        Network.chain(4, [3, 2], [True])


def test_a_dense_twin_needs_a_network():
    with pytest.raises(ConfigurationError, match="give Counts a network"):
        Counts(5, {"all": 1.0}, 25.0).dense_twin()


def measured() -> tuple[SynOps, Network]:
    torch.manual_seed(0)
    net = SpikingNetwork([SpikingLayer(4, 3, neuron=LIF()), SpikingLayer(3, 2, neuron=LI())], MaxOverTime())
    out = net(torch.ones(1, 5, 4))
    metric = SynOps()
    metric.update(out)
    return metric, Network.of(out)


@pytest.mark.parametrize("steps", [None, "5", 5.0, 0, True])
def test_steps_that_are_no_number_of_steps_are_refused(steps):
    metric, network = measured()
    with pytest.raises(ConfigurationError, match=r"steps is .*; a whole number greater than 0 is expected"):
        Counts.of(metric.compute(), network, steps)


def test_what_are_no_counts_or_no_network_is_named_with_the_way_out():
    metric, network = measured()
    counts = metric.compute()
    for given, message in (
        (metric, r"a SynOps without by_connection; .*SynOps\(\)\.compute\(\) gives them"),
        (counts.as_dict(), r"a dict without by_connection; .*Counts\.from_dict takes a table"),
        (None, "a NoneType without by_connection"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            Counts.of(given, network, 5)
    with pytest.raises(ConfigurationError, match=r"network is a NoneType; .*Network\.of\(net\(x\)\)"):
        Counts.of(counts, None, 5)
    with pytest.raises(ConfigurationError, match=r"counts are a SynOpsCounts; Counts are expected: Counts\.of"):
        estimate(counts, "davies2018_loihi")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"events": {"readout.w_in": "x"}}, r"events of 'readout\.w_in' is 'x'; a finite number"),
        ({"updates": {"hidden_0": float("nan")}}, "updates of 'hidden_0' is nan; a finite number"),
        ({"updates": {"conv": 5.0}}, "another network: updates of 'conv'; layers: hidden_0, readout"),
    ],
)
def test_a_table_with_an_entry_that_is_no_count_is_refused(changed, message):
    metric, network = measured()
    with pytest.raises(ConfigurationError, match=message):
        Counts.from_dict({**metric.compute().as_dict(), **changed}, network, 5)
