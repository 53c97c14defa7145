"""Recordings that visitors made or uploaded: audio, words and state. Only the page that created one has its id.

Audio is kept on disk (16 kHz, 16 bit), so that any part of it can be played whatever its format was. It is deleted when
it has not been used for an hour, or when its owner, or all together, have too many recordings.
"""

from __future__ import annotations

import secrets
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from asrkit.audio import SAMPLING_RATE, WAV_HEADER_BYTES, Waveform, check_speech, make_wav_header
from asrkit.audio.resampling import StreamResampler
from asrkit.decoding.hints import DecodingHints
from asrkit.decoding.transcript import Transcript, Word
from asrkit.errors import AsrkitError, DataError, QuotaError
from asrkit.jobs import CANCELLED, DONE, FAILED, WAITING, WORKING, Job
from asrkit.transcription import files
from asrkit.ui import strings
from asrkit.ui.security.quotas import current_quotas
from asrkit.ui.security.storage import storage

if TYPE_CHECKING:
    from asrkit.transcription.stream import LiveSession

__all__ = ["CANCELLED", "DONE", "FAILED", "WAITING", "WORKING", "Microphone", "Recording", "Recordings", "finish"]

IDLE_S = 3600.0
LIVE_IDLE_S = 600.0
"""A live recording that has not been used for this long has lost its page."""
MAX_LIVE_S = 4 * 3600.0
MAX_CHECKED_S = 600.0
"""How much of a recording without words is checked for the reason."""
BLOCK_S = 30.0
SAMPLES_PER_COLUMN = SAMPLING_RATE // 50
"""Resolution of the stored waveform."""
FULL_SCALE = 2**15 - 1


@dataclass(eq=False)
class Microphone:
    """The state of a live recording until it is stopped."""

    resampler: StreamResampler
    session: LiveSession | None = None
    num_chunks: int = 0


@dataclass(eq=False)
class Recording:
    """One recording. Hold `lock` to change it. owner: empty for an operator. common_words: as in `Transcript`."""

    name: str
    model: str
    owner: str = ""
    hints: DecodingHints = field(default_factory=DecodingHints)
    common_words: str = ""
    state: str = WAITING
    notice: str = ""
    processed_s: float = 0.0
    expected_s: float = 0.0
    seconds: float = 0.0
    words: list[Word] = field(default_factory=list)
    partial: str = ""
    job: Job[None] | None = None
    microphone: Microphone | None = None
    id: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    touched_at: float = field(default_factory=time.monotonic)
    is_closed: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._opened: IO[bytes] | None = None
        self._num_samples = 0
        self._rest: npt.NDArray[np.float32] = np.zeros(0, np.float32)
        self._columns: list[npt.NDArray[np.float16]] = []
        self._file_lock = threading.Lock()

    @property
    def duration_s(self) -> float:
        return self._num_samples / SAMPLING_RATE

    @property
    def transcript(self) -> Transcript:
        return Transcript(list(self.words), self.duration_s, self.name, self.common_words)

    @property
    def pending_message(self) -> str:
        """What is being done before the model can transcribe; empty once it can."""
        return self.job.message if self.job and self.state == WORKING else ""

    @property
    def max_live_s(self) -> float:
        """How long it may be if it is live."""
        return min(MAX_LIVE_S, 60.0 * current_quotas().live_minutes) if self.owner else MAX_LIVE_S

    @property
    def _file(self) -> IO[bytes]:
        """The audio. Opened when it is needed, so that a recording that is refused takes no file handle."""
        if self.is_closed:
            raise DataError(strings.text("transcribe.recording_gone"))
        if self._opened is None:
            self._opened = tempfile.TemporaryFile(prefix="asrkit-")  # noqa: SIM115, open as long as the recording
        return self._opened

    def append(self, samples: npt.NDArray[np.float32]) -> None:
        """Append samples (n,) at 16 kHz.

        Raises DataError if the disk is full or no file can be opened, QuotaError if the owner may not store more.
        """
        try:
            self._append(samples)
        except OSError as error:
            raise DataError(strings.text("transcribe.not_stored", reason=error.strerror or error)) from error

    def _append(self, samples: npt.NDArray[np.float32]) -> None:
        storage.check_room(2 * len(samples))
        pcm = np.clip(np.round(samples * FULL_SCALE), -FULL_SCALE, FULL_SCALE).astype("<i2")
        with self._file_lock:
            self._file.seek(2 * self._num_samples)
            self._file.write(pcm.tobytes())
            self._num_samples += len(samples)
            levels = np.abs(np.concatenate([self._rest, samples]))
            end = len(levels) // SAMPLES_PER_COLUMN * SAMPLES_PER_COLUMN
            columns = levels[:end].reshape(-1, SAMPLES_PER_COLUMN).max(axis=1, initial=0)
            self._columns.append(columns.astype(np.float16))
            self._rest = levels[end:]

    def part(self, start_s: float, end_s: float) -> Waveform:
        """Return the audio between two times, as far as there is any."""
        first, last = (min(self._num_samples, max(0, round(at * SAMPLING_RATE))) for at in (start_s, end_s))
        with self._file_lock:
            self._file.seek(2 * first)
            data = self._file.read(2 * max(0, last - first))
        return Waveform(np.frombuffer(data, "<i2").astype(np.float32) / np.float32(FULL_SCALE))

    def blocks(self) -> Iterator[npt.NDArray[np.float32]]:
        """Yield the audio in blocks of BLOCK_S."""
        for start_s in np.arange(0.0, self.duration_s, BLOCK_S):
            yield self.part(start_s, start_s + BLOCK_S).samples

    @property
    def size_bytes(self) -> int:
        """Size of the recording as a WAV file."""
        return WAV_HEADER_BYTES + 2 * self._num_samples

    def read(self, start: int, stop: int) -> bytes:
        """Read bytes of the recording as a WAV file."""
        header = make_wav_header(self._num_samples)[start:stop]
        first, last = max(0, start - WAV_HEADER_BYTES), stop - WAV_HEADER_BYTES
        with self._file_lock:
            self._file.seek(first)
            return header + self._file.read(max(0, last - first))

    def peaks(self, max_columns: int) -> list[int]:
        """Return the peak level, 0 to 100, of each of at most `max_columns` parts of equal length."""
        with self._file_lock:
            columns = np.concatenate([np.zeros(0, np.float16), *self._columns]).astype(np.float32)
        if not len(columns):
            return []
        width = -(-len(columns) // max_columns)
        padded = np.pad(columns, (0, -len(columns) % width)).reshape(-1, width).max(axis=1)
        levels = np.minimum(100, np.round(100 * padded / max(0.05, float(padded.max()))))
        return [int(level) for level in levels]

    def close(self) -> None:
        """Stop the transcription and delete the audio."""
        self.is_closed = True
        if self.job:
            self.job.cancel()
        with self._file_lock:
            if self._opened is not None:
                self._opened.close()


class Recordings:
    """The recordings of all visitors, by id."""

    def __init__(self) -> None:
        self._recordings: dict[str, Recording] = {}
        self._lock = threading.Lock()
        storage.register(self)

    def add(self, recording: Recording) -> Recording:
        """Keep a recording; an ended one is deleted if there are too many.

        Raises QuotaError if there is none to delete: they are all under way. Operators may have any number of those.
        """
        with self._lock:
            self._delete_idle()
            quotas = current_quotas()
            own = [each for each in self._recordings.values() if each.owner == recording.owner]
            if recording.owner and len(own) >= quotas.visitor_recordings and not self._delete_ended(own):
                raise QuotaError(strings.text("quota.visitor_recordings"))
            alike = [each for each in self._recordings.values() if bool(each.owner) == bool(recording.owner)]
            is_full = len(alike) >= quotas.visitors_recordings
            if is_full and not self._delete_ended(alike) and recording.owner:
                raise QuotaError(strings.text("quota.all_recordings"))
            self._recordings[recording.id] = recording
        return recording

    def delete_idle(self) -> None:
        """Delete the recordings that nobody uses any more."""
        with self._lock:
            self._delete_idle()

    def delete(self, recording_id: str) -> None:
        """Delete a recording, whatever its state is; one that is gone already is none."""
        with self._lock:
            if recording := self._recordings.get(recording_id):
                self._delete(recording)

    def delete_all_of(self, owner: str) -> None:
        """Delete the recordings of a visitor."""
        with self._lock:
            for recording in list(self._recordings.values()):
                if recording.owner == owner:
                    self._delete(recording)

    def size_bytes(self, owner: str | None = None) -> int:
        """Return the size of the recordings of a visitor, or of all visitors."""
        with self._lock:
            chosen = list(self._recordings.values())
        return sum(each.size_bytes for each in chosen if each.owner and owner in (None, each.owner))

    def get(self, recording_id: Any) -> Recording:
        """Return the recording of an id. Raises DataError if there is none, or it was deleted."""
        recording = self.find(recording_id)
        if recording is None:
            raise DataError(strings.text("transcribe.recording_gone"))
        return recording

    def find(self, recording_id: Any) -> Recording | None:
        """Return the recording of an id, or None."""
        with self._lock:
            recording = self._recordings.get(str(recording_id))
        if recording is not None:
            recording.touched_at = time.monotonic()
        return recording

    def is_busy(self) -> bool:
        """Return whether a recording waits for its transcription, or is being transcribed."""
        with self._lock:
            return any(each.state in (WAITING, WORKING) for each in self._recordings.values())

    def _delete_idle(self) -> None:
        """Delete what was not used for long; never a file that waits or is being transcribed."""
        now = time.monotonic()
        for recording in list(self._recordings.values()):
            is_live, is_busy = recording.microphone is not None, recording.state in (WAITING, WORKING)
            if now - recording.touched_at > (LIVE_IDLE_S if is_live else IDLE_S) and (is_live or not is_busy):
                self._delete(recording)

    def _delete_ended(self, candidates: list[Recording]) -> bool:
        """Delete the oldest ended recording, of the owner who has most; return whether there is one."""
        num_by_owner = Counter(each.owner for each in candidates)
        ended = [each for each in candidates if each.state not in (WAITING, WORKING)]
        if not ended:
            return False
        self._delete(min(ended, key=lambda each: (-num_by_owner[each.owner], each.touched_at)))
        return True

    def _delete(self, recording: Recording) -> None:
        recording.close()
        del self._recordings[recording.id]


def finish(recording: Recording) -> None:
    """Mark a recording as done, with a notice if its words are missing or unreliable."""
    recording.notice = files.quality_warning(recording.transcript)
    if not recording.words and recording.duration_s:
        recording.notice = _explain_no_words(recording) or recording.notice
    recording.processed_s = recording.expected_s = recording.duration_s
    recording.state = DONE


def _explain_no_words(recording: Recording) -> str:
    """Explain that the recording is too short or silent; empty if it is neither."""
    try:
        check_speech(recording.part(0, min(recording.duration_s, MAX_CHECKED_S)))
    except AsrkitError as error:
        return str(error)
    return ""
