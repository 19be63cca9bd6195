"""Sections: the parts of the page that are pictures."""

from collections.abc import Sequence
from itertools import combinations

from .charts import chart
from .figures import curves_figure, front_figure, parallel_figure, raster_figure, synops_figure
from .figures.parallel import constant_params
from .figures.raster import spikes_left_out
from .files import Point, StudyFiles
from .knee import knee_point
from .markup import Html, element, join
from .words import listed, noun, show

__all__ = ["curves_section", "front_section", "parallel_section", "raster_section", "section", "synops_section"]


def section(identifier: str, title: str, *children: str) -> Html:
    """A part of the page with a heading that can be linked to."""
    return element("section", element("h2", title), *children, id=identifier)


def front_section(study: StudyFiles) -> Html:
    """The front in the plane of every two objectives."""
    front = study.front
    names = [objective.name for objective in front.objectives]
    pairs = [(x, y) for y, x in combinations(names, 2)] or [(names[0], names[0])]
    charts = [
        chart(
            "chart-front" if index == 0 else f"chart-front-{index + 1}",
            front_figure(front, study.trials, x=x, y=y),
            height=520 if len(pairs) == 1 else 440,
        )
        for index, (x, y) in enumerate(pairs)
    ]
    notes = []
    if not front.points:
        notes.append("The front is empty: no trial was feasible.")
    elif len(names) > 2:
        notes.append("Each plane shows two of the objectives; a point may look dominated in one and not be.")
    else:
        notes.append(
            "The step line bounds what the front attains on the validation split, where its points were chosen. "
            "Open diamonds are the same networks on the test split."
        )
    limits = [
        f"{noun(o.name)} {word} {show(limit)}"
        for o in front.objectives
        for word, limit in (("at least", o.at_least), ("at most", o.at_most))
        if limit is not None
    ]
    if limits:
        notes.append(f"Feasible (dashed): {', '.join(limits)}.")
    knee = knee_point(front)
    if knee is not None:
        notes.append(
            f"The knee, trial {knee}, is the point farthest above the straight line between the two ends of the front, "
            "with both axes rescaled to the front's extent (logarithmic where the axis is)."
        )
    hidden = len(study.in_state("failed"))
    if hidden:
        notes.append(f"{hidden} failed trial{'' if hidden == 1 else 's'} have no values and are listed below.")
    grid = element("div", *charts, class_="pairs" if len(pairs) > 1 else "single")
    return section("front", "The front", grid, element("p", " ".join(notes), class_="note"))


def parallel_section(study: StudyFiles) -> Html:
    """Parallel coordinates of the complete trials."""
    objectives = study.front.objectives
    complete = [t for t in study.in_state("complete") if all(o.name in t.values for o in objectives)]
    if not complete:
        return section("parameters", "Parameters", element("p", "No trial is complete.", class_="note"))
    figure = parallel_figure(complete, objectives, study.space)
    constant = constant_params(complete)
    notes = [
        f"{len(complete)} complete trials, coloured by {noun(objectives[0].name)}. Drag along an axis to select lines, "
        "and drag an axis by its name to move it."
    ]
    if any(len(set(t.params)) < len({n for u in complete for n in u.params}) for t in complete):
        notes.append("A trial that did not sample a parameter stands at “not sampled”.")
    if constant:
        notes.append("The same throughout: " + ", ".join(f"{k} = {show(v)}" for k, v in constant.items()) + ".")
    width = 96 * len(figure.data[0].dimensions) + 130
    body = chart("chart-parallel", figure, height=460, caption=" ".join(notes), min_width=width)
    return section("parameters", "Parameters", body)


def synops_section(study: StudyFiles) -> Html:
    """Stacked bars per front point."""
    title = "Where the operations are spent"
    numbers = [point.number for point in study.front.points]
    missing = [number for number in numbers if number not in study.counts]
    if not study.counts:
        return section("synops", title, element("p", _nothing(numbers, "counts.json"), class_="note"))
    splits = sorted({f"{c.split} split, {c.samples:,.0f} samples" for c in study.counts.values()})
    caption = f"Under each trial: its synaptic operations per sample. Counted on: {'; '.join(splits)}."
    if missing:
        caption += f" No counts.json: trial {listed(missing)}."
    figure = synops_figure(study.counts, numbers)
    body = chart("chart-synops", figure, height=700, caption=caption, min_width=46 * len(numbers) + 100)
    return section("synops", title, body)


def curves_section(study: StudyFiles) -> Html:
    """Learning curves."""
    numbers = [point.number for point in study.front.points]
    if not study.curves:
        return section("curves", "Learning curves", element("p", "No trial left a metrics.csv.", class_="note"))
    figure = curves_figure(study.curves, numbers)
    notes = []
    missing = [number for number in numbers if number not in study.curves]
    if missing:
        notes.append(f"No metrics.csv: trial {listed(missing)}.")
    if any(number not in numbers for number in study.curves) and not _draws_others(figure):
        notes.append("The other trials are too many to draw.")
    if numbers:
        notes.append("Colours run along the front, from its first point (dark blue) to its last (yellow).")
    return section("curves", "Learning curves", chart("chart-curves", figure, height=640, caption=" ".join(notes)))


def _draws_others(figure: object) -> bool:
    return any(getattr(trace, "legendgroup", None) == "others" for trace in getattr(figure, "data", ()))


def raster_section(study: StudyFiles) -> Html:
    """One sample through each front point, folded."""
    points = study.front.points
    if not points:
        return section("rasters", "Spikes of one sample", element("p", _nothing([], "raster.json"), class_="note"))
    drawn = [point for point in points if point.number in study.rasters]
    rows = [_raster(study, point, open_=bool(drawn) and point is drawn[0]) for point in points]
    every = element("p", element("a", "Open all", href="#all-rasters", id="all-rasters"), class_="note")
    return section("rasters", "Spikes of one sample", every if len(drawn) > 1 else join(), *rows)


def _raster(study: StudyFiles, point: Point, *, open_: bool) -> Html:
    raster = study.rasters.get(point.number)
    values = ", ".join(f"{noun(o.name)} {show(point.values[o.name])}" for o in study.front.objectives)
    head = element("summary", element("strong", f"Trial {point.number}"), f" {values}")
    if raster is None:
        body = element("p", "This trial left no raster.json.", class_="note")
    else:
        right = "correct" if raster.label == raster.predicted else "wrong"
        caption = f"Label {raster.label}, predicted {raster.predicted} ({right}); {raster.steps} steps of {show(raster.dt_ms)} ms."
        hidden = spikes_left_out(raster)
        caption += f" {hidden:,} spikes are left out of the picture." if hidden else ""
        body = chart(
            f"chart-raster-{point.number}",
            raster_figure(raster),
            height=320,
            caption=caption,
            min_width=200 * len(raster.layers),
        )
    return element("details", head, body, **({"open": "open"} if open_ else {}))


def _nothing(numbers: Sequence[int], name: str) -> str:
    if not numbers:
        return "The front is empty, so there is nothing to show here."
    return f"No point of the front left a {name} (trial {listed(numbers)})."
