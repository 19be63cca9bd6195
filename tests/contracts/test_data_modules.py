"""What every data module promises, whatever its data."""

import inspect
import itertools
import pickle

import h5py
import lightning.pytorch as L
import numpy as np
import pytest
import stand_ins
import torch
from torch.utils.data import DataLoader

from snnlightning import data
from snnlightning.data import (
    BrailleDataModule,
    CoincidenceDataModule,
    DigitsDataModule,
    EpochSampler,
    EventDataset,
    FashionMNISTDataModule,
    FSDDDataModule,
    MNIST1DDataModule,
    NMNISTDataModule,
    RandmanDataModule,
    ResumableLoader,
    SequenceDataset,
    SequentialMNISTDataModule,
    SpikingDataModule,
    SpikingHDF5DataModule,
    UnpaddedSampler,
    YinYangDataModule,
)
from snnlightning.data.loading import as_batch
from snnlightning.errors import ConfigurationError, DataError, ShapeError, UnknownNameError

MODULES = [
    cls
    for name in data.__all__
    if inspect.isclass(cls := getattr(data, name))
    and issubclass(cls, SpikingDataModule)
    and not inspect.isabstract(cls)
]


@pytest.fixture(scope="session")
def event_file(tmp_path_factory):
    """Sixty utterances of three classes on seven channels."""
    path = tmp_path_factory.mktemp("events") / "events.h5"
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        times = file.create_dataset("spikes/times", (60,), dtype=h5py.vlen_dtype(np.float16))
        units = file.create_dataset("spikes/units", (60,), dtype=h5py.vlen_dtype(np.uint16))
        for i in range(60):
            n = int(rng.integers(5, 40))
            times[i] = np.sort(rng.uniform(0, 0.9, n)).astype(np.float16)
            units[i] = rng.integers(0, 7, n).astype(np.uint16)
        file["labels"] = np.arange(60, dtype=np.uint16) % 3
    return str(path)


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """A small file of each data set that is read from one: random numbers in the right layout."""
    return stand_ins.write_all(tmp_path_factory.mktemp("files"))


@pytest.fixture
def make(event_file, files):
    """A small data module of a class: ``make(cls, seed=1, batch_size=7)``."""
    small = {
        BrailleDataModule: {"path": files["braille"], "verify": False},
        CoincidenceDataModule: {"samples_per_class": 30, "batch_size": 16},
        DigitsDataModule: {},
        FashionMNISTDataModule: {"path": files["images"], "verify": False, "steps": 12, "tau_steps": 5.0},
        FSDDDataModule: {
            "path": files["fsdd"],
            "verify": False,
            "encoder": {"encoder": "cochlea", "channels": 20},
            "duration_ms": 60.0,
            "val_fraction": 0.2,
        },
        MNIST1DDataModule: {"path": files["mnist1d"], "verify": False, "encoder": "delta"},
        NMNISTDataModule: {"path": files["nmnist"], "verify": False, "dt_ms": 20.0, "pool": 17},
        SequentialMNISTDataModule: {"path": files["images"], "verify": False, "by": "row", "permuted": True},
        YinYangDataModule: {"samples": (60, 30, 30), "batch_size": 16},
        RandmanDataModule: {"classes": 3, "units": 8, "samples_per_class": 30, "modes": 300, "batch_size": 32},
        SpikingHDF5DataModule: {"train": event_file, "test": event_file, "channels": 7, "val_fraction": 0.2},
    }

    def build(cls, **changes):
        assert cls in small, f"{cls.__name__} is exported and has no small example here; add one."
        return cls(**small[cls] | changes)

    return build


def everything(loader):
    batches = list(loader)
    return torch.cat([x for x, _ in batches]), torch.cat([y for _, y in batches])


every_module = pytest.mark.parametrize("cls", MODULES)


@every_module
def test_batches_are_float32_spikes_and_int64_labels_of_the_announced_shape(cls, make):
    module = make(cls)
    for loader in (module.train_dataloader(), module.val_dataloader(), module.test_dataloader()):
        x, y = next(iter(loader))
        assert x.dtype == torch.float32
        assert y.dtype == torch.int64
        assert x.shape == (len(y), module.steps, module.in_features)
        assert 0 <= y.min() <= y.max() < module.num_classes
        assert x.isfinite().all()
        assert x.abs().sum() > 0
        if isinstance(module.splits.train, EventDataset):
            assert torch.equal(x, x.round())
            assert x.min() >= 0


@every_module
def test_events_are_the_same_batches(cls, make):
    if "events" not in inspect.signature(cls.__init__).parameters:
        assert isinstance(make(cls).splits.train, SequenceDataset)
        pytest.skip("graded values are no events")
    dense, events = make(cls), make(cls, events=True)
    for loader in ("train_dataloader", "val_dataloader", "test_dataloader"):
        (x, y), (listed, labels) = (next(iter(getattr(module, loader)())) for module in (dense, events))
        assert torch.equal(listed.dense(), x)
        assert torch.equal(labels, y)


@every_module
def test_every_class_is_in_every_split(cls, make):
    splits = make(cls).splits
    for part in (splits.train, splits.val, splits.test):
        assert part.labels.unique().tolist() == list(range(splits.num_classes))


@pytest.mark.parametrize("cls", [DigitsDataModule, RandmanDataModule])
def test_the_splits_are_disjoint_and_complete(cls, make):
    splits = make(cls).splits
    total = {DigitsDataModule: 1797, RandmanDataModule: 90}[cls]
    assert sum(len(part) for part in (splits.train, splits.val, splits.test)) == total
    samples = [
        {(x.numpy().tobytes(), int(y)) for x, y in zip(*part.__getitems__(range(len(part))), strict=True)}
        for part in (splits.train, splits.val, splits.test)
    ]
    # One image of the digits may look like another once encoded, hence at most a sample in a thousand.
    for one, other in itertools.combinations(samples, 2):
        assert len(one & other) <= total // 1000


@every_module
def test_the_same_seed_gives_the_same_splits_and_another_seed_other_ones(cls, make):
    # The Yin-Yang sets are published ones, whatever the seed; what it decides there is the order.
    part = "train_dataloader" if cls is YinYangDataModule else "val_dataloader"
    one, again, other = (everything(getattr(make(cls, seed=seed), part)()) for seed in (1, 1, 2))
    assert torch.equal(one[0], again[0])
    assert torch.equal(one[1], again[1])
    assert one[0].shape != other[0].shape or not torch.equal(one[0], other[0])


@every_module
@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_what_comes_out_does_not_depend_on_the_batch_size(cls, split, make):
    small, large = (everything(getattr(make(cls, batch_size=b), f"{split}_dataloader")()) for b in (7, 1000))
    assert torch.equal(small[0], large[0])
    assert torch.equal(small[1], large[1])


@every_module
def test_training_keeps_every_sample_and_has_a_new_order_in_each_epoch(cls, make):
    module = make(cls, batch_size=16)
    loader = module.train_dataloader()
    orders = []
    for epoch in range(3):
        loader.sampler.set_epoch(epoch)
        orders.append(list(loader.sampler))
        assert sorted(orders[-1]) == list(range(len(module.splits.train)))
    assert orders[0] != orders[1] != orders[2]
    assert sum(len(y) for _, y in loader) == len(module.splits.train)


@every_module
def test_loading_happens_once_however_often_it_is_set_up(cls, make, monkeypatch):
    module = make(cls)
    calls = []
    load = type(module).load
    monkeypatch.setattr(cls, "load", lambda self: calls.append(self) or load(self))
    module.prepare_data()
    for stage in ("fit", "test", None):
        module.setup(stage)
    module.train_dataloader()
    assert calls == [module]


@every_module
def test_loaders_leave_the_global_generator_alone(cls, make):
    module = make(cls)
    module.setup()
    before = torch.get_rng_state()
    for loader in (module.train_dataloader(), module.val_dataloader()):
        next(iter(loader))
    assert torch.equal(torch.get_rng_state(), before)


@every_module
def test_hyper_parameters_are_plain_and_survive_a_checkpoint_of_plain_weights(cls, make, tmp_path):
    module = make(cls, seed=3)
    torch.save(dict(module.hparams), tmp_path / "hparams.pt")
    loaded = torch.load(tmp_path / "hparams.pt", weights_only=True)
    assert loaded == dict(module.hparams)
    assert set(loaded) == set(inspect.signature(cls.__init__).parameters) - {"self"}
    again = cls(**loaded)
    assert torch.equal(everything(again.val_dataloader())[0], everything(module.val_dataloader())[0])


@every_module
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 0}, "batch_size is 0; a whole number of at least 1"),
        ({"batch_size": 2.5}, r"batch_size is 2\.5"),
        ({"val_fraction": 0.0}, r"val_fraction is 0\.0; a share"),
        ({"val_fraction": 1.0}, r"val_fraction is 1\.0; a share"),
        ({"val_fraction": float("nan")}, "val_fraction is nan"),
        ({"dt_ms": 0.0}, r"dt_ms is 0\.0; it must be greater than 0"),
        ({"seed": -1}, "seed is -1"),
        ({"num_workers": -1}, "num_workers is -1; a whole number of at least 0"),
    ],
)
def test_numbers_out_of_range_are_refused(cls, change, message, make):
    if not change.keys() <= inspect.signature(cls.__init__).parameters.keys():
        pytest.skip(f"{cls.__name__} takes no {', '.join(change)}")
    with pytest.raises(ConfigurationError, match=message):
        make(cls, **change)


@pytest.mark.parametrize("cls", [BrailleDataModule, DigitsDataModule, RandmanDataModule])
def test_splits_of_nothing_are_refused(cls, make):
    with pytest.raises(ConfigurationError, match="leave n"):
        make(cls, val_fraction=0.5, test_fraction=0.5).setup()
    with pytest.raises(ConfigurationError, match=r"cannot be split|none may be empty"):
        make(cls, val_fraction=0.001, test_fraction=0.3).setup()


@pytest.mark.filterwarnings("ignore:.*does not have many workers")  # data in memory needs none
@pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec:FutureWarning")  # Lightning 2.6 on torch 2.13
@every_module
def test_lightning_fits_validates_and_tests_on_it(cls, make, tmp_path):
    class Linear(L.LightningModule):
        def __init__(self, inputs, classes):
            super().__init__()
            self.layer = torch.nn.Linear(inputs, classes)

        def training_step(self, batch):
            x, y = batch
            return torch.nn.functional.cross_entropy(self.layer(x.mean(1)), y)

        validation_step = test_step = training_step

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    module = make(cls)
    model = Linear(module.in_features, module.num_classes)
    trainer = L.Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
    )
    trainer.fit(model, module)
    trainer.test(model, module, verbose=False)
    path = next((tmp_path / "checkpoints").glob("*.ckpt"))
    assert torch.load(path, weights_only=True)["datamodule_hyper_parameters"] == dict(module.hparams)
    assert type(module).load_from_checkpoint(path).hparams == module.hparams


def test_worker_processes_give_the_same_batches():
    alone, helped = (
        everything(
            RandmanDataModule(classes=2, units=3, samples_per_class=30, modes=5, num_workers=n).train_dataloader()
        )
        for n in (0, 1)
    )
    assert torch.equal(alone[0], helped[0])
    assert torch.equal(alone[1], helped[1])


# The digits and their encoders


def test_latency_defaults_spread_the_greys_over_the_twenty_steps():
    x, _ = everything(DigitsDataModule(batch_size=2000).train_dataloader())
    used = x.sum((0, 2)).nonzero().flatten().tolist()
    assert used == [2, 3, 4, 5, 6, 7, 9, 12, 19]
    assert x.sum(1).max() == 1.0


def test_rate_coded_digits_have_the_noise_of_the_seed():
    one, again, other = (
        DigitsDataModule(encoder="Rate", steps=10, max_probability=0.5, seed=s).splits for s in (0, 0, 1)
    )
    assert torch.equal(one.train[0][0], again.train[0][0])
    total = [int(sum(part.event_counts().sum() for part in (s.train, s.val, s.test))) for s in (one, other)]
    assert total[0] != total[1]


def test_a_parameter_of_another_encoder_is_refused():
    with pytest.raises(ConfigurationError, match="the Rate encoder takes no tau_steps; it takes max_probability"):
        DigitsDataModule(encoder="rate", tau_steps=10.0)
    with pytest.raises(
        ConfigurationError, match="the Latency encoder takes no max_probability; it takes tau_steps, th"
    ):
        DigitsDataModule(max_probability=0.5)


def test_an_unknown_encoder_is_answered_with_the_nearest():
    with pytest.raises(UnknownNameError, match="no encoder named 'latncy'; did you mean 'latency'"):
        DigitsDataModule(encoder="latncy")


# Events in memory


def events(binarize=False):
    return EventDataset(
        offsets=torch.tensor([0, 3, 3, 5]),
        bins=torch.tensor([0, 0, 2, 1, 1]),
        channels=torch.tensor([1, 1, 0, 0, 1]),
        labels=torch.tensor([2, 0, 1]),
        steps=3,
        in_features=2,
        binarize=binarize,
    )


def test_events_of_one_step_add_up_unless_cut_at_one():
    assert events()[0][0].tolist() == [[0, 2], [0, 0], [1, 0]]
    assert events(binarize=True)[0][0].tolist() == [[0, 1], [0, 0], [1, 0]]
    assert events().event_counts().tolist() == [3, 0, 2]


def test_a_gathered_batch_equals_single_samples_in_any_order():
    dataset = events()
    x, y = dataset.__getitems__([2, 0, 1, 2])
    for row, i in enumerate([2, 0, 1, 2]):
        assert torch.equal(x[row], dataset[i][0])
        assert y[row] == dataset[i][1]
    assert torch.equal(dataset[-1][0], dataset[2][0])
    with pytest.raises(IndexError, match="sample 3 of 3"):
        dataset[3]


def test_a_subset_holds_the_same_samples():
    part = events(binarize=True).subset(torch.tensor([2, 0]))
    assert part.labels.tolist() == [1, 2]
    assert torch.equal(part[1][0], events(binarize=True)[0][0])


def test_several_spikes_in_a_step_are_as_many_events_and_graded_values_are_refused():
    spikes = torch.tensor([[[0.0, 2.0], [1.0, 0.0]], [[3.0, 0.0], [0.0, 0.0]]])
    dataset = EventDataset.from_dense(spikes, torch.arange(2))
    assert dataset.event_counts().tolist() == [3, 3]
    assert torch.equal(dataset.__getitems__([0, 1])[0], spikes)
    for graded in (0.5 * spikes, -spikes):
        with pytest.raises(DataError, match="no whole numbers of at least 0; graded values go into a SequenceDataset"):
            EventDataset.from_dense(graded, torch.arange(2))


def test_dense_spikes_come_back_as_they_went_in():
    spikes = (torch.rand(5, 4, 3, generator=torch.Generator().manual_seed(0)) < 0.3).float()
    dataset = EventDataset.from_dense(spikes, torch.arange(5))
    assert torch.equal(dataset.__getitems__(range(5))[0], spikes)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"bins": torch.tensor([0, 0, 3, 1, 1])}, DataError, r"bins run from 0 to 3; \[0, 3\)"),
        ({"channels": torch.tensor([0, -1, 0, 0, 0])}, DataError, "channels run from -1 to 0"),
        ({"labels": torch.tensor([0, -1, 0])}, DataError, "the smallest label is -1"),
        ({"offsets": torch.tensor([0, 4, 3, 5])}, DataError, "offsets must ascend"),
        ({"offsets": torch.tensor([0, 5])}, ShapeError, r"offsets \[2\] is \[n \+ 1\]"),
        ({"bins": torch.tensor([0])}, ShapeError, r"bins \[1\] and channels \[5\]"),
        ({"steps": 2**30}, DataError, "32-bit address"),
    ],
)
def test_events_that_do_not_fit_together_are_refused(change, error, message):
    good = {
        "offsets": torch.tensor([0, 3, 3, 5]),
        "bins": torch.tensor([0, 0, 2, 1, 1]),
        "channels": torch.tensor([1, 1, 0, 0, 1]),
        "labels": torch.tensor([2, 0, 1]),
        "steps": 3,
        "in_features": 2,
    }
    with pytest.raises(error, match=message):
        EventDataset(**good | change)


# Graded sequences in memory


def test_sequences_are_scaled_and_reordered_on_the_way_out_and_stay_as_they_are():
    values = torch.arange(24, dtype=torch.uint8).reshape(4, 3, 2)
    dataset = SequenceDataset(values, torch.arange(4), scale=0.5, order=torch.tensor([2, 0, 1]))
    x, y = dataset.__getitems__([3, 0])
    assert torch.equal(x, values[[3, 0]][:, [2, 0, 1]].float() * 0.5)
    assert y.tolist() == [3, 0]
    part = dataset.subset(torch.tensor([3]))
    assert torch.equal(part[0][0], x[0])
    assert (part.steps, part.in_features, len(part)) == (3, 2, 1)
    with pytest.raises(IndexError, match="sample 4 of 4"):
        dataset[4]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"labels": torch.arange(3)}, ShapeError, r"values \[4, 3, 2\] is \[n, T, N\] and labels \[3\]"),
        ({"labels": torch.tensor([0, -1, 0, 0])}, DataError, "the smallest label is -1"),
        ({"values": torch.full((4, 3, 2), torch.nan)}, DataError, "24 of the values are not finite"),
        ({"order": torch.tensor([0, 1, 1])}, ShapeError, "a permutation of the 3 steps"),
    ],
)
def test_sequences_that_do_not_fit_together_are_refused(change, error, message):
    with pytest.raises(error, match=message):
        SequenceDataset(**{"values": torch.zeros(4, 3, 2), "labels": torch.arange(4)} | change)


# Orders


def test_an_order_depends_on_seed_and_epoch_and_the_two_do_not_trade():
    def order(seed, epoch):
        sampler = EpochSampler(range(50), seed=seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert order(0, 1) == order(0, 1)
    assert len({tuple(order(seed, epoch)) for seed in range(3) for epoch in range(3)}) == 9


@pytest.mark.parametrize(("n", "replicas"), [(9, 2), (10, 3), (12, 4), (5, 5)])
def test_training_shares_are_equal_and_cover_every_sample(n, replicas):
    shares = [list(EpochSampler(range(n), num_replicas=replicas, rank=rank)) for rank in range(replicas)]
    assert len({len(share) for share in shares}) == 1
    assert set(itertools.chain(*shares)) == set(range(n))
    assert len(shares[0]) * replicas < n + replicas


@pytest.mark.parametrize(("n", "replicas"), [(9, 2), (10, 3), (12, 4), (5, 5)])
def test_evaluation_shares_hold_each_sample_exactly_once(n, replicas):
    samplers = [UnpaddedSampler(range(n), num_replicas=replicas, rank=rank) for rank in range(replicas)]
    assert sorted(itertools.chain(*samplers)) == list(range(n))
    assert [len(sampler) for sampler in samplers] == [len(list(sampler)) for sampler in samplers]


def test_fewer_samples_than_processes_are_refused():
    with pytest.raises(ConfigurationError, match="2 samples cannot be evaluated on 3 processes without repeating"):
        UnpaddedSampler(range(2), num_replicas=3, rank=0)


# The loader that resumes


def loader(seed=0, batch_size=2, n=9):
    numbers = EventDataset(
        torch.zeros(n + 1, dtype=torch.int64),
        torch.zeros(0, dtype=torch.int64),
        torch.zeros(0, dtype=torch.int64),
        torch.arange(n),
        steps=1,
        in_features=1,
    )
    return ResumableLoader(
        numbers, batch_size=batch_size, sampler=EpochSampler(numbers, seed=seed), collate_fn=as_batch
    )


def labels_of(batches):
    return [y.tolist() for _, y in batches]


@pytest.mark.parametrize("stop", [0, 1, 3, 4])
def test_a_resumed_loader_hands_out_the_rest_of_the_epoch_and_then_whole_epochs(stop):
    original = loader()
    original.sampler.set_epoch(2)
    whole = labels_of(original)
    for _ in itertools.islice(original, stop):
        pass
    state = pickle.loads(pickle.dumps(original.state_dict())) if stop else {**original.state_dict(), "batches": 0}

    resumed = loader()
    resumed.load_state_dict(state)
    assert resumed.state_dict() == state
    iterator = iter(resumed)
    resumed.sampler.set_epoch(2)
    assert labels_of(iterator) == whole[stop:]
    assert len(resumed) == 5
    assert labels_of(resumed) == whole


def test_a_state_of_another_epoch_skips_nothing():
    resumed = loader()
    resumed.load_state_dict(loader().state_dict() | {"epoch": 1, "batches": 3})
    resumed.sampler.set_epoch(2)
    assert len(list(resumed)) == 5


def test_a_state_from_within_an_epoch_of_another_order_is_refused():
    state = loader().state_dict() | {"batches": 3}
    with pytest.raises(ConfigurationError, match=r"after 3 of 5 batches.*batch_size was 2 and is 3"):
        loader(batch_size=3).load_state_dict(state)
    with pytest.raises(ConfigurationError, match="seed was 0 and is 4"):
        loader(seed=4).load_state_dict(state)
    loader(seed=4).load_state_dict(state | {"batches": 5})  # the end of an epoch belongs to no order


def test_the_epoch_may_be_set_after_the_iterator_was_made():
    late = loader()
    iterator = iter(late)
    late.sampler.set_epoch(3)
    early = loader()
    early.sampler.set_epoch(3)
    assert labels_of(iterator) == labels_of(early)


def test_a_plain_loader_around_the_data_set_needs_only_the_collate_function():
    dataset = events()
    x, y = next(iter(DataLoader(dataset, batch_size=3, collate_fn=as_batch)))
    assert x.shape == (3, 3, 2)
    assert y.tolist() == [2, 0, 1]
