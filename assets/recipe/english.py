"""Make the language model of common English words that the starter decodes with.

    python -m assets.recipe.english [SENTENCES.txt ...]

Frequencies of words are wordfreq's; which word follows which is counted in the sentences, one a line (Debian's
`fortunes` too). Pairs back off to the frequencies by absolute discounting.
"""

from __future__ import annotations

import gzip
import math
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

from wordfreq import top_n_list, word_frequency

from asrkit.decoding.arpa import NEVER, write_arpa
from asrkit.decoding.ngram import BEGIN, END, UNKNOWN, Gram, LanguageModel
from assets.recipe import texts

OUT = Path(__file__).parents[1] / "common_words" / "en.arpa.gz"
NUM_WORDS = 40_000
LETTER_WORDS = {"a", "i", "o"}
UNKNOWN_SHARE = 0.02
"""Of running words: those that are not listed."""
DISCOUNT = 0.8
MIN_COUNT = 2


def main() -> None:
    listed = [word for word in top_n_list("en", NUM_WORDS) if texts.SPELLING.fullmatch(word)]
    words = {word for word in listed if len(word) > 1 or word in LETTER_WORDS}
    sentences = [line for path in sys.argv[1:] for line in Path(path).read_text(encoding="utf-8").splitlines()]
    spoken = {text for text in map(texts.plain, sentences) if text} | set(texts.find_sentences(words))
    model = make(words, sorted(spoken))
    OUT.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        write_arpa(model, Path(folder, "en.arpa"))
        OUT.write_bytes(gzip.compress(Path(folder, "en.arpa").read_bytes(), 9, mtime=0))
    pairs = sum(len(gram) == 2 for gram in model.log_probabilities)
    print(f"{len(spoken)} sentences, {len(words)} words, {pairs} pairs, {OUT.stat().st_size / 1e6:.2f} MB")


def make(words: set[str], sentences: list[str]) -> LanguageModel:
    shares = {word: word_frequency(word, "en") for word in words}
    total = sum(shares.values()) / (1 - UNKNOWN_SHARE)
    single = {word: share / total for word, share in shares.items()} | {UNKNOWN: UNKNOWN_SHARE}
    following: dict[str, Counter[str]] = defaultdict(Counter)
    for sentence in sentences:
        spelled = [BEGIN, *(word if word in words else UNKNOWN for word in sentence.split())]
        for first, second in zip(spelled, spelled[1:], strict=False):
            following[first][second] += 1
    log_probabilities: dict[Gram, float] = {(word,): round(math.log10(share), 3) for word, share in single.items()}
    log_probabilities |= {(BEGIN,): NEVER, (END,): NEVER}
    backoffs: dict[Gram, float] = {}
    for first, counts in following.items():
        kept = {word: count for word, count in counts.items() if count >= MIN_COUNT and word != UNKNOWN}
        if first == UNKNOWN or not kept:
            continue
        seen = sum(counts.values())
        # What the discounts and the pairs left out free goes to all words by their frequency.
        freed = (seen - sum(kept.values()) + DISCOUNT * len(kept)) / seen
        backoffs[first,] = round(math.log10(freed), 3)
        for word, count in kept.items():
            share = (count - DISCOUNT) / seen + freed * single[word]
            log_probabilities[first, word] = round(math.log10(share), 3)
    return LanguageModel.from_grams(log_probabilities, backoffs)


if __name__ == "__main__":
    main()
