"""The page on NIR runs, names every dialect, and its tables say what they claim; the benchmark's NumPy is ours by default."""

import importlib.util
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from snnlightning.interop import DIALECTS, to_nir

pytest.importorskip("nir", minversion="1.0.6")

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "interop.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def bench():
    """``benchmarks/interop.py`` as a module."""
    spec = importlib.util.spec_from_file_location("interop_benchmark", ROOT / "benchmarks" / "interop.py")
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
        yield module


def test_the_pages_script_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    names = {"__name__": "page"}
    for block in blocks:
        exec(compile(block, "docs/interop.md", "exec"), names)
    assert (tmp_path / "net.nir").stat().st_size > 1000
    assert names["again"].names == ("hidden_0", "readout")


def test_every_dialect_has_its_row():
    assert re.findall(r"^\| `(\w+)`[^|]*\| (?:1 - dt|exp)", TEXT, re.MULTILINE) == list(DIALECTS)


def test_the_tables_hold_what_the_page_says_about_them():
    """The way there and back is the same, and every other difference is reproduced by the reader's order."""
    (table,) = re.findall(r"<!-- peers -->\n(.*?)<!-- end -->", TEXT, re.DOTALL)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines() if line.startswith("| ")]
    exports = [row for row in rows if len(row) == 8 and row[0] not in ("network", "---")]
    own = [row for row in exports if row[1].startswith("snnlightning")]
    assert len(own) == 6
    assert all(row[2:5] == ["yes", "0", "0.0 %"] for row in own)
    ran = [row for row in exports if row not in own and row[4]]
    assert len(ran) >= 20
    assert all(row[6] == "yes" or "so the loop is lost" in row[7] for row in ran)
    assert all(row[2] == ("yes" if row[4] == "0.0%" else "no") for row in ran)
    same = {(row[0].partition(" (")[0], row[1].partition(" ")[0]) for row in ran if row[2] == "yes"}
    assert {("LIF, feed-forward, subtract", "spyx"), ("LIF, recurrent, subtract", "spyx")} <= same
    assert ("LIF, convolution and pooling, subtract", "snntorch") in same


@pytest.mark.parametrize("dialect", ["nir", "euler", "norse", "sinabs", "snntorch", "spyx"])
def test_the_benchmarks_numpy_gives_our_spikes_in_our_order_whatever_the_dialect(bench, dialect):
    """Every dialect's numbers, read as its readers read them, are our decays, gains and thresholds."""
    for name, (neuron, recurrent, gain) in bench.NETWORKS.items():
        of_maps = name == bench.MAPS
        shape = bench.MAP if of_maps else (bench.INPUTS,)
        x = (torch.rand(4, 60, *shape, generator=torch.Generator().manual_seed(3)) < 0.08).float()
        net = bench.maps(neuron, gain) if of_maps else bench.network(neuron, recurrent, gain)
        sized = {"input_shape": bench.MAP} if of_maps else {}
        with torch.no_grad():
            ours = net(x).records[-1].output.double().numpy()
        order = bench.Order(reset=neuron.reset)
        assert np.array_equal(
            bench.stepped(to_nir(net, dialect=dialect, **sized), x.double().numpy(), dialect, order), ours
        )
        assert ours.any()


def test_readers_that_are_not_installed_are_said_to_be_so(bench, monkeypatch):
    monkeypatch.setattr(bench, "installed", lambda package: None)
    text = bench.tables()
    readers = len(bench.NETWORKS) * 4 + 4  # snntorch's second row is for the four networks that subtract
    assert text.count("not installed") == readers + 4
    assert " NO |" not in text
