"""Grouping of words into captions of readable length."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from asrkit.decoding.transcript import Transcript, Word, join_words

MAX_LINE_WIDTH, MAX_LINES = 42, 2
"""Characters in a line and lines in a caption (the BBC's and Netflix's guides ask for 37 to 42 and 2)."""
FULL_WIDTH = 2.6
"""Width of a full-width character: 16 of them fill a line, as Netflix's guides have it for Chinese."""
MIN_PAUSE_S, MAX_CAPTION_S = 0.8, 7.0
"""Pause that starts a new caption, and the longest that one is shown."""
MIN_CAPTION_S = 1.0
"""A caption is shown at least this long, unless the next one starts earlier."""


@dataclass(frozen=True)
class Caption:
    """Words shown together."""

    start_s: float
    end_s: float
    words: Sequence[Word]

    @property
    def lines(self) -> list[str]:
        """The text on one line where it fits, else on two of similar length, split at a space if both then fit."""
        if _width(join_words(self.words)) <= MAX_LINE_WIDTH or len(self.words) == 1:
            return [join_words(self.words)]
        indices = range(1, len(self.words))
        spaces = [index for index in indices if not self.words[index].joined]
        lines = self._split_evenly(spaces or indices)
        return lines if max(map(_width, lines)) <= MAX_LINE_WIDTH else self._split_evenly(indices)

    def _split_evenly(self, indices: Sequence[int]) -> list[str]:
        splits = [[join_words(self.words[:index]), join_words(self.words[index:])] for index in indices]
        return min(splits, key=lambda halves: abs(_width(halves[0]) - _width(halves[1])))


def split_captions(transcript: Transcript) -> Iterator[Caption]:
    """Yield the captions of a transcript, in order and never overlapping."""
    groups: list[list[Word]] = []
    for word in transcript.words:
        if groups and _fits(groups[-1], word):
            groups[-1].append(word)
        else:
            groups.append([word])
    for index, group in enumerate(groups):
        start_s, end_s = group[0].start_s, group[-1].end_s
        limit_s = groups[index + 1][0].start_s if index + 1 < len(groups) else max(end_s, transcript.duration_s)
        yield Caption(start_s, max(end_s, min(start_s + MIN_CAPTION_S, limit_s)), group)


def _width(text: str) -> float:
    """Return the width in characters of a line: 0 for a combining mark, FULL_WIDTH for a full-width character."""
    return sum(
        0
        if unicodedata.combining(character) or unicodedata.category(character) == "Mn"
        else FULL_WIDTH
        if unicodedata.east_asian_width(character) in "WF"
        else 1
        for character in text
    )


def _fits(group: list[Word], word: Word) -> bool:
    # A quarter of a line is left free: two lines of similar length rarely fill both.
    return (
        word.start_s - group[-1].end_s < MIN_PAUSE_S
        and word.end_s - group[0].start_s <= MAX_CAPTION_S
        and _width(join_words([*group, word])) <= MAX_LINE_WIDTH * MAX_LINES - MAX_LINE_WIDTH // 4
    )
