"""Counts of convolutions, pooling, shared weights, graded spikes, active updates and sparsities, against plain loops."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from snnlightning.errors import ConfigurationError, ShapeError
from snnlightning.layers import SpikingLayer
from snnlightning.metrics import SynOps, SynOpsCounts
from snnlightning.neurons import LIF
from snnlightning.typing import Connection, Convolution, LayerRecord

CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


def count(*batches: list[LayerRecord]) -> SynOpsCounts:
    metric = SynOps()
    for batch in batches:
        metric.update(batch)
    return metric.compute()


def convolved(x: Tensor, weight: Tensor, slide: Convolution, bias: Tensor | None = None) -> list[LayerRecord]:
    """The records of one spiking convolutional layer that stays silent."""
    flat = CONV[weight.ndim - 2](
        x.flatten(0, 1), weight, None, slide.stride, slide.padding, slide.dilation, slide.groups
    )
    output = torch.zeros_like(flat).unflatten(0, x.shape[:2])
    connection = Connection("conv.weight", "input", x, weight, False, slide)
    return [LayerRecord("conv", True, output, (), None, (connection,), True, bias)]


def by_taps(x: Tensor, weight: Tensor, slide: Convolution) -> tuple[int, set[tuple[int, ...]]]:
    """Operations of a convolution, and the (sample, step, output neuron) that get one: a loop over every tap."""
    places = [
        (size + 2 * p - d * (k - 1) - 1) // s + 1
        for size, k, s, p, d in zip(
            x.shape[3:], weight.shape[2:], slide.stride, slide.padding, slide.dilation, strict=True
        )
    ]
    out_per_group, in_per_group = weight.shape[0] // slide.groups, weight.shape[1]
    operations, reached = 0, set()
    for c_out, *place in itertools.product(range(weight.shape[0]), *map(range, places)):
        for c_in, *tap in itertools.product(range(in_per_group), *map(range, weight.shape[2:])):
            if weight[(c_out, c_in, *tap)] == 0:
                continue
            at = [
                o * s - p + t * d
                for o, t, s, p, d in zip(place, tap, slide.stride, slide.padding, slide.dilation, strict=True)
            ]
            if not all(0 <= a < size for a, size in zip(at, x.shape[3:], strict=True)):
                continue
            channel = (c_out // out_per_group) * in_per_group + c_in
            for b, t in itertools.product(range(x.shape[0]), range(x.shape[1])):
                events = int(x[(b, t, channel, *at)])
                operations += events
                if events:
                    reached.add((b, t, c_out, *place))
    return operations, reached


@given(st.data(), st.integers(0, 2**31))
@settings(max_examples=40)
def test_a_convolution_costs_the_taps_that_a_loop_over_the_output_meets(data, seed):
    axes = data.draw(st.integers(1, 3), "axes")
    groups = data.draw(st.sampled_from([1, 2]), "groups")

    def per_axis(name: str, low: int, high: int) -> tuple[int, ...]:
        return tuple(data.draw(st.integers(low, high), name) for _ in range(axes))

    kernel, dilation, padding = per_axis("kernel", 1, 3), per_axis("dilation", 1, 2), per_axis("padding", 0, 2)
    slide = Convolution(per_axis("stride", 1, 3), padding, dilation, groups)
    sizes = [
        max(1, data.draw(st.integers(1, 6), "size"), d * (k - 1) + 1 - 2 * p)
        for k, d, p in zip(kernel, dilation, padding, strict=True)
    ]
    g = torch.Generator().manual_seed(seed)
    weight = torch.randn(2 * groups, 2, *kernel, generator=g) * (torch.rand(2 * groups, 2, *kernel, generator=g) < 0.7)
    x = torch.poisson(torch.full((2, 2, 2 * groups, *sizes), 0.3), generator=g)
    found = count(convolved(x, weight, slide))
    operations, reached = by_taps(x, weight, slide)
    assert found.by_connection["conv.weight"] == operations / 2
    assert found.active_updates["conv"] == len(reached) / 2
    assert found.weights["conv.weight"] == (int((weight != 0).sum()), weight.numel())
    assert found.synapses["conv.weight"] == by_taps(torch.ones(1, 1, *x.shape[2:]), weight, slide)[0]


def test_pooling_two_by_two_is_one_operation_per_event():
    x = (torch.rand(3, 4, 5, 6, 6, generator=torch.Generator().manual_seed(0)) < 0.4).float()
    pooled = convolved(x, torch.ones(5, 1, 2, 2), Convolution((2, 2), (0, 0), (1, 1), groups=5))
    assert count(pooled).total == x.sum() / 3


def test_weights_that_are_used_twice_count_twice_and_are_stored_once():
    torch.manual_seed(0)
    layer = SpikingLayer(4, 4, neuron=LIF())
    x = (torch.rand(2, 5, 4) < 0.5).float()

    def shared(record: LayerRecord) -> LayerRecord:
        return record._replace(connections=tuple(c._replace(shared=True) for c in record.connections))

    first = layer.run(x, name="twice")
    second = layer.run(first.output, name="twice", binary=True)
    apart = count([first._replace(name="a"), _renamed(second, "b")])
    both = count([shared(first), shared(second)])
    assert both.total == apart.total == (x.sum() + first.output.sum()) * 4 / 2
    assert both.spikes["twice"] == apart.spikes["a"] + apart.spikes["b"]
    assert both.weights == {"twice.w_in": (16, 16)}
    assert apart.weights == {"twice.w_in": (16, 16), "b.w_in": (16, 16)}
    with pytest.raises(ConfigurationError, match=r"two connections are called 'twice.w_in'.*shared=True"):
        SynOps().update([first, second])


def _renamed(record: LayerRecord, name: str) -> LayerRecord:
    return record._replace(name=name, connections=tuple(c._replace(name=f"{name}.w_in") for c in record.connections))


def dense(x: Tensor, weight: Tensor, bias: Tensor | None = None, binary: bool = False) -> list[LayerRecord]:
    output = torch.zeros(*x.shape[:2], weight.shape[0])
    return [LayerRecord("out", True, output, (), None, (Connection("w", "input", x, weight, binary),), True, bias)]


@pytest.mark.parametrize("zeros", [0.0, 0.6])
@pytest.mark.parametrize("bias", [False, True])
def test_active_updates_are_those_with_input_or_bias(zeros, bias):
    g = torch.Generator().manual_seed(3)
    x = torch.where(torch.rand(3, 7, 4, generator=g) < 0.2, torch.randn(3, 7, 4, generator=g), 0.0)
    weight = torch.randn(5, 4, generator=g) * (torch.rand(5, 4, generator=g) >= zeros)
    constant = torch.tensor([0.0, 0.5, 0.0, -1.0, 0.0]) if bias else None
    expected = sum(
        (constant is not None and bool(constant[n] != 0))
        or any(bool(x[b, t, j] != 0) and bool(weight[n, j] != 0) for j in range(4))
        for b, t, n in itertools.product(range(3), range(7), range(5))
    )
    found = count(dense(x, weight, constant))
    assert found.active_updates == {"out": expected / 3}
    assert found.updates == {"out": 35}
    assert 0 < expected < 3 * 35


def test_updates_that_only_recurrent_spikes_reach_are_active():
    torch.manual_seed(0)
    layer = SpikingLayer(2, 6, neuron=LIF(tau_mem_ms=1e6), recurrent=True)
    with torch.no_grad():
        layer.w_in.fill_(2.0)
        layer.w_rec.fill_(0.001)
    x = torch.zeros(1, 8, 2)
    x[0, 0] = 1.0  # all six spike once they hold 4 v_th, and with one v_th less each time: at steps 1, 2 and 3
    record = layer.run(x)
    assert record.output.sum(dim=-1).tolist() == [[0, 6, 6, 6, 6, 0, 0, 0]]
    assert count([record]).active_updates == {"layer": 5 * 6}


def test_a_graded_spike_is_one_message_and_as_many_events_as_its_size():
    x = torch.tensor([[[3.0, -1.0, 0.5, 0.0], [1.0, 0.0, 0.0, 0.0]]])
    found = count(dense(x, torch.ones(2, 4)))
    assert (found.total, found.total_graded, found.macs) == (2 * 5, 2 * 3, 2)
    assert found.events == {"w": 5}
    assert found.messages == {"w": 4}
    assert found.slots == {"w": 8}
    assert found.macs_by_connection == {"w": 2}


def test_sparsities_are_the_shares_that_are_zero():
    weight = torch.tensor([[1.0, 0.0, 2.0], [0.0, 0.0, 3.0]])
    x = torch.tensor([[[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]], [[0.0, 0.0, 0.0], [0.0, 2.0, 0.0]]])
    records = dense(x, weight)
    output = torch.zeros(2, 2, 2)
    output[0, 1, 0] = 1.0
    found = count([records[0]._replace(output=output)])
    assert found.connection_sparsity == 3 / 6
    assert found.message_sparsity == 1 - 4 / 12
    assert found.activation_sparsity == 1 - 1 / 8
    assert found.resets == 0.5
    assert found.spikes_per_synapse == pytest.approx(1.0 / 3)  # 2 operations in 2 samples, 3 synapses
    assert found.as_dict()["message_sparsity"] == found.message_sparsity


def test_a_network_of_readouts_only_has_no_activation_to_be_sparse():
    records = dense(torch.ones(1, 2, 3), torch.ones(2, 3))
    assert count([records[0]._replace(spiking=False)]).activation_sparsity == 0.0


@given(st.integers(0, 2**31), st.integers(1, 5))
@settings(max_examples=20)
def test_how_samples_were_batched_changes_none_of_the_counts(seed, batch):
    g = torch.Generator().manual_seed(seed)
    x = torch.poisson(torch.full((5, 3, 2, 6), 0.3), generator=g)
    x[2] = x[2] * 0.5
    weight = torch.randn(4, 2, 3, generator=g) * (torch.rand(4, 2, 3, generator=g) < 0.5)
    slide = Convolution((2,), (1,), (1,))
    pieces = [convolved(piece, weight, slide) for piece in x.split(batch)]
    assert count(*pieces) == count(convolved(x, weight, slide))


@pytest.mark.parametrize(
    ("slide", "shape"),
    [
        (Convolution((1,), (0,), (1,)), (1, 1, 3, 6)),  # 3 channels for a kernel of 2
        (Convolution((1, 1), (0, 0), (1, 1)), (1, 1, 2, 6)),  # a plane's stride for a line
        (Convolution((1,), (0,), (1,)), (1, 1, 2, 2)),  # shorter than the kernel
    ],
)
def test_a_convolution_that_does_not_fit_is_refused_with_its_shapes(slide, shape):
    weight = torch.ones(4, 2, 3)
    connection = Connection("conv.weight", "input", torch.ones(shape), weight, False, slide)
    record = LayerRecord("conv", True, torch.zeros(1, 1, 4, 4), (), None, (connection,), True)
    with pytest.raises(ShapeError, match=r"conv\.weight: activity .* and weight \[4, 2, 3\] with Convolution"):
        SynOps().update([record])


def test_a_refused_batch_leaves_the_counts_as_they_were():
    good = dense(torch.ones(1, 2, 3), torch.ones(2, 3))
    metric = SynOps()
    metric.update(good)
    before = metric.compute()
    bad = LayerRecord(
        "other",
        True,
        torch.zeros(1, 2, 2),
        (),
        None,
        (Connection("w2", "input", torch.ones(1, 2, 3), torch.ones(2, 4), False),),
        True,
    )
    with pytest.raises(ShapeError):
        metric.update([*good, bad])
    metric._computed = None
    assert metric.compute() == before


def test_mixed_precision_around_the_metric_changes_no_count():
    g = torch.Generator().manual_seed(0)
    x = (torch.rand(7, 90, 13, generator=g) < 0.45).float()
    records = dense(x, torch.randn(11, 13, generator=g) * (torch.rand(11, 13, generator=g) < 0.5), binary=True)
    slide = Convolution((2,), (1,), (1,))
    spikes = (torch.rand(2, 40, 3, 30, generator=g) < 0.5).float()
    kernels = convolved(spikes, torch.randn(5, 3, 3, generator=g), slide)
    for batch in (records, kernels):
        expected = count(batch)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert count(batch) == expected
        assert expected.total > 257
