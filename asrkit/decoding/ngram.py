"""A small n-gram language model, estimated from a text.

Interpolated Kneser-Ney with one discount an order (Chen and Goodman, "An Empirical Study of Smoothing Techniques for
Language Modeling", 1998, section 4.1.6), stored as back-off probabilities, which for seen n-grams are the interpolated
ones.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from asrkit.errors import DataError

BEGIN, END, UNKNOWN = "<s>", "</s>", "<unk>"
ORDER = 3
MAX_WORDS = 2_000_000
"""Words of text: beyond it, counting in Python takes minutes; use a tool made for it."""
LN10 = math.log(10)

Gram = tuple[str, ...]


class WordModel(Protocol):
    """A language model as far as a decoder needs it. States are shared and never changed."""

    @property
    def words(self) -> Sequence[str]:
        """The vocabulary of the model."""
        ...

    @property
    def start(self) -> Any:
        """The state at the beginning of a sentence."""
        ...

    def follow(self, state: Any, word: str) -> tuple[Any, float]:
        """Return the state after a further word, and ln P(word | the words before)."""
        ...


class LanguageModel:
    """An n-gram model of sentences: normalised, with white space between words.

    log_probabilities: log10 of each seen n-gram, by its words; backoffs: log10 weights of histories. Raises DataError
    where there is no text, or too much.
    """

    def __init__(self, texts: Iterable[str], order: int = ORDER) -> None:
        sentences = [words for words in (text.split() for text in texts) if words]
        if not sentences:
            raise DataError("A language model needs some text; give sentences like those that will be spoken.")
        num_words = sum(map(len, sentences))
        if num_words > MAX_WORDS:
            raise DataError(f"The text has {num_words} words; give at most {MAX_WORDS}.")
        self.order = order
        self.words = sorted({word for words in sentences for word in words} - {BEGIN, END, UNKNOWN})
        self.log_probabilities: dict[Gram, float] = {}
        self.backoffs: dict[Gram, float] = {}
        self._estimate(_count_grams(sentences, order))

    @classmethod
    def from_grams(cls, log_probabilities: dict[Gram, float], backoffs: dict[Gram, float]) -> LanguageModel:
        """Return the model with these values, as the attributes of the same names hold them. `<unk>` is among them."""
        model = cls.__new__(cls)
        model.order = max(map(len, log_probabilities))
        model.words = sorted({gram[0] for gram in log_probabilities if len(gram) == 1} - {BEGIN, END, UNKNOWN})
        model.log_probabilities, model.backoffs = log_probabilities, backoffs
        return model

    def _estimate(self, counts: list[Counter[Gram]]) -> None:
        uniform = 1 / (len(self.words) + 2)  # the end of a sentence and the unknown word are words too
        lower: dict[Gram, float] = defaultdict(lambda: uniform)
        for size, grams in enumerate(counts, 1):
            discount = _discount(grams)
            totals: Counter[Gram] = Counter()
            successors: Counter[Gram] = Counter()
            for gram, count in grams.items():
                totals[gram[:-1]] += count
                successors[gram[:-1]] += 1
            probabilities: dict[Gram, float] = {}
            for history, total in totals.items():
                self.backoffs[history] = math.log10(discount * successors[history] / total)
            for gram, count in grams.items():
                history = gram[:-1]
                weight = discount * successors[history] / totals[history]
                shorter = lower[gram[1:] if size > 1 else ()]
                probabilities[gram] = (count - discount) / totals[history] + weight * shorter
                self.log_probabilities[gram] = math.log10(probabilities[gram])
            if size == 1:
                unseen = 10 ** self.backoffs.pop(()) * uniform
                self.log_probabilities[UNKNOWN,] = math.log10(unseen)
                probabilities[UNKNOWN,] = unseen
            lower = probabilities

    def score(self, history: Gram, word: str) -> float:
        """Return log10 P(word | history), backing off to shorter histories."""
        known = (word,) in self.log_probabilities and word != BEGIN
        gram = (*history[-(self.order - 1) :], word if known else UNKNOWN)
        weight = 0.0
        while gram not in self.log_probabilities:
            weight += self.backoffs.get(gram[:-1], 0.0)
            gram = gram[1:]
        return weight + self.log_probabilities[gram]

    @property
    def start(self) -> Gram:
        """The state at the beginning of a sentence."""
        return (BEGIN,)

    def follow(self, state: Gram, word: str) -> tuple[Gram, float]:
        """Return the state after a further word, and ln P(word | the words before)."""
        known = word if (word,) in self.log_probabilities else UNKNOWN
        return (*state, known)[-(self.order - 1) :], LN10 * self.score(state, word)


def _count_grams(sentences: list[list[str]], order: int) -> list[Counter[Gram]]:
    """Count n-grams by size.

    The longest, and those that begin a sentence: how often they occur; the others: after how many different words.
    """
    occurrences: list[Counter[Gram]] = [Counter() for _ in range(order)]
    for words in sentences:
        marked = (BEGIN, *words, END)
        for size in range(1, order + 1):
            for start in range(len(marked) - size + 1):
                occurrences[size - 1][marked[start : start + size]] += 1
    counts: list[Counter[Gram]] = [Counter() for _ in range(order)]
    counts[-1] = occurrences[-1]
    for size in range(1, order):
        counts[size - 1].update({gram: count for gram, count in occurrences[size - 1].items() if gram[0] == BEGIN})
        counts[size - 1].update(gram[1:] for gram in occurrences[size])
    del counts[0][BEGIN,]
    return [grams for grams in counts if grams]


def _discount(grams: Counter[Gram]) -> float:
    """Return n1 / (n1 + 2 n2), kept between 0.1 and 0.9 for texts so small that one of them is 0."""
    histogram = Counter(grams.values())
    once, twice = histogram[1], histogram[2]
    return min(0.9, max(0.1, once / (once + 2 * twice))) if once else 0.5
