"""Start the server (`server`) that forks confined processes, and ask it for them."""

from __future__ import annotations

import atexit
import os
import socket
import subprocess
import threading

from asrkit import child

ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",  # a fork would lose the others
    "OMP_NUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": str(64 << 20),  # else each clip's samples are fresh pages, a fifth of all the time
    "MALLOC_TRIM_THRESHOLD_": str(256 << 20),
}


class Server:
    """The server that forks confined processes. It ends when this process, and those forked from it, have."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [*child.module_command("asrkit.sandbox.server"), str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # an interrupt in the terminal is for this process
                env=child.bare_environment() | ENVIRONMENT,
            )
        self._owner = os.getpid()

    def request(self, module: str, connection: socket.socket) -> None:
        """Ask for a process that imports `module`. Raises OSError where the server has ended."""
        socket.send_fds(self._control, [module.encode()], [connection.fileno()])

    def close(self) -> None:
        self._control.close()
        if self._owner == os.getpid():
            self._process.wait()


_lock = threading.Lock()
_server: Server | None = None


def request_fork(module: str, connection: socket.socket) -> None:
    """Let the server fork a process for this end of a socket; start the server where there is none."""
    global _server
    with _lock:
        if _server is not None:
            try:
                return _server.request(module, connection)
            except OSError:  # somebody has ended it
                _server.close()
        _server = Server()
        _server.request(module, connection)


def _renew_lock() -> None:
    global _lock
    _lock = threading.Lock()


@atexit.register
def _close_server() -> None:
    if _server is not None:
        _server.close()


os.register_at_fork(after_in_child=_renew_lock)
