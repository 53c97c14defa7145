"""A small n-gram language model from somebody's own text; and those that KenLM keeps in files.

Interpolated Kneser-Ney with one discount an order (Chen and Goodman, "An Empirical Study of Smoothing Techniques for
Language Modeling", 1998, section 4.1.6), written as back-off probabilities, which for seen n-grams are the interpolated
ones.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import math
import mmap
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from asrkit.errors import ConfigError, DataError, first_line

BEGIN, END, UNKNOWN = "<s>", "</s>", "<unk>"
ORDER = 3
MOST_WORDS = 2_000_000
"""Words of text: beyond it, counting in Python takes minutes; use a tool made for it."""
MOST_KNOWN = 200_000
"""Different words of a file: more take gigabytes to look up."""
MOST_TEXT_MB = 500
"""Of an .arpa file as it lies there: kenlm reads 25 MB a second, and nothing else of this process goes on meanwhile."""
LN10 = math.log(10)
BINARY = b"mmap lm"
PACKED = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
"""What a file begins with -> what reads it; kenlm unpacks the same."""

Gram = tuple[str, ...]


class WordModel(Protocol):
    """What a decoder asks: the words known by name, and how likely each is behind others. A state may be shared."""

    words: Sequence[str]

    @property
    def start(self) -> Any: ...

    def follow(self, state: Any, word: str) -> tuple[Any, float]: ...


class LanguageModel:
    """log_probabilities: log10 of each seen n-gram, by its words; backoffs: log10 weights of histories."""

    def __init__(self, texts: Iterable[str], order: int = ORDER) -> None:
        """texts: sentences, normalised, words apart by white space. Raises DataError where there is none, or too
        much."""
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
        """log10 P(word | history), backing off to shorter ones."""
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
        """-> (the state behind that word, ln P(word | what was said before))."""
        known = word if (word,) in self.log_probabilities else UNKNOWN
        return (*state, known)[-(self.order - 1) :], LN10 * self.score(state, word)


class KenLM:
    """A KenLM file, .arpa (compressed or not) or binary, by the package kenlm: a model of words as
    `text.scripts.tokenize_mixed` gives them.

    Raises ConfigError where the package is missing, the file is no such model, or it does not hold its words.
    """

    def __init__(self, path: str | Path) -> None:
        try:
            import kenlm
        except ImportError as error:
            raise ConfigError("A KenLM file needs the package kenlm: pip install kenlm.") from error
        settings = kenlm.Config()
        settings.show_progress, settings.arpa_complain = False, kenlm.ARPALoadComplain.NONE
        special = {BEGIN, END, UNKNOWN}
        try:
            _check_size(Path(path))
            named = set(islice((word for word in _words_of(Path(path)) if word not in special), MOST_KNOWN + 1))
            if len(named) > MOST_KNOWN:
                raise ConfigError(f"{path} knows more than {MOST_KNOWN} words by name; prune it.")
            self._model = kenlm.Model(str(path), settings)
        except (OSError, RuntimeError, ValueError, EOFError, zlib.error, lzma.LZMAError) as error:
            raise ConfigError(f"{path} cannot be read as a KenLM language model ({first_line(error)}).") from error
        self._new = kenlm.State
        self.words = sorted(word for word in named if word in self._model)
        if not self.words:
            raise ConfigError(f"{path} knows no word by name; give the .arpa file that it was made from.")

    @property
    def start(self) -> Any:
        state = self._new()
        self._model.BeginSentenceWrite(state)
        return state

    def follow(self, state: Any, word: str) -> tuple[Any, float]:
        """-> (the state behind that word, ln P(word | what was said before))."""
        behind = self._new()
        return behind, LN10 * self._model.BaseScore(state, word, behind)


def _begins(path: Path) -> bytes:
    with open(path, "rb") as file:
        return file.read(len(BINARY))


def _check_size(path: Path) -> None:
    size_mb = path.stat().st_size / 1e6
    if size_mb > MOST_TEXT_MB and _begins(path) != BINARY:
        raise ConfigError(
            f"{path} has {size_mb:.0f} MB of text, which takes long to read; make a binary file of it "
            "with KenLM's build_binary, or prune it."
        )


def _words_of(path: Path) -> Iterator[str]:
    """The words of a file: the unigrams of an .arpa, or the list that a binary ends in, which <unk> begins."""
    begins = _begins(path)
    if begins == BINARY:
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as held:
            begin = held.rfind(UNKNOWN.encode() + b"\0")
            names = held[begin:] if begin >= 0 else b""
        yield from (name.decode("utf-8", "replace") for name in names.split(b"\0") if name)
        return
    unpack = next((unpack for magic, unpack in PACKED.items() if begins.startswith(magic)), open)
    with unpack(path, "rb") as file:
        for line in map(bytes.strip, file):
            if line == b"\\2-grams:":
                return
            if line.count(b"\t") and len(fields := line.split(b"\t")) > 1:
                yield fields[1].decode("utf-8", "replace")


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
