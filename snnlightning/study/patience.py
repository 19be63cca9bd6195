"""Patience: a storage that is away for a while costs a study time and nothing else.

A database is restarted, a network drops, a disk is full until somebody makes room. Every call waits and is made again,
with growing pauses; what cannot pass by waiting (a wrong password, a database that does not exist) is raised at once.
"""

import time
from collections.abc import Callable, Container, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from optuna.storages import BaseStorage

from ..errors import StudyError

if TYPE_CHECKING:
    from optuna._typing import JSONSerializable
    from optuna.distributions import BaseDistribution
    from optuna.study import StudyDirection
    from optuna.study._frozen import FrozenStudy
    from optuna.trial import FrozenTrial, TrialState

__all__ = ["PATIENCE_S", "PatientStorage", "is_passing"]

PATIENCE_S = 600.0
"""How long a storage may be away."""
_PAUSES_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_FOR_GOOD = (
    "authentication failed",
    "access denied",
    "no password supplied",
    "does not exist",
    "unknown database",
    "no such table",
    "readonly database",
    "unable to open database file",
    "unauthenticated",
    "permission denied",
)
_T = TypeVar("_T")


def is_passing(error: BaseException) -> bool:
    """Whether an error of a storage may be over after a while: the server is away or busy, or a disk is full."""
    import sqlalchemy.exc

    seen: BaseException | None = error
    while seen is not None:
        words = str(seen).lower()
        if any(word in words for word in _FOR_GOOD):
            return False
        if isinstance(
            seen, sqlalchemy.exc.OperationalError | sqlalchemy.exc.InterfaceError | sqlalchemy.exc.TimeoutError
        ):
            return True
        if isinstance(seen, sqlalchemy.exc.DBAPIError) and seen.connection_invalidated:
            return True
        if isinstance(seen, ConnectionError | TimeoutError):
            return True
        code = getattr(seen, "code", None)  # of grpc, which need not be installed
        if callable(code) and type(seen).__module__.startswith("grpc"):
            return code().name in ("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "UNKNOWN")
        seen = seen.__cause__ or seen.__context__
    return False


class PatientStorage(BaseStorage):
    """Any storage of Optuna, with patience.

    Args:
        inner: what it stands before.
        patience_s: how long a call is made again before it fails.
        told: is told in a sentence when the storage goes away, and when it is back.
        where: what the storage is called in messages; without a password.
        close: lets go of the connections.

    Attributes:
        given_up: whether a call has failed after the whole patience; then no call waits any more.
    """

    def __init__(
        self,
        inner: BaseStorage,
        patience_s: float = PATIENCE_S,
        told: Callable[[str], None] = lambda sentence: None,
        where: str = "the storage",
        close: Callable[[], None] = lambda: None,
    ) -> None:
        self.inner, self.patience_s, self.told, self.where, self.close = inner, patience_s, told, where, close
        self.given_up = False

    def repeat(self, call: Callable[[], _T], again: Callable[[], _T] | None = None) -> _T:
        """The result of a call, however long the storage is away.

        Args:
            call: made first.
            again: made instead from the second time on, when the first may have been carried out without an answer.

        Raises:
            StudyError: it was away longer than the patience.
        """
        began: float | None = None
        for attempt in range(1_000_000):
            try:
                result = call() if again is None or attempt == 0 else again()
            except Exception as error:
                if not is_passing(error):
                    raise
                now = time.monotonic()
                if began is None:
                    began = now
                if not attempt and not self.given_up:
                    self.told(f"{self.where} cannot be used ({_words(error)}); waiting for it")
                if self.given_up or now - began > self.patience_s:
                    self.given_up = True
                    raise StudyError(
                        f"{self.where} could not be used for {self.patience_s:.0f} s ({_words(error)}). Nothing is lost: "
                        "run the same command again when it is back."
                    ) from None
                time.sleep(min(_PAUSES_S[min(attempt, len(_PAUSES_S) - 1)], self.patience_s))
            else:
                if began is not None:
                    self.told(f"{self.where} is back after {time.monotonic() - began:.0f} s")
                return result
        raise AssertionError("patience has an end")

    # What changes the storage and may have been carried out although no answer came.

    def create_new_trial(self, study_id: int, template_trial: "FrozenTrial | None" = None) -> int:
        def again() -> int:
            known = self.inner.get_all_trials(study_id, deepcopy=False)
            if template_trial is not None and known and known[-1].user_attrs == template_trial.user_attrs:
                return known[-1]._trial_id
            return self.inner.create_new_trial(study_id, template_trial)

        return self.repeat(lambda: self.inner.create_new_trial(study_id, template_trial), again)

    def create_new_study(self, directions: "Sequence[StudyDirection]", study_name: str | None = None) -> int:
        def again() -> int:
            try:
                return self.inner.get_study_id_from_name(study_name or "")
            except KeyError:
                return self.inner.create_new_study(directions, study_name)

        return self.repeat(lambda: self.inner.create_new_study(directions, study_name), again)

    def set_trial_state_values(self, trial_id: int, state: "TrialState", values: Sequence[float] | None = None) -> bool:
        def again() -> bool:
            held = self.inner.get_trial(trial_id)
            if held.state == state and state.is_finished():
                return True
            return self.inner.set_trial_state_values(trial_id, state, values)

        return self.repeat(lambda: self.inner.set_trial_state_values(trial_id, state, values), again)

    # What may be repeated as it is.

    def delete_study(self, study_id: int) -> None:
        self.repeat(lambda: self.inner.delete_study(study_id))

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        self.repeat(lambda: self.inner.set_study_user_attr(study_id, key, value))

    def set_study_system_attr(self, study_id: int, key: str, value: "JSONSerializable") -> None:
        self.repeat(lambda: self.inner.set_study_system_attr(study_id, key, value))

    def get_study_id_from_name(self, study_name: str) -> int:
        return self.repeat(lambda: self.inner.get_study_id_from_name(study_name))

    def get_study_name_from_id(self, study_id: int) -> str:
        return self.repeat(lambda: self.inner.get_study_name_from_id(study_id))

    def get_study_directions(self, study_id: int) -> "list[StudyDirection]":
        return self.repeat(lambda: self.inner.get_study_directions(study_id))

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        return self.repeat(lambda: self.inner.get_study_user_attrs(study_id))

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        return self.repeat(lambda: self.inner.get_study_system_attrs(study_id))

    def get_all_studies(self) -> "list[FrozenStudy]":
        return self.repeat(self.inner.get_all_studies)

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: "BaseDistribution"
    ) -> None:
        self.repeat(lambda: self.inner.set_trial_param(trial_id, param_name, param_value_internal, distribution))

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        self.repeat(lambda: self.inner.set_trial_intermediate_value(trial_id, step, intermediate_value))

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        self.repeat(lambda: self.inner.set_trial_user_attr(trial_id, key, value))

    def set_trial_system_attr(self, trial_id: int, key: str, value: "JSONSerializable") -> None:
        self.repeat(lambda: self.inner.set_trial_system_attr(trial_id, key, value))

    def get_trial(self, trial_id: int) -> "FrozenTrial":
        return self.repeat(lambda: self.inner.get_trial(trial_id))

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: "Container[TrialState] | None" = None
    ) -> "list[FrozenTrial]":
        return self.repeat(lambda: self.inner.get_all_trials(study_id, deepcopy, states))

    def remove_session(self) -> None:
        self.inner.remove_session()


def _words(error: BaseException) -> str:
    """The innermost cause, on one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    words = " ".join(str(getattr(error, "orig", None) or error).split())
    return words[:200] or type(error).__name__
