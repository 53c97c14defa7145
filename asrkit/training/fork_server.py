"""`python -m asrkit.training.fork_server SOCKET`: import the training libraries once, and fork workers on request.

A fork copies only the thread that calls it, so the server has no other threads and never initializes CUDA; it checks
both. `asrkit.runs.fork_server` is the other side.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import json
import os
import re
import select
import shutil
import signal
import socket
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from asrkit import startup
from asrkit.runs import fork_server, processes

READ_LIMIT_S = 5.0
"""How long a client may take to send its request, as the others wait."""

NOT_ON_IMPORT = re.compile(
    r"ASRKIT_\w+|CUDA_VISIBLE_DEVICES|CUDA_DEVICE_ORDER|GRADIO_\w+|PATH|OLDPWD|PWD|SHLVL|_|PYTEST_\w+"
)
"""Environment variables that no library reads on import; those of shells and pytest change at every start."""

OMP_NUM_THREADS = "OMP_NUM_THREADS"

FORK_SAFE_THREADS = ("jemalloc_bg_thd",)
"""Threads of libraries that take care of forks themselves: that of pyarrow's allocator."""

_PR_SET_NAME = 15


def main(socket_path: str) -> int:
    """Serve until standard input ends. In a forked worker, train, and return the worker's exit code."""
    for name in filter(processes.TORCHRUN.fullmatch, list(os.environ)):
        del os.environ[name]  # of no worker that this server forks
    server = ForkServer(Path(socket_path))
    arguments = server.serve()
    if arguments is None:
        return 0
    from asrkit.training import worker

    return _exit(worker.main(arguments))


def _exit(code: int) -> NoReturn:
    """End a forked process as `multiprocessing` does.

    To take down the interpreter would copy all that the process shares with the server, which takes 0.4 s.
    """
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


class ForkServer:
    """Forks workers for requests at a Unix socket. All in one thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.environment = dict(os.environ)
        _import_libraries()
        _check_threads()
        self._environment_after = dict(os.environ)
        self._replies: dict[int, socket.socket] = {}  # by the worker's process id
        self._wakeups = socket.socketpair()
        for end in self._wakeups:
            end.setblocking(False)
        signal.set_wakeup_fd(self._wakeups[1].fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        draft = path.with_suffix(".new")  # whoever sees the socket can connect to it
        self._listener.bind(str(draft))
        self._listener.listen(16)
        draft.rename(path)

    def serve(self) -> list[str] | None:
        """Fork workers until standard input ends, and return None; in a forked worker, return its arguments."""
        while True:
            ready, _, _ = select.select([self._listener, self._wakeups[0], sys.stdin], [], [])
            if self._wakeups[0] in ready:
                self._reap()
            if sys.stdin in ready:  # the process that started the server has ended
                shutil.rmtree(self.path.parent, ignore_errors=True)
                return None
            if self._listener in ready:
                connection, _ = self._listener.accept()
                arguments = self._answer(connection)
                if arguments is not None:
                    return arguments

    def _reap(self) -> None:
        """Tell the supervisors of ended workers how they ended."""
        with contextlib.suppress(BlockingIOError):
            self._wakeups[0].recv(4096)
        for pid, connection in list(self._replies.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                del self._replies[pid]
                _reply(connection, {"exit": os.waitstatus_to_exitcode(status)})
                connection.close()

    def _answer(self, connection: socket.socket) -> list[str] | None:
        """Fork the worker that is asked for. Return None; in the worker, its arguments."""
        connection.settimeout(READ_LIMIT_S)
        try:
            request, log = _read_request(connection)
        except (OSError, ValueError):
            connection.close()
            return None
        try:
            refusal = self._find_refusal(request["environment"])
            pid = None if refusal else _fork()
            if pid == 0:
                self._become_worker(request, log, connection)
                return list(request["arguments"])
            if pid is not None:
                self._replies[pid] = connection
                return None
        except OSError as error:
            refusal = str(error)
        finally:
            os.close(log)
        _reply(connection, {"refused": refusal})
        connection.close()
        return None

    def _find_refusal(self, requested: Mapping[str, str]) -> str:
        """Return why the libraries, imported with this server's environment, do not suit the one `requested`.

        Empty if they do.
        """
        threads = requested.get(OMP_NUM_THREADS)
        if threads != self.environment.get(OMP_NUM_THREADS) and not (threads or "").isdecimal():
            return f"{OMP_NUM_THREADS} differs"
        changed = {name for name, _ in self.environment.items() ^ requested.items()}
        # The libraries that set variables on import have done so in the supervisor's process too, if it has them.
        changed &= {name for name, _ in self._environment_after.items() ^ requested.items()}
        ignored = {OMP_NUM_THREADS, *fork_server.IMPORT_ENVIRONMENT}
        differing = [name for name in sorted(changed) if name not in ignored and not NOT_ON_IMPORT.fullmatch(name)]
        return f"{', '.join(differing)} differ" if differing else ""

    def _become_worker(self, request: dict[str, Any], log: int, connection: socket.socket) -> None:
        """Turn the forked process into what a worker started as a program would be, then send its process id."""
        os.setsid()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for held in (self._listener, *self._wakeups, *self._replies.values()):
            held.close()
        null = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((null, 0), (log, 1), (log, 2)):
            os.dup2(source, target)
        os.close(null)
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update(request["environment"])
        _set_threads(os.environ.get(OMP_NUM_THREADS), self.environment.get(OMP_NUM_THREADS))
        _check_cuda()
        sys.argv = [sys.modules["asrkit.training.worker"].__file__ or "", *request["arguments"]]
        _set_command_line([sys.executable, "-m", "asrkit.training.worker", *request["arguments"]])
        with connection:
            connection.sendall(json.dumps({"pid": os.getpid()}).encode() + b"\n")


def _import_libraries() -> None:
    """Import what every worker imports; with wav2vec2 as the architecture, because it is the most frequent."""
    with startup.fast_imports():
        import torch  # noqa: F401
        import transformers.models.wav2vec2.modeling_wav2vec2  # noqa: F401

        import asrkit.training.trainer
        import asrkit.training.worker  # noqa: F401


def _fork() -> int:
    with warnings.catch_warnings():
        # Python 3.12 and newer warn of any thread; `_check_threads` has found only harmless ones.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _check_threads() -> None:
    """Exit if a library has started a thread that a fork could leave holding a lock."""
    tasks = Path("/proc/self/task")
    names = [(task / "comm").read_text().strip() for task in tasks.iterdir() if task.name != str(os.getpid())]
    if unsafe := [name for name in names if name not in FORK_SAFE_THREADS]:
        sys.exit(f"The fork server is not used: libraries have started threads ({', '.join(unsafe)}).")


def _check_cuda() -> None:
    """Exit if CUDA was initialized before the fork: it cannot be used then."""
    import torch

    if torch.cuda._is_in_bad_fork():
        sys.exit("CUDA was initialized before the fork.")


def _set_threads(requested: str | None, present: str | None) -> None:
    """Let PyTorch compute with as many threads as requested: OpenMP has read its variable on import."""
    import torch

    if requested and requested != present:
        torch.set_num_threads(int(requested))


def _set_command_line(arguments: list[str]) -> None:
    """Let ps and top show this command, as far as there is room where the kernel reads it (proc(5), cmdline)."""
    ctypes.CDLL(None).prctl(_PR_SET_NAME, b"asrkit-worker")
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    start, end = int(fields[45]), int(fields[46])  # arg_start and arg_end, fields 48 and 49
    if start < end:
        command = b"\0".join(map(os.fsencode, arguments))[: end - start - 1]
        ctypes.memmove(start, command.ljust(end - start, b"\0"), end - start)


def _read_request(connection: socket.socket) -> tuple[dict[str, Any], int]:
    """Read a request; return it and the descriptor of the log. OSError or ValueError if it is not one of this user."""
    header, descriptors, _, _ = socket.recv_fds(connection, fork_server.LENGTH.size, 1)
    try:
        if not fork_server.is_same_user(connection) or len(header) < fork_server.LENGTH.size or not descriptors:
            raise ValueError("no request of this user")
        (size,) = fork_server.LENGTH.unpack(header)
        with connection.makefile("rb") as file:
            body = file.read(size)
        return json.loads(body), descriptors[0]
    except BaseException:
        for descriptor in descriptors:
            os.close(descriptor)
        raise


def _reply(connection: socket.socket, message: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):  # the supervisor has ended
        connection.sendall(json.dumps(message).encode() + b"\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
