"""A run on two machines with a poor network between them: two network namespaces of this machine, over gloo."""

from __future__ import annotations

import contextlib
import sys
import time

import pytest

from asrkit.runs import lifecycle, view
from asrkit.runs.run import Run
from tests.support.namespaces import (
    ADDRESSES,
    TwoMachines,
    kill_worker_of,
    shift_clock,
    two_machines,
    why_impossible,
)
from tests.support.ports import find_free_port
from tests.support.runs import assert_same_ending, train_undisturbed
from tests.support.waiting import wait_for

SETTINGS = {"train_batch_size": 4, "augmentation": "light"}
DROP_S = 10.0
CLOCK_OFFSET_S = -600.0
"""Of the second machine: more than any machine may be silent."""
NAMESPACES_MISSING = why_impossible()

pytestmark = pytest.mark.skipif(bool(NAMESPACES_MISSING), reason=NAMESPACES_MISSING)


@contextlib.contextmanager
def both(machines: TwoMachines, run: Run, **environment: str):
    """A torchrun on each machine, whose clocks are minutes apart, once the run has begun to train."""
    port = find_free_port()
    processes = [
        machines.start(
            rank,
            [
                *(sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1"),
                *(f"--master-addr={ADDRESSES[0]}", f"--master-port={port}", f"--node-rank={rank}"),
                *("-m", "asrkit.training.worker", str(run.path)),
            ],
            {
                **{"GLOO_SOCKET_IFNAME": f"asr{rank}", "OMP_NUM_THREADS": "1"},
                **(shift_clock(CLOCK_OFFSET_S) if rank else {}),
                **environment,
            },
        )
        for rank in (0, 1)
    ]
    try:
        wait_for(lambda: view.load_view(run).step >= 3 or any(each.poll() is not None for each in processes), "step 3")
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def wait_for_both(processes) -> list[str]:
    """Wait for the end of both, which comes by itself, and return their output."""
    return [process.communicate(timeout=120)[0] for process in processes]


def test_slow_link_that_drops_changes_no_result_and_is_named(store, speech, base, settings, tmp_path):
    """The link is cut for ten seconds; the losses are those of one process, and the run says what slows it down.

    The clocks of the machines differ by minutes, which nobody notices.
    """
    alone = train_undisturbed(tmp_path, speech, base, **SETTINGS, gradient_accumulation_steps=2)
    run = store.create(settings(**SETTINGS, processes=2, logging_steps=1), "slow")
    with two_machines("2mbit") as machines, both(machines, run) as processes:
        machines.set_link(False)
        stopped_at = view.load_view(run).step
        time.sleep(DROP_S)
        assert view.load_view(run).step <= stopped_at + 2, "without the link there is no update"
        machines.set_link(True)
        output = wait_for_both(processes)
    assert lifecycle.get_status(run) == lifecycle.FINISHED, output
    assert_same_ending(run, alone)
    shown = view.load_view(run)
    (found,) = [finding for finding in shown.findings if finding["code"] == "slow-link"]
    assert "of gradients an update" in found["cause"] and "gradient_accumulation_steps" in found["remedy"]
    assert shown.started["exchange_s"] > 0


def test_machine_that_stays_away_ends_the_run_with_a_sentence(store, settings):
    """Both sides end by themselves, and the run can be resumed."""
    run = store.create(settings(**SETTINGS, processes=2, max_steps=5000, num_epochs=5000), "cut")
    with two_machines("100mbit") as machines, both(machines, run, ASRKIT_LINK_TIMEOUT="3") as processes:
        machines.set_link(False)
        output = wait_for_both(processes)
    wait_for(lambda: lifecycle.get_status(run) == lifecycle.FAILED, "the end of the run")
    end = view.load_view(run).end.data
    assert end["error"] == "machine-lost", (end, output)
    assert "has not answered for 3 s" in end["message"] and "Resume the run" in end["remedy"]
    assert all(process.returncode for process in processes)


def test_lost_process_of_the_other_machine_ends_the_run_with_a_sentence(store, settings):
    """Its machine lives on: the run ends at once, and not when a machine would have been silent for too long."""
    run = store.create(settings(**SETTINGS, processes=2, max_steps=5000, num_epochs=5000), "lost")
    with two_machines("100mbit") as machines, both(machines, run) as processes:
        kill_worker_of(processes[1])
        output = wait_for_both(processes)
    wait_for(lambda: lifecycle.get_status(run) == lifecycle.FAILED, "the end of the run")
    end = view.load_view(run).end.data
    assert end["error"] == "process-lost", (end, output)
    assert "Another process of this run ended unexpectedly" in end["message"] and "resume the run" in end["remedy"]
    assert all(process.returncode for process in processes)
