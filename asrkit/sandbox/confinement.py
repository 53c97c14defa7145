"""What the kernel takes from a process for good: other files, the network, programs, other processes. Linux only.

Landlock (landlock(7)) limits files, TCP, signals and abstract sockets, as far as the kernel knows them. A filter of
system calls (seccomp(2)) takes what it does not cover: sockets of any kind, new processes, limits of other processes,
and the kernel's keys.
"""

from __future__ import annotations

import ctypes
import os
import platform
import stat
import struct
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
CREATE_VERSION, RULE_PATH_BENEATH = 1, 1
READ_FILE, READ_DIR, EXECUTE, IOCTL_DEVICE = 1 << 2, 1 << 3, 1 << 0, 1 << 15
FILE_RIGHTS = EXECUTE | 1 << 1 | READ_FILE | 1 << 14 | IOCTL_DEVICE
FIRST_RIGHTS = (1 << 13) - 1
LATER_RIGHTS = {2: 1 << 13, 3: 1 << 14, 5: IOCTL_DEVICE}
"""Version of Landlock -> the right that it added: to move between folders, to truncate, to control devices."""
TCP_VERSION, TCP_RIGHTS = 4, 0b11
SCOPE_VERSION, SCOPES = 6, 0b11  # abstract Unix sockets, signals

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
LOAD, JUMP_EQUAL, JUMP_ANY_BIT, JUMP_GREATER_EQUAL, RETURN = 0x20, 0x15, 0x45, 0x35, 0x06
ALLOW, DENY, UNKNOWN_CALL = 0x7FFF0000, 0x00050001, 0x00050026  # the last two: fail with EPERM, with ENOSYS
CLONE_THREAD = 0x00010000
NUMBER_OFFSET, MACHINE_OFFSET, ARGUMENT_OFFSET = 0, 4, 16  # of struct seccomp_data
FOREIGN_NUMBERS = 0x40000000  # of x32, whose calls are others


class _Calls:
    """Numbers of system calls. machine: AUDIT_ARCH. Source: the kernel's asm/unistd.h."""

    def __init__(self, machine: int, denied: tuple[int, ...], clone: int, clone3: int, prlimit: int) -> None:
        self.machine, self.denied = machine, denied
        self.clone, self.clone3, self.prlimit = clone, clone3, prlimit


_CALLS = {
    # socket, fork, vfork, kill, ptrace, add_key, request_key, keyctl, process_vm_readv, process_vm_writev,
    # pidfd_send_signal, io_uring_setup
    "x86_64": _Calls(0xC000003E, (41, 57, 58, 62, 101, 248, 249, 250, 310, 311, 424, 425), 56, 435, 302),
    # the same without fork and vfork
    "aarch64": _Calls(0xC00000B7, (198, 129, 117, 217, 218, 219, 270, 271, 424, 425), 220, 435, 261),
}


_is_confined = False


class ConfinementError(OSError):
    """The kernel refuses to confine this process."""


def is_confined() -> bool:
    """Return whether this process is confined."""
    return _is_confined


@cache
def landlock_version() -> int:
    """Return the version of Landlock's interface; 0 where the kernel has none or has switched it off."""
    if sys.platform != "linux":
        return 0
    return max(0, int(_libc().syscall(CREATE_RULESET, None, 0, CREATE_VERSION)))


def confine(readable: Iterable[Path], writable: Iterable[Path]) -> None:
    """Confine this process, which must have no other threads, to these files and folders.

    Raises ConfinementError where the kernel fails to; nothing happens where it has no Landlock, and without seccomp the
    process keeps what only that would take.
    """
    global _is_confined
    _is_confined = True
    if sys.platform != "linux":
        return
    libc = _libc()
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise _error("no new privileges")
    if version := landlock_version():
        _restrict_files(libc, version, readable, writable)
    if calls := _CALLS.get(platform.machine()):
        _filter_calls(libc, calls)


def _restrict_files(libc: ctypes.CDLL, version: int, readable: Iterable[Path], writable: Iterable[Path]) -> None:
    rights = FIRST_RIGHTS
    for since, right in LATER_RIGHTS.items():
        rights |= right if version >= since else 0
    attributes = struct.pack(
        "=QQQ", rights, TCP_RIGHTS if version >= TCP_VERSION else 0, SCOPES if version >= SCOPE_VERSION else 0
    )
    size = 24 if version >= SCOPE_VERSION else 16 if version >= TCP_VERSION else 8
    ruleset = libc.syscall(CREATE_RULESET, attributes, size, 0)
    if ruleset < 0:
        raise _error("landlock_create_ruleset")
    try:
        for path in readable:
            _allow(libc, ruleset, path, READ_FILE | READ_DIR)
        for path in writable:
            _allow(libc, ruleset, path, rights & ~(EXECUTE | IOCTL_DEVICE))
        if libc.syscall(RESTRICT_SELF, ruleset, 0):
            raise _error("landlock_restrict_self")
    finally:
        os.close(ruleset)


def _allow(libc: ctypes.CDLL, ruleset: int, path: Path, rights: int) -> None:
    """Allow what is beneath `path`; a path that cannot be opened stays forbidden."""
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (OSError, ValueError):
        return
    try:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            rights &= FILE_RIGHTS
        if libc.syscall(ADD_RULE, ruleset, RULE_PATH_BENEATH, struct.pack("=Qi", rights, descriptor), 0):
            raise _error("landlock_add_rule")
    finally:
        os.close(descriptor)


def _filter_calls(libc: ctypes.CDLL, calls: _Calls) -> None:
    """Install a filter in classic BPF: each instruction is (code, jump if true, jump if false, value)."""
    deny, allow = (RETURN, 0, 0, DENY), (RETURN, 0, 0, ALLOW)
    program = [
        (LOAD, 0, 0, MACHINE_OFFSET),
        (JUMP_EQUAL, 1, 0, calls.machine),
        deny,
        (LOAD, 0, 0, NUMBER_OFFSET),
        (JUMP_GREATER_EQUAL, 0, 1, FOREIGN_NUMBERS),
        deny,
        # The flags of clone3 are in memory, where a filter cannot see them; libc falls back to clone.
        (JUMP_EQUAL, 0, 1, calls.clone3),
        (RETURN, 0, 0, UNKNOWN_CALL),
        (JUMP_EQUAL, 0, 4, calls.clone),
        (LOAD, 0, 0, ARGUMENT_OFFSET),
        (JUMP_ANY_BIT, 0, 1, CLONE_THREAD),
        allow,
        deny,
        (JUMP_EQUAL, 0, 4, calls.prlimit),
        (LOAD, 0, 0, ARGUMENT_OFFSET),
        (JUMP_EQUAL, 0, 1, 0),  # of this process itself
        allow,
        deny,
    ]
    for number in calls.denied:
        program += [(JUMP_EQUAL, 0, 1, number), deny]
    program.append(allow)
    content = b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
    instructions = ctypes.create_string_buffer(content, len(content))
    header = struct.pack("@HP", len(program), ctypes.addressof(instructions))
    libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, header, 0, 0)  # a kernel without filters: Landlock has to do


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _error(what: str) -> ConfinementError:
    number = ctypes.get_errno()
    return ConfinementError(number, f"{what}: {os.strerror(number)}")
