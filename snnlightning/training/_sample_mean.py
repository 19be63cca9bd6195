"""The mean over samples, of whatever is logged as a number."""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

__all__ = ["SampleMean"]


class SampleMean(Metric):
    """sum_batches n value / sum_batches n: a NaN stays one, and several processes get the mean over all of their samples.

    ``LightningModule.log(..., sync_dist=True)`` averages the number of samples over the processes as a whole number
    (Lightning 2.6.6: shares of 198 and 197 samples count as 197 each), and ``torchmetrics.MeanMetric`` leaves NaN out.

    Example:
        >>> mean = SampleMean()
        >>> mean.update(torch.tensor(1.0), 3)
        >>> mean.update(torch.tensor(5.0), 1)
        >>> mean.compute()
        tensor(2.)
    """

    full_state_update = False
    total: Tensor
    samples: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("total", torch.zeros(()), dist_reduce_fx="sum")
        self.add_state("samples", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, value: Tensor, samples: int) -> None:
        """Add a batch: its mean, a scalar, and its size."""
        self.total = self.total + value.detach() * samples
        self.samples = self.samples + samples

    def compute(self) -> Tensor:
        """The mean so far; NaN before any update."""
        return self.total / self.samples
