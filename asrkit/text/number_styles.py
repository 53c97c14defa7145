"""How languages write numbers in digits, and what their readers say for the signs beside them: `number_styles.csv`.

Only what every reader says in the same way is in the table; anything else is not read. Spanish lacks $, for instance,
which stands for pesos too, and languages with many cases lack most words, because numbers are inflected after them.

A row is for one or several languages. A question such as `has_dot_ordinals` is answered by "yes" or an empty cell;
pairs in a cell are separated by semicolons, singular and plural by a slash.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path


@dataclass(frozen=True)
class Style:
    """The conventions of one language.

    decimal: the decimal sign. groups_by_space: whether a plain space groups digits. point: the word for the decimal
    sign, empty where decimals are not read alike; digits_of_decimals: "each" digit by itself, "number" for up to two
    digits as a number, "one" where only a single digit is certain. years: "pairs" (nineteen eighty-four), "unread"
    where 1100 to 1999 may be read so, "ordinal" where years are inflected ordinals, "cardinal". has_dot_ordinals:
    whether 3. is an ordinal. days: what a number beside a month may be: "any" ordinal, "first" for 1 only, "" for a
    cardinal. months: their names as one regular expression, empty if they are not known.

    minus, percent, number_sign, degrees (one, several): words, empty where they are not known or inflected. currencies:
    sign -> (one, several). one: the number 1 before a currency. powers: exponent sign -> words. fractions: sign ->
    words after a whole number.
    """

    decimal: str = ","
    groups_by_space: bool = False
    point: str = ""
    digits_of_decimals: str = "one"
    years: str = "cardinal"
    has_dot_ordinals: bool = False
    days: str = ""
    minus: str = ""
    percent: str = ""
    is_percent_first: bool = False
    number_sign: str = ""
    degrees: tuple[str, str] = ("", "")
    currencies: dict[str, tuple[str, str]] = field(default_factory=dict)
    one: str = ""
    powers: dict[str, str] = field(default_factory=dict)
    fractions: dict[str, str] = field(default_factory=dict)
    months: str = ""


_MIXED = frozenset("de_CH fr_CH".split())
"""Their decimal sign is a point or a comma, so decimals are not read."""


def _read_table(path: Path) -> dict[str, Style]:
    """Read the table: language -> style."""
    styles = {}
    with open(path, encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            style = Style(
                decimal=row["decimal"],
                groups_by_space=row["groups_by_space"] == "yes",
                point=row["point"],
                digits_of_decimals=row["digits_of_decimals"],
                years=row["years"],
                has_dot_ordinals=row["has_dot_ordinals"] == "yes",
                days=row["days"],
                minus=row["minus"],
                percent=row["percent"],
                is_percent_first=row["is_percent_first"] == "yes",
                number_sign=row["number_sign"],
                degrees=_split_forms(row["degrees"]),
                currencies={sign: _split_forms(words) for sign, words in _split_pairs(row["currencies"]).items()},
                one=row["one"],
                powers=_split_pairs(row["powers"]),
                fractions=_split_pairs(row["fractions"]),
                months="|".join(row["months"].split()),
            )
            styles.update(dict.fromkeys(row["languages"].split(), style))
    return styles


def _split_pairs(cell: str) -> dict[str, str]:
    """`²=squared; ³=cubed` -> sign -> words."""
    pairs = [pair.partition("=") for pair in cell.split("; ") if pair]
    return {sign: words for sign, _, words in pairs}


def _split_forms(cell: str) -> tuple[str, str]:
    """`degree/degrees` -> (one, several)."""
    one, _, several = cell.partition("/")
    return one, several


_STYLES = _read_table(Path(__file__).with_suffix(".csv"))


@lru_cache(maxsize=64)
def find_style(language: str) -> Style:
    """Return the style of a language, of its main variety, or one that reads nothing but whole numbers."""
    style = _STYLES.get(language) or _STYLES.get(language.partition("_")[0]) or Style()
    return replace(style, point="") if language in _MIXED else style
