"""Probing: the first look at a study, before anything is written: the data loads, every choice can be built, prices exist."""

from typing import Any

from ..errors import ConfigurationError, ShapeError, SnnLightningError
from .building import build
from .config import StudyConfig
from .objectives import AbstractPriced
from .space import Space
from .trial import data_module, evaluation_trainer, quiet_trainer
from .worker import be_quiet

__all__ = ["probe"]


def probe(config: StudyConfig) -> float:
    """Load the data, build the model of every choice in the space and show one a batch, before anything is written.

    Returns:
        The accuracy of guessing, 1 / number of classes; -1 (no bound) when nobody says how many there are and the
        objectives have bounds of their own.
    """
    try:
        data, model = _build_examples(config)
    except SnnLightningError:
        raise
    except Exception as error:  # a user's class may raise anything; it would in every trial
        what = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise ConfigurationError(f"the first network cannot be built and shown its data: {what}") from error
    classes = getattr(data, "num_classes", None) or getattr(model, "num_classes", None)
    if classes:
        return 1.0 / float(classes)
    if all(objective.at_least is None for objective in config.objectives.values()):
        raise ConfigurationError(
            "neither the data module nor the model has num_classes, so nobody knows what guessing reaches, and a silent "
            "network could be on the front; add that attribute, or at_least to an objective such as accuracy."
        )
    return -1.0


def _build_examples(config: StudyConfig) -> tuple[Any, Any]:
    """The data and the model of the first point of the space, tried; and every other choice, built."""
    import torch

    from ..training import SpikingModule

    points = [Space.apply(config.base, drawn) for drawn in config.space.examples()]
    be_quiet()
    for parts in points:
        try:
            quiet_trainer(**parts["trainer"])
        except Exception as error:  # Lightning has many
            raise ConfigurationError(f"trainer: {' '.join(str(error).split())}") from error
    first, *others = points
    data = data_module(first["data"])
    data.prepare_data()
    data.setup("fit")
    with torch.random.fork_rng(devices=[]):
        model = build("model", first["model"])
        for parts in others:
            build("model", parts["model"])
            build("data", parts["data"])
    if isinstance(model, SpikingModule):
        x, _ = next(iter(data.val_dataloader()))
        try:
            with torch.no_grad():
                model(x)
        except ShapeError as error:
            raise ConfigurationError(f"model and data do not fit: {error}") from None
        _check_prices(config, model, data)
    elif config.profiles:
        raise ConfigurationError(
            f"{type(model).__name__} is no SpikingModule, so nothing is counted that could be priced on "
            f"{config.profiles[0]}; subclass SpikingModule, or leave such objectives out."
        )
    return data, model


def _check_prices(config: StudyConfig, model: Any, data: Any) -> None:
    """Whether the profiles give what the objectives ask of them, tried on one batch of a network nobody trained."""
    if not config.profiles:
        return
    from ..training import EnergyLogger

    energy = EnergyLogger(config.profiles)
    trainer = evaluation_trainer(config.base["trainer"], limit_val_batches=1, callbacks=[energy])
    trainer.validate(model, datamodule=data, verbose=False)
    for name, objective in config.objectives.items():
        if isinstance(objective, AbstractPriced) and f"val_{objective.metric}" not in energy.values["val"]:
            raise ConfigurationError(
                f"objective {name}: {objective.profile} does not give it for this network; choose another profile "
                "(`snnlightning profiles` says what each one prices)."
            )
