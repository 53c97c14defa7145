"""How much a process that reads files of anybody may use."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator
from dataclasses import dataclass

MAX_OPEN_FILES = 256
MAPPED_FACTOR = 4
"""Address space to memory: large files are mapped, and threads reserve more than they use."""


@dataclass(frozen=True)
class ResourceLimits:
    """memory_bytes: that a process may allocate. cpu_s: processor time of one call, or of one part of a stream.
    file_bytes: of each file that it writes. reply_bytes: of what one call returns."""

    memory_bytes: int = 8 << 30
    cpu_s: int = 600
    file_bytes: int = 1 << 40
    reply_bytes: int = 4 << 30

    @property
    def wait_s(self) -> float:
        """How long a reply is waited for: a busy machine gives a process a fraction of its time."""
        return 20.0 * self.cpu_s


def apply(limits: ResourceLimits, *, is_writing: bool) -> None:
    """Limit this process, beside what it has already; a limit that the system lacks is left out."""
    wanted = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: MAX_OPEN_FILES,
        resource.RLIMIT_FSIZE: limits.file_bytes if is_writing else 0,
    }
    with contextlib.suppress(OSError):  # a system without /proc: its limits of memory mean something else
        used_bytes, data_bytes = _used_bytes()
        wanted[resource.RLIMIT_DATA] = data_bytes + limits.memory_bytes
        wanted[resource.RLIMIT_AS] = used_bytes + MAPPED_FACTOR * limits.memory_bytes
    for kind, value in wanted.items():
        _, hard = resource.getrlimit(kind)
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (value, value))


@contextlib.contextmanager
def tightened(limits: ResourceLimits) -> Iterator[None]:
    """Limit the memory of this process, which is confined, to less for a while."""
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    with contextlib.suppress(OSError):
        _, data_bytes = _used_bytes()
        lower = data_bytes + limits.memory_bytes
        resource.setrlimit(resource.RLIMIT_DATA, (lower if soft == resource.RLIM_INFINITY else min(lower, soft), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def grant_cpu(seconds: int) -> None:
    """Let this process use so much more processor time, within half a second; the kernel ends it then."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    soft = round(usage.ru_utime + usage.ru_stime) + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def _used_bytes() -> tuple[int, int]:
    """Return (address space, private memory) of this process. Source: proc(5), statm."""
    with open("/proc/self/statm", encoding="ascii") as file:
        pages = file.read().split()
    return int(pages[0]) * resource.getpagesize(), int(pages[5]) * resource.getpagesize()
