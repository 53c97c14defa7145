"""The worker of a run as a process: start it detached, recognise it, kill it.

A worker that trains alone is forked by the fork server where there is one (`fork_server`), which saves its imports;
all others are started as programs. Either way it has a session of its own and writes its output to a file, so nothing
that happens to the app reaches it. The system is queried each time whether it is alive, by pid *and* start time, so
that another program with the same pid is not mistaken for the worker.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import psutil

from asrkit import child
from asrkit.data import access
from asrkit.files import readable_disk_errors, write_json
from asrkit.hub import credentials
from asrkit.runs import devices, fork_server, ownership
from asrkit.runs.run import Run
from asrkit.runs.store import RunStore

TORCHRUN = re.compile(r"TORCHELASTIC_\w+|((LOCAL|GROUP|ROLE)_)?(RANK|WORLD_SIZE)|ROLE_NAME|MASTER_(ADDR|PORT)")
"""Environment variables that torchrun sets for its processes."""

TORCHRUN_FLAGS = "ASRKIT_TORCHRUN"
"""Environment variable with flags for torchrun, for runs on several machines."""

ALONE = ["--standalone"]
"""Flags of torchrun for a run on one machine."""

_WORKER = "asrkit.training.worker"

_Process = subprocess.Popen[bytes] | fork_server.ForkedWorker


def spawn_worker(run: Run, assigned: Sequence[str]) -> None:
    """Start the worker of `run` on the devices `assigned`, detached, and write `process.json`.

    Several processes are started by torchrun, with the flags in `$ASRKIT_TORCHRUN` where other machines take part.
    ValueError if these cannot be parsed.
    """
    flags = shlex.split(os.environ.get(TORCHRUN_FLAGS, "")) or ALONE
    command = worker_command(run, None if _is_single_process(run) else flags)
    environment = _worker_environment(run, assigned)
    events_from = run.events_size()
    run.heartbeat_path.unlink(missing_ok=True)  # of an earlier worker, which no longer counts
    with readable_disk_errors(run.path), open(run.log_path, "ab") as log:
        log_from = log.tell()
        worker = _start(command, environment, log)
        try:
            write_process_info(run, worker.pid, command, events_from, assigned, log_from)
        except BaseException:
            worker.kill()
            worker.wait()
            raise
    # A child that has ended stays in the process table until somebody waits for it.
    threading.Thread(target=_record_exit, args=[run, worker, _count_oom_kills()], daemon=True).start()


def _start(command: list[str], environment: Mapping[str, str], log: IO[bytes]) -> _Process:
    """Fork the worker from the fork server if that is possible, else start the command."""
    if command[1:3] == ["-m", _WORKER] and (forked := fork_server.fork_worker(command[3:], environment, log)):
        return forked
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        env=environment,
    )


def _is_single_process(run: Run) -> bool:
    return run.config().processes == 1 and not os.environ.get(TORCHRUN_FLAGS, "").strip()


def worker_command(run: Run, torchrun_flags: Sequence[str] | None) -> list[str]:
    """Return the command of the worker: a single process, or with flags of torchrun as many as are configured."""
    torchrun = ["-m", "torch.distributed.run", *(torchrun_flags or ()), f"--nproc-per-node={run.config().processes}"]
    launcher = [] if torchrun_flags is None else torchrun
    return [sys.executable, *launcher, "-m", _WORKER, str(run.path.resolve())]


def job_command(run: Run) -> list[str]:
    """Return the command of the worker for a job on one machine."""
    return worker_command(run, None if run.config().processes == 1 else ALONE)


def _worker_environment(run: Run, assigned: Sequence[str]) -> dict[str, str]:
    # A worker that ends starts the next queued run, which must not inherit torchrun's variables. A cluster or a
    # container may have set some too, and a single process would then wait for others that never come.
    is_launched = "TORCHELASTIC_RUN_ID" in os.environ
    is_cleared = is_launched or _is_single_process(run)
    inherited = {name: value for name, value in os.environ.items() if not (is_cleared and TORCHRUN.fullmatch(name))}
    if is_launched:
        inherited.pop("OMP_NUM_THREADS", None)  # torchrun sets it to 1 for each of several processes
    inherited.pop(TORCHRUN_FLAGS, None)  # for this run, not for the one that its worker starts
    return job_environment(run, {**inherited, **devices.worker_environment(assigned, inherited)})


def job_environment(run: Run, inherited: Mapping[str, str]) -> dict[str, str]:
    """Return `inherited` for the worker of a run: with this package, and the Hub token if the run is the operator's."""
    is_operators = access.owner_folder(ownership.read_ownership(run).owner) is None
    environment = credentials.worker_environment(dict(inherited), is_operators)
    return child.environment({**environment, "PYTHONUNBUFFERED": "1"})


def _record_exit(run: Run, worker: _Process, oom_kills: int) -> None:
    """Wait for the worker and write its exit code if it is not 0. A negative code is the signal that killed it."""
    code = worker.wait()
    if not code:  # it succeeded, or nobody knows how it ended
        return
    # On a full disk this cannot be written; the end event of the worker is in its reserve then.
    with contextlib.suppress(OSError), RunStore(run.path.parent).lock():
        process = run.process()
        if process and process.get("pid") == worker.pid:
            write_json(run.process_path, {**process, "exit": code, "for_memory": _count_oom_kills() > oom_kills})


def _count_oom_kills() -> int:
    """Count the processes of this control group that were killed for memory (cgroup v2); 0 where that is unknown."""
    try:
        text = Path("/sys/fs/cgroup/memory.events").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith("oom_kill ")), 0)


def write_submission(run: Run, launcher: str) -> None:
    """Write a `process.json` without a process: a launcher with a queue of its own starts the worker later."""
    write_json(
        run.process_path,
        {
            "launcher": launcher,
            "devices": [],
            "folder": get_folder_inode(run),
            "events_from": run.events_size(),
            "log_from": run.log_size(),
        },
    )


def write_job_process(run: Run, pid: int, command: list[str], nodes: str) -> None:
    """Add the process to what `write_submission` has written: the launcher has started a worker.

    nodes: those of the job, in the cluster's notation.
    """
    present = {"host": socket.gethostname(), "command": command, "nodes": nodes, "events_from": run.events_size()}
    write_json(run.process_path, {**(run.process() or {}), **identify_process(pid), **present})


def write_process_info(
    run: Run,
    pid: int,
    command: list[str],
    events_from: int,
    assigned: Sequence[str] | None = None,
    log_from: int | None = None,
) -> None:
    """Write `process.json`.

    events_from, log_from: the bytes of the events and of the log from which on they are this worker's. assigned: its
    devices. The latter two may be unknown.
    """
    optional = {"devices": None if assigned is None else list(assigned), "log_from": log_from}
    write_json(
        run.process_path,
        {
            **identify_process(pid),
            "host": socket.gethostname(),
            "command": command,
            "folder": get_folder_inode(run),
            "events_from": events_from,
            **{name: value for name, value in optional.items() if value is not None},
        },
    )


def identify_process(pid: int) -> dict[str, Any]:
    """Return pid and start of a process. `start` is exact and independent of the clock; `start_time` is for people."""
    return {"pid": pid, "start": _start_token(pid), "start_time": time.time()}


def _start_token(pid: int) -> str | None:
    """Return a token that no other process with this pid ever has on this machine; None if the process is gone."""
    stat = Path(f"/proc/{pid}/stat")
    if stat.parent.parent.joinpath("stat").exists():
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        # proc(5): field 22 is the start in clock ticks after boot; after the name, it is number 20 of the rest.
        return None if fields[0] in "ZX" else f"{_boot_id()}:{fields[19]}"
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.1f}"
    except psutil.NoSuchProcess:
        return None


@functools.cache
def _boot_id() -> str:
    """Return the kernel's id of this boot; empty where it has none (outside Linux)."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def is_alive(process: dict[str, Any] | None) -> bool:
    """Whether the process that `process.json` names still runs on this machine."""
    if not process or process.get("start") is None:
        return False
    # On Linux the token is of one boot of one machine, whose name may change; elsewhere the host name has to decide.
    if ":" not in process["start"] and process.get("host") != socket.gethostname():
        return False
    return _start_token(int(process["pid"])) == process["start"]


def is_elsewhere(process: dict[str, Any] | None) -> bool:
    """Whether `process.json` names a process of another machine, or of another boot of this one."""
    start = (process or {}).get("start")
    if process is None or start is None:
        return False
    return not start.startswith(f"{_boot_id()}:") if ":" in start else process.get("host") != socket.gethostname()


def is_worker_alive(run: Run) -> bool:
    """Whether the worker of the run is alive. In a copy of a run directory, the worker is that of the original."""
    process = run.process()
    if process is None or not is_alive(process):
        return False
    inode = get_folder_inode(run)
    return bool(process.get("folder", inode) == inode)


def get_folder_inode(run: Run) -> int | None:
    """Return the inode of the run directory, which differs from that of a copy; None if there is no such directory."""
    try:
        return run.path.stat().st_ino
    except OSError:
        return None


def kill_worker(run: Run, wait_s: float = 10.0) -> None:
    """Kill the worker's whole session: the last resort, when stop and cancel had no effect."""
    process = run.process()
    if process is not None and is_worker_alive(run):
        with contextlib.suppress(ProcessLookupError):  # it has just ended by itself
            os.killpg(process["pid"], signal.SIGKILL)
        deadline = time.monotonic() + wait_s
        while is_alive(process) and time.monotonic() < deadline:
            time.sleep(0.05)
