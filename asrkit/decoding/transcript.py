"""Recognised words with times and confidences, and the transcript that they make. Knows no model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self, TypeVar

import numpy as np

LATE_S = 0.05
"""A CTC model has emitted a letter before its sound is over: words of the demo, whose ends are known, ended 20 to 75 ms
later than their last frame (three models, with and without pauses between the words)."""


@dataclass(frozen=True)
class TimedWord:
    """A word, and when it starts and ends in a recording."""

    word: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Word(TimedWord):
    """A recognised word. confidence: 0 to 1, from the posteriors of its letters; each decoder documents how.

    In scripts without word spaces each character is a word (`text.scripts.tokenize_mixed`). joined: no space
    separates it from the word before it. not_in_word_list: the model knows a closed list of words, and what was said
    is probably none of them; `word` is the most similar one. channel: of the recording, from 1, where each was
    transcribed by itself; else 0.
    """

    confidence: float
    joined: bool = False
    not_in_word_list: bool = False
    channel: int = 0

    @property
    def midpoint_s(self) -> float:
        return (self.start_s + self.end_s) / 2

    def shift(self, seconds: float) -> Self:
        """Return the word that much later."""
        return replace(self, start_s=self.start_s + seconds, end_s=self.end_s + seconds)

    def to_dict(self) -> dict[str, Any]:
        """Return what `transcribe --format json` prints of a word; flags and channel only where they are set."""
        data: dict[str, Any] = {
            "word": self.word,
            "start_s": round(self.start_s, 3),
            "end_s": round(self.end_s, 3),
            "confidence": round(self.confidence, 4),
        }
        flags = {"joined": self.joined, "not_in_word_list": self.not_in_word_list}
        channel = {"channel": self.channel} if self.channel else {}
        return data | channel | {name: True for name, is_set in flags.items() if is_set}


@dataclass(frozen=True)
class Transcript:
    """The words of a recording in order.

    recording: its file or name, for formats that link it. common_words: the language whose common words were preferred,
    as `DecodingHints.find_common_words`.
    """

    words: list[Word]
    duration_s: float
    recording: str = ""
    common_words: str = ""

    @property
    def text(self) -> str:
        return join_words(self.words)

    @property
    def confidence(self) -> float:
        """The mean over the words; 0 without any."""
        return float(np.mean([word.confidence for word in self.words])) if self.words else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return what `transcribe --format json` prints."""
        preferred = {"common_words": self.common_words} if self.common_words else {}
        return {
            "text": self.text,
            "words": [word.to_dict() for word in self.words],
            "duration_s": round(self.duration_s, 3),
            **preferred,
        }


class JoinableWord(Protocol):
    """joined: as in `Word`."""

    @property
    def word(self) -> str: ...

    @property
    def joined(self) -> bool: ...


def join_words(words: Sequence[JoinableWord]) -> str:
    """Return the text of words: spaces between them, except before joined ones."""
    return "".join(word.word if word.joined or not index else f" {word.word}" for index, word in enumerate(words))


AnyTimedWord = TypeVar("AnyTimedWord", bound=TimedWord)


def extend_word_ends(words: Sequence[AnyTimedWord], end_s: float) -> list[AnyTimedWord]:
    """Move the end of each word LATE_S later, where its sound ends, but not past the next word or `end_s`."""
    extended = []
    for index, word in enumerate(words):
        limit = words[index + 1].start_s if index + 1 < len(words) else end_s
        late = max(word.end_s, min(word.end_s + LATE_S, limit))
        extended.append(replace(word, end_s=late) if word.end_s > word.start_s else word)
    return extended
