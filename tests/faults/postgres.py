"""A real PostgreSQL on loopback, for a test's own use: started, stopped, killed."""

import getpass
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

__all__ = ["Postgres", "binaries"]


def binaries() -> Path | None:
    """The folder that holds initdb and postgres."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).parent if on_path else None


class Postgres:
    """A server with a password, one database and a free port."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder
        self.home = Path(tempfile.mkdtemp(prefix="postgres-"))
        self.password = secrets.token_hex(8)
        # The server refuses to run as root.
        self.user = "postgres" if os.geteuid() == 0 else getpass.getuser()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        secret = self.home / "password"
        secret.write_text(self.password)
        if os.geteuid() == 0:
            account = pwd.getpwnam("postgres")
            for path in (self.home, secret):
                os.chown(path, account.pw_uid, account.pw_gid)
        self._as_user(
            ["initdb", "-D", self._data, "-U", "study", "-A", "scram-sha-256", f"--pwfile={secret}", "--no-sync"]
        )
        self.start()

    @property
    def url(self) -> str:
        """With the password."""
        return self.url_with(self.password)

    def url_with(self, password: str, database: str = "postgres") -> str:
        """With another password, or of another database."""
        return f"postgresql://study:{password}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start, and wait until it answers."""
        options = f"-c listen_addresses=127.0.0.1 -p {self.port} -k {self.home} -c fsync=off -c max_connections=50"
        self._as_user(["pg_ctl", "-D", self._data, "-w", "-l", str(self.home / "log"), "-o", options, "start"])

    def stop(self) -> None:
        """Stop at once, as a machine that is switched off."""
        self._as_user(["pg_ctl", "-D", self._data, "-w", "-m", "immediate", "stop"])

    def close(self) -> None:
        """Stop, and leave nothing behind."""
        if (self.home / "data" / "postmaster.pid").exists():
            self.stop()
        shutil.rmtree(self.home)

    @property
    def _data(self) -> str:
        return str(self.home / "data")

    def _as_user(self, command: Sequence[str]) -> None:
        line = [str(self.bin / command[0]), *command[1:]]
        if os.geteuid() == 0:
            line = ["setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--init-groups", *line]
        done = subprocess.run(line, capture_output=True, text=True, cwd=self.home, timeout=120, check=False)
        assert done.returncode == 0, f"{line}:\n{done.stdout}\n{done.stderr}"


def wait_for_port(port: int, seconds: float = 30.0) -> None:
    """Until something listens."""
    end = time.monotonic() + seconds
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert time.monotonic() < end, f"nothing listens on {port}"
        time.sleep(0.05)
