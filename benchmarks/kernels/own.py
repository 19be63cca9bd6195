"""Our candidates, and the plain loop in PyTorch that a careful user would write."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from works import Work

import snnlightning as snn
from snnlightning.initializers import ScaledNormal

__all__ = ["SURROGATES", "eager", "half", "network", "own", "population"]

SURROGATES = {"triangle": snn.Triangle(gamma=1.0, slope=2.0), "superspike": snn.SuperSpike()}


def network(work: Work, surrogate: str, backend: str) -> snn.SpikingNetwork:
    torch.manual_seed(0)
    neuron, readout = (snn.CubaLIF(), snn.CubaLI()) if work.current else (snn.LIF(), snn.LI())
    sizes = (work.inputs, *work.hidden)
    layers = [
        snn.SpikingLayer(
            before, after, neuron=neuron, surrogate=SURROGATES[surrogate], recurrent=work.recurrent, backend=backend,
            initializer=ScaledNormal(work.gain), rec_initializer=ScaledNormal(work.rec_gain),
        )
        for before, after in zip(sizes, work.hidden, strict=False)
    ]  # fmt: skip
    if work.classes is not None:
        layers.append(snn.SpikingLayer(sizes[-1], work.classes, neuron=readout, backend=backend))
    return snn.SpikingNetwork(layers, snn.MeanOverTime())


def own(work: Work, surrogate: str, backend: str, *, events: bool = False) -> Callable[[], Any]:
    """A training step; with ``events`` the batch comes as the list of its events, as a data module hands it out."""
    net = network(work, surrogate, backend)
    x, y = work.data()
    given = snn.Events.from_dense(x) if events else None

    def step() -> Any:
        net.zero_grad()
        batch: Any = x
        if given is not None:  # a new list each time: nothing may be remembered of the last step
            batch = snn.Events.trusted(given.pointer, given.index, given.value, given.shape)
        out = net(batch)
        F.cross_entropy(out.logits, y).backward()
        return out.records[0].output.detach(), [p.grad for p in net.parameters()]

    return step


def half(step: Callable[[], Any]) -> Callable[[], Any]:
    """A step under autocast: the product of dense input in bfloat16."""

    def half_step() -> Any:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return step()

    return half_step


class _Eager(nn.Module):
    """One product for all inputs, ``unbind``, as few operations as it takes."""

    def __init__(self, net: snn.SpikingNetwork, work: Work, surrogate: Any) -> None:
        super().__init__()
        self.weights = nn.ParameterList(nn.Parameter(layer.w_in.detach().clone()) for layer in net.layers)
        self.recurrent = nn.ParameterList(
            nn.Parameter(layer.w_rec.detach().clone()) for layer in net.layers if layer.w_rec is not None
        )
        self.work, self.surrogate = work, surrogate
        self.decays = (snn.CubaLIF if work.current else snn.LIF)().coefficients()

    def hidden(self, x: Tensor, w_in: Tensor, w_rec: Tensor | None) -> Tensor:
        b, drive = self.decays["decay_mem"], F.linear(x, w_in)
        i = v = drive.new_zeros(drive.shape[1:])
        w_rec_t, spikes = None if w_rec is None else w_rec.t(), []
        for d in drive.unbind(0):
            z = self.surrogate(v - 1.0)
            spikes.append(z)
            arrives = d if w_rec_t is None else torch.addmm(d, z, w_rec_t)
            if self.work.current:
                i, v = torch.add(arrives, i, alpha=self.decays["decay_syn"]), torch.add(i, v, alpha=b) - z.detach()
            else:
                v = torch.add(arrives, v, alpha=b) - z.detach()
        return torch.stack(spikes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x, first = x.transpose(0, 1), None
        count = len(self.work.hidden)
        for k in range(count):
            x = self.hidden(x, self.weights[k], self.recurrent[k] if self.work.recurrent else None)
            first = x if first is None else first
        if self.work.classes is None:
            return x.mean(0), first
        i = v = x.new_zeros(x.shape[1], self.work.classes)
        total, b = torch.zeros_like(v), self.decays["decay_mem"]
        for d in F.linear(x, self.weights[count]).unbind(0):
            total = total + v
            if self.work.current:
                i, v = torch.add(d, i, alpha=self.decays["decay_syn"]), torch.add(i, v, alpha=b)
            else:
                v = torch.add(d, v, alpha=b)
        return total / self.work.steps, first


def population(work: Work, surrogate: str, backend: str) -> Callable[[], Any]:
    """A training step of all members in one call."""
    together = snn.Members(network(work, surrogate, backend) for _ in range(work.members))
    x, y = work.data()
    labels = y.repeat(work.members)

    def step() -> Any:
        together.zero_grad()
        out = together(x)
        (work.members * F.cross_entropy(out.logits.flatten(0, 1), labels)).backward()
        return out.members[0].records[0].output.detach(), [p.grad for p in together.networks[0].parameters()]

    return step


def eager(work: Work, surrogate: str) -> Callable[[], Any]:
    """The loop, with the weights of ``network``."""
    model = _Eager(network(work, surrogate, "reference"), work, SURROGATES[surrogate]).to(work.device)
    x, y = work.data()

    def step() -> Any:
        model.zero_grad()
        logits, spikes = model(x)
        F.cross_entropy(logits, y).backward()
        return spikes.detach().transpose(0, 1), [p.grad for p in model.parameters()]

    return step
