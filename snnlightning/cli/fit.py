"""fit, validate, test, predict: LightningCLI over our modules and any of the user's.

LightningCLI's own rules hold: ``class_path`` and ``init_args``, a short name for every class that is imported, ``optimizer:``
and ``lr_scheduler:`` at the top level. Three things are added: what is wrong is said in one sentence that names the known
keys; nothing is written before the configuration is known to be right and the data to be there; an option is never
guessed from its first letters.
"""

import contextlib
import inspect
import logging
import pydoc
import re
import textwrap
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import lightning.pytorch as L
import torch
import yaml
from jsonargparse import Namespace
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities.model_helpers import is_overridden

from ..data import SpikingDataModule
from ..errors import ConfigurationError, SnnLightningError, nearest
from ..training import SpikingClassifier, SpikingModule

__all__ = ["run"]

_BASES: dict[str, type] = {
    "model": L.LightningModule,
    "data": L.LightningDataModule,
    "optimizer": torch.optim.Optimizer,
    "lr_scheduler": torch.optim.lr_scheduler.LRScheduler,
    "trainer.callbacks": L.Callback,
    "trainer.logger": Logger,
}
"""What a ``class_path`` under a key has to be a subclass of."""

_SPEC = ("class_path", "init_args", "dict_kwargs")
_QUIET = (
    "lightning.fabric.utilities.rank_zero",
    "lightning.pytorch.utilities.rank_zero",
    "lightning.fabric.utilities.seed",
)
_OPEN, _CLOSE = "\N{MATHEMATICAL LEFT WHITE SQUARE BRACKET}", "\N{MATHEMATICAL RIGHT WHITE SQUARE BRACKET}"
"""Around what an inner parser says, so that the outer one finds it in the pile that jsonargparse makes of it."""


def run(arguments: Sequence[str]) -> None:
    """Run one of LightningCLI's subcommands; ``arguments`` start with its name.

    Raises:
        SnnLightningError: an unknown key, a value of the wrong type or out of range, a file that cannot be read.
        KeyboardInterrupt: Ctrl-C; Lightning has shut down by then.
    """
    try:
        with _without_noise():
            _CLI(
                L.LightningModule,
                L.LightningDataModule,
                subclass_mode_model=True,
                subclass_mode_data=True,
                parser_class=_Parser,
                args=list(arguments),
                save_config_callback=_SaveConfig,
                save_config_kwargs={"overwrite": True},
                seed_everything_default=0,
            )
    except MisconfigurationException as error:
        raise ConfigurationError(_line(error)) from error
    except SystemExit as stop:
        if isinstance(stop.__context__, KeyboardInterrupt):  # what Lightning makes of it
            raise KeyboardInterrupt from stop
        if stop.code not in (0, None):
            raise


class _Parser(LightningArgumentParser):
    """LightningCLI's parser, with errors in one sentence that name the nearest known key.

    jsonargparse makes one for the command line and, with ``exit_on_error=False``, one for each class that is configured;
    what those say ends up inside the message of the first one.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("allow_abbrev", False)
        super().__init__(*args, **kwargs)
        self._class: type | None = None

    def add_class_arguments(
        self, theclass: type, nested_key: str | None = None, *args: Any, **kwargs: Any
    ) -> list[str]:
        if nested_key is None:
            self._class = theclass
        added: list[str] = super().add_class_arguments(theclass, nested_key, *args, **kwargs)
        return added

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        text = explain(message, self, self._class)
        if not self.exit_on_error:
            super().error(_OPEN + text + _CLOSE, ex)
        raise ConfigurationError(text) from ex


class _SaveConfig(SaveConfigCallback):
    """Leaves the resolved configuration beside the log; without a logger that would be the current folder, where a
    ``config.yaml`` of the user's may lie."""

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        if trainer.loggers:
            super().setup(trainer, pl_module, stage)


class _CLI(LightningCLI):
    def init_parser(self, **kwargs: Any) -> LightningArgumentParser:
        parser = self.parser_class(prog="snnlightning", **kwargs)
        parser.add_argument("-c", "--config", action="config", help="Path to a configuration file in YAML format.")
        return parser

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        files = [(path, _read(path)) for path in _config_files(args)]
        try:
            self.config = parser.parse_args(args)
        except ValueError as error:
            if isinstance(error, SnnLightningError):
                raise
            raise ConfigurationError(_line(error)) from error
        given = self.config[self.config.subcommand]
        for path, content in files:
            _check_taken(path, "", content, given)
        if given.get("lr_scheduler") and not given.get("optimizer"):
            raise ConfigurationError(
                "lr_scheduler is set and optimizer is not, and LightningCLI schedules the optimizer of the configuration"
                " only; add one, such as --optimizer=Adam --optimizer.lr=0.001."
            )
        _check_checkpoint(given.get("ckpt_path"))

    def instantiate_classes(self) -> None:
        """Build everything; what a constructor refuses is an error of the configuration."""
        try:
            super().instantiate_classes()
        except (ValueError, ImportError) as error:
            raise _refusal(error) from error

    def instantiate_trainer(self, **kwargs: Any) -> L.Trainer:
        """Load the data first: a logger makes its folder as soon as a trainer starts."""
        module = self.datamodule
        if isinstance(module, SpikingDataModule) and not is_overridden("prepare_data", module):
            _ = module.splits
            if isinstance(self.model, SpikingClassifier) and not is_overridden("forward", self.model, SpikingModule):
                _check_sizes(self.model, module)
        return super().instantiate_trainer(**kwargs)


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
        return _unknown_key(unknown[2], known, cls)
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


def _unknown_key(name: str, known: Iterable[str], cls: type | None) -> str:
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
    return f"{owner} has no key {last!r}{_hint(last, siblings)} It has: {', '.join(siblings)}."


def _unknown_class(path: str, key: str, reason: str) -> str:
    """The sentence for a class that is not there, or is not of the kind that a key takes."""
    base = _BASES.get(key, object)
    known = sorted(
        {cls.__name__ for cls in _subclasses(base) if not cls.__name__.startswith(("_", "Abstract", "SaveConfig"))}
    )
    listed = f" Known: {', '.join(known)}; or give the path of your own, module.Class." if known else ""
    if "dot import path" in reason:
        return f"{key}: no class named {path!r}{_hint(path, known)}{listed or ' Give its path, module.Class.'}"
    if "does not correspond to a subclass" in reason:
        return _of_pytorch_lightning(path) or f"{key}: {path} is not a {base.__name__}.{listed}"
    problem = " ".join(reason.partition(":\n")[2].split()) or "it cannot be imported"
    return f"{key}: cannot import {path!r} ({problem}){_hint(path.rpartition('.')[2], known)}{listed}"


def _hint(name: str, known: Iterable[str]) -> str:
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


def _config_files(arguments: Sequence[str]) -> Iterator[Path]:
    """The files that the command line names."""
    for flag, value in zip(arguments, [*arguments[1:], ""], strict=True):
        name = value if flag in ("-c", "--config") else flag.removeprefix("--config=")
        if name and (name != flag) and "://" not in name:
            yield Path(name)


def _read(path: Path) -> Mapping[str, Any]:
    """A configuration file.

    Raises:
        ConfigurationError: no such file, no YAML, no mapping, or arguments beside ``init_args``.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigurationError(f"there is no configuration file {path}.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot read the configuration file {path}: {_line(error)}.") from error
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path} is not YAML: {_line(error)}.") from error
    if not isinstance(content, Mapping):
        raise ConfigurationError(
            f"{path} holds {type(content).__name__}; a mapping with model, data, trainer is expected."
        )
    for name in ("model", "data", "optimizer", "lr_scheduler"):
        part = content.get(name)
        if not isinstance(part, Mapping) or "class_path" not in part:
            continue
        for key in part:
            if key not in _SPEC:
                raise ConfigurationError(
                    f"{path}: {name} has no key {key!r}{_hint(str(key), _SPEC)} Arguments of {part['class_path']} go below"
                    " init_args. It has: class_path, init_args."
                )
    return content


def _check_taken(path: Path, prefix: str, content: Any, taken: Any) -> None:
    """Every key of a file is in the configuration; jsonargparse drops an unknown one with nothing below it (``key: {}``).

    Raises:
        ConfigurationError: an unknown key.
    """
    if isinstance(content, list) and isinstance(taken, list):
        for one, other in zip(content, taken, strict=False):
            _check_taken(path, prefix, one, other)
    if not isinstance(content, Mapping) or not isinstance(taken, Namespace):
        return
    class_path = str(content.get("class_path", "")).rpartition(".")[2]
    if class_path and class_path != str(taken.get("class_path")).rpartition(".")[2]:
        return  # another class was asked for later, and the arguments of this one are gone
    for key, value in content.items():
        name = f"{prefix}{key}"
        if key in taken:
            _check_taken(path, f"{name}.", value, taken[key])
        elif _is_empty(value) and name not in _BASES:
            raise ConfigurationError(f"{path}: {_unknown_key(name, [prefix + known for known in vars(taken)], None)}")


def _is_empty(value: Any) -> bool:
    return isinstance(value, Mapping) and all(_is_empty(below) for below in value.values())


def _check_checkpoint(path: Any) -> None:
    if path is None or str(path) in ("best", "last", "hpc") or "://" in str(path) or str(path).startswith("registry:"):
        return
    if not Path(path).exists():
        raise ConfigurationError(f"there is no checkpoint {path}; --ckpt_path is a file that a fit wrote.")
    if Path(path).is_file():
        try:
            torch.load(path, weights_only=True, map_location="meta")
        except Exception as error:  # torch, pickle and zipfile each have their own
            raise ConfigurationError(
                f"{path} cannot be read as a checkpoint ({_line(error).split('. ')[0][:200]}); --ckpt_path is a file that"
                " a fit wrote."
            ) from error


def _check_sizes(model: SpikingClassifier, module: SpikingDataModule) -> None:
    """Compare the data with what the model was made for.

    Raises:
        ConfigurationError: another number of channels, or fewer classes than the data has.
    """
    name, channels, classes = type(module).__name__, module.in_features, module.num_classes
    given = model.hparams.get("in_features", channels)
    if given != channels:
        raise ConfigurationError(
            f"model.init_args.in_features is {given} and {name} gives {channels} channels; make them equal."
        )
    if model.num_classes < classes:
        raise ConfigurationError(
            f"model.init_args.num_classes is {model.num_classes} and {name} has {classes} classes; make them equal."
        )


def _refusal(error: Exception) -> Exception:
    """What a constructor said, out of the pile: our own errors as they are, bugs in a user's class with their traceback."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, SnnLightningError):
            return cause
        wrapped = str(cause).startswith(("Does not validate against any of the Union", "Problem with given class_path"))
        if not wrapped or cause.__cause__ is None:
            break
        cause = cause.__cause__
    if isinstance(cause, MisconfigurationException | ValueError | ImportError):
        return ConfigurationError(_line(cause))
    return cause if isinstance(cause, Exception) else ConfigurationError(_line(error))


def _line(error: BaseException) -> str:
    """The message of an error in one line."""
    text = " ".join(str(error).split())
    return (text or type(error).__name__).rstrip(".")


@contextlib.contextmanager
def _without_noise() -> Iterator[None]:
    """Without what Lightning says in every run and nobody can act on; everything else is left as it is."""

    def useful(record: logging.LogRecord) -> bool:
        return not re.search(r"litlogger|^Seed set to|^[GT]PU available", record.getMessage())

    loggers = [logging.getLogger(name) for name in _QUIET]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*treespec, LeafSpec", FutureWarning)
        warnings.simplefilter("ignore", DeprecationWarning)  # Lightning's use of jsonargparse; hidden by default anyway
        warnings.filterwarnings("ignore", "The dirpath has changed from", UserWarning)  # each run has its own folder
        warnings.filterwarnings("ignore", ".*configure_optimizers` will be overridden by", UserWarning)
        for logger in loggers:
            logger.addFilter(useful)
        try:
            yield
        finally:
            for logger in loggers:
                logger.removeFilter(useful)
