"""Summary: the study in one paragraph of plain words."""

from .files import Front, Objective, Point, StudyFiles
from .words import noun, show

__all__ = ["summary"]


def summary(study: StudyFiles) -> str:
    """How many trials ended how, the two ends of the front, how far apart they are, and the hypervolume."""
    sentences = [_trials(study)]
    front = study.front
    if not front.points:
        sentences.append(
            "No trial is feasible yet, so there is no front: the trials below show how far from the limits they were."
        )
    else:
        sentences += _ends(front)
    sentences.append(_hypervolume(front))
    return " ".join(sentence for sentence in sentences if sentence)


def _trials(study: StudyFiles) -> str:
    parts = [f"{len(study.in_state(s))} {s}" for s in ("complete", "infeasible", "failed") if study.in_state(s)]
    seconds = sum(trial.seconds or 0.0 for trial in study.trials)
    spent = f", and took {_duration(seconds)} of training in all" if seconds else ""
    count = len(study.trials)
    ended = f" ({', '.join(parts)}{spent})" if parts else ""
    return f"{count} trial{'' if count == 1 else 's'} finished{ended}."


def _ends(front: Front) -> list[str]:
    first = front.objectives[0]
    best = _best(front, first)
    sentences = [f"{_superlative(first)} is trial {best.number}: {_values(front, best)}."]
    described = {best.number}
    for other in front.objectives[1:]:
        point = _best(front, other)
        if point.number in described:
            sentences.append(f"Trial {point.number} is also the best in {noun(other.name)}.")
            continue
        described.add(point.number)
        sentences.append(f"{_superlative(other)} is trial {point.number}: {_values(front, point)}.")
        sentences.append(_gap(first, other, best, point))
    return sentences


def _best(front: Front, objective: Objective) -> Point:
    sign = 1.0 if objective.maximized else -1.0
    return max(front.points, key=lambda point: sign * point.values[objective.name])


def _superlative(objective: Objective) -> str:
    if objective.name == "accuracy":
        return "The most accurate point"
    if objective.name == "synops":
        return "The cheapest point"
    return f"The point with the {'highest' if objective.maximized else 'lowest'} {noun(objective.name)}"


def _values(front: Front, point: Point) -> str:
    parts = []
    for objective in front.objectives:
        name = objective.name
        tested = f" ({show(point.test[name])} on test)" if point.test is not None and name in point.test else ""
        parts.append(f"{noun(name)} {show(point.values[name])}{tested}")
    return ", ".join(parts)


def _gap(first: Objective, other: Objective, best: Point, point: Point) -> str:
    """How much of ``other`` the second point saves, and what that costs in ``first``."""
    here, there = best.values[other.name], point.values[other.name]
    low, high = min(here, there), max(here, there)
    if low <= 0.0:
        return ""
    lost = abs(best.values[first.name] - point.values[first.name])
    word = "higher" if other.maximized else "fewer" if noun(other.name).endswith("per sample") else "lower"
    worse = "lower" if first.maximized else "higher"
    return (
        f"Against trial {best.number} that is {high / low:.3g} times {word} {noun(other.name)}, "
        f"for {show(lost)} {worse} {noun(first.name)}."
    )


def _hypervolume(front: Front) -> str:
    if front.hypervolume_validation is None or not front.points:
        return ""
    reference = ", ".join(f"{noun(o.name)} {show(o.reference)}" for o in front.objectives if o.reference is not None)
    tested = "not measured" if front.hypervolume_test is None else show(front.hypervolume_test)
    logs = [noun(o.name) for o in front.objectives if o.scale == "log"]
    axes = f" ({', '.join(logs)} on a log10 axis)" if logs else ""
    fresh = front.hypervolume_fresh
    anew = "" if fresh is None else f" ({show(fresh)} by the means over fresh seeds)"
    return (
        f"The hypervolume of the front is {show(front.hypervolume_validation)} on validation and {tested} on test{anew}, "
        f"with respect to the reference point {reference}{axes}."
    )


def _duration(seconds: float) -> str:
    if seconds < 120.0:
        return f"{seconds:.0f} s"
    if seconds < 7200.0:
        return f"{seconds / 60.0:.0f} min"
    return f"{seconds / 3600.0:.1f} h"
