"""Words: numbers, names and units as a reader wants them."""

from collections.abc import Iterable, Sequence

__all__ = ["axis_label", "brief", "listed", "noun", "short_names", "show"]

NOUNS = {
    "accuracy": "accuracy",
    "synops": "synaptic operations per sample",
    "macs": "multiply-accumulates per sample",
    "neuron_updates": "neuron updates per sample",
    "spikes": "spikes per sample",
    "footprint_bytes": "footprint (bytes)",
    "val_accuracy": "validation accuracy",
    "val_loss": "validation loss",
    "train_loss": "training loss",
}
BRIEF = {"synops": "SynOps", "macs": "MACs"}
UNITS = {
    "pj": "pJ", "nj": "nJ", "uj": "µJ", "mj": "mJ", "ms": "ms", "us": "µs", "s": "s", "mw": "mW", "w": "W", "hz": "Hz"
}  # fmt: skip


def noun(name: str) -> str:
    """The name of a quantity in words, with the unit that ends it.

    Example:
        >>> noun("synops"), noun("energy_nj"), noun("parameters")
        ('synaptic operations per sample', 'energy (nJ)', 'parameters')
        >>> noun("energy_pj@davies2018_loihi")
        'energy (pJ) on davies2018_loihi'
    """
    quantity, _, chip = name.partition("@")
    if chip:
        return f"{noun(quantity)} on {chip}"
    if name in NOUNS:
        return NOUNS[name]
    stem, _, unit = name.rpartition("_")
    if stem and unit in UNITS:
        return f"{stem.replace('_', ' ')} ({UNITS[unit]})"
    return name.replace("_", " ")


def brief(name: str) -> str:
    """The name of a quantity where there is room for one word."""
    return BRIEF.get(name) or noun(name)


def axis_label(name: str, split: str = "validation") -> str:
    """The title of an objective's axis.

    Example:
        >>> axis_label("accuracy"), axis_label("synops")
        ('validation accuracy', 'synaptic operations per sample (validation)')
    """
    return f"{split} {noun(name)}" if name in {"accuracy", "loss"} else f"{noun(name)} ({split})"


def show(value: object) -> str:
    """A value of a file as text: four significant digits, and thousands in groups.

    Example:
        >>> show(0.96512), show(31622.8), show(3.0), show("lif"), show(None), show(1e-05)
        ('0.9651', '31,623', '3', 'lif', '–', '1e-05')
    """
    if value is None:
        return "–"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if abs(value) >= 1e9:
        return f"{value:.4g}"
    if abs(value) >= 1000 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.4g}"


def listed(numbers: Iterable[int], limit: int = 24) -> str:
    """Trial numbers in a line, the rest counted.

    Example:
        >>> listed([1, 2, 3], limit=2)
        '1, 2 and 1 more'
    """
    numbers = list(numbers)
    line = ", ".join(str(number) for number in numbers[:limit])
    return line if len(numbers) <= limit else f"{line} and {len(numbers) - limit} more"


def short_names(names: Sequence[str]) -> dict[str, str]:
    """The shortest ends of dotted names that still tell them apart; an element of a list keeps the name of the list.

    Example:
        >>> short_names(["model.surrogate", "data.width", "model.width", "model.sizes.0"])
        {'model.surrogate': 'surrogate', 'data.width': 'data.width', 'model.width': 'model.width', 'model.sizes.0': 'sizes.0'}
    """

    def end(name: str, parts: int) -> str:
        return ".".join(name.split(".")[-parts:])

    short = {}
    for name in names:
        least = 2 if "." in name and name.rpartition(".")[2].isdigit() else 1
        for parts in range(least, name.count(".") + 2):
            if sum(end(other, parts) == end(name, parts) for other in names) == 1:
                break
        short[name] = end(name, parts)
    return short
