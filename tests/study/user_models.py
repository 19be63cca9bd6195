"""Models of somebody else's project, as the tests' studies name them."""

import os
import signal
from typing import Any

import torch

from snnlightning.training import SpikingClassifier


class Troubled(SpikingClassifier):
    """Fails in the way that ``trouble`` names."""

    def __init__(self, trouble: str = "none", learning_rate: float = 0.02) -> None:
        super().__init__(in_features=64, num_classes=10, hidden_sizes=[8], recurrent=False, learning_rate=learning_rate)
        self.trouble = trouble

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        hidden, readout = self.network.layers
        if self.trouble == "raises":
            raise RuntimeError("the cat sat on the\nkeyboard <b>")
        if self.trouble == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        with torch.no_grad():
            if self.trouble == "nan":
                readout.w_in.fill_(float("nan"))
            if self.trouble == "silent":
                hidden.w_in.zero_()
