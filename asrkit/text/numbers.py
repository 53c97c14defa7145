"""Numbers in digits -> words, as a reader of the language would say them, or not at all.

Read are cardinals, grouped in any way that the language has (25 000, 25.000, 25'000, 1,00,000), decimals, signs,
percent, and, per language, ordinals, clock times, decades, years and amounts of money (`number_styles`). What readers
may say in several ways is left as it is written: dates, telephone numbers, codes, scores and ranges, fractions,
numbers with leading zeros. It is never written as another number. A number whose words depend on gender or case, such
as 1 in French or any in Russian, is written in its basic form and reported as assumed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from asrkit.text import number_phrases
from asrkit.text.number_parsing import HARD_SPACES, Number, grouping, parse_number
from asrkit.text.number_styles import find_style
from asrkit.text.number_words import CHINESE, Words, cardinal, check_language
from asrkit.text.scripts import is_mark, is_unspaced

__all__ = ["Part", "check_language", "read_numbers", "spell_numbers", "split_unwritable"]

Status = Literal["text", "read", "assumed", "unread"]

SPECIAL_DIGITS = (
    "\u00b2\u00b3\u00b9\u00bc-\u00be\u2070\u2074-\u2079\u2080-\u2089\u2150-\u215f\u2189"
    "\u2460-\u249b\u24ea-\u24ff\u2776-\u2793"
)
"""Fractions, powers, indices and numbers in circles, as the inside of a regular expression's brackets."""

_UNWRITABLE = re.compile(r"\d*[ \u00a0]?[\u00bc-\u00be\u2150-\u215f\u2189]|\d+[\u00b2\u00b3\u00b9\u2070\u2074-\u2079]+")
_START = re.compile(rf"\d|[{SPECIAL_DIGITS}]")
_FOLDED = re.compile("[\uff05\uff0b\uff0d-\uff1a\uffe5]|(?<=[0-9])[\u02b0-\u02b8\u1d2c-\u1d6a\u2071\u207f]+")
"""Full-width digits and signs beside them; superscript letters of 2ⁿᵈ."""
_CHUNK_SIGNS = frozenset(
    ".,:/'\u2019-\u2013\u2014\u2212\u00b7%\u2030\u00b0#@_+&*=\\\u2032\u2033\u00d7\u00ba\u00aa\u00b1\u2116\u2044\u2215^~"
)
_PHONE = re.compile(r"[+(]\d[\d ()./\u00a0-]*\d(?:[\d/-])*|0\d[\d/.-]*(?:[ \u00a0/.-]\d+)+")
_LIST = re.compile(r"\d+(?:[ \u00a0]\d+){2,}(?![\w.,]*\d)")
_MONEY = "$€£¥₹₩₽₺₫฿₴₪₦"
_SIGN = rf"R\$|[^\W\d_]{{0,2}}[{_MONEY}]|№|[nN][°º]|%"
_PREFIX = re.compile(rf"(?P<minus>[-\u2212\u2013])?(?P<sign>{_SIGN})?[ \u00a0\u202f]?(?=\d)")
_SIGN_APART = re.compile(rf"(?<![\w.])(?:{_SIGN})[ \u00a0\u202f]$")
_COMPOUND = re.compile(r"(?:[^\W\d_]+-)*(?:[^\W\d_]{3,}|[A-Z]+)-(\d{1,2})(?![\w-])")
_GLUED = re.compile(r"(?:[^\W\d_]+[\d\u2080-\u2089])+[^\W\d_]*|\d[A-Zk]")


_BELONGS = re.compile(rf"\s*[%\u2030\u00b0{SPECIAL_DIGITS}{_MONEY}]|\s*[-\u2013\u2212\u00d7x:/+=]\s*\d")
"""What makes something else of a number before it, also behind a space."""


@dataclass(frozen=True)
class Part:
    """A part of a text. status: other text, a number that was read or whose form was assumed, or one left unread."""

    text: str
    status: Status


@dataclass(frozen=True)
class _Reading:
    """words: None if the text from start to end is left unread."""

    start: int
    end: int
    words: Words | None


def read_numbers(text: str, language: str) -> list[Part]:
    """Split a text into its numbers, as words or unread as they are written, and the text between them.

    Raises ConfigError as `check_language` does.
    """
    check_language(language)
    text = _FOLDED.sub(lambda match: unicodedata.normalize("NFKC", match[0]), text).replace("\u066a", "%")
    if not _START.search(text):
        return [Part(text, "text")]
    return list(_read_parts(text, language))


def spell_numbers(text: str, language: str) -> str:
    """Write the numbers in `text` as words, set apart by spaces; what cannot be read with certainty stays as it is."""
    parts = read_numbers(text, language)
    return " ".join("".join(part.text if part.status == "text" else f" {part.text} " for part in parts).split())


def split_unwritable(text: str) -> list[Part]:
    """Split a text that keeps its digits: unread is what no digits stand for, fractions of one character and powers."""
    parts, end = [], 0
    for match in () if text.isascii() else _UNWRITABLE.finditer(text):
        parts += [Part(text[end : match.start()], "text"), Part(match[0], "unread")]
        end = match.end()
    return [*parts, Part(text[end:], "text")]


def _read_parts(text: str, language: str) -> Iterator[Part]:
    reader = _Reader(text, language)
    end = 0
    for match in _START.finditer(text):
        if match.start() < end:
            continue
        reading = reader.read(match.start(), end)
        yield Part(text[end : reading.start], "text")
        if reading.words is None:
            yield Part(text[reading.start : reading.end], "unread")
        else:
            yield Part(reading.words.text, "read" if reading.words.is_certain else "assumed")
        end = reading.end
    yield Part(text[end:], "text")


class _Reader:
    """Reads the numbers of one text."""

    def __init__(self, text: str, language: str) -> None:
        self.text, self.language, self.style = text, language, find_style(language)
        self.is_counted = not any(map(str.isalpha, text))
        self.is_cyrillic = bool(re.search("[\u0400-\u04ff]", text)) and not re.search("[a-zA-Z]", text)

    def read(self, start: int, low: int) -> _Reading:
        """Read the number whose first digit is at `start`; what precedes `low` is read already."""
        left, right = self._find_chunk(start, low)
        unread = _Reading(left, max(right, start + 1), None)
        text = self.text
        if re.search(r"(?<![\w.,])[.,]$", text[max(low, start - 2) : start]):
            return _Reading(start - 1, max(right, start + 1), None)  # .5
        if phone := self._find_phone(left, start):
            return _Reading(left, max(right, phone), None)
        prefix = _PREFIX.match(text, left)
        if not text[start].isdecimal() or prefix is None or prefix.end() != start:
            return self._read_glued(start, left, right) or unread
        number = parse_number(text, start, self.style, self.language)
        if number is None:
            return _Reading(left, max(right, self._end_of_groups(start)), None)
        if _GLUED.fullmatch(text, start, right) and number.end == start + 1:
            found = number_phrases.read_suffix(text, number, self.style, self.language, "", start)
            return _Reading(left, found[1], found[0]) if found else self._read_glued(start, left, right) or unread
        reading = self._read_phrase(number, prefix, start)
        if reading is None or (self.is_cyrillic and re.search("[a-z]", reading.words.text if reading.words else "")):
            return _Reading(left, max(right, number.end), None)
        return reading

    def _read_phrase(self, number: Number, prefix: re.Match[str], start: int) -> _Reading | None:
        """Read a number with what belongs to it before and behind."""
        text, style, sign = self.text, self.style, prefix["sign"] or ""
        if found := number_phrases.read_suffix(text, number, style, self.language, sign, start):
            words, end = found
        elif _is_open(text, number.end) and (plain := self._read_plain(number, start)):
            words, end = plain, number.end
            if sign:
                before = style.number_sign if sign[0] in "№nN" else ""
                if sign == "%":
                    before = style.percent if style.is_percent_first else ""
                if not before or sign[-1] in _MONEY:
                    return None
                words = Words(f"{before} {words.text}", words.is_certain)
        else:
            return None
        if prefix["minus"]:
            before = text[: prefix.start()].rstrip()
            is_bullet = not before and prefix["minus"] != "\u2212"
            if not style.minus or is_bullet or before[-1:].isdecimal():
                return None
            words = Words(f"{style.minus} {words.text}", words.is_certain)
        return _Reading(prefix.start(), end, words)

    def _read_plain(self, number: Number, start: int) -> Words | None:
        """Read a number beside nothing but words."""
        text, style = self.text, self.style
        is_before_word = bool(re.match(r"\s*[^\W\d_]", text[number.end :]))
        if number.decimals:
            return number_phrases.read_decimals(number, style, self.language)
        if self.language in CHINESE and text[number.end : number.end + 1] == "年" and 1000 <= number.value <= 9999:
            digits = [cardinal(int(digit), self.language) for digit in str(number.value)]
            return Words(" ".join(word.text for word in digits if word), True)
        if self.language == "ko" and is_before_word:
            return number_phrases.read_korean(number.value, text[number.end :])
        if self._may_be_ordinal(number, start):
            return None
        if style.years == "ordinal" and number.is_plain and 1000 <= number.value <= 2099 and not self.is_counted:
            return None
        if style.years != "cardinal" and number.is_plain and number.end - start == 4:
            if year := number_phrases.read_year(text, start, number, style, self.language):
                return year
            if (
                1100 <= number.value <= 1999
                and number.value % 1000
                or (style.years == "pairs" and 2010 <= number.value <= 2099)
            ):
                return None
        return cardinal(number.value, self.language, is_before_word=is_before_word, is_counted=self.is_counted)

    def _may_be_ordinal(self, number: Number, start: int) -> bool:
        """Whether the number has a dot that makes it an ordinal, or is a day of a month."""
        text, after = self.text, self.text[number.end :]
        if self.style.has_dot_ordinals and re.match(r"\.\s+\w", after):
            return True
        is_day = number.is_plain and 0 < number.value <= (1 if self.style.days == "first" else 31)
        if not (self.style.days and is_day):
            return False
        months = self.style.months
        if not months:
            return self.style.days == "any" and bool(re.match(r"\.\s*\w", after))
        next_to = rf"\s*(?:de |of )?(?:{months})\.?(?!\w)"
        before = rf"(?<!\w)(?:{months})\.?\s*(?:the )?$"
        return bool(
            re.match(next_to, after, re.IGNORECASE)
            or re.search(before, text[max(0, start - 20) : start], re.IGNORECASE)
        )

    def _read_glued(self, start: int, left: int, right: int) -> _Reading | None:
        """Read a digit among letters (b2b, H₂O, covid-19); None for codes such as h323."""
        text = self.text
        if (compound := _COMPOUND.fullmatch(text, left, right)) and text[start - 1] == "-":
            words = cardinal(int(compound[1]), self.language) if compound[1][0] != "0" else None
            return _Reading(start - 1, right, words and Words(words.text, words.is_certain))
        core = text[left:right]
        if not _GLUED.fullmatch(core) or re.search(r"\dx|x\d", core, re.IGNORECASE):
            return None
        if core[0].isdecimal() and self.language.partition("_")[0] != "en":
            return None  # 3A may be an ordinal
        digit = unicodedata.digit(text[start], None)
        words = cardinal(digit, self.language, is_counted=True) if digit is not None else None
        return _Reading(start, start + 1, words) if words else None

    def _find_chunk(self, start: int, low: int) -> tuple[int, int]:
        """Return where the characters that touch the digit begin and end, without punctuation at its edges."""
        text = self.text
        left = right = start
        while left > low and _is_chunk(text[left - 1]):
            left -= 1
        while right < len(text) and _is_chunk(text[right]):
            right += 1
        while left < start and text[left] in ".,:'\u2019\u2014*_=&":
            left += 1
        if apart := _SIGN_APART.search(text, max(low, left - 5), left):
            left = apart.start()
        while right > start + 1 and text[right - 1] in ".,:'\u2019-\u2013\u2014*_":
            right -= 1
        return left, right

    def _find_phone(self, left: int, start: int) -> int | None:
        """Return the end of a telephone number, or of a list of numbers that may be one."""
        text = self.text
        first = left - 1 if text[max(0, left - 1) : left] == "(" and ")" in text[left : left + 8] else left
        phone = _PHONE.match(text, first)
        if phone and sum(map(str.isdecimal, phone[0])) >= (6 if phone[0][0] in "+(" else 5):
            return phone.end()
        numbers = _LIST.match(text, start)
        if numbers and start == left and not grouping(f"[{HARD_SPACES}]").match(text, start):
            groups = re.split("[ \u00a0]", numbers[0])
            is_grouped = len(groups[0]) <= 3 and all(len(group) == 3 for group in groups[1:])
            if not is_grouped and max(map(len, groups)) > 1:
                return numbers.end()
        return None

    def _end_of_groups(self, start: int) -> int:
        match = re.match(rf"\d+(?:[ {HARD_SPACES}.,'\u2019]\d+)*", self.text[start:])
        return start + (match.end() if match else 1)


def _is_chunk(character: str) -> bool:
    if character.isalnum() or is_mark(character):
        return character.isnumeric() or not _is_boundary_letter(character)
    return character in _CHUNK_SIGNS or unicodedata.category(character) == "Sc"


def _is_boundary_letter(character: str) -> bool:
    """Whether it is of a script where numbers touch the words beside them."""
    return is_unspaced(character) or "\uac00" <= character <= "\ud7af"


def _is_open(text: str, end: int) -> bool:
    """Whether a number may end at `end`: what follows neither belongs to it nor changes how it is read."""
    after, then = text[end : end + 1], text[end + 1 : end + 2]
    if not after or after.isspace():
        return not _BELONGS.match(text, end)
    if after.isalnum() or is_mark(after):
        return _is_boundary_letter(after)
    if (
        after in "%\u2030\u00b0#@_+&*=\\\u2032\u2033\u00d7\u00ba\u00aa\u00b1/\u2044\u2215^~"
        or unicodedata.category(after) == "Sc"
    ):
        return False
    if after in "-\u2013\u2014\u2212'\u2019:.,\u00b7":
        return not (then.isalnum() and not _is_boundary_letter(then)) or (after == "\u2014" and not then.isdecimal())
    return True
