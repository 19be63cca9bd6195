"""Encoders against formulas that can be evaluated by hand."""

import dataclasses
import math

import pytest
import torch

from snnlightning import encoders
from snnlightning.encoders import AbstractEncoder, Latency, Poisson, Population, Rate
from snnlightning.errors import ConfigurationError, DataError, ShapeError
from snnlightning.naming import available

EVERY = [pytest.param(cls, id=name) for name, cls in available(encoders).items() if issubclass(cls, AbstractEncoder)]


@pytest.mark.parametrize(
    ("x", "t"),
    [(1.0, 20 * math.log(1.25)), (0.9, 5.0263), (0.5, 10.2165), (0.25, 20 * math.log(5)), (0.21, 60.8904)],
)
def test_latency_has_the_known_times(x, t):
    found = Latency().spike_times(torch.tensor([[x]], dtype=torch.float64)).item()
    assert found == pytest.approx(t, abs=5e-5)


def test_latency_at_full_intensity_is_exact_to_fifteen_digits():
    found = Latency().spike_times(torch.ones(1, 1, dtype=torch.float64)).item()
    assert found == pytest.approx(4.462871026284195, rel=1e-15)


def test_latency_puts_one_spike_into_the_bin_of_its_time_and_none_beyond_the_end():
    x = torch.tensor([[1.0, 0.9, 0.5, 0.25, 0.21, 0.2001, 0.2, 0.1, 0.0]], dtype=torch.float64)
    spikes = Latency()(x)
    assert spikes.shape == (1, 100, 9)
    assert spikes.sum(1).tolist() == [[1, 1, 1, 1, 1, 0, 0, 0, 0]]
    assert spikes[0, :, :5].argmax(0).tolist() == [4, 5, 10, 32, 60]


@pytest.mark.parametrize(("t", "fires"), [(98.5, 1), (99.5, 1), (100.5, 0)])
def test_latency_uses_the_last_step_and_nothing_after_it(t, fires):
    x = torch.tensor([[0.2 / (1.0 - math.exp(-t / 20.0))]], dtype=torch.float64)
    spikes = Latency()(x)
    assert spikes.sum() == fires
    assert spikes[0, int(t) if fires else -1, 0] == fires


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_latency_at_threshold_never_fires_in_either_precision(dtype):
    times = Latency(threshold=0.2).spike_times(torch.tensor([0.2, 0.0], dtype=dtype))
    assert times.tolist() == [math.inf, math.inf]


def test_latency_inverts_to_the_intensity():
    x = torch.linspace(0.3, 1.0, 50, dtype=torch.float64)
    encoder = Latency(tau_steps=7.0, threshold=0.25)
    t = encoder.spike_times(x)
    # The leaky integrator with constant input x: v(t) = x (1 - exp(-t / tau)) reaches threshold at t.
    torch.testing.assert_close(x * (1.0 - torch.exp(-t / 7.0)), torch.full_like(x, 0.25), rtol=1e-13, atol=0.0)


def test_rate_counts_have_the_mean_and_variance_of_a_binomial():
    n, steps, p = 4000, 50, 0.3
    counts = Rate(steps=steps, max_probability=0.6, seed=1)(torch.full((n, 1), 0.5)).sum(1).double()
    variance = steps * p * (1 - p)
    assert counts.mean().item() == pytest.approx(steps * p, abs=4 * math.sqrt(variance / n))
    assert counts.var().item() == pytest.approx(variance, rel=4 * math.sqrt(2 / n))


def test_rate_draws_of_neighbouring_steps_channels_and_samples_are_uncorrelated():
    spikes = Rate(steps=40, seed=5)(torch.full((40, 40), 0.5)) - 0.5
    for dim in range(3):
        product = spikes.narrow(dim, 0, 39) * spikes.narrow(dim, 1, 39)
        assert abs(product.mean().item()) < 4 * 0.25 / math.sqrt(product.numel())


def test_rate_is_silent_at_zero_and_fires_in_every_step_at_certainty():
    spikes = Rate(steps=200, seed=2)(torch.tensor([[0.0, 1.0]]).expand(50, 2))
    assert spikes.sum((0, 1)).tolist() == [0.0, 200.0 * 50]


@pytest.mark.parametrize("pieces", [1, 3, 7, 20])
def test_rate_does_not_depend_on_the_batch_size(pieces):
    x = torch.rand(20, 6, generator=torch.Generator().manual_seed(0))
    encoder = Rate(steps=11, seed=4)
    parts = [encoder(x[i : i + pieces], first=i) for i in range(0, 20, pieces)]
    assert torch.equal(torch.cat(parts), encoder(x))


def test_rate_seeds_differ_and_samples_differ():
    x = torch.full((2, 30), 0.5)
    one, other = Rate(seed=0)(x), Rate(seed=1)(x)
    assert not torch.equal(one, other)
    assert not torch.equal(one[0], one[1])


@pytest.mark.parametrize("cls", EVERY)
def test_spikes_are_float32_zeros_and_ones_of_shape_batch_time_channel(cls):
    spikes = cls(steps=9)(torch.rand(5, 3, dtype=torch.float64))
    assert spikes.shape == (5, 9, 3 * getattr(cls(), "neurons", 1))
    assert spikes.dtype == torch.float32
    assert set(spikes.unique().tolist()) <= ({0.0, 1.0} if cls is not Poisson else {0.0, 1.0, 2.0, 3.0})


@pytest.mark.parametrize("cls", EVERY)
def test_encoding_is_a_pure_function_and_leaves_the_global_generator_alone(cls):
    x = torch.rand(4, 3)
    before = torch.get_rng_state()
    assert torch.equal(cls()(x), cls()(x))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("cls", [p for p in EVERY if p.values[0] is not Population])
def test_brighter_inputs_never_carry_fewer_spikes_than_black_ones(cls):
    spikes = cls()(torch.tensor([[0.0, 1.0]]))
    assert spikes[..., 0].sum() == 0
    assert spikes[..., 1].sum() >= 1


@pytest.mark.parametrize("cls", EVERY)
@pytest.mark.parametrize("bad", [-0.01, 1.01, math.nan, math.inf])
def test_intensities_outside_the_unit_interval_are_refused(cls, bad):
    with pytest.raises(DataError, match=r"x has 1 values outside \[0, 1\]"):
        cls()(torch.tensor([[0.5, bad]]))


@pytest.mark.parametrize("cls", EVERY)
def test_images_and_bytes_are_refused_with_the_way_out(cls):
    with pytest.raises(ShapeError, match=r"x is \[2, 8, 8\].*x\.flatten\(1\)"):
        cls()(torch.zeros(2, 8, 8))
    with pytest.raises(DataError, match=r"uint8.*divide bytes by 255"):
        cls()(torch.zeros(2, 8, dtype=torch.uint8))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Latency(steps=0), r"Latency\(steps=0\).*at least 1"),
        (lambda: Rate(steps=2.5), r"Rate\(steps=2\.5\).*at least 1"),
        (lambda: Latency(tau_steps=0.0), r"Latency\(tau_steps=0\.0\).*\(0, inf\)"),
        (lambda: Latency(tau_steps=math.inf), r"tau_steps=inf"),
        (lambda: Latency(threshold=1.0), r"threshold=1\.0.*\(0, 1\)"),
        (lambda: Latency(threshold=math.nan), r"threshold=nan"),
        (lambda: Rate(max_probability=1.5), r"max_probability=1\.5.*\(0, 1\]"),
        (lambda: Rate(max_probability="high"), r"max_probability='high'"),
        (lambda: Rate(seed=-1), r"seed=-1"),
        (lambda: Rate(seed=0.5), r"seed=0\.5.*whole number"),
    ],
)
def test_parameters_out_of_range_are_refused(make, message):
    with pytest.raises(ConfigurationError, match=message):
        make()


@pytest.mark.parametrize("cls", EVERY)
def test_an_encoder_is_a_frozen_record(cls):
    assert issubclass(cls, AbstractEncoder)
    with pytest.raises(dataclasses.FrozenInstanceError):
        cls().steps = 3
    assert cls() == cls()
