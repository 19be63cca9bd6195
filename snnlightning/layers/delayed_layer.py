"""DelayedLayer: a dense layer whose input spikes travel for a while; per axon or per synapse, fixed or learned."""

from collections.abc import Sequence
from typing import Literal, cast

import torch
from torch import Tensor, nn

from ..errors import ConfigurationError, ShapeError
from ..events import Events, dense
from ..firing import AbstractFiring
from ..neurons import AbstractNeuron
from ..scan import initial_state, scan
from ..surrogates import AbstractSurrogate
from ..typing import Connection, ConnectionKind, Delay, LayerRecord, SpikeFunction, State
from ..units import positive
from .abstract import AbstractLayer, Initializer, Shape, check_features, drive_of
from .delay_kernel import at_whole_steps, gaussian, inside, spread_per_axon, spread_per_synapse
from .normalization import AbstractNorm
from .quantization import Quantization, QuantizeMode

__all__ = ["DelayedLayer"]

DelayMs = float | Sequence[float] | Sequence[Sequence[float]]


class DelayedLayer(AbstractLayer):
    """drive_i[n] = Σ_j w_ij x_j[n - d_ij] + b_i (+ Σ_k v_ik S_k[n]): as :class:`SpikingLayer`, its input delayed.

    Delays are whole steps d in [0, D], D = round(max_delay_ms / dt_ms): one per synapse [N, N_in], or one per presynaptic
    neuron [N_in] (``per="axon"``, which most chips have and NIR can express). Recurrent synapses have none.

    Fixed delays are the buffer ``delay_steps``. Learned ones are the parameter ``position`` (the delay in steps, divided by
    ``delay_lr_factor``); in training a synapse is a normalised Gaussian over [0, D] around it (:func:`gaussian`), whose
    width shrinks geometrically from epoch to epoch, and in ``eval()`` it is the one tap at the rounded position. ``start_epoch``
    sets the width: :class:`~snnlightning.training.SpikingModule` calls it, your own loop has to.

    State: the neuron's variables, then ``past`` [B, D, N_in], what was sent in the last D steps; with it T1 and then T2
    steps equal T1 + T2. Counts: one operation per spike and synapse at the time it is sent, so spikes that would arrive
    after the last step count (they are in the state). The footprint has ``past`` among the state, and the delays among buffers or
    parameters.

    Args:
        in_features, out_features, neuron, surrogate, recurrent, bias, backend, initializer, rec_initializer, quantization,
            quantize, norm: as :class:`SpikingLayer` has them.
        max_delay_ms: the longest delay, at least a step.
        per: ``synapse`` or ``axon``.
        delay_ms: fixed delays, or where learned ones start; a number, or [N_in] for axons, [N, N_in] for synapses; in
            [0, max_delay_ms]. Drawn uniformly from there when None.
        learn_delay: whether delays are trained.
        delay_lr_factor: how many times faster than weights delays move, with Adam and its kind (by the scale of the stored
            parameter: it holds with any optimizer group and schedule; under plain SGD it acts squared). What counts is the product with
            the learning rate: published 100 · 1e-3, a tenth of a step per update; much more, and positions never settle.
        sigma_start: width in the first epoch, in steps; D / 2 when None.
        sigma_end: width from epoch ``sigma_epochs`` on.
        sigma_epochs: whole number >= 1; published: a quarter of all epochs.

    Raises:
        ConfigurationError: delays out of range; at the first use, a sequence that is not longer than the longest delay
            (unless a state is passed in: then it is a piece of a longer one).
        ShapeError: delays that are not one per axon or synapse; a state of another size.

    Gradient: exact with respect to positions through the Gaussian; none in ``eval()``, where they are rounded.
    Source: Hammouamri, Khalfaoui-Hassani & Masquelier 2024 (ICLR) and its code: uniform start, D / 2 -> 0.23, factor 100.
    differs: positions that leave [0, D] are read clamped and may come back, instead of being overwritten after each step.

    Example:
        >>> from snnlightning.neurons import LIF
        >>> layer = DelayedLayer(1, 1, neuron=LIF(), max_delay_ms=3.0, per="axon", delay_ms=2.0, learn_delay=False)
        >>> _ = torch.nn.init.constant_(layer.w_in, 2.0)
        >>> layer(torch.tensor([[[1.0], [0.0], [0.0], [0.0], [0.0]]]))[0].flatten().tolist()
        [0.0, 0.0, 0.0, 1.0, 0.0]
    """

    delay_steps: Tensor

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        neuron: AbstractNeuron,
        max_delay_ms: float,
        per: Literal["synapse", "axon"] = "synapse",
        delay_ms: DelayMs | None = None,
        learn_delay: bool = True,
        delay_lr_factor: float = 100.0,
        sigma_start: float | None = None,
        sigma_end: float = 0.23,
        sigma_epochs: int = 10,
        surrogate: AbstractSurrogate | AbstractFiring | SpikeFunction | None = None,
        recurrent: bool = False,
        bias: bool = False,
        backend: str = "auto",
        initializer: Initializer | None = None,
        rec_initializer: Initializer | None = None,
        quantization: Quantization | None = None,
        quantize: QuantizeMode = "aware",
        norm: AbstractNorm | None = None,
    ) -> None:
        check_features(in_features, out_features)
        super().__init__(
            neuron,
            surrogate,
            channels=out_features,
            recurrent=recurrent,
            backend=backend,
            initializer=initializer,
            rec_initializer=rec_initializer,
            quantization=quantization,
            quantize=quantize,
            norm=norm,
        )
        if per not in ("synapse", "axon"):
            raise ConfigurationError(f"per is {per!r}; it must be one of synapse, axon.")
        if isinstance(sigma_epochs, bool) or not isinstance(sigma_epochs, int) or sigma_epochs < 1:
            raise ConfigurationError(f"sigma_epochs is {sigma_epochs!r}; a whole number of at least 1 is expected.")
        self.per, self.learn_delay = per, learn_delay
        self.longest = _longest(max_delay_ms, neuron.dt_ms)
        self.delay_lr_factor = positive("delay_lr_factor", delay_lr_factor)
        self.sigma_start = positive("sigma_start", self.longest / 2 if sigma_start is None else sigma_start)
        self.sigma_end, self.sigma_epochs = positive("sigma_end", sigma_end), sigma_epochs
        self.sigma = self.sigma_start
        self._add_dense_weights(in_features, out_features, bias=bias)
        self._given = None if delay_ms is None else self._in_steps(delay_ms, max_delay_ms)
        if learn_delay:
            self.position = nn.Parameter(torch.empty(self._delay_shape))
        else:
            self.register_buffer("delay_steps", torch.zeros(self._delay_shape, dtype=torch.int16))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights anew, and the delays where they were not given."""
        super().reset_parameters()
        with torch.no_grad():
            if self.learn_delay:
                self.position.uniform_(0.0, self.longest / self.delay_lr_factor)
                if self._given is not None:
                    self.position.copy_(self._given / self.delay_lr_factor)
            else:
                whole = (
                    torch.randint(0, self.longest + 1, self._delay_shape)
                    if self._given is None
                    else self._given.round()
                )
                self.delay_steps.copy_(whole)

    def start_epoch(self, epoch: int) -> None:
        """σ = start (end / start)^(epoch / sigma_epochs), and end from there on."""
        super().start_epoch(epoch)
        share = min(1.0, epoch / self.sigma_epochs)
        self.sigma = self.sigma_start ** (1.0 - share) * self.sigma_end**share

    def delays_in_steps(self) -> Tensor:
        """The delays as ``eval()`` has them, int64 [N, N_in] or [N_in]."""
        if self.learn_delay:
            steps = (self.position.detach() * self.delay_lr_factor).clamp(0.0, self.longest).round()
            return steps.to(torch.int64)
        return self.delay_steps.to(torch.int64)

    def delays_ms(self) -> Tensor:
        """The delays as ``eval()`` has them, in ms, [N, N_in] or [N_in]."""
        return self.delays_in_steps() * self.neuron.dt_ms

    def initial_state(self, batch: int) -> State:
        """Zeros: the state with which the first piece of a long sequence begins."""
        past = self.w_in.new_zeros(batch, self.longest, self.in_features)
        return (*initial_state(self.neuron, batch, self.out_features, self.w_in), past)

    def run(
        self,
        x: Tensor | Events,
        state: State | None = None,
        *,
        potentials: bool = False,
        name: str = "layer",
        kind: ConnectionKind = "feedforward",
        binary: bool = False,
    ) -> LayerRecord:
        """As ``forward``, with everything that metrics and regularizers need; see :meth:`AbstractStage.run`."""
        x = dense(x)
        w_in, w_rec, bias, neuron, coefficients = self.effective()
        try:
            *variables, past = self._checked(x, state)
            sent = torch.cat([past, x.to(w_in.dtype)], dim=1)
            arriving, w_dense, bias_left = self._arriving(sent, x.shape[1], w_in, bias)
            if (norm := self.live_norm) is not None:
                drive = arriving if w_dense is None else drive_of(arriving, w_dense, bias_left)
                arriving, w_dense, bias_left = norm(drive), None, None
            trace = scan(
                neuron,
                arriving,
                w_dense,
                w_rec,
                bias=bias_left,
                state=tuple(variables),
                spike=self.surrogate,
                coefficients=coefficients,
                potentials=potentials,
                backend=self.backend,
            )
        except ShapeError as error:
            raise ShapeError(f"layer {name!r}: {error}") from None
        except ConfigurationError as error:
            raise ConfigurationError(f"layer {name!r}: {error}") from None
        delay = Delay(self.delays_in_steps(), past.detach())
        connections = [Connection(f"{name}.w_in", kind, x, w_in, binary, delay=delay, bits=self.weight_bits)]
        if w_rec is not None:
            connections.append(
                Connection(f"{name}.w_rec", "recurrent", trace.output, w_rec, self.sends_spikes, bits=self.weight_bits)
            )
        return LayerRecord(
            name,
            self.neuron.spiking,
            trace.output,
            (*trace.state, sent[:, x.shape[1] :]),
            trace.potentials,
            tuple(connections),
            binary=self.sends_spikes,
            bias=bias if norm is None else norm.shift,
        )

    def shape_after(self, shape: Shape | None) -> Shape | None:
        """(N,); the input has to be (N_in,)."""
        if shape is not None and shape != (self.in_features,):
            raise ShapeError(
                f"a step of the input is {list(shape)}; a delayed layer takes [{self.in_features}] (Flatten() makes maps flat)."
            )
        return (self.out_features,)

    def extra_repr(self) -> str:
        delays = f"max_delay_ms={self.longest * self.neuron.dt_ms:g}, per={self.per}, learn_delay={self.learn_delay}"
        return ", ".join([f"{self.in_features}, {self.out_features}", delays, *self._repr_of_neurons()])

    @property
    def _delay_shape(self) -> tuple[int, ...]:
        return (self.in_features,) if self.per == "axon" else (self.out_features, self.in_features)

    def _arriving(
        self, sent: Tensor, steps: int, w_in: Tensor, bias: Tensor | None
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """What arrives, and the weights and the bias that are still to be applied to it."""
        position = inside(self.position * self.delay_lr_factor, self.longest) if self._spread else None
        if self.per == "axon":
            if position is None:
                return at_whole_steps(sent, self.delays_in_steps(), steps), w_in, bias
            return spread_per_axon(sent, gaussian(position, self.sigma, self.longest)).to(w_in.dtype), w_in, bias
        if position is None:
            taps = torch.arange(self.longest + 1, device=sent.device)
            kernel = (self.delays_in_steps().unsqueeze(-1) == taps).to(w_in.dtype)
        else:
            kernel = gaussian(position, self.sigma, self.longest)
        # State stays in the precision of the weights, also where autocast makes the product half.
        return spread_per_synapse(sent, w_in.unsqueeze(-1) * kernel, bias).to(w_in.dtype), None, None

    @property
    def _spread(self) -> bool:
        return self.learn_delay and self.training

    def _checked(self, x: Tensor, state: State | None) -> State:
        if x.ndim != 3 or x.shape[2] != self.in_features:
            raise ShapeError(f"x is {list(x.shape)}; [B, T, N_in] with N_in = {self.in_features} is expected.")
        batch, steps = x.shape[:2]
        if state is None:
            if 0 < steps <= self.longest:
                raise ConfigurationError(
                    f"delays of up to {self.longest} steps ({self.longest * self.neuron.dt_ms:g} ms) in a sequence of "
                    f"{steps}: what is sent could not arrive. Take max_delay_ms <= {(steps - 1) * self.neuron.dt_ms:g}, or, if "
                    "this is the first piece of a longer sequence, pass state=layer.initial_state(batch)."
                )
            return self.initial_state(batch)
        names = (*self.neuron.state_names, "past")
        if len(state) != len(names):
            raise ShapeError(f"the state has {len(state)} tensors; this layer has {len(names)}: {', '.join(names)}.")
        expected = (batch, self.longest, self.in_features)
        if tuple(state[-1].shape) != expected:
            raise ShapeError(
                f"state past is {list(state[-1].shape)}; [B, D, N_in] = {list(expected)} is expected (what an earlier call gave)."
            )
        return state

    def _in_steps(self, delay_ms: DelayMs, max_delay_ms: float) -> Tensor:
        """Given delays in steps, [N, N_in] or [N_in]."""
        try:
            given = torch.as_tensor(cast(object, delay_ms), dtype=torch.float64)
        except (TypeError, ValueError):
            raise ConfigurationError(f"delay_ms is {delay_ms!r}; a number, or lists of numbers, is expected.") from None
        if given.ndim and tuple(given.shape) != self._delay_shape:
            axes = "[N_in]" if self.per == "axon" else "[N, N_in]"
            raise ShapeError(
                f"delay_ms is {list(given.shape)}; one number, or one per {self.per} {axes} = {list(self._delay_shape)}, is expected."
            )
        steps = given / self.neuron.dt_ms
        if not bool(((steps.round() >= 0) & (steps.round() <= self.longest)).all()):
            raise ConfigurationError(
                f"delay_ms is between {float(given.min()):g} and {float(given.max()):g}; 0 to max_delay_ms={max_delay_ms:g} is "
                "expected."
            )
        return steps.expand(self._delay_shape)


def _longest(max_delay_ms: float, dt_ms: float) -> int:
    """D."""
    steps = round(positive("max_delay_ms", max_delay_ms) / dt_ms) if max_delay_ms != float("inf") else 0
    if not 1 <= steps < 2**15:
        raise ConfigurationError(
            f"max_delay_ms is {max_delay_ms:g} with dt_ms={dt_ms:g}; 1 to 32767 steps are expected (without delays, take "
            "SpikingLayer)."
        )
    return steps
