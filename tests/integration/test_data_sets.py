"""Data sets from files: what comes out of known contents, official formats, files that are not what they should be."""

import gzip
import hashlib
import inspect
import math
from pathlib import Path

import numpy as np
import pytest
import stand_ins
import torch

from snnlightning import data, encoders
from snnlightning.data import (
    BrailleDataModule,
    DigitsDataModule,
    FashionMNISTDataModule,
    FSDDDataModule,
    MNIST1DDataModule,
    NMNISTDataModule,
    SequentialMNISTDataModule,
    YinYangDataModule,
    yin_yang,
)
from snnlightning.encoders import Cochlea, Delta, Latency, Rate
from snnlightning.errors import ConfigurationError, DataError
from snnlightning.naming import available

SHARED = Path(__file__).parents[2].parent / "shared" / "data"

FROM_FILES = (
    BrailleDataModule,
    FashionMNISTDataModule,
    FSDDDataModule,
    MNIST1DDataModule,
    NMNISTDataModule,
    SequentialMNISTDataModule,
)


def shared(folder):
    if not (SHARED / folder).is_dir():
        pytest.skip(f"the data set {folder} is not here")
    return str(SHARED / folder)


def loaded(path, name):
    with np.load(path) as file:
        return file[name]


def everything(part):
    return part.__getitems__(range(len(part)))


# Files that are not there, or not what they should be


@pytest.mark.parametrize("cls", FROM_FILES)
def test_a_missing_file_is_answered_with_its_place_and_the_way_to_get_it(cls, tmp_path, monkeypatch):
    monkeypatch.setenv("SNNLIGHTNING_DATA", str(tmp_path))
    with pytest.raises(DataError, match=rf"there is no \w+\.npz at {tmp_path}/\w+\. No path was given.*make \w+\.npz"):
        cls().setup()
    with pytest.raises(DataError, match=r"there is no \w+\.npz at nowhere\. \S"):
        cls(path="nowhere").setup()


@pytest.mark.parametrize("cls", FROM_FILES)
def test_another_version_of_a_file_is_refused_unless_asked_for(cls, tmp_path):
    paths = stand_ins.write_all(tmp_path)
    name = {
        BrailleDataModule: "braille",
        FSDDDataModule: "fsdd",
        MNIST1DDataModule: "mnist1d",
        NMNISTDataModule: "nmnist",
    }.get(cls, "images")
    with pytest.raises(DataError, match=r"has the SHA-256 \w{12}\.\.\. and \w{12}\.\.\. is expected.*verify=False"):
        cls(path=paths[name]).setup()
    cls(path=paths[name], verify=False).setup()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"x": np.zeros((4, 40))}, "has no x_test, y, y_test; it has x"),
        (
            {"x": np.zeros(4), "y": np.zeros(4), "x_test": np.zeros((4, 40)), "y_test": np.zeros(4)},
            r"x is \[4\]; 2 axes are expected",
        ),
        (
            {"x": np.zeros((4, 40)), "y": np.zeros(4), "x_test": np.zeros((4, 39)), "y_test": np.zeros(4)},
            "x has 40 steps and x_test 39",
        ),
        (None, "cannot be read as npz"),
    ],
)
def test_a_file_in_another_layout_is_refused(content, message, tmp_path):
    path = tmp_path / "mnist1d.npz"
    path.write_bytes(b"PK no archive") if content is None else np.savez(path, **content)
    with pytest.raises(DataError, match=message):
        MNIST1DDataModule(path=path, verify=False).setup()


def test_the_environment_says_where_data_lies(tmp_path, monkeypatch):
    stand_ins.write_all(tmp_path)
    monkeypatch.setenv("SNNLIGHTNING_DATA", str(tmp_path))
    assert len(MNIST1DDataModule(verify=False).splits.test) == 20


# Images


@pytest.mark.parametrize("packed", [False, True])
def test_official_files_give_what_the_archive_gives(packed, tmp_path):
    archive = tmp_path / "archive"
    official = tmp_path / "official"
    archive.mkdir()
    official.mkdir()
    stand_ins.write_images(archive)
    stand_ins.write_idx(official)
    if packed:
        for file in list(official.iterdir()):
            Path(f"{file}.gz").write_bytes(gzip.compress(file.read_bytes()))
            file.unlink()
    one, other = (SequentialMNISTDataModule(path=path, verify=False).splits for path in (archive, official))
    for part in ("train", "val", "test"):
        for a, b in zip(everything(getattr(one, part)), everything(getattr(other, part)), strict=True):
            assert torch.equal(a, b)


def test_an_official_file_that_is_cut_short_is_refused(tmp_path):
    stand_ins.write_idx(tmp_path)
    images = tmp_path / "train-images-idx3-ubyte"
    whole = images.read_bytes()
    images.write_bytes(whole[:-5])
    with pytest.raises(DataError, match=r"announces \[60, 28, 28\] and holds 47035 bytes; it is cut short"):
        SequentialMNISTDataModule(path=tmp_path).setup()
    images.write_bytes(b"\x00\x00\x0d" + whole[3:])
    with pytest.raises(DataError, match="is no IDX file of bytes with 3 axes; its first bytes are 00000d03"):
        SequentialMNISTDataModule(path=tmp_path).setup()


@pytest.mark.parametrize("cls", [DigitsDataModule, FashionMNISTDataModule])
@pytest.mark.parametrize("encoder", [name for name, kind in available(encoders).items() if issubclass(kind, encoders.AbstractEncoder)])  # fmt: skip
def test_images_take_every_encoder_of_intensities(encoder, cls, tmp_path):
    path = {} if cls is DigitsDataModule else {"path": stand_ins.write_images(tmp_path), "verify": False}
    module = cls(**path, steps=12, encoder={"encoder": encoder})
    x, _ = next(iter(module.test_dataloader()))
    assert x.shape[1:] == (12, module.in_features)
    assert x.any()


def test_fashion_is_encoded_pixel_by_pixel_as_the_encoder_says(tmp_path):
    stand_ins.write_images(tmp_path)
    pixels = torch.from_numpy(loaded(tmp_path / "fashion_mnist.npz", "test_images")).flatten(1) / 255.0
    for name, encoder in (("latency", Latency(steps=9, tau_steps=4.0)), ("rate", Rate(steps=9, seed=3))):
        arguments = {"tau_steps": 4.0} if name == "latency" else {}
        module = FashionMNISTDataModule(tmp_path, encoder=name, steps=9, seed=3, verify=False, **arguments)
        # The test images come after the 60 training images, which is what the noise of a rate code depends on.
        assert torch.equal(everything(module.splits.test)[0], encoder(pixels, first=60))


def test_rows_and_pixels_are_the_same_image_and_the_order_belongs_to_the_task(tmp_path):
    stand_ins.write_images(tmp_path)
    image = torch.from_numpy(loaded(tmp_path / "mnist.npz", "test_images")[7]) / 255.0

    def sample(**arguments):
        return SequentialMNISTDataModule(tmp_path, verify=False, **arguments).splits.test[7][0]

    torch.testing.assert_close(sample(), image.reshape(784, 1), rtol=1e-6, atol=0.0)
    assert torch.equal(sample(by="row"), sample().reshape(28, 28))
    permuted = sample(permuted=True)
    assert not torch.equal(permuted, sample())
    assert torch.equal(permuted.sort(dim=0).values, sample().sort(dim=0).values)
    assert torch.equal(permuted, sample(permuted=True, seed=5))
    assert not torch.equal(permuted, sample(permuted=True, permutation_seed=1))
    with pytest.raises(ConfigurationError, match="by is 'column'; it must be pixel or row"):
        sample(by="column")


def test_the_fashion_set_has_its_own_mean_and_counts():
    module = FashionMNISTDataModule(shared("fashion_mnist"), steps=100)
    counts = torch.cat([part.event_counts() for part in (module.splits.train, module.splits.val)])
    pixels = loaded(SHARED / "fashion_mnist" / "fashion_mnist.npz", "train_images")
    # t = 20 ln(x / (x - 0.2)) < 100 steps leaves out what is at or just above the threshold.
    bright = math.floor(255 * 0.2 / (1.0 - math.exp(-5.0))) + 1
    assert int(counts.sum()) == int((pixels >= bright).sum())
    assert torch.bincount(module.splits.test.labels).tolist() == [800] * 10


# Touch


def test_braille_is_cut_standardised_and_repeated(tmp_path):
    path = stand_ins.write_braille(tmp_path)
    module = BrailleDataModule(path, upsample=3, verify=False)
    x, _ = everything(module.splits.train)
    assert x.shape[1:] == (27, 4)
    assert module.dt_ms == pytest.approx(2.0 / 3.0)
    assert torch.equal(x[:, 0::3], x[:, 2::3])
    assert x.mean((0, 1)).abs().max() < 1e-5
    assert (x.std((0, 1)) - 1.0).abs().max() < 0.01
    everywhere = BrailleDataModule(path, upsample=3, statistics="all", verify=False)
    assert not torch.equal(everything(everywhere.splits.train)[0], x)


def test_braille_by_repetition_tests_on_the_last_ones(tmp_path):
    path = stand_ins.write_braille(tmp_path)
    taxels, offset = (loaded(path, name) for name in ("taxels", "offset"))
    parts = BrailleDataModule(path, upsample=1, split="repetition", verify=False).splits
    assert [len(part) for part in (parts.train, parts.val, parts.test)] == [70, 10, 20]
    # Trials 16-19 of each letter, in order; standardisation keeps the rank of the values (pressure falls with them).
    first = parts.test[0][0][:, 0]
    raw = torch.from_numpy(taxels[offset[16] : offset[16] + 9, 1].astype(np.float32))
    assert torch.equal(first.argsort(stable=True), (-raw).argsort(stable=True))
    for change in ({"split": "letter"}, {"statistics": "none"}):
        with pytest.raises(ConfigurationError, match="it must be one of"):
            BrailleDataModule(path, **change)


def test_the_braille_set_has_four_taxels_that_change():
    module = BrailleDataModule(shared("braille"), statistics="all")
    assert (module.steps, module.in_features, module.num_classes, module.dt_ms) == (152, 4, 27, 1.0)
    assert [len(part) for part in (module.splits.train, module.splits.val, module.splits.test)] == [945, 135, 270]
    x = torch.cat([everything(part)[0] for part in (module.splits.train, module.splits.val, module.splits.test)])
    assert x.mean((0, 1)).abs().max() < 1e-5
    # The tutorial divides by the deviation + 1e-3, which is not little for the weakest taxel.
    taxels, offset = (loaded(SHARED / "braille" / "braille.npz", name) for name in ("taxels", "offset"))
    trials = np.stack([taxels[start : start + 76] for start in offset[:-1]])[:, :, [1, 2, 6, 10]]
    deviation = torch.from_numpy(trials.astype(float) / 255.0).flatten(0, 1).std(0)
    torch.testing.assert_close(x.std((0, 1)).double(), deviation / (deviation + 1e-3), rtol=1e-3, atol=0.0)


# Yin-Yang


def test_yin_yang_is_the_published_set_bit_for_bit():
    digest = hashlib.sha256()
    for samples, seed in ((5000, 42), (1000, 41), (1000, 40)):
        points, labels = yin_yang(samples, seed)
        digest.update(points.numpy().tobytes() + labels.numpy().astype(np.uint8).tobytes())
    assert digest.hexdigest() == "7503bf8cee6d413232825479e9cb93ae3972404935b98252cd41a0e66d037de7"


def test_yin_yang_equals_the_published_file():
    path = Path(shared("yin_yang")) / "yin_yang.npz"
    for part, samples, seed in (("train", 5000, 42), ("validation", 1000, 41), ("test", 1000, 40)):
        points, labels = yin_yang(samples, seed)
        assert np.array_equal(points.numpy(), loaded(path, f"{part}_samples"))
        assert np.array_equal(labels.numpy(), loaded(path, f"{part}_labels"))


def test_yin_yang_points_are_spike_times():
    points, labels = yin_yang(20, 7)
    module = YinYangDataModule(
        steps=50, dt_ms=1.0, t_early_ms=5.0, t_late_ms=45.0, bias_ms=2.0, samples=(20, 1, 1), sample_seeds=(7, 8, 9)
    )
    x, y = everything(module.splits.train)
    assert torch.equal(x.sum(1), torch.ones(20, 5))
    expected = torch.cat([(5.0 + 40.0 * points).floor(), torch.full((20, 1), 2.0)], dim=1).long()
    assert torch.equal(x.argmax(1), expected)
    assert torch.equal(y, labels)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sample_seeds": (1, 1, 2)}, "equal seeds give equal points"),
        ({"samples": (1, 2)}, r"samples is \(1, 2\); three are expected"),
        ({"samples": (1, 0, 2)}, "samples is 0; a whole number of at least 1"),
        ({"steps": 60}, r"as late as 30\.0 ms and 60 steps of 0\.5 ms end before"),
        ({"bias_ms": 60.0}, r"as late as 60\.0 ms"),
        ({"t_early_ms": 30.0}, r"t_late_ms 30\.0 is not after t_early_ms 30\.0"),
        ({"t_early_ms": -1.0}, r"t_early_ms is -1\.0; a finite time of at least 0"),
    ],
)
def test_yin_yang_that_cannot_be_is_refused(change, message):
    with pytest.raises(ConfigurationError, match=message):
        YinYangDataModule(**change)


# Events of a camera


def write_events(folder, t, x, y, p):
    content = {"t": t, "x": x, "y": y, "p": p, "offset": [0, 3, 4], "label": [0, 1]}
    for part in ("train", "test"):
        repeated = {name: np.array(values) for name, values in content.items()}
        if part == "train":  # a class needs two recordings to be split
            repeated = {name: np.tile(values, 2) for name, values in repeated.items()} | {
                "offset": np.array([0, 3, 4, 7, 8])
            }
        np.savez(folder / f"{part}.npz", **repeated)


def test_events_fall_into_their_step_polarity_and_pixel(tmp_path):
    write_events(tmp_path, [0, 9_999, 10_000, 40_000], [0, 33, 1, 5], [0, 33, 0, 5], [0, 1, 1, 0])
    arguments = {"path": tmp_path, "dt_ms": 10.0, "duration_ms": 30.0, "val_fraction": 0.5, "verify": False}
    x, _ = everything(NMNISTDataModule(**arguments).splits.test)
    assert x.shape == (2, 3, 2 * 34 * 34)
    assert x[0].nonzero().tolist() == [[0, 0], [0, 2 * 34 * 34 - 1], [1, 34 * 34 + 1]]
    assert x[1].sum() == 0  # at 40 ms: beyond the end
    pooled, _ = everything(NMNISTDataModule(**arguments, polarity="merged", pool=17).splits.test)
    assert pooled.shape == (2, 3, 4)
    assert pooled[0].nonzero().tolist() == [[0, 0], [0, 3], [1, 0]]


def test_events_that_do_not_fit_a_camera_are_refused(tmp_path):
    write_events(tmp_path, [0, 1, 2, 3], [0, 34, 1, 5], [0, 33, 0, 5], [0, 1, 1, 0])
    with pytest.raises(DataError, match="x and y up to 34, p up to 1; 33 and 1 are the largest"):
        NMNISTDataModule(tmp_path, verify=False).setup()
    with pytest.raises(ConfigurationError, match="pool is 3; 34 x 34 pixels"):
        NMNISTDataModule(tmp_path, pool=3)
    with pytest.raises(ConfigurationError, match="polarity is 'on'"):
        NMNISTDataModule(tmp_path, polarity="on")


def test_the_small_n_mnist_has_the_events_it_should():
    module = NMNISTDataModule(shared("nmnist_small"), duration_ms=340.0)
    splits = module.splits
    assert sum(int(part.event_counts().sum()) for part in (splits.train, splits.val)) == 3_503_546
    assert int(splits.test.event_counts().sum()) == 385_596
    assert torch.bincount(splits.test.labels).tolist() == [8, 14, 8, 11, 14, 7, 10, 15, 2, 11]


# Signals that become spikes


def test_a_recording_has_the_spikes_that_its_cochlea_gives_it_alone(tmp_path):
    """Whatever it was encoded together with; summed in longer steps, and cut at the end of the grid."""
    path = stand_ins.write_fsdd(tmp_path)
    options = {
        "encoder": {"encoder": "cochlea", "channels": 12},
        "dt_ms": 2.0,
        "duration_ms": 50.0,
        "val_fraction": 0.2,
    }
    splits = FSDDDataModule(path, verify=False, **options).splits
    assert [len(part) for part in (splits.train, splits.val, splits.test)] == [80, 20, 20]
    x, y = everything(splits.test)
    assert x.shape == (20, 25, 12)
    audio, offset = loaded(path, "audio"), loaded(path, "offset")
    ear = Cochlea(channels=12)
    for i in (0, 7, 19):
        alone = ear(torch.from_numpy(audio[offset[i] : offset[i + 1]][:400]).double()[None])[0]
        steps = torch.zeros(100, 12)
        steps[: len(alone)] = alone
        assert alone.sum() > 3
        assert torch.equal(x[i], steps.unflatten(0, (25, 4)).sum(dim=1))
        assert y[i] == i % 10


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dt_ms": 0.7}, "dt_ms is 0.7 and the cochlea has steps of 0.5 ms; a whole number of them"),
        ({"encoder": "delta"}, "Delta does not take the signals of this data set; use cochlea"),
        ({"encoder": {"channels": 5}}, "a mapping names it under the key 'encoder'"),
        ({"encoder": {"encoder": "cochlea", "sample_rate_hz": 16e3}}, "takes 16000 samples per second, and the recordings have 8000"),
        ({"encoder": {"encoder": "cochlea", "chanels": 5}}, "chanels"),
    ],
)  # fmt: skip
def test_what_speech_cannot_be_is_refused_when_it_is_asked_for(options, message):
    with pytest.raises(ConfigurationError, match=message):
        FSDDDataModule(**options)


def test_recordings_that_do_not_belong_together_are_refused(tmp_path):
    path = stand_ins.write_fsdd(tmp_path)
    content = dict(np.load(path))
    np.savez(path, **{**content, "offset": content["offset"][:-1]})
    with pytest.raises(
        DataError, match=r"120 offsets up to \d+, 120 labels, 120 marks and \d+ samples do not belong together"
    ):
        FSDDDataModule(path, verify=False).setup()


@pytest.mark.slow
def test_the_spoken_digits_become_the_spikes_they_should():
    splits = FSDDDataModule(shared("fsdd")).splits
    assert [len(part) for part in (splits.train, splits.val, splits.test)] == [2030, 220, 300]
    assert torch.bincount(splits.test.labels).tolist() == [30] * 10
    counts = splits.test.event_counts().double()
    assert 100 < counts.mean() < 1000


def test_a_signal_by_deltas_is_decoded_to_within_a_threshold(tmp_path):
    path = stand_ins.write_mnist1d(tmp_path)
    module = MNIST1DDataModule(path, verify=False, encoder={"encoder": "delta", "threshold": 0.25})
    x, _ = everything(module.splits.test)
    signal = torch.from_numpy(loaded(path, "x_test")).unsqueeze(-1).double()
    assert x.shape == (20, 40, 2)
    assert ((Delta(0.25).decode(x, signal[:, 0]) - signal).abs() < 0.25).all()
    with pytest.raises(ConfigurationError, match="Cochlea does not take the signals of this data set; use delta"):
        MNIST1DDataModule(path, encoder="cochlea")
    with pytest.raises(ConfigurationError, match="a current is no events; give encoder='delta'"):
        MNIST1DDataModule(path, events=True)


def test_every_data_module_that_reads_a_checked_file_is_tested_here():
    classes = [getattr(data, name) for name in data.__all__ if name.endswith("DataModule")]
    assert {cls for cls in classes if "verify" in inspect.signature(cls.__init__).parameters} == set(FROM_FILES)
