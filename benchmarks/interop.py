"""NIR between frameworks: which ones read our graphs, whose graphs we read, and whether the spikes are the same.

    python benchmarks/interop.py [--page docs/interop.md --block peers]

Networks with random weights and a few per cent of activity are exported in the dialect of each reader, imported there and
run on the same input. Where the spikes differ, the cause is shown, not guessed: the exported numbers are stepped by a few
lines of NumPy in the order in which the reader steps, and those spikes are compared with the reader's. Readers that are not
installed are said to be so; failures are printed with their reason. Nothing is asserted.
"""

import argparse
import contextlib
import dataclasses
import io
import logging
import platform
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import nir
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

import snnlightning as snn
from snnlightning.interop import DIALECTS, from_nir, to_nir
from snnlightning.layers import ConvolutionalLayer, Flatten, SumPool

Array = NDArray[np.float64]
STEPS, BATCH, INPUTS, HIDDEN, OUTPUTS, DT_MS = 100, 16, 40, 64, 10, 1.0


@dataclasses.dataclass(frozen=True)
class Order:
    """How a reader orders one step; ours is the default.

    Args:
        fires_after: whether the threshold is looked at after the update with this step's input (ours: before).
        reset: to zero or by subtraction.
        reset_at_once: whether a reset acts before the potential decays and takes in the input (ours: after both).
        new_current: whether the potential takes the current that already holds this step's input (ours: the old one).
        many: whether a neuron sends floor(v / v_th) spikes in a step.
        channels_last: whether maps are flattened with their channels as the last axis (ours: as the first).
    """

    fires_after: bool = False
    reset: str = "subtract"
    reset_at_once: bool = False
    new_current: bool = False
    many: bool = False
    channels_last: bool = False

    def words(self, reset: str, cuba: bool) -> str:
        parts = []
        if self.fires_after:
            parts.append("fires after the update")
        if self.reset_at_once:
            parts.append("resets before the decay")
        if self.new_current and cuba:
            parts.append("potential takes the new current")
        if self.reset != reset:
            parts.append(f"resets {'to zero' if self.reset == 'zero' else 'by subtraction'}")
        if self.many:
            parts.append("several spikes in a step")
        if self.channels_last:
            parts.append("flattens maps channels last")
        return ", ".join(parts) or "the order is ours"


def layers_of(graph: Any) -> list[tuple[list[Any], Any, Any]]:
    """(weights and pooling on the way in, neuron node, loop weights or None) along the edges of a graph of ours."""
    after = dict(graph.edges)
    found: list[tuple[list[Any], Any, Any]] = []
    at, way = "input", []
    while (at := after[at]) != "output":
        node = graph.nodes[at]
        inside = isinstance(node, nir.NIRGraph)
        neurons = node.nodes["lif"] if inside else node
        if isinstance(neurons, nir.LIF | nir.CubaLIF):
            found.append((way, neurons, node.nodes["w_rec"] if inside else None))
            way = []
        else:
            way.append(node)
    return found


def arriving(way: list[Any], x: Array, channels_last: bool) -> Array:
    """What comes out of weights and pooling, of one step [B, *N]."""
    y = torch.from_numpy(x)
    for node in way:
        match node:
            case nir.Conv2d():
                weight = torch.from_numpy(node.weight.astype(float))
                bias = torch.from_numpy(np.asarray(node.bias, dtype=float))
                y = F.conv2d(y, weight, bias, node.stride, node.padding, node.dilation, node.groups)
            case nir.SumPool2d():
                kernel, stride, padding = (tuple(map(int, n)) for n in (node.kernel_size, node.stride, node.padding))
                y = F.avg_pool2d(y, kernel, stride, padding) * float(np.prod(kernel))
            case nir.Flatten():
                y = (y.movedim(1, -1) if channels_last else y).flatten(1)
            case _:
                y = y @ torch.from_numpy(node.weight.T.astype(float)) + torch.from_numpy(node_bias(node))
    return y.numpy()


def stepped(graph: Any, x: Array, dialect: str, order: Order) -> Array:
    """Spikes [B, T, N] of the last layer: the graph's numbers, a reader's decays and gains, a reader's order."""
    record = DIALECTS[dialect]
    step = record.step(DT_MS)

    def decay(tau: Array) -> Array:
        return np.exp(-step / tau) if record.integration == "exact" else 1.0 - step / tau

    def gain(reader: str, r: Array, lost: Array) -> Array:
        return {"r": r * lost, "one": np.ones_like(lost), "leak": lost}[reader]

    for way, node, loop in layers_of(graph):
        cuba = isinstance(node, nir.CubaLIF)
        b = decay(node.tau_mem if cuba else node.tau)
        g = gain(record.cuba_gain if cuba else record.lif_gain, node.r, 1.0 - b)
        a = decay(node.tau_syn) if cuba else np.zeros_like(b)
        g_syn = gain(record.cuba_gain, node.w_in, 1.0 - a) if cuba else np.ones_like(b)
        v, i, z = (np.zeros((len(x), *b.shape)) for _ in range(3))
        out = []

        def fire(v: Array, th: Array = node.v_threshold) -> Array:
            return np.trunc(np.maximum(v, 0.0) / th) if order.many else (v > th).astype(float)

        def reset(v: Array, z: Array, th: Array = node.v_threshold) -> Array:
            return v - z * th if order.reset == "subtract" else v * (1.0 - z)

        for n in range(x.shape[1]):
            if not order.fires_after:
                z = fire(v)
                v = reset(v, z) if order.reset_at_once else v
            drive = arriving(way, x[:, n], order.channels_last)
            drive = drive if loop is None else drive + z @ loop.weight.T.astype(float)
            old, i = i, a * i + g_syn * drive
            v_next = b * v + g * (i if order.new_current or not cuba else old)
            v = v_next if order.reset_at_once else reset(v_next, z)
            if order.fires_after:
                z = fire(v)
                v = reset(v, z) if order.reset_at_once else v
            out.append(z)
        x = np.stack(out, axis=1)
    return x


def node_bias(node: Any) -> Array:
    return node.bias.astype(float) if isinstance(node, nir.Affine) else np.zeros(node.weight.shape[0])


# Readers: graph and input [B, T, N] to spikes [B, T, N].


def over_time(module: Any, x: torch.Tensor) -> Array:
    out, state = [], None
    for x_n in x.unbind(1):
        result = module(x_n) if state is None else module(x_n, state)
        z, state = result if isinstance(result, tuple) else (result, None)
        out.append(z.detach())
    return torch.stack(out, 1).double().numpy()


def read_norse(graph: Any, x: torch.Tensor) -> Array:
    import norse.torch as norse

    return over_time(norse.from_nir(graph, dt=DT_MS / 1000.0), x)


def read_sinabs(graph: Any, x: torch.Tensor) -> Array:
    from sinabs.nir import from_nir as import_graph

    result = import_graph(graph, batch_size=len(x))(x.flatten(0, 1))
    z = result[0] if isinstance(result, tuple) else result
    return z.detach().unflatten(0, x.shape[:2]).double().numpy()


def read_snntorch(graph: Any, x: torch.Tensor) -> Array:
    from snntorch.import_nir import import_from_nir

    return over_time(import_from_nir(graph), x)


def read_snntorch_as_trained(graph: Any, x: torch.Tensor) -> Array:
    """With the importer's choice of reset taken back to snnTorch's default."""
    from snntorch.import_nir import import_from_nir

    net = import_from_nir(graph)
    for module in net.modules():
        if hasattr(module, "reset_delay"):
            module.reset_delay, module.reset_mechanism = True, "subtract"
            module.state_function = module._base_sub  # chosen in __init__ and not by the setter
    return over_time(net, x)


def read_spyx(graph: Any, x: torch.Tensor) -> Array:
    import jax.numpy as jnp
    from spyx.nir import from_nir as import_graph

    _, z = import_graph(graph, jnp.asarray(x.transpose(0, 1).numpy()), dt=DT_MS / 1000.0)
    return np.asarray(z, dtype=float).swapaxes(0, 1)


def one_by_one(read: Callable[[Any, torch.Tensor], Array]) -> Callable[[Any, torch.Tensor], Array]:
    """For readers that take a graph's axes for those of a batch when they flatten it: samples without a batch axis."""
    return lambda graph, x: np.stack([read(graph, sample.movedim(0, 1)).swapaxes(0, 1) for sample in x])


def read_spyx_maps(graph: Any, x: torch.Tensor) -> Array:
    """Its maps are [H, W, C]."""
    return read_spyx(graph, x.movedim(2, -1))


MAP_READERS = {
    "snntorch": one_by_one(read_snntorch),
    "snntorch, its default reset": one_by_one(read_snntorch_as_trained),
    "norse": one_by_one(read_norse),
    "spyx": read_spyx_maps,
}
"""How they have to be called for networks of maps."""

READERS: dict[str, tuple[Callable[[Any, torch.Tensor], Array], Callable[[bool], Order]]] = {
    "snntorch": (read_snntorch, lambda cuba: Order(True, "zero", True, True)),
    "snntorch, its default reset": (read_snntorch_as_trained, lambda cuba: Order(True, new_current=cuba)),
    "norse": (read_norse, lambda cuba: Order(True, "zero", True, True)),
    "sinabs": (read_sinabs, lambda cuba: Order(True, "subtract", True, many=True)),
    "spyx": (read_spyx, lambda cuba: Order(reset_at_once=cuba, new_current=cuba)),
}


def network(neuron: Any, recurrent: bool, gain: float) -> snn.SpikingNetwork:
    """INPUTS - HIDDEN - OUTPUTS, all spiking. Weights are off any grid, so that no potential sits on a threshold."""
    generator = torch.Generator().manual_seed(7)
    layers = [
        snn.SpikingLayer(INPUTS, HIDDEN, neuron=neuron, recurrent=recurrent),
        snn.SpikingLayer(HIDDEN, OUTPUTS, neuron=neuron),
    ]
    with torch.no_grad():
        for layer in layers:
            for weight, scale in ((layer.w_in, gain), (layer.w_rec, 0.5 * gain)):
                if weight is not None:
                    weight.copy_(scale * torch.randn(weight.shape, generator=generator) / weight.shape[1] ** 0.5)
    return snn.SpikingNetwork(layers, snn.SpikeCount())


MAPS = "LIF, convolution and pooling, subtract"
MAP = (1, 8, 8)


def maps(neuron: Any, gain: float) -> snn.SpikingNetwork:
    """8 x 8 - convolution to 4 maps - sums of 2 x 2 - OUTPUTS, all spiking."""
    generator = torch.Generator().manual_seed(7)
    convolution = ConvolutionalLayer(1, 4, (3, 3), neuron=neuron, padding=1)
    last = snn.SpikingLayer(4 * 4 * 4, OUTPUTS, neuron=neuron)
    with torch.no_grad():
        for weight in (convolution.w_in, last.w_in):
            weight.copy_(gain * torch.randn(weight.shape, generator=generator) / weight[0].numel() ** 0.5)
    return snn.SpikingNetwork([convolution, SumPool((2, 2)), Flatten(), last], snn.SpikeCount())


NETWORKS = {
    "LIF, feed-forward, subtract": (snn.LIF(dt_ms=DT_MS), False, 2.0),
    "LIF, feed-forward, zero": (snn.LIF(dt_ms=DT_MS, reset="zero"), False, 2.0),
    "LIF, recurrent, subtract": (snn.LIF(dt_ms=DT_MS), True, 1.8),
    "CubaLIF, feed-forward, subtract": (snn.CubaLIF(dt_ms=DT_MS), False, 0.5),
    "CubaLIF, recurrent, zero": (snn.CubaLIF(dt_ms=DT_MS, reset="zero"), True, 0.5),
    MAPS: (snn.LIF(dt_ms=DT_MS), False, 2.5),
}


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.disable(logging.ERROR)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)


def installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def in_short(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:117] + '...' if len(text) > 120 else text}".replace("|", "/")


def compared(ours: Array, theirs: Array, shift: int) -> tuple[float, str]:
    """How often one fires otherwise than the other, relative to our spikes, and both counts, where the two overlap."""
    a, b = ours[:, shift:], theirs[:, : theirs.shape[1] - shift]
    return float((a != b).sum() / max(a.sum(), 1.0)), f"{a.sum():.0f} / {b.sum():.0f}"


def exports() -> Iterator[str]:
    """Rows: our graphs in their readers."""
    for name, (neuron, recurrent, gain) in NETWORKS.items():
        shape = MAP if name == MAPS else (INPUTS,)
        x = (torch.rand(BATCH, STEPS, *shape, generator=torch.Generator().manual_seed(1)) < 0.05).float()
        net = maps(neuron, gain) if name == MAPS else network(neuron, recurrent, gain)
        sized: dict[str, Any] = {"input_shape": MAP} if name == MAPS else {}
        with torch.no_grad():
            records = net(x).records
        ours = records[-1].output.double().numpy()
        active = float(np.mean([record.output.mean().item() for record in records if record.neurons]))
        cuba = isinstance(neuron, snn.CubaLIF)
        back = from_nir(to_nir(net, **sized))
        with torch.no_grad():
            same = torch.equal(back(x).records[-1].output, records[-1].output)
        yield f"| {name} ({active:.1%} active) | snnlightning {snn.__version__} | {'yes' if same else 'NO'} | 0 | 0.0 % | {ours.sum():.0f} / {ours.sum():.0f} | | the way there and back |"
        for reader, (usual, order_of) in READERS.items():
            read = MAP_READERS.get(reader, usual) if name == MAPS else usual
            package = reader.split(",", maxsplit=1)[0]
            order, number = order_of(cuba), installed(package)
            if name == MAPS:
                order = dataclasses.replace(order, channels_last=reader == "spyx")
            if package != reader and neuron.reset != "subtract":
                continue
            if number is None:
                yield f"| {name} | {reader} | | | | | | not installed |"
                continue
            label = reader.replace(package, f"{package} {number}")
            graph = to_nir(net, dialect=package, **sized)
            try:
                with quiet():
                    theirs = read(graph, x)
            except Exception as error:
                yield f"| {name} | {label} | no | | | | | {in_short(error)} |"
                continue
            shift = len(layers_of(graph)) * (order.fires_after + (order.new_current and cuba))
            far, counts = compared(ours, theirs, shift)
            model = stepped(graph, x.double().numpy(), package, order)
            explained, _ = compared(model, theirs, 0)
            words = order.words(neuron.reset, cuba)
            if cuba and recurrent and order.new_current:
                words += ", so the loop is one step shorter"
            if reader == "sinabs" and recurrent:
                words = f"the whole sequence runs through one node after the other, so the loop is lost; {words}"
            yield (
                f"| {name} | {label} | {'yes' if far == 0.0 else 'no'} | {shift} | {far:.1%} | "
                f"{counts} | {'yes' if explained == 0.0 else f'no ({explained:.1%})'} | {words} |"
            )


# Writers: a small network of each framework, its graph, and its spikes on x.


def write_snntorch(x: torch.Tensor) -> tuple[Any, Array]:
    import snntorch
    from snntorch.export_nir import export_to_nir

    net = torch.nn.Sequential(
        torch.nn.Linear(INPUTS, HIDDEN),
        snntorch.RLeaky(beta=0.9, all_to_all=True, linear_features=HIDDEN, init_hidden=True),
        torch.nn.Linear(HIDDEN, OUTPUTS, bias=False),  # a bias acts from step 0 on, also where spikes come a step later
        snntorch.Leaky(beta=0.9 * torch.ones(OUTPUTS), threshold=torch.ones(OUTPUTS), init_hidden=True),
    )
    net[0].weight.data.mul_(2.0)
    spikes = over_time(net, x)
    return export_to_nir(net, x[:, 0], ignore_dims=[0]), spikes


def write_norse(x: torch.Tensor) -> tuple[Any, Array]:
    import norse.torch as norse

    parameters = norse.LIFBoxParameters(tau_mem_inv=100.0 * torch.ones(HIDDEN), v_th=torch.full((HIDDEN,), 0.05))
    parameters = parameters._replace(v_leak=torch.zeros(HIDDEN), v_reset=torch.zeros(HIDDEN))
    net = norse.SequentialState(torch.nn.Linear(INPUTS, HIDDEN), norse.LIFBoxCell(parameters))
    return norse.to_nir(net, x[:1, 0]), over_time(net, x)


def write_sinabs(x: torch.Tensor) -> tuple[Any, Array]:
    import sinabs.layers as sl
    from sinabs.nir import to_nir as export

    tau = torch.full((HIDDEN,), 10.0)
    neurons = sl.LIFSqueeze(tau_mem=tau, batch_size=len(x), norm_input=False, spike_threshold=torch.ones(HIDDEN))
    net = torch.nn.Sequential(torch.nn.Linear(INPUTS, HIDDEN), neurons)
    z = net(x.flatten(0, 1)).detach().unflatten(0, x.shape[:2]).double().numpy()
    return export(net, x[:, 0]), z


def write_spyx(x: torch.Tensor) -> tuple[Any, Array]:
    import jax.numpy as jnp
    from flax import nnx
    from spyx import nn
    from spyx.nir import to_nir as export

    rngs = nnx.Rngs(0)
    net = nn.Sequential(
        nnx.Linear(INPUTS, HIDDEN, rngs=rngs),
        nn.RLIF((HIDDEN,), beta=0.9, rngs=rngs),
        nnx.Linear(HIDDEN, OUTPUTS, rngs=rngs),
        nn.LIF((OUTPUTS,), beta=0.9, rngs=rngs),
    )
    for module in net.layers:
        if hasattr(module, "kernel"):
            module.kernel[...] = 2.0 * module.kernel[...]
    z, _ = nn.run(net, jnp.asarray(x.transpose(0, 1).numpy()))
    shapes = {"input": np.array([INPUTS])}, {"output": np.array([OUTPUTS])}
    return export(net, *shapes, dt=DT_MS / 1000.0), np.asarray(z, dtype=float).swapaxes(0, 1)


# snnTorch's default resets by subtraction with the next update; its graphs do not say so. Norse 1.1.0 writes dt tau for tau.
NORSE = dataclasses.replace(DIALECTS["norse"], name="norse, tau times dt", step_s=(DT_MS / 1000.0) ** 2)
WRITERS: dict[str, tuple[Callable[[torch.Tensor], tuple[Any, Array]], dict[str, Any], Order]] = {
    "snntorch": (write_snntorch, {"dialect": "snntorch", "reset": "subtract"}, Order(True)),
    "norse": (write_norse, {"dialect": NORSE}, Order(True, "zero", True)),
    "sinabs": (write_sinabs, {"dialect": "sinabs"}, Order(True, "subtract", True, many=True)),
    "spyx": (write_spyx, {"dialect": "spyx"}, Order()),
}


def imports() -> Iterator[str]:
    """Rows: graphs of other frameworks in ours."""
    x = (torch.rand(BATCH, STEPS, INPUTS, generator=torch.Generator().manual_seed(2)) < 0.1).float()
    for writer, (write, options, order) in WRITERS.items():
        number = installed(writer)
        if number is None:
            yield f"| {writer} | | | | | | not installed |"
            continue
        torch.manual_seed(0)
        try:
            with quiet():
                graph, theirs = write(x)
        except Exception as error:
            yield f"| {writer} {number} | writes nothing | | | | | {in_short(error)} |"
            continue
        try:
            net = from_nir(graph, dt_ms=DT_MS, **options)
            with torch.no_grad():
                ours = net(x).records[-1].output.double().numpy()
        except Exception as error:
            yield f"| {writer} {number} | refused | | | | | {in_short(error)} |"
            continue
        kinds = ", ".join(
            type(layer.neuron).__name__ + (" (recurrent)" if layer.recurrent else "") for layer in net.layers
        )
        shift = len(net.layers) * order.fires_after
        far, counts = compared(ours, theirs, shift)
        yield (
            f"| {writer} {number} | {kinds} | {'yes' if far == 0.0 else 'no'} | {shift} | {far:.1%} | "
            f"{counts} | {order.words(net.layers[0].neuron.reset, False)} |"
        )


def tables() -> str:
    names = ("nir", "nirtorch", "torch", "jax", "numpy")
    versions = ", ".join(f"{name} {number}" for name in names if (number := installed(name)))
    lines = [
        f"Python {platform.python_version()}, {versions}; {INPUTS}-{HIDDEN}-{OUTPUTS}, maps {' x '.join(map(str, MAP))} - 4 maps - sums of 2 x 2 - {OUTPUTS}, T = {STEPS}, batch {BATCH}, float32.",
        "",
        "| network | reader | same spikes | shift | differ | spikes ours / theirs | NumPy in its order = reader | its order, where it is not ours |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        *exports(),
        "",
        "| writer | read as | same spikes | shift | differ | spikes ours / theirs | its order, where it is not ours |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *imports(),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--page", type=Path, help="page whose block is replaced")
    parser.add_argument("--block", default="peers", help="the block <!-- NAME --> ... <!-- end -->")
    options = parser.parse_args()
    torch.set_num_threads(1)
    text = tables()
    print(text)
    if options.page is not None:
        page = options.page.read_text(encoding="utf-8")
        before, mark, rest = page.partition(f"<!-- {options.block} -->\n")
        _, end, after = rest.partition("<!-- end -->")
        if not end:
            parser.error(f"{options.page} has no block <!-- {options.block} --> ... <!-- end -->")
        options.page.write_text(before + mark + text + end + after, encoding="utf-8")


if __name__ == "__main__":
    main()
