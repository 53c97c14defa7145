"""Decoding with a word list: the likeliest sequence of known words, exactly, for commands, names and callsigns.

Viterbi search (best path) through a loop of words spelled in CTC states: letters that may repeat, blanks between them
that may be skipped where neighbours differ (Graves et al., ICML 2006), a delimiter between words. Time and memory grow
with frames x letters of the list, so lists of thousands of words want a beam search instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from asrkit.errors import ConfigError

SMOOTHING = 0.02
"""Share of each frame's probability that is spread over all tokens. A small tuned model is sure of its misspellings; a
floor under each token lets the rest of a word outvote one letter."""

MOST_LETTERS = 20_000
"""Letters in a word list; beyond it the exact search is too slow."""

NEVER = -1e30

FILE = "words.txt"
"""Beside a model's weights: the words, one a line, that it is to hear. No such file: any spelling."""


@dataclass(frozen=True)
class Heard:
    """A word and the frames of its letters, `start` to before `end`. confidence: mean posterior of its letters."""

    word: str
    start: int
    end: int
    confidence: float


def words_of(texts: Iterable[str]) -> list[str]:
    """The different words of all texts, sorted."""
    return sorted({word for text in texts for word in text.split()})


def for_processor(words: Sequence[str], processor: Any) -> WordLoop:
    """The WordLoop for a Hugging Face CTC processor, whose `pad_token` is the blank."""
    tokenizer = processor.tokenizer
    return WordLoop(words, tokenizer.get_vocab(), tokenizer.pad_token_id, tokenizer.word_delimiter_token_id)


class WordLoop:
    """Decodes posteriors into words of a list.

    words: spelled in tokens of one character each. ConfigError for an empty or too long list, or a word with a
    character that the model has no token for.
    """

    def __init__(self, words: Sequence[str], tokens: dict[str, int], blank_id: int, delimiter_id: int) -> None:
        self.words = sorted(set(words))
        if not self.words or sum(map(len, self.words)) > MOST_LETTERS:
            raise ConfigError(
                f"A word list needs 1 to {MOST_LETTERS} letters in all; this one has "
                f"{sum(map(len, self.words))}: use greedy decoding."
            )
        unknown = sorted({letter for word in self.words for letter in word if letter not in tokens})
        if unknown:
            raise ConfigError(f"The word list uses {', '.join(map(repr, unknown))}, which the model has no token for.")
        self._build(tokens, blank_id, delimiter_id)

    def _build(self, tokens: dict[str, int], blank_id: int, delimiter_id: int) -> None:
        """States in one row: gap, delimiter, end; then, word by word, letter, blank, letter, ..., letter.

        inner: states that may be entered from the one before; skip: from two before (a letter from the letter before,
        past the blank).
        """
        emitted, skip, word_of, first, last = [blank_id, delimiter_id, blank_id], [False] * 3, [-1] * 3, [], []
        for number, word in enumerate(self.words):
            first.append(len(emitted))
            for place, letter in enumerate(word):
                if place:
                    emitted.append(blank_id)
                    skip.append(False)
                    word_of.append(number)
                emitted.append(tokens[letter])
                skip.append(place > 0 and letter != word[place - 1])
                word_of.append(number)
            last.append(len(emitted) - 1)
        self.emitted, self.word_of = np.array(emitted), np.array(word_of)
        self.first, self.last, self.skip = np.array(first), np.array(last), np.flatnonzero(skip)
        self.inner = np.setdiff1d(np.arange(4, len(emitted)), self.first)
        self.blank_id, self.delimiter_id = blank_id, delimiter_id

    def spelled(self, number: int) -> list[int]:
        """The tokens of a word of the list."""
        return self.emitted[self.first[number] : self.last[number] + 1 : 2].tolist()

    def smoothed(self, log_probabilities: np.ndarray) -> np.ndarray:
        """(frames, tokens) log posteriors, with a floor under each, where silence between letters may be a space
        too."""
        smooth = (1 - SMOOTHING) * np.exp(log_probabilities) + SMOOTHING / log_probabilities.shape[1]
        smooth[:, self.blank_id] = np.maximum(smooth[:, self.blank_id], smooth[:, self.delimiter_id])
        return np.log(smooth)

    def decode(self, probabilities: np.ndarray) -> list[Heard]:
        """(frames, tokens) posteriors -> the words of the best path; none where blanks alone are likelier."""
        if not len(probabilities):
            return []
        smooth = (1 - SMOOTHING) * probabilities + SMOOTHING / probabilities.shape[1]
        path = self._best_path(np.log(smooth)[:, self.emitted])
        return self._read(path, probabilities)

    def _best_path(self, scores: np.ndarray) -> np.ndarray:
        """(frames, states) log scores -> (frames,) states."""
        gap, delimiter, end = 0, 1, 2
        states = len(self.emitted)
        come_from = np.zeros(scores.shape, np.int32)
        stay = np.arange(states)
        best = np.full(states, NEVER)
        start = np.concatenate([[gap, delimiter], self.first])
        best[start] = scores[0, start]
        for frame in range(1, len(scores)):
            value, source = best.copy(), stay.copy()

            def offer(targets, origins, offered, value=value, source=source) -> None:
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
            best, come_from[frame] = value + scores[frame], source
        finals = np.concatenate([[gap, delimiter, end], self.last])
        path = np.empty(len(scores), np.int64)
        path[-1] = finals[best[finals].argmax()]
        for frame in range(len(scores) - 1, 0, -1):
            path[frame - 1] = come_from[frame, path[frame]]
        return path

    def _read(self, path: np.ndarray, probabilities: np.ndarray) -> list[Heard]:
        """Frames of the path -> words: one begins where its first letter is entered."""
        firsts = set(self.first.tolist())
        starts = [
            frame for frame, state in enumerate(path) if state in firsts and (frame == 0 or path[frame - 1] != state)
        ]
        heard = []
        for begin, limit in zip(starts, [*starts, len(path)][1:], strict=True):
            number = self.word_of[path[begin]]
            inside = [frame for frame in range(begin, limit) if self.word_of[path[frame]] == number]
            letters = [frame for frame in inside if self.emitted[path[frame]] != self.blank_id]
            sure = float(np.mean([probabilities[frame, self.emitted[path[frame]]] for frame in letters]))
            heard.append(Heard(self.words[number], begin, inside[-1] + 1, sure))
        return heard
