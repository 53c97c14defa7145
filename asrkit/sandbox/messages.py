"""Values that a confined process sends: plain JSON and arrays, rebuilt as the types that the receiver expects.

The sender may have been taken over by the file that it reads. So nothing is unpickled: what arrives is checked against
the declared type, and anything else is a ValueError.
"""

from __future__ import annotations

import dataclasses
import json
import socket
import struct
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from asrkit.sandbox.limits import ResourceLimits

HEADER = struct.Struct("!cQQ")
"""Kind of a message, and the lengths of its JSON and of its arrays."""
RESULT, ITEM, END, FAILURE, READY = b"R", b"I", b"E", b"F", b"Y"

Decoder = Callable[[Any, bytearray], Any]
Failure = tuple[str, str, tuple[str, ...]]
"""Class of an error, its message, or the traceback of one that is not of `asrkit.errors`, and names of columns."""


@dataclasses.dataclass(frozen=True)
class Confinement:
    """What a process may do. reads, writes: files and folders. folder: what relative paths are relative to.
    environment: variables for the functions."""

    reads: tuple[str, ...]
    writes: tuple[str, ...]
    limits: ResourceLimits
    folder: str
    environment: tuple[tuple[str, str], ...] = ()


@dataclasses.dataclass(frozen=True)
class Call:
    """A call of a module's function. is_stream: whether it yields its results."""

    module: str
    name: str
    arguments: tuple[Any, ...]
    is_stream: bool = False


def send(connection: socket.socket, kind: bytes, value: Any) -> None:
    """Send a value of dataclasses, named tuples, containers, plain values and float32 arrays."""
    arrays: list[memoryview] = []
    content = json.dumps(encode(value, arrays), separators=(",", ":")).encode("ascii")
    connection.sendall(HEADER.pack(kind, len(content), sum(array.nbytes for array in arrays)) + content)
    for array in arrays:
        connection.sendall(array)


def receive(source: BinaryIO, max_bytes: int) -> tuple[bytes, Any, bytearray]:
    """Return (kind, JSON value, bytes of its arrays).

    source: a buffered reader of the socket. Raises EOFError where the sender has ended, ValueError for what is no
    message or larger than `max_bytes`.
    """
    kind, length, num_bytes = HEADER.unpack(receive_bytes(source, HEADER.size))
    if length + num_bytes > max_bytes:
        raise ValueError("a reply of that size")
    try:
        value = json.loads(receive_bytes(source, length))
    except RecursionError as error:
        raise ValueError("a reply of that depth") from error
    return kind, value, receive_bytes(source, num_bytes)


def receive_bytes(source: BinaryIO, count: int) -> bytearray:
    """Receive exactly `count` bytes. Raises EOFError where there are fewer."""
    content = bytearray(count)
    if source.readinto(content) < count:  # type: ignore[attr-defined]  # io.BufferedReader
        raise EOFError
    return content


def encode(value: Any, arrays: list[memoryview]) -> Any:
    """Return `value` as JSON; the bytes of its arrays are appended to `arrays`."""
    kind: Any = type(value)
    if kind in (str, int, float, bool, types.NoneType):
        return value
    if names := _field_names(kind):
        return [encode(getattr(value, name), arrays) for name in names]
    if kind in (list, tuple, frozenset):
        return [encode(item, arrays) for item in value]
    if isinstance(value, Mapping):
        return [[encode(key, arrays), encode(item, arrays)] for key, item in value.items()]
    if isinstance(value, np.ndarray):
        flat = np.ascontiguousarray(value, np.float32).reshape(-1)
        start = sum(array.nbytes for array in arrays)
        arrays.append(flat.data.cast("B"))
        return [start, len(flat)]
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{kind} cannot be sent from a sandbox")


@cache
def decoder(kind: Any) -> Decoder:
    """Return the function (JSON, bytes of arrays) -> value of this type, which raises ValueError for another one."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if hasattr(origin or kind, "__value__"):  # a `type` statement, as NDArray is in NumPy 2.5
        meant = (origin or kind).__value__
        return decoder(meant[arguments] if arguments else meant)
    if kind in (str, int, bool, types.NoneType):
        return lambda value, data: _check(value, kind)
    if kind is float:
        return lambda value, data: float(value) if type(value) is int else _check(value, float)
    if kind is bytes:
        return lambda value, data: _check(value, str).encode("latin-1")
    if kind is Path:
        return lambda value, data: Path(_check(value, str))
    if origin is np.ndarray:
        return _decode_array
    if origin is typing.Literal:
        return lambda value, data: value if value in arguments else _refuse(value)
    if origin in (types.UnionType, typing.Union):
        return _optional_decoder(arguments)
    if origin is tuple and arguments[-1] is not Ellipsis:
        return _record_decoder(lambda *values: values, [decoder(each) for each in arguments])
    if origin in (list, tuple, frozenset, Sequence):
        make, one = (list if origin is Sequence else origin), decoder(arguments[0])
        return lambda value, data: make([one(item, data) for item in _check(value, list)])
    if origin in (dict, Mapping):
        pair = _record_decoder(lambda *values: values, [decoder(each) for each in arguments])
        return lambda value, data: dict(pair(item, data) for item in _check(value, list))
    if names := _field_names(kind):
        hints = typing.get_type_hints(kind)
        return _record_decoder(kind, [decoder(hints[name]) for name in names])
    raise TypeError(f"{kind} cannot be received from a sandbox")


def _record_decoder(make: Callable[..., Any], parts: list[Decoder]) -> Decoder:
    def decode(value: Any, data: bytearray) -> Any:
        if len(_check(value, list)) != len(parts):
            _refuse(value)
        return make(*[part(item, data) for part, item in zip(parts, value, strict=True)])

    return decode


def _optional_decoder(kinds: tuple[Any, ...]) -> Decoder:
    (kind,) = (each for each in kinds if each is not types.NoneType)
    decode = decoder(kind)
    return lambda value, data: None if value is None else decode(value, data)


def _decode_array(value: Any, data: bytearray) -> Any:
    if not isinstance(value, list) or len(value) != 2 or not all(type(each) is int for each in value):
        _refuse(value)
    start, length = value
    if start < 0 or length < 0 or start + 4 * length > len(data):
        _refuse(value)
    return np.frombuffer(data, np.float32, length, start)


def _check(value: Any, kind: type) -> Any:
    return value if type(value) is kind else _refuse(value)


def _refuse(value: Any) -> Any:
    raise ValueError(f"a reply with {value!r:.60}")


@cache
def _field_names(kind: Any) -> tuple[str, ...]:
    """Return the names of the fields of a dataclass or a named tuple; none for another type."""
    if dataclasses.is_dataclass(kind):
        return tuple(field.name for field in dataclasses.fields(kind))
    return tuple(getattr(kind, "_fields", ()))
