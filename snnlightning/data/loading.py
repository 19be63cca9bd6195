"""Loading: events in memory, batches by one gather, an order that a killed run can come back to.

Three things that Lightning leaves to the data and that decide whether a number can be trusted:

- **The order of an epoch** is a function of (seed, epoch) and of nothing else, so it does not depend on what ran before.
- **A run that is killed within an epoch** goes on with the batch after the last one that was trained on. Lightning
  restores its batch counter but restarts an ordinary loader at batch 0; it saves and restores any loader that has
  ``state_dict`` and ``load_state_dict``.
- **Evaluation on several processes** sees every sample once. Lightning's own sampler repeats some to even out the
  shares, which changes every metric; it leaves a sampler alone that already is a ``DistributedSampler``.
"""

import abc
import itertools
from collections.abc import Iterator, Sequence, Sized
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from ..encoders import AbstractEncoder
from ..errors import ConfigurationError, DataError, ShapeError
from ..events import Events
from ..typing import Sample

__all__ = [
    "EpochSampler",
    "EventBatches",
    "EventDataset",
    "ResumableLoader",
    "SequenceDataset",
    "UnpaddedSampler",
    "as_batch",
]


class _InMemory(Dataset[tuple[Tensor, Tensor]], abc.ABC):
    """Labelled samples in memory, of which a whole batch is had at once."""

    labels: Tensor

    @abc.abstractmethod
    def __getitems__(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """A whole batch: x [B, T, N] float32 and y [B] int64."""

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Sample ``index``: x [T, N] float32 and y, a scalar int64."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        x, y = self.__getitems__([index % len(self)])
        return x[0], y[0]


class EventDataset(_InMemory):
    """Spike trains held as events, made dense one batch at a time, or handed out as they are (:meth:`events`).

    x[b, t, n] is the number of events of sample b in step t on channel n, or whether there is one (``binarize``). An
    event takes four bytes; a dense [100, 700] sample takes 280 kB.

    ``dataset[i]`` is (x [T, N], y []). A loader that finds ``__getitems__`` gets a whole batch (x [B, T, N], y [B]) from
    it and must leave it as it is: ``DataLoader(dataset, batch_size=64, collate_fn=as_batch)``.

    Args:
        offsets: [n + 1], ascending from 0; the events of sample i are ``offsets[i]:offsets[i + 1]``.
        bins: [E], the step of each event, in [0, steps).
        channels: [E], the channel of each event, in [0, in_features).
        labels: [n], class of each sample, >= 0.
        steps: number of time steps T, >= 1.
        in_features: number of channels N, >= 1.
        binarize: cut the counts at 1.

    Raises:
        ShapeError: tensors that do not belong together.
        DataError: events or labels out of range.
    """

    def __init__(
        self,
        offsets: Tensor,
        bins: Tensor,
        channels: Tensor,
        labels: Tensor,
        *,
        steps: int,
        in_features: int,
        binarize: bool = False,
    ) -> None:
        if bins.shape != channels.shape or bins.ndim != 1:
            raise ShapeError(f"bins {list(bins.shape)} and channels {list(channels.shape)} are both [E].")
        if labels.ndim != 1 or offsets.shape != (len(labels) + 1,):
            raise ShapeError(f"offsets {list(offsets.shape)} is [n + 1] for labels [n], which is {list(labels.shape)}.")
        if offsets[0] != 0 or offsets[-1] != len(bins) or bool((offsets.diff() < 0).any()):
            raise DataError(f"offsets must ascend from 0 to the number of events, {len(bins)}.")
        for name, values, end in (("bins", bins, steps), ("channels", channels, in_features)):
            if len(values) and not 0 <= int(values.min()) <= int(values.max()) < end:
                raise DataError(
                    f"{name} run from {int(values.min())} to {int(values.max())}; [0, {end}) is the allowed range."
                )
        if len(labels) and int(labels.min()) < 0:
            raise DataError(f"the smallest label is {int(labels.min())}; labels start at 0.")
        if steps * in_features >= 2**31:
            raise DataError(f"{steps} steps x {in_features} channels do not fit the 32-bit address of an event.")
        self.steps = steps
        self.in_features = in_features
        self.binarize = binarize
        self.labels = labels.long()
        self._offsets = offsets.long()
        # Where an event lies in its dense sample [T, N]; int32 halves the memory, and the gather widens it.
        self._cells = bins.int() * in_features + channels.int()
        self._lists: EventDataset._Lists | None = None

    @classmethod
    def from_dense(cls, spikes: Tensor, labels: Tensor) -> Self:
        """From numbers of spikes [n, T, N], as an encoder gives them, and labels [n]; two in one step are two events.

        Raises:
            DataError: values that are no numbers of spikes.
        """
        where = spikes.nonzero(as_tuple=True)
        times = spikes[where].long()
        if bool((times != spikes[where]).any() | (times < 0).any()):
            raise DataError(
                "spikes hold values that are no whole numbers of at least 0; graded values go into a SequenceDataset."
            )
        sample, bins, channels = (at.repeat_interleave(times) for at in where)
        counts = torch.bincount(sample, minlength=len(spikes))
        offsets = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
        return cls(offsets, bins, channels, labels, steps=spikes.shape[1], in_features=spikes.shape[2])

    @classmethod
    def encoded(cls, encoder: AbstractEncoder, x: Tensor, labels: Tensor, chunk: int = 2000) -> Self:
        """What an encoder makes of intensities x [n, N] in [0, 1], a chunk of samples at a time; labels [n].

        Bytes (uint8) are divided by 255 on the way, so that a large set is never held as floats.
        """
        counts, bins, channels = [], [], []
        for first in range(0, len(x), chunk):
            part = x[first : first + chunk]
            sample, bin_, channel = encoder.events(part.float() / 255.0 if part.dtype == torch.uint8 else part, first)
            counts.append(torch.bincount(sample, minlength=len(part)))
            bins.append(bin_.int())
            channels.append(channel.int())
        offsets = torch.cat([torch.zeros(1, dtype=torch.int64), torch.cat(counts).cumsum(0)])
        # Some codes spread a value over several channels: one sample says how many there are.
        in_features = encoder(x[:1].float() / 255.0 if x.dtype == torch.uint8 else x[:1]).shape[2]
        return cls(offsets, torch.cat(bins), torch.cat(channels), labels, steps=encoder.steps, in_features=in_features)

    def __getitems__(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """A whole batch: x [B, T, N] float32 and y [B] int64."""
        index = torch.as_tensor(indices, dtype=torch.int64)
        counts, events = _picked(self._offsets, index)
        size = self.steps * self.in_features
        cells = self._cells[events].long() + torch.repeat_interleave(torch.arange(len(index)) * size, counts)
        x = torch.zeros(len(index) * size).scatter_add_(0, cells, torch.ones(len(cells)))
        if self.binarize:
            x.clamp_(max=1.0)
        return x.view(len(index), self.steps, self.in_features), self.labels[index]

    def events(self, indices: Sequence[int]) -> tuple[Events, Tensor]:
        """A whole batch as events, and y [B] int64; ``events(i)[0].dense()`` is what ``__getitems__(i)[0]`` is."""
        if self._lists is None:
            self._lists = self._sorted()
        offsets, cells, value = self._lists
        index = torch.as_tensor(indices, dtype=torch.int64)
        counts, picked = _picked(offsets, index)
        own = cells[picked]
        step = torch.div(own, self.in_features, rounding_mode="floor")
        row = step + torch.repeat_interleave(torch.arange(len(index)) * self.steps, counts)
        shape = (len(index), self.steps, self.in_features)
        channel = own - step * self.in_features
        return Events.of_rows(row, channel, None if value is None else value[picked], shape), self.labels[index]

    def _sorted(self) -> "EventDataset._Lists":
        """Each cell of a sample once, in order, with how many events fell into it (None where that is always one)."""
        sample = torch.repeat_interleave(torch.arange(len(self)), self._offsets.diff())
        size = self.steps * self.in_features
        cells, count = torch.unique(sample * size + self._cells, return_counts=True)
        offsets = torch.cat([count.new_zeros(1), torch.bincount(cells // size, minlength=len(self)).cumsum(0)])
        once = self.binarize or bool((count == 1).all())
        return EventDataset._Lists(offsets, (cells % size).int(), None if once else count.float())

    class _Lists(NamedTuple):
        """Cells in order, and where those of each sample begin."""

        offsets: Tensor
        cells: Tensor
        value: Tensor | None

    def subset(self, index: Tensor) -> "EventDataset":
        """The samples ``index`` [m], in this order, with copies of their events."""
        counts, events = _picked(self._offsets, index)
        cells = self._cells[events]
        return EventDataset(
            torch.cat([counts.new_zeros(1), counts.cumsum(0)]),
            cells // self.in_features,
            cells % self.in_features,
            self.labels[index],
            steps=self.steps,
            in_features=self.in_features,
            binarize=self.binarize,
        )

    def event_counts(self) -> Tensor:
        """Number of events of each sample, [n] int64, before any cut at 1."""
        return self._offsets.diff()


class EventBatches(Dataset[tuple[Events, Tensor]]):
    """An :class:`EventDataset` whose batches are ``(Events, y)`` instead of dense tensors: nothing is written out, moved and
    searched again.

    ``batches[i]`` is a batch of one, for a loader that joins samples itself (``Events.cat``).
    """

    def __init__(self, dataset: EventDataset) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> tuple[Events, Tensor]:
        """Sample ``index`` as a batch of one: events [1, T, N] and y [1]."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        return self.dataset.events([index % len(self)])

    def __getitems__(self, indices: Sequence[int]) -> tuple[Events, Tensor]:
        """A whole batch: events [B, T, N] and y [B]."""
        return self.dataset.events(indices)


def _picked(offsets: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """How many events each of these samples has, and where all of them are stored, in order."""
    start = offsets[index]
    counts = offsets[index + 1] - start
    before = counts.cumsum(0) - counts
    return counts, torch.arange(int(counts.sum())) + torch.repeat_interleave(start - before, counts)


class SequenceDataset(_InMemory):
    """Sequences of graded values, which are an input current; what :class:`EventDataset` is for spikes.

    Args:
        values: [n, T, N], floating point or bytes; kept as they come and made float32 one batch at a time.
        labels: [n], class of each sample, >= 0.
        scale: what the values are multiplied by on the way out (1 / 255 for bytes of an image).
        order: [T], the step of the values that comes out at each step, or None for the steps as they are.

    Raises:
        ShapeError: tensors that do not belong together, or an order that is no permutation of the steps.
        DataError: values or labels that cannot be.
    """

    def __init__(self, values: Tensor, labels: Tensor, *, scale: float = 1.0, order: Tensor | None = None) -> None:
        if values.ndim != 3 or labels.ndim != 1 or len(values) != len(labels):
            raise ShapeError(
                f"values {list(values.shape)} is [n, T, N] and labels {list(labels.shape)} [n], with the same n."
            )
        if order is not None and not torch.equal(order.sort().values, torch.arange(values.shape[1])):
            raise ShapeError(f"order is [T], a permutation of the {values.shape[1]} steps; {list(order.shape)} came.")
        if values.is_floating_point() and not bool(values.isfinite().all()):
            raise DataError(f"{int((~values.isfinite()).sum())} of the values are not finite.")
        if len(labels) and int(labels.min()) < 0:
            raise DataError(f"the smallest label is {int(labels.min())}; labels start at 0.")
        self.labels = labels.long()
        self.scale = scale
        self._values = values
        self._order = order

    @property
    def steps(self) -> int:
        """Number of time steps T."""
        return self._values.shape[1]

    @property
    def in_features(self) -> int:
        """Number of channels N."""
        return self._values.shape[2]

    def __getitems__(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """A whole batch: x [B, T, N] float32 and y [B] int64."""
        index = torch.as_tensor(indices, dtype=torch.int64)
        x = self._values[index].float() * self.scale
        return (x if self._order is None else x[:, self._order]), self.labels[index]

    def subset(self, index: Tensor) -> "SequenceDataset":
        """The samples ``index`` [m], in this order."""
        return SequenceDataset(self._values[index], self.labels[index], scale=self.scale, order=self._order)


def as_batch(batch: Sample) -> Sample:
    """The collate function of a data set whose ``__getitems__`` already made the batch."""
    return batch


class EpochSampler(DistributedSampler[int]):
    """A new order of all samples in every epoch, given by (seed, epoch) alone.

    Lightning calls ``set_epoch`` before each epoch, in one process and in many. With several replicas each gets an equal
    share, and up to ``num_replicas - 1`` samples appear twice in an epoch, because unequal shares would leave one process
    waiting for the gradients of another.

    Args:
        dataset: what is sampled; only its length matters.
        seed: whole number >= 0.
        num_replicas: number of processes.
        rank: which of them this is.
    """

    def __init__(self, dataset: Dataset[Any], *, seed: int = 0, num_replicas: int = 1, rank: int = 0) -> None:
        super().__init__(dataset, num_replicas=num_replicas, rank=rank, shuffle=True, seed=seed)

    def __iter__(self) -> Iterator[int]:
        order = np.random.default_rng([self.seed, self.epoch]).permutation(_length(self.dataset))
        padded = np.resize(order, self.total_size)
        return iter(padded[self.rank :: self.num_replicas].tolist())


class UnpaddedSampler(DistributedSampler[int]):
    """Every sample once, in order, dealt out to the replicas; shares differ by one sample at most.

    Args:
        dataset: what is sampled; only its length matters.
        num_replicas: number of processes.
        rank: which of them this is.

    Raises:
        ConfigurationError: fewer samples than processes; one with nothing to do would block the others.
    """

    def __init__(self, dataset: Dataset[Any], *, num_replicas: int, rank: int) -> None:
        super().__init__(dataset, num_replicas=num_replicas, rank=rank, shuffle=False)
        if _length(dataset) < num_replicas:
            raise ConfigurationError(
                f"{_length(dataset)} samples cannot be evaluated on {num_replicas} processes without repeating any;"
                " use fewer devices or more samples."
            )
        self.total_size = _length(dataset)
        self.num_samples = len(range(rank, self.total_size, num_replicas))

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.rank, self.total_size, self.num_replicas))


class ResumableLoader(DataLoader[Sample]):
    """A loader that says where in the epoch it is, and goes on from there.

    The state is (epoch, batches handed out). It belongs to one order: when the number of batches, the batch size or the
    seed differ at loading, the rest of the epoch cannot be found again, and that is an error.

    Args:
        dataset: a map-style data set.
        **kwargs: what ``DataLoader`` takes. An :class:`EpochSampler` as ``sampler`` makes the order repeatable.
    """

    def __init__(self, dataset: Dataset[Any], **kwargs: Any) -> None:
        super().__init__(dataset, **kwargs)
        self._at_epoch = 0
        self._batches = 0
        self._resumes = False

    def __iter__(self) -> Iterator[Sample]:  # type: ignore[override]  # a plain iterator is all that anyone uses
        # A generator: nothing happens before the first next(). Lightning makes the iterator first and sets the epoch
        # of the sampler afterwards, and workers would otherwise have begun with the order of another epoch.
        epoch = self._sampler_epoch()
        skip = self._batches if self._resumes and epoch == self._at_epoch and self._batches < len(self) else 0
        self._resumes = False
        self._at_epoch, self._batches = epoch, skip
        for batch in itertools.islice(super().__iter__(), skip, None):
            self._batches += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        """Plain numbers, so that a checkpoint loads with ``weights_only=True``."""
        return {"epoch": self._at_epoch, "batches": self._batches} | self._order()

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on after the last batch that was handed out, when the next iteration is of the same epoch.

        Raises:
            ConfigurationError: the state is from the middle of an epoch in another order.
        """
        order = self._order()
        different = [f"{name} was {state[name]} and is {now}" for name, now in order.items() if state[name] != now]
        if different and 0 < state["batches"] < state["num_batches"]:
            raise ConfigurationError(
                f"the checkpoint is from within an epoch, after {state['batches']} of {state['num_batches']} batches,"
                f" and the rest of that epoch cannot be found: {', '.join(different)}. Resume with the old values, or"
                " from a checkpoint at the end of an epoch."
            )
        self._at_epoch, self._batches, self._resumes = state["epoch"], state["batches"], True
        if isinstance(self.sampler, DistributedSampler):
            self.sampler.set_epoch(state["epoch"])

    def _sampler_epoch(self) -> int:
        return int(getattr(self.sampler, "epoch", 0))

    def _order(self) -> dict[str, int]:
        """What, besides the epoch, decides which samples a batch holds."""
        return {
            "num_batches": len(self),
            "batch_size": int(self.batch_size or 0),
            "seed": int(getattr(self.sampler, "seed", 0)),
        }


def _length(dataset: object) -> int:
    if not isinstance(dataset, Sized):
        raise ConfigurationError(f"{type(dataset).__name__} has no length; a map-style data set is expected.")
    return len(dataset)
