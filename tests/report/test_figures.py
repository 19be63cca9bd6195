"""The figures and the knee: where points stand, and what is done with values that have no place."""

import dataclasses
import json

import pytest

from snnlightning.errors import UnknownNameError
from snnlightning.report import (
    Counts,
    Front,
    Layer,
    Objective,
    Point,
    Raster,
    Trial,
    curves_figure,
    front_figure,
    knee_point,
    parallel_figure,
    raster_figure,
    read_study,
    synops_figure,
)

pytest.importorskip("plotly")

ACCURACY = Objective("accuracy", "maximize", reference=0.5)
SYNOPS = Objective("synops", "minimize", "log", reference=1e4)


def front_of(*pairs: tuple[float, float]) -> Front:
    points = tuple(Point(number, {"accuracy": a, "synops": s}) for number, (a, s) in enumerate(pairs))
    return Front("study", (ACCURACY, SYNOPS), points, 0.7)


def named(figure, start: str):
    return next(trace for trace in figure.data if (trace.name or "").startswith(start))


def test_the_knee_is_the_point_farthest_above_the_line_between_the_ends():
    assert knee_point(front_of((1.0, 1000.0), (0.9, 100.0), (0.8, 50.0), (0.5, 10.0))) == 1


def test_a_front_on_or_below_the_line_has_no_knee():
    assert knee_point(front_of((1.0, 1000.0), (0.75, 100.0), (0.5, 10.0))) is None
    assert knee_point(front_of((1.0, 1000.0), (0.6, 100.0), (0.5, 10.0))) is None


def test_two_points_and_zeros_on_a_log_scale_have_no_knee():
    assert knee_point(front_of((1.0, 1000.0), (0.5, 10.0))) is None
    assert knee_point(front_of((1.0, 1000.0), (0.9, 100.0), (0.5, 0.0))) is None


def test_the_step_line_reaches_right_at_the_height_of_the_cheaper_point():
    figure = front_figure(front_of((1.0, 1000.0), (0.5, 10.0)))
    steps = next(trace for trace in figure.data if trace.line.shape)
    assert (steps.line.shape, list(steps.x), list(steps.y)) == ("hv", [10.0, 1000.0], [0.5, 1.0])


def test_the_content_of_front_json_draws_the_same_figure(study):
    directory = study(trials=30)
    files = read_study(directory)
    content = json.loads((directory / "front.json").read_text())
    limits = {"at_least": None, "at_most": None}
    bare = dataclasses.replace(
        files.front, objectives=tuple(dataclasses.replace(o, **limits) for o in files.front.objectives)
    )
    assert front_figure(content, files.trials) == front_figure(bare, files.trials)


def test_front_axes_are_named_with_their_unit_and_split():
    figure = front_figure(front_of((1.0, 1000.0)))
    assert figure.layout.xaxis.title.text == "synaptic operations per sample (validation)"
    assert figure.layout.yaxis.title.text == "validation accuracy"
    assert (figure.layout.xaxis.type, figure.layout.yaxis.type) == ("log", "linear")


def test_a_silent_trial_stands_at_the_edge_of_the_log_axis():
    silent = Trial(7, "infeasible", "no spikes", values={"accuracy": 0.1, "synops": 0.0})
    figure = front_figure(front_of((1.0, 1000.0), (0.5, 10.0)), [silent])
    assert list(named(figure, "infeasible").x) == [pytest.approx(10.0 / 3.0)]
    assert "synaptic operations per sample: 0" in named(figure, "infeasible").hovertext[0]
    assert list(figure.layout.xaxis.ticktext) == ["0", *(f"10<sup>{n}</sup>" for n in (1, 2, 3))]


def test_test_values_are_drawn_apart_from_validation_values():
    front = front_of((1.0, 1000.0))
    point = dataclasses.replace(front.points[0], test={"accuracy": 0.9, "synops": 1100.0})
    figure = front_figure(dataclasses.replace(front, points=(point,)))
    assert list(named(figure, "front, validation").y) == [1.0]
    assert list(named(figure, "front, test").y) == [0.9]


def test_an_objective_that_is_not_there_is_refused():
    with pytest.raises(UnknownNameError, match="no objective named 'synop'; did you mean 'synops'"):
        front_figure(front_of((1.0, 10.0)), x="synop")


def trials_of(*params: dict[str, float | str]) -> list[Trial]:
    values = {"accuracy": 0.9, "synops": 100.0}
    return [Trial(n, "complete", values={**values, "synops": 100.0 + n}, params=p) for n, p in enumerate(params)]


def dimensions(trials: list[Trial], space: dict[str, object] | None = None) -> dict[str, dict]:
    figure = parallel_figure(trials, [ACCURACY, SYNOPS], space)
    return {dimension.label: dimension.to_plotly_json() for dimension in figure.data[0].dimensions}


def test_a_parameter_that_was_not_sampled_stands_below_the_axis_on_its_own_tick():
    axis = dimensions(trials_of({"a": 1.0, "tau": 10.0}, {"a": 2.0, "tau": 20.0}, {"a": 3.0}))["tau"]
    place = axis["tickvals"][axis["ticktext"].index("not sampled")]
    assert axis["values"][2] == place < min(axis["values"][:2])


def test_a_log_parameter_is_placed_by_its_logarithm():
    trials = trials_of({"lr": 0.001}, {"lr": 0.01}, {"lr": 0.1})
    assert dimensions(trials)["lr"]["values"] == pytest.approx([-3.0, -2.0, -1.0])
    assert dimensions(trials, {"lr": {"log": False}})["lr"]["values"] == [0.001, 0.01, 0.1]
    near = trials_of({"lr": 1.0}, {"lr": 10.0})
    assert dimensions(near)["lr"]["values"] == [1.0, 10.0]
    assert dimensions(near, {"model": {"lr": {"log": True}}})["lr"]["values"] == pytest.approx([0.0, 1.0])


def test_categories_that_look_alike_when_shortened_keep_their_own_ticks():
    long = "x" * 40
    axis = dimensions(trials_of({"kind": long + "1"}, {"kind": long + "2"}))["kind"]
    assert len(set(axis["ticktext"])) == 2
    assert axis["values"] == [0.0, 1.0]


def test_constant_parameters_are_left_out():
    assert set(dimensions(trials_of({"a": 1.0, "b": 2.0}, {"a": 1.0, "b": 3.0}))) == {"b", "accuracy", "SynOps"}


def test_synops_bars_sum_to_the_total_and_a_point_without_counts_keeps_its_place():
    counts = {3: Counts("test", 400, 100.0, {"readout": 25.0, "hidden_0": 75.0}, {"input": 40.0, "recurrent": 60.0})}
    figure = synops_figure(counts, [3, 5])
    upper = [bar for bar in figure.data if bar.legend == "legend"]
    assert [bar.name for bar in upper] == ["hidden_0", "readout"], "the readout is last"
    assert sum(bar.y[0] for bar in upper) == 100.0
    assert upper[0].x == ("#3<br>100", "#5<br>no counts")


def test_curves_skip_empty_cells_and_leave_out_too_many_others():
    curves = {n: {"epoch": (0.0, 1.0, 2.0), "val_accuracy": (0.1, None, 0.3)} for n in range(5)}
    figure = curves_figure(curves, [0])
    assert list(named(figure, "trial 0").x) == [0.0, 2.0]
    assert named(figure, "other trials").name == "other trials (4)"
    assert [trace.name for trace in curves_figure(curves, [0], others_limit=3).data] == ["trial 0"]


def test_a_spike_is_a_tick_at_its_time_and_neuron():
    layer = Layer("hidden_0", 10, (0, 4), (3, 7))
    figure = raster_figure(Raster("3", "3", 20, 2.0, (layer,)))
    assert list(figure.data[0].x) == [0.0, 0.0, None, 8.0, 8.0, None]
    assert list(figure.data[0].y) == [2.6, 3.4, None, 6.6, 7.4, None]
    assert figure.layout.xaxis.title.text == "time (ms)"
