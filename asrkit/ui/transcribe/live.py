"""Transcribes the microphone chunk by chunk."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from asrkit.decoding.transcript import join_words
from asrkit.errors import AsrkitError
from asrkit.runs.store import RunStore
from asrkit.ui import strings
from asrkit.ui.transcribe.recordings import CANCELLED, FAILED, Microphone, Recording, finish

if TYPE_CHECKING:
    from asrkit.transcription.stream import LiveSession


def push_chunk(store: RunStore, recording: Recording, pcm: bytes, is_last: bool) -> None:
    """Transcribe the next chunk, 16-bit samples at the microphone's rate.

    An error ends the recording: its words stay, and a chunk that is sent again is not taken for more audio.
    """
    microphone = recording.microphone
    assert microphone is not None
    try:
        _push_chunk(store, recording, microphone, pcm, is_last)
    except BaseException as error:
        fail(recording, error)
        raise


def end(store: RunStore, recording: Recording) -> None:
    """End a live recording whose page sends no more; what was said until then is kept. Hold its lock."""
    if recording.microphone is None:
        return
    if recording.microphone.session:
        push_chunk(store, recording, b"", is_last=True)
    else:  # nothing has been heard
        recording.state, recording.microphone = CANCELLED, None


def fail(recording: Recording, error: BaseException) -> None:
    """End a live recording with the reason as its notice."""
    is_known = isinstance(error, AsrkitError)
    recording.notice = str(error) if is_known else strings.text("transcribe.failed", name=recording.name)
    recording.state, recording.partial, recording.microphone = FAILED, "", None


def _push_chunk(store: RunStore, recording: Recording, microphone: Microphone, pcm: bytes, is_last: bool) -> None:
    samples = microphone.resampler.push(np.frombuffer(pcm, "<i2").astype(np.float32) / np.float32(2**15))
    is_last = is_last or recording.duration_s > recording.max_live_s
    if is_last:
        samples = np.concatenate([samples, microphone.resampler.finish()])
    session = microphone.session or _open_session(store, recording)
    microphone.session = session
    started = time.monotonic()
    recording.append(samples)
    update = session.finish(samples) if is_last else session.push_chunk(samples)
    microphone.num_chunks += 1
    recording.words += update.final
    recording.partial = join_words(update.partial)
    if is_last:
        recording.microphone = None
        finish(recording)
    recording.seconds += time.monotonic() - started


def _open_session(store: RunStore, recording: Recording) -> LiveSession:
    from asrkit.transcription.model_cache import get_transcriber
    from asrkit.transcription.stream import LiveSession

    loaded = get_transcriber(recording.model, store)
    recording.common_words = recording.hints.find_common_words(loaded)
    return LiveSession(loaded, recording.hints.build_decoder(loaded))
