"""Counts do not depend on the way they were found: lists of events, passes over elements, products, compiled code."""

import os
import pickle
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from snnlightning.events import Events, dense, listed
from snnlightning.layers import SpikingLayer, SpikingNetwork
from snnlightning.metrics import SynOps, SynOpsCounts, _counting, _listed, _loops, _reached
from snnlightning.neurons import LI, LIF
from snnlightning.neurons._cpp import building
from snnlightning.neurons._numba import compiling
from snnlightning.readouts import MaxOverTime
from snnlightning.typing import Connection, Convolution, LayerRecord


@pytest.fixture(params=["numba", "cpp"])
def machine_code(request, monkeypatch):
    """The loops of one compiler, whatever this process has used before."""
    if request.param == "numba":
        pytest.importorskip("numba")
    elif building.reason() is not None:
        pytest.skip(building.reason())
    monkeypatch.setattr(compiling, "in_use", lambda: request.param == "numba")
    monkeypatch.setattr(building, "in_use", lambda: request.param == "cpp")


@pytest.fixture
def no_machine_code(monkeypatch):
    monkeypatch.setattr(compiling, "in_use", lambda: False)
    monkeypatch.setattr(building, "in_use", lambda: False)


KINDS = ["ones", "ternary", "counts", "analog", "odd", "silent", "full"]


def activity(kind: str, neurons: int, dtype: torch.dtype = torch.float32, *, density: float = 0.15) -> torch.Tensor:
    """[3, 11, N]: rows that are empty, full and between, the last one empty."""
    generator = torch.Generator().manual_seed(neurons)
    x = (torch.rand(3, 11, neurons, generator=generator) < density).float()
    x[0, :3], x[1, 4], x[2, -1] = 0.0, float(density > 0.1), 0.0
    if kind == "ternary":
        x = x * (torch.randint(0, 2, x.shape, generator=generator) * 2 - 1)
    if kind == "counts":
        x = x * torch.randint(1, 100, x.shape, generator=generator)
    if kind == "analog":
        x = x * torch.randn(x.shape, generator=generator)
    if kind == "odd":
        for at, value in enumerate((torch.nan, torch.inf, -torch.inf, -0.0, 0.5, 2.0**20)):
            x[1, at, 0] = value
    if kind == "silent":
        x = torch.zeros_like(x)
    return (torch.ones_like(x) if kind == "full" else x).to(dtype)


def counted(records: list[LayerRecord]) -> SynOpsCounts:
    metric = SynOps()
    metric.update(records)
    return metric.compute()


def by(way: str, monkeypatch: pytest.MonkeyPatch, records: list[LayerRecord]) -> SynOpsCounts:
    share = {"lists": 1.01, "passes": -1.0}[way]
    monkeypatch.setattr(_counting, "_SELDOM", share)
    monkeypatch.setattr(_counting, "_MOSTLY_ZERO", share)
    return counted(records)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.int16, torch.bool])
def test_lists_and_passes_give_the_same_counts(kind, dtype, monkeypatch):
    x = activity("counts" if kind in ("analog", "odd") and not dtype.is_floating_point else kind, 5, dtype)
    weight = torch.tensor([[1.0, 0.0, 2.0, 0.0, 0.0], [1.0, 1.0, 0.0, -3.0, 0.0]])
    records = [
        LayerRecord("l", False, torch.zeros(3, 11, 2), (), None, (Connection("l.w_in", "input", x, weight, False),))
    ]
    assert by("lists", monkeypatch, records) == by("passes", monkeypatch, records)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("post", [1, 63, 64, 65, 130])
@pytest.mark.parametrize("pre", [1, 5, 40])
def test_updates_found_by_bits_are_those_found_by_products(pre, post, bias, monkeypatch):
    generator = torch.Generator().manual_seed(post)
    x, z = activity("ones", pre), activity("ternary", post)
    w_in = torch.rand(post, pre, generator=generator) * (torch.rand(post, pre, generator=generator) < 0.3)
    w_rec = torch.rand(post, post, generator=generator) * (torch.rand(post, post, generator=generator) < 0.1)
    connections = (Connection("l.w_in", "input", x, w_in, True), Connection("l.w_rec", "recurrent", z, w_rec, False))
    constant = torch.arange(post).fmod(3) if bias else None
    records = [LayerRecord("l", True, z, (), None, connections, bias=constant)]
    found = by("lists", monkeypatch, records)
    assert found == by("passes", monkeypatch, records)
    arrives = F.linear(x, (w_in != 0).float()) + F.linear((z != 0).float(), (w_rec != 0).float())
    here = arrives > 0 if constant is None else (arrives > 0) | (constant != 0)
    assert found.active_updates["l"] * 3 == int(here.sum())


@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("groups", [1, 2])
def test_kernels_without_zeros_reach_what_the_convolution_of_the_activity_reaches(groups, zeros):
    x = (torch.rand(2, 3, 4, 6, 5, generator=torch.Generator().manual_seed(1)) < 0.05).float()
    weight = torch.ones(6, 4 // groups, 3, 2)
    weight[::2, 0, 1] = 0.0 if zeros else 1.0
    slide = Convolution((2, 1), (1, 0), (1, 2), groups)
    reached = F.conv2d(x.flatten(0, 1), weight, None, *slide).unflatten(0, (2, 3))
    synapses = Connection("l.w_in", "input", x, weight, True, slide)
    found = counted([LayerRecord("l", True, torch.zeros_like(reached), (), None, (synapses,))])
    assert found.active_updates["l"] * 2 == int((reached > 0.5).sum()) > 0


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("kind", ["ones", "counts", "silent", "mixed"])
def test_compiled_layers_hand_their_lists_to_the_counts_and_the_counts_are_those_of_the_reference(kind, mode):
    pytest.importorskip("numba")
    x = activity("ones" if kind == "mixed" else kind, 300, density=0.02).repeat(40, 4, 1)
    if kind == "mixed":  # some chunks hold ones only, others do not
        x[70:] *= 2
    torch.manual_seed(0)
    layers = [SpikingLayer(300, 40, neuron=LIF(), recurrent=True), SpikingLayer(40, 3, neuron=LI())]
    layers[0].w_in.data.mul_(torch.rand_like(layers[0].w_in) > 0.2)
    net = SpikingNetwork(layers, MaxOverTime())
    records = {}
    for backend in ("reference", "numba"):
        for layer in layers:
            layer.backend = backend
        with mode():
            records[backend] = list(net(x).records)
    hidden = records["numba"][0]
    assert torch.equal(hidden.output, records["reference"][0].output)
    assert hidden.connections[0].events is not None
    assert hidden.events is not None
    assert counted(records["numba"]) == counted(records["reference"])


def test_a_list_is_not_believed_of_another_tensor():
    x = activity("ones", 300, density=0.02).repeat(40, 4, 1)
    pytest.importorskip("numba")
    layer = SpikingLayer(300, 40, neuron=LIF(), recurrent=True, backend="numba")
    with torch.inference_mode():
        record = layer.run(x)
        half = record._replace(connections=tuple(c._replace(activity=c.activity * 0) for c in record.connections))
    assert record.connections[0].events is not None
    assert counted([half]).total == 0 < counted([record]).total


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_places_reached_by_whole_kernels_are_those_of_the_convolution_with_lists_and_without(
    groups, bias, stride, monkeypatch
):
    x = (torch.rand(2, 3, 4, 7, 6, generator=torch.Generator().manual_seed(2)) < 0.04).float()
    slide = Convolution((stride, 1), (2, 1), (1, 2), groups)
    weight = torch.full((6, 4 // groups, 3, 2), -0.5)
    reached = F.conv2d(x.flatten(0, 1), (weight != 0).float(), None, *slide).unflatten(0, (2, 3)) > 0.5
    z = (torch.rand(reached.shape, generator=torch.Generator().manual_seed(3)) < 0.02).float()
    around = Convolution((1, 1), (1, 1), (1, 1), groups)
    w_rec = torch.ones(6, 6 // groups, 3, 3)
    back = F.conv2d(z.flatten(0, 1), w_rec, None, *around).unflatten(0, (2, 3)) > 0.5
    constant = torch.tensor([0.0, 1.0, 0.0, 0.0, -1.0, 0.0]) if bias else None
    connections = (
        Connection("l.w_in", "input", x, weight, True, slide),
        Connection("l.w_rec", "recurrent", z, w_rec, True, around),
    )
    records = [LayerRecord("l", True, z, (), None, connections, bias=constant)]
    found = by("lists", monkeypatch, records)
    assert found == by("passes", monkeypatch, records)
    here = reached | back if constant is None else reached | back | (constant != 0).view(-1, 1, 1)
    assert found.active_updates["l"] * 2 == int(here.sum()) < here.numel()


NEARLY_ONES = {
    "nothing": [],
    "ones": [1.0, 1.0],
    "just below one": [1.0, 1.0 - 2.0**-24],
    "two halves": [0.5, 0.5],
    "a half and one and a half": [0.5, 1.5],
    "powers of two": [2.0**-3, 2.0**-63],
    "next to nothing": [1.0, 2.0**-149],
    "a three": [3.0, 1.0],
    "minus one": [-1.0, 1.0],
    "minus nothing": [-0.0, 1.0],
    "no number": [torch.nan, 1.0],
}


@pytest.mark.parametrize("columns", [1, 7, _counting._FEW, _counting._FEW + 1])
@pytest.mark.parametrize("values", NEARLY_ONES.values(), ids=NEARLY_ONES.keys())
def test_zeros_and_ones_are_told_from_what_comes_near_by_the_sums_of_rows(values, columns):
    x = torch.zeros(1, 4, columns)
    x[0, 1] = 1.0  # whole numbers in which a small rest would be lost
    for at, value in enumerate(values):
        x[0, (1, 3)[at % 2], columns // 2] = value
    found = _counting._look_at_ones(x, binary=False)
    if bool(((x == 0) & ~x.signbit() | (x == 1)).all()) and columns <= _counting._FEW:
        assert found is not None
        assert found.totals == (int(x.sum()), int(x.sum()), 0)
        assert torch.equal(found.any_at, x.bool().any(dim=2))
    else:
        assert found is None


@pytest.mark.parametrize("value", [2.0**-1, 2.0**-7, 1.0 - 2.0**-24])
def test_rounding_hides_no_fraction_in_the_widest_row_that_is_looked_at_in_this_way(value):
    x = torch.ones(1, 2, _counting._FEW)
    x[0, 1, 5] = value
    assert _counting._look_at_ones(x, binary=False) is None


def test_weights_that_were_pruned_between_two_batches_are_counted_as_they_were():
    weight = torch.nn.Parameter(torch.ones(2, 3))
    x = torch.ones(1, 4, 3)

    def batch() -> list[LayerRecord]:
        synapses = Connection("l.w_in", "input", x, weight, True)
        return [LayerRecord("l", False, torch.zeros(1, 4, 2), (), None, (synapses,))]

    metric = SynOps()
    metric.update(batch())
    metric.update(batch())
    weight.data[0, 0] = 0.0  # as code that prunes writes: no version says so
    metric.update(batch())
    with torch.no_grad():
        weight[1, 2] = 0.0
    metric.update(batch())
    assert metric.compute().total == (24 + 24 + 20 + 16) / 4
    assert metric.compute().synapses == {"l.w_in": 6}


def test_the_same_weights_under_another_shape_of_input_are_looked_at_again():
    kernel = torch.ones(1, 1, 3)
    slide = Convolution((1,), (0,), (1,))
    metric = SynOps()
    for size in (5, 4):
        synapses = Connection("c.w", "input", torch.ones(1, 1, 1, size), kernel, True, slide)
        metric.update([LayerRecord("c", False, torch.zeros(1, 1, 1, size - 2), (), None, (synapses,))])
    assert metric.compute().total == (9 + 6) / 2


KEPT = {"no synapse": 0.0, "few": 0.05, "most": 0.9, "all": 1.1}


def sources(
    post: int, pre: int, kind: str, several: int
) -> tuple[list[Events], _reached.Together, list[list[torch.Tensor]]]:
    """Up to three sources of a layer, a second one that gets the first two: rows that nothing, some and all of it reaches."""
    generator = torch.Generator().manual_seed(pre)
    sent = [activity("ones", pre), activity("counts", post), activity("ones", 9, density=0.4)][:several]
    there = [
        {k: torch.rand(n, x.shape[2], generator=generator) < KEPT[kind] for k, x in enumerate(sent[:most])}
        for n, most in ((post, 3), (20, 2))
    ]
    arrives = [[sent[k].bool().float().flatten(0, 1) @ w.float().mT > 0 for k, w in of.items()] for of in there]
    return [Events.from_dense(x) for x in sent], _reached.Together(there), arrives


@pytest.mark.parametrize("kind", KEPT)
@pytest.mark.parametrize("post", [1, 63, 64, 65, 130, 600])
@pytest.mark.parametrize(("pre", "several"), [(1, 3), (7, 1), (7, 2), (300, 3)])
def test_compiled_code_reaches_what_the_plain_one_reaches(pre, several, post, kind, machine_code):
    lists, together, arrives = sources(post, pre, kind, several)
    everywhere = torch.rand(3, 11, generator=torch.Generator().manual_seed(0)) < 0.2
    some = torch.arange(post).fmod(3) == 1
    for always in (None, torch.zeros_like(some), some, torch.ones_like(some)):
        for steps in (None, everywhere):
            here = [torch.stack(of).any(dim=0) for of in arrives]
            here[0] = here[0] if always is None else here[0] | always
            here = here if steps is None else [one | steps.flatten()[:, None] for one in here]
            expected = [int(one.sum()) for one in here]
            assert _reached.plain(lists, together, steps, [always, None]) == expected
            given = [(events.pointer.numpy(), events.index.numpy()) for events in lists]
            done = None if steps is None else steps.flatten().numpy()
            assert _reached.by_loop(given, together, done, [always, None]) == expected


@pytest.mark.parametrize("kind", KEPT)
@pytest.mark.parametrize("rows", [0.0, 0.25, 1.1])
def test_a_source_that_is_looked_at_where_it_must_be_counts_like_one_that_was_listed(
    rows, kind, monkeypatch, no_machine_code
):
    monkeypatch.setattr(_counting, "_FEW_ROWS", rows)
    generator = torch.Generator().manual_seed(3)
    x, z = activity("ones", 40), activity("ones", 7, density=0.4)
    weights = [torch.rand(shape, generator=generator) < KEPT[kind] for shape in ((7, 40), (7, 7), (2, 7))]
    w_in, w_rec, w_out = (there.float() for there in weights)
    into = (Connection("h.w_in", "input", x, w_in, False), Connection("h.w_rec", "recurrent", z, w_rec, True))
    records = [
        LayerRecord("h", True, z, (), None, into, binary=True),
        LayerRecord("o", False, torch.zeros(3, 11, 2), (), None, (Connection("o.w_in", "readout", z, w_out, True),)),
    ]
    found = counted(records)
    hidden, out = (x @ w_in.mT + z @ w_rec.mT) > 0, (z @ w_out.mT) > 0
    assert found.active_updates["h"] * 3 == int(hidden.sum())
    assert found.active_updates["o"] * 3 == int(out.sum())
    assert found.by_connection["h.w_in"] * 3 == int((x @ w_in.mT).sum())
    assert found.events["h.w_in"] * 3 == int(x.sum())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("features", [1, 7, 8, 9, 700])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_compiled_lists_are_the_plain_ones(dtype, features, kind, machine_code):
    x = activity(kind, features, dtype).flatten(0, 1)
    for at_most in (x.numel(), 3):
        expected, found = listed(x, at_most), _listed.listed_by_loop(x, at_most)
        assert (expected is None) == (found is None)
        if expected is not None and found is not None:
            assert all(torch.equal(a, b) for a, b in zip(expected[:2], found[:2], strict=True))
            assert (expected[2] is None) == (found[2] is None)
            if expected[2] is not None and found[2] is not None:
                torch.testing.assert_close(found[2], expected[2], rtol=0, atol=0, equal_nan=True)


def test_synapses_that_ones_pass_are_summed_alike_by_compiled_code(machine_code):
    check_sums()


def test_synapses_that_ones_pass_are_summed_alike_by_plain_code(no_machine_code):
    check_sums()


def check_sums() -> None:
    index, fan_out = torch.randint(0, 40, (1003,), dtype=torch.int32), torch.arange(40) * 2**40
    by_hand = sum(int(fan_out[k]) for k in index.tolist())
    for times in ([1], [1, 3], [1, 3, 2]):
        fan_outs = [fan_out * factor for factor in times]
        assert _reached.passed_by_ones(index, fan_outs) == [factor * by_hand for factor in times]
        assert _reached.passed_by_ones(index[:0], fan_outs) == [0] * len(times)


@pytest.mark.parametrize("size", [1, 7, 64, 1000])
def test_compiled_code_tells_which_weights_are_still_zero(size, machine_code):
    weight = torch.randn(size, 3)
    weight[0] = torch.tensor([torch.nan, -0.0, 2.0**-149])
    x = torch.ones(1, 1, 3)
    synapses = _counting.Synapses(Connection("l.w", "input", x, weight, True))
    assert synapses.there[0].tolist() == [True, False, True]

    def still(other: torch.Tensor) -> bool:
        return synapses.still(Connection("l.w", "input", x, other, True))

    assert still(weight)
    assert still(weight.mT.contiguous().mT)
    for at in (0, size - 1):
        for value in (0.0, 1.0):
            other = weight.clone()
            other[at, 2] = value
            assert still(other) == (value != 0)


@pytest.mark.parametrize("lists", [1, 2])
def test_compiled_code_counts_the_steps_in_which_something_is_sent(lists, machine_code):
    sent = [activity("ones", 5), activity("ones", 7)][:lists]
    weights = [torch.ones(4, x.shape[2]) for x in sent]
    into = [
        Connection(f"l.w{k}", "input", Events.from_dense(x), w, True)
        for k, (x, w) in enumerate(zip(sent, weights, strict=True))
    ]
    found = counted([LayerRecord("l", False, torch.zeros(3, 11, 4), (), None, tuple(into))])
    steps = torch.cat(sent, dim=2).any(dim=2).sum()
    assert found.active_updates["l"] * 3 == 4 * int(steps) < 4 * 33


def batches() -> Iterator[list[LayerRecord]]:
    """Of a network of two layers and of what it turns into: each batch has something that the ones before did not have."""
    generator = torch.Generator().manual_seed(5)
    weights = [torch.randn(shape, generator=generator) for shape in ((7, 40), (7, 7), (2, 7), (2, 40))]
    bias: torch.Tensor | None = None

    def batch(
        name: str = "h", seed: int = 0, *, skips: bool = False, size: int = 3, spiking: bool = True
    ) -> list[LayerRecord]:
        draw = torch.Generator().manual_seed(seed)
        x = Events.from_dense((torch.rand(size, 11, 40, generator=draw) < 0.02).float())
        z = (torch.rand(size, 11, 7, generator=draw) < 0.05).float()
        sent = Events.from_dense(z).beside(z)
        into = (
            Connection(f"{name}.w_in", "input", x, weights[0], False),
            Connection(f"{name}.w_rec", "recurrent", z, weights[1], True, events=sent),
        )
        out = [Connection("o.w_in", "readout", z, weights[2], True, events=sent)]
        out += [Connection("o.skips", "readout", x, weights[3], False)] * skips
        hidden = LayerRecord(name, spiking, z, (), None, into, binary=True, bias=bias, events=sent)
        return [hidden, LayerRecord("o", False, torch.zeros(size, 11, 2), (), None, tuple(out))]

    yield batch()
    yield batch(seed=1)
    yield batch(seed=2, size=5)
    for k, density in ((0, 0.8), (2, 0.5), (1, 0.1), (0, 0.0)):
        weights[k].data.mul_(torch.rand(weights[k].shape, generator=generator) < density)  # nobody hears of it
        yield batch(seed=3)
    weights[1] = weights[1].mT.contiguous().mT
    yield batch(seed=4)
    weights[0], weights[1] = torch.ones(7, 40), torch.ones(7, 7)
    yield batch(seed=5)
    bias = torch.arange(7).fmod(2).float()
    yield batch(seed=6)
    weights[2] = torch.tensor([[1.0, 0.0]]).T.repeat(1, 7)
    yield batch(seed=10)
    later, other = batch(seed=11), batch(seed=12)
    fed = later[0].connections[1]._replace(activity=other[0].output, events=other[0].events)
    yield [later[0]._replace(connections=(later[0].connections[0], fed)), later[1]]
    yield batch(seed=13)
    yield batch("g", seed=13)
    later = batch("g")
    yield [later[0]._replace(connections=tuple(c._replace(name=f"{c.name}.x") for c in later[0].connections)), later[1]]
    yield batch(seed=7, skips=True)
    yield batch(seed=8, skips=True)
    later = batch(seed=9)
    yield [later[0]._replace(events=None), later[1]]
    yield [
        later[0]._replace(connections=tuple(c._replace(activity=dense(c.activity)) for c in later[0].connections)),
        later[1],
    ]
    doubled = Events.from_dense(dense(later[0].connections[0].activity) * 2)
    yield [
        later[0]._replace(connections=(later[0].connections[0]._replace(activity=doubled), later[0].connections[1])),
        later[1],
    ]


def test_one_batch_after_the_other_counts_what_a_closer_look_counts(machine_code, monkeypatch):
    whole, alone, again = SynOps(), SynOps(), 0  # the second one looks at every batch anew, without machine code
    for number, records in enumerate(batches()):
        before = whole._again
        whole.update(records)
        again += before is not None and whole._again is before
        with monkeypatch.context() as plain:
            for module in (_counting, _reached, _loops):
                plain.setattr(module, "compiled", lambda: False)
            alone.update(records)
        assert alone._again is None
        assert torch.equal(whole.table, alone.table), number
        assert (whole.samples, whole.neuron_updates) == (alone.samples, alone.neuron_updates)
    assert again >= 4


def test_a_metric_that_was_reset_or_copied_counts_what_a_new_one_counts(machine_code):
    one, other, *_ = batches()
    metric = SynOps()
    for records in (one, other):
        metric.update(records)
    assert metric._again is not None
    for copy in (deepcopy(metric), pickle.loads(pickle.dumps(metric)), metric):
        if copy is metric:
            assert copy._again is not None
        copy.reset()
        one[0].connections[0].weight.data[0] = 0.0
        for records in (one, other):
            copy.update(records)
        expected = SynOps()
        expected.update(one)
        expected._again = None
        expected.update(other)
        assert copy.compute() == expected.compute()


def test_who_counts_with_numpy_for_long_asks_for_the_library_and_then_for_numba_once_each(no_machine_code, monkeypatch):
    asked = []
    monkeypatch.setattr(_loops, "_library", lambda: asked.append("library"))
    monkeypatch.setattr(_loops, "_numba", lambda: asked.append("numba"))
    patience = _loops.Patience(0.25, 1.0)
    for seconds, expected in (
        (0.125, []),
        (0.125, ["library"]),
        (0.5, ["library"]),
        (0.25, ["library", "numba"]),
        (9.0, ["library", "numba"]),
    ):
        patience.lose(seconds)
        assert asked == expected


def test_who_has_machine_code_asks_for_none(monkeypatch):
    monkeypatch.setattr(_loops, "compiled", lambda: True)
    monkeypatch.setattr(_loops, "_library", lambda: pytest.fail("asked"))
    _loops.Patience(0.0, 0.0).lose(1.0)


@pytest.mark.parametrize("compiler", ["/there/is/none", None])
def test_counting_builds_no_library(compiler, tmp_path, monkeypatch, no_machine_code):
    monkeypatch.setenv("SNNLIGHTNING_CACHE_DIR", str(tmp_path))
    if compiler is not None:
        monkeypatch.setenv("CXX", compiler)
    _loops.Patience(0.0, float("inf")).lose(1.0)
    assert not building.kept()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("trouble", ["no home", "a folder that nobody may look into"])
def test_counting_goes_on_where_no_library_can_be_looked_for(trouble, monkeypatch, no_machine_code):
    for name in ("SNNLIGHTNING_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)

    def refuse(self, *_, **__):
        raise RuntimeError("no home") if trouble == "no home" else PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "expanduser" if trouble == "no home" else "exists", refuse)
    _loops.Patience(0.0, float("inf")).lose(1.0)
    assert not building.kept()


@pytest.mark.slow
@pytest.mark.parametrize("way", ["cpp", "numba"])
def test_a_process_that_counts_for_long_changes_to_machine_code_and_counts_the_same(way):
    if way == "numba":
        pytest.importorskip("numba")
    elif building.reason() is not None:
        pytest.skip(building.reason())
    code = f"""
        import math, torch, snnlightning as snn
        from snnlightning.metrics import _loops
        from snnlightning.neurons._cpp import building
        from snnlightning.neurons._numba import compiling
        _loops.patience = _loops.Patience(0.0, {"math.inf" if way == "cpp" else "0.0"})
        layer = snn.SpikingLayer(9, 5, neuron=snn.LIF(), recurrent=True, backend="reference")
        layer.w_in.data[0, 3:] = layer.w_rec.data[:, 1] = 0.0
        record, found = layer.run((torch.rand(4, 50, 9) < 0.3).float()), []
        for way in (False, True, True):
            assert _loops.compiled() == way
            metric = snn.SynOps()
            metric.update([record])
            found.append(metric.compute())
        assert {"building" if way == "cpp" else "compiling"}.in_use()
        assert found[0] == found[1] == found[2]
    """
    compiler = {"CXX": "/there/is/none"} if way == "numba" else {}
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, env=os.environ | compiler)


@pytest.mark.slow
def test_counting_takes_compiled_code_where_loops_were_compiled_and_loads_none_otherwise():
    pytest.importorskip("numba")
    code = """
        import sys, torch, snnlightning as snn
        from snnlightning.neurons._numba import code, compiling
        net = lambda x: snn.SpikingLayer(9, 5, neuron=snn.LIF(), backend="reference").run(x)
        snn.SynOps().update([net(torch.ones(1, 2, 9))])
        import numba
        assert not compiling.in_use()
        code.loop("count_some", "float32")
        assert compiling.in_use()
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)
