"""Data: one LightningDataModule per data set; batches are (x [B, T, N] float32 or events, y [B] int64)."""

from .abstract import SpikingDataModule, Splits
from .braille import BrailleDataModule
from .coincidence import CoincidenceDataModule
from .digits import DigitsDataModule
from .fashion_mnist import FashionMNISTDataModule
from .fsdd import FSDDDataModule
from .loading import EpochSampler, EventBatches, EventDataset, ResumableLoader, SequenceDataset, UnpaddedSampler
from .mnist1d import MNIST1DDataModule
from .nmnist import NMNISTDataModule
from .randman import RandmanDataModule, randman
from .sequential_mnist import SequentialMNISTDataModule
from .spiking_hdf5 import SpikingHDF5DataModule
from .yin_yang import YinYangDataModule, yin_yang

__all__ = [
    "SpikingDataModule",
    "BrailleDataModule",
    "CoincidenceDataModule",
    "DigitsDataModule",
    "FSDDDataModule",
    "FashionMNISTDataModule",
    "MNIST1DDataModule",
    "NMNISTDataModule",
    "RandmanDataModule",
    "SequentialMNISTDataModule",
    "SpikingHDF5DataModule",
    "YinYangDataModule",
    "randman",
    "yin_yang",
    "EpochSampler",
    "EventBatches",
    "EventDataset",
    "ResumableLoader",
    "SequenceDataset",
    "Splits",
    "UnpaddedSampler",
]
