"""Kills at random moments: the worker, the app that started it, both. Real processes, real training.

A few in CI; `ASRKIT_FAULTS=50 python -m pytest tests/integration/test_faults.py` for as many of each kind, and
`ASRKIT_FAULTS=10-20` for a piece of them. A number is a seed: the same moments each time, as far as time is the same.
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
watchdog.watch_forever(store, every_s=0.2)
"""
"""What of the app has to do with a run: it starts it, and looks after the line."""


def seeds() -> list[int]:
    first, _, last = os.environ.get("ASRKIT_FAULTS", "2").rpartition("-")
    return list(range(int(first or 0), int(last)))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, speech, base):
    """(a run that nobody touched, the seconds from its worker's start to its last word)."""
    run = train_undisturbed(tmp_path_factory.mktemp("undisturbed"), speech, base, augmentation="light", save_steps=2)
    return run, run.last_events()[-1].time - run.process()["start_time"]


@pytest.mark.parametrize("who", ["worker", "app", "both"])
@pytest.mark.parametrize("seed", seeds())
def test_what_is_killed_ends_as_if_nothing_had_happened(store, settings, undisturbed, tmp_path, who, seed):
    calm, seconds = undisturbed
    chance = random.Random(f"{who} {seed}")
    config = settings(augmentation="light", save_steps=2)
    app = opened(store, config, tmp_path)
    try:
        if who != "worker":
            moment(store, chance, calm, seconds)
            os.kill(app.pid, signal.SIGKILL)
            app.wait()
        if who != "app":
            wait_for(lambda: worker_of(store) or over(store) or not begins(store, config, app), "a worker")
            moment(store, chance, calm, seconds)
            if pid := worker_of(store):
                os.kill(pid, signal.SIGKILL)
                print(f"{who} {seed}: killed after {(store.get('hit').last_events() or ['nothing'])[-1]}")
                wait_for(lambda: not processes.is_alive(store.get("hit").process()), "its death")
        run = carried_on(store, config, app)
        assert wait_for_end(run) == lifecycle.FINISHED, run.log_tail()
    finally:
        app.kill()
        app.wait()
    assert_same_ending(run, calm)
    assert_nothing_twice(run)
    assert_whole(run)
    assert not list(run.checkpoints_dir.glob(".*")) and not (run.path / ".reserve").exists()


def opened(store: RunStore, config, folder: Path) -> subprocess.Popen:
    script = folder / "app.py"
    script.write_text(APP)
    write_json(folder / "config.json", config.to_dict())
    return subprocess.Popen(
        [sys.executable, str(script), str(store.root), str(folder / "config.json")],
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
    )


def moment(store: RunStore, chance: random.Random, calm: Run, seconds: float) -> None:
    """Until a random moment is there: after some time, or (most of the time is loading) when so much has been told and
    then a little later. Not when it is too late for it."""
    by_time = chance.random() < 0.3
    result, wait_s = chance.uniform(0, calm.events_size()), chance.uniform(0, seconds if by_time else 0.15)
    if not by_time:
        wait_for(lambda: over(store) or ((run := present(store)) and run.events_size() >= result), "the run to tell")
    at = time.monotonic() + wait_s
    wait_for(lambda: time.monotonic() >= at or over(store), "the moment")


def over(store: RunStore) -> bool:
    return bool(run := present(store)) and lifecycle.get_status(run) == lifecycle.FINISHED


def present(store: RunStore) -> Run | None:
    try:
        return store.get("hit")
    except RunError:
        return None


def worker_of(store: RunStore) -> int | None:
    process = (run := present(store)) and run.process()
    return process["pid"] if process and processes.is_alive(process) else None


def begins(store: RunStore, config, app: subprocess.Popen) -> bool:
    """Whether the run is still to begin by itself: its app lives. Else it is begun as a person would."""
    if app.poll() is None:
        return True
    carried_on(store, config, app)
    return True


def carried_on(store: RunStore, config, app: subprocess.Popen) -> Run:
    """What somebody does who comes back: start the run if there is none, resume it if it is not under way."""
    if app.poll() is None:
        wait_for(lambda: present(store), "the run to be made")
    run = present(store) or supervisor.start(store, config, "hit")
    if lifecycle.get_status(run) == lifecycle.CRASHED:  # a worker that lives may be removing an old checkpoint
        assert_whole(run)
    before = history(run)
    if lifecycle.get_status(run) in (lifecycle.CRASHED, lifecycle.QUEUED):
        supervisor.resume(store, run)
    wait_for(lambda: lifecycle.get_status(run) in lifecycle.ACTIVE or over(store), "the run to go on")
    assert history(run).startswith(before[: before.rfind(b"\n") + 1]), "history is never rewritten"
    return run


def history(run: Run) -> bytes:
    return run.events_path.read_bytes() if run.events_path.exists() else b""


def assert_nothing_twice(run: Run) -> None:
    """Every line can be read, and no life of the worker told a step twice or left one out."""
    lines = run.events_path.read_bytes().split(b"\n")
    assert lines.pop() == b""
    lives: list[list[events.Event]] = [[]]
    for line in lines:
        result = events.Event.from_line(line)
        assert result, line
        if result.kind == events.STARTED:
            lives.append([])
        lives[-1].append(result)
    for life in lives[1:]:
        steps = [result.step for result in life if result.kind == events.TRAIN]
        assert steps == list(range(life[0].step + 1, life[0].step + 1 + len(steps)))
        scored = [result.step for result in life if result.kind == events.EVAL]
        assert len(scored) == len(set(scored))
    assert [result.kind for result in lives[-1] if result.kind in events.END_KINDS] == [events.FINISHED]


def assert_whole(run: Run) -> None:
    """Whatever bears the name of a checkpoint or a model can be loaded."""
    import torch
    from safetensors.torch import load_file

    for folder in [*run.checkpoints(), *([run.model_dir] if run.has_model() else [])]:
        assert load_file(folder / "model.safetensors"), folder
        json.loads((folder / "config.json").read_text())
        if folder.name.startswith("checkpoint"):
            json.loads((folder / "trainer_state.json").read_text())
            torch.load(folder / "optimizer.pt", weights_only=True)


def test_two_workers_of_one_run_are_one(store, settings):
    """The app died before it wrote down who works, and somebody pressed Resume at once."""
    run = supervisor.start(store, settings(max_steps=2000, num_epochs=2000), "hit")
    wait_for(lambda: run.last_events(), "the first word of the first")
    second = subprocess.run(
        [sys.executable, "-m", "asrkit.training.worker", str(run.path)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        timeout=120,
    )
    assert second.returncode == 0 and "Another process works on this run" in second.stdout
    wait_for(lambda: events.STARTED in [result.kind for result in run.events()[0]], "the beginning of the training")
    supervisor.stop(run)
    assert wait_for_end(run) == lifecycle.STOPPED, run.log_tail()
    assert [result.kind for result in run.events()[0]].count(events.STARTED) == 1


# Asked to stop, whatever the worker is doing


def at_phase(run: Run, phase: str) -> None:
    def there() -> bool:
        result = run.last_events()
        return bool(result) and result[-1].data.get("phase") == phase

    wait_for(lambda: there() or lifecycle.get_status(run) not in lifecycle.ACTIVE, f"phase {phase}")


@pytest.mark.parametrize("phase", ["evaluating", "saving"])
def test_stop_while_evaluating_or_saving_is_heard(store, settings, speech, phase):
    run = supervisor.start(
        store, settings(max_steps=2000, num_epochs=2000, eval_steps=3, save_steps=1, eval=str(speech)), "busy"
    )
    at_phase(run, phase)
    supervisor.stop(run)
    assert wait_for_end(run) == lifecycle.STOPPED, run.log_tail()
    assert run.has_model()
    assert_whole(run)


def test_stop_is_heard_while_a_library_waits_for_a_file(store, settings, base, tmp_path):
    """A pipe that nobody writes to stands for a download that hangs."""
    stuck = tmp_path / "stuck"
    stuck.mkdir()
    for path in base.iterdir():
        if path.name != "tokenizer_config.json":
            (stuck / path.name).write_bytes(path.read_bytes())
    os.mkfifo(stuck / "tokenizer_config.json")
    run = supervisor.start(store, settings(model=str(stuck)), "stuck")
    wait_for(lambda: "Loading the base model" in run.log_tail(), "the worker to load")
    supervisor.stop(run)
    wait_for(lambda: lifecycle.get_status(run) == lifecycle.STOPPED, "the end", seconds=30)
    assert "nothing to save" in run.last_events()[-1].data["message"]


def test_a_worker_that_cannot_end_by_itself_is_ended_by_its_guard(store, settings, tmp_path):
    run = store.create(settings(), "deaf")
    script = tmp_path / "deaf.py"
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
    assert "ended by force" in run.last_events()[-1].data["message"]


# Disks that take nothing more


@pytest.fixture
def disk(tmp_path):
    """A file system of 260 MB: a run is not started with less than 200 free."""
    with disks.mount_tmpfs(tmp_path / "disk", "260m") as place:
        yield place


def fill(place: Path) -> Path:
    """Write until nothing goes in any more."""
    filler = place / "filler"
    with open(filler, "wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    return filler


def test_a_full_disk_is_said_and_the_run_goes_on_when_there_is_room(disk, settings, undisturbed):
    store = RunStore(disk / "runs")
    run = supervisor.start(store, settings(augmentation="light", save_steps=2), "full")
    try:
        wait_for(lambda: run.checkpoints(), "a checkpoint")
        filler = fill(disk)
        assert wait_for_end(run) in (lifecycle.FAILED, lifecycle.FINISHED), run.log_tail()
        assert lifecycle.get_status(run) == lifecycle.FAILED, "it was too quick to notice"
        result = run.last_events()[-1]
        assert (result.data["error"], result.data["message"]) == ("disk-full", "The disk is full.")
        assert "resume" in result.data["remedy"]
        assert_whole(run)
        with pytest.raises(RunError, match="is full"):
            supervisor.resume(store, run)
        filler.unlink()
        supervisor.resume(store, run)
        assert wait_for_end(run) == lifecycle.FINISHED, run.log_tail()
        assert_same_ending(run, undisturbed[0])
        assert_whole(run)
    finally:
        processes.kill_worker(run)


def test_who_fills_the_disk_faster_than_a_run_can_speak_cannot_silence_it(disk, settings):
    """Whatever room the worker gives back is taken at once."""
    store, over = RunStore(disk / "runs"), threading.Event()
    run = supervisor.start(store, settings(max_steps=2000, num_epochs=2000), "full")

    def greedy() -> None:
        with open(disk / "filler", "ab", buffering=0) as file:
            while not over.is_set():
                with contextlib.suppress(OSError):
                    file.write(bytes(1 << 12))

    wait_for(lambda: lifecycle.get_status(run) == lifecycle.RUNNING, "the training")
    filling = threading.Thread(target=greedy)
    filling.start()
    try:
        assert wait_for_end(run) == lifecycle.FAILED, run.log_tail()
    finally:
        over.set()
        filling.join()
        processes.kill_worker(run)
    assert summary.summarize_run(run)["error"] == "The disk is full."
    (disk / "filler").unlink()
    assert summary.summarize_run(run)["error"] == "The disk is full.", "it is known later, too"
    supervisor.resume(store, run)
    assert [result.data["error"] for result in run.events()[0] if result.kind == events.FAILED] == ["disk-full"]
    supervisor.cancel(run)
    assert wait_for_end(run) == lifecycle.STOPPED, run.log_tail()


def test_a_directory_that_becomes_read_only_stops_the_run(store, settings):
    run = supervisor.start(store, settings(max_steps=2000, num_epochs=2000), "locked")
    wait_for(lambda: lifecycle.get_status(run) == lifecycle.RUNNING, "the training")
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
    assert_whole(run)


def test_in_a_read_only_directory_nothing_is_started_and_it_is_said(disk, settings):
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    with pytest.raises(RunError, match="cannot be written"):
        supervisor.start(RunStore(disk / "runs"), settings())
    watchdog.tick(RunStore(disk / "runs"), watchdog.ShutdownTimer())
