"""Start, queue, stop, resume and judge runs. Knows processes; does not know training.

One run is under way at a time; others wait in line, each with its place in `queue.json`. Whoever notices that nothing
is under way starts the first of them: the worker that has just ended, or an app or a terminal that looks.

A worker is started detached, in a session of its own, with its output in a file: nothing that happens to the app
reaches it. Whether it lives is asked of the system each time: pid *and* start time, so a pid that was given to another
program is not mistaken for the worker.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil

from asrkit.config import TrainConfig
from asrkit.errors import AsrkitError, RunError
from asrkit.runs import events, models, preparation
from asrkit.runs.store import (
    CANCEL,
    EVALUATE,
    SAVE,
    STOP,
    Run,
    RunStore,
    free_bytes,
    readable_disk_errors,
    write_json,
)

QUEUED, STARTING, RUNNING, STOPPING = "queued", "starting", "running", "stopping"
STOPPED, FINISHED, FAILED, CRASHED = "stopped", "finished", "failed", "crashed"
ACTIVE = frozenset({STARTING, RUNNING, STOPPING})
RESUMABLE = frozenset({STOPPED, FAILED, CRASHED})

NEEDED_BYTES = 200 * 2**20
"""Free disk space without which no run is started: a small model, its checkpoints and its history."""

TORCHRUN = re.compile(r"TORCHELASTIC_\w+|((LOCAL|GROUP|ROLE)_)?(RANK|WORLD_SIZE)|ROLE_NAME|MASTER_(ADDR|PORT)")
"""Names of the environment variables that torchrun sets for its processes."""

TORCHRUN_FLAGS = "ASRKIT_TORCHRUN"
"""Environment variable with flags for torchrun, where other machines take part."""

_WORKER = "asrkit.training.worker"
_PROJECT = Path(__file__).resolve().parents[2]


def start(store: RunStore, config: TrainConfig, run_id: str | None = None) -> Run:
    """Check the data and the base model, make the run and start its worker, or put it in line behind the others.

    DataError or ModelError if they cannot be used; RunError if the id is taken or the disk is full. After an error
    there is no run.
    """
    _refuse_full_disk(store)
    # A run that waits may be started from another working directory.
    config = config.changed({"model": models.lasting(config.model, store)})
    prepared = preparation.prepare(config, store) if preparation.is_local(config) else None
    with store.lock():
        waits = _busy(store)

        def fill(run: Run) -> None:
            if prepared:
                prepared.write(run)
            if waits:
                _queue(run)

        run = store.create(config, run_id, fill)
        if not waits:
            try:
                _spawn(run)
            except BaseException:
                store.delete(run)
                raise
    if waits:
        advance(store)
    return run


def resume(store: RunStore, run: Run) -> Run:
    """Go on with a stopped, failed or crashed run from its last checkpoint, in its turn. RunError if it is none."""
    with store.lock():
        current = status(run)
        if current in ACTIVE or _waits(run):
            return run
        _refuse_claimed(run)
        if current not in RESUMABLE and current != QUEUED:  # made, but cut off before it was started
            raise RunError(f"Run {run.id} is {current}; only a stopped, failed or crashed run can be resumed.")
        _refuse_full_disk(store)
        run.lower_flags()
        run.repair_events()
        if waits := _busy(store):
            _queue(run)
        else:
            _spawn(run)
    if waits:
        advance(store)
    return run


def line(store: RunStore) -> list[Run]:
    """The runs that wait, in the order in which they will be started."""
    return sorted(filter(_waits, store.all()), key=lambda run: (_place(run), run.id))


def _waits(run: Run) -> bool:
    return run.place_path.exists() and status(run) == QUEUED


def _busy(store: RunStore) -> bool:
    """Whether a run that is started now has to wait."""
    return active(store) is not None or bool(line(store))


def ahead(store: RunStore, run: Run) -> list[str]:
    """Ids of the runs that end before `run` begins: the one under way, then those before it in line."""
    waiting = [one.id for one in line(store)]
    before = waiting[: waiting.index(run.id)] if run.id in waiting else []
    busy = active(store)
    return [busy.id, *before] if busy else before


def advance(store: RunStore) -> Run | None:
    """Start the first run in line if none is under way; -> it. One that cannot be started is told to have failed."""
    with store.lock():
        while active(store) is None and (waiting := line(store)):
            run = waiting[0]
            run.place_path.unlink(missing_ok=True)
            try:
                _refuse_full_disk(store)
                _spawn(run)
            except (AsrkitError, OSError, ValueError) as error:
                run.append(events.event(events.FAILED, error="not-started", message=str(error),
                                        remedy="Mend that, then resume the run.", traceback="", begins=True))
                continue
            return run
    return None


def put_first(store: RunStore, run: Run) -> None:
    """Let a waiting run be the next. Does nothing to one that does not wait."""
    with store.lock():
        if _waits(run):
            _queue(run, _place(line(store)[0]) - 1)


def _queue(run: Run, place: float | None = None) -> None:
    write_json(run.place_path, {"place": time.time() if place is None else place})


def _place(run: Run) -> float:
    """Where a waiting run stands: lower is earlier. One whose place cannot be read goes first."""
    try:
        return float(json.loads(run.place_path.read_text(encoding="utf-8"))["place"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0.0


def stop(run: Run) -> None:
    """Ask for stop and save; take a waiting run out of the line. Does nothing to a run that has ended."""
    _end(run, STOP)


def cancel(run: Run) -> None:
    """Ask the run to end and keep nothing but its history; take a waiting run out of the line."""
    _end(run, CANCEL)


def save_now(run: Run) -> None:
    """Ask for a checkpoint after this step. Does nothing to a run that is not under way."""
    if status(run) in (STARTING, RUNNING):
        run.raise_flag(SAVE)


def evaluate_now(run: Run) -> None:
    """Ask for an evaluation after this step. Does nothing to a run that is not under way."""
    if status(run) in (STARTING, RUNNING):
        run.raise_flag(EVALUATE)


def _end(run: Run, flag: str) -> None:
    with RunStore(run.path.parent).lock():
        current = status(run)
        if current in ACTIVE:
            run.raise_flag(flag)
        elif current == QUEUED:
            run.place_path.unlink(missing_ok=True)
            run.append(events.event(events.STOPPED, message="Removed from the queue before it began.",
                                    saved=run.has_model(), model="model" if run.has_model() else None, begins=True))


def delete(store: RunStore, run: Run) -> None:
    """Remove a run for good. RunError while it is under way."""
    with store.lock():
        if status(run) in ACTIVE:
            raise RunError(f"Run {run.id} is under way; stop or cancel it before deleting it.")
        _refuse_claimed(run)
        store.delete(run)


def _refuse_claimed(run: Run) -> None:
    """RunError while a process that cannot be seen from here works on the run: on another machine, in a container."""
    process = run.process()
    if process and not alive(process):
        handle = run.claim(wait_s=2.0)
        if handle is None:
            raise RunError(f"Run {run.id} is under way on {process.get('host')}; stop it there first.")
        os.close(handle)


def kill(run: Run, wait_s: float = 10.0) -> None:
    """End the worker's whole session at once: the last resort, after stop and cancel were not heard."""
    process = run.process()
    if process and alive(process):
        with contextlib.suppress(ProcessLookupError):  # it has just ended by itself
            os.killpg(process["pid"], signal.SIGKILL)
        deadline = time.monotonic() + wait_s
        while alive(process) and time.monotonic() < deadline:
            time.sleep(0.05)


def active(store: RunStore) -> Run | None:
    """The run that is under way, or None."""
    return next((run for run in store.all() if status(run) in ACTIVE), None)


def _refuse_full_disk(store: RunStore) -> None:
    free = free_bytes(store.root)
    if free < NEEDED_BYTES:
        raise RunError(f"The disk that holds {store.root} is full ({free / 2**20:.0f} MB free); "
                       f"free at least {NEEDED_BYTES / 2**20:.0f} MB and start again.")


def _spawn(run: Run) -> None:
    """Start the worker of `run`, detached, and write down who it is: torchrun where there are to be several.

    `$ASRKIT_TORCHRUN` has torchrun's own flags where other machines take part (README). ValueError if it cannot be
    read.
    """
    processes, flags = run.config().processes, shlex.split(os.environ.get(TORCHRUN_FLAGS, ""))
    alone = processes == 1 and not flags
    several = ["-m", "torch.distributed.run", *(flags or ["--standalone"]), f"--nproc-per-node={processes}"]
    command = [sys.executable, *([] if alone else several), "-m", _WORKER, str(run.path.resolve())]
    paths = os.pathsep.join(filter(None, [str(_PROJECT), os.environ.get("PYTHONPATH")]))
    # A worker that ends starts the next in line; what torchrun told it about itself is not for the next. A cluster or
    # a container may have left such words too, and a worker alone would wait for a team that never comes.
    launched = "TORCHELASTIC_RUN_ID" in os.environ
    inherited = {name: value for name, value in os.environ.items()
                 if not ((launched or alone) and TORCHRUN.fullmatch(name))}
    if launched:
        inherited.pop("OMP_NUM_THREADS", None)  # torchrun sets it to 1 for each of several
    inherited.pop(TORCHRUN_FLAGS, None)  # for this run, not for the one that its worker starts when it ends
    environment = {**inherited, "PYTHONPATH": paths, "PYTHONUNBUFFERED": "1"}
    events_from = run.events_size()
    with readable_disk_errors(run.path), open(run.log_path, "ab") as log:
        worker = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                                  start_new_session=True, env=environment)
        try:
            introduce(run, worker.pid, command, events_from)
        except BaseException:
            worker.kill()
            worker.wait()
            raise
    # Waited for in the background: a child that ended and is not waited for stays in the process table.
    threading.Thread(target=_outlive, args=[run, worker, _kills_for_memory()], daemon=True).start()


def _outlive(run: Run, worker: subprocess.Popen, kills: int) -> None:
    """Wait for the worker and, if it ended badly, write down how: a negative number is the signal that killed it."""
    code = worker.wait()
    if code == 0:
        return
    with RunStore(run.path.parent).lock():
        process = run.process()
        if process and process.get("pid") == worker.pid:
            write_json(run.process_path, {**process, "exit": code, "for_memory": _kills_for_memory() > kills})


def _kills_for_memory() -> int:
    """How many processes the system killed for memory in this control group (cgroup v2); 0 where it does not say."""
    try:
        told = Path("/sys/fs/cgroup/memory.events").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in told.splitlines() if line.startswith("oom_kill ")), 0)


def introduce(run: Run, pid: int, command: list[str], events_from: int) -> None:
    """Write `process.json`: who works on the run, and from which byte of the events on it is he who tells."""
    write_json(run.process_path, {**identity(pid), "host": socket.gethostname(), "command": command,
                                  "events_from": events_from})


def identity(pid: int) -> dict[str, Any]:
    """Pid and start of a process. `start` is exact and does not move with the clock; `start_time` is for people."""
    return {"pid": pid, "start": _start(pid), "start_time": time.time()}


def _start(pid: int) -> str | None:
    """A token that no other process of this machine, before or after, has together with the pid; None if it is gone."""
    stat = Path(f"/proc/{pid}/stat")
    if stat.parent.parent.joinpath("stat").exists():
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        # proc(5): field 22 is the start in clock ticks after boot; after the name, it is number 20 of the rest.
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return None if fields[0] in "ZX" else f"{boot}:{fields[19]}"
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.1f}"
    except psutil.NoSuchProcess:
        return None


def alive(process: dict[str, Any] | None) -> bool:
    """Whether the process that `process.json` names still runs on this machine."""
    if not process or process.get("start") is None:
        return False
    # The start that Linux tells is of one boot of one machine, whose name may change; elsewhere the name has to say.
    if ":" not in process["start"] and process.get("host") != socket.gethostname():
        return False
    return _start(int(process["pid"])) == process["start"]


def status(run: Run) -> str:
    """What the run is now, from its last events, its flags and whether its worker lives."""
    process = run.process()
    # Asked before the events are read: a worker that is gone by now has told everything.
    lives = alive(process)
    if not lives and run.place_path.exists():
        return QUEUED
    # An end that was told before the present worker began is the end of an earlier life: the run was resumed.
    since = (process or {}).get("events_from", 0)
    last = run.last_events(size=4096, since=since)
    if last and last[-1].kind in events.ENDS:
        return {events.FINISHED: FINISHED, events.STOPPED: STOPPED, events.FAILED: FAILED}[last[-1].kind]
    if process is None:
        return QUEUED
    if not lives:
        return CRASHED
    if run.flag(STOP) or run.flag(CANCEL):
        return STOPPING
    return RUNNING if any(map(_under_way, last)) or any(map(_under_way, run.last_events(since=since))) else STARTING


def _under_way(told: events.Event) -> bool:
    """Whether the worker had loaded when it told this. A long evaluation may tell of nothing but itself."""
    return told.kind != events.PHASE or told.data.get("phase") in ("training", "evaluating", "saving")
