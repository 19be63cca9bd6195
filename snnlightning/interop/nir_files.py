"""NIR files: written whole or not at all, and read with one sentence when they cannot be."""

import dataclasses
import os
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ..errors import ConfigurationError, DataError, MissingDependencyError, require

__all__ = ["nir_package", "read_nir", "write_nir"]


def nir_package() -> Any:
    """The package ``nir``, or the line that installs it.

    Raises:
        MissingDependencyError: it is not installed, or older than the first version with a note on every node.
    """
    nir = require("nir", "nir", "NIR export and import")
    if "metadata" not in {field.name for field in dataclasses.fields(nir.Input)}:
        raise MissingDependencyError(
            f"NIR export and import needs nir 1.0.5 or later, and {version('nir')} is installed: pip install 'snnlightning[nir]'."
        )
    return nir


def write_nir(graph: Any, path: str | os.PathLike[str]) -> Path:
    """Write a graph to an HDF5 file, as ``nir.write`` does, through a temporary file beside it and a rename.

    Whoever looks at ``path`` sees the old file or the complete new one; a failure leaves the old one as it was.

    Args:
        graph: what :func:`to_nir` gives, or any ``nir.NIRGraph``.
        path: file to write, by custom ``*.nir``; its folder must exist.

    Returns:
        The path.

    Raises:
        ConfigurationError: no graph.
        DataError: the folder does not exist or cannot be written to.
    """
    nir = nir_package()
    path = Path(path)
    if not isinstance(graph, nir.NIRGraph):
        raise ConfigurationError(
            f"{type(graph).__name__} is no NIR graph; write_nir(to_nir(net), path) writes a network."
        )
    if not path.parent.is_dir():
        raise DataError(f"{path}: the folder {path.parent} does not exist; make it first.")
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(handle)
        temporary = Path(name)
        try:
            nir.write(temporary, graph)
            temporary.chmod(0o644)
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}.") from error
    return path


def read_nir(path: str | os.PathLike[str]) -> Any:
    """The ``nir.NIRGraph`` of a file.

    Raises:
        DataError: missing, not HDF5, not NIR, or a graph that ``nir`` itself refuses (its reason is quoted).
    """
    nir = nir_package()
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file.")
    try:
        graph = nir.read(path)
    except Exception as error:  # nir raises bare assertions, TypeErrors and whatever h5py does
        raise DataError(f"{path}: {_reason(nir, path) or _in_words(nir, error)}.") from error
    if not isinstance(graph, nir.NIRGraph):
        raise DataError(f"{path}: {_single(type(graph).__name__)}.")
    return graph


def _reason(nir: Any, path: Path) -> str | None:
    """What is wrong with the types of a file's nodes; None when it is something else."""
    h5py = require("h5py", "nir", "NIR files")
    try:
        with h5py.File(path, "r") as file:
            return _wrong_type(nir, "", file["node"])
    except (OSError, KeyError, AttributeError, TypeError):
        return None


def _wrong_type(nir: Any, name: str, group: Any) -> str | None:
    kind = group["type"][()].decode("utf-8", errors="replace") if "type" in group else None
    if not name and kind is not None and kind != "NIRGraph" and hasattr(nir, kind):
        return _single(kind)
    where = f"node {name!r}" if name else "the graph"
    if kind is None:
        return f"{where} has no type"
    if not hasattr(nir, kind):
        return f"{where} is a {kind}, which nir {nir.version} does not know; the file comes from another version or program"
    inner = group.get("nodes", {}) if kind == "NIRGraph" else {}
    return next((wrong for key in inner if (wrong := _wrong_type(nir, f"{name}/{key}".strip("/"), inner[key]))), None)


def _single(kind: str) -> str:
    return f"holds a single {kind} node; a graph is expected"


def _in_words(nir: Any, error: Exception) -> str:
    reason = " ".join(str(error).split())
    return f"not a graph that nir {nir.version} can read ({type(error).__name__}{': ' if reason else ''}{reason})"
