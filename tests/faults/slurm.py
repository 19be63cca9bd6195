"""A real SLURM of two nodes on loopback, for a test's own use; a node may be killed with all that runs on it."""

import contextlib
import getpass
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

__all__ = ["Slurm", "has_slurm"]

_CONFIG = """\
ClusterName=loopback
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
AuthType=auth/munge
AuthInfo=socket={home}/munge.socket
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation={home}/state
SlurmdSpoolDir={home}/spool-%n
SlurmctldPidFile={home}/slurmctld.pid
SlurmdPidFile={home}/slurmd-%n.pid
SlurmctldLogFile={home}/slurmctld.log
SlurmdLogFile={home}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
SchedulerType=sched/builtin
SlurmdTimeout=60
KillWait=10
JobRequeue=0
MpiDefault=none
SwitchType=switch/none
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=1
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=1
PartitionName=all Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
"""


def has_slurm() -> bool:
    """Whether the daemons are installed, and this account may run them."""
    return os.geteuid() == 0 and all(shutil.which(name) for name in ("slurmctld", "slurmd", "munged", "sbatch"))


class Slurm:
    """munged, slurmctld and two slurmd, one processor each."""

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="slurm-"))
        self.home.chmod(0o755)
        (self.home / "state").mkdir()
        ports = []
        holders = [socket.socket() for _ in range(3)]
        for holder in holders:
            holder.bind(("127.0.0.1", 0))
            ports.append(holder.getsockname()[1])
        for holder in holders:
            holder.close()
        config = self.home / "slurm.conf"
        config.write_text(_CONFIG.format(host=socket.gethostname().split(".")[0], ports=ports, home=self.home))
        self.environment = {**os.environ, "SLURM_CONF": str(config)}
        key = self.home / "munge.key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o400)
        account = pwd.getpwnam(getpass.getuser())
        os.chown(self.home, account.pw_uid, account.pw_gid)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._start(
            "munged",
            "--foreground",
            "--force",
            f"--key-file={key}",
            f"--socket={self.home}/munge.socket",
            f"--pid-file={self.home}/munged.pid",
            f"--log-file={self.home}/munged.log",
            f"--seed-file={self.home}/munged.seed",
        )
        self._wait((self.home / "munge.socket").exists)
        self._start("slurmctld", "-D", name="slurmctld")
        for node in ("n1", "n2"):
            (self.home / f"spool-{node}").mkdir()
            self._start("slurmd", "-D", "-N", node, name=node)
        self._wait(lambda: self._call("sinfo", "-h", "-o", "%t %D") == "idle 2")

    def kill_node(self, node: str) -> None:
        """As if its power were cut: the daemon, its steps and all that they started."""
        victims = {self._processes[node].pid, *_steps_of(node)}
        for process in sorted(victims | _descendants(victims)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    def node_of(self, process: int) -> str | None:
        """The node that a process runs on."""
        try:
            given = (Path("/proc") / str(process) / "environ").read_bytes().split(b"\0")
        except OSError:
            return None
        return next((item[16:].decode() for item in given if item.startswith(b"SLURMD_NODENAME=")), None) or None

    def jobs(self) -> str:
        """What squeue says."""
        return self._call("squeue", "-h", "-o", "%i %t %N")

    def close(self) -> None:
        """Stop all, and leave nothing behind."""
        self._call("scancel", "-u", getpass.getuser())
        victims = {process.pid for process in self._processes.values()}
        victims |= _steps_of("n1") | _steps_of("n2")
        for process in sorted(victims | _descendants(victims)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        for running in self._processes.values():
            running.wait()
        shutil.rmtree(self.home, ignore_errors=True)

    def _start(self, *command: str, name: str = "munged") -> None:
        log = (self.home / f"{name}.out").open("wb")
        self._processes[name] = subprocess.Popen(
            [shutil.which(command[0]) or command[0], *command[1:]], env=self.environment, stdout=log, stderr=log
        )
        log.close()

    def _call(self, *command: str) -> str:
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60, check=False)
        return done.stdout.strip()

    def _wait(self, condition: object, seconds: float = 60.0) -> None:
        assert callable(condition)
        end = time.monotonic() + seconds
        while not condition():
            logs = "\n".join(path.read_text(errors="replace")[-2000:] for path in self.home.glob("*.out"))
            assert time.monotonic() < end, f"SLURM did not come up:\n{self._call('sinfo')}\n{logs}"
            time.sleep(0.1)


def _steps_of(node: str) -> set[int]:
    """Processes of a node's jobs: they leave slurmd's family."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            given = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if f"SLURMD_NODENAME={node}".encode() in given:
            found.add(int(entry.name))
    return found


def _descendants(roots: set[int]) -> set[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(entry.name))
    found: set[int] = set()
    open_ = list(roots)
    while open_:
        for child in children.get(open_.pop(), []):
            if child not in found:
                found.add(child)
                open_.append(child)
    return found
