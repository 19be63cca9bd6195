"""What every data module does: load once, split, hand out batches that can be counted on."""

import abc
import dataclasses
from typing import Any

import lightning.pytorch as L
import torch
from torch.utils.data import DataLoader

from ..errors import ConfigurationError
from ..typing import Sample
from ._checks import duration, whole
from .loading import (
    EpochSampler,
    EventBatches,
    EventDataset,
    ResumableLoader,
    SequenceDataset,
    UnpaddedSampler,
    as_batch,
)

__all__ = ["SpikingDataModule", "Splits"]


@dataclasses.dataclass(frozen=True)
class Splits:
    """A data set, split: ``test`` is None when there is none."""

    train: EventDataset | SequenceDataset
    val: EventDataset | SequenceDataset
    test: EventDataset | SequenceDataset | None
    num_classes: int


class SpikingDataModule(L.LightningDataModule, abc.ABC):
    """Batches (x [B, T, N] float32, y [B] int64) for training, validation and test.

    x holds spikes, as ``Events`` when asked, or graded currents.

    A subclass writes :meth:`load` and calls ``save_hyperparameters()`` in its own ``__init__`` with plain values, so that
    checkpoints load with ``weights_only=True``. The rest is the same for all of them:

    - data is loaded once per data module, by the first call that needs it; ``setup`` may be called any number of times;
    - training is shuffled by (seed, epoch), keeps the last partial batch, and resumes within an epoch bit by bit;
    - evaluation is in order and complete, on several processes too (see :mod:`snnlightning.data.loading`);
    - no loader draws from torch's global generator.

    On several processes ``batch_size`` counts per process, as everywhere in Lightning.

    Args:
        batch_size: samples per batch, >= 1; may be assigned later, as Lightning's tuner does.
        seed: decides the split, the shuffling and, where there is any, the noise; >= 0.
        dt_ms: length of a time step in ms, > 0.
        num_workers: worker processes per loader; 0, the default, is fastest for data in memory.
        events: whether x is handed out as :class:`snnlightning.events.Events` instead of a dense tensor. The same numbers
            for less work where the data is sparse; layers and metrics of this package take both.

    Raises:
        ConfigurationError: a number out of range.
    """

    def __init__(self, *, batch_size: int, seed: int, dt_ms: float, num_workers: int, events: bool = False) -> None:
        super().__init__()
        self.batch_size = whole("batch_size", batch_size)
        self.num_workers = whole("num_workers", num_workers, at_least=0)
        self._as_events = bool(events)
        self._seed = whole("seed", seed, at_least=0)
        self._dt_ms = duration("dt_ms", dt_ms)
        self._loaded: Splits | None = None

    @abc.abstractmethod
    def load(self) -> Splits:
        """Read or make the data and split it; called once."""

    @property
    def splits(self) -> Splits:
        """The three data sets; loads them if that has not happened."""
        if self._loaded is None:
            self._loaded = self.load()
        return self._loaded

    @property
    def in_features(self) -> int:
        """Number of input channels N; loads the data if that has not happened, as the next two do."""
        return self.splits.train.in_features

    @property
    def num_classes(self) -> int:
        """Number of classes C; labels are 0 ... C - 1."""
        return self.splits.num_classes

    @property
    def steps(self) -> int:
        """Number of time steps T."""
        return self.splits.train.steps

    @property
    def dt_ms(self) -> float:
        """Length of a time step in ms."""
        return self._dt_ms

    @property
    def seed(self) -> int:
        """The seed of split, shuffling and noise."""
        return self._seed

    def setup(self, stage: str | None = None) -> None:
        """Load the data if that has not happened; the stage does not matter."""
        _ = self.splits

    def train_dataloader(self) -> ResumableLoader:
        """Shuffled anew in each epoch; resumes within an epoch."""
        replicas, rank = self._replicas()
        train = self.splits.train
        sampler = EpochSampler(train, seed=self.seed, num_replicas=replicas, rank=rank)
        return ResumableLoader(self._handed_out(train), sampler=sampler, **self._options())

    def val_dataloader(self) -> DataLoader[Sample]:
        """In order, complete, nothing twice."""
        return self._evaluation(self.splits.val)

    def test_dataloader(self) -> DataLoader[Sample]:
        """In order, complete, nothing twice.

        Raises:
            ConfigurationError: there is no test set.
        """
        if self.splits.test is None:
            raise ConfigurationError(
                f"{type(self).__name__} was made without a test set; give test=PATH, or validate instead of testing."
            )
        return self._evaluation(self.splits.test)

    def predict_dataloader(self) -> DataLoader[Sample]:
        """The test set."""
        return self.test_dataloader()

    def _evaluation(self, dataset: EventDataset | SequenceDataset) -> DataLoader[Sample]:
        replicas, rank = self._replicas()
        sampler = UnpaddedSampler(dataset, num_replicas=replicas, rank=rank) if replicas > 1 else None
        return DataLoader(self._handed_out(dataset), sampler=sampler, **self._options())

    def _handed_out(self, dataset: EventDataset | SequenceDataset) -> EventDataset | EventBatches | SequenceDataset:
        return EventBatches(dataset) if self._as_events and isinstance(dataset, EventDataset) else dataset

    def _options(self) -> dict[str, Any]:
        return {
            "batch_size": whole("batch_size", self.batch_size),
            "collate_fn": as_batch,
            "num_workers": self.num_workers,
            "persistent_workers": self.num_workers > 0,
            # A loader without its own generator takes a number from the global one for each iterator, and then a
            # resumed fit, which makes another number of iterators, would drop out other neurons.
            "generator": torch.Generator(),
        }

    def _replicas(self) -> tuple[int, int]:
        """Number of processes that share the data, and which of them this is."""
        if self.trainer is not None:
            share = self.trainer.distributed_sampler_kwargs or {}
            return max(1, share.get("num_replicas", 1)), share.get("rank", 0)
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            return torch.distributed.get_world_size(), torch.distributed.get_rank()
        return 1, 0
