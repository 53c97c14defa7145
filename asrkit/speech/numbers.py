"""Numbers in digits -> words, as they are read out: cardinals, decimals, English ordinals. num2words has the languages.
"""

from __future__ import annotations

import re
from functools import lru_cache

from asrkit.errors import ConfigError

LONGEST = 15  # digits; longer ones (phone numbers, cards) are read digit by digit
_NUMBER = re.compile(r"(?<!\w)\d+(?:[.,]\d+)*(?:(?<=\d)(?:st|nd|rd|th)\b)?")
_GLUED = re.compile(r"\d+")
_DOT_IS_DECIMAL = frozenset("en en_IN en_NG ja ko th he te kn bn am".split())


def check(language: str) -> None:
    """Raise ConfigError unless numbers can be spelled in `language`."""
    if language not in _languages():
        raise ConfigError(f"Numbers cannot be spelled out in {language!r}; choose one of {', '.join(_languages())}, or "
                          "leave it empty.")


def spell(text: str, language: str) -> str:
    """`text` with its numbers as words, parted by spaces from what they are glued to. Raises ConfigError as `check`."""
    check(language)
    if not any(letter.isdecimal() for letter in text):
        return text
    text = _NUMBER.sub(lambda found: f" {_words(found[0], language)} ", text)
    return " ".join(_GLUED.sub(lambda found: f" {_integer(found[0], language)} ", text).split())


def _words(number: str, language: str) -> str:
    if number[-1].isalpha():
        return _say(int(re.sub(r"\D", "", number)), language, "ordinal")
    decimal = "." if language in _DOT_IS_DECIMAL else ","
    group = "," if decimal == "." else "."
    whole, mark, rest = number.partition(decimal)
    groups = whole.split(group)
    if (len(groups) > 1 and not _is_grouped(groups)) or decimal in rest or group in rest:
        return " ".join(_integer(part, language) for part in re.split("[.,]", number))  # a date, a version, a time
    joined = "".join(groups)
    if not mark:
        return _integer(joined, language)
    # Not by num2words, which reads 3.50 as 3.5 and 0.05 through a float.
    point = _say(0.5, language).split()[1:-1]
    return " ".join([_integer(joined, language), *point, *(_say(int(digit), language) for digit in rest)])


def _is_grouped(groups: list[str]) -> bool:
    """Whether these are the parts of one number: 1,234,567 or, in India, 12,34,567, but not 24.12 or 12.30."""
    return len(groups[0]) <= 3 and len(groups[-1]) == 3 and all(len(part) in (2, 3) for part in groups[1:-1])


def _integer(digits: str, language: str) -> str:
    if len(digits) > LONGEST or (len(digits) > 1 and int(digits[0]) == 0):
        return " ".join(_say(int(digit), language) for digit in digits)
    return _say(int(digits), language)


@lru_cache(maxsize=4096)
def _say(number: float, language: str, to: str = "cardinal") -> str:
    from num2words import num2words

    try:
        return " ".join(num2words(number, lang=language, to=to).split())
    except (NotImplementedError, OverflowError, KeyError, IndexError):  # beyond what it knows of that language
        return " ".join(num2words(int(digit), lang=language) for digit in str(int(number)))


@lru_cache(maxsize=1)
def _languages() -> tuple[str, ...]:
    from num2words import CONVERTER_CLASSES

    return tuple(sorted(CONVERTER_CLASSES))
