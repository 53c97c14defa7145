"""Names and rare words that a model misspells: heard where the sound fits them nearly as well as what was heard.

Each word heard, and each two neighbours together, is compared with each hot word (one of a script without word
spaces with as many characters, one fewer or one more): the likeliest CTC path that spells the hot word in those frames
may be worse than the path heard by BONUS for each of its letters. All other words stay as they are, so any word can
still be heard.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from asrkit.decoding import alignment, ctc
from asrkit.decoding.confidence import logistic
from asrkit.decoding.greedy import GreedyDecoder
from asrkit.decoding.protocols import Decoder
from asrkit.decoding.tokens import spell_words, token_texts
from asrkit.decoding.transcript import Word, join_words
from asrkit.errors import ConfigError
from asrkit.text.scripts import tokenize_with_joins

BONUS = 1.2
"""Nats a letter. On 98 clips of human speech, of 35 times that one of 25 long words was said the tuned starter heard 14
greedily; with 0.8, 1.2, 2.0: 27, 26, 29, with 1, 2, 5 false alarms. Ten words that nobody said changed nothing."""
SURE = (1.0, 2.0)
"""Confidence of a hot word: the logistic function of a + b x, where x is what is left of the bonus, a letter."""
SLACK = 1e-3
"""Nats: sums are of 32-bit numbers."""
MOST, MARGIN = 100, 2
"""Hot words; frames of what surrounds words that are looked at too."""


@dataclass(frozen=True)
class _Spelled:
    """A hot word: its tokens, which of its `pieces` each belongs to, and these as the model writes them
    (`text.scripts.tokenize_with_joins`): one, but for a script without word spaces."""

    tokens: list[int]
    piece_of: list[int | None]
    pieces: list[str]


def spelled(tokenizer: Any, word: str) -> tuple[list[int], list[int | None]]:
    """The tokens of a hot word, and which of its pieces each belongs to. ConfigError where the model cannot spell
    it."""
    tokens, piece_of, unknown = spell_words(tokenizer, tokenize_with_joins(word))
    if unknown or not tokens:
        raise ConfigError(f"The model cannot spell the hot word {word!r}; leave it out, or write it otherwise.")
    return tokens, piece_of


@dataclass(frozen=True)
class _Found:
    """A hot word in place of words `first` to before `last`; frames in place of seconds."""

    gain: float
    first: int
    last: int
    words: list[Word]


class HotWords:
    """A decoder on top of another, greedy if none is given. Raises ConfigError for a word that the model cannot spell,
    or for too many."""

    def __init__(self, processor: Any, blank_id: int, words: Sequence[str], decoder: Decoder | None = None) -> None:
        if len(words) > MOST:
            raise ConfigError(f"There are {len(words)} hot words; give at most {MOST}, or a text of what to expect.")
        self.blank_id, self.decoder = blank_id, decoder or GreedyDecoder(processor, blank_id)
        self.delimiter_id = processor.tokenizer.word_delimiter_token_id
        texts = token_texts(processor.tokenizer)
        self.spelled: list[_Spelled] = []
        for word in words:
            tokens, piece_of = spelled(processor.tokenizer, word)
            pieces = [
                "".join(texts[token] for token, place in zip(tokens, piece_of, strict=True) if place == number)
                for number in range(len(tokenize_with_joins(word)))
            ]
            self.spelled.append(_Spelled(tokens, piece_of, pieces))
        self.counts = np.zeros((len(words), len(processor.tokenizer)), np.float32)  # of each token in each hot word
        for row, one in zip(self.counts, self.spelled, strict=True):
            np.add.at(row, one.tokens, 1)
        self.longest = max((len(one.pieces) for one in self.spelled), default=0)
        self.known = {word.casefold() for word in words}

    def decode(self, log_probabilities: np.ndarray, frame_s: float) -> list[Word]:
        heard = self.decoder.decode(log_probabilities, 1.0)
        found = sorted(self._candidates(heard, log_probabilities), key=lambda one: -one.gain)
        taken: list[_Found] = []
        for one in found:
            if all(one.last <= other.first or other.last <= one.first for other in taken):
                taken.append(one)
        inside = {place for one in taken for place in range(one.first, one.last)}
        kept = [word for place, word in enumerate(heard) if place not in inside]
        kept += [word for one in taken for word in one.words]
        return [
            replace(word, start_s=word.start_s * frame_s, end_s=word.end_s * frame_s)
            for word in sorted(kept, key=lambda word: word.start_s)
        ]

    def _candidates(self, heard: list[Word], scores: np.ndarray) -> list[_Found]:
        """What each hot word would gain in place of as many words as it has pieces, one fewer or one more. What was
        heard as a hot word stays, every piece of it: a bonus would pay for dropping it, or for saying a piece again."""
        found, right = [], self._right(heard)
        for first in range(len(heard)):
            for last in range(first + 1, min(len(heard), first + self.longest + 1) + 1):
                if last - 1 in right:
                    break
                begin = max(round(heard[first].start_s) - MARGIN, round(heard[first - 1].end_s) if first else 0)
                end = min(
                    round(heard[last - 1].end_s) + MARGIN,
                    round(heard[last].start_s) if last < len(heard) else len(scores),
                )
                if begin >= end:
                    continue
                span = scores[begin:end]
                between = self._between(span)
                better = [
                    self._better(self.spelled[place], span, between, begin, first, last, heard[first].joined)
                    for place in self._hopeful(span, between)
                    if abs(last - first - len(self.spelled[place].pieces)) <= 1
                ]
                found += [one for one in better if one]
        return found

    def _between(self, span: np.ndarray) -> np.ndarray:
        """The same with a delimiter as good as a blank, as in `alignment.align`."""
        if self.delimiter_id is None or self.delimiter_id >= span.shape[1]:
            return span
        between = span.copy()
        between[:, self.blank_id] = np.logaddexp(span[:, self.blank_id], span[:, self.delimiter_id])
        return between

    def _hopeful(self, span: np.ndarray, between: np.ndarray) -> list[int]:
        """The places of the hot words that may gain: each of their letters costs at least what it does in the frame
        that says it best, and no blank is worth more than it is. So most are left out without a search."""
        top = span.max(axis=1)
        cost = (top[:, None] - span).min(axis=0)
        most = float(np.maximum(0, between[:, self.blank_id] - top).sum())
        counts = self.counts[:, : len(cost)]
        gains = most + BONUS * counts.sum(axis=1) - counts @ cost
        return np.flatnonzero(gains > -SLACK).tolist()

    def _right(self, heard: list[Word]) -> set[int]:
        """The places of the words that are hot words, or pieces of one, as they were heard."""
        return {
            place
            for first in range(len(heard))
            for last in range(first + 1, min(len(heard), first + self.longest) + 1)
            if join_words(heard[first:last]).casefold() in self.known
            for place in range(first, last)
        }

    def _better(
        self, hot: _Spelled, span: np.ndarray, between: np.ndarray, begin: int, first: int, last: int, joined: bool
    ) -> _Found | None:
        if not ctc.is_feasible(hot.tokens, len(span)):
            return None
        path, said = alignment.force_align(between, hot.tokens, self.blank_id)
        gain = float(said.sum() - span.max(axis=1).sum()) + BONUS * len(hot.tokens)
        if gain <= 0:
            return None
        spans = alignment.token_spans(path, said, hot.tokens, self.blank_id)
        words = []
        for number, piece in enumerate(hot.pieces):
            letters = [one for one, place in zip(spans, hot.piece_of, strict=True) if place == number]
            words.append(
                Word(
                    piece,
                    begin + letters[0][0],
                    begin + letters[-1][1],
                    logistic(*SURE, gain / len(hot.tokens)),
                    joined or number > 0,
                )
            )
        return _Found(gain, first, last, words)
