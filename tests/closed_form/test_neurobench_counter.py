"""NeuroBench's counting rule by hand; ``tests/golden/test_neurobench.py`` asks NeuroBench itself."""

import copy
import itertools
import json
import pickle
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from snnlightning.errors import ConfigurationError, ShapeError, UnknownNameError
from snnlightning.layers import SpikingLayer, SpikingNetwork
from snnlightning.metrics import NeuroBenchCounts, NeuroBenchSynOps, SynOps, _calls
from snnlightning.neurons import LIF
from snnlightning.readouts import SpikeCount
from snnlightning.typing import Connection, ConnectionKind, Convolution, LayerRecord, NetworkOutput


def count(*batches: NetworkOutput | Sequence[LayerRecord], **options: object) -> NeuroBenchCounts:
    metric = NeuroBenchSynOps(**options)
    for batch in batches:
        metric.update(batch)
    return metric.compute()


def exact(*batches: NetworkOutput | Sequence[LayerRecord]) -> float:
    metric = SynOps()
    for batch in batches:
        metric.update(batch)
    return metric.compute().total


def one(
    x: Tensor,
    weight: Tensor,
    kind: ConnectionKind = "input",
    slide: Convolution | None = None,
    output: Tensor | None = None,
) -> list[LayerRecord]:
    output = torch.zeros(*x.shape[:2], weight.shape[0]) if output is None else output
    return [LayerRecord("out", True, output, (), None, (Connection("w", kind, x, weight, False, slide),))]


def split(counts: NeuroBenchCounts) -> tuple[float, float, float]:
    return counts.effective_acs, counts.effective_macs, counts.dense


def test_the_class_belongs_to_the_call():
    x = torch.tensor([[[1.0, 0.0, -1.0], [2.0, 1.0, 0.0], [0.0, 0.0, 0.0]]])
    weight = torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.0, 1.0]])
    # fan-outs are 2, 1 and 1: 2 + 1 in step 0; the 2 makes a MAC call of step 1, with 2 + 1
    assert split(count(one(x, weight))) == (3, 3, 3 * 6)
    assert split(count(one(x, weight), calls="sequence")) == (0, 6, 3 * 6)


def test_negative_spikes_are_spikes_and_cancel_nothing():
    x = torch.tensor([[[1.0, -1.0], [-1.0, 0.0]], [[-1.0, 1.0], [1.0, 0.0]]])
    assert split(count(one(x, torch.tensor([[1.0, -1.0], [0.0, 2.0]])))) == (3 + 1, 0, 2 * 4)


def test_one_sample_with_a_two_makes_MACs_of_the_whole_batch():
    x = torch.tensor([[[1.0]], [[1.0]], [[1.0]], [[2.0]]])
    weight = torch.ones(1, 1)
    assert split(count(one(x, weight))) == (0, 1, 1)
    assert split(count(*(one(part, weight) for part in x.split(1)))) == (0.75, 0.25, 1)
    assert split(count(*(one(part, weight) for part in x.split(2)))) == (0.5, 0.5, 1)


@pytest.mark.parametrize("value", [0.5, 1.5, -2.0, float("nan"), float("inf"), 1e-30])
def test_what_is_not_zero_or_one_is_a_MAC(value):
    assert split(count(one(torch.tensor([[[value, 1.0]]]), torch.ones(3, 2)))) == (0, 6, 6)


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64])
def test_integers_are_read_as_numbers(dtype):
    x = torch.tensor([[[1, 0, 1]]]).to(dtype)
    assert split(count(one(x, torch.ones(2, 3)))) == (4, 0, 6)
    if dtype is torch.uint8:
        assert split(count(one(x * 255, torch.ones(2, 3)))) == (0, 4, 6)


def test_recurrent_synapses_get_the_step_before_and_never_the_last_one():
    z = torch.tensor([[[1.0, 0.0], [1.0, 1.0], [1.0, 1.0]]])
    records = one(z, torch.ones(2, 2), "recurrent", output=z)
    assert split(count(records)) == (2 + 4, 0, 3 * 4)
    assert exact(records) == 2 + 4 + 4


def test_recurrent_calls_are_classed_by_the_step_before_and_the_first_is_one_of_spikes():
    z = torch.tensor([[[0.5, 0.0], [1.0, 1.0]]])
    assert split(count(one(z, torch.ones(2, 2), "recurrent"))) == (0, 2, 8)
    assert split(count(one(z.flip(1), torch.ones(2, 2), "recurrent"))) == (4, 0, 8)


def test_a_cell_is_one_call_that_its_input_alone_puts_in_a_class():
    x = torch.tensor([[[1.0], [1.0], [3.0]]])
    h = torch.tensor([[[0.3, 0.4], [0.3, 0.0], [0.1, 0.1]]])
    parts = (
        Connection("cell.w_rec", "recurrent", h, torch.ones(2, 2), False),
        Connection("cell.w_in", "input", x, torch.ones(2, 1), False),
    )
    records = [LayerRecord("cell", False, h, (), None, parts)]
    # steps cost 2 + 0, 2 + 4 and 2 + 2; the third has the 3
    assert split(count(records, cells=["cell"])) == (8, 4, 3 * 6)
    assert split(count(records)) == (4, 8, 3 * 6)  # analog states are MACs when the matrix is a module of its own
    assert count(records, cells=["cell"]).connection_sparsity is None
    with pytest.raises(ConfigurationError, match="'out' is named as a cell and has w; an RNNCell has one matrix"):
        count(one(x, torch.ones(2, 1)), cells=["out"])


def test_what_NeuroBench_does_not_see_is_left_out():
    x = torch.ones(1, 2, 3)
    assert split(count(one(x, torch.ones(2, 3)), unseen=["w"])) == (0, 0, 0)
    with pytest.raises(UnknownNameError, match=r"no connection named 'v'; Available: w\."):
        count(one(x, torch.ones(2, 3)), unseen=["v"])
    with pytest.raises(UnknownNameError, match="no layer named 'outt'; did you mean 'out'"):
        count(one(x, torch.ones(2, 3)), cells=["outt"])
    with pytest.raises(ConfigurationError, match="unseen='w' is one string"):
        NeuroBenchSynOps(unseen="w")
    with pytest.raises(ConfigurationError, match="calls is 'batch'; 'step' or 'sequence'"):
        NeuroBenchSynOps(calls="batch")


@given(
    seed=st.integers(0, 10**6),
    sizes=st.lists(st.integers(1, 8), min_size=2, max_size=4),
    batch=st.integers(1, 4),
    steps=st.integers(1, 8),
    binary=st.booleans(),
)
@settings(max_examples=30)
def test_on_spikes_through_dense_feed_forward_networks_both_counters_say_the_same(seed, sizes, batch, steps, binary):
    torch.manual_seed(seed)
    net = SpikingNetwork([SpikingLayer(i, o, neuron=LIF()) for i, o in itertools.pairwise(sizes)], SpikeCount())
    x = torch.rand(batch, steps, sizes[0]).lt(0.6).float()
    with torch.no_grad():
        records = net(x).records
    if not binary:  # known to be spikes, or looked at
        records = [r._replace(connections=tuple(c._replace(binary=False) for c in r.connections)) for r in records]
    found = count(records)
    assert (found.effective_acs, found.effective_macs) == (exact(records), 0)
    assert found.dense == steps * sum(i * o for i, o in itertools.pairwise(sizes))


@given(
    seed=st.integers(0, 10**6),
    slide=st.sampled_from([None, Convolution((2,), (0,), (1,), 2), Convolution((1,), (2,), (3,), 1)]),
    calls=st.sampled_from(["step", "sequence"]),
    kind=st.sampled_from(["input", "recurrent"]),
    cell=st.booleans(),
)
@settings(max_examples=40)
def test_counting_fan_outs_is_running_the_layer(seed, slide, calls, kind, cell):
    """The quick way and NeuroBench's own, which is taken when a dtype runs out of whole numbers."""
    g = torch.Generator().manual_seed(seed)
    if slide is None:
        x, shape = torch.poisson(torch.full((3, 4, 6), 0.3), generator=g), (6, 6)
    else:
        x, shape = torch.poisson(torch.full((3, 4, 4, 7), 0.3), generator=g), (4, 4 // slide.groups, 3)
    weight = torch.randn(shape, generator=g) * (torch.rand(shape, generator=g) < 0.6)
    records, options = one(x, weight, kind, slide), {"calls": calls}
    if cell and slide is None:
        other = Connection("w2", "recurrent", x.roll(1, 0), weight.t(), False)
        mine = records[0].connections[0]._replace(kind="input")
        records, options = [records[0]._replace(connections=(mine, other))], {"cells": ["out"]}
    quick = count(records, **options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_calls, "_whole_numbers", lambda dtype: -1)
        assert count(records, **options) == quick


def test_every_dtype_knows_its_whole_numbers():
    for dtype in (torch.bfloat16, torch.float16, torch.float32, torch.float64):
        last = _calls._whole_numbers(dtype)
        number = torch.tensor(last, dtype=dtype)
        assert int(number) == last
        assert int(number - 1) == last - 1
        assert int(number + 1) != last + 1


def test_more_than_half_precision_holds_is_refused():
    records = one(torch.ones(300, 1, 300, dtype=torch.float16), torch.ones(300, 300, dtype=torch.float16))
    with pytest.raises(
        ConfigurationError, match=r"w: one call costs more than torch\.float16 can hold, and NeuroBench gives up"
    ):
        count(records)


@pytest.mark.parametrize("as_run", [False, True])
def test_mixed_precision_around_the_call_changes_nothing(as_run, monkeypatch):
    g = torch.Generator().manual_seed(0)
    x = (torch.rand(64, 20, 400, generator=g) < 0.9).float()  # more than 256 per neuron, where bfloat16 rounds
    records = one(x, torch.randn(21, 400, generator=g))
    if as_run:
        monkeypatch.setattr(_calls, "_whole_numbers", lambda dtype: -1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = count(records)
    assert mixed.effective_acs == exact(records)
    assert mixed == count(records)


def processes(batches: Sequence[Sequence[LayerRecord]], metric: NeuroBenchSynOps) -> NeuroBenchSynOps:
    """One metric made of several, as torchmetrics reduces their states."""
    parts = []
    for batch in batches:
        parts.append(copy.deepcopy(metric))
        if batch:
            parts[-1].update(batch)
    for name, how in metric._reductions.items():
        setattr(metric, name, how(torch.stack([getattr(part, name) for part in parts])))
    metric._update_count = 1
    return metric


def test_processes_add_up_also_those_that_saw_nothing():
    g = torch.Generator().manual_seed(0)
    x = torch.poisson(torch.full((9, 5, 6), 0.2), generator=g)
    weight = torch.randn(4, 6, generator=g) * (torch.rand(4, 6, generator=g) < 0.5)
    z = (torch.rand(9, 5, 4, generator=g) < 0.4).float()
    batches = [one(a, weight, output=b) for a, b in zip(x.split(4), z.split(4), strict=True)]
    alone = count(*batches)
    assert processes([*batches, []], NeuroBenchSynOps()).compute() == alone
    assert 0 < alone.effective_acs < alone.dense
    assert alone.samples == 9


def test_states_survive_reset_pickle_and_casts():
    x, weight = torch.ones(1, 3, 2), torch.tensor([[1.0, 0.0]])
    metric = NeuroBenchSynOps(unseen=[])
    metric.update(one(x, weight))
    again = pickle.loads(pickle.dumps(metric)).half().double()
    assert again.compute() == metric.compute()
    assert metric.compute().connection_sparsity == 0.5
    metric.reset()
    with (
        pytest.raises(ConfigurationError, match="before any update"),
        pytest.warns(UserWarning, match="was called before"),
    ):
        metric.compute()
    assert metric(one(x, weight)).effective_acs == 3


def test_sparsities_by_hand():
    first = one(
        torch.ones(1, 1, 2), torch.tensor([[1.0, 0.0, 2.0]]).t()[:, [0, 0]], output=torch.tensor([[[1.0, 0.0, 0.0]]])
    )
    second = one(torch.ones(3, 1, 2), first[0].connections[0].weight, output=torch.ones(3, 1, 3))
    found = count(first, second)
    assert found.activation_sparsity == (2 / 3 * 1 + 0 * 3) / 4
    assert found.connection_sparsity == 0.3333
    silent = first[0]._replace(spiking=False)
    assert count([silent]).activation_sparsity == 0.0


def test_weights_that_are_used_twice_are_two_calls_and_one_matrix():
    x, weight = torch.ones(1, 1, 2), torch.tensor([[1.0, 0.0], [1.0, 1.0]])
    record = one(x, weight)[0]
    shared = record._replace(connections=(record.connections[0]._replace(shared=True),))
    found = count([shared, shared])
    assert split(found) == (6, 0, 8)
    assert found.connection_sparsity == 0.25


def test_results_are_plain_values_in_NeuroBenchs_shape():
    found = count(one(torch.ones(2, 1, 2), torch.ones(3, 2)))
    assert json.loads(json.dumps(found.as_neurobench(ClassificationAccuracy=0.5))) == {
        "ClassificationAccuracy": 0.5,
        "ConnectionSparsity": 0.0,
        "ActivationSparsity": 1.0,
        "SynapticOperations": {"Effective_MACs": 0.0, "Effective_ACs": 6.0, "Dense": 6.0},
    }


def test_a_refused_batch_leaves_the_counts_as_they_were():
    metric = NeuroBenchSynOps()
    good = one(torch.ones(1, 1, 2), torch.ones(3, 2))
    metric.update(good)
    before = metric.compute()
    wrong = one(torch.ones(1, 1, 2), torch.ones(3, 4))
    odd = one(torch.ones(1, 1, 2), torch.ones(3, 2), "sideways")
    for records, error, words in (
        ([good[0], wrong[0]], ShapeError, r"w: activity \[1, 1, 2\] and weight \[3, 4\]"),
        (odd, ConfigurationError, "w is of kind 'sideways'; kinds: input"),
        ([], ConfigurationError, "no records to count"),
    ):
        with pytest.raises(error, match=words):
            metric.update(records)
    metric._computed = None
    assert metric.compute() == before


def test_another_network_is_refused_and_changes_nothing():
    metric = NeuroBenchSynOps()
    metric.update(one(torch.ones(1, 2, 3), torch.ones(4, 3)))
    with pytest.raises(ConfigurationError, match=r"another network: it has 10 weights, and one with 12 .* reset\(\)"):
        metric.update(one(torch.ones(1, 2, 5), torch.ones(2, 5)))
    assert (metric.compute().samples, metric.compute().effective_acs) == (1, 24)
