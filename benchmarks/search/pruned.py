"""Optuna's TPE with OptunaHub's MultiMetricPruner, as its documentation uses it: the best existing pruner for several objectives.

It is no study of the package: Optuna's own loop, one trial after the other, with the package's space and trainings. Pareto
ranks of all that came so far are reported to Optuna's median pruner after every epoch; what it prunes is told as PRUNED.
Three things are to its advantage: every trial is asked for with all others known, a network that was pruned counts with its
best epoch, which a user of Optuna would not have kept, and the last training is cut to what the budget has left.

The pruner is code of the registry on GitHub. ``optunahub`` fetches it; or it is read from a folder that holds
``pruners/multi_metric_pruner``, such as ``package`` of a checkout.
"""

import warnings
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import optuna

from snnlightning.study import StudyConfig
from snnlightning.study.jobs import Job
from snnlightning.study.probing import probe
from snnlightning.study.rows import TrialRow, explain, judge
from snnlightning.study.samplers import make_sampler, seed_of
from snnlightning.study.space import Space
from snnlightning.study.trial import run_trial
from snnlightning.training import SpikingModule

__all__ = ["from_registry", "pruned_search"]

NAME = "pruners/multi_metric_pruner"


class Reports(L.Callback):
    """Reports every epoch, and stops the training when the pruner says so; after the study's own callbacks."""

    def __init__(self, trial: Any, config: StudyConfig) -> None:
        self.trial, self.config, self.pruned = trial, config, False

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, SpikingModule)
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()} | pl_module.counted("val")
        values = {name: item.value(metrics, "val") for name, item in self.config.objectives.items()}
        self.trial.report(values, trainer.current_epoch)
        if not trainer.should_stop and self.trial.should_prune():  # after the last epoch there is nothing to save
            trainer.should_stop = self.pruned = True


def pruned_search(config: StudyConfig, directory: Path, module: Any) -> list[TrialRow]:
    """Search until the budget is spent.

    Args:
        config: a study without a policy of its own: one training per point.
        directory: gets a folder for every trial, as a study's does.
        module: with the pruner and what wraps a trial for it; see :func:`from_registry`.
    """
    chance = probe(config)
    study = _study(config, module)
    rows: list[TrialRow] = []
    spent = 0
    while spent < config.budget:
        trial, number = study.ask(), len(rows)
        drawn, seed = config.space.draw(trial), seed_of(config.seed, number)
        job = Job(
            order=number,
            number=number,
            action="train",
            config={"number": number, "seed": seed, **Space.apply(config.base, drawn)},
            until_epoch=min(config.max_epochs, int(config.budget) - spent),
        )
        reports = Reports(module.MultiMetricPrunerTrial(trial), config)
        result = run_trial(job, directory, config.ranking, last=[reports])
        values, violations = judge(result.metrics, config.objectives, chance, config.chance_margin)
        if reports.pruned:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            for name, missed in violations.items():
                trial.set_constraint(name, missed)
            study.tell(trial, list(values.values()))
        spent += result.epochs
        reason = explain(violations, result.misfits)
        rows.append(
            TrialRow(
                number=number,
                state="infeasible" if reason else "complete",
                reason=reason,
                seconds=result.seconds,
                epochs=result.epochs,
                seed=seed,
                kind="trained",
                parent=None,
                charged=float(result.epochs),
                values=values,
                params=drawn,
            )
        )
    return rows


def from_registry(folder: Path | None) -> Any:
    """The pruner's module, from a folder with the registry's code or, when None, from GitHub."""
    import optunahub

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if folder is None:
            return optunahub.load_module(NAME)
        return optunahub.load_local_module(NAME, registry_root=str(folder))


def _study(config: StudyConfig, module: Any) -> optuna.Study:
    # Members of the enumeration, with which it compares: the string "maximize" would be minimised.
    directions = [optuna.study.StudyDirection[str(item.direction).upper()] for item in config.objectives.values()]
    pruner = module.MultiMetricPruner(
        optuna.pruners.MedianPruner(),
        metric_directions=dict(zip(config.objectives, directions, strict=True)),
        joint=True,
    )
    sampler = make_sampler(config.sampler["name"], config.sampler["startup_trials"], config.seed)
    return optuna.create_study(directions=directions, sampler=sampler, pruner=pruner)
