"""Data: one LightningDataModule per data set; batches are (x [B, T, N] float32, y [B] int64)."""

from .abstract import SpikingDataModule, Splits
from .digits import DigitsDataModule
from .loading import EpochSampler, EventDataset, ResumableLoader, UnpaddedSampler
from .randman import RandmanDataModule, randman
from .spiking_hdf5 import SpikingHDF5DataModule

__all__ = [
    "SpikingDataModule",
    "DigitsDataModule",
    "RandmanDataModule",
    "SpikingHDF5DataModule",
    "randman",
    "EpochSampler",
    "EventDataset",
    "ResumableLoader",
    "Splits",
    "UnpaddedSampler",
]
