"""Tables of ``docs/hardware.md`` from the data: ``python -m snnlightning.hardware.docs docs/hardware.md`` writes them anew.

The page's prose stays as it is; what stands between ``<!-- profiles -->`` and ``<!-- end -->`` (and the same for
``validation``) is replaced.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from ..errors import DataError
from .loading import available, load
from .profile import Coefficient, Profile
from .validation import Measured, validate

__all__ = [
    "evidence_of",
    "main",
    "model_of",
    "prices_of",
    "profiles_table",
    "ratio_of",
    "reference_of",
    "updated",
    "validation_table",
]

_SHORT = {"_pj": " pJ", "_mw": " mW", "_ns": " ns"}


def prices_of(profile: Profile) -> str:
    """Energies and powers in short: name, value, band where it has one; times of the latency by their number.

    Example:
        >>> prices_of(load("kerasspiking_loihi"))
        'synop 27.1 pJ, neuron_access 81 pJ'
    """
    prices = [_price(c) for c in profile.coefficients.values() if c.scope != "time"]
    times = len(profile.coefficients) - len(prices)
    return ", ".join([*prices, *([f"{times} times"] if times else [])]) or "none"


def evidence_of(profile: Profile) -> str:
    """Kinds of evidence with how they were read, most frequent first."""
    kinds = [f"{c.evidence} ({c.reading})" for c in profile.coefficients.values()]
    return ", ".join(sorted(dict.fromkeys(kinds), key=kinds.count, reverse=True)) or "none"


def model_of(row: Measured) -> str:
    """Ends of the model; one number when they are the same."""
    return _ends(*(_digits(end) for end in (row.model_low, row.model_high)))


def ratio_of(row: Measured) -> str:
    """Ends of model / reference."""
    return _ends(*(f"{end:.2f}" if row.ratio[0] >= 0.1 else f"{end:.3f}" for end in row.ratio))


def reference_of(row: Measured) -> str:
    """The published value with its unit."""
    return f"{_digits(row.reference)} {row.quantity.rpartition('_')[2].replace('uj', 'uJ').replace('mw', 'mW')}"


def profiles_table() -> str:
    """One line per profile, Markdown."""
    lines = ["| profile | chip | prices | evidence (how it was read) | sources |", "| --- | --- | --- | --- | --- |"]
    for profile in map(load, available()):
        chip = profile.chip + (" (yardstick)" if profile.baseline else "")
        used = dict.fromkeys(profile.sources[c.source] for c in profile.coefficients.values())
        lines.append(
            f"| `{profile.name}` | {chip} | {prices_of(profile)} | {evidence_of(profile)} | {'; '.join(used)} |"
        )
    return "\n".join(lines) + "\n"


def validation_table() -> str:
    """One line per measurement, Markdown."""
    lines = [
        "| case | chip | reference | model | model / reference | verdict | what it tests | source |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in validate():
        verdict = row.verdict.replace("miss", "**miss**") + (f" ({', '.join(row.marks)})" if row.marks else "")
        lines.append(
            f"| {row.case} | {row.chip} | {reference_of(row)} ({row.reference_kind}) | {model_of(row)} | "
            f"{ratio_of(row)} | {verdict} | {row.tests} | {row.source} ({row.reading}) |"
        )
    return "\n".join(lines) + "\n"


def updated(page: str) -> str:
    """The page with its tables made anew.

    Raises:
        DataError: the page has no place for one of them.
    """
    for name, table in (("profiles", profiles_table()), ("validation", validation_table())):
        before, mark, rest = page.partition(f"<!-- {name} -->\n")
        _, end, after = rest.partition("<!-- end -->")
        if not end:
            raise DataError(f"the page has no block <!-- {name} --> ... <!-- end -->.")
        page = before + mark + table + end + after
    return page


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the tables into a page; returns the exit status.

    Raises:
        DataError: no page, or one without places for the tables.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if len(arguments) != 1 or not Path(arguments[0]).is_file():
        raise DataError(f"{' '.join(arguments) or 'nothing'} is no page; docs/hardware.md is expected.")
    page = Path(arguments[0])
    page.write_text(updated(page.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


def _price(coefficient: Coefficient) -> str:
    name, unit = coefficient.name, ""
    for suffix, words in _SHORT.items():
        if name.endswith(suffix):
            name, unit = name.removesuffix(suffix), words
            break
    band = (
        f" ({_digits(coefficient.low, 3)}-{_digits(coefficient.high, 3)})" if coefficient.low < coefficient.high else ""
    )
    return f"{name} {_digits(coefficient.value)}{band}{unit}"


def _ends(first: str, last: str) -> str:
    return first if first == last else f"{first} to {last}"


def _digits(value: float, digits: int = 4) -> str:
    return f"{float(f'{value:.{digits}g}'):,.10g}"


if __name__ == "__main__":
    sys.exit(main())
