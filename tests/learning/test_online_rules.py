"""Rules that learn at every step: SuperSpike, DECOLLE, OTTT; where each is backpropagation, and where it says it is not."""

import math

import pytest
import torch
from learning_cases import batch, gradients, network, step
from torch import nn

from snnlightning.errors import ConfigurationError, ShapeError
from snnlightning.learning import DECOLLE, OTTT, SuperSpikeRule
from snnlightning.learning._feedback import weights_of
from snnlightning.learning._outcome import Objective
from snnlightning.learning._rmaxprop import RMaxProp
from snnlightning.losses import CrossEntropy
from snnlightning.neurons import ALIF, LI, LIF, CubaLI, CubaLIF
from snnlightning.readouts import SpikeCount
from snnlightning.regularizers import TotalCount

SPIKING = {
    "last": CubaLIF(tau_mem_ms=4.0),
    "neuron": CubaLIF(tau_mem_ms=4.0),
    "readout": SpikeCount(),
    "recurrent": False,
}


def close(a, b, rtol=1e-11):
    torch.testing.assert_close(a, b, rtol=rtol, atol=rtol * b.abs().max().item())


def grads(net, scalar):
    net.zero_grad()
    scalar.backward()
    found = {name: p.grad.clone() for name, p in net.named_parameters() if p.grad is not None}
    net.zero_grad()
    return found


def van_rossum(spikes, targets, rise, decay):
    """1/2 sum ((eps * (S - S*)))², a mean over samples, with the kernel written out as a matrix."""
    times = torch.arange(spikes.shape[1], dtype=torch.float64)
    lag = times.unsqueeze(1) - times
    kernel = torch.where(lag >= 0, torch.exp(-lag / decay) - torch.exp(-lag / rise), 0.0)
    return 0.5 * torch.einsum("mn,bnc->bmc", kernel, spikes - targets).square().sum() / len(spikes)


# K12: SuperSpike's sum over time is the gradient of the van Rossum loss in one layer without recurrence.


def targets(samples=4, steps=20, classes=3):
    return (torch.rand(samples, steps, classes, generator=torch.Generator().manual_seed(7)) < 0.2).double()


@pytest.mark.parametrize(
    "neuron", [CubaLIF(tau_mem_ms=4.0, reset="zero"), LIF(tau_mem_ms=4.0), ALIF(form="eprop")], ids=repr
)
def test_superspike_is_backpropagation_of_the_van_rossum_loss_in_one_layer_K12(neuron):
    net, (x, _) = network((5, 3), last=neuron, readout=SpikeCount()), batch()
    rule = SuperSpikeRule(tau_rise_ms=3.0, tau_decay_ms=7.0)
    found = gradients(rule, net, x, targets())
    loss = van_rossum(net(x).records[-1].output, targets(), 3.0, 7.0)
    close(found["layers.0.w_in"], grads(net, loss)["layers.0.w_in"])
    close(step(rule, net, x, targets()).loss, loss.detach())


def test_in_two_layers_superspikes_last_layer_is_exact_and_the_hidden_one_points_along():
    net, (x, _) = network(**SPIKING), batch()
    found = gradients(SuperSpikeRule(), net, x, targets())
    exact = grads(net, van_rossum(net(x).records[-1].output, targets(), 5.0, 10.0))
    close(found["layers.1.w_in"], exact["layers.1.w_in"])
    hidden = (found["layers.0.w_in"], exact["layers.0.w_in"])
    assert not torch.allclose(*hidden, rtol=1e-2)
    assert torch.cosine_similarity(hidden[0].flatten(), hidden[1].flatten(), dim=0) > 0.3


def test_an_output_spike_with_no_target_costs_what_the_kernels_sum_says():
    """One spike against none: 1/2 sum (b^n - a^n)² = 1/2 [1/(1 - b²) - 2/(1 - a b) + 1/(1 - a²)]."""
    net = network((1, 3), last=LIF(tau_mem_ms=4.0), readout=SpikeCount())
    with torch.no_grad():
        net.layers[0].w_in.copy_(torch.tensor([[1.5], [0.0], [0.0]]))
    x = torch.zeros(1, 400, 1, dtype=torch.float64)
    x[0, 0] = 1.0
    a, b = math.exp(-1 / 5), math.exp(-1 / 10)
    loss = step(SuperSpikeRule(), net, x, torch.zeros(1, 400, 3, dtype=torch.float64)).loss
    assert loss.item() == pytest.approx(0.5 * (1 / (1 - b * b) - 2 / (1 - a * b) + 1 / (1 - a * a)), rel=1e-12)


def test_uniform_feedback_is_ones_and_hidden_errors_come_through_it():
    net, (x, y) = network((5, 6, 6, 3), **SPIKING), batch()
    rule = SuperSpikeRule(feedback="uniform")
    assert all(torch.equal(b, torch.ones_like(b)) for b in weights_of(rule.feedback_weights(net)))
    random = gradients(SuperSpikeRule(feedback="random"), net, x, y)
    assert not torch.allclose(gradients(rule, net, x, y)["layers.0.w_in"], random["layers.0.w_in"])


def test_a_weights_step_is_the_learning_rate_until_its_gradient_shrinks():
    w = nn.Parameter(torch.zeros(2, dtype=torch.float64))
    optimizer = RMaxProp([w], lr=0.5, gamma=0.25)
    for gradient in ([4.0, -1.0], [1.0, -4.0]):
        w.grad = torch.tensor(gradient, dtype=torch.float64)
        optimizer.step()
    # v = (16, 1), then (max(4, 1), max(1/4, 16)) = (4, 16)
    close(w.data, torch.tensor([-0.5 - 0.5 * 1.0 / 2.0, 0.5 + 0.5], dtype=torch.float64))


# OTTT: exact in the last layer, along one instant below.


def each_step(net, x, y):
    outputs = net(x).records[-1].output
    return torch.stack([CrossEntropy()(output, y) for output in outputs.unbind(1)]).mean()


def test_ottt_is_backpropagation_in_one_layer_K12():
    net, (x, y) = network((5, 3), last=LIF(tau_mem_ms=1 / math.log(2.0)), readout=SpikeCount()), batch(steps=30)
    close(gradients(OTTT(), net, x, y)["layers.0.w_in"], grads(net, each_step(net, x, y))["layers.0.w_in"])


def test_ottts_last_layer_is_exact_and_lower_ones_are_without_the_past_of_the_layers_above():
    """Written out for three layers: an instant goes diagonally, through weights and h alone."""
    net, (x, y) = network((5, 6, 4, 3), recurrent=False, last=LI(tau_mem_ms=3.0)), batch()
    found = gradients(OTTT(), net, x, y)
    exact = grads(net, each_step(net, x, y))
    close(found["layers.2.w_in"], exact["layers.2.w_in"])
    assert not torch.allclose(found["layers.0.w_in"], exact["layers.0.w_in"], rtol=1e-2)
    out = net(x, potentials=True)
    h = [layer.surrogate.derivative(r.potentials - 1.0) for layer, r in zip(net.layers[:2], out.records, strict=False)]
    error = torch.autograd.functional.jacobian(
        lambda y_: torch.stack([CrossEntropy()(o, y) for o in y_.unbind(1)]).mean(), out.records[2].output.detach()
    )
    w = [layer.w_in.detach() for layer in net.layers]
    decay = net.layers[0].neuron.coefficients()["decay_mem"]
    inputs, steps = [x, out.records[0].output.detach()], x.shape[1]
    expected, traces = [torch.zeros_like(w[0]), torch.zeros_like(w[1])], [x.new_zeros(4, 5), x.new_zeros(4, 6)]
    for n in range(steps):
        if n + 1 < steps:
            expected[1] += torch.einsum("bi,bj->ij", (error[:, n + 1] @ w[2]) * h[1][:, n], traces[1])
        if n + 2 < steps:
            delta = ((error[:, n + 2] @ w[2]) * h[1][:, n + 1]) @ w[1] * h[0][:, n]
            expected[0] += torch.einsum("bi,bj->ij", delta, traces[0])
        traces = [decay * trace + inputs[k][:, n] for k, trace in enumerate(traces)]
    close(found["layers.1.w_in"], expected[1].detach())
    close(found["layers.0.w_in"], expected[0].detach())


def test_an_update_at_every_step_takes_the_gradient_of_that_step():
    net, (x, y) = network((5, 3), last=LIF(tau_mem_ms=4.0), readout=SpikeCount()), batch()
    whole = gradients(OTTT(), net, x, y)["layers.0.w_in"]
    parts = []

    def update(total):
        net.zero_grad()
        total.backward()
        parts.append(net.layers[0].w_in.grad.clone())

    rule = OTTT(update_each_step=True)
    outcome = rule.step(net, nn.Module(), x, y, Objective(CrossEntropy()), update)
    assert outcome.total is None
    assert rule.updates_within_sequence
    assert len(parts) == 20
    close(sum(parts), whole)


# DECOLLE: every layer's gradient is that of its own answers, and of nothing else (K27).


def answers(net, x, y, classifiers, start=0):
    """The loss of every layer's answers at every step, each layer with detached inputs."""
    losses = []
    for k, layer in enumerate(net.layers):
        output, _ = layer(x)
        answered = output @ classifiers[k].mT if k < len(classifiers) else output
        losses.append(torch.stack([CrossEntropy()(a, y) for a in answered[:, start:].unbind(1)]).mean())
        x = output.detach()
    return losses


@pytest.mark.parametrize("burn_in", [0, 5])
def test_decolle_is_the_gradient_of_each_layers_own_answers_K27(burn_in):
    net, (x, y) = (
        network((5, 6, 4, 3), recurrent=False, bias=True, neuron=CubaLIF(tau_mem_ms=4.0), last=CubaLI()),
        batch(),
    )
    rule = DECOLLE(burn_in=burn_in)
    feedback = rule.feedback_weights(net)
    found = gradients(rule, net, x, y, feedback)
    losses = answers(net, x, y, weights_of(feedback), burn_in)
    for k, loss in enumerate(losses):
        of_this = grads(net, loss)
        assert {name for name, g in of_this.items() if g.any()} == {n for n in found if n.startswith(f"layers.{k}.")}
        for name, gradient in of_this.items():
            close(found[name], gradient)
    close(step(rule, net, x, y).loss, losses[-1].detach())


def test_the_penalty_on_potentials_is_that_of_the_formula():
    net, (x, y) = network(recurrent=False, gain=3.0), batch()
    found = gradients(DECOLLE(membrane_penalty=0.5), net, x, y)["layers.0.w_in"]
    plain = gradients(DECOLLE(), net, x, y)["layers.0.w_in"]
    u = net.layers[0].run(x, potentials=True).potentials - 1.0
    penalty = sum((v + 0.01).relu().mean() + 3e-3 * (0.1 - v.sigmoid()).mean().relu() for v in u.unbind(1))
    expected = grads(net, 0.5 * penalty / x.shape[1])["layers.0.w_in"]
    assert expected.any()
    close(found - plain, expected)


# What all of them share: penalties on counts, refusals.


@pytest.mark.parametrize(("rule", "case"), [(SuperSpikeRule(), SPIKING), (OTTT(), {"recurrent": False}), (DECOLLE(), {"recurrent": False})], ids=lambda v: type(v).__name__)  # fmt: skip
def test_a_penalty_on_counts_adds_its_own_gradient(rule, case):
    def penalty(records):
        return TotalCount(strength=0.5)(records[0].output)

    net, (x, y) = network(**case), batch()
    with_penalty = gradients(rule, net, x, y, penalty=penalty)["layers.0.w_in"]
    plain = gradients(rule, net, x, y)["layers.0.w_in"]
    expected = grads(net, penalty(net(x).records))["layers.0.w_in"]
    assert expected.any()
    close(with_penalty - plain, expected)


@pytest.mark.parametrize(
    ("rule", "build", "message"),
    [
        (SuperSpikeRule(), network, "the last layer is a LI without them; use readout='spike_count'"),
        (SuperSpikeRule(), lambda: network((5, 4, 4, 3), **SPIKING), "Use feedback='random' or 'uniform'"),
        (SuperSpikeRule(interval_ms=0.5), lambda: network(**SPIKING), "less than a step"),
        (OTTT(), lambda: network(last=CubaLI()), "layer 1 is a CubaLI, whose potential .* use LIF"),
    ],
)
def test_what_an_online_rule_cannot_train_is_refused_with_the_way_out(rule, build, message):
    with pytest.raises(ConfigurationError, match=message):
        rule.check(build())


def test_numbers_out_of_range_and_data_that_do_not_fit_are_refused():
    net, (x, y) = network(**SPIKING), batch()
    with pytest.raises(ConfigurationError, match="and their difference is no kernel"):
        SuperSpikeRule(tau_rise_ms=10.0)
    with pytest.raises(ConfigurationError, match=r"SuperSpikeRule.feedback is 'own'; it must be one of symmetric"):
        SuperSpikeRule(feedback="own")
    with pytest.raises(ConfigurationError, match=r"DECOLLE\.burn_in is -1"):
        DECOLLE(burn_in=-1)
    with pytest.raises(ConfigurationError, match="burn_in is 20 and the sequence has 20 steps"):
        step(DECOLLE(burn_in=20), network(), x, y)
    with pytest.raises(ConfigurationError, match=r"RMaxProp\.gamma is 1\.5"):
        RMaxProp([nn.Parameter(torch.zeros(1))], gamma=1.5)
    with pytest.raises(ShapeError, match=r"target trains are \[4, 9, 3\]; \[B, 20, 3\] is expected"):
        step(SuperSpikeRule(), net, x, targets(steps=9))
    with pytest.raises(ConfigurationError, match="ottt got a sequence of no steps"):
        step(OTTT(), network(recurrent=False), x[:, :0], y)
