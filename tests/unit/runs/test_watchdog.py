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
def deaf(make_run):
    """A run whose worker hears nothing."""
    run = make_run(history=[Event("started", 1000.0, 0, 0.0, {"total_steps": 9}), Event("train", 1001.0, 3, 0.1, {})])
    worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    write_json(
        run.process_path, {**processes.identify_process(worker.pid), "host": socket.gethostname(), "events_from": 0}
    )
    yield run
    worker.kill()
    worker.wait()


@pytest.mark.parametrize(("flag", "limit"), [(STOP, "STOP_LIMIT_S"), (CANCEL, "CANCEL_LIMIT_S")])
def test_overdue_run_is_killed_and_its_end_event_says_so(store, deaf, monkeypatch, flag, limit):
    patience = watchdog.ShutdownTimer()
    monkeypatch.setattr(watchdog, "GRACE_S", 0.0)
    deaf.set_flag(flag)
    watchdog.tick(store, patience)
    assert lifecycle.get_status(deaf) == lifecycle.STOPPING, "it has its time"
    monkeypatch.setattr(watchdog, limit, 0.0)
    watchdog.tick(store, patience)
    assert lifecycle.get_status(deaf) == lifecycle.STOPPED
    last = deaf.last_events()[-1]
    assert "ended by force. Resume begins again." in last.data["message"] and last.data["forced"]
    assert last.data["message"].startswith("Cancelled; only the history was kept.") == (flag == CANCEL)
    watchdog.tick(store, patience)
    assert deaf.last_events()[-1] == last, "told once"


def test_run_without_a_flag_is_never_killed(store, deaf, monkeypatch):
    monkeypatch.setattr(watchdog, "STOP_LIMIT_S", 0.0)
    monkeypatch.setattr(watchdog, "GRACE_S", 0.0)
    watchdog.tick(store, watchdog.ShutdownTimer())
    assert lifecycle.get_status(deaf) == lifecycle.RUNNING


def test_limit_counts_from_the_flag(deaf, monkeypatch):
    patience = watchdog.ShutdownTimer()
    now = [100.0]
    monkeypatch.setattr(watchdog.time, "monotonic", lambda: now[0])
    deaf.set_flag(STOP)
    assert patience.exceeded_limit_s(deaf) is None
    now[0] += watchdog.STOP_LIMIT_S - 1
    assert patience.exceeded_limit_s(deaf) is None
    now[0] += 2
    assert patience.exceeded_limit_s(deaf) == watchdog.STOP_LIMIT_S
    deaf.clear_flags()
    assert patience.exceeded_limit_s(deaf) is None
    deaf.set_flag(STOP)
    assert patience.exceeded_limit_s(deaf) is None, "asked anew"


@pytest.mark.parametrize(("flag", "kept"), [(STOP, True), (CANCEL, False)])
def test_cancelled_run_keeps_only_its_history(deaf, flag, kept):
    for folder in (deaf.checkpoints_dir / "checkpoint-3", deaf.model_dir):
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
    deaf.set_flag(flag)
    watchdog.force_stop(deaf, 60.0)
    assert (bool(deaf.checkpoints()), deaf.has_model(), deaf.last_events()[-1].data["saved"]) == (kept, kept, kept)


def test_limit_restarts_while_the_run_saves(deaf, monkeypatch):
    patience = watchdog.ShutdownTimer()
    now = [100.0]
    monkeypatch.setattr(watchdog.time, "monotonic", lambda: now[0])
    draft = deaf.checkpoints_dir / ".partial" / "checkpoint-3"
    draft.mkdir(parents=True)
    deaf.set_flag(STOP)
    for size in (1, 2, 3):
        (draft / "model.safetensors").write_bytes(bytes(size))
        assert patience.exceeded_limit_s(deaf) is None
        now[0] += watchdog.STOP_LIMIT_S + 1
    assert patience.exceeded_limit_s(deaf) == watchdog.STOP_LIMIT_S, "it grows no more"


GUARDED = """
import pathlib, sys, time
from asrkit.runs import queue, watchdog
from asrkit.runs.run import Run

run = Run(pathlib.Path(sys.argv[1]))
watchdog.STOP_LIMIT_S = 0.0

def fails(*_):
    raise {error}

{what} = fails
watchdog.guard_worker(run, lambda: None, interval_s=0.05)
time.sleep(600)
"""


@pytest.mark.parametrize(
    ("what", "error"),
    [
        ("watchdog._append_forced_end", "OSError(28, 'No space left on device')"),
        ("queue.start_ready_runs", "OSError(5, 'Input/output')"),
        ("queue.start_ready_runs", "TypeError('a defect')"),
    ],
)
def test_guard_kills_the_worker_whatever_fails(make_run, what, error):
    run = make_run(history=[Event("started", 1000.0, 0, 0.0, {"total_steps": 9})])
    worker = subprocess.Popen(
        [sys.executable, "-c", GUARDED.format(what=what, error=error), str(run.path)],
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
    """Many file systems give the number of a folder that is gone to the next one."""
    run = make_run()
    worker = subprocess.Popen(
        [sys.executable, "-c", GUARDED.format(what="watchdog._append_forced_end", error="OSError()"), str(run.path)],
        start_new_session=True,
    )
    try:
        wait_for(run.heartbeat_path.exists, "the worker", seconds=20)
        number = processes.get_folder_inode(run)
        run.path.rename(gone := run.path.with_name("gone"))
        if deleted:
            shutil.rmtree(gone)
        others = [run.path.with_name(f"other-{count}") for count in range(300)]
        [other.mkdir() for other in others]
        next((other for other in others if other.stat().st_ino == number), others[0]).rename(run.path)
        assert worker.wait(20) == -signal.SIGKILL
        assert not run.heartbeat_path.exists()
    finally:
        worker.kill()
        worker.wait()


def test_forced_end_event_does_not_follow_an_end_event(deaf):
    deaf.append(Event("stopped", 1002.0, 3, 0.1, {"saved": True, "message": "Stopped and saved at step 3."}))
    watchdog._append_forced_end(deaf, 600.0)
    assert [result.kind for result in deaf.events()[0]] == ["started", "train", "stopped"]


@pytest.mark.parametrize(
    ("process", "words"),
    [
        ({"exit": -9, "for_memory": True}, "killed the training process because memory ran out"),
        ({"exit": -9, "for_memory": False}, "without a message: it was killed"),
        ({"exit": -signal.SIGSEGV}, "segmentation fault"),
        ({}, "without a message"),
    ],
)
def test_explain_crash(make_run, process, words):
    run = make_run(process={"pid": 1, "start": "x", **process})
    result, remedy = crash.explain_crash(run)
    assert words in result and remedy.endswith("Resume begins again.")


def test_explain_crash_recognizes_a_full_disk(make_run, monkeypatch):
    monkeypatch.setattr(crash, "free_bytes", lambda where: 0)
    assert "the disk is full" in crash.explain_crash(make_run())[0]


def test_explain_crash_recognizes_a_read_only_directory(make_run, monkeypatch):
    monkeypatch.setattr(crash.os, "access", lambda path, how: how != os.W_OK)
    assert "read-only" in crash.explain_crash(make_run())[0]


def test_exit_code_is_recorded(store, make_run, monkeypatch):
    run = make_run()
    worker = subprocess.Popen([sys.executable, "-c", "import os; os.abort()"], stderr=subprocess.DEVNULL)
    processes.write_process_info(run, worker.pid, [], 0)
    processes._record_exit(run, worker, 0)
    assert run.process()["exit"] == -signal.SIGABRT and run.process()["pid"] == worker.pid
    assert "abort" in crash.explain_crash(run)[0]
