"""The networks of the benchmark compute what the published loops compute: potentials and logits, in float64.

The loops are written here from the equations of SpyTorch's tutorials, in the tutorials' order, one statement per line.
"""

import math

import pytest
import torch

from benchmarks.published.parts import Constant, NoGradient, RandomSpikes
from benchmarks.published.recipes import RECIPES

A, B = math.exp(-1 / 5), math.exp(-1 / 10)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def network(name, in_features, classes):
    return RECIPES[name].network(in_features, classes).double()


def spikes(*shape, probability=0.05):
    return (torch.rand(*shape, dtype=torch.float64) < probability).double()


def readout(out, w, a, b, scale=1.0):
    """Y[0] ... Y[T]."""
    flt = torch.zeros(len(out), len(w), dtype=torch.float64)
    y, trace = torch.zeros_like(flt), []
    trace.append(y)
    for h in (out @ w.mT).unbind(1):
        flt, y = a * flt + h, b * y + scale * flt
        trace.append(y)
    return torch.stack(trace, 1).amax(1)


@pytest.mark.parametrize("name", ["spytorch/1", "spytorch/2"])
def test_tutorials_1_to_3_are_the_published_loop(name):
    net = network(name, 784, 10)
    hidden, last = net.layers[0], net.layers[-1]
    x = spikes(4, 60, 784)
    syn = mem = torch.zeros(4, hidden.out_features, dtype=torch.float64)
    recorded = []
    for h in (x @ hidden.w_in.mT).unbind(1):
        out = (mem > 1.0).double()
        recorded.append(out)
        syn, mem = A * syn + h, (B * mem + syn) * (1.0 - out)
    out = torch.stack(recorded, 1)
    assert out.sum() > 0
    answer = net(x)
    assert torch.equal(answer.records[0].output, out)
    torch.testing.assert_close(answer.logits, readout(out, last.w_in, A, B), rtol=1e-12, atol=1e-12)


def test_tutorial_4_sends_recurrent_spikes_a_step_late():
    net = network("spytorch/4", 700, 20)
    hidden, last = net.layers[0], net.layers[-1]
    with torch.no_grad():
        hidden.w_in *= 8.0  # the published 0.2 is silent on so little input
        hidden.w_rec *= 8.0
    x = spikes(4, 40, 700)
    syn = mem = out = torch.zeros(4, 200, dtype=torch.float64)
    recorded = []
    for h in (x @ hidden.w_in.mT).unbind(1):
        arriving = h + out @ hidden.w_rec.mT  # out is still that of the step before
        out = (mem > 1.0).double()
        recorded.append(out)
        syn, mem = A * syn + arriving, (B * mem + syn) * (1.0 - out)
    out = torch.stack(recorded, 1)
    assert out.sum() > 100
    answer = net(x)
    assert torch.equal(answer.records[0].output, out)
    torch.testing.assert_close(answer.logits, readout(out, last.w_in, A, B), rtol=1e-12, atol=1e-12)


def test_tutorial_5_is_the_published_loop_with_its_late_reset_and_scaled_currents():
    net = network("spytorch/5", 4, 28)
    encoder, hidden, last = net.layers[0], net.layers[1], net.layers[-1]
    w_in, w_rec = (p.original for p in (hidden.parametrizations.w_in, hidden.parametrizations.w_rec))
    with torch.no_grad():
        w_rec *= 100.0
    a, b = math.exp(-1 / 10), math.exp(-1 / 20)
    x = torch.randn(3, 50, 4, dtype=torch.float64).repeat_interleave(2, 1)
    enc = enc_spike = torch.zeros(3, 128, dtype=torch.float64)
    syn = mem = out = torch.zeros(3, 200, dtype=torch.float64)
    currents = encoder.gain * (x.tile((32,)) + encoder.bias)
    recorded = []
    for current in currents.unbind(1):
        new_enc = (b * enc + (1.0 - b) * current) * (1.0 - enc_spike)
        enc_spike = (enc > 1.0).double()
        h = enc_spike @ w_in.mT + out @ w_rec.mT
        out = (mem > 1.0).double()
        recorded.append(out)
        syn, mem = a * syn + h, (b * mem + (1.0 - b) * syn) * (1.0 - out)
        enc = new_enc
    out = torch.stack(recorded, 1)
    assert out.sum() > 100
    answer = net(x)
    assert torch.equal(answer.records[0].output, out)
    expected = readout(out, last.w_in, a, b, scale=1.0 - b)
    torch.testing.assert_close(answer.logits, expected, rtol=1e-10, atol=1e-12)


def test_tutorial_5_draws_its_weights_before_the_factor():
    hidden = network("spytorch/5", 4, 28).layers[1]
    drawn = hidden.parametrizations.w_in.original.std().item()
    assert drawn == pytest.approx(3.0 / math.sqrt(128), rel=0.05)
    assert hidden.w_in.std().item() == pytest.approx(drawn * (1.0 - math.exp(-1 / 20)), rel=1e-6)


def test_tutorial_3_pays_for_the_sums_over_its_batch():
    """lambda sum_b,i zeta + lambda < (sum_b zeta)² >_i, with the batch of 256 that it is published for."""
    counts = torch.randint(0, 4, (256, 100)).double()
    penalty = sum(regularizer.of_counts(counts) for regularizer in RECIPES["spytorch/3"].regularizers)
    expected = 1e-5 * counts.sum() + 1e-5 * counts.sum(0).square().mean()
    torch.testing.assert_close(penalty, expected)


def test_the_true_gradient_trains_the_readout_only():
    net = network("spytorch/1_true_gradient", 100, 2)
    net(spikes(8, 50, 100)).logits.sum().backward()
    assert torch.equal(net.layers[0].w_in.grad, torch.zeros_like(net.layers[0].w_in))
    assert net.layers[-1].w_in.grad.abs().sum() > 0


def test_the_controls_are_the_step_forward_and_what_they_say_backward():
    for surrogate, h in ((NoGradient(), 0.0), (Constant(2.0), 2.0)):
        x = torch.tensor([-1.0, 0.0, 1.0], requires_grad=True)
        z = surrogate(x)
        z.sum().backward()
        assert z.tolist() == [0.0, 0.0, 1.0]
        assert x.grad.tolist() == [h] * 3


def test_tutorial_1_has_the_rate_and_the_sizes_of_its_task():
    data = RandomSpikes(seed=0)
    x, y = data.splits.train.__getitems__(range(256))
    assert x.shape == (256, 200, 100)
    assert x.mean().item() == pytest.approx(5e-3, rel=0.03)
    assert 0.4 < y.double().mean().item() < 0.6
