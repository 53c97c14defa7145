"""The fork server: a process that has imported the training libraries, and forks a worker when it is asked to.

A forked worker saves the import of PyTorch and transformers, which takes some seconds. Nothing depends on the server:
where there is none, where it has ended or declines, `fork_worker` returns None, and the caller starts the worker as a
program of its own. The server ends with the process that started it; the workers that it has forked do not.

`asrkit.training.fork_server` is the program. A request is the length of a JSON object, sent with the descriptor of the
log, and the object; the server answers in lines of JSON: the worker's process id, and later how it ended.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from asrkit import child

logger = logging.getLogger(__name__)

SOCKET = "ASRKIT_FORK_SERVER"
"""Environment variable with the path of the server's socket, for this process and its children."""

IMPORT_ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",  # else numpy starts threads on import
    "PYTORCH_NVML_BASED_CUDA_CHECK": "1",  # to look for a GPU must not initialize CUDA, which a fork would break
}
"""Set in the server for as long as it imports, unless the user has set them."""

LENGTH = struct.Struct("!I")

REPLY_LIMIT_S = 10.0
"""How long a request may take. The server forks within milliseconds, unless the machine is out of memory."""

_PROGRAM = "asrkit.training.fork_server"


class ForkServerProcess:
    """A fork server that this process starts, and that ends when this process does or calls `close`."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="asrkit-"))  # mode 0700: nobody else can connect
        self.path = self._folder / "server.sock"  # exists when the server accepts requests
        environment = child.environment({**IMPORT_ENVIRONMENT, **os.environ, "PYTHONUNBUFFERED": "1"})
        self.process = subprocess.Popen(
            [*child.module_command(_PROGRAM), str(self.path)],
            stdin=subprocess.PIPE,  # never written: its end tells the server that this process has ended
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # an interrupt in the terminal is for this process
            env=environment,
        )
        os.environ[SOCKET] = str(self.path)

    def close(self) -> None:
        """End the server. Its workers go on."""
        if os.environ.get(SOCKET) == str(self.path):
            del os.environ[SOCKET]
        self.process.terminate()  # it may still be importing and would not notice the end of its input
        self.process.communicate()
        shutil.rmtree(self._folder, ignore_errors=True)


def start_fork_server() -> ForkServerProcess | None:
    """Start a fork server for this process and its children; None where they have one or cannot have one.

    Only Linux, where libraries can be used after a fork.
    """
    if sys.platform != "linux":
        return None
    if (connection := _connect()) is not None:
        connection.close()
        return None
    return ForkServerProcess()


class ForkedWorker:
    """A worker that the server has forked: what its supervisor needs of `subprocess.Popen`."""

    def __init__(self, pid: int, replies: IO[bytes]) -> None:
        self.pid, self._replies = pid, replies

    def wait(self) -> int | None:
        """Wait for the end of the worker and return its exit code; None if the server has ended before."""
        with self._replies:
            return (_read_reply(self._replies) or {}).get("exit")

    def kill(self) -> None:
        """Kill the worker, and what it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)


def fork_worker(arguments: list[str], environment: Mapping[str, str], log: IO[bytes]) -> ForkedWorker | None:
    """Let the server fork a worker, in a session of its own and with its output in `log`; None if it does not.

    arguments: of `asrkit.training.worker`.
    """
    connection = _connect()
    if connection is None:
        return None
    request = json.dumps({"arguments": arguments, "environment": dict(environment), "folder": os.getcwd()}).encode()
    try:
        with connection:  # the file below keeps it open
            replies = connection.makefile("rb")
            socket.send_fds(connection, [LENGTH.pack(len(request))], [log.fileno()])
            connection.sendall(request)
            reply = _read_reply(replies)
            connection.settimeout(None)
    except OSError:
        return None
    if not reply or "pid" not in reply:
        replies.close()
        logger.debug("The fork server does not fork this worker: %s", (reply or {}).get("refused", "it has ended"))
        return None
    return ForkedWorker(reply["pid"], replies)


def _connect() -> socket.socket | None:
    """Connect to the server of this process; None if there is none."""
    path = os.environ.get(SOCKET)
    if not path or sys.platform != "linux":
        return None
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(REPLY_LIMIT_S)
        connection.connect(path)
        if is_same_user(connection):
            return connection
    except OSError:
        pass
    connection.close()
    return None


def is_same_user(connection: socket.socket) -> bool:
    """Whether the process at the other end belongs to this process's user (unix(7), SO_PEERCRED)."""
    credentials = struct.Struct("3i")
    _, user, _ = credentials.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, credentials.size))
    return bool(user == os.geteuid())


def _read_reply(replies: IO[bytes]) -> dict[str, Any] | None:
    """Read one answer of the server; None if it has ended."""
    try:
        line = replies.readline()
    except OSError:
        return None
    return json.loads(line) if line.endswith(b"\n") else None
