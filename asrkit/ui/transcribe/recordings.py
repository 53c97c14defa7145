"""What visitors have said or dropped on the page: sound, words and state, each known by an id that only its page knows.

Sound is kept on disk (16 kHz, 16 bit), so that any stretch of it can be played whatever format it came in. It goes when
nobody has asked for it for an hour, or when there is too much of it.
"""

from __future__ import annotations

import secrets
import struct
import tempfile
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from asrkit.audio import SAMPLING_RATE, Waveform
from asrkit.decoding.hints import DecodingHints
from asrkit.decoding.transcript import Transcript, Word
from asrkit.errors import DataError

IDLE_S = 3600.0
MOST = 200
"""Recordings held; beyond that the one that was longest not asked for goes, of those that are over."""
MOST_LIVE_S = 4 * 3600.0
COLUMN = SAMPLING_RATE // 50
"""Samples that one column of the finest waveform stands for."""
HEADROOM = 2**15 - 1
WAV_HEADER_BYTES = 44

WAITING, WORKING, DONE, FAILED, CANCELLED = "waiting", "working", "done", "failed", "cancelled"


@dataclass(eq=False)
class Recording:
    """One of them. `lock` is held by whoever changes it."""

    name: str
    model: str
    expect: DecodingHints = field(default_factory=DecodingHints)
    state: str = WAITING
    notice: str = ""
    waits: str = ""  # for its model, in words
    heard_s: float = 0.0
    expected_s: float = 0.0
    seconds: float = 0.0
    words: list[Word] = field(default_factory=list)
    partial: str = ""
    cancelled: bool = False
    live: Any = None  # a microphone's session, resampler and count of chunks
    id: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    touched: float = field(default_factory=time.monotonic)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._sound = tempfile.TemporaryFile(prefix="asrkit-")  # noqa: SIM115, it lives as long as the recording
        self._samples, self._rest = 0, np.zeros(0, np.float32)
        self._columns: list[np.ndarray] = []
        self._sound_lock = threading.Lock()

    @property
    def duration_s(self) -> float:
        return self._samples / SAMPLING_RATE

    @property
    def transcript(self) -> Transcript:
        return Transcript(list(self.words), self.duration_s)

    def append(self, samples: np.ndarray) -> None:
        """(n,) float32 at 16 kHz that follow."""
        whole = np.clip(np.round(samples * HEADROOM), -HEADROOM, HEADROOM).astype("<i2")
        with self._sound_lock:
            self._sound.seek(2 * self._samples)
            self._sound.write(whole.tobytes())
            self._samples += len(samples)
            loud = np.abs(np.concatenate([self._rest, samples]))
            columns = len(loud) // COLUMN
            self._columns.append(loud[: columns * COLUMN].reshape(-1, COLUMN).max(axis=1, initial=0).astype(np.float16))
            self._rest = loud[columns * COLUMN :]

    def part(self, start_s: float, end_s: float) -> Waveform:
        """The sound between two moments, as far as there is any."""
        first, last = (min(self._samples, max(0, round(at * SAMPLING_RATE))) for at in (start_s, end_s))
        with self._sound_lock:
            self._sound.seek(2 * first)
            held = self._sound.read(2 * max(0, last - first))
        return Waveform(np.frombuffer(held, "<i2").astype(np.float32) / HEADROOM)

    @property
    def size_bytes(self) -> int:
        """Size of the recording as a WAV file."""
        return WAV_HEADER_BYTES + 2 * self._samples

    def read(self, start: int, stop: int) -> bytes:
        """Read bytes of the recording as a WAV file."""
        header = _make_wav_header(self._samples)[start:stop]
        first, last = max(0, start - WAV_HEADER_BYTES), stop - WAV_HEADER_BYTES
        with self._sound_lock:
            self._sound.seek(first)
            return header + self._sound.read(max(0, last - first))

    def peaks(self, most: int) -> list[int]:
        """The loudest of each of at most so many stretches of equal length, 0 to 100."""
        with self._sound_lock:
            columns = np.concatenate([np.zeros(0, np.float16), *self._columns]).astype(np.float32)
        if not len(columns):
            return []
        width = -(-len(columns) // most)
        padded = np.pad(columns, (0, -len(columns) % width)).reshape(-1, width).max(axis=1)
        return np.minimum(100, np.round(100 * padded / max(0.05, float(padded.max())))).astype(int).tolist()

    def close(self) -> None:
        self.cancelled = True
        self._sound.close()


def _make_wav_header(num_samples: int) -> bytes:
    """Return the header of a WAV file: mono, 16 bit."""
    size = 2 * num_samples
    sound = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, SAMPLING_RATE, 2 * SAMPLING_RATE, 2, 16)
    return struct.pack("<4sI4s", b"RIFF", 36 + size, b"WAVE") + sound + struct.pack("<4sI", b"data", size)


class Recordings:
    """All of them, by id."""

    def __init__(self) -> None:
        self._held: dict[str, Recording] = {}
        self._lock = threading.Lock()

    def add(self, recording: Recording) -> Recording:
        with self._lock:
            self._held[recording.id] = recording
            self._sweep()
        return recording

    def get(self, wanted: Any) -> Recording:
        """DataError where there is none of that id (any more)."""
        recording = self.find(wanted)
        if recording is None:
            raise DataError(
                "This recording is no longer held (the app was restarted, or an hour has gone by); record "
                "or open it again."
            )
        return recording

    def find(self, wanted: Any) -> Recording | None:
        """The same, or None."""
        with self._lock:
            recording = self._held.get(str(wanted))
        if recording is not None:
            recording.touched = time.monotonic()
        return recording

    def _sweep(self) -> None:
        """A file that waits or is heard stays; a microphone that was not heard of for so long has lost its page."""
        now, over = time.monotonic(), len(self._held) - MOST
        for one in sorted(self._held.values(), key=lambda one: one.touched):
            busy = one.state in (WAITING, WORKING)
            if (now - one.touched > IDLE_S and (not busy or one.live)) or (over > 0 and not busy):
                one.close()
                del self._held[one.id]
                over -= 1
