"""Maps: convolutions, pooling, flattening and delays as NIR nodes, and back.

NIR's arrays have no batch and no time: a map is [C, *S], ``Conv1d`` and ``Conv2d`` have what ``torch.nn`` has (their bias is not optional: zeros, and a
note), ``SumPool2d`` adds patches, ``Flatten`` joins all axes, ``Delay`` holds one time per neuron. Neuron nodes behind a convolution have
one number per place; ours have one per map, so that on the way back they have to agree within a map.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ConfigurationError, ShapeError
from ..layers import Flatten, SumPool
from ..typing import Convolution
from .dialects import Array
from .notes import note, read_note

__all__ = [
    "conv_node",
    "delay_steps",
    "flatten_node",
    "over_maps",
    "per_map",
    "pool_node",
    "pool_of",
    "slide_of",
    "whole_flatten",
]

_CONVOLUTIONS = {1: "Conv1d", 2: "Conv2d"}


def conv_node(nir: Any, weight: Array, bias: Array | None, slide: Convolution, sizes: Sequence[int]) -> Any:
    """``Conv1d`` or ``Conv2d``.

    Raises:
        ConfigurationError: three axes, groups, or a kernel that is not square: the package nir takes the first size for all and does not
            know groups when it checks shapes (1.0.8), so no reader would get the graph.
    """
    axes = weight.ndim - 2
    if axes not in _CONVOLUTIONS:
        raise ConfigurationError(f"NIR 1.0 has convolutions over one and two axes, and this one has {axes}.")
    if slide.groups != 1 or len(set(weight.shape[2:])) != 1:
        what = f"groups={slide.groups}" if slide.groups != 1 else f"a kernel of {list(weight.shape[2:])}"
        raise ConfigurationError(
            f"it has {what}, for which nir 1.0 computes wrong shapes and refuses the graph; use groups=1 and one size for all axes."
        )
    one = axes == 1

    def number(values: Sequence[int]) -> Any:
        return values[0] if one else tuple(values)

    zeros = np.zeros(weight.shape[0], dtype=weight.dtype)
    return getattr(nir, _CONVOLUTIONS[axes])(
        input_shape=number(sizes),
        weight=weight,
        stride=number(slide.stride),
        padding=number(slide.padding),
        dilation=number(slide.dilation),
        groups=slide.groups,
        bias=zeros if bias is None else bias,
        metadata=note(bias=False) if bias is None else {},
    )


def slide_of(where: str, node: Any) -> tuple[Array, Array | None, Convolution]:
    """Weight, bias (or None) and how the kernel slides.

    Raises:
        ConfigurationError, ShapeError: numbers that no convolution here has.
    """
    weight = np.asarray(node.weight)
    axes = 1 if type(node).__name__ == "Conv1d" else 2
    if weight.ndim != axes + 2 or 0 in weight.shape:
        raise ShapeError(f"{where} has weights {list(weight.shape)}; [C_out, C_in / groups, *K] is expected.")

    def numbers(value: Any) -> tuple[int, ...]:
        listed = np.ravel(np.asarray(value)).astype(int).tolist()
        return tuple(listed * axes if len(listed) == 1 else listed)

    stride, dilation, padding = numbers(node.stride), numbers(node.dilation), node.padding
    if isinstance(padding, str | bytes):
        same = (padding.decode() if isinstance(padding, bytes) else padding) == "same"
        if same and (set(stride) != {1} or any(k % 2 == 0 for k in weight.shape[2:])):
            raise ConfigurationError(
                f"{where} has padding 'same' with a stride or an even kernel; write it in numbers."
            )
        padding = [d * (k // 2) if same else 0 for d, k in zip(dilation, weight.shape[2:], strict=True)]
    bias = None if read_note(where, node).get("bias") is False else np.asarray(node.bias)
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ShapeError(f"{where} has a bias {list(bias.shape)}; one per map, [{weight.shape[0]}], is expected.")
    return weight, bias, Convolution(stride, numbers(padding), dilation, int(np.asarray(node.groups)))


def over_maps(fields: dict[str, Array], maps: Sequence[int]) -> dict[str, Array]:
    """Numbers per map [C] as numbers per neuron [C, *S]."""
    ones = [1] * (len(maps) - 1)
    return {name: np.broadcast_to(values.reshape(-1, *ones), tuple(maps)).copy() for name, values in fields.items()}


def per_map(where: str, node: Any, channels: int) -> Any:
    """The neuron node with one number per map, [C].

    Raises:
        ConfigurationError: numbers that differ within a map.
    """
    found = {}
    for field in ("tau", "tau_mem", "tau_syn", "r", "w_in", "v_leak", "v_reset", "v_threshold"):
        values = getattr(node, field, None)
        if values is None or np.ndim(values) < 2:
            continue
        rows = np.asarray(values).reshape(np.shape(values)[0], -1)
        if rows.shape[0] != channels or (rows != rows[:, :1]).any():
            raise ConfigurationError(
                f"{where}.{field} is {list(np.shape(values))} and differs within a map; the {channels} maps before it share one number "
                "per map here: write the convolution as an Affine node with the matrix it multiplies by."
            )
        found[field] = rows[:, 0].copy()
    return dataclasses.replace(node, **found) if found else node


def pool_node(nir: Any, pool: SumPool) -> Any:
    """``SumPool2d``.

    Raises:
        ConfigurationError: not two axes.
    """
    if len(pool.kernel_size) != 2:
        raise ConfigurationError(f"NIR 1.0 pools over two axes, and this one over {len(pool.kernel_size)}.")
    kernel, stride = np.array(pool.kernel_size), np.array(pool.slide.stride)
    return nir.SumPool2d(kernel_size=kernel, stride=stride, padding=np.zeros(2, dtype=int))


def pool_of(where: str, node: Any) -> SumPool:
    """Sum pooling.

    Raises:
        ConfigurationError: with padding.
    """
    if np.any(np.asarray(node.padding)):
        raise ConfigurationError(f"{where} has padding, which pooling here has not; pad in the convolution before it.")
    kernel, stride = (
        np.broadcast_to(np.asarray(value), (2,)).astype(int).tolist() for value in (node.kernel_size, node.stride)
    )
    return SumPool(kernel, stride)


def flatten_node(nir: Any, shape: Sequence[int]) -> Any:
    """``Flatten`` of all axes."""
    return nir.Flatten(input_type={"input": np.array(shape)}, start_dim=0, end_dim=-1)


def whole_flatten(where: str, node: Any) -> Flatten:
    """Flattening of all axes (those that are 1, as a batch axis in front, aside).

    Raises:
        ConfigurationError: of some.
    """
    after = node.output_type.get("output") if node.output_type else None
    if after is not None and sum(int(n) != 1 for n in np.ravel(after)) > 1:
        raise ConfigurationError(
            f"{where} leaves {np.ravel(after).tolist()}; all axes of a map are joined here: start_dim=0, end_dim=-1."
        )
    return Flatten()


def delay_steps(where: str, node: Any, step: float) -> list[int]:
    """A ``Delay`` in whole steps, per neuron.

    Raises:
        ConfigurationError: times that are no steps.
    """
    times = np.ravel(np.asarray(node.delay, dtype=np.float64)) / step
    steps = np.round(times)
    if not np.isfinite(times).all() or (steps < 0).any() or not np.allclose(times, steps, rtol=1e-6, atol=1e-6):
        raise ConfigurationError(
            f"{where} has delays that are no whole steps of {step:g} s; round them, or change dt_ms."
        )
    return [int(k) for k in steps]
