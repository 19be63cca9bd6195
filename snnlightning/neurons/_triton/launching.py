"""Which tile a program takes, how exact its products are, and where the matrix is.

Sizes are those that were fastest of a dozen on an H100: see docs/gpu.md for what they give.
"""

import dataclasses
from typing import Any

import torch

from . import kernels

__all__ = ["FITS", "Tile", "interpreted", "operand", "precision", "processors", "tile"]

FITS = 512
"""Neurons whose recurrent loop is one launch; the state of a program's 16 samples fills its registers."""
_ON_CHIP_BYTES = 2**17
"""Of the matrix that a program keeps for all steps."""
_SAMPLES = 16
"""The least rows of a product of tensor cores."""


@dataclasses.dataclass(frozen=True)
class Tile:
    """BB samples times BN neurons per program; the matrix in blocks of BK rows, or all of them where it stays on chip."""

    samples: int
    neurons: int
    block: int = 16
    way: int = kernels.STREAMED
    warps: int = 4
    stages: int = 1

    def grid(self, members: int, batch: int, features: int) -> tuple[int, int, int]:
        """Samples first: that axis has no limit of 65535."""
        return -(-batch // self.samples), -(-features // self.neurons), members

    @property
    def shared(self) -> bool:
        """Whether several programs share samples, and meet at every step."""
        return self.way == kernels.SHARED

    @property
    def options(self) -> dict[str, Any]:
        """Of a launch. Products and sums stay apart, as in the reference, so that single precision rounds alike."""
        options = {"num_warps": self.warps, "enable_fp_fusion": False}
        return options | {"launch_cooperative_grid": True} if self.shared and not interpreted() else options


def tile(members: int, batch: int, features: int, recurrent: bool, itemsize: int, exact: bool, processors: int) -> Tile:
    """For a state of [K, B, N], and a matrix of elements of ``itemsize`` bytes when ``recurrent``.

    A matrix that one program cannot keep is shared by several, as long as all of them have a multiprocessor of their own
    (``processors``); exact products (``precision``), which are made without tensor cores, are shared earlier and among more.
    """
    if not recurrent:
        elements = 1024 if interpreted() else 64
        width = min(_power_of_two(features), elements)
        return Tile(min(elements // width, _power_of_two(batch)), width, warps=1, stages=8)
    width = max(16, _power_of_two(features))
    warps = 4 if width <= 64 else 8 if width <= 256 else 16
    if width * width * itemsize <= _ON_CHIP_BYTES and (not exact or width <= 64):
        return Tile(_SAMPLES, width, width, kernels.RESIDENT, warps)
    part = 32 if exact else 64
    groups = members * -(-batch // _SAMPLES)
    while part < width and width * part * itemsize <= _ON_CHIP_BYTES:
        if groups * -(-features // part) <= processors:
            return Tile(_SAMPLES, part, width, kernels.SHARED, 8 if exact and width * part > 2**14 else 4)
        part *= 2
    return Tile(_SAMPLES, width, 16 if itemsize > 2 else 32, kernels.STREAMED, warps)


def processors(device: torch.device) -> int:
    """Multiprocessors; none elsewhere, so that nobody waits there for a program that has not begun."""
    return torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 0


def precision(product: torch.dtype, device: torch.device) -> str:
    """Of float32 products, as torch has been told: exact, or on tensor cores; others are made there anyway."""
    exact = product == torch.float32 and torch.get_float32_matmul_precision() == "highest"
    return "ieee" if exact or device.type != "cuda" else "tf32"


def operand(product: torch.dtype) -> torch.dtype:
    """The type in which a product's numbers, rounded to ``product``, are handed over: the interpreter would multiply bfloat16's bits."""
    return torch.float32 if product == torch.bfloat16 and interpreted() else product


def interpreted() -> bool:
    """Whether the kernels run under Triton's interpreter (TRITON_INTERPRET=1 when they were imported)."""
    return type(kernels.advance).__name__ == "InterpretedFunction"


def _power_of_two(n: int) -> int:
    return 1 << max(0, n - 1).bit_length()
