"""Numbers in digits -> words, as they are pronounced.

A number that stands alone is read as one: cardinals, decimals, grouped digits, ordinals where the language marks
them with letters, and what a unit of measure follows (5kg, 10am). Digit by digit are read: digits that touch letters
of an alphabet (h323, H.323), leading zeros (007), more than seven digits without grouping, telephone numbers (+49 30
1234, 555-1234, 0800-12-34-56), and, in Chinese, years. In scripts without word spaces, and in Korean, a number touches
the words beside it, so there it is read as one.

num2words has the words, and for languages that it lacks the rules of Unicode's CLDR, as unicode-rbnf applies them.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Any

from asrkit.errors import ConfigError

MAX_DIGITS = 7  # digits of one number without grouping
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_INITIAL = re.compile(r"(?<!\w)[A-Z]\.$")  # H.323
_DATE = r"(?!\d{4}-\d\d?-\d\d?(?![\d-])|\d\d?-\d\d?-\d{2,4}(?![\d-]))"
_PHONE = re.compile(
    rf"(?<![\w.,-])(?:\+\d[\d ()-]{{5,}}\d|\d{{3}}-\d{{4}}|{_DATE}\d{{2,5}}(?:-\d{{2,5}}){{2,}})"
    r"(?![\w-])"
)
_UNIT = re.compile(r"(?:[kmcdµn]?[gmlsvwa]|[kmgt]?b|[kmg]?hz|kwh?|km/h|am|pm|h|x)(?!\w)", re.IGNORECASE)
_ORDINALS = {"en": "st|nd|rd|th", "fr": "er|ère|re|e|ème|eme", "es": "º|ª", "pt": "º|ª", "it": "º|ª"}
_DOT_IS_DECIMAL = frozenset("en en_IN en_NG ja ko th he te kn bn am zh zh_Hant yue hi ta ne my km lo ms fil sw".split())
_ALPHABETS = ("LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "GEORGIAN", "ARABIC", "HEBREW", "FULLWIDTH LATIN")
_CHINESE = frozenset("zh zh_Hant yue yue_Hans".split())


def check_language(language: str) -> None:
    """Raise ConfigError unless numbers can be spelled in `language`."""
    if language not in _languages():
        raise ConfigError(
            f"Numbers cannot be spelled out in {language!r}; choose one of {', '.join(_languages())}, or "
            "leave it empty."
        )


def spell_numbers(text: str, language: str) -> str:
    """Write the numbers in `text` as words, separated by spaces from what they touch.

    Raises ConfigError as `check_language` does.
    """
    check_language(language)
    if not any(letter.isdecimal() for letter in text):
        return text
    text = _PHONE.sub(lambda match: f" {_spell_digits(match[0], language)} ", text)
    parts, end = [], 0
    for match in _NUMBER.finditer(text):
        if match.start() >= end:
            words, next_end = _read(text, match, language)
            parts += [text[end : match.start()], f" {words} "]
            end = next_end
    return " ".join("".join([*parts, text[end:]]).split())


def _read(text: str, match: re.Match[str], language: str) -> tuple[str, int]:
    """-> (the words of a number in a text, where what follows begins)."""
    number, end = match[0], match.end()
    before, after = text[: match.start()][-1:], text[end : end + 1]
    marks = _ORDINALS.get(language.partition("_")[0])
    if marks and not _is_letter(before) and (mark := re.compile(rf"(?:{marks})(?!\w)", re.IGNORECASE).match(text, end)):
        return _number_words(int(re.sub(r"\D", "", number)), language, "ordinal"), mark.end()
    initial = _INITIAL.search(text[max(0, match.start() - 3) : match.start()])
    is_code = initial or _is_letter(before) or (_is_letter(after) and not _UNIT.match(text, end))
    if is_code or (language in _CHINESE and after == "年" and len(number) == 4):
        return _spell_digits(number, language), end
    return _words(number, language), end


def _is_letter(character: str) -> bool:
    return character.isalpha() and unicodedata.name(character, "").startswith(_ALPHABETS)


def _words(number: str, language: str) -> str:
    decimal = "." if language in _DOT_IS_DECIMAL else ","
    group = "," if decimal == "." else "."
    whole, mark, rest = number.partition(decimal)
    groups = whole.split(group)
    if (len(groups) > 1 and not _is_grouped(groups)) or decimal in rest or group in rest:
        return " ".join(_integer(part, language) for part in re.split("[.,]", number))  # a date, a version, a time
    read = str(int("".join(groups))) if len(groups) > 1 else groups[0]
    words = _number_words(int(read), language) if len(groups) > 1 else _integer(read, language)
    return f"{words} {_point(language)} {_spell_digits(rest, language)}" if mark else words


def _point(language: str) -> str:
    """Return the word for the decimal point: what stands between 0 and 5 in 0.5.

    Decimals are not left to num2words, which reads 3.50 as 3.5 and goes through a float for 0.05.
    """
    return (
        _number_words(0.5, language)
        .removeprefix(_number_words(0, language))
        .removesuffix(_number_words(5, language))
        .strip()
    )


def _is_grouped(groups: list[str]) -> bool:
    """Whether these are the parts of one number: 1,234,567 or, in India, 12,34,567, but not 24.12 or 12.30."""
    return len(groups[0]) <= 3 and len(groups[-1]) == 3 and all(len(part) in (2, 3) for part in groups[1:-1])


def _integer(digits: str, language: str) -> str:
    if len(digits) > MAX_DIGITS or (len(digits) > 1 and int(digits[0]) == 0):
        return _spell_digits(digits, language)
    return _number_words(int(digits), language)


def _spell_digits(digits: str, language: str) -> str:
    return " ".join(_number_words(int(digit), language) for digit in digits if digit.isdecimal())


@lru_cache(maxsize=4096)
def _number_words(number: float, language: str, to: str = "cardinal") -> str:
    from num2words import CONVERTER_CLASSES, num2words

    if language not in CONVERTER_CLASSES:
        words: str = _engine(language).format_number(str(number)).text
        return " ".join((words.replace("〇", "零") if language in _CHINESE else words).split())
    try:
        return " ".join(num2words(number, lang=language, to=to).split())
    except (NotImplementedError, OverflowError, KeyError, IndexError):  # not supported by num2words for that language
        return " ".join(num2words(int(digit), lang=language) for digit in str(int(number)))


@lru_cache(maxsize=8)
def _engine(language: str) -> Any:
    from unicode_rbnf import RbnfEngine

    return RbnfEngine.for_language(language)


@lru_cache(maxsize=1)
def _languages() -> tuple[str, ...]:
    from num2words import CONVERTER_CLASSES
    from unicode_rbnf import RbnfEngine

    return tuple(sorted({*CONVERTER_CLASSES, *RbnfEngine.get_supported_languages()}))
