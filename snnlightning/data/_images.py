"""Images of 28 x 28 bytes in ten classes, as MNIST and its successors come: one npz file, or the four official IDX files."""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..errors import DataError
from ._files import ROOT, arrays, file_at, idx

__all__ = ["Images", "read_images"]

_IDX = {
    "train_images": ("train-images-idx3-ubyte", 3),
    "train_labels": ("train-labels-idx1-ubyte", 1),
    "test_images": ("t10k-images-idx3-ubyte", 3),
    "test_labels": ("t10k-labels-idx1-ubyte", 1),
}


class Images(NamedTuple):
    """Images [n, rows, columns] and labels [n], both uint8."""

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor


def read_images(path: str | None, name: str, *, origin: str, sha256: str, verify: bool) -> Images:
    """From ``<name>.npz``, or from a folder with the official IDX files, plain or gzipped.

    Raises:
        DataError: nothing there, a file that cannot be read, or images without labels.
    """
    folder = Path(path) if path is not None else Path(os.environ.get(ROOT, "data")) / name
    official = {
        part: next((file for end in ("", ".gz") if (file := folder / f"{stem}{end}").is_file()), None)
        for part, (stem, _) in _IDX.items()
    }
    found = {part: file for part, file in official.items() if file is not None}
    if len(found) == len(official) and not (folder / f"{name}.npz").is_file():
        content = {part: idx(file, _IDX[part][1]) for part, file in found.items()}
    else:
        file = file_at(path, name, [f"{name}.npz"], origin)
        content = arrays(file, {part: axes for part, (_, axes) in _IDX.items()}, sha256=sha256, verify=verify)
    for part in ("train", "test"):
        images, labels = content[f"{part}_images"], content[f"{part}_labels"]
        if images.dtype != np.uint8 or labels.dtype != np.uint8 or len(images) != len(labels):
            raise DataError(
                f"{name}, {part}: images {images.dtype} {list(images.shape)} and labels {labels.dtype}"
                f" {list(labels.shape)}; bytes, and one label for each image, are expected."
            )
    return Images(**{part: torch.from_numpy(np.array(values)) for part, values in content.items()})
