"""Notes: what NIR has no field for, written into the metadata of nodes as one JSON text under the package's name.

A note never overrules the graph. Numbers of a note are used when they reproduce the node's own numbers to the bit (then a
round trip loses nothing); where they do not, somebody changed the graph, and the node counts.
"""

import dataclasses
import json
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from .. import naming
from ..errors import ConfigurationError, UnknownNameError

__all__ = ["FORMAT", "KEY", "described", "note", "rebuilt", "read_note"]

KEY = "snnlightning"
FORMAT = 1


def note(**content: Any) -> dict[str, str]:
    """Metadata of one node."""
    return {KEY: json.dumps({"format": FORMAT, **content})}


def read_note(where: str, node: Any) -> dict[str, Any]:
    """The note of a node; empty when there is none.

    Raises:
        ConfigurationError: a note that is no JSON object, or of a format that this version does not know.
    """
    metadata = getattr(node, "metadata", None)
    text = metadata.get(KEY) if isinstance(metadata, Mapping) else None
    if text is None:
        return {}
    text = text.decode("utf-8", errors="replace") if isinstance(text, bytes) else str(text)
    try:
        content = json.loads(text)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise ConfigurationError(
            f"{where}: metadata[{KEY!r}] is no JSON object; delete the entry to read the graph as a foreign one."
        )
    if content.get("format") != FORMAT:
        raise ConfigurationError(
            f"{where}: metadata[{KEY!r}] has format {content.get('format')!r} and this version reads {FORMAT}; "
            "use the version that wrote it, or delete the entry."
        )
    return content


def described(thing: Any) -> dict[str, Any]:
    """A frozen record as its class name and its fields."""
    fields = {field.name: getattr(thing, field.name) for field in dataclasses.fields(thing)}
    return {"type": type(thing).__name__, **fields}


def rebuilt(kind: str, package: ModuleType, description: Any, way_out: str) -> Any:
    """The record that ``described`` wrote, from a folder of the package.

    Raises:
        UnknownNameError: the folder has no such thing (a class of the user's, or a later version).
        ConfigurationError: the description does not fit the class.
    """
    if not isinstance(description, dict) or not isinstance(description.get("type"), str):
        raise ConfigurationError(f"the graph's note describes a {kind} as {description!r}; {way_out}.")
    fields = {key: value for key, value in description.items() if key != "type"}
    try:
        cls = naming.named(kind, package, description["type"])
    except UnknownNameError as error:
        raise UnknownNameError(f"{error} The graph was written with it; {way_out}.") from None
    try:
        return cls(**fields)
    except TypeError as error:
        raise ConfigurationError(
            f"the graph's note describes {description['type']} otherwise ({error}); {way_out}."
        ) from None
