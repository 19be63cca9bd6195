"""The sweep after a training: its networks are real ones, its counts are those of a validation, and it is paid for."""

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch

from snnlightning.errors import ConfigurationError, StudyError
from snnlightning.pareto import non_dominated
from snnlightning.study import Study
from snnlightning.study.bundle import export_bundle, verify_bundle
from snnlightning.study.files import read_json, read_yaml
from snnlightning.study.jobs import SweptPoint
from snnlightning.study.loading import load_data, load_network
from snnlightning.study.sweep import Sweep, materialise, prune
from snnlightning.study.trial import evaluation_trainer, quiet_trainer
from snnlightning.training import SpikingClassifier

from .conftest import TINY, config, front

SWEPT: dict[str, Any] = {
    "policy": {"name": "plain", "sweep": {"prune": [0.0, 0.5], "first_step": 2}},
    "seed": 0,
    "trials": 2,
    "trainer": {"max_epochs": 3, "accelerator": "cpu"},
    "objectives": [{"name": "accuracy", "reference": 0.2}, {"name": "energy_pj@davies2018_loihi", "reference": 1e7}],
}


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Study:
    study = Study(config(**SWEPT), tmp_path_factory.mktemp("swept") / "study")
    study.run(workers=0)
    return study


def agrees_with_a_validation(study: Study, most: int) -> None:
    points = [(row.number, point) for row in study.rows() for point in row.swept]
    for number, point in points[:: max(1, len(points) // most)]:
        folder = materialise(study.directory / "trials" / str(number), point)
        trial = read_yaml(folder / "config.yaml")
        assert trial["model"]["init_args"]["stop_step"] == point.stop_step
        model, data = load_network(folder / "best.ckpt", trial), load_data(trial, folder)
        (logged,) = evaluation_trainer(trial["trainer"]).validate(model, datamodule=data, verbose=False)
        energy = model.estimate("val", "davies2018_loihi", dt_ms=1.0).priced_uj
        assert energy is not None
        assert logged["val_accuracy"] == pytest.approx(point.values["accuracy"], abs=1e-7)
        assert energy.nominal * 1e6 == pytest.approx(point.values["energy_pj@davies2018_loihi"], rel=1e-12)


def test_every_swept_value_is_that_of_a_validation_of_the_network_it_speaks_of(swept: Study) -> None:
    """Accuracy and energy, for stops and levels of pruning; the sweep cuts outputs, the validation cuts the input."""
    points = [point for row in swept.rows() for point in row.swept]
    assert len({point.stop_step for point in points}) > 1
    assert {point.prune for point in points} == {0.0, 0.5}
    agrees_with_a_validation(swept, 4)


@pytest.mark.parametrize("how", ["hooks of the data module", "mixed precision"])
def test_a_sweep_sees_what_the_trainer_shows_the_network_and_in_its_precision(how: str, tmp_path: Path) -> None:
    changed = {**SWEPT, "chance_margin": 0.0}
    if how == "mixed precision":
        changed["trainer"] = {**SWEPT["trainer"], "precision": "bf16-mixed"}
    else:
        changed["data"] = {**TINY["data"], "class_path": "tests.study.user_models.Hooked"}
    study = Study(config(**changed), tmp_path / "study")
    study.run(workers=0)
    assert any(row.swept for row in study.rows())
    agrees_with_a_validation(study, 3)


def test_a_network_with_a_validation_step_of_its_own_is_not_swept(tmp_path: Path) -> None:
    model = {**TINY["model"], "class_path": "tests.study.user_models.Brighter"}
    study = Study(config(**{**SWEPT, "trials": 1, "model": model}), tmp_path / "study")
    study.run(workers=0)
    (row,) = study.rows()
    assert row.state == "complete"
    assert row.swept == ()
    assert row.charged == 3.0


def test_a_sweep_finds_all_that_measuring_every_stop_and_level_finds(swept: Study, tmp_path: Path) -> None:
    """Most of them are never counted, because something is known to beat them."""
    for row in swept.rows():
        home = swept.directory / "trials" / str(row.number)
        trial = read_yaml(home / "config.yaml")
        found: dict[tuple[int, float], list[float]] = {}
        for stop, level in itertools.product(range(2, 7), (0.0, 0.5)):
            model, data = load_network(home / "best.ckpt", trial), load_data(trial, home)
            prune(model, level)
            model.stop_step = stop
            quiet_trainer(accelerator="cpu").validate(model, datamodule=data, verbose=False)
            energy = model.estimate("val", "davies2018_loihi", dt_ms=1.0).priced_uj
            assert energy is not None
            accuracy = round(float(model.trainer.callback_metrics["val_accuracy"]), 6)
            found[stop, level] = [-accuracy, energy.nominal]
        kept = {
            key
            for key, keep in zip(found, non_dominated([*found.values()]), strict=True)
            if keep and key != (6, 0.0) and -found[key][0] > 0.2
        }
        assert {(point.stop_step, point.prune) for point in row.swept} == kept


def test_no_point_of_a_sweep_beats_another_or_is_the_network_itself(swept: Study) -> None:
    for row in swept.rows():
        assert row.swept
        assert (row.swept[0].stop_step, row.swept[0].prune) != (6, 0.0)
        costs = [swept.config.costs(point.values) for point in row.swept]
        assert not any(a != b and a[0] <= b[0] and a[1] <= b[1] for a in costs for b in costs)


def test_the_sweep_is_charged_as_forward_passes(swept: Study) -> None:
    """2 levels x 4 validation batches / 11 training batches / 3, beside three epochs."""
    assert [row.charged for row in swept.rows()] == pytest.approx([3 + 2 * 4 / 11 / 3] * 2)


def test_the_front_marks_swept_networks_and_they_are_there_and_tested(swept: Study) -> None:
    points = [point for point in front(swept.directory)["points"] if point["kind"] == "swept"]
    assert points
    for point in points:
        folder = (swept.directory / point["checkpoint"]).parent
        assert point["test"] == read_json(folder / "test.json")
        assert set(point["sweep"]) == {"stop_step", "prune"}
        assert (folder / "counts.json").exists()


def test_a_swept_network_is_exported_and_counts_as_it_says(swept: Study, tmp_path: Path) -> None:
    point = next(point for point in front(swept.directory)["points"] if point["kind"] == "swept")
    label = Path(point["checkpoint"]).parent.name
    export_bundle(swept.directory, point["number"], tmp_path / "bundle", sweep=label)
    found = verify_bundle(tmp_path / "bundle")
    assert found.differences == ()
    assert found.accuracy == pytest.approx(point["test"]["accuracy"], abs=1e-7)
    with pytest.raises(StudyError, match=f"did you mean '{label}'"):
        export_bundle(swept.directory, point["number"], tmp_path / "other", sweep=f"{label}x")


def test_the_trials_own_checkpoint_is_not_touched(swept: Study) -> None:
    content = torch.load(swept.directory / "trials/0/best.ckpt", weights_only=True)["state_dict"]
    assert all(bool((value != 0.0).all()) for name, value in content.items() if name.endswith(("w_in", "w_rec")))


def test_pruning_takes_the_smallest_that_are_left_of_each_matrix() -> None:
    model = SpikingClassifier(in_features=4, num_classes=2, hidden_sizes=[2], recurrent=False)
    hidden, readout = model.network.layers
    with torch.no_grad():
        hidden.w_in.copy_(torch.tensor([[1.0, -0.1, 0.0, 3.0], [-0.2, 0.5, 0.0, -2.0]]))
        readout.w_in.copy_(torch.tensor([[1.0, 1.0], [1.0, 0.5]]))
    prune(model, 0.5)
    assert hidden.w_in.tolist() == [[1.0, 0.0, 0.0, 3.0], [0.0, 0.0, 0.0, -2.0]], "three of the six that were left"
    assert readout.w_in.tolist() == [[0.0, 1.0], [1.0, 0.0]], "ties go by position"


def test_a_stopped_network_is_the_whole_one_on_the_first_steps() -> None:
    x = (torch.rand(3, 9, 4, generator=torch.Generator().manual_seed(0)) < 0.5).float()
    torch.manual_seed(1)
    whole = SpikingClassifier(in_features=4, num_classes=2, hidden_sizes=[5])
    torch.manual_seed(1)
    stopped = SpikingClassifier(in_features=4, num_classes=2, hidden_sizes=[5], stop_step=4)
    assert torch.equal(stopped(x).logits, whole(x[:, :4]).logits)
    from snnlightning.events import Events

    assert torch.equal(Events.from_dense(x).first(4).dense(), x[:, :4])
    assert torch.equal(stopped(Events.from_dense(x)).logits, whole(x[:, :4]).logits)
    for wrong in (0, 1.5, True):
        with pytest.raises(ConfigurationError, match="number of time steps of at least 1"):
            SpikingClassifier(in_features=4, num_classes=2, stop_step=wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"prune": [1.0]}, r"shares in \[0, 1\)"),
        ({"prune": []}, r"shares in \[0, 1\)"),
        ({"first_step": 0}, "a whole number"),
        ({"levels": [0.5]}, "true, false or a mapping with prune"),
        ("yes", "true, false or a mapping"),
    ],
)
def test_a_sweep_that_cannot_be_is_refused(wrong: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        config(policy={"name": "plain", "sweep": wrong})


def test_stop_steps_are_spread_evenly_up_to_the_end() -> None:
    assert Sweep(first_step=4, stop_steps=3).steps(20) == [4, 12, 20]
    assert Sweep(first_step=4).steps(6) == [4, 5, 6]
    assert Sweep(first_step=4).steps(20) == [4, 6, 9, 11, 13, 15, 18, 20]
    assert Sweep(first_step=9).steps(6) == [6]
    assert SweptPoint(stop_step=12, prune=0.6, values={}).label == "s12_p60"
