"""scan: the one functional interface over neurons and backends.

A layer calls it with its weights, a test with whatever it wants to know. It checks what came, projects the input, runs
the neuron over time and returns a :class:`~snnlightning.typing.Trace`. Arguments in, results out: no state is kept.
"""

from typing import Literal

from torch import Tensor
from torch.nn import functional as F

from .errors import ConfigurationError, ShapeError
from .typing import Coefficients, NeuronLike, SpikeFunction, State, Trace

__all__ = ["BACKENDS", "Backend", "initial_state", "scan"]

Backend = Literal["auto", "reference"]
BACKENDS: tuple[str, ...] = ("auto", "reference")


def scan(
    neuron: NeuronLike,
    x: Tensor,
    w_in: Tensor,
    w_rec: Tensor | None = None,
    *,
    bias: Tensor | None = None,
    state: State | None = None,
    spike: SpikeFunction | None = None,
    coefficients: Coefficients | None = None,
    potentials: bool = False,
    backend: str = "auto",
) -> Trace:
    """Run one layer of neurons over time: drive W x + bias, recurrence V S, the neuron's update.

    Args:
        neuron: a record of :mod:`snnlightning.neurons`.
        x: input [B, T, N_in]; any real dtype, taken to that of ``w_in``.
        w_in: input weights [N, N_in].
        w_rec: recurrent weights [N, N] (row: to, column: from), or None for a feed-forward layer.
        bias: [N], added to the drive of every step.
        state: what an earlier call returned, or None for all zeros; each tensor [B, N].
        spike: v - v_th -> spikes: a surrogate, or its ``soft`` twin. A neuron without threshold takes None.
        coefficients: decays that replace the neuron's own (floats, [] or [N]); gradients flow through them.
        potentials: whether to return the potentials [B, T, N] as well.
        backend: ``reference`` is the plain loop that defines the dynamics; ``auto`` takes the fastest one that can do
            what is asked (today the reference is the only one).

    Returns:
        ``output`` [B, T, N], ``state`` after the last step, ``potentials`` [B, T, N] or None. T inputs give T outputs,
        each read before the update; T = 0 gives an empty output and the state that came.

    Raises:
        ShapeError: tensors that do not fit together.
        ConfigurationError: an unknown backend, a spiking neuron without a surrogate or the other way round.

    NaN: a potential that is NaN never crosses the threshold, so the output is silent; look at the state (``SpikingModule``
    does, and makes the loss NaN).

    Gradient: exact through all of it but the step, whose derivative is the surrogate's; reset and recurrent spikes are
    detached as the neuron says.

    Example:
        >>> import torch
        >>> from snnlightning.neurons import LIF
        >>> from snnlightning.surrogates import SuperSpike
        >>> trace = scan(LIF(), torch.ones(1, 4, 1), torch.ones(1, 1), spike=SuperSpike())
        >>> trace.output.flatten().tolist()  # U = 0, 1, 1.90, ...: strictly greater than v_th = 1
        [0.0, 0.0, 1.0, 1.0]
    """
    if backend not in BACKENDS:
        raise ConfigurationError(f"no backend named {backend!r}; available: {', '.join(BACKENDS)}.")
    features = _check_weights(x, w_in, w_rec, bias)
    name = type(neuron).__name__
    if neuron.spiking and spike is None:
        raise ConfigurationError(f"{name} spikes and needs a surrogate; pass spike=SuperSpike(), for example.")
    if not neuron.spiking and (spike is not None or w_rec is not None):
        what = "a surrogate" if spike is not None else "recurrent weights"
        raise ConfigurationError(f"{name} has no threshold, so there are no spikes for {what}; leave it out.")
    # State stays in the precision of the weights, also where autocast makes the product half.
    drive = F.linear(x.to(w_in.dtype), w_in, bias).to(w_in.dtype)
    state = _check_state(neuron, state, drive)
    given = neuron.coefficients() if coefficients is None else coefficients
    if coefficients is not None and (lacking := neuron.coefficients().keys() - coefficients.keys()):
        raise ConfigurationError(f"coefficients lack {', '.join(sorted(lacking))}, which {name} needs.")
    decays = {key: _check_coefficient(key, value, features, drive) for key, value in given.items()}
    return neuron.run(drive, w_rec, state, spike, decays, potentials)


def initial_state(neuron: NeuronLike, batch: int, features: int, like: Tensor) -> State:
    """All variables zero: one [B, N] tensor per name in ``neuron.state_names``, of the dtype and device of ``like``."""
    return tuple(like.new_zeros(batch, features) for _ in neuron.state_names)


def _check_weights(x: Tensor, w_in: Tensor, w_rec: Tensor | None, bias: Tensor | None) -> int:
    if x.ndim != 3:
        raise ShapeError(f"x is {list(x.shape)}; a batch of sequences [B, T, N_in] is expected (add the missing axis).")
    if w_in.ndim != 2:
        raise ShapeError(f"w_in is {list(w_in.shape)}; input weights are [N, N_in].")
    if x.shape[-1] != w_in.shape[-1]:
        raise ShapeError(
            f"x is {list(x.shape)} and has {x.shape[-1]} features; w_in {list(w_in.shape)} takes {w_in.shape[-1]}."
        )
    if x.is_complex():
        raise ShapeError("x is complex; real numbers are expected.")
    features = w_in.shape[0]
    if w_rec is not None and tuple(w_rec.shape) != (features, features):
        raise ShapeError(f"w_rec is {list(w_rec.shape)}; a recurrent matrix is [N, N], and w_in gives N = {features}.")
    if bias is not None and tuple(bias.shape) != (features,):
        raise ShapeError(f"bias is {list(bias.shape)}; one per neuron is expected, [{features}].")
    return features


def _check_state(neuron: NeuronLike, state: State | None, drive: Tensor) -> State:
    batch, features = drive.shape[0], drive.shape[-1]
    if state is None:
        return initial_state(neuron, batch, features, drive)
    names = neuron.state_names
    if len(state) != len(names):
        raise ShapeError(
            f"the state has {len(state)} tensors; {type(neuron).__name__} has {len(names)}: {', '.join(names)}."
        )
    for name, tensor in zip(names, state, strict=True):
        if tuple(tensor.shape) != (batch, features):
            raise ShapeError(f"state {name} is {list(tensor.shape)}; [B, N] = [{batch}, {features}] is expected.")
        if tensor.dtype != drive.dtype:
            raise ConfigurationError(
                f"state {name} is {tensor.dtype} and the weights are {drive.dtype}; convert one of them."
            )
    return tuple(state)


def _check_coefficient(name: str, value: float | Tensor, features: int, drive: Tensor) -> float | Tensor:
    if not isinstance(value, Tensor):
        return value
    if value.ndim > 1 or (value.ndim == 1 and value.shape[0] != features):
        raise ShapeError(
            f"{name} has shape {list(value.shape)}; one value, or one per neuron [{features}], is expected."
        )
    return value.to(device=drive.device, dtype=drive.dtype)
