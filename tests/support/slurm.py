"""A Slurm cluster of two node daemons on this machine, with munge, on the loopback; skipped where it cannot run."""

from __future__ import annotations

import contextlib
import getpass
import os
import random
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ports import find_free_port
from tests.support.waiting import wait_for

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin"
START_LIMIT_S = 60.0

CONFIGURATION = """\
ClusterName=asrkit-test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
FirstJobId={first_job}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CryptoType=crypto/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_interval=1,batch_sched_delay=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
ReturnToService=2
SlurmdTimeout=5
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
{nodes}
PartitionName=low Nodes=n0,n1 Default=YES MaxTime=60 PriorityTier=1 PreemptMode=REQUEUE
PartitionName=high Nodes=n0,n1 MaxTime=60 PriorityTier=10 PreemptMode=OFF
"""


class SlurmCluster:
    """Nodes n0 and n1; jobs of the partition `high` preempt those of `low`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.configuration = folder, folder / "slurm.conf"
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        folder, host = self.folder, socket.gethostname()
        (folder / "state").mkdir()
        first_job = random.SystemRandom().randint(1, 10_000)  # torchrun's port follows from it
        nodes = "\n".join(
            f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={find_free_port()} CPUs=1 RealMemory=1000"
            for name in ("n0", "n1")
        )
        values = {"folder": folder, "host": host, "user": getpass.getuser(), "nodes": nodes, "first_job": first_job}
        self.configuration.write_text(CONFIGURATION.format(port=find_free_port(), **values))
        (folder / "munge.key").write_bytes(os.urandom(1024))
        (folder / "munge.key").chmod(0o600)
        names = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
        munge = [f"--{flag}={folder}/munge.{name}" for flag, name in names.items()]
        self._run("munged", "munged", "--foreground", "--force", *munge)
        wait_for((folder / "munge.socket").exists, "munged", START_LIMIT_S)
        self._run("slurmctld", "slurmctld", "-D", "-i", "-f", str(self.configuration))
        for name in ("n0", "n1"):
            self._run(name, "slurmd", "-D", "-N", name, "-f", str(self.configuration))

    def _run(self, name: str, program: str, *flags: str) -> None:
        command = [shutil.which(program, path=PATH) or program, *flags]
        with open(self.folder / f"{name}.out", "wb") as output:
            self._daemons[name] = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)

    def is_ready(self) -> bool:
        return self.call("sinfo", "-h", "-N", "-o", "%T", check=False).split()[:2] == ["idle", "idle"]

    def call(self, *command: str, check: bool = True) -> str:
        environment = os.environ | {"SLURM_CONF": str(self.configuration)}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
        assert not check or done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout

    def logs(self) -> str:
        return "\n".join(path.read_text(errors="replace")[-3000:] for path in sorted(self.folder.glob("*.out")))

    def stop(self) -> None:
        """Cancel all jobs, wait until they are gone, and end the daemons."""
        self.call("scancel", "--me", check=False)
        deadline = time.monotonic() + 40
        while self.call("squeue", "-h", "--me", check=False).strip() and time.monotonic() < deadline:
            time.sleep(0.1)
        for daemon in reversed(self._daemons.values()):
            daemon.terminate()
        for daemon in self._daemons.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                daemon.wait(20)
            daemon.kill()
            daemon.wait()


@contextlib.contextmanager
def run_cluster() -> Iterator[SlurmCluster]:
    """Start a cluster for the block. The test is skipped, with the reason, where its daemons may not run."""
    missing = [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]
    if missing:
        pytest.skip(f"SLURM IS NOT TESTED: {', '.join(missing)} missing (apt-get install slurm-wlm munge)")
    folder = Path(tempfile.mkdtemp(prefix="asrkit-slurm-", dir="/tmp"))  # paths of sockets must be short
    cluster = SlurmCluster(folder)
    try:
        cluster.start()
        try:
            wait_for(cluster.is_ready, "two idle nodes", START_LIMIT_S)
        except AssertionError:
            pytest.skip(f"SLURM IS NOT TESTED: its daemons do not run here.\n{cluster.logs()}")
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)
