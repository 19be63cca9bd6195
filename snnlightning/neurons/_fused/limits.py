"""Sizes at which the loops of a layer go another way; they decide speed and memory, and, where sums are cut, rounding."""

import dataclasses

__all__ = ["Limits", "in_use"]


@dataclasses.dataclass(frozen=True, eq=False)
class Limits:
    """Measured on two cores of a server. Looked up by identity: there is one.

    Args:
        chunk_elements: S T N of a chunk: its potentials stay in the cache of one core.
        stored_bytes: variables of all steps that take up to so much are stored; of more, the surrogate's h is packed, or they are
            computed again.
        packed_bytes: what packed h may take; chunks for which there is no room left are computed again in the backward pass.
        packed_neurons: neurons from which h is packed: it saves a tenth of a step at 256 and costs a quarter of the bytes that
            potentials take.
        cached_bytes: input weights that are more than this go block of neurons by block, each half as large: it stays in the
            second cache while the events of all steps pass. One row after the other of 64 MB comes from memory, which takes five
            times as long. The gradient of recurrent weights does from half of it on, being written as well; it takes a tenth less
            at 512 neurons.
        few_bytes, many_bytes: of a layer's gradients up to which there are four lots of chunks, and two; each lot has gradients of its own.
        short_row: neurons up to which the loops send gradients on to x themselves: BLAS takes three to five times as long.
    """

    chunk_elements: int = 2**17
    stored_bytes: int = 2**23
    packed_bytes: int = 2**24
    packed_neurons: int = 128
    cached_bytes: int = 2**20
    few_bytes: int = 2**19
    many_bytes: int = 2**22
    short_row: int = 32


in_use = Limits()
