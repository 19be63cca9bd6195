"""SpikingClassifier: the ready-made SpikingModule, built from plain values that fit into a YAML file and a checkpoint."""

import inspect
import itertools
from typing import Any, Literal

from ..errors import ConfigurationError
from ..layers import SpikingLayer, SpikingNetwork
from ..losses import AbstractTrainLoss
from .building import (
    Starts,
    build_constant,
    build_firing,
    build_integrator,
    build_loss,
    build_neuron,
    build_readout,
    build_recipe,
    build_regularizers,
    build_starts,
    build_surrogate,
)
from .spiking_module import SpikingModule

__all__ = ["SpikingClassifier"]

_BESIDE = ("dt_ms", "detach_reset")
"""Arguments of the neuron that a recipe takes, too."""


class SpikingClassifier(SpikingModule):
    """Hidden layers of one kind of spiking neuron, and a leaky readout, for C classes.

    Every argument is a plain value, is saved in the checkpoint (which loads with ``weights_only=True``) and may be a
    dimension of a search space. None means "as the neuron has it".

    Args:
        in_features: input channels N.
        num_classes: C >= 2.
        hidden_sizes: neurons of each hidden layer, at least one layer.
        neuron: file or class name in :mod:`snnlightning.neurons`: ``cuba_lif``, ``lif``, ``integrate_fire``.
        recurrent: whether hidden layers are recurrent.
        bias: whether hidden layers have a bias.
        dt_ms: time step of the data in ms.
        tau_mem_ms: membrane time constant of the hidden neurons in ms (not for ``integrate_fire``): a number, or a distribution
            of :mod:`snnlightning.distributions` as a mapping, ``{"distribution": "gamma", "mean": 20.0, "shape": 3.0}``.
        tau_syn_ms: the same of the synapse (only for neurons with a synaptic current).
        learn_tau: ``none``, ``shared`` or ``per_neuron``: whether the hidden time constants are trained.
        neuron_options: every other field of the hidden neuron by name, such as ``{"refractory_ms": 2.0}``, ``{"tau_adapt_ms":
            200.0, "a": 0.5}`` of an ``ad_lif``, or ``{"bounds": {"tau_mem_ms": [5.0, 25.0]}}``.
        v_th: threshold; a number, or a distribution.
        reset: ``subtract`` or ``zero``.
        detach_reset: whether the backward pass ignores the reset.
        ordering: which published discretisation; see :class:`snnlightning.neurons.CubaLIF`.
        surrogate: file or class name in :mod:`snnlightning.surrogates`, or a mapping with ``family`` and what shapes it beside
            height and width, such as ``{"family": "multi_gaussian", "share": 0.1}``.
        surrogate_height: h at threshold; comparable between families.
        surrogate_width: half width at half maximum in units of v; comparable between families.
        firing: ``step``; or what stands in its place, of :mod:`snnlightning.firing`, by name or as a mapping such as
            ``{"firing": "sigmoid_escape", "width": 0.2, "gradient": "surrogate"}`` (``expected`` without).
        readout: file or class name in :mod:`snnlightning.readouts`, or a mapping with ``readout`` and its arguments.
            ``spike_count`` and ``first_spike`` make the last layer spike; the others read the potential of a leaky integrator.
        tau_out_ms: membrane time constant of the readout layer in ms; ``tau_mem_ms`` of the hidden layers when None.
        loss: file or class name in :mod:`snnlightning.losses`, or a mapping with ``loss`` and its arguments, such as
            ``{"loss": "van_rossum", "tau_ms": 20.0}``. Those on spike trains need a readout of spikes.
        regularizers: penalties by name with their arguments, such as ``{"population_upper_bound": {"strength": 0.06}}``;
            a strength of 0 switches one off.
        recipe: a published set-up of :mod:`snnlightning.recipes`, by name or as a mapping such as ``{"recipe": "stork",
            "rate_hz": 15.0}``, for everything that says what hidden neurons are and where weights start; what should differ
            from it goes into ``neuron_options``.
        initializer: what fills input weights: a name in :mod:`snnlightning.initializers`, or a mapping such as
            ``{"initializer": "fluctuation_driven", "rate_hz": 10.0}``; ``scaled_normal`` when None.
        rec_initializer: the same for recurrent weights; as ``initializer`` when None, where fluctuation-driven weights make the
            rest of the variance (``share`` is 0.9 for the input weights of recurrent layers if not said otherwise).
        init_gain: standard deviation of the input weights times √fan_in.
        init_gain_rec: the same for the recurrent weights.
        learning_rate: of Adam.
        weight_decay: of Adam.
        learning: how credit is assigned: a rule of :mod:`snnlightning.learning` by name (``bptt``), or a mapping with
            ``rule`` and its arguments, such as ``{"rule": "truncated_bptt", "steps": 25}``.
        quantization: precision of a chip: a hardware profile by name (``davies2018_loihi``), or the arguments of
            :class:`snnlightning.layers.Quantization` as a mapping (``{"weight_bits": 4}``, ``profile`` among them); float
            when None.
        quantize: ``aware``: trains at this precision too, straight through; ``after``: trains in float, and validates,
            tests and predicts at this precision.
        stop_step: the network answers after so many time steps; after all of them when None.
        synops_target: synaptic operations per sample that training is held to; a number, or a mapping with ``target`` and the
            other arguments of :class:`snnlightning.training.SynOpsTarget`.
        cuda_graphs: on a GPU, record the passes and play them back; see :class:`snnlightning.training.SpikingModule`.

    Raises:
        ConfigurationError: values out of range or that contradict each other.
        UnknownNameError: a name that there is not.

    Example:
        >>> model = SpikingClassifier(in_features=64, num_classes=10, hidden_sizes=[32], surrogate="triangle")
        >>> model.network.names, model.hparams.surrogate
        (('hidden_0', 'readout'), 'triangle')
    """

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        hidden_sizes: list[int] = [128],  # noqa: B006  (jsonargparse shows it; it is never changed)
        *,
        neuron: str = "cuba_lif",
        recurrent: bool = True,
        bias: bool = False,
        dt_ms: float = 1.0,
        tau_mem_ms: float | dict[str, Any] | None = None,
        tau_syn_ms: float | dict[str, Any] | None = None,
        learn_tau: str = "none",
        neuron_options: dict[str, Any] | None = None,
        v_th: float | dict[str, Any] = 1.0,
        reset: str = "subtract",
        detach_reset: bool = True,
        ordering: str | None = None,
        surrogate: str | dict[str, Any] = "superspike",
        surrogate_height: float = 1.0,
        surrogate_width: float = 0.1,
        firing: str | dict[str, Any] = "step",
        readout: str | dict[str, Any] = "max_over_time",
        tau_out_ms: float | None = None,
        loss: str | dict[str, Any] = "cross_entropy",
        regularizers: dict[str, dict[str, Any]] | None = None,
        recipe: str | dict[str, Any] | None = None,
        initializer: str | dict[str, Any] | None = None,
        rec_initializer: str | dict[str, Any] | None = None,
        init_gain: float = 1.0,
        init_gain_rec: float = 0.5,
        learning_rate: float = 1e-3,
        weight_decay: float = 0.0,
        learning: str | dict[str, Any] = "bptt",
        quantization: str | dict[str, Any] | None = None,
        quantize: Literal["aware", "after"] = "aware",
        stop_step: int | None = None,
        synops_target: float | dict[str, Any] | None = None,
        cuda_graphs: bool = False,
    ) -> None:
        if not isinstance(hidden_sizes, list | tuple):
            raise ConfigurationError(f"hidden_sizes is {hidden_sizes!r}; a list is expected: [{hidden_sizes!r}].")
        if not hidden_sizes:
            raise ConfigurationError("hidden_sizes is empty; give at least one hidden layer, such as [128].")
        named = {
            "dt_ms": dt_ms,
            "tau_mem_ms": tau_mem_ms,
            "tau_syn_ms": tau_syn_ms,
            "learn_tau": learn_tau,
            "v_th": v_th,
            "reset": reset,
            "detach_reset": detach_reset,
            "ordering": ordering,
        }
        published = None if recipe is None else build_recipe(recipe)
        if published is None:
            hidden = build_neuron(neuron, **named, **_options(neuron_options, named))
        else:
            starts = {"neuron": neuron, "initializer": initializer, "rec_initializer": rec_initializer}
            _refuse_beside_recipe({**named, **starts, "init_gain": init_gain, "init_gain_rec": init_gain_rec})
            changes = {key: build_constant(value) for key, value in (neuron_options or {}).items()}
            hidden = published.neuron(dt_ms, **{"detach_reset": detach_reset, **changes})
        step = build_firing(firing, build_surrogate(surrogate, surrogate_height, surrogate_width), dt_ms)
        read = build_readout(readout)
        counted = read.reads_spikes
        if counted and tau_out_ms is not None:
            raise ConfigurationError(
                f"tau_out_ms belongs to a leaky readout, and readout={readout!r} reads spiking neurons; drop one of them."
            )
        wanted = build_loss(loss)
        if isinstance(wanted, AbstractTrainLoss) and not counted:
            raise ConfigurationError(
                f"loss={loss!r} compares spike trains, and readout={readout!r} reads potentials; use readout='spike_count'."
            )
        output = hidden if counted else build_integrator(hidden, tau_out_ms)
        start = (
            build_starts(
                initializer, rec_initializer, (init_gain, init_gain_rec), (hidden, output), recurrent=recurrent
            )
            if published is None
            else Starts(
                published.initializer(hidden, recurrent=recurrent),
                published.rec_initializer(hidden),
                published.initializer(output, recurrent=False),
            )
        )
        layers = [
            SpikingLayer(
                size_in,
                size_out,
                neuron=hidden,
                surrogate=step,
                recurrent=recurrent,
                bias=bias,
                initializer=start.w_in,
                rec_initializer=start.w_rec,
            )
            for size_in, size_out in itertools.pairwise([in_features, *hidden_sizes])
        ]
        last = SpikingLayer(
            hidden_sizes[-1],
            num_classes,
            neuron=output,
            surrogate=step if counted else None,
            initializer=start.w_out,
        )
        super().__init__(
            SpikingNetwork([*layers, last], read),
            num_classes=num_classes,
            loss=wanted,
            regularizers=build_regularizers(regularizers or {}),
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            learning=learning,
            quantization=quantization,
            quantize=quantize,
            stop_step=stop_step,
            synops_target=synops_target,
            cuda_graphs=cuda_graphs,
        )
        self.save_hyperparameters()


def _options(options: dict[str, Any] | None, named: dict[str, Any]) -> dict[str, Any]:
    if twice := sorted(named.keys() & (options or {}).keys()):
        raise ConfigurationError(f"neuron_options names {', '.join(twice)}, which is an argument of its own; set that.")
    return options or {}


def _refuse_beside_recipe(given: dict[str, Any]) -> None:
    """An argument that a recipe decides over is left as it is."""
    defaults = inspect.signature(SpikingClassifier.__init__).parameters
    changed = [name for name, value in given.items() if name not in _BESIDE and value != defaults[name].default]
    if changed:
        raise ConfigurationError(
            f"recipe says what hidden neurons are and where weights start, and {', '.join(changed)} came too; put fields of the "
            "neuron that should differ into neuron_options, or leave out recipe."
        )
