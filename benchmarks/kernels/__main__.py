"""One command: training steps of ours, of a tuned loop in PyTorch and of other libraries, in one run.

    pip install 'snnlightning[bench]'
    python benchmarks/kernels --everything FOLDER --page docs/performance.md     # all of the page, 25 minutes; goes on where it ended
    python benchmarks/kernels [--works "W2 128x32,W3"] [--threads 1] [--repeats 5] [--memory] [--json FILE] [--page PAGE]

A step is zero gradients, forward, loss, backward. All candidates live in one process and take turns, in an order drawn anew for each round: two steps, of which the second is timed. Medians of wall time with
the spread, and CPU time of the process beside it, which other jobs on the machine disturb less. ``--memory`` adds the peak of one
step above what was there before, in a process of its own each (Linux). Spikes and gradients of ours are compared with the
reference's before anything is timed. Nothing is asserted; compare ratios. ``--page`` writes table and picture into the page.
"""

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE)]
PACKAGES = ("torch", "numba", "numpy", "norse", "snntorch", "spikingjelly", "sinabs", "spyx", "jax")


SCALING = "T 25,T 400,H 32,H 512,batch 4,batch 256,input 5 %,input 20 %,activity 20 %"
ALL = "W2 128x32,W2 256x32,W2 128x256,W2 256x256,W2 512x256,Wpop,W3,W1 512 dense,W1 512 sparse"
PARTS: dict[str, list[str]] = {
    "two": ["--works", ALL, "--threads", "2"],
    "one": ["--works", ALL],
    "superspike": ["--works", "W2 256x256", "--surrogates", "superspike"],
    "scaling": ["--works", f"W2 128x32,{SCALING}", "--only", "tuned eager;numba;cpp"],
    "superspike, two": ["--works", "W2 256x256", "--surrogates", "superspike", "--threads", "2"],
    "large": [
        "--works",
        "W1 4096 dense,W1 4096 sparse",
        "--only",
        "tuned eager;norse;numba;cpp;numba, events;cpp, events;tuned eager, bf16;numba, bf16",
    ],
    "large, two": [
        "--works",
        "W1 4096 dense,W1 4096 sparse",
        "--only",
        "tuned eager;norse;numba;cpp;numba, events;cpp, events;tuned eager, bf16;numba, bf16",
        "--threads",
        "2",
    ],
    "memory": [
        "--works",
        "W2 128x32,W2 128x256,W2 256x256,W2 512x256",
        "--memory",
        "--only",
        "tuned eager;norse;spyx;numba;cpp;numba, events;cpp, events",
    ],
}
"""What ``--everything`` runs, each in a process of its own."""


def candidates(work: Any, surrogate: str) -> dict[str, Callable[[], Callable[[], Any]]]:
    from own import eager, half, own
    from peers import PEERS

    if work.members > 1:
        from own import population

        def separate(build: Callable[[Any, str], Callable[[], Any]]) -> Callable[[], Callable[[], Any]]:
            steps = [build(work, surrogate) for _ in range(work.members)]

            def all_of_them() -> Any:
                return [step() for step in steps][-1]

            return all_of_them

        each = {name: lambda name=name: separate(lambda w, s: own(w, s, name)) for name in ("numba", "cpp")}
        return {
            "tuned eager": lambda: separate(eager),
            **{f"{name}, separate": build for name, build in each.items()},
            **{name: lambda name=name: population(work, surrogate, name) for name in ("numba", "cpp")},
        }
    found: dict[str, Callable[[], Callable[[], Any]]] = {"tuned eager": lambda: eager(work, surrogate)}
    found |= {name: lambda build=build: build(work, surrogate) for name, build in PEERS.items()}
    found |= {name: lambda name=name: own(work, surrogate, name) for name in ("numba", "cpp")}
    if work.density is not None:
        found |= {
            f"{name}, events": lambda name=name: own(work, surrogate, name, events=True) for name in ("numba", "cpp")
        }
    else:
        found |= {"tuned eager, bf16": lambda: half(eager(work, surrogate))}
        found |= {f"{name}, bf16": lambda name=name: half(own(work, surrogate, name)) for name in ("numba", "cpp")}
    return found


def built(work: Any, surrogate: str, names: list[str] | None) -> dict[str, Callable[[], Any]]:
    steps = {}
    for name, build in candidates(work, surrogate).items():
        if names and name not in names:
            continue
        try:
            step = build()
            step()
            steps[name] = step
        except Exception as error:  # a peer that is not there, or does not run here, is left out and said
            print(
                f"  {name} is left out: {type(error).__name__}: {str(error).splitlines()[0][:120] if str(error) else ''}"
            )
    return steps


def compared(work: Any, surrogate: str, steps: dict[str, Callable[[], Any]]) -> str:
    from own import own

    spikes, grads = own(work, surrogate, "reference")()
    words = [f"activity {float(spikes.mean()):.1%}"]
    for name, step in steps.items():
        if name.split(",")[0] in ("numba", "cpp"):
            mine, found = step()
            worst = max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(found, grads, strict=True))
            words.append(f"{name}: {int((mine != spikes).sum())} spikes differ, gradients {worst:.0e}")
    return "; ".join(words)


def timed(step: Callable[[], Any]) -> tuple[float, float]:
    """Of the second of two steps: in training a step follows one of the same network, and not one of another library."""
    step()
    wall, cpu = time.perf_counter(), time.process_time()
    step()
    return 1e3 * (time.perf_counter() - wall), 1e3 * (time.process_time() - cpu)


def run(label: str, surrogate: str, options: argparse.Namespace) -> dict[str, Any]:
    from works import WORKS

    work = WORKS[label]
    print(f"\n{label}, {surrogate}", flush=True)
    steps = built(work, surrogate, options.only.split(";") if options.only else None)
    condition = compared(work, surrogate, steps)
    print(f"  {condition}", flush=True)
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in steps}
    began = time.perf_counter()
    for k in range(options.repeats):
        if k >= 3 and time.perf_counter() - began > options.seconds:
            break
        # In another order each time: a step right behind one that took a gigabyte pays for it.
        for name in random.Random(k).sample(list(steps), len(steps)):
            found[name].append(timed(steps[name]))
    rows = {}
    for name, values in found.items():
        walls, cpus = ([v[k] for v in values] for k in (0, 1))
        rows[name] = {
            "wall_ms": statistics.median(walls),
            "least_ms": min(walls),
            "most_ms": max(walls),
            "cpu_ms": statistics.median(cpus),
        }
        if options.memory:
            rows[name]["peak_mb"] = peak(label, surrogate, name)
        row = rows[name]
        memory = f"  peak {row['peak_mb']} MB" if options.memory else ""
        print(
            f"  {name:16s} {row['wall_ms']:8.1f} ms ({row['least_ms']:.1f} - {row['most_ms']:.1f})  CPU {row['cpu_ms']:8.1f} ms{memory}",
            flush=True,
        )
    rounds = max((len(values) for values in found.values()), default=0)
    return {
        "work": label, "surrogate": surrogate, "threads": options.threads, "rounds": rounds,
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None, "condition": condition, "rows": rows,
    }  # fmt: skip


def peak(label: str, surrogate: str, name: str) -> int | None:
    """MB of one step above what was there, measured in a process of its own."""
    code = f"import runpy, sys; sys.argv = ['x']; m = runpy.run_path({str(HERE / '__main__.py')!r}); m['print_peak']({label!r}, {surrogate!r}, {name!r})"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    last = done.stdout.strip().splitlines()[-1:] or [""]
    return int(last[0]) if last[0].isdigit() else None


def print_peak(label: str, surrogate: str, name: str) -> None:
    import dataclasses

    import torch
    from works import WORKS

    torch.set_num_threads(1)
    small = dataclasses.replace(WORKS[label], batch=2)
    candidates(small, surrogate)[name]()()  # whatever is loaded and compiled once
    step = candidates(WORKS[label], surrogate)[name]()
    if name == "spyx":
        step()  # compiled for its shape
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = _resident("VmRSS")
    step()
    print(round(_resident("VmHWM") - before))


def _resident(what: str) -> float:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what)) / 1024


def conditions() -> str:
    known = []
    for name in PACKAGES:
        try:
            known.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    model = platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), model)
    commit = subprocess.run(
        ["git", "-C", str(HERE), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    at = f"; commit {commit.stdout.strip()}" if commit.returncode == 0 else ""
    return f"{model}, {os.cpu_count()} cores; Python {platform.python_version()}, {', '.join(known)}{at}"


def known_before(file: Path | None, said: str) -> list[dict[str, Any]]:
    """Results of an earlier run on the same machine with the same versions."""
    if file is None or not file.exists():
        return []
    found = json.loads(file.read_text(encoding="utf-8"))
    results: list[dict[str, Any]] = found["results"] if found["conditions"] == said else []
    return results


def everything(folder: Path, page: Path | None, options: argparse.Namespace) -> None:
    """All parts, each in a process of its own with its number of threads; what is there already is kept."""
    folder.mkdir(parents=True, exist_ok=True)
    said, results = "", []
    for name, words in PARTS.items():
        file = folder / f"{name}.json"
        limits = ["--repeats", str(options.repeats), "--seconds", str(options.seconds)]
        subprocess.run([sys.executable, "-W", "ignore", str(HERE), *words, *limits, "--json", str(file)], check=True)
        found = json.loads(file.read_text(encoding="utf-8"))
        said = found["conditions"]
        results += [{**result, "part": name} for result in found["results"]]
        if page:
            from page import write

            write(page, {"conditions": said, "results": results})


def main() -> None:
    from works import WORKS

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--works", default=",".join(WORKS), help="separated by commas")
    parser.add_argument("--surrogates", default="triangle")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", default="", help="candidates, separated by semicolons")
    parser.add_argument(
        "--seconds", type=float, default=10.0, help="for the rounds of one work, of which there are three at least"
    )
    parser.add_argument(
        "--everything", type=Path, metavar="FOLDER", help="all parts of the page; results are kept in the folder"
    )
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--page", type=Path)
    options = parser.parse_args()
    if unknown := [label for label in options.works.split(",") if label not in WORKS]:
        parser.error(f"no work named {unknown[0]!r}; --works takes, separated by commas: {', '.join(WORKS)}.")
    if options.everything:
        everything(options.everything, options.page, options)
        return
    flags = f"--xla_cpu_multi_thread_eigen={'true' if options.threads > 1 else 'false'} intra_op_parallelism_threads={options.threads}"
    os.environ.setdefault("XLA_FLAGS", flags)
    warnings.simplefilter("ignore")
    import torch

    torch.set_num_threads(options.threads)
    said = conditions()
    print(said)
    results = known_before(options.json, said)
    done = {(result["work"], result["surrogate"]) for result in results}
    for label in options.works.split(","):
        for surrogate in options.surrogates.split(","):
            if (label, surrogate) in done:
                continue
            results.append(run(label, surrogate, options))
            if options.json:
                text = json.dumps({"conditions": said, "results": results}, indent=1)
                options.json.write_text(text, encoding="utf-8")
    if options.page:
        from page import write

        write(options.page, {"conditions": said, "results": results})


if __name__ == "__main__":
    main()
