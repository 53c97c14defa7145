"""What the base model writes of a recording that a model trained from it has transcribed."""

from __future__ import annotations

from asrkit.decoding.transcript import join_words
from asrkit.errors import ConfigError, ModelError, RunError
from asrkit.models.resolution import STARTER
from asrkit.runs import lifecycle
from asrkit.runs.store import RunStore
from asrkit.ui.common.component import Reply
from asrkit.ui.transcribe.compare import transcribe
from asrkit.ui.transcribe.recordings import DONE, Recording

MAX_COMPARED_S = 60.0
"""Of a longer recording nobody asked to transcribe it twice."""


def describe_before(store: RunStore, recording: Recording) -> Reply:
    """Return what the base model writes as `before`, and the recording's own text as `now`; or nothing of it.

    It is left out unless the base model is the starter, which is small and always there, and while a run is under way.
    """
    if (
        recording.state != DONE
        or not 0 < recording.duration_s <= MAX_COMPARED_S
        or not _is_from_starter(store, recording)
        or lifecycle.find_active_run(store) is not None
    ):
        return {}
    try:
        before = transcribe(store, STARTER, recording.part(0, recording.duration_s), recording.hints)
    except (ConfigError, ModelError):  # it cannot spell the words to expect: there is nothing to compare
        return {}
    return {"before": before, "now": join_words(recording.words)}


def _is_from_starter(store: RunStore, recording: Recording) -> bool:
    try:
        run = store.find(recording.model)
        return run is not None and run.config().model in ("", STARTER)
    except (ConfigError, RunError):  # of a version that this one cannot read
        return False
