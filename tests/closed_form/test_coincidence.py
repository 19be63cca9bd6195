"""The coincidence task: the interval is there, and nothing else tells the class."""

import pytest
import torch

from snnlightning.data import CoincidenceDataModule
from snnlightning.errors import ConfigurationError


def times(**options):
    module = CoincidenceDataModule(**{"samples_per_class": 200, **options})
    batches = list(module.train_dataloader())
    x, y = torch.cat([x for x, _ in batches]), torch.cat([y for _, y in batches])
    return x, y, x.argmax(dim=1).double()


def test_the_second_volley_comes_the_interval_after_the_first():
    x, y, when = times(jitter_ms=0.0, intervals_ms=[-7.0, 0.0, 12.0])
    assert torch.equal(x.sum(dim=1), torch.ones_like(x[:, 0]))
    between = when[:, 4:] - when[:, :4]
    assert torch.equal(between, torch.tensor([-7.0, 0.0, 12.0]).double()[y].unsqueeze(1).expand_as(between))


def test_steps_and_jitter_are_in_milliseconds():
    _, y, when = times(dt_ms=0.5, jitter_ms=1.5, steps=200, samples_per_class=600, intervals_ms=[0.0, 20.0])
    between = (when[:, 4:] - when[:, :4]) * 0.5
    assert between[y == 1].mean().item() == pytest.approx(20.0, abs=0.15)
    assert between[y == 0].std().item() == pytest.approx(1.5 * 2**0.5, rel=0.05)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"intervals_ms": [3.0, 3.0]}, "at least two different finite numbers"),
        ({"intervals_ms": [0.0, 60.0]}, "an interval of 60 ms and 60 steps of 1 ms; raise steps"),
        ({"width": 0}, "width is 0"),
        ({"jitter_ms": -1.0}, "jitter_ms is -1.0"),
    ],
)
def test_what_the_grid_cannot_hold_is_refused(options, message):
    with pytest.raises(ConfigurationError, match=message):
        CoincidenceDataModule(**options)
