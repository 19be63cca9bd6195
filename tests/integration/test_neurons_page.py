"""The page on neurons: its tables are what the code says, its examples run."""

import re
from pathlib import Path

import torch
import yaml

from snnlightning.naming import available
from snnlightning.recipes import _page
from snnlightning.training import SpikingClassifier

PAGE = (Path(__file__).parents[2] / "docs" / "neurons.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return found


def test_the_tables_are_what_the_code_says():
    assert _page.updated(PAGE) == PAGE, "run: python -m snnlightning.recipes._page docs"
    rows = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))
    assert rows == {name for package in _page.KINDS.values() for name in available(package)}


def test_every_thing_of_the_tables_says_its_formula_and_every_model_its_source():
    for kind in ("neurons", "firing", "initializers", "recipes", "encoders"):
        for row in _page.table(kind).splitlines()[2:]:
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]]
            assert all(cells[k] for k in (0, 1, -1)), row


def test_the_code_of_the_page_runs():
    names: dict[str, object] = {}
    exec(compile(block("python"), "neurons.md", "exec"), names)
    taus = names["layer"].taus_ms()["tau_mem_ms"]
    assert taus.shape == (128,)
    assert taus.unique().numel() > 100


def test_the_configuration_of_the_page_builds_and_learns():
    torch.manual_seed(0)
    model = SpikingClassifier(**yaml.safe_load(block("yaml"))["model"]["init_args"])
    model(torch.rand(3, 12, 64)).logits.square().sum().backward()
    assert model.network.layers[0].logit_tau_mem_ms.grad.abs().sum() > 0
