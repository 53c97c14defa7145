"""The app's side: start confined processes, and call functions in them."""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import signal
import socket
import typing
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any, Self, TypeVar

from asrkit import errors
from asrkit.errors import AsrkitError, ColumnError, DataError
from asrkit.sandbox import confinement, limits, messages, server_process
from asrkit.sandbox.allowed_paths import limit_number
from asrkit.sandbox.confinement import landlock_version
from asrkit.sandbox.limits import ResourceLimits
from asrkit.sandbox.messages import Call, Confinement

logger = logging.getLogger(__name__)

REQUIRED_VARIABLE = "ASRKIT_SANDBOX"
"""Environment variable, of this process and its workers: "required" where strangers may send files."""
BUFFER_BYTES = 1 << 18

_ERRORS = {
    name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, AsrkitError)
}
DEFAULT_LIMITS = ResourceLimits()
_limits: ContextVar[ResourceLimits] = ContextVar("sandbox_limits", default=DEFAULT_LIMITS)

Result = TypeVar("Result")


def require() -> None:
    """Refuse, from now on and in workers too, to read files where the kernel cannot confine what reads them."""
    os.environ[REQUIRED_VARIABLE] = "required"


def can_confine() -> bool:
    """Return whether the kernel keeps confined processes from other files."""
    return landlock_version() > 0


@contextlib.contextmanager
def limited(limit: ResourceLimits) -> Iterator[None]:
    """Give these limits to every `Sandbox` that is made in this context."""
    token = _limits.set(limit)
    try:
        yield
    finally:
        _limits.reset(token)


class _ForbiddenError(DataError):
    """A function may not open a file."""


class Sandbox:
    """Confined processes for one piece of work: each thread that calls has one, and they are kept for the next call.

    reads, writes: files and folders that the functions may read, and may read and change. environment: variables that
    they see; they see no others.

    Raises DataError where the kernel cannot confine them but must (`require`).
    """

    def __init__(
        self,
        reads: Iterable[str | Path],
        writes: Iterable[str | Path] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        if os.environ.get(REQUIRED_VARIABLE) == "required" and not can_confine():
            raise DataError(
                "This app is open to everybody and therefore reads no files, because the kernel of its machine cannot "
                "confine what reads them (it needs Landlock, of Linux 5.13 or newer); whoever runs the app can move it "
                "to another one."
            )
        self.limits = _limits.get()
        self._confined = Confinement(
            tuple(map(str, limit_number(reads))),
            tuple(map(str, writes)),
            self.limits,
            os.getcwd(),
            tuple((environment or {}).items()),
        )
        self._idle: list[_Process] = []
        self._pid = os.getpid()
        weakref.finalize(self, _close_all, self._idle)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_idle": []}  # for the processes of a data loader, where they are not forked

    def close(self) -> None:
        """End the processes that no call uses."""
        _close_all(self._idle)

    def call(
        self,
        function: Callable[..., Result],
        *arguments: Any,
        about: object,
        error: type[AsrkitError] = DataError,
    ) -> Result:
        """Return what a module's function returns, or raise the error of `asrkit.errors` that it raises.

        about: the file, for messages. error: what is raised where the function breaks down or exceeds the limits.
        In a process that is confined already, the function is called there.
        """
        if confinement.is_confined():
            with limits.tightened(self.limits):
                return function(*arguments)
        try:
            (result,) = self._run(function, arguments, False, about, error)
        except _ForbiddenError:  # its file was replaced since the process began: that one may read the old file alone
            self.close()
            try:
                (result,) = self._run(function, arguments, False, about, error)
            except _ForbiddenError as reason:
                raise error(str(reason)) from None
        return typing.cast(Result, result)

    def stream(
        self,
        function: Callable[..., Iterator[Result]],
        *arguments: Any,
        about: object,
        error: type[AsrkitError] = DataError,
    ) -> Iterator[Result]:
        """Yield what a module's function yields; otherwise as `call`. The function waits while nobody asks for more."""
        if confinement.is_confined():
            with limits.tightened(self.limits):
                yield from function(*arguments)
            return
        yield from self._run(function, arguments, True, about, error)

    def _run(
        self, function: Callable[..., Any], arguments: tuple[Any, ...], is_stream: bool, about: object, error: type
    ) -> Iterator[Any]:
        decode = _reply_decoder(function, is_stream)
        process = None
        try:
            process = self._take(function.__module__)
            process.send(Call(function.__module__, function.__name__, arguments, is_stream))
            while True:
                state, value, data = process.receive()
                if state == messages.END:
                    break
                if state == messages.FAILURE:
                    failure = messages.decoder(messages.Failure)(value, data)
                    break
                result = decode(value, data)
                if state == messages.RESULT:
                    break
                yield result
        except (OSError, EOFError, ValueError) as reason:  # TimeoutError is one of the first
            if process:
                process.kill()
            logger.warning("The reader of %s has broken down: %r", about, reason)
            raise error(_describe_breakdown(about, self.limits)) from None
        except BaseException:
            if process:
                process.kill()
            raise
        if state == messages.FAILURE and failure[0] not in _ERRORS:
            process.kill()
        else:
            self._idle.append(process)
        if state == messages.FAILURE:
            raise _make_error(failure, about, error, self.limits)
        if state == messages.RESULT:
            yield result

    def _take(self, module: str) -> _Process:
        if self._pid != os.getpid():  # forked: those processes answer to another one
            self._pid = os.getpid()
            self.close()
        while self._idle:
            with contextlib.suppress(IndexError):  # another thread has taken it
                return self._idle.pop()
        return _Process(self._confined, module)


class _Process:
    """A confined process, and the socket to it."""

    def __init__(self, confined: Confinement, module: str) -> None:
        self._owner, self._limits, self._is_alive = os.getpid(), confined.limits, True
        self._connection, theirs = socket.socketpair()
        with theirs:
            server_process.request_fork(module, theirs)
        try:
            self._connection.settimeout(confined.limits.wait_s)
            self._replies = typing.cast(typing.BinaryIO, self._connection.makefile("rb", BUFFER_BYTES))
            self.send(confined)
            kind, value, _ = self.receive()
            if kind != messages.READY:
                raise OSError(str(value))
            self._pid: int = value
        except BaseException:
            self._connection.close()
            raise

    def send(self, value: Any) -> None:
        self._connection.sendall(pickle.dumps(value))

    def receive(self) -> tuple[bytes, Any, bytearray]:
        try:
            return messages.receive(self._replies, self._limits.reply_bytes)
        except EOFError:
            self._is_alive = False
            raise

    def kill(self) -> None:
        """End the process now."""
        self.close()
        if self._is_alive and self._owner == os.getpid():
            with contextlib.suppress(OSError):
                os.kill(self._pid, signal.SIGKILL)

    def close(self) -> None:
        """Close the socket, at which the process ends."""
        self._replies.close()
        self._connection.close()


@cache
def _reply_decoder(function: Callable[..., Any], is_stream: bool) -> messages.Decoder:
    kind = typing.get_type_hints(function)["return"]
    return messages.decoder(typing.get_args(kind)[0] if is_stream else kind)


def _close_all(processes: list[_Process]) -> None:
    while processes:
        processes.pop().close()


def _make_error(
    failure: messages.Failure, about: object, error: type[AsrkitError], limits: ResourceLimits
) -> AsrkitError:
    """Make the error that a function raised."""
    name, message, columns = failure
    if name == ColumnError.__name__:
        return ColumnError(message, columns)
    if name in _ERRORS:
        return _ERRORS[name](message)
    if name == "MemoryError":
        return error(_describe_breakdown(about, limits))
    if name == "PermissionError":
        return _ForbiddenError(f"{about} may not be opened by this app; check who may read it.")
    logger.error("The reader of %s has failed: %s", about, message)
    return error(f"{about} cannot be read (its reader failed with {name:.80}); export it again in another format.")


def _describe_breakdown(about: object, limits: ResourceLimits) -> str:
    return (
        f"{about} cannot be read: its reader broke down, or needed more than {limits.memory_bytes / 2**30:.3g} GB of "
        f"memory or {limits.cpu_s} s of processor time; the file is damaged, or not what it seems."
    )
