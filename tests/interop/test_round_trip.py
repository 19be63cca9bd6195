"""to_nir and from_nir: the way there and back changes no spike and no weight, for every neuron of the package."""

import dataclasses
import importlib
import itertools
import json
import math

import numpy as np
import pytest
import torch
from helpers import neuron_variants
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils import parametrize

from snnlightning.errors import ConfigurationError
from snnlightning.interop import DIALECTS, from_nir, read_nir, to_nir, write_nir
from snnlightning.layers import Quantization, SpikingLayer, SpikingNetwork
from snnlightning.naming import available
from snnlightning.neurons import IF, LI, LIF, AbstractNeuron, CubaLI, CubaLIF
from snnlightning.readouts import LastStep, MaxOverTime, SpikeCount
from snnlightning.surrogates import ATan, SuperSpike, Triangle
from snnlightning.training import SpikingModule

nir = pytest.importorskip("nir", minversion="1.0.6")

EXPRESSIBLE = (IF, LI, LIF, CubaLI, CubaLIF)
VARIANTS = [parameter for parameter in neuron_variants() if type(parameter.values[0]) in EXPRESSIBLE]
SIZE = 5


def network(neuron: AbstractNeuron, *, recurrent: bool = False, bias: bool = False, seed: int = 0) -> SpikingNetwork:
    """3 inputs, two layers of the neuron, and a readout that spikes when the neuron does."""
    torch.manual_seed(seed)
    loop = recurrent and neuron.spiking
    surrogate = Triangle(gamma=0.4) if neuron.spiking else None
    layers = [
        SpikingLayer(n_in, SIZE, neuron=neuron, surrogate=surrogate, recurrent=loop, bias=bias) for n_in in (3, SIZE)
    ]
    with torch.no_grad():
        for layer in layers:
            layer.w_in.mul_(30.0 if getattr(neuron, "ordering", "seed") == "stork" else 3.0)
            if layer.bias is not None:
                layer.bias.uniform_(-0.1, 0.2)
    return SpikingNetwork(layers, SpikeCount() if neuron.spiking else LastStep())


def spikes_of(net: SpikingNetwork, x: Tensor) -> list[Tensor]:
    with torch.no_grad():
        out = net(x.to(net.layers[0].w_in.dtype))
    return [record.output for record in out.records] + [out.logits]


def inputs(seed: int = 0, steps: int = 25) -> Tensor:
    return (torch.rand(4, steps, 3, generator=torch.Generator().manual_seed(seed)) < 0.4).float()


def assert_same(net: SpikingNetwork, again: SpikingNetwork) -> None:
    """The same records, parameters by name, dtype and bit, and outputs by bit; the outputs are not all silent."""
    for mine, theirs in zip(net.layers, again.layers, strict=True):
        assert theirs.neuron == mine.neuron
        assert theirs.surrogate == mine.surrogate
        assert theirs.state_dict().keys() == mine.state_dict().keys()
        for name, values in mine.state_dict().items():
            assert theirs.state_dict()[name].dtype == values.dtype
            assert torch.equal(theirs.state_dict()[name], values), name
    assert again.readout == net.readout
    x = inputs()
    for mine, theirs in zip(spikes_of(net, x), spikes_of(again, x), strict=True):
        assert torch.equal(mine, theirs)
        assert mine.any()


def with_taus(neuron: AbstractNeuron, how: str) -> AbstractNeuron | None:
    """The neuron with time constants per neuron or learned; None when it has none."""
    if how == "shared":
        return neuron
    if not neuron.time_constants:
        return None
    taus = {
        name: [base + k for k in range(SIZE)] for name, base in zip(neuron.time_constants, (7.3, 3.1), strict=False)
    }
    return dataclasses.replace(neuron, **({} if how == "learned" else taus), learn_tau="none" if how == "list" else (
        "per_neuron" if how == "learned_list" else "shared"))  # fmt: skip


# Every pair of (recurrent, bias, dtype) is there, with every neuron and every kind of time constant.
SHAPES = {
    "forward-f32": (False, False, torch.float32),
    "forward-bias-f64": (False, True, torch.float64),
    "recurrent-f64": (True, False, torch.float64),
    "recurrent-bias-f32": (True, True, torch.float32),
}
CASES = [
    pytest.param(variant, *shape, id=f"{parameter.id}-{how}-{name}")
    for parameter, how, (name, shape) in itertools.product(
        VARIANTS, ("shared", "list", "learned", "learned_list"), SHAPES.items()
    )
    if (variant := with_taus(parameter.values[0], how)) is not None and (variant.spiking or not shape[0])
]


@pytest.mark.parametrize(("neuron", "recurrent", "bias", "dtype"), CASES)
def test_the_way_there_and_back_changes_nothing(neuron, recurrent, bias, dtype, tmp_path):
    net = network(neuron, recurrent=recurrent, bias=bias).to(dtype)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if "log_tau" in name:
                parameter.add_(0.3 * torch.rand(parameter.shape, dtype=dtype))
    graph = to_nir(net)
    assert_same(net, from_nir(graph))
    if bias:
        assert_same(net, from_nir(write_nir(graph, tmp_path / "net.nir")))


@pytest.mark.parametrize("name", DIALECTS)
@pytest.mark.parametrize("neuron", [parameter for parameter in VARIANTS if parameter.values[0].spiking])
def test_every_dialect_comes_back_to_the_bit_too(name, neuron):
    net = network(neuron, recurrent=True)
    assert_same(net, from_nir(to_nir(net, dialect=name)))


@pytest.mark.parametrize(("name", "ordering"), [("norse", "seed"), ("sinabs", "stork"), ("spyx", "stork")])
def test_a_potential_that_a_reader_would_scale_is_refused(name, ordering):
    with pytest.raises(
        ConfigurationError, match=f"layer 'hidden_0' .LI.: readers of dialect '{name}' ignore r, so its"
    ):
        to_nir(network(LI(ordering=ordering)), dialect=name)
    other = {"seed": "stork", "stork": "seed"}[ordering]
    net = network(LI(ordering=other))
    assert_same(net, from_nir(to_nir(net, dialect=name)))


def test_a_dialect_of_the_users_own_travels_with_the_graph():
    own = dataclasses.replace(DIALECTS["norse"], name="mine", step_s=0.002)
    net = network(LIF())
    graph = to_nir(net, dialect=own)
    assert graph.nodes["hidden_0"].tau[0] == pytest.approx(0.002 / (1.0 - math.exp(-0.1)), rel=1e-14)
    assert_same(net, from_nir(graph))


@settings(max_examples=25)
@given(
    sizes=st.lists(st.integers(1, 6), min_size=2, max_size=4),
    dt_ms=st.floats(0.01, 20.0),
    tau_mem_ms=st.floats(0.05, 5e3),
    tau_syn_ms=st.floats(0.05, 5e3),
    v_th=st.floats(1e-3, 1e3),
    reset=st.sampled_from(["subtract", "zero"]),
    name=st.sampled_from(sorted(DIALECTS)),
    seed=st.integers(0, 1000),
)
def test_any_network_of_spiking_layers_comes_back_to_the_bit(
    sizes, dt_ms, tau_mem_ms, tau_syn_ms, v_th, reset, name, seed
):
    torch.manual_seed(seed)
    numbers = {"dt_ms": dt_ms, "tau_mem_ms": tau_mem_ms, "v_th": v_th, "reset": reset}
    layers = [
        SpikingLayer(
            a,
            b,
            neuron=CubaLIF(tau_syn_ms=tau_syn_ms, **numbers) if k % 2 else LIF(**numbers),
            recurrent=bool((seed + k) % 3),
            bias=bool((seed + k) % 2),
        )
        for k, (a, b) in enumerate(itertools.pairwise(sizes))
    ]
    net = SpikingNetwork(layers, SpikeCount())
    again = from_nir(to_nir(net, dialect=name))
    x = torch.rand(2, 15, sizes[0])
    for mine, theirs in zip(spikes_of(net, x), spikes_of(again, x), strict=True):
        assert torch.equal(mine, theirs)
    assert [layer.neuron for layer in again.layers] == [layer.neuron for layer in net.layers]


# What is written.


def only(graph, kind):
    (found,) = [node for node in graph.nodes.values() if isinstance(node, kind)]
    return found


def graph_of(neuron, **options):
    torch.manual_seed(0)
    layer = SpikingLayer(3, 2, neuron=neuron, **options)
    return layer, to_nir(SpikingNetwork([layer], SpikeCount() if neuron.spiking else LastStep()))


def test_time_constants_are_seconds_and_gains_are_those_of_the_exact_integration():
    _, graph = graph_of(CubaLIF(tau_mem_ms=20.0, tau_syn_ms=[5.0, 8.0], dt_ms=2.0, v_th=0.7))
    node = only(graph, nir.CubaLIF)
    assert node.tau_mem.tolist() == [0.02, 0.02]
    assert node.tau_syn.tolist() == [0.005, 0.008]
    assert node.r == pytest.approx([10.508331944775049] * 2, rel=1e-14)  # 1 / (1 - exp(-0.1))
    assert node.w_in == pytest.approx([3.033244781719736, 4.520811664187798], rel=1e-14)  # exp(-0.4), exp(-0.25)
    assert node.v_threshold.tolist() == [0.7, 0.7]
    assert node.v_leak.tolist() == node.v_reset.tolist() == [0.0, 0.0]


def test_storks_ordering_has_a_resistance_of_one():
    assert only(graph_of(LIF(ordering="stork"))[1], nir.LIF).r.tolist() == [1.0, 1.0]
    node = only(graph_of(CubaLI(ordering="stork"))[1], nir.CubaLI)
    assert node.r.tolist() == [1.0, 1.0]
    assert node.w_in == pytest.approx([1.0 / (1.0 - math.exp(-0.2))] * 2, rel=1e-14)


def test_an_integrator_has_one_over_the_step_in_seconds_as_its_resistance():
    assert only(graph_of(IF(dt_ms=2.0))[1], nir.IF).r.tolist() == [500.0, 500.0]
    assert only(graph_of(LIF(tau_mem_ms=math.inf, dt_ms=0.5))[1], nir.IF).r.tolist() == [2000.0, 2000.0]
    assert only(graph_of(LI(tau_mem_ms=math.inf))[1], nir.I).r.tolist() == [1000.0, 1000.0]


def test_what_snntorch_asserts_holds_in_its_dialect():
    layer = SpikingLayer(3, 2, neuron=CubaLIF(tau_mem_ms=[10.0, 12.0]), recurrent=True)
    graph = to_nir(SpikingNetwork([layer], SpikeCount()), dialect="snntorch")
    node = graph.nodes["readout"].nodes["lif"]
    assert 1.0 - 1e-4 / node.tau_mem == pytest.approx([math.exp(-1 / 10), math.exp(-1 / 12)], rel=1e-14)
    assert 1.0 - 1e-4 / node.tau_syn == pytest.approx([math.exp(-1 / 5)] * 2, rel=1e-14)
    assert node.r == pytest.approx(node.tau_mem / 1e-4, rel=1e-14)
    assert node.w_in == pytest.approx(node.tau_syn / 1e-4, rel=1e-14)


def test_norse_reads_the_threshold_in_units_of_its_gain():
    graph = to_nir(SpikingNetwork([SpikingLayer(3, 2, neuron=LIF(v_th=2.0))], SpikeCount()), dialect="norse")
    node = graph.nodes["readout"]
    assert node.r.tolist() == [1.0, 1.0]
    assert node.v_threshold == pytest.approx([2.0 * (1.0 - math.exp(-0.1))] * 2, rel=1e-14)


def test_a_recurrent_layer_is_the_subgraph_that_other_frameworks_write():
    layer, graph = graph_of(LIF(), recurrent=True, bias=True)
    inner = graph.nodes["readout"]
    assert graph.edges == [("input", "readout_w_in"), ("readout_w_in", "readout"), ("readout", "output")]
    assert inner.edges == [("input", "lif"), ("lif", "w_rec"), ("w_rec", "lif"), ("lif", "output")]
    assert {name: type(node).__name__ for name, node in inner.nodes.items()} == {
        "input": "Input",
        "lif": "LIF",
        "w_rec": "Linear",
        "output": "Output",
    }
    assert np.array_equal(inner.nodes["w_rec"].weight, layer.w_rec.detach().numpy())
    assert np.array_equal(only(graph, nir.Affine).bias, layer.bias.detach().numpy())
    assert graph.check_types()


def test_spytorchs_longer_way_is_a_delay_of_one_step():
    _, graph = graph_of(CubaLIF(ordering="spytorch", reset="zero", dt_ms=2.0), recurrent=True)
    inner = graph.nodes["readout"]
    assert inner.nodes["delay"].delay.tolist() == [0.002, 0.002]
    assert ("lif", "delay") in inner.edges
    assert ("delay", "w_rec") in inner.edges
    assert ("lif", "w_rec") not in inner.edges


def test_masks_and_parametrisations_are_folded():
    class Masked(nn.Module):
        def forward(self, weight: Tensor) -> Tensor:
            return weight * torch.eye(SIZE)

    net = network(LIF(), recurrent=True)
    parametrize.register_parametrization(net.layers[0], "w_rec", Masked())
    graph = to_nir(net)
    weight = graph.nodes["hidden_0"].nodes["w_rec"].weight
    assert np.count_nonzero(weight) == SIZE
    x = inputs()
    for mine, theirs in zip(spikes_of(net, x), spikes_of(from_nir(graph), x), strict=True):
        assert torch.equal(mine, theirs)


def test_learned_time_constants_are_folded_and_stay_learned_on_the_way_back():
    net = network(CubaLIF(learn_tau="per_neuron"))
    with torch.no_grad():
        net.layers[0].log_tau_mem_ms.copy_(torch.linspace(1.0, 3.0, SIZE))
    graph = to_nir(net)
    assert graph.nodes["hidden_0"].tau_mem == pytest.approx(np.exp(np.linspace(1.0, 3.0, SIZE)) / 1000.0, rel=1e-6)
    assert torch.equal(from_nir(graph).layers[0].log_tau_mem_ms, net.layers[0].log_tau_mem_ms)


def test_the_graph_does_not_change_with_the_network():
    net = network(LIF())
    graph = to_nir(net)
    before = graph.nodes["hidden_0_w_in"].weight.copy()
    with torch.no_grad():
        net.layers[0].w_in.zero_()
    assert np.array_equal(graph.nodes["hidden_0_w_in"].weight, before)


def test_a_module_gives_its_network():
    net = network(LIF())
    assert_same(net, from_nir(to_nir(SpikingModule(net, num_classes=SIZE))))


def test_the_network_that_comes_back_trains_and_starts_anew():
    again = from_nir(to_nir(network(CubaLIF(learn_tau="shared"), recurrent=True, bias=True)))
    again(inputs()).logits.sum().backward()
    assert all(parameter.grad is not None for parameter in again.parameters())
    before = again.layers[0].w_in.detach().clone()
    again.layers[0].reset_parameters()
    assert not torch.equal(before, again.layers[0].w_in)


def test_a_surrogate_and_a_readout_can_be_replaced():
    graph = to_nir(network(LIF()))
    again = from_nir(graph, surrogate=ATan(), readout=MaxOverTime(), reset="zero")
    assert again.layers[0].surrogate == ATan()
    assert again.readout == MaxOverTime()
    assert again.layers[1].neuron == LIF(reset="zero")


def test_a_changed_node_counts_more_than_the_note():
    graph = to_nir(network(CubaLIF(reset="zero", tau_mem_ms=20.0, learn_tau="shared", detach_reset=False)))
    node = graph.nodes["hidden_0"]
    node.tau_mem = node.tau_mem * 2.0
    node.r = 1.0 / -np.expm1(-0.001 / node.tau_mem)
    neuron = from_nir(graph).layers[0].neuron
    assert (neuron.reset, neuron.detach_reset, neuron.dt_ms, neuron.learn_tau) == ("zero", False, 1.0, "shared")
    assert neuron.tau_mem_ms == pytest.approx(40.0, rel=1e-6)
    assert neuron.ordering == "seed"


# Files.


def test_a_file_that_cannot_be_written_leaves_the_old_one_whole(tmp_path, monkeypatch):
    path = write_nir(to_nir(network(LIF(), seed=1)), tmp_path / "net.nir")
    old = path.read_bytes()

    def broken(filename, graph):
        filename.write_bytes(b"half of it")
        raise RuntimeError("disk")

    monkeypatch.setattr(nir, "write", broken)
    with pytest.raises(RuntimeError, match="disk"):
        write_nir(to_nir(network(LIF(), seed=2)), path)
    assert path.read_bytes() == old
    assert [file.name for file in tmp_path.iterdir()] == ["net.nir"]


def test_other_programs_read_what_is_written(tmp_path):
    """nir itself, without us: types checked, weights there, the note a text."""
    net = network(CubaLIF(), recurrent=True)
    path = write_nir(to_nir(net), tmp_path / "net.nir")
    graph = nir.read(path)
    assert np.array_equal(graph.nodes["readout"].nodes["w_rec"].weight, net.layers[1].w_rec.detach().numpy())
    assert json.loads(graph.metadata["snnlightning"])["dt_ms"] == 1.0
    assert type(read_nir(path)).__name__ == "NIRGraph"


# The folder of neurons.


@pytest.mark.parametrize("cls", available(importlib.import_module("snnlightning.neurons")).values())
def test_every_neuron_is_exported_or_refused_in_a_sentence_that_names_the_layer(cls):
    net = SpikingNetwork(
        [SpikingLayer(2, 3, neuron=LIF()), SpikingLayer(3, 2, neuron=cls())],
        SpikeCount() if cls.spiking else LastStep(),
    )
    if cls in EXPRESSIBLE:
        assert from_nir(to_nir(net)).layers[1].neuron == cls()
        return
    with pytest.raises(ConfigurationError) as caught:
        to_nir(net)
    assert str(caught.value).startswith(f"layer 'readout' ({cls.__name__}): NIR 1.0 has no node for the equations of")
    assert "it can express IF, LIF, LI, CubaLIF, CubaLI." in str(caught.value)


def test_default_surrogates_are_noted_too():
    assert from_nir(graph_of(LIF())[1]).layers[0].surrogate == SuperSpike()


def test_a_refractory_period_is_refused_because_nir_has_no_field_for_it():
    hidden = SpikingLayer(3, SIZE, neuron=LIF(tau_mem_ms=20.0, refractory_ms=2.0))
    with pytest.raises(
        ConfigurationError, match=r"layer 'readout' \(LIF\): NIR 1.0 has no field for a refractory period"
    ):
        to_nir(SpikingNetwork([hidden], SpikeCount()))


@pytest.mark.parametrize("quantize", ["aware", "after"])
@pytest.mark.parametrize("per_channel", [False, True])
def test_weights_on_a_chips_grid_are_the_ones_exported(per_channel, quantize):
    net = network(LIF(), recurrent=True, bias=True)
    for layer in net.layers:
        layer.set_quantization(Quantization(weight_bits=3, per_channel=per_channel), quantize)
    graph = to_nir(net.train())
    assert net.layers[0].training
    again, x = from_nir(graph), inputs()
    assert not torch.equal(again.layers[0].w_in, net.layers[0].w_in)
    for mine, expected in zip(spikes_of(again, x), spikes_of(net.eval(), x), strict=True):
        assert torch.equal(mine, expected)
        assert expected.sum() > 0


@pytest.mark.parametrize("widths", [{"state_bits": 16}, {"decay_bits": 12}])
def test_rounded_states_and_decays_are_refused_because_nir_has_no_field_for_them(widths):
    net = network(LIF())
    net.layers[0].set_quantization(Quantization(**widths))
    (name,) = widths
    with pytest.raises(
        ConfigurationError, match=rf"layer 'hidden_0' \(LIF\): it runs with {name}={widths[name]}, and NIR"
    ):
        to_nir(net)
