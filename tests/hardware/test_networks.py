"""Networks read from records: sources by identity, zeros and kernels counted as the metric counts them, no guessing."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from snnlightning.errors import ConfigurationError, ShapeError, UnknownNameError
from snnlightning.hardware import Counts, Kernel, Layer, Network, Synapses, estimate, load, place
from snnlightning.hardware.placement import axons_of
from snnlightning.layers import SpikingLayer, SpikingNetwork
from snnlightning.metrics import SynOps
from snnlightning.neurons import LI, LIF
from snnlightning.readouts import MaxOverTime
from snnlightning.typing import Connection, Convolution, LayerRecord


def spiking_network(*sizes, recurrent=True):
    torch.manual_seed(0)
    hidden = [SpikingLayer(a, b, neuron=LIF(dt_ms=1.0), recurrent=recurrent) for a, b in itertools.pairwise(sizes[:-1])]
    return SpikingNetwork([*hidden, SpikingLayer(sizes[-2], sizes[-1], neuron=LI(dt_ms=1.0))], MaxOverTime())


def spikes(*shape, rate=0.4, seed=0):
    return (torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) < rate).float()


def joined(name, kind, activity, weight, slide=None):
    return Connection(name, kind, activity, weight, True, slide)


def convolved(x, weight, slide):
    """What a kernel makes of spikes [B, T, C, *S], as spikes."""
    convolution = {3: F.conv1d, 4: F.conv2d, 5: F.conv3d}[weight.ndim]
    out = convolution(x.flatten(0, 1), weight, None, slide.stride, slide.padding, slide.dilation, slide.groups)
    return (out.unflatten(0, x.shape[:2]) > 0.5).float()


def conv_records(x, *kernels):
    """Layers of kernels one after the other, and a dense readout of the flattened last one."""
    records, activity = [], x
    for k, (weight, slide) in enumerate(kernels):
        out = convolved(activity, weight, slide)
        kind = "feedforward" if k else "input"
        records.append(
            LayerRecord(f"conv_{k}", True, out, (), None, (joined(f"conv_{k}.w", kind, activity, weight, slide),), True)
        )
        activity = out
    flat = activity.flatten(2)
    w = torch.ones(3, flat.shape[2])
    out = (flat @ w.T > 0).float()
    return [*records, LayerRecord("readout", False, out, (), None, (joined("readout.w", "readout", flat, w),))]


def test_a_spiking_network_reads_as_the_chain_of_its_sizes():
    net = spiking_network(7, 5, 4, 3)
    assert Network.of(net(spikes(2, 6, 7))) == Network.chain(7, [5, 4, 3])
    assert Network.of(net(spikes(1, 1, 7)).records, weight_bits=4).weight_bits == 4


def test_counts_and_shape_of_one_forward_pass_fit_together():
    net = spiking_network(7, 5, 3)
    with torch.no_grad():
        net.layers[0].w_rec[net.layers[0].w_rec.abs() < 0.2] = 0.0
    out = net(spikes(4, 10, 7))
    metric = SynOps()
    metric.update(out)
    measured = metric.compute()
    network = Network.of(out)
    assert {m.name: network.synapses_of(m) for m in network.synapses} == measured.synapses
    assert {m.name: network.weights_of(m) for m in network.synapses} == {k: v[0] for k, v in measured.weights.items()}
    counts = Counts.of(measured, network, steps=10)
    assert counts.active_by_layer == measured.active_updates
    assert counts.input_events == measured.events["hidden_0.w_in"]
    assert Counts.from_dict(measured.as_dict(), network, steps=10) == counts


@st.composite
def kernels(draw):
    axes = draw(st.integers(1, 3))
    groups = draw(st.sampled_from([1, 2]))
    number = lambda low, high: tuple(draw(st.integers(low, high)) for _ in range(axes))  # noqa: E731
    kernel = lambda: Kernel(  # noqa: E731
        2 * groups, 3 * groups, number(3, 6), number(1, 3), number(1, 3), number(0, 2), number(1, 2), groups
    )
    try:
        return kernel()
    except ConfigurationError:
        return Kernel(2, 3, (5,) * axes, (3,) * axes, (1,) * axes, (1,) * axes, (1,) * axes)


@given(kernel=kernels(), seed=st.integers(0, 99), zeros=st.sampled_from([0.0, 0.5]))
def test_a_kernel_has_the_synapses_that_the_metric_counts(kernel, seed, zeros):
    generator = torch.Generator().manual_seed(seed)
    weight = torch.rand(kernel.channels_out, kernel.channels_in // kernel.groups, *kernel.taps, generator=generator)
    weight = weight * (torch.rand(weight.shape, generator=generator) >= zeros)
    slide = Convolution(kernel.stride, kernel.padding, kernel.dilation, kernel.groups)
    x = spikes(1, 2, kernel.channels_in, *kernel.size, seed=seed)
    records = conv_records(x, (weight, slide))
    metric = SynOps()
    metric.update(records)
    measured = metric.compute()
    network = Network.of(records)
    (matrix, _) = network.synapses
    assert network.synapses_of(matrix) == measured.synapses["conv_0.w"]
    assert network.weights_of(matrix) == measured.weights["conv_0.w"][0]
    assert kernel.uses >= measured.synapses["conv_0.w"]
    assert zeros or kernel.uses == measured.synapses["conv_0.w"]
    assert network.fan_in("conv_0") == int((weight != 0).flatten(1).sum(1).max())
    assert Counts.of(measured, network, steps=2).synops == measured.by_connection


@given(kernel=kernels(), neurons=st.integers(1, 40), at=st.integers(0, 10**6))
def test_neurons_side_by_side_have_no_more_sources_than_the_bound(kernel, neurons, at):
    """Against the field of every neuron, found by a gradient; neurons are in the order of places, channels together."""
    neurons = min(neurons, kernel.outputs)
    x = torch.zeros(1, kernel.channels_in, *kernel.size, requires_grad=True)
    weight = torch.ones(kernel.channels_out, kernel.channels_in // kernel.groups, *kernel.taps)
    convolution = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}[len(kernel.taps)]
    out = convolution(x, weight, None, kernel.stride, kernel.padding, kernel.dilation, kernel.groups)
    side_by_side = out[0].movedim(0, -1).flatten()
    first = at % (kernel.outputs - neurons + 1)
    side_by_side[first : first + neurons].sum().backward()
    assert int((x.grad != 0).sum()) <= kernel.sources(neurons)
    assert kernel.sources(neurons) <= kernel.inputs
    assert kernel.fan_out >= int(
        torch.autograd.grad(
            convolution(x, weight, None, kernel.stride, kernel.padding, kernel.dilation, kernel.groups).sum(), x
        )[0].max()
    )


@pytest.mark.parametrize(
    "kernel",
    [
        Kernel(1, 1, (4, 4), (2, 2), (1, 1), (0, 0), (1, 1)),
        Kernel(2, 2, (5, 6), (3, 2), (2, 1), (1, 0), (1, 2)),
        Kernel(1, 2, (3, 3, 3), (2, 2, 2), (1, 1, 1), (0, 0, 0), (1, 1, 1)),
        Kernel(4, 4, (7,), (3,), (1,), (1,), (1,), groups=2),
    ],
)
def test_the_bound_on_sources_holds_for_every_piece_of_a_layer(kernel):
    """All pieces of all lengths, around the corners of rows too."""
    x = torch.zeros(1, kernel.channels_in, *kernel.size, requires_grad=True)
    weight = torch.ones(kernel.channels_out, kernel.channels_in // kernel.groups, *kernel.taps)
    convolution = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}[len(kernel.taps)]
    out = convolution(x, weight, None, kernel.stride, kernel.padding, kernel.dilation, kernel.groups)
    side_by_side = out[0].movedim(0, -1).flatten()
    eye = torch.eye(kernel.outputs)
    (fields,) = torch.autograd.grad(side_by_side, x, eye, is_grads_batched=True)
    seen = fields.flatten(1) != 0
    most = [
        max(int(seen[first : first + n].any(0).sum()) for first in range(kernel.outputs - n + 1))
        for n in range(1, kernel.outputs + 1)
    ]
    assert all(found <= kernel.sources(n) for n, found in enumerate(most, start=1))
    assert kernel.sources(1) == most[0]
    assert kernel.sources(kernel.outputs) == most[-1]


def test_convolution_by_hand():
    """2 x 8 x 8, 3 x 3 kernel of 4 channels without border: 6 x 6 places of 18 synapses each, 72 stored weights."""
    kernel = Kernel(2, 4, (8, 8), (3, 3), (1, 1), (0, 0), (1, 1))
    assert (kernel.outputs, kernel.fan_in, kernel.weights, kernel.uses) == (144, 18, 72, 144 * 18)
    # Two rows of places see four rows of two channels; one place its own taps; all places everything.
    assert [kernel.sources(n) for n in (1, 24, 144)] == [18, 2 * 4 * 8, 128]
    network = Network(128, (Layer("conv", 144),), (Synapses("conv.w", "input", "conv", kernel=kernel),))
    assert network.synapses_total == 2592
    assert network.weight_memory_bits == 72 * 8
    counts = Counts(10, {"conv.w": 36_000.0}, 1440.0, {"conv": 5.0}, input_events=1000.0, network=network)
    assert counts.dense_twin().macs == 25_920
    terms = {term.name: term for term in estimate(counts, "boyle2025_loihi").terms}
    assert "synop_pj" not in terms
    assert terms["synop_conv_pj"].energy_uj.nominal == pytest.approx(36_000 * 24.0e-6)
    assert estimate(counts, "davies2018_loihi").terms[0].energy_uj.nominal == pytest.approx(36_000 * 23.6e-6)


def test_more_operations_than_a_kernel_has_taps_are_those_of_another_network():
    kernel = Kernel(2, 4, (8, 8), (3, 3), (1, 1), (0, 0), (1, 1))
    network = Network(128, (Layer("conv", 144),), (Synapses("conv.w", "input", "conv", kernel=kernel),))
    with pytest.raises(ConfigurationError, match=r"36001 operations of conv.w; 1000 events of 'input' into 36 neurons"):
        Counts(10, {"conv.w": 36_001.0}, 1440.0, input_events=1000.0, network=network)


def test_pooling_is_a_kernel_of_groups():
    """Sum pooling 2 x 2 of 3 channels: each neuron has 4 synapses, each event one."""
    slide = Convolution((2, 2), (0, 0), (1, 1), 3)
    x = spikes(2, 5, 3, 4, 4)
    records = conv_records(x, (torch.ones(3, 1, 2, 2), slide))
    metric = SynOps()
    metric.update(records)
    network = Network.of(records)
    assert network.fan_in("conv_0") == 4
    assert network.synapses_of(network.synapses[0]) == 48
    counts = Counts.of(metric.compute(), network, steps=5)
    assert counts.synops["conv_0.w"] == float(x.sum()) / 2 == counts.input_events


def test_a_flattened_output_is_the_layer_it_comes_from():
    network = Network.of(
        conv_records(spikes(1, 3, 1, 4, 4), (torch.ones(2, 1, 3, 3), Convolution((1, 1), (1, 1), (1, 1))))
    )
    assert [(m.source, m.target) for m in network.synapses] == [("input", "conv_0"), ("conv_0", "readout")]
    assert (network.inputs, network.size("conv_0")) == (16, 32)


def test_skips_and_detached_activity_find_their_layers():
    x, hidden, out = spikes(1, 4, 3), spikes(1, 4, 2), spikes(1, 4, 2)
    records = [
        LayerRecord("a", True, hidden, (), None, (joined("a.w", "input", x, torch.ones(2, 3)),)),
        LayerRecord("b", True, out, (), None, (
            joined("b.w", "feedforward", hidden.detach(), torch.ones(2, 2)),
            joined("b.skip", "input", x, torch.ones(2, 3)),
            joined("b.back", "recurrent", out, torch.ones(2, 2)),
        )),
    ]  # fmt: skip
    assert [(m.name, m.source) for m in Network.of(records).synapses] == [
        ("a.w", "input"), ("b.w", "a"), ("b.skip", "input"), ("b.back", "b"),
    ]  # fmt: skip


def test_layers_that_share_a_memory_are_told_apart():
    """Outputs of two layers as slices of one tensor: same memory, same size, another place in it."""
    x, both = spikes(1, 4, 3), spikes(2, 1, 4, 2)
    records = [
        LayerRecord("a", True, both[0], (), None, (joined("a.w", "input", x, torch.ones(2, 3)),)),
        LayerRecord("b", True, both[1], (), None, (joined("b.w", "feedforward", both[0], torch.ones(2, 2)),)),
        LayerRecord("c", True, spikes(1, 4, 1), (), None, (joined("c.w", "readout", both[1], torch.ones(1, 2)),)),
    ]
    assert [m.source for m in Network.of(records).synapses] == ["input", "a", "b"]


def test_a_bin_of_three_events_is_three_messages_and_an_analog_value_one():
    network = Network.chain(2, [3])
    for x, sent, macs in (([[3.0, 0.0]], 3.0, 0.0), ([[0.5, 0.0]], 1.0, 3.0)):
        activity = torch.tensor([x])
        connection = Connection("readout.w_in", "input", activity, torch.ones(3, 2), False)
        metric = SynOps()
        metric.update([LayerRecord("readout", False, torch.zeros(1, 1, 3), (), None, (connection,))])
        counts = Counts.of(metric.compute(), network, steps=1)
        assert (counts.input_events, counts.macs) == (sent, macs)
        terms = {term.name: term.count for term in estimate(counts, "boyle2025_loihi").terms}
        assert terms["message_pj"] == sent


def test_what_changed_on_its_way_is_asked_for_and_not_guessed():
    x, hidden, out = spikes(1, 4, 3), spikes(1, 4, 2), spikes(1, 4, 2)
    records = [
        LayerRecord("a", True, hidden, (), None, (joined("a.w", "input", x, torch.ones(2, 3)),)),
        LayerRecord("b", True, out, (), None, (joined("b.w", "feedforward", hidden.roll(1, 1), torch.ones(2, 2)),)),
    ]
    with pytest.raises(
        ConfigurationError,
        match=r"b.w: its activity \[1, 4, 2\] is no layer's output.*sources={'b.w': 'NAME'}, of input, a, b",
    ):
        Network.of(records)
    assert Network.of(records, sources={"b.w": "a"}).synapses[1].source == "a"
    with pytest.raises(UnknownNameError, match=r"no layer for the source of b.w named 'c'"):
        Network.of(records, sources={"b.w": "c"})
    with pytest.raises(UnknownNameError, match=r"no connection for sources named 'b.v'; did you mean 'b.w'"):
        Network.of(records, sources={"b.v": "a"})


def test_two_inputs_are_refused():
    a, b = spikes(1, 4, 3), spikes(1, 4, 3, seed=1)
    weights = (joined("a.w", "input", a, torch.ones(2, 3)), joined("a.v", "input", b, torch.ones(2, 3)))
    with pytest.raises(ConfigurationError, match=r"a.w and a.v both come from outside"):
        Network.of([LayerRecord("a", True, spikes(1, 4, 2), (), None, weights)])


def test_records_that_make_no_network_are_refused():
    with pytest.raises(ConfigurationError, match="no records"):
        Network.of([])
    out = spiking_network(4, 3, 2)(spikes(1, 2, 4))
    with pytest.raises(ConfigurationError, match="two layers are called 'readout'"):
        Network.of([out.records[1], out.records[1]])
    with pytest.raises(
        ShapeError, match=r"hidden_0.w_in: weight \[3, 4\], activity \[1, 2, 4\] and output \[1, 2, 5\]"
    ):
        Network.of([out.records[0]._replace(output=torch.zeros(1, 2, 5))])
    slide = Convolution((1,), (0,), (1,))
    conv = joined("c.w", "input", spikes(1, 2, 2, 5), torch.ones(3, 2, 2), slide)
    with pytest.raises(ShapeError, match=r"makes \[3, 4\] of \[2, 5\].*the output is \[3, 5\]"):
        Network.of([LayerRecord("c", True, torch.zeros(1, 2, 3, 5), (), None, (conv,))])


def test_widths_may_differ_by_weights():
    out = spiking_network(4, 3, 2)(spikes(1, 2, 4))
    network = Network.of(out, weight_bits={"hidden_0.w_rec": 4})
    assert network.weight_memory_bits == 8 * (12 + 6) + 4 * 9
    with pytest.raises(UnknownNameError, match=r"no connection for weight_bits named 'hidden_0.rec'"):
        Network.of(out, weight_bits={"hidden_0.rec": 4})
    wide = Network.of(out, weight_bits={"readout.w_in": 16})
    counts = Counts(1, {}, 5.0, network=wide)
    assert [wall.name for wall in estimate(counts, "davies2018_loihi").walls] == ["weight_bits"]


def test_narrower_weights_fill_less_memory_and_cost_less_on_cmos():
    prices, cores = [], []
    for bits in (16, 8, 4, 2):
        network = Network.chain(700, [256, 20], weight_bits=bits)
        counts = Counts(
            1,
            {"hidden_0.w_in": 256.0, "hidden_0.w_rec": 0.0, "readout.w_in": 0.0},
            276.0,
            input_events=1.0,
            network=network,
        )
        prices.append(estimate(counts, "horowitz2014_cmos45_int8").nominal("dynamic_uj"))
        cores.append(len(place(network, load("davies2018_loihi")).of("hidden_0")))
    assert prices == sorted(prices, reverse=True)
    assert len(set(prices)) == 4
    assert cores == [4, 2, 1, 1]


def test_joint_fan_in_is_not_the_sum_of_the_largest():
    """Neuron 0 has three inputs and no recurrence, neuron 1 the other way round: nobody has five."""
    x, out = spikes(1, 2, 3), spikes(1, 2, 2)
    w_in, w_rec = torch.tensor([[1.0, 1, 1], [0, 0, 0]]), torch.tensor([[0.0, 0], [1, 1]])
    record = LayerRecord(
        "a", True, out, (), None, (joined("a.w", "input", x, w_in), joined("a.r", "recurrent", out, w_rec))
    )
    network = Network.of([record])
    assert network.fan_in("a") == 3
    assert [network.fan_in_of(matrix) for matrix in network.synapses] == [3, 2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"taps": (9, 9)}, "lies outside of the padded input"),
        ({"groups": 3}, "multiples of the groups"),
        ({"stride": (0, 1)}, "numbers of 1 or more"),
        ({"padding": (-1, 0)}, "numbers of 1 or more"),
        ({"size": (8,)}, "one to three axes"),
    ],
)
def test_kernels_that_cannot_be_are_refused(change, message):
    good = {
        "channels_in": 2,
        "channels_out": 4,
        "size": (8, 8),
        "taps": (3, 3),
        "stride": (1, 1),
        "padding": (0, 0),
        "dilation": (1, 1),
    }
    with pytest.raises(ConfigurationError, match=message):
        Kernel(**{**good, **change})


def test_a_kernel_joins_layers_of_its_own_sizes():
    kernel = Kernel(2, 4, (8, 8), (3, 3), (1, 1), (0, 0), (1, 1))
    with pytest.raises(ConfigurationError, match="a kernel from 128 to 144 neurons; 'input' has 128 and 'conv' 100"):
        Network(128, (Layer("conv", 100),), (Synapses("conv.w", "input", "conv", kernel=kernel),))
    with pytest.raises(ConfigurationError, match=r"conv.w has 73 weights; between 0 and 72 fit"):
        Network(128, (Layer("conv", 144),), (Synapses("conv.w", "input", "conv", kernel=kernel, weights=73),))
    with pytest.raises(ConfigurationError, match=r"conv.w has 19 synapses into one neuron; between 0 and 18 fit"):
        Network(128, (Layer("conv", 144),), (Synapses("conv.w", "input", "conv", kernel=kernel, fan_in=19),))


def test_axons_of_a_pruned_matrix_are_bounded_by_its_fan_in():
    matrix = Synapses("a.w", "input", "a", synapses=30, fan_in=4)
    network = Network(100, (Layer("a", 10),), (matrix,))
    assert [axons_of(network, matrix, n) for n in (1, 5, 10)] == [4, 20, 40]
