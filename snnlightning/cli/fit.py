"""fit, validate, test, predict: LightningCLI over our modules and any of the user's.

LightningCLI's own rules hold: ``class_path`` and ``init_args``, a short name for every class that is imported, ``optimizer:``
and ``lr_scheduler:`` at the top level. Three things are added: what is wrong is said in one sentence that names the known
keys; nothing is written before the configuration is known to be right and the data to be there; an option is never
guessed from its first letters.
"""

import contextlib
import logging
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import lightning.pytorch as L
import torch
import yaml
from jsonargparse import Namespace
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from lightning.pytorch.utilities.model_helpers import is_overridden

from ..data import SpikingDataModule
from ..errors import ConfigurationError, SnnLightningError
from ..training import SpikingClassifier, SpikingModule
from .explain import BASES, enclosed, explain, hint, line, unknown_key

__all__ = ["run"]

_SPEC = ("class_path", "init_args", "dict_kwargs")
_QUIET = (
    "lightning.fabric.utilities.rank_zero",
    "lightning.pytorch.utilities.rank_zero",
    "lightning.fabric.utilities.seed",
)


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
        raise ConfigurationError(line(error)) from error
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
            super().error(enclosed(text), ex)
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
            raise ConfigurationError(line(error)) from error
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
        raise ConfigurationError(f"cannot read the configuration file {path}: {line(error)}.") from error
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path} is not YAML: {line(error)}.") from error
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
                    f"{path}: {name} has no key {key!r}{hint(str(key), _SPEC)} Arguments of {part['class_path']} go below"
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
        elif _is_empty(value) and name not in BASES:
            raise ConfigurationError(f"{path}: {unknown_key(name, [prefix + known for known in vars(taken)], None)}")


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
                f"{path} cannot be read as a checkpoint ({line(error).split('. ')[0][:200]}); --ckpt_path is a file that"
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
        return ConfigurationError(line(cause))
    return cause if isinstance(cause, Exception) else ConfigurationError(line(error))


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
