"""The check of what text rules make of marks, numbers and letters: what would be learned otherwise than it is said."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass

from asrkit.audit.findings import Finding, make_finding
from asrkit.languages import guess_dotless_i
from asrkit.text.normalisers import find_problems, has_case, normalise
from asrkit.units import format_list

MAX_LISTED = 6
_MISSING_VALUES = frozenset("nan NULL NaN None null NaT <NA> N/A undefined n/a NAN #N/A".split())
MIN_REPEATED = 3
"""Clips with the same words in parentheses, from which on they are taken for marks."""
_PARENTHESES = re.compile(r"(?<!\S)\([^\W\d_]+(?: [^\W\d_]+){0,2}\)(?!\w)")


@dataclass(frozen=True, slots=True)
class ClipText:
    """The text of a usable clip: its index, the text as written and normalised, and the duration."""

    index: int
    raw: str
    text: str
    duration_s: float


FormatExample = Callable[[int, str], str]
"""(index of a clip, detail) -> the text of an example"""


def check_writing(transcripts: Sequence[ClipText], format_example: FormatExample, rules: str) -> Iterator[Finding]:
    """Find marks that would become words, numbers whose form was assumed, and İ and ı in the wrong lower case."""
    marks: dict[int, tuple[str, ...]] = {}
    forms: dict[int, tuple[str, ...]] = {}
    for row in transcripts:
        problems = find_problems(row.raw, rules)
        if problems.markup:
            marks[row.index] = problems.markup
        if problems.assumed:
            forms[row.index] = problems.assumed
    if marks:
        yield _make_finding("markup", marks, format_example, settings={"markup": "remove"})
    if forms:
        yield _make_finding("number-forms", forms, format_example)
    yield from _check_parentheses(transcripts, format_example, marks)
    yield from _check_dotless_i(transcripts, format_example, rules)
    yield from _check_values(transcripts, format_example)


def _check_parentheses(
    transcripts: Sequence[ClipText], format_example: FormatExample, marks: Container[int]
) -> Iterator[Finding]:
    """Find the same few words in parentheses in several clips: they may describe a sound in words of their own."""
    found = {row.index: _find_kept_parentheses(row) for row in transcripts if "(" in row.raw}
    counts = Counter(each for in_clip in found.values() for each in set(in_clip))
    repeated = {
        index: kept
        for index, in_clip in found.items()
        if index not in marks and (kept := tuple(each for each in in_clip if counts[each] >= MIN_REPEATED))
    }
    if repeated:
        yield _make_finding("parentheses", repeated, format_example)


def _find_kept_parentheses(row: ClipText) -> tuple[str, ...]:
    """Return what stands in parentheses and is still in the normalised text."""
    found = [(each, normalise(each, "basic")) for each in _PARENTHESES.findall(row.raw)]
    return tuple(each.lower() for each, words in found if words in normalise(row.text, "basic"))


def _make_finding(
    code: str, found: dict[int, tuple[str, ...]], format_example: FormatExample, settings: dict[str, str] | None = None
) -> Finding:
    counts = Counter(each for found_in_clip in found.values() for each in found_in_clip)
    listed = [f"{each} ({count} times)" if count > 1 else each for each, count in counts.most_common()]
    return make_finding(
        code,
        list(found),
        [format_example(index, " ".join(each)) for index, each in list(found.items())[:9]],
        settings=settings,
        detail=format_list(listed, MAX_LISTED),
    )


def _check_values(transcripts: Sequence[ClipText], format_example: FormatExample) -> Iterator[Finding]:
    """Find what programs write for a missing value, and UTF-8 that was read in another encoding and saved again."""
    missing = [row for row in transcripts if row.raw.strip() in _MISSING_VALUES]
    garbled = [row for row in transcripts if _is_garbled(row.raw)]
    for code, rows in (("missing-values", missing), ("garbled-texts", garbled)):
        if rows:
            yield make_finding(
                code, [row.index for row in rows], [format_example(row.index, row.raw) for row in rows[:9]]
            )


def _is_garbled(text: str) -> bool:
    """Whether a text is the bytes of UTF-8 read as Latin-1 or Windows-1252: other text is hardly ever valid UTF-8."""
    for encoding in () if text.isascii() else ("latin-1", "cp1252"):
        try:
            text.encode(encoding).decode("utf-8")
            return True
        except UnicodeError:
            continue
    return False


def _check_dotless_i(transcripts: Sequence[ClipText], format_example: FormatExample, rules: str) -> Iterator[Finding]:
    language = "" if has_case(rules) else guess_dotless_i(row.raw for row in transcripts)
    concerned = [row for row in transcripts if {"İ", "I"} & set(unicodedata.normalize("NFC", row.raw))]
    if language and concerned:
        yield make_finding(
            "dotless-i",
            [row.index for row in concerned],
            [format_example(row.index, row.raw) for row in concerned[:9]],
            settings={"language": language},
        )
