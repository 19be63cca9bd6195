"""NeuroBenchSynOps against the installed NeuroBench, on its own harness: equal to the last bit.

The networks are snnTorch's; T1 to T7 are the cases in which NeuroBench does what its definition says.
"""

import json
from collections.abc import Sequence

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from snnlightning.layers import SpikingLayer, SpikingNetwork
from snnlightning.metrics import NeuroBenchSynOps, SynOps
from snnlightning.neurons import LIF
from snnlightning.readouts import SpikeCount
from snnlightning.typing import Connection, LayerRecord

WHY = "not installed: pip install --no-deps neurobench==2.3.0 snntorch==1.0.0"
neurobench = pytest.importorskip("neurobench", reason=f"neurobench is {WHY}")
snntorch = pytest.importorskip("snntorch", reason=f"snntorch is {WHY}")

from snntorch_records import Network, batches_of, harness  # noqa: E402  (needs snntorch)


def of(batches: Sequence[Sequence[LayerRecord]], **options: object) -> dict[str, float]:
    """What our counter says."""
    metric = NeuroBenchSynOps(**options)
    for records in batches:
        metric.update(records)
    return metric.compute().as_neurobench()["SynapticOperations"]


def both(net: Network, x: Tensor, batch_size: int = 4, **options: object) -> dict[str, float]:
    """What both say, which is the same."""
    theirs = harness(net, x, batch_size)["SynapticOperations"]
    assert of(batches_of(net, x, batch_size), **options) == theirs
    assert theirs["Effective_ACs"] + theirs["Effective_MACs"] > 0, "a silent network shows nothing"
    return theirs


def leaky(**options: object) -> nn.Module:
    return snntorch.Leaky(0.9, init_hidden=True, **options)


def feed_forward(i: int = 20, h: int = 16, o: int = 5, *, seed: int = 0, bias: bool = True) -> Network:
    torch.manual_seed(seed)
    return Network((nn.Linear(i, h, bias), leaky()), (nn.Linear(h, o, bias), leaky(output=True)))


def recurrent(i: int = 20, h: int = 16, o: int = 5, *, seed: int = 0) -> Network:
    torch.manual_seed(seed)
    hidden = snntorch.RLeaky(0.9, linear_features=h, init_hidden=True)
    return Network((nn.Linear(i, h), hidden), (nn.Linear(h, o), leaky(output=True)))


def spikes(*shape: int, rate: float = 0.3, seed: int = 1) -> Tensor:
    return (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < rate).float()


def event_counts(*shape: int, seed: int = 2) -> Tensor:
    return torch.poisson(torch.full(shape, 0.15), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("batch_size", [1, 5, 12])
def test_T1_feed_forward_networks_agree(batch_size, bias):
    found = both(feed_forward(bias=bias), spikes(12, 25, 20), batch_size)
    assert found["Dense"] == 25 * (20 * 16 + 16 * 5)
    assert found["Effective_MACs"] == 0


@pytest.mark.parametrize("batch_size", [1, 5, 12])
def test_T2_recurrent_networks_agree(batch_size):
    net, x = recurrent(), spikes(12, 25, 20)
    found = both(net, x, batch_size)
    assert found["Dense"] == 25 * (20 * 16 + 16 * 16 + 16 * 5) == 16400
    records = batches_of(net, x, 12)[0]
    assert records[0].output[:, -1].any(), "the last step must spike, or its convention is not tested"


CONVOLUTIONS = [
    pytest.param(nn.Conv1d, (4, 11), {"kernel_size": 3, "stride": 2, "padding": 1}, id="1d"),
    pytest.param(nn.Conv1d, (4, 11), {"kernel_size": 4, "dilation": 2, "padding": 3, "groups": 2}, id="1d-dilated"),
    pytest.param(nn.Conv2d, (4, 7, 6), {"kernel_size": 3, "stride": 2, "padding": 1}, id="2d"),
    pytest.param(nn.Conv2d, (4, 7, 6), {"kernel_size": (3, 2), "stride": (1, 3), "padding": (2, 0), "groups": 4}, id="2d-groups"),
    pytest.param(nn.Conv3d, (2, 4, 5, 3), {"kernel_size": (2, 3, 2), "stride": (1, 2, 1), "padding": (1, 0, 1)}, id="3d"),
]  # fmt: skip


@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize(("kind", "shape", "slide"), CONVOLUTIONS)
def test_T3_convolutions_agree(kind, shape, slide, batch_size):
    torch.manual_seed(3)
    convolution = kind(shape[0], 8, **slide)
    with torch.no_grad():
        convolution.weight.mul_(3.0).masked_fill_(torch.rand_like(convolution.weight) < 0.3, 0.0)
        out = convolution(torch.zeros(1, *shape))[0].numel()
    net = Network((convolution, leaky()), (nn.Linear(out, 5), leaky(output=True)))
    found = both(net, spikes(6, 8, *shape), batch_size)
    assert found["Effective_ACs"] < found["Dense"] < 8 * (out * convolution.weight[0].numel() + out * 5 + 1)


def test_T3_recurrent_convolutions_agree():
    torch.manual_seed(0)
    hidden = snntorch.RLeaky(0.9, conv2d_channels=3, kernel_size=3, init_hidden=True)
    net = Network((nn.Conv2d(2, 3, 3), hidden), (nn.Linear(3 * 4 * 4, 5), leaky(output=True)))
    found = both(net, spikes(6, 8, 2, 6, 6), 4)
    assert 0 < found["Effective_ACs"] < found["Dense"]


@pytest.mark.parametrize("net", [feed_forward, recurrent])
def test_T4_zero_weights_agree(net):
    net = net()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.masked_fill_(torch.rand_like(parameter) < 0.5, 0.0)
    assert both(net, spikes(12, 25, 20))["Effective_ACs"] > 0


def test_T5_ternary_inputs_agree_and_are_accumulates():
    x = spikes(12, 25, 20) - spikes(12, 25, 20, seed=9)
    assert x.min() == -1
    assert both(recurrent(), x)["Effective_MACs"] == 0


def test_T6_negative_counts_agree():
    x = event_counts(12, 25, 20) - event_counts(12, 25, 20).roll(1, 0)
    assert x.min() < -1
    found = both(recurrent(), x, 2)
    assert min(found["Effective_ACs"], found["Effective_MACs"]) > 0


@pytest.mark.parametrize("net", [feed_forward, recurrent])
def test_T6_event_counts_agree_at_every_batch_size_and_split_differently_at_each(net):
    net, x = net(), event_counts(12, 25, 20)
    found = {batch_size: both(net, x, batch_size) for batch_size in (1, 4, 12)}
    macs = [counts["Effective_MACs"] for counts in found.values()]
    assert 0 < macs[0] < macs[1] < macs[2]
    assert len({round(12 * (counts["Effective_ACs"] + counts["Effective_MACs"])) for counts in found.values()}) == 1


class Cell(nn.Module):
    """RNNCell with a state, and a layer behind it, over a whole sequence."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.cell, self.out = nn.RNNCell(20, 16, nonlinearity="relu"), nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.run(x)[1]

    def run(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h, hs, outs = torch.zeros(len(x), 16), [], []
        for step in x.unbind(1):
            h = self.cell(step, h)
            hs.append(h)
            outs.append(self.out(h))
        return torch.stack(hs, dim=1), torch.stack(outs, dim=1)

    def records(self, x: Tensor) -> list[LayerRecord]:
        with torch.no_grad():
            h, out = self.run(x)
        cell = (
            Connection("cell.w_rec", "recurrent", h, self.cell.weight_hh, False),
            Connection("cell.w_in", "input", x, self.cell.weight_ih, False),
        )
        return [
            LayerRecord("cell", False, h, (), None, cell),
            LayerRecord("out", False, out, (), None, (Connection("out.w_in", "readout", h, self.out.weight, False),)),
        ]


@pytest.mark.parametrize("draw", [spikes, event_counts])
@pytest.mark.parametrize("batch_size", [1, 5, 12])
def test_T7_cells_with_a_state_agree_and_their_analog_states_are_accumulates(batch_size, draw):
    net, x = Cell(), draw(12, 25, 20)
    with torch.no_grad():
        net.cell.weight_hh.masked_fill_(torch.rand_like(net.cell.weight_hh) < 0.3, 0.0)
    theirs = harness(net, x, batch_size, stepwise=False)["SynapticOperations"]
    batches = [net.records(batch) for batch in x.split(batch_size)]
    assert of(batches, cells=["cell"]) == theirs
    assert theirs["Dense"] == 25 * (20 * 16 + 16 * 16 + 16 * 5)
    apart = of(batches)
    assert apart["Effective_MACs"] > theirs["Effective_MACs"], "as two modules, the analog state is its own MAC call"


class Replay(nn.Module):
    """The activity of a network of ours, sent through modules of the same weights as snnTorch would."""

    def __init__(self, net: SpikingNetwork) -> None:
        super().__init__()
        self.calls: list[tuple[nn.Linear, nn.Linear | None]] = []
        for k, layer in enumerate(net.layers):
            made = []
            for name, weight in (("w_in", layer.w_in), ("w_rec", layer.w_rec)):
                if weight is not None:
                    made.append(nn.Linear(weight.shape[1], weight.shape[0], bias=False))
                    made[-1].weight = nn.Parameter(weight.detach().clone())
                    self.add_module(f"{name}_{k}", made[-1])
            self.calls.append((made[0], made[1] if len(made) > 1 else None))
        self.of = [net]  # in a list: no submodule, whose weights would be seen

    def forward(self, x: Tensor) -> Tensor:
        sources = [x, *(record.output for record in self.of[0](x).records)]
        for t in range(x.shape[1]):
            for k, (w_in, w_rec) in enumerate(self.calls):
                w_in(sources[k][:, t])
                if w_rec is not None:
                    w_rec(sources[k + 1][:, t - 1] if t else torch.zeros_like(sources[k + 1][:, 0]))
        return sources[-1]


@pytest.mark.parametrize("recurrent", [False, True])
def test_a_network_of_ours_costs_what_NeuroBench_says_of_its_weights_and_spikes(recurrent):
    torch.manual_seed(0)
    layers = [SpikingLayer(20, 16, neuron=LIF(), recurrent=recurrent), SpikingLayer(16, 5, neuron=LIF())]
    net = SpikingNetwork(layers, SpikeCount())
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(3.0).masked_fill_(torch.rand_like(parameter) < 0.3, 0.0)
    x = spikes(12, 25, 20)
    with torch.no_grad():
        batches = [net(batch).records for batch in x.split(5)]
    theirs = harness(Replay(net), x, 5, stepwise=False)["SynapticOperations"]
    assert of(batches) == theirs
    exact = SynOps()
    for records in batches:
        exact.update(records)
    # The spikes of the last step are in the state that goes on, and NeuroBench's recurrent module never meets them.
    last = (
        sum(float((r[0].output[:, -1] @ (layers[0].w_rec != 0).float().T).sum()) for r in batches) if recurrent else 0.0
    )
    assert exact.compute().total == pytest.approx(theirs["Effective_ACs"] + last / 12, abs=1e-12)
    assert recurrent is (last > 0)


def test_float_sums_that_round_round_as_there():
    """257^3 = 16,974,593 is no number of float32: which neighbour comes out depends on the order of the sum, so on the shape."""
    torch.manual_seed(0)
    net = Network((nn.Linear(257, 257), leaky(output=True)))
    with torch.no_grad():
        net.connection_0.weight.fill_(0.1)
    x = torch.ones(257, 2, 257)
    x[:, 1, ::5] = 0.0
    found = both(net, x, 257)
    assert found["Dense"] * 257 != 2 * 257**3
    assert found["Effective_ACs"] * 257 != x.sum() * 257


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_other_dtypes_round_as_there(dtype, bias):
    net = feed_forward(40, 30, 7, bias=bias).to(dtype)
    found = both(net, spikes(12, 10, 40).to(dtype), 6)
    exact = SynOps()
    for records in batches_of(net, spikes(12, 10, 40).to(dtype), 6):
        exact.update(records)
    assert (found["Effective_ACs"] == exact.compute().total) is (dtype == torch.float64)


def test_convolutions_of_half_precision_round_as_there():
    torch.manual_seed(0)
    net = Network((nn.Conv2d(4, 8, 3, padding=1), leaky()), (nn.Linear(8 * 36, 5), leaky(output=True))).to(
        torch.bfloat16
    )
    found = both(net, spikes(6, 4, 4, 6, 6).to(torch.bfloat16), 3)
    assert 0 < found["Effective_ACs"] < found["Dense"]


def test_one_call_for_the_whole_sequence_is_one_class_for_all_of_it():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(20, 16))
    x = event_counts(12, 25, 20)
    weight = net[0].weight
    batches = [
        [LayerRecord("out", False, net(b), (), None, (Connection("out.w_in", "input", b, weight, False),))]
        for b in x.split(5)
    ]
    theirs = harness(net, x, 5, stepwise=False)["SynapticOperations"]
    assert of(batches, calls="sequence") == theirs
    assert theirs["Effective_ACs"] == 0
    assert of(batches)["Effective_ACs"] > 0


@given(
    seed=st.integers(0, 10**6),
    sizes=st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 5)),
    samples=st.integers(1, 6),
    steps=st.integers(1, 6),
    batch_size=st.integers(1, 6),
    kind=st.sampled_from(["spikes", "counts", "ternary", "signed counts", "analog"]),
    rec=st.booleans(),
    zeros=st.sampled_from([0.0, 0.5]),
)
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
def test_any_small_network_agrees(seed, sizes, samples, steps, batch_size, kind, rec, zeros):
    net = (recurrent if rec else feed_forward)(*sizes, seed=seed)
    g = torch.Generator().manual_seed(seed)
    x = {
        "spikes": torch.rand(samples, steps, sizes[0], generator=g).lt(0.5).float(),
        "counts": torch.poisson(torch.full((samples, steps, sizes[0]), 0.4), generator=g),
        "ternary": torch.randint(-1, 2, (samples, steps, sizes[0]), generator=g).float(),
        "signed counts": torch.randint(-2, 3, (samples, steps, sizes[0]), generator=g)
        * (torch.rand(steps, 1, generator=g) < 0.5)
        - torch.randint(0, 2, (samples, steps, sizes[0]), generator=g).float(),
        "analog": torch.randn(samples, steps, sizes[0], generator=g),
    }[kind]
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(4.0).masked_fill_(torch.rand(parameter.shape, generator=g) < zeros, 0.0)
    theirs = harness(net, x, batch_size)["SynapticOperations"]
    assert of(batches_of(net, x, batch_size)) == theirs


def test_the_other_metrics_agree_and_the_file_is_theirs_to_the_byte(tmp_path):
    net, x = recurrent(), spikes(12, 25, 20)
    with torch.no_grad():
        net.connection_0.weight.masked_fill_(torch.rand(16, 20) < 0.37, 0.0)
    theirs = harness(
        net,
        x,
        12,
        static=("ParameterCount", "ConnectionSparsity"),
        workload=("ActivationSparsity", "SynapticOperations"),
        save=str(tmp_path / "theirs"),
    )
    metric = NeuroBenchSynOps()
    for records in batches_of(net, x, 12):
        metric.update(records)
    ours = metric.compute().as_neurobench(ParameterCount=sum(p.numel() for p in net.parameters()))
    assert ours == theirs
    assert 0 < ours["ConnectionSparsity"] < 1
    assert json.dumps(ours, indent=4) == (tmp_path / "theirs.json").read_text(encoding="utf-8")


def test_activation_sparsity_is_the_mean_over_batches_and_not_over_outputs():
    net, x = feed_forward(), spikes(12, 25, 20)
    theirs = harness(net, x, 5, workload=("ActivationSparsity",))["ActivationSparsity"]
    metric = NeuroBenchSynOps()
    for records in batches_of(net, x, 5):
        metric.update(records)
    assert metric.compute().activation_sparsity == pytest.approx(theirs, abs=1e-15, rel=1e-15)
