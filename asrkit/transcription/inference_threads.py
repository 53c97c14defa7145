"""The threads of the process that do all inference: one that uses all cores, and one for each core.

oneDNN and OpenMP keep memory and helper threads for each thread that calculates, until it ends: with the starter
0.25 GB for each that transcribed an hour. A page answers from dozens of threads.

On a processor, batches that each have a core of their own wait for nobody. Threads that share a batch wait for each
other in every layer: with two on two cores that other work used too, the starter fell from 275 times real time to 16,
and two batches side by side from 325 to 53.
"""

from __future__ import annotations

import contextlib
import contextvars
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

ALONE, BESIDE, PREPARING, DETECTING = "inference", "inference-core", "features", "speech-detection"
"""Names of the threads: the one that uses all cores, those that have one each, the one that prepares batches for a GPU,
and those that find speech in recordings."""

_pools: dict[str, ThreadPoolExecutor] = {}
_pools_lock = threading.Lock()


def get_pool(name: str, num_threads: int = 1) -> ThreadPoolExecutor:
    """Return the threads of that name, which are started when there is work for them, with the starter's priority."""
    with _pools_lock:
        if name not in _pools:
            _pools[name] = ThreadPoolExecutor(num_threads, name)
        return _pools[name]


def forget_threads() -> None:
    """Let other threads do what follows: these keep the priority of those that started them."""
    with _pools_lock:
        for pool in _pools.values():
            pool.shutdown(wait=False)
        _pools.clear()


def iter_ahead(
    pool: ThreadPoolExecutor, function: Callable[[Item], Result], items: Iterable[Item], num_ahead: int
) -> Generator[Result, None, None]:
    """Yield or raise what `function` does for each item, in order, while the pool works on the next `num_ahead`.

    It is called in the caller's context. What nobody asks for any more is not begun.
    """
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(contextvars.copy_context().run, function, item))
            if len(waiting) > num_ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


class Gate:
    """Lets any number of callers use something at the same time, or one alone, who comes before those that follow."""

    def __init__(self) -> None:
        self._changed, self._num_inside, self._num_alone, self._is_taken = threading.Condition(), 0, 0, False

    @contextlib.contextmanager
    def shared(self) -> Iterator[None]:
        """Enter beside others."""
        with self._changed:
            self._changed.wait_for(lambda: not self._num_alone)
            self._num_inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._num_inside -= 1
                self._changed.notify_all()

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Enter alone."""
        with self._changed:
            self._num_alone += 1
            self._changed.wait_for(lambda: not self._num_inside and not self._is_taken)
            self._is_taken = True
        try:
            yield
        finally:
            with self._changed:
                self._num_alone, self._is_taken = self._num_alone - 1, False
                self._changed.notify_all()
