"""measure: what a trained network does with a split of the data, counted exactly, and which data that was."""

import dataclasses
import hashlib
from typing import Any, Literal

import lightning.pytorch as L
import torch
from torch import Tensor

from ..errors import ConfigurationError
from ..hardware import Counts, Estimate, Network, Profile, estimate
from ..metrics import Footprint, SynOps, SynOpsCounts
from ..typing import NetworkOutput
from .spiking_module import SpikingModule

__all__ = ["Measurement", "measure"]

Split = Literal["val", "test"]


@dataclasses.dataclass(frozen=True)
class Measurement:
    """A network on a split of the data.

    Attributes:
        split: ``val`` or ``test``.
        accuracy: share of samples that are classified rightly.
        counts: exact, per sample.
        network: the shape that can be placed on chips.
        footprint: bytes.
        steps: time steps T of a sample.
        dt_ms: time step of the data; None when the data module does not say.
        floating: what of the network ran in float (``weights``, ``states``) and was placed at a chip's width all the same.
        data_sha256: of all samples and labels in their order; the same for any batch size.
    """

    split: Split
    accuracy: float
    counts: SynOpsCounts
    network: Network
    footprint: Footprint
    steps: int
    dt_ms: float | None
    data_sha256: str
    floating: tuple[str, ...] = ()

    def estimate(self, profile: Profile | str, *, dt_ms: float | None = None, paced: bool = False) -> Estimate:
        """What a sample costs on a chip; ``dt_ms`` is that of the data when None."""
        dt_ms = self.dt_ms if dt_ms is None else dt_ms
        return estimate(Counts.of(self.counts, self.network, self.steps), profile, dt_ms=dt_ms, paced=paced)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as they go into JSON."""
        return {
            "split": self.split,
            "accuracy": self.accuracy,
            "steps": self.steps,
            "dt_ms": self.dt_ms,
            "data_sha256": self.data_sha256,
            "placed_with": {
                "weight_bits": {matrix.name: self.network.bits_of(matrix) for matrix in self.network.synapses},
                "state_bits": self.network.state_bits,
                "floating": list(self.floating),
            },
            "counts": self.counts.as_dict(),
            "footprint_bytes": {**self.footprint._asdict(), "total": self.footprint.total},
        }


def measure(model: SpikingModule, data: L.LightningDataModule, split: Split = "test") -> Measurement:
    """Run a network over a split once, on the CPU, and count.

    Args:
        model: the network; evaluated as it is.
        data: batches (x [B, T, N], y [B]).
        split: ``val`` or ``test``.

    Raises:
        ConfigurationError: the split is empty, or the network has a shape that cannot be placed on chips.
    """
    data.prepare_data()
    data.setup("test" if split == "test" else "validate")
    loader = data.test_dataloader() if split == "test" else data.val_dataloader()
    model = model.cpu().eval()
    metric, digest = SynOps(), hashlib.sha256()
    right = samples = 0
    first: NetworkOutput | None = None
    with torch.no_grad():
        for x, y in loader:
            out: NetworkOutput = model(x)
            metric.update(out)
            if first is None:
                first, shape = out, model.shape_of(out)
                if isinstance(shape.network, ConfigurationError):
                    raise shape.network
                network = shape.network
                digest.update(f"{x.dtype} {list(x.shape[1:])} {y.dtype}".encode())
            for sample, label in zip(x, y, strict=True):
                digest.update(_bytes(sample) + _bytes(label))
            right += int((out.logits.argmax(dim=-1) == y).sum())
            samples += len(y)
    if first is None:
        raise ConfigurationError(f"the {split} split has no samples; there is nothing to count.")
    return Measurement(
        split=split,
        accuracy=right / samples,
        counts=metric.compute(),
        network=network,
        footprint=shape.footprint,
        steps=shape.steps,
        dt_ms=getattr(data, "dt_ms", None),
        data_sha256=digest.hexdigest(),
        floating=model.floating,
    )


def _bytes(tensor: Tensor) -> bytes:
    return tensor.contiguous().numpy().tobytes()
