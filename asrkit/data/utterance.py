"""Utterances: clips, or parts of them, with their transcripts and the marks of what was assumed to read them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, cast, get_args

UNREADABLE_S = -1.0
"""The duration of a clip whose header cannot be read; the audit reports and drops it."""


MarkCode = Literal[
    "bad-row",
    "missing-transcript",
    "file-by-name",
    "merged-lines",
    "stray-quote",
    "extra-fields",
    "missing-fields",
    "unused-times",
    "assumed-times",
    "unused-columns",
    "shared-recording",
    "dates-in-texts",
    "other-texts",
    "columns-not-used",
    "assumed-columns",
    "unmatched-transcripts",
    "assumed-tiers",
    "text-from-name",
    "unsure-text",
    "overlapping-speech",
    "empty-spans",
    "one-of-several",
]
"""The codes of the audit's findings that readers mark rows with."""


BAD_ROW: Final = "bad-row"
"""Marks a row that cannot be used: one bad row is one bad row, not a bad dataset."""
_FAULTS: Final = (BAD_ROW, "missing-transcript")


class Mark(NamedTuple):
    """What a reader saw in a row that the user must know: the code of a finding of the audit, and its detail."""

    code: MarkCode
    detail: str


@dataclass(frozen=True)
class Utterance:
    """A clip, or the part of a file from start_s to end_s, and its transcript as written.

    duration_s: of this utterance, so of the part. row: its origin, such as "metadata.csv row 7", for messages. marks:
    what was assumed to read it, or why it cannot be used; such a row is one bad row, not a bad dataset. dataset: the
    name of its dataset, where there are several.
    """

    audio: str
    text: str
    duration_s: float
    speaker: str | None = None
    split: str | None = None
    start_s: float = 0.0
    end_s: float | None = None
    row: str = ""
    marks: tuple[Mark, ...] = ()
    dataset: str | None = None

    @property
    def fault(self) -> str:
        """Why the row cannot be used; empty if it can."""
        return next((mark.detail for mark in self.marks if mark.code in _FAULTS), "")

    @property
    def id(self) -> str:
        """A short, stable name for lists: the file's stem, and a hash of the path and the part."""
        source = f"{self.audio} {self.start_s} {self.end_s}".encode("utf-8", "surrogatepass")  # any file name
        key = hashlib.sha1(source, usedforsecurity=False).hexdigest()[:8]
        return f"{Path(self.audio).stem}-{key}"


def parse_marks(value: Any) -> tuple[Mark, ...]:
    """Return the marks of a row of a manifest. Raises ValueError for anything that `write` does not write."""
    marks = [tuple(mark) for mark in value]
    for mark in marks:
        if len(mark) != 2 or mark[0] not in get_args(MarkCode) or not isinstance(mark[1], str):
            raise ValueError(f"{mark!r:.60} is no mark")
    return tuple(Mark(cast(MarkCode, code), detail) for code, detail in marks)
