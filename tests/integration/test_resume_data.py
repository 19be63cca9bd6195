"""A fit that is killed and resumed ends where the uninterrupted one ends; several processes evaluate each sample once."""

import json
import subprocess
import sys
import textwrap

import lightning.pytorch as L
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from snnlightning.data import RandmanDataModule
from snnlightning.training import SpikingClassifier

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),  # data in memory needs none
    pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec:FutureWarning"),  # Lightning 2.6 on torch 2.13
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty"),  # that is what resuming is
]

EPOCHS, BATCHES = 4, 8


class KilledError(Exception):
    """Stands for the power cut."""


class Linear(L.LightningModule):
    """logits = W sum_t x; remembers which labels it saw, and can be killed in a step."""

    def __init__(self, inputs, classes, die_at=None):
        super().__init__()
        self.layer = torch.nn.Linear(inputs, classes)
        self.die_at = die_at
        self.seen = []

    def training_step(self, batch):
        if self.global_step == self.die_at:
            raise KilledError
        x, y = batch
        self.seen.append((self.current_epoch, y.tolist()))
        # Weighted by time, because the plain sum over time of Randman is the same for all samples.
        return torch.nn.functional.cross_entropy(self.layer((x * torch.linspace(0, 1, x.shape[1])[:, None]).sum(1)), y)

    def validation_step(self, batch):
        return None

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.05)


def data(of=RandmanDataModule, **changes):
    small = {"classes": 3, "units": 6, "samples_per_class": 50, "modes": 30, "steps": 50, "batch_size": 15, "seed": 5}
    return of(**small | changes)


FIVE = {"every_n_train_steps": 5}


def fit(folder, *, every=None, die_at=None, resume=None, module=None, of=Linear, seed=11, **trainer):
    """One process' worth of training; returns the model. ``every`` is the step or epoch interval of checkpoints."""
    torch.manual_seed(seed)
    module = module or data()
    model = of(module.in_features, module.num_classes, die_at)
    options = {
        "max_epochs": EPOCHS,
        "accelerator": "cpu",
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "callbacks": [ModelCheckpoint(folder, filename="{step}", save_top_k=-1, **every)] if every else [],
        "enable_checkpointing": bool(every),
    }
    try:
        L.Trainer(**options | trainer).fit(model, module, ckpt_path=resume)
    except KilledError:
        assert die_at is not None
    return model


@pytest.fixture(scope="module")
def uninterrupted():
    return fit(None)


def same_weights(one, other):
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_an_epoch_has_eight_batches_and_a_partial_one_is_kept(uninterrupted):
    assert len(uninterrupted.seen) == EPOCHS * BATCHES
    sizes = [len(y) for _, y in uninterrupted.seen[:BATCHES]]
    assert sizes == [15] * BATCHES


def test_every_epoch_has_another_order(uninterrupted):
    orders = {tuple(y for epoch, batch in uninterrupted.seen if epoch == e for y in batch) for e in range(EPOCHS)}
    assert len(orders) == EPOCHS


@pytest.mark.parametrize("die_at", [6, 7, 11, 13, 17, 29])
def test_a_fit_killed_within_an_epoch_ends_with_the_same_weights(uninterrupted, tmp_path, die_at):
    fit(tmp_path, every=FIVE, die_at=die_at)
    last = die_at // 5 * 5
    resumed = fit(tmp_path, resume=tmp_path / f"step={last}.ckpt", every=FIVE)
    assert resumed.seen == uninterrupted.seen[last:]
    assert same_weights(resumed, uninterrupted)


def test_a_fit_killed_twice_ends_with_the_same_weights(uninterrupted, tmp_path):
    fit(tmp_path, every=FIVE, die_at=6)
    fit(tmp_path, every=FIVE, die_at=12, resume=tmp_path / "step=5.ckpt")
    resumed = fit(tmp_path, every=FIVE, resume=tmp_path / "step=10.ckpt")
    assert resumed.seen == uninterrupted.seen[10:]
    assert same_weights(resumed, uninterrupted)


@pytest.mark.parametrize(
    "every",
    [
        {"every_n_epochs": 1},
        {"every_n_epochs": 1, "save_on_train_epoch_end": True},
        {"every_n_train_steps": BATCHES},
    ],
    ids=["after validation", "end of epoch", "last step"],
)
def test_a_fit_resumed_between_epochs_ends_with_the_same_weights(uninterrupted, tmp_path, every):
    fit(tmp_path, every=every, die_at=2 * BATCHES + 3)
    resumed = fit(tmp_path, every=every, resume=tmp_path / f"step={2 * BATCHES}.ckpt")
    assert resumed.seen == uninterrupted.seen[2 * BATCHES :]
    assert same_weights(resumed, uninterrupted)


class Drawing(SpikingClassifier):
    """Spikes at random and loses inputs at random; can be killed in a step."""

    def __init__(self, inputs, classes, die_at=None):
        super().__init__(inputs, classes, [5], firing={"firing": "sigmoid_escape", "width": 0.1}, init_gain=3.0)
        self.die_at = die_at

    def training_step(self, batch, batch_idx):
        if self.global_step == self.die_at:
            raise KilledError
        x, y = batch
        return super().training_step((torch.nn.functional.dropout(x, 0.2), y), batch_idx)


def fit_drawing(folder=None, *, module=None, **changes):
    return fit(folder, of=Drawing, max_epochs=3, module=module or data(samples_per_class=20), **changes)


@pytest.mark.parametrize("every", [{"every_n_train_steps": 3}, {"every_n_epochs": 1}], ids=["within", "between"])
def test_a_resumed_fit_draws_what_the_uninterrupted_one_drew(tmp_path, every):
    """Escape noise and dropout come from the global generator, which stands elsewhere in the new process."""
    fit_drawing(tmp_path, every=every, die_at=5)
    (saved,) = tmp_path.glob("*.ckpt")
    assert same_weights(fit_drawing(tmp_path, every=every, resume=saved, seed=12), fit_drawing())


class Shuffled(RandmanDataModule):
    """torch's own loader draws its order from the global generator, before the first step of an epoch."""

    def train_dataloader(self):
        x, y = map(torch.cat, zip(*super().train_dataloader(), strict=True))
        return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=15, shuffle=True)


def test_a_fit_resumed_between_epochs_shuffles_a_plain_loader_as_the_uninterrupted_one_did(tmp_path):
    every, module = {"every_n_epochs": 1}, data(Shuffled, samples_per_class=20)
    whole = fit_drawing(module=module)
    fit_drawing(tmp_path, every=every, die_at=5, module=module)
    (saved,) = tmp_path.glob("*.ckpt")
    assert same_weights(fit_drawing(tmp_path, every=every, resume=saved, seed=12, module=module), whole)


def test_a_checkpoint_that_only_lends_its_weights_leaves_the_generators_alone(tmp_path):
    fit_drawing(tmp_path, every={"every_n_epochs": 1}, die_at=5)
    (saved,) = tmp_path.glob("*.ckpt")
    drawn = []
    for seed in (1, 2):
        model = Drawing.load_from_checkpoint(saved, inputs=6, classes=3, die_at=None)
        torch.manual_seed(seed)
        L.Trainer(
            max_steps=1,
            accelerator="cpu",
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
        ).fit(model, data(samples_per_class=20))
        drawn.append(torch.rand(()))
    assert drawn[0] != drawn[1]


def test_a_fit_resumed_with_worker_processes_ends_with_the_same_weights(uninterrupted, tmp_path):
    fit(tmp_path, every=FIVE, die_at=11)
    resumed = fit(tmp_path, every=FIVE, resume=tmp_path / "step=10.ckpt", module=data(num_workers=1))
    assert resumed.seen == uninterrupted.seen[10:]
    assert same_weights(resumed, uninterrupted)


def test_a_fit_stopped_by_steps_goes_on_within_the_epoch(uninterrupted, tmp_path):
    fit(tmp_path, every=FIVE, max_epochs=-1, max_steps=10)
    steps = {"max_epochs": -1, "max_steps": EPOCHS * BATCHES}
    resumed = fit(tmp_path, every=FIVE, resume=tmp_path / "step=10.ckpt", **steps)
    assert resumed.seen == uninterrupted.seen[10:]
    assert same_weights(resumed, uninterrupted)


def test_a_checkpoint_of_another_batch_size_is_refused_within_an_epoch(tmp_path):
    fit(tmp_path, every=FIVE, die_at=6)
    with pytest.raises(ValueError, match=r"after 5 of 8 batches.*batch_size was 15 and is 10"):
        fit(tmp_path, every=FIVE, resume=tmp_path / "step=5.ckpt", module=data(batch_size=10))


def test_the_training_loader_survives_being_made_anew_by_lightning(tmp_path):
    """Overfitting replaces the sampler by a sequential one in a second instance of the loader."""
    with pytest.warns(UserWarning, match="We are turning off the train dataloader shuffling for you"):
        model = fit(tmp_path, overfit_batches=2, max_epochs=3)
    assert len(model.seen) == 6
    assert model.seen[0][1] == model.seen[2][1] == model.seen[4][1]


TWO_PROCESSES = """
    import json, logging, sys, warnings
    warnings.simplefilter("ignore")
    import torch
    torch.set_num_threads(1)
    import lightning.pytorch as L
    from snnlightning.data import RandmanDataModule, SpikingDataModule, Splits

    class Odd(RandmanDataModule):
        # 11 validation samples, each labelled with its own number.
        def load(self):
            splits = super().load()
            val = splits.val.subset(torch.arange(11))
            val.labels = torch.arange(11)
            train = splits.train.subset(torch.arange(21))
            train.labels = torch.arange(21)
            return Splits(train, val, val, 21)

    class Seen(L.LightningModule):
        # The buffer is what DDP synchronises in each forward pass, which unequal shares must not block.
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(5, 21)
            self.register_buffer("running", torch.zeros(3))
            self.train_seen, self.val_seen = [], []

        def training_step(self, batch):
            self.train_seen.append(batch[1])
            return torch.nn.functional.cross_entropy(self.layer(batch[0].mean(1)), batch[1])

        def validation_step(self, batch):
            self.val_seen.append(batch[1])

        def on_validation_epoch_start(self):
            self.val_seen = []

        def on_validation_epoch_end(self):
            self.report("validation", self.val_seen)

        test_step = validation_step

        def on_test_epoch_start(self):
            self.val_seen = []

        def on_test_epoch_end(self):
            self.report("test", self.val_seen)

        def on_train_epoch_end(self):
            self.report("training", self.train_seen)
            self.train_seen = []

        def report(self, what, seen):
            shares = [None, None]
            torch.distributed.all_gather_object(shares, torch.cat(seen).tolist())
            if self.trainer.is_global_zero and not self.trainer.sanity_checking:
                print(json.dumps([what, shares]), flush=True)

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    data = Odd(classes=2, units=5, samples_per_class=200, modes=5, batch_size=5)
    trainer = L.Trainer(
        strategy="ddp_fork", accelerator="cpu", devices=2, max_epochs=2, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )
    model = Seen()
    trainer.fit(model, data)
    trainer.test(model, data, verbose=False)
"""


DRAWING_IN_TWO = """
    import json, logging, sys, warnings
    warnings.simplefilter("ignore")
    import torch
    torch.set_num_threads(1)
    import lightning.pytorch as L
    from lightning.pytorch.callbacks import ModelCheckpoint
    from snnlightning.data import RandmanDataModule
    from snnlightning.training import SpikingClassifier

    class Seen(SpikingClassifier):
        # Each process draws for itself.
        first_seed = 100

        def on_fit_start(self):
            torch.manual_seed(self.first_seed + self.global_rank)
            super().on_fit_start()
            self.drawn = []

        def training_step(self, batch, batch_idx):
            self.drawn.append(round(float(torch.rand(())), 6))
            return super().training_step(batch, batch_idx)

        def on_train_end(self):
            shares = [None, None]
            torch.distributed.all_gather_object(shares, self.drawn)
            if self.trainer.is_global_zero:
                print(json.dumps(shares), flush=True)

    data = RandmanDataModule(classes=2, units=5, samples_per_class=20, modes=5, batch_size=5)

    def fit(epochs, resume=None):
        L.Trainer(
            strategy="ddp_fork", accelerator="cpu", devices=2, max_epochs=epochs, logger=False,
            enable_progress_bar=False, enable_model_summary=False, callbacks=[ModelCheckpoint(sys.argv[1], filename="{epoch}", save_top_k=-1)],
        ).fit(Seen(5, 2, [4]), data, ckpt_path=resume)

    fit(2)
    Seen.first_seed = 200
    fit(2, sys.argv[1] + "/epoch=0.ckpt")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
def test_each_of_two_processes_draws_on_from_where_it_stood(tmp_path):
    script = [sys.executable, "-c", textwrap.dedent(DRAWING_IN_TWO), str(tmp_path)]
    done = subprocess.run(script, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    whole, resumed = (json.loads(line) for line in done.stdout.splitlines() if line.startswith("["))
    assert whole[0] != whole[1]
    for rank in (0, 1):
        steps = len(whole[rank]) // 2
        assert resumed[rank] == whole[rank][steps:]


@pytest.fixture(scope="module")
def two_processes():
    """What each of two processes saw, [(stage, [labels of rank 0, labels of rank 1])], from a process that may fork."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(TWO_PROCESSES)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
def test_two_processes_evaluate_each_of_eleven_samples_exactly_once(two_processes):
    evaluations = [shares for what, shares in two_processes if what in ("validation", "test")]
    assert len(evaluations) == 3
    for shares in evaluations:
        assert sorted(shares[0] + shares[1]) == list(range(11))
        assert sorted(map(len, shares)) == [5, 6]  # two batches and one


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
def test_two_processes_train_on_equal_shares_in_a_new_order_each_epoch(two_processes):
    (first, second) = (shares for what, shares in two_processes if what == "training")
    for shares in (first, second):
        assert [len(share) for share in shares] == [11, 11]
        assert set(shares[0] + shares[1]) == set(range(21))
    assert first != second
