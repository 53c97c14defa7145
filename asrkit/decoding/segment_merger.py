"""Merging of the words of overlapping segments of one recording."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from asrkit.decoding.transcript import Word
from asrkit.text.scripts import is_unspaced


class SegmentMerger:
    """Merges the words of segments that were decoded separately.

    Where speech had to be cut, the segments on both sides overlap: the earlier one goes on beyond the cut. The seam is
    the gap between two words of the earlier segment that is nearest to the cut, and a word belongs to the side that its
    midpoint lies on, so a word across the cut appears once, from the segment that contains all of it. Between two
    characters of a script without word spaces no space is put at a seam.
    """

    def __init__(self) -> None:
        self._seam_s: float | None = None
        self._last_word = ""

    def push(self, words: Sequence[Word], cut_s: float | None) -> list[Word]:
        """Take the words of the next segment, timed within the recording, and return those to keep.

        cut_s: where the segment was cut in the middle of speech; None where it ended at a pause.
        """
        kept = self.preview(words)
        self._seam_s = None
        if cut_s is not None:
            self._seam_s = _find_seam(words, cut_s)
            kept = [word for word in kept if word.midpoint_s < self._seam_s]
        if kept:
            self._last_word = kept[-1].word
        return kept

    def preview(self, words: Sequence[Word]) -> list[Word]:
        """Return the words of an unfinished segment that lie after the last seam, without taking them."""
        kept = [word for word in words if self._seam_s is None or word.midpoint_s >= self._seam_s]
        if kept:
            first = kept[0]
            joined = is_unspaced(self._last_word) and is_unspaced(first.word) if first is words[0] else first.joined
            kept[0] = replace(first, joined=bool(self._last_word) and joined)
        return kept


def _find_seam(words: Sequence[Word], cut_s: float) -> float:
    """Return the middle of the gap between words that is nearest to a cut; the cut itself where no word spans it."""
    if not any(word.start_s < cut_s < word.end_s for word in words):
        return cut_s
    between = ((left.end_s + right.start_s) / 2 for left, right in pairwise(words))
    gaps = [words[0].start_s, *between, words[-1].end_s]
    return min(gaps, key=lambda gap: abs(gap - cut_s))
