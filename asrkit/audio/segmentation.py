"""Where a recording of any length can be cut: at pauses, decided as the sound comes in.

The decision after each tenth of a second looks at what was heard until then and at nothing else. So a microphone and a
file of the same sound are cut alike, whatever the size of the blocks that they come in.

Two witnesses are asked: how loud it is, and how likely somebody speaks (`SileroVad`). Where the detector has heard a
voice it says when the voice pauses, under music too, and what it is sure holds no voice is let go. Where it has heard
none, the levels decide, so that a voice that it does not know is not lost.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from asrkit.audio import vad
from asrkit.audio.vad import SileroVad
from asrkit.audio.waveform import SAMPLING_RATE, SILENCE_DBFS

FRAME = SAMPLING_RATE // 100
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
MAX_SEGMENT_S = 15.0
"""A piece without a pause is cut here, at its quietest moment of the last REACH_S before LOOK_AHEAD_S."""
REACH_S, LOOK_AHEAD_S, LOOK_BACK_S = 5.0, 1.0, 1.5
IDLE_S = 2.0
"""Silence is let go in lengths like this."""
VOICE, GOES_ON, NO_VOICE, SURE = 0.5, 0.35, 0.45, 0.1
"""Probabilities: from which a frame is speech; from which speech goes on; under which each STEADY frames of a stretch
without a voice are in the mean (at 0.5 a synthetic voice under music was let go), and those of what is left at the end,
which may be the beginning of a word."""
STEADY = 20
VAD_TRUST_FRAMES = 100
"""Frames of speech without a break after which the detector is believed; one of 300 wavering tones got there."""
LEAD_S = 0.15
"""What is kept of a stretch without a voice, for the beginning of the next word: with more, models hear words in the
music between two sentences."""
SILENT_DB = 30.0
"""A pause so far below the loudest of the last seconds holds nothing that a model could take for words."""
ONSET_FRAMES = 40
"""Frames for which a word may sound before the detector is sure of a voice."""


@dataclass(frozen=True, eq=False)
class Segment:
    """A stretch to be heard: `samples` from sample `start` of the recording, 16 kHz.

    It answers for [keep_from, keep_to); what it holds before and after is there to be heard with it. Where nobody
    paused (`is_forced_cut`), a word may lie across keep_to.
    """

    samples: np.ndarray
    start: int
    keep_from: int
    keep_to: int
    is_forced_cut: bool

    @property
    def stop(self) -> int:
        return self.start + len(self.samples)


class Segmenter:
    """Takes blocks of samples, gives pieces. Memory: one piece, at most MAX_SEGMENT_S + LOOK_BACK_S long."""

    def __init__(self) -> None:
        room = round((MAX_SEGMENT_S + LOOK_BACK_S + 1.0) * SAMPLING_RATE)
        self._samples, self._levels = np.zeros(room, np.float32), np.zeros(room // FRAME, np.float32)
        self._voices = np.zeros(room // FRAME, np.float32)  # the probability of speech beside each level
        self._detector, self._heard = SileroVad(), np.zeros(0, np.float32)
        self._taken = 0  # samples that the detector was given
        self._run = 0  # frames of speech without a break, up to now
        self._known = False  # whether the detector has heard a voice in this recording
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
    def pending(self) -> Segment:
        """What has come in since the last piece ended, as it is now."""
        samples = np.concatenate([self._samples[: self._filled], self._waiting])
        return Segment(samples, self._start, self._keep_from, self._start + len(samples), False)

    @property
    def has_speech(self) -> bool:
        """Whether the open piece holds more than quiet."""
        return self._spoken

    def push(self, block: np.ndarray) -> list[Segment]:
        """(n,) float32 samples that follow -> the pieces that they complete."""
        coming = np.concatenate([self._waiting, block]) if len(self._waiting) else block
        whole = len(coming) // (STEP * FRAME) * STEP * FRAME
        levels, voices = _levels(coming[:whole]), self._probabilities(coming[:whole])
        pieces = []
        for frame in range(0, len(levels), STEP):
            span = slice(frame, frame + STEP)
            pieces += self._step(coming[frame * FRAME : (frame + STEP) * FRAME], levels[span], voices[span])
        self._waiting = np.array(coming[whole:], np.float32)
        return pieces

    def finish(self) -> list[Segment]:
        """The last piece, if it holds any sound."""
        rest = self._waiting
        levels = _levels(np.pad(rest, (0, -len(rest) % FRAME)))
        told = np.concatenate([self._heard, self._detector.push(np.pad(rest, (0, vad.FRAME_SAMPLES)))])
        self._append(rest, levels, np.full(len(levels), told.max(initial=0.0), np.float32))
        self._waiting = rest[:0]
        if self._frames and self._levels[: self._frames].max() > self._audible and not self._voiceless(SURE):
            return [self._cut(self._filled, self._filled, False)]
        self._let_go(0)
        return []

    def _probabilities(self, samples: np.ndarray) -> np.ndarray:
        """(steps * STEP * FRAME,) -> (frames,): of the detector's frame that each ends in, or of its last in the step.

        `_heard` holds those of the detector's frames that began in the last step or end in the next.
        """
        begun = self._taken
        self._taken += len(samples)
        self._heard = np.concatenate([self._heard, self._detector.push(samples)])
        ends = np.arange(begun + FRAME, self._taken + 1, FRAME)
        last = -(-ends // (STEP * FRAME)) * (STEP * FRAME) // vad.FRAME_SAMPLES - 1
        first = self._taken // vad.FRAME_SAMPLES - len(self._heard)
        found = self._heard[np.minimum((ends - 1) // vad.FRAME_SAMPLES, last) - first]
        self._heard = self._heard[-2:]
        return found

    def _append(self, samples: np.ndarray, levels: np.ndarray, voices: np.ndarray) -> None:
        self._samples[self._filled : self._filled + len(samples)] = samples
        self._levels[self._frames : self._frames + len(levels)] = levels
        self._voices[self._frames : self._frames + len(levels)] = voices
        self._filled += len(samples)
        self._frames += len(levels)

    def _step(self, samples: np.ndarray, levels: np.ndarray, voices: np.ndarray) -> list[Segment]:
        self._append(samples, levels, voices)
        breaks = np.flatnonzero(voices < VOICE)
        self._run = STEP - 1 - int(breaks[-1]) if len(breaks) else self._run + STEP
        self._known = self._known or self._run >= VAD_TRUST_FRAMES
        self._history = np.concatenate([self._history, levels])[-round(HISTORY_S * 100) :]
        if self._steps % EVERY_STEPS == 0 or self._steps < SETTLED // STEP:
            self._loud, self._audible = thresholds(self._history)
        self._steps += 1
        if self._steps == SETTLED // STEP:  # what seemed loud may have been the background
            self._spoken = int((self._levels[: self._frames] > self._loud).sum()) >= SPOKEN
        self._spoken = self._spoken or int((levels > self._loud).sum()) >= SPOKEN
        return self._decide()

    def _decide(self) -> list[Segment]:
        heard = self._levels[: self._frames]
        length_s = (self._start + self._filled - self._keep_from) / SAMPLING_RATE
        if not self._spoken and length_s >= IDLE_S and heard.max() <= self._audible:
            self._let_go(round(EDGE_S * 100))
            return []
        if self._frames > self._lead_in() + STEP and self._voiceless(NO_VOICE) and self._sounds():
            self._let_go(self._lead_in())
            return []
        wanted_s = SHORT_PAUSE_S if length_s >= LONG_S else PAUSE_S
        quiet = self._quiet_frames()
        if self._spoken and quiet >= round(wanted_s * 100):
            kept = self._frames - quiet + self._tail(quiet)
            return [self._cut(kept * FRAME, kept * FRAME, False)]
        if length_s >= MAX_SEGMENT_S:
            return [self._cut(self._quietest() * FRAME, self._filled, True)]
        return []

    def _quiet_frames(self) -> int:
        """Frames since the last that was loud and, where the piece holds a voice, speech."""
        behind = min(self._frames, round(PAUSE_S * 100) + STEP)
        sounding = self._levels[self._frames - behind : self._frames] > self._loud
        if self._known and int((self._voices[: self._frames] >= VOICE).sum()) >= SPOKEN:
            sounding &= self._voices[self._frames - behind : self._frames] >= GOES_ON
        last = np.flatnonzero(sounding)
        return behind - 1 - int(last[-1]) if len(last) else behind

    def _tail(self, quiet: int) -> int:
        """Of so many frames of a pause, those that stay with the piece: all that still sounds where it ends in silence,
        for the detector does not count the s at the end of a word."""
        loud = self._levels[self._frames - quiet : self._frames] > self._loud
        kept = min(round(EDGE_S * 100), quiet // 2)
        return kept if loud[-1] or not loud.any() else max(kept, int(np.flatnonzero(loud)[-1]) + 2)

    def _sounds(self) -> bool:
        """Whether the open piece is no silence beside the speech: that may stay, models hear a beginning better so."""
        return float(np.median(self._levels[: self._frames])) > np.percentile(self._history, 95) - SILENT_DB

    def _lead_in(self) -> int:
        """Frames to keep of a stretch without a voice: what began to sound just now may be the s of a word."""
        quiet = np.flatnonzero(self._levels[max(0, self._frames - ONSET_FRAMES) : self._frames] <= self._audible)
        since = min(self._frames, ONSET_FRAMES) - 1 - int(quiet[-1]) if len(quiet) else 0
        return round(LEAD_S * 100) + since

    def _voiceless(self, least: float) -> bool:
        """Whether the detector, which has heard a voice before, heard none as likely as that in the open piece."""
        if not self._known or self._frames < STEADY:
            return False
        steady = np.convolve(self._voices[: self._frames], np.full(STEADY, 1 / STEADY), "valid")
        return float(steady.max()) < least

    def _quietest(self) -> int:
        """The frame in the middle of the quietest tenth of a second in reach."""
        last = self._frames - round(LOOK_AHEAD_S * 100)
        first = last - round(REACH_S * 100)
        power = 10 ** (self._levels[first:last] / 10)
        smooth = np.convolve(power, np.ones(STEP), "valid")
        return first + int(smooth.argmin()) + STEP // 2

    def _cut(self, keep: int, heard: int, cut: bool) -> Segment:
        """End the open piece at its sample `keep`, heard up to `heard`; the next looks back where nobody paused."""
        piece = Segment(self._samples[:heard].copy(), self._start, self._keep_from, self._start + keep, cut)
        self._keep_from = piece.keep_to
        self._begin(keep - round(LOOK_BACK_S * SAMPLING_RATE) if cut else keep)
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
        self._voices[:levels] = self._voices[first : self._frames].copy()
        self._start += sample
        self._filled, self._frames = left, levels
        new = self._levels[max(0, (self._keep_from - self._start) // FRAME) : levels]
        self._spoken = int((new > self._loud).sum()) >= SPOKEN


def segment_audio(samples: np.ndarray) -> list[Segment]:
    """All pieces of a whole recording."""
    segmenter = Segmenter()
    return [*segmenter.push(samples), *segmenter.finish()]


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
