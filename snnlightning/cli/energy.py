"""``snnlightning energy``: what a trained network costs on named chips, by its exact counts, with sources."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from ..errors import ConfigurationError, StudyError, require
from ..hardware import Band, Estimate, Profile, load
from ..metrics import SynOpsCounts
from ..study.files import write_json
from ..study.loading import configuration_of, file_sha256, load_data, load_network
from ..study.versions import versions
from ..training import Measurement, measure
from ..units import format_count

__all__ = ["run_energy_command"]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigurationError(f"{message}; see `{self.prog} --help`.")


def run_energy_command(arguments: Sequence[str]) -> int:
    """``snnlightning energy CHECKPOINT --data CONFIG --profile NAME [--profile NAME ...]``; returns the exit status.

    Raises:
        SnnLightningError: a checkpoint, configuration or profile that cannot be used.
    """
    parser = _Parser(
        prog="snnlightning energy",
        description="Count what a trained network does with its data, and price it on named chips.",
    )
    parser.add_argument("checkpoint", type=Path, help="a checkpoint (.ckpt), or the folder that `study export` made")
    parser.add_argument(
        "--data",
        type=Path,
        metavar="CONFIG",
        help="YAML file whose data is used; default: config.yaml beside CHECKPOINT",
    )
    parser.add_argument(
        "--profile", action="append", metavar="NAME", required=True,
        help="a chip; as often as you like (`snnlightning profiles` lists them; or a TOML file of your own)",
    )  # fmt: skip
    parser.add_argument("--split", choices=("test", "val"), default="test", help="default: test")
    parser.add_argument("--dt-ms", type=float, help="time step of the data; default: as the data module says")
    parser.add_argument(
        "--paced", action="store_true", help="chips wait for the data at every step, as on a live sensor"
    )
    parser.add_argument("--json", action="store_true", help="plain JSON on the terminal instead of tables")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write the JSON to a file as well")
    options = parser.parse_args(list(arguments))
    profiles = [load(name) for name in dict.fromkeys(options.profile)]
    checkpoint = options.checkpoint / "best.ckpt" if options.checkpoint.is_dir() else options.checkpoint
    config = configuration_of(checkpoint, options.data)
    model = load_network(checkpoint, config)
    data = load_data(config, options.data or checkpoint.parent / "config.yaml")
    measured = measure(model, data, options.split)
    estimates = [measured.estimate(profile, dt_ms=options.dt_ms, paced=options.paced) for profile in profiles]
    result = {
        "checkpoint": {"file": str(checkpoint), "sha256": file_sha256(checkpoint)},
        **measured.as_dict(),
        "estimates": [estimate.as_dict() for estimate in estimates],
        "versions": versions(),
    }
    if options.output is not None:
        try:
            options.output.parent.mkdir(parents=True, exist_ok=True)
            write_json(options.output, result)
        except OSError as error:
            raise StudyError(f"{options.output}: {error.strerror or error}; choose another -o.") from None
    if options.json:
        print(json.dumps(result, indent=2))
        return 0
    _Page(checkpoint).show(measured, list(zip(profiles, estimates, strict=True)))
    return 0


class _Page:
    """The tables of one network."""

    def __init__(self, checkpoint: Path) -> None:
        purpose = "The tables of an estimate"
        self.console = require("rich.console", "study", purpose).Console()
        self.tables = require("rich.table", "study", purpose)
        self.box = require("rich.box", "study", purpose).SIMPLE
        self.escape = require("rich.markup", "study", purpose).escape
        self.checkpoint = checkpoint

    def show(self, measured: Measurement, priced: Sequence[tuple[Profile, Estimate]]) -> None:
        counts = measured.counts
        self._say(
            f"{self.checkpoint}: accuracy {100 * measured.accuracy:.1f} % on {counts.samples} samples of the {measured.split} "
            f"split; T = {measured.steps} steps" + (f" of {measured.dt_ms:g} ms" if measured.dt_ms else "")
        )
        self._connections(counts)
        self._layers(counts)
        self._say(
            f"{counts.spikes_per_synapse:.3g} operations per synapse and sample; sparsity of outputs "
            f"{counts.activation_sparsity:.1%}, of weights {counts.connection_sparsity:.1%}, of messages "
            f"{counts.message_sparsity:.1%}; footprint {format_count(measured.footprint.total)}B\n"
        )
        self._say(f"{_placed(measured)}\n")
        self._chips(priced)
        sources: dict[str, int] = {}
        for profile, estimate in priced:
            self._chip(profile, estimate, sources)
        self._say("\nsources")
        for source, number in sources.items():
            self._say(f"{number:3d}  {source}")

    def _connections(self, counts: SynOpsCounts) -> None:
        columns = ("connection", "synapses", "events", "synaptic operations", "share", "MACs")
        table = self._table("Counts per sample", columns)
        for name, synops in counts.by_connection.items():
            share = f"{synops / counts.total:.1%}" if counts.total else "-"
            numbers = (counts.synapses[name], counts.events[name], synops)
            self._row(table, name, *map(_count, numbers), share, _count(counts.macs_by_connection[name]))
        everything = (sum(counts.synapses.values()), sum(counts.events.values()), counts.total)
        self._row(table, "all", *map(_count, everything), "", _count(counts.macs))
        self.console.print(table)

    def _layers(self, counts: SynOpsCounts) -> None:
        columns = ("layer", "neuron updates", "with input", "spikes", "synaptic operations")
        table = self._table("", columns)
        for name, updates in counts.updates.items():
            spikes = _count(counts.spikes[name]) if name in counts.spikes else "-"
            active = counts.active_updates[name]
            self._row(table, name, _count(updates), _count(active), spikes, _count(counts.by_layer.get(name, 0.0)))
        self.console.print(table)

    def _chips(self, priced: Sequence[tuple[Profile, Estimate]]) -> None:
        columns = ("dynamic", "static", "host", "all-in", "priced", "latency")
        bands = [(e.dynamic_uj, e.static_uj, e.host_uj, e.all_in_uj, e.priced_uj, e.latency_ms) for _, e in priced]
        # A column that no chip fills would take the room of the names.
        shown = [at for at in range(len(columns)) if any(row[at] is not None for row in bands)]
        title = "Energy in uJ and latency in ms per sample, nominal"
        table = self._table(title, ("profile", *(columns[at] for at in shown), "fits"))
        for (profile, e), row in zip(priced, bands, strict=True):
            numbers = ["-" if (band := row[at]) is None else f"{band.nominal:.3g}" for at in shown]
            self._row(table, profile.name, *numbers, {True: "yes", False: "NO", None: "unchecked"}[e.fits])
        self.console.print(table)

    def _chip(self, profile: Profile, estimate: Estimate, sources: dict[str, int]) -> None:
        self._say(f"\n{profile.name}: {profile.chip}, {profile.summary}")
        table = self._table("", ("term", "count", "price in pJ", "energy in uJ"))
        for term in estimate.terms:
            self._row(table, term.name, _count(term.count), f"{term.price_pj.nominal:.4g}", _band(term.energy_uj))
        whole = ("dynamic", "static", "host", "all_in", "priced")
        for name in whole:
            band: Band | None = getattr(estimate, f"{name}_uj")
            if band is not None:
                self._row(table, name.replace("_", "-"), "", "", _band(band))
        if estimate.latency_ms is not None:
            self._row(table, "latency in ms", "", "", _band(estimate.latency_ms))
        if table.row_count:
            self.console.print(table)
        layers = [f"{layer} {band.nominal:.4g}" for layer, band in estimate.by_layer_uj.items()]
        for words, things in (
            ("terms by layer in uJ", layers),
            ("does not fit, and more chips do not help", [*map(str, estimate.walls)]),
            ("does not fit on one chip, or in the time", [*map(str, estimate.budgets)]),
            ("unchecked, the profile does not say", estimate.unchecked),
            ("not priced", estimate.not_priced),
            ("notes", estimate.notes),
        ):
            if things:
                self._say(f"  {words}: {'; '.join(things)}")
        numbers = [str(sources.setdefault(source, len(sources) + 1)) for source in estimate.sources]
        self._say(f"  sources: {', '.join(numbers) or 'none, as nothing is priced'}")

    def _table(self, title: str, columns: Sequence[str]) -> Any:
        """Where it is too wide, names are broken and numbers are not."""
        table = self.tables.Table(
            title=title or None, title_justify="left", header_style="bold", box=self.box, collapse_padding=True
        )
        for number, column in enumerate(columns):
            table.add_column(column, justify="right" if number else "left", overflow="fold", no_wrap=bool(number))
        return table

    def _row(self, table: Any, *cells: str) -> None:
        table.add_row(*map(self.escape, cells))

    def _say(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False)


def _placed(measured: Measurement) -> str:
    """At which precision the network is placed, and whether it was measured at it."""
    network, floating = measured.network, measured.floating
    widths = {matrix.name: network.bits_of(matrix) for matrix in network.synapses}
    same = len({*widths.values()}) == 1
    weights = str(next(iter(widths.values()))) if same else ", ".join(f"{name} {bits}" for name, bits in widths.items())
    said = f"placed with {weights} bits per weight and {network.state_bits} per variable"
    if not floating:
        return f"{said}, as it ran"
    return (
        f"{said}; {' and '.join(floating)} ran in float, so accuracy and counts are not those of a chip (set quantization: of "
        "the model to its profile)"
    )


def _count(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 or number == int(number) else f"{number:.3g}"


def _band(band: Band | None) -> str:
    if band is None:
        return "-"
    if band.low == band.nominal == band.high:
        return f"{band.nominal:.4g}"
    return f"{band.nominal:.4g} ({band.low:.3g} to {band.high:.3g})"
