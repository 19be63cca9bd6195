"""The tables of ``docs/neurons.md`` from the code: ``python -m snnlightning.recipes._page docs`` writes them anew.

The page's prose stays as it is; what stands between ``<!-- neurons -->`` and ``<!-- end -->`` is replaced, and so on for each kind.
"""

import dataclasses
import inspect
import re
import sys
from pathlib import Path
from types import ModuleType

from .. import distributions, encoders, firing, initializers, losses, neurons, readouts, recipes
from ..naming import available
from ..neurons import AbstractNeuron, AbstractSpikingNeuron

__all__ = ["KINDS", "table", "updated"]

KINDS: dict[str, ModuleType] = {
    "neurons": neurons,
    "firing": firing,
    "distributions": distributions,
    "initializers": initializers,
    "recipes": recipes,
    "encoders": encoders,
    "readouts": readouts,
    "losses": losses,
}


def table(kind: str) -> str:
    """One line per thing of a kind, Markdown: name, formula, parameters with their defaults, source."""
    extra = ["state"] if kind == "neurons" else []
    columns = [kind, "formula" if kind != "recipes" else "what it sets", "parameters", *extra, "source"]
    lines = [f"| {' | '.join(columns)} |", "| --- " * len(columns) + "|"]
    for name, cls in sorted(available(KINDS[kind]).items()):
        text = inspect.getdoc(cls) or ""
        cells = [f"`{name}`", _one_line(text.split("\n\n")[0]), _parameters(cls)]
        if issubclass(cls, AbstractNeuron):
            cells.append(", ".join(cls().state_names))
        lines.append(f"| {' | '.join([*cells, _section(text, 'Source')])} |")
    return "\n".join(lines)


def updated(page: str) -> str:
    """The page with the tables that the code says."""
    for kind in KINDS:
        begin, rest = page.split(f"<!-- {kind} -->\n", 1)
        _, after = rest.split("<!-- end -->", 1)
        page = f"{begin}<!-- {kind} -->\n\n{table(kind)}\n\n<!-- end -->{after}"
    return page


def _parameters(cls: type) -> str:
    """Fields of the class's own, with their defaults; what all of a kind share is in the prose."""
    shared = {f.name for f in dataclasses.fields(AbstractSpikingNeuron)} if issubclass(cls, AbstractNeuron) else set()
    parts = []
    for field in dataclasses.fields(cls):
        if field.name in shared - ({"reset"} if field.name in cls.__dict__ else set()):
            continue
        parts.append(f"{field.name}" if field.default is dataclasses.MISSING else f"{field.name}={field.default!r}")
    return f"`{', '.join(parts)}`" if parts else ""


def _section(text: str, name: str) -> str:
    found = re.search(rf"^{name}: (.*?)(?=\n\n|\n\w+:|\Z)", text, flags=re.DOTALL | re.MULTILINE)
    return _one_line(found[1]) if found else ""


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("``", "`")


def main(folder: str) -> None:
    """Write the page in this folder anew."""
    page = Path(folder) / "neurons.md"
    page.write_text(updated(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
