"""Where the global generators stand, so that a training draws the same numbers whatever else runs in its process."""

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

__all__ = ["random_state", "random_states", "restore_random"]


def random_state() -> dict[str, Any]:
    """Where the global generators stand, that of the current GPU included when there is one, as plain values and tensors."""
    kind, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    version, internal, gauss = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "numpy": [str(kind), torch.from_numpy(np.asarray(keys).astype(np.int64)), position, has_gauss, cached],
        "python": [version, list(internal), gauss],
        **({"cuda": torch.cuda.get_rng_state()} if torch.cuda.is_initialized() else {}),
    }


def random_states(processes: int) -> list[dict[str, Any]]:
    """:func:`random_state` of each process of a training, by rank; all of them must ask."""
    states = [own := random_state()] * processes
    if processes > 1:
        torch.distributed.all_gather_object(states, own)
    return states


def restore_random(state: Mapping[str, Any]) -> None:
    """Put the global generators where :func:`random_state` found them.

    Example:
        >>> before = random_state()
        >>> first = torch.rand(2)
        >>> restore_random(before)
        >>> torch.equal(torch.rand(2), first)
        True
    """
    torch.set_rng_state(state["torch"].cpu())
    if "cuda" in state and torch.cuda.is_initialized():
        torch.cuda.set_rng_state(state["cuda"].cpu())
    kind, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), position, has_gauss, cached))
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
