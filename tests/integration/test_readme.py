"""What the README shows runs, and the commands it names exist."""

import re
from pathlib import Path

import pytest

from snnlightning.cli import main

REPOSITORY = Path(__file__).parents[2]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")


@pytest.mark.filterwarnings("ignore:The number of training batches")
@pytest.mark.filterwarnings("ignore:.*`tensorboardX` has been removed")
def test_the_python_of_the_readme_runs_and_learns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    blocks = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        exec(block, names)
    metrics = names["trainer"].callback_metrics  # type: ignore[attr-defined]
    assert metrics["test_accuracy"] > 0.8
    assert "'recurrent': " in capsys.readouterr().out
    assert names["spikes"].shape == (8, 20, 128)  # type: ignore[attr-defined]


def test_every_file_that_the_readme_names_is_there() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    configs = re.findall(r"configs/[\w/]+\.yaml", README)
    assert links
    assert configs
    for path in (*links, *configs):
        assert (REPOSITORY / path).exists(), path


def test_every_command_of_the_readme_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    commands = set(re.findall(r"^snnlightning (study \w+|\w+)", README, re.MULTILINE))
    assert {"study run", "study status", "study export", "fit", "test"} <= commands
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    for command in commands:
        assert f"snnlightning {command}" in text, command
