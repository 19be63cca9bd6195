"""Population: trainings that take their steps together, each with the numbers that it has alone.

A Trainer sets each of them up (data, optimizer, checkpoint, callbacks), and a training that is taken over at ``on_train_start``
does here what the Trainer's own loop would do, with less around it. At every step all of them say what they wait for, a pass of
their network or the gradient of their loss; passes of networks that are alike become one (:class:`snnlightning.layers.Members`),
and all gradients come from one backward pass. Data order, optimizer, metrics and random numbers remain each training's own, so
neither its place nor its neighbours make a difference.
"""

import copy
import inspect
import itertools
import math
from collections.abc import Callable, Generator, Hashable, Sequence
from typing import Any, NamedTuple, cast

import lightning.pytorch as L
import torch
from lightning.fabric.utilities import move_data_to_device
from torch import Tensor
from torch.utils.data import DataLoader

from ..events import Events, dense
from ..layers import Members, SpikingNetwork
from ..layers.members import alike, why_not_a_member
from ..learning import BPTT
from ..typing import NetworkOutput
from ._stepping import is_usual, step_together
from .energy_logger import EnergyLogger
from .randomness import random_state, restore_random
from .spiking_classifier import SpikingClassifier
from .spiking_module import SpikingModule

__all__ = ["Population", "Training", "why_alone"]

_HOOKS = ("on_train_batch_end", "on_validation_end", "on_train_epoch_end")
"""Hooks of callbacks that are called here; those before the first step, and after the last, are called by the Trainer."""
_AROUND = ("setup", "teardown", "on_fit_start", "on_fit_end", "on_train_start", "on_train_end", "on_exception",
           "state_dict", "load_state_dict", "on_save_checkpoint", "on_load_checkpoint")  # fmt: skip
_FREE = ("configure_optimizers", "configure_callbacks", "penalty")
"""Methods of a module that are called here as they are, whoever wrote them."""

_TRANSFERS = ("on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer")
"""Methods of a data module that a Trainer calls for every batch, and that are not called here."""

_PLAIN = {
    "precision": "32-true", "accumulate_grad_batches": 1, "check_val_every_n_epoch": 1, "val_check_interval": 1.0,
    "max_steps": -1, "reload_dataloaders_every_n_epochs": 0, "overfit_batches": 0.0, "fast_dev_run": False, "world_size": 1,
    "min_steps": None,
}  # fmt: skip
"""What a Trainer has to say of itself."""


class Pass(NamedTuple):
    """A pass that a training waits for; ``form`` is what networks that run together have in common, and ``x`` may be elsewhere yet."""

    network: SpikingNetwork
    x: Tensor | Events
    potentials: bool
    learns: bool
    form: Hashable
    device: torch.device


Wish = Pass | Tensor | torch.optim.Optimizer
"""What a training waits for: an answer, the gradient of a scalar, or a step of its optimizer."""


class Training:
    """A training that a Trainer has set up and that is done here, an epoch at a time.

    Args:
        trainer: in ``on_train_start``, after all other callbacks.
        module: that it trains; one that :func:`why_alone` has nothing against.

    Attributes:
        error: what ended it before its time.
        random: where the global generators stood when it began, or after its last epoch.
    """

    def __init__(self, trainer: L.Trainer, module: SpikingModule) -> None:
        self.trainer, self.module = trainer, module
        self.error: BaseException | None = None
        self.random = random_state()
        self._torch = torch.get_rng_state()
        self._device = trainer.strategy.root_device
        self._form = alike(cast(SpikingNetwork, module.network)), self._device
        self._begun = False
        self._steps: Generator[Wish, Any, None] | None = None
        module._logs = False

    @property
    def over(self) -> bool:
        """Whether there is no epoch left to train."""
        return self.error is not None or self.trainer.should_stop or self._done >= cast(int, self.trainer.max_epochs)

    @property
    def _done(self) -> int:
        """Epochs, those of an earlier run included."""
        current: Any = self.trainer.fit_loop.epoch_progress.current
        return int(current.processed)

    def begin(self) -> Wish | None:
        """Begin an epoch; what it waits for first."""
        self._steps = self._epoch()
        return self.go_on(None)

    def go_on(self, answer: object) -> Wish | None:
        """Go on with what it waited for, or with the exception that came instead; None at the end of the epoch."""
        assert self._steps is not None
        torch.set_rng_state(self._torch)
        try:
            wish = self._steps.throw(answer) if isinstance(answer, Exception) else self._steps.send(answer)
        except StopIteration:
            wish = None
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # also a worker's wish to stop: each training is left in its own way
            self.error, wish = error, None
        self._torch = torch.get_rng_state()
        return wish

    def _epoch(self) -> Generator[Wish, Any, None]:
        trainer, module, fit = self.trainer, self.module, self.trainer.fit_loop
        loop = fit.epoch_loop
        if not self._begun:
            self._begun = True
            module.on_train_start()
        fit.epoch_progress.increment_ready()
        loader = cast(DataLoader[Any], trainer.train_dataloader)
        _set_epoch(loader, self._done)
        for progress in (loop.batch_progress, loop.scheduler_progress, loop.automatic_optimization.optim_progress):
            progress.reset_on_run()
        loop.val_loop.batch_progress.total.reset()
        for metric in module._train_metrics().values():
            metric.reset()
        module.on_train_epoch_start()
        fit.epoch_progress.increment_started()
        batches = int(trainer.num_training_batches)
        for at, batch in enumerate(itertools.islice(loader, batches)):
            yield from self._step(batch, at, last=at + 1 == batches)
        yield from self._validation()
        measured = {f"train_{k}": v.compute() for k, v in module._train_metrics().items() if v.update_called}
        trainer.callback_metrics.update(measured)
        fit.epoch_progress.increment_processed()
        # Nobody but callbacks draws with the other generators; a checkpoint says where this training's own stand.
        # (That of a GPU is of all trainings together and goes on as it is.)
        own = {name: self.random[name] for name in ("numpy", "python")}
        restore_random({**own, "torch": torch.get_rng_state()})
        try:
            for callback in self._with("on_train_epoch_end"):
                callback.on_train_epoch_end(trainer, module)
        finally:
            self.random = random_state()
        fit.epoch_progress.increment_completed()
        for metric in module._train_metrics().values():
            metric.reset()

    def _step(self, batch: Any, at: int, *, last: bool) -> Generator[Wish, Any, None]:
        trainer, module, (optimizer,) = self.trainer, self.module, self.trainer.optimizers
        watching = self._with("on_train_batch_end")
        # x is moved together with that of the others, unless somebody looks at the batch.
        batch = move_data_to_device(batch, self._device) if watching else batch
        x, y = batch
        y = y.to(self._device)
        out: NetworkOutput = yield self._pass(x, learns=True)
        before = torch.get_rng_state()
        total = module._learn(_answering(out), x, y, at)
        optimizer.zero_grad()
        if total is not None:
            try:
                yield total
            except Exception:  # of anybody who shares the backward pass: alone, it is seen whose it is
                optimizer.zero_grad()
                torch.set_rng_state(before)
                self._step_again(x, y, at)
        if trainer.gradient_clip_val is not None:
            module.configure_gradient_clipping(optimizer, trainer.gradient_clip_val, trainer.gradient_clip_algorithm)
        if is_usual(optimizer):
            yield optimizer
        else:
            optimizer.step()
        for callback in watching:
            callback.on_train_batch_end(trainer, module, None, batch, at)
        module.on_train_batch_end(None, batch, at)
        self._count_step(last=last)

    def _step_again(self, x: Tensor | Events, y: Tensor, at: int) -> None:
        """The gradient of a step whose outcome was counted already."""
        module = self.module
        counted, batches = copy.deepcopy(module._train_metrics()), module._train_batches
        out = _alone(self._pass(x, learns=True))
        if isinstance(out, Exception):
            raise out
        total = module._learn(_answering(out), x, y, at)
        for name, metric in counted.items():
            setattr(module, f"train_{name}", metric)
        module._train_batches = batches
        assert total is not None
        total.backward()

    def _validation(self) -> Generator[Wish, Any, None]:
        trainer, module = self.trainer, self.module
        progress = trainer.fit_loop.epoch_loop.val_loop.batch_progress
        progress.reset_on_run()
        modes = [(part, part.training) for part in module.modules()]
        module.eval()
        module.on_validation_epoch_start()
        module.val_loss.reset()
        module.val_accuracy.reset()
        (limit,) = trainer.num_val_batches
        for at, (x, y) in enumerate(itertools.islice(cast(DataLoader[Any], trainer.val_dataloaders), int(limit))):
            out: NetworkOutput = yield self._pass(x, learns=False)
            with torch.no_grad():
                module._judge(out, y.to(self._device), "val", at)
                module._count("val", out)
            _count_batch(progress, last=at + 1 == limit)
        module.finish_counts("val")
        values: dict[str, Any] = {"val_loss": module.val_loss.compute(), "val_accuracy": module.val_accuracy.compute()}
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, EnergyLogger):
                values |= callback.price(module, "val", getattr(trainer.datamodule, "dt_ms", None))  # type: ignore[attr-defined]
        values |= module.counted("val")
        for part, mode in modes:
            part.training = mode
        trainer.callback_metrics.update({name: torch.as_tensor(value) for name, value in values.items()})
        for callback in self._with("on_validation_end"):
            callback.on_validation_end(trainer, module)

    def _pass(self, x: Tensor | Events, *, learns: bool) -> Pass:
        module = self.module
        network = cast(SpikingNetwork, module.network)
        return Pass(network, module._looked_at(x), module._keeps_potentials, learns, self._form, self._device)

    def _with(self, hook: str) -> list[L.Callback]:
        callbacks: list[L.Callback] = self.trainer.callbacks  # type: ignore[attr-defined]
        return [callback for callback in callbacks if getattr(type(callback), hook) is not getattr(L.Callback, hook)]

    def _count_step(self, *, last: bool) -> None:
        """Say in the Trainer's own books what was done: they are what a checkpoint holds."""
        loop = self.trainer.fit_loop.epoch_loop
        _count_batch(loop.batch_progress, last=last)
        done = loop.automatic_optimization.optim_progress.optimizer
        done.step.increment_ready()
        done.step.increment_completed()
        done.zero_grad.increment_ready()
        done.zero_grad.increment_started()
        done.zero_grad.increment_completed()
        loop._batches_that_stepped += 1


class Population:
    """Trainings that take their steps together; others may join, and leave, between epochs.

    Attributes:
        trainings: that have epochs left.
    """

    def __init__(self) -> None:
        self.trainings: list[Training] = []
        self._together: dict[tuple[int, ...], Members] = {}

    def epoch(self) -> list[Training]:
        """Train one epoch of each; those that ended with it (or by an error of their own), and are not here any more."""
        wishes = {training: training.begin() for training in self.trainings}
        while waiting := {training: wish for training, wish in wishes.items() if wish is not None}:
            answers = self._grant(waiting)
            wishes = {training: training.go_on(answer) for training, answer in answers.items()}
        ended = [training for training in self.trainings if training.over]
        for training in ended:
            training.module._logs = True
        self.trainings = [training for training in self.trainings if not training.over]
        if ended:
            self._together.clear()
        return ended

    def _grant(self, wishes: dict[Training, Wish]) -> dict[Training, Any]:
        answers: dict[Training, Any] = dict.fromkeys(wishes)
        losses = {training: wish for training, wish in wishes.items() if isinstance(wish, Tensor)}
        if losses:
            try:
                torch.autograd.backward(list(losses.values()))
            except Exception as error:  # nobody knows whose it is
                answers |= dict.fromkeys(losses, error)
        optimizers = {training: wish for training, wish in wishes.items() if isinstance(wish, torch.optim.Optimizer)}
        if optimizers:
            try:
                step_together(list(optimizers.values()))
            except Exception as error:  # halfway: nobody's weights can be trusted
                answers |= dict.fromkeys(optimizers, error)
        alike: dict[Hashable, list[tuple[Training, Pass]]] = {}
        for training, wish in wishes.items():
            if isinstance(wish, Pass):
                key = (wish.form, tuple(wish.x.shape), wish.potentials, wish.learns)
                alike.setdefault(key, []).append((training, wish))
        for group in alike.values():
            passes = [wish for _, wish in group]
            with torch.set_grad_enabled(passes[0].learns):
                outs = self._run(passes)
            answers |= {training: out for (training, _), out in zip(group, outs, strict=True)}
        return answers

    def _run(self, passes: Sequence[Pass]) -> Sequence[NetworkOutput | Exception]:
        """What each network gives; where one cannot run, what it raises."""
        if len(passes) > 1:
            key = tuple(id(wish.network) for wish in passes)
            try:
                if key not in self._together:
                    self._together[key] = Members(wish.network for wish in passes)
                x = torch.stack([dense(wish.x) for wish in passes]).to(passes[0].device)  # one transfer for all
                return cast(Sequence[NetworkOutput], self._together[key](x, potentials=passes[0].potentials).members)
            except Exception:
                pass  # one by one, it is told from the others
        return [_alone(wish) for wish in passes]


def why_alone(trainer: L.Trainer, module: L.LightningModule) -> str | None:
    """None, or in words what a population does not do for a training, which its Trainer then does alone.

    Args:
        trainer: in ``on_train_start``.
        module: that it trains.
    """
    if not isinstance(module, SpikingModule):
        return f"the model is a {type(module).__name__}; a SpikingModule is expected"
    for cls in type(module).__mro__[: type(module).__mro__.index(SpikingModule)]:
        own = [name for name in vars(cls) if name not in _FREE and not name.startswith("__")]
        changed = [name for name in own if callable(getattr(SpikingModule, name, None))]
        if cls is not SpikingClassifier and changed:
            return f"{cls.__name__} has a {changed[0]} of its own"
    if type(module.rule) is not BPTT:
        return f"learning is {type(module.rule).__name__}; members learn by BPTT"
    if module.synops_target is not None:
        return "synops_target reads the Trainer's progress within an epoch"
    if (reason := why_not_a_member(module.network)) is not None:
        return reason
    return _of_trainer(trainer) or _of_callbacks(trainer)


def _of_trainer(trainer: L.Trainer) -> str | None:
    where = trainer.strategy.root_device
    loaders = (trainer.train_dataloader, trainer.val_dataloaders)
    in_memory = all(isinstance(loader, DataLoader) and loader.generator is not None for loader in loaders)
    within = trainer.fit_loop.restarting and not trainer.fit_loop.epoch_loop.batch_progress.is_last_batch
    reasons = {
        f"it trains on {where}; passes are shared on the CPU and on a GPU": where.type not in ("cpu", "cuda"),
        "trainer.max_epochs is not given": trainer.max_epochs is None or trainer.max_epochs < 0,
        "members have one optimizer and no schedule": len(trainer.optimizers) != 1 or trainer.lr_scheduler_configs,
        "its data comes from no loader with a generator of its own, such as a SpikingDataModule's": not in_memory,
        "it goes on within an epoch": within,
        "its data has no length": math.isinf(trainer.num_training_batches),
        "its optimizer asks for a closure": any(_asks_for_closure(optimizer) for optimizer in trainer.optimizers),
        # Lightning has a training go on to its end, whoever asks it to stop before.
        f"trainer.min_epochs is {trainer.min_epochs}; members stop when they are asked to": bool(trainer.min_epochs),
        # It is a switch of the whole process, and what it raises is raised for all that share a backward pass.
        "trainer.detect_anomaly is on": trainer._detect_anomaly,
    }
    for name, value in _PLAIN.items():
        own = getattr(trainer, name)
        # For Lightning, a val_check_interval of 1.0 is an epoch and one of 1 is a batch.
        reasons[f"trainer.{name} is {own!r}; members have {value!r}"] = own != value or (type(own) is int) != (
            type(value) is int
        )
    data = trainer.datamodule  # type: ignore[attr-defined]
    for name in _TRANSFERS:
        own = getattr(type(data), name, None)
        reasons[f"{type(data).__name__} has a {name} of its own"] = own not in (
            None,
            getattr(L.LightningDataModule, name),
        )
    return next((reason for reason, holds in reasons.items() if holds), None)


def _asks_for_closure(optimizer: torch.optim.Optimizer) -> bool:
    closure = inspect.signature(type(optimizer).step).parameters.get("closure")
    return closure is not None and closure.default is inspect.Parameter.empty


def _of_callbacks(trainer: L.Trainer) -> str | None:
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, EnergyLogger):
            continue
        names = [name for name in dir(L.Callback) if not name.startswith("_") and callable(getattr(L.Callback, name))]
        changed = (name for name in names if getattr(type(callback), name) is not getattr(L.Callback, name))
        if unknown := [name for name in changed if name not in (*_HOOKS, *_AROUND)]:
            return f"{type(callback).__name__} has a {unknown[0]}"
    return None


def _answering(out: NetworkOutput) -> Callable[[Any], NetworkOutput]:
    """A network that has answered already."""
    return lambda x: out


def _alone(wish: Pass) -> NetworkOutput | Exception:
    try:
        x = wish.x.to(wish.device)
        out: NetworkOutput = wish.network(x, potentials=True) if wish.potentials else wish.network(x)
        return out
    except Exception as error:
        return error


def _set_epoch(loader: DataLoader[Any], epoch: int) -> None:
    for sampler in (loader.sampler, getattr(loader.batch_sampler, "sampler", None)):
        if callable(follow := getattr(sampler, "set_epoch", None)):
            follow(epoch)


def _count_batch(progress: Any, *, last: bool) -> None:
    progress.is_last_batch = last
    progress.increment_ready()
    progress.increment_started()
    progress.increment_processed()
    progress.increment_completed()
