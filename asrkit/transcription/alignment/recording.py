"""A long recording in the frames of a model: the posteriors of its speech, and where each frame is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from asrkit.audio import SAMPLING_RATE
from asrkit.audio.segmentation import Segment, Segmenter
from asrkit.decoding import ctc
from asrkit.transcription.alignment.posteriors import PosteriorFile

GROUP_S = 120.0
"""Seconds of segments that are collected for a batch of the model."""


class ScoresClips(Protocol):
    """What a model is needed for here; `transcription.engine.Engine` does it."""

    def log_probabilities(self, clips: list[npt.NDArray[np.float32]]) -> list[npt.NDArray[np.float32]]:
        """Return (frames, tokens) log posteriors of each clip."""
        ...


@dataclass(frozen=True)
class SegmentFrames:
    """A part of a recording between two pauses: frames `first` to before `stop`, seconds start_s to end_s.

    Its last frame stands for the pause. is_forced_cut: there is none, so it ends within speech.
    """

    first: int
    stop: int
    start_s: float
    end_s: float
    is_forced_cut: bool


@dataclass
class ScoredRecording:
    """The frames of a recording; silence has one for each pause.

    posteriors: receives what `log_probabilities` returns. delimiter_id: of the token between words.
    centres: blocks of the seconds of each frame's centre. recognised, recognised_frames: the likeliest tokens, without
    blanks and delimiters, and the first frame of each.
    """

    posteriors: PosteriorFile
    blank_id: int
    delimiter_id: int | None
    segments: list[SegmentFrames] = field(default_factory=list)
    recognised: list[int] = field(default_factory=list)
    recognised_frames: list[int] = field(default_factory=list)
    duration_s: float = 0.0
    _centres: list[npt.NDArray[np.float32]] = field(default_factory=list)

    @property
    def centres_s(self) -> npt.NDArray[np.float32]:
        """The seconds of the centre of each frame."""
        return np.concatenate([np.zeros(0, np.float32), *self._centres])

    def score(self, blocks: Iterable[npt.NDArray[np.float32]], model: ScoresClips) -> Iterable[float]:
        """Take the blocks of a recording; yield the seconds taken so far after each group of segments."""
        segmenter, waiting, num_waiting = Segmenter(), list[Segment](), 0
        for block in blocks:
            new = segmenter.push(block)
            waiting += new
            num_waiting += sum(len(segment.samples) for segment in new)
            if num_waiting >= GROUP_S * SAMPLING_RATE:
                self._append_all(waiting, model)
                waiting, num_waiting = [], 0
                yield segmenter.position / SAMPLING_RATE
        self._append_all([*waiting, *segmenter.finish()], model)
        self.duration_s = segmenter.position / SAMPLING_RATE

    def _append_all(self, segments: list[Segment], model: ScoresClips) -> None:
        scores = model.log_probabilities([segment.samples for segment in segments])
        for segment, rows in zip(segments, scores, strict=True):
            self._append(segment, rows)

    def _append(self, segment: Segment, rows: npt.NDArray[np.float32]) -> None:
        """Append the frames of a segment; those of its context are the segment's before or after it."""
        centres = segment.start + (np.arange(len(rows)) + 0.5) * len(segment.samples) / max(1, len(rows))
        kept = (centres >= segment.keep_from) & (centres < segment.keep_to)
        rows, centres = rows[kept], centres[kept]
        if not len(rows):
            return
        first = self.posteriors.num_frames
        self.posteriors.append(rows)
        if not segment.is_forced_cut:
            self.posteriors.append_pause()
            centres = np.append(centres, segment.keep_to)
        self._centres.append((centres / SAMPLING_RATE).astype(np.float32))
        for run in ctc.token_runs(rows.argmax(axis=1).tolist(), self.blank_id):
            if run.token != self.delimiter_id:
                self.recognised.append(run.token)
                self.recognised_frames.append(first + run.start)
        self.segments.append(
            SegmentFrames(
                first,
                self.posteriors.num_frames,
                max(segment.start, segment.keep_from) / SAMPLING_RATE,
                segment.keep_to / SAMPLING_RATE,
                segment.is_forced_cut,
            )
        )
