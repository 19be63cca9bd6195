"""Listings: the parts of the page that are tables and text."""

import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from .files import Mean, Point, StudyFiles
from .knee import knee_point
from .markup import Html, element, join
from .sections import section
from .words import brief, listed, noun, short_names, show

__all__ = ["configuration_section", "failures_section", "finalists_section", "points_section", "versions_section"]


def points_section(study: StudyFiles, output: Path) -> Html:
    """The points of the front as a table that can be sorted by any column."""
    front = study.front
    if not front.points:
        return section("points", "Points of the front", element("p", "The front is empty.", class_="note"))
    params = key_params(front.points)
    short = short_names(params)
    heads = [_head("trial")]
    for objective in front.objectives:
        heads += [_head(brief(objective.name), split, noun(objective.name)) for split in ("validation", "test")]
    heads += [_head("network", "checkpoint"), *(_head(short[name], full=name) for name in params)]
    knee = knee_point(front)
    rows = []
    for point in front.points:
        mark = join(" ", element("span", "knee", class_="tag")) if point.number == knee else join()
        has_raster = point.number in study.rasters
        number = str(point.number)
        name = element("a", number, href=f"#chart-raster-{number}") if has_raster else join(number)
        cells = [element("th", name, mark, scope="row", data_sort=number)]
        for objective in front.objectives:
            tested = None if point.test is None else point.test.get(objective.name)
            cells += [_cell(point.values[objective.name]), _cell(tested)]
        cells.append(element("td", _checkpoint(study, point, output), f" ({point.kind})"))
        cells += [_cell(point.params.get(name)) for name in params]
        rows.append(element("tr", *cells))
    table = element("table", element("thead", element("tr", *heads)), element("tbody", *rows), class_="sortable")
    note = "SynOps are per sample. Of the parameters, those that differ among these points are shown."
    return section(
        "points", "Points of the front", element("div", table, class_="scroll"), element("p", note, class_="note")
    )


def key_params(points: Sequence[Point]) -> list[str]:
    """The parameters that differ among the points; all of them when there is one point."""
    names = list(dict.fromkeys(name for point in points for name in point.params))
    if len(points) == 1:
        return names
    return [name for name in names if len({show(point.params.get(name)) for point in points}) > 1]


def _head(name: str, split: str = "", full: str = "") -> Html:
    small = element("small", split) if split else join()
    return element(
        "th", element("button", name, small, type="button", title=full or name), scope="col", aria_sort="none"
    )


def _cell(value: object) -> Html:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return element(
        "td", show(value), class_="number" if number else "word", data_sort="" if value is None else str(value)
    )


def _checkpoint(study: StudyFiles, point: Point, output: Path) -> Html:
    """A link from the page to the checkpoint, when the path stays inside the study and the file is there."""
    if point.checkpoint is None:
        return join("–")
    target = Path(os.path.normpath(study.directory / point.checkpoint))
    if not target.is_relative_to(os.path.normpath(study.directory)):
        return join(point.checkpoint)
    if not target.is_file():
        return join(point.checkpoint, ", missing")
    link = Path(os.path.relpath(target.resolve(), output.resolve().parent)).as_posix()
    return element("a", point.checkpoint, href=quote(link))


def finalists_section(study: StudyFiles) -> Html:
    """What the front is worth: its networks trained anew with fresh seeds. Nothing when the study has none."""
    front = study.front
    if not front.finalists:
        return join()
    heads = [_head("trial")]
    for objective in front.objectives:
        name = noun(objective.name)
        heads += [
            _head(brief(objective.name), "claimed (validation)", name),
            _head(brief(objective.name), "test, fresh", name),
        ]
    heads.append(_head("beaten by"))
    rows = []
    for one in front.finalists:
        says = [says for says in ("" if one.on_front else "beside the front", one.network) if says]
        tags = [join(" ", element("span", text, class_="tag")) for text in says]
        cells = [element("th", str(one.number), *tags, scope="row", data_sort=str(one.number))]
        for objective in front.objectives:
            mean = one.test[objective.name]
            cells += [_cell(one.values[objective.name])]
            cells.append(element("td", _with_interval(mean), class_="number", data_sort=str(mean.mean)))
        beaten = ", ".join(f"{number} ({probability:.0%})" for number, probability in one.beaten_by)
        cells.append(element("td", beaten or "–", class_="word", data_sort=str(len(one.beaten_by))))
        rows.append(element("tr", *cells))
    table = element("table", element("thead", element("tr", *heads)), element("tbody", *rows), class_="sortable")
    note = (
        "The front was chosen by one validation split, and its values are luckier than they should be. Here each of its "
        "networks, and those within one standard error of it, was trained anew from fresh seeds and tested: the mean, and its 95 % interval. "
        "“Beaten by” names finalists that are truly no worse in every objective, with the probability of that."
    )
    return section(
        "finalists",
        "The finalists, trained anew",
        element("div", table, class_="scroll"),
        element("p", note, class_="note"),
    )


def _with_interval(mean: Mean) -> str:
    if mean.low is None or mean.high is None:
        return show(mean.mean)
    return f"{show(mean.mean)} ({show(mean.low)} to {show(mean.high)})"


def failures_section(study: StudyFiles) -> Html:
    """Why trials failed or were infeasible, the most frequent reason first."""
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for state in ("failed", "infeasible"):
        for trial in study.trials:
            if trial.state == state:
                groups[state, trial.reason or "no reason recorded"].append(trial.number)
    if not groups:
        return section("failures", "Failures", element("p", "Every trial is complete and feasible.", class_="note"))
    ordered = sorted(groups.items(), key=lambda item: (item[0][0], -len(item[1])))
    rows = [
        element(
            "tr",
            element("td", state),
            element("td", reason, class_="reason"),
            element("td", str(len(numbers)), class_="number"),
            element("td", listed(numbers, 12)),
        )
        for (state, reason), numbers in ordered
    ]
    heads = [element("th", text, scope="col") for text in ("state", "reason", "count", "trials")]
    table = element("table", element("thead", element("tr", *heads)), element("tbody", *rows))
    return section("failures", "Failures", element("div", table, class_="scroll"))


def configuration_section(study: StudyFiles) -> Html:
    """``study.yaml`` as it is."""
    return section("configuration", "Configuration", element("pre", study.configuration, class_="yaml"))


def versions_section(study: StudyFiles) -> Html:
    """``versions.json`` as a table."""
    rows = [
        element("tr", element("th", name, scope="row"), element("td", version))
        for name, version in study.versions.items()
    ]
    return section("versions", "Versions", element("table", element("tbody", *rows)))
