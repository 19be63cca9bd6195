"""Study: one multi-objective search in one directory, that survives being killed and repeats for a seed.

Optuna proposes, workers train, and this file keeps the order. Trial n is drawn when the results of all trials up to
n - in_flight are known and none later; results are told in the order of the trials, whatever order they came in. So the
search depends on the configuration alone, not on how many workers there are or which was faster.

After a kill, trials that were open wait in the storage with the values they had drawn, and run again under the same
number (or are read from ``result.json``, when they had finished and were only waiting for their turn).
"""

import dataclasses
import math
import os
import platform
import sys
import warnings
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import ConfigurationError, ShapeError, SnnLightningError, StudyError, require
from .building import build
from .config import StudyConfig
from .evaluate import evaluate_on_test
from .files import CHECKPOINT, read_json, read_yaml, trial_directory, write_csv, write_json, write_yaml
from .front import Front, front_rows, make_front, write_front
from .interrupts import Interrupts
from .objectives import AbstractPriced
from .pool import AbstractPool, InlinePool, ProcessPool, training_here
from .rows import TrialRow, explain, judge, row_of
from .samplers import make_sampler, seed_of
from .space import Space
from .storage import lock, open_storage, remember
from .trial import data_module, evaluation_trainer, quiet_trainer
from .worker import Job, be_quiet

if TYPE_CHECKING:
    import optuna

__all__ = ["Study", "StudyObserver"]


class StudyObserver(Protocol):
    """Who wants to know how a study goes: a progress display, a tracker. Rows are plain dictionaries, as in trials.csv."""

    def started(self, config: Mapping[str, Any], directory: Path, rows: Sequence[Mapping[str, Any]]) -> None: ...
    def asked(self, number: int, params: Mapping[str, Any]) -> None: ...
    def epoch(self, number: int, epoch: int, metrics: Mapping[str, float]) -> None: ...
    def finished(self, row: Mapping[str, Any], front: Sequence[Mapping[str, Any]]) -> None: ...
    def testing(self, done: int, total: int) -> None: ...
    def ended(self, front: Front) -> None: ...


class Study:
    """A study and its directory.

    Args:
        config: what to search; see :class:`StudyConfig`.
        directory: where everything goes. A directory that holds this study already is taken up where it stopped.
        storage: URL of a database for Optuna's tables; the one the study began with, or ``study.db``, when None.

    Attributes:
        notes: what the last run could not do and went on without, such as testing a model that has no ``test_step``.

    Raises:
        MissingDependencyError: Optuna is not installed.
        StudyError: the directory holds another study, or something else.
    """

    def __init__(self, config: StudyConfig, directory: Path | str, storage: str | None = None) -> None:
        require("optuna", "study", "A study")
        self.config, self.directory, self.storage_url = config, Path(directory), storage
        self.notes: list[str] = []
        self._check_directory()

    @classmethod
    def open(cls, directory: Path | str, storage: str | None = None) -> "Study":
        """The study that a directory holds.

        Raises:
            StudyError: it holds none.
        """
        file = Path(directory) / "study.yaml"
        if not file.exists():
            raise StudyError(
                f"{directory} holds no study (there is no study.yaml); start one with `snnlightning study run`."
            )
        return cls(StudyConfig.parse(read_yaml(file)), directory, storage)

    def run(self, workers: int | None = None, observers: Iterable[StudyObserver] = ()) -> Front:
        """Run all trials that are missing, test the front, and write it.

        Args:
            workers: worker processes; one per usable core when None; 0 runs the trials in this process. At most
                ``in_flight`` are of use.
            observers: told of everything that happens.

        Returns:
            The front, as in ``front.json``.

        Raises:
            KeyboardInterrupt: passed on after the front was written; running the study again goes on from there.
            StudyError: another process runs this study, or its storage cannot be used.
            SnnLightningError: the data cannot be loaded or the model cannot be built.
        """
        observers = list(observers)
        workers = min(usable_cores() if workers is None else workers, self.config.in_flight)
        chance = self._probe()
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StudyError(f"{self.directory} cannot be made ({error.strerror}); choose another --dir.") from None
        with lock(self.directory):
            session = _Session(self, chance, observers)
            self._write_identity()
            for observer in observers:
                observer.started(self.config.raw, self.directory, [row.as_dict() for row in session.rows])
            self.notes.clear()
            interrupted: KeyboardInterrupt | None = None
            pool = ProcessPool(workers, self.directory) if workers else InlinePool(self.directory)
            try:
                with Interrupts(pool.wake) as interrupts:
                    if len(session.rows) < self.config.trials:
                        with pool:
                            session.search(pool, interrupts)
                    self._test(session.rows, observers, interrupts)
            except KeyboardInterrupt as error:
                interrupted = error
            finally:
                session.close()
            front = make_front(self.config, self.directory, session.rows)
            write_front(self.directory, front)
            for observer in observers:
                observer.ended(front)
            if interrupted is not None:
                raise interrupted
            return front

    def rows(self) -> list[TrialRow]:
        """All finished trials; works while the study runs."""
        if not (self.directory / "storage.json").exists():
            return []
        url, identity = remember(self.directory, self.storage_url)
        storage = open_storage(self.directory, url)
        try:
            return _finished_rows(_optuna_study(self.config, storage, identity), self.config)
        finally:
            storage.engine.dispose()

    def _check_directory(self) -> None:
        file = self.directory / "study.yaml"
        if self.directory.exists() and not self.directory.is_dir():
            raise StudyError(f"{self.directory} is a file; a study needs a directory. Choose another --dir.")
        if file.exists():
            held = read_yaml(file)
            difference = self.config.difference(held) if isinstance(held, dict) else "study.yaml is no mapping"
            if difference:
                raise StudyError(
                    f"{self.directory} holds a study made with another configuration: {difference}. "
                    "Choose another --dir, or use the configuration that the directory holds (study.yaml)."
                )
        elif self.directory.exists() and any(self.directory.iterdir()):
            raise StudyError(f"{self.directory} is not empty and holds no study; choose another --dir.")

    def _write_identity(self) -> None:
        write_yaml(self.directory / "study.yaml", self.config.raw)
        write_json(self.directory / "versions.json", versions())

    def _probe(self) -> float:
        """Load the data, build the model of every choice in the space and show one a batch, before anything is written.

        Returns:
            The accuracy of guessing, 1 / number of classes; -1 (no bound) when nobody says how many there are and the
            objectives have bounds of their own.
        """
        try:
            data, model = self._build_examples()
        except SnnLightningError:
            raise
        except Exception as error:  # a user's class may raise anything; it would in every trial
            what = f"{type(error).__name__}: {' '.join(str(error).split())}"
            raise ConfigurationError(f"the first network cannot be built and shown its data: {what}") from error
        classes = getattr(data, "num_classes", None) or getattr(model, "num_classes", None)
        if classes:
            return 1.0 / float(classes)
        if all(objective.at_least is None for objective in self.config.objectives.values()):
            raise ConfigurationError(
                "neither the data module nor the model has num_classes, so nobody knows what guessing reaches, and a silent "
                "network could be on the front; add that attribute, or at_least to an objective such as accuracy."
            )
        return -1.0

    def _build_examples(self) -> tuple[Any, Any]:
        """The data and the model of the first point of the space, tried; and every other choice, built."""
        import torch

        from ..training import SpikingModule

        points = [Space.apply(self.config.base, drawn) for drawn in self.config.space.examples()]
        be_quiet()
        for parts in points:
            try:
                quiet_trainer(**parts["trainer"])
            except Exception as error:  # Lightning has many
                raise ConfigurationError(f"trainer: {' '.join(str(error).split())}") from error
        first, *others = points
        data = data_module(first["data"])
        data.prepare_data()
        data.setup("fit")
        with torch.random.fork_rng(devices=[]):
            model = build("model", first["model"])
            for parts in others:
                build("model", parts["model"])
                build("data", parts["data"])
        if isinstance(model, SpikingModule):
            x, _ = next(iter(data.val_dataloader()))
            try:
                with torch.no_grad():
                    model(x)
            except ShapeError as error:
                raise ConfigurationError(f"model and data do not fit: {error}") from None
            self._check_prices(model, data)
        elif self.config.profiles:
            raise ConfigurationError(
                f"{type(model).__name__} is no SpikingModule, so nothing is counted that could be priced on "
                f"{self.config.profiles[0]}; subclass SpikingModule, or leave such objectives out."
            )
        return data, model

    def _check_prices(self, model: Any, data: Any) -> None:
        """Whether the profiles give what the objectives ask of them, tried on one batch of a network nobody trained."""
        if not self.config.profiles:
            return
        from ..training import EnergyLogger

        energy = EnergyLogger(self.config.profiles)
        trainer = evaluation_trainer(self.config.base["trainer"], limit_val_batches=1, callbacks=[energy])
        trainer.validate(model, datamodule=data, verbose=False)
        for name, objective in self.config.objectives.items():
            if isinstance(objective, AbstractPriced) and f"val_{objective.metric}" not in energy.values["val"]:
                raise ConfigurationError(
                    f"objective {name}: {objective.profile} does not give it for this network; choose another profile "
                    "(`snnlightning profiles` says what each one prices)."
                )

    def _test(self, rows: Sequence[TrialRow], observers: Sequence[StudyObserver], interrupts: Interrupts) -> None:
        """Evaluate the points of the front that were not tested yet."""
        points = front_rows(rows, self.config.objectives)
        for done, row in enumerate(points):
            for observer in observers:
                observer.testing(done, len(points))
            if (trial_directory(self.directory, row.number) / "test.json").exists():
                continue
            try:
                with training_here(interrupts):
                    evaluate_on_test(self.directory, row.number, self.config.objectives)
            except Exception as error:  # the study is done; a point that cannot be tested must not hide the others
                self.notes.append(f"trial {row.number} could not be tested: {' '.join(str(error).split())}")


class _Session:
    """One run of a study: what is open, what has come in, what was told."""

    def __init__(self, study: Study, chance: float, observers: Sequence[StudyObserver]) -> None:
        self.config, self.directory, self.chance, self.observers = study.config, study.directory, chance, observers
        url, identity = remember(study.directory, study.storage_url)
        self.storage = open_storage(study.directory, url)
        try:
            self.study = _optuna_study(study.config, self.storage, identity)
        except BaseException:
            self.storage.engine.dispose()
            raise
        self.release()
        self.rows = _finished_rows(self.study, self.config)
        self.open: dict[int, optuna.trial.Trial] = {}
        self.came: dict[int, dict[str, Any]] = {}

    def release(self) -> None:
        """Trials that nobody runs any more wait for the next run, with the values they drew."""
        import optuna

        for trial in self.study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
            self.storage.set_trial_state_values(trial._trial_id, optuna.trial.TrialState.WAITING)

    def close(self) -> None:
        """Leave no trial open and no connection either."""
        self.release()
        self.storage.engine.dispose()

    def search(self, pool: AbstractPool, interrupts: Interrupts) -> None:
        while (told := len(self.rows)) < self.config.trials:
            while told + len(self.open) < min(self.config.trials, told + self.config.in_flight):
                interrupts.check()
                self._ask(told + len(self.open), pool)
            if told in self.came:
                self._tell(told, self.came.pop(told))
                continue
            message = pool.next_message(interrupts)
            interrupts.check()
            if message is None:
                continue
            if message["type"] == "epoch":
                for observer in self.observers:
                    observer.epoch(message["number"], message["epoch"], message["metrics"])
            else:
                self.came[message["number"]] = message

    def _ask(self, number: int, pool: AbstractPool) -> None:
        seed = self.config.seed
        self.study.sampler = make_sampler(
            self.config.sampler["name"], self.config.sampler["startup_trials"], seed_of(seed, number, stream=1)
        )
        trial = self.study.ask()
        if trial.number != number:
            raise StudyError(
                f"the storage handed out trial {trial.number} where {number} was due; is something else writing to it?"
            )
        drawn = self.config.space.draw(trial)
        trial.set_user_attr("drawn", drawn)
        trial.set_user_attr("seed", seed_of(seed, number))
        config = {"number": number, "seed": seed_of(seed, number), **Space.apply(self.config.base, drawn)}
        self.open[number] = trial
        for observer in self.observers:
            observer.asked(number, drawn)
        earlier = self._earlier_result(config)
        if earlier is not None:
            self.came[number] = {"type": "finished", "number": number, **earlier}
        else:
            pool.submit(Job(config=config, order=self._order(), profiles=list(self.config.profiles)))

    def _earlier_result(self, config: Mapping[str, Any]) -> dict[str, Any] | None:
        """What this very trial reached before the study was killed, when it had finished and could not be told."""
        folder = trial_directory(self.directory, config["number"])
        try:
            if read_yaml(folder / "config.yaml") != config or not (folder / CHECKPOINT).exists():
                return None
            result: dict[str, Any] = read_json(folder / "result.json")
            # JSON has no NaN; null was one.
            metrics = {name: math.nan if value is None else float(value) for name, value in result["metrics"].items()}
            return {**result, "metrics": metrics}
        except (StudyError, KeyError, TypeError, ValueError, AttributeError):
            return None  # missing or torn: it is trained again

    def _order(self) -> list[tuple[str, float]]:
        """How epochs of one trial are compared: by the first objective, ties by the next ones."""
        return [
            (f"val_{objective.metric}", -1.0 if objective.direction == "maximize" else 1.0)
            for objective in self.config.objectives.values()
        ]

    def _tell(self, number: int, message: Mapping[str, Any]) -> None:
        import optuna

        trial = self.open.pop(number)
        values: list[float] | None = None
        reason = str(message.get("reason", ""))
        if message["type"] == "finished":
            for key in ("seconds", "epochs", "best_epoch"):
                trial.set_user_attr(key, message[key])
            try:
                by_name, violations = judge(
                    message["metrics"], self.config.objectives, self.chance, self.config.chance_margin
                )
            except ConfigurationError as error:
                reason = str(error)
            else:
                bad = [name for name, value in by_name.items() if not math.isfinite(value)]
                if bad:
                    reason = ", ".join(f"{name} is {by_name[name]}" for name in bad)
                else:
                    values = list(by_name.values())
                    reason = explain(violations, message.get("misfits", {}))
                    with warnings.catch_warnings():
                        # Killed between this and the tell, it says that they are set already: to the same values.
                        warnings.filterwarnings("ignore", "The constraint value is ignored", UserWarning)
                        for name, missed in violations.items():
                            trial.set_constraint(name, missed)
        trial.set_user_attr("reason", reason)
        state = optuna.trial.TrialState.FAIL if values is None else optuna.trial.TrialState.COMPLETE
        frozen = self.study.tell(trial, values, state=state)
        row = row_of(frozen, list(self.config.objectives))
        self.rows.append(row)
        write_trials(self.directory, self.config, self.rows)
        front = make_front(self.config, self.directory, self.rows)
        write_front(self.directory, front)
        for observer in self.observers:
            observer.finished(row.as_dict(), front["points"])


def write_trials(directory: Path, config: StudyConfig, rows: Sequence[TrialRow]) -> None:
    """``trials.csv``: a row per finished trial, a column per objective and per parameter of the space."""
    columns = [
        *(field.name for field in dataclasses.fields(TrialRow) if field.name not in ("values", "params")),
        *config.objectives,
        *(parameter.name for parameter in config.space.parameters),
    ]
    write_csv(directory / "trials.csv", columns, [row.as_dict() for row in rows])


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def versions() -> dict[str, str]:
    """Versions of everything that decides a number, and the machine's kind."""
    found = {"python": platform.python_version(), "platform": f"{platform.system()} {platform.machine()}"}
    for package in ("snnlightning", "torch", "lightning", "torchmetrics", "optuna", "numpy", "scikit-learn", "wandb"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return {**found, "cores": str(usable_cores()), "threads_per_worker": "1", "executable": Path(sys.executable).name}


def _optuna_study(config: StudyConfig, storage: "optuna.storages.RDBStorage", identity: str) -> "optuna.Study":
    """The study's tables, made when there are none; tables of the same name that belong to another directory are refused."""
    import optuna

    directions = [objective.direction or objective.natural_direction for objective in config.objectives.values()]
    study = optuna.create_study(study_name=config.name, storage=storage, directions=directions, load_if_exists=True)
    owner = study.user_attrs.get("identity")
    if owner is None and not study.get_trials(deepcopy=False):
        study.set_user_attr("identity", identity)
    elif owner != identity:
        raise StudyError(
            f"the storage already holds a study named {config.name!r} that belongs to another directory; "
            "rename this one, or choose another --storage."
        )
    # Points to try first that a kill kept from being queued.
    for point in config.start[len(study.get_trials(deepcopy=False)) :]:
        study.enqueue_trial(config.space.stored(point))
    return study


def _finished_rows(study: "optuna.Study", config: StudyConfig) -> list[TrialRow]:
    import optuna

    done = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.FAIL)
    return [row_of(trial, list(config.objectives)) for trial in study.get_trials(deepcopy=False, states=done)]
