"""The worker of a run as a process: started detached, known again, ended by force.

It has a session of its own and its output goes to a file: nothing that happens to the app reaches it. Whether it lives
is asked of the system each time: pid *and* start time, so a pid that was given to another program is not mistaken for
the worker.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from asrkit import child
from asrkit.files import readable_disk_errors, write_json
from asrkit.runs import devices
from asrkit.runs.run import Run
from asrkit.runs.store import RunStore

TORCHRUN = re.compile(r"TORCHELASTIC_\w+|((LOCAL|GROUP|ROLE)_)?(RANK|WORLD_SIZE)|ROLE_NAME|MASTER_(ADDR|PORT)")
"""Names of the environment variables that torchrun sets for its processes."""

TORCHRUN_FLAGS = "ASRKIT_TORCHRUN"
"""Environment variable with flags for torchrun, where other machines take part."""

_WORKER = "asrkit.training.worker"


def spawn_worker(run: Run, taken: Sequence[str]) -> None:
    """Start the worker of `run` on the devices `taken`, detached, and write down who it is and what it has: torchrun
    where there are to be several.

    `$ASRKIT_TORCHRUN` has torchrun's own flags where other machines take part (README). ValueError if it cannot be
    read.
    """
    processes, flags = run.config().processes, shlex.split(os.environ.get(TORCHRUN_FLAGS, ""))
    alone = processes == 1 and not flags
    several = ["-m", "torch.distributed.run", *(flags or ["--standalone"]), f"--nproc-per-node={processes}"]
    command = [sys.executable, *([] if alone else several), "-m", _WORKER, str(run.path.resolve())]
    # A worker that ends starts the next in line; what torchrun told it about itself is not for the next. A cluster or
    # a container may have left such words too, and a worker alone would wait for a team that never comes.
    launched = "TORCHELASTIC_RUN_ID" in os.environ
    inherited = {
        name: value for name, value in os.environ.items() if not ((launched or alone) and TORCHRUN.fullmatch(name))
    }
    if launched:
        inherited.pop("OMP_NUM_THREADS", None)  # torchrun sets it to 1 for each of several
    inherited.pop(TORCHRUN_FLAGS, None)  # for this run, not for the one that its worker starts when it ends
    environment = child.environment(
        {**inherited, **devices.worker_environment(taken, inherited), "PYTHONUNBUFFERED": "1"}
    )
    events_from = run.events_size()
    run.heartbeat_path.unlink(missing_ok=True)  # of an earlier life: nobody is silent since then
    with readable_disk_errors(run.path), open(run.log_path, "ab") as log:
        log_from = log.tell()
        worker = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=environment,
        )
        try:
            write_process_info(run, worker.pid, command, events_from, taken, log_from)
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
    # On a full disk this cannot be written down; what the worker said at its end waits in its reserve.
    with contextlib.suppress(OSError), RunStore(run.path.parent).lock():
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


def write_process_info(
    run: Run,
    pid: int,
    command: list[str],
    events_from: int,
    taken: Sequence[str] | None = None,
    log_from: int | None = None,
) -> None:
    """Write `process.json`: who works on the run in which folder, from which byte of the events on it is he who tells,
    and, where that is known, which devices he has and from which byte on the log is his."""
    has = ({} if taken is None else {"devices": list(taken)}) | ({} if log_from is None else {"log_from": log_from})
    write_json(
        run.process_path,
        {
            **identify_process(pid),
            "host": socket.gethostname(),
            "command": command,
            "folder": get_folder_inode(run),
            "events_from": events_from,
            **has,
        },
    )


def identify_process(pid: int) -> dict[str, Any]:
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


def is_alive(process: dict[str, Any] | None) -> bool:
    """Whether the process that `process.json` names still runs on this machine."""
    if not process or process.get("start") is None:
        return False
    # The start that Linux tells is of one boot of one machine, whose name may change; elsewhere the name has to say.
    if ":" not in process["start"] and process.get("host") != socket.gethostname():
        return False
    return _start(int(process["pid"])) == process["start"]


def is_worker_alive(run: Run) -> bool:
    """Whether the worker of the run lives. One that works in the folder of which this is a copy is not its worker."""
    process = run.process()
    return is_alive(process) and process.get("folder", get_folder_inode(run)) == get_folder_inode(run)


def get_folder_inode(run: Run) -> int | None:
    """What a copy of the run's folder does not have in common with it (its inode); None where it cannot be seen."""
    try:
        return run.path.stat().st_ino
    except OSError:
        return None


def kill_worker(run: Run, wait_s: float = 10.0) -> None:
    """End the worker's whole session at once: the last resort, after stop and cancel were not heard."""
    process = run.process()
    if is_worker_alive(run):
        with contextlib.suppress(ProcessLookupError):  # it has just ended by itself
            os.killpg(process["pid"], signal.SIGKILL)
        deadline = time.monotonic() + wait_s
        while is_alive(process) and time.monotonic() < deadline:
            time.sleep(0.05)
