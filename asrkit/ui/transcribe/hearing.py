"""What fills a recording with words: a microphone chunk by chunk, or a file in a thread."""

from __future__ import annotations

import contextvars
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from asrkit.audio import StreamResampler, check_speech, stream_blocks
from asrkit.data import access
from asrkit.decoding.hints import NO_HINTS, DecodingHints
from asrkit.decoding.transcript import join_words
from asrkit.errors import AsrkitError, DataError, ModelError
from asrkit.runs.store import RunStore
from asrkit.transcription import files
from asrkit.ui.common.component import template
from asrkit.ui.common.workers import Workers
from asrkit.ui.transcribe.recordings import CANCELLED, DONE, FAILED, MOST_LIVE_S, WORKING, Recording

FILES_AT_ONCE = 2
PATIENCE_S, ANSWERED_S, ABANDONED_S = 0.5, 5.0, 30.0
"""An answer waits so long for a model that is nearly there; one that came counts for so long; a fetch goes on for so
long without anybody asking for it."""
MOST_EXPECTED = 200_000
"""Characters of text for a language model."""
MOST_CHECKED_S = 600.0
SEE_LOG = "could not be transcribed; see the app's log."


class _Cancelled(Exception):
    """The visitor does not want this file any more."""


def expected(asked: dict[str, Any]) -> DecodingHints:
    """What the fields of `expect.html` say: {expect, hot, lm}. Raises DataError for too much text."""
    text, hot_words, model = (str(asked.get(name) or "") for name in ("expect", "hot", "lm"))
    if len(text) + len(hot_words) > MOST_EXPECTED:
        raise DataError(f"The text of what to expect is too long; give at most {MOST_EXPECTED} characters.")
    return DecodingHints(text, hot_words, model)


def with_expected(page: str) -> str:
    """A template with those fields in their place."""
    return page.replace("{expect}", template("transcribe/expect.html"))


class _Step:
    """A model on its way, and how far it is in words. asked: when somebody last wanted to know."""

    def __init__(self, model: str) -> None:
        self.words, self.error = f"Loading {model}…", None
        self.over = threading.Event()
        self.asked = time.monotonic()

    @property
    def stale(self) -> bool:
        """Whether it ended so long ago that the model may have been let go of since."""
        return self.over.is_set() and time.monotonic() - self.asked > ANSWERED_S


class Loading:
    """Models that are fetched and loaded while somebody speaks, or looks for the button: each in a thread."""

    def __init__(self, store: RunStore) -> None:
        self.store = store
        self._steps: dict[tuple[str, str, DecodingHints], _Step] = {}
        self._lock = threading.Lock()

    def waits(self, model: str, expect: DecodingHints = NO_HINTS, patience_s: float = PATIENCE_S) -> str:
        """What is being done, in words, before the model can listen for what is expected; nothing once it can.

        Whoever waits asks again and again: a fetch that nobody asks for ends. Raises what loading raises.
        """
        key = (access.current_visitor(), model, expect)
        with self._lock:
            for name in [name for name, one in self._steps.items() if one.stale]:
                del self._steps[name]
            if key not in self._steps:
                self._steps[key] = _Step(model)
                mine = contextvars.copy_context()  # the visitor's
                threading.Thread(
                    target=mine.run, args=[self._load, model, expect, self._steps[key]], daemon=True, name="load"
                ).start()
            step = self._steps[key]
            step.asked = time.monotonic()
        if not step.over.wait(patience_s):
            return step.words
        if step.error:
            with self._lock:
                if self._steps.get(key) is step:  # told once: who asks again may have mended it
                    del self._steps[key]
            raise step.error.with_traceback(None)  # which would hold the model
        return ""

    def _load(self, model: str, expect: DecodingHints, step: _Step) -> None:
        def told(message: str, done: int, total: int) -> None:
            step.words = fetched(model, message, done, total)
            if time.monotonic() - step.asked > ABANDONED_S:
                raise ModelError(f"Nobody waited for {model} any more; ask for it again.")

        try:
            from asrkit.transcription.model_cache import prepare_transcriber

            ready = prepare_transcriber(model, self.store, told)
            step.words = "Reading the words to expect…"
            expect.build_decoder(ready)
        except AsrkitError as error:
            step.error = error
        except BaseException:
            step.error = ModelError(f"The model {model} could not be loaded; see the app's log.")
            raise
        finally:
            step.over.set()


def fetched(model: str, message: str, done: int, total: int) -> str:
    """How far a model is on its way from the Hub."""
    return message if done < total else f"Loading {model}…"


class Live:
    """What a microphone needs until it is stopped."""

    def __init__(self, resampler: StreamResampler) -> None:
        self.resampler, self.session, self.chunks = resampler, None, 0


def take(store: RunStore, recording: Recording, pcm: bytes, last: bool) -> None:
    """The next chunk of a live recording, 16-bit samples. Whatever goes wrong ends it: what was heard stays, and a
    chunk that is sent again is not taken for more sound."""
    try:
        _take(store, recording, recording.live, pcm, last)
    except BaseException as error:
        fail(recording, error)
        raise


def fail(recording: Recording, error: BaseException) -> None:
    """End a live recording, and say why."""
    recording.notice = str(error) if isinstance(error, AsrkitError) else f"{recording.name} {SEE_LOG}"
    recording.state, recording.partial, recording.live = FAILED, "", None


def _take(store: RunStore, recording: Recording, live: Live, pcm: bytes, last: bool) -> None:
    samples = live.resampler.push(np.frombuffer(pcm, "<i2").astype(np.float32) / 2**15)
    last = last or recording.duration_s > MOST_LIVE_S
    if last:
        samples = np.concatenate([samples, live.resampler.finish()])
    if live.session is None:
        from asrkit.transcription.model_cache import get_transcriber
        from asrkit.transcription.stream import LiveSession

        ready = get_transcriber(recording.model, store)
        live.session = LiveSession(ready, recording.expect.build_decoder(ready))
    begun = time.monotonic()
    recording.append(samples)
    heard = live.session.push_chunk(samples)
    live.chunks += 1
    recording.words += heard.final
    recording.partial = join_words(heard.partial)
    if last:
        recording.words += live.session.finish().final
        recording.partial, recording.live = "", None
        done(recording)
    recording.seconds += time.monotonic() - begun


class Uploads:
    """Files waiting for their turn; each is removed once nobody needs it any more."""

    def __init__(self, store: RunStore) -> None:
        self.store = store
        self.workers = Workers(FILES_AT_ONCE, "transcribe")
        self._wanted: Counter[Path] = Counter()  # Gradio keeps the same content under the same path
        self._lock = threading.Lock()

    def add(self, recording: Recording, path: Path) -> None:
        with self._lock:
            self._wanted[path] += 1
        mine = contextvars.copy_context()  # the visitor's
        self.workers.submit(mine.run, self._transcribe, recording, path)

    def _transcribe(self, recording: Recording, path: Path) -> None:
        begun = time.monotonic()
        try:
            _hear_file(self.store, recording, path)
            recording.seconds = time.monotonic() - begun
            done(recording)
        except _Cancelled:
            recording.state = CANCELLED
        except AsrkitError as error:
            recording.state, recording.notice = FAILED, str(error).replace(str(path), recording.name)
        except BaseException:
            recording.state, recording.notice = FAILED, f"{recording.name} {SEE_LOG}"
            raise
        finally:
            recording.waits = ""
            self._let_go(path)

    def _let_go(self, path: Path) -> None:
        with self._lock:
            self._wanted[path] -= 1
            if not self._wanted[path]:
                del self._wanted[path]
                path.unlink(missing_ok=True)


def _hear_file(store: RunStore, recording: Recording, path: Path) -> None:
    def listener() -> Any:
        from asrkit.transcription.model_cache import get_transcriber

        recording.waits = f"Loading {recording.model}…"
        ready = get_transcriber(recording.model, store, told)
        recording.waits = ""
        return ready

    def told(message: str, done: int, total: int) -> None:
        recording.waits = fetched(recording.model, message, done, total)
        stop_if_cancelled()

    def progress(told: files.FileUpdate) -> None:
        recording.words += told.words
        recording.heard_s, recording.expected_s = told.processed_s, told.duration_s
        stop_if_cancelled()

    def stop_if_cancelled() -> None:
        if recording.cancelled:
            raise _Cancelled

    def kept(block: np.ndarray) -> np.ndarray:
        stop_if_cancelled()
        recording.append(block)
        return block

    stop_if_cancelled()
    recording.state = WORKING
    files.transcribe_blocks(
        map(kept, stream_blocks(path)), files.header_duration_s(path), listener, progress, recording.expect
    )


def done(recording: Recording) -> None:
    """It is over, and what is to be said of it is."""
    recording.notice = files.quality_warning(recording.transcript)
    if not recording.words and recording.duration_s:
        recording.notice = _why_nothing(recording) or recording.notice
    recording.heard_s = recording.expected_s = recording.duration_s
    recording.state = DONE


def _why_nothing(recording: Recording) -> str:
    """Why a recording without words is without: too short or silent, or nothing where it is neither."""
    try:
        check_speech(recording.part(0, min(recording.duration_s, MOST_CHECKED_S)))
    except AsrkitError as error:
        return str(error)
    return ""
