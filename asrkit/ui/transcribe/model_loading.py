"""Fetches and loads models before they are used, for example while a visitor is already speaking."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asrkit.data import access
from asrkit.decoding.hints import NO_HINTS, DecodingHints
from asrkit.errors import ModelError
from asrkit.jobs import DONE, Job, JobRegistry, ProgressCallback
from asrkit.runs.store import RunStore
from asrkit.ui import strings
from asrkit.ui.security.quotas import admit_job, owner_name

if TYPE_CHECKING:
    from asrkit.transcription.transcriber import Transcriber

WAIT_S = 0.5
"""How long a reply waits for a model that is nearly loaded."""
VALID_S = 5.0
"""How long a loaded model is assumed to be still in memory."""
ABANDON_AFTER_S = 30.0
"""A fetch stops if no request has waited for it for so long."""
MAX_MODELS = 100


class ModelLoader:
    """One job per visitor, model and decoding hints, each in a thread of its own."""

    def __init__(self, store: RunStore) -> None:
        self.store = store
        self.jobs: JobRegistry[None] = JobRegistry(
            "model",
            max_running=None,
            max_jobs=MAX_MODELS,
            abandon_after_s=ABANDON_AFTER_S,
            drop_after_s=VALID_S,
            admit=admit_job("model"),
        )

    def load(self, model: str, hints: DecodingHints = NO_HINTS, wait_s: float = WAIT_S) -> str:
        """Return what is being done before `model` can transcribe, or an empty text once it can.

        Call it repeatedly while you wait: loading stops when no call waits for it. Raises the error of the loading.
        """
        key = (access.reader_key(), model, hints)
        job = self.jobs.join(key, lambda job: self._load(job, model, hints), owner=owner_name())
        if not job.wait(wait_s):
            return job.message or loading_message(model)
        if job.error:
            self.jobs.forget(key, job)
            raise job.error.with_traceback(None)  # which would hold the model
        if job.state != DONE:
            raise ModelError(strings.text("transcribe.model_abandoned", model=model))
        return ""

    def _load(self, job: Job[None], model: str, hints: DecodingHints) -> None:
        from asrkit.transcription.model_cache import prepare_transcriber

        job.on_progress(loading_message(model))
        loaded = prepare_transcriber(model, self.store, report_fetch(job, model))
        job.on_progress(strings.text("transcribe.reading_hints"))
        hints.build_decoder(loaded)


def loading_message(model: str) -> str:
    """Return the message that a model is being loaded."""
    return strings.text("transcribe.loading_model", model=model)


def load_for_job(job: Job[Any], model: str, store: RunStore) -> Transcriber:
    """Load a model that a job needs; the job's message says so meanwhile."""
    from asrkit.transcription.model_cache import get_transcriber

    job.on_progress(loading_message(model))
    loaded = get_transcriber(model, store, report_fetch(job, model))
    job.on_progress("")
    return loaded


def report_fetch(job: Job[Any], model: str) -> ProgressCallback:
    """Return a callback that makes the progress of a fetch the message of `job`, and stops it with the job."""

    def on_progress(message: str, done: int, total: int) -> None:
        job.on_progress(message if done < total else loading_message(model))

    return on_progress
