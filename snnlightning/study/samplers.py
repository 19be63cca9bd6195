"""Samplers by name: Optuna's, made anew for every trial from (study seed, trial number).

A sampler's random state lives in the process that owns it, and is lost when that is killed. Seeding one per trial makes a
study that was interrupted draw what it would have drawn.
"""

import warnings
from typing import TYPE_CHECKING

import numpy as np

from ..errors import unknown_name

if TYPE_CHECKING:
    import optuna

__all__ = ["SAMPLERS", "make_sampler", "seed_of"]

SAMPLERS = ("tpe", "nsgaii", "nsgaiii", "gp", "random")


def seed_of(study_seed: int, number: int, stream: int = 0) -> int:
    """A seed for one trial: a function of the study's seed and the trial's number only.

    Example:
        >>> seed_of(0, 1) == seed_of(0, 1), seed_of(0, 1) == seed_of(0, 2)
        (True, False)
    """
    return int(np.random.SeedSequence([study_seed, number, stream]).generate_state(1)[0] >> 1)


def make_sampler(name: str, startup_trials: int, seed: int) -> "optuna.samplers.BaseSampler":
    """An Optuna sampler.

    ``tpe`` is the multi-objective TPE with constraints, ``nsgaii`` NSGA-II, ``nsgaiii`` NSGA-III, ``gp`` the Gaussian process with constrained
    expected hypervolume improvement, ``random`` uniform draws.

    Raises:
        UnknownNameError: no sampler of this name.
    """
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        match name:
            case "tpe":
                return optuna.samplers.TPESampler(n_startup_trials=startup_trials, seed=seed)
            case "nsgaii":
                return optuna.samplers.NSGAIISampler(population_size=max(2, startup_trials), seed=seed)
            case "nsgaiii":
                return optuna.samplers.NSGAIIISampler(population_size=max(2, startup_trials), seed=seed)
            case "gp":
                return optuna.samplers.GPSampler(n_startup_trials=startup_trials, seed=seed)
            case "random":
                return optuna.samplers.RandomSampler(seed=seed)
            case _:
                raise unknown_name("sampler", name, SAMPLERS)
