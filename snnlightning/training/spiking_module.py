"""SpikingModule: a spiking network inside Lightning; loss, regularizers, accuracy and operation counts.

It adds nothing to Lightning's rules: bring your own DataModule, callbacks, strategy and logger, override any hook. State
starts at zero in every call of the network, so nothing leaks from batch to batch.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, cast

import lightning.pytorch as L
import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor, nn
from torchmetrics import Metric

from ..errors import ConfigurationError, DataError, ShapeError
from ..events import Events, dense
from ..hardware import Counts, Estimate, Network, Profile, estimate
from ..layers import AbstractLayer, AbstractStage, Captured, Quantization
from ..layers import quantize as quantize_network
from ..learning import BPTT, AbstractRule
from ..learning._outcome import Objective
from ..losses import AbstractLoss, AbstractTrainLoss, CrossEntropy
from ..metrics import Footprint, SynOps, SynOpsCounts, footprint
from ..regularizers import AbstractRegularizer
from ..regularizers._operations import operations
from ..typing import LayerRecord, NetworkOutput, Sample
from ..units import positive
from ._accuracy import Accuracy
from ._sample_mean import SampleMean
from ._target import wrong_target
from .learning import build_rule
from .quantization import build_quantization
from .randomness import random_states, restore_random
from .synops_target import SynOpsTarget, build_synops_target

__all__ = ["SpikingModule"]

Loss = AbstractLoss | AbstractTrainLoss | Callable[[Tensor, Tensor], Tensor]
Stage = Literal["train", "val", "test"]

_UNDECAYED = ("log_", "logit_", "position")
"""How parameters begin whose 0 is a value like any other: log of a time constant, place between two bounds, delay."""


_FLOAT_STATE_BITS = 16
"""Of a variable in float, where a chip has to hold it."""


class Shape(NamedTuple):
    """What pricing needs to know of a network beside its counts; ``network`` is the reason when it cannot be placed."""

    network: Network | ConfigurationError
    footprint: Footprint
    steps: int


class SpikingModule(L.LightningModule):
    """Wraps any network that returns a ``NetworkOutput`` (logits and records).

    Logged at the end of every epoch: ``train_loss``, ``train_accuracy``, ``train_penalty`` (when there are regularizers),
    and for val and test ``*_loss``, ``*_accuracy``, ``*_synops`` (per sample), ``*_synops_input`` / ``_feedforward`` /
    ``_recurrent`` / ``_readout``, ``*_macs``, ``*_neuron_updates``, ``*_spikes`` (of all spiking layers, per sample),
    ``*_footprint_bytes``. The exact counts with all their parts stay in ``self.counts["val"]`` and ``self.counts["test"]``;
    :meth:`estimate` prices them on a chip.

    Args:
        network: x [B, T, N] -> ``NetworkOutput``, such as :class:`snnlightning.layers.SpikingNetwork`.
        num_classes: C >= 2.
        loss: (logits [B, C], target [B]) -> scalar; cross-entropy when None. An ``AbstractTrainLoss`` gets the output of the last
            layer over time instead of the logits (with ``bptt`` only).
        regularizers: penalties on the spikes of the hidden layers (all spiking layers but the last layer).
        learning_rate: of Adam, > 0.
        weight_decay: of Adam, >= 0; not applied to learned time constants and delays.
        learning: how credit is assigned: a rule of :mod:`snnlightning.learning` by name, a mapping with ``rule`` and its
            arguments (``{"rule": "truncated_bptt", "steps": 25}``), or a record. Rules may optimise feedback weights of
            their own, which are saved with the network.
        quantization: precision of a chip: a hardware profile by name, :class:`snnlightning.layers.Quantization`, or its
            arguments as a mapping (``profile`` among them); float when None. What is logged is what holds at this precision.
        quantize: ``aware``: trains at this precision too, straight through; ``after``: trains in float, and validates,
            tests and predicts at this precision.
        stop_step: the network answers after so many time steps and looks no further; after all of them when None.
        synops_target: synaptic operations per sample that training is held to by a multiplier that adapts itself: a number, a
            mapping with the arguments of :class:`snnlightning.training.SynOpsTarget`, or one; logs ``train_synops`` and
            ``synops_multiplier``.
        cuda_graphs: on a GPU, record the passes through the network and play them back (:class:`snnlightning.layers.Captured`):
            small networks are bound by what starts their kernels, and not by those. With ``bptt`` only.

    Optimizer: Adam by default. Override ``configure_optimizers`` in a subclass, or set ``optimizer:`` and
    ``lr_scheduler:`` in a configuration file (LightningCLI).

    Example:
        >>> from snnlightning.layers import SpikingLayer, SpikingNetwork
        >>> from snnlightning.neurons import CubaLI, CubaLIF
        >>> from snnlightning.readouts import MaxOverTime
        >>> network = SpikingNetwork(
        ...     [SpikingLayer(8, 16, neuron=CubaLIF(), recurrent=True), SpikingLayer(16, 3, neuron=CubaLI())], MaxOverTime()
        ... )
        >>> SpikingModule(network, num_classes=3)(torch.zeros(2, 5, 8)).logits.shape
        torch.Size([2, 3])
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        num_classes: int,
        loss: Loss | None = None,
        regularizers: Sequence[AbstractRegularizer] = (),
        learning_rate: float = 1e-3,
        weight_decay: float = 0.0,
        learning: str | dict[str, Any] | AbstractRule = "bptt",
        quantization: str | dict[str, Any] | Quantization | None = None,
        quantize: Literal["aware", "after"] = "aware",
        stop_step: int | None = None,
        synops_target: float | dict[str, Any] | SynOpsTarget | None = None,
        cuda_graphs: bool = False,
    ) -> None:
        super().__init__()
        if num_classes < 2:
            raise ConfigurationError(f"num_classes is {num_classes}; a classifier needs at least 2.")
        if not 0.0 <= weight_decay < math.inf:
            raise ConfigurationError(f"weight_decay is {weight_decay}; it must be 0 or greater, and finite.")
        if stop_step is not None and (isinstance(stop_step, bool) or not isinstance(stop_step, int) or stop_step < 1):
            raise ConfigurationError(f"stop_step is {stop_step!r}; a number of time steps of at least 1 is expected.")
        self.network = network
        self.stop_step = stop_step
        self.quantization = build_quantization(quantization)
        if self.quantization is not None:
            quantize_network(network, self.quantization, quantize)
        self.rule = build_rule(learning)
        self.rule.check(network)
        self.feedback = self.rule.feedback_weights(network)
        self.automatic_optimization = not self.rule.updates_within_sequence
        self.num_classes = num_classes
        self.loss = loss or CrossEntropy()
        if self._of_trains is not None and not isinstance(self.rule, BPTT):
            raise ConfigurationError(
                f"{type(self.loss).__name__} reads spike trains, which {type(self.rule).__name__} does not hand out; use "
                "learning='bptt', or a loss on logits."
            )
        if cuda_graphs and not isinstance(self.rule, BPTT):
            raise ConfigurationError(
                f"cuda_graphs records whole passes, and {type(self.rule).__name__} does not learn by one; use learning='bptt', or leave "
                "it out."
            )
        self._captured = Captured(network) if cuda_graphs else None
        self.regularizers = tuple(regularizers)
        self.synops_target = build_synops_target(synops_target)
        self._reads_potentials = _need_potentials(self.regularizers, self.synops_target, self.rule)
        self.learning_rate = positive("learning_rate", learning_rate)
        self.weight_decay = weight_decay
        self.counts: dict[str, SynOpsCounts] = {}
        self.train_loss, self.val_loss, self.test_loss = SampleMean(), SampleMean(), SampleMean()
        self.train_penalty, self.train_synops = SampleMean(), SampleMean()
        self.train_accuracy, self.val_accuracy, self.test_accuracy = Accuracy(), Accuracy(), Accuracy()
        self.val_synops = SynOps()
        self.test_synops = SynOps()
        self._shapes: dict[str, Shape] = {}
        self._train_batches = 0
        self._unfinished_epoch: dict[str, Any] | None = None
        self._logs = True  # a population reads the metrics itself

    def forward(self, x: Tensor | Events) -> NetworkOutput:
        """x [B, T, N], dense or as events -> logits [B, C] and what every layer did."""
        x = self._looked_at(x)
        if self._captured is not None and self._captured.network is not self.network:
            self._captured = Captured(self.network)  # somebody put another one in its place
        network: Any = self._captured or self.network
        if self._keeps_potentials:
            out: NetworkOutput = network(x, potentials=True)
            return out
        return self.rule.run(network, x)

    @property
    def _keeps_potentials(self) -> bool:
        """Whether a pass must hand out the potentials now."""
        return self.training and self._reads_potentials

    def _looked_at(self, x: Tensor | Events) -> Tensor | Events:
        """x up to ``stop_step``."""
        if self.stop_step is None or self.stop_step >= x.shape[1]:
            return x
        return x.first(self.stop_step) if isinstance(x, Events) else x[:, : self.stop_step]

    def penalty(self, records: Sequence[LayerRecord]) -> Tensor | None:
        """The sum of all regularizers, as strong as this epoch has them; None without any."""
        terms = [
            factor * term
            for regularizer in self.regularizers
            if (factor := regularizer.factor(self.current_epoch)) > 0.0
            and (term := regularizer.of_records(records)) is not None
        ]
        if self.synops_target is not None:
            terms.append(self.synops_target.penalty(records))
        return torch.stack(terms).sum() if terms else None

    def training_step(self, batch: Sample, batch_idx: int) -> Tensor | None:
        x, y = batch
        # Backpropagation needs nothing but the answer, so a subclass may answer in its own forward.
        network, x = (self, x) if isinstance(self.rule, BPTT) else (self.network, dense(self._looked_at(x)))
        return self._learn(cast(Any, network), x, y, batch_idx)

    def _learn(
        self, network: Callable[[Any], NetworkOutput], x: Tensor | Events, y: Tensor, batch_idx: int
    ) -> Tensor | None:
        """What is to be differentiated, of what the network answers to x; None where the weights were updated already."""
        objective = Objective(self._criterion, self.penalty, self._of_trains)
        update = None if self.automatic_optimization else self._update
        outcome = self.rule.step(cast(Any, network), self.feedback, cast(Tensor, x), y, objective, update)
        lost = _nan_if_lost(outcome.out.records)
        self._track_answer("train", batch_idx, outcome.out, outcome.loss + lost, y)
        if outcome.penalty is not None:
            self._track("train_penalty", len(y), batch_idx, outcome.penalty, len(y))
        if self.synops_target is not None:
            self._hold(self.synops_target, outcome.out.records, len(y), batch_idx)
        return None if outcome.total is None else outcome.total + lost

    def validation_step(self, batch: Sample, batch_idx: int) -> None:
        out = self._evaluate(batch, "val", batch_idx)
        self._count("val", out)

    def test_step(self, batch: Sample, batch_idx: int) -> None:
        out = self._evaluate(batch, "test", batch_idx)
        self._count("test", out)

    def counted(self, stage: Stage) -> dict[str, float]:
        """The counts of the last validation (``val``) or test (``test``) under the names they are logged by, not rounded."""
        counts = self.counts[stage]
        values = {
            "synops": counts.total,
            **{f"synops_{kind}": value for kind, value in counts.by_kind.items()},
            "macs": counts.macs,
            "neuron_updates": counts.neuron_updates,
            "spikes": sum(counts.spikes.values()),
        }
        if stage in self._shapes:
            values["footprint_bytes"] = float(self._shapes[stage].footprint.total)
        return {f"{stage}_{name}": value for name, value in values.items()}

    def count(self, stage: Stage, outputs: Iterable[NetworkOutput]) -> dict[str, float]:
        """Count outputs that somebody else has made, in the place of a validation or test; as :meth:`counted` gives it."""
        self._forget_counts(stage)
        for out in outputs:
            self._count(stage, out)
        self.finish_counts(stage)
        return self.counted(stage)

    def finish_counts(self, stage: Stage) -> SynOpsCounts:
        """Bring the counts of an epoch together, over all processes; again, and it costs nothing.

        For callbacks, whose ``on_validation_epoch_end`` comes before the module's own; call it in every process.
        """
        self.counts[stage] = self._synops(stage).counts()
        return self.counts[stage]

    def estimate(
        self, stage: Stage, profile: Profile | str, *, dt_ms: float | None = None, paced: bool = False
    ) -> Estimate:
        """What a sample of the last validation (``val``) or test (``test``) costs on a chip, by its exact counts.

        Args:
            stage: ``val`` or ``test``.
            profile: what :func:`snnlightning.hardware.load` takes or gives.
            dt_ms: time step of the data, for chips that run in real time.
            paced: whether the chip waits for the data at every step.

        Raises:
            ConfigurationError: nothing was counted yet, or the network has a shape that cannot be placed on chips.
        """
        if stage not in self.counts or stage not in self._shapes:
            raise ConfigurationError(f"nothing was counted in stage {stage!r} yet; run a validation or a test first.")
        shape = self._shapes[stage]
        if isinstance(shape.network, ConfigurationError):
            raise shape.network
        return estimate(Counts.of(self.counts[stage], shape.network, shape.steps), profile, dt_ms=dt_ms, paced=paced)

    def predict_step(self, batch: Tensor | Events | Sample, batch_idx: int) -> Tensor:
        """Class probabilities [B, C] for a batch (x, y) or for x alone."""
        x = batch if isinstance(batch, Tensor | Events) else batch[0]
        out: NetworkOutput = self(x)
        return out.logits.softmax(dim=-1)

    def on_fit_start(self) -> None:
        self._draw_on(self._unfinished_epoch)  # before a loader draws its order

    def on_train_start(self) -> None:
        self._start_epoch()  # a fit that goes on within an epoch does not start it again

    def on_train_epoch_start(self) -> None:
        self._train_batches = 0
        self._start_epoch()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """What the epoch has counted so far goes along, and where the generators stand: Lightning resumes and forgets both."""
        states = {}
        for name, metric in self._train_metrics().items():
            with metric.sync_context(should_sync=metric.update_called):
                states[name] = {state: getattr(metric, state).detach().clone() for state in metric.metric_state}
        checkpoint["snnlightning_epoch"] = {
            "epoch": self.current_epoch,
            "batches": self._train_batches,
            "states": states,
        }
        if "optimizer_states" in checkpoint:  # not one of weights only
            checkpoint["snnlightning_epoch"]["random"] = random_states(self.trainer.world_size)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self._unfinished_epoch = checkpoint.get("snnlightning_epoch")

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Where a fit goes on within the epoch of its checkpoint, so do the metrics of training."""
        saved, self._unfinished_epoch = self._unfinished_epoch, None
        if saved is None or batch_idx == 0 or (saved["epoch"], saved["batches"]) != (self.current_epoch, batch_idx):
            return
        self._draw_on(saved)
        self._train_batches = batch_idx
        for metric in self._train_metrics().values():
            metric.reset()
        if self.global_rank == 0:  # the states are sums over all processes
            for name, metric in self._train_metrics().items():
                for state, value in saved["states"].get(name, {}).items():
                    setattr(metric, state, value.to(metric.device))

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        self._after_step()

    def on_validation_epoch_start(self) -> None:
        self._forget_counts("val")

    def on_test_epoch_start(self) -> None:
        self._forget_counts("test")

    def on_validation_epoch_end(self) -> None:
        self._log_counts("val")

    def on_test_epoch_end(self) -> None:
        self._log_counts("test")

    def configure_optimizers(self) -> Any:
        named = [(name.removesuffix(".original").rpartition(".")[2], p) for name, p in self.named_parameters()]
        decayed = [p for name, p in named if not name.startswith(_UNDECAYED)]
        constants = [p for name, p in named if name.startswith(_UNDECAYED)]
        groups = [
            {"params": decayed, "weight_decay": self.weight_decay},
            {"params": constants, "weight_decay": 0.0},
        ]
        return self.rule.optimizer([group for group in groups if group["params"]], self.learning_rate)

    def _draw_on(self, saved: Mapping[str, Any] | None) -> None:
        """Draw what would have been drawn next where a checkpoint was written, in each of as many processes."""
        # A checkpoint may also be where the weights of another fit come from; its draws are its own.
        if saved is not None and self.trainer.ckpt_path is not None:
            states = saved.get("random", ())
            if len(states) == self.trainer.world_size:
                restore_random(states[self.global_rank])

    def _start_epoch(self) -> None:
        for module in self.network.modules():
            if isinstance(module, AbstractStage):
                module.start_epoch(self.current_epoch)

    def _after_step(self) -> None:
        for module in self.network.modules():
            if isinstance(module, AbstractLayer):
                module.after_step()

    def _train_metrics(self) -> dict[str, Metric]:
        return {
            "loss": self.train_loss,
            "accuracy": self.train_accuracy,
            "penalty": self.train_penalty,
            "synops": self.train_synops,
        }

    def _evaluate(self, batch: Sample, stage: Stage, batch_idx: int) -> NetworkOutput:
        x, y = batch
        out: NetworkOutput = self(x)
        self._judge(out, y, stage, batch_idx)
        return out

    def _judge(self, out: NetworkOutput, y: Tensor, stage: Stage, batch_idx: int) -> None:
        self._track_answer(stage, batch_idx, out, self._loss_of(out, y) + _nan_if_lost(out.records), y)

    @property
    def _of_trains(self) -> AbstractTrainLoss | None:
        return self.loss if isinstance(self.loss, AbstractTrainLoss) else None

    def _loss_of(self, out: NetworkOutput, y: Tensor) -> Tensor:
        if self._of_trains is None:
            return self._criterion(out.logits, y)
        return self._of_trains(out.records[-1].output, y)

    def _criterion(self, logits: Tensor, y: Tensor) -> Tensor:
        if logits.shape[-1] != self.num_classes:
            raise ShapeError(
                f"the network gives {logits.shape[-1]} logits for num_classes={self.num_classes}; make them equal."
            )
        if isinstance(self.loss, AbstractLoss) and y.shape != logits.shape[:1]:
            raise ShapeError(f"the target is {list(y.shape)}; class numbers [B] = [{len(logits)}] are expected.")
        try:
            return self.loss(logits, y)
        except (IndexError, RuntimeError, TypeError) as error:
            if (reason := wrong_target(y, self.num_classes)) is None:
                raise
            raise DataError(reason) from error

    def _track_answer(self, stage: Stage, batch_idx: int, out: NetworkOutput, loss: Tensor, y: Tensor) -> None:
        self._track(f"{stage}_loss", len(y), batch_idx, loss, len(y))
        self._track(f"{stage}_accuracy", len(y), batch_idx, out.logits, y)
        if stage == "train":
            self._train_batches += 1

    @torch.compiler.disable  # numbers of Python's
    def _hold(self, held: SynOpsTarget, records: Sequence[LayerRecord], batch_size: int, batch_idx: int) -> None:
        """Let the multiplier of the operations follow what this batch cost, over all processes."""
        with torch.no_grad():
            spent = torch.stack([operations(records), operations(records, ("input",))]).double()
        self._track("train_synops", batch_size, batch_idx, spent[0], batch_size)
        synops, of_input = self.trainer.strategy.reduce(spent, reduce_op="mean").tolist()
        epoch = self.current_epoch + batch_idx / max(1.0, float(self.trainer.num_training_batches))
        held.observe(synops, epoch=epoch, untrainable=of_input)
        self.log("synops_multiplier", held.multiplier, on_step=False, on_epoch=True, batch_size=batch_size)

    def _update(self, loss: Tensor) -> None:
        """One step of the optimizer, for rules that update within a sequence."""
        optimizer = cast(LightningOptimizer, self.optimizers())
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()
        self._after_step()

    @torch.compiler.disable  # torch 2.13 cannot trace LightningModule.log
    def _track(self, name: str, batch_size: int, batch_idx: int, *update: Any) -> None:
        metric: Metric = getattr(self, name)
        metric.update(*update)
        # Lightning keeps the metric that is logged and reads it at the end of the epoch. Logging it again would say
        # nothing new, and costs half a millisecond: Lightning moves every metric to its device each time.
        if self._logs and (batch_idx == 0 or metric.update_count == 1):
            self.log(name, metric, on_step=False, on_epoch=True, batch_size=batch_size)

    def _count(self, stage: Stage, out: NetworkOutput) -> None:
        # Whole numbers of Python's decide how a batch is summed. Asking costs less than the way around the compiler does.
        (self._count_uncompiled if torch.compiler.is_compiling() else self._count_now)(stage, out)

    def _count_now(self, stage: Stage, out: NetworkOutput) -> None:
        self._synops(stage).update(out)
        if stage not in self._shapes:
            self._shapes[stage] = self.shape_of(out)

    _count_uncompiled = torch.compiler.disable(_count_now)

    def shape_of(self, out: NetworkOutput) -> Shape:
        """What pricing needs to know of the network beside its counts, at the precision it is evaluated at.

        Each layer's weights have their own width; those in float are placed with 8 bits. A state has the width of the widest
        one, 16 bits where one is in float.
        """
        layers = {name: m for name, m in self.network.named_modules() if isinstance(m, AbstractLayer)}
        state_bits = _widest([None if m.quantization is None else m.quantization.state_bits for m in layers.values()])
        stored_bits = {
            ".".join(filter(None, (name, parameter))): m.weight_bits
            for name, m in layers.items()
            for parameter, _ in m.named_parameters()
            if m.weight_bits is not None
        }
        network: Network | ConfigurationError
        try:
            network = Network.of(out, state_bits=state_bits or _FLOAT_STATE_BITS)
        except ConfigurationError as error:  # a shape that cannot be placed can be trained all the same
            network = error
        stored = footprint(self.network, out, weight_bits=stored_bits, state_bits=state_bits)
        return Shape(network, stored, out.records[0].output.shape[1])

    @property
    def floating(self) -> tuple[str, ...]:
        """What runs in float, of ``weights`` and ``states``, in any layer: placed on chips at a width nobody measured at."""
        precisions = [m.quantization for m in self.network.modules() if isinstance(m, AbstractLayer)]
        weights, states = (None in precisions), any(p is None or p.state_bits is None for p in precisions)
        return ("weights",) * weights + ("states",) * states

    def _synops(self, stage: Stage) -> SynOps:
        return cast(SynOps, getattr(self, f"{stage}_synops"))

    def _forget_counts(self, stage: Stage) -> None:
        self._synops(stage).reset()
        self._shapes.pop(stage, None)

    def _log_counts(self, stage: Stage) -> None:
        self.finish_counts(stage)
        # Every process computed the same numbers, so the largest one is the number itself, and a mean costs Lightning more.
        self.log_dict(self.counted(stage), reduce_fx="max", sync_dist=True)


def _need_potentials(
    regularizers: Sequence[AbstractRegularizer], target: SynOpsTarget | None, rule: AbstractRule
) -> bool:
    """Whether training has to keep the potentials; what a rule does not keep for a penalty is refused."""
    asked = {type(regularizer).__name__: regularizer.reads for regularizer in regularizers}
    asked |= {} if target is None else {"synops_target": "connections"}
    more = {name: reads for name, reads in asked.items() if reads != "spikes"}
    if more and not isinstance(rule, BPTT):
        name, reads = next(iter(more.items()))
        raise ConfigurationError(
            f"{name} reads {reads}, which {type(rule).__name__} does not keep; use learning='bptt', or drop it."
        )
    return "potentials" in more.values()


def _widest(bits: Sequence[int | None]) -> int | None:
    known = [b for b in bits if b is not None]
    return max(known) if known and len(known) == len(bits) else None


def _nan_if_lost(records: Sequence[LayerRecord]) -> Tensor | float:
    """0, or NaN when a layer ended in a state that is not finite.

    A NaN never crosses a threshold, so a layer that got one is silent and everything after it looks healthy.
    """
    states = [state.detach().sum() for record in records for state in record.state]
    return 0.0 * torch.stack(states).sum() if states else 0.0
