"""Closed form against SANA-FE: the same networks, placed alike and with the same spikes, by the same prices for Loihi 1.

    python benchmarks/sanafe.py [--python PATH]

SANA-FE (PyPI ``sanafe``, GPL) simulates every message on the mesh; our estimate multiplies counts. They must agree on the
energy, term by term, to 1e-6, and on the latency of the worked example to 1 %; exit status 1 when they do not. PATH is a Python
that has it (default: this one). It runs there as a process of its own, from a script on its standard input, and is never
imported here. Spikes are prescribed: weights are zero, and a neuron is pushed over its threshold in the steps where it is to fire.
"""

import argparse
import dataclasses
import json
import platform
import subprocess
import sys

from snnlightning import __version__
from snnlightning.hardware import Counts, Estimate, Network, estimate

ENERGY_TOLERANCE, LATENCY_TOLERANCE = 1e-6, 0.01
PROFILE = "boyle2025_loihi"
TERMS = {
    "synapse": ("synop_pj", "synop_sparse_pj", "synop_conv_pj"),
    "soma": ("neuron_access_pj", "neuron_update_pj", "spike_pj"),
    "network": ("message_pj", "hop_ew_pj", "hop_ns_pj"),
}
"""What SANA-FE adds up under one name, and our terms for it."""

SIMULATION = r"""
import importlib.metadata, json, sanafe

case = json.loads(CASE)
arch = sanafe.load_loihi()
net = sanafe.Network()
groups = {}
for name, size in case["sizes"].items():
    if name == "input":
        groups[name] = net.create_neuron_group(name, size)
    else:
        # Without leak memory the potential is the bias, which is set step by step below.
        quiet = {"threshold": 1.0, "leak_decay": 0.0, "reset": 0.0, "force_update": True, "bias": 0.0}
        groups[name] = net.create_neuron_group(
            name, size, quiet, soma_hw_name="loihi_lif", default_synapse_hw_name="loihi_dense_synapse"
        )
placed = {name: 0 for name in groups}
for name, neurons, tile, core in case["cores"]:
    there = arch.tiles[tile].cores[core]
    for k in range(placed[name], placed[name] + neurons):
        neuron = groups[name].neurons[k]
        if name == "input":
            train = [False] * case["steps"]
            for step in case["spikes"][name].get(str(k), []):
                train[step] = True
            neuron.set_attributes(soma_hw_name=f"loihi_inputs[{k - placed[name]}]", model_attributes={"spikes": train})
        neuron.map_to_core(there)
    placed[name] += neurons
for source, target in case["connections"]:
    groups[source].connect_neurons_dense(
        groups[target], {"weight": [0.0] * (case["sizes"][source] * case["sizes"][target])}
    )
chip = sanafe.SpikingChip(arch)
chip.load(net)
firing = [[] for _ in range(case["steps"])]
for name, trains in case["spikes"].items():
    if name != "input":
        for k, steps in trains.items():
            for step in steps:
                firing[step].append((name, int(k)))
found = {"energy": {}, "sim_time": 0.0, "spikes": 0, "packets_sent": 0, "neurons_updated": 0, "neurons_fired": 0}
mapped = chip.mapped_neuron_groups
for step in range(case["steps"]):
    for name, k in firing[step]:
        mapped[name][k].set_attributes(model_attributes={"bias": 2.0})
    result = chip.sim(1)
    for name, k in firing[step]:
        mapped[name][k].set_attributes(model_attributes={"bias": 0.0})
    for key in found:
        if key == "energy":
            for part, joule in result["energy"].items():
                found["energy"][part] = found["energy"].get(part, 0.0) + joule
        else:
            found[key] += result[key]
print("RESULT " + json.dumps({**found, "version": importlib.metadata.version("sanafe")}))
"""


@dataclasses.dataclass(frozen=True)
class Case:
    """A dense recurrent network with so many events; the latency is asked for where one tile holds it."""

    name: str
    sizes: tuple[int, int, int]
    steps: int
    input_events: int
    hidden_spikes: int

    @property
    def network(self) -> Network:
        return Network.chain(self.sizes[0], self.sizes[1:])

    @property
    def counts(self) -> Counts:
        _, hidden, out = self.sizes
        synops = {
            "hidden_0.w_in": float(self.input_events * hidden),
            "hidden_0.w_rec": float(self.hidden_spikes * hidden),
            "readout.w_in": float(self.hidden_spikes * out),
        }
        spikes = {"hidden_0": float(self.hidden_spikes)}
        updates = float(self.network.neurons * self.steps)
        return Counts(self.steps, synops, updates, spikes, 0.0, float(self.input_events), None, self.network)


CASES = (
    Case("worked example, 700-256(rec)-20", (700, 256, 20), 100, 1050, 2048),
    Case("three tiles, 700-512(rec)-20", (700, 512, 20), 50, 700, 2560),
)


def even(events: int, neurons: int, steps: int) -> dict[str, list[int]]:
    """Steps in which each neuron fires: even over steps, and over the neurons in an order that jumps between cores."""
    stride = next(
        k
        for k in range(max(1, int(0.618 * neurons)), 2 * neurons)
        if all(k % p or neurons % p for p in primes(neurons))
    )
    trains: dict[str, list[int]] = {}
    for k in range(events):
        trains.setdefault(str(k * stride % neurons), []).append(k * steps // events)
    return trains


def primes(number: int) -> list[int]:
    return [p for p in range(2, number + 1) if number % p == 0 and all(p % q for q in range(2, p))]


def simulated(case: Case, result: Estimate, python: str) -> dict:
    """What SANA-FE makes of it, in a process of its own."""
    assert result.placement is not None
    seen: dict[tuple[int, int], int] = {}
    cores = []
    for core in result.placement.cores:
        slot = seen[core.x, core.y] = seen.get((core.x, core.y), -1) + 1
        cores.append([core.layer, core.neurons, core.x * 4 + core.y, slot])  # its mesh is 8 x 4, column by column
    names = ("input", "hidden_0", "readout")
    content = {
        "sizes": dict(zip(names, case.sizes, strict=True)),
        "steps": case.steps,
        "cores": cores,
        "connections": [(matrix.source, matrix.target) for matrix in case.network.synapses],
        "spikes": {
            "input": even(case.input_events, case.sizes[0], case.steps),
            "hidden_0": even(case.hidden_spikes, case.sizes[1], case.steps),
        },
    }
    script = f"CASE = {json.dumps(content)!r}\n{SIMULATION}"
    done = subprocess.run([python, "-"], input=script, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if done.returncode or not lines:
        print(done.stderr.strip() or "no result", file=sys.stderr)
        print(
            f"{python} did not run SANA-FE; pip install sanafe there, or --python PATH of one that has it.",
            file=sys.stderr,
        )
        raise SystemExit(2)
    return json.loads(lines[0].removeprefix("RESULT "))


def compare(case: Case, python: str) -> bool:
    """Print both, and whether they agree."""
    result = estimate(case.counts, PROFILE)
    assert result.placement is not None
    theirs = simulated(case, result, python)
    ours = {
        part: sum(term.energy_uj.nominal for term in result.terms if term.name in names)
        for part, names in TERMS.items()
    }
    ours["total"] = result.nominal("dynamic_uj")
    print(f"\n{case.name}, {case.steps} steps: {len(result.placement.cores)} cores, {result.placement.tiles} tiles")
    print(
        f"  SANA-FE {theirs['version']}: {theirs['spikes']:,} operations, {theirs['neurons_fired']:,} fired, {theirs['packets_sent']:,} messages"
    )
    good = True
    for part, energy in ours.items():
        reference = theirs["energy"][part] * 1e6
        gap = energy / reference - 1.0
        good &= abs(gap) <= ENERGY_TOLERANCE
        print(
            f"  {part:10s} {energy:12.6f} uJ   SANA-FE {reference:12.6f} uJ   {gap:+.2e}   {verdict(gap, ENERGY_TOLERANCE)}"
        )
    latency, reference = result.nominal("latency_ms"), theirs["sim_time"] * 1e3
    gap = latency / reference - 1.0
    target = result.placement.tiles == 1
    good &= not target or abs(gap) <= LATENCY_TOLERANCE
    print(
        f"  {'latency':10s} {latency:12.6f} ms   SANA-FE {reference:12.6f} ms   {gap:+.2e}   "
        + (
            verdict(gap, LATENCY_TOLERANCE)
            if target
            else "no target: bursts and waiting on the mesh are not in the closed form"
        )
    )
    return good


def verdict(gap: float, tolerance: float) -> str:
    return "ok" if abs(gap) <= tolerance else f"MISS, {tolerance:g} is the target"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--python", default=sys.executable, help="a Python that has sanafe (default: this one)")
    options = parser.parse_args()
    print(platform.machine(), platform.python_version(), f"snnlightning {__version__}", f"profile {PROFILE}")
    good = [compare(case, options.python) for case in CASES]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
