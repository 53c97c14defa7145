"""A small n-gram language model from somebody's own text, in the ARPA format that every decoder reads.

Interpolated Kneser-Ney with one discount an order (Chen and Goodman, "An Empirical Study of Smoothing Techniques for
Language Modeling", 1998, section 4.1.6), written as back-off probabilities, which for seen n-grams are the interpolated
ones.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable

from asrkit.errors import DataError

BEGIN, END, UNKNOWN = "<s>", "</s>", "<unk>"
ORDER = 3
MOST_WORDS = 2_000_000
"""Words of text: beyond it, counting in Python takes minutes; use a tool made for it."""

Gram = tuple[str, ...]


class LanguageModel:
    """log_probabilities: log10 of each seen n-gram, by its words; backoffs: log10 weights of histories."""

    def __init__(self, texts: Iterable[str], order: int = ORDER) -> None:
        """texts: sentences, normalised, words apart by white space. Raises DataError where there is none, or too much.
        """
        sentences = [words for words in (text.split() for text in texts) if words]
        if not sentences:
            raise DataError("A language model needs some text; give sentences like those that will be spoken.")
        total = sum(map(len, sentences))
        if total > MOST_WORDS:
            raise DataError(f"The text has {total} words; give at most {MOST_WORDS}.")
        self.order = order
        self.words = sorted({word for words in sentences for word in words} - {BEGIN, END, UNKNOWN})
        self.log_probabilities: dict[Gram, float] = {}
        self.backoffs: dict[Gram, float] = {}
        self._estimate(_counts(sentences, order))

    def _estimate(self, counts: list[Counter[Gram]]) -> None:
        uniform = 1 / (len(self.words) + 2)  # the end of a sentence and the unknown word are words too
        lower: dict[Gram, float] = defaultdict(lambda: uniform)
        for size, grams in enumerate(counts, 1):
            discount = _discount(grams)
            totals, kinds = Counter(), Counter()
            for gram, count in grams.items():
                totals[gram[:-1]] += count
                kinds[gram[:-1]] += 1
            here: dict[Gram, float] = {}
            for history, total in totals.items():
                self.backoffs[history] = math.log10(discount * kinds[history] / total)
            for gram, count in grams.items():
                history = gram[:-1]
                share = discount * kinds[history] / totals[history]
                here[gram] = (count - discount) / totals[history] + share * lower[gram[1:] if size > 1 else ()]
                self.log_probabilities[gram] = math.log10(here[gram])
            if size == 1:
                unseen = 10 ** self.backoffs.pop(()) * uniform
                self.log_probabilities[UNKNOWN,] = math.log10(unseen)
                here[UNKNOWN,] = unseen
            lower = here

    def score(self, history: Gram, word: str) -> float:
        """log10 P(word | history), backing off as a decoder does."""
        known = (word,) in self.log_probabilities and word != BEGIN
        gram = (*history[-(self.order - 1):], word if known else UNKNOWN)
        weight = 0.0
        while gram not in self.log_probabilities:
            weight += self.backoffs.get(gram[:-1], 0.0)
            gram = gram[1:]
        return weight + self.log_probabilities[gram]

    def arpa(self) -> str:
        """The model as an ARPA file."""
        sizes: list[list[Gram]] = [[] for _ in range(self.order)]
        for gram in sorted(self.log_probabilities):
            sizes[len(gram) - 1].append(gram)
        sizes[0].insert(0, (BEGIN,))
        lines = ["\\data\\", *(f"ngram {size}={len(grams)}" for size, grams in enumerate(sizes, 1) if grams), ""]
        for size, grams in enumerate(sizes, 1):
            if not grams:
                continue
            lines.append(f"\\{size}-grams:")
            for gram in grams:
                weight = f"\t{self.backoffs[gram]:.6f}" if gram in self.backoffs else ""
                lines.append(f"{self.log_probabilities.get(gram, -99):.6f}\t{' '.join(gram)}{weight}")
            lines.append("")
        return "\n".join([*lines, "\\end\\", ""])


def _counts(sentences: list[list[str]], order: int) -> list[Counter[Gram]]:
    """Counts by size: how often, for the longest n-grams and those that begin a sentence; else after how many words."""
    seen: list[Counter[Gram]] = [Counter() for _ in range(order)]
    for words in sentences:
        marked = (BEGIN, *words, END)
        for size in range(1, order + 1):
            for start in range(len(marked) - size + 1):
                seen[size - 1][marked[start : start + size]] += 1
    counts = [Counter() for _ in range(order)]
    counts[-1] = seen[-1]
    for size in range(1, order):
        counts[size - 1].update({gram: count for gram, count in seen[size - 1].items() if gram[0] == BEGIN})
        counts[size - 1].update(gram[1:] for gram in seen[size])
    del counts[0][BEGIN,]
    return [grams for grams in counts if grams]


def _discount(grams: Counter[Gram]) -> float:
    """n1 / (n1 + 2 n2), kept from the ends for texts so small that one of them is nothing."""
    kinds = Counter(grams.values())
    once, twice = kinds[1], kinds[2]
    return min(0.9, max(0.1, once / (once + 2 * twice))) if once else 0.5
