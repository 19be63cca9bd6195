"""Rules that are a graph: truncated BPTT, feedback alignment, direct feedback alignment, local errors."""

import pytest
import torch
from learning_cases import batch, gradients, network, step
from torch import nn

from snnlightning.errors import ConfigurationError
from snnlightning.layers import BatchNorm, ConvolutionalLayer, DelayedLayer, Flatten, SpikingLayer, SpikingNetwork
from snnlightning.learning import (
    BPTT,
    OTTT,
    RTRL,
    DirectFeedbackAlignment,
    EProp,
    FeedbackAlignment,
    LocalErrors,
    SparseGradient,
    TruncatedBPTT,
)
from snnlightning.learning._feedback import weights_of
from snnlightning.neurons import LI, LIF, CubaLI, CubaLIF
from snnlightning.readouts import LastStep, MaxOverTime, MeanOverTime, SpikeCount, SumOfSoftmax
from snnlightning.regularizers import TotalCount

CASES = [
    pytest.param({"neuron": CubaLIF(tau_mem_ms=4.0, tau_syn_ms=3.0), "last": CubaLI(), "bias": True}, id="cuba_lif"),
    pytest.param({"neuron": LIF(tau_mem_ms=4.0, reset="zero", detach_reset=False)}, id="lif-attached"),
    pytest.param({"recurrent": False, "readout": MaxOverTime()}, id="feedforward"),
]


def close(a, b):
    assert a.keys() == b.keys()
    for name in a:
        torch.testing.assert_close(a[name], b[name], rtol=1e-12, atol=1e-14, msg=name)


def penalty(records):
    return sum(TotalCount(strength=0.01)(record.output) for record in records[:-1])


# Known answers (Lillicrap et al. 2016; Nøkland 2016): feedback through the forward weights is backpropagation.


@pytest.mark.parametrize("case", CASES)
def test_feedback_alignment_with_the_forward_weights_is_backpropagation(case):
    net, (x, y) = network((5, 6, 4, 3), **case), batch()
    rule = FeedbackAlignment()
    feedback = rule.feedback_weights(net)
    for b, layer in zip(weights_of(feedback), list(net.layers)[1:], strict=True):
        b.copy_(layer.w_in.detach())
    close(gradients(rule, net, x, y, feedback, penalty=penalty), gradients(BPTT(), net, x, y, penalty=penalty))


@pytest.mark.parametrize("case", CASES)
def test_direct_feedback_through_the_readouts_weights_is_backpropagation_with_one_hidden_layer_only(case):
    x, y = batch()
    for sizes in ((5, 6, 3), (5, 6, 6, 3)):
        net, rule = network(sizes, **case), DirectFeedbackAlignment()
        feedback = rule.feedback_weights(net)
        for b in weights_of(feedback):
            b.copy_(net.layers[-1].w_in.detach())
        ours, exact = gradients(rule, net, x, y, feedback), gradients(BPTT(), net, x, y)
        if len(sizes) == 3:
            close(ours, exact)
        else:
            torch.testing.assert_close(ours["layers.1.w_in"], exact["layers.1.w_in"], rtol=1e-12, atol=1e-14)
            assert not torch.allclose(ours["layers.0.w_in"], exact["layers.0.w_in"], rtol=1e-2)


@pytest.mark.parametrize("rule", [FeedbackAlignment(), DirectFeedbackAlignment()], ids=lambda rule: type(rule).__name__)
def test_random_feedback_changes_the_hidden_gradient_and_not_the_last_one(rule):
    net, (x, y) = network((5, 6, 4, 3)), batch()
    ours, exact = gradients(rule, net, x, y), gradients(BPTT(), net, x, y)
    torch.testing.assert_close(ours["layers.2.w_in"], exact["layers.2.w_in"], rtol=1e-12, atol=1e-14)
    assert not torch.allclose(ours["layers.0.w_in"], exact["layers.0.w_in"], rtol=1e-2)
    again, other = type(rule)(seed=0), type(rule)(seed=1)
    close(gradients(again, net, x, y), ours)
    assert not torch.equal(gradients(other, net, x, y)["layers.0.w_in"], ours["layers.0.w_in"])


def test_the_answer_of_a_graph_rule_is_the_networks_own():
    net, (x, y) = network((5, 6, 4, 3), bias=True), batch()
    exact = net(x)
    for rule in (FeedbackAlignment(), DirectFeedbackAlignment(), LocalErrors()):
        out = step(rule, net, x, y).out
        torch.testing.assert_close(out.logits, exact.logits, rtol=1e-13, atol=0.0)
        for ours, theirs in zip(out.records, exact.records, strict=True):
            torch.testing.assert_close(ours.output, theirs.output, rtol=1e-13, atol=0.0)


# Truncated BPTT: a window of T is all of it; shorter windows drop terms and keep the state.


@pytest.mark.parametrize("readout", [MeanOverTime(), MaxOverTime(), LastStep(), SumOfSoftmax()], ids=repr)
@pytest.mark.parametrize("steps", [20, 33])
def test_a_window_as_long_as_the_sequence_is_backpropagation_through_time(readout, steps):
    net, (x, y) = network(readout=readout, neuron=CubaLIF(tau_mem_ms=4.0)), batch()
    rule = TruncatedBPTT(steps=steps)
    close(gradients(rule, net, x, y, penalty=penalty), gradients(BPTT(), net, x, y, penalty=penalty))


def test_short_windows_change_the_gradient_and_not_the_answer():
    net, (x, y) = network(readout=MeanOverTime()), batch()
    exact = step(BPTT(), net, x, y)
    for steps in (1, 7):
        rule = TruncatedBPTT(steps=steps)
        ours = step(rule, net, x, y)
        torch.testing.assert_close(ours.out.logits, exact.out.logits, rtol=1e-12, atol=0.0)
        torch.testing.assert_close(ours.out.records[0].state, exact.out.records[0].state, rtol=1e-12, atol=0.0)
        ours, theirs = gradients(rule, net, x, y), gradients(BPTT(), net, x, y)
        assert not torch.allclose(ours["layers.0.w_in"], theirs["layers.0.w_in"], rtol=1e-2)


def test_the_gradient_of_windows_is_the_sum_of_each_windows_own():
    net, (x, y) = network(), batch()
    parameters, states, expected = list(net.parameters()), None, [0.0] * 3
    for window in x.split(8, dim=1):
        out = net(window, states)
        part = nn.functional.cross_entropy(out.logits, y) * window.shape[1] / 20
        expected = [e + g for e, g in zip(expected, torch.autograd.grad(part, parameters), strict=True)]
        states = [tuple(v.detach() for v in state) for state in out.states]
    ours = gradients(TruncatedBPTT(steps=8), net, x, y)
    for (name, _), e in zip(net.named_parameters(), expected, strict=True):
        torch.testing.assert_close(ours[name], e, rtol=1e-12, atol=1e-15)


# Local errors (Mostafa et al. 2018): no layer's loss reaches another layer's weights.


def test_no_loss_reaches_another_layers_weights():
    net, (x, y) = network((5, 6, 4, 3)), batch()
    whole = gradients(LocalErrors(), net, x, y)
    calls = []

    def only(k):
        def loss(logits, target):
            calls.append(logits)
            return nn.functional.cross_entropy(logits, target) * (1.0 if len(calls) % 3 == k else 0.0)

        return loss

    for k, own in ((1, "layers.0."), (2, "layers.1."), (0, "layers.2.")):
        found = gradients(LocalErrors(), net, x, y, loss=only(k))
        for name, gradient in found.items():
            assert bool(gradient.any()) == name.startswith(own), name
            if name.startswith(own):
                torch.testing.assert_close(gradient, whole[name], rtol=1e-12, atol=1e-15)


def test_the_last_layer_learns_as_by_backpropagation_and_a_classifier_is_fixed():
    net, (x, y) = network((5, 6, 3)), batch()
    rule = LocalErrors(seed=4)
    ours, exact = gradients(rule, net, x, y), gradients(BPTT(), net, x, y)
    torch.testing.assert_close(ours["layers.1.w_in"], exact["layers.1.w_in"], rtol=1e-12, atol=1e-14)
    assert not torch.allclose(ours["layers.0.w_in"], exact["layers.0.w_in"], rtol=1e-2)
    feedback = rule.feedback_weights(net)
    for g in weights_of(feedback):
        g.copy_(net.layers[1].w_in.detach())
    close(gradients(rule, net, x, y, feedback), exact)  # a classifier with the readout's own weights is the readout


# Controls and refusals.


@pytest.mark.parametrize("rule", [FeedbackAlignment(), DirectFeedbackAlignment(), LocalErrors()], ids=repr)
def test_without_a_surrogate_only_the_readout_learns(rule):
    net, (x, y) = network((5, 6, 4, 3), surrogate=lambda v: (v > 0).to(v)), batch()
    found = gradients(rule, net, x, y)
    assert found["layers.2.w_in"].any()
    assert not any(found[name].any() for name in found if name != "layers.2.w_in")


class Unknown(MeanOverTime):
    """A readout of a user's own."""


@pytest.mark.parametrize(
    ("rule", "build", "message"),
    [
        (FeedbackAlignment(), lambda: nn.Linear(2, 2), "feedback_alignment takes a network apart .* Linear came"),
        (FeedbackAlignment(), lambda: network((5, 3)), "needs a hidden layer to send errors to"),
        (TruncatedBPTT(steps=3), lambda: network(readout=Unknown()), "the readout is Unknown. Use one of these"),
    ],
)
def test_what_a_rule_cannot_train_is_refused_with_the_way_out(rule, build, message):
    with pytest.raises(ConfigurationError, match=message):
        rule.check(build())


def test_a_layer_that_does_more_than_its_neurons_equation_is_refused():
    net = network()
    nn.utils.parametrizations.weight_norm(net.layers[0], "w_in")
    with pytest.raises(
        ConfigurationError, match=r"cannot train layer 0: it has more than weights and a neuron .*parametri"
    ):
        LocalErrors().check(net)


def test_layers_of_other_kinds_are_refused_with_what_they_are():
    def build(first):
        return SpikingNetwork([first, Flatten(), SpikingLayer(4, 3, neuron=LI())], MeanOverTime())

    convolution = ConvolutionalLayer(1, 4, [3], neuron=LIF())
    delayed = SpikingNetwork(
        [DelayedLayer(4, 4, neuron=LIF(), max_delay_ms=3.0), SpikingLayer(4, 3, neuron=LI())], None
    )
    normed = SpikingNetwork(
        [SpikingLayer(4, 4, neuron=LIF(), norm=BatchNorm(4)), SpikingLayer(4, 3, neuron=LI())], None
    )
    for net, message in (
        (build(convolution), r"cannot train layer 0: the weights of a ConvolutionalLayer are kernels \[4, 1, 3\]"),
        (delayed, r"layer 0: its input is delayed\. Use learning='bptt' or 'truncated_bptt', which train any layer"),
        (normed, r"layer 0: a BatchNorm stands between its weights and its neurons"),
    ):
        for rule in (LocalErrors(), RTRL(), OTTT(), EProp()):
            with pytest.raises(ConfigurationError, match=message):
                rule.check(net)
        with pytest.raises(
            ConfigurationError, match=r"learning='bptt' with surrogate=\{'family': 'sparse'\}, which cuts"
        ):
            SparseGradient().check(net)


@pytest.mark.parametrize("steps", [0, -1, 2.5, True])
def test_a_window_is_a_whole_number_of_steps(steps):
    with pytest.raises(ConfigurationError, match=r"TruncatedBPTT\.steps is"):
        TruncatedBPTT(steps=steps)


def test_spike_counts_of_windows_add_up():
    net, (x, y) = network(last=LIF(tau_mem_ms=4.0), readout=SpikeCount()), batch()
    assert torch.equal(step(TruncatedBPTT(steps=6), net, x, y).out.logits, net(x).logits)
    assert net(x).logits.any()
    assert isinstance(net.layers[-1].neuron, LIF)
    assert not isinstance(net.layers[-1].neuron, LI)


@pytest.mark.parametrize("steps", [2, 5, 20])
def test_delays_longer_than_a_window_reach_into_the_next_one(steps):
    net = network()
    delayed = DelayedLayer(5, 6, neuron=LIF(tau_mem_ms=4.0), max_delay_ms=4.0, delay_ms=4.0, learn_delay=False)
    net.layers[0] = delayed.double()
    torch.nn.init.normal_(delayed.w_in)
    x, y = batch()
    torch.testing.assert_close(net(x, net.initial_states(len(x))).logits, net(x).logits, rtol=1e-12, atol=1e-12)
    out = step(TruncatedBPTT(steps=steps), net, x, y).out
    torch.testing.assert_close(out.logits, net(x).logits.detach(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("rule", [FeedbackAlignment(), DirectFeedbackAlignment()])
def test_under_autocast_states_stay_in_the_precision_of_the_weights(rule):
    net = network((5, 6, 6, 3)).float()
    x, y = batch()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outcome = step(rule, net, x.float(), y)
    assert all(state.dtype == torch.float32 for record in outcome.out.records for state in record.state)
    outcome.total.backward()
    assert all(p.grad.isfinite().all() and p.grad.any() for p in net.parameters())
