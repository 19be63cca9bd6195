"""Files of data sets: where they are, whether they are the ones that were meant, and what is in them."""

import gzip
import hashlib
import os
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ..errors import DataError

__all__ = ["ROOT", "arrays", "as_text", "file_at", "idx"]

ROOT = "SNNLIGHTNING_DATA"
"""Name of the environment variable that says where data sets lie when no path is given; ``data`` when it is not set."""


def as_text(path: str | os.PathLike[str] | None) -> str | None:
    """A path as plain text, because it becomes part of every checkpoint."""
    return None if path is None else os.fspath(path)


def file_at(path: str | None, folder: str, names: Sequence[str], origin: str) -> Path:
    """The first of ``names`` that is there.

    Args:
        path: a file, or a folder that holds it; None: the folder ``folder`` under ``$SNNLIGHTNING_DATA``.
        folder: name of the data set's folder.
        names: file names to look for, the preferred one first.
        origin: where the data comes from and how to make the file, as sentences.

    Raises:
        DataError: none of them is there; says where it was looked for, and ``origin``.
    """
    at = Path(path) if path is not None else Path(os.environ.get(ROOT, "data")) / folder
    for candidate in (at, *(at / name for name in names)):
        if candidate.is_file():
            return candidate
    wanted = " or ".join(names)
    hint = (
        "" if path is not None else f" No path was given; pass path=..., or set {ROOT} to the folder of all data sets."
    )
    raise DataError(f"there is no {wanted} at {at}.{hint} {origin}")


def arrays(
    path: Path, wanted: Mapping[str, int], *, sha256: str | None = None, verify: bool = True
) -> dict[str, np.ndarray]:
    """The arrays of an npz file, read without pickle.

    Args:
        path: the file.
        wanted: names of the arrays with their number of axes.
        sha256: of the file that figures refer to.
        verify: whether to refuse a file with another checksum.

    Raises:
        DataError: no npz file, an array that is missing or has other axes, another file than was meant.
    """
    if verify and sha256 is not None and (found := hashlib.sha256(path.read_bytes()).hexdigest()) != sha256:
        raise DataError(
            f"{path} has the SHA-256 {found[:12]}... and {sha256[:12]}... is expected: it is cut short, or another version."
            " Fetch it again, or pass verify=False to use it as it is."
        )
    try:
        with np.load(path, allow_pickle=False) as file:
            if missing := sorted(wanted.keys() - set(file.files)):
                raise DataError(
                    f"{path} has no {', '.join(missing)}; it has {', '.join(sorted(file.files)) or 'nothing'}."
                )
            content = {name: file[name] for name in wanted}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, AttributeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} cannot be read as npz ({error}); it is corrupt or another kind of file.") from error
    for name, axes in wanted.items():
        if content[name].ndim != axes:
            raise DataError(f"{path}: {name} is {list(content[name].shape)}; {axes} axes are expected.")
    return content


def idx(path: Path, axes: int) -> np.ndarray:
    """Bytes in the IDX format of MNIST, plain or gzipped: [n] labels or [n, rows, columns] images.

    Raises:
        DataError: another kind of file, another number of axes, or one that is cut short.
    """
    raw = path.read_bytes()
    try:
        raw = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be unpacked ({error}); it is corrupt or cut short: fetch it again.") from error
    if raw[:3] != b"\x00\x00\x08" or len(raw) < 4 + 4 * axes or raw[3] != axes:
        raise DataError(f"{path} is no IDX file of bytes with {axes} axes; its first bytes are {raw[:4].hex()}.")
    shape = tuple(int.from_bytes(raw[4 + 4 * k : 8 + 4 * k], "big") for k in range(axes))
    values = np.frombuffer(raw, dtype=np.uint8, offset=4 + 4 * axes)
    if values.size != np.prod(shape):
        raise DataError(
            f"{path} announces {list(shape)} and holds {values.size} bytes; it is cut short: fetch it again."
        )
    return values.reshape(shape)
