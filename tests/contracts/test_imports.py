"""The house: imports point down, neighbours on a floor do not import each other, and the top is lazy.

Floor 0 is read as three steps: ``errors`` at the bottom, because the others raise them; ``events``, a type that ``typing``
speaks of; then ``typing``, ``units`` and ``naming``. The top-level ``__init__`` is exempt: it imports nothing until a name is used.
"""

import ast
import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

import snnlightning

ROOT = Path(snnlightning.__file__).parent
FLOORS = (
    ("errors",),
    ("events",),
    ("typing", "units", "naming"),
    ("distributions",),
    ("scan", "neurons", "surrogates", "firing", "encoders", "readouts", "losses", "regularizers", "initializers", "pareto"),
    ("learning", "recipes"),
    ("layers", "metrics", "hardware"),
    ("training", "data", "interop"),
    ("study", "tracking", "report"),
    ("cli",),
    ("__main__",),
)  # fmt: skip
FLOOR_OF = {name: floor for floor, names in enumerate(FLOORS) for name in names}
OPTIONAL = ("optuna", "wandb", "plotly", "sklearn", "h5py", "rich", "nir", "numba")


def imported(source: str, module: str, is_package: bool) -> set[str]:
    """Rooms of the house (``neurons``, ``study``) that a module's text imports, wherever in it the import stands.

    Args:
        source: text of the module.
        module: its dotted name below the package, such as ``layers.spiking_layer``; "" for the package itself.
        is_package: whether it is an ``__init__``.
    """
    parts = module.split(".") if module else []
    found = set()
    for node in ast.walk(ast.parse(source)):
        targets: list[list[str]] = []
        if isinstance(node, ast.Import):
            targets = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = (node.module or "").split(".") if node.module else []
            if node.level:
                here = parts if is_package else parts[:-1]
                base = ["snnlightning", *here[: len(here) - node.level + 1], *base]
            targets = [[*base, alias.name] for alias in node.names]
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in ("import_module", "__import__") and isinstance(node.args[0].value, str):
                targets = [node.args[0].value.split(".")]
        found |= {target[1] for target in targets if target[0] == "snnlightning" and len(target) > 1}
    return found


def wrong_arrows(source: str, module: str, is_package: bool = False) -> list[str]:
    """Imports of one module that run up or sideways."""
    room = module.split(".", maxsplit=1)[0]
    return [
        f"{module} imports {other}: {'sideways' if FLOOR_OF[other] == FLOOR_OF[room] else 'up'}"
        for other in sorted(imported(source, module, is_package) - {room})
        if FLOOR_OF.get(other, -1) >= FLOOR_OF[room]
    ]


def modules() -> dict[str, tuple[Path, bool]]:
    found = {}
    for file in sorted(ROOT.rglob("*.py")):
        parts = list(file.relative_to(ROOT).with_suffix("").parts)
        is_package = parts[-1] == "__init__"
        found[".".join(parts[:-1] if is_package else parts)] = (file, is_package)
    return found


def test_no_import_points_up_or_sideways():
    wrong = []
    for name, (file, is_package) in modules().items():
        if name:
            wrong += wrong_arrows(file.read_text(encoding="utf-8"), name, is_package)
    assert wrong == []


def test_every_module_has_a_floor():
    assert {name.split(".")[0] for name in modules() if name} <= set(FLOOR_OF)


@pytest.mark.parametrize(
    ("source", "module", "is_package", "expected"),
    [
        ("from ..study import Study", "layers.spiking_layer", False, ["layers.spiking_layer imports study: up"]),
        ("from .. import training", "layers.spiking_layer", False, ["layers.spiking_layer imports training: up"]),
        ("from ..surrogates import ATan", "neurons.lif", False, ["neurons.lif imports surrogates: sideways"]),
        ("def f():\n    from ..metrics.synops import SynOps", "layers.x", False, ["layers.x imports metrics: sideways"]),
        ("import snnlightning.cli.main", "study.study", False, ["study.study imports cli: up"]),
        ("from snnlightning import data as d", "metrics.synops", False, ["metrics.synops imports data: up"]),
        ("from snnlightning.report import page", "study.rows", False, ["study.rows imports report: sideways"]),
        ("from .layers import SpikingLayer", "scan", False, ["scan imports layers: up"]),
        ("from . import layers", "scan", False, ["scan imports layers: up"]),
        ("from ..report import x", "study", True, ["study imports report: sideways"]),
        ("from ...tracking import x", "study.objectives.spikes", False, ["study.objectives.spikes imports tracking: sideways"]),
        ("from ..tracking import x", "study.objectives", True, []),
        ("from ..tracking import x", "study.objectives.spikes", False, []),
        ("import importlib\nimportlib.import_module('snnlightning.cli')", "data.x", False, ["data.x imports cli: up"]),
        ("from .units import positive", "errors", False, ["errors imports units: up"]),
        ("from .naming import named", "units", False, ["units imports naming: sideways"]),
        ("from .errors import X\nimport torch\nfrom optuna import study", "units", False, []),
        ("from ..scan import scan\nfrom . import spiking_layer", "layers.x", False, []),
        ("from .. import __version__", "cli.main", False, []),
    ],
)  # fmt: skip
def test_the_walker_sees_what_it_should_and_nothing_else(source, module, is_package, expected):
    assert wrong_arrows(source, module, is_package) == expected


@pytest.mark.parametrize("floor", range(5))
def test_lower_floors_know_nothing_of_lightning_optuna_or_wandb(floor):
    """Layers and metrics may use torch and torchmetrics; what is above it belongs to others."""
    strangers = {"lightning", *OPTIONAL}
    for name, (file, _) in modules().items():
        if name and FLOOR_OF[name.split(".")[0]] == floor:
            tree = ast.parse(file.read_text(encoding="utf-8"))
            roots = {a.name.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
            roots |= {
                (n.module or "").split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and not n.level
            }
            assert not roots & strangers, name


# The lazy top.


def loaded_after(statement: str) -> set[str]:
    """Top-level packages in ``sys.modules`` of a fresh interpreter after a statement."""
    code = f"{statement}\nimport sys, json\nprint(json.dumps(sorted({{name.split('.')[0] for name in sys.modules}})))"
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True, cwd=ROOT.parent
    )
    return set(json.loads(result.stdout.splitlines()[-1]))


def test_importing_the_package_brings_nothing_heavy_along():
    assert not loaded_after("import snnlightning") & {"torch", "lightning", "torchmetrics", "numpy", *OPTIONAL}


def test_using_the_model_brings_torch_and_none_of_the_tools_around_it():
    names = "SpikingLayer, CubaLIF, SuperSpike, SpikingNetwork, MaxOverTime, SynOps, UpperBound"
    loaded = loaded_after(f"import snnlightning as snn\nfrom snnlightning import {names}")
    assert "torch" in loaded
    assert not loaded & {"lightning", "optuna", "wandb", "plotly", "sklearn", "h5py"}


@pytest.mark.parametrize("name", snnlightning.__all__)
def test_every_name_of_the_top_resolves_to_the_thing_of_its_folder(name):
    try:
        value = getattr(snnlightning, name)
    except ImportError as error:
        pytest.skip(str(error))
    if name != "__version__":
        assert value is getattr(importlib.import_module(f"snnlightning.{snnlightning._HOME_OF[name]}"), name)
    assert name in dir(snnlightning)


def test_the_list_of_the_top_and_its_table_of_homes_say_the_same():
    assert set(snnlightning.__all__) == {*snnlightning._HOME_OF, "__version__"}
    for room in ("neurons", "surrogates", "readouts", "regularizers", "encoders", "layers", "metrics"):
        package = importlib.import_module(f"snnlightning.{room}")
        things = {name for name in package.__all__ if not name.startswith("Abstract") and not name.endswith("Counts")}
        assert set(snnlightning._HOMES[room]) == things


def test_a_name_that_does_not_exist_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'snnlightning' has no attribute 'SuperSpyke'"):
        snnlightning.SuperSpyke  # noqa: B018
    assert snnlightning.surrogates.SuperSpike is snnlightning.SuperSpike
