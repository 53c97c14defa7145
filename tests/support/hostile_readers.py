"""Readers that were taken over by the file that they read: what they try runs in a real sandbox."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from asrkit.errors import ColumnError


def _attempt(act: Callable[[], object]) -> str:
    """Return what came of an attempt: the name of its error, or its result."""
    try:
        return repr(act())
    except BaseException as error:
        return type(error).__name__


def read(path: str) -> str:
    return Path(path).read_text()


def try_to_read(path: str) -> str:
    return _attempt(lambda: Path(path).read_bytes()[:100])


def try_to_list(folder: str) -> str:
    return _attempt(lambda: os.listdir(folder))


def try_to_write(path: str) -> str:
    return _attempt(lambda: Path(path).write_text("changed"))


def try_to_rename(source: str, target: str) -> str:
    return _attempt(lambda: os.rename(source, target))


def environment() -> dict[str, str]:
    return dict(os.environ)


def processes_environment() -> str:
    return _attempt(lambda: Path(f"/proc/{os.getppid()}/environ").read_bytes())


def try_sockets(port: int) -> list[str]:
    kinds = ((socket.AF_INET, socket.SOCK_STREAM), (socket.AF_INET, socket.SOCK_DGRAM), (socket.AF_UNIX, 1))
    return [
        *(_attempt(lambda kind=kind: socket.socket(*kind)) for kind in kinds),
        _attempt(lambda: socket.create_connection(("127.0.0.1", port), timeout=5)),
    ]


def try_programs() -> list[str]:
    return [
        _attempt(lambda: subprocess.run(["/bin/true"])),
        _attempt(os.fork),
        _attempt(lambda: os.execv("/bin/true", ["true"])),
    ]


def try_other_processes(pid: int) -> list[str]:
    return [
        _attempt(lambda: os.kill(pid, 0)),
        _attempt(lambda: resource.prlimit(pid, resource.RLIMIT_NOFILE, (10, 10))),
        _attempt(lambda: _call(101, 16, pid, 0, 0)),  # ptrace, PTRACE_ATTACH
    ]


def _call(*arguments: int) -> int:
    if (result := ctypes.CDLL(None, use_errno=True).syscall(*arguments)) < 0:
        raise OSError(ctypes.get_errno(), "failed")
    return int(result)


def run_thread() -> int:
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(1))
    thread.start()
    thread.join()
    return sum(found)


def allocate(num_bytes: int) -> int:
    return len(np.ones(num_bytes, np.int8))


def spin() -> None:
    while True:
        pass


def crash() -> None:
    ctypes.string_at(0)


def exit_quietly() -> None:
    os._exit(0)


def hang() -> None:
    time.sleep(3600)


def end_oneself() -> None:
    signal.raise_signal(signal.SIGKILL)


def lie() -> float:
    return "no number"  # type: ignore[return-value]


def ask_for_columns() -> None:
    raise ColumnError("Choose.", ["a", "b"])


def fail() -> None:
    raise KeyError("/secret/path")


def count_open_files() -> str:
    files = []
    return _attempt(lambda: [files.append(os.open("/dev/null", os.O_RDONLY)) for _ in range(10_000)])


def half(samples: npt.NDArray[np.float32], rate: int) -> tuple[int, npt.NDArray[np.float32]]:
    return rate, samples / 2


def count_up(limit: int) -> Iterator[npt.NDArray[np.float32]]:
    for number in range(limit):
        yield np.full(1000, number, np.float32)
