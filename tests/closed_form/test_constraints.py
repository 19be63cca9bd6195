"""Constraints on weights: signs that stay, zeros that are no synapses, and a number of connections that never changes."""

import lightning.pytorch as L
import pytest
import torch
from helpers import dyadic, every
from torch import Tensor
from torch.utils.data import DataLoader

from snnlightning.errors import ConfigurationError
from snnlightning.initializers import ScaledNormal
from snnlightning.layers import (
    ConvolutionalLayer,
    DelayedLayer,
    Flatten,
    SpikingLayer,
    SpikingNetwork,
    fold,
)
from snnlightning.layers.constraints import AbstractConstraint, Dale, DeepR, MagnitudePruning, RandomMask
from snnlightning.metrics import SynOps
from snnlightning.neurons import LI, LIF
from snnlightning.readouts import MaxOverTime
from snnlightning.training import SpikingModule


def network(*constraints: AbstractConstraint, seed: int = 0) -> SpikingNetwork:
    torch.manual_seed(seed)
    wide = {"backend": "reference", "initializer": ScaledNormal(4.0)}  # it has to spike, also with few connections
    return SpikingNetwork(
        [
            SpikingLayer(10, 20, neuron=LIF(), recurrent=True, **wide),
            SpikingLayer(20, 5, neuron=LIF(), **wide),
            SpikingLayer(5, 3, neuron=LI(), **wide),
        ],
        MaxOverTime(),
        constraints,
    )


def nonzero(net: SpikingNetwork) -> list[int]:
    weights = [net.layers[0].w_in, net.layers[0].w_rec, net.layers[1].w_in, net.layers[2].w_in]
    return [int((w != 0).sum()) for w in weights]


def descend(net: SpikingNetwork, steps: int, rate: float = 0.05) -> None:
    """Steps of an optimizer as a loop of one's own takes them."""
    optimizer = torch.optim.Adam(net.parameters(), lr=rate)
    x = (torch.rand(4, 12, 10, generator=torch.Generator().manual_seed(1)) < 0.5).float()
    for _ in range(steps):
        optimizer.zero_grad()
        (net(x).logits - 1.0).square().sum().backward()
        optimizer.step()
        for layer in net.layers:
            layer.after_step()


# Dale's law.


def test_signs_belong_to_the_sender_and_survive_training():
    net = network(Dale(excitatory=0.75, inhibitory_gain=3.0))
    first, second, readout = net.layers
    expected = torch.tensor([1.0] * 15 + [-1.0] * 5)
    before = first.w_rec.detach().clone()
    descend(net, 30, rate=0.3)
    assert not torch.equal(before, first.w_rec)
    for weight in (first.w_rec, second.w_in):
        assert torch.equal(weight.sign(), expected.expand_as(weight))
    assert torch.equal(readout.w_in.sign(), torch.tensor([1.0, 1.0, 1.0, 1.0, -1.0]).expand(3, 5))
    assert (first.w_in < 0).any(dim=0).all()  # channels of the data have no sign
    raw = first.parametrizations.w_rec.original
    torch.testing.assert_close(first.w_rec, raw.abs() * torch.where(expected > 0, 1.0, -3.0))


def test_maps_have_a_sign_each_and_flattening_keeps_it():
    conv = [ConvolutionalLayer(c, 4, [3], neuron=LIF(), padding="same", backend="reference") for c in (1, 4)]
    net = SpikingNetwork([*conv, Flatten(), SpikingLayer(4 * 6, 2, neuron=LI())], MaxOverTime(), [Dale(excitatory=0.5)])
    assert torch.equal(conv[1].w_in.sign(), torch.tensor([1.0, 1.0, -1.0, -1.0]).view(1, 4, 1).expand(4, 4, 3))
    assert torch.equal(net.layers[3].w_in.sign()[0], torch.tensor([1.0, -1.0]).repeat_interleave(12))
    assert net(torch.ones(1, 5, 1, 6)).logits.shape == (1, 2)


# Zeros.


def test_a_random_mask_has_the_number_of_connections_it_says_and_training_moves_no_zero():
    net = network(RandomMask(density=0.3))
    assert nonzero(net) == [60, 120, 30, 15]  # the readout is left out
    places = net.layers[0].w_in != 0
    descend(net, 5)
    assert torch.equal(net.layers[0].w_in != 0, places)
    assert nonzero(network(RandomMask(density=0.3, weights=["w_rec"], readout=True))) == [200, 120, 100, 15]
    assert nonzero(network(RandomMask(density=0.2, readout=True))) == [40, 80, 20, 3]


def test_counts_see_the_zeros_by_hand():
    net = network(RandomMask(density=0.3, readout=True))
    x = (torch.rand(3, 12, 10, generator=torch.Generator().manual_seed(1)) < 0.5).float()
    with torch.no_grad():
        out = net(x)
    spikes = [x, out.records[0].output, out.records[0].output, out.records[1].output]
    weights = [net.layers[0].w_in, net.layers[0].w_rec, net.layers[1].w_in, net.layers[2].w_in]
    by_hand = [float((s.sum(dim=(0, 1)) * (w != 0).sum(dim=0)).sum()) for s, w in zip(spikes, weights, strict=True)]
    metric = SynOps()
    metric.update(out)
    counts = metric.compute()
    assert [v * 3 for v in counts.by_connection.values()] == by_hand
    assert min(by_hand[:3]) > 0
    assert {name: kept for name, (kept, _) in counts.weights.items()} == dict(
        zip(counts.weights, nonzero(net), strict=True)
    )


@pytest.mark.parametrize("sparsity", [0.0, 0.35, 0.9])
def test_one_shot_pruning_keeps_the_largest(sparsity):
    net = network()
    before = net.layers[0].w_rec.detach().clone()
    MagnitudePruning(sparsity=sparsity).apply(net)
    after = net.layers[0].w_rec
    assert int((after == 0).sum()) == round(sparsity * 400)
    kept = after != 0
    assert torch.equal(after[kept], before[kept])
    if sparsity:
        assert before[~kept].abs().max() <= before[kept].abs().min()


def test_pruning_by_schedule_follows_the_cubic_never_gives_back_and_may_be_told_twice():
    net = network(MagnitudePruning(sparsity=0.8, start_epoch=1, end_epoch=5))
    gone = torch.zeros(20, 20, dtype=torch.bool)
    for epoch in range(7):
        for layer in net.layers:
            layer.start_epoch(epoch)
        weight = net.layers[0].w_rec
        expected = 0.8 * (1.0 - (1.0 - min(4, max(0, epoch - 1)) / 4) ** 3)
        assert int((weight == 0).sum()) == round(expected * 400)
        assert (weight == 0)[gone].all()
        gone = weight == 0
        descend(net, 2)
        for layer in net.layers:
            layer.start_epoch(epoch)  # an interrupted fit begins the epoch again
        assert torch.equal(net.layers[0].w_rec == 0, gone)


# DEEP R.


def test_the_number_of_connections_is_fixed_at_all_times():
    net = network(DeepR(density=0.25, l1=2e-2, noise=1e-2))
    rule = net.layers[0].parametrizations.w_in[0]
    start, seen = rule.active.clone(), []
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    x = (torch.rand(4, 12, 10, generator=torch.Generator().manual_seed(1)) < 0.5).float()
    sign = rule.sign.clone()
    for _ in range(25):
        optimizer.zero_grad()
        (net(x).logits - 1.0).square().sum().backward()
        optimizer.step()
        seen.append(nonzero(net))  # between the step and the rewiring
        for layer in net.layers:
            layer.after_step()
        seen.append(nonzero(net))
        assert torch.equal(net.layers[0].w_in.sign(), torch.where(rule.active, sign, 0.0))
    assert set(map(tuple, seen)) == {(50, 100, 25, 15)}
    moved = int((start & ~rule.active).sum())
    assert moved > 10


def test_lost_connections_are_replaced_by_dormant_ones_and_the_rest_shrinks():
    torch.manual_seed(0)
    layer = SpikingLayer(10, 4, neuron=LIF())
    DeepR(density=0.5, l1=0.1).apply(layer)
    rule, raw = layer.parametrizations.w_in[0], layer.parametrizations.w_in.original
    with torch.no_grad():
        raw.fill_(1.0)
        raw[rule.active.nonzero()[:3].unbind(1)] = 0.05
    lost, before = raw < 0.5, rule.active.clone()
    layer.after_step()
    born = rule.active & ~(before & ~lost)
    assert int(born.sum()) == 3
    assert torch.equal(raw[born], torch.full((3,), 1e-12))
    kept = before & ~lost
    torch.testing.assert_close(raw[kept], torch.full_like(raw[kept], 0.9))
    assert rule.active[kept].all()


def test_gradients_reach_active_connections_with_their_sign_and_no_others():
    torch.manual_seed(0)
    layer = SpikingLayer(6, 4, neuron=LIF())
    DeepR(density=0.5).apply(layer)
    rule, raw = layer.parametrizations.w_in[0], layer.parametrizations.w_in.original
    with torch.no_grad():
        raw.abs_().add_(0.1)
    upstream = dyadic(4, 6, seed=2).float()
    (layer.w_in * upstream).sum().backward()
    torch.testing.assert_close(raw.grad, torch.where(rule.active, rule.sign * upstream, 0.0))


def test_rewiring_keeps_dales_law_and_goes_on_where_a_checkpoint_stopped():
    options = DeepR(density=0.3, l1=5e-2, noise=5e-2, excitatory=0.8)
    one = network(options)
    for layer in one.layers:
        layer.after_step()
    other = network(options, seed=7)
    other.load_state_dict(one.state_dict())
    for net in (one, other):
        for _ in range(4):
            for layer in net.layers:
                layer.after_step()
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))
    rec = one.layers[0].w_rec
    assert (rec[:, :16] >= 0).all()
    assert (rec[:, 16:] <= 0).all()


# All of them.

SMALL = {
    Dale: Dale(),
    DeepR: DeepR(density=0.3, l1=1e-2),
    MagnitudePruning: MagnitudePruning(sparsity=0.5, end_epoch=2),
    RandomMask: RandomMask(density=0.3),
}


@pytest.mark.parametrize("cls", every("layers.constraints"))
def test_every_constraint_trains_in_lightning_survives_a_checkpoint_and_folds(cls, tmp_path):
    model = SpikingModule(network(SMALL[cls]), num_classes=3, learning_rate=0.02)
    x = (torch.rand(8, 12, 10, generator=torch.Generator().manual_seed(1)) < 0.5).float()
    loader = DataLoader([(row, torch.tensor(k % 3)) for k, row in enumerate(x)], batch_size=4)
    options = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = L.Trainer(max_epochs=3, enable_checkpointing=False, log_every_n_steps=1, **options)
    before = model.network.layers[0].w_rec.detach().clone()
    trainer.fit(model, loader, loader)
    assert not torch.equal(before, model.network.layers[0].w_rec)
    if cls is DeepR:
        assert nonzero(model.network) == [60, 120, 30, 15]
        assert int(model.network.layers[0].parametrizations.w_in[0].draws[1]) == 6
    if cls is MagnitudePruning:
        assert nonzero(model.network) == [100, 200, 50, 15]
    again = SpikingModule(network(SMALL[cls], seed=3), num_classes=3)
    again.load_state_dict(torch.load(_saved(model, tmp_path), weights_only=True))
    folded = fold(model.network)
    assert set(folded.state_dict()) == {"layers.0.w_in", "layers.0.w_rec", "layers.1.w_in", "layers.2.w_in"}
    out = model.network.eval()(x)
    for other in (again.network.eval()(x), folded(x)):
        assert torch.equal(other.logits, out.logits)
    model.network.layers[0].reset_parameters()
    if cls is not Dale:
        assert nonzero(model.network)[1] in (120, 200, 400)


def _saved(model: SpikingModule, folder) -> str:
    torch.save(model.state_dict(), folder / "weights.pt")
    return str(folder / "weights.pt")


def test_constraints_hold_for_kernels_and_delays_too():
    torch.manual_seed(0)
    layers = [
        ConvolutionalLayer(2, 4, [3], neuron=LIF(), padding="same", recurrent=True, backend="reference"),
        Flatten(),
        DelayedLayer(4 * 6, 5, neuron=LIF(), max_delay_ms=3.0, backend="reference"),
        SpikingLayer(5, 2, neuron=LI()),
    ]
    net = SpikingNetwork(layers, MaxOverTime(), [Dale(), RandomMask(density=0.5)])
    x = torch.ones(1, 8, 2, 6)
    net(x).logits.sum().backward()
    assert [int((w != 0).sum()) for w in (layers[0].w_in, layers[0].w_rec, layers[2].w_in)] == [12, 24, 60]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RandomMask(density=0.0), r"RandomMask.density is 0.0; a share in \(0, 1\]"),
        (lambda: MagnitudePruning(sparsity=1.0), r"MagnitudePruning.sparsity is 1.0; a share in \[0, 1\)"),
        (lambda: MagnitudePruning(start_epoch=3, end_epoch=3), "pruning from epoch 3 to 3"),
        (lambda: DeepR(l1=-1.0), r"DeepR.l1 is -1.0"),
        (lambda: DeepR(excitatory=1.5), r"DeepR.excitatory is 1.5"),
        (lambda: Dale(excitatory=0.0), r"Dale.excitatory is 0.0"),
        (lambda: RandomMask(weights=["w_out"]), "weights is .*a list of w_in and w_rec"),
        (lambda: network(RandomMask(), Dale()), "w_rec of a .* is constrained already; put Dale first"),
        (
            lambda: RandomMask(weights=["w_rec"]).apply(SpikingLayer(2, 3, neuron=LIF())),
            "SpikingLayer has no w_rec for",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_the_way_out(make, message):
    with pytest.raises(ConfigurationError, match=message):
        make()


def test_a_layer_whose_inputs_cannot_be_told_apart_has_no_signs():
    layers: list[Tensor] = [SpikingLayer(4, 6, neuron=LIF()), SpikingLayer(6, 3, neuron=LI())]
    layers[1].w_in = torch.nn.Parameter(torch.zeros(3, 8))
    with pytest.raises(ConfigurationError, match=r"w_in \[3, 8\] takes 8 inputs and the layer before it has 6"):
        Dale().apply(torch.nn.Sequential(*layers))
