"""What jsonargparse complains about, as one sentence: what came, what was expected, the nearest known key and all of them."""

import inspect
import pydoc
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import lightning.pytorch as L
import torch
from lightning.pytorch.cli import LightningArgumentParser
from lightning.pytorch.loggers import Logger

from ..errors import nearest

__all__ = ["BASES", "enclosed", "explain", "hint", "line", "unknown_key"]

BASES: dict[str, type] = {
    "model": L.LightningModule,
    "data": L.LightningDataModule,
    "optimizer": torch.optim.Optimizer,
    "lr_scheduler": torch.optim.lr_scheduler.LRScheduler,
    "trainer.callbacks": L.Callback,
    "trainer.logger": Logger,
}
"""What a ``class_path`` under a key has to be a subclass of."""

_OPEN, _CLOSE = "\N{MATHEMATICAL LEFT WHITE SQUARE BRACKET}", "\N{MATHEMATICAL RIGHT WHITE SQUARE BRACKET}"
"""Around what an inner parser says, so that the outer one finds it in the pile that jsonargparse makes of it."""


def enclosed(text: str) -> str:
    """A sentence marked so that an outer parser's complaint can be searched for it."""
    return _OPEN + text + _CLOSE


def explain(message: str, parser: LightningArgumentParser, cls: type | None = None) -> str:
    """A parser's complaint as one sentence: what came, what was expected, the nearest known key and all known ones.

    Args:
        message: what jsonargparse 4.35 to 4.53 says; anything else is passed on as one line.
        parser: whose keys are known.
        cls: the class whose arguments are parsed, None at the top level.
    """
    if inner := re.findall(f"{_OPEN}([^{_OPEN}{_CLOSE}]*){_CLOSE}", message):
        return " ".join(str(inner[0]).split())
    key, reason = _innermost(message)
    known = _known(parser)
    owner = "" if cls is None else f"{cls.__name__}: "
    if unknown := re.search(
        r"(?:^Option|^Key|accept option|unrecognized arguments:) ['\"]?(--)?([\w.+-]+)(?:['\"=\s]|$)", reason
    ):
        if unknown[1] is None and "unrecognized" in reason:
            return f"unexpected argument {unknown[2]!r}; options start with --, such as --config FILE."
        return unknown_key(unknown[2], known, cls)
    if required := re.search(r"arguments are required: (.*)", reason):
        missing = ", ".join(name.rpartition(".")[2] for name in required[1].split(", "))
        where = "give it in the configuration (--config FILE) or on the command line."
        return f"{owner}{missing} is missing; {where}" if cls else f"no {missing.replace(', ', ' and no ')}; {where}"
    if cls_path := re.search(r"(?:dot import path string: |given class_path ['\"]|Import path )([^\s'\"]+)", reason):
        return _unknown_class(cls_path[1], key, reason)
    return owner + " ".join(f"{key}: {reason}".split() if key and not reason.startswith(key) else reason.split())


def _innermost(message: str) -> tuple[str, str]:
    """The key and the one reason that matters in jsonargparse's pile of 'does not validate against any of'."""
    key = ""
    text = message
    while True:
        if prefix := re.match(r"Parser key \"([^\"]+)\":\s*", text):
            key = prefix[1]
            text = textwrap.dedent(_indent_first(text[prefix.end() :]))
        if not text.startswith("Does not validate against any of the Union subtypes"):
            break
        head, _, tail = text.partition("\nErrors:\n")
        block, _, value = tail.rpartition("\nGiven value type:")
        reasons = [part.strip("\n") for part in re.split(r"(?:^|\n)  - ", block) if part.strip()]
        telling = [
            r for r in reasons if not r.startswith(("Expected a <", "Expected a typing.", "Not a valid subclass"))
        ]
        of_a_class = [r for r in telling if "does not correspond to a subclass" not in r]
        if not telling:
            return key, f"{key} is {_quoted(value.partition('Given value: ')[2])}; {_types(head)} is expected."
        text = textwrap.dedent(_indent_first((of_a_class or telling)[0]))
    if wrong := re.match(r"Expected a (<class '[^']+'>|[\w.\[\], |]+)\. Got value: (.*)", text, re.DOTALL):
        return key, f"{key} is {_quoted(wrong[2])}; {_types(wrong[1])} is expected."
    return key, text


def _indent_first(text: str) -> str:
    """The first line indented as the second one is, so that both can be dedented together."""
    lines = text.split("\n")
    rest = [line for line in lines[1:] if line.strip()]
    return " " * min((len(line) - len(line.lstrip()) for line in rest), default=0) + text


def _quoted(value: str) -> str:
    value = " ".join(value.split())
    return value if value[:1] in "[{(" else repr(value)


def _types(text: str) -> str:
    """``[<class 'int'>, <class 'NoneType'>]`` as ``int or null``."""
    names = text.partition("Subtypes: ")[2].strip().removeprefix("[").removesuffix("]") or text
    names = re.sub(r"<class '([\w.]+)'>", r"\1", names).replace("NoneType", "null")
    names = re.sub(r"\b(?:\w+\.)+(\w+)", r"\1", names)
    depth, parts = 0, [""]
    for letter in names:
        depth += (letter in "[(") - (letter in "])")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return " or ".join(part.strip() for part in parts)


def unknown_key(name: str, known: Iterable[str], cls: type | None) -> str:
    """The sentence for a key nobody has: its neighbours are those that share the longest part before the last dot."""
    name = name.removesuffix("+")
    prefix, _, last = name.rpartition(".")
    known = set(known)
    while True:
        start = f"{prefix}." if prefix else ""
        siblings = sorted({key.removeprefix(start).split(".")[0] for key in known if key.startswith(start)})
        if siblings or not prefix:
            break
        prefix, _, last = prefix.rpartition(".")
    owner = cls.__name__ if cls else prefix or "snnlightning"
    return f"{owner} has no key {last!r}{hint(last, siblings)} It has: {', '.join(siblings)}."


def _unknown_class(path: str, key: str, reason: str) -> str:
    """The sentence for a class that is not there, or is not of the kind that a key takes."""
    base = BASES.get(key, object)
    known = sorted(
        {cls.__name__ for cls in _subclasses(base) if not cls.__name__.startswith(("_", "Abstract", "SaveConfig"))}
    )
    listed = f" Known: {', '.join(known)}; or give the path of your own, module.Class." if known else ""
    if "dot import path" in reason:
        return f"{key}: no class named {path!r}{hint(path, known)}{listed or ' Give its path, module.Class.'}"
    if "does not correspond to a subclass" in reason:
        return _of_pytorch_lightning(path) or f"{key}: {path} is not a {base.__name__}.{listed}"
    problem = " ".join(reason.partition(":\n")[2].split()) or "it cannot be imported"
    return f"{key}: cannot import {path!r} ({problem}){hint(path.rpartition('.')[2], known)}{listed}"


def hint(name: str, known: Iterable[str]) -> str:
    """The end of a sentence: ``; did you mean 'x'?`` or a full stop; the case of the letters does not matter."""
    by_lower = {entry.lower(): entry for entry in known}
    hint = re.sub(r"'(.+)'", lambda match: repr(by_lower[match[1]]), nearest(name, by_lower))
    return f";{hint}" if hint else "."


def _of_pytorch_lightning(path: str) -> str | None:
    """What to say when a class is built on the other package that contains Lightning; None when it is not."""
    try:
        cls = pydoc.locate(path)
    except pydoc.ErrorDuringImport:
        return None
    if not inspect.isclass(cls) or not any(base.__module__.startswith("pytorch_lightning") for base in cls.__mro__):
        return None
    return (
        f"{path} is built on pytorch_lightning, and snnlightning on lightning.pytorch: two packages whose classes do not"
        " mix. Write `import lightning.pytorch as pl` where it says `import pytorch_lightning as pl`, and"
        " lightning.pytorch in class paths."
    )


def _subclasses(cls: type) -> Iterator[type]:
    children: list[type] = [] if cls is object else cls.__subclasses__()
    for child in children:
        if not inspect.isabstract(child):
            yield child
        yield from _subclasses(child)


def _known(parser: Any) -> list[str]:
    """Every key of a parser, below its subcommand when it has any."""
    keys = []
    for action in parser._actions:
        if isinstance(choices := action.choices, Mapping) and all(hasattr(c, "_actions") for c in choices.values()):
            command = next(iter(getattr(parser, "args", None) or ()), None)
            keys += _known(choices[command]) if command in choices else []
        elif action.dest and not action.dest.endswith(("help", "print_shtab")):
            keys.append(action.dest)
    return keys


def line(error: BaseException) -> str:
    """The message of an error in one line."""
    text = " ".join(str(error).split())
    return (text or type(error).__name__).rstrip(".")
