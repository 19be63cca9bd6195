"""Storage: Optuna's, in the study directory unless an URL says otherwise, and a lock that keeps two runs apart."""

import contextlib
import uuid
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..errors import MissingDependencyError, StudyError, require
from .files import read_json, write_json

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

    from .patience import PatientStorage

__all__ = ["LOCK", "lock", "open_storage", "recall", "remember"]

LOCK = "study.lock"
_SECRET = {"password", "passwd", "pwd", "sslpassword"}
"""What holds a password among the options of an URL, after its question mark."""


def recall(directory: Path, url: str | None) -> tuple[str | None, str]:
    """Which database a directory's study lives in, and the identity that ties the two together (``DIR/storage.json``).

    Nothing is written; :func:`remember` does that, once the database has been opened.

    Args:
        directory: of the study; it exists.
        url: as given by the user; None: as remembered, else SQLite in the directory.

    Returns:
        The URL (None: in the directory) and the identity, a new one when there is no such file.

    Raises:
        StudyError: the study lives somewhere else, or in a database whose password is not known.
    """
    file = directory / "storage.json"
    shown = None if url is None else _without_password(url)
    if not file.exists():
        return url, uuid.uuid4().hex
    held = read_json(file)
    if url is None and held["url"] is not None and "***" in held["url"]:
        raise StudyError(f"the study in {directory} lives in {held['url']}; give --storage with its password.")
    if url is not None and shown != held["url"]:
        where = held["url"] or f"{directory / 'study.db'}"
        raise StudyError(
            f"the study in {directory} lives in {where}, not in {shown}; leave --storage out, or choose another --dir."
        )
    return url if url is not None else held["url"], str(held["identity"])


def remember(directory: Path, url: str | None, identity: str) -> None:
    """Write down what :func:`recall` reads, when it is not. A password is left out: then the URL has to be given each time."""
    file = directory / "storage.json"
    if not file.exists():
        write_json(file, {"url": None if url is None else _without_password(url), "identity": identity})


def open_storage(
    directory: Path,
    url: str | None = None,
    told: Callable[[str], None] = lambda sentence: None,
    patience_s: float | None = None,
    *,
    create: bool = True,
) -> "PatientStorage":
    """The storage of a study: ``study.db`` (SQLite) in its directory, or any database that Optuna knows.

    SQLite runs with a write-ahead log, synchronous=NORMAL and a timeout of 60 s: about ten times as many trials per
    second as its defaults, and readers (``study status``) never wait for the writer. A storage that goes away later is waited
    for; see :mod:`snnlightning.study.patience`.

    Args:
        directory: of the study.
        url: ``postgresql://USER:PASSWORD@HOST/DATABASE``, ``mysql+pymysql://...``, ``sqlite:///FILE``, or ``grpc://HOST:PORT`` for
            Optuna's proxy; None: SQLite in the directory.
        told: is told in a sentence when the storage goes away, and when it is back.
        patience_s: how long a storage may be away; ten minutes when None. One that cannot be opened at all is not waited for.
        create: whether an SQLite file that does not exist is made.

    Raises:
        StudyError: the storage cannot be opened.
        MissingDependencyError: what it needs is not installed.
    """
    import optuna
    import sqlalchemy

    from .patience import PATIENCE_S, PatientStorage

    where = f"sqlite:///{(directory / 'study.db').absolute()}" if url is None else url
    shown = f"{directory / 'study.db'}" if url is None else _without_password(url)
    inner: BaseStorage
    if not create:
        _must_exist(where)
    try:
        if where.startswith("grpc://"):
            inner, close = _proxy(where)
        else:
            local = where.startswith("sqlite")
            options: dict[str, Any] = {"connect_args": {"timeout": 60}} if local else {"pool_pre_ping": True}
            tables = optuna.storages.RDBStorage(where, engine_kwargs=options)
            if local:
                sqlalchemy.event.listen(tables.engine, "connect", _pragmas)
                tables.engine.dispose()
            inner, close = optuna.storages.get_storage(tables), tables.engine.dispose
        inner.get_all_studies()
    except MissingDependencyError:
        raise
    except Exception as error:  # each driver has its own
        raise StudyError(_why_not(shown, error.__cause__ or error)) from None
    return PatientStorage(
        inner, PATIENCE_S if patience_s is None else patience_s, told, where=f"the storage {shown}", close=close
    )


def _why_not(shown: str, error: BaseException) -> str:
    """Why a storage cannot be opened, and what to do about it."""
    import sqlalchemy

    if isinstance(error, ModuleNotFoundError):
        pymysql = "pip install pymysql cryptography"
        ways = {
            "psycopg": "pip install 'snnlightning[postgres]'",
            "psycopg2": "pip install 'snnlightning[postgres]'",
            "MySQLdb": f"{pymysql}, and write mysql+pymysql://",
            "pymysql": pymysql,
        }
        return f"the storage {shown} needs {error.name}, which is not installed: {ways.get(error.name or '', f'pip install {error.name}')}."
    why = " ".join(str(error).split())[:300] or "nobody answers there"  # what a gRPC channel raises has no words
    if isinstance(error, sqlalchemy.exc.ArgumentError):
        why += "; postgresql://USER:PASSWORD@HOST/DATABASE is one"
    return f"the study's storage {shown} cannot be opened: {why}"


def _must_exist(url: str) -> None:
    """SQLite makes an empty database of any path that was mistyped."""
    import sqlalchemy

    with contextlib.suppress(sqlalchemy.exc.ArgumentError, ValueError):  # open_storage says it better
        file = sqlalchemy.engine.make_url(url).database if url.startswith("sqlite") else None
        if file and not Path(file).exists():
            raise StudyError(
                f"there is no database at {file}; check the path (an absolute one has four slashes: sqlite:////...)."
            )


def _proxy(url: str) -> "tuple[BaseStorage, Callable[[], None]]":
    """Optuna's gRPC proxy: many workers with short trials share the connections of one server."""
    import optuna

    parts = urlsplit(url)
    if not parts.hostname or not parts.port or parts.path.strip("/"):
        raise ValueError("grpc://HOST:PORT is expected")
    require("grpc", "grpc", "A storage behind a gRPC proxy")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        proxy = optuna.storages.GrpcStorageProxy(host=parts.hostname, port=parts.port)
    proxy.wait_server_ready(timeout=10)
    return proxy, proxy.close


def _pragmas(connection: Any, _: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.close()


def _without_password(url: str) -> str:
    import sqlalchemy

    if url.startswith("grpc://"):
        return url
    try:
        parsed = sqlalchemy.engine.make_url(url)
    except (sqlalchemy.exc.ArgumentError, ValueError):  # ValueError: of a port
        return "(not an URL)"
    shown = {name: "***" if name.lower() in _SECRET else value for name, value in parsed.query.items()}
    return parsed.set(query=shown).render_as_string(hide_password=True).replace("=%2A%2A%2A", "=***")


@contextlib.contextmanager
def lock(directory: Path) -> Iterator[None]:
    """Hold ``DIR/study.lock`` as long as a study runs; the operating system lets go of it when the process dies.

    Raises:
        StudyError: another process runs this study, or nothing can be written there.
    """
    try:
        import fcntl
    except ImportError:  # no such lock on this system; SQLite still guards the trials themselves
        yield
        return
    try:
        opened = (directory / LOCK).open("a+", encoding="utf-8")
    except OSError as error:
        raise StudyError(
            f"{directory / LOCK} cannot be written ({error.strerror}), and a study writes there; choose another --dir."
        ) from None
    with opened as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StudyError(
                f"{directory} is being run by another process; wait for it, look with `snnlightning study status "
                f"{directory}`, or choose another --dir."
            ) from None
        yield
