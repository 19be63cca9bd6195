"""Encoders by name, as the data modules of images take them."""

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar, cast

from .. import encoders
from ..errors import ConfigurationError
from ..naming import build, named

__all__ = ["build_encoder", "build_signal_encoder"]

Signal = TypeVar("Signal", bound=encoders.AbstractSignalEncoder)


def build_encoder(
    name: str | Mapping[str, Any],
    *,
    steps: int,
    seed: int,
    given: Mapping[str, float | None],
    defaults: Mapping[str, Mapping[str, float]] | None = None,
) -> encoders.AbstractEncoder:
    """The encoder of this name, made of what was given, what suits the data set, and its own defaults, in this order.

    Args:
        name: file or class name in :mod:`snnlightning.encoders`, or a mapping with ``encoder`` and its arguments.
        steps: number of time steps T.
        seed: for codes that draw random numbers.
        given: parameters of any encoder; those that are None were not given.
        defaults: what suits the data set, by the name of the encoder's file.

    Raises:
        UnknownNameError: no encoder of this name.
        ConfigurationError: a parameter that this encoder does not take, or one out of range.
    """
    arguments: dict[str, Any] = {"encoder": name} if isinstance(name, str) else dict(name)
    if "encoder" not in arguments:
        raise ConfigurationError(f"encoder is {arguments}; a mapping names it under the key 'encoder'.")
    cls = named("encoder", encoders, arguments.pop("encoder"))
    if not issubclass(cls, encoders.AbstractEncoder):
        raise ConfigurationError(
            f"{cls.__name__} encodes signals over time, and the samples here have none; use latency, rate or poisson."
        )
    given = {**given, **arguments}
    takes = {field.name for field in dataclasses.fields(cls)}
    chosen: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    if extra := sorted(chosen.keys() - takes):
        raise ConfigurationError(
            f"the {cls.__name__} encoder takes no {', '.join(extra)}; it takes"
            f" {', '.join(sorted(takes - {'seed', 'steps'}))}. Leave the others out."
        )
    file = cls.__module__.rpartition(".")[2]
    own = {"steps": steps} | ({"seed": seed} if "seed" in takes else {})
    encoder: encoders.AbstractEncoder = cls(**dict((defaults or {}).get(file, {})) | chosen | own)
    return encoder


def build_signal_encoder(
    name: str | Mapping[str, Any], kind: type[Signal], defaults: Mapping[str, Any] | None = None
) -> Signal:
    """The encoder of signals over time of this name; the data decides which kind it can be.

    Args:
        name: file or class name in :mod:`snnlightning.encoders`, or a mapping with ``encoder`` and its arguments.
        kind: what takes signals of the data's shape.
        defaults: arguments where the mapping has none.

    Raises:
        UnknownNameError: no encoder of this name.
        ConfigurationError: one that does not take such signals, or an argument that it does not have.
    """
    arguments: dict[str, Any] = {"encoder": name} if isinstance(name, str) else dict(name)
    if "encoder" not in arguments:
        raise ConfigurationError(f"encoder is {arguments}; a mapping names it under the key 'encoder'.")
    cls = named("encoder", encoders, arguments.pop("encoder"))
    if not issubclass(cls, kind):
        raise ConfigurationError(
            f"{cls.__name__} does not take the signals of this data set; use {kind.__module__.rpartition('.')[2]}."
        )
    return cast(Signal, build(cls, {**(defaults or {}), **arguments}))
