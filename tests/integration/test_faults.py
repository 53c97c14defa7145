"""Faults in real processes: the worker, the app or both are killed at random moments, and disks fill up.

CI runs a few seeds. `ASRKIT_FAULTS=50 python -m pytest tests/integration/test_faults.py` runs fifty of each kind, and
`ASRKIT_FAULTS=10-20` a range of them. A seed gives the same moments each time, as far as timing allows.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from asrkit.errors import RunError
from asrkit.files import write_json
from asrkit.runs import events, lifecycle, processes, summary, supervisor, watchdog
from asrkit.runs.run import Run
from asrkit.runs.store import RunStore
from tests.support import disks
from tests.support.runs import assert_same_ending, train_undisturbed, wait_for_end
from tests.support.waiting import wait_for

PROJECT = Path(__file__).resolve().parents[2]
APP = """
import sys
from asrkit import config
from asrkit.runs import supervisor, watchdog
from asrkit.runs.store import RunStore
store = RunStore(sys.argv[1])
supervisor.start(store, config.from_file(sys.argv[2]), "hit")
watchdog.watch_forever(store, interval_s=0.2)
"""
"""The part of the app that concerns runs: it starts one, then watches the queue."""


def seeds() -> list[int]:
    first, _, last = os.environ.get("ASRKIT_FAULTS", "2").rpartition("-")
    return list(range(int(first or 0), int(last)))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, speech, base):
    """(an uninterrupted run, the seconds from the start of its worker to its last event)."""
    run = train_undisturbed(tmp_path_factory.mktemp("undisturbed"), speech, base, augmentation="light", save_steps=2)
    return run, run.last_events()[-1].time - run.process()["start_time"]


@pytest.mark.parametrize("target", ["worker", "app", "both"])
@pytest.mark.parametrize("seed", seeds())
def test_killed_run_resumes_to_the_same_result(store, settings, undisturbed, tmp_path, target, seed):
    uninterrupted, seconds = undisturbed
    rng = random.Random(f"{target} {seed}")
    config = settings(augmentation="light", save_steps=2)
    app = start_app(store, config, tmp_path)
    try:
        if target != "worker":
            wait_for_random_moment(store, rng, uninterrupted, seconds)
            os.kill(app.pid, signal.SIGKILL)
            app.wait()
        if target != "app":
            wait_for(
                lambda: find_worker(store) or is_finished(store) or not ensure_started(store, config, app), "a worker"
            )
            wait_for_random_moment(store, rng, uninterrupted, seconds)
            if pid := find_worker(store):
                os.kill(pid, signal.SIGKILL)
                print(f"{target} {seed}: killed after {(store.get('hit').last_events() or ['nothing'])[-1]}")
                wait_for(lambda: not processes.is_alive(store.get("hit").process()), "the end of the worker")
        run = resume_run(store, config, app)
        assert wait_for_end(run) == lifecycle.FINISHED, run.log_tail()
    finally:
        app.kill()
        app.wait()
    assert_same_ending(run, uninterrupted)
    assert_events_are_consistent(run)
    assert_checkpoints_load(run)
    assert not list(run.checkpoints_dir.glob(".*")) and not (run.path / ".reserve").exists()


def start_app(store: RunStore, config, folder: Path) -> subprocess.Popen:
    script = folder / "app.py"
    script.write_text(APP)
    write_json(folder / "config.json", config.to_dict())
    return subprocess.Popen(
        [sys.executable, str(script), str(store.root), str(folder / "config.json")],
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
    )


def wait_for_random_moment(store: RunStore, rng: random.Random, uninterrupted: Run, seconds: float) -> None:
    """Wait for a random time or, as loading takes most of the time, for a random number of bytes of events and a little
    longer. Return at once when the run has finished."""
    by_time = rng.random() < 0.3
    size_bytes, wait_s = rng.uniform(0, uninterrupted.events_size()), rng.uniform(0, seconds if by_time else 0.15)
    if not by_time:
        wait_for(
            lambda: is_finished(store) or ((run := get_run(store)) and run.events_size() >= size_bytes), "the events"
        )
    deadline = time.monotonic() + wait_s
    wait_for(lambda: time.monotonic() >= deadline or is_finished(store), "the random moment")


def is_finished(store: RunStore) -> bool:
    return bool(run := get_run(store)) and lifecycle.get_status(run) == lifecycle.FINISHED


def get_run(store: RunStore) -> Run | None:
    try:
        return store.get("hit")
    except RunError:
        return None


def find_worker(store: RunStore) -> int | None:
    process = (run := get_run(store)) and run.process()
    return process["pid"] if process and processes.is_alive(process) else None


def ensure_started(store: RunStore, config, app: subprocess.Popen) -> bool:
    """Start or resume the run if its app, which would start it, is dead."""
    if app.poll() is None:
        return True
    resume_run(store, config, app)
    return True


def resume_run(store: RunStore, config, app: subprocess.Popen) -> Run:
    """Start the run if it does not exist, and resume it if it is not active, as a user would."""
    if app.poll() is None:
        wait_for(lambda: get_run(store), "the run directory")
    run = get_run(store) or supervisor.start(store, config, "hit")
    if lifecycle.get_status(run) == lifecycle.CRASHED:  # a live worker may be removing an old checkpoint
        assert_checkpoints_load(run)
    before = read_history(run)
    if lifecycle.get_status(run) in (lifecycle.CRASHED, lifecycle.QUEUED):
        supervisor.resume(store, run)
    wait_for(lambda: lifecycle.get_status(run) in lifecycle.ACTIVE or is_finished(store), "an active run")
    assert read_history(run).startswith(before[: before.rfind(b"\n") + 1]), "history is never rewritten"
    return run


def read_history(run: Run) -> bytes:
    return run.events_path.read_bytes() if run.events_path.exists() else b""


def assert_events_are_consistent(run: Run) -> None:
    """Check that each line is an event and that no session of a worker repeats or omits a step."""
    lines = run.events_path.read_bytes().split(b"\n")
    assert lines.pop() == b""
    sessions: list[list[events.Event]] = [[]]
    for line in lines:
        event = events.Event.from_line(line)
        assert event, line
        if event.kind == events.STARTED:
            sessions.append([])
        sessions[-1].append(event)
    for session in sessions[1:]:
        steps = [event.step for event in session if event.kind == events.TRAIN]
        assert steps == list(range(session[0].step + 1, session[0].step + 1 + len(steps)))
        scored = [event.step for event in session if event.kind == events.EVAL]
        assert len(scored) == len(set(scored))
    assert [event.kind for event in sessions[-1] if event.kind in events.END_KINDS] == [events.FINISHED]


def assert_checkpoints_load(run: Run) -> None:
    """Check that each checkpoint and the model can be loaded."""
    import torch
    from safetensors.torch import load_file

    for folder in [*run.checkpoints(), *([run.model_dir] if run.has_model() else [])]:
        assert load_file(folder / "model.safetensors"), folder
        json.loads((folder / "config.json").read_text())
        if folder.name.startswith("checkpoint"):
            json.loads((folder / "trainer_state.json").read_text())
            torch.load(folder / "optimizer.pt", weights_only=True)


def test_second_worker_of_a_run_exits(store, settings):
    """This happens if the app dies before it records its worker and a user resumes the run at once."""
    run = supervisor.start(store, settings(max_steps=2000, num_epochs=2000), "hit")
    wait_for(lambda: run.last_events(), "the first event")
    second = subprocess.run(
        [sys.executable, "-m", "asrkit.training.worker", str(run.path)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        timeout=120,
    )
    assert second.returncode == 0 and "Another worker is running this run" in second.stdout
    wait_for(lambda: events.STARTED in [event.kind for event in run.events()[0]], "the start of training")
    supervisor.stop(run)
    assert wait_for_end(run) == lifecycle.STOPPED, run.log_tail()
    assert [event.kind for event in run.events()[0]].count(events.STARTED) == 1


# Stop requests in each phase


def wait_for_phase(run: Run, phase: str) -> None:
    def is_in_phase() -> bool:
        last_events = run.last_events()
        return bool(last_events) and last_events[-1].data.get("phase") == phase

    wait_for(lambda: is_in_phase() or lifecycle.get_status(run) not in lifecycle.ACTIVE, f"phase {phase}")


@pytest.mark.parametrize("phase", ["evaluating", "saving"])
def test_stop_is_handled_while_evaluating_or_saving(store, settings, speech, phase):
    run = supervisor.start(
        store, settings(max_steps=2000, num_epochs=2000, eval_steps=3, save_steps=1, eval=str(speech)), "busy"
    )
    wait_for_phase(run, phase)
    supervisor.stop(run)
    assert wait_for_end(run) == lifecycle.STOPPED, run.log_tail()
    assert run.has_model()
    assert_checkpoints_load(run)


def test_stop_is_handled_while_a_library_waits_for_a_file(store, settings, base, tmp_path):
    """A pipe without a writer stands for a download that hangs."""
    stuck = tmp_path / "stuck"
    stuck.mkdir()
    for path in base.iterdir():
        (stuck / path.name).write_bytes(path.read_bytes())
    os.mkfifo(stuck / "special_tokens_map.json")  # which only the worker reads
    run = supervisor.start(store, settings(model=str(stuck)), "stuck")
    wait_for(lambda: "Loading the base model" in run.log_tail(), "the worker to load")
    supervisor.stop(run)
    wait_for(lambda: lifecycle.get_status(run) == lifecycle.STOPPED, "the end of the run", seconds=30)
    assert "nothing to save" in run.last_events()[-1].data["message"]


def test_guard_kills_a_worker_that_does_not_stop(store, settings, tmp_path):
    run = store.create(settings(), "hanging")
    script = tmp_path / "hanging.py"
    script.write_text(
        "import os, sys, time\nfrom asrkit.runs import processes, watchdog\n"
        "from asrkit.runs.run import Run\nrun = Run(sys.argv[1])\nwatchdog.STOP_LIMIT_S = 0.5\n"
        "processes.write_process_info(run, os.getpid(), [], 0)\nwatchdog.guard_worker(run, lambda: None, 0.1)\n"
        "time.sleep(600)\n"
    )
    worker = subprocess.Popen(
        [sys.executable, str(script), str(run.path)],
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
    )
    wait_for(run.process, "the worker")
    supervisor.stop(run)
    assert worker.wait(60) == -signal.SIGKILL
    assert lifecycle.get_status(run) == lifecycle.STOPPED
    assert "so it was killed" in run.last_events()[-1].data["message"]


# Full and read-only disks


@pytest.fixture
def disk(tmp_path):
    """A file system of 260 MB; a run needs 200 MB free to start."""
    with disks.mount_tmpfs(tmp_path / "disk", "260m") as folder:
        yield folder


def fill(folder: Path) -> Path:
    """Write a file until the disk is full, and return its path."""
    filler = folder / "filler"
    with open(filler, "wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    return filler


def test_full_disk_is_reported_and_the_run_resumes_after_cleanup(disk, settings, undisturbed):
    store = RunStore(disk / "runs")
    run = supervisor.start(store, settings(augmentation="light", save_steps=2), "full")
    try:
        wait_for(lambda: run.checkpoints(), "a checkpoint")
        filler = fill(disk)
        assert wait_for_end(run) in (lifecycle.FAILED, lifecycle.FINISHED), run.log_tail()
        assert lifecycle.get_status(run) == lifecycle.FAILED, "the run finished before the disk was full"
        event = run.last_events()[-1]
        assert (event.data["error"], event.data["message"]) == ("disk-full", "The disk is full.")
        assert "resume" in event.data["remedy"]
        assert_checkpoints_load(run)
        with pytest.raises(RunError, match="is full"):
            supervisor.resume(store, run)
        filler.unlink()
        supervisor.resume(store, run)
        assert wait_for_end(run) == lifecycle.FINISHED, run.log_tail()
        assert_same_ending(run, undisturbed[0])
        assert_checkpoints_load(run)
    finally:
        processes.kill_worker(run)


def test_full_disk_is_reported_although_freed_space_is_used_up(disk, settings):
    """Space that the worker frees is used up at once."""
    store, is_over = RunStore(disk / "runs"), threading.Event()
    run = supervisor.start(store, settings(max_steps=2000, num_epochs=2000), "full")

    def keep_filling() -> None:
        with open(disk / "filler", "ab", buffering=0) as file:
            while not is_over.is_set():
                with contextlib.suppress(OSError):
                    file.write(bytes(1 << 12))

    wait_for(lambda: lifecycle.get_status(run) == lifecycle.RUNNING, "the start of training")
    thread = threading.Thread(target=keep_filling)
    thread.start()
    try:
        assert wait_for_end(run) == lifecycle.FAILED, run.log_tail()
    finally:
        is_over.set()
        thread.join()
        processes.kill_worker(run)
    assert summary.summarize_run(run)["error"] == "The disk is full."
    (disk / "filler").unlink()
    assert summary.summarize_run(run)["error"] == "The disk is full.", "the error is kept"
    supervisor.resume(store, run)
    assert [event.data["error"] for event in run.events()[0] if event.kind == events.FAILED] == ["disk-full"]
    supervisor.cancel(run)
    assert wait_for_end(run) == lifecycle.STOPPED, run.log_tail()


def test_read_only_events_file_stops_the_run(store, settings):
    run = supervisor.start(store, settings(max_steps=2000, num_epochs=2000), "locked")
    wait_for(lambda: lifecycle.get_status(run) == lifecycle.RUNNING, "the start of training")
    locked = subprocess.run(["chattr", "+i", str(run.events_path)], capture_output=True)
    if locked.returncode:
        pytest.skip(f"a file cannot be locked here: {locked.stderr.decode().strip()}")
    try:
        wait_for(lambda: not processes.is_alive(run.process()), "the end of the worker")
    finally:
        subprocess.run(["chattr", "-i", str(run.events_path)], check=True)
    assert lifecycle.get_status(run) == lifecycle.FAILED
    assert "Operation not permitted" in summary.summarize_run(run)["error"]
    assert "Operation not permitted" in run.log_tail()
    assert_checkpoints_load(run)


def test_read_only_directory_is_reported_and_no_run_starts(disk, settings):
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    with pytest.raises(RunError, match="cannot be written"):
        supervisor.start(RunStore(disk / "runs"), settings())
    watchdog.tick(RunStore(disk / "runs"), watchdog.ShutdownTimer())
