"""From what a configuration says to a rule of credit assignment."""

from collections.abc import Mapping
from typing import Any, cast

from .. import learning
from ..errors import ConfigurationError
from ..learning import AbstractRule
from ..naming import build, named

__all__ = ["build_rule"]


def build_rule(value: AbstractRule | Mapping[str, Any] | str) -> AbstractRule:
    """A rule from plain values.

    Args:
        value: a record, the name of a rule, or a mapping with ``rule`` and the rule's arguments.

    Raises:
        ConfigurationError: no ``rule`` in the mapping, an argument that the rule does not have, one out of range.
        UnknownNameError: no rule of this name.

    Example:
        >>> build_rule({"rule": "truncated_bptt", "steps": 25})
        TruncatedBPTT(steps=25, update_each_window=False)
    """
    if isinstance(value, AbstractRule):
        return value
    if isinstance(value, str):
        value = {"rule": value}
    if not isinstance(value, Mapping) or "rule" not in value:
        raise ConfigurationError(
            f"learning is {value!r}; the name of a rule, or a mapping with 'rule' and its arguments, is expected: "
            "'bptt', {'rule': 'truncated_bptt', 'steps': 25}."
        )
    arguments = {key: argument for key, argument in value.items() if key != "rule"}
    return cast(AbstractRule, build(named("learning rule", learning, value["rule"]), arguments))
