"""A few threads that do what they are given, one thing after another. The app never waits for them when it ends."""

from __future__ import annotations

import queue
import threading
import traceback
from collections.abc import Callable
from typing import Any


class Workers:
    """`ThreadPoolExecutor` without its end: Python waits for an executor's whole line before it exits."""

    def __init__(self, threads: int, name: str) -> None:
        self._line: queue.SimpleQueue[tuple[Callable[..., Any], tuple[Any, ...]]] = queue.SimpleQueue()
        for _ in range(threads):
            threading.Thread(target=self._work, daemon=True, name=name).start()

    def submit(self, work: Callable[..., Any], *arguments: Any) -> None:
        """What `work` raises goes to the log."""
        self._line.put((work, arguments))

    def _work(self) -> None:
        while True:
            work, arguments = self._line.get()
            try:
                work(*arguments)
            except BaseException:
                traceback.print_exc()
