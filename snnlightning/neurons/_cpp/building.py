"""A shared library of the C++ loops: built at first use, kept on disk, loaded with ctypes.

The file's name says source, compiler, options and processor, so that a folder may be shared by machines, and nothing stale is
ever loaded. It appears under its name when it is complete; of several processes one builds and the others wait.
"""

import contextlib
import ctypes
import functools
import hashlib
import importlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from ...errors import SnnLightningError

__all__ = ["BuildError", "folder", "in_use", "kept", "library", "reason"]

logger = logging.getLogger("snnlightning.cpp")

_COMMON = ["-std=c++17", "-O3", "-march=native", "-fPIC", "-fno-math-errno"]
_PARTS = {
    1: ["-ffp-contract=off"],
    2: ["-ffp-contract=fast", "-fno-signed-zeros", "-fno-trapping-math", "-fassociative-math"],
}
"""Part 1 rounds as written, like the reference; part 2 may reorder sums. No option drops NaN or infinity."""


class BuildError(SnnLightningError, RuntimeError):
    """There is no library, for the reason that the message gives."""


def folder() -> Path | None:
    """Where libraries are kept: ``$SNNLIGHTNING_CACHE_DIR``, or the user's cache folder; None for a user without a home."""
    own = os.environ.get("SNNLIGHTNING_CACHE_DIR")
    if own:
        return Path(own)
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()) / "snnlightning"
    except RuntimeError:
        return None


def reason() -> str | None:
    """None when the library is there or could be built, or the sentence why not. Asked first, it builds."""
    try:
        library()
    except BuildError as error:
        return str(error)
    return None


_loaded: set[str] = set()


def in_use() -> bool:
    """Whether this process has the library at work already."""
    return bool(_loaded)


def kept() -> bool:
    """Whether the library is on disk, so that loading it is all there is to do: a hundredth of a second."""
    where = folder()
    try:
        return where is not None and (where / _name(_compiler())).exists()
    except (BuildError, OSError):  # also a folder that nobody may look into
        return False


@functools.cache
def _outcome(where: Path | None) -> ctypes.CDLL | BuildError:
    try:
        return _library(where)
    except BuildError as error:
        return error


def library() -> ctypes.CDLL:
    """The loops, loaded; built when they are not there yet.

    Raises:
        BuildError: no compiler, or one that fails.
    """
    found = _outcome(folder())
    if isinstance(found, BuildError):
        raise found
    return found


def _library(where: Path | None) -> ctypes.CDLL:
    compiler = _compiler()
    source, name = _source(), _name(compiler)
    try:
        if where is None:
            raise FileNotFoundError("this user has no home folder")
        if (where / name).exists():  # complete, and perhaps in a folder that nobody may write to
            with contextlib.suppress(OSError):
                return _load(where / name)
        where.mkdir(parents=True, exist_ok=True)
        with _one_process_at_a_time(where):
            if not (where / name).exists():
                _build(compiler, source, where, name)
        return _load(where / name)
    except OSError as error:
        # No place for a cache, or a library that a crash cut short: one for this process only.
        logger.info("the C++ loops are not kept on disk (%s); set SNNLIGHTNING_CACHE_DIR to a folder.", error)
    with tempfile.TemporaryDirectory() as private:
        _build(compiler, source, Path(private), name)
        try:
            return _load(Path(private) / name)
        except OSError as error:
            raise BuildError(f"the library of the C++ loops does not load ({error})") from None


def _name(compiler: str) -> str:
    told = [
        _source(),
        " ".join([*_COMMON, *(" ".join(part) for part in _PARTS.values())]),
        _version(compiler),
        _processor(),
    ]
    return f"loops-{hashlib.sha256(chr(0).join(told).encode()).hexdigest()[:20]}.so"


def _load(file: Path) -> ctypes.CDLL:
    loaded = ctypes.CDLL(str(file))
    _loaded.add(file.name)
    return loaded


def _source() -> str:
    """The loops, and the surrogates that say themselves in C++."""
    loops = Path(__file__).with_name("loops.cpp").read_text(encoding="utf-8")
    package = __name__.split(".", maxsplit=1)[0]
    surrogates = Path(__file__).parents[2] / "surrogates"
    bodies = []
    for file in sorted(surrogates.glob("*__cpp.py")):
        module = importlib.import_module(f"{package}.surrogates.{file.stem}")
        bodies.append(f"SURROGATE({file.stem.removesuffix('__cpp')}, {module.derivative})")
    return "\n".join([loops, "#if PART == 1", *bodies, "#endif", ""])


def _compiler() -> str:
    given = os.environ.get("CXX")
    for name in (given,) if given else ("c++", "g++", "clang++"):
        if (found := shutil.which(name)) is not None:
            return found
    raise BuildError(f"there is no C++ compiler ({f'CXX={given}' if given else 'c++, g++ or clang++'})")


def _version(compiler: str) -> str:
    try:
        return subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True, timeout=60).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise BuildError(f"the C++ compiler {compiler} does not run ({error})") from None


def _processor() -> str:
    """What ``-march=native`` depends on."""
    with contextlib.suppress(OSError):
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        return "".join(
            sorted({line for line in text.splitlines() if line.startswith(("flags", "Features", "model name"))})
        )
    return f"{platform.machine()} {platform.processor()} {platform.node()}"


def _build(compiler: str, source: str, where: Path, name: str) -> None:
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(dir=where) as scratch:
        text, made = Path(scratch) / "loops.cpp", Path(scratch) / name
        text.write_text(source, encoding="utf-8")
        running = []
        for part, options in _PARTS.items():
            command = [compiler, *_COMMON, *options, f"-DPART={part}", "-c", str(text), "-o", f"{scratch}/{part}.o"]
            running.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
        errors = [process.communicate()[1] for process in running]
        for process, error in zip(running, errors, strict=True):
            if process.returncode:
                raise BuildError(f"the C++ compiler {compiler} fails: {error.strip()[-300:]}")
        link = [compiler, "-shared", *(f"{scratch}/{part}.o" for part in _PARTS), "-o", str(made)]
        done = subprocess.run(link, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BuildError(f"the C++ compiler {compiler} does not link: {done.stderr.strip()[-300:]}")
        made.replace(where / name)
    logger.info("built the C++ loops in %.1f s, once; kept in %s.", time.perf_counter() - start, where)


@contextlib.contextmanager
def _one_process_at_a_time(where: Path) -> Iterator[None]:
    """A lock file in the cache; where there is no locking, several processes may build the same thing."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    with (where / "loops.lock").open("a") as lock:
        with contextlib.suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
