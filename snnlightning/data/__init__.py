"""Data: one LightningDataModule per data set; batches are (x [B, T, N] float32 or events, y [B] int64)."""

from .abstract import SpikingDataModule, Splits
from .digits import DigitsDataModule
from .loading import EpochSampler, EventBatches, EventDataset, ResumableLoader, UnpaddedSampler
from .randman import RandmanDataModule, randman
from .spiking_hdf5 import SpikingHDF5DataModule

__all__ = [
    "SpikingDataModule",
    "DigitsDataModule",
    "RandmanDataModule",
    "SpikingHDF5DataModule",
    "randman",
    "EpochSampler",
    "EventBatches",
    "EventDataset",
    "ResumableLoader",
    "Splits",
    "UnpaddedSampler",
]
