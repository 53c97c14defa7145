"""Clips of a long recording that has been aligned with its text, and the passages in which the two differ.

A clip ends at pauses alone, where the segmentation of the recording has found one that is not within a word. What lies
between two pauses is a piece; a piece in which text or speech is missing is in no clip.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from asrkit.decoding.transcript import join_words
from asrkit.transcription.alignment.placement import NOWHERE, Placement
from asrkit.transcription.alignment.recording import SegmentFrames
from asrkit.transcription.alignment.script import ScriptWord

EXTRA, MISSING, DIFFERENT, UNCUT = "extra", "missing", "different", "uncut"
"""Passages: speech without text; text without speech; both, and unlike; no pause to cut at."""
TARGET_CLIP_S, MAX_CLIP_S, MAX_UNCUT_S = 6.0, 15.0, 30.0
"""Clips are to be so long; they get no longer than the second where there is a pause, and the third in any case."""
MAX_PAUSE_S = 2.0
"""Silence within a clip."""
LEAD_S = 0.5
"""Silence that a clip may have before its first word: a model emits a letter up to so much later than it is spoken."""
MIN_EXTRA_FRAMES, MIN_EXTRA_FRAMES_ALONE = 12, 3
"""Frames of speech that make a passage without text, between two words and in a piece without words. Fewer are likely
to be part of the words, or a noise."""
MIN_SCORE = -6.0
"""Clips below have other words than their text. Of right ones, one of 100 scored below -2.5 with a weak model, and one
below -5.4 with a model of another language."""
MARGIN_FRAMES = 3
"""Frames between a word and a cut that was made without a pause; with fewer, the word may have been cut."""


@dataclass(frozen=True)
class AlignedClip:
    """A clip of a recording. score: 0 at best, as in `Placement.score`. num_words: without punctuation."""

    start_s: float
    end_s: float
    text: str
    score: float
    num_words: int


@dataclass(frozen=True)
class Passage:
    """A part of a recording and its text that is in no clip. kind: EXTRA, MISSING, DIFFERENT or UNCUT."""

    kind: str
    start_s: float
    end_s: float
    text: str


@dataclass
class _Piece:
    """Segments `first` to `last` of a recording, which no word lets cut. words: those in it, in order.

    num_missing: words that were left out within it. has_extra: whether it has speech without text. ends_at_pause: not
    at a forced cut.
    """

    first: int
    last: int
    start_s: float
    end_s: float
    words: list[int] = field(default_factory=list)
    num_missing: int = 0
    has_extra: bool = False
    ends_at_pause: bool = True


def cut_clips(
    words: Sequence[ScriptWord],
    spoken: frozenset[int],
    placement: Placement,
    segments: Sequence[SegmentFrames],
    centres_s: np.ndarray,
) -> tuple[list[AlignedClip], list[Passage]]:
    """Cut an aligned recording. Returns clips and passages, each in order of time.

    spoken: indices of the words that are more than punctuation. centres_s: (frames,) seconds of each frame.
    """
    pieces = _make_pieces(placement, segments)
    missing = _note_missing(placement, spoken, pieces, segments)
    cutter = _Cutter(words, spoken, placement, pieces, centres_s)
    cut = [clip for run in _runs(pieces, {group.after for group in missing}) for clip in cutter.cut(run)]
    clips = [clip for clip in cut if clip.score >= MIN_SCORE]
    passages = [*cutter.describe_pieces(), *cutter.describe_missing(missing)]
    passages += [Passage(DIFFERENT, clip.start_s, clip.end_s, clip.text) for clip in cut if clip.score < MIN_SCORE]
    return clips, sorted(passages, key=lambda passage: (passage.start_s, passage.end_s))


@dataclass(frozen=True)
class _MissingGroup:
    """Words in a row that were left out between two pieces. after: index of the piece before them, -1 for none."""

    words: list[int]
    after: int


def _make_pieces(placement: Placement, segments: Sequence[SegmentFrames]) -> list[_Piece]:
    firsts = np.array([segment.first for segment in segments])
    can_cut = np.ones(len(segments), bool)  # behind each segment
    placed = np.flatnonzero(placement.first != NOWHERE)
    begins = np.searchsorted(firsts, placement.first[placed], "right") - 1
    ends = np.searchsorted(firsts, placement.last[placed], "right") - 1
    for begin, end in zip(begins, ends, strict=True):
        can_cut[begin:end] = False
    for index, segment in enumerate(segments[:-1]):
        if segment.is_forced_cut:
            near = (placement.last[placed] >= segment.stop - MARGIN_FRAMES) & (begins <= index)
            near |= (placement.first[placed] < segment.stop + MARGIN_FRAMES) & (begins > index)
            can_cut[index] &= not near.any()
    starts = [0, *(np.flatnonzero(can_cut[:-1]) + 1).tolist()]
    pieces = [
        _Piece(first, last - 1, segments[first].start_s, segments[last - 1].end_s)
        for first, last in pairwise([*starts, len(segments)])
    ]
    for piece in pieces:
        piece.ends_at_pause = not segments[piece.last].is_forced_cut
    for word, begin in zip(placed.tolist(), begins, strict=True):
        pieces[int(np.searchsorted(starts, begin, "right")) - 1].words.append(word)
    for piece in pieces:
        begin, end = np.searchsorted(placement.extra, (segments[piece.first].first, segments[piece.last].stop))
        counts = np.unique(placement.extra_gaps[begin:end], return_counts=True)[1]
        piece.has_extra = counts.max(initial=0) >= (MIN_EXTRA_FRAMES if piece.words else MIN_EXTRA_FRAMES_ALONE)
    return pieces


def _note_missing(
    placement: Placement, spoken: frozenset[int], pieces: Sequence[_Piece], segments: Sequence[SegmentFrames]
) -> list[_MissingGroup]:
    """Return the words that were left out between pieces; count those within a piece there."""
    piece_of = {word: index for index, piece in enumerate(pieces) for word in piece.words}
    groups: list[_MissingGroup] = []
    group, before = list[int](), -1
    for word in [*sorted(spoken), None]:
        if word is not None and word not in piece_of:
            group.append(word)
            continue
        here = piece_of[word] if word is not None else len(pieces)
        if group and here == before:
            pieces[here].num_missing += len(group)
        elif group:
            groups.append(_MissingGroup(group, before))
        group, before = [], here
    return groups


def _runs(pieces: Sequence[_Piece], breaks: set[int]) -> Iterator[list[_Piece]]:
    """Yield pieces in a row that may be joined. breaks: indices of pieces behind which words were left out."""
    run: list[_Piece] = []
    for index, piece in enumerate(pieces):
        is_good = bool(piece.words and not piece.num_missing and not piece.has_extra)
        if run and (not is_good or piece.start_s - run[-1].end_s > MAX_PAUSE_S):
            yield run
            run = []
        if is_good:
            run.append(piece)
        if run and index in breaks:
            yield run
            run = []
    if run:
        yield run


class _Cutter:
    def __init__(
        self,
        words: Sequence[ScriptWord],
        spoken: frozenset[int],
        placement: Placement,
        pieces: Sequence[_Piece],
        centres_s: np.ndarray,
    ) -> None:
        self._words, self._spoken, self._placement = words, spoken, placement
        self._pieces, self._centres_s = pieces, centres_s

    def cut(self, run: Sequence[_Piece]) -> Iterator[AlignedClip]:
        """Yield the clips of the least cost (Bellman) that a run of pieces can be joined to."""
        costs, origins = [0.0], [0]
        for stop in range(1, len(run) + 1):
            choices = []
            for start in range(stop - 1, -1, -1):
                duration_s = run[stop - 1].end_s - run[start].start_s
                if duration_s > MAX_CLIP_S and start < stop - 1:
                    break
                choices.append((costs[start] + self._cost(duration_s, run[stop - 1]), start))
            cost, origin = min(choices)
            costs.append(cost)
            origins.append(origin)
        cuts = [len(run)]
        while cuts[-1]:
            cuts.append(origins[cuts[-1]])
        for start, stop in pairwise(reversed(cuts)):
            if run[stop - 1].end_s - run[start].start_s <= MAX_UNCUT_S:
                yield self._make_clip(run[start:stop])

    def _cost(self, duration_s: float, last: _Piece) -> float:
        """Return the cost of a clip: of its length, and of an end that is not that of a sentence, or no pause."""
        ends_phrase = any(self._words[word].ends_phrase for word in self._with_punctuation(last.words[-1]))
        return abs(duration_s - TARGET_CLIP_S) / TARGET_CLIP_S + (not ends_phrase) + 3 * (not last.ends_at_pause)

    def _with_punctuation(self, word: int) -> range:
        """Return the indices of a word and of the punctuation that follows."""
        stop = word + 1
        while stop < len(self._words) and stop not in self._spoken:
            stop += 1
        return range(word, stop)

    def _make_clip(self, pieces: Sequence[_Piece]) -> AlignedClip:
        first, last = pieces[0].words[0], pieces[-1].words[-1]
        first_frame, last_frame = int(self._placement.first[first]), int(self._placement.last[last])
        start_s = max(pieces[0].start_s, float(self._centres_s[first_frame]) - LEAD_S)
        text = self._text(range(first, self._with_punctuation(last).stop))
        score = self._placement.score(first_frame, last_frame)
        return AlignedClip(start_s, pieces[-1].end_s, text, score, sum(len(piece.words) for piece in pieces))

    def _text(self, indices: Sequence[int]) -> str:
        return join_words([self._words[index] for index in indices])

    def describe_pieces(self) -> Iterator[Passage]:
        """Yield the passages that pieces make which are in no clip; those of one kind in a row are one."""
        waiting: Passage | None = None
        for piece in self._pieces:
            passage = self._describe(piece)
            if waiting and passage and passage.kind == waiting.kind == EXTRA:
                waiting = Passage(EXTRA, waiting.start_s, passage.end_s, "")
                continue
            if waiting:
                yield waiting
            waiting = passage
        if waiting:
            yield waiting

    def _describe(self, piece: _Piece) -> Passage | None:
        if not piece.words:
            return Passage(EXTRA, piece.start_s, piece.end_s, "") if piece.has_extra else None
        text = self._text(range(piece.words[0], self._with_punctuation(piece.words[-1]).stop))
        if piece.num_missing or piece.has_extra:
            return Passage(DIFFERENT, piece.start_s, piece.end_s, text)
        return Passage(UNCUT, piece.start_s, piece.end_s, text) if piece.end_s - piece.start_s > MAX_UNCUT_S else None

    def describe_missing(self, groups: Sequence[_MissingGroup]) -> Iterator[Passage]:
        """Yield the passages of text that were left out between pieces, each at the pause where it should be."""
        for group in groups:
            at_s = self._pieces[group.after].end_s if group.after >= 0 else 0.0
            stop = self._with_punctuation(group.words[-1]).stop
            yield Passage(MISSING, at_s, at_s, self._text(range(group.words[0], stop)))
