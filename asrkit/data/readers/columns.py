"""The columns of a table: which field of an utterance each is for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from asrkit.data.manifest import Mark
from asrkit.data.readers import times
from asrkit.errors import DataError

AUDIO_COLUMNS = (
    "file_name",
    "path",
    "audio",
    "file",
    "audio_filepath",
    "wav",
    "wav_path",
    "audio_path",
    "filename",
    "audio_id",
    "utt_id",
    "id",
)
TEXT_COLUMNS = ("text", "sentence", "transcription", "transcript", "normalized_text", "raw_text")
SPEAKER_COLUMNS = ("speaker", "speaker_id", "client_id", "spk_id")
MAX_LISTED = 8  # columns in a message
NO_COLUMN = "-"
"""Chosen for the speaker column if the column recognised by name contains something else."""


@dataclass(frozen=True)
class Columns:
    """The columns of a table that the fields of an utterance are read from; None for a missing column.

    parts: those of the part of the recording, by kind. other_texts: columns that are named like texts too, where
    nobody has chosen between them.
    """

    audio: str
    text: str
    speaker: str | None = None
    split: str | None = None
    duration_s: str | None = None
    parts: Mapping[times.Kind, times.TimeColumn] = field(default_factory=dict)
    other_texts: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """The names of the columns that exist."""
        named = [self.audio, self.text, self.speaker, self.split, self.duration_s]
        return [name for name in (*named, *(column.name for column in self.parts.values())) if name]


@dataclass(frozen=True)
class ColumnChoice:
    """Columns, and the sheet of a spreadsheet, chosen by the user.

    A column that is None is recognised by its name. speaker: `NO_COLUMN` if the table has none. sheet: the first one by
    default.
    """

    text: str | None = None
    audio: str | None = None
    speaker: str | None = None
    sheet: str = ""


NO_CHOICE = ColumnChoice()


def choose_columns(
    column_names: Iterable[str],
    where: str,
    choice: ColumnChoice = NO_CHOICE,
    values: Callable[[str], Iterable[Any]] = lambda name: (),
) -> Columns:
    """Choose the columns to read the fields of an utterance from. values: those of a column, which may be times.

    Raises DataError, listing the columns found and those wanted, for a missing one.
    """
    by_name = {name.strip().lower(): name for name in column_names}

    def find(*names: str) -> str | None:
        return next((by_name[name] for name in names if name in by_name), None)

    def require(kind: str, chosen: str | None, usual: tuple[str, ...]) -> str:
        names = (chosen.strip().lower(),) if chosen else usual
        column = find(*names)
        if column is None:
            raise DataError(
                f"{where} has no {kind} column: found {', '.join(map(repr, by_name.values())) or 'none'}; wanted "
                f"{repr(chosen) if chosen else 'one of ' + ', '.join(usual)}. Rename it, or set {kind}_column."
            )
        return column

    if choice.speaker == NO_COLUMN:
        speaker = None
    else:
        speaker = require("speaker", choice.speaker, ()) if choice.speaker else find(*SPEAKER_COLUMNS)
    audio, text = require("audio", choice.audio, AUDIO_COLUMNS), require("text", choice.text, TEXT_COLUMNS)
    split, duration_s = find("split"), find("duration_s")
    # In a manifest of ours, an empty end_s is that of the recording, and duration_s is no further bound.
    used = {audio, text, speaker, split, *([duration_s] if "end_s" in by_name else [])}
    parts = times.choose([name for name in by_name.values() if name not in used], values)
    if "end" in parts:
        parts.pop("length", None)
    others = () if choice.text else tuple(by_name[name] for name in TEXT_COLUMNS if name in by_name)
    return Columns(audio, text, speaker, split, duration_s, parts, tuple(name for name in others if name != text))


def note_unused(column_names: Iterable[str], columns: Columns) -> tuple[Mark, ...]:
    """Return a note of the columns that are not used."""
    own = {"row", "marks"}  # of a manifest
    unused = [name for name in column_names if name not in {*columns.names, *own}]
    if not unused:
        return ()
    more = f" and {len(unused) - MAX_LISTED} more" if len(unused) > MAX_LISTED else ""
    return (Mark("columns-not-used", ", ".join(unused[:MAX_LISTED]) + more),)
