"""Cochlea: audio becomes spikes by filters, rectification, adaptation and leaky neurons."""

import dataclasses
import math

import torch
from torch import Tensor

from ..errors import ConfigurationError, ShapeError
from .abstract import AbstractSignalEncoder, in_range

__all__ = ["Cochlea"]


@dataclasses.dataclass(frozen=True)
class Cochlea(AbstractSignalEncoder):
    """A bank of gammatone filters, and behind each an inner hair cell with a fibre of the nerve:

        1. the audio is scaled to a root-mean-square of 1;
        2. fourth-order gammatone filters, centres evenly spaced on the ERB-rate scale, bandwidth 1.019 ERB, gain 1 at the centre;
        3. x: half-wave rectification, mean over a step, to the power ``compression``;
        4. adaptation: a += (x - a) dt / tau_adapt, current I = gain max(x - adaptation a, 0);
        5. v <- decay v + (1 - decay) I, decay = exp(-dt / tau_mem); a spike at v > 1, reset to 0, ``refractory_steps`` without input.

    Args:
        channels: number of filters N, >= 2, low frequencies first.
        sample_rate_hz: of the audio, > 0.
        low_hz: centre of the first filter, > 0.
        high_hz: centre of the last one, above ``low_hz`` and at most half the sample rate.
        dt_ms: length of a time step: a whole number of samples.
        compression: exponent in step 3, in (0, 1].
        tau_adapt_ms: of the adaptation, > dt_ms.
        adaptation: share that is taken away, in [0, 1].
        gain: of the current, > 0.
        tau_mem_ms: of the neurons, > 0.
        refractory_steps: whole number >= 0.

    Raises:
        ConfigurationError: parameters out of range or that contradict each other.

    The defaults are the recipe of a set of spoken digits in the layout of the Spiking Heidelberg Digits; on ten of its recordings the
    numbers of spikes agree to 0.5 %, and 73 to 81 % of the spikes are in the same step and channel (there with recursive filters).

    Source: Glasberg & Moore 1990 (ERB), Patterson et al. 1992 (gammatone); adaptive neurons in the manner of Cramer et al. 2020.

    Example:
        >>> t = torch.arange(4000) / 8000.0
        >>> spikes = Cochlea(channels=20)(torch.sin(2 * math.pi * 1000.0 * t)[None])
        >>> spikes.shape, round(Cochlea(channels=20).centres()[spikes.sum(dim=1).argmax()].item())
        (torch.Size([1, 1000, 20]), 927)
    """

    channels: int = 700
    sample_rate_hz: float = 8000.0
    low_hz: float = 60.0
    high_hz: float = 3800.0
    dt_ms: float = 0.5
    compression: float = 0.4
    tau_adapt_ms: float = 80.0
    adaptation: float = 0.7
    gain: float = 4.0
    tau_mem_ms: float = 5.0
    refractory_steps: int = 4

    def __post_init__(self) -> None:
        for name in ("sample_rate_hz", "low_hz", "high_hz", "dt_ms", "tau_adapt_ms", "gain", "tau_mem_ms"):
            in_range(self, name, 0.0, math.inf, "(0, inf)")
        in_range(self, "compression", 0.0, 1.0, "(0, 1]")
        in_range(self, "adaptation", 0.0, 1.0, "[0, 1]")
        for name, least in (("channels", 2), ("refractory_steps", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ConfigurationError(f"Cochlea({name}={value!r}): a whole number of at least {least} is expected.")
        if not self.low_hz < self.high_hz <= self.sample_rate_hz / 2.0:
            raise ConfigurationError(
                f"Cochlea has filters from {self.low_hz:g} to {self.high_hz:g} Hz at {self.sample_rate_hz:g} samples per second; "
                "low < high <= half the sample rate is expected."
            )
        if self._per_step < 1 or abs(self._per_step - self.dt_ms * self.sample_rate_hz / 1000.0) > 1e-6:
            raise ConfigurationError(
                f"Cochlea has steps of {self.dt_ms:g} ms, {self.dt_ms * self.sample_rate_hz / 1000.0:g} samples; a whole number of "
                "them is expected."
            )
        if not self.tau_adapt_ms > self.dt_ms:
            raise ConfigurationError(
                f"Cochlea(tau_adapt_ms={self.tau_adapt_ms}): more than dt_ms ({self.dt_ms}) is expected."
            )

    @property
    def _per_step(self) -> int:
        return round(self.dt_ms * self.sample_rate_hz / 1000.0)

    def centres(self) -> Tensor:
        """Centre frequencies in Hz, float64 [N]: ERB-rate 21.4 log10(1 + 0.00437 f), evenly spaced."""
        low, high = (21.4 * math.log10(1.0 + 0.00437 * f) for f in (self.low_hz, self.high_hz))
        rate = torch.linspace(low, high, self.channels, dtype=torch.float64)
        return (torch.pow(10.0, rate / 21.4) - 1.0) / 0.00437

    def __call__(self, signal: Tensor, lengths: Tensor | None = None) -> Tensor:
        """audio [B, S] -> spikes [B, T, N], T = S // samples per step.

        Args:
            signal: audio [B, S]; recordings that are shorter end in zeros.
            lengths: [B] samples of each recording, over which its mean is taken; S when None.

        Raises:
            ShapeError: not [B, S], or shorter than a step; lengths that are not one for each recording, in [1, S].
            DataError: values that are not finite.
        """
        if signal.ndim != 2 or signal.shape[1] < self._per_step:
            raise ShapeError(
                f"signal is {list(signal.shape)}; Cochlea takes audio [B, S] with at least {self._per_step} samples, one step."
            )
        self.check(signal)
        if lengths is None:
            lengths = torch.full(signal.shape[:1], signal.shape[1], device=signal.device)
        elif lengths.shape != signal.shape[:1] or not bool(((lengths >= 1) & (lengths <= signal.shape[1])).all()):
            raise ShapeError(
                f"lengths is {list(lengths.shape)} for a signal {list(signal.shape)}; a number of samples in [1, {signal.shape[1]}] for "
                "each recording is expected."
            )
        return self._fire(self._hair_cells(signal.double(), lengths))

    def _hair_cells(self, audio: Tensor, lengths: Tensor) -> Tensor:
        """Steps 1 to 3, [B, T, N]; silence stays silent."""
        audio = audio / (audio.square().sum(dim=1) / lengths).sqrt().clamp_min(1e-12)[:, None]
        steps, per_step = audio.shape[1] // self._per_step, self._per_step
        size = 2 ** math.ceil(math.log2(2 * audio.shape[1]))
        spectrum = torch.fft.rfft(audio, n=size)
        time = torch.arange(audio.shape[1], dtype=torch.float64, device=audio.device) / self.sample_rate_hz
        cells = []
        for centres in self.centres().to(audio.device).split(_FILTERS):  # a few filters at a time fit into the cache
            bandwidth = 1.019 * 24.7 * (1.0 + 0.00437 * centres)
            envelope = time.pow(3) * torch.exp(-2.0 * math.pi * bandwidth[:, None] * time)
            impulse = envelope * torch.cos(2.0 * math.pi * centres[:, None] * time)
            turn = torch.exp(-2j * math.pi * centres[:, None] * time)
            impulse = impulse / (impulse * turn).sum(dim=1, keepdim=True).abs()
            filtered = torch.fft.irfft(spectrum[:, None] * torch.fft.rfft(impulse, n=size), n=size)
            rectified = filtered[..., : steps * per_step].clamp_min(0.0)
            cells.append(rectified.unflatten(-1, (steps, per_step)).mean(dim=-1).pow(self.compression))
        return torch.cat(cells, dim=1).transpose(1, 2)

    def _fire(self, x: Tensor) -> Tensor:
        """Steps 4 and 5."""
        decay, follow = math.exp(-self.dt_ms / self.tau_mem_ms), self.dt_ms / self.tau_adapt_ms
        a, v, waits = torch.zeros_like(x[:, 0]), torch.zeros_like(x[:, 0]), torch.zeros_like(x[:, 0])
        spikes = []
        for n in range(x.shape[1]):
            a = a + follow * (x[:, n] - a)
            current = self.gain * (x[:, n] - self.adaptation * a).clamp_min(0.0)
            v = torch.where(waits > 0, 0.0, decay * v + (1.0 - decay) * current)
            waits = (waits - 1.0).clamp_min(0.0)
            fired = v > 1.0
            v = torch.where(fired, 0.0, v)
            waits = torch.where(fired, float(self.refractory_steps), waits)
            spikes.append(fired.float())
        return torch.stack(spikes, dim=1)


_FILTERS = 50
