"""Streamed clips of a run: where they come from, and what is said while the Hub is waited for."""

from __future__ import annotations

import json
import multiprocessing
import threading
import time
from collections.abc import Iterator
from typing import Any

from asrkit.config import TrainConfig
from asrkit.data.streams import index
from asrkit.data.streams.clips import StreamedClips
from asrkit.errors import RunError
from asrkit.jobs import ProgressCallback
from asrkit.runs.run import Run
from asrkit.training import distributed
from asrkit.training.reporting import emit_phase
from asrkit.training.stopping import has_end_flag

REPORT_INTERVAL_S = 10.0
"""Time between two reports of one outage, which several threads and processes wait out."""


def open_streams(run: Run, config: TrainConfig) -> StreamedClips | None:
    """Return what fetches the streamed clips of a run; None for one that has none."""
    if not run.streams_path.exists():
        return None
    return StreamedClips(config.stream_cache_bytes, WaitReporter(run))


def describe_streams(run: Run, config: TrainConfig) -> str:
    """Return a sentence on how much audio the run streams; empty for one that streams none."""
    if not run.streams_path.exists():
        return ""
    known = json.loads(run.streams_path.read_text(encoding="utf-8"))
    num_bytes = sum(origin["file"]["size"] for origin in known.values())
    return f"Streams {index.describe_size(num_bytes, config.stream_cache_bytes)}"


def restore_streams(run: Run, on_progress: ProgressCallback | None = None) -> None:
    """Fetch the texts of streamed files again where the cache of this machine has lost them, or never had them.

    Raises HubError where they cannot be fetched.
    """
    if run.streams_path.exists():
        index.restore_files(json.loads(run.streams_path.read_text(encoding="utf-8")), on_progress)


class StreamInterrupted(RunError):
    """The run is to stop while the Hub is waited for."""


class WaitReporter:
    """Writes what threads and loader processes say while they wait into the events of the run, from this process."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._queue: Any = multiprocessing.SimpleQueue()
        threading.Thread(target=self._report, args=[run], daemon=True, name="stream-waits").start()

    def __call__(self, text: str) -> None:
        """Report a sentence, or with an empty text that there is nothing to wait for any more.

        Raises StreamInterrupted where the run is to stop. With several processes the others would wait for this one.
        """
        self._queue.put(text)
        if text and distributed.WORLD_SIZE == 1 and has_end_flag(self._run):
            raise StreamInterrupted("The run is to stop, and does not wait for the Hugging Face Hub any longer.")

    def _report(self, run: Run) -> None:
        for text in select_reports(self._read()):
            emit_phase(run, "training", text)

    def _read(self) -> Iterator[str]:
        while True:
            yield self._queue.get()


def select_reports(texts: Iterator[str]) -> Iterator[str]:
    """Yield the sentences to report: of an outage the first one and then one now and then, and its end."""
    reported_at: float | None = None
    for text in texts:
        if text:
            now = time.monotonic()
            if reported_at is None or now - reported_at > REPORT_INTERVAL_S:
                reported_at = now
                yield text
        elif reported_at is not None:
            reported_at = None
            yield "The Hugging Face Hub sends again; training goes on."
