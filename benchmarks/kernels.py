"""The Numba backend against the reference and a tuned eager loop: a training step of a recurrent layer and its readout.

    python benchmarks/kernels.py [--repeats 7] [--threads 1] [--shapes 128x32,256x256] [--memory]

Work "W2": 700 -> H recurrent CubaLIF -> 20 CubaLI, T = 100, mean over time, cross-entropy, 1.5 % of the inputs active. A step
is zero gradients, forward, loss, backward. Candidates take turns; medians and spread of wall time, and CPU time of the
process beside it, which other jobs on the machine disturb less. ``--memory`` adds the peak of one step above what was
there before it, in a process of its own each. Spikes and gradients are compared before anything is timed. Nothing is
asserted; compare ratios.
"""

import argparse
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import snnlightning as snn
from snnlightning.initializers import ScaledNormal

STEPS, INPUTS, CLASSES, DENSITY = 100, 700, 20, 0.015
SURROGATES = {"triangle": snn.Triangle(gamma=1.0, slope=2.0), "superspike": snn.SuperSpike()}


def network(hidden: int, surrogate: Any, backend: str) -> snn.SpikingNetwork:
    torch.manual_seed(0)
    layer = snn.SpikingLayer(
        INPUTS, hidden, neuron=snn.CubaLIF(), surrogate=surrogate, recurrent=True, backend=backend,
        initializer=ScaledNormal(0.8), rec_initializer=ScaledNormal(0.3),
    )  # fmt: skip
    readout = snn.SpikingLayer(hidden, CLASSES, neuron=snn.CubaLI(), backend=backend)
    return snn.SpikingNetwork([layer, readout], snn.MeanOverTime())


class Eager(nn.Module):
    """The same network as a plain loop, tuned: one product for all inputs, ``unbind``, as few operations as it takes."""

    def __init__(self, net: snn.SpikingNetwork, surrogate: Any) -> None:
        super().__init__()
        self.w_in, self.w_rec = (nn.Parameter(w.detach().clone()) for w in (net.layers[0].w_in, net.layers[0].w_rec))
        self.w_out = nn.Parameter(net.layers[1].w_in.detach().clone())
        self.surrogate, self.decays = surrogate, snn.CubaLIF().coefficients()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        a, b = self.decays["decay_syn"], self.decays["decay_mem"]
        drive = F.linear(x.transpose(0, 1), self.w_in)
        i = v = drive.new_zeros(drive.shape[1:])
        w_rec_t, spikes = self.w_rec.t(), []
        for d in drive.unbind(0):
            z = self.surrogate(v - 1.0)
            spikes.append(z)
            i, v = torch.addmm(torch.add(d, i, alpha=a), z, w_rec_t), torch.add(i, v, alpha=b) - z.detach()
        output = torch.stack(spikes)
        i = v = drive.new_zeros(x.shape[0], CLASSES)
        total = torch.zeros_like(v)
        for d in F.linear(output, self.w_out).unbind(0):
            total = total + v
            i, v = torch.add(d, i, alpha=a), torch.add(i, v, alpha=b)
        return total / STEPS, output.transpose(0, 1)


def candidates(hidden: int, surrogate: Any) -> dict[str, nn.Module]:
    net = network(hidden, surrogate, "reference")
    return {"tuned eager": Eager(net, surrogate), "reference": net, "numba": network(hidden, surrogate, "numba")}


def batch(size: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = (torch.rand(size, STEPS, INPUTS, generator=generator) < DENSITY).float()
    return x, torch.randint(CLASSES, (size,), generator=generator)


def step(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    model.zero_grad()
    out = model(x)
    logits, spikes = (
        out if isinstance(out, tuple) and not hasattr(out, "logits") else (out.logits, out.records[0].output)
    )
    F.cross_entropy(logits, y).backward()
    return spikes.detach()


def compared(models: dict[str, nn.Module], x: Tensor, y: Tensor) -> str:
    spikes = {name: step(model, x, y) for name, model in models.items()}
    grads = {name: [p.grad.clone() for p in list(model.parameters())[:2]] for name, model in models.items()}
    differ = int((spikes["numba"] != spikes["reference"]).sum())
    worst = max(
        float((a - b).abs().max() / b.abs().max()) for a, b in zip(grads["numba"], grads["reference"], strict=True)
    )
    activity = float(spikes["reference"].mean())
    return (
        f"activity {activity:.1%}, spikes that differ from the reference {differ}, gradients {worst:.1e} of the largest"
    )


def timed(work: Callable[[], object]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return 1e3 * (time.perf_counter() - wall), 1e3 * (time.process_time() - cpu)


def times(hidden: int, size: int, name: str, repeats: int) -> None:
    x, y = batch(size)
    models = candidates(hidden, SURROGATES[name])
    print(f"\nW2 700-{hidden}(rec)-20, batch {size}, {name}: {compared(models, x, y)}")
    found: dict[str, list[tuple[float, float]]] = {key: [] for key in models}
    for _ in range(repeats):
        for key, model in models.items():
            found[key].append(timed(lambda m=model: step(m, x, y)))
    base = [statistics.median(c[k] for c in found["numba"]) for k in (0, 1)]
    for key, values in found.items():
        wall, cpu = (statistics.median(v[k] for v in values) for k in (0, 1))
        spread = f"{min(v[0] for v in values):.1f} - {max(v[0] for v in values):.1f}"
        print(
            f"  {key:12s} {wall:8.1f} ms ({spread})  CPU {cpu:8.1f} ms   {wall / base[0]:5.2f} x  CPU {cpu / base[1]:5.2f} x"
        )


def memory(hidden: int, size: int, name: str, repeats: int) -> None:
    for key in ("tuned eager", "reference", "numba"):
        code = f"import kernels; kernels.peak({hidden}, {size}, {name!r}, {key!r})"
        folder = __file__.rpartition("/")[0] or "."
        done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
        print(f"  {key:12s} peak of a step above what was there: {done.stdout.strip()} MB")


def peak(hidden: int, size: int, name: str, key: str) -> None:
    """Print the peak of one step; a step on two samples has loaded everything before."""
    torch.set_num_threads(1)
    x, y = batch(size)
    model = candidates(hidden, SURROGATES[name])[key]
    step(model, *batch(2))
    with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")  # forget the peak of making the batch
    before = _resident("VmRSS")
    step(model, x, y)
    print(round(_resident("VmHWM") - before))


def _resident(what: str) -> float:
    """MB, as Linux counts them."""
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(what)) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--shapes", default="128x32,256x32,128x256,256x256,512x256")
    parser.add_argument("--memory", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    packages = ("snnlightning", "torch", "numba", "numpy")
    print(
        platform.machine(), platform.python_version(), *(f"{name} {version(name)}" for name in packages if _has(name))
    )
    print(f"{options.threads} thread(s), {options.repeats} rounds")
    for shape in options.shapes.split(","):
        hidden, size = map(int, shape.split("x"))
        for name in SURROGATES:
            times(hidden, size, name, options.repeats)
            if options.memory and name == "triangle":
                memory(hidden, size, name, options.repeats)


def _has(name: str) -> bool:
    try:
        version(name)
    except ModuleNotFoundError:
        return False
    return True


if __name__ == "__main__":
    main()
