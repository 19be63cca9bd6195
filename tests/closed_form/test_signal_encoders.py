"""Poisson, injected current, populations, deltas and the cochlea: rates, K4, decoding, tones, and the spikes of a data set."""

import gzip
import io
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from snnlightning.data import DigitsDataModule
from snnlightning.encoders import Cochlea, CurrentInjection, Delta, Poisson, Population
from snnlightning.errors import ConfigurationError, DataError, ShapeError


@pytest.mark.parametrize(("rate_hz", "dt_ms"), [(50.0, 1.0), (200.0, 10.0), (1000.0, 20.0)])
def test_poisson_counts_have_the_mean_and_the_variance_of_their_rate(rate_hz, dt_ms):
    mean = 0.7 * rate_hz * dt_ms / 1000.0
    spikes = Poisson(steps=400, max_rate_hz=rate_hz, dt_ms=dt_ms)(
        torch.full((50, 20), 0.7, dtype=torch.float64)
    ).double()
    spread = math.sqrt(mean / spikes.numel())
    assert spikes.mean().item() == pytest.approx(mean, abs=4 * spread)
    assert spikes.var().item() == pytest.approx(mean, rel=0.02)
    assert (spikes == 0).double().mean().item() == pytest.approx(math.exp(-mean), abs=4e-3)
    assert (spikes == 1).double().mean().item() == pytest.approx(mean * math.exp(-mean), abs=4e-3)


def test_poisson_draws_do_not_depend_on_the_batch():
    x = torch.rand(6, 5, generator=torch.Generator().manual_seed(0))
    encoder = Poisson(steps=30, max_rate_hz=400.0, seed=3)
    assert torch.equal(encoder(x[2:5], first=2), encoder(x)[2:5])
    assert not torch.equal(encoder(x[2:5]), encoder(x)[2:5])


@pytest.mark.parametrize(("current", "first", "count"), [(1.1, 24, 16), (1.5, 11, 33), (2.0, 7, 50), (5.0, 3, 100)])
def test_an_injected_current_spikes_when_and_as_often_as_K4_says(current, first, count):
    spikes = CurrentInjection(steps=400 + 1, gain=current)(torch.ones(1, 1))[0, :, 0]
    times = spikes.nonzero().flatten()
    assert times[0] == first
    assert (times.diff() == first + 1).all()
    assert int(spikes[:401].sum()) == count


def test_a_current_at_or_below_threshold_never_spikes():
    assert not CurrentInjection(steps=2000, gain=1.0)(torch.ones(1, 1)).any()


def test_a_population_puts_the_nearest_neuron_first_and_leaves_out_the_far_ones():
    encoder = Population(steps=20, neurons=5)
    spikes = encoder(torch.tensor([[0.5, 0.75]]))
    assert spikes.shape == (1, 20, 10)
    times = torch.where(spikes.any(dim=1), spikes.argmax(dim=1), -1)[0].view(2, 5)
    assert times[0].tolist() == [-1, 13, 0, 13, -1]  # exp(-1.5² / 2) = 0.325 next door, 0.011 beyond
    assert times[1].tolist() == [-1, -1, 13, 0, 13]


def test_deltas_are_decoded_to_within_a_threshold():
    walk = torch.randn(3, 200, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64).cumsum(dim=1)
    encoder = Delta(threshold=0.3)
    spikes = encoder(walk)
    assert spikes.shape == (3, 200, 8)
    assert not (spikes[..., :4] * spikes[..., 4:]).any()
    assert (encoder.decode(spikes, walk[:, 0]) - walk).abs().max() < 0.3
    assert not encoder(torch.full((1, 5, 2), 7.0)).any()


@pytest.fixture(scope="module")
def ear() -> Cochlea:
    return Cochlea(channels=60)


@pytest.mark.parametrize("frequency_hz", [200.0, 700.0, 2500.0])
def test_a_tone_excites_the_channels_of_its_frequency_most(ear, frequency_hz):
    t = torch.arange(4000, dtype=torch.float64) / 8000.0
    counts = ear(torch.sin(2 * math.pi * frequency_hz * t)[None])[0].sum(dim=0)
    best = ear.centres()[counts >= 0.9 * counts.max()]
    assert (best / frequency_hz).log2().abs().min() < 0.1  # filters are 0.07 to 0.2 octaves apart here
    assert counts[(ear.centres() / frequency_hz).log2().abs() > 2.0].max() < 0.5 * counts.max()


def test_a_filter_has_gain_one_at_its_centre_and_loudness_does_not_matter(ear):
    centre = ear.centres()[30].item()
    t = torch.arange(8000, dtype=torch.float64) / 8000.0
    tone = torch.sin(2 * math.pi * centre * t)[None]
    settled = ear._hair_cells(tone, torch.tensor([8000]))[0, 400:, 30].pow(1 / 0.4).mean().item()
    assert settled == pytest.approx(math.sqrt(2.0) / math.pi, rel=0.01)  # of a rectified sine with root-mean-square 1
    assert torch.equal(ear(tone), ear(0.01 * tone))
    assert not ear(torch.zeros(1, 100)).any()


def test_a_recording_that_ends_in_zeros_is_as_loud_as_it_is_alone(ear):
    short, long = torch.sin(torch.arange(2000.0) * 0.7), torch.sin(torch.arange(3200.0) * 0.5)
    both = torch.nn.utils.rnn.pad_sequence([short, long], batch_first=True)
    together = ear(both, torch.tensor([2000, 3200]))
    alone = ear(short[None])[0]
    assert alone.sum() > 50
    assert torch.equal(together[0, : len(alone)], alone)
    assert torch.equal(together[1], ear(long[None])[0])
    with pytest.raises(
        ShapeError, match=r"lengths is \[2\] for a signal \[2, 3200\]; a number of samples in \[1, 3200\]"
    ):
        ear(both, torch.tensor([0, 3200]))


def test_the_response_adapts_and_neurons_are_refractory(ear):
    t = torch.arange(8000, dtype=torch.float64) / 8000.0
    spikes = ear(torch.sin(2 * math.pi * 1000.0 * t)[None])[0]
    busiest = spikes[:, spikes.sum(dim=0).argmax()]
    assert busiest[:200].sum() > 1.5 * busiest[-200:].sum()
    assert busiest.nonzero().flatten().diff().min() > 4


def test_the_centres_are_evenly_spaced_on_the_scale_of_the_ear(ear):
    rate = 21.4 * torch.log10(1.0 + 0.00437 * ear.centres())
    torch.testing.assert_close(rate.diff(), rate.diff()[:1].expand(59), rtol=1e-9, atol=0.0)
    assert (ear.centres()[0].item(), ear.centres()[-1].item()) == (pytest.approx(60.0), pytest.approx(3800.0))


@pytest.mark.parametrize(
    "encoder", ["poisson", {"encoder": "poisson", "max_rate_hz": 300.0}, "current_injection"], ids=str
)
def test_a_data_module_takes_it_by_name_and_arguments(encoder):
    module = DigitsDataModule(encoder=encoder, steps=10)
    module.setup("test")
    x, _ = next(iter(module.test_dataloader()))
    assert x.shape[1:] == (10, 64)
    assert x.sum() > 0


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Poisson(max_rate_hz=3000.0, dt_ms=10.0), "more than 20 spikes in a step"),
        (lambda: Poisson(max_rate_hz=0.0), "max_rate_hz=0.0"),
        (lambda: CurrentInjection(gain=-1.0), "gain=-1.0"),
        (lambda: Population(neurons=1), "neurons=1"),
        (lambda: Delta(threshold=0.0), "threshold=0.0"),
        (lambda: Cochlea(high_hz=5000.0), "low < high <= half the sample rate"),
        (lambda: Cochlea(dt_ms=0.3), "2.4 samples; a whole number"),
        (lambda: Cochlea(channels=1), "channels=1"),
        (lambda: DigitsDataModule(encoder="delta"), "Delta encodes signals over time"),
        (lambda: DigitsDataModule(encoder={"max_rate_hz": 3.0}), "under the key 'encoder'"),
    ],
)
def test_bad_parameters_are_refused(build, message):
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        build()


def test_signals_of_another_shape_are_refused(ear):
    with pytest.raises(ShapeError, match=r"Delta takes \[B, T, C\]"):
        Delta()(torch.zeros(3, 4))
    with pytest.raises(ShapeError, match=r"Cochlea takes audio \[B, S\] with at least 4 samples"):
        ear(torch.zeros(2, 3))


def test_signals_that_are_not_finite_are_refused(ear):
    with pytest.raises(DataError, match="signal has 2 values that are not finite; Delta has no code"):
        Delta()(torch.tensor([[[0.0], [math.nan], [math.inf]]]))
    with pytest.raises(DataError, match="Cochlea has no code"):
        ear(torch.full((1, 40), math.nan))


SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
SPEECH, SPIKES = SHARED / "fsdd" / "fsdd.npz", SHARED / "spoken_digits20_spikes" / "digits20_test.h5.gz"


@pytest.mark.skipif(
    not (SPEECH.exists() and SPIKES.exists()), reason="needs the spoken digits, as audio and as spikes, in ../shared"
)
def test_the_cochlea_gives_the_spikes_of_the_spoken_digits():
    """Same recipe, written by others with recursive filters: as many spikes to 1 %, and 7 in 10 in the very same half millisecond."""
    h5py = pytest.importorskip("h5py", reason="h5py is not installed; pip install 'snnlightning[data]'")
    speech, digit, speaker = np.load(SPEECH), 3, 1
    own = (speech["label"] == digit) & (speech["speaker"] == speaker) & speech["is_test"]
    ear, mine = Cochlea(), []
    for i in np.where(own)[0]:
        audio = speech["audio"][speech["offset"][i] : speech["offset"][i + 1]].astype(np.float64)
        mine.append(ear(torch.from_numpy(audio)[None])[0])
    theirs = []
    with h5py.File(io.BytesIO(gzip.decompress(SPIKES.read_bytes())), "r") as file:
        for j in np.where((file["labels"][:] == digit) & (file["extra/speaker"][:] == speaker))[0]:
            steps = np.round(file["spikes/times"][j].astype(np.float64) / 0.0005).astype(int)
            theirs.append((torch.from_numpy(steps), torch.from_numpy(file["spikes/units"][j].astype(int))))
    mine.sort(key=lambda spikes: float(spikes.sum()))
    theirs.sort(key=lambda spikes: len(spikes[0]))
    assert len(mine) == len(theirs) == 5
    for spikes, (steps, units) in zip(mine, theirs, strict=True):
        assert float(spikes.sum()) == pytest.approx(len(steps), rel=0.01)
        assert float(spikes[steps, units].sum()) > 0.7 * len(steps)
