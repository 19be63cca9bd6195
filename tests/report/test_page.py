"""The page: what is on it, what cannot get onto it, and what happens when a file is not as it should be."""

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from snnlightning.errors import StudyError
from snnlightning.report import write_report

pytest.importorskip("plotly")

HOSTILE = "</script><img src=x onerror=alert(1)>"
SECTIONS = (
    "front", "points", "parameters", "synops", "curves", "rasters", "failures", "configuration", "versions"
)  # fmt: skip


class Page(HTMLParser):
    """Elements with their attributes, and the text outside of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.inside: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in {"meta"}:
            self.inside.append(tag)

    def handle_endtag(self, tag):
        assert self.inside.pop() == tag, "elements are nested"

    def handle_data(self, data):
        if self.inside and self.inside[-1] not in {"script", "style"}:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.words)

    @property
    def ids(self) -> set[str | None]:
        return {attributes.get("id") for _, attributes in self.elements}


def page_of(directory: Path) -> Page:
    return Page(write_report(directory).read_text(encoding="utf-8"))


def edit_front(directory: Path, **changes: object) -> None:
    path = directory / "front.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def front_numbers(directory: Path) -> list[int]:
    return [point["number"] for point in json.loads((directory / "front.json").read_text())["points"]]


def test_every_section_and_every_chart_is_on_the_page(study):
    directory = study()
    page = page_of(directory)
    rasters = {f"chart-raster-{number}" for number in front_numbers(directory)}
    charts = {"chart-front", "chart-parallel", "chart-synops", "chart-curves"}
    assert page.ids >= {*SECTIONS, *charts, *rasters}
    assert not page.inside


def test_the_summary_counts_trials_and_names_both_ends_of_the_front(study):
    directory = study()
    points = json.loads((directory / "front.json").read_text())["points"]
    text = page_of(directory).text
    assert "60 trials finished (48 complete, 6 infeasible, 6 failed" in text
    assert f"The most accurate point is trial {points[0]['number']}" in text
    assert f"The cheapest point is trial {points[-1]['number']}" in text
    ratio = points[0]["values"]["synops"] / points[-1]["values"]["synops"]
    assert f"{ratio:.3g} times fewer synaptic operations per sample" in text
    assert "hypervolume of the front is 0.713 on validation and 0.702 on test" in text
    assert "reference point accuracy 0.5, synaptic operations per sample 31,623" in text


def test_finalists_stand_beside_what_was_claimed(study):
    directory = study(trials=12)
    assert "finalists" not in page_of(directory).ids, "a study that trains nothing anew has no such section"
    points = json.loads((directory / "front.json").read_text())["points"]
    finalists = [
        {
            "number": point["number"],
            "sweep": {"stop_step": 12, "prune": 0.6} if k == 0 else None,
            "on_front": k != 1,
            "values": point["values"],
            "test": {
                "accuracy": {"mean": 0.8125, "low": 0.75, "high": 0.875},
                "synops": {"mean": 321.5, "low": None, "high": None},
            },
            "beaten_by": [{"number": 99, "sweep": None, "probability": 0.93}] if k == 0 else [],
        }
        for k, point in enumerate(points)
    ]
    edit_front(directory, finalists=finalists, hypervolume={"validation": 0.7, "test": 0.6, "fresh": 0.5})
    page = page_of(directory)
    assert "finalists" in page.ids
    for words in ("0.8125 (0.75 to 0.875)", "99 (93%)", "stopped at 12, pruned 60%", "0.6 on test (0.5 by the means"):
        assert words in page.text
    assert page.text.count("beside the front") == (1 if len(points) > 1 else 0)
    assert "321.5 (" not in page.text, "a single seed has no interval"
    edit_front(directory, finalists=[{"number": 1}])
    with pytest.raises(StudyError, match=r"front\.json.*values"):
        write_report(directory)


def test_the_default_output_is_report_html_in_the_directory(study):
    directory = study(trials=12)
    assert write_report(directory) == directory / "report.html"


def test_checkpoint_links_are_relative_to_the_report(study, tmp_path):
    directory = study(trials=12)
    (tmp_path / "elsewhere").mkdir()
    page = Page(write_report(directory, tmp_path / "elsewhere" / "page.html").read_text(encoding="utf-8"))
    links = [
        attributes["href"] for tag, attributes in page.elements if tag == "a" and "ckpt" in str(attributes["href"])
    ]
    assert links
    for link in links:
        assert link.startswith("../study/trials/")
        assert (tmp_path / "elsewhere" / link).resolve().is_file()


@pytest.mark.parametrize(
    "checkpoint", ["javascript:alert(1)", "../../secret", "/etc/hostname", "https://example.org/x"]
)
def test_a_checkpoint_outside_of_the_study_is_text_and_no_link(study, checkpoint):
    directory = study(trials=12)
    points = json.loads((directory / "front.json").read_text())["points"]
    points[0]["checkpoint"] = checkpoint
    edit_front(directory, points=points)
    page = page_of(directory)
    assert checkpoint in page.text
    assert all(str(a.get("href")).startswith(("#", "trials/")) for tag, a in page.elements if tag == "a")


@pytest.mark.parametrize("where", ["name", "surrogate", "reason"])
def test_hostile_text_is_only_ever_text(study, where):
    directory = study(**{where: HOSTILE})
    page = page_of(directory)
    assert HOSTILE in page.text
    assert "img" not in {tag for tag, _ in page.elements}
    assert not [key for _, attributes in page.elements for key in attributes if key.startswith("on")]


def test_hostile_text_in_every_other_file_is_only_ever_text(study):
    directory = study(trials=20)
    number = front_numbers(directory)[0]
    for name, key in (("counts.json", "by_layer"), ("raster.json", "label")):
        path = directory / "trials" / str(number) / name
        content = json.loads(path.read_text())
        content[key] = {HOSTILE: 1.0} if key == "by_layer" else HOSTILE
        path.write_text(json.dumps(content))
    (directory / "versions.json").write_text(json.dumps({HOSTILE: HOSTILE}))
    page = page_of(directory)
    assert page.text.count(HOSTILE) >= 3
    assert "img" not in {tag for tag, _ in page.elements}


def test_plotly_labels_hold_no_tags_of_a_file(study):
    """Plotly reads a subset of HTML in labels, hovers and legends; categories of parallel coordinates are plain text."""
    directory = study(name="<b>n</b>", surrogate="<a href='x'>s</a>", reason="<i>r</i>")
    text = write_report(directory).read_text(encoding="utf-8")
    charts = re.findall(r'<script type="application/json" data-chart="([\w-]+)">(.*?)</script>', text)
    assert len(charts) > 4
    for name, content in charts:
        figure = json.loads(content)
        for trace in figure["data"]:
            if trace["type"] != "parcoords":
                shown = json.dumps(trace)
                assert "<a" not in shown, name
                assert "<i>" not in shown, name


def test_the_page_refers_to_nothing_on_the_network(study):
    page = page_of(study(trials=20))
    for tag, attributes in page.elements:
        assert tag not in {"link", "img", "iframe", "object", "base"}
        assert "src" not in attributes
        assert not str(attributes.get("href", "")).startswith(("http", "//"))
    policies = [a["content"] for tag, a in page.elements if a.get("http-equiv") == "Content-Security-Policy"]
    assert policies[0].startswith("default-src 'none'; script-src 'sha256-")
    assert "http" not in policies[0]


def test_plotly_is_put_on_the_page_once(study):
    page = page_of(study(trials=12))
    scripts = [attributes for tag, attributes in page.elements if tag == "script"]
    assert sum("type" not in attributes for attributes in scripts) == 2, "plotly.js, and the page's own"


def test_an_empty_front_is_said_and_the_rest_is_still_there(study):
    page = page_of(study(feasible=False, trials=20))
    assert "No trial is feasible yet" in page.text
    assert "The front is empty" in page.text
    assert "no spikes in the last layer" in page.text
    assert page.ids >= {*SECTIONS, "chart-front", "chart-curves"}


def test_a_study_without_trials_has_a_page(study):
    page = page_of(study(trials=0))
    assert "0 trials finished." in page.text


def test_three_objectives_give_three_planes(study):
    page = page_of(study(third_objective=True, trials=30))
    assert page.ids >= {"chart-front", "chart-front-2", "chart-front-3"}


@pytest.mark.parametrize("name", ["counts.json", "raster.json", "metrics.csv"])
def test_a_file_that_one_point_lacks_is_said_in_its_place(study, name):
    directory = study(trials=30)
    number = front_numbers(directory)[0]
    (directory / "trials" / str(number) / name).unlink()
    page = page_of(directory)
    assert {"counts.json": f"No counts.json: trial {number}.", "raster.json": "This trial left no raster.json.",
            "metrics.csv": f"No metrics.csv: trial {number}."}[name] in page.text  # fmt: skip


def test_trials_that_left_nothing_but_their_row_have_a_page(study):
    directory = study(trials=20)
    for path in (directory / "trials").rglob("*.*"):
        path.unlink()
    page = page_of(directory)
    assert "No point of the front left a counts.json" in page.text
    assert "No trial left a metrics.csv" in page.text
    assert "best.ckpt, missing" in page.text


@pytest.mark.parametrize("name", ["study.yaml", "versions.json", "trials.csv", "front.json"])
def test_a_missing_file_is_named(study, name):
    directory = study(trials=12)
    (directory / name).unlink()
    with pytest.raises(StudyError, match=rf"{re.escape(name)} is missing; a study directory has"):
        write_report(directory)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("front.json", '{"study": "x", "poi', r"front.json is not JSON \(.*\); it is corrupt or was only written in part"),
        ("front.json", "[]", "front.json: found \\[\\]; a mapping was expected"),
        ("front.json", '{"study": "x"}', "front.json: directions is missing; found study"),
        ("versions.json", "\xff", "versions.json is not JSON"),
        ("study.yaml", "name: [", "study.yaml is not YAML"),
        ("study.yaml", "objectives: 3", "study.yaml: objectives is 3; a list was expected"),
        ("trials.csv", "", "trials.csv: no column 'number'; found no header"),
        ("trials.csv", "number,state,accuracy,synops\n0,done,1,1\n", "trials.csv: line 2: state is 'done'"),
        ("trials.csv", "number,state,accuracy,synops\n0,complete,a,1\n", "line 2: accuracy is 'a'; a number was expected"),
    ],
)  # fmt: skip
def test_a_corrupt_file_is_named_with_what_is_wrong(study, name, content, message):
    directory = study(trials=12)
    (directory / name).write_text(content, encoding="utf-8")
    with pytest.raises(StudyError, match=message):
        write_report(directory)


def test_a_corrupt_point_is_named_by_its_place(study):
    directory = study(trials=12)
    points = json.loads((directory / "front.json").read_text())["points"]
    points[1]["values"]["synops"] = "many"
    edit_front(directory, points=points)
    with pytest.raises(StudyError, match=r"front.json: points\[1\]: values: synops is 'many'; a finite number"):
        write_report(directory)


def test_files_of_two_studies_are_refused(study):
    directory = study(trials=12)
    edit_front(directory, directions={"accuracy": "maximize"})
    with pytest.raises(StudyError, match=r"study.yaml has the objectives accuracy, synops and front.json has accuracy"):
        write_report(directory)


def test_a_failure_leaves_the_older_report_and_no_rubbish(study, monkeypatch):
    directory = study(trials=12)
    report = write_report(directory)
    before = report.read_bytes()
    (directory / "front.json").write_text("{")
    with pytest.raises(StudyError):
        write_report(directory)
    study(trials=13)

    def refuse(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(StudyError, match=r"report.html cannot be written: No space left on device"):
        write_report(directory)
    assert report.read_bytes() == before
    assert not list(directory.glob(".*"))


def test_an_output_in_a_missing_folder_is_an_error(study, tmp_path):
    with pytest.raises(StudyError, match="cannot be written: No such file or directory"):
        write_report(study(trials=12), tmp_path / "missing" / "report.html")


def test_importing_the_folder_imports_no_plotly():
    code = "import sys, snnlightning.report; sys.exit('plotly' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
