"""Whole numbers -> words, and whether a reader would certainly say these words.

num2words has the words, and for languages that it lacks or does not write as natives do, the rules of Unicode's CLDR,
as unicode-rbnf applies them. Both were compared with what native speakers write: `_PROFILES` says from which number on
their words are not, and which numbers are inflected by gender or case, so that they have other forms in a sentence.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from asrkit.errors import ConfigError

MAX_VALUE = 10**9
CHINESE = frozenset("zh zh_Hant yue yue_Hans".split())
_CLDR = frozenset("tr da sv no ar".split())
"""Languages of both libraries that CLDR writes better."""

Inflection = Callable[[int], bool]
"""Whether a number has other forms, by gender, case or class, when a word follows."""


@dataclass(frozen=True)
class Words:
    """is_certain: whether this is how it is read wherever it stands."""

    text: str
    is_certain: bool


@dataclass(frozen=True)
class Profile:
    """What of a language's numbers can be trusted.

    is_inflected: for numbers before a word; is_always: and for numbers anywhere (cases, classes). assumed_from: the
    first number whose words are only probably right. unknown_from: the first one that the libraries write wrongly.
    """

    is_inflected: Inflection = lambda value: False
    is_always: bool = False
    assumed_from: int = MAX_VALUE
    unknown_from: int = MAX_VALUE


def _ends_in(*digits: int, teens: bool = False) -> Inflection:
    """Inflected where the last digit is one of these, except from 11 to 19 unless teens."""
    return lambda value: value % 10 in digits and (teens or not 10 < value % 100 < 20)


def _or_hundreds(inflected: Inflection) -> Inflection:
    """Or where hundreds from 200 on are part of it."""
    return lambda value: inflected(value) or value % 1000 >= 200 or value // 1000 % 1000 >= 200


def _is_one(value: int) -> bool:
    return value % 100 == 1


def _always(value: int) -> bool:
    return True


_CASES = Profile(_always, is_always=True)
_PROFILES: dict[str, Profile] = {
    **dict.fromkeys("en en_IN en_NG eo id ms fa hi ne ka th tr zh zh_Hant yue yue_Hans ja".split(), Profile()),
    "az": Profile(unknown_from=10_000),
    "fr": Profile(lambda value: value % 10 == 1 and value % 100 not in (11, 71, 91)),
    "fr_DZ": Profile(lambda value: value % 10 == 1 and value % 100 not in (11, 71, 91)),
    "fr_BE": Profile(_ends_in(1)),
    "fr_CH": Profile(_ends_in(1)),
    **dict.fromkeys("es es_CO es_CR es_GT es_NI es_VE".split(), Profile(_or_hundreds(_ends_in(1)))),
    "pt": Profile(_or_hundreds(_ends_in(1, 2))),
    "pt_PT": Profile(_or_hundreds(_ends_in(1, 2))),
    "pt_BR": Profile(_or_hundreds(_ends_in(1, 2))),
    "ca": Profile(_or_hundreds(_ends_in(1, 2))),
    "it": Profile(_ends_in(1), assumed_from=1_000_001),
    # From 20 on, a noun follows with "de".
    "ro": Profile(lambda value: value % 10 in (1, 2) or value % 100 >= 20 or value % 100 == 0),
    "de": Profile(_is_one),
    "de_CH": Profile(_is_one),
    "nl": Profile(_is_one),
    "af": Profile(assumed_from=100),
    "sv": Profile(_ends_in(1)),
    "da": Profile(_is_one, assumed_from=1_000),
    "no": Profile(_ends_in(1), assumed_from=1_000_000),
    "nn": Profile(_ends_in(1), assumed_from=1_000_000),
    "hu": Profile(_ends_in(2, teens=True)),
    "el": Profile(_or_hundreds(_ends_in(1, 3, 4)), assumed_from=1_000),
    "bg": Profile(_ends_in(1, 2), assumed_from=1_000),
    "vi": Profile(assumed_from=101),
    "ko": Profile(lambda value: value < 100),
    "km": Profile(assumed_from=0),
    "lo": Profile(unknown_from=100),
    "hy": Profile(unknown_from=100),
    "bn": Profile(assumed_from=100),
    "ta": Profile(unknown_from=20),
    "te": Profile(assumed_from=0, unknown_from=11),
    "kn": Profile(assumed_from=0, unknown_from=21),
    "am": Profile(assumed_from=0, unknown_from=1_000),
    "mk": Profile(_always, is_always=True, unknown_from=100),
    "bs": Profile(_always, is_always=True, unknown_from=1_000),
    "ga": Profile(unknown_from=0),
    "zu": Profile(unknown_from=0),
    "qu": Profile(assumed_from=0, unknown_from=1_000),
    "sw": Profile(lambda value: value % 10 in (1, 2, 3, 4, 5, 8), is_always=True, assumed_from=1_000),
    **dict.fromkeys("ru uk be pl cs sk sl hr sr sr_Latn lt lv et fi ar he is fo se".split(), _CASES),
}
_UNCHECKED = Profile(assumed_from=0)

# What the libraries write otherwise than natives do.
_CORRECTIONS: dict[str, tuple[tuple[str, str], ...]] = {
    "en": ((",", ""),),
    "pt_BR": ((",", ""),),
    "es": ((r"uno (?=mil)", "ún "), (r"y ún (?=mil)", "y un "), (r"ciento ún ", "ciento un ")),
    "nl": ((r"duizend(?=\w)", "duizend "), ("éé", "ee")),
    "el": (("εννενήντα", "ενενήντα"), ("χίλιάδες", "χιλιάδες")),
    "no": (("é", "e"),),
    "nn": (("é", "e"),),
    "sw": ((r", (?!.*, )(?!.* na )", " na "), (", ", " ")),
    "fr_BE": ((r"cents (?=[a-z])", "cent "), (r"^un millions", "un million"), (r"quatre-vingt$", "quatre-vingts")),
    "fr_CH": ((r"cents (?=[a-z])", "cent "), (r"^un millions", "un million")),
    "lt": ((r"^vienas (?=(?:šimtas|tūkstantis))", ""),),
    "ru": ((r"^одна (?=тысяча)", ""),),
    "uk": ((r"^одна (?=тисяча)", ""),),
    "be": ((r"^адна (?=тысяча)", ""),),
    "sr": ((r"^jedna (?=hiljada)", ""),),
    "zh": (("〇", "零"),),
    "sv": ((r"^etttusen", "ettusen"),),
}


def find_language(language: str) -> str:
    """Return the code by which numbers are spelled in a language given as fr, fr-CA or FR_ca; empty if they are not."""
    code = language.strip().lower().replace("-", "_")
    known = {name.lower(): name for name in languages()}
    return known.get(code) or known.get(code.partition("_")[0]) or ""


def check_language(language: str) -> None:
    """Raise ConfigError unless numbers can be spelled in `language`."""
    if language not in languages():
        raise ConfigError(
            f"Numbers cannot be spelled out in {language!r}; choose one of {', '.join(languages())}, or leave it empty."
        )


@lru_cache(maxsize=4096)
def cardinal(value: int, language: str, *, is_before_word: bool = False, is_counted: bool = False) -> Words | None:
    """Return the words of a whole number from 0 on, None where they are not known.

    is_before_word: whether a word follows that it may count. is_counted: whether it stands among numbers alone, as in a
    list or a count, where no case applies.
    """
    profile = _PROFILES.get(language, _UNCHECKED)
    if value >= min(profile.unknown_from, MAX_VALUE):
        return None
    text = _correct(_look_up(value, language), language)
    inflects = (profile.is_always and not is_counted) or is_before_word
    is_certain = value < profile.assumed_from and not (inflects and profile.is_inflected(value))
    if language in CHINESE and (value == 2 and is_before_word or re.search("二(?!$|十)", text)):
        is_certain = False  # 两 is said, or 二
    if language == "nl" and value > 1_000 and value % 1_000 >= 100:
        is_certain = False  # twee duizend vijfhonderd is said, or vijfentwintighonderd
    if language == "vi" and "lẻ" in text:
        is_certain = False  # lẻ is said in the south, linh in the north
    return Words(text, is_certain)


def ordinal(value: int, language: str) -> str | None:
    """Return the masculine ordinal, None where it is not known."""
    primary = language.partition("_")[0]
    if primary not in ("en", "fr", "es", "pt", "it", "nl", "sv") or not 0 < value < 1_000_000:
        return None
    if primary in ("es", "pt", "it") and value > (10 if primary == "es" else 29):
        return None
    from num2words import num2words

    return _clean(num2words(value, lang=primary if primary != "pt" else language, to="ordinal"))


@lru_cache(maxsize=1)
def languages() -> tuple[str, ...]:
    """Return the codes of all languages that numbers can be spelled in, sorted."""
    from num2words import CONVERTER_CLASSES
    from unicode_rbnf import RbnfEngine

    return tuple(sorted({*CONVERTER_CLASSES, *RbnfEngine.get_supported_languages()}))


def _look_up(value: int, language: str) -> str:
    from num2words import CONVERTER_CLASSES, num2words

    if language in CONVERTER_CLASSES and language not in _CLDR:
        return str(num2words(value, lang=language))
    words: str = _engine(language).format_number(str(value)).text
    return words


def _correct(words: str, language: str) -> str:
    primary = language.partition("_")[0] if language.startswith(("es_", "en_")) else language
    primary = "zh" if language in CHINESE else primary
    words = _clean(words)
    for pattern, replacement in _CORRECTIONS.get(primary, ()):
        words = re.sub(pattern, replacement, words)
    return words


def _clean(words: str) -> str:
    """Remove the soft hyphens of CLDR and superfluous spaces."""
    return " ".join(words.replace("\u00ad", "").split())


@lru_cache(maxsize=8)
def _engine(language: str) -> Any:
    from unicode_rbnf import RbnfEngine

    return RbnfEngine.for_language(language)
