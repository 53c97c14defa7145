"""Transcribes uploaded files in the background, a few at a time."""

from __future__ import annotations

import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np

from asrkit.audio import AudioNote
from asrkit.audio.confined import AudioReader
from asrkit.jobs import Job, JobQueue
from asrkit.runs.store import RunStore
from asrkit.transcription import files
from asrkit.ui.security.storage import storage
from asrkit.ui.transcribe.model_loading import load_for_job
from asrkit.ui.transcribe.recordings import WORKING, Recording, finish

NUM_THREADS = 2


class UploadQueue:
    """Files to transcribe. Each is removed when no recording needs it any more."""

    def __init__(self, store: RunStore) -> None:
        self.store = store
        self.queue = JobQueue("transcribe", NUM_THREADS)
        self._num_users: Counter[Path] = Counter()  # Gradio keeps the same content under the same path
        self._lock = threading.Lock()

    def add(self, recording: Recording, path: Path) -> None:
        """Transcribe the file at `path` into `recording`, in the context of the caller."""
        with self._lock:
            self._num_users[path] += 1
        storage.hold(path)
        recording.job = Job(
            "transcription",
            lambda job: self._transcribe(job, recording, path),
            on_end=lambda job: self._end(job, recording, path),
        )
        self.queue.submit(recording.job)

    def _transcribe(self, job: Job[None], recording: Recording, path: Path) -> None:
        recording.state = WORKING
        started = time.monotonic()

        def on_words(progress: files.FileUpdate) -> None:
            recording.words += progress.words
            recording.processed_s, recording.expected_s = progress.processed_s, progress.duration_s
            job.check()

        def keep(block: np.ndarray) -> np.ndarray:
            job.check()
            recording.append(block)
            return block

        notes: list[AudioNote] = []
        with AudioReader([path]) as reader:
            transcript = files.transcribe_blocks(
                map(keep, reader.stream(path, notes.append)),
                files.header_duration_s(path, reader),
                lambda: load_for_job(job, recording.model, self.store),
                on_words,
                recording.hints,
            )
        recording.common_words = transcript.common_words
        recording.seconds = time.monotonic() - started
        finish(recording)
        recording.notice = " ".join(filter(None, [*(note.warning for note in notes), recording.notice]))

    def _end(self, job: Job[None], recording: Recording, path: Path) -> None:
        if job.error:
            recording.notice = str(job.error).replace(str(path), recording.name)
        recording.state = job.state
        self._release(path)

    def _release(self, path: Path) -> None:
        storage.release(path)
        with self._lock:
            self._num_users[path] -= 1
            if not self._num_users[path]:
                del self._num_users[path]
                path.unlink(missing_ok=True)
