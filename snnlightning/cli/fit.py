"""fit, validate, test, predict: LightningCLI over our modules and any of the user's."""

import re
from collections.abc import Sequence
from typing import Any, NoReturn

import lightning.pytorch as L
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from .. import data, training  # noqa: F401  (so that configurations may say DigitsDataModule without its path)
from ..errors import ConfigurationError, nearest

__all__ = ["run"]


class _Parser(LightningArgumentParser):
    """LightningCLI's parser, with errors in one sentence that name the nearest known key."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        raise ConfigurationError(explain(message, self)) from ex


class _CLI(LightningCLI):
    def init_parser(self, **kwargs: Any) -> LightningArgumentParser:
        parser = _Parser(**kwargs)
        parser.add_argument("-c", "--config", action="config", help="Path to a configuration file in YAML format.")
        return parser


def run(arguments: Sequence[str]) -> None:
    """Run one of LightningCLI's subcommands; ``arguments`` start with its name.

    Raises:
        ConfigurationError: an unknown key, a value of the wrong type, a file that cannot be read.
    """
    _CLI(
        L.LightningModule,
        L.LightningDataModule,
        subclass_mode_model=True,
        subclass_mode_data=True,
        args=list(arguments),
        save_config_kwargs={"overwrite": True},
        seed_everything_default=0,
    )


def explain(message: str, parser: LightningArgumentParser) -> str:
    """A parser's complaint without its stack of prefixes, with the keys that it would have known."""
    text = " ".join(message.split())
    unknown = re.search(r"(?:[Kk]ey|[Oo]ption|accept.*?|arguments:) ['\"]?(?:--)?([\w.]+)['\"]?(?: is not expected|$)", text)
    if unknown is None:
        return text
    return text + nearest(unknown.group(1), _known(parser))


def _known(parser: Any) -> list[str]:
    return [action.dest for action in parser._actions if action.dest]
