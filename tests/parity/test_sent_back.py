"""A gradient by its factors is the gradient: to the layer before, and to everybody else who reads it."""

import copy
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from snnlightning.layers import Members, SpikingLayer, SpikingNetwork
from snnlightning.neurons import LI, LIF, CubaLI, CubaLIF
from snnlightning.neurons._fused import layer as fused_layer
from snnlightning.neurons._fused import limits
from snnlightning.neurons._fused.sent_back import SentBack
from snnlightning.readouts import LastStep, MaxOverTime, MeanOverTime, SpikeCount
from snnlightning.surrogates import SuperSpike, Triangle

pytest.importorskip("numba", reason="Numba is not installed; pip install 'snnlightning[fast]'")
MULTIPLIED: list[int] = []


def network(
    backend: str = "numba", classes: int = 3, *, surrogate: Any = None, readout: Any = None, seed: int = 0
) -> SpikingNetwork:
    torch.manual_seed(seed)
    layers = [
        SpikingLayer(
            5, 9, neuron=CubaLIF(), surrogate=surrogate or Triangle(slope=0.25), recurrent=True, backend=backend
        ),
        SpikingLayer(9, 7, neuron=LIF(), surrogate=surrogate or Triangle(slope=0.25), backend=backend),
        SpikingLayer(7, classes, neuron=CubaLI(), backend=backend),
    ]
    for layer in layers:
        layer.w_in.data.abs_()
    return SpikingNetwork(layers, readout or MeanOverTime())


def data(batch: int = 4) -> Tensor:
    return (torch.rand(batch, 12, 5, generator=torch.Generator().manual_seed(1)) < 0.5).float()


def gradients(
    net: SpikingNetwork, also: Callable[[Tensor], Any] = lambda spikes: None, share: float = 0.0
) -> list[Tensor]:
    net.zero_grad()
    out = net(data())
    for record in out.records[:-1]:
        also(record.output)
    loss = out.logits.square().sum()
    if share:
        loss = loss + share * sum(record.output.square().sum() for record in out.records)
    loss.backward()
    return [p.grad.clone() for p in net.parameters() if p.grad is not None]


@pytest.fixture(autouse=True)
def counted(monkeypatch):
    """Inputs go by events at any density, and whole products that somebody asked for are counted."""
    monkeypatch.setattr(fused_layer, "_break_even", lambda features, looking_ns: 2.0)
    MULTIPLIED.clear()
    whole = SentBack.whole

    def counting(self: SentBack) -> Tensor:
        MULTIPLIED.append(self.made is None)
        return whole(self)

    monkeypatch.setattr(SentBack, "whole", counting)


@pytest.mark.parametrize("surrogate", [Triangle(slope=0.25), SuperSpike()])
def test_the_layer_before_multiplies_out_its_own_samples_only(surrogate):
    mine, theirs = gradients(network(surrogate=surrogate)), gradients(network("reference", surrogate=surrogate))
    assert not MULTIPLIED
    for own, other in zip(mine, theirs, strict=True):
        assert own.abs().max() > 0
        torch.testing.assert_close(own, other, rtol=1e-5, atol=1e-6 * float(other.abs().max()))


@pytest.mark.parametrize(
    "readout", [MeanOverTime(), SpikeCount(), LastStep(), MaxOverTime()], ids=lambda r: type(r).__name__
)
def test_every_readout_over_time_sends_back_what_the_reference_does(readout):
    mine, theirs = (gradients(network(name, readout=readout)) for name in ("numba", "reference"))
    for own, other in zip(mine, theirs, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-5, atol=1e-6 * float(other.abs().max()))


@pytest.mark.parametrize("readout", [MeanOverTime(), LastStep()], ids=lambda r: type(r).__name__)
def test_a_member_gets_the_bits_that_it_gets_alone(readout):
    networks = [network(readout=readout, seed=k) for k in range(3)]
    alone = [gradients(net) for net in networks]
    for net in networks:
        net.zero_grad()
    out = Members(networks)(data())
    torch.stack([member.logits.square().sum() for member in out.members]).sum().backward()
    for net, expected in zip(networks, alone, strict=True):
        assert all(torch.equal(p.grad, e) for p, e in zip(net.parameters(), expected, strict=True))


def test_a_trace_that_is_read_as_well_gets_its_gradient():
    found = []
    for name in ("numba", "reference"):
        net = network(name)
        out = net(data())
        (out.logits.square().sum() + out.records[-1].output.pow(3).sum() + out.states[-1][0].sum()).backward()
        found.append([p.grad for p in net.parameters()])
    for own, other in zip(*found, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-5, atol=1e-6 * float(other.abs().max()))


def test_threads_do_not_change_a_bit():
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            found.append(gradients(network()))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_where_a_state_is_not_finite_the_reference_reads_it(monkeypatch):
    given: list[Any] = []
    backward = fused_layer._reference_backward
    monkeypatch.setattr(
        fused_layer, "_reference_backward", lambda ctx, grads: given.append(grads[0]) or backward(ctx, grads)
    )
    found = []
    for name in ("numba", "reference"):
        net = network(name)
        states = [tuple(variable.detach().clone() for variable in state) for state in net(data()).states]
        states[1][0][0, 0] = torch.inf
        net(data(), states).logits.square().sum().backward()
        found.append([p.grad for p in net.parameters()])
    assert any(isinstance(grad, SentBack) for grad in given)
    for own, other in zip(*found, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-5, atol=1e-6, equal_nan=True)


def test_a_second_consumer_gets_the_sum_of_both():
    mine, theirs = gradients(network(), share=0.1), gradients(network("reference"), share=0.1)
    assert any(MULTIPLIED)
    for own, other in zip(mine, theirs, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-5, atol=1e-6 * float(other.abs().max()))


def put_there(grad: Tensor) -> None:
    grad.data = 2.0 * grad.data


def put_there_in_place(grad: Tensor) -> None:
    grad.data.mul_(2.0)


@pytest.mark.parametrize("name", ["looked at", "kept", "new", "in place", "put there", "put there in place"])
def test_a_hook_sees_and_changes_the_gradient(name):
    hooks: dict[str, Callable[[Tensor], Any]] = {
        "looked at": lambda spikes: spikes.register_hook(lambda grad: None if grad.isfinite().all() else 0 * grad),
        "kept": lambda spikes: spikes.retain_grad(),
        "new": lambda spikes: spikes.register_hook(lambda grad: 2.0 * grad),
        "in place": lambda spikes: spikes.register_hook(lambda grad: grad.mul_(2.0)),
        "put there": lambda spikes: spikes.register_hook(put_there),
        "put there in place": lambda spikes: spikes.register_hook(put_there_in_place),
    }
    plain, own = gradients(network("reference"), hooks[name]), gradients(network(), hooks[name])
    for a, b in zip(own, plain, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6 * float(b.abs().max()))


def put_short(grad: Tensor) -> None:
    grad.data = grad.data[:1]


@pytest.mark.parametrize("hook", [lambda grad: grad.unsqueeze_(0), lambda grad: grad.transpose_(0, 1), put_short])
def test_a_gradient_keeps_its_shape(hook):
    with pytest.raises(RuntimeError, match="gradient of"):
        gradients(network(), lambda spikes: spikes.register_hook(hook))


def found_of(net: SpikingNetwork) -> tuple[Tensor, Tensor]:
    """What arrives at the spikes of the last hidden layer, asked for by name, and the same from the reference."""
    made = []
    for own in (net, copied(net)):
        out = own(data())
        (grad,) = torch.autograd.grad(out.logits.square().sum(), [out.records[1].output])
        made.append(grad)
    return made[0], made[1]


def copied(net: SpikingNetwork) -> SpikingNetwork:
    plain = network("reference")
    plain.load_state_dict(net.state_dict())
    return plain


def test_asked_for_by_name_it_is_a_tensor_for_torch_numpy_and_pickle():
    mine, theirs = found_of(network())
    assert mine.shape == theirs.shape
    assert mine.dtype == theirs.dtype
    for read in (mine.clone(), torch.from_numpy(mine.numpy()), torch.from_numpy(np.asarray(mine)), torch.tensor(mine.tolist()),
                 copy.deepcopy(mine), saved_and_loaded(mine), mine + 0, mine[:]):  # fmt: skip
        assert type(read) is Tensor
        torch.testing.assert_close(read, theirs, rtol=1e-5, atol=1e-7)
    assert mine.data_ptr() == mine.data_ptr() != 0
    assert repr(mine) == repr(mine.clone())


def saved_and_loaded(x: Tensor) -> Tensor:
    file = io.BytesIO()
    torch.save(x, file)
    file.seek(0)
    loaded: Tensor = torch.load(file)
    return loaded


def test_weights_that_change_before_it_is_read_do_not_change_it():
    net = network()
    out = net(data())
    (grad,) = torch.autograd.grad(out.logits.square().sum(), [out.records[1].output])
    expected = found_of(net)[1]
    with torch.no_grad():
        net.layers[-1].w_in.zero_()
    torch.testing.assert_close(grad.clone(), expected, rtol=1e-5, atol=1e-7)


def test_a_wide_readout_sends_the_product():
    out = (net := network(classes=limits.in_use.short_row + 1))(data())
    (grad,) = torch.autograd.grad(out.logits.square().sum(), [out.records[1].output])
    assert type(grad) is Tensor
    assert net.layers[-1].w_in.shape[0] > limits.in_use.short_row


def test_a_leaf_gets_a_tensor():
    x = data().requires_grad_()
    layer = SpikingLayer(5, 3, neuron=LI(), backend="numba")
    layer(x)[0].sum().backward()
    assert type(x.grad) is Tensor
