"""Numbers in digits -> their value: groups and decimals as languages write them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from asrkit.text.number_styles import Style

MAX_DIGITS = 4
"""Digits of a number without grouping; longer ones may be codes, unless they end in 00."""

HARD_SPACES = "\u00a0\u202f\u2009\u2007"
"""Spaces at which no line breaks: between digits, they group them."""


@dataclass(frozen=True)
class Number:
    """A number in digits. end: where what follows begins. decimals: the digits behind the decimal sign, if any."""

    value: int
    end: int
    decimals: str = ""
    is_plain: bool = True  # neither grouped nor with decimals


def parse_number(text: str, start: int, style: Style, language: str = "") -> Number | None:
    """Parse the number in digits at `start`: groups and decimals as the language has them; None if that is unclear."""
    groups = _match_groups(text, start, style, language)
    if groups is False:
        return None
    match = groups or re.compile(r"\d+").match(text, start)
    assert match is not None  # the caller found a digit here
    digits, end = "".join(filter(str.isdecimal, match[0])), match.end()
    if len(digits) > 1 and int(digits[0]) == 0:
        return None
    if not groups and len(digits) > MAX_DIGITS and not digits.endswith("00"):
        return None
    if len(digits) > 9:
        return None
    decimals = re.compile(rf"[{re.escape(style.decimal)}\u066b](\d+)(?![.,]?\d)").match(text, end)
    if decimals:
        if not groups and len(decimals[1]) == 3 and int(digits) and (style.decimal == "," or int(decimals[1]) == 0):
            return None  # 1,000 may be a thousand
        return Number(int(digits), decimals.end(), decimals[1], False)
    return Number(int(digits), end, "", groups is None)


def _match_groups(text: str, start: int, style: Style, language: str) -> re.Match[str] | Literal[False] | None:
    """Match a grouped number; None if there is none, False if it is not clear whether it is one."""
    if match := grouping(f"[{HARD_SPACES}'\u2019\u066c]").match(text, start):
        return match
    if match := grouping(" ").match(text, start):
        has_zeros = match[0].endswith("000")
        is_list = match[0].index(" ") == 3 and not has_zeros
        is_clear = has_zeros or (style.groups_by_space and not is_list)
        return match if is_clear and not re.match(r" \d", text[match.end() : match.end() + 2]) else False
    sign = re.escape("," if style.decimal == "." else ".")
    if match := grouping(sign).match(text, start):
        return match
    if style.decimal == "." and (match := re.compile(r"\d{1,2}(?:,\d{2})+,\d{3}(?![\d,])").match(text, start)):
        return match if language in ("en_IN", "hi", "bn", "ne", "ta", "te", "kn") else False
    return None


@lru_cache(maxsize=16)
def grouping(sign: str) -> re.Pattern[str]:
    """Return the pattern of a number whose groups of three digits are separated by `sign`, a regular expression."""
    return re.compile(rf"\d{{1,3}}(?:{sign}\d{{3}})+(?!\d|[.,'\u2019]\d{{3}})")
