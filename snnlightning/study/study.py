"""Study: one multi-objective search in one directory, that survives being killed and repeats for a seed.

This file opens and closes: the directory, its lock, its storage, the first look at data and models, the last look at the
test set. What is tried is decided by a policy (:mod:`snnlightning.study.policies`), in the loop of
:mod:`snnlightning.study.runner`, and kept in the archive (:mod:`snnlightning.study.archive`).
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..data import SpikingDataModule
from ..errors import StudyError, require
from .archive import Archive
from .config import StudyConfig
from .evaluate import evaluate_on_test
from .files import read_yaml, trial_directory, write_json, write_yaml
from .finalists import choose_finalists, replay, report_fresh
from .front import Front, FrontPoint, front_points, make_front, write_front
from .interrupts import Interrupts
from .pool import AbstractPool, InlinePool, ProcessPool, training_here
from .probing import probe
from .room import with_room
from .rows import TrialRow, rows_of
from .runner import Runner, StudyObserver, write_trials
from .storage import LOCK, lock, open_storage, recall, remember
from .sweep import materialise
from .trial import data_module
from .versions import usable_cores, versions

if TYPE_CHECKING:
    import optuna

    from .patience import PatientStorage
    from .queue import JobQueue

__all__ = ["Study"]


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

    def run(
        self,
        workers: int | None = None,
        observers: Iterable[StudyObserver] = (),
        *,
        remote: bool = False,
        lease_s: float | None = None,
        engine: contextlib.AbstractContextManager[object] | None = None,
    ) -> Front:
        """Run all trials that are missing, test the front, and write it.

        Args:
            workers: worker processes; one per usable core when None; 0 runs the trials in this process, or leaves them to
                workers elsewhere when ``remote``. At most ``in_flight`` are of use.
            observers: told of everything that happens.
            remote: put the jobs up in the storage, for workers anywhere (``snnlightning study worker``).
            lease_s: with ``remote``: a worker that is silent so long has lost its job; a minute when None.
            engine: with ``remote``: entered once jobs are up, left at the end; what starts workers elsewhere
                (:func:`snnlightning.study.launching.slurm_workers`).

        Returns:
            The front, as in ``front.json``.

        Raises:
            KeyboardInterrupt: passed on after the front was written; running the study again goes on from there.
            StudyError: another process runs this study, or its storage cannot be used.
            SnnLightningError: the data cannot be loaded or the model cannot be built.
        """
        observers = list(observers)
        workers = min(usable_cores() if workers is None else workers, self.config.in_flight)
        chance = probe(self.config)
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StudyError(f"{self.directory} cannot be made ({error.strerror}); choose another --dir.") from None
        self.notes.clear()

        def told(sentence: str) -> None:
            for observer in observers:
                observer.note(sentence)

        with lock(self.directory):
            interrupted: KeyboardInterrupt | None = None
            with self._storage(told) as (storage, identity), self._archive(storage, identity, mine=True) as archive:
                runner = Runner(self.config, self.directory, archive, chance, observers)
                with_room(self._write_identity, self.directory, told)
                for observer in observers:
                    observer.started(self.config.raw, self.directory, [row.as_dict() for row in runner.rows])
                pool: AbstractPool
                if not remote and (queue := self._queue(storage)) is not None:
                    queue.close()  # of a run with remote that was interrupted: its workers must not work beside ours
                if remote:
                    pool = self._remote_pool(storage, identity, workers, lease_s, engine, told)
                elif workers or self.config.devices > 1:  # a rank that dies may end the process that waits for it
                    pool = ProcessPool(
                        max(1, workers),
                        self.directory,
                        members=self.config.members,
                        retries=self.config.retries,
                        told=told,
                        devices=self.config.devices,
                    )
                else:
                    pool = InlinePool(self.directory, self.config.members)
                try:
                    with Interrupts(pool.wake) as interrupts, pool:
                        runner.search(pool, interrupts)
                        self._test(runner.rows, observers, interrupts)
                        self._train_anew(runner, pool, observers, interrupts, told)
                except KeyboardInterrupt as error:
                    interrupted = error
                rows = runner.rows
            front = make_front(self.config, self.directory, rows)
            if self.config.final_seeds:
                report_fresh(front, self._finalists(rows), self.config, self.directory)

            def write() -> None:
                write_trials(self.directory, self.config, rows)  # an interrupt may come before any has finished
                write_front(self.directory, front)

            with_room(write, self.directory, told)
            for observer in observers:
                observer.ended(front)
            if interrupted is not None:
                raise interrupted
            return front

    def rows(self) -> list[TrialRow]:
        """All finished trials; works while the study runs."""
        if not (self.directory / "storage.json").exists():
            return []
        with (
            self._storage(lambda sentence: None) as (storage, identity),
            self._archive(storage, identity, mine=False) as archive,
        ):
            return rows_of(archive)

    def workers(self) -> list[str]:
        """Who works on it now, and on which trial; of a study that runs with ``remote``. Empty when nobody does."""
        if not (self.directory / "storage.json").exists():
            return []
        with self._storage(lambda sentence: None) as (storage, _):
            queue = self._queue(storage)
            at_work = [] if queue is None else queue.at_work()
            return [f"{worker} (trial {task['number']})" for worker, task in at_work]

    def _queue(self, storage: "PatientStorage") -> "JobQueue | None":
        """The queue of the study; None when it has never handed out jobs."""
        from .queue import JobQueue

        try:
            return JobQueue(storage, self.config.name)
        except StudyError:
            return None

    @contextlib.contextmanager
    def _storage(self, told: Callable[[str], None]) -> Iterator[tuple["PatientStorage", str]]:
        """The storage, and the mark that ties the study in it to this directory."""
        url, identity = recall(self.directory, self.storage_url)
        storage = open_storage(self.directory, url, told)
        try:
            remember(self.directory, url, identity)
            yield storage, identity
        finally:
            storage.close()

    @contextlib.contextmanager
    def _archive(self, storage: "PatientStorage", identity: str, mine: bool) -> Iterator[Archive]:
        """What was tried; trials that are open are let go of at the end, when this is the run that has them."""
        archive = Archive(self.config, _optuna_study(self.config, storage, identity))
        try:
            yield archive
        finally:
            if mine and not storage.given_up:
                archive.release()

    def _remote_pool(
        self,
        storage: "PatientStorage",
        identity: str,
        workers: int,
        lease_s: float | None,
        engine: contextlib.AbstractContextManager[object] | None,
        told: Callable[[str], None],
    ) -> AbstractPool:
        from .queue import JobQueue
        from .remote import RemotePool

        return RemotePool(
            JobQueue(storage, self.config.name, create=True),
            self.directory,
            {"identity": identity, "gpus": self.config.gpus},
            local=workers,
            url=self.storage_url,
            retries=self.config.retries,
            engine=engine,
            told=told,
            devices=self.config.devices,
            members=self.config.members,
            **({} if lease_s is None else {"lease_s": lease_s}),
        )

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
        elif self.directory.exists() and any(path.name != LOCK for path in self.directory.iterdir()):
            raise StudyError(f"{self.directory} is not empty and holds no study; choose another --dir.")

    def _write_identity(self) -> None:
        write_yaml(self.directory / "study.yaml", self.config.raw)
        write_json(self.directory / "versions.json", versions())

    def _test(self, rows: Sequence[TrialRow], observers: Sequence[StudyObserver], interrupts: Interrupts) -> None:
        """Evaluate the points of the front that were not tested yet."""
        points = front_points(rows, self.config.objectives)
        for done, point in enumerate(points):
            for observer in observers:
                observer.testing(done, len(points))
            folder = point.folder(self.directory)
            if (folder / "test.json").exists():
                continue
            try:
                with training_here(interrupts):
                    if point.swept is not None:
                        materialise(trial_directory(self.directory, point.row.number), point.swept)
                    evaluate_on_test(folder, self.config.objectives)
            except Exception as error:  # the study is done; a point that cannot be tested must not hide the others
                self.notes.append(f"trial {point.row.number} could not be tested: {' '.join(str(error).split())}")

    def _train_anew(
        self,
        runner: Runner,
        pool: AbstractPool,
        observers: Sequence[StudyObserver],
        interrupts: Interrupts,
        told: Callable[[str], None],
    ) -> None:
        """Train and test the finalists with fresh seeds."""
        if not self.config.final_seeds:
            return

        def progress(done: int, total: int) -> None:
            for observer in observers:
                observer.testing(done - 1, total)

        points = self._finalists(runner.rows)

        archive, ranking = runner.archive, self.config.ranking
        self.notes += replay(points, self.config, self.directory, archive, ranking, pool, interrupts, progress, told)

    def _finalists(self, rows: Sequence[TrialRow]) -> list[FrontPoint]:
        samples = 0
        for row in rows[:1]:
            data = data_module(read_yaml(trial_directory(self.directory, row.number) / "config.yaml")["data"])
            samples = len(data.splits.val) if isinstance(data, SpikingDataModule) else 0
        return choose_finalists(rows, self.config, samples, self.config.finalists)


def _optuna_study(config: StudyConfig, storage: "PatientStorage", identity: str) -> "optuna.Study":
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
    return study
