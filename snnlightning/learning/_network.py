"""What a rule is handed: a network of layers, described by what rules need of it, and nothing of its class."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, cast

from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import ConfigurationError
from ..scan import scan
from ..typing import Coefficients, LayerRecord, NetworkOutput, SpikeFunction, State, Trace

__all__ = [
    "LayerLike",
    "NetworkLike",
    "coefficients_of",
    "drive_of",
    "layers_of",
    "parameters_of",
    "record",
    "run_on_drive",
]


class LayerLike(Protocol):
    """A layer that is its neuron's equation on W x + b, and nothing else."""

    neuron: Any
    surrogate: SpikeFunction | None
    w_in: Tensor
    w_rec: Tensor | None
    bias: Tensor | None
    backend: str

    def values(self) -> dict[str, Tensor]: ...


class NetworkLike(Protocol):
    """Layers in a row and a readout over time."""

    readout: Any

    @property
    def layers(self) -> Any: ...
    @property
    def names(self) -> tuple[str, ...]: ...
    def __call__(self, x: Tensor, states: Sequence[State] | None = None) -> NetworkOutput: ...
    def parameters(self) -> Iterator[nn.Parameter]: ...


PLAIN = {"w_in", "w_rec", "bias"}


def layers_of(network: object, rule: str) -> list[LayerLike]:
    """The layers of a network that a rule takes apart; one that does more than its neuron's equation is refused.

    Raises:
        ConfigurationError: no chain of plain layers.
    """
    layers = getattr(network, "layers", None)
    if layers is None or not hasattr(network, "readout"):
        raise ConfigurationError(
            f"{rule} takes a network apart and needs a chain such as SpikingNetwork; {type(network).__name__} came. "
            "learning='bptt' trains any network."
        )
    for k, layer in enumerate(layers):
        if (reason := _not_plain(layer)) is not None:
            raise ConfigurationError(f"{rule} cannot train layer {k}: {reason}. {_ELSE.get(rule, _ANY)}")
    return [cast(LayerLike, layer) for layer in layers]


_ANY = "Use learning='bptt' or 'truncated_bptt', which train any layer."
_ELSE = {"sparse": "Use learning='bptt' with surrogate={'family': 'sparse'}, which cuts the derivative of any layer."}


def _not_plain(layer: Any) -> str | None:
    if not all(hasattr(layer, name) for name in ("neuron", "surrogate", "w_in", "w_rec", "bias")):
        return f"a {type(layer).__name__} has no neuron and weights of its own"
    if (reason := _more_than_a_matrix(layer)) is not None:
        return reason
    own = {name for name, _ in layer.named_parameters()}
    neuron = cast(Any, layer.neuron)
    extra = own - PLAIN - {neuron.parameter_name(name) for name in neuron.learned}
    drawn = set(neuron.drawn)
    children = [name for name, _ in layer.named_children()]
    buffers = [name for name, _ in layer.named_buffers() if name not in drawn]
    if others := [*sorted(extra), *children, *buffers]:
        return f"it has more than weights and a neuron ({', '.join(others)})"
    if getattr(layer, "quantization", None) is not None and getattr(layer, "quantize_mode", "") == "aware":
        return "it trains at the precision of a chip (quantize='after' rounds in evaluation only)"
    return None


def _more_than_a_matrix(layer: Any) -> str | None:
    weights = cast(Tensor, layer.w_in)
    if weights.ndim != 2:
        return f"the weights of a {type(layer).__name__} are kernels {list(weights.shape)} and no matrix"
    if (norm := getattr(layer, "norm", None)) is not None:
        return f"a {type(norm).__name__} stands between its weights and its neurons"
    return "its input is delayed" if hasattr(layer, "delays_in_steps") else None


def coefficients_of(layer: LayerLike) -> Coefficients:
    """The layer's decays and gains, with a graph where they are learned."""
    coefficients: Coefficients = layer.neuron.coefficients(layer.values())
    return coefficients


def parameters_of(network: NetworkLike) -> list[nn.Parameter]:
    """What is trained."""
    return [p for p in network.parameters() if p.requires_grad]


def drive_of(layer: LayerLike, x: Tensor) -> Tensor:
    """W x + b in the precision of the weights, which is that of the states, also where autocast makes the product half."""
    return F.linear(x.to(layer.w_in.dtype), layer.w_in, layer.bias).to(layer.w_in.dtype)


def run_on_drive(layer: LayerLike, drive: Tensor, spike: SpikeFunction | None = None) -> Trace:
    """The layer's dynamics on a drive [B, T, N] that is there already, on the layer's own backend; ``spike`` replaces its
    surrogate."""
    return scan(
        layer.neuron,
        drive,
        None,
        layer.w_rec,
        spike=spike or layer.surrogate,
        coefficients=coefficients_of(layer),
        backend=layer.backend,
    )


def record(name: str, layer: LayerLike, output: Tensor, state: State) -> LayerRecord:
    """What penalties read; a rule's own forward pass has no connections to count."""
    return LayerRecord(name, layer.neuron.spiking, output, state, None, ())
