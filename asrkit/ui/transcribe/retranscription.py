"""Transcribes a recording once more, with another model or other hints."""

from __future__ import annotations

import time

from asrkit.decoding.hints import DecodingHints
from asrkit.decoding.transcript import Word
from asrkit.errors import DataError
from asrkit.jobs import Job, JobQueue
from asrkit.runs.store import RunStore
from asrkit.transcription import files
from asrkit.ui import strings
from asrkit.ui.transcribe.model_loading import load_for_job
from asrkit.ui.transcribe.recordings import DONE, WAITING, WORKING, Recording, finish


def transcribe_again(queue: JobQueue, store: RunStore, recording: Recording, model: str, hints: DecodingHints) -> None:
    """Queue a recording that is done. Its words stay until there are new ones.

    Raises DataError for a recording that is not done.
    """
    with recording.lock:
        if recording.state != DONE:
            raise DataError(strings.text("transcribe.not_done", name=recording.name))
        recording.state, recording.processed_s = WAITING, 0.0
    recording.job = Job(
        "transcription",
        lambda job: _transcribe(job, store, recording, model, hints),
        on_end=lambda job: _end(job, recording),
    )
    queue.submit(recording.job)


def _transcribe(job: Job[None], store: RunStore, recording: Recording, model: str, hints: DecodingHints) -> None:
    recording.state = WORKING
    started, words = time.monotonic(), list[Word]()

    def on_words(progress: files.FileUpdate) -> None:
        words.extend(progress.words)
        recording.processed_s = progress.processed_s
        job.check()

    transcript = files.transcribe_blocks(
        recording.blocks(), recording.duration_s, lambda: load_for_job(job, model, store), on_words, hints
    )
    with recording.lock:
        recording.model, recording.hints, recording.words = model, hints, words
        recording.common_words = transcript.common_words
        recording.seconds = time.monotonic() - started


def _end(job: Job[None], recording: Recording) -> None:
    if job.state == DONE:
        finish(recording)
        return
    recording.notice = str(job.error or strings.text("common.cancelled"))
    recording.state = DONE
