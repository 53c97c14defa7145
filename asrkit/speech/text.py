"""Named normalisers, the same for training and scoring, and tokens for scripts written without spaces.

A run records the name of its normaliser, so a score can be made again. None of them strips combining marks in general:
in Devanagari, Thai, Arabic or Tamil these carry the vowels.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from asrkit.errors import ConfigError

APOSTROPHE = "'"
# U+2018, U+2019, U+02BC, U+FF07: written for the apostrophe by keyboards, word processors and linguists.
_APOSTROPHES = str.maketrans(dict.fromkeys("\u2018\u2019\u02bc\uff07", APOSTROPHE))

# Zero-width (non-)joiners spell in Persian and in Indic scripts; elsewhere (emoji) they are litter.
_JOINERS = "\u200c\u200d"

# NFKC takes these Thai and Lao letters apart, though everybody types and reads them as one.
_WHOLE_LETTERS = re.compile("([\u0e33\u0eb3\u0edc\u0edd])")

_LATIN_LETTERS = str.maketrans({"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th"})
_LATIN_MARKS = re.compile("(?<=[a-z])[\u0300-\u036f]+")

_HAN = "\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_HAN_GAP = re.compile(f"(?<=[{_HAN}]) (?=[{_HAN}])")
_KANA = "\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f"
_THAI_LAO = "\u0e00-\u0eff"
_MYANMAR = "\u1000-\u109f\ua9e0-\ua9ff\uaa60-\uaa7f"
_KHMER = "\u1780-\u17ff\u19e0-\u19ff"
_UNSPACED = re.compile(f"[{_HAN}{_KANA}{_THAI_LAO}{_MYANMAR}{_KHMER}]")
_ZERO_WIDTH_SPACE = "\u200b"


@dataclass(frozen=True)
class Normaliser:
    """A named function from text to text; idempotent. `summary` is its one line on the page."""

    name: str
    summary: str
    function: Callable[[str], str]

    def __call__(self, text: str) -> str:
        return self.function(text)


def normalise(text: str, name: str) -> str:
    """Apply the normaliser of that name. Raises ConfigError for a name that is not in `NORMALISERS`."""
    if name not in NORMALISERS:
        raise ConfigError(f"There is no normaliser {name!r}; choose one of {', '.join(NORMALISERS)}.")
    return NORMALISERS[name](text)


def mixed_tokens(text: str) -> list[str]:
    """Tokens for the mixed error rate: each character of a script without word spaces, and each word of the rest.

    The scripts: Han, Hiragana, Katakana, Thai, Lao, Khmer, Myanmar. Combining marks and joiners stay with their base.
    """
    tokens: list[str] = []
    for word in text.replace(_ZERO_WIDTH_SPACE, " ").split():
        begin = len(tokens)
        for character in word:
            if len(tokens) > begin and _continues(tokens[-1], character):
                tokens[-1] += character
            else:
                tokens.append(character)
    return tokens


def _continues(token: str, character: str) -> bool:
    if _is_mark(character) or character in _JOINERS:
        return True
    return not (_UNSPACED.match(character) or _UNSPACED.match(token))


def _collapse(text: str) -> str:
    return " ".join(text.split())


def _basic(text: str) -> str:
    # Symbols go before NFKC turns them into letters (™ into tm), and after it has made new ones (½ into 1⁄2).
    text = _fold_compatible(_words_only(unicodedata.normalize("NFC", text)))
    # Lower, not casefold, which would respell ß as ss. Lowering may take a letter apart (İ), hence NFC again.
    text = unicodedata.normalize("NFC", text.lower())
    return _collapse(unicodedata.normalize("NFC", _words_only(text)))


def _english(text: str) -> str:
    text = re.sub("[%\uff05]", " percent ", re.sub("[&\uff06]", " and ", text))
    text = unicodedata.normalize("NFD", _basic(text).translate(_LATIN_LETTERS))
    return unicodedata.normalize("NFC", _LATIN_MARKS.sub("", text))


def _code_switched(text: str) -> str:
    return _HAN_GAP.sub("", _basic(text))


def _fold_compatible(text: str) -> str:
    """Full-width letters, half-width kana, ligatures and the like to the plain letters (NFKC)."""
    parts = _WHOLE_LETTERS.split(text)
    return "".join(
        part if _WHOLE_LETTERS.match(part) else unicodedata.normalize("NFKC", part).translate(_APOSTROPHES)
        for part in parts
    )


def _words_only(text: str) -> str:
    """Letters, digits, marks on a base, and apostrophes and joiners inside a word; a space for anything else."""
    text = text.translate(_APOSTROPHES)
    kept = [" "]
    for here, after in zip(text, text[1:] + " ", strict=False):
        kind = unicodedata.category(here)
        inside = kept[-1] != " " and unicodedata.category(after)[0] in "LN"
        if kind[0] in "LN":
            kept.append(here)
        elif _is_mark(here):
            if kept[-1] != " " and not _selects_variation(here):
                kept.append(here)
        elif here in _JOINERS:
            if inside or (kept[-1] != " " and _is_mark(after) and not _selects_variation(after)):
                kept.append(here)
        elif kind != "Cf" or here == _ZERO_WIDTH_SPACE:  # soft hyphens and direction marks vanish; they part no words
            kept.append(here if here == APOSTROPHE and inside else " ")
    return "".join(kept)


def _is_mark(character: str) -> bool:
    return unicodedata.category(character) in ("Mn", "Mc")


def _selects_variation(character: str) -> bool:
    """Variation selectors choose a glyph (emoji or text, Han variants) and are not spoken."""
    return "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef"


NORMALISERS = {
    normaliser.name: normaliser
    for normaliser in (
        Normaliser("none", "Leaves the text as it is; only white space is collapsed.", _collapse),
        Normaliser(
            "basic",
            "Lower case, punctuation and symbols removed; accents, vowel signs and the apostrophe inside words stay. "
            "For any language.",
            _basic,
        ),
        Normaliser("english", "Basic, with accents removed and & and % written as words. Digits stay.", _english),
        Normaliser("code-switched", "Basic, without the spaces between Chinese characters.", _code_switched),
    )
}
