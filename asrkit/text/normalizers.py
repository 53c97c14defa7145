"""Named text normalizers, the same for training and scoring.

A run records its rules, so a score can be reproduced: the name of a normalizer, followed by further steps, as in
"german+numbers:de+map:№=Nummer". None of them strips combining marks in general: in Devanagari, Thai, Arabic or Tamil
these carry the vowels.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from asrkit.errors import ConfigError
from asrkit.text import numbers
from asrkit.text.scripts import HAN, JOINERS, ZERO_WIDTH_SPACE, is_mark

APOSTROPHE = "'"
# U+2018, U+2019, U+02BC, U+FF07: written for the apostrophe by keyboards, word processors and linguists.
_APOSTROPHES = str.maketrans(dict.fromkeys("\u2018\u2019\u02bc\uff07", APOSTROPHE))

# NFKC takes these Thai and Lao letters apart, though they are typed and read as one letter.
_WHOLE_LETTERS = re.compile("([\u0e33\u0eb3\u0edc\u0edd])")

_LATIN_LETTERS = str.maketrans({"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th"})
_LATIN_MARKS = re.compile("(?<=[a-z])[\u0300-\u036f]+")

_HAN_GAP = re.compile(f"(?<=[{HAN}]) (?=[{HAN}])")
_HAN_SIDE = re.compile(f"(?<=[{HAN}]) | (?=[{HAN}])")

# Malayalam consonant + virama + zero-width joiner, as before Unicode 5.1, and the equivalent letter.
_CHILLUS = {f"{base}\u0d4d\u200d": chillu for base, chillu in zip("ണനരലളക", "ൺൻർൽൾൿ", strict=True)}


@dataclass(frozen=True)
class Normalizer:
    """A named function from text to text; idempotent. `summary` is its one line on the page."""

    name: str
    summary: str
    function: Callable[[str], str]

    def __call__(self, text: str) -> str:
        return self.function(text)


def normalize(text: str, rules: str) -> str:
    """Apply rules made by `make_rules`, or the normalizer of that name. Raises ConfigError for an unknown one."""
    return _compiled(rules)(text)


def make_rules(normalizer: str, language: str = "", character_map: str = "") -> str:
    """Join rules to one name.

    language: of the numbers to spell out. character_map: "ё=е №=number", separated by spaces; nothing after = removes
    the character, and ␣ stands for a space.
    """
    rules = normalizer
    if language.strip():
        rules += f"{_NUMBERS}{language.strip()}"
    if character_map.strip():
        rules += f"{_MAP}{' '.join(character_map.split())}"
    return rules


_NUMBERS, _MAP = "+numbers:", "+map:"


@lru_cache(maxsize=32)
def _compiled(rules: str) -> Callable[[str], str]:
    named, _, pairs = rules.partition(_MAP)
    name, _, language = named.partition(_NUMBERS)
    if name not in NORMALIZERS:
        raise ConfigError(f"There is no normaliser {name!r}; choose one of {', '.join(NORMALIZERS)}.")
    mapped, normalizer = _parse_map(pairs), NORMALIZERS[name]
    if language:
        numbers.check_language(language)
    if not (language or mapped):
        return normalizer

    def apply(text: str) -> str:
        # Map before, for characters that the normalizer removes, and after, for those that it creates.
        text = normalizer(spelled(_replace(text, mapped)))
        # Spell twice: a normalizer may create digits, as 1 and 2 from ½.
        return _collapse(_replace(normalizer(spelled(text)) if language else text, mapped))

    def spelled(text: str) -> str:
        return numbers.spell_numbers(text, language) if language else text

    return apply


def _parse_map(pairs: str) -> dict[str, str]:
    character_map: dict[str, str] = {}
    for pair in pairs.split():
        old, equals, new = pair.partition("=")
        if not (old and equals):
            raise ConfigError(
                f"The character map has {pair!r:.40}; write old=new, separated by spaces, such as ё=е №=number."
            )
        character_map[old] = new.replace("␣", " ")
    for new in character_map.values():
        if clash := next((old for old in character_map if old in new), None):
            raise ConfigError(
                f"The character map inserts {clash!r} with {new!r} and replaces it too; remove one of the two."
            )
    return character_map


def _replace(text: str, pairs: dict[str, str]) -> str:
    for old, new in pairs.items():
        text = text.replace(old, new)
    return text


def _collapse(text: str) -> str:
    return " ".join(text.split())


def _basic(text: str) -> str:
    # Symbols go before NFKC turns them into letters (™ into tm), and after it has made new ones (½ into 1⁄2).
    text = _fold_compatible(_words_only(unicodedata.normalize("NFC", text)))
    # Lower, not casefold, which would turn ß into ss. Lowering may decompose a letter (İ), hence NFC again.
    text = unicodedata.normalize("NFC", text.lower())
    return _collapse(unicodedata.normalize("NFC", _words_only(text)))


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


def _fold_compatible(text: str) -> str:
    """Replace full-width letters, half-width kana, ligatures and the like by plain letters (NFKC)."""
    parts = _WHOLE_LETTERS.split(text)
    return "".join(
        part if _WHOLE_LETTERS.match(part) else unicodedata.normalize("NFKC", part).translate(_APOSTROPHES)
        for part in parts
    )


def _words_only(text: str) -> str:
    """Keep letters, digits, marks on a base, and apostrophes and joiners inside a word; a space replaces the rest."""
    text = text.translate(_APOSTROPHES)
    kept = [" "]
    for here, after in zip(text, text[1:] + " ", strict=False):
        kind = unicodedata.category(here)
        inside = kept[-1] != " " and unicodedata.category(after)[0] in "LN"
        if kind[0] in "LN":
            kept.append(here)
        elif is_mark(here):
            if kept[-1] != " " and not _is_variation_selector(here):
                kept.append(here)
        elif here in JOINERS:
            if inside or (kept[-1] != " " and is_mark(after) and not _is_variation_selector(after)):
                kept.append(here)
        elif (
            kind != "Cf" or here == ZERO_WIDTH_SPACE
        ):  # soft hyphens and direction marks vanish; they separate no words
            kept.append(here if here == APOSTROPHE and inside else " ")
    return "".join(kept)


def _is_variation_selector(character: str) -> bool:
    """Whether it selects a glyph (emoji or text, Han variants), which is not pronounced."""
    return "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef"


NORMALIZERS = {
    normalizer.name: normalizer
    for normalizer in (
        Normalizer("none", "Leaves the text as it is; only white space is collapsed.", _collapse),
        Normalizer(
            "basic",
            "Lower case, punctuation and symbols removed; accents, vowel signs and the apostrophe inside words stay. "
            "For any language.",
            _basic,
        ),
        Normalizer("english", "Basic, with accents removed and & and % written as words. Digits stay.", _english),
        Normalizer(
            "german",
            "Basic, with ä, ö, ü and ß kept, other accents removed, & and % written as words.",
            _european("äöüß", "prozent", "und"),
        ),
        Normalizer(
            "spanish",
            "Basic, with á, é, í, ó, ú, ü, ñ kept, other accents removed, & and % written as words.",
            _european("áéíóúüñ", "por ciento", "y"),
        ),
        Normalizer(
            "french",
            "Basic, with the accents of French kept, others removed, & and % written as words.",
            _european("àâæçéèêëîïôœùûüÿ", "pour cent", "et"),
        ),
        Normalizer("chinese", "Basic, without any space beside a Chinese character.", _chinese),
        Normalizer(
            "code-switched",
            "Basic, without the spaces between Chinese characters, as ASCEND is scored.",
            _code_switched,
        ),
        Normalizer("indic", "Basic; vowel signs stay, joiners go, Malayalam chillus are written in one way.", _indic),
    )
}
