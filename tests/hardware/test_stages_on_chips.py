"""From a model to its price with stages that are no plain layer: pooling, delays, layers of different precision."""

import pytest
import torch

from snnlightning.errors import UnknownNameError
from snnlightning.hardware import Counts, Layer, Network, estimate
from snnlightning.layers import (
    ConvolutionalLayer,
    DelayedLayer,
    Flatten,
    Quantization,
    SpikingLayer,
    SpikingNetwork,
    SumPool,
    Unflatten,
)
from snnlightning.metrics import SynOps, footprint
from snnlightning.neurons import ALIF, LI, LIF, AdLIF, CubaLIF
from snnlightning.readouts import MaxOverTime
from snnlightning.training import SpikingModule


def spikes(*shape: int, rate: float = 0.4) -> torch.Tensor:
    return (torch.rand(*shape, generator=torch.Generator().manual_seed(0)) < rate).float()


def priced(network: SpikingNetwork, x: torch.Tensor, profile: str = "davies2018_loihi"):
    model = SpikingModule(network, num_classes=3).eval()
    with torch.no_grad():
        out = model(x)
    metric = SynOps()
    metric.update(out)
    shape = model.shape_of(out)
    assert isinstance(shape.network, Network)
    counts = Counts.of(metric.compute(), shape.network, shape.steps)
    return counts, estimate(counts, profile, dt_ms=1.0), shape


def test_pooling_has_no_updates_and_its_relays_are_placed_and_said():
    torch.manual_seed(0)
    layers = [
        Unflatten([1, 4, 4]),
        ConvolutionalLayer(1, 2, [3, 3], neuron=LIF(), padding=1),
        SumPool([2, 2]),
        Flatten(),
        SpikingLayer(8, 3, neuron=LI()),
    ]
    counts, found, shape = priced(SpikingNetwork(layers, MaxOverTime()), spikes(2, 7, 16))
    assert counts.updates_by_layer == {"hidden_0": 32 * 7, "pool_0": 0, "readout": 3 * 7}
    assert (shape.network.neurons, shape.network.updated_neurons) == (32 + 8 + 3, 32 + 3)
    accesses = next(term for term in found.terms if term.name == "neuron_access_pj")
    assert accesses.count == 35 * 7
    assert {core.layer for core in found.placement.cores} >= {"hidden_0", "pool_0", "readout"}
    assert "pool_0 is placed as 8 relays; their updates are not priced" in found.notes
    assert "layers" not in {misfit.name for misfit in estimate(counts, "yao2024_speck").budgets}


def test_a_network_without_pooling_says_nothing_of_relays():
    _, found, _ = priced(SpikingNetwork([SpikingLayer(5, 3, neuron=LI())], MaxOverTime()), spikes(2, 7, 5))
    assert not any("relays" in note for note in found.notes)


@pytest.mark.parametrize(
    ("profile", "delay", "needed", "unchecked"),
    [
        ("davies2018_loihi", 62, None, False),
        ("davies2018_loihi", 63, 63, False),
        ("yao2024_speck", 1, 1, False),
        ("bos2024_xylo", 1, None, True),
    ],
)
def test_delays_longer_than_a_chip_has_are_a_wall_and_where_it_does_not_say_unchecked(
    profile, delay, needed, unchecked
):
    layers = [
        DelayedLayer(5, 4, neuron=LIF(), max_delay_ms=70.0, delay_ms=float(delay), learn_delay=False),
        SpikingLayer(4, 3, neuron=LI()),
    ]
    _, found, shape = priced(SpikingNetwork(layers, MaxOverTime()), spikes(2, 100, 5), profile)
    assert [matrix.delay_steps for matrix in shape.network.synapses] == [delay, 0]
    assert {misfit.name: misfit.needed for misfit in found.walls}.get("delay_steps") == needed
    assert ("delay_steps" in found.unchecked) == unchecked


def test_a_network_without_delays_does_not_ask_for_them():
    network = Network.chain(5, [4, 3])
    found = estimate(Counts(7, {m.name: 0.0 for m in network.synapses}, 49.0, network=network), "bos2024_xylo")
    assert "delay_steps" not in found.unchecked


def test_each_layer_is_placed_and_stored_with_the_width_of_its_own_weights():
    layers = [
        SpikingLayer(6, 4, neuron=LIF(), recurrent=True, quantization=Quantization(weight_bits=4)),
        SpikingLayer(4, 5, neuron=LIF(), quantization=Quantization(weight_bits=2)),
        SpikingLayer(5, 3, neuron=LI()),
    ]
    for layer in layers:  # no weight is rounded to zero
        torch.nn.init.uniform_(layer.w_in, 0.6, 1.0)
    torch.nn.init.uniform_(layers[0].w_rec, 0.6, 1.0)
    network = SpikingNetwork(layers, MaxOverTime())
    _, _, shape = priced(network, spikes(2, 7, 6))
    assert {m.name: shape.network.bits_of(m) for m in shape.network.synapses} == {
        "hidden_0.w_in": 4,
        "hidden_0.w_rec": 4,
        "hidden_1.w_in": 2,
        "readout.w_in": 8,
    }
    assert shape.network.weight_memory_bits == 40 * 4 + 20 * 2 + 15 * 8
    assert shape.footprint.parameters == 40 * 4 // 8 + 20 * 2 // 8 + 15 * 4
    model = SpikingModule(network, num_classes=3)
    assert model.floating == ("weights", "states")
    for layer in layers:
        layer.set_quantization(Quantization(weight_bits=4, state_bits=12))
    assert model.floating == ()


def test_widths_of_parameters_that_are_not_there_are_refused():
    layer = SpikingLayer(6, 4, neuron=LIF())
    with pytest.raises(UnknownNameError, match=r"no parameter for weight_bits named 'w_inn'; did you mean 'w_in'\?"):
        footprint(layer, [layer.run(spikes(1, 2, 6))], weight_bits={"w_inn": 4})


@pytest.mark.parametrize("neuron", [ALIF(), AdLIF(), CubaLIF(refractory_ms=2.0), LIF(refractory_ms=3.0)], ids=repr)
def test_adaptive_and_refractory_neurons_are_counted_quantised_placed_and_priced(neuron):
    torch.manual_seed(0)
    quantization = Quantization(weight_bits=8, state_bits=20)
    layers = [
        SpikingLayer(6, 9, neuron=neuron, recurrent=True, quantization=quantization),
        SpikingLayer(9, 3, neuron=LI(), quantization=quantization),
    ]
    with torch.no_grad():  # no weight is rounded to zero
        for weight in (layers[0].w_in, layers[0].w_rec, layers[1].w_in):
            weight.uniform_(2.0, 4.0)
        layers[0].w_rec.neg_()
    counts, found, shape = priced(SpikingNetwork(layers, MaxOverTime()), spikes(4, 30, 6))
    assert counts.spikes["hidden_0"] > 0
    assert counts.synops["hidden_0.w_rec"] == counts.spikes["hidden_0"] * 9
    assert found.dynamic_uj is not None
    assert found.fits is True
    variables = len(neuron.state_names) * 9 + len(LI().state_names) * 3
    assert shape.footprint.state >= variables * 20 // 8


def test_a_layer_that_is_not_updated_is_told_apart_from_one_that_is():
    assert Layer("pool_0", 4, updated=False) != Layer("pool_0", 4)
