"""Event files: a tiny one made here, the shared set of spoken digits, and files that are broken in every way."""

import gzip
import logging
import math
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from snnlightning.data import SpikingHDF5DataModule
from snnlightning.errors import ConfigurationError, DataError

SHARED = Path(__file__).parents[2].parent / "shared" / "data" / "spoken_digits20_spikes"


def write(path, times, units, labels, speakers=None, keys=None, dtype=np.float16):
    """A file in the layout of the Spiking Heidelberg Digits."""
    with h5py.File(path, "w") as file:
        for name, rows, kind in (("times", times, dtype), ("units", units, np.uint16)):
            data = file.create_dataset(f"spikes/{name}", (len(rows),), dtype=h5py.vlen_dtype(kind))
            for i, row in enumerate(rows):
                data[i] = np.asarray(row, dtype=kind)
        file["labels"] = np.asarray(labels, dtype=np.uint16)
        if speakers is not None:
            file["extra/speaker"] = np.asarray(speakers, dtype=np.uint16)
        if keys is not None:
            file["extra/keys"] = np.asarray(keys, dtype="S")
    return path


def simple(path, n=12, **changes):
    """Utterances with two events each: channel i % 4 at 5 ms and channel 3 at 25 ms; three classes, four speakers."""
    content = {
        "times": [[0.005, 0.025]] * n,
        "units": [[i % 4, 3] for i in range(n)],
        "labels": [i % 3 for i in range(n)],
        "speakers": [i % 4 for i in range(n)],
        "keys": ["zero", "one", "two"],
    }
    return write(path, **content | changes)


def module(path, **changes):
    return SpikingHDF5DataModule(**{"train": path, "channels": 4, "duration_ms": 50.0, "val_fraction": 0.25} | changes)


def all_of(dataset):
    return dataset.__getitems__(range(len(dataset)))


def test_events_land_in_their_step_and_channel(tmp_path):
    data = module(simple(tmp_path / "a.h5"), val=simple(tmp_path / "b.h5"))
    x, y = all_of(data.splits.train)
    assert (data.in_features, data.steps, data.num_classes, data.dt_ms) == (4, 5, 3, 10.0)
    assert data.class_names == ("zero", "one", "two")
    assert y.tolist() == [i % 3 for i in range(12)]
    for i in range(12):
        assert x[i].nonzero().tolist() == [[0, i % 4], [2, 3]]


def test_events_in_one_step_add_up_and_neighbouring_channels_pool(tmp_path):
    path = write(tmp_path / "a.h5", [[0.001, 0.002, 0.003, 0.015]] * 2, [[0, 0, 1, 3]] * 2, [0, 0])
    counted, binary, pooled = (
        all_of(module(path, val=path, **options).splits.train)[0][0, :2].tolist()
        for options in ({}, {"binarize": True}, {"pool": 2})
    )
    assert counted == [[2, 1, 0, 0], [0, 0, 0, 1]]
    assert binary == [[1, 1, 0, 0], [0, 0, 0, 1]]
    assert pooled == [[3, 0], [0, 1]]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("dt_ms", [0.5, 1.0, 2.5, 10.0, 14.0])
def test_every_time_on_a_half_millisecond_grid_comes_back_to_its_own_step(tmp_path, dtype, dt_ms):
    ticks = np.arange(2000)  # 0 to 999.5 ms
    times = (ticks * 0.0005).astype(dtype)
    path = write(tmp_path / "a.h5", [times], [np.zeros(2000)], [0], dtype=dtype)
    data = module(path, val=path, dt_ms=dt_ms, duration_ms=1000.0)
    expected = torch.bincount(torch.from_numpy(ticks // round(dt_ms * 2)), minlength=data.steps)
    assert torch.equal(all_of(data.splits.train)[0][0, :, 0].long(), expected)
    assert data.dropped_fraction == 0.0


def test_a_plain_floor_would_put_events_one_step_early():
    """What the rule is for: float16 rounds 31 of the 99 inner edges of a 10 ms grid down."""
    stored = (np.arange(1, 100) * 0.01).astype(np.float16).astype(np.float64)
    early = (np.floor(stored * 100) < np.arange(1, 100)).sum()
    assert early > 20


def test_the_rule_never_moves_a_time_beyond_its_own_rounding():
    stored = np.arange(0, 0.999, 1e-5).astype(np.float16)
    half_unit_steps = 0.5 * np.spacing(stored).astype(np.float64).max() * 1000
    assert half_unit_steps < 0.25


def test_events_at_or_beyond_the_end_are_dropped_counted_and_reported_once(tmp_path, caplog):
    path = write(tmp_path / "a.h5", [[0.01, 0.0499, 0.05, 0.06]] * 2, [[0, 1, 2, 3]] * 2, [0, 1], dtype=np.float64)
    data = module(path, val=path)
    with caplog.at_level(logging.WARNING, logger="snnlightning.data.spiking_hdf5"):
        assert data.dropped_fraction == 0.5
        data.setup("fit")
        data.setup("test")
    assert [record.message for record in caplog.records] == [
        "8 of 16 events (50 %) lie at or beyond duration_ms = 50 and are dropped."
    ]
    assert all_of(data.splits.train)[0].sum((0, 1)).tolist() == [2, 2, 0, 0]


def test_a_duration_that_is_no_multiple_of_the_step_has_a_short_last_step(tmp_path):
    path = write(tmp_path / "a.h5", [[0.041, 0.0449, 0.0451]], [[0, 1, 2]], [0], dtype=np.float64)
    data = module(path, val=path, duration_ms=45.0)
    assert data.steps == 5
    assert all_of(data.splits.train)[0][0, 4].tolist() == [1, 1, 0, 0]


def test_an_utterance_without_events_is_a_silent_sample(tmp_path):
    path = write(tmp_path / "a.h5", [[], [0.01], []], [[], [2], []], [0, 1, 2])
    assert all_of(module(path, val=path).splits.train)[0].sum((1, 2)).tolist() == [0, 1, 0]


def test_a_gzipped_file_gives_the_same_data_whatever_its_name(tmp_path):
    plain = simple(tmp_path / "a.h5")
    (tmp_path / "b.h5.gz").write_bytes(gzip.compress(plain.read_bytes()))
    (tmp_path / "c.data").write_bytes(gzip.compress(plain.read_bytes()))
    expected = all_of(module(plain).splits.train)
    for name in ("b.h5.gz", "c.data"):
        found = all_of(module(tmp_path / name).splits.train)
        assert torch.equal(found[0], expected[0])
        assert torch.equal(found[1], expected[1])


def test_the_validation_split_takes_the_same_share_of_each_class(tmp_path):
    data = module(simple(tmp_path / "a.h5", n=60), val_fraction=0.2)
    assert torch.bincount(data.splits.val.labels).tolist() == [4, 4, 4]
    assert torch.bincount(data.splits.train.labels).tolist() == [16, 16, 16]


def test_a_split_by_speakers_takes_all_their_utterances(tmp_path):
    path = simple(tmp_path / "a.h5")  # speaker i speaks on channel i
    data = module(path, val_speakers=[1, 3])
    heard = all_of(data.splits.val)[0][:, 0].sum(0)
    assert heard.tolist() == [0, 3, 0, 3]
    assert all_of(data.splits.train)[0][:, 0].sum(0).tolist() == [3, 0, 3, 0]


def test_without_names_the_classes_are_counted_over_all_files(tmp_path):
    train = simple(tmp_path / "a.h5", keys=None)
    test = write(tmp_path / "b.h5", [[0.01]], [[0]], [6])
    data = module(train, test=test)
    assert data.num_classes == 7
    assert data.class_names is None


def test_paths_become_text_in_the_checkpoint(tmp_path):
    data = module(simple(tmp_path / "a.h5"), val_speakers=np.array([1]))
    assert data.hparams["train"] == str(tmp_path / "a.h5")
    assert data.hparams["val_speakers"] == [1]
    assert type(data.hparams["val_speakers"][0]) is int


# What may be wrong with a file


def plain(path):
    return simple(path).read_bytes()


def flipped(content):
    """One byte in the middle of the file is another."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :]


def raw(path, **content):
    with h5py.File(path, "w") as file:
        for name, values in content.items():
            file[name.replace("_", "/")] = values


DAMAGE = {
    "missing": lambda path: simple(path.with_name("tain.h5")),
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("not a data set"),
    "cut": lambda path: path.write_bytes(plain(path)[:3000]),
    "cut gzip": lambda path: path.write_bytes(gzip.compress(plain(path))[:500]),
    "damaged gzip": lambda path: path.write_bytes(flipped(gzip.compress(plain(path)))),
    "other layout": lambda path: raw(path, x=np.zeros(3)),
    "dense": lambda path: raw(path, spikes_times=np.zeros((3, 4)), spikes_units=np.zeros((3, 4)), labels=np.zeros(3)),
    "scalar": lambda path: raw(path, spikes_times=0.0, spikes_units=0, labels=0),
    "groups": lambda path: raw(path, spikes_times_a=[0.0], spikes_units_a=[0], labels_a=[0]),
    "no utterances": lambda path: write(path, [], [], []),
    "labels": lambda path: simple(path, labels=[0, 1]),
    "speakers": lambda path: simple(path, speakers=[0]),
    "lengths": lambda path: simple(path, times=[[0.01]] * 12),
    "channel": lambda path: simple(path, units=[[0, 4]] * 12),
    "negative": lambda path: simple(path, times=[[-0.01, 0.01]] * 12),
    "nan": lambda path: simple(path, times=[[0.01, math.nan]] * 12),
    "milliseconds": lambda path: simple(path, times=[[50.0, 250.0]] * 12),
    "names": lambda path: simple(path, keys=["zero", "one"]),
}


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", r"there is no file .*train\.h5\. Did you mean .*tain\.h5\?"),
        ("empty", r"train\.h5 is empty"),
        ("text", "cannot be read as HDF5.*corrupt, cut short or another kind of file"),
        ("cut", "cannot be read as HDF5"),
        ("cut gzip", "cannot be unpacked.*corrupt or cut short: fetch it again"),
        ("damaged gzip", "cannot be unpacked"),
        ("other layout", r"has no labels, spikes/times, spikes/units; it has x\. The layout is"),
        ("dense", r"spikes/times is float64 \(3, 4\); the layout is"),
        ("scalar", r"spikes/times is float64 \(\); the layout is"),
        ("groups", "cannot be read as HDF5"),
        ("no utterances", "holds no utterances"),
        ("labels", "there are: spikes/times 12, spikes/units 12, labels 2, extra/speaker 12"),
        ("speakers", "extra/speaker 1"),
        ("lengths", "12 utterances have other numbers of times than of units, the first is number 0 with 1 and 2"),
        ("channel", r"spikes/units run from 0 to 4, and channels=4 allows 0 to 3; set channels"),
        ("negative", r"spikes/times holds -0\.0\d+ s; times are finite and not negative"),
        ("nan", "spikes/times holds nan s"),
        ("milliseconds", r"all 24 events lie at or beyond duration_ms = 50.*Times are expected in seconds"),
        ("names", r"the highest label in .*train\.h5 is 2 and extra/keys names 2 classes"),
    ],
)
def test_a_file_that_cannot_be_used_says_what_is_wrong(tmp_path, kind, message):
    path = tmp_path / "train.h5"
    DAMAGE[kind](path)
    with pytest.raises(DataError, match=message):
        module(path).setup()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"val_speakers": [0], "val": "b.h5"}, "both name the validation set; leave one out"),
        ({"val_speakers": []}, "val_speakers is empty"),
        ({"val_speakers": [0, 9]}, r"val_speakers \[9\] do not speak in .*; the speakers are \[0, 1, 2, 3\]"),
        ({"val_speakers": [0, 1, 2, 3]}, "leaves nothing for training"),
        ({"val_fraction": 0.01}, "none may be empty"),
        ({"pool": 3}, "4 channels cannot be added up in groups of pool=3; the nearest group that fits is"),
        ({"pool": 0}, "pool is 0"),
        ({"channels": 0}, "channels is 0"),
        ({"duration_ms": 0.0}, r"duration_ms is 0\.0"),
        ({"duration_ms": math.inf}, "duration_ms is inf"),
    ],
)
def test_parameters_that_contradict_the_file_or_each_other_are_refused(tmp_path, change, message):
    path = simple(tmp_path / "a.h5")
    with pytest.raises(ConfigurationError, match=message):
        module(path, **change).setup()


def test_speakers_that_the_file_does_not_name_are_refused(tmp_path):
    with pytest.raises(DataError, match="has no extra/speaker, which val_speakers refers to"):
        module(simple(tmp_path / "a.h5", speakers=None), val_speakers=[0]).setup()


def test_files_of_different_data_sets_are_refused(tmp_path):
    test = simple(tmp_path / "b.h5", keys=["eins", "zwei", "drei"])
    with pytest.raises(DataError, match="train: zero, one, two; test: eins, zwei, drei"):
        module(simple(tmp_path / "a.h5"), test=test).setup()


def test_testing_without_a_test_file_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="SpikingHDF5DataModule was made without a test set; give test=PATH"):
        module(simple(tmp_path / "a.h5")).test_dataloader()


# The shared set


@pytest.fixture(scope="module")
def spoken_digits():
    if not SHARED.is_dir():
        pytest.skip(f"the twenty spoken digits are not at {SHARED}")
    data = SpikingHDF5DataModule(
        train=SHARED / "digits20_train.h5.gz", test=SHARED / "digits20_test.h5.gz", val_speakers=[127, 129, 130]
    )
    data.setup()
    return data


def test_the_spoken_digits_have_the_documented_numbers_of_utterances_and_spikes(spoken_digits):
    splits = spoken_digits.splits
    counts = torch.cat([splits.train.event_counts(), splits.val.event_counts()])
    assert len(counts) == 3600
    assert (int(counts.min()), int(counts.max())) == (926, 7014)
    assert counts.double().mean().item() == pytest.approx(3549, abs=1)
    assert counts.double().quantile(0.5).item() == pytest.approx(3462, abs=1)
    assert splits.test.event_counts().double().mean().item() == pytest.approx(3597, abs=1)
    assert 0.0 < spoken_digits.dropped_fraction < 1e-4


def test_the_spoken_digits_have_twenty_balanced_named_classes(spoken_digits):
    assert spoken_digits.num_classes == 20
    assert spoken_digits.class_names[0] == "en_zero"
    assert spoken_digits.class_names[19] == "ar_nine"
    assert torch.bincount(spoken_digits.splits.test.labels).tolist() == [30] * 10 + [60] * 10
    assert torch.bincount(spoken_digits.splits.val.labels, minlength=20)[:10].tolist() == [0] * 10


def test_a_batch_of_spoken_digits_holds_every_event(spoken_digits):
    x, _ = next(iter(spoken_digits.test_dataloader()))
    assert x.shape == (64, 100, 700)
    assert x.sum() == spoken_digits.splits.test.event_counts()[:64].sum()
