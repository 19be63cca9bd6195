"""A recorded pass is the pass: on a GPU where there is one, by CUDA graphs; elsewhere with a recorder that does the work again."""

import copy
import logging
from collections.abc import Callable
from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm
from torch.utils.data import DataLoader, TensorDataset

from snnlightning.errors import ConfigurationError
from snnlightning.events import Events
from snnlightning.hardware import Network
from snnlightning.layers import (
    BatchNorm,
    Captured,
    ConvolutionalLayer,
    DelayedLayer,
    Dropout,
    Flatten,
    Members,
    Quantization,
    Residual,
    SpikingLayer,
    SpikingNetwork,
    Unflatten,
    quantize,
)  # fmt: skip
from snnlightning.layers.captured import _tensors
from snnlightning.layers.constraints import Dale
from snnlightning.neurons import LI, CubaLIF
from snnlightning.readouts import MeanOverTime
from snnlightning.regularizers import Membrane, UpperBound
from snnlightning.surrogates import Triangle
from snnlightning.training import SpikingModule

ON_GPU = torch.cuda.is_available()
DEVICE = "cuda" if ON_GPU else "cpu"
BACKEND: Any = "auto" if ON_GPU else "reference"
"""The compiled loops of the CPU keep lists of events, which are no tensors that a recording could fill."""


class Again:
    """Plays by doing the work again and putting the numbers where they were, those that autograd has saved among them."""

    def __init__(self) -> None:
        self.records, self.plays = 0, 0

    def __call__(self, work: Any) -> Any:
        result, saved = self.done(work)
        learns = torch.is_grad_enabled()
        self.records += 1

        def play() -> None:
            self.plays += 1
            with torch.set_grad_enabled(learns):
                again, anew = self.done(work)
            for old, new in zip(_tensors(result), _tensors(again), strict=True):
                old.data.copy_(new.data)
            for one, other in zip(saved, anew, strict=True):
                one[0] = other[0]

        return result, play

    @staticmethod
    def done(work: Any) -> tuple[Any, list[list[Tensor]]]:
        """The result, and what autograd reads on the way back, in boxes."""
        boxes: list[list[Tensor]] = []

        def pack(tensor: Tensor) -> list[Tensor]:
            boxes.append([tensor.detach()])
            return boxes[-1]

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda box: box[0]):
            return work(), boxes

    def warm(self, work: Any) -> None:
        work()


def network(seed: int = 0) -> SpikingNetwork:
    torch.manual_seed(seed)
    hidden = SpikingLayer(12, 20, neuron=CubaLIF(), surrogate=Triangle(), recurrent=True, backend=BACKEND)
    with torch.no_grad():
        hidden.w_in.mul_(4.0)
    return SpikingNetwork([hidden, SpikingLayer(20, 3, neuron=LI(), backend=BACKEND)], MeanOverTime()).to(DEVICE)


def captured(net: nn.Module) -> Captured:
    return Captured(net, recorder=None if ON_GPU else Again())


def inputs(count: int, batch: int = 5) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [(torch.rand(batch, 9, 12, generator=generator) < 0.3).float().to(DEVICE) for _ in range(count)]


def losses(out: Any, kind: str) -> Tensor:
    answer: Tensor = out.logits.square().sum()
    return answer + (0.1 * out.records[0].output.mean(1).square().sum() if kind == "spikes too" else 0.0)


def same(mine: Any, theirs: Any) -> None:
    ours, others = list(_tensors(mine)), list(_tensors(theirs))
    assert len(ours) == len(others)
    for a, b in zip(ours, others, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["the answer", "spikes too"])
def test_outputs_and_gradients_are_those_of_the_network(kind):
    plain = network()
    fast = captured(copy.deepcopy(plain))
    for x in inputs(6):
        out, expected = fast(x), plain(x)
        same(out, expected)
        assert torch.equal(out.records[0].output, expected.records[0].output)
        grads = torch.autograd.grad(losses(out, kind), list(fast.network.parameters()))
        theirs = torch.autograd.grad(losses(expected, kind), list(plain.parameters()))
        for a, b in zip(grads, theirs, strict=True):
            assert b.abs().sum() > 0
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5 * float(b.abs().max()))
    assert len(fast._passes) == 1


def test_it_is_recorded_once_and_played_back():
    recorder = Again()
    fast = Captured(network(), recorder=recorder)
    (x,) = inputs(1)
    for _ in range(2):
        fast(x).logits.sum().backward()
    assert (recorder.records, recorder.plays) == (0, 0)
    for _ in range(4):
        fast(x).logits.sum().backward()
    assert recorder.records == 3  # forward, back from the answer, back from everything
    assert recorder.plays == 8


def test_gradients_of_several_batches_add_up():
    plain = network()
    fast = captured(copy.deepcopy(plain))
    given = inputs(6)
    for x in given:
        fast(x).logits.square().sum().backward()
        plain(x).logits.square().sum().backward()
    for own, other in zip(fast.network.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(own.grad, other.grad, rtol=1e-4, atol=1e-5)


def test_records_name_the_callers_input_and_the_networks_own_weights():
    """What reads records knows a source by its identity."""
    net = network()
    fast = captured(net)
    for x in inputs(4):
        out = fast(x)
        first, recurrent = out.records[0].connections
        assert first.activity is x
        assert first.weight is net.layers[0].w_in
        assert recurrent.activity is out.records[0].output
        assert out.records[1].connections[0].activity is out.records[0].output


def test_what_was_answered_stays():
    fast = captured(network())
    given = inputs(5)
    with torch.no_grad():
        answers = [fast(x) for x in given]
        kept = [a.logits.clone() for a in answers]
        fast(torch.zeros_like(given[0]))
    for answer, logits in zip(answers, kept, strict=True):
        assert torch.equal(answer.logits, logits)


def test_a_pass_whose_memory_is_used_again_does_not_go_backward():
    fast = captured(network())
    x = inputs(1)[0]
    for _ in range(2):
        fast(x)
    first, second = fast(x), fast(x)
    second.logits.sum().backward()
    with pytest.raises(RuntimeError, match="after a later pass of the same shape has used its memory"):
        first.logits.sum().backward()


def test_gradients_are_given_once():
    fast = captured(network())
    x = inputs(1)[0]
    for _ in range(3):
        out = fast(x)
    (grad,) = torch.autograd.grad(out.logits.square().sum(), [fast.network.layers[0].w_in], create_graph=True)
    with pytest.raises(RuntimeError, match="differentiate twice"):
        grad.sum().backward()


def test_an_input_that_wants_a_gradient_gets_it():
    plain = network()
    fast = captured(copy.deepcopy(plain))
    for x in inputs(4):
        own, other = x.clone().requires_grad_(), x.clone().requires_grad_()
        fast(own).logits.square().sum().backward()
        plain(other).logits.square().sum().backward()
        assert other.grad is not None
        torch.testing.assert_close(own.grad, other.grad, rtol=1e-4, atol=1e-5)


def test_what_changes_is_recorded_anew():
    net = network()
    fast = captured(net)
    x = inputs(1)[0]

    def three(x: Tensor) -> Any:
        for _ in range(2):
            fast(x)
        return fast(x)

    three(x)
    assert len(fast._passes) == 1
    three(x[:2])
    assert len(fast._passes) == 2
    with torch.no_grad():
        three(x)
    assert len(fast._passes) == 3
    net.layers[0].surrogate = Triangle(gamma=0.1)
    mine = torch.autograd.grad(losses(three(x), "the answer"), [net.layers[0].w_in])
    theirs = torch.autograd.grad(losses(net(x), "the answer"), [net.layers[0].w_in])
    torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)
    assert len(fast._passes) == 4
    net.load_state_dict(network(seed=7).state_dict())  # into the same memory
    same(three(x), net(x))
    assert len(fast._passes) == 4
    net.eval()
    three(x)
    assert len(fast._passes) == 5


def test_no_more_is_kept_than_was_said():
    fast = Captured(network(), shapes=1, recorder=None if ON_GPU else Again())
    with torch.no_grad():
        for batch in (5, 4, 3):
            for x in inputs(4, batch):
                same(fast(x), fast.network(x))
    assert len(fast._passes) == 1


def test_members_are_recorded_together():
    together = Members([network(0), network(1)])
    fast = captured(together)
    for x in inputs(4):
        out = fast(x)
        same(out, together(x))
        out.logits.sum().backward()
        assert out.members[1].records[0].connections[0].weight is not None


def test_running_means_and_random_numbers_are_those_of_the_passes_that_were_asked_for():
    """The pass before the recording is nobody's. (A graph does not run while it is recorded; the stand-in does, and is undone here.)"""

    class Undone(Again):
        def __call__(self, work: Any) -> Any:
            before = {name: b.clone() for name, b in fast.network.named_buffers()}
            state = torch.get_rng_state()
            found = super().__call__(work)
            torch.set_rng_state(state)
            for name, b in fast.network.named_buffers():
                b.data.copy_(before[name])
            return found

    def normalised() -> SpikingNetwork:
        torch.manual_seed(0)
        hidden = SpikingLayer(12, 20, neuron=CubaLIF(), surrogate=Triangle(), norm=BatchNorm(20), backend=BACKEND)
        return SpikingNetwork(
            [hidden, Dropout(0.5), SpikingLayer(20, 3, neuron=LI(), backend=BACKEND)], MeanOverTime()
        ).to(DEVICE)

    plain = normalised()
    fast = Captured(normalised(), recorder=None if ON_GPU else Undone())
    given = inputs(6)
    with torch.no_grad():
        torch.manual_seed(1)
        answers = [fast(x).logits for x in given]
        torch.manual_seed(1)
        expected = [plain(x).logits for x in given]
    assert len(fast._passes) == 1
    for name, buffer in plain.named_buffers():
        torch.testing.assert_close(dict(fast.network.named_buffers())[name], buffer, msg=name)
    if not ON_GPU:  # a graph counts its random numbers in steps of its own
        for mine, theirs in zip(answers, expected, strict=True):
            assert torch.equal(mine, theirs)


def test_what_cannot_be_recorded_runs_as_it_is_and_says_why(caplog):
    class Refuses(Again):
        def __call__(self, work: Any) -> Any:
            raise RuntimeError("operation not permitted when stream is capturing")

    fast = Captured(network(), recorder=Refuses())
    x = inputs(1)[0]
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            same(fast(x), fast.network(x))
    assert [r.getMessage() for r in caplog.records] == [
        "the network is not recorded as a CUDA graph, and runs without: operation not permitted when stream is capturing"
    ]


def test_a_network_that_is_never_the_same_is_given_up(caplog, monkeypatch):
    monkeypatch.setattr("snnlightning.layers.captured._STRANGE", 5)
    net = network()
    fast = captured(net)
    x = inputs(1)[0]
    notes = [object() for _ in range(7)]
    with caplog.at_level(logging.WARNING), torch.no_grad():
        for note in notes:
            net.layers[0].note = note
            same(fast(x), net(x))
    assert "5 passes were all different" in caplog.text
    assert caplog.text.count("all different") == 1


def test_elsewhere_it_is_the_network():
    net = network().cpu()
    fast = Captured(net)
    x = torch.ones(2, 9, 12)
    for given in (x, x, x, Events.from_dense(x)):
        same(fast(given), net(given))
    assert not fast._passes


def test_less_than_one_recording_is_refused():
    with pytest.raises(ConfigurationError, match="shapes is 0; at least one"):
        Captured(network(), shapes=0)


def test_copies_record_for_themselves():
    fast = captured(network())
    for x in inputs(4):
        fast(x)
    own = copy.deepcopy(fast)
    assert own.network is not fast.network
    assert not own._passes
    assert own.shapes == fast.shapes


def test_a_module_takes_them_and_has_the_state_of_one_without():
    module = SpikingModule(network(), num_classes=3, cuda_graphs=True)
    plain = SpikingModule(network(), num_classes=3)
    assert module.state_dict().keys() == plain.state_dict().keys()
    for x in inputs(4):
        same(module(x), plain.to(DEVICE)(x))
    with pytest.raises(ConfigurationError, match="cuda_graphs records whole passes, and EProp does not"):
        SpikingModule(network(), num_classes=3, learning="eprop", cuda_graphs=True)


def small(*hidden: nn.Module, **options: Any) -> SpikingNetwork:
    """Networks that users have; the last of ``hidden`` gives 12 features."""
    return SpikingNetwork([*hidden, SpikingLayer(12, 3, neuron=LI(), backend=BACKEND)], MeanOverTime(), **options)


def spiking(neuron: Any = CubaLIF(), **options: Any) -> SpikingLayer:  # noqa: B008
    return SpikingLayer(12, 12, neuron=neuron, surrogate=Triangle(), recurrent=True, backend=BACKEND, **options)


def one_in_two_places() -> SpikingNetwork:
    layer = spiking()
    return small(layer, layer)


def tied() -> SpikingNetwork:
    first, second = spiking(), spiking()
    second.w_in = first.w_in
    return small(first, second)


def frozen() -> SpikingNetwork:
    layer = spiking()
    layer.w_in.requires_grad_(False)
    return small(layer)


def normed_weights() -> SpikingNetwork:
    return small(weight_norm(spiking(), "w_in"))


def rounded() -> nn.Module:
    return quantize(small(spiking()), Quantization(weight_bits=4, state_bits=12))


def folded() -> SpikingNetwork:
    convolution = ConvolutionalLayer(
        1, 2, (3,), neuron=CubaLIF(), surrogate=Triangle(), padding=1, stride=2, backend=BACKEND
    )
    return small(Unflatten((1, 12)), convolution, Flatten())


USED: dict[str, Callable[[], nn.Module]] = {
    "one in two places": one_in_two_places, "tied": tied, "frozen": frozen, "weight_norm": normed_weights, "rounded": rounded,
    "convolution": folded, "Dale": lambda: small(spiking(), constraints=[Dale()]),
    "learned": lambda: small(spiking(CubaLIF(learn_tau="per_neuron"))), "residual": lambda: small(spiking(), Residual([spiking()])),
    "delayed": lambda: small(DelayedLayer(12, 12, neuron=CubaLIF(), surrogate=Triangle(), max_delay_ms=4.0, backend=BACKEND)),
}  # fmt: skip


@pytest.mark.parametrize("made", USED.values(), ids=USED)
def test_what_users_build_trains_as_without(made):
    found = []
    for record in (False, True):
        torch.manual_seed(0)
        net = made().to(DEVICE)
        names = [name for name, _ in net.named_parameters()]
        forward: Any = captured(net) if record else net
        optimizer = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], lr=0.01)
        for x in inputs(6):
            optimizer.zero_grad()
            losses(forward(3.0 * x), "spikes too").backward()
            optimizer.step()
        assert [name for name, _ in net.named_parameters()] == names
        assert not record or ON_GPU or len(forward._passes) == 1
        found.append([p.detach().clone() for p in net.parameters()])
    for mine, theirs in zip(*found, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-4) if ON_GPU else torch.testing.assert_close(mine, theirs, rtol=0.0, atol=0.0)  # fmt: skip


def test_records_share_the_memory_that_they_share_without():
    """A dense layer behind a convolution names it as its source, though ``Flatten`` stands between them."""
    torch.manual_seed(0)
    fast = captured(folded().to(DEVICE))
    for x in inputs(4):
        assert [s.source for s in Network.of(fast(x).records).synapses] == ["input", "hidden_0"]
    assert len(fast._passes) == 1


def test_hooks_see_every_pass(caplog):
    class Doubled(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return 2.0 * x

    net = SpikingNetwork([Doubled(), *network().layers], MeanOverTime())
    fast, seen = captured(net), []
    (x,) = inputs(1)
    for _ in range(3):
        fast(x)
    handle = net.layers[0].register_forward_hook(lambda *_: seen.append(1))
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            same(fast(x), net(x))
    assert len(seen) == 6
    assert caplog.text.count("hooks of its modules are to see every pass") == 1
    handle.remove()
    fast(x)
    assert len(seen) == 6
    assert len(fast._passes) == 1


def test_modules_and_attributes_that_come_later_are_looked_at():
    net = network()
    fast = captured(net)
    (x,) = inputs(1)

    def checked() -> None:
        for _ in range(4):
            out, expected = fast(x), net(x)
            same(out, expected)
            mine = torch.autograd.grad(losses(out, "the answer"), list(net.parameters()))
            theirs = torch.autograd.grad(losses(expected, "the answer"), list(net.parameters()))
            for a, b in zip(mine, theirs, strict=True):
                torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5 * float(b.abs().max()))

    net.layers[0].first = 0.5
    checked()
    del net.layers[0].first
    net.layers[0].second = 0.25
    checked()
    net.layers[0] = network(seed=3).layers[0]
    checked()
    net.layers[0].surrogate = Triangle(gamma=0.1)
    checked()
    assert len(fast._passes) == 4


def test_states_are_handed_over_as_without():
    net = network()
    fast = captured(net)
    mine = theirs = None
    for x in inputs(5):
        with torch.no_grad():
            out, expected = fast(x, mine), net(x, states=theirs)
            same(out, expected)
            same(fast(x, states=mine), expected)
        mine, theirs = out.states, expected.states


def test_what_is_no_tree_of_tensors_is_not_recorded(caplog):
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(12, device=DEVICE))

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            return {"logits": x @ self.weight}

    net = Named()
    fast = captured(net)
    with caplog.at_level(logging.WARNING):
        for x in inputs(5):
            net.zero_grad()
            fast(x)["logits"].sum().backward()
            torch.testing.assert_close(net.weight.grad, x.sum((0, 1)))
    assert "it returns a dict; tensors, and tuples of them, are expected" in caplog.text


def test_another_precision_of_products_is_another_recording():
    fast = captured(network())
    (x,) = inputs(1)
    before = torch.get_float32_matmul_precision()
    try:
        for precision in ("highest", "high"):
            torch.set_float32_matmul_precision(precision)
            for _ in range(4):
                fast(x)
    finally:
        torch.set_float32_matmul_precision(before)
    assert len(fast._passes) == 2


def test_a_fit_with_recordings_is_a_fit():
    """Gradients of two batches, validation in between, potentials and spike counts in the penalty, another network in the end."""
    found = []
    x = torch.cat(inputs(6)).cpu()
    y = torch.arange(len(x)) % 3
    for record in (False, True):
        module = SpikingModule(
            network(),
            num_classes=3,
            regularizers=[UpperBound(strength=0.1, bound=1.0), Membrane(strength=0.01)],
            cuda_graphs=record,
        )
        if record:
            module._captured = fast = captured(module.network)
        loader = DataLoader(TensorDataset(x, y), batch_size=5)
        trainer = L.Trainer(
            max_epochs=3, accelerator="gpu" if ON_GPU else "cpu", devices=1, logger=False, enable_checkpointing=False, accumulate_grad_batches=2,
            enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
        )  # fmt: skip
        trainer.fit(module, loader, loader)
        found.append(([p.detach().clone() for p in module.network.parameters()], module.counted("val")))
    assert len(fast._passes) == 2
    for mine, theirs in zip(found[0][0], found[1][0], strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-4)
    assert found[0][1] == pytest.approx(found[1][1], rel=1e-2 if ON_GPU else 0.0)
    module.network = network(seed=5)
    with torch.no_grad():
        assert torch.equal(module.cpu()(x[:5]).logits, module.network(x[:5]).logits)


@pytest.mark.skipif(not ON_GPU, reason="needs a CUDA device")
def test_training_with_recordings_is_training():
    """Ten steps of Adam under autocast and without: the same weights as of the network itself."""
    for half in (False, True):
        found = []
        for record in (True, False):
            net = network()
            forward: Any = Captured(net) if record else net
            optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
            for x in inputs(10):
                optimizer.zero_grad()
                with torch.autocast("cuda", dtype=torch.bfloat16, enabled=half):
                    loss = losses(forward(x), "spikes too")
                loss.backward()
                optimizer.step()
            assert not record or len(forward._passes) == 1
            found.append([p.detach().clone() for p in net.parameters()])
        for mine, theirs in zip(*found, strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-4)
