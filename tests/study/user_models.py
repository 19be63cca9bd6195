"""Models of somebody else's project, as the tests' studies name them."""

import os
import signal
from typing import Any

import lightning.pytorch as L
import torch

from snnlightning.data import DigitsDataModule
from snnlightning.training import SpikingClassifier


class Troubled(SpikingClassifier):
    """Fails in the way that ``trouble`` names."""

    def __init__(self, trouble: str = "none", learning_rate: float = 0.02) -> None:
        super().__init__(in_features=64, num_classes=10, hidden_sizes=[8], recurrent=False, learning_rate=learning_rate)
        self.trouble = trouble

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        hidden, readout = self.network.layers
        if self.trouble == "memory":
            torch.empty(2**50)
        if self.trouble == "raises":
            raise RuntimeError("the cat sat on the\nkeyboard <b>")
        if self.trouble == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        with torch.no_grad():
            if self.trouble == "nan":
                readout.w_in.fill_(float("nan"))
            if self.trouble == "silent":
                hidden.w_in.zero_()


class Plain(L.LightningModule):
    """No SpikingModule: says what it reached and what it spent, and knows nothing else."""

    def __init__(self, accuracy: float = 0.5, synops: float = 0.0, testable: bool = True) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(64, 10)
        self.accuracy, self.synops = accuracy, synops
        self.register_buffer("counts", torch.zeros(3))
        if not testable:
            self.test_step = None

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        return self.linear(batch[0].sum(1)).square().mean()

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log_dict({"val_accuracy": self.accuracy, "val_synops": self.synops})

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self.log_dict({"test_accuracy": self.accuracy, "test_synops": self.synops})

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Uncounted(L.LightningDataModule):
    """Data of somebody who does not say how many classes there are."""

    def train_dataloader(self) -> Any:
        return torch.utils.data.DataLoader(
            torch.utils.data.TensorDataset(torch.ones(8, 5, 64), torch.zeros(8, dtype=torch.long)), batch_size=4
        )

    val_dataloader = test_dataloader = train_dataloader


class Hooked(DigitsDataModule):
    """The loader's batches are not yet what the network is shown."""

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        x, y = batch
        return x.clone().index_fill_(-1, torch.tensor([0, 7]), 1.0), y

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        x, y = batch
        assert self.trainer is not None
        every = 5 if self.trainer.validating else 4
        return x * (torch.arange(x.shape[-1]) % every > 0), y


class Brighter(SpikingClassifier):
    """Validates on something that only its own step knows."""

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        x, y = batch
        super().validation_step((2.0 * x, y), batch_idx)


class Drawing(SpikingClassifier):
    """A member that draws in every step."""

    def penalty(self, records: Any) -> torch.Tensor:
        return torch.rand(()) * records[0].output.mean()


class Noisy(SpikingClassifier):
    """Draws in training, and has a learning rate that depends on how many epochs are planned."""

    def __init__(self, learning_rate: float = 0.02) -> None:
        super().__init__(in_features=64, num_classes=10, hidden_sizes=[8], recurrent=False, learning_rate=learning_rate)

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        x, y = batch
        self.log("rate", self.trainer.optimizers[0].param_groups[0]["lr"])
        return super().training_step((torch.nn.functional.dropout(x, 0.3), y), batch_idx)

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.Adam(self.parameters(), lr=self.learning_rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.trainer.max_epochs)
        return {"optimizer": optimizer, "lr_scheduler": schedule}
