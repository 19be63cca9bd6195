"""Interrupts: Ctrl-C and SIGTERM become a request that a study answers between two of its steps.

A KeyboardInterrupt in the middle of a database call leaves a transaction and a traceback behind. So the first signal
only asks; it is raised at once where nothing can be torn (while a network is trained in this process), or when somebody
insists with a second one.
"""

import signal
import threading
import types
from collections.abc import Callable
from typing import Any, Self

__all__ = ["Interrupts"]


class Interrupts:
    """Catches SIGINT and SIGTERM inside ``with``; outside the main thread, where Python hands out no signals, does nothing.

    Args:
        wake: called, from the signal handler, when an interrupt is requested: it must make the waiting party wake up.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self.wake = wake
        self.requested = False
        self.at_once = False
        self._previous: dict[int, Any] = {}

    def check(self) -> None:
        """The place where a request is answered.

        Raises:
            KeyboardInterrupt: one came.
        """
        if self.requested:
            raise KeyboardInterrupt

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: types.FrameType | None) -> None:
        # Noted before it is raised: an exception in the callback of a weak reference is ignored.
        insisted, self.requested = self.requested, True
        if insisted or self.at_once:
            raise KeyboardInterrupt
        self.wake()
