"""What the voices say: general English for the starter, callsigns for the demo."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

FORTUNES = Path("/usr/share/games/fortunes")
"""Debian's `fortunes`, the source of running sentences. Read, never copied into the repository."""

NATO = (
    "alpha bravo charlie delta echo foxtrot golf hotel india juliett kilo lima mike november "
    "oscar papa quebec romeo sierra tango uniform victor whiskey xray yankee zulu"
).split()
SPOKEN = {"xray": "x-ray", "juliett": "Juliet", "lima": "Lima", "quebec": "Quebec", "india": "India"}
"""How a word is written for the synthesisers, where that differs from its label."""

DIGITS = "zero one two three four five six seven eight nine".split()

SPELLING = re.compile(r"[a-z']+")


def plain(text: str) -> str | None:
    """`text` in the starter's alphabet (a to z, apostrophe, space), or None if it holds anything but words."""
    words = re.sub(r"[,.;:!?\"()\s-]+", " ", text.lower()).split()
    return " ".join(words) if words and all(SPELLING.fullmatch(word) for word in words) else None


class English:
    """Draws prompts: single words, word strings and sentences of general English."""

    def __init__(self, words: int = 9_000) -> None:
        from wordfreq import top_n_list, word_frequency

        listed = top_n_list("en", words * 2)
        self.words = [w for w in listed if SPELLING.fullmatch(w) and (len(w) > 2 or w in _SHORT)][:words]
        # Between uniform and natural: rare words are worth more to a speller of sounds than the 500th "the".
        weight = np.array([word_frequency(w, "en") for w in self.words]) ** 0.35
        self.weight = weight / weight.sum()
        self.sentences = find_sentences(set(self.words))

    def draw(self, rng: np.random.Generator) -> str:
        kind = rng.random()
        if kind < 0.15:
            return self.string(1, rng)
        if kind < 0.60:
            return self.string(int(rng.integers(2, 8)), rng)
        count = 2 if kind < 0.75 else 1
        return " ".join(self.sentences[int(number)] for number in rng.integers(len(self.sentences), size=count))

    def string(self, count: int, rng: np.random.Generator) -> str:
        return " ".join(rng.choice(self.words, size=count, p=self.weight))


_SHORT = set("a i of to in is it he we as at be by do go if me my no on or so up us am an oh ok".split())


def find_sentences(known: set[str]) -> list[str]:
    found = set()
    for path in sorted(FORTUNES.glob("*.u8")):
        text = path.with_suffix("").read_text(encoding="utf-8", errors="ignore")
        for sentence in re.split(r"(?<=[.!?])\s+|\n%\n|\n\s", text):
            spoken = plain(sentence)
            if spoken and 3 <= len(spoken.split()) <= 14 and all(word in known for word in spoken.split()):
                found.add(spoken)
    return sorted(found)


def callsign(rng: np.random.Generator) -> str:
    """A radio callsign of one to five words, letters in the NATO spelling alphabet and digits."""
    count = int(rng.choice([1, 2, 3, 4, 5], p=(0.32, 0.16, 0.2, 0.2, 0.12)))
    return " ".join(str(rng.choice(NATO if rng.random() < 0.55 else DIGITS)) for _ in range(count))


def spoken(text: str) -> str:
    """A callsign as the synthesisers are to read it."""
    return " ".join(SPOKEN.get(word, word) for word in text.split())
