"""Posteriors of a clip -> its words."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from asrkit.speech import lexicon
from asrkit.transcription.transcript import Word


class Decoder(Protocol):
    """(frames, tokens) log posteriors, seconds of a frame -> words with times in the clip."""

    def words(self, log_probabilities: np.ndarray, frame_s: float) -> list[Word]: ...


LETTERS_POWER, FRAMES_POWER = 2.0, 0.25
"""Confidence of a word heard greedily: (product of its letters' posteriors, each at its surest frame) ** 2 * (product
of the best posteriors of all its frames) ** 0.25.

CTC posteriors are too sure. Of the products tried on three models and sets (450 words each: a tuned starter on human
speech, the demo without its list, the bare starter), this one ranks right above wrong words as well as any (area under
the curve 0.80 to 0.82), and its expected calibration error is 5 to 10 %; of the least posterior it was 31 to 50 %.
"""


class Greedy:
    """The likeliest token of each frame."""

    def __init__(self, processor: Any, blank_id: int) -> None:
        self.tokenizer, self.blank_id = processor.tokenizer, blank_id

    def words(self, log_probabilities: np.ndarray, frame_s: float) -> list[Word]:
        """Runs of one token are a letter, the delimiter ends a word."""
        delimiter = self.tokenizer.word_delimiter_token_id
        best, sure = log_probabilities.argmax(-1), log_probabilities.max(-1)
        words: list[Word] = []
        letters: list[tuple[int, int, int, float]] = []

        def finish() -> None:
            if letters:
                text = self.tokenizer.decode([letter[0] for letter in letters], group_tokens=False).strip()
                begin, end = letters[0][1], letters[-1][2]
                if text:
                    spelled, spanned = sum(letter[3] for letter in letters), float(sure[begin:end].sum())
                    certain = np.exp(LETTERS_POWER * spelled + FRAMES_POWER * spanned)
                    words.append(Word(text, begin * frame_s, end * frame_s, float(certain)))
                letters.clear()

        edges = [0, *(np.flatnonzero(np.diff(best)) + 1).tolist(), len(best)]
        for begin, end in zip(edges, edges[1:], strict=False):
            token = int(best[begin]) if end > begin else self.blank_id
            if token == delimiter:
                finish()
            elif token not in (self.blank_id, self.tokenizer.unk_token_id):
                letters.append((token, begin, end, float(sure[begin:end].max())))
        finish()
        return words


class WordList:
    """The likeliest sequence of the words that a model was tuned to hear. confidence: mean posterior of the letters."""

    def __init__(self, loop: lexicon.WordLoop) -> None:
        self.loop = loop

    def words(self, log_probabilities: np.ndarray, frame_s: float) -> list[Word]:
        return [Word(one.word, one.start * frame_s, one.end * frame_s, one.confidence)
                for one in self.loop.decode(np.exp(log_probabilities))]

    def joined_by(self, words: Iterable[str], processor: Any) -> WordList:
        """The same with more words, in capitals where the model knows no others. ConfigError where it cannot spell
        one."""
        letters = processor.tokenizer.get_vocab()
        more = [word if set(word) <= letters.keys() else word.upper() for word in words]
        return WordList(lexicon.for_processor([*self.loop.words, *more], processor))


def of_checkpoint(checkpoint: str, processor: Any, blank_id: int) -> Decoder:
    """With the word list that lies beside the weights, where a model was tuned to hear nothing else; else greedy."""
    try:
        words = (Path(checkpoint) / lexicon.FILE).read_text(encoding="utf-8").split()
    except (FileNotFoundError, NotADirectoryError):
        return Greedy(processor, blank_id)
    return WordList(lexicon.for_processor(words, processor))
