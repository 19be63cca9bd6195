"""What the tests of several folders need: every thing of a kind, every variant of a neuron, and small exact inputs."""

import dataclasses
import importlib
import itertools
import typing
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from snnlightning.errors import ConfigurationError
from snnlightning.naming import available
from snnlightning.neurons import AbstractNeuron
from snnlightning.scan import scan
from snnlightning.surrogates import AbstractSurrogate, SuperSpike
from snnlightning.typing import SpikeFunction, State, Trace

__all__ = ["Foreign", "constructed", "dyadic", "every", "is_valid", "neuron_variants", "single"]


def every(folder: str) -> list[typing.Any]:
    """Every concrete class of ``snnlightning.<folder>`` as a pytest parameter named after its file."""
    package = importlib.import_module(f"snnlightning.{folder}")
    return [pytest.param(cls, id=name) for name, cls in available(package).items()]


def constructed(cls: type, **arguments: object) -> typing.Any:
    """An instance of ``cls``; those of ``arguments`` that it has no field for are left out."""
    names = {field.name for field in dataclasses.fields(cls)}
    return cls(**{name: value for name, value in arguments.items() if name in names})


def is_valid(cls: type, **arguments: object) -> bool:
    """Whether the class accepts these arguments."""
    try:
        cls(**arguments)
    except ConfigurationError:
        return False
    return True


def neuron_variants(*, spiking: bool | None = None) -> list[typing.Any]:
    """Every neuron in every reset, ordering and form that it accepts, as pytest parameters."""
    variants = []
    for name, cls in available(importlib.import_module("snnlightning.neurons")).items():
        if spiking is not None and cls.spiking is not spiking:
            continue
        hints = typing.get_type_hints(cls)
        options = [
            [(field, value) for value in typing.get_args(hints[field])]
            for field in ("reset", "ordering", "form")
            if field in hints
        ]
        variants += [
            pytest.param(cls(**dict(choice)), id="-".join([name, *(value for _, value in choice)]))
            for choice in itertools.product(*options)
            if is_valid(cls, **dict(choice))
        ]
    return variants


def dyadic(*shape: int, seed: int = 0, low: int = -8, high: int = 9, dtype: torch.dtype = torch.float64) -> Tensor:
    """Random multiples of 1/8 in [low / 8, high / 8): sums of their products are exact in any order."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(low, high, shape, generator=generator).to(dtype) / 8.0


def single(
    neuron: AbstractNeuron,
    x: list[float] | Tensor,
    *,
    w_in: float | Tensor = 1.0,
    w_rec: float | Tensor | None = None,
    state: State | None = None,
    spike: SpikeFunction | None = None,
    coefficients: Mapping[str, float | Tensor] | None = None,
) -> Trace:
    """One neuron with one input channel in float64, potentials included; x [T], weights may be tensors with a graph."""
    sequence = torch.as_tensor(x, dtype=torch.float64).reshape(1, -1, 1)
    return scan(
        neuron,
        sequence,
        torch.as_tensor(w_in, dtype=torch.float64).reshape(1, 1),
        None if w_rec is None else torch.as_tensor(w_rec, dtype=torch.float64).reshape(1, 1),
        state=state,
        spike=(spike or SuperSpike()) if neuron.spiking else None,
        coefficients=coefficients,
        potentials=True,
    )


@dataclasses.dataclass(frozen=True)
class Foreign(AbstractSurrogate):
    """A user's own, that no kernel knows."""

    height = width = area = 1.0
    size: float = 0.5

    @classmethod
    def from_height_width(cls, height, width):
        return cls(height)

    def derivative(self, x):
        return self.size / (1.0 + x.abs())

    def soft(self, x):
        raise NotImplementedError
