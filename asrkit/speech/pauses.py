"""Where a recording of any length can be cut: at pauses, decided as the sound comes in.

The decision after each tenth of a second looks at what was heard until then and at nothing else. So a microphone and a
file of the same sound are cut alike, whatever the size of the blocks that they come in.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from asrkit.speech.audio import RATE, SILENCE_DBFS

FRAME = RATE // 100
"""Samples of 10 ms, for which one level is taken."""
STEP = 10
"""Frames between two decisions."""
HISTORY_S, EVERY_STEPS = 10.0, 5
"""The levels of so many seconds say what is quiet here; looked at every so many steps."""
SETTLED, SPOKEN = 100, 3
"""Frames after which it can be said what is background (fewer may be one word), and loud frames that are speech."""
BACKGROUND_DB = 8.0
"""How far steady noise may rise above its quietest."""
PAUSE_S, SHORT_PAUSE_S, LONG_S = 0.25, 0.15, 3.0
"""Quiet that ends a piece; in pieces longer than LONG_S a shorter one does."""
EDGE_S = 0.2
"""Quiet that a piece keeps behind its last sound; the rest of the pause goes to the next piece."""
MOST_S = 15.0
"""A piece without a pause is cut here, at its quietest moment of the last REACH_S before LOOK_AHEAD_S."""
REACH_S, LOOK_AHEAD_S, LOOK_BACK_S = 5.0, 1.0, 1.5
IDLE_S = 2.0
"""Silence is let go in lengths like this."""


@dataclass(frozen=True, eq=False)
class Piece:
    """A stretch to be heard: `samples` from sample `start` of the recording, 16 kHz.

    It answers for [keep_from, keep_to); what it holds before and after is there to be heard with it. Where nobody
    paused (`cut`), a word may lie across keep_to.
    """

    samples: np.ndarray
    start: int
    keep_from: int
    keep_to: int
    cut: bool

    @property
    def stop(self) -> int:
        return self.start + len(self.samples)


class Splitter:
    """Takes blocks of samples, gives pieces. Memory: one piece, at most MOST_S + LOOK_BACK_S long."""

    def __init__(self) -> None:
        room = round((MOST_S + LOOK_BACK_S + 1.0) * RATE)
        self._samples, self._levels = np.zeros(room, np.float32), np.zeros(room // FRAME, np.float32)
        self._filled = self._frames = 0  # samples and levels of the open piece, what it looks back on included
        self._start = self._keep_from = 0  # in samples of the recording
        self._waiting = np.zeros(0, np.float32)
        self._history = np.zeros(0, np.float32)
        self._steps = 0
        self._loud = self._audible = SILENCE_DBFS
        self._spoken = False

    @property
    def position(self) -> int:
        """Samples taken in so far."""
        return self._start + self._filled + len(self._waiting)

    @property
    def open(self) -> Piece:
        """What has come in since the last piece ended, as it is now."""
        samples = np.concatenate([self._samples[: self._filled], self._waiting])
        return Piece(samples, self._start, self._keep_from, self._start + len(samples), False)

    @property
    def speaking(self) -> bool:
        """Whether the open piece holds more than quiet."""
        return self._spoken

    def push(self, block: np.ndarray) -> list[Piece]:
        """(n,) float32 samples that follow -> the pieces that they complete."""
        coming = np.concatenate([self._waiting, block]) if len(self._waiting) else block
        whole = len(coming) // (STEP * FRAME) * STEP * FRAME
        levels = _levels(coming[:whole])
        pieces = []
        for frame in range(0, len(levels), STEP):
            pieces += self._step(coming[frame * FRAME : (frame + STEP) * FRAME], levels[frame : frame + STEP])
        self._waiting = np.array(coming[whole:], np.float32)
        return pieces

    def finish(self) -> list[Piece]:
        """The last piece, if it holds any sound."""
        rest = self._waiting
        levels = _levels(np.pad(rest, (0, -len(rest) % FRAME)))
        self._append(rest, levels)
        self._waiting = rest[:0]
        if self._frames and self._levels[: self._frames].max() > self._audible:
            return [self._cut(self._filled, self._filled, False)]
        self._let_go(0)
        return []

    def _append(self, samples: np.ndarray, levels: np.ndarray) -> None:
        self._samples[self._filled : self._filled + len(samples)] = samples
        self._levels[self._frames : self._frames + len(levels)] = levels
        self._filled += len(samples)
        self._frames += len(levels)

    def _step(self, samples: np.ndarray, levels: np.ndarray) -> list[Piece]:
        self._append(samples, levels)
        self._history = np.concatenate([self._history, levels])[-round(HISTORY_S * 100) :]
        if self._steps % EVERY_STEPS == 0 or self._steps < SETTLED // STEP:
            self._loud, self._audible = thresholds(self._history)
        self._steps += 1
        if self._steps == SETTLED // STEP:  # what seemed loud may have been the background
            self._spoken = int((self._levels[: self._frames] > self._loud).sum()) >= SPOKEN
        self._spoken = self._spoken or int((levels > self._loud).sum()) >= SPOKEN
        return self._decide()

    def _decide(self) -> list[Piece]:
        heard = self._levels[: self._frames]
        length_s = (self._start + self._filled - self._keep_from) / RATE
        if not self._spoken and length_s >= IDLE_S and heard.max() <= self._audible:
            self._let_go(round(EDGE_S * 100))
            return []
        wanted_s = SHORT_PAUSE_S if length_s >= LONG_S else PAUSE_S
        quiet = self._quiet_frames()
        if self._spoken and quiet >= round(wanted_s * 100):
            kept = self._frames - quiet + min(round(EDGE_S * 100), quiet // 2)
            return [self._cut(kept * FRAME, kept * FRAME, False)]
        if length_s >= MOST_S:
            return [self._cut(self._quietest() * FRAME, self._filled, True)]
        return []

    def _quiet_frames(self) -> int:
        """Frames since the last that was loud."""
        heard = self._levels[: self._frames]
        loud = np.flatnonzero(heard[-round(PAUSE_S * 100) - STEP :] > self._loud)
        behind = min(self._frames, round(PAUSE_S * 100) + STEP)
        return behind - 1 - int(loud[-1]) if len(loud) else behind

    def _quietest(self) -> int:
        """The frame in the middle of the quietest tenth of a second in reach."""
        last = self._frames - round(LOOK_AHEAD_S * 100)
        first = last - round(REACH_S * 100)
        power = 10 ** (self._levels[first:last] / 10)
        smooth = np.convolve(power, np.ones(STEP), "valid")
        return first + int(smooth.argmin()) + STEP // 2

    def _cut(self, keep: int, heard: int, cut: bool) -> Piece:
        """End the open piece at its sample `keep`, heard up to `heard`; the next looks back where nobody paused."""
        piece = Piece(self._samples[:heard].copy(), self._start, self._keep_from, self._start + keep, cut)
        self._keep_from = piece.keep_to
        self._begin(keep - round(LOOK_BACK_S * RATE) if cut else keep)
        return piece

    def _let_go(self, frames: int) -> None:
        """Forget the open piece but for its last frames."""
        self._begin(max(0, self._filled - frames * FRAME))
        self._keep_from = self._start

    def _begin(self, sample: int) -> None:
        """Start the open piece at that sample of what is held."""
        first = min(sample // FRAME, self._frames)
        left, levels = self._filled - sample, self._frames - first
        self._samples[:left] = self._samples[sample : self._filled].copy()
        self._levels[:levels] = self._levels[first : self._frames].copy()
        self._start += sample
        self._filled, self._frames = left, levels
        new = self._levels[max(0, (self._keep_from - self._start) // FRAME) : levels]
        self._spoken = int((new > self._loud).sum()) >= SPOKEN


def split(samples: np.ndarray) -> list[Piece]:
    """All pieces of a whole recording."""
    splitter = Splitter()
    return [*splitter.push(samples), *splitter.finish()]


def thresholds(levels: np.ndarray) -> tuple[float, float]:
    """(dBFS above which a frame is loud, above which it is more than the background), from the levels of a while.

    Loud, which decides where to cut, is a third of the way from their 10th percentile to their 95th. Background, which
    may be let go, is what lies within a few decibels of the quietest: somebody soft may follow somebody loud.
    """
    quietest, low, high = np.percentile(levels, (2, 10, 95))
    audible = max(SILENCE_DBFS, quietest + BACKGROUND_DB) if len(levels) >= SETTLED else SILENCE_DBFS
    return float(max(audible, low + 0.35 * (high - low))), float(audible)


def _levels(samples: np.ndarray) -> np.ndarray:
    """(frames * FRAME,) -> (frames,) dBFS of each frame's root mean square, its offset removed."""
    power = samples.reshape(-1, FRAME).var(axis=1)
    return (10 * np.log10(power + 1e-12)).astype(np.float32)
