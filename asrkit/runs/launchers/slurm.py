"""Runs as jobs of Slurm: submitted by sbatch, queued by Slurm, cancelled by scancel.

The run directory is on a file system that the nodes share. A job that is preempted or reaches its time limit is warned
ahead (SIGTERM, SIGUSR2): the worker saves a checkpoint and ends, and Slurm queues the same job again.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence

from asrkit.config import TrainConfig
from asrkit.errors import ConfigError, RunError
from asrkit.files import write_json
from asrkit.runs import processes
from asrkit.runs.launchers.interface import JOB, JobState, JobStatus, Launcher
from asrkit.runs.launchers.slurm_queue import SlurmQueue, has_slurm, run_command
from asrkit.runs.launchers.submission import status_by_heartbeat, submission
from asrkit.runs.run import Run

SAVE_MARGIN_S = 180
"""How long before the time limit the worker is asked to save. Slurm may signal up to 60 s earlier (sbatch(1))."""

WAITING_STATES = frozenset({"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "RESV_DEL_HOLD"})
ALIVE_STATES = frozenset(
    {"RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT", "RESIZING", "SPECIAL_EXIT"}
)

ENDS = {
    "CANCELLED": "was cancelled in Slurm",
    "TIMEOUT": "was ended at its time limit before the worker had saved",
    "NODE_FAIL": "ended because a node failed",
    "OUT_OF_MEMORY": "was killed because it used more memory than it had asked for (--mem in slurm_options)",
    "PREEMPTED": "was preempted by another job and not queued again",
    "BOOT_FAIL": "could not start because a node did not boot",
    "DEADLINE": "was ended at its deadline",
}
"""How a job ended, by Slurm's state (squeue(1), job state codes). Of FAILED and COMPLETED the log tells more."""

SCRIPT = """\
#!/bin/bash
# The job of an asrkit run. Ahead of the time limit Slurm sends SIGUSR2 to this script alone, which passes it on as a
# flag; on preemption it sends SIGTERM to all processes, and queues the job again itself.
run={run}
export {variable}="slurm:$SLURM_JOB_ID" SRUN_CPUS_PER_TASK="${{SLURM_CPUS_PER_TASK:-}}"
[ -n "$SRUN_CPUS_PER_TASK" ] || unset SRUN_CPUS_PER_TASK
trap : TERM
trap 'is_over=1; touch "$run/control/preempt"' USR2
{command} &
worker=$!
while wait "$worker"; code=$?; kill -0 "$worker" 2>/dev/null; do :; done
if [ -n "${{is_over:-}}" ] && tail -n 1 "$run/events.jsonl" | grep -q '"phase": "preempted"'; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
"""

NODES_COMMAND = """\
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
export PET_NNODES="$SLURM_JOB_NUM_NODES" PET_MASTER_PORT=$((15000 + SLURM_JOB_ID % 15000))
PET_MASTER_ADDR=$(scontrol show node "$head" --oneliner | sed -n 's/.* NodeAddr=\\([^ ]*\\).*/\\1/p')
export PET_MASTER_ADDR
srun --kill-on-bad-exit=1 --ntasks="$SLURM_JOB_NUM_NODES" --ntasks-per-node=1 \\
    bash -c 'PET_NODE_RANK=$SLURM_NODEID exec "$@"' torchrun {command}"""
"""torchrun reads its flags from variables that begin with PET_, here those that Slurm knows."""


class SlurmLauncher(Launcher):
    """Submits a run as a batch job. Slurm is asked for its state, and, where it cannot be, the heartbeat."""

    name, has_queue = "slurm", True

    def __init__(self) -> None:
        self._queue = SlurmQueue()

    def check(self, config: TrainConfig) -> None:
        if not has_slurm():
            raise RunError(
                "The launcher slurm needs the command sbatch, which this machine does not have; open asrkit on a login "
                "node of the cluster, or set Launcher (launcher) to local."
            )
        if config.device not in ("auto", "cpu"):
            raise ConfigError(
                f"Device (device) is {config.device!r}, and Slurm assigns the GPUs of its jobs; set it to auto or cpu."
            )
        if config.nodes > 1 and config.layerdrop:
            raise ConfigError("Layer drop (layerdrop) works with one process only; set it to 0 or Nodes (nodes) to 1.")
        try:
            shlex.split(config.slurm_options)
        except ValueError as error:
            raise ConfigError(
                f"Further Slurm options (slurm_options) cannot be read ({error}); write them as for a shell."
            ) from error

    def submit(self, run: Run, assigned: Sequence[str]) -> None:
        with submission(run, self.name):
            answer = run_command(
                *sbatch_command(run),
                text=make_script(run),
                environment=_make_environment(run),
                action="take the run",
            )
            write_json(run.job_path, {"id": answer.strip().partition(";")[0]})
        self._queue.expire()

    def status(self, run: Run) -> JobStatus:
        job_id = run.job_id()
        if job_id is None:
            return status_by_heartbeat(run, "Being submitted to Slurm")
        try:
            job = self._queue.find(job_id)
        except RunError as error:
            return status_by_heartbeat(run, f"Slurm job {job_id}. {error}")
        if job is None:
            return JobStatus(JobState.GONE)
        if job.state in WAITING_STATES:
            text = job.describe_wait(self._queue.position(job))
            lost = self._describe_lost_nodes(run)
            return JobStatus(JobState.WAITING, f"{text}. It runs again because {lost}" if lost else text)
        if job.state in ALIVE_STATES:
            return JobStatus(JobState.ALIVE, f"Slurm job {job_id} on {job.nodes}")
        return JobStatus(JobState.GONE)

    def stop(self, run: Run) -> None:
        job_id = run.job_id()
        if job_id is None:
            return
        self._queue.expire()
        if self.status(run).state is not JobState.GONE:
            run_command("scancel", job_id, action="cancel the run")
            self._queue.expire()

    def cost(self, run: Run) -> str:
        last, config = run.last_events(size=4096), run.config()
        hours = (last[-1].elapsed_s or 0.0) / 3600 * config.nodes if last else 0.0
        if not hours:
            return ""
        return f"{hours:.1f} node hours" if config.device == "cpu" else f"{hours * config.processes:.1f} GPU hours"

    def explain_end(self, run: Run) -> str:
        job_id = run.job_id()
        if job_id is None:
            return ""
        lost = self._describe_lost_nodes(run)
        try:
            job = self._queue.find(job_id)
        except RunError:
            job = None
        end = ENDS.get(job.state, "") if job else ""
        if not end and lost:
            end = ENDS["NODE_FAIL"]
        return f"Slurm job {job_id} {end}{f': {lost}' if lost else ''}." if end else ""

    def _describe_lost_nodes(self, run: Run) -> str:
        """Return which nodes of the last worker are down; empty if none is."""
        return self._queue.describe_lost_nodes((run.process() or {}).get("nodes", ""))


def sbatch_command(run: Run) -> list[str]:
    """Return the command that submits the run's script from its standard input."""
    config = run.config()
    flags = {
        "job-name": f"asrkit-{run.id}",
        "output": str(run.log_path.resolve()),
        "open-mode": "append",
        "export": "ALL",
        "nodes": str(config.nodes),
        "ntasks-per-node": "1",
        "gpus-per-node": "" if config.device == "cpu" else str(config.processes),
        "partition": config.slurm_partition,
        "account": config.slurm_account,
        "time": config.slurm_time,
        "signal": f"B:USR2@{SAVE_MARGIN_S}",
    }
    given = [f"--{name}={value}" for name, value in flags.items() if value]
    return ["sbatch", "--parsable", "--requeue", *given, *shlex.split(config.slurm_options)]


def make_script(run: Run) -> str:
    """Return the batch script: the worker alone, or torchrun on each node."""
    if run.config().nodes > 1:
        command = NODES_COMMAND.format(command=shlex.join(processes.worker_command(run, [])))
    else:
        command = shlex.join(processes.job_command(run))
    return SCRIPT.format(run=shlex.quote(str(run.path.resolve())), variable=JOB, command=command)


def _make_environment(run: Run) -> dict[str, str]:
    """Return the environment of the job. The app may run in a job itself, whose variables are not for this one."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name in ("SLURM_CONF", "SLURM_CLUSTERS") or not name.startswith(("SLURM_", "PET_"))
    }
    return processes.job_environment(run, inherited)


def current_job_nodes() -> str:
    """Return the nodes of the job that this process belongs to, in Slurm's notation; empty outside one."""
    return os.environ.get("SLURM_JOB_NODELIST", "")
