import json
import os
import re
import signal
import subprocess
import sys
import time

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
BUSY, STUCK = "while True: sum(range(100_000))", "threading.Lock().acquire(); threading.Event().wait(); time.sleep(600)"


@pytest.fixture
def works(make_run, monkeypatch):
    """works(code): a run whose worker does that after it has said that it loads."""
    started = []
    monkeypatch.setattr(heartbeat, "SILENT_S", 2.5)

    def make(work):
        run = make_run(history=[Event("phase", time.time() - 180, 0, 0.0, {"phase": "loading", "text": "Loading"})])
        worker = subprocess.Popen(
            [sys.executable, "-c", WORKER.format(work=work), str(run.path)], start_new_session=True
        )
        processes.write_process_info(run, worker.pid, [], 0)
        started.append(worker)
        wait_for(lambda: heartbeat.read_heartbeat(run), "the first sign of life", seconds=20)
        return run, worker

    yield make
    for worker in started:
        worker.kill()
        worker.wait()


def beaten(run, age_s, longest_s=1.0):
    """What a worker wrote so long ago."""
    run.heartbeat_path.write_text(json.dumps({"beat": time.monotonic() - age_s, "longest_s": longest_s}))


def age(run):
    return heartbeat.read_heartbeat(run).age_s


def test_busy_worker_has_a_heartbeat_and_a_stopped_one_has_none(works, store):
    run, worker = works(BUSY)
    begun = time.monotonic()
    wait_for(lambda: time.monotonic() - begun > 3 and age(run) < 2, "a sign of life after so long", seconds=20)
    run_view = load_view(run)
    said = status_text.describe_activity(
        run, lifecycle.STARTING, run_view, RunClock().elapsed_s(run_view), None, heartbeat.read_heartbeat(run)
    )
    assert re.fullmatch(r"Loading… \(3 min( \d+ s)?; last sign of life \d s ago\)", said), said
    os.kill(worker.pid, signal.SIGSTOP)
    wait_for(lambda: heartbeat.read_heartbeat(run).is_silent, "silence", seconds=20)
    assert (
        lifecycle.get_status(run) == lifecycle.STARTING
        and status_text.format_short_status(run, "starting") == "Starting, not responding"
    )
    assert RunList(store).rows()[0].status == lifecycle.STARTING
    os.kill(worker.pid, signal.SIGCONT)
    wait_for(lambda: age(run) < 2, "life", seconds=20)
    assert status_text.format_short_status(run, "starting") == "Starting"


def test_deadlocked_worker_has_no_heartbeat(works):
    run, _ = works(STUCK)
    wait_for(lambda: heartbeat.read_heartbeat(run).is_silent, "silence", seconds=20)


def test_process_of_several_may_be_idle(make_run):
    run, now = make_run(), time.monotonic()
    for alone, beats in ((True, False), (False, True)):
        heart = Heartbeat(run, alone)
        heart._has_worked = lambda: False
        heart._beaten_at = now - 2 * heartbeat.INTERVAL_S
        heart.beat()
        assert run.heartbeat_path.exists() == beats


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(heartbeat.time, "monotonic", lambda: now[0])
    return now


def step(heart, clock, seconds):
    for _ in range(int(seconds)):
        clock[0] += 1.0
        heart._has_worked = lambda: True
        heart.beat()
    heart.on_poll()


def test_longest_step_includes_an_unfinished_one_up_to_a_bound(make_run, clock):
    run = make_run()
    heart = Heartbeat(run)
    for seconds in (1, 60, 5):
        step(heart, clock, seconds)
    clock[0] += 1
    heart.beat()
    assert heartbeat.read_heartbeat(run).longest_s == pytest.approx(60, rel=0.1)
    for _ in range(3000):
        clock[0] += 1
        heart.beat()
    assert heartbeat.read_heartbeat(run).longest_s == pytest.approx(heartbeat.MAX_UNFINISHED_S, rel=0.1)


@pytest.mark.parametrize("who_wakes_first", ["loop", "thread"])
def test_pause_of_the_process_is_not_a_step(make_run, clock, who_wakes_first):
    run = make_run()
    heart = Heartbeat(run)
    for seconds in (1, 2):
        step(heart, clock, seconds)
    clock[0] += 3600
    for wakes in (heart.on_poll, heart.beat) if who_wakes_first == "loop" else (heart.beat, heart.on_poll):
        wakes()
    step(heart, clock, 2)
    assert heartbeat.read_heartbeat(run).longest_s < 3


def test_resume_discards_the_old_heartbeat(store, config, worker):
    run = supervisor.start(store, config, "one")
    processes.kill_worker(run)
    beaten(run, 7200, 90)
    supervisor.resume(store, run)
    sign = heartbeat.read_heartbeat(run)
    assert status_text.format_short_status(run, lifecycle.get_status(run)) == "Starting"
    assert status_text.describe_silence(lifecycle.STARTING, sign) == ""


def test_full_disk_does_not_stop_the_heartbeat(make_run, clock, monkeypatch):
    heart = Heartbeat(make_run())
    monkeypatch.setattr(heartbeat.os, "pwrite", lambda *_: os.stat("/nowhere"))
    clock[0] += 1
    heart.beat()


@pytest.mark.parametrize(
    ("flag", "longest", "age_s", "given"),
    [
        (CANCEL, 1.0, 0, 120.0),
        (CANCEL, 100.0, 0, 300.0),
        (STOP, 100.0, 0, 600.0),
        (STOP, 700.0, 0, 2100.0),
        (CANCEL, 100.0, 60, 120.0),
        (CANCEL, None, 0, 120.0),
    ],
)
def test_slow_worker_has_a_longer_limit(make_run, flag, longest, age_s, given):
    run = make_run()
    if longest is not None:
        beaten(run, age_s, longest)
    run.set_flag(flag)
    assert watchdog.shutdown_limit_s(run) == given
    said = status_text.describe_activity(
        run, lifecycle.STOPPING, RunView("one"), 0.0, None, heartbeat.read_heartbeat(run)
    )
    slower = given > (watchdog.CANCEL_LIMIT_S if flag == CANCEL else watchdog.STOP_LIMIT_S)
    assert (
        f"force stop after {units.format_rough_duration(given)}" in said
        and ("because one of its steps took" in said) == slower
    )


@pytest.mark.parametrize("jump_s", [3600, -3600])
def test_system_clock_does_not_change_the_heartbeat_age(make_run, monkeypatch, jump_s):
    lively, silent = make_run("lively"), make_run("silent")
    beaten(lively, 1)
    beaten(silent, 60)
    true_time = time.time
    monkeypatch.setattr(time, "time", lambda: true_time() + jump_s)
    assert 1 <= age(lively) < 30 and 60 <= age(silent) < 90
