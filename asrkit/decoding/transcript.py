"""What was heard: words with times and confidence. Knows no model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np

from asrkit.text.normalizers import unspaced


@dataclass(frozen=True)
class Word:
    """confidence: 0 to 1, from the posteriors of the word's letters; `Decoder` says how.

    In scripts without word spaces each character is a word (`text.mixed_tokens`). joined: it stands behind the word
    before it without a space.
    """

    word: str
    start_s: float
    end_s: float
    confidence: float
    joined: bool = False

    @property
    def middle_s(self) -> float:
        return (self.start_s + self.end_s) / 2

    def later(self, seconds: float) -> Word:
        return replace(self, start_s=self.start_s + seconds, end_s=self.end_s + seconds)


LATE_S = 0.05
"""A CTC model is done with a letter before its sound is over: words of the demo, whose ends are known, ended 20 to 75
ms later than their last frame (three models, said with and without pauses between them)."""


Timed = TypeVar("Timed")
"""What has a word, a start_s and an end_s."""


def sounding(words: Sequence[Timed], end_s: float) -> list[Timed]:
    """The same words, each until its sound ends or the next begins; end_s: of the stretch that they were heard in."""
    found = []
    for place, word in enumerate(words):
        limit = words[place + 1].start_s if place + 1 < len(words) else end_s
        late = max(word.end_s, min(word.end_s + LATE_S, limit))
        found.append(replace(word, end_s=late) if word.end_s > word.start_s else word)
    return found


@dataclass(frozen=True)
class Transcript:
    """The words of a recording in order."""

    words: list[Word]
    duration_s: float

    @property
    def text(self) -> str:
        return text_of(self.words)

    @property
    def confidence(self) -> float:
        """The mean over the words; 0 without any."""
        return float(np.mean([word.confidence for word in self.words])) if self.words else 0.0


def text_of(words: Sequence[Word]) -> str:
    """Words as they are written."""
    return "".join(word.word if word.joined or not place else f" {word.word}" for place, word in enumerate(words))


def describe(transcript: Transcript) -> dict[str, Any]:
    """The transcript as `transcribe --format json` prints it."""
    return {
        "text": transcript.text,
        "words": [described(word) for word in transcript.words],
        "duration_s": round(transcript.duration_s, 3),
    }


def described(word: Word) -> dict[str, Any]:
    """`joined` is told where it is so."""
    told = {
        "word": word.word,
        "start_s": round(word.start_s, 3),
        "end_s": round(word.end_s, 3),
        "confidence": round(word.confidence, 4),
    }
    return told | {"joined": True} if word.joined else told


class Seams:
    """Joins the words of stretches that were heard apart.

    Where nobody paused, both sides heard the words around the cut, the one in full, the other beginning there. The seam
    is the gap between two words of the earlier side that is nearest to the cut, and a word belongs to the side that its
    middle lies on: so a word across the cut is said once, by the side that heard all of it. Between two characters of
    a script without word spaces there is no space at a seam either.
    """

    def __init__(self) -> None:
        self._seam_s: float | None = None
        self._last = ""

    def add(self, words: Sequence[Word], cut_s: float | None) -> list[Word]:
        """The words of the next stretch, with their times in the recording -> those that count.

        cut_s: where the stretch was cut in the middle of speech; None where it ended at a pause.
        """
        kept = self.beyond(words)
        self._seam_s = None
        if cut_s is not None:
            self._seam_s = _gap(words, cut_s)
            kept = [word for word in kept if word.middle_s < self._seam_s]
        if kept:
            self._last = kept[-1].word
        return kept

    def beyond(self, words: Sequence[Word]) -> list[Word]:
        """Of a stretch that goes on, the words behind the last seam."""
        kept = [word for word in words if self._seam_s is None or word.middle_s >= self._seam_s]
        if kept:
            first = kept[0]
            behind = unspaced(self._last) and unspaced(first.word) if first is words[0] else first.joined
            kept[0] = replace(first, joined=bool(self._last) and behind)
        return kept


def _gap(words: Sequence[Word], at_s: float) -> float:
    """The middle of the gap between words that is nearest to a moment; the moment itself where no word spans it."""
    if not any(word.start_s < at_s < word.end_s for word in words):
        return at_s
    between = ((left.end_s + right.start_s) / 2 for left, right in pairwise(words))
    gaps = [words[0].start_s, *between, words[-1].end_s]
    return min(gaps, key=lambda gap: abs(gap - at_s))
