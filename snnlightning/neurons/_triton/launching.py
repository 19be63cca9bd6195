"""Which tile a program takes, how exact its products are, and whether the matrix stays on chip.

Chosen by reasoning about registers and shared memory, not tuned: see docs/performance.md for what was run and where.
"""

import dataclasses
from typing import Any

import torch

from . import kernels

__all__ = ["FITS", "Tile", "interpreted", "operand", "precision", "tile"]

FITS = 512
"""Neurons whose recurrent loop is one launch; the state of a program's 16 samples fills its registers."""
_ON_CHIP_BYTES = 2**17
"""Of the matrix that a program keeps for all steps."""
_SAMPLES = 16
"""The least rows of a product of tensor cores."""
_BUSY = 2**16
"""Elements of a state from which on every multiprocessor has several programs of 128."""


@dataclasses.dataclass(frozen=True)
class Tile:
    """BB samples times BN neurons per program; the matrix in blocks of BK rows, or resident."""

    samples: int
    neurons: int
    block: int = 16
    resident: bool = False
    warps: int = 4
    stages: int = 1

    def grid(self, members: int, batch: int, features: int) -> tuple[int, int, int]:
        """Samples first: that axis has no limit of 65535."""
        return -(-batch // self.samples), -(-features // self.neurons), members

    @property
    def options(self) -> dict[str, Any]:
        """Of a launch. Products and sums stay apart, as in the reference, so that single precision rounds alike."""
        return {"num_warps": self.warps, "enable_fp_fusion": False}


def tile(members: int, batch: int, features: int, recurrent: bool, itemsize: int, exact: bool) -> Tile:
    """For a state of [K, B, N], and a matrix of elements of ``itemsize`` bytes when ``recurrent``.

    Sizes are those that the compiler for sm_90 gives no, or few, registers in local memory. Exact products (``precision``) are made
    without tensor cores and hold more of the matrix in registers, so it is read block by block from 128 neurons on.
    """
    if recurrent:
        width = max(16, _power_of_two(features))
        resident = width * width * itemsize <= _ON_CHIP_BYTES and (not exact or width <= 64)
        warps = 4 if width <= 64 else 8 if width <= 256 else 16
        return Tile(_SAMPLES, width, 16 if itemsize > 2 else 32, resident, warps)
    elements = 1024 if interpreted() else 128 if members * batch * features >= _BUSY else 32
    width = min(_power_of_two(features), elements)
    samples = min(elements // width, _power_of_two(batch))
    return Tile(samples, width, warps=elements // 32, stages=4)


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
