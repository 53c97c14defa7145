"""Decoding with a word list: the likeliest sequence of known words, exactly, for commands, names and callsigns.

Viterbi search (best path) through a loop of words spelled in CTC states: letters that may repeat, blanks between them
that may be skipped where neighbours differ (Graves et al., ICML 2006), a delimiter between words. Time and memory grow
with frames times letters of the list, so lists of thousands of words need a beam search instead.

Words that fit the speech much worse than the best path without a list are marked: what was said is not on the list.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from asrkit.decoding import rejection
from asrkit.decoding.confidence import logistic
from asrkit.decoding.tokens import LetterTokens, Speller
from asrkit.decoding.transcript import Word
from asrkit.errors import ConfigError

SMOOTHING = 0.02
"""Share of each frame's probability that is spread over all tokens. A small fine-tuned model is confident of its
misspellings; a floor under each token lets the rest of a word outvote one letter."""
MAX_LETTERS = 20_000
"""Letters in a word list; beyond it the exact search is too slow."""
IMPOSSIBLE = -1e30
"""Log score of a state that no path reaches."""
WORD_LIST_FILE = "words.txt"
"""Beside a model's weights: the words, one a line, that it decodes. Without this file it writes any spelling."""
CONFIDENCE_FIT = (-0.5, 0.35)
"""Confidence of a word that is on the list: the logistic function of a + b x, where x is its margin in nats over the
list's next best word. Times the probability that any word of the list was said."""
CONTEXT_FRAMES, MAX_MARGIN = 2, 20.0
"""Frames on either side of a word in which the list's other words are scored too; the largest margin in nats."""


@dataclass(frozen=True)
class DecodedWord:
    """A word and the frames of its letters, `start` to before `end`.

    confidence: mean posterior of its letters. cost: how many nats the best path without a list is likelier, from the
    middle of the gap before the word to that of the gap after it.
    """

    word: str
    start: int
    end: int
    confidence: float
    cost: float


def collect_words(texts: Iterable[str]) -> list[str]:
    """Return the distinct words of all texts, sorted."""
    return sorted({word for text in texts for word in text.split()})


class LexiconDecoder:
    """Decodes posteriors into words of a list; `tokens` maps letters to ids, and each word is spelled in them.

    spellings: the tokens of each word of `words`.

    Raises ConfigError for an empty or too long list, or a word with a character that the model has no token for.
    """

    def __init__(self, words: Sequence[str], tokens: dict[str, int], blank_id: int, delimiter_id: int) -> None:
        self.words = sorted(set(words))
        if not self.words or sum(map(len, self.words)) > MAX_LETTERS:
            raise ConfigError(
                f"A word list needs 1 to {MAX_LETTERS} letters in all; this one has "
                f"{sum(map(len, self.words))}: use greedy decoding."
            )
        letters = LetterTokens(tokens, ignores_case=False)
        spelled = [letters.split(word) for word in self.words]
        unknown = sorted({letter for word in spelled for letter in word if None in letters.spell(letter)})
        if unknown:
            raise ConfigError(f"The word list uses {', '.join(map(repr, unknown))}, which the model has no token for.")
        self.spellings = [
            [token for letter in word for token in letters.spell(letter) if token is not None] for word in spelled
        ]
        self._build_states(blank_id, delimiter_id)

    @classmethod
    def from_processor(cls, words: Sequence[str], processor: Any, blank_id: int | None = None) -> LexiconDecoder:
        """Make the decoder for a processor; blank_id: the blank, if it is not the padding token.

        Raises ConfigError for a model that spells in pieces of words, or has no token for the space between words.
        """
        speller = Speller.from_tokenizer(processor.tokenizer)
        if speller.pieces is not None or speller.delimiter_id is None:
            raise ConfigError(
                "A word list (decoding: words) needs a model that writes single characters and spaces; use greedy "
                "decoding, or set Vocabulary to fresh."
            )
        blank_id = processor.tokenizer.pad_token_id if blank_id is None else blank_id
        return cls(words, speller.written, blank_id, speller.delimiter_id)

    def with_words(self, words: Iterable[str], processor: Any) -> LexiconDecoder:
        """Return a decoder of these words too, in capitals where the model knows no others.

        Raises ConfigError where the model cannot spell one.
        """
        speller = Speller.from_tokenizer(processor.tokenizer)
        more = [word.upper() if speller.unknown_characters([word]) else word for word in words]
        return self.from_processor([*self.words, *more], processor, self.blank_id)

    def _build_states(self, blank_id: int, delimiter_id: int) -> None:
        """Lay the states out in one row: gap, delimiter, end; then, word by word, letter, blank, letter, ..., letter.

        inner: states that may be entered from the one before; skip: from two before (a letter from the letter before,
        past the blank).
        """
        emitted, skip, word_indices, first, last = [blank_id, delimiter_id, blank_id], [False] * 3, [-1] * 3, [], []
        for number, tokens in enumerate(self.spellings):
            first.append(len(emitted))
            for index, token in enumerate(tokens):
                if index:
                    emitted.append(blank_id)
                    skip.append(False)
                    word_indices.append(number)
                emitted.append(token)
                skip.append(index > 0 and token != tokens[index - 1])
                word_indices.append(number)
            last.append(len(emitted) - 1)
        self.emitted, self.word_indices = np.array(emitted), np.array(word_indices)
        self.first, self.last, self.skip = np.array(first), np.array(last), np.flatnonzero(skip)
        self.inner = np.setdiff1d(np.arange(4, len(emitted)), self.first)
        self.blank_id, self.delimiter_id = blank_id, delimiter_id

    def decode(self, log_probabilities: np.ndarray, frame_s: float) -> list[Word]:
        """Return the words of (frames, tokens) log posteriors, with calibrated confidences.

        Where no word of the list was said, the most similar ones are returned, as `not_in_word_list`.
        """
        decoded = self.search(np.exp(log_probabilities))
        on_list = rejection.list_probabilities([word.cost for word in decoded], [len(word.word) for word in decoded])
        smooth = self._smooth(log_probabilities)
        ends = [0, *(word.end for word in decoded)]
        starts = [*(word.start for word in decoded), len(smooth)]
        words = []
        for index, (word, probability) in enumerate(zip(decoded, on_list, strict=True)):
            start = max(word.start - CONTEXT_FRAMES, ends[index])
            end = min(word.end + CONTEXT_FRAMES, starts[index + 1])
            confidence = probability * logistic(*CONFIDENCE_FIT, self._margin(word.word, smooth[start:end]))
            is_rejected = probability < rejection.MAX_REJECTED_PROBABILITY
            words.append(
                Word(word.word, word.start * frame_s, word.end * frame_s, confidence, not_in_word_list=is_rejected)
            )
        return words

    def _smooth(self, log_probabilities: np.ndarray) -> np.ndarray:
        """Put a floor under each log posterior; a blank between letters may be a delimiter too."""
        smooth = (1 - SMOOTHING) * np.exp(log_probabilities) + SMOOTHING / log_probabilities.shape[1]
        smooth[:, self.blank_id] = np.maximum(smooth[:, self.blank_id], smooth[:, self.delimiter_id])
        return np.log(smooth)

    def _margin(self, word: str, span: np.ndarray) -> float:
        """Return ln P(frames | word) - ln P(frames | the best other word of the list), at most MAX_MARGIN."""
        import torch

        spellings = [
            self.emitted[first : last + 1 : 2].tolist() for first, last in zip(self.first, self.last, strict=True)
        ]
        frames = torch.from_numpy(span.astype(np.float32))[:, None].expand(-1, len(spellings), -1)
        scores = -torch.nn.functional.ctc_loss(
            frames,
            torch.tensor([token for spelling in spellings for token in spelling]),
            torch.full((len(spellings),), len(span)),
            torch.tensor([len(spelling) for spelling in spellings]),
            blank=self.blank_id,
            reduction="none",
        ).numpy()
        own = self.words.index(word)
        return float(min(MAX_MARGIN, scores[own] - np.delete(scores, own).max(initial=-np.inf)))

    def search(self, probabilities: np.ndarray) -> list[DecodedWord]:
        """Return the words of the best path of (frames, tokens) posteriors; none where blanks alone are likelier."""
        if not len(probabilities):
            return []
        scores = np.log((1 - SMOOTHING) * probabilities + SMOOTHING / probabilities.shape[1])
        path = self._best_path(scores[:, self.emitted])
        costs = scores.max(axis=1) - scores[np.arange(len(path)), self.emitted[path]]
        return self._read_words(path, probabilities, costs)

    def _best_path(self, scores: np.ndarray) -> np.ndarray:
        """Return the state of each frame on the best path; scores: (frames, states) log probabilities."""
        gap, delimiter, end = 0, 1, 2
        states = len(self.emitted)
        came_from = np.zeros(scores.shape, np.int32)
        stay = np.arange(states)
        best = np.full(states, IMPOSSIBLE)
        start = np.concatenate([[gap, delimiter], self.first])
        best[start] = scores[0, start]
        for frame in range(1, len(scores)):
            value, source = best.copy(), stay.copy()

            def offer(
                targets: np.ndarray,
                origins: np.ndarray,
                offered: np.ndarray,
                value: np.ndarray = value,
                source: np.ndarray = source,
            ) -> None:
                better = offered > value[targets]
                value[targets] = np.where(better, offered, value[targets])
                source[targets] = np.where(better, origins, source[targets])

            offer(self.inner, self.inner - 1, best[self.inner - 1])
            offer(self.skip, self.skip - 2, best[self.skip - 2])
            before = gap if best[gap] >= best[delimiter] else delimiter
            offer(self.first, np.full(len(self.first), before), np.full(len(self.first), best[before]))
            final = self.last[best[self.last].argmax()]
            offer(np.array([end]), np.array([final]), best[[final]])
            ended = end if best[end] >= best[final] else final
            offer(np.array([delimiter]), np.array([ended]), best[[ended]])
            offer(np.array([delimiter]), np.array([gap]), best[[gap]])
            offer(np.array([gap]), np.array([delimiter]), best[[delimiter]])
            best, came_from[frame] = value + scores[frame], source
        finals = np.concatenate([[gap, delimiter, end], self.last])
        path = np.empty(len(scores), np.int64)
        path[-1] = finals[best[finals].argmax()]
        for frame in range(len(scores) - 1, 0, -1):
            path[frame - 1] = came_from[frame, path[frame]]
        return path

    def _read_words(self, path: np.ndarray, probabilities: np.ndarray, costs: np.ndarray) -> list[DecodedWord]:
        """Cut a path of states into words: one begins where its first letter is entered. costs: of each frame."""
        firsts = set(self.first.tolist())
        starts = [
            frame for frame, state in enumerate(path) if state in firsts and (frame == 0 or path[frame - 1] != state)
        ]
        inside = [
            np.flatnonzero(self.word_indices[path[start:limit]] == self.word_indices[path[start]]) + start
            for start, limit in zip(starts, [*starts, len(path)][1:], strict=True)
        ]
        ends = [int(frames[-1]) + 1 for frames in inside]
        bounds = [0, *((end + start) // 2 for end, start in zip(ends, starts[1:], strict=False)), len(path)]
        words = []
        for index, frames in enumerate(inside):
            letters = frames[self.emitted[path[frames]] != self.blank_id]
            confidence = float(probabilities[letters, self.emitted[path[letters]]].mean())
            cost = float(costs[bounds[index] : bounds[index + 1]].sum())
            word = self.words[self.word_indices[path[starts[index]]]]
            words.append(DecodedWord(word, starts[index], ends[index], confidence, cost))
        return words
