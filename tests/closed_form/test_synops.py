"""Synaptic operations counted by hand, and by a loop over every spike of every neuron."""

import copy
import itertools
import pickle
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils import prune

from snnlightning.errors import ConfigurationError, ShapeError
from snnlightning.layers import SpikingLayer, SpikingNetwork
from snnlightning.metrics import SynOps, SynOpsCounts
from snnlightning.neurons import LI, LIF, CubaLI, CubaLIF
from snnlightning.readouts import MaxOverTime, SpikeCount
from snnlightning.surrogates import SuperSpike
from snnlightning.typing import Connection, ConnectionKind, LayerRecord, NetworkOutput


def count(*batches: NetworkOutput | Sequence[LayerRecord]) -> SynOpsCounts:
    metric = SynOps()
    for batch in batches:
        metric.update(batch)
    return metric.compute()


def one(
    activity: Tensor, weight: Tensor, *, binary: bool = False, kind: ConnectionKind = "input", name: str = "out"
) -> list[LayerRecord]:
    """The records of a network with one connection."""
    output = torch.zeros(*activity.shape[:2], weight.shape[0])
    connection = Connection(f"{name}.w_in", kind, activity, weight, binary)
    return [LayerRecord(name, False, output, (), None, (connection,))]


def spikes_of(n: int, neurons: int, steps: int = 100) -> Tensor:
    """[1, T, N] with exactly n spikes."""
    spikes = torch.zeros(steps * neurons)
    spikes[torch.randperm(steps * neurons, generator=torch.Generator().manual_seed(n))[:n]] = 1.0
    return spikes.view(1, steps, neurons)


def layer_record(
    name: str, output: Tensor, spiking: bool, *connections: tuple[str, ConnectionKind, Tensor, Tensor]
) -> LayerRecord:
    return LayerRecord(
        name,
        spiking,
        output,
        (),
        None,
        tuple(Connection(f"{name}.{c[0]}", c[1], c[2], c[3], True) for c in connections),
    )


def k22(x: Tensor, h1: Tensor, h2: Tensor, w_rec: tuple[Tensor, Tensor] | None) -> list[LayerRecord]:
    """A 3-4(rec)-2(rec)-2 network that did this."""
    first = [("w_in", "input", x, torch.ones(4, 3))]
    second = [("w_in", "feedforward", h1, torch.ones(2, 4))]
    if w_rec is not None:
        first.append(("w_rec", "recurrent", h1, w_rec[0]))
        second.append(("w_rec", "recurrent", h2, w_rec[1]))
    third = ("w_in", "readout", h2, torch.ones(2, 2))
    return [
        layer_record("hidden_0", h1, True, *first),
        layer_record("hidden_1", h2, True, *second),
        layer_record("readout", torch.zeros_like(h2), False, third),
    ]


FULL = (torch.ones(4, 4), torch.ones(2, 2))
NO_AUTAPSES = (1.0 - torch.eye(4), 1.0 - torch.eye(2))


@pytest.mark.parametrize(
    ("w_rec", "total", "recurrent"), [(FULL, 74, 34), (NO_AUTAPSES, 64, 24), (None, 40, 0)], ids=["full", "none", "ff"]
)
def test_five_seven_and_three_spikes_make_the_counts_of_K22(w_rec, total, recurrent):
    found = count(k22(spikes_of(5, 3), spikes_of(7, 4), spikes_of(3, 2), w_rec))
    assert found.total == total
    assert found.by_kind == {"input": 20, "feedforward": 14, "recurrent": recurrent, "readout": 6}
    assert found.spikes == {"hidden_0": 7, "hidden_1": 3}
    assert (found.samples, found.macs, found.neuron_updates) == (1, 0, 100 * (4 + 2 + 2))


def test_everything_spiking_at_every_step_costs_the_dense_number_of_K22():
    dense = k22(torch.ones(1, 100, 3), torch.ones(1, 100, 4), torch.ones(1, 100, 2), FULL)
    assert count(dense).total == 4400


def test_the_parts_of_K22_add_up_to_its_total():
    found = count(k22(spikes_of(5, 3), spikes_of(7, 4), spikes_of(3, 2), FULL))
    assert found.by_layer == {"hidden_0": 20 + 28, "hidden_1": 14 + 6, "readout": 6}
    assert found.by_connection == {
        "hidden_0.w_in": 20, "hidden_0.w_rec": 28, "hidden_1.w_in": 14, "hidden_1.w_rec": 6, "readout.w_in": 6,
    }  # fmt: skip
    for parts in (found.by_layer, found.by_kind, found.by_connection):
        assert sum(parts.values()) == found.total


@pytest.mark.parametrize("post", range(4))
@pytest.mark.parametrize("pre", range(3))
def test_pruning_a_weight_saves_exactly_the_spikes_of_its_presynaptic_neuron_K22(post, pre):
    x, weight = spikes_of(57, 3), torch.ones(4, 3)
    before = count(one(x, weight)).total
    weight[post, pre] = 0.0
    assert before - count(one(x, weight)).total == x[..., pre].sum().item() > 0


def test_weights_of_zero_are_no_synapses_and_tiny_and_negative_ones_are():
    weight = torch.tensor([[0.0, -0.0, 1e-40, -2.0]])
    assert count(one(torch.ones(1, 1, 4), weight)).by_connection == {"out.w_in": 2}


def test_masks_of_pruned_layers_are_in_the_count():
    torch.manual_seed(0)
    layer = SpikingLayer(5, 4, neuron=LIF(), recurrent=True)
    x = torch.ones(2, 3, 5)
    assert count([layer.run(x)]).by_connection["layer.w_in"] == 3 * 5 * 4
    prune.random_unstructured(layer, "w_in", amount=7)
    assert count([layer.run(x)]).by_connection["layer.w_in"] == 3 * (5 * 4 - 7)


def network(*, recurrent: bool = True, seed: int = 0) -> SpikingNetwork:
    torch.manual_seed(seed)
    net = SpikingNetwork(
        [
            SpikingLayer(4, 6, neuron=CubaLIF(), recurrent=recurrent),
            SpikingLayer(6, 5, neuron=LIF(), recurrent=recurrent),
            SpikingLayer(5, 3, neuron=CubaLI()),
        ],
        MaxOverTime(),
    )
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(3.0).masked_fill_(torch.rand_like(parameter) < 0.3, 0.0)
    return net


def by_loops(net: SpikingNetwork, x: Tensor) -> dict[str, int]:
    """Total operations by kind, one neuron, one step and one synapse at a time."""
    records = net(x).records
    sources = [x.tolist(), *(record.output.tolist() for record in records)]
    totals = {"input": 0, "feedforward": 0, "recurrent": 0, "readout": 0}

    def through(source: list[list[list[float]]], weight: Tensor) -> int:
        fan_out = [sum(1 for value in column if value != 0.0) for column in weight.t().tolist()]
        return sum(
            int(value) * fan_out[j]
            for sample in source
            for step in sample
            for j, value in enumerate(step)
            if value != 0.0
        )

    for k, layer in enumerate(net.layers):
        kind = "input" if k == 0 else "readout" if k == len(net.layers) - 1 else "feedforward"
        totals[kind] += through(sources[k], layer.w_in)
        if layer.w_rec is not None:
            totals["recurrent"] += through(sources[k + 1], layer.w_rec)
    return totals


@given(seed=st.integers(0, 10**6), batch=st.integers(1, 4), steps=st.integers(1, 12), recurrent=st.booleans())
@settings(max_examples=20)
def test_a_network_costs_what_a_loop_over_all_synapses_counts(seed, batch, steps, recurrent):
    net = network(recurrent=recurrent, seed=seed)
    x = torch.randint(0, 3, (batch, steps, 4)).float()
    found = count(net(x))
    by_hand = by_loops(net, x)
    assert {kind: round(value * batch) for kind, value in found.by_kind.items()} == by_hand
    assert found.total == sum(by_hand.values()) / batch
    for parts in (found.by_layer, found.by_kind, found.by_connection):
        assert sum(round(value * batch) for value in parts.values()) == round(found.total * batch)


@given(data=st.data(), seed=st.integers(0, 10**6), batch=st.integers(1, 9))
@settings(max_examples=25)
def test_how_samples_were_batched_changes_no_count(data, seed, batch):
    """Exact equality of every number, for any way of cutting the batch into pieces."""
    net = network(seed=seed)
    x = torch.randint(0, 3, (batch, 7, 4)).float()
    x[0, 0, 0] = 0.5  # one analog element must not turn its batch into something else
    records = net(x).records
    cuts = [0, *sorted(data.draw(st.sets(st.integers(1, batch), max_size=4)) - {batch}), batch]

    def piece(record: LayerRecord, start: int, end: int) -> LayerRecord:
        connections = tuple(c._replace(activity=c.activity[start:end]) for c in record.connections)
        return record._replace(output=record.output[start:end], connections=connections)

    pieces = [[piece(record, a, b) for record in records] for a, b in itertools.pairwise(cuts)]
    assert count(*pieces) == count(records)


def test_two_runs_with_a_state_between_them_cost_what_one_run_costs():
    net = network()
    x = torch.randint(0, 2, (3, 11, 4)).float()
    whole, first = net(x), net(x[:, :4])
    second = net(x[:, 4:], first.states)
    one_run, two_runs = count(whole), count(first, second)
    assert (one_run.samples, two_runs.samples) == (3, 6)
    assert one_run.total > 0
    for kind, value in one_run.by_kind.items():
        assert round(two_runs.by_kind[kind] * 6) == round(value * 3)
    assert two_runs.neuron_updates * 2 == one_run.neuron_updates


def test_a_bin_with_several_events_counts_each_and_ternary_events_count_one():
    weight = torch.ones(3, 2)
    assert count(one(torch.tensor([[[2.0, 0.0], [1.0, 5.0]]]), weight)).total == 8 * 3
    assert count(one(torch.tensor([[[-1.0, 1.0], [0.0, -1.0]]]), weight)).total == 3 * 3


def test_an_analog_element_is_a_mac_and_leaves_its_neighbours_spikes():
    found = count(one(torch.tensor([[[0.5, 1.0], [-0.25, 2.0]]]), torch.tensor([[1.0, 1.0], [0.0, 1.0]])))
    assert (found.macs, found.total) == (2 * 1, 3 * 2)


def test_a_layer_behind_one_without_threshold_pays_in_macs():
    torch.manual_seed(0)
    layers = [SpikingLayer(4, 3, neuron=LI()), SpikingLayer(3, 2, neuron=LI())]
    found = count(SpikingNetwork(layers, MaxOverTime())(torch.ones(2, 5, 4)))
    assert found.by_connection == {"hidden_0.w_in": 5 * 4 * 3, "readout.w_in": 0}
    assert found.macs == 4 * 3 * 2  # the potential of step 0 is 0
    assert found.spikes == {}


def test_the_cost_of_a_spiking_last_layer_is_in_its_kinds():
    torch.manual_seed(0)
    layers = [SpikingLayer(4, 3, neuron=LIF()), SpikingLayer(3, 2, neuron=LIF(), recurrent=True)]
    with torch.no_grad():
        for layer in layers:
            layer.w_in.fill_(2.0)
    found = count(SpikingNetwork(layers, SpikeCount())(torch.ones(1, 4, 4)))
    assert found.by_kind == {"input": 4 * 4 * 3, "feedforward": 0, "recurrent": 2 * 2 * 2, "readout": 3 * 3 * 2}
    assert found.spikes == {"hidden_0": 3 * 3, "readout": 2 * 2}


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64, torch.bool, torch.uint8])
def test_counts_beyond_the_whole_numbers_of_float32_are_exact(binary, dtype):
    """4097 x 4099 ones: 16,793,603; float32 sums give ...602 or ...604."""
    found = count(one(torch.ones(1, 1, 4099, dtype=dtype), torch.ones(4097, 4099), binary=binary))
    assert found.total == 16_793_603


def test_one_neuron_with_more_events_than_float32_can_count_is_exact():
    x = torch.full((1, 3, 1), float(2**23 + 1))
    assert count(one(x, torch.ones(1, 1))).total == 3 * (2**23 + 1)
    many = torch.ones(1, 2**24 + 3, 1)
    assert count(one(many, torch.ones(1, 1), binary=True)).total == 2**24 + 3


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.int8, torch.int32, torch.bool])
def test_the_dtype_of_the_activity_changes_no_count(dtype):
    x = spikes_of(4000, 2, steps=3000)
    expected = count(one(x, torch.ones(5, 2)))
    assert count(one(x.to(dtype), torch.ones(5, 2))) == expected
    assert count(one(x.to(dtype), torch.ones(5, 2), binary=True)) == expected
    assert count(one(x, torch.ones(5, 2, dtype=torch.bfloat16))) == expected
    assert expected.total == 20_000


def test_signed_integers_at_the_end_of_their_range_count_their_size():
    assert count(one(torch.full((1, 1, 1), -128, dtype=torch.int8), torch.ones(1, 1))).total == 128


class OwnNetwork(nn.Module):
    """What a user writes who does not use our network: a masked dense product and one layer of ours."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = SpikingLayer(3, 4, neuron=LIF(), recurrent=True)
        self.skip = nn.Parameter(torch.ones(2, 3))

    def forward(self, x: Tensor) -> NetworkOutput:
        hidden = self.layer.run(x, name="core", kind="input")
        y = x @ self.skip.t()
        skip = Connection("skip.weight", "readout", x, self.skip, False)
        return NetworkOutput(y.sum(dim=1), (hidden, LayerRecord("skip", False, y, (), None, (skip,))))


def test_a_network_of_the_users_own_is_counted_by_the_records_it_returns():
    torch.manual_seed(0)
    x = spikes_of(9, 3, steps=8)
    found = count(OwnNetwork()(x))
    assert found.by_connection["core.w_in"] == 9 * 4
    assert found.by_connection["skip.weight"] == 9 * 2
    assert set(found.by_layer) == {"core", "skip"}
    assert found.neuron_updates == 8 * (4 + 2)


def test_what_the_network_returned_and_its_records_count_the_same():
    out = network()(torch.ones(2, 5, 4))
    assert count(out) == count(out.records) == count(list(out.records))


# The metric as a metric.


def test_reset_forgets_everything():
    metric = SynOps()
    metric.update(network()(torch.ones(2, 5, 4)))
    metric.reset()
    other = one(torch.ones(1, 2, 3), torch.ones(1, 3))
    metric.update(other)
    assert metric.compute() == count(other)


def test_after_a_reset_the_metric_may_count_another_network():
    """Its layers may be called the same and be of another kind."""
    metric = SynOps()
    metric.update(one(torch.ones(1, 2, 3), torch.ones(1, 3), kind="readout"))
    metric.reset()
    metric.update(one(torch.ones(1, 2, 3), torch.ones(1, 3), kind="input"))
    assert metric.compute().by_kind == {"input": 6, "feedforward": 0, "recurrent": 0, "readout": 0}


def test_two_metrics_do_not_share_their_counts():
    first, second = SynOps(), SynOps()
    first.update(one(torch.ones(1, 2, 3), torch.ones(1, 3)))
    second.update(one(torch.ones(2, 4, 3), torch.ones(5, 3), name="b"))
    assert (first.compute().total, second.compute().total) == (6, 60)
    assert set(first.compute().by_layer) == {"out"}


def states(metric: SynOps) -> dict[str, Tensor]:
    return {name: getattr(metric, name) for name in metric._defaults}


@pytest.mark.parametrize("change", ["to", "half", "bfloat16", "double", "module"])
def test_states_stay_64_bit_integers(change):
    metric = SynOps()
    out = network()(torch.ones(2, 5, 4))
    metric.update(out)
    before = metric.compute()
    if change == "to":
        metric = metric.to(torch.float16)
    elif change == "module":
        nn.ModuleDict({"m": metric}).half()
    else:
        metric = getattr(metric, change)()
    metric.update(out)
    assert {state.dtype for name, state in states(metric).items() if name != "names"} == {torch.int64}
    assert metric.compute()._replace(samples=2) == before


def test_the_metric_moves_to_a_device_with_its_states():
    metric = SynOps()
    metric.update(one(torch.ones(1, 2, 3), torch.ones(1, 3)))
    moved = metric.to("meta")
    assert {state.device.type for state in states(moved).values()} == {"meta"}


def test_calling_the_metric_gives_the_counts_of_the_batch_and_keeps_those_of_all():
    metric = SynOps()
    first, second = network()(torch.ones(2, 5, 4)), network(seed=1)(torch.ones(1, 5, 4))
    assert metric(first) == count(first)
    assert metric(second) == count(second)
    assert metric.compute() == count(first, second)


@pytest.mark.parametrize("how", ["pickle", "deepcopy", "clone"])
def test_a_copied_metric_goes_on_counting_alone(how):
    metric, out = SynOps(), network()(torch.ones(2, 5, 4))
    metric.update(out)
    if how == "pickle":
        twin = pickle.loads(pickle.dumps(metric))
    else:
        twin = copy.deepcopy(metric) if how == "deepcopy" else metric.clone()
    assert twin.compute() == metric.compute()
    twin.update(out)
    assert twin.compute() == count(out, out)
    assert metric.compute() == count(out)


def test_two_halves_merged_are_the_whole():
    """What processes do at the end of an epoch: sum the states, whichever batches each of them saw."""
    first, second = network()(torch.ones(2, 5, 4)), network()(torch.zeros(3, 5, 4))
    mine, other = SynOps(), SynOps()
    mine.update(first)
    other.update(second)
    assert mine.counts() == mine.compute() == count(first)
    mine.merge_state(other)
    assert mine.counts() == mine.compute() == count(first, second)


def test_a_metric_that_is_to_keep_no_result_keeps_none():
    out = network()(torch.ones(2, 5, 4))
    metric = SynOps(compute_with_cache=False)
    metric.update(out)
    assert metric.counts() == count(out)
    assert metric._computed is None


def test_a_metric_that_saw_nothing_takes_over_what_another_one_saw():
    """One process may get no batch at all."""
    out = network()(torch.ones(2, 5, 4))
    mine, other = SynOps(), SynOps()
    other.update(out)
    mine.merge_state(other)
    assert mine.samples == 2
    mine.update(out)
    assert mine.compute() == count(out, out)


def test_counting_outside_inference_mode_goes_on_after_counting_inside():
    out = network()(torch.ones(2, 5, 4))
    metric = SynOps()
    with torch.inference_mode():
        metric.reset()
        metric.update(out)
    metric.update(out)
    assert metric.compute() == count(out, out)


def test_counting_does_not_touch_the_graph():
    net = network()
    out = net(torch.ones(2, 5, 4))
    metric = SynOps()
    metric.update(out)
    assert not any(state.requires_grad for state in states(metric).values())
    out.logits.sum().backward()
    assert net.layers[2].w_in.grad is not None


def test_an_empty_batch_and_an_empty_sequence_add_nothing():
    full = one(torch.ones(1, 2, 3), torch.ones(1, 3))
    metric = SynOps()
    metric.update(full)
    metric.update(one(torch.ones(0, 2, 3), torch.ones(1, 3)))
    assert metric.compute() == count(full)
    assert count(one(torch.ones(2, 0, 3), torch.ones(1, 3))).total == 0


def test_what_is_no_record_is_named():
    records = one(torch.ones(1, 2, 3), torch.ones(1, 3))
    with pytest.raises(ConfigurationError, match=r"one record, of .out., and a list of records is expected"):
        SynOps().update(records[0])
    with pytest.raises(ConfigurationError, match="a str among the records"):
        SynOps().update(["out"])


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_mistakes_are_said():
    with pytest.raises(ConfigurationError, match="before any update; count at least one batch"):
        SynOps().compute()
    with pytest.raises(ConfigurationError, match="no records to count"):
        SynOps().update([])
    with pytest.raises(ConfigurationError, match=r"out\.w_in is of kind 'sideways'; kinds: input, feedforward"):
        SynOps().update(one(torch.ones(1, 2, 3), torch.ones(1, 3), kind="sideways"))
    with pytest.raises(ShapeError, match=r"activity \[1, 2, 3\] and weight \[1, 4\] do not fit"):
        SynOps().update(one(torch.ones(1, 2, 3), torch.ones(1, 4)))
    metric = SynOps()
    metric.update(one(torch.ones(1, 2, 3), torch.ones(1, 3)))
    with pytest.raises(ConfigurationError, match=r"two connections are called 'out\.w_in'"):
        metric.update(one(torch.ones(1, 2, 3), torch.ones(1, 3), kind="readout"))


def test_graded_spikes_of_a_layer_with_its_own_spike_function_are_not_cut_to_whole_numbers():
    """A layer takes any v - v_th -> spikes; a smooth one gives analog values, which cost MACs and are no spikes."""
    torch.manual_seed(0)
    layer = SpikingLayer(2, 3, neuron=LIF(), surrogate=SuperSpike().soft, recurrent=True)
    found = count([layer.run(torch.ones(1, 4, 2))])
    assert found.by_connection["layer.w_rec"] == 0
    assert found.macs == 4 * 3 * 3


def test_another_network_whose_layers_are_called_the_same_is_refused_and_changes_nothing():
    small, wide = one(torch.ones(2, 5, 3), torch.ones(4, 3)), one(torch.ones(2, 5, 6), torch.ones(2, 6))
    metric = SynOps()
    metric.update(small)
    before = metric.compute()
    message = r"another network: the weight of 'out\.w_in' \(input\) is \[2, 6\], and \[4, 3\] was counted .* reset\(\)"
    with pytest.raises(ConfigurationError, match=message):
        metric.update(wide)
    metric._computed = None
    assert metric.compute() == before
    metric.update(one(torch.ones(2, 5, 3), torch.eye(4, 3)))  # pruned is not another
    two_kinds = [
        *one(torch.ones(2, 5, 3), torch.ones(4, 3), name="new"),
        *one(torch.ones(2, 5, 3), torch.ones(4, 3), kind="readout"),
    ]
    with pytest.raises(ConfigurationError, match="two connections are called"):
        metric.update(two_kinds)
    assert set(metric.compute().by_connection) == {"out.w_in"}
    metric.reset()
    metric.update(wide)


@pytest.mark.parametrize(
    ("activity", "name", "message"),
    [
        (torch.ones(2, 5, 6), "out", r"weight of 'out\.w_in' \(input\) is \[4, 6\], and \[4, 3\] was counted"),
        (torch.ones(2, 5, 3), "other", r"'other\.w_in' \(input\) where 'out\.w_in' \(input\) was counted"),
    ],
)
@pytest.mark.parametrize("form", ["metric", "state"])
def test_counts_of_another_network_are_not_merged(form, activity, name, message):
    mine, theirs = SynOps(), SynOps()
    mine.update(one(torch.ones(2, 5, 3), torch.ones(4, 3)))
    theirs.update(one(activity, torch.ones(4, activity.shape[2]), name=name))
    before = mine.compute()
    with pytest.raises(ConfigurationError, match=f"another network: .*{message}"):
        mine.merge_state(theirs if form == "metric" else theirs.metric_state)
    mine._computed = None
    assert mine.compute() == before
