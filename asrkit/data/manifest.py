"""Utterances, and the manifests that list them: JSONL in UTF-8, one utterance a line."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, cast, get_args

from asrkit.errors import DataError
from asrkit.files import write_atomic

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
    what was assumed to read it, or why it cannot be used; such a row is one bad row, not a bad dataset.
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


def write(path: str | Path, utterances: Iterable[Utterance]) -> None:
    """Write a manifest atomically."""
    with write_atomic(Path(path)) as file:
        for utterance in utterances:
            line = json.dumps(_to_json(utterance), ensure_ascii=False) + "\n"
            # A lone surrogate, from a file name that is not UTF-8, is written as JSON's escape for it.
            file.write(line.encode("utf-8", "backslashreplace"))


def read(path: str | Path) -> list[Utterance]:
    """Read a manifest. Raises DataError, naming the line, for anything that `write` does not write."""
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path} does not exist; a manifest is made when a run is started.")
    with open(path, encoding="utf-8") as file:
        return [_parse_line(line, f"{path} line {number}") for number, line in enumerate(file, 1) if line.strip()]


def parse_marks(value: Any) -> tuple[Mark, ...]:
    """Return the marks of a row of a manifest. Raises ValueError for anything that `write` does not write."""
    marks = [tuple(mark) for mark in value]
    for mark in marks:
        if len(mark) != 2 or mark[0] not in get_args(MarkCode) or not isinstance(mark[1], str):
            raise ValueError(f"{mark!r:.60} is no mark")
    return tuple(Mark(cast(MarkCode, code), detail) for code, detail in marks)


def _to_json(utterance: Utterance) -> dict[str, Any]:
    row = vars(utterance)
    return row if row["marks"] else {name: value for name, value in row.items() if name != "marks"}


def _parse_line(line: str, where: str) -> Utterance:
    try:
        row = json.loads(line)
        known = {field.name: row[field.name] for field in fields(Utterance) if field.name in row}
        known["marks"] = parse_marks(known.get("marks", []))
        utterance = Utterance(**known)
        numbers = [utterance.duration_s, utterance.start_s, utterance.end_s or 0.0]
        if not (isinstance(utterance.audio, str) and isinstance(utterance.text, str)):
            raise TypeError("audio and text must be text")
        if not all(isinstance(number, int | float) for number in numbers):
            raise TypeError("duration_s, start_s and end_s must be numbers")
    except (ValueError, TypeError) as error:
        raise DataError(f"{where} is not an utterance ({error}); make the manifest again from its data.") from error
    return utterance
