"""Runs on a real Slurm: two node daemons on this machine."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator

import psutil
import pytest

from asrkit.runs import lifecycle, queue, supervisor, view
from asrkit.runs.run import Run
from tests.support.runs import assert_same_ending, train_undisturbed, wait_for_step
from tests.support.slurm import SlurmCluster, run_cluster
from tests.support.waiting import wait_for

STEPS = {"max_steps": 40, "num_epochs": 20, "eval_steps": 20, "device": "cpu", "train_batch_size": 4}


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlurmCluster]:
    with run_cluster() as started:
        monkeypatch.setenv("SLURM_CONF", str(started.configuration))
        yield started


def list_ranks(run: Run) -> list[psutil.Process]:
    """The training processes of a run, on all nodes."""
    ranks = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess):
            command = process.cmdline()
            if command[-1:] == [str(run.path.resolve())] and "torch.distributed.run" not in command:
                ranks.append(process)
    return ranks


def describe_wait(run: Run) -> str:
    is_queued = lifecycle.get_status(run) == lifecycle.QUEUED
    return queue.get_queue_status(run, [], []).launcher_text if is_queued else ""


def wait_for_status(run: Run, *statuses: str) -> None:
    wait_for(lambda: lifecycle.get_status(run) in statuses, f"{run.id} to be one of {statuses}")


def test_preempted_run_on_two_nodes_ends_as_an_undisturbed_one(store, settings, speech, base, cluster, tmp_path):
    run = supervisor.start(store, settings(**STEPS, launcher="slurm", nodes=2), "wide")
    wait_for_status(run, lifecycle.STARTING)

    queued = supervisor.start(store, settings(**STEPS, launcher="slurm", slurm_partition="low"), "queued")
    text = wait_for(lambda: "Resources" in describe_wait(queued) and describe_wait(queued), "the reason of the wait")
    assert f"Queued in Slurm as job {queued.job_id()}, number 1 in partition low: it waits until nodes are free" in text
    supervisor.stop(queued)
    assert lifecycle.get_status(queued) == lifecycle.STOPPED
    assert cluster.call("squeue", "-h", "--states=all", f"--jobs={queued.job_id()}", "-o", "%T") == "CANCELLED\n"

    wait_for_step(run, 2)
    for rank in (ranks := list_ranks(run)):
        rank.send_signal(signal.SIGSTOP)  # Slurm continues it before it asks it to end
    assert len(ranks) == 2
    cluster.call("sbatch", "--partition=high", "--nodes=2", "--output=/dev/null", "--wrap=sleep 1")
    wait_for_status(run, lifecycle.QUEUED)
    last = run.last_events()[-1]
    assert last.data["phase"] == "preempted" and run.checkpoints()[-1].name == f"checkpoint-{view.load_view(run).step}"

    wait_for_status(run, lifecycle.FINISHED, lifecycle.FAILED, lifecycle.CRASHED)
    assert lifecycle.get_status(run) == lifecycle.FINISHED, run.log_tail()
    alone = train_undisturbed(tmp_path / "alone", speech, base, **STEPS, gradient_accumulation_steps=2)
    assert_same_ending(run, alone)
    assert [finding["code"] for finding in view.load_view(run).findings if finding["code"] == "worker-lost"] == []
