"""The normalisers that rules begin with: functions from text to text, by name.

None of them strips combining marks in general: in Devanagari, Thai, Arabic or Tamil these carry the vowels.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from asrkit.text.characters import fold_compatible, keep_words, lower, separate_special_digits
from asrkit.text.scripts import HAN, JOINERS

_LATIN_LETTERS = str.maketrans({"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th"})
_LATIN_MARKS = re.compile("(?<=[a-z])[\u0300-\u036f]+")

_HAN_GAP = re.compile(f"(?<=[{HAN}]) (?=[{HAN}])")
_HAN_SIDE = re.compile(f"(?<=[{HAN}]) | (?=[{HAN}])")

# Malayalam consonant + virama + zero-width joiner, as before Unicode 5.1, and the equivalent letter.
_CHILLUS = {f"{base}\u0d4d\u200d": chillu for base, chillu in zip("ണനരലളക", "ൺൻർൽൾൿ", strict=True)}


@dataclass(frozen=True)
class Normaliser:
    """A named function from text to text; idempotent. `summary` is its one line on the page."""

    name: str
    summary: str
    function: Callable[[str], str]

    def __call__(self, text: str) -> str:
        return self.function(text)


def collapse(text: str) -> str:
    """Return a text with single spaces between its words, and none around them."""
    return " ".join(text.split())


_MAX_CACHED_LETTERS = 40


def _basic(text: str) -> str:
    """Normalise word by word, since words recur and nothing in one depends on another."""
    words = (_basic_word(word) if len(word) <= _MAX_CACHED_LETTERS else _basic_words(word) for word in text.split())
    return " ".join(filter(None, words))


@lru_cache(maxsize=1 << 15)
def _basic_word(word: str) -> str:
    return _basic_words(word)


def _basic_words(text: str) -> str:
    # Symbols go before NFKC turns them into letters (™ into tm), and after it has made new ones (½ into 1⁄2).
    text = keep_words(separate_special_digits(unicodedata.normalize("NFC", text)))
    text = lower(fold_compatible(text))
    return collapse(unicodedata.normalize("NFC", keep_words(text)))


def _english(text: str) -> str:
    text = re.sub("[%\uff05]", " percent ", re.sub("[&\uff06]", " and ", text))
    text = unicodedata.normalize("NFD", _basic(text).translate(_LATIN_LETTERS))
    return unicodedata.normalize("NFC", _LATIN_MARKS.sub("", text))


def _european(kept_letters: str, percent: str, and_: str) -> Callable[[str], str]:
    """Basic, with & and % written out and accents taken off, except from the letters of the language."""

    def apply(text: str) -> str:
        text = re.sub("[%\uff05]", f" {percent} ", re.sub("[&\uff06]", f" {and_} ", text))
        return unicodedata.normalize("NFC", "".join(map(plain, _basic(text))))

    def plain(letter: str) -> str:
        return (
            letter
            if letter in kept_letters
            else _LATIN_MARKS.sub("", unicodedata.normalize("NFD", letter.translate(_LATIN_LETTERS)))
        )

    return apply


def _code_switched(text: str) -> str:
    return _HAN_GAP.sub("", _basic(text))


def _chinese(text: str) -> str:
    return _HAN_SIDE.sub("", _basic(text))


def _indic(text: str) -> str:
    """Replace chillus spelled with a joiner by their own letters; remove other joiners, which are not pronounced."""
    for spelled, letter in _CHILLUS.items():
        text = text.replace(spelled, letter)
    return _basic(text.translate(dict.fromkeys(map(ord, JOINERS))))


NORMALISERS = {
    normaliser.name: normaliser
    for normaliser in (
        Normaliser("none", "Leaves the text as it is; only white space is collapsed.", collapse),
        Normaliser(
            "basic",
            "Lower case, punctuation and symbols removed; accents, vowel signs and the apostrophe inside words stay. "
            "For any language.",
            _basic,
        ),
        Normaliser("english", "Basic, with accents removed and & and % written as words. Digits stay.", _english),
        Normaliser(
            "german",
            "Basic, with ä, ö, ü and ß kept, other accents removed, & and % written as words.",
            _european("äöüß", "prozent", "und"),
        ),
        Normaliser(
            "spanish",
            "Basic, with á, é, í, ó, ú, ü, ñ kept, other accents removed, & and % written as words.",
            _european("áéíóúüñ", "por ciento", "y"),
        ),
        Normaliser(
            "french",
            "Basic, with the accents of French kept, others removed, & and % written as words.",
            _european("àâæçéèêëîïôœùûüÿ", "pour cent", "et"),
        ),
        Normaliser("chinese", "Basic, without any space beside a Chinese character.", _chinese),
        Normaliser(
            "code-switched",
            "Basic, without the spaces between Chinese characters, as ASCEND is scored.",
            _code_switched,
        ),
        Normaliser("indic", "Basic; vowel signs stay, joiners go, Malayalam chillus are written in one way.", _indic),
    )
}
