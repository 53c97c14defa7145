"""One thread of the process that does all inference.

oneDNN and OpenMP keep memory and helper threads for each thread that calculates, until it ends: with the starter
0.25 GB for each that transcribed an hour. A page answers from dozens of threads.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, ParamSpec, TypeVar

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

_calls: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = queue.SimpleQueue()
_start_lock = threading.Lock()
_threads: list[threading.Thread] = []


def run_in_inference_thread(
    function: Callable[Parameters, Result], *args: Parameters.args, **kwargs: Parameters.kwargs
) -> Result:
    """Return or raise what `function` does, called in the inference thread; in the main thread, call it directly."""
    if threading.current_thread() is threading.main_thread():
        return function(*args, **kwargs)
    with _start_lock:
        if not _threads:
            _threads.append(threading.Thread(target=_run_calls, daemon=True, name="inference"))
            _threads[0].start()
    future: Future[Result] = Future()
    _calls.put((future, lambda: function(*args, **kwargs)))
    return future.result()


def _run_calls() -> None:
    while True:
        future, call = _calls.get()
        try:
            future.set_result(call())
        except BaseException as error:
            future.set_exception(error)
        del future, call  # else they would keep the model in memory until the next call
