"""Where a training step of ours spends its time, and what its loops move.

    python benchmarks/kernels/parts.py [--works "W2 128x32,W2 512x256"] [--backend numba] [--events] [--repeats 60]

CPU time of each loop of all layers, medians over steps; what is left is Python, autograd, the loss and memory that is first touched.
Beside it the rows of the weights that the largest layer's loops read (and write, for gradients) and the operations they do with
them, counted from its spikes and from where the surrogate's derivative is not zero.
"""

import argparse
import importlib
import statistics
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from own import SURROGATES, network
from torch.nn import functional as F
from works import WORKS

import snnlightning as snn

NAMES = {
    "not_finite": "looking for what is not finite",
    "count_some": "density of x",
    "events": "looking for events in x",
    "project": "forward, products with w_in",
    "advance": "forward, over time",
    "turn": "turning matrices",
    "pack": "keeping h",
    "unpack": "h again",
    "retreat": "backward, over time",
    "weight_gradient": "gradients of the weights",
    "send_on": "gradient of the spikes",
    "add": "adding up lots",
}


def timed_loops(backend: str, spent: Counter[str]) -> None:
    """Every loop that the backend gives out adds its CPU time under its name."""
    code = importlib.import_module(f"snnlightning.neurons._{backend}.code")
    given, made = code.loop, dict[tuple[str, str], Callable[..., Any]]()

    def loop(name: str, dtype: str) -> Callable[..., Any]:
        function = given(name, dtype)

        def timed(*arguments: Any) -> Any:
            began = time.process_time()
            found = function(*arguments)
            spent[name] += time.process_time() - began
            return found

        return made.setdefault((name, dtype), timed)

    code.loop = loop


def moved(net: snn.SpikingNetwork, x: Any) -> dict[str, tuple[float, float]]:
    """GB of weight rows and GFLOP of the first layer's loops."""
    layer = net.layers[0]
    record = layer.run(x, potentials=True)
    width = layer.out_features
    h = SURROGATES["triangle"].derivative(record.potentials - layer.neuron.v_th)
    dense = snn.events.dense(x)
    arrived, sent, active = (int((u != 0).sum()) for u in (dense, record.output, h))
    rows = arrived + sent * (layer.w_rec is not None)
    per = width / 1e9
    return {
        "advance": (4 * rows * per, rows * per),
        "retreat": (4 * active * per, 2 * active * per),
        "weight_gradient": (8 * rows * per, rows * per),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--works", default="W2 128x32,W2 512x256")
    parser.add_argument("--backend", default="numba", choices=["numba", "cpp"])
    parser.add_argument("--events", action="store_true")
    parser.add_argument("--repeats", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=15.0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    spent: Counter[str] = Counter()
    timed_loops(options.backend, spent)
    for label in options.works.split(","):
        net = network(WORKS[label], "triangle", options.backend)
        x, y = WORKS[label].data()
        lists = snn.Events.from_dense(x)
        known = moved(net, x)
        found: list[Counter[str]] = []
        began = time.perf_counter()
        while len(found) < options.repeats and (len(found) < 3 or time.perf_counter() - began < options.seconds):
            spent.clear()
            start = time.process_time()
            net.zero_grad()
            given = snn.Events.trusted(lists.pointer, lists.index, lists.value, lists.shape) if options.events else x
            F.cross_entropy(net(given).logits, y).backward()
            found.append(Counter({**spent, "step": time.process_time() - start}))
        medians = {name: 1e3 * statistics.median(step[name] for step in found) for name in found[-1]}
        rest = medians.pop("step") - sum(medians.values())
        print(f"\n{label}, {options.backend}{', events' if options.events else ''}: {len(found)} steps")
        print("\n| part | CPU ms | GB of rows | GFLOP | GB/s |\n| --- | --- | --- | --- | --- |")
        for name, ms in sorted(medians.items(), key=lambda pair: -pair[1]):
            gb, gflop = known.get(name, (None, None))
            cells = ["", "", ""] if gb is None else [f"{gb:.3g}", f"{gflop:.3g}", f"{1e3 * gb / ms:.0f}"]
            print(f"| {NAMES.get(name, name)} | {ms:.2f} | {' | '.join(cells)} |")
        print(f"| Python, autograd, loss, new memory | {rest:.2f} | | | |")


if __name__ == "__main__":
    main()
