"""Room: a full disk is waited for, because a trial that is lost for want of a megabyte costs minutes of training."""

import errno
import time
from collections.abc import Callable
from pathlib import Path

__all__ = ["ROOM_PATIENCE_S", "disk_is_full", "with_room"]

ROOM_PATIENCE_S = 600.0
"""How long a full disk is waited for."""
_LOOK_S = 1.0


def disk_is_full(error: BaseException) -> bool:
    """Whether something could not be written for want of room (or quota)."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    # PyTorch's writer of checkpoints says so in its own way.
    words = str(error)
    return isinstance(error, RuntimeError) and ("PytorchStreamWriter" in words or "inline_container" in words)


def with_room(
    write: Callable[[], None],
    where: Path,
    told: Callable[[str], None] = lambda sentence: None,
    patience_s: float = ROOM_PATIENCE_S,
) -> None:
    """Write something, and when the disk is full wait until somebody has made room.

    Args:
        write: leaves nothing behind when it fails; made again until it does not.
        where: the folder that is written to.
        told: is told in a sentence when the disk is full.
        patience_s: how long to wait.

    Raises:
        OSError: there was no room in all that time.
    """
    began: float | None = None
    while True:
        try:
            return write()
        except (OSError, RuntimeError) as error:
            if not disk_is_full(error):
                raise
            now = time.monotonic()
            if began is None:
                began = now
                told(f"the disk that holds {where} is full; waiting for room")
            if now - began > patience_s:
                raise OSError(
                    errno.ENOSPC, f"the disk that holds {where} was full for {patience_s:.0f} s; make room"
                ) from None
            time.sleep(_LOOK_S)
