"""From what a configuration says to a Quantization: a chip's profile by name, widths, or both."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import ConfigurationError, nearest
from ..hardware import Profile, available, load
from ..layers import Quantization

__all__ = ["build_quantization", "quantization_of"]

_WIDTHS = ("weight_bits", "state_bits", "decay_bits")
"""Limits of a profile that are widths, and the arguments of ``Quantization`` of the same names."""


def build_quantization(value: Quantization | Mapping[str, Any] | str | Path | None) -> Quantization | None:
    """A quantization from plain values.

    Args:
        value: a record, None for none, the name of a hardware profile (or the path of a TOML file), or a mapping with the
            arguments of :class:`snnlightning.layers.Quantization` and, if wanted, ``profile``, whose widths they override.

    Raises:
        ConfigurationError: no such argument, a width out of range, a profile that does not give the width of a weight.
        UnknownNameError: no such profile.

    Example:
        >>> build_quantization("bos2024_xylo").weight_bits
        8
        >>> build_quantization({"profile": "bos2024_xylo", "weight_bits": 4, "state_bits": 16}).weight_bits
        4
    """
    if value is None or isinstance(value, Quantization):
        return value
    if isinstance(value, str | Path):
        return quantization_of(load(value))
    if not isinstance(value, Mapping):
        raise ConfigurationError(
            f"quantization is {value!r}; the name of a hardware profile, or a mapping such as {{weight_bits: 8}}, is expected."
        )
    fields = {field.name for field in dataclasses.fields(Quantization)}
    for key in value:
        if key not in {*fields, "profile"}:
            raise ConfigurationError(
                f"quantization has no parameter {key!r};{nearest(str(key), fields)} It has: {', '.join(sorted(fields))}, profile."
            )
    given = {key: argument for key, argument in value.items() if key != "profile"}
    if value.get("profile") is None:
        return Quantization(**given)
    profile = load(value["profile"])
    return (
        Quantization(**{**_widths(profile), **given}) if "weight_bits" in given else quantization_of(profile, **given)
    )


def quantization_of(profile: Profile, **changes: Any) -> Quantization:
    """The precision of a chip: the widths among its limits, as far as its profile knows them.

    A width counts the sign. What a profile does not give stays in float: a state of unknown width is not rounded.

    Args:
        profile: from :func:`snnlightning.hardware.load`.
        changes: arguments of ``Quantization`` that replace or complete the profile's.

    Raises:
        ConfigurationError: the profile does not say how wide a weight is, or one bit, which holds no signed weight.

    Example:
        >>> quantization_of(load("davies2018_loihi")).weight_bits
        9
    """
    widths = _widths(profile)
    if widths.get("weight_bits", 0) < 2:
        what = "does not say how wide a weight is" if "weight_bits" not in widths else "has weights of one bit"
        known = ", ".join(name for name in available() if _widths(load(name)).get("weight_bits", 0) >= 2)
        raise ConfigurationError(
            f"{profile.name} {what}, so there is no symmetric integer weight to round to; give weight_bits yourself "
            f"(quantization: {{weight_bits: 8}}), or use a profile that has it: {known}."
        )
    return Quantization(**{**widths, **changes})


def _widths(profile: Profile) -> dict[str, Any]:
    return {name: profile.limits[name].value for name in _WIDTHS if name in profile.limits}
