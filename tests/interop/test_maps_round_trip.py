"""Convolutions, pooling and delays there and back: the same spikes to the bit, and what NIR cannot say refused by name."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from snnlightning.errors import ConfigurationError, ShapeError
from snnlightning.initializers import ScaledNormal
from snnlightning.interop import from_nir, read_nir, to_nir, write_nir
from snnlightning.layers import (
    BatchNorm,
    ConvolutionalLayer,
    DelayedLayer,
    Dropout,
    Flatten,
    MaxPool,
    Residual,
    SpikingLayer,
    SpikingNetwork,
    SumPool,
    Unflatten,
    fold,
)
from snnlightning.neurons import ALIF, IF, LI, LIF, CubaLIF
from snnlightning.readouts import MaxOverTime
from snnlightning.typing import NetworkOutput

nir = pytest.importorskip("nir", minversion="1.0.6")

WIDE = {"initializer": ScaledNormal(3.0), "backend": "reference"}


def conv(inputs: int, outputs: int, kernel: list[int], neuron: object = None, **options: object) -> ConvolutionalLayer:
    return ConvolutionalLayer(inputs, outputs, kernel, neuron=neuron or LIF(tau_mem_ms=6.0), **{**WIDE, **options})


def row(*layers: nn.Module, features: int) -> SpikingNetwork:
    torch.manual_seed(1)
    for layer in layers:
        if isinstance(layer, ConvolutionalLayer) and layer.bias is not None:
            nn.init.uniform_(layer.bias, -0.2, 0.2)
    return SpikingNetwork([*layers, SpikingLayer(features, 3, neuron=LI(), backend="reference")], MaxOverTime()).eval()


def run(net: SpikingNetwork, *shape: int) -> NetworkOutput:
    x = (torch.rand(2, 15, *shape, generator=torch.Generator().manual_seed(0)) < 0.4).to(net.layers[-1].w_in.dtype)
    with torch.no_grad():
        return net(x)


def assert_same(net: SpikingNetwork, again: SpikingNetwork, *shape: int) -> None:
    mine, theirs = run(net, *shape), run(again, *shape)
    assert all(record.output.any() for record in mine.records)
    assert torch.equal(mine.logits, theirs.logits)
    for one, other in zip(mine.records, theirs.records, strict=True):
        assert one.name == other.name
        assert torch.equal(one.output, other.output)
        assert [c.weight.shape for c in one.connections] == [c.weight.shape for c in other.connections]


NETWORKS = {
    "two axes": lambda: (row(conv(1, 4, [3, 3], stride=[2, 1], padding=[1, 0], bias=True), Flatten(), features=64), (1, 8, 6)),
    "one axis": lambda: (row(conv(2, 4, [3], dilation=2), Flatten(), features=4 * 6), (2, 10)),
    "same": lambda: (row(conv(2, 4, [3, 3], padding="same", bias=True), Flatten(), features=4 * 16), (2, 4, 4)),
    "pooled": lambda: (
        row(conv(1, 2, [3, 3]), SumPool([2, 2], 1), conv(2, 3, [2, 2]), SumPool([2, 2]), Flatten(), features=3 * 4),
        (1, 8, 8),
    ),
    "recurrent": lambda: (
        row(conv(1, 2, [3], recurrent=True, rec_kernel_size=[5], bias=True), Flatten(), features=2 * 6), (1, 8)
    ),
    "spytorch": lambda: (
        row(conv(1, 2, [3, 3], CubaLIF(ordering="spytorch", reset="zero"), recurrent=True), Flatten(), features=2 * 16),
        (1, 6, 6),
    ),
    "time constants": lambda: (
        row(conv(1, 3, [2], LIF(tau_mem_ms=[2.0, 5.0, 9.0], learn_tau="per_neuron")), Flatten(), features=9), (1, 4)
    ),
    "no leak": lambda: (row(conv(1, 3, [2], IF()), Flatten(), features=9), (1, 4)),
}  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", NETWORKS)
def test_maps_come_back_with_the_same_spikes_also_from_a_file(name, dtype, tmp_path):
    net, shape = NETWORKS[name]()
    net = net.to(dtype)
    graph = to_nir(net, input_shape=shape)
    assert_same(net, from_nir(graph), *shape)
    again = from_nir(read_nir(write_nir(graph, tmp_path / "net.nir")))
    assert_same(net, again, *shape)
    first = (net.layers[0], again.layers[0])
    assert first[0].slide == first[1].slide
    assert first[0].neuron == first[1].neuron
    assert {n for n, _ in first[0].named_parameters()} == {n for n, _ in first[1].named_parameters()}


def test_numbers_of_the_nodes_are_those_of_nirs_equations_at_every_place():
    net, shape = NETWORKS["two axes"]()
    graph = to_nir(net, input_shape=shape)
    weights, neurons = graph.nodes["hidden_0_w_in"], graph.nodes["hidden_0"]
    assert (type(weights).__name__, weights.stride, weights.padding) == ("Conv2d", (2, 1), (1, 0))
    assert neurons.tau.shape == (4, 4, 4) == tuple(net.layers[0].shape_after(shape))
    assert np.array_equal(neurons.tau, np.full((4, 4, 4), 0.006))
    assert [*graph.nodes] == ["input", "hidden_0_w_in", "hidden_0", "flatten_1", "readout_w_in", "readout", "output"]
    assert graph.nodes["input"].input_type["input"].tolist() == [1, 8, 6]


def test_flat_data_stay_flat_and_dropout_is_left_out():
    net = row(Unflatten([1, 4, 4]), conv(1, 2, [2, 2]), Dropout(0.3), Flatten(), features=18)
    again = from_nir(to_nir(net))
    assert isinstance(again.layers[0], Unflatten)
    assert_same(net, again, 16)


@pytest.mark.parametrize("learn", [False, True])
@pytest.mark.parametrize("dialect", ["nir", "euler"])
def test_delays_per_axon_come_back_in_whole_steps(learn, dialect):
    torch.manual_seed(0)
    layer = DelayedLayer(
        4, 6, neuron=LIF(dt_ms=0.5), max_delay_ms=4.0, per="axon", learn_delay=learn, recurrent=True, **WIDE
    )
    last = SpikingLayer(6, 3, neuron=LI(dt_ms=0.5), backend="reference")
    net = SpikingNetwork([layer, last], MaxOverTime()).eval()
    graph = to_nir(net, dialect=dialect)
    assert graph.edges[:2] == [("input", "hidden_0_delay"), ("hidden_0_delay", "hidden_0_w_in")]
    assert graph.nodes["hidden_0_delay"].delay.tolist() == pytest.approx((layer.delays_ms() / 1000).tolist())
    again = from_nir(graph)
    assert again.layers[0].longest == 8
    assert_same(net, again, 4)


def test_a_foreign_delay_gives_the_longest_one_it_has():
    weights, neurons = nir.Linear(np.ones((1, 2), dtype=np.float32)), nir.IF(np.full(1, 1000.0), np.ones(1))
    ends = {"input": nir.Input({"input": np.array([2])}), "output": nir.Output({"output": np.array([1])})}
    nodes = {**ends, "d": nir.Delay(np.array([0.0, 0.003])), "w": weights, "n": neurons}
    edges = [("input", "d"), ("d", "w"), ("w", "n"), ("n", "output")]
    layer = from_nir(nir.NIRGraph(nodes=nodes, edges=edges), dt_ms=1.0).layers[0]
    assert layer.delays_in_steps().tolist() == [0, 3]
    assert layer.longest == 3


def test_batch_normalisation_is_exported_folded():
    net = row(conv(1, 2, [3], norm=BatchNorm(2)), Flatten(), features=12)
    with pytest.raises(ConfigurationError, match=r"layer 'hidden_0' .LIF.: it has a BatchNorm.*export fold"):
        to_nir(net, input_shape=[1, 8])
    folded = fold(net)
    assert_same(folded, from_nir(to_nir(folded, input_shape=[1, 8])), 1, 8)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: to_nir(NETWORKS["pooled"]()[0]), r"begins with ConvolutionalLayer.*pass input_shape=\[C, H, W\]"),
        (lambda: to_nir(NETWORKS["pooled"]()[0], input_shape=[2, 8, 8]), r"layer 'hidden_0' .LIF.: a step of the input is"),
        (
            lambda: to_nir(row(conv(1, 2, [2]), MaxPool([2]), Flatten(), features=4), input_shape=[1, 5]),
            r"layer 'maxpool_1' .MaxPool.: NIR export has no nodes for it",
        ),
        (
            lambda: to_nir(row(conv(1, 2, [2]), SumPool([2]), Flatten(), features=4), input_shape=[1, 5]),
            r"layer 'pool_0' .SumPool.: NIR 1.0 pools over two axes, and this one over 1",
        ),
        (
            lambda: to_nir(row(conv(1, 2, [2, 2, 2]), Flatten(), features=2), input_shape=[1, 2, 2, 2]),
            "NIR 1.0 has convolutions over one and two axes, and this one has 3",
        ),
        (lambda: to_nir(row(conv(2, 2, [3], groups=2), Flatten(), features=6), input_shape=[2, 5]), "it has groups=2, for which nir"),
        (lambda: to_nir(row(conv(1, 2, [3, 2]), Flatten(), features=24), input_shape=[1, 5, 5]), r"it has a kernel of \[3, 2\], for"),
        (
            lambda: to_nir(row(DelayedLayer(4, 5, neuron=LIF(), max_delay_ms=2.0), features=5)),
            "layer 'hidden_0' .LIF.: it has a delay per synapse.*per='axon' can be exported",
        ),
        (
            lambda: to_nir(row(SpikingLayer(4, 5, neuron=LIF()), Residual([SpikingLayer(5, 5, neuron=LIF())]), features=5)),
            r"layer 'residual_1' .Residual.: NIR export has no nodes for it",
        ),
        (lambda: to_nir(row(conv(1, 2, [2], ALIF()), Flatten(), features=8), input_shape=[1, 5]), "layer 'hidden_0' .ALIF"),
        (lambda: to_nir(row(SpikingLayer(4, 5, neuron=LIF()), features=5), input_shape=[5]), r"input_shape is \[5\]; the network takes \[4\]"),
    ],
)  # fmt: skip
def test_what_nir_cannot_say_is_refused_by_the_layers_name(make, message):
    with pytest.raises((ConfigurationError, ShapeError), match=message):
        make()


def changed(name: str, node: str, **fields: object) -> object:
    net, shape = NETWORKS[name]()
    graph = to_nir(net, input_shape=shape)
    inner = graph.nodes[node.partition("/")[0]]
    target = inner.nodes[node.partition("/")[2]] if "/" in node else inner
    for field, value in fields.items():
        setattr(target, field, value)
    return graph


def of_places(shape: tuple[int, ...]) -> Tensor:
    return np.linspace(0.5, 1.0, int(np.prod(shape))).reshape(shape)


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (lambda: changed("two axes", "hidden_0", v_threshold=of_places((4, 4, 4))), r"v_threshold is \[4, 4, 4\] and differs within a map"),
        (lambda: changed("pooled", "pool_0", padding=np.ones(2)), "node 'pool_0' .SumPool2d. has padding"),
        (lambda: changed("recurrent", "hidden_0/w_rec", padding=0), "node 'hidden_0/w_rec' .Conv1d. has Convolution.*half its size as padding"),
        (lambda: changed("recurrent", "hidden_0/w_rec", weight=np.ones((3, 2, 5))), r"is \[3, 2, 5\]; a loop of 2 maps is a convolution of them"),
        (lambda: changed("same", "output", output_type={"output": np.array([7])}), r"node 'output' .Output. has shape \[7\]; the weights say \[3\]"),
        (lambda: changed("same", "input", input_type={"input": np.array([1, 4, 4])}), r"from node 'input' .Input. of \[1, 4, 4\] on"),
        (lambda: changed("one axis", "hidden_0_w_in", bias=np.ones(3), metadata={}), r"has a bias \[3\]; one per map, \[4\]"),
        (lambda: changed("two axes", "hidden_0_w_in", padding="same"), "has padding 'same' with a stride or an even kernel"),
    ],
)  # fmt: skip
def test_a_graph_of_maps_that_is_no_network_of_ours_is_refused_with_the_node(graph, message):
    with pytest.raises((ConfigurationError, ShapeError), match=message):
        from_nir(graph())
