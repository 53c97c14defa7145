import os
import shutil
import signal
import socket
import subprocess
import sys

import pytest

from asrkit.files import write_json
from asrkit.runs import crash, lifecycle, processes, watchdog
from asrkit.runs.events import Event
from asrkit.runs.run import CANCEL, STOP
from tests.support.waiting import wait_for


@pytest.fixture
def unresponsive_run(make_run):
    """An active run whose worker ignores all flags."""
    run = make_run(history=[Event("started", 1000.0, 0, 0.0, {"total_steps": 9}), Event("train", 1001.0, 3, 0.1, {})])
    worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    write_json(
        run.process_path, {**processes.identify_process(worker.pid), "host": socket.gethostname(), "events_from": 0}
    )
    yield run
    worker.kill()
    worker.wait()


@pytest.mark.parametrize(("flag", "limit"), [(STOP, "STOP_LIMIT_S"), (CANCEL, "CANCEL_LIMIT_S")])
def test_overdue_run_is_killed_and_its_end_event_says_so(store, unresponsive_run, monkeypatch, flag, limit):
    timer = watchdog.ShutdownTimer()
    monkeypatch.setattr(watchdog, "GRACE_S", 0.0)
    unresponsive_run.set_flag(flag)
    watchdog.tick(store, timer)
    assert lifecycle.get_status(unresponsive_run) == lifecycle.STOPPING, "the limit is not reached yet"
    monkeypatch.setattr(watchdog, limit, 0.0)
    watchdog.tick(store, timer)
    assert lifecycle.get_status(unresponsive_run) == lifecycle.STOPPED
    last = unresponsive_run.last_events()[-1]
    assert "killed. Resume starts from the beginning." in last.data["message"] and last.data["forced"]
    assert last.data["message"].startswith("Cancelled; only the history was kept.") == (flag == CANCEL)
    watchdog.tick(store, timer)
    assert unresponsive_run.last_events()[-1] == last, "the end event is appended only once"


def test_run_without_a_flag_is_never_killed(store, unresponsive_run, monkeypatch):
    monkeypatch.setattr(watchdog, "STOP_LIMIT_S", 0.0)
    monkeypatch.setattr(watchdog, "GRACE_S", 0.0)
    watchdog.tick(store, watchdog.ShutdownTimer())
    assert lifecycle.get_status(unresponsive_run) == lifecycle.RUNNING


def test_limit_counts_from_the_flag(unresponsive_run, monkeypatch):
    timer = watchdog.ShutdownTimer()
    now = [100.0]
    monkeypatch.setattr(watchdog.time, "monotonic", lambda: now[0])
    unresponsive_run.set_flag(STOP)
    assert timer.exceeded_limit_s(unresponsive_run) is None
    now[0] += watchdog.STOP_LIMIT_S - 1
    assert timer.exceeded_limit_s(unresponsive_run) is None
    now[0] += 2
    assert timer.exceeded_limit_s(unresponsive_run) == watchdog.STOP_LIMIT_S
    unresponsive_run.clear_flags()
    assert timer.exceeded_limit_s(unresponsive_run) is None
    unresponsive_run.set_flag(STOP)
    assert timer.exceeded_limit_s(unresponsive_run) is None, "a new flag restarts the limit"


@pytest.mark.parametrize(("flag", "kept"), [(STOP, True), (CANCEL, False)])
def test_cancelled_run_keeps_only_its_history(unresponsive_run, flag, kept):
    for folder in (unresponsive_run.checkpoints_dir / "checkpoint-3", unresponsive_run.model_dir):
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
    unresponsive_run.set_flag(flag)
    watchdog.force_stop(unresponsive_run, 60.0)
    assert (
        bool(unresponsive_run.checkpoints()),
        unresponsive_run.has_model(),
        unresponsive_run.last_events()[-1].data["saved"],
    ) == (kept, kept, kept)


def test_limit_restarts_while_the_run_saves(unresponsive_run, monkeypatch):
    timer = watchdog.ShutdownTimer()
    now = [100.0]
    monkeypatch.setattr(watchdog.time, "monotonic", lambda: now[0])
    draft = unresponsive_run.checkpoints_dir / ".partial" / "checkpoint-3"
    draft.mkdir(parents=True)
    unresponsive_run.set_flag(STOP)
    for size in (1, 2, 3):
        (draft / "model.safetensors").write_bytes(bytes(size))
        assert timer.exceeded_limit_s(unresponsive_run) is None
        now[0] += watchdog.STOP_LIMIT_S + 1
    assert timer.exceeded_limit_s(unresponsive_run) == watchdog.STOP_LIMIT_S, "the draft has stopped growing"


GUARDED = """
import pathlib, sys, time
from asrkit.runs import queue, watchdog
from asrkit.runs.run import Run

run = Run(pathlib.Path(sys.argv[1]))
watchdog.STOP_LIMIT_S = 0.0

def fail(*_):
    raise {error}

{function} = fail
watchdog.guard_worker(run, lambda: None, interval_s=0.05)
time.sleep(600)
"""


@pytest.mark.parametrize(
    ("function", "error"),
    [
        ("watchdog._append_forced_end", "OSError(28, 'No space left on device')"),
        ("queue.start_ready_runs", "OSError(5, 'Input/output')"),
        ("queue.start_ready_runs", "TypeError('a defect')"),
    ],
)
def test_guard_kills_the_worker_despite_errors(make_run, function, error):
    run = make_run(history=[Event("started", 1000.0, 0, 0.0, {"total_steps": 9})])
    worker = subprocess.Popen(
        [sys.executable, "-c", GUARDED.format(function=function, error=error), str(run.path)],
        start_new_session=True,
        stderr=subprocess.DEVNULL,
    )
    try:
        processes.write_process_info(run, worker.pid, [], 0)
        run.set_flag(STOP)
        assert worker.wait(20) == -signal.SIGKILL
    finally:
        worker.kill()
        worker.wait()


@pytest.mark.parametrize("deleted", [False, True])
def test_worker_of_a_deleted_run_does_not_write_into_its_successor(make_run, deleted):
    """Many file systems reuse the inode number of a deleted directory."""
    run = make_run()
    worker = subprocess.Popen(
        [
            sys.executable,
            "-c",
            GUARDED.format(function="watchdog._append_forced_end", error="OSError()"),
            str(run.path),
        ],
        start_new_session=True,
    )
    try:
        wait_for(run.heartbeat_path.exists, "the worker", seconds=20)
        inode = processes.get_folder_inode(run)
        run.path.rename(renamed := run.path.with_name("renamed"))
        if deleted:
            shutil.rmtree(renamed)
        others = [run.path.with_name(f"other-{count}") for count in range(300)]
        [other.mkdir() for other in others]
        next((other for other in others if other.stat().st_ino == inode), others[0]).rename(run.path)
        assert worker.wait(20) == -signal.SIGKILL
        assert not run.heartbeat_path.exists()
    finally:
        worker.kill()
        worker.wait()


def test_forced_end_event_does_not_follow_an_end_event(unresponsive_run):
    unresponsive_run.append(
        Event("stopped", 1002.0, 3, 0.1, {"saved": True, "message": "Stopped and saved at step 3."})
    )
    watchdog._append_forced_end(unresponsive_run, 600.0)
    assert [event.kind for event in unresponsive_run.events()[0]] == ["started", "train", "stopped"]


@pytest.mark.parametrize(
    ("process", "message"),
    [
        ({"exit": -9, "for_memory": True}, "killed the training process because memory ran out"),
        ({"exit": -9, "for_memory": False}, "without a message: it was killed"),
        ({"exit": -signal.SIGSEGV}, "segmentation fault"),
        ({}, "without a message"),
    ],
)
def test_explain_crash(make_run, process, message):
    run = make_run(process={"pid": 1, "start": "x", **process})
    cause, remedy = crash.explain_crash(run)
    assert message in cause and remedy.endswith("Resume starts from the beginning.")


def test_explain_crash_recognises_a_full_disk(make_run, monkeypatch):
    monkeypatch.setattr(crash, "free_bytes", lambda path: 0)
    assert "the disk is full" in crash.explain_crash(make_run())[0]


def test_explain_crash_recognises_a_read_only_directory(make_run, monkeypatch):
    monkeypatch.setattr(crash.os, "access", lambda path, mode: mode != os.W_OK)
    assert "read-only" in crash.explain_crash(make_run())[0]


def test_exit_code_is_recorded(store, make_run, monkeypatch):
    run = make_run()
    worker = subprocess.Popen([sys.executable, "-c", "import os; os.abort()"], stderr=subprocess.DEVNULL)
    processes.write_process_info(run, worker.pid, [], 0)
    processes._record_exit(run, worker, 0)
    assert run.process()["exit"] == -signal.SIGABRT and run.process()["pid"] == worker.pid
    assert "abort" in crash.explain_crash(run)[0]
