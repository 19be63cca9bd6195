"""Exact duplicates are seeds of the same point: trained with another seed, and known as such."""

from pathlib import Path

from snnlightning.study import Study

from .conftest import config, front, read_csv


def test_the_same_parameters_again_are_another_seed_of_the_same_point(tmp_path: Path) -> None:
    study = Study(config(trials=3, space={"model.surrogate": ["triangle"]}, chance_margin=0.0), tmp_path / "study")
    study.run(workers=0)
    rows = read_csv(study.directory / "trials.csv")
    assert [row["replicate_of"] for row in rows] == ["", "0", "0"]
    assert len({row["seed"] for row in rows}) == 3
    assert len({row["accuracy"] for row in rows}) > 1, "another seed is another training"
    for point in front(study.directory)["points"]:
        assert {one["number"] for one in point["replicates"]} == {0, 1, 2} - {point["number"]}
