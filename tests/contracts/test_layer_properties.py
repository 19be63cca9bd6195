"""The laws of neurons hold for layers: recurrent, delayed, of maps, and networks of all of them, with every neuron."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from helpers import dyadic, neuron_variants
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from snnlightning.layers import (
    AbstractLayer,
    Concat,
    ConvolutionalLayer,
    DelayedLayer,
    Flatten,
    MaxPool,
    Residual,
    SpikingLayer,
    SpikingNetwork,
    SumPool,
    Unflatten,
)
from snnlightning.neurons import LI, AbstractNeuron
from snnlightning.readouts import LastStep
from snnlightning.typing import State

few = settings(max_examples=3, derandomize=True)
more = settings(max_examples=12, derandomize=True)
NEURONS = [parameter.values[0] for parameter in neuron_variants()]
OPTIONS = {"backend": "reference"}


def dense(neuron: AbstractNeuron, recurrent: bool) -> AbstractLayer:
    return SpikingLayer(4, 5, neuron=neuron, recurrent=recurrent, **OPTIONS)


def axonal(neuron: AbstractNeuron, recurrent: bool) -> AbstractLayer:
    return DelayedLayer(
        4, 5, neuron=neuron, recurrent=recurrent, max_delay_ms=3 * neuron.dt_ms, per="axon", learn_delay=False, **OPTIONS
    )  # fmt: skip


def synaptic(neuron: AbstractNeuron, recurrent: bool) -> AbstractLayer:
    return DelayedLayer(4, 5, neuron=neuron, recurrent=recurrent, max_delay_ms=4 * neuron.dt_ms, **OPTIONS)


def of_maps(neuron: AbstractNeuron, recurrent: bool) -> AbstractLayer:
    return ConvolutionalLayer(1, 3, [2, 2], neuron=neuron, recurrent=recurrent, rec_kernel_size=[1, 3] if recurrent else None, **OPTIONS)  # fmt: skip


SHAPES: dict[Callable[..., AbstractLayer], tuple[int, ...]] = {
    dense: (4,),
    axonal: (4,),
    synaptic: (4,),
    of_maps: (1, 3, 3),
}


class Run(NamedTuple):
    """What came out, with potentials, and every state."""

    outputs: list[Tensor]
    states: list[State]


Machine = Callable[[Tensor, Any], Run]


def exact(module: torch.nn.Module, seed: int) -> None:
    """Weights whose products with spikes sum exactly in any order; large enough for spikes, no bias."""
    with torch.no_grad():
        for k, (name, parameter) in enumerate(module.named_parameters()):
            if name.rpartition(".")[2] in ("w_in", "w_rec"):
                parameter.copy_(dyadic(*parameter.shape, seed=seed + k) * (16.0 if name.endswith("w_in") else 2.0))


def of_layer(layer: AbstractLayer) -> Machine:
    def run(x: Tensor, state: Any) -> Run:
        record = layer.run(x, layer.initial_state(x.shape[0]) if state is None else state[0], potentials=True)
        assert record.potentials is not None
        return Run([record.output, record.potentials], [record.state])

    return run


def of_network(network: SpikingNetwork) -> Machine:
    def run(x: Tensor, states: Any) -> Run:
        out = network(x, network.initial_states(x.shape[0]) if states is None else states, potentials=True)
        return Run([record.output for record in out.records], list(out.states))

    return run


def same(one: Run, other: Run) -> None:
    assert all(torch.equal(a, b) for a, b in zip(one.outputs, other.outputs, strict=True))
    for mine, theirs in zip(one.states, other.states, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True))


# The laws.


def a_run_is_the_run_of_its_parts(run: Machine, x: Tensor, cut: int) -> None:
    first = run(x[:, :cut], None)
    second = run(x[:, cut:], first.states)
    joined = [torch.cat(pair, dim=1) for pair in zip(first.outputs, second.outputs, strict=True)]
    same(run(x, None), Run(joined, second.states))


def samples_may_come_in_any_order(run: Machine, x: Tensor, order: list[int]) -> None:
    straight, shuffled = run(x, None), run(x[order], None)
    same(Run([out[order] for out in straight.outputs], [tuple(s[order] for s in state) for state in straight.states]), shuffled)  # fmt: skip


def silence_before_the_first_input_shifts_everything(run: Machine, x: Tensor, shift: int) -> None:
    later = run(torch.cat([torch.zeros_like(x[:, :1]).repeat_interleave(shift, 1), x], dim=1), None)
    assert not any(out[:, :shift].any() for out in later.outputs)
    same(run(x, None), Run([out[:, shift:] for out in later.outputs], later.states))


def without_drive_nothing_happens(run: Machine, x: Tensor) -> None:
    silent = run(torch.zeros_like(x), None)
    assert not any(out.any() for out in silent.outputs)
    assert not any(variable.any() for state in silent.states for variable in state)


@torch.no_grad()
def all_laws(run: Machine, shape: tuple[int, ...], data: Any, seed: int) -> float:
    """Returns how many spikes there were."""
    batch, steps = data.draw(st.integers(1, 3)), data.draw(st.integers(6, 12))
    x = (dyadic(batch, steps, *shape, seed=seed) > 0.0).double()
    a_run_is_the_run_of_its_parts(run, x, data.draw(st.integers(1, steps - 1)))
    samples_may_come_in_any_order(run, x, data.draw(st.permutations(range(batch))))
    silence_before_the_first_input_shifts_everything(run, x, data.draw(st.integers(1, 4)))
    without_drive_nothing_happens(run, x)
    return float(sum(out.abs().sum() for out in run(x, None).outputs))


@pytest.mark.parametrize("make", SHAPES, ids=lambda make: make.__name__)
@pytest.mark.parametrize("neuron", neuron_variants())
def test_layers_of_every_neuron_keep_the_laws(neuron, make):
    happened = []

    @few
    @given(st.data())
    def check(data: Any) -> None:
        seed = data.draw(st.integers(0, 1000))
        options = {"dt_ms": data.draw(st.sampled_from([0.5, 1.0]))}
        if neuron.spiking:
            options["refractory_ms"] = data.draw(st.sampled_from([0.0, 2.0]))
        torch.manual_seed(seed)
        layer = (
            make(dataclasses.replace(neuron, **options), neuron.spiking and data.draw(st.booleans())).double().eval()
        )
        exact(layer, seed)
        happened.append(all_laws(of_layer(layer), SHAPES[make], data, seed))

    check()
    assert any(happened)


@pytest.mark.filterwarnings("ignore")
def test_networks_of_all_kinds_of_layers_keep_the_laws():
    happened = []

    @more
    @given(st.data())
    def check(data: Any) -> None:
        seed = data.draw(st.integers(0, 1000))
        torch.manual_seed(seed)
        spiking = st.sampled_from([neuron for neuron in NEURONS if neuron.spiking])

        def drawn() -> dict[str, Any]:
            return {"neuron": data.draw(spiking), "recurrent": data.draw(st.booleans()), **OPTIONS}

        pool = data.draw(st.sampled_from([SumPool, MaxPool]))
        skip = data.draw(st.sampled_from([Residual, Concat]))
        network = SpikingNetwork(
            [
                Unflatten([1, 5, 4]),
                ConvolutionalLayer(1, 2, [3, 3], padding="same", **drawn()),
                pool([2, 2]),
                Flatten(),
                DelayedLayer(8, 6, max_delay_ms=3.0, per=data.draw(st.sampled_from(["axon", "synapse"])), **drawn()),
                skip([SpikingLayer(6, 6, **drawn()), DelayedLayer(6, 6, max_delay_ms=2.0, **drawn())]),
                SpikingLayer(6 if skip is Residual else 12, 3, neuron=LI(), **OPTIONS),
            ],
            LastStep(),
        )
        exact(network.double().eval(), seed)
        happened.append(all_laws(of_network(network), (20,), data, seed))

    check()
    assert sum(count > 0.0 for count in happened) > 6
