"""Names and rare words that a model misspells: heard where the sound fits them nearly as well as what was heard.

Each word heard greedily, and each two neighbours together, is compared with each hot word: the likeliest CTC path that
spells the hot word in those frames may be worse than the path heard by BONUS for each of its letters. All other words
stay as they are, so any word can still be heard.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from asrkit.errors import ConfigError
from asrkit.speech import ctc
from asrkit.transcription import alignment
from asrkit.transcription.decoding import Greedy
from asrkit.transcription.transcript import Word

BONUS = 1.2
"""Nats a letter. On 98 clips of human speech, of 35 times that one of 25 long words was said the tuned starter heard 14
greedily; with 0.8, 1.2, 2.0: 27, 26, 29, with 1, 2, 5 false alarms. Ten words that nobody said changed nothing."""
MOST, TOGETHER, MARGIN = 100, 2, 2
"""Hot words; neighbours that are taken for one; frames of what surrounds them that are looked at too."""


@dataclass(frozen=True)
class _Found:
    """A hot word in place of words `first` to before `last`; frames as in Word's seconds."""

    gain: float
    first: int
    last: int
    word: Word


class HotWords:
    """A decoder. Raises ConfigError for a word that the model cannot spell, or for too many."""

    def __init__(self, processor: Any, blank_id: int, words: Sequence[str]) -> None:
        if len(words) > MOST:
            raise ConfigError(f"There are {len(words)} hot words; give at most {MOST}, or a text of what to expect.")
        self.blank_id, self.greedy = blank_id, Greedy(processor, blank_id)
        self.delimiter_id = processor.tokenizer.word_delimiter_token_id
        self.spelled: dict[str, list[int]] = {}
        for word in words:
            tokens, _, unknown = alignment.spell(processor.tokenizer, [word])
            if unknown or not tokens:
                raise ConfigError(f"The model cannot spell the hot word {word!r}; leave it out, or write it otherwise.")
            self.spelled[word] = tokens
        self.known = {word.casefold() for word in self.spelled}

    def words(self, log_probabilities: np.ndarray, frame_s: float) -> list[Word]:
        heard = self.greedy.words(log_probabilities, 1.0)
        found = sorted(self._candidates(heard, log_probabilities), key=lambda one: -one.gain)
        taken: list[_Found] = []
        for one in found:
            if all(one.last <= other.first or other.last <= one.first for other in taken):
                taken.append(one)
        inside = {place for one in taken for place in range(one.first, one.last)}
        kept = [word for place, word in enumerate(heard) if place not in inside] + [one.word for one in taken]
        return [Word(word.word, word.start_s * frame_s, word.end_s * frame_s, word.confidence)
                for word in sorted(kept, key=lambda word: word.start_s)]

    def _candidates(self, heard: list[Word], scores: np.ndarray) -> list[_Found]:
        """What each hot word would gain in place of a word or of two neighbours. One that was heard as a hot word
        stays: beside it the bonus of a pair would pay for dropping the other."""
        found = []
        for first in range(len(heard)):
            for last in range(first + 1, min(len(heard), first + TOGETHER) + 1):
                inside = heard[first:last]
                if any(one.word.casefold() in self.known for one in inside):
                    continue
                begin = max(round(heard[first].start_s) - MARGIN, round(heard[first - 1].end_s) if first else 0)
                end = min(round(heard[last - 1].end_s) + MARGIN,
                          round(heard[last].start_s) if last < len(heard) else len(scores))
                found += [better for word, tokens in self.spelled.items()
                          if (better := self._better(word, tokens, scores[begin:end], begin, first, last))]
        return found

    def _better(self, word: str, tokens: list[int], span: np.ndarray, begin: int, first: int,
                last: int) -> _Found | None:
        if not ctc.feasible(tokens, len(span)):
            return None
        between = span.copy()
        between[:, self.blank_id] = np.logaddexp(span[:, self.blank_id], span[:, self.delimiter_id])
        path, said = alignment.forced(between, tokens, self.blank_id)
        gain = float(said.sum() - span.max(axis=1).sum()) + BONUS * len(tokens)
        if gain <= 0:
            return None
        letters = np.flatnonzero(path != self.blank_id)
        sure = float(np.exp(said[letters].mean()))
        return _Found(gain, first, last, Word(word, begin + int(letters[0]), begin + int(letters[-1]) + 1, sure))
