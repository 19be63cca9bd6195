"""Other libraries on the same shapes, each with its own equations (all of them pay a loop over time).

What their interfaces allow is done for them: one product for all inputs, ``unbind`` in loops that are ours, no state kept.
"""

import itertools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from works import Work

__all__ = ["PEERS"]

Step = Callable[[], Any]
MEM, SYN = 0.9048, 0.8187


def _trained(model: nn.Module, logits: Callable[[Tensor], Tensor], work: Work, *, time_first: bool = True) -> Step:
    x, y = work.data()
    x = x.transpose(0, 1).contiguous() if time_first else x
    model.to(work.device)

    def step() -> None:
        model.zero_grad()
        F.cross_entropy(logits(x), y).backward()

    return step


def _linears(work: Work) -> nn.ModuleList:
    torch.manual_seed(0)
    sizes = (work.inputs, *work.hidden, *([work.classes] if work.classes is not None else []))
    made = nn.ModuleList(nn.Linear(a, b, bias=False) for a, b in itertools.pairwise(sizes))
    with torch.no_grad():
        for linear, fan in zip(made, sizes, strict=False):
            linear.weight.normal_(0.0, work.gain / fan**0.5)
    return made


def norse(work: Work, surrogate: str) -> Step:
    import norse.torch as n

    parameters = n.LIFParameters(method="triangle" if surrogate == "triangle" else "super", alpha=torch.tensor(10.0))
    linears, cells = _linears(work), nn.ModuleList()
    for k, size in enumerate(work.hidden):
        if work.recurrent:  # has its input weights inside
            before = (work.inputs, *work.hidden)[k]
            cells.append(n.LIFRecurrent(before, size, p=parameters))
        elif work.current:
            cells.append(n.LIF(p=parameters))
        else:
            box = n.LIFBoxParameters(method=parameters.method, alpha=parameters.alpha)
            cells.append(n.LIFBoxCell(p=box))
    readout = n.LI() if work.classes is not None else None

    def logits(x: Tensor) -> Tensor:
        for k, cell in enumerate(cells):
            x = x if work.recurrent else linears[k](x)
            if isinstance(cell, n.LIFBoxCell):  # a cell for single steps, whatever it is given
                state, out = None, []
                for d in x.unbind(0):
                    z, state = cell(d, state)
                    out.append(z)
                x = torch.stack(out)
            else:
                x, _ = cell(x)
        return x.mean(0) if readout is None else readout(linears[-1](x))[0].mean(0)

    return _trained(nn.ModuleList([linears, cells]), logits, work)


def snntorch(work: Work, surrogate: str) -> Step:
    import snntorch as s
    from snntorch import surrogate as families

    grad = families.triangular() if surrogate == "triangle" else families.fast_sigmoid()
    linears, cells = _linears(work), nn.ModuleList()
    for size in work.hidden:
        options: dict[str, Any] = {"beta": MEM, "spike_grad": grad, "reset_mechanism": "subtract"}
        if work.recurrent:
            cells.append(s.RSynaptic(alpha=SYN, linear_features=size, **options))
        else:
            cells.append(s.Synaptic(alpha=SYN, **options) if work.current else s.Leaky(**options))
    readout = None
    if work.classes is not None:
        options = {"beta": MEM, "reset_mechanism": "none"}
        readout = s.Synaptic(alpha=SYN, **options) if work.current else s.Leaky(**options)

    def through(cell: Any, drive: Tensor, which: int) -> Tensor:
        state: Any = cell.reset_mem()
        state = [part.to(drive.device) for part in (state if isinstance(state, tuple) else (state,))]
        out = []
        for d in drive.unbind(0):
            answer = cell(d, *state)
            state = list(answer) if work.recurrent and cell is not readout else list(answer[1:])
            out.append(answer[which])
        return torch.stack(out)

    def logits(x: Tensor) -> Tensor:
        for k, cell in enumerate(cells):
            x = through(cell, linears[k](x), 0)
        return x.mean(0) if readout is None else through(readout, linears[-1](x), -1).mean(0)

    return _trained(nn.ModuleList([linears, cells]), logits, work)


def spikingjelly(work: Work, surrogate: str) -> Step:
    from spikingjelly.activation_based import functional, layer, neuron
    from spikingjelly.activation_based import surrogate as families

    grad = families.PiecewiseQuadratic(alpha=2.0) if surrogate == "triangle" else families.SuperSpike()
    linears, cells = _linears(work), nn.ModuleList()
    for size in work.hidden:
        parts: list[nn.Module] = [layer.SynapseFilter(tau=5.0, learnable=False)] if work.current else []
        parts.append(
            neuron.LIFNode(tau=10.0, decay_input=False, v_reset=None, detach_reset=True, surrogate_function=grad)
        )
        cell: nn.Module = nn.Sequential(*parts) if len(parts) > 1 else parts[0]
        if work.recurrent:
            cell = layer.LinearRecurrentContainer(cell, size, size, bias=False)
        functional.set_step_mode(cell, "m")
        cells.append(cell)
    readout = nn.Sequential(layer.SynapseFilter(tau=5.0), layer.SynapseFilter(tau=10.0))
    functional.set_step_mode(readout, "m")
    model = nn.ModuleList([linears, cells, readout])

    def logits(x: Tensor) -> Tensor:
        functional.reset_net(model)
        for k, cell in enumerate(cells):
            x = cell(linears[k](x))
        return x.mean(0) if work.classes is None else readout(linears[-1](x)).mean(0)

    return _trained(model, logits, work)


def sinabs(work: Work, surrogate: str) -> Step:
    import sinabs.activation as act
    import sinabs.layers as sl

    grad = act.PeriodicExponential() if surrogate != "triangle" else act.SingleExponential()
    options: dict[str, Any] = {
        "tau_mem": 10.0, "tau_syn": 5.0 if work.current else None, "spike_fn": act.SingleSpike, "norm_input": False,
        "surrogate_grad_fn": grad,
    }  # fmt: skip
    linears, cells = _linears(work), nn.ModuleList()
    for size in work.hidden:
        if work.recurrent:
            cells.append(sl.LIFRecurrent(rec_connect=nn.Linear(size, size, bias=False), **options))
        else:
            cells.append(sl.LIF(**options))
    readout = sl.ExpLeak(tau_mem=10.0, norm_input=False)
    model = nn.ModuleList([linears, cells, readout])

    def logits(x: Tensor) -> Tensor:
        for module in model.modules():  # its reset keeps hold of the last graph
            for name, state in list(module.named_buffers(recurse=False)):
                if name in ("v_mem", "i_syn"):
                    setattr(module, name, torch.zeros_like(state))
        for k, cell in enumerate(cells):
            x = cell(linears[k](x))
        return x.mean(1) if work.classes is None else readout(linears[-1](x)).mean(1)

    return _trained(model, logits, work, time_first=False)


def spyx(work: Work, surrogate: str) -> Step:
    import jax
    import jax.numpy as jnp
    import numpy as np
    import optax
    import spyx.nn as sn
    from flax import nnx
    from spyx import axn

    grad = axn.triangular() if surrogate == "triangle" else axn.superspike()
    rngs = nnx.Rngs(0)

    class Model(nnx.Module):
        def __init__(self) -> None:
            weights = [np.asarray(linear.weight.detach().t()) for linear in _linears(work)]
            self.weights = nnx.List([nnx.Param(jnp.asarray(w)) for w in weights])
            cells = []
            for size in work.hidden:
                if work.recurrent:
                    cells.append(sn.RCuBaLIF((size,), alpha=SYN, beta=MEM, activation=grad, rngs=rngs))
                elif work.current:
                    cells.append(sn.CuBaLIF((size,), alpha=SYN, beta=MEM, activation=grad, rngs=rngs))
                else:
                    cells.append(sn.LIF((size,), beta=MEM, activation=grad, rngs=rngs))
            self.cells = nnx.List(cells)
            self.readout = sn.LI((work.classes or 1,), beta=MEM, rngs=rngs)

        def __call__(self, x: Any) -> Any:
            for w, cell in zip(self.weights, self.cells, strict=False):
                x, _ = sn.run(cell, x @ w[...])
            if work.classes is None:
                return x.mean(0)
            return sn.run(self.readout, x @ self.weights[len(work.hidden)][...])[0].mean(0)

    model = Model()
    x_torch, y_torch = work.data()
    x, y = jnp.asarray(x_torch.transpose(0, 1).contiguous().cpu().numpy()), jnp.asarray(y_torch.cpu().numpy())

    @nnx.jit
    def value_and_grad(model: Any, x: Any, y: Any) -> Any:
        def loss(model: Any) -> Any:
            return optax.softmax_cross_entropy_with_integer_labels(model(x), y).mean()

        return nnx.value_and_grad(loss)(model)

    def step() -> Any:
        found = jax.tree.leaves(value_and_grad(model, x, y))
        return (
            jax.block_until_ready(found) if work.device == "cpu" else found
        )  # on a GPU the caller waits, once for several

    return step


def lstm(work: Work, surrogate: str) -> Step:
    """torch.nn.LSTM of the same size, for scale; it has four times the weights."""
    del surrogate
    torch.manual_seed(0)
    size = work.hidden[-1]
    model = nn.ModuleList([nn.LSTM(work.inputs, size, batch_first=True), nn.Linear(size, work.classes or size)])
    return _trained(model, lambda x: model[1](model[0](x)[0].mean(1)), work, time_first=False)


PEERS: dict[str, Callable[[Work, str], Step]] = {
    "norse": norse, "snntorch": snntorch, "spikingjelly": spikingjelly, "sinabs": sinabs, "spyx": spyx, "torch LSTM": lstm,
}  # fmt: skip
