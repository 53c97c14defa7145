"""What Slurm says about jobs and nodes, through its commands squeue and sinfo."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from typing import NamedTuple

from asrkit.errors import RunError

REUSE_S = 2.0
"""Pages ask every second; Slurm's controller serves the whole cluster."""

LIMIT_S = 20.0
"""How long a command may take. A controller that is busy or restarts may answer late."""

_FORMAT = "%i|%T|%r|%S|%N|%P"
_NO_TIME = ("N/A", "Unknown", "")
_LOST_STATES = ("down", "fail", "error", "unknown", "*")
"""Parts of the states of nodes that cannot run anything; `*` marks one that does not answer (sinfo(1))."""

REASONS = {
    "Resources": "it waits until nodes are free",
    "Priority": "jobs with a higher priority are ahead of it",
    "BeginTime": "Slurm waits a moment before it starts a job again",
    "Cleaning": "its previous start is being cleaned up",
    "Dependency": "it waits for another job",
    "JobHeldUser": "it is held until `scontrol release`",
    "JobHeldAdmin": "an administrator holds it",
    "NodeDown": "a node that it needs is down",
    "ReqNodeNotAvail": "a node that it needs is not available",
    "PartitionDown": "the partition is down",
    "PartitionInactive": "the partition is closed",
    "PartitionNodeLimit": "it asks for more nodes than the partition allows",
    "PartitionTimeLimit": "it asks for more time than the partition allows",
    "PartitionConfig": "it asks for something that the partition does not have",
    "BadConstraints": "it asks for something that no node has",
}
"""Why a job waits, in words, by Slurm's name (squeue(1), job reason codes). All of Assoc… and QOS… are limits."""


class SlurmJob(NamedTuple):
    """A job. starts_at: the expected start as Slurm writes it, by the cluster's clock; empty if it is unknown."""

    id: str
    state: str
    reason: str
    starts_at: str
    nodes: str
    partition: str

    def describe_wait(self, position: int | None) -> str:
        """Return why the job waits. position: in its partition, 1 for the next."""
        place = f", number {position} in partition {self.partition}" if position else ""
        known = self.reason.partition(",")[0].lstrip("(").rstrip(")")
        limit = "a limit of the account or QOS is reached" if known.startswith(("Assoc", "QOS", "MaxJobs")) else ""
        reason = REASONS.get(known, limit)
        cause = f": {reason} ({known})" if reason else f" ({known})" if known not in ("None", "") else ""
        start = f", start expected {self.starts_at.replace('T', ' ')}" if self.starts_at else ""
        return f"Queued in Slurm as job {self.id}{place}{cause}{start}"


class SlurmQueue:
    """The jobs of this user, as squeue listed them less than REUSE_S ago."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: dict[str, SlurmJob] = {}
        self._listed_s = float("-inf")
        self._waiting: list[str] = []
        self._error = ""
        self._lost_nodes: dict[str, str] = {}

    def find(self, job_id: str) -> SlurmJob | None:
        """Return a job; None once Slurm has forgotten it. RunError if Slurm does not answer."""
        with self._lock:
            if time.monotonic() - self._listed_s > REUSE_S:
                self._list()
            if self._error:
                raise RunError(self._error)
            return self._jobs.get(job_id)

    def position(self, job: SlurmJob) -> int | None:
        """Return the position of a waiting job in its partition by priority, 1 for the next; None if it is unknown."""
        with self._lock:
            return self._waiting.index(job.id) + 1 if job.id in self._waiting else None

    def describe_lost_nodes(self, nodes: str) -> str:
        """Return which of these nodes (a list in Slurm's notation) are down: `node n1 is down (Not responding)`.

        Empty if none is, or Slurm does not answer.
        """
        with self._lock:
            if nodes and nodes not in self._lost_nodes:
                self._lost_nodes[nodes] = parse_lost_nodes(_list_nodes(nodes))
            return self._lost_nodes.get(nodes, "")

    def expire(self) -> None:
        """Ask Slurm again the next time: a job was submitted or cancelled."""
        with self._lock:
            self._listed_s = float("-inf")

    def _list(self) -> None:
        self._lost_nodes.clear()
        try:
            text = run_command("squeue", "--noheader", "--me", "--states=all", f"--format={_FORMAT}")
            self._jobs, self._error = parse_jobs(text), ""
            partitions = {job.partition for job in self._jobs.values() if job.state == "PENDING"}
            self._waiting = list_waiting(partitions) if partitions else []
        except RunError as error:
            self._error = str(error)
        self._listed_s = time.monotonic()


def parse_jobs(text: str) -> dict[str, SlurmJob]:
    """Parse squeue's lines in `_FORMAT`."""
    rows = (line.strip().split("|") for line in text.splitlines())
    jobs = [SlurmJob(*row) for row in rows if len(row) == len(SlurmJob._fields)]
    return {job.id: job._replace(starts_at="" if job.starts_at in _NO_TIME else job.starts_at) for job in jobs}


def list_waiting(partitions: set[str]) -> list[str]:
    """List the ids of all jobs that wait in these partitions, the highest priority first."""
    names = ",".join(sorted(partitions))
    return run_command("squeue", "-h", "--states=PENDING", f"--partition={names}", "--sort=-p,i", "-o", "%i").split()


def _list_nodes(nodes: str) -> str:
    try:
        return run_command("sinfo", "--noheader", "--Node", f"--nodes={nodes}", "--format=%N|%T|%E")
    except RunError:  # shown where the state of the job is asked for
        return ""


def parse_lost_nodes(text: str) -> str:
    """Parse sinfo's lines of name, state and reason; return which nodes are down, and why."""
    lost = {}
    for name, state, reason in (line.split("|", 2) for line in text.splitlines() if line.count("|") >= 2):
        if any(part in state for part in _LOST_STATES):
            why = f" ({reason.strip()})" if reason.strip() not in ("none", "") else ""
            lost[name] = f"node {name} is {state.rstrip('*')}{why}"
    return " and ".join(lost.values())


def has_slurm() -> bool:
    """Whether this machine has Slurm's commands."""
    return shutil.which("sbatch") is not None


def run_command(
    *command: str, text: str | None = None, environment: dict[str, str] | None = None, action: str = "answer"
) -> str:
    """Run a command of Slurm and return its output. RunError with Slurm's own words, and what it did not do."""
    try:
        done = subprocess.run(
            command, input=text, capture_output=True, text=True, timeout=LIMIT_S, env=environment or dict(os.environ)
        )
    except FileNotFoundError:
        raise RunError(f"This machine has no {command[0]}; use it on a login node of the Slurm cluster.") from None
    except subprocess.TimeoutExpired:
        raise RunError(f"Slurm did not {action} within {LIMIT_S:.0f} s ({command[0]}); try again later.") from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        said = (lines[-1] if lines else f"exit code {done.returncode}").removeprefix(f"{command[0]}: error: ")
        raise RunError(f"Slurm did not {action} ({command[0]}): {said.rstrip('.')}.")
    return done.stdout
