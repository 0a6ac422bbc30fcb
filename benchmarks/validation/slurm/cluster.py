"""A Slurm of one's own: a controller and two nodes on this machine, in a folder, gone afterwards.

Needs Debian's `slurm-wlm` and `munge` (24.11), or others' munged, slurmctld, slurmd and the commands, and to be root,
as which munge and Slurm are started here. The system's own Slurm and munge, where there are any, are not touched: every
daemon has its folder, socket and port, and every command is told by SLURM_CONF which one is meant. Without cgroups,
which containers seldom have, processes of a job are known by their parents, and memory is not enforced.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

NEEDED = ("munged", "munge", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "scancel", "sinfo")
NODES = ("n1", "n2")
# Which jobs are sent away for which: PriorityTier. `short` has a limit that some job exceeds.
PARTITIONS = {
    "work": "Default=YES PriorityTier=1 MaxTime=INFINITE",
    "urgent": "PriorityTier=10 MaxTime=INFINITE",
    "short": "PriorityTier=1 MaxTime=2",
}
CONFIGURATION = """
ClusterName=isotune
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=10
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdSpoolDir={folder}/%n
SlurmdPidFile={folder}/%n.pid
SlurmdLogFile={folder}/%n.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerNode=1000
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SchedulerParameters=sched_interval=2,bf_interval=2
KillWait=10
EnforcePartLimits=NO
ReturnToService=2
"""


class Cluster:
    """A context in which it runs. environment: what its commands, and those that use them, are to be started with.

    under: the beginning of the command under which a node's daemon runs, by the node's name.
    """

    def __init__(self, folder: Path, under: Mapping[str, Sequence[str]] | None = None) -> None:
        self.folder, self._under = folder, dict(under or {})
        self.environment = os.environ | {"SLURM_CONF": str(folder / "slurm.conf")}
        self._daemons: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Cluster:
        if lacking := [name for name in NEEDED if shutil.which(name) is None]:
            raise SystemExit(f"there is no {', '.join(lacking)}; Debian has them: apt-get install slurm-wlm munge")
        if os.geteuid():
            raise SystemExit("munge and Slurm are started as root here: run it as root, in a container for example")
        (self.folder / "state").mkdir()
        self._configure()
        try:
            self._start_munge()
            self._start("slurmctld", "-D")
            for node in NODES:
                self.start_node(node)
            self._wait()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def ask(self, *command: str, check: bool = True) -> str:
        """What one of Slurm's commands says."""
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False, timeout=60)
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
        return done.stdout + done.stderr

    def jobs(self) -> dict[str, tuple[str, str]]:
        """State and node of every job that is not over, by its number."""
        said = self.ask("squeue", "--noheader", "--array", "--format=%i|%T|%N")
        rows = (line.split("|") for line in said.split())
        return {job: (state, node) for job, state, node in rows}

    def start_node(self, name: str) -> None:
        """Under the command that is said for it, if one is."""
        (self.folder / name).mkdir(exist_ok=True)
        self._start(*self._under.get(name, ()), "slurmd", "-D", "-N", name)

    def _configure(self) -> None:
        host, total = socket.gethostname(), os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20
        lines = [CONFIGURATION.format(host=host, controller=_free_port(), folder=self.folder)]
        for name in NODES:
            lines.append(
                f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={_free_port()} CPUs=1"
                f" RealMemory={total // 2} State=UNKNOWN"
            )
        lines += [f"PartitionName={name} Nodes={','.join(NODES)} State=UP {more}" for name, more in PARTITIONS.items()]
        (self.folder / "slurm.conf").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (self.folder / "cgroup.conf").write_text("CgroupPlugin=disabled\n", encoding="utf-8")

    def _start_munge(self) -> None:
        key = self.folder / "munge.key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o600)
        files = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
        options = [f"--{option}={self.folder / f'munge.{name}'}" for option, name in files.items()]
        self._start("munged", "--foreground", "--force", *options)
        self._until((self.folder / "munge.socket").exists, "munged gives no socket")

    def _start(self, *command: str) -> None:
        said = (self.folder / f"{len(self._daemons)}.said").open("wb")
        self._daemons.append(
            subprocess.Popen(
                command,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        )

    def _wait(self) -> None:
        def idle() -> bool:
            said = self.ask("sinfo", "--noheader", "--Node", "--partition=work", "--format=%N|%T", check=False)
            return {line.strip() for line in said.splitlines()} == {f"{node}|idle" for node in NODES}

        self._until(idle, "the nodes are not idle")

    def _until(self, holds: Callable[[], bool], otherwise: str, seconds: float = 60) -> None:
        ends = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > ends:
                said = "".join(path.read_text(errors="replace")[-1500:] for path in sorted(self.folder.glob("*.said")))
                raise RuntimeError(f"{otherwise}: {said}")
            time.sleep(0.2)

    def _stop(self) -> None:
        for daemon in reversed(self._daemons):
            daemon.terminate()
        for daemon in self._daemons:
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def version() -> str:
    """Of Slurm; its other commands ask for a configuration first."""
    return subprocess.run(["slurmctld", "-V"], capture_output=True, text=True, check=True).stdout.split()[-1]
