"""Posteriors of a clip -> its words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asrkit.decoding import lexicon
from asrkit.decoding.protocols import Decoder
from asrkit.decoding.transcript import Word
from asrkit.text.normalizers import continues

LETTERS_POWER, FRAMES_POWER = 2.0, 0.25
"""Confidence of a word heard greedily: (product of its letters' posteriors, each at its surest frame) ** 2 * (product
of the best posteriors of all its frames) ** 0.25.

CTC posteriors are too sure. Of the products tried on three models and sets (450 words each: a tuned starter on human
speech, the demo without its list, the bare starter), this one ranks right above wrong words as well as any (area under
the curve 0.80 to 0.82), and its expected calibration error is 3 to 6 %; of the least posterior it was 31 to 50 %.
"""
LIST_SURE = (-0.5, 0.35)
"""Confidence of a word of a list: the logistic function of a + b x, where x is by how many nats the sound says it
rather than the list's next best word. Fitted where every word said is on the list; another can only be misheard."""
LIST_MARGIN, MOST_AHEAD = 2, 20.0
"""Frames on either side of a word in which the list's other words are looked for too."""


class Spelling:
    """What the tokens of a model are written as. letters: those that are no space and nothing special."""

    def __init__(self, tokenizer: Any) -> None:
        self.delimiter_id = tokenizer.word_delimiter_token_id
        written = {
            token: tokenizer.decode([token], group_tokens=False).strip()
            for token in set(tokenizer.get_vocab().values()) - set(tokenizer.all_special_ids)
        }
        self.letters = {token: text for token, text in written.items() if text and token != self.delimiter_id}


def logistic(x: float) -> float:
    return float(1 / (1 + np.exp(-x)))


@dataclass(frozen=True)
class _Letter:
    """What was heard in frames `begin` to before `end`; sure: the log posterior of the surest of them."""

    text: str
    begin: int
    end: int
    sure: float


class Greedy:
    """The likeliest token of each frame."""

    def __init__(self, processor: Any, blank_id: int) -> None:
        self.spelling, self.blank_id = Spelling(processor.tokenizer), blank_id

    def decode(self, log_probabilities: np.ndarray, frame_s: float) -> list[Word]:
        """Runs of one token are a letter; the delimiter ends a word, as does a character that is one by itself."""
        best, sure = log_probabilities.argmax(-1), log_probabilities.max(-1)
        words: list[Word] = []
        letters: list[_Letter] = []

        def finish(joined: bool) -> bool:
            """-> whether what follows at once is joined."""
            if not letters:
                return joined
            begin, end = letters[0].begin, letters[-1].end
            spelled, spanned = sum(letter.sure for letter in letters), float(sure[begin:end].sum())
            certain = np.exp(LETTERS_POWER * spelled + FRAMES_POWER * spanned)
            text = "".join(letter.text for letter in letters)
            words.append(Word(text, begin * frame_s, end * frame_s, float(certain), joined))
            letters.clear()
            return True

        edges, joined = [0, *(np.flatnonzero(np.diff(best)) + 1).tolist(), len(best)], False
        for begin, end in zip(edges, edges[1:], strict=False):
            token = int(best[begin]) if end > begin else self.blank_id
            if token == self.spelling.delimiter_id:
                finish(joined)
                joined = False
            elif text := self.spelling.letters.get(token):
                if letters and not continues("".join(letter.text for letter in letters), text[0]):
                    joined = finish(joined)
                letters.append(_Letter(text, begin, end, float(sure[begin:end].max())))
        finish(joined)
        return words


class WordList:
    """The likeliest sequence of the words that a model was tuned to hear."""

    def __init__(self, loop: lexicon.WordLoop) -> None:
        self.loop = loop

    def decode(self, log_probabilities: np.ndarray, frame_s: float) -> list[Word]:
        heard = self.loop.decode(np.exp(log_probabilities))
        smooth = self.loop.smoothed(log_probabilities)
        ends = [0, *(one.end for one in heard)]
        starts = [*(one.start for one in heard), len(smooth)]
        words = []
        for place, one in enumerate(heard):
            begin = max(one.start - LIST_MARGIN, ends[place])
            end = min(one.end + LIST_MARGIN, starts[place + 1])
            ahead = self._ahead(one.word, smooth[begin:end])
            words.append(
                Word(one.word, one.start * frame_s, one.end * frame_s, logistic(LIST_SURE[0] + LIST_SURE[1] * ahead))
            )
        return words

    def _ahead(self, word: str, span: np.ndarray) -> float:
        """ln P(frames | word) - ln P(frames | the best other word of the list), at most MOST_AHEAD."""
        import torch

        tokens = [self.loop.spelled(number) for number in range(len(self.loop.words))]
        frames = torch.from_numpy(span.astype(np.float32))[:, None].expand(-1, len(tokens), -1)
        likely = -torch.nn.functional.ctc_loss(
            frames,
            torch.tensor([token for one in tokens for token in one]),
            torch.full((len(tokens),), len(span)),
            torch.tensor([len(one) for one in tokens]),
            blank=self.loop.blank_id,
            reduction="none",
        ).numpy()
        own = self.loop.words.index(word)
        return float(min(MOST_AHEAD, likely[own] - np.delete(likely, own).max(initial=-np.inf)))

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
