"""Convolutional layers against the matrices that they stand for, pooling by hand, counts by loops, and what is refused."""

import itertools
import math

import pytest
import torch
from helpers import dyadic, neuron_variants
from torch import Tensor, nn

from snnlightning.errors import ConfigurationError, ShapeError
from snnlightning.hardware import Network
from snnlightning.initializers import ScaledNormal
from snnlightning.layers import (
    ConvolutionalLayer,
    Flatten,
    MaxPool,
    Quantization,
    SpikingLayer,
    SpikingNetwork,
    SumPool,
    Unflatten,
)
from snnlightning.layers.convolution import RecurrentConvolution
from snnlightning.metrics import NeuroBenchSynOps, SynOps, footprint
from snnlightning.neurons import LI, LIF, CubaLIF
from snnlightning.readouts import MeanOverTime
from snnlightning.surrogates import SuperSpike
from snnlightning.typing import Convolution


def spikes(*shape: int, seed: int = 0, rate: float = 0.4) -> Tensor:
    return (torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) < rate).float()


def matrix_of(weight: Tensor, slide: Convolution, sizes: tuple[int, ...], after: tuple[int, ...]) -> Tensor:
    """The matrix [N_post, N_pre] of a convolution, tap by tap, by the definition with an index per loop."""
    channels_out, per_group, *kernel = weight.shape
    channels_in = per_group * slide.groups
    matrix = weight.new_zeros(channels_out, *after, channels_in, *sizes)
    for out, place in itertools.product(range(channels_out), itertools.product(*map(range, after))):
        first = out // (channels_out // slide.groups) * per_group
        for k, tap in itertools.product(range(per_group), itertools.product(*map(range, kernel))):
            at = [p * s + t * d - pad for p, s, t, d, pad in zip(place, slide.stride, tap, slide.dilation, slide.padding, strict=True)]  # fmt: skip
            if all(0 <= a < size for a, size in zip(at, sizes, strict=True)):
                matrix[(out, *place, first + k, *at)] += weight[(out, k, *tap)]
    return matrix.reshape(channels_out * math.prod(after), channels_in * math.prod(sizes))


@pytest.mark.parametrize("neuron", neuron_variants())
def test_a_convolutional_layer_is_the_dense_layer_with_its_matrix(neuron):
    torch.manual_seed(0)
    options = {"neuron": neuron, "bias": True, "recurrent": neuron.spiking, "initializer": ScaledNormal(4.0)}
    conv = ConvolutionalLayer(2, 3, [3], stride=2, padding=1, backend="reference", **options).double()
    with torch.no_grad():
        conv.bias.copy_(torch.tensor([0.2, -0.1, 0.4]))
    x = dyadic(2, 8, 2, 7, seed=1).abs()
    matrix = matrix_of(conv.w_in, conv.slide, (7,), (4,))
    flat = SpikingLayer(14, 12, backend="reference", **options).double()
    del flat.w_in, flat.bias, flat.w_rec
    flat.w_in, flat.bias = matrix, conv.bias.repeat_interleave(4)
    own = RecurrentConvolution(conv.w_rec, (4,)) if neuron.spiking else None
    flat.w_rec = None if own is None else matrix_of(conv.w_rec, own.slide, (4,), (4,))
    mine, theirs = conv.run(x, potentials=True), flat.run(x.flatten(2), potentials=True)
    assert mine.output.any()
    assert torch.equal(mine.output.flatten(2), theirs.output) or not neuron.spiking
    torch.testing.assert_close(mine.potentials.flatten(2), theirs.potentials, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(mine.state, theirs.state, rtol=1e-10, atol=1e-10)
    parameters = list(conv.parameters())
    one, other = (torch.autograd.grad((r.output + r.potentials).square().sum(), parameters) for r in (mine, theirs))
    torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-8)
    if own is not None:
        assert torch.equal(own.matrix(), flat.w_rec)


@pytest.mark.parametrize(
    ("sizes", "kernel", "options"),
    [
        ((9,), [4], {"stride": 3, "padding": 1, "dilation": 2}),
        ((5, 6), [3, 2], {"stride": [2, 1], "padding": [0, 2], "groups": 2}),
        ((3, 4, 3), [2, 2, 2], {}),
    ],
    ids=["1d", "2d", "3d"],
)
def test_strides_paddings_dilations_and_groups_are_those_of_the_definition_and_counted_by_it(sizes, kernel, options):
    torch.manual_seed(0)
    layer = ConvolutionalLayer(2, 4, kernel, neuron=LIF(), initializer=ScaledNormal(4.0), **options).double()
    with torch.no_grad():
        layer.w_in[0].zero_()
    x = spikes(3, 5, 2, *sizes).double() * 2.0
    record = layer.run(x, kind="input")
    after = tuple(record.output.shape[3:])
    assert layer.shape_after((2, *sizes)) == (4, *after)
    matrix = matrix_of(layer.w_in.detach(), layer.slide, sizes, after)
    dense = SpikingLayer(matrix.shape[1], matrix.shape[0], neuron=LIF()).double()
    with torch.no_grad():
        dense.w_in.copy_(matrix)
    assert torch.equal(dense(x.flatten(2))[0], record.output.flatten(2))
    assert record.output.any()
    metric = SynOps()
    metric.update([record])
    assert metric.compute().total == float(x.flatten(2).sum(dim=(0, 1)) @ (matrix != 0).double().sum(dim=0)) / 3


def net(**options: object) -> SpikingNetwork:
    torch.manual_seed(0)
    return SpikingNetwork(
        [
            Unflatten([1, 6, 6]),
            ConvolutionalLayer(1, 3, [3, 3], neuron=CubaLIF(), padding="same", recurrent=True, initializer=ScaledNormal(5.0), **options),
            SumPool([2, 2]),
            ConvolutionalLayer(3, 4, [2, 2], neuron=LIF(), initializer=ScaledNormal(5.0), **options),
            Flatten(),
            SpikingLayer(16, 2, neuron=LI()),
        ],
        MeanOverTime(),
    )  # fmt: skip


def test_the_counts_of_a_network_of_maps_are_those_of_loops_over_its_spikes():
    network, x = net().requires_grad_(False), spikes(3, 7, 36)
    out = network(x)
    first, pool, second, _ = out.records
    assert network.names == ("hidden_0", "pool_0", "hidden_1", "readout")
    assert first.output.any()
    assert second.output.any()
    metric, peer = SynOps(), NeuroBenchSynOps()
    metric.update(out)
    peer.update(out)
    counts = metric.compute()
    expected = dict.fromkeys(("hidden_0.w_in", "hidden_0.w_rec", "pool_0.w_in", "hidden_1.w_in", "readout.w_in"), 0.0)
    for b, t, row, column in itertools.product(range(3), range(7), range(6), range(6)):
        taps = sum(0 <= row + i < 6 and 0 <= column + j < 6 for i in (-1, 0, 1) for j in (-1, 0, 1))
        expected["hidden_0.w_in"] += float(x[b, t, row * 6 + column]) * taps * 3
        for c in range(3):
            expected["hidden_0.w_rec"] += float(first.output[b, t, c, row, column]) * taps * 3
            expected["pool_0.w_in"] += float(first.output[b, t, c, row, column])
    for b, t, c, row, column in itertools.product(range(3), range(7), range(3), range(3), range(3)):
        reach = sum(0 <= row - i < 2 and 0 <= column - j < 2 for i in (0, 1) for j in (0, 1))
        expected["hidden_1.w_in"] += float(pool.output[b, t, c, row, column]) * reach * 4
    expected["readout.w_in"] = float(second.output.sum()) * 2
    assert counts.by_connection == {name: count / 3 for name, count in expected.items()}
    # Pooling has no neurons: 3 x 36 + 4 x 4 + 2 of them, 7 times.
    assert counts.neuron_updates == (108 + 16 + 2) * 7
    assert set(counts.spikes) == {"hidden_0", "hidden_1"}
    # NeuroBench looks for modules with weights: 768 + 2304 + 192 + 32 synapses in each step, and no pooling.
    assert peer.compute().dense == 7 * (768 + 2304 + 192 + 32)


def test_a_network_of_maps_is_placed_on_chips_by_its_kernels():
    shape = Network.of(net()(spikes(1, 2, 36)))
    assert [(s.name, s.source, s.target) for s in shape.synapses] == [
        ("hidden_0.w_in", "input", "hidden_0"),
        ("hidden_0.w_rec", "hidden_0", "hidden_0"),
        ("pool_0.w_in", "hidden_0", "pool_0"),
        ("hidden_1.w_in", "pool_0", "hidden_1"),
        ("readout.w_in", "hidden_1", "readout"),
    ]
    assert [shape.synapses_of(s) for s in shape.synapses] == [768, 2304, 108, 192, 32]
    # Kernels 27 + 81 + 12 ones (no parameters) + 48, readout 32; states 2 x 108 + 16 + 2.
    assert footprint(net(), net()(spikes(1, 2, 36)), weight_bits=8, state_bits=16)[::2] == (27 + 81 + 48 + 32, 2 * 234)


@pytest.mark.parametrize("cut", [1, 4])
def test_states_of_maps_handed_over_equal_one_run(cut):
    network, x = net().double(), spikes(2, 9, 36).double()
    whole, first = network(x), network(x[:, :cut])
    second = network(x[:, cut:], first.states)
    for a, b, both in zip(first.records, second.records, whole.records, strict=True):
        torch.testing.assert_close(torch.cat([a.output, b.output], dim=1), both.output, rtol=1e-12, atol=1e-12)
    assert whole.records[2].output.any()


@pytest.mark.parametrize("recurrent", [False, True])
def test_compiled_loops_serve_maps_as_the_reference_does(recurrent):
    pytest.importorskip("numba")
    torch.manual_seed(0)
    layers = [
        ConvolutionalLayer(2, 3, [3, 3], neuron=CubaLIF(), recurrent=recurrent, backend=backend, initializer=ScaledNormal(4.0)).double()
        for backend in ("reference", "numba")
    ]  # fmt: skip
    layers[1].load_state_dict(layers[0].state_dict())
    x = spikes(3, 8, 2, 6, 6).double()
    found = []
    for layer in layers:
        record = layer.run(x)
        found.append([record.output, *torch.autograd.grad((record.output * x.mean()).sum(), list(layer.parameters()))])
    assert found[0][0].any()
    torch.testing.assert_close(found[1], found[0], rtol=1e-9, atol=1e-9)


def test_time_constants_are_of_a_map():
    layer = ConvolutionalLayer(1, 2, [1], neuron=LI(tau_mem_ms=[2.0, 20.0]), initializer=nn.init.ones_).double()
    x = torch.zeros(1, 3, 1, 4, dtype=torch.float64)
    x[:, 0] = 1.0
    last = layer(x)[0][0, 2]
    assert last[0].tolist() == pytest.approx([math.exp(-1 / 2.0)] * 4)
    assert last[1].tolist() == pytest.approx([math.exp(-1 / 20.0)] * 4)
    learned = ConvolutionalLayer(1, 2, [3], neuron=LIF(learn_tau="per_neuron"), initializer=ScaledNormal(5.0))
    learned(spikes(2, 9, 1, 6, rate=0.8))[0].sum().backward()
    assert learned.log_tau_mem_ms.shape == (2,)
    assert learned.log_tau_mem_ms.grad.all()


@pytest.mark.parametrize("per_channel", [False, True])
def test_kernels_are_rounded_like_matrices(per_channel):
    torch.manual_seed(0)
    precision = Quantization(weight_bits=4, state_bits=12, per_channel=per_channel)
    layer = ConvolutionalLayer(2, 3, [3], neuron=LIF(), quantization=precision, initializer=ScaledNormal(3.0))
    x = spikes(2, 6, 2, 7)
    used = layer.run(x).connections[0].weight
    assert torch.equal(used, precision.rounded(layer.w_in.flatten(1)).w_in.view_as(used))
    dense = SpikingLayer(14, 15, neuron=LIF(), quantization=precision)
    with torch.no_grad():
        dense.w_in.copy_(matrix_of(layer.w_in.detach(), layer.slide, (7,), (5,)))
    assert layer(x)[0].any()
    assert torch.equal(dense(x.flatten(2))[0], layer(x)[0].flatten(2))


def test_pools_by_hand_and_what_of_their_output_are_spikes():
    x = torch.tensor([1.0, 1.0, 0.0, 1.0, 0.0, 0.0, 1.0]).view(1, 1, 1, 7)
    assert SumPool([3], stride=2).run(x).output.flatten().tolist() == [2.0, 1.0, 1.0]
    assert MaxPool([2])(x).flatten().tolist() == [1.0, 1.0, 0.0]
    layers = [ConvolutionalLayer(1, 2, [1], neuron=LIF()), MaxPool([2]), Flatten(), SpikingLayer(6, 2, neuron=LI())]
    records = SpikingNetwork(layers, MeanOverTime())(torch.zeros(1, 2, 1, 7)).records
    assert [c.binary for r in records for c in r.connections] == [False, True]
    assert not net()(spikes(1, 2, 36)).records[2].connections[0].binary  # sums of spikes are counts


def test_a_network_with_pooling_by_maximum_is_counted_and_says_why_it_is_not_placed():
    layers = [ConvolutionalLayer(1, 2, [1], neuron=LIF()), MaxPool([2]), Flatten(), SpikingLayer(6, 2, neuron=LI())]
    out = SpikingNetwork(layers, MeanOverTime())(spikes(1, 2, 1, 7))
    metric = SynOps()
    metric.update(out)
    assert metric.compute().by_connection["hidden_0.w_in"] > 0
    with pytest.raises(ConfigurationError, match=r"readout\.w_in: its activity \[1, 2, 6\] is no layer's output"):
        Network.of(out)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: ConvolutionalLayer(1, 2, 3, neuron=LIF()), ConfigurationError, r"kernel_size is 3; one number per axis"),
        (lambda: ConvolutionalLayer(1, 2, [0], neuron=LIF()), ConfigurationError, r"kernel_size is \[0\]; a whole number"),
        (lambda: ConvolutionalLayer(3, 2, [3], neuron=LIF(), groups=2), ConfigurationError, "groups is 2; it has to divide"),
        (lambda: ConvolutionalLayer(1, 2, [2], neuron=LIF(), padding="same"), ConfigurationError, "'same' for odd kernels"),
        (lambda: ConvolutionalLayer(1, 2, [2], neuron=LIF(), recurrent=True), ConfigurationError, "an odd one keeps"),
        (lambda: ConvolutionalLayer(1, 2, [3], neuron=LIF(), rec_kernel_size=[3]), ConfigurationError, "recurrent=True"),
        (lambda: ConvolutionalLayer(1, 2, [3], neuron=LIF(tau_mem_ms=[1.0])), ShapeError, "lists 1 time constants"),
        (lambda: SumPool(2), ConfigurationError, r"kernel_size is 2; one number per axis"),
        (
            lambda: SpikingNetwork([Unflatten([1, 4]), ConvolutionalLayer(2, 2, [3], neuron=LIF()), SpikingLayer(4, 2, neuron=LI())], MeanOverTime()),
            ShapeError, r"a step of the input is \[1, 4\]; \[C_in, S0\] with C_in = 2",
        ),
        (
            lambda: SpikingNetwork([Unflatten([1, 4]), ConvolutionalLayer(1, 2, [3], neuron=LIF()), SpikingLayer(4, 2, neuron=LI())], MeanOverTime()),
            ShapeError, r"gives \[2, 2\], channels first \(Flatten\(\) makes it flat\)",
        ),
        (
            lambda: SpikingNetwork([Unflatten([1, 4]), ConvolutionalLayer(1, 2, [7], neuron=LIF()), SpikingLayer(4, 2, neuron=LI())], MeanOverTime()),
            ShapeError, r"a kernel of \[7\] does not lie inside an input of \[4\]",
        ),
        (lambda: SpikingNetwork([SpikingLayer(4, 2, neuron=LIF()), Flatten()], MeanOverTime()), ConfigurationError, "the last layer is a Flatten"),
    ],
)  # fmt: skip
def test_mistakes_are_said_when_a_network_is_built(build, error, message):
    with pytest.raises(error, match=message):
        build()


def test_mistakes_in_a_call_name_the_layer():
    layer = ConvolutionalLayer(2, 3, [3], neuron=LIF(), surrogate=SuperSpike())
    with pytest.raises(ShapeError, match=r"layer 'hidden_2': a step of the input is \[7\]"):
        layer.run(torch.zeros(1, 2, 7), name="hidden_2")
    with pytest.raises(ShapeError, match=r"layer 'hidden_2': state v is \[1, 4\]; \[B, N\] = \[1, 15\]"):
        layer.run(torch.zeros(1, 2, 2, 7), (torch.zeros(1, 4),), name="hidden_2")
