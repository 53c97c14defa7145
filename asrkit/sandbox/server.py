"""`python -m asrkit.sandbox.server DESCRIPTOR`: fork a confined process for each socket that arrives at DESCRIPTOR.

It is started without an environment, so that neither it nor what it forks has ever known a token. It imports the
modules of the functions that it is asked for, and has no other threads, because the kernel would not confine those.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import pickle
import signal
import socket
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import numpy.ma  # noqa: F401, which NumPy would import in every process

from asrkit import errors
from asrkit.sandbox import confinement, limits, messages
from asrkit.sandbox.limits import ResourceLimits
from asrkit.sandbox.messages import Call, Confinement

MAX_NAME_BYTES = 4096
PACKAGE = Path(__file__).resolve().parents[1]
LIBRARIES = ("/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/localtime", "/dev/zero", "/dev/urandom")
"""What libraries read beside Python's own folders."""


def main(descriptor: int) -> int:
    """Fork until the other end is closed."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel removes what has ended
    signal.signal(
        signal.SIGTERM, signal.SIG_IGN
    )  # a cluster sends it to all processes of a job, and the worker saves first
    with socket.socket(fileno=descriptor) as control:
        while True:
            name, descriptors, _, _ = socket.recv_fds(control, MAX_NAME_BYTES, 1)
            if not name:
                return 0
            connection = socket.socket(fileno=descriptors[0])
            importlib.import_module(name.decode())
            gc.freeze()  # so that no process copies what it shares, to look for garbage in it
            if _fork() == 0:
                control.close()
                _serve(connection)
            connection.close()


def _fork() -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads: those of libraries are not copied
        return os.fork()


def _serve(connection: socket.socket) -> NoReturn:
    """Confine this process, then answer calls until the other end is closed."""
    try:
        source = connection.makefile("rb")
        confined: Confinement = _receive(source)
        _confine(confined)
        messages.send(connection, messages.READY, os.getpid())
        while True:
            _answer(connection, _receive(source), confined.limits)
    except confinement.ConfinementError as error:
        messages.send(connection, messages.FAILURE, ("", str(error), ()))
    except (EOFError, OSError):
        pass
    finally:
        os._exit(0)


def _receive(source: BinaryIO) -> Any:
    """Receive what the app sends, which is trusted."""
    return pickle.load(source)


def _confine(confined: Confinement) -> None:
    os.environ.clear()
    os.environ.update(confined.environment)
    with contextlib.suppress(OSError):  # it was removed
        os.chdir(confined.folder)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    os.close(null)
    limits.apply(confined.limits, is_writing=bool(confined.writes))
    own: list[str | Path] = [PACKAGE, PACKAGE.parent / "assets", sys.prefix, sys.base_prefix, *LIBRARIES]
    folders = [folder for folder in sys.path if folder and Path(folder) != PACKAGE.parent]
    confinement.confine(map(Path, (*own, *folders, *confined.reads)), map(Path, (os.devnull, *confined.writes)))


def _answer(connection: socket.socket, call: Call, limit: ResourceLimits) -> None:
    limits.grant_cpu(limit.cpu_s)
    try:
        function: Callable[..., Any] = getattr(sys.modules[call.module], call.name)
        result = function(*call.arguments)
        if not call.is_stream:
            messages.send(connection, messages.RESULT, result)
            return
        for item in result:
            messages.send(connection, messages.ITEM, item)
            limits.grant_cpu(limit.cpu_s)
        messages.send(connection, messages.END, None)
    except (BrokenPipeError, ConnectionResetError):
        raise
    except Exception as error:
        messages.send(connection, messages.FAILURE, _describe(error))


def _describe(error: Exception) -> messages.Failure:
    if isinstance(error, MemoryError):
        return "MemoryError", "", ()
    for kind in type(error).__mro__:
        if kind.__module__ == errors.__name__:
            return kind.__name__, str(error), getattr(error, "column_names", ())
    lines = traceback.format_exception(error)
    return type(error).__name__, "".join(lines)[-4000:], ()


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
