"""Layers and networks: shapes, state, weights, names; copied, saved, compiled and in half precision."""

import copy
import math

import pytest
import torch
from helpers import every, neuron_variants
from torch import Tensor, nn
from torch.nn.utils import parametrize, prune

from snnlightning.errors import ConfigurationError, ShapeError
from snnlightning.initializers import ScaledNormal, ScaledUniform
from snnlightning.layers import SpikingLayer, SpikingNetwork
from snnlightning.neurons import IF, LI, LIF, CubaLI, CubaLIF
from snnlightning.readouts import MaxOverTime, SpikeCount
from snnlightning.scan import scan
from snnlightning.surrogates import ATan, SuperSpike

SPIKING = neuron_variants(spiking=True)


def network(seed: int = 0, gain: float = 3.0, **options: object) -> SpikingNetwork:
    torch.manual_seed(seed)
    return SpikingNetwork(
        [
            SpikingLayer(4, 6, neuron=CubaLIF(**options), recurrent=True, bias=True, initializer=ScaledNormal(gain)),
            SpikingLayer(6, 5, neuron=LIF(), initializer=ScaledNormal(gain)),
            SpikingLayer(5, 3, neuron=CubaLI()),
        ],
        MaxOverTime(),
    )


def spikes(batch: int = 3, steps: int = 9, n: int = 4, seed: int = 1) -> Tensor:
    return (torch.rand(batch, steps, n, generator=torch.Generator().manual_seed(seed)) < 0.5).float()


# A layer.


@pytest.mark.parametrize("neuron", neuron_variants())
def test_a_layer_is_used_like_an_lstm(neuron):
    layer = SpikingLayer(4, 6, neuron=neuron, recurrent=neuron.spiking)
    reference = nn.LSTM(4, 6, batch_first=True)
    x = spikes()
    output, state = layer(x)
    assert output.shape == reference(x)[0].shape == (3, 9, 6)
    assert [tuple(variable.shape) for variable in state] == [(3, 6)] * len(neuron.state_names)
    state, steps = None, []
    for n in range(9):
        step, state = layer(x[:, n : n + 1], state)
        steps.append(step)
    torch.testing.assert_close(torch.cat(steps, dim=1), output, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("neuron", SPIKING)
def test_a_layer_computes_what_scan_computes_with_its_weights(neuron):
    torch.manual_seed(0)
    layer = SpikingLayer(
        4, 6, neuron=neuron, surrogate=ATan(), recurrent=True, bias=True, initializer=ScaledNormal(4.0)
    )
    x = spikes()
    record = layer.run(x, potentials=True)
    trace = scan(neuron, x, layer.w_in, layer.w_rec, bias=layer.bias, spike=ATan(), potentials=True)
    assert torch.equal(record.output, trace.output)
    assert torch.equal(record.potentials, trace.potentials)
    assert trace.output.any()
    assert layer.run(x).potentials is None


def test_weights_are_to_by_from():
    layer = SpikingLayer(2, 3, neuron=IF(), recurrent=True)
    assert (layer.w_in.shape, layer.w_rec.shape) == ((3, 2), (3, 3))
    with torch.no_grad():
        layer.w_in.zero_()
        layer.w_in[0, 1] = 2.0
        layer.w_rec.zero_()
        layer.w_rec[2, 0] = 3.0
    x = torch.zeros(1, 4, 2)
    x[0, 0, 1] = 1.0
    output, _ = layer(x)
    assert output[0].nonzero().tolist() == [[1, 0], [2, 2], [3, 2]]


def test_parameters_are_the_weights_the_bias_and_the_learned_time_constants():
    def names(**options: object) -> set[str]:
        return {name for name, _ in SpikingLayer(2, 3, **options).named_parameters()}

    assert names(neuron=CubaLIF()) == {"w_in"}
    assert names(neuron=CubaLIF(), recurrent=True, bias=True) == {"w_in", "w_rec", "bias"}
    assert names(neuron=CubaLIF(learn_tau="shared")) == {"w_in", "log_tau_mem_ms", "log_tau_syn_ms"}
    assert names(neuron=LI(learn_tau="per_neuron")) == {"w_in", "log_tau_mem_ms"}


@pytest.mark.parametrize("learn_tau", ["shared", "per_neuron"])
def test_learned_time_constants_start_where_the_record_says_and_change_nothing_until_trained(learn_tau):
    torch.manual_seed(0)
    fixed = SpikingLayer(4, 6, neuron=CubaLIF(tau_mem_ms=7.0), initializer=ScaledNormal(4.0)).double()
    learned = SpikingLayer(4, 6, neuron=CubaLIF(tau_mem_ms=7.0, learn_tau=learn_tau)).double()
    learned.w_in = fixed.w_in
    taus = learned.taus_ms()
    assert fixed.taus_ms() == {}
    assert {name: tau.shape for name, tau in taus.items()} == dict.fromkeys(
        ("tau_mem_ms", "tau_syn_ms"), torch.Size([] if learn_tau == "shared" else [6])
    )
    torch.testing.assert_close(taus["tau_mem_ms"], torch.full_like(taus["tau_mem_ms"], 7.0), rtol=1e-6, atol=0.0)
    one, two = (layer.run(spikes().double(), potentials=True) for layer in (fixed, learned))
    torch.testing.assert_close(one.potentials, two.potentials, rtol=1e-5, atol=1e-5)
    two.output.sum().backward()
    assert learned.log_tau_mem_ms.grad.abs().sum() > 0
    assert learned.log_tau_syn_ms.grad.abs().sum() > 0


def test_lists_of_time_constants_are_learned_from_where_they_are():
    layer = SpikingLayer(4, 3, neuron=LIF(tau_mem_ms=[2.0, 5.0, 11.0], learn_tau="per_neuron"))
    assert layer.taus_ms()["tau_mem_ms"].tolist() == pytest.approx([2.0, 5.0, 11.0], rel=1e-6)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"in_features": 0},
            ConfigurationError,
            "a layer of 0 -> 3 features; both must be whole numbers of at least 1",
        ),
        ({"out_features": 0}, ConfigurationError, "a layer of 2 -> 0 features"),
        ({"backend": "cuda"}, ConfigurationError, "no backend named 'cuda'; available: auto, reference"),
        ({"neuron": LI(), "recurrent": True}, ConfigurationError, "LI has no threshold.*leave out recurrent=True"),
        ({"neuron": LI(), "surrogate": SuperSpike()}, ConfigurationError, "LI has no threshold.*leave out a surrogate"),
        ({"neuron": LIF(tau_mem_ms=[1.0, 2.0])}, ShapeError, "tau_mem_ms lists 2 time constants for a layer of 3"),
        (
            {"neuron": LIF(tau_mem_ms=math.inf, learn_tau="shared")},
            ConfigurationError,
            "tau_mem_ms is infinite and cannot",
        ),
        (
            {"neuron": LIF(tau_mem_ms=[1.0, math.inf, 2.0], learn_tau="per_neuron")},
            ConfigurationError,
            "tau_mem_ms is infinite",
        ),
    ],
    ids=["in", "out", "backend", "recurrent", "surrogate", "list", "infinite", "infinite-list"],
)
def test_mistakes_in_a_layer_are_said_when_it_is_built(options, error, message):
    arguments = {"in_features": 2, "out_features": 3, "neuron": LIF(), **options}
    with pytest.raises(error, match=message):
        SpikingLayer(**arguments)


def test_mistakes_in_a_call_name_the_layer():
    with pytest.raises(ShapeError, match=r"layer 'hidden_1': x is \[2, 3, 4\].*w_in \[5, 6\] takes 6"):
        network().layers[1].run(torch.zeros(2, 3, 4), name="hidden_1")
    with pytest.raises(ShapeError, match=r"layer 'hidden_0': x is \[3, 4\]"):
        network()(torch.zeros(3, 4))


def test_drawing_anew_changes_the_weights_and_puts_the_rest_back():
    torch.manual_seed(0)
    layer = SpikingLayer(4, 5, neuron=CubaLIF(learn_tau="shared"), recurrent=True, bias=True)
    start = copy.deepcopy(layer.state_dict())
    with torch.no_grad():
        layer.bias.add_(1.0)
        layer.log_tau_mem_ms.add_(1.0)
    layer.reset_parameters()
    after = layer.state_dict()
    for name in ("bias", "log_tau_mem_ms", "log_tau_syn_ms"):
        assert torch.equal(after[name], start[name])
    for name in ("w_in", "w_rec"):
        assert not torch.equal(after[name], start[name])
    torch.manual_seed(0)
    layer.reset_parameters()
    assert torch.equal(layer.w_in, start["w_in"])


def test_two_layers_share_nothing():
    first, second = (SpikingLayer(4, 5, neuron=CubaLIF(), recurrent=True) for _ in range(2))
    kept = second(spikes())[0]
    with torch.no_grad():
        first.w_in.add_(10.0)
    assert torch.equal(second(spikes())[0], kept)


# Initializers.


@pytest.mark.parametrize("cls", [ScaledNormal, ScaledUniform])
@pytest.mark.parametrize("gain", [0.5, 3.0])
def test_initial_weights_have_mean_zero_and_a_spread_that_falls_with_the_fan_in(cls, gain):
    torch.manual_seed(0)
    for fan_in in (25, 400):
        weight = cls(gain)(nn.Parameter(torch.empty(2000, fan_in, dtype=torch.float64)))
        spread = gain / math.sqrt(fan_in) / (math.sqrt(3.0) if cls is ScaledUniform else 1.0)
        assert weight.std().item() == pytest.approx(spread, rel=0.02)
        assert abs(weight.mean().item()) < 4.0 * spread / math.sqrt(weight.numel())
        assert weight.requires_grad


def test_uniform_weights_stay_in_their_bound_and_reach_it():
    torch.manual_seed(0)
    weight = ScaledUniform(2.0)(torch.empty(500, 16))
    assert weight.abs().max().item() == pytest.approx(0.5, rel=0.01)
    assert weight.abs().max().item() <= 0.5


@pytest.mark.parametrize("cls", [p for p in every("initializers") if "gain" in p.values[0].__dataclass_fields__])
def test_a_gain_that_is_not_positive_is_refused(cls):
    for bad in (0.0, -1.0, math.nan):
        with pytest.raises(ConfigurationError, match=rf"{cls.__name__}\.gain is {bad}; it must be greater than 0"):
            cls(bad)


def test_recurrent_weights_have_their_own_initializer_or_that_of_the_input():
    torch.manual_seed(0)
    options = {"neuron": LIF(), "recurrent": True, "initializer": ScaledNormal(2.0)}
    one = SpikingLayer(400, 400, **options)
    two = SpikingLayer(400, 400, **options, rec_initializer=ScaledNormal(0.5))
    assert one.w_rec.std().item() == pytest.approx(0.1, rel=0.02)
    assert two.w_rec.std().item() == pytest.approx(0.025, rel=0.02)
    assert two.w_in.std().item() == pytest.approx(0.1, rel=0.02)


# A network.


def test_a_network_gives_logits_and_one_record_per_layer():
    net, x = network(), spikes()
    out = net(x)
    assert out.logits.shape == (3, 3)
    assert [record.name for record in out.records] == list(net.names) == ["hidden_0", "hidden_1", "readout"]
    assert [tuple(record.output.shape) for record in out.records] == [(3, 9, 6), (3, 9, 5), (3, 9, 3)]
    assert [record.spiking for record in out.records] == [True, True, False]
    assert torch.equal(out.logits, out.records[-1].output.max(dim=1).values)
    assert all(record.potentials is None for record in out.records)
    assert all(record.potentials.shape == record.output.shape for record in net(x, potentials=True).records)


def test_connections_say_what_came_through_which_weights():
    net, x = network(), spikes()
    records = net(x).records
    found = {c.name: (c.kind, c.binary) for record in records for c in record.connections}
    assert found == {
        "hidden_0.w_in": ("input", False),
        "hidden_0.w_rec": ("recurrent", True),
        "hidden_1.w_in": ("feedforward", True),
        "readout.w_in": ("readout", True),
    }
    by_name = {c.name: c for record in records for c in record.connections}
    assert by_name["hidden_0.w_in"].activity is x
    assert by_name["hidden_0.w_rec"].activity is records[0].output is by_name["hidden_1.w_in"].activity
    assert by_name["hidden_0.w_rec"].weight is net.layers[0].w_rec


def test_a_network_of_one_layer_has_input_synapses_only():
    net = SpikingNetwork([SpikingLayer(4, 3, neuron=LI())], MaxOverTime())
    (record,) = net(spikes()).records
    assert (record.name, [c.kind for c in record.connections]) == ("readout", ["input"])


def test_what_a_layer_without_threshold_sends_is_not_called_binary():
    net = SpikingNetwork([SpikingLayer(4, 3, neuron=LI()), SpikingLayer(3, 2, neuron=LIF())], SpikeCount())
    assert net(spikes()).records[1].connections[0].binary is False


@pytest.mark.parametrize("cut", [0, 1, 4, 9])
def test_states_of_a_network_handed_over_equal_one_run(cut):
    net, x = network().double(), spikes().double()
    whole, first = net(x), net(x[:, :cut]) if cut else None
    second = net(x[:, cut:], first.states if first else None) if cut < 9 else None
    parts = [out for out in (first, second) if out is not None]
    for k, record in enumerate(whole.records):
        joined = torch.cat([part.records[k].output for part in parts], dim=1)
        torch.testing.assert_close(joined, record.output, rtol=1e-12, atol=1e-12)
    for mine, theirs in zip(parts[-1].states, whole.states, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-12)
    assert whole.records[1].output.any()


def test_a_network_keeps_no_state_between_calls():
    net, x = network(), spikes()
    first = net(x).logits
    net(torch.ones(3, 50, 4))
    assert torch.equal(net(x).logits, first)
    assert not list(net.buffers())


def test_mistakes_in_a_network_are_said():
    with pytest.raises(ConfigurationError, match="a network without layers"):
        SpikingNetwork([], MaxOverTime())
    with pytest.raises(ShapeError, match="a layer gives 5 features and the next one takes 6"):
        SpikingNetwork([SpikingLayer(4, 5, neuron=LIF()), SpikingLayer(6, 2, neuron=LI())], MaxOverTime())
    net = network()
    with pytest.raises(ShapeError, match=r"2 states for 3 layers; pass out\.states of an earlier call"):
        net(spikes(), net(spikes()).states[:2])
    with pytest.raises(ShapeError, match=r"layer 'hidden_0': state i is \[3, 6\]; \[B, N\] = \[2, 6\]"):
        net(spikes()[:2], net(spikes()).states)


def test_every_parameter_of_a_network_gets_a_gradient():
    net = network(learn_tau="per_neuron")
    net(spikes()).logits.square().sum().backward()
    assert [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()] == []


# What others do with modules.


def test_a_saved_network_comes_back_with_the_same_answers(tmp_path):
    net, other = network(seed=0, learn_tau="per_neuron"), network(seed=1, learn_tau="per_neuron")
    assert not torch.equal(net(spikes()).logits, other(spikes()).logits)
    torch.save(net.state_dict(), tmp_path / "net.pt")
    other.load_state_dict(torch.load(tmp_path / "net.pt", weights_only=True))
    assert torch.equal(net(spikes()).logits, other(spikes()).logits)


def test_a_copied_network_answers_alike_and_is_trained_alone():
    net = network()
    net(spikes()).logits.sum().backward()
    twin = copy.deepcopy(net)
    assert torch.equal(net(spikes()).logits, twin(spikes()).logits)
    with torch.no_grad():
        twin.layers[0].w_in.zero_()
    assert net.layers[0].w_in.any()


def test_a_whole_network_pickles(tmp_path):
    net = network()
    torch.save(net, tmp_path / "net.pt")
    assert torch.equal(torch.load(tmp_path / "net.pt", weights_only=False)(spikes()).logits, net(spikes()).logits)


class Half(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return 0.5 * weight


def test_masks_and_parametrizations_are_in_effect_and_in_the_record():
    torch.manual_seed(0)
    layer = SpikingLayer(4, 6, neuron=LIF(), recurrent=True, initializer=ScaledNormal(6.0))
    plain = copy.deepcopy(layer)
    parametrize.register_parametrization(layer, "w_in", Half())
    prune.random_unstructured(layer, "w_rec", amount=20)
    record = layer.run(spikes())
    assert torch.equal(record.connections[0].weight, 0.5 * plain.w_in)
    assert (record.connections[1].weight == 0).sum() == 20
    with torch.no_grad():
        plain.w_in.mul_(0.5)
        plain.w_rec.copy_(record.connections[1].weight)
    assert torch.equal(plain.run(spikes()).output, record.output)


def test_training_lowers_the_loss():
    net, x = network().double(), spikes(batch=20).double()
    target = torch.arange(20) % 3
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    losses = []
    for _ in range(40):
        loss = nn.functional.cross_entropy(net(x).logits, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("learn_tau", ["none", "per_neuron"])
def test_under_autocast_the_state_stays_in_the_precision_of_the_weights(learn_tau):
    net, x = network(learn_tau=learn_tau), spikes()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = net(x, potentials=True)
    for record in out.records:
        assert {tensor.dtype for tensor in (record.output, record.potentials, *record.state)} == {torch.float32}
    out.logits.sum().backward()
    assert all(parameter.grad.dtype == torch.float32 for parameter in net.parameters())
    full = net(x, potentials=True)
    torch.testing.assert_close(
        out.records[0].potentials[:, :3], full.records[0].potentials[:, :3], rtol=0.02, atol=0.05
    )


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "options", [{}, {"learn_tau": "per_neuron"}, {"ordering": "spytorch", "reset": "zero"}], ids=str
)
def test_a_compiled_network_gives_the_same_logits_records_and_gradients(options):
    torch._dynamo.reset()
    net = network(gain=5.0, **options)
    x = spikes(steps=4)
    compiled = torch.compile(net, backend="aot_eager", fullgraph=True)

    def gradients(out: object) -> dict[str, Tensor]:
        net.zero_grad()
        (out.logits.square().sum() + out.records[0].output.sum()).backward()
        return {name: parameter.grad.clone() for name, parameter in net.named_parameters()}

    plain, fast = net(x), compiled(x)
    assert plain.records[0].output.any()
    torch.testing.assert_close(fast.logits, plain.logits)
    for mine, theirs in zip(fast.records, plain.records, strict=True):
        assert mine.name == theirs.name
        assert torch.equal(mine.output, theirs.output) or not theirs.spiking
        torch.testing.assert_close(mine.state, theirs.state)
        assert [c[:2] for c in mine.connections] == [c[:2] for c in theirs.connections]
    expected, found = gradients(plain), gradients(fast)
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, msg=name)
