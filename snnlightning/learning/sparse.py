"""Sparse surrogate gradient: backpropagation through time that sees only neurons near threshold."""

import dataclasses

from torch import Tensor, nn

from ..errors import ConfigurationError
from ..surrogates import AbstractSurrogate, Sparse
from ..typing import LayerRecord, NetworkOutput
from ..units import positive
from ._network import NetworkLike, drive_of, layers_of, record, run_on_drive
from ._outcome import Objective, Outcome, Update
from .abstract import AbstractRule

__all__ = ["SparseGradient"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SparseGradient(AbstractRule):
    """BPTT with h(v - v_th) where |v - v_th| < bound, and exactly 0 elsewhere.

    An error passes only through active pairs of neuron and time; the surrogate inside the bound is the layer's own. With
    bound towards infinity this is BPTT, towards 0 nothing below the output learns. The forward pass is unchanged.

    Args:
        bound: B_th, distance from threshold, > 0, in the unit of v.

    Raises:
        ConfigurationError: a network that is no chain of plain layers, or a spike function that has no h to cut.

    Source: Perez-Nieves & Goodman 2021, NeurIPS, eq. 5: SuperSpike(slope=100), bound 0.2. Differs: arrays are dense, so that
    what is saved is what a backend saves where h is 0.

    Example:
        >>> SparseGradient().bound
        0.2
    """

    bound: float = 0.2

    def __post_init__(self) -> None:
        positive("SparseGradient.bound", self.bound)

    def check(self, network: nn.Module) -> None:
        for k, layer in enumerate(layers_of(network, "sparse")):
            if layer.neuron.spiking and not isinstance(layer.surrogate, AbstractSurrogate):
                raise ConfigurationError(
                    f"sparse cuts a surrogate's derivative, and that of layer {k} is a {type(layer.surrogate).__name__}; "
                    "use one of snnlightning.surrogates, or learning='bptt'."
                )

    def step(
        self,
        network: NetworkLike,
        feedback: nn.Module,
        x: Tensor,
        y: Tensor,
        objective: Objective,
        update: Update | None = None,
    ) -> Outcome:
        records: list[LayerRecord] = []
        for name, layer in zip(network.names, layers_of(network, "sparse"), strict=True):
            cut = Sparse(layer.surrogate, self.bound) if isinstance(layer.surrogate, AbstractSurrogate) else None
            trace = run_on_drive(layer, drive_of(layer, x), cut)
            records.append(record(name, layer, trace.output, trace.state))
            x = trace.output
        out = NetworkOutput(network.readout(x), tuple(records))
        loss, penalty = objective.loss(out.logits, y), objective.penalty(out.records)
        return Outcome(out, loss, penalty, loss if penalty is None else loss + penalty)
