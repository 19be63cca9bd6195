"""Randman: what the construction forces, and what it is known to be worth to a nearest neighbour and to a line."""

import hashlib
import statistics

import pytest
import torch

from snnlightning.data import RandmanDataModule, randman
from snnlightning.errors import ConfigurationError

SMALL = {"classes": 3, "units": 5, "samples_per_class": 40, "modes": 50}


def split_times(seed=0, **options):
    """Spike times in bins [n, units] and labels, for training and test."""
    data = RandmanDataModule(val_fraction=0.1, test_fraction=0.1, seed=seed, **options)

    def times(split):
        x, y = split.__getitems__(range(len(split)))
        return x.argmax(1).double(), y

    return times(data.splits.train), times(data.splits.test)


@pytest.fixture(scope="module")
def paper():
    """The data set of the paper, split."""
    return split_times()


def test_every_unit_fires_exactly_once_in_every_sample_whatever_the_class_K28():
    data = RandmanDataModule(**SMALL)
    for split in (data.splits.train, data.splits.val, data.splits.test):
        x, _ = split.__getitems__(range(len(split)))
        assert torch.equal(x.sum(1), torch.ones(len(split), 5))


def test_bins_run_from_0_to_49_in_each_unit_K28(paper):
    (train, _), (test, _) = paper
    bins = torch.cat([train, test])
    assert torch.equal(bins.amin(0), torch.zeros(20, dtype=torch.float64))
    assert torch.equal(bins.amax(0), torch.full((20,), 49.0, dtype=torch.float64))
    assert bins.mean().item() == pytest.approx(24.0, abs=2.0)


def test_the_nearest_neighbour_solves_it_K28(paper):
    assert nearest(*paper) >= 0.995


def test_a_line_and_the_nearest_centre_get_less_than_half_of_it_K28(paper):
    assert linear(*paper) == pytest.approx(0.461, abs=0.08)
    assert nearest_centre(*paper) == pytest.approx(0.420, abs=0.08)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dim", "alpha", "modes", "line", "centre"),
    [
        (1, 1.0, 1000, 0.461, 0.420),
        (1, 2.0, 1000, 0.634, 0.498),
        (2, 1.0, 300, 0.764, 0.775),
        (2, 2.0, 300, 0.466, 0.422),
    ],
)
def test_spectra_and_dimensions_are_worth_what_is_known_of_them_K28(dim, alpha, modes, line, centre):
    """Means of three seeds, as the known values are; single seeds differ by more (standard deviation about 0.04)."""
    parts = [split_times(seed, dim=dim, alpha=alpha, modes=modes) for seed in range(3)]
    assert statistics.fmean(linear(*part) for part in parts) == pytest.approx(line, abs=0.08)
    assert statistics.fmean(nearest_centre(*part) for part in parts) == pytest.approx(centre, abs=0.08)
    assert min(nearest(*part) for part in parts) >= 0.99


def nearest(train, test):
    """Accuracy of the nearest neighbour in spike times."""
    at = torch.cdist(test[0], train[0]).argmin(1)
    return (train[1][at] == test[1]).double().mean().item()


def nearest_centre(train, test):
    """Accuracy of the nearest mean of a class."""
    centres = torch.stack([train[0][train[1] == label].mean(0) for label in range(10)])
    return (torch.cdist(test[0], centres).argmin(1) == test[1]).double().mean().item()


def linear(train, test):
    """Accuracy of a ridge regression, one class against the rest."""
    mean, std = train[0].mean(0), train[0].std(0)

    def features(times):
        return torch.cat([(times - mean) / std, torch.ones(len(times), 1)], dim=1).double()

    a = features(train[0])
    target = 2.0 * torch.nn.functional.one_hot(train[1], 10).double() - 1.0
    weights = torch.linalg.solve(a.T @ a + torch.eye(21, dtype=torch.float64), a.T @ target)
    return ((features(test[0]) @ weights).argmax(1) == test[1]).double().mean().item()


def test_times_are_stretched_to_the_full_range_per_class_and_unit():
    times, labels = randman(**SMALL, tau_ms=30.0)
    assert times.dtype == torch.float64
    assert times.shape == (120, 5, 1)
    for label in range(3):
        own = times[labels == label]
        assert torch.equal(own.amin(0), torch.zeros(5, 1, dtype=torch.float64))
        assert torch.equal(own.amax(0), torch.full((5, 1), 30.0, dtype=torch.float64))


def test_the_same_seed_gives_identical_integers_and_another_seed_others_K28():
    one, again, other = (randman(**SMALL, seed=seed)[0].long() for seed in (0, 0, 1))
    assert torch.equal(one, again)
    assert (one != other).double().mean() > 0.9


def test_the_integers_of_seed_0_are_the_frozen_ones():
    """Our own generator's fingerprint: a change means that every published run of ours has other data."""
    times, _ = randman(**SMALL, seed=0)
    digest = hashlib.sha256(times.long().to(torch.uint8).numpy().tobytes()).hexdigest()
    assert digest[:16] == "3d7601fb3b54c905"


def test_a_class_does_not_depend_on_how_many_follow_it():
    few, _ = randman(**SMALL | {"classes": 2})
    many, _ = randman(**SMALL | {"classes": 4})
    assert torch.equal(few, many[:80])


def test_one_mode_in_one_dimension_is_the_sine_of_the_formula():
    """With one mode f = A sin(2 pi (x B + C)); stretching removes A, and what remains is monotone in that sine."""
    times, _ = randman(classes=1, units=1, samples_per_class=200, modes=1, seed=3)
    generator = torch.Generator().manual_seed(3)
    a, b, c = torch.rand(3, 1, 1, 1, dtype=torch.float64, generator=generator).flatten()
    x = torch.rand(200, 1, dtype=torch.float64, generator=generator).flatten()
    f = a * torch.sin(2 * torch.pi * (x * b + c))
    torch.testing.assert_close(times.flatten(), 50.0 * (f - f.min()) / (f.max() - f.min()), rtol=1e-9, atol=1e-9)


def test_a_larger_alpha_is_smoother():
    def roughness(alpha):
        times, _ = randman(classes=1, units=10, samples_per_class=400, modes=200, alpha=alpha, seed=1)
        generator = torch.Generator().manual_seed(1)
        torch.rand(3, 10, 1, 200, dtype=torch.float64, generator=generator)
        order = torch.rand(400, 1, dtype=torch.float64, generator=generator).flatten().argsort()
        return times[order].diff(dim=0).abs().mean().item()

    assert roughness(2.0) < 0.5 * roughness(1.0)


def test_additional_spikes_lie_on_manifolds_of_their_own():
    times, _ = randman(**SMALL, spikes_per_unit=2)
    assert times.shape == (120, 5, 2)
    assert not torch.equal(times[..., 0], times[..., 1])
    data = RandmanDataModule(**SMALL, spikes_per_unit=2)
    x, _ = data.splits.train.__getitems__(range(len(data.splits.train)))
    assert torch.equal(x.sum(1), torch.full((len(x), 5), 2.0))


def test_each_class_is_split_800_100_100(paper):
    (_, y_train), (_, y_test) = paper
    assert torch.bincount(y_train).tolist() == [800] * 10
    assert torch.bincount(y_test).tolist() == [100] * 10


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": 0}, "classes is 0; a whole number of at least 1"),
        ({"units": 2.5}, r"units is 2\.5"),
        ({"samples_per_class": 1}, "samples_per_class is 1; a whole number of at least 2"),
        ({"modes": 0}, "modes is 0"),
        ({"alpha": float("nan")}, "alpha is nan; a finite exponent"),
        ({"tau_ms": 0.0}, "tau_ms is 0.0; it must be greater than 0"),
        ({"seed": -1}, "seed is -1; a whole number of at least 0"),
    ],
)
def test_parameters_out_of_range_are_refused(change, message):
    with pytest.raises(ConfigurationError, match=message):
        randman(**SMALL | change)
    with pytest.raises(ConfigurationError, match=message):
        RandmanDataModule(**SMALL | change)


def test_a_grid_that_ends_before_the_spikes_is_refused():
    with pytest.raises(ConfigurationError, match=r"as late as tau_ms = 50\.0 ms and 40 steps of 1\.0 ms end before"):
        RandmanDataModule(**SMALL, steps=40)
