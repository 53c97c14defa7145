"""Segmentation of a recording of any length at pauses, while the audio arrives.

A decision is made every tenth of a second, from the audio up to that point alone. So a microphone and a file with the
same audio are segmented alike, whatever the size of their blocks. Two signals decide: the level, and the probability of
speech (`SileroVad`). Once the detector has recognised a voice, it finds the pauses, under music too, and what it is
certain contains no voice is dropped. Until then the levels decide, so that a voice that the detector does not know is
not lost.
"""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asrkit.audio import vad
from asrkit.audio.vad import SileroVad
from asrkit.audio.waveform import SAMPLING_RATE, SILENCE_DBFS, Samples

FRAME = SAMPLING_RATE // 100
"""Samples of a frame of 10 ms, which has one level."""
STEP = 10
"""Frames between two decisions."""
HISTORY_S, UPDATE_STEPS = 10.0, 5
"""The thresholds come from the levels of the last HISTORY_S, every UPDATE_STEPS steps."""
SETTLED_FRAMES, MIN_SPEECH_FRAMES = 100, 3
"""Frames after which the background is known (fewer may be a single word), and loud frames that count as speech."""
BACKGROUND_DB = 8.0
"""How far steady noise may rise above its quietest frames."""
PAUSE_S, SHORT_PAUSE_S, LONG_S = 0.25, 0.15, 3.0
"""Quiet that ends a segment; in segments longer than LONG_S a short pause does."""
EDGE_S = 0.2
"""Quiet that a segment keeps after its last sound; the rest of the pause goes to the next segment."""
MAX_SEGMENT_S = 15.0
"""A segment without a pause is cut here, at its quietest moment in the CUT_SEARCH_S before the last LOOK_AHEAD_S."""
CUT_SEARCH_S, LOOK_AHEAD_S, LOOK_BACK_S = 5.0, 1.0, 1.5
IDLE_S = 2.0
"""Silence is dropped in stretches of this length."""
SPEECH_PROBABILITY, CONTINUE_PROBABILITY = 0.5, 0.35
"""Probability from which a frame is speech, and from which speech continues."""
NO_SPEECH_PROBABILITY, CERTAIN_NO_SPEECH_PROBABILITY = 0.45, 0.1
"""A stretch has no voice where the mean of each SMOOTHING_FRAMES stays below the first (at 0.5 a synthetic voice under
music was dropped); the second holds for the end of a recording, which may be the beginning of a word."""
SMOOTHING_FRAMES = 20
VAD_TRUST_FRAMES = 100
"""Frames of uninterrupted speech after which the detector is trusted; one of 300 wavering tones reached that."""
LEAD_IN_S = 0.15
"""What is kept of a stretch without a voice for the onset of the next word. With more, models recognise words in the
music between two sentences."""
SILENT_DB = 30.0
"""A pause this far below the loudest of the last seconds contains nothing that a model could take for words."""
ONSET_FRAMES = 40
"""Frames that a word may last before the detector recognises a voice."""


@dataclass(frozen=True, eq=False)
class Segment:
    """A stretch of a recording to transcribe: `samples` from sample `start` of the recording, 16 kHz.

    Only words in [keep_from, keep_to) count; the rest is context. is_forced_cut: a word may lie across keep_to.
    """

    samples: Samples
    start: int
    keep_from: int
    keep_to: int
    is_forced_cut: bool

    @property
    def stop(self) -> int:
        return self.start + len(self.samples)


class Segmenter:
    """Takes blocks of samples, returns segments. Memory: one segment, at most MAX_SEGMENT_S + LOOK_BACK_S long.

    pool: as for `SileroVad`; segments are the same.
    """

    def __init__(self, pool: Executor | None = None) -> None:
        capacity = round((MAX_SEGMENT_S + LOOK_BACK_S + 1.0) * SAMPLING_RATE)
        self._samples, self._levels = np.zeros(capacity, np.float32), np.zeros(capacity // FRAME, np.float32)
        self._speech = np.zeros(capacity // FRAME, np.float32)  # the probability of speech beside each level
        self._detector, self._probabilities = SileroVad(pool), np.zeros(0, np.float32)
        self._num_detected = 0  # samples passed to the detector
        self._speech_run = 0  # frames of uninterrupted speech up to now
        self._trusts_detector = False  # whether the detector has recognised a voice in this recording
        self._num_samples = self._num_frames = 0  # of the open segment, its look-back included
        self._start = self._keep_from = 0  # in samples of the recording
        self._rest = np.zeros(0, np.float32)  # samples of a step that is not complete
        self._history = np.zeros(0, np.float32)
        self._num_steps = 0
        self._loud_dbfs = self._audible_dbfs = SILENCE_DBFS
        self._has_speech = self._has_voice = self._is_voiced = False  # of the open segment

    @property
    def position(self) -> int:
        """Number of samples received so far."""
        return self._start + self._num_samples + len(self._rest)

    @property
    def pending(self) -> Segment:
        """The open segment: what has arrived since the last segment ended."""
        samples = np.concatenate([self._samples[: self._num_samples], self._rest])
        return Segment(samples, self._start, self._keep_from, self._start + len(samples), False)

    @property
    def has_speech(self) -> bool:
        """Whether the open segment contains more than quiet."""
        return self._has_speech

    def push(self, block: Samples) -> list[Segment]:
        """Take the next (n,) float32 samples; return the segments that they complete."""
        samples = np.concatenate([self._rest, block]) if len(self._rest) else block
        num_whole = len(samples) // (STEP * FRAME) * STEP * FRAME
        levels, speech = _levels_dbfs(samples[:num_whole]), self._detect(samples[:num_whole])
        segments = []
        for frame in range(0, len(levels), STEP):
            span = slice(frame, frame + STEP)
            segments += self._step(samples[frame * FRAME : (frame + STEP) * FRAME], levels[span], speech[span])
        self._rest = np.array(samples[num_whole:], np.float32)
        return segments

    def finish(self) -> list[Segment]:
        """Return the last segment, if it contains any sound."""
        rest = self._rest
        levels = _levels_dbfs(np.pad(rest, (0, -len(rest) % FRAME)))
        last = np.concatenate([self._probabilities, self._detector.push(np.pad(rest, (0, vad.FRAME_SAMPLES)))])
        self._append(rest, levels, np.full(len(levels), last.max(initial=0.0), np.float32))
        self._rest = rest[:0]
        has_sound = self._num_frames and self._levels[: self._num_frames].max() > self._audible_dbfs
        if has_sound and not self._is_voiceless(CERTAIN_NO_SPEECH_PROBABILITY):
            return [self._end_segment(self._num_samples, self._num_samples, is_forced_cut=False)]
        self._drop(keep_frames=0)
        return []

    def _detect(self, samples: Samples) -> Samples:
        """Return the (frames,) probabilities of speech in (steps * STEP * FRAME,) samples.

        A frame gets the probability of the detector's frame that it ends in, or of the last that ends in its step.
        `_probabilities` keeps those of detector frames that began in the last step or end in the next.
        """
        begin = self._num_detected
        self._num_detected += len(samples)
        self._probabilities = np.concatenate([self._probabilities, self._detector.push(samples)])
        ends = np.arange(begin + FRAME, self._num_detected + 1, FRAME)
        last = -(-ends // (STEP * FRAME)) * (STEP * FRAME) // vad.FRAME_SAMPLES - 1
        first = self._num_detected // vad.FRAME_SAMPLES - len(self._probabilities)
        probabilities = self._probabilities[np.minimum((ends - 1) // vad.FRAME_SAMPLES, last) - first]
        self._probabilities = self._probabilities[-2:]
        return probabilities

    def _append(self, samples: Samples, levels: Samples, speech: Samples) -> None:
        self._samples[self._num_samples : self._num_samples + len(samples)] = samples
        self._levels[self._num_frames : self._num_frames + len(levels)] = levels
        self._speech[self._num_frames : self._num_frames + len(levels)] = speech
        self._num_samples += len(samples)
        self._num_frames += len(levels)

    def _step(self, samples: Samples, levels: Samples, speech: Samples) -> list[Segment]:
        self._append(samples, levels, speech)
        breaks = np.flatnonzero(speech < SPEECH_PROBABILITY)
        self._speech_run = STEP - 1 - int(breaks[-1]) if len(breaks) else self._speech_run + STEP
        self._trusts_detector = self._trusts_detector or self._speech_run >= VAD_TRUST_FRAMES
        self._history = np.concatenate([self._history, levels])[-round(HISTORY_S * 100) :]
        if self._num_steps % UPDATE_STEPS == 0 or self._num_steps < SETTLED_FRAMES // STEP:
            self._loud_dbfs, self._audible_dbfs = compute_thresholds(self._history)
        self._num_steps += 1
        if self._num_steps == SETTLED_FRAMES // STEP:  # what seemed loud may have been the background
            self._has_speech = self._is_loud(self._levels[: self._num_frames])
        self._has_speech = self._has_speech or self._is_loud(levels)
        return self._decide()

    def _is_loud(self, levels: Samples) -> bool:
        return int((levels > self._loud_dbfs).sum()) >= MIN_SPEECH_FRAMES

    def _decide(self) -> list[Segment]:
        """End the open segment, drop what it need not keep, or wait."""
        length_s = (self._start + self._num_samples - self._keep_from) / SAMPLING_RATE
        is_idle = not self._has_speech and length_s >= IDLE_S
        if is_idle and self._levels[: self._num_frames].max() <= self._audible_dbfs:
            self._drop(keep_frames=round(EDGE_S * 100))
            return []
        if self._is_voiceless(NO_SPEECH_PROBABILITY):
            lead_in = self._lead_in()
            if self._num_frames > lead_in + STEP and self._is_active():
                self._drop(keep_frames=lead_in)
                return []
        pause_s = SHORT_PAUSE_S if length_s >= LONG_S else PAUSE_S
        num_quiet = self._quiet_frames()
        if self._has_speech and num_quiet >= round(pause_s * 100):
            end = (self._num_frames - num_quiet + self._tail(num_quiet)) * FRAME
            return [self._end_segment(end, end, is_forced_cut=False)]
        if length_s >= MAX_SEGMENT_S:
            return [self._end_segment(self._quietest_frame() * FRAME, self._num_samples, is_forced_cut=True)]
        return []

    def _quiet_frames(self) -> int:
        """Return the number of frames since the last that was loud and, where the segment contains a voice, speech."""
        reach = min(self._num_frames, round(PAUSE_S * 100) + STEP)
        recent = slice(self._num_frames - reach, self._num_frames)
        is_active = self._levels[recent] > self._loud_dbfs
        if not self._has_voice:  # once it does, it always will
            num_speech = int((self._speech[: self._num_frames] >= SPEECH_PROBABILITY).sum())
            self._has_voice = num_speech >= MIN_SPEECH_FRAMES
        if self._trusts_detector and self._has_voice:
            is_active &= self._speech[recent] >= CONTINUE_PROBABILITY
        active = np.flatnonzero(is_active)
        return reach - 1 - int(active[-1]) if len(active) else reach

    def _tail(self, num_quiet: int) -> int:
        """Return the frames of a pause that stay with the segment before it.

        Where the pause ends in silence, all that still sounds in it: the detector does not count a final "s".
        """
        is_loud = self._levels[self._num_frames - num_quiet : self._num_frames] > self._loud_dbfs
        num_kept = min(round(EDGE_S * 100), num_quiet // 2)
        if is_loud[-1] or not is_loud.any():
            return num_kept
        return max(num_kept, int(np.flatnonzero(is_loud)[-1]) + 2)

    def _is_active(self) -> bool:
        """Whether the open segment is not silence beside the speech. Silence may stay: it helps models at an onset."""
        loudest = float(np.percentile(self._history, 95))
        return float(np.median(self._levels[: self._num_frames])) > loudest - SILENT_DB

    def _lead_in(self) -> int:
        """Return the frames to keep of a voiceless stretch with a sound that just began, maybe the "s" of a word."""
        recent = self._levels[max(0, self._num_frames - ONSET_FRAMES) : self._num_frames]
        quiet = np.flatnonzero(recent <= self._audible_dbfs)
        num_sounding = min(self._num_frames, ONSET_FRAMES) - 1 - int(quiet[-1]) if len(quiet) else 0
        return round(LEAD_IN_S * 100) + num_sounding

    def _is_voiceless(self, probability: float) -> bool:
        """Whether the detector, once trusted, gives less than this probability throughout the open segment."""
        if self._is_voiced or not self._trusts_detector or self._num_frames < SMOOTHING_FRAMES:
            return False
        window = np.full(SMOOTHING_FRAMES, 1 / SMOOTHING_FRAMES)
        highest = float(np.convolve(self._speech[: self._num_frames], window, "valid").max())
        self._is_voiced = highest >= NO_SPEECH_PROBABILITY  # and stays so, whatever follows
        return highest < probability

    def _quietest_frame(self) -> int:
        """Return the frame in the middle of the quietest tenth of a second that may be cut."""
        last = self._num_frames - round(LOOK_AHEAD_S * 100)
        first = last - round(CUT_SEARCH_S * 100)
        power = 10 ** (self._levels[first:last] / 10)
        smooth = np.convolve(power, np.ones(STEP), "valid")
        return first + int(smooth.argmin()) + STEP // 2

    def _end_segment(self, keep: int, stop: int, *, is_forced_cut: bool) -> Segment:
        """End the open segment at its sample `keep`, with context up to `stop`; after a forced cut the next looks
        back."""
        segment = Segment(self._samples[:stop].copy(), self._start, self._keep_from, self._start + keep, is_forced_cut)
        self._keep_from = segment.keep_to
        self._begin_segment(keep - round(LOOK_BACK_S * SAMPLING_RATE) if is_forced_cut else keep)
        return segment

    def _drop(self, keep_frames: int) -> None:
        """Forget the open segment except for its last frames."""
        self._begin_segment(max(0, self._num_samples - keep_frames * FRAME))
        self._keep_from = self._start

    def _begin_segment(self, sample: int) -> None:
        """Begin a new open segment at this sample of the buffer."""
        first = min(sample // FRAME, self._num_frames)
        num_samples, num_frames = self._num_samples - sample, self._num_frames - first
        self._samples[:num_samples] = self._samples[sample : self._num_samples].copy()
        self._levels[:num_frames] = self._levels[first : self._num_frames].copy()
        self._speech[:num_frames] = self._speech[first : self._num_frames].copy()
        self._start += sample
        self._num_samples, self._num_frames = num_samples, num_frames
        self._has_voice = self._is_voiced = False
        self._has_speech = self._is_loud(self._levels[max(0, (self._keep_from - self._start) // FRAME) : num_frames])


def segment_audio(samples: Samples) -> list[Segment]:
    """Return all segments of a complete recording of (n,) samples at 16 kHz."""
    segmenter = Segmenter()
    return [*segmenter.push(samples), *segmenter.finish()]


def compute_thresholds(levels: npt.NDArray[np.floating]) -> tuple[float, float]:
    """Return (dBFS above which a frame is loud, dBFS above which it is more than background) for recent levels.

    Loud, which decides where to cut, is about a third of the way from their 10th percentile to their 95th. Background,
    which may be dropped, lies within a few decibels of the quietest: a soft speaker may follow a loud one.
    """
    last = len(levels) - 1  # np.percentile does the same in six times the time
    quietest, low, high = np.interp((0.02 * last, 0.10 * last, 0.95 * last), np.arange(last + 1), np.sort(levels))
    audible = max(SILENCE_DBFS, quietest + BACKGROUND_DB) if len(levels) >= SETTLED_FRAMES else SILENCE_DBFS
    return float(max(audible, low + 0.35 * (high - low))), float(audible)


def _levels_dbfs(samples: Samples) -> Samples:
    """Return (frames * FRAME,) samples as (frames,) dBFS of each frame's root mean square, its offset removed."""
    power = samples.reshape(-1, FRAME).var(axis=1)
    return (10 * np.log10(power + 1e-12)).astype(np.float32)
