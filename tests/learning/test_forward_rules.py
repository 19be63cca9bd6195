"""Rules that go forward in time: RTRL is backpropagation, e-prop is backpropagation without the recurrent path."""

import dataclasses
import itertools

import pytest
import torch
from learning_cases import batch, gradients, network, step

from snnlightning.errors import ConfigurationError
from snnlightning.learning import BPTT, RTRL, DirectFeedbackAlignment, EProp
from snnlightning.learning._feedback import weights_of
from snnlightning.losses import CrossEntropy, MeanSquaredError
from snnlightning.neurons import ALIF, IF, LI, LIF, AdLIF, CubaLI, CubaLIF
from snnlightning.readouts import LastStep, MaxOverTime, MeanOverTime, SpikeCount, SumOfSoftmax
from snnlightning.regularizers import TotalCount

FLAGS = [
    pytest.param({"reset": reset, "detach_reset": detached, "detach_recurrent": cut}, id=f"{reset}-{detached}-{cut}")
    for reset, detached, cut in itertools.product(("subtract", "zero"), (True, False), (True, False))
]

NEURONS = [
    IF(),
    LIF(tau_mem_ms=4.0, ordering="stork"),
    CubaLIF(tau_mem_ms=4.0, ordering="spytorch", reset="zero"),
    CubaLIF(tau_mem_ms=4.0, tau_syn_ms=(2.0, 3.0, 4.0, 2.5, 1.5, 2.0), learn_tau="per_neuron"),
    ALIF(tau_mem_ms=4.0, tau_adapt_ms=12.0, form="eprop", beta=0.3, learn_tau="shared"),
    AdLIF(tau_mem_ms=4.0, tau_adapt_ms=12.0, learn_gains="shared"),
    LIF(tau_mem_ms=4.0, refractory_ms=2.0, detach_reset=False),
    LIF(tau_mem_ms=4.0, learn_v_th="per_neuron", bounds={"v_th": (0.5, 1.5)}),
]


def close(a, b, rtol=1e-10):
    assert a.keys() == b.keys()
    for name in a:
        scale = b[name].abs().max().item()
        torch.testing.assert_close(
            a[name], b[name], rtol=rtol, atol=rtol * scale, msg=lambda m, name=name: f"{name}: {m}"
        )


def penalty(records):
    return sum(TotalCount(strength=0.01)(record.output) for record in records[:-1])


# K10: forward mode is backpropagation through time, in all reset and detachment variants.


@pytest.mark.parametrize("flags", FLAGS)
def test_forward_mode_is_backpropagation_through_time_K10(flags):
    net, (x, y) = network((4, 4, 3), neuron=CubaLIF(tau_mem_ms=4.0, tau_syn_ms=3.0, **flags), bias=True), batch(4)
    found, exact = gradients(RTRL(), net, x, y), gradients(BPTT(), net, x, y)
    assert all(g.any() for g in exact.values())
    close(found, exact)


@pytest.mark.parametrize("neuron", NEURONS, ids=lambda neuron: f"{type(neuron).__name__}-{neuron.learn_tau}")
def test_forward_mode_knows_every_neuron_from_its_definition(neuron):
    net, (x, y) = network((5, 6, 6, 3), neuron=neuron), batch()
    exact = gradients(BPTT(), net, x, y, penalty=penalty)
    assert all(g.any() for g in exact.values())
    close(gradients(RTRL(), net, x, y, penalty=penalty), exact)


@pytest.mark.parametrize("readout", [MeanOverTime(), MaxOverTime(), LastStep(), SumOfSoftmax(), SpikeCount()], ids=repr)
@pytest.mark.parametrize(
    "last", [CubaLI(tau_mem_ms=5.0, learn_tau="shared"), LIF(tau_mem_ms=4.0)], ids=["leaky", "spiking"]
)
def test_forward_mode_knows_every_readout(readout, last):
    net, (x, y) = network(readout=readout, last=last), batch()
    close(gradients(RTRL(), net, x, y), gradients(BPTT(), net, x, y))
    ours, exact = step(RTRL(), net, x, y), step(BPTT(), net, x, y)
    torch.testing.assert_close(ours.out.logits, exact.out.logits, rtol=1e-12, atol=1e-15)
    torch.testing.assert_close(ours.loss, exact.loss, rtol=1e-12, atol=0.0)
    torch.testing.assert_close(ours.out.states, exact.out.states, rtol=1e-12, atol=1e-15)
    assert torch.equal(ours.out.records[0].output[:, 0], exact.out.records[0].output.sum(1))


# K11: e-prop is backpropagation where spikes through recurrent weights are constants.


@pytest.mark.parametrize("readout", [MeanOverTime(), LastStep()], ids=repr)
@pytest.mark.parametrize(
    "last", [LI(tau_mem_ms=5.0), CubaLI(tau_mem_ms=5.0, tau_syn_ms=3.0, ordering="stork")], ids=repr
)
@pytest.mark.parametrize("neuron", NEURONS, ids=lambda neuron: f"{type(neuron).__name__}-{neuron.learn_tau}")
def test_symmetric_eprop_without_recurrence_is_backpropagation_K11(neuron, last, readout):
    net, (x, y) = network((5, 6, 3), neuron=neuron, last=last, recurrent=False, bias=True, readout=readout), batch()
    exact = gradients(BPTT(), net, x, y, penalty=penalty)
    assert all(g.any() for g in exact.values())
    close(gradients(EProp(), net, x, y, penalty=penalty), exact)


@pytest.mark.parametrize("flags", [flags for flags in FLAGS if flags.values[0]["detach_recurrent"]])
def test_symmetric_eprop_with_recurrence_is_backpropagation_with_constant_recurrent_spikes_K11(flags):
    cut = CubaLIF(tau_mem_ms=4.0, tau_syn_ms=3.0, **flags)
    net, (x, y) = network(neuron=cut), batch()
    exact = gradients(BPTT(), net, x, y)
    close(gradients(EProp(), net, x, y), exact)
    net.layers[0].neuron = dataclasses.replace(cut, detach_recurrent=False)
    close(gradients(EProp(), net, x, y), exact)  # it never sees that path
    whole = gradients(BPTT(), net, x, y)["layers.0.w_in"].flatten()
    cosine = torch.cosine_similarity(exact["layers.0.w_in"].flatten(), whole, dim=0)
    assert 0.5 < cosine < 0.99999


@pytest.mark.parametrize("loss", [CrossEntropy(), MeanSquaredError()], ids=repr)
def test_an_error_at_each_step_is_backpropagation_of_the_mean_loss_over_steps(loss):
    net, (x, y) = network(recurrent=False, last=CubaLI(tau_mem_ms=5.0), readout=MaxOverTime()), batch()
    found = gradients(EProp(loss_at="each_step"), net, x, y, loss=loss)
    net.zero_grad()
    potentials = net(x).records[-1].output
    sum(loss(potential, y) for potential in potentials.unbind(1)).div(x.shape[1]).backward()
    close(found, {name: p.grad for name, p in net.named_parameters()})


@pytest.mark.parametrize("loss_at", ["end", "each_step"])
def test_random_feedback_through_the_output_weights_is_symmetric_feedback(loss_at):
    net, (x, y) = network(), batch()
    rule = EProp(feedback="random", loss_at=loss_at)
    feedback = rule.feedback_weights(net)
    other = gradients(rule, net, x, y, feedback)
    for b in weights_of(feedback):
        b.copy_(net.layers[-1].w_in.detach())
    symmetric = gradients(EProp(loss_at=loss_at), net, x, y)
    close(gradients(rule, net, x, y, feedback), symmetric)
    assert not torch.allclose(other["layers.0.w_in"], symmetric["layers.0.w_in"], rtol=1e-2)
    assert torch.equal(other["layers.1.w_in"], symmetric["layers.1.w_in"])


def test_eprop_with_random_feedback_is_direct_feedback_alignment_without_recurrence_K11c():
    net, (x, y) = network((5, 6, 6, 3), recurrent=False), batch()
    close(gradients(EProp(feedback="random", seed=2), net, x, y), gradients(DirectFeedbackAlignment(seed=2), net, x, y))


def test_adaptive_feedback_gets_the_gradient_of_the_output_weights():
    net, (x, y) = network(last=CubaLI(learn_tau="shared")), batch()
    rule = EProp(feedback="adaptive")
    feedback = rule.feedback_weights(net)
    found = gradients(rule, net, x, y, feedback)
    (b,) = feedback.parameters()
    assert torch.equal(b.grad, found["layers.1.w_in"])
    assert b.grad.any()


def test_an_alif_has_the_two_eligibilities_of_the_paper():
    """eps_v' = decay eps_v + x; eps_a' = (rho - beta psi) eps_a + psi eps_v; e = psi (eps_v - beta eps_a); psi = h / v_th."""
    neuron = ALIF(tau_mem_ms=4.0, tau_adapt_ms=12.0, form="eprop", beta=0.3)
    net, (x, y) = network(neuron=neuron, recurrent=False, readout=LastStep()), batch()
    layer = net.layers[0]
    decays = neuron.coefficients()
    record = layer.run(x, potentials=True)
    v, a, z = record.potentials, torch.zeros(4, 6, dtype=torch.float64), record.output
    eps_v, eps_a, filtered = (torch.zeros(4, 6, 5, dtype=torch.float64) for _ in range(3))
    for n in range(x.shape[1]):
        psi = layer.surrogate.derivative(v[:, n] - 1.0 - 0.3 * a).unsqueeze(-1)
        e, last = psi * (eps_v - 0.3 * eps_a), filtered
        filtered = net.layers[1].neuron.coefficients()["decay_mem"] * filtered + e
        eps_a = (decays["decay_adapt"] - 0.3 * psi) * eps_a + psi * eps_v
        eps_v = decays["decay_mem"] * eps_v + x[:, n].unsqueeze(1)
        a = decays["decay_adapt"] * a + z[:, n]
    error = torch.autograd.functional.jacobian(lambda logits: CrossEntropy()(logits, y), net(x).logits.detach())
    expected = torch.einsum("bi,bij->ij", error @ net.layers[1].w_in.detach(), last)
    found = gradients(EProp(), net, x, y)["layers.0.w_in"]
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-14)


# Refusals.


@pytest.mark.parametrize(
    ("rule", "build", "message"),
    [
        (EProp(), lambda: network((5, 3)), "needs a hidden layer"),
        (EProp(), lambda: network(last=LIF()), "the last layer is a LIF that spikes; use LI.* or learning='superspike'"),
        (EProp(), lambda: network(readout=MaxOverTime()), "it is MaxOverTime. Use one of these, or loss_at='each_step'"),
        (EProp(), lambda: network((5, 4, 4, 3)), "there are 2. Use feedback='random'"),
        (EProp(), lambda: network(last=LI(tau_mem_ms=(1.0, 2.0, 3.0))), "one filter for all classes"),
        (RTRL(max_elements=1000), network, r"would keep .* use a smaller batch or network, or learning='eprop'"),
    ],
)  # fmt: skip
def test_what_a_forward_rule_cannot_train_is_refused_with_the_way_out(rule, build, message):
    with pytest.raises(ConfigurationError, match=message):
        rule.check(build())


def test_adaptive_feedback_of_unequal_layers_is_refused():
    with pytest.raises(ConfigurationError, match="as many neurons as the last one"):
        EProp(feedback="adaptive").feedback_weights(network((5, 4, 6, 3)))
