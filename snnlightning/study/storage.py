"""Storage: Optuna's, in the study directory unless an URL says otherwise, and a lock that keeps two runs apart."""

import contextlib
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import StudyError
from .files import read_json, write_json

if TYPE_CHECKING:
    import optuna

__all__ = ["lock", "open_storage", "remember"]


def remember(directory: Path, url: str | None) -> tuple[str | None, str]:
    """Which database a directory's study lives in, and the identity that ties the two together (``DIR/storage.json``).

    The file is made when there is none. A password is not written down: then the URL has to be given again each time.

    Args:
        directory: of the study; it exists.
        url: as given by the user; None: as remembered, else SQLite in the directory.

    Returns:
        The URL (None: in the directory) and the identity.

    Raises:
        StudyError: the study lives somewhere else, or in a database whose password is not known.
    """
    file = directory / "storage.json"
    shown = None if url is None else _without_password(url)
    if not file.exists():
        content = {"url": shown, "identity": uuid.uuid4().hex}
        write_json(file, content)
        return url, str(content["identity"])
    held = read_json(file)
    if url is None and held["url"] is not None and "***" in held["url"]:
        raise StudyError(f"the study in {directory} lives in {held['url']}; give --storage with its password.")
    if url is not None and shown != held["url"]:
        where = held["url"] or f"{directory / 'study.db'}"
        raise StudyError(
            f"the study in {directory} lives in {where}, not in {shown}; leave --storage out, or choose another --dir."
        )
    return url if url is not None else held["url"], str(held["identity"])


def open_storage(directory: Path, url: str | None = None) -> "optuna.storages.RDBStorage":
    """The storage of a study: ``study.db`` (SQLite) in its directory, or any database that Optuna knows.

    SQLite runs with a write-ahead log, synchronous=NORMAL and a timeout of 60 s: about ten times as many trials per
    second as its defaults, and readers (``study status``) never wait for the writer.

    Raises:
        StudyError: the database cannot be opened.
    """
    import optuna
    import sqlalchemy

    local = url is None
    where = f"sqlite:///{(directory / 'study.db').absolute()}" if url is None else url
    options: dict[str, Any] = {"connect_args": {"timeout": 60}} if where.startswith("sqlite") else {}
    try:
        storage = optuna.storages.RDBStorage(where, engine_kwargs=options)
        if where.startswith("sqlite"):
            sqlalchemy.event.listen(storage.engine, "connect", _pragmas)
            storage.engine.dispose()
        storage.get_all_studies()
    except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.OptunaError, ImportError, RuntimeError) as error:
        what = f"{directory / 'study.db'}" if local else _without_password(where)
        raise StudyError(f"the study's storage {what} cannot be opened: {' '.join(str(error).split())[:300]}") from None
    return storage


def _pragmas(connection: Any, _: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.close()


def _without_password(url: str) -> str:
    import sqlalchemy

    try:
        return sqlalchemy.engine.make_url(url).render_as_string(hide_password=True)
    except sqlalchemy.exc.ArgumentError:
        return "(not an URL)"


@contextlib.contextmanager
def lock(directory: Path) -> Iterator[None]:
    """Hold ``DIR/study.lock`` as long as a study runs; the operating system lets go of it when the process dies.

    Raises:
        StudyError: another process runs this study.
    """
    try:
        import fcntl
    except ImportError:  # no such lock on this system; SQLite still guards the trials themselves
        yield
        return
    with (directory / "study.lock").open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StudyError(
                f"{directory} is being run by another process; wait for it, look with `snnlightning study status "
                f"{directory}`, or choose another --dir."
            ) from None
        yield
