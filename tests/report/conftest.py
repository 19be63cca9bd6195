"""A small study directory as a finished study leaves it, without training anything."""

import csv
import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

PARAMS = ("model.surrogate", "model.surrogate_width", "depth", "hidden", "recurrent", "tau_rec_ms", "lr", "dt_ms")
REASONS = ("no spikes in the last layer after epoch 2", "loss became NaN in epoch 4", "out of memory")
Write = Callable[..., Path]


def write_study(
    directory: Path,
    *,
    trials: int = 60,
    name: str = "digits-two-objectives",
    surrogate: str = "superspike",
    reason: str = REASONS[0],
    feasible: bool = True,
    third_objective: bool = False,
) -> Path:
    """Write the files of a study; ``name``, ``surrogate`` and ``reason`` let a test put hostile text into them."""
    draw = random.Random(7)
    objectives = [
        {
            "name": "accuracy",
            "direction": "maximize",
            "scale": "linear",
            "reference": 0.5,
            "at_least": 0.5,
            "at_most": None,
        },
        {
            "name": "synops",
            "direction": "minimize",
            "scale": "log",
            "reference": 31622.8,
            "at_least": None,
            "at_most": None,
        },
    ]
    if third_objective:
        objectives.append(
            {
                "name": "energy_nj",
                "direction": "minimize",
                "scale": "log",
                "reference": 900.0,
                "at_least": None,
                "at_most": None,
            }
        )
    names = [str(objective["name"]) for objective in objectives]
    rows = [_trial(number, draw, names, surrogate, reason, feasible) for number in range(trials)]
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "study.yaml").write_text(_configuration(name, trials, objectives, surrogate), encoding="utf-8")
    (directory / "versions.json").write_text(
        json.dumps({"python": "3.11.7", "torch": "2.6.0", "optuna": "5.0.0", "threads per worker": "1"})
    )
    with (directory / "trials.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["number", "state", "reason", "seconds", "epochs", "seed", *names, *PARAMS])
        writer.writeheader()
        writer.writerows(rows)
    for row in rows:
        _write_metrics(directory / "trials" / str(row["number"]), row, draw)
    points = [_point(row, names, draw) for row in _front([r for r in rows if r["state"] == "complete"], names)]
    for point in points:
        _write_point(directory / "trials" / str(point["number"]), point, draw)
    front = {
        "study": name,
        "directions": {o["name"]: o["direction"] for o in objectives},
        "scales": {o["name"]: o["scale"] for o in objectives},
        "reference_point": {o["name"]: o["reference"] for o in objectives},
        "hypervolume": {"validation": 0.713 if points else 0.0, "test": 0.702 if points else None},
        "points": points,
    }
    (directory / "front.json").write_text(json.dumps(front), encoding="utf-8")
    return directory


def _trial(
    number: int, draw: random.Random, names: list[str], surrogate: str, reason: str, feasible: bool
) -> dict[str, Any]:
    family = draw.choice([surrogate, "triangle", "sigmoid", "gaussian"])
    recurrent = draw.random() < 0.6
    row: dict[str, Any] = {
        "number": number, "state": "complete", "reason": "", "seconds": round(draw.uniform(8, 40), 2), "epochs": 12,
        "seed": 7 + number, "model.surrogate": family, "model.surrogate_width": round(10 ** draw.uniform(-1.3, 0.5), 4),
        "depth": draw.choice([1, 2, 3]), "hidden": draw.choice([16, 32, 64, 128]), "recurrent": recurrent,
        "tau_rec_ms": round(draw.uniform(2, 40), 2) if recurrent else "", "lr": f"{10 ** draw.uniform(-4, -1.5):.3g}",
        "dt_ms": 1.0,
    }  # fmt: skip
    synops = 10 ** draw.uniform(2.1, 4.6)
    accuracy = 0.99 - 0.35 * math.exp(-1.2 * (math.log10(synops) - 1.9)) - abs(draw.gauss(0, 0.06))
    kind = number % 10
    if kind == 3:
        row |= {"state": "failed", "reason": REASONS[1 + number % 2], "epochs": 4}
        return row
    if kind == 5 or not feasible:
        row |= {"state": "infeasible", "reason": reason, "epochs": 3}
        accuracy, synops = 0.1 + draw.random() * 0.2, 0.0 if number % 4 else synops / 9
    row |= dict(zip(names, (round(accuracy, 4), round(synops, 2), round(synops * 0.0236, 3)), strict=False))
    return row


def _front(rows: list[dict[str, Any]], names: list[str]) -> list[dict[str, Any]]:
    def dominates(a: dict[str, Any], b: dict[str, Any]) -> bool:
        return a is not b and a["accuracy"] >= b["accuracy"] and all(a[name] <= b[name] for name in names[1:])

    front = [row for row in rows if not any(dominates(other, row) for other in rows)]
    return sorted(front, key=lambda row: -row["accuracy"])


def _point(row: dict[str, Any], names: list[str], draw: random.Random) -> dict[str, Any]:
    test = {name: round(row[name] * (1 + draw.gauss(0, 0.01)), 4) for name in names}
    number = row["number"]
    params = {name: row[name] for name in PARAMS if row[name] != ""}
    return {
        "number": number, "values": {name: row[name] for name in names}, "test": test, "params": params,
        "checkpoint": f"trials/{number}/best.ckpt", "kind": "trained",
    }  # fmt: skip


def _write_metrics(folder: Path, row: dict[str, Any], draw: random.Random) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    goal = row.get("accuracy", 0.3)
    lines = ["epoch,train_loss,val_loss,val_accuracy,val_synops"]
    for epoch in range(row["epochs"]):
        share = 1 - math.exp(-(epoch + 1) / 3)
        accuracy = 0.1 + (goal - 0.1) * share + draw.gauss(0, 0.01)
        lines.append(f"{epoch},{2.3 - 2.0 * goal * share:.4f},,{accuracy:.4f},{row.get('synops', '')}")
    (folder / "metrics.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _write_point(folder: Path, point: dict[str, Any], draw: random.Random) -> None:
    (folder / "best.ckpt").write_bytes(b"")
    total, depth = point["test"]["synops"], point["params"]["depth"]
    layers = {f"hidden_{index}": total * 0.75 / depth for index in range(depth)} | {"readout": total * 0.25}
    recurrent = 0.3 if point["params"]["recurrent"] else 0.0
    kinds = {"input": 0.35, "feedforward": 0.4 - recurrent, "recurrent": recurrent, "readout": 0.25}
    counts = {
        "samples": 400, "split": "test", "total": total, "by_layer": layers,
        "by_kind": {kind: share * total for kind, share in kinds.items()},
        "macs": 0.0, "neuron_updates": 1480.0, "spikes": {"hidden_0": 33.99},
    }  # fmt: skip
    (folder / "counts.json").write_text(json.dumps(counts))
    sizes = {"input": 64} | {f"hidden_{index}": point["params"]["hidden"] for index in range(depth)}
    raster = {"label": 3, "predicted": 3, "steps": 20, "dt_ms": 1.0, "layers": []}
    for layer, neurons in sizes.items():
        spikes = sorted((draw.randrange(20), draw.randrange(neurons)) for _ in range(neurons))
        time, neuron = [s[0] for s in spikes], [s[1] for s in spikes]
        raster["layers"].append({"name": layer, "neurons": neurons, "time": time, "neuron": neuron})  # type: ignore[attr-defined]
    (folder / "raster.json").write_text(json.dumps(raster))


def _configuration(name: str, trials: int, objectives: list[dict[str, Any]], surrogate: str) -> str:
    space = {
        "model.surrogate": {"choices": [surrogate, "triangle", "sigmoid", "gaussian"]},
        "model.surrogate_width": {"low": 0.05, "high": 3.2, "log": True},
        "lr": {"low": 1e-4, "high": 0.03, "log": True},
    }
    content = {
        "name": name, "seed": 7, "trials": trials, "batch": 4, "objectives": objectives, "sampler": {"name": "tpe"},
        "trainer": {"max_epochs": 12}, "model": {"class_path": "SpikingClassifier", "init_args": {"hidden": 64}},
        "data": {"class_path": "Digits", "init_args": {"batch_size": 64}}, "space": space,
    }  # fmt: skip
    return str(yaml.safe_dump(content, sort_keys=False))


@pytest.fixture(scope="session")
def study_at() -> Write:
    """The function that writes a study into a directory of the caller's choice."""
    return write_study


@pytest.fixture
def study(tmp_path: Path) -> Write:
    """A function that writes a study directory with the given peculiarities."""

    def write(**peculiarities: Any) -> Path:
        return write_study(tmp_path / "study", **peculiarities)

    return write
