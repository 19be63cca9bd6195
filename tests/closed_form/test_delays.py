"""Delays: by hand, against the sum over synapses, learned by descent; state, counts and footprint."""

import dataclasses
import math

import lightning.pytorch as L
import pytest
import torch
from helpers import dyadic, neuron_variants
from torch import Tensor, nn
from torch.utils.data import DataLoader

from snnlightning.errors import ConfigurationError, ShapeError
from snnlightning.hardware import Network
from snnlightning.initializers import ScaledNormal
from snnlightning.layers import DelayedLayer, SpikingLayer, SpikingNetwork
from snnlightning.layers.delay_kernel import gaussian, inside
from snnlightning.metrics import SynOps, footprint
from snnlightning.neurons import LI, LIF, CubaLIF
from snnlightning.readouts import MaxOverTime
from snnlightning.surrogates import SuperSpike
from snnlightning.training import SpikingModule


def delayed(per: str = "synapse", learn: bool = False, seed: int = 0, **options: object) -> DelayedLayer:
    torch.manual_seed(seed)
    options = {"neuron": LIF(tau_mem_ms=5.0), "bias": True, "initializer": ScaledNormal(3.0), **options}
    layer = DelayedLayer(3, 4, max_delay_ms=5.0, per=per, learn_delay=learn, **options).double()
    with torch.no_grad():
        layer.bias.copy_(torch.tensor([0.25, -0.125, 0.5, 0.0]))
    return layer


def spikes(batch: int = 2, steps: int = 12, n: int = 3, seed: int = 1) -> Tensor:
    return (torch.rand(batch, steps, n, generator=torch.Generator().manual_seed(seed)) < 0.4).double()


def drive_by_loops(layer: DelayedLayer, x: Tensor) -> Tensor:
    """The formula of the docstring, one synapse and step after the other."""
    d = layer.delays_in_steps().expand(4, 3)
    drive = layer.bias.expand(x.shape[0], x.shape[1], 4).clone()
    for b, n, i, j in torch.cartesian_prod(*map(torch.arange, (x.shape[0], x.shape[1], 4, 3))).tolist():
        if n - int(d[i, j]) >= 0:
            drive[b, n, i] += layer.w_in[i, j] * x[b, n - int(d[i, j]), j]
    return drive


@pytest.mark.parametrize("per", ["synapse", "axon"])
@pytest.mark.parametrize("backend", ["reference", "auto"])
def test_the_drive_is_the_sum_over_synapses_of_what_was_sent_a_delay_ago(per, backend):
    layer = delayed(per, recurrent=True, backend=backend)
    assert layer.delays_in_steps().unique().numel() > 2
    x = spikes()
    record = layer.run(x, potentials=True)
    plain = SpikingLayer(4, 4, neuron=layer.neuron, recurrent=True, backend="reference").double()
    with torch.no_grad():
        plain.w_in.copy_(torch.eye(4))
        plain.w_rec.copy_(layer.w_rec)
        expected = plain.run(drive_by_loops(layer, x), potentials=True)
    assert expected.output.any()
    assert torch.equal(record.output, expected.output)
    torch.testing.assert_close(record.potentials, expected.potentials, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("per", ["synapse", "axon"])
@pytest.mark.parametrize("learn", [False, True])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("cut", [1, 5, 11])
def test_state_hand_over_equals_one_run(per, learn, training, cut):
    layer = delayed(per, learn, neuron=CubaLIF(tau_mem_ms=4.0)).train(training)
    x = dyadic(2, 12, 3, seed=2).abs()
    whole = layer.run(x)
    first = layer.run(x[:, :cut], layer.initial_state(2))
    second = layer.run(x[:, cut:], first.state)
    assert whole.output.any()
    assert torch.equal(torch.cat([first.output, second.output], dim=1), whole.output)
    torch.testing.assert_close(second.state, whole.state, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("neuron", neuron_variants())
def test_every_neuron_can_be_delayed_and_no_delay_is_a_spiking_layer(neuron):
    layer = delayed(neuron=neuron, recurrent=neuron.spiking, delay_ms=0.0)
    plain = SpikingLayer(3, 4, neuron=neuron, recurrent=neuron.spiking, bias=True).double()
    plain.load_state_dict({k: v for k, v in layer.state_dict().items() if k != "delay_steps"})
    x = spikes()
    torch.testing.assert_close(layer(x)[0], plain(x)[0], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("per", ["synapse", "axon"])
def test_learned_delays_are_whole_steps_in_evaluation_and_the_limit_of_a_narrow_kernel(per):
    layer = delayed(per, learn=True)
    x = spikes()
    with torch.no_grad():
        layer.position.copy_(layer.delays_in_steps() / layer.delay_lr_factor)
    fixed = delayed(per, delay_ms=layer.delays_ms().tolist())
    fixed.load_state_dict({k: v for k, v in layer.state_dict().items() if k != "position"}, strict=False)
    torch.testing.assert_close(layer.eval()(x)[0], fixed(x)[0], rtol=0.0, atol=0.0)
    layer.train().sigma = -0.27 + 0.01  # a kernel of 0.01 steps reaches no neighbour
    torch.testing.assert_close(layer.run(x, potentials=True).potentials, fixed.run(x, potentials=True).potentials)


def test_the_kernel_sums_to_one_and_its_gradient_is_that_of_differences():
    position = torch.tensor([0.0, 1.3, 2.5, 5.0], dtype=torch.float64, requires_grad=True)
    kernel = gaussian(position, 0.4, 5)
    torch.testing.assert_close(kernel.sum(-1), torch.ones(4, dtype=torch.float64))
    assert kernel.argmax(-1).tolist() == [0, 1, 2, 5]
    unnormalised = [math.exp(-0.5 * ((d - 1.3) / 0.67) ** 2) for d in range(6)]
    torch.testing.assert_close(kernel[1].tolist(), [k / sum(unnormalised) for k in unnormalised])
    assert torch.autograd.gradcheck(lambda c: gaussian(c, 0.4, 5), (position,))


@pytest.mark.parametrize("per", ["synapse", "axon"])
def test_gradients_of_weights_and_positions_are_those_of_differences(per):
    layer = delayed(per, learn=True, neuron=LI(tau_mem_ms=3.0), delay_lr_factor=2.0, backend="reference")
    layer.sigma = 1.0
    x = dyadic(1, 8, 3, seed=3)
    names = ["w_in", "bias", "position"]

    def run(*values: Tensor) -> Tensor:
        return torch.func.functional_call(layer, dict(zip(names, values, strict=True)), (x,))[0]

    assert torch.autograd.gradcheck(run, [getattr(layer, name) for name in names])


def test_a_position_outside_is_read_clamped_and_only_a_way_back_has_a_gradient():
    c = torch.tensor([-0.5, -0.5, 2.0, 6.0, 6.0], requires_grad=True)
    clamped = inside(c, 5)
    assert clamped.tolist() == [0.0, 0.0, 2.0, 5.0, 5.0]
    (clamped * torch.tensor([1.0, -1.0, 1.0, 1.0, -1.0])).sum().backward()
    assert c.grad.tolist() == [0.0, -1.0, 1.0, 1.0, 0.0]


def test_descent_finds_the_delay_that_makes_two_spikes_meet():
    # Channel 0 spikes at 2, channel 1 at 6: the potential is largest where a delay of 4 makes them meet.
    layer = DelayedLayer(2, 1, neuron=LI(tau_mem_ms=1.0), max_delay_ms=6.0, per="axon", delay_ms=[2.0, 0.0]).double()
    nn.init.ones_(layer.w_in)
    x = torch.zeros(1, 12, 2, dtype=torch.float64)
    x[0, 2, 0] = x[0, 6, 1] = 1.0
    optimizer = torch.optim.Adam([layer.position], lr=1e-3)
    for epoch in range(120):
        layer.start_epoch(epoch // 4)
        optimizer.zero_grad()
        (-layer(x)[0].square().sum()).backward()
        optimizer.step()
    first, second = layer.eval().delays_in_steps().tolist()
    assert first - second == 4


def test_the_width_falls_geometrically_to_its_end():
    layer = delayed(learn=True, sigma_start=4.0, sigma_end=0.25, sigma_epochs=4)
    widths = []
    for epoch in range(6):
        layer.start_epoch(epoch)
        widths.append(layer.sigma)
    assert widths == pytest.approx([4.0, 2.0, 1.0, 0.5, 0.25, 0.25])
    assert delayed(learn=True).sigma == 2.5


def test_a_training_narrows_the_kernel_also_when_it_goes_on_in_mid_run(tmp_path):
    network = SpikingNetwork(
        [
            DelayedLayer(3, 4, neuron=LIF(), max_delay_ms=4.0, sigma_epochs=3, backend="reference"),
            SpikingLayer(4, 2, neuron=LI(), backend="reference"),
        ],
        MaxOverTime(),
    )
    data = [(x.float(), torch.tensor(k % 2)) for k, x in enumerate(spikes(batch=4))]
    model = SpikingModule(network, num_classes=2, weight_decay=0.5)
    groups = model.configure_optimizers().param_groups
    decay_of = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    assert decay_of[id(network.layers[0].position)] == 0.0 != decay_of[id(network.layers[0].w_in)]
    options = {
        "accelerator": "cpu",
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "log_every_n_steps": 1,
        "enable_checkpointing": False,
    }
    loader = DataLoader(data, batch_size=4)
    trainer = L.Trainer(max_epochs=2, default_root_dir=tmp_path, **options)
    trainer.fit(model, loader, loader)
    assert network.layers[0].sigma == pytest.approx(2.0 ** (2 / 3) * 0.23 ** (1 / 3))
    trainer.save_checkpoint(tmp_path / "one.ckpt")
    network.layers[0].sigma = math.nan
    L.Trainer(max_epochs=3, default_root_dir=tmp_path, **options).fit(
        model, loader, loader, ckpt_path=tmp_path / "one.ckpt"
    )
    assert network.layers[0].sigma == pytest.approx(2.0 ** (1 / 3) * 0.23 ** (2 / 3))


def test_the_learning_rate_of_delays_is_the_factor_under_adam():
    moved = []
    for factor in (1.0, 50.0):
        layer = delayed(learn=True, delay_lr_factor=factor, delay_ms=2.0)
        before = layer.position.detach().clone()
        layer.run(spikes(), potentials=True).potentials.square().sum().backward()
        torch.optim.Adam(layer.parameters(), lr=1e-3, eps=1e-30).step()
        moved.append(((layer.position.detach() - before) * factor).abs().max().item())
    assert moved == pytest.approx([1e-3, 5e-2])


# Counts.


@pytest.mark.parametrize("per", ["synapse", "axon"])
def test_an_operation_counts_once_per_spike_and_synapse_also_when_it_arrives_after_the_end(per):
    layer = delayed(per, delay_ms=5.0)
    with torch.no_grad():
        layer.w_in[0, 1] = 0.0
    x = torch.zeros(1, 8, 3, dtype=torch.float64)
    x[0, 7, 1] = x[0, 2, 1] = x[0, 7, 0] = 1.0
    metric = SynOps()
    metric.update([layer.run(x, name="one", kind="input")])
    counts = metric.compute()
    assert counts.by_connection == {"one.w_in": 3 + 3 + 4}
    assert counts.updates["one"] == 8 * 4


@pytest.mark.parametrize("per", ["synapse", "axon"])
def test_updates_are_active_when_something_arrives_and_pieces_add_up(per):
    layer = delayed(per, bias=True)
    with torch.no_grad():
        layer.bias.zero_()
        layer.w_in[1, 2] = layer.w_in[3] = 0.0
    x = spikes(steps=14)
    there, delays = (layer.w_in != 0), layer.delays_in_steps().expand(4, 3)
    by_hand = 0
    for b, n, i in torch.cartesian_prod(*map(torch.arange, (2, 14, 4))).tolist():
        by_hand += any(bool(there[i, j]) and n >= delays[i, j] and bool(x[b, n - delays[i, j], j]) for j in range(3))
    whole, pieces = SynOps(), SynOps()
    whole.update([layer.run(x, name="one")])
    assert whole.compute().active_updates["one"] == by_hand / 2
    first = layer.run(x[:, :9], name="one")
    pieces.update([first])
    pieces.update([layer.run(x[:, 9:], first.state, name="one")])
    for field in ("total", "neuron_updates"):
        assert getattr(pieces.compute(), field) * 2 == getattr(whole.compute(), field)
    assert pieces.compute().active_updates["one"] * 2 == whole.compute().active_updates["one"]


def test_the_footprint_holds_the_line_and_the_delays_and_a_chip_gets_the_synapses():
    network = SpikingNetwork([delayed(), SpikingLayer(4, 2, neuron=LI()).double()], MaxOverTime())
    out = network(spikes())
    found = footprint(network, out, state_bits=16)
    assert found.state == 2 * (4 + 5 * 3 + 2)  # variables, past of 5 steps of 3 channels
    assert found.buffers == 2 * 12
    placed = Network.of(out)
    assert [(m.name, m.source, placed.synapses_of(m)) for m in placed.synapses] == [
        ("hidden_0.w_in", "input", 12),
        ("readout.w_in", "hidden_0", 8),
    ]


# Bad input.


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_delay_ms": 0.4}, "max_delay_ms is 0.4 with dt_ms=1; 1 to 32767 steps"),
        ({"max_delay_ms": math.inf}, "max_delay_ms is inf"),
        ({"max_delay_ms": 4.0, "delay_ms": [1.0, 2.0, 5.0]}, "0 to max_delay_ms=4 is expected"),
        ({"max_delay_ms": 4.0, "delay_ms": -1.0}, "delay_ms is between -1 and -1"),
        ({"max_delay_ms": 4.0, "delay_ms": "two"}, "delay_ms is 'two'; a number, or lists of numbers, is expected"),
        ({"max_delay_ms": 4.0, "delay_ms": [1.0, None, 2.0]}, "a number, or lists of numbers, is expected"),
        (
            {"max_delay_ms": 4.0, "delay_ms": [1.0, 2.0]},
            r"delay_ms is \[2\]; one number, or one per axon \[N_in\] = \[3\]",
        ),
        ({"max_delay_ms": 4.0, "per": "dendrite"}, "per is 'dendrite'; it must be one of synapse, axon"),
        ({"max_delay_ms": 4.0, "sigma_epochs": 0}, "sigma_epochs is 0"),
        ({"max_delay_ms": 4.0, "sigma_end": 0.0}, "sigma_end is 0.0; it must be greater than 0"),
    ],
)
def test_delays_that_cannot_be_are_refused_at_construction(options, message):
    with pytest.raises((ConfigurationError, ShapeError), match=message):
        DelayedLayer(3, 4, **{"neuron": LIF(), "per": "axon", **options})


def test_a_delay_longer_than_the_sequence_is_refused_with_the_way_out():
    layer = delayed()
    with pytest.raises(
        ConfigurationError, match=r"up to 5 steps \(5 ms\) in a sequence of 5.*max_delay_ms <= 4.*initial_state"
    ):
        layer(spikes(steps=5))
    with pytest.raises(ConfigurationError, match="layer 'hidden_0': delays of up to 5 steps"):
        SpikingNetwork([layer, SpikingLayer(4, 2, neuron=LI())], MaxOverTime())(spikes(steps=3))
    with pytest.raises(ShapeError, match=r"state past is \[2, 4, 3\]; \[B, D, N_in\] = \[2, 5, 3\]"):
        layer(spikes(), (torch.zeros(2, 4).double(), torch.zeros(2, 4, 3).double()))
    with pytest.raises(ShapeError, match="the state has 1 tensors; this layer has 2: v, past"):
        layer(spikes(), (torch.zeros(2, 4).double(),))
    with pytest.raises(ShapeError, match=r"x is \[2, 12, 2\]; \[B, T, N_in\] with N_in = 3"):
        layer(spikes(n=2))
    with pytest.raises(ShapeError, match=r"a delayed layer takes \[3\]"):
        layer.shape_after((4,))
    assert layer(spikes(steps=6))[0].shape == (2, 6, 4)
    assert layer(spikes(steps=0))[0].shape == (2, 0, 4)


def test_networks_start_pieces_of_a_sequence_with_a_zero_state_of_the_layers_that_need_one():
    network = SpikingNetwork([delayed(), SpikingLayer(4, 2, neuron=LI()).double()], MaxOverTime())
    x = spikes()
    one = network(x[:, :3], [network.layers[0].initial_state(2), None])
    two = network(x[:, 3:], one.states)
    whole = network(x)
    for k in range(2):
        pieces = torch.cat([one.records[k].output, two.records[k].output], dim=1)
        torch.testing.assert_close(pieces, whole.records[k].output, rtol=1e-12, atol=1e-12)


def test_weights_and_delays_survive_a_checkpoint_and_the_record_says_what_is_fixed():
    layer, other = delayed(learn=True, seed=0), delayed(learn=True, seed=1)
    other.load_state_dict(layer.state_dict())
    assert torch.equal(layer.delays_in_steps(), other.delays_in_steps())
    assert set(dict(delayed().named_buffers())) == {"delay_steps"}
    assert "max_delay_ms=5, per=synapse, learn_delay=True" in repr(layer)
    slow = delayed(neuron=dataclasses.replace(LIF(), dt_ms=0.5), delay_ms=2.0)
    assert slow.delays_in_steps().unique().tolist() == [4]
    assert slow.delays_ms().unique().tolist() == [2.0]
    assert isinstance(slow.surrogate, SuperSpike)
