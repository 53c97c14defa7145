import json
import os
import re
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from asrkit import units
from asrkit.runs import heartbeat, lifecycle, processes, supervisor, watchdog
from asrkit.runs.clock import RunClock
from asrkit.runs.events import Event
from asrkit.runs.heartbeat import Heartbeat
from asrkit.runs.run import CANCEL, STOP
from asrkit.runs.view import RunView, load_view
from asrkit.ui.common import status_text
from asrkit.ui.common.run_list import RunList
from tests.support.waiting import wait_for

WORKER = """
import pathlib, sys, threading, time
from asrkit.runs import watchdog
from asrkit.runs.run import Run

watchdog.guard_worker(Run(pathlib.Path(sys.argv[1])), lambda: None, interval_s=0.1)
{work}
"""
BUSY = "while True: sum(range(1_000_000)); time.sleep(0.1)"
STUCK = "threading.Lock().acquire(); threading.Event().wait(); time.sleep(600)"


@pytest.fixture
def start_worker(make_run, monkeypatch):
    """start_worker(code) -> (run, process): a run in the loading phase whose worker executes the code."""
    workers = []
    monkeypatch.setattr(heartbeat, "SILENT_S", 2.5)

    def start(code):
        run = make_run(history=[Event("phase", time.time() - 180, 0, 0.0, {"phase": "loading", "text": "Loading"})])
        worker = subprocess.Popen(
            [sys.executable, "-c", WORKER.format(work=code), str(run.path)], start_new_session=True
        )
        processes.write_process_info(run, worker.pid, [], 0)
        workers.append(worker)
        wait_for(lambda: heartbeat.read_heartbeat(run), "the first heartbeat", seconds=20)
        return run, worker

    yield start
    for worker in workers:
        worker.kill()
        worker.wait()


def write_heartbeat(run, age_s, longest_s=1.0):
    """Write the heartbeat of a worker that last ran `age_s` seconds ago."""
    run.heartbeat_path.write_text(json.dumps({"beat": time.monotonic() - age_s, "longest_s": longest_s}))


def get_age_s(run):
    return heartbeat.read_heartbeat(run).age_s


def test_busy_worker_has_a_heartbeat_and_a_stopped_one_has_none(start_worker, store):
    run, worker = start_worker(BUSY)
    start = time.monotonic()
    wait_for(lambda: time.monotonic() - start > 3 and get_age_s(run) < 2, "a recent heartbeat after 3 s", seconds=20)
    run_view = load_view(run)
    old = SimpleNamespace(age_s=95.0)
    for status, expected in ((heartbeat.read_heartbeat(run), ""), (old, "; last heartbeat 1 min 35 s ago")):
        text = status_text.describe_activity(
            run, lifecycle.STARTING, run_view, RunClock().elapsed_s(run_view), None, status
        )
        assert re.fullmatch(rf"Loading… \(3 min( \d+ s)?{expected}\)", text), text
    os.kill(worker.pid, signal.SIGSTOP)
    wait_for(lambda: heartbeat.read_heartbeat(run).is_silent, "a silent heartbeat", seconds=20)
    assert (
        lifecycle.get_status(run) == lifecycle.STARTING
        and status_text.format_short_status(run, "starting") == "Starting, not responding"
    )
    assert RunList(store).rows()[0].status == lifecycle.STARTING
    os.kill(worker.pid, signal.SIGCONT)
    wait_for(lambda: get_age_s(run) < 2, "a recent heartbeat", seconds=20)
    assert status_text.format_short_status(run, "starting") == "Starting"


def test_deadlocked_worker_has_no_heartbeat(start_worker):
    run, _ = start_worker(STUCK)
    wait_for(lambda: heartbeat.read_heartbeat(run).is_silent, "a silent heartbeat", seconds=20)


def test_idle_process_has_a_heartbeat_only_in_a_distributed_run(make_run):
    run, now = make_run(), time.monotonic()
    for is_alone, has_heartbeat in ((True, False), (False, True)):
        heartbeat_writer = Heartbeat(run, is_alone)
        heartbeat_writer._has_worked = lambda: False
        heartbeat_writer._beaten_at = now - 2 * heartbeat.INTERVAL_S
        heartbeat_writer.beat()
        assert run.heartbeat_path.exists() == has_heartbeat


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(heartbeat.time, "monotonic", lambda: now[0])
    return now


def run_step(heartbeat_writer, clock, duration_s):
    for _ in range(int(duration_s)):
        clock[0] += 1.0
        heartbeat_writer._has_worked = lambda: True
        heartbeat_writer.beat()
    heartbeat_writer.on_poll()


def test_longest_step_includes_an_unfinished_one_up_to_a_bound(make_run, clock):
    run = make_run()
    heartbeat_writer = Heartbeat(run)
    for duration_s in (1, 60, 5):
        run_step(heartbeat_writer, clock, duration_s)
    clock[0] += 1
    heartbeat_writer.beat()
    assert heartbeat.read_heartbeat(run).longest_s == pytest.approx(60, rel=0.1)
    for _ in range(3000):
        clock[0] += 1
        heartbeat_writer.beat()
    assert heartbeat.read_heartbeat(run).longest_s == pytest.approx(heartbeat.MAX_UNFINISHED_S, rel=0.1)


@pytest.mark.parametrize("first", ["loop", "thread"])
def test_pause_of_the_process_is_not_a_step(make_run, clock, first):
    run = make_run()
    heartbeat_writer = Heartbeat(run)
    for duration_s in (1, 2):
        run_step(heartbeat_writer, clock, duration_s)
    clock[0] += 3600
    for call in (
        (heartbeat_writer.on_poll, heartbeat_writer.beat)
        if first == "loop"
        else (heartbeat_writer.beat, heartbeat_writer.on_poll)
    ):
        call()
    run_step(heartbeat_writer, clock, 2)
    assert heartbeat.read_heartbeat(run).longest_s < 3


def test_resume_discards_the_old_heartbeat(store, config, worker):
    run = supervisor.start(store, config, "one")
    processes.kill_worker(run)
    write_heartbeat(run, 7200, 90)
    supervisor.resume(store, run)
    status = heartbeat.read_heartbeat(run)
    assert status_text.format_short_status(run, lifecycle.get_status(run)) == "Starting"
    assert status_text.describe_silence(lifecycle.STARTING, status) == ""


def test_full_disk_does_not_stop_the_heartbeat(make_run, clock, monkeypatch):
    heartbeat_writer = Heartbeat(make_run())
    monkeypatch.setattr(heartbeat.os, "pwrite", lambda *_: os.stat("/nowhere"))
    clock[0] += 1
    heartbeat_writer.beat()


@pytest.mark.parametrize(
    ("flag", "longest_s", "age_s", "limit_s"),
    [
        (CANCEL, 1.0, 0, 120.0),
        (CANCEL, 100.0, 0, 300.0),
        (STOP, 100.0, 0, 600.0),
        (STOP, 700.0, 0, 2100.0),
        (CANCEL, 100.0, 60, 120.0),
        (CANCEL, None, 0, 120.0),
    ],
)
def test_slow_worker_has_a_longer_limit(make_run, flag, longest_s, age_s, limit_s):
    run = make_run()
    if longest_s is not None:
        write_heartbeat(run, age_s, longest_s)
    run.set_flag(flag)
    assert watchdog.shutdown_limit_s(run) == limit_s
    text = status_text.describe_activity(
        run, lifecycle.STOPPING, RunView("one"), 0.0, None, heartbeat.read_heartbeat(run)
    )
    is_extended = limit_s > (watchdog.CANCEL_LIMIT_S if flag == CANCEL else watchdog.STOP_LIMIT_S)
    assert (
        f"force stop after {units.format_rough_duration(limit_s)}" in text
        and ("because one of its steps took" in text) == is_extended
    )


@pytest.mark.parametrize("jump_s", [3600, -3600])
def test_system_clock_does_not_change_the_heartbeat_age(make_run, monkeypatch, jump_s):
    responsive, silent = make_run("responsive"), make_run("silent")
    write_heartbeat(responsive, 1)
    write_heartbeat(silent, 60)
    true_time = time.time
    monkeypatch.setattr(time, "time", lambda: true_time() + jump_s)
    assert 1 <= get_age_s(responsive) < 30 and 60 <= get_age_s(silent) < 90
