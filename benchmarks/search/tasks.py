"""The two tasks of the search benchmark: data, space and reference points, as studies of the package say them."""

import copy
from typing import Any

__all__ = ["ARMS", "CODE", "PRUNED", "SWEEPING", "TASKS", "study"]

CODE = 2
"""Of a line of results; raised when searches come out differently. 2: a sweep keeps a network that answers as well earlier."""

PRUNED = "TPE + pruner"
"""The one that is no study of the package; see ``pruned.py``."""

MODEL = {
    "class_path": "SpikingClassifier",
    "init_args": {"num_classes": 10, "readout": "mean_over_time", "hidden_sizes": [32], "learning_rate": 0.01},
}
SPACE: dict[str, Any] = {
    "model.neuron": ["lif", "cuba_lif"],
    "model.tau_mem_ms": {"low": 3.0, "high": 40.0, "log": True},
    "model.recurrent": [True, False],
    "model.hidden_sizes.0": {"type": "int", "low": 8, "high": 64, "log": True},
    "model.surrogate": ["superspike", "sigmoid", "triangle", "boxcar"],
    "model.surrogate_width": {"low": 0.05, "high": 1.0, "log": True},
    "model.init_gain": {"low": 0.5, "high": 4.0, "log": True},
    "model.regularizers.population_upper_bound.strength": {"low": 1.0e-3, "high": 10.0, "log": True},
    "model.regularizers.population_upper_bound.bound": {"low": 0.01, "high": 2.0, "log": True},
    "model.learning_rate": {"low": 1.0e-3, "high": 5.0e-2, "log": True},
}

TASKS: dict[str, dict[str, Any]] = {
    # 1,797 images of 8 x 8: 1,007 to train, 395 to validate, 395 to test.
    "digits": {
        "model": {**MODEL, "init_args": {**MODEL["init_args"], "in_features": 64}},
        "data": {"class_path": "DigitsDataModule", "init_args": {"steps": 20, "batch_size": 100, "events": True}},
        "space": {
            "data.encoder": ["latency", "rate"],
            "data.max_probability": {"choices": [0.4], "when": {"data.encoder": "rate"}},
            "model.stop_step": {"type": "int", "low": 6, "high": 20},
            **SPACE,
        },
        "references": {"accuracy": (0.5, 0.85), "synops": (10**4.5, 10**4)},
    },
    # Points of a plane in three classes, as five spike times; 900 to train, 400 to validate, 400 to test.
    "yin_yang": {
        "model": {**MODEL, "init_args": {**MODEL["init_args"], "in_features": 5, "num_classes": 3}},
        "data": {
            "class_path": "YinYangDataModule",
            "init_args": {"steps": 40, "dt_ms": 1.0, "samples": [900, 400, 400], "batch_size": 250, "events": True},
        },
        "space": {"model.stop_step": {"type": "int", "low": 8, "high": 40}, **SPACE},
        "references": {"accuracy": (0.45, 0.75), "synops": (10**4, 10**3.3)},
    },
}

ARMS: dict[str, dict[str, Any]] = {
    "TPE": {"policy": {"name": "plain"}, "sampler": {"name": "tpe", "startup_trials": 10}},
    "inherit": {"policy": {"name": "inherit"}, "sampler": {"name": "tpe", "startup_trials": 10}},
    "TPE + sweep": {"policy": {"name": "plain", "sweep": True}, "sampler": {"name": "tpe", "startup_trials": 10}},
    PRUNED: {"policy": {"name": "plain"}, "sampler": {"name": "tpe", "startup_trials": 10}},
    "scratch": {"policy": {"name": "scratch"}, "sampler": {"name": "tpe", "startup_trials": 10}, "in_flight": 16},
    "NSGA-II": {"policy": {"name": "plain"}, "sampler": {"name": "nsgaii", "startup_trials": 16}},
    "GP": {"policy": {"name": "plain"}, "sampler": {"name": "gp", "startup_trials": 10}, "in_flight": 1},
}
"""What is compared: the search's settings, everything else is the same. The first one is the baseline."""
SWEEPING = ("inherit", "TPE + sweep", "scratch")
"""Those with sweeps, which Optuna does not do alone."""


def study(task: str, arm: str, seed: int, budget_epochs: int, max_epochs: int) -> dict[str, Any]:
    """The mapping of a study's YAML file."""
    parts, settings = copy.deepcopy(TASKS[task]), copy.deepcopy(ARMS[arm])
    references = parts.pop("references")
    return {
        "name": f"{task}-{seed}",
        "seed": seed,
        "budget_epochs": budget_epochs,
        "in_flight": 4,
        "objectives": [{"name": name, "reference": loose} for name, (loose, _) in references.items()],
        "trainer": {"max_epochs": max_epochs, "accelerator": "cpu"},
        **parts,
        **settings,
    }
