"""Hot words: names and rare words that a model misspells, put where they fit the sound nearly as well.

Each decoded word, and each two neighbours together, is compared with each hot word (one of a script without word
spaces with as many characters, one fewer or one more): the likeliest CTC path that spells the hot word in those frames
may be worse than the best path by BONUS for each of its letters. All other words stay as they are, so any word can
still be recognised.
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
from asrkit.decoding.tokens import Speller, spell_words
from asrkit.decoding.transcript import Word, join_words
from asrkit.errors import ConfigError
from asrkit.text.scripts import tokenize_with_joins

BONUS = 1.2
"""Nats a letter. On 98 clips of human speech, in which 25 long words occur 35 times, the fine-tuned starter got 14 of
these greedily; with 0.8, 1.2, 2.0: 27, 26, 29, with 1, 2, 5 false alarms. Ten words that do not occur had no effect."""
CONFIDENCE_FIT = (1.0, 2.0)
"""Confidence of a hot word: the logistic function of a + b x, where x is the unused part of the bonus, a letter."""
TOLERANCE = 1e-3
"""Nats: sums are of 32-bit numbers."""
MAX_HOT_WORDS, CONTEXT_FRAMES = 100, 2
"""Hot words; frames around decoded words that are searched too."""


@dataclass(frozen=True)
class _HotWord:
    """A hot word in tokens.

    pieces: its words as the model writes them (`text.scripts.tokenize_with_joins`): one, except in a script without
    word spaces. piece_indices: the index of each token's piece.
    """

    tokens: list[int]
    piece_indices: list[int | None]
    pieces: list[str]


@dataclass(frozen=True)
class _Replacement:
    """A hot word in place of the decoded words `first` to before `last`; the times of `words` are frames."""

    gain: float
    first: int
    last: int
    words: list[Word]


@dataclass(frozen=True)
class _Span:
    """The decoded words `first` to before `last`, and the log posteriors of their frames, the first being `start`.

    with_delimiters: the same, where a blank may be a delimiter too.
    """

    first: int
    last: int
    joined: bool
    start: int
    scores: np.ndarray
    with_delimiters: np.ndarray


def spell_hot_word(speller: Speller, word: str) -> tuple[list[int], list[int | None]]:
    """Return the tokens of a hot word, and the index of each one's piece.

    Raises ConfigError where the model cannot spell it.
    """
    tokens, piece_indices, unknown = spell_words(speller, tokenize_with_joins(word))
    if unknown or not tokens:
        raise ConfigError(f"The model cannot spell the hot word {word!r}; leave it out, or spell it differently.")
    return tokens, piece_indices


class HotWordDecoder:
    """Replaces words of another decoder, greedy if none is given, by hot words.

    Raises ConfigError for a word that the model cannot spell, or for too many.
    """

    def __init__(self, processor: Any, blank_id: int, words: Sequence[str], decoder: Decoder | None = None) -> None:
        if len(words) > MAX_HOT_WORDS:
            raise ConfigError(
                f"There are {len(words)} hot words; give at most {MAX_HOT_WORDS}, or a text of what to expect."
            )
        self.blank_id, self.decoder = blank_id, decoder or GreedyDecoder(processor, blank_id)
        speller = Speller.from_tokenizer(processor.tokenizer)
        self.delimiter_id, texts = speller.delimiter_id, speller.texts
        self.hot_words: list[_HotWord] = []
        for word in words:
            tokens, piece_indices = spell_hot_word(speller, word)
            pieces = [
                "".join(texts[token] for token, index in zip(tokens, piece_indices, strict=True) if index == piece)
                for piece in range(len(tokenize_with_joins(word)))
            ]
            self.hot_words.append(_HotWord(tokens, piece_indices, pieces))
        # (hot words, tokens): how often each token occurs in each hot word.
        self.token_counts = np.zeros((len(words), 1 + max(speller.vocabulary.values(), default=0)), np.float32)
        for counts, hot_word in zip(self.token_counts, self.hot_words, strict=True):
            np.add.at(counts, hot_word.tokens, 1)
        self.max_pieces = max((len(hot_word.pieces) for hot_word in self.hot_words), default=0)
        self.casefolded = {word.casefold() for word in words}

    def decode(self, log_probabilities: np.ndarray, frame_s: float) -> list[Word]:
        """Return the words of (frames, tokens) log posteriors."""
        decoded = self.decoder.decode(log_probabilities, 1.0)
        replacements: list[_Replacement] = []
        candidates = self._find_candidates(decoded, log_probabilities)
        for candidate in sorted(candidates, key=lambda candidate: -candidate.gain):
            if all(candidate.last <= other.first or other.last <= candidate.first for other in replacements):
                replacements.append(candidate)
        replaced = {index for replacement in replacements for index in range(replacement.first, replacement.last)}
        words = [word for index, word in enumerate(decoded) if index not in replaced]
        words += [word for replacement in replacements for word in replacement.words]
        return [
            replace(word, start_s=word.start_s * frame_s, end_s=word.end_s * frame_s)
            for word in sorted(words, key=lambda word: word.start_s)
        ]

    def _find_candidates(self, decoded: list[Word], scores: np.ndarray) -> list[_Replacement]:
        """Try each hot word in place of as many words as it has pieces, one fewer or one more.

        Words that already form a hot word stay, all of them: the bonus would pay for dropping or repeating a piece.
        """
        candidates, correct = [], self._find_correct(decoded)
        for first in range(len(decoded)):
            for last in range(first + 1, min(len(decoded), first + self.max_pieces + 1) + 1):
                if last - 1 in correct:
                    break
                span = self._cut_span(decoded, first, last, scores)
                if span is None:
                    continue
                for index in self._find_plausible(span.scores, span.with_delimiters):
                    hot_word = self.hot_words[index]
                    if abs(last - first - len(hot_word.pieces)) <= 1 and (
                        candidate := self._try_replacement(hot_word, span)
                    ):
                        candidates.append(candidate)
        return candidates

    def _cut_span(self, decoded: list[Word], first: int, last: int, scores: np.ndarray) -> _Span | None:
        """Return the frames of words and of a little context, up to the words around them; None for no frame."""
        start = max(round(decoded[first].start_s) - CONTEXT_FRAMES, round(decoded[first - 1].end_s) if first else 0)
        end = min(
            round(decoded[last - 1].end_s) + CONTEXT_FRAMES,
            round(decoded[last].start_s) if last < len(decoded) else len(scores),
        )
        if start >= end:
            return None
        span = scores[start:end]
        with_delimiters = span
        if self.delimiter_id is not None and self.delimiter_id < span.shape[1]:
            with_delimiters = span.copy()
            with_delimiters[:, self.blank_id] = np.logaddexp(span[:, self.blank_id], span[:, self.delimiter_id])
        return _Span(first, last, decoded[first].joined, start, span, with_delimiters)

    def _find_plausible(self, scores: np.ndarray, with_delimiters: np.ndarray) -> list[int]:
        """Return the indices of hot words that may gain, by an upper bound that needs no search.

        Each letter costs at least what it does in its best frame, and no blank gains more than its own score.
        """
        best = scores.max(axis=1)
        costs = (best[:, None] - scores).min(axis=0)
        max_blank_gain = float(np.maximum(0, with_delimiters[:, self.blank_id] - best).sum())
        counts = self.token_counts[:, : len(costs)]
        gains = max_blank_gain + BONUS * counts.sum(axis=1) - counts @ costs
        return np.flatnonzero(gains > -TOLERANCE).tolist()

    def _find_correct(self, decoded: list[Word]) -> set[int]:
        """Return the indices of decoded words that are hot words, or pieces of one."""
        return {
            index
            for first in range(len(decoded))
            for last in range(first + 1, min(len(decoded), first + self.max_pieces) + 1)
            if join_words(decoded[first:last]).casefold() in self.casefolded
            for index in range(first, last)
        }

    def _try_replacement(self, hot_word: _HotWord, span: _Span) -> _Replacement | None:
        """Return the hot word in place of the span's words, None where it gains nothing."""
        num_tokens = len(hot_word.tokens)
        if not ctc.is_feasible(hot_word.tokens, len(span.scores)):
            return None
        path, scores = alignment.force_align(span.with_delimiters, hot_word.tokens, self.blank_id)
        gain = float(scores.sum() - span.scores.max(axis=1).sum()) + BONUS * num_tokens
        if gain <= 0:
            return None
        token_spans = alignment.token_spans(path, scores, hot_word.tokens, self.blank_id)
        confidence = logistic(*CONFIDENCE_FIT, gain / num_tokens)
        words = []
        for number, piece in enumerate(hot_word.pieces):
            piece_spans = [
                span for span, index in zip(token_spans, hot_word.piece_indices, strict=True) if index == number
            ]
            start, end = span.start + piece_spans[0][0], span.start + piece_spans[-1][1]
            words.append(Word(piece, start, end, confidence, span.joined or number > 0))
        return _Replacement(gain, span.first, span.last, words)
