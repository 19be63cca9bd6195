"""The equations of NIR, stepped by a few lines of NumPy that know nothing of our neurons, give our spikes to the bit."""

from typing import Any

import numpy as np
import pytest
import torch
from helpers import dyadic
from numpy.typing import NDArray

from snnlightning.interop import to_nir
from snnlightning.layers import SpikingLayer, SpikingNetwork
from snnlightning.neurons import IF, LI, LIF, AbstractNeuron, CubaLI, CubaLIF
from snnlightning.readouts import LastStep, SpikeCount

nir = pytest.importorskip("nir", minversion="1.0.6")

Array = NDArray[np.float64]
HALF_MS = 1.0 / float(np.log(2.0))  # exp(-1 ms / tau) = 1/2
STEPS = 12


def euler(graph: Any, x: Array, dt: float, subtract: bool) -> Array:
    """Forward Euler, every variable from the old ones; a neuron fires on the old potential, and resets at the step's end."""
    after = dict(graph.edges)
    at = "input"
    while (weights := after[at]) != "output":
        at = after[weights]
        weight, node = graph.nodes[weights], graph.nodes[at]
        loop = delay = None
        if isinstance(node, nir.NIRGraph):
            node, loop, delay = (node.nodes.get(name) for name in ("lif", "w_rec", "delay"))
        v, i, sent = (np.zeros((len(x), weight.weight.shape[0])) for _ in range(3))
        bias = getattr(weight, "bias", 0.0)
        out = []
        for n in range(x.shape[1]):
            fires = hasattr(node, "v_threshold")
            s = (v > node.v_threshold).astype(float) if fires else np.zeros_like(v)
            out.append(s if fires else v)
            drive = x[:, n] @ weight.weight.T + bias
            if loop is not None:
                drive = drive + (s if delay is None else sent) @ loop.weight.T
            sent = s
            if isinstance(node, nir.I | nir.IF):
                v = v + dt * node.r * drive
            elif isinstance(node, nir.LI | nir.LIF):
                v = v + dt / node.tau * (node.v_leak - v + node.r * drive)
            else:
                dv = dt / node.tau_mem * (node.v_leak - v + node.r * i)
                i = i + dt / node.tau_syn * (-i + node.w_in * drive)
                v = v + dv
            if fires:
                v = v - s * node.v_threshold if subtract else np.where(s > 0, node.v_reset, v)
        x = np.stack(out, axis=1)
    return x


EULER = "euler"


def exact(layer: SpikingLayer, seed: int) -> SpikingLayer:
    layer = layer.double()
    with torch.no_grad():
        layer.w_in.copy_(dyadic(*layer.w_in.shape, seed=seed, low=-4, high=12))
        if layer.w_rec is not None:
            layer.w_rec.copy_(dyadic(*layer.w_rec.shape, seed=seed + 1))
        if layer.bias is not None:
            layer.bias.copy_(dyadic(*layer.bias.shape, seed=seed + 2, low=0, high=3))
    return layer


SPIKING = [
    IF(reset="subtract"),
    IF(reset="zero"),
    *(CubaLIF(tau_mem_ms=HALF_MS, tau_syn_ms=HALF_MS, reset=r, ordering=o)
      for r, o in (("subtract", "seed"), ("zero", "seed"), ("zero", "stork"), ("subtract", "stork"), ("zero", "spytorch"))),
    *(LIF(tau_mem_ms=HALF_MS, reset=r, ordering=o) for r in ("subtract", "zero") for o in ("seed", "stork")),
]  # fmt: skip


@pytest.mark.parametrize("neuron", SPIKING, ids=str)
@pytest.mark.parametrize("recurrent", [False, True], ids=["forward", "recurrent"])
@pytest.mark.parametrize("bias", [False, True], ids=["", "bias"])
def test_the_equations_of_the_graph_give_our_spikes(neuron, recurrent, bias):
    """Two layers, two exponentials of one half: all sums are exact, so equal means equal."""
    layers = [
        exact(SpikingLayer(n_in, 6, neuron=neuron, recurrent=recurrent, bias=bias), seed)
        for n_in, seed in ((3, 1), (6, 20))
    ]
    net = SpikingNetwork(layers, SpikeCount())
    x = (dyadic(4, STEPS, 3, seed=5) > -0.25).double()
    with torch.no_grad():
        records = net(x, potentials=True).records
    graph = to_nir(net, dialect=EULER)
    assert torch.equal(torch.from_numpy(euler(graph, x.numpy(), 1e-3, neuron.reset == "subtract")), records[-1].output)
    assert records[-1].output.any()
    if not bias and getattr(neuron, "ordering", "seed") != "stork":
        assert (records[0].potentials == neuron.v_th).any()  # strictly greater is told from greater


@pytest.mark.parametrize(
    "neuron",
    [
        LI(tau_mem_ms=HALF_MS, ordering="stork"),
        CubaLI(tau_mem_ms=HALF_MS, tau_syn_ms=HALF_MS),
        CubaLI(tau_mem_ms=HALF_MS, tau_syn_ms=HALF_MS, ordering="stork"),
    ],
    ids=str,
)
def test_the_equations_of_a_readout_give_our_potentials(neuron):
    net = SpikingNetwork([exact(SpikingLayer(3, 2, neuron=neuron), 1)], LastStep())
    x = dyadic(4, STEPS, 3, seed=5)
    with torch.no_grad():
        ours = net(x).records[-1].output
    assert torch.allclose(
        torch.from_numpy(euler(to_nir(net, dialect=EULER), x.numpy(), 1e-3, True)), ours, rtol=1e-13, atol=1e-13
    )
    assert ours.any()


@pytest.mark.parametrize(
    "neuron", [LIF(tau_mem_ms=[7.0, 9.0, 20.0]), LIF(ordering="stork"), IF()], ids=["seed", "stork", "IF"]
)
def test_the_exact_solution_between_two_steps_is_our_update(neuron: AbstractNeuron):
    """tau dv/dt = -v + r i with i constant: v(t + dt) = v exp(-dt / tau) + r i (1 - exp(-dt / tau)), in seconds."""
    layer = SpikingLayer(2, 3, neuron=neuron).double()
    node = to_nir(SpikingNetwork([layer], SpikeCount())).nodes["readout"]
    drive, v = np.array([0.3, -0.2, 0.7]), np.array([0.5, 0.1, -0.4])
    if isinstance(node, nir.IF):
        after = v + 0.001 * node.r * drive
    else:
        after = v * np.exp(-0.001 / node.tau) + node.r * drive * (1.0 - np.exp(-0.001 / node.tau))
    decays = {name: torch.as_tensor(value, dtype=torch.float64) for name, value in neuron.coefficients().items()}
    zero = torch.zeros(3, dtype=torch.float64)
    (ours,) = neuron.update((torch.from_numpy(v),), torch.from_numpy(drive), zero, None, decays)
    assert after == pytest.approx(ours.numpy(), rel=1e-14)


def test_a_spikes_effect_has_the_shape_of_the_exact_double_exponential():
    """Events solved exactly give v(n) proportional to b^n - a^n; ours is (b^(n-1) - a^(n-1)) / (b - a): one step later."""
    layer = SpikingLayer(1, 1, neuron=CubaLI(tau_mem_ms=10.0, tau_syn_ms=5.0)).double()
    with torch.no_grad():
        layer.w_in.fill_(1.0)
        x = torch.zeros(1, 40, 1, dtype=torch.float64)
        x[0, 0] = 1.0
        ours = layer(x)[0][0, :, 0].numpy()
    node = to_nir(SpikingNetwork([layer], LastStep())).nodes["readout"]
    t = 0.001 * np.arange(39)
    pulse = node.w_in * 0.001 / node.tau_syn  # a spike of height 1 and length dt
    kernel = (
        node.r
        * pulse
        * node.tau_syn
        / (node.tau_mem - node.tau_syn)
        * (np.exp(-t / node.tau_mem) - np.exp(-t / node.tau_syn))
    )
    ratio = ours[2:] / kernel[1:]
    assert ratio == pytest.approx(ratio[0], rel=1e-12)
    assert ratio[0] == pytest.approx(1.0, abs=0.02)  # the scale differs in the order of dt / tau


def test_an_integrate_and_fire_neuron_read_after_its_update_spikes_one_step_earlier_per_layer():
    """What most readers do: x[n] counts before the threshold is looked at. Without leak that is a shift and nothing else."""
    layers = [exact(SpikingLayer(n_in, 6, neuron=IF(), recurrent=True), seed) for n_in, seed in ((3, 1), (6, 20))]
    net = SpikingNetwork(layers, SpikeCount())
    x = (dyadic(4, STEPS, 3, seed=5) > -0.25).double()
    z = x.numpy()
    graph = to_nir(net)
    for name in net.names:
        node, w_rec = (graph.nodes[name].nodes[key] for key in ("lif", "w_rec"))
        v, s, out = np.zeros((4, 6)), np.zeros((4, 6)), []
        for n in range(STEPS):
            v = v + 0.001 * node.r * (z[:, n] @ graph.nodes[f"{name}_w_in"].weight.T + s @ w_rec.weight.T)
            s = (v > node.v_threshold).astype(float)
            v = v - s * node.v_threshold
            out.append(s)
        z = np.stack(out, axis=1)
    with torch.no_grad():
        ours = net(x).records[-1].output.numpy()
    assert np.array_equal(ours[:, 2:], z[:, :-2])
    assert ours[:, 2:].any()
