"""Graphs that others wrote: what is read by which rule, and what is refused with the node's name and the way out."""

import dataclasses
import itertools
import json
import math
import sys

import numpy as np
import pytest
import torch
from torch import nn

from snnlightning import errors
from snnlightning.errors import (
    ConfigurationError,
    DataError,
    MissingDependencyError,
    ShapeError,
    UnknownNameError,
)
from snnlightning.interop import DIALECTS, Dialect, from_nir, named_dialect, read_nir, to_nir, write_nir
from snnlightning.layers import SpikingLayer, SpikingNetwork
from snnlightning.neurons import IF, LI, LIF, CubaLI, CubaLIF
from snnlightning.readouts import LastStep, MaxOverTime, SpikeCount
from snnlightning.surrogates import AbstractSurrogate, SuperSpike

nir = pytest.importorskip("nir", minversion="1.0.6")

N = 3
ONES = np.ones(N)
ZERO = 0.0 * ONES
W = np.arange(6.0, dtype=np.float32).reshape(N, 2)
W_REC = np.arange(9.0, dtype=np.float32).reshape(N, N) / 8.0


def lif(**changes):
    return nir.LIF(**{"tau": 0.02 * ONES, "r": ONES, "v_leak": ZERO, "v_threshold": ONES, "v_reset": ZERO, **changes})


def cuba(**changes):
    values = {"tau_mem": 0.02 * ONES, "tau_syn": 0.005 * ONES, "r": ONES, "v_leak": ZERO, "v_threshold": ONES}
    return nir.CubaLIF(**{**values, "v_reset": ZERO, "w_in": ONES, **changes})


def chain(*nodes, n_in=2, n_out=N):
    """input -> nodes -> output, named by type and place."""
    named = {f"{type(node).__name__.lower()}_{k}": node for k, node in enumerate(nodes)}
    names = ["input", *named, "output"]
    ends = {"input": nir.Input({"input": np.array([n_in])}), "output": nir.Output({"output": np.array([n_out])})}
    edges = list(itertools.pairwise(names))
    return nir.NIRGraph({**ends, **named}, edges, type_check=False)


def loop(neuron=None, weight=None, edges=None, **more):
    """The subgraph of a recurrent layer."""
    nodes = {
        "input": nir.Input({"input": np.array([N])}),
        "lif": neuron or lif(),
        "w_rec": weight or nir.Linear(W_REC),
        "output": nir.Output({"output": np.array([N])}),
        **more,
    }
    wiring = edges or [("input", "lif"), ("lif", "w_rec"), ("w_rec", "lif"), ("lif", "output")]
    return nir.NIRGraph(nodes, wiring, type_check=False)


def only_layer(graph, **options):
    (layer,) = from_nir(graph, **{"dt_ms": 1.0, **options}).layers
    return layer


# What is read.


def test_a_chain_without_notes_is_read_by_the_documented_rules():
    net = from_nir(chain(nir.Affine(W, ONES), lif(), nir.Linear(W_REC), nir.LI(0.01 * ONES, ONES, ZERO)), dt_ms=2.0)
    first, last = net.layers
    assert first.neuron == LIF(tau_mem_ms=20.0, dt_ms=2.0, reset="zero", ordering="stork")
    assert last.neuron == LI(tau_mem_ms=10.0, dt_ms=2.0, ordering="stork")
    assert first.surrogate == SuperSpike()
    assert net.readout == MaxOverTime()
    assert torch.equal(first.w_in, torch.from_numpy(W))
    assert torch.equal(first.bias, torch.ones(N))
    assert last.bias is None
    assert from_nir(chain(nir.Linear(W), lif()), dt_ms=1.0).readout == SpikeCount()


def test_a_gain_of_one_is_the_seeds_ordering_and_any_other_goes_into_the_weights():
    lost = 1.0 - math.exp(-1.0 / 20.0)
    assert only_layer(chain(nir.Linear(W), lif(r=ONES / lost))).neuron == LIF(tau_mem_ms=20.0, reset="zero")
    layer = only_layer(chain(nir.Affine(W, ONES), loop(lif(r=np.array([1.0, 2.0, 4.0]) / lost))), dialect=None)
    rows = torch.tensor([1.0, 2.0, 4.0])
    assert layer.neuron.ordering == "seed"
    assert torch.equal(layer.w_in, torch.from_numpy(W) * rows[:, None])
    assert torch.equal(layer.w_rec, torch.from_numpy(W_REC) * rows[:, None])
    assert torch.equal(layer.bias, rows)


def test_gains_of_current_and_potential_multiply():
    lost, lost_syn = 1.0 - math.exp(-1.0 / 20.0), 1.0 - math.exp(-1.0 / 5.0)
    layer = only_layer(chain(nir.Linear(W), cuba(r=3.0 * ONES / lost, w_in=2.0 * ONES / lost_syn)))
    assert layer.neuron == CubaLIF(tau_mem_ms=20.0, tau_syn_ms=5.0, reset="zero")
    assert torch.allclose(layer.w_in, 6.0 * torch.from_numpy(W), rtol=1e-6)
    stork = only_layer(chain(nir.Linear(W), cuba(w_in=ONES / lost_syn)))
    assert stork.neuron.ordering == "stork"
    assert torch.equal(stork.w_in, torch.from_numpy(W))


def test_integrators_are_read_in_seconds():
    layer = only_layer(chain(nir.Linear(W), nir.IF(250.0 * ONES, ONES, ZERO)), dt_ms=4.0)
    assert layer.neuron == IF(dt_ms=4.0, reset="zero")
    assert torch.equal(layer.w_in, torch.from_numpy(W))
    layer = only_layer(chain(nir.Linear(W), nir.I(500.0 * ONES)), dt_ms=4.0)
    assert layer.neuron == LI(tau_mem_ms=math.inf, dt_ms=4.0)
    assert torch.equal(layer.w_in, 2.0 * torch.from_numpy(W))


def test_loops_are_read_as_subgraphs_and_flattened_and_their_bias_joins_the_layers():
    inside = chain(nir.Affine(W, ONES), loop(weight=nir.Affine(W_REC, 2.0 * ONES)))
    flat = chain(nir.Affine(W, ONES), lif())
    flat.nodes["w_rec"] = nir.Affine(W_REC, 2.0 * ONES)
    flat.edges += [("lif_1", "w_rec"), ("w_rec", "lif_1")]
    for graph in (inside, flat):
        layer = only_layer(graph)
        assert torch.equal(layer.w_rec, torch.from_numpy(W_REC))
        assert torch.equal(layer.bias, 3.0 * torch.ones(N))
        assert layer.recurrent


def test_thresholds_that_differ_within_a_layer_are_read_as_a_list():
    layer = only_layer(chain(nir.Linear(W), lif(v_threshold=np.array([1.0, 2.0, 1.0]))))
    assert layer.neuron.v_th == (1.0, 2.0, 1.0)


def test_a_delay_of_one_step_in_the_loop_is_spytorchs_ordering():
    edges = [("input", "lif"), ("lif", "delay"), ("delay", "w_rec"), ("w_rec", "lif"), ("lif", "output")]
    lost, lost_syn = -math.expm1(-1.0 / 20.0), -math.expm1(-1.0 / 5.0)
    exact = cuba(r=ONES / lost, w_in=ONES / lost_syn)
    graph = chain(nir.Linear(W), loop(exact, edges=edges, delay=nir.Delay(0.001 * ONES)))
    assert only_layer(graph).neuron.ordering == "spytorch"
    behind = [("input", "lif"), ("lif", "w_rec"), ("w_rec", "delay"), ("delay", "lif"), ("lif", "output")]
    graph = chain(nir.Linear(W), loop(exact, edges=behind, delay=nir.Delay(0.001 * ONES)))
    assert only_layer(graph).neuron.ordering == "spytorch"
    graph = chain(nir.Linear(W), loop(exact, edges=edges, delay=nir.Delay(0.003 * ONES)))
    with pytest.raises(
        ConfigurationError, match=r"node 'nirgraph_1/delay' is a Delay of 0.003 s .* one step \(0.001 s\)"
    ):
        from_nir(graph, dt_ms=1.0)


def test_nodes_may_come_in_any_order_and_parameters_as_single_numbers():
    graph = chain(
        nir.Linear(W),
        lif(**dict.fromkeys(("tau", "r", "v_threshold"), np.array([0.5])), v_leak=np.zeros(1), v_reset=np.zeros(1)),
    )
    graph = nir.NIRGraph(dict(reversed(graph.nodes.items())), graph.edges[::-1], type_check=False)
    assert only_layer(graph).neuron.tau_mem_ms == 500.0
    assert only_layer(graph).out_features == N


def test_a_batch_axis_of_one_may_stand_before_the_shape():
    graph = chain(nir.Linear(W), lif())
    graph.nodes["input"] = nir.Input({"input": np.array([1, 2])})
    assert only_layer(graph).in_features == 2
    graph.nodes["input"] = nir.Input({"input": np.array([16, 2])})
    with pytest.raises(ShapeError, match=r"node 'input' \(Input\) has shape \[16, 2\]; the weights say \[2\]"):
        from_nir(graph, dt_ms=1.0)


def test_dialects_read_decays_as_their_writers_step():
    tau = np.array([0.002, 0.004, 0.01])
    layer = only_layer(chain(nir.Linear(W), lif(tau=tau, r=tau / 1e-3)), dialect="euler")
    assert layer.neuron.coefficients()["decay_mem"].tolist() == pytest.approx((1.0 - 1e-3 / tau).tolist(), rel=1e-14)
    assert (layer.neuron.ordering, layer.neuron.reset) == ("seed", "zero")
    layer = only_layer(chain(nir.Linear(W), lif(tau=tau / 10.0)), dialect="snntorch", dt_ms=None)
    assert layer.neuron.dt_ms == pytest.approx(0.1)
    assert layer.neuron.coefficients()["decay_mem"].tolist() == pytest.approx((1.0 - 1e-3 / tau).tolist(), rel=1e-14)
    layer = only_layer(chain(nir.Linear(W), lif(tau=10.0 * ONES)), dialect="sinabs", dt_ms=2.0)
    assert layer.neuron == LIF(tau_mem_ms=20.0, dt_ms=2.0, reset="subtract")


def test_spyx_leads_the_input_into_the_loop_and_means_the_neurons():
    edges = [("input", "w_rec"), ("w_rec", "lif"), ("lif", "w_rec"), ("lif", "output")]
    graph = chain(nir.Linear(W), loop(edges=edges))
    assert torch.equal(only_layer(graph, dialect="spyx").w_rec, torch.from_numpy(W_REC))
    with pytest.raises(ConfigurationError, match=r"node 'nirgraph_1' is a NIRGraph of input -> w_rec.*dialect='spyx'"):
        from_nir(graph, dt_ms=1.0)


def test_weights_keep_their_precision_and_integers_become_single():
    assert only_layer(chain(nir.Linear(W.astype(np.float64)), lif())).w_in.dtype == torch.float64
    assert only_layer(chain(nir.Linear(W.astype(np.int8)), lif())).w_in.dtype == torch.float32


# What is refused.

CONV = nir.Conv1d(input_shape=5, weight=np.ones((1, 1, 3)), stride=1, padding=0, dilation=1, groups=1, bias=np.ones(1))


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (lambda: chain(nir.Linear(W), CONV), "'conv1d_1' .Conv1d. follows 'linear_0' .Linear. with no"),
        (lambda: chain(nir.Linear(W), nir.Scale(ONES), lif()), "node 'scale_1' is a Scale.*multiply the rows"),
        (lambda: chain(nir.Linear(W), nir.Threshold(ONES)), "node 'threshold_1' is a Threshold.*as one LIF node. Read: Linear"),
        (lambda: chain(nir.Linear(W), nir.Delay(ONES), lif()), "node 'delay_1' is a Delay.*take it out"),
        (lambda: chain(nir.Delay(ONES[:2]), lif(), n_in=2), "node 'delay_0' is a Delay.*delays come before weights here"),
        (lambda: chain(nir.Linear(W), lif(), nir.Delay(ONES)), "node 'delay_2' is a Delay"),
        (lambda: chain(nir.Delay(0.0004 * ONES[:2]), nir.Linear(W), lif()), "'delay_0' .Delay. has delays that are no whole steps"),
        (lambda: chain(nir.AvgPool2d(*[np.ones(2)] * 3), nir.Linear(W), lif()), "AvgPool2d.*write it as SumPool2d, and divide"),
        (lambda: chain(nir.Flatten(np.array([3, 2, 2]), 1, -1), nir.Linear(W), lif()), "node 'flatten_0' .Flatten. leaves .3, 4.; all axes"),
        (lambda: chain(nir.Linear(W), nir.Linear(W_REC), lif()), "'linear_1' .Linear. follows 'linear_0' .Linear. with no neurons"),
        (lambda: chain(nir.Linear(W), lif(), lif()), "node 'lif_2' .LIF. follows no weights; put a Linear node"),
        (lambda: chain(lif(), n_in=N), "node 'lif_0' .LIF. follows no weights"),
        (lambda: chain(nir.Linear(W)), "node 'linear_0' .Linear. goes to the output without neurons"),
        (chain, "the input goes to the output without neurons"),
        (lambda: chain(nir.Linear(W), lif(v_leak=np.array([0.0, 0.5, 0.0]))), "'lif_1' .LIF. has v_leak = 0 and 0.5; the"),
        (lambda: chain(nir.Linear(W), lif(v_reset=-ONES)), "'lif_1' .LIF. has v_reset = -1; the neurons here have no reset pot"),
        (lambda: chain(nir.Linear(W), lif(v_threshold=ZERO)), "has v_threshold = 0; it must be greater than 0"),
        (lambda: chain(nir.Linear(W), lif(tau=-ONES)), "has tau = -1 s; a time constant is greater than 0"),
        (lambda: chain(nir.Linear(W), lif(tau=np.inf * ONES)), "has an infinite tau; write the node as IF"),
        (lambda: chain(nir.Linear(W), lif(r=np.nan * ONES)), "node 'lif_1' .LIF..r has values that are not finite"),
        (lambda: chain(nir.Linear(np.full((N, 2), np.inf)), lif()), "node 'linear_0' .Linear. has values that are not finite"),
        (lambda: chain(nir.Linear(W), loop(nir.LI(ONES, ONES, ZERO))), "a loop over 'nirgraph_1/w_rec', and neurons that do not"),
        (lambda: chain(nir.Linear(W), loop(other=lif())), "node 'nirgraph_1' is a NIRGraph of input -> lif, lif -> w_rec"),
    ],
)  # fmt: skip
def test_a_graph_that_is_no_network_of_ours_is_refused_with_the_node_and_the_reason(graph, message):
    with pytest.raises(ConfigurationError, match=message):
        from_nir(graph(), dt_ms=1.0)


@pytest.mark.parametrize(
    ("edges", "message"),
    [
        ([("linear_0", "output")], r"node 'linear_0' \(Linear\) goes to 'lif_1', 'output'; layers in a row"),
        ([("input", "lif_1")], r"node 'input' \(Input\) goes to 'linear_0', 'lif_1'"),
        (
            [("nowhere", "lif_1")],
            r"edge \('nowhere', 'lif_1'\) of the graph names 'nowhere', and there is no such node",
        ),
        ([("lif_1", "output")], r"edge \('lif_1', 'output'\) of the graph is there twice"),
        ([("extra", "lif_1")], r"node 'lif_1' \(LIF\) takes input from 'linear_0', 'extra'"),
    ],
)
def test_a_graph_with_a_fork_a_join_or_a_loose_edge_is_refused(edges, message):
    graph = chain(nir.Linear(W), lif())
    if edges[0][0] == "extra":
        graph.nodes["extra"] = nir.Linear(W)
    graph.edges += edges
    with pytest.raises(ConfigurationError, match=message):
        from_nir(graph, dt_ms=1.0)


def test_unconnected_nodes_dead_ends_two_loops_and_two_inputs_are_refused():
    graph = chain(nir.Linear(W), lif())
    graph.nodes["stray"] = nir.Linear(W)
    with pytest.raises(ConfigurationError, match=r"node 'stray' \(Linear\) is not on the way from input to output"):
        from_nir(graph, dt_ms=1.0)
    graph = chain(nir.Linear(W), lif())
    graph.edges.pop()
    with pytest.raises(ConfigurationError, match=r"node 'lif_1' \(LIF\) goes nowhere"):
        from_nir(graph, dt_ms=1.0)
    graph = chain(nir.Linear(W), lif())
    for name in ("one", "two"):
        graph.nodes[name] = nir.Linear(W_REC)
        graph.edges += [("lif_1", name), (name, "lif_1")]
    with pytest.raises(
        ConfigurationError, match=r"node 'lif_1' .LIF. has two loops, over 'one' and 'two'; add the two"
    ):
        from_nir(graph, dt_ms=1.0)
    graph = chain(nir.Linear(W), lif())
    graph.nodes["more"] = nir.Input({"input": np.array([2])})
    with pytest.raises(ConfigurationError, match=r"the graph has 2 Input nodes \(input, more\); one is expected"):
        from_nir(graph, dt_ms=1.0)


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (lambda: chain(nir.Linear(W), nir.IF(np.ones(4), np.ones(4))), "shape .4.; the layer has 3 neurons"),
        (lambda: chain(nir.Linear(W), lif(), nir.Linear(W), lif()), "'linear_2' .Linear. takes 2 inputs and the neurons before it are 3"),
        (lambda: chain(nir.Linear(W), loop(weight=nir.Linear(W))), "'nirgraph_1/w_rec' is .3, 2.; a loop of 3 neurons is"),
        (lambda: chain(nir.Affine(W, np.ones(2)), lif()), "has a bias .2.; one per row, .3., is expected"),
        (lambda: chain(nir.Linear(np.ones((2, 3, 2))), lif()), "has weights .2, 3, 2.; a matrix .N, N_in. is expected"),
        (lambda: chain(nir.Linear(W), lif(), n_in=5), r"node 'input' .Input. has shape \[5\]; the weights say \[2\]"),
    ],
)  # fmt: skip
def test_nodes_that_do_not_fit_together_are_refused(graph, message):
    with pytest.raises((ShapeError, ConfigurationError), match=message):
        from_nir(graph(), dt_ms=1.0)


def test_the_time_step_has_to_come_from_somewhere_and_from_one_place():
    graph = chain(nir.Linear(W), lif())
    with pytest.raises(ConfigurationError, match=r"the graph does not say its time step .*; pass dt_ms="):
        from_nir(graph)
    with pytest.raises(ConfigurationError, match=r"dt_ms is -1"):
        from_nir(graph, dt_ms=-1.0)
    ours = to_nir(SpikingNetwork([SpikingLayer(2, 3, neuron=LIF(dt_ms=2.0))], SpikeCount()))
    assert from_nir(ours, dt_ms=2.0).layers[0].neuron.dt_ms == 2.0
    with pytest.raises(ConfigurationError, match=r"written with dt_ms=2.0 and dt_ms=1.0 was asked for"):
        from_nir(ours, dt_ms=1.0)
    with pytest.raises(ConfigurationError, match=r"forward Euler needs more than its step of 0.05 s"):
        from_nir(graph, dt_ms=50.0, dialect="norse")


def test_what_is_no_graph_and_who_is_no_dialect_are_refused():
    with pytest.raises(ConfigurationError, match=r"LIF is no NIR graph"):
        from_nir(lif(), dt_ms=1.0)
    with pytest.raises(ConfigurationError, match=r"LIF is no NIR graph; write_nir"):
        write_nir(lif(), "x.nir")
    with pytest.raises(UnknownNameError, match=r"no NIR dialect named 'snntorsch'; did you mean 'snntorch'"):
        from_nir(chain(nir.Linear(W), lif()), dt_ms=1.0, dialect="snntorsch")
    with pytest.raises(ConfigurationError, match=r"has a step of 0.0 s"):
        named_dialect(Dialect(name="mine", step_s=0.0))
    with pytest.raises(ConfigurationError, match=r"reset is 'none'"):
        from_nir(chain(nir.Linear(W), lif()), dt_ms=1.0, reset="none")
    assert all(name == record.name for name, record in DIALECTS.items())


def test_files_that_cannot_be_read_say_why(tmp_path):
    with pytest.raises(DataError, match=r"nothing.nir: no such file"):
        read_nir(tmp_path / "nothing.nir")
    (tmp_path / "text.nir").write_text("no HDF5")
    with pytest.raises(DataError, match=r"text.nir: not a graph that nir .* can read"):
        from_nir(tmp_path / "text.nir")
    nir.write(tmp_path / "node.nir", lif())
    with pytest.raises(DataError, match=r"holds a single LIF node"):
        read_nir(tmp_path / "node.nir")
    with pytest.raises(DataError, match=r"the folder .* does not exist"):
        write_nir(chain(nir.Linear(W), lif()), tmp_path / "no" / "x.nir")


def test_an_unknown_node_in_a_file_is_refused_with_its_name(tmp_path):
    import h5py

    path = write_nir(to_nir(SpikingNetwork([SpikingLayer(2, 3, neuron=LIF())], SpikeCount())), tmp_path / "x.nir")
    with h5py.File(path, "r+") as file:
        del file["node/nodes/readout/type"]
        file["node/nodes/readout"].create_dataset("type", data="Resonator", dtype=h5py.string_dtype())
    with pytest.raises(
        DataError, match=r"x.nir: node 'readout' is a Resonator, which nir 1.* does not know; the file comes"
    ):
        from_nir(path)
    with h5py.File(path, "r+") as file:
        del file["node/nodes/readout/type"]
    with pytest.raises(DataError, match=r"x.nir: node 'readout' has no type"):
        from_nir(path)


# Notes that are not ours to trust.


def noted(**content):
    graph = chain(nir.Linear(W), lif())
    graph.nodes["lif_1"].metadata = {"snnlightning": json.dumps({"format": 1, **content})}
    return graph


@pytest.mark.parametrize(
    ("graph", "error", "message"),
    [
        (lambda: noted(format=2), ConfigurationError, "node 'lif_1': metadata.* has format 2 and this version reads 1"),
        (lambda: noted(neuron="LIF"), ConfigurationError, "the graph's note describes a neuron as 'LIF'; remove"),
        (lambda: noted(neuron={"type": "LIFF"}), UnknownNameError, "no neuron named 'LIFF'; did you mean 'lif'.*written with it"),
        (lambda: noted(neuron={"type": "LIF", "tau": 1}), ConfigurationError, "describes LIF otherwise .*unexpected keyword"),
        (lambda: noted(surrogate={"type": "Mine"}), UnknownNameError, "no surrogate named 'Mine'; .* pass surrogate="),
    ],
)  # fmt: skip
def test_a_note_that_makes_no_sense_is_refused_with_the_way_out(graph, error, message):
    with pytest.raises(error, match=message):
        from_nir(graph(), dt_ms=1.0)


def test_a_note_that_is_no_json_is_refused():
    graph = chain(nir.Linear(W), lif())
    graph.metadata = {"snnlightning": "{half"}
    with pytest.raises(
        ConfigurationError, match=r"the graph: metadata\['snnlightning'\] is no JSON object; delete the entry"
    ):
        from_nir(graph, dt_ms=1.0)


def test_a_note_cannot_name_what_is_outside_the_package():
    with pytest.raises(UnknownNameError, match=r"no surrogate named 'os.system'"):
        from_nir(noted(surrogate={"type": "os.system", "command": "true"}), dt_ms=1.0)


# What is not written.


class Quiet(AbstractSurrogate):
    """A user's surrogate."""

    height = width = area = 1.0

    @classmethod
    def from_height_width(cls, height, width):
        return cls()

    def derivative(self, x):
        return torch.ones_like(x)

    def soft(self, x):
        return x


def one(layer: SpikingLayer, readout=None) -> SpikingNetwork:
    return SpikingNetwork([layer], readout or (SpikeCount() if layer.neuron.spiking else LastStep()))


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (lambda: one(SpikingLayer(2, 2, neuron=LIF(tau_mem_ms=[math.inf, 1.0]))), "some of its time constants are infinite"),
        (lambda: one(SpikingLayer(2, 2, neuron=LIF(tau_mem_ms=math.inf, ordering="stork"))), "takes no input at all"),
        (lambda: one(SpikingLayer(2, 2, neuron=CubaLIF(tau_syn_ms=math.inf))), "leak in both variables"),
        (lambda: one(SpikingLayer(2, 2, neuron=CubaLI(tau_mem_ms=math.inf))), "leak in both variables"),
        (lambda: one(SpikingLayer(2, 2, neuron=LIF()).bfloat16()), "w_in is torch.bfloat16.*net.float"),
        (lambda: one(SpikingLayer(2, 2, neuron=LIF(), initializer=lambda w: nn.init.constant_(w, math.nan))), "not finite; the net"),
        (lambda: one(SpikingLayer(2, 2, neuron=LIF(), surrogate=torch.sigmoid)), "its surrogate is <.*which need not be"),
    ],
)  # fmt: skip
def test_what_nir_cannot_say_is_refused_by_layer(net, message):
    with pytest.raises(
        ConfigurationError, match=f"layer 'readout' .{type(net().layers[0].neuron).__name__}.: .*{message}"
    ):
        to_nir(net())


def test_layers_that_are_not_what_they_seem_are_refused():
    class Own(SpikingLayer):
        def run(self, *args, **kwargs):
            return super().run(*args, **kwargs)

    class OwnLIF(LIF):
        pass

    class OwnNetwork(SpikingNetwork):
        def forward(self, *args, **kwargs):
            return super().forward(*args, **kwargs)

    with pytest.raises(ConfigurationError, match=r"layer 'readout' .LIF.: Own runs in a way of its own"):
        to_nir(one(Own(2, 2, neuron=LIF())))
    with pytest.raises(
        ConfigurationError, match=r"layer 'readout' .OwnLIF.: NIR 1.0 has no node for the equations of OwnLIF"
    ):
        to_nir(one(SpikingLayer(2, 2, neuron=OwnLIF())))
    with pytest.raises(ConfigurationError, match=r"OwnNetwork has a forward of its own"):
        to_nir(OwnNetwork([SpikingLayer(2, 2, neuron=LIF())], SpikeCount()))
    with pytest.raises(ConfigurationError, match=r"Linear cannot be exported; a SpikingNetwork"):
        to_nir(nn.Linear(2, 2))


def test_two_time_steps_in_one_network_are_refused():
    layers = [SpikingLayer(2, 2, neuron=LIF(dt_ms=dt_ms)) for dt_ms in (1.0, 2.0)]
    with pytest.raises(ConfigurationError, match=r"layer 'readout' .LIF.: its dt_ms is 2.0 and the first layer's 1.0"):
        to_nir(SpikingNetwork(layers, SpikeCount()))


def test_a_users_surrogate_and_readout_are_asked_for_on_the_way_back():
    graph = to_nir(one(SpikingLayer(2, 2, neuron=LIF(), surrogate=Quiet()), readout=lambda y: y.sum(1)))
    with pytest.raises(UnknownNameError, match=r"no surrogate named 'Quiet'.*pass surrogate="):
        from_nir(graph)
    with pytest.raises(UnknownNameError, match=r"no readout named '<lambda>'.*pass readout="):
        from_nir(graph, surrogate=Quiet())
    net = from_nir(graph, surrogate=Quiet(), readout=LastStep())
    assert isinstance(net.layers[0].surrogate, Quiet)


def test_without_nir_the_message_says_what_to_install(monkeypatch):
    def missing(module):
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)

    monkeypatch.setattr(errors.importlib, "import_module", missing)
    monkeypatch.delitem(sys.modules, "nir", raising=False)
    with pytest.raises(
        MissingDependencyError, match=r"NIR export and import needs nir, .* pip install 'snnlightning\[nir\]'"
    ):
        to_nir(one(SpikingLayer(2, 2, neuron=LIF())))


def test_a_nir_without_notes_on_inputs_is_too_old(monkeypatch):
    monkeypatch.setattr(nir, "Input", dataclasses.make_dataclass("Input", ["input_type"]))
    with pytest.raises(
        MissingDependencyError, match=r"needs nir 1\.0\.5 or later, and 1\.\S+ is installed: pip install"
    ):
        to_nir(one(SpikingLayer(2, 2, neuron=LIF())))


def test_an_older_nir_without_the_node_is_named(monkeypatch):
    monkeypatch.delattr(nir, "CubaLI")
    with pytest.raises(
        ConfigurationError, match=r"layer 'readout' .CubaLI.: nir .* has no CubaLI node; install nir 1.0"
    ):
        to_nir(one(SpikingLayer(2, 2, neuron=CubaLI())))


def test_a_dialect_is_a_record_that_can_be_changed():
    """Norse 1.1.0 writes dt tau where tau belongs; a step of dt squared reads its decays."""
    own = dataclasses.replace(DIALECTS["norse"], step_s=1e-6)
    layer = only_layer(chain(nir.Linear(W), lif(tau=1e-5 * ONES)), dialect=own)
    assert layer.neuron.coefficients()["decay_mem"] == pytest.approx(0.9, rel=1e-14)
