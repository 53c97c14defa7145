"""The columns of a table: which field of an utterance each is for."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from asrkit.data import files
from asrkit.data.manifest import Mark
from asrkit.data.readers import times
from asrkit.errors import ColumnError
from asrkit.units import format_list

AUDIO_COLUMNS = (
    "file_name",
    "path",
    "audio",
    "file",
    "audio_filepath",
    "wav",
    "wav_path",
    "audio_path",
    "audio_file",
    "filename",
    "audio_id",
    "utt_id",
    "id",
    "index",
)
TEXT_COLUMNS = ("text", "sentence", "transcription", "transcript", "normalized_text", "raw_text", "wrd")
SPEAKER_COLUMNS = ("speaker", "speaker_id", "client_id", "spk_id")
MAX_LISTED = 8  # columns in a message
MAX_SAMPLED = 200
"""Cells of a column that its kind is guessed from."""
MIN_ALIKE = 0.9
"""Share of the cells that must look like file names, or like texts."""
MIN_TEXT_LEAD = 2.0
"""How many times longer than in any other column the cells of the text must be, to tell it from names or remarks."""
NO_COLUMN = "-"
"""Chosen for the speaker column if the column recognised by name contains something else."""


@dataclass(frozen=True)
class Columns:
    """The columns of a table that the fields of an utterance are read from; None for a missing column.

    parts: those of the part of the recording, by kind. other_texts: columns that are named like texts too, where
    nobody has chosen between them. is_guessed: whether audio or text was recognised by its cells, not by its name.
    """

    audio: str
    text: str
    speaker: str | None = None
    split: str | None = None
    duration_s: str | None = None
    parts: Mapping[times.Kind, times.TimeColumn] = field(default_factory=dict)
    other_texts: tuple[str, ...] = ()
    is_guessed: bool = False

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
    """Choose the columns to read the fields of an utterance from. values: those of a column.

    Columns are known by their names; if audio or text is not, by what is in them. Raises ColumnError, listing the
    columns found and those wanted, for a missing one.
    """
    by_name = {name.strip().lower(): name for name in column_names}

    def find(*names: str) -> str | None:
        return next((by_name[name] for name in names if name in by_name), None)

    def require(
        kind: str, chosen: str | None, usual: tuple[str, ...], guess: Callable[[], str | None] = lambda: None
    ) -> str:
        column = find(chosen.strip().lower()) if chosen else find(*usual) or guess()
        if column is None:
            raise ColumnError(
                f"{where} has no {kind} column: found {', '.join(map(repr, by_name.values())) or 'none'}; wanted "
                f"{repr(chosen) if chosen else 'one of ' + ', '.join(usual)}. Rename it, or set {kind}_column.",
                by_name.values(),
            )
        return column

    if choice.speaker == NO_COLUMN:
        speaker = None
    else:
        speaker = require("speaker", choice.speaker, ()) if choice.speaker else find(*SPEAKER_COLUMNS)
    names = [*by_name.values()]
    audio = require("audio", choice.audio, AUDIO_COLUMNS, lambda: _guess_audio(names, values))
    others = [name for name in names if name not in (audio, speaker)]
    text = require("text", choice.text, TEXT_COLUMNS, lambda: _guess_text(others, values))
    is_named = (choice.audio or find(*AUDIO_COLUMNS)) and (choice.text or find(*TEXT_COLUMNS))
    split, duration_s = find("split"), find("duration_s")
    # In a manifest of ours, an empty end_s is that of the recording, and duration_s is no further bound.
    used = {audio, text, speaker, split, *([duration_s] if "end_s" in by_name else [])}
    parts = times.choose([name for name in names if name not in used], values)
    if "end" in parts:
        parts.pop("length", None)
    named_texts = () if choice.text else (by_name[name] for name in TEXT_COLUMNS if name in by_name)
    other_texts = tuple(name for name in named_texts if name != text)
    return Columns(audio, text, speaker, split, duration_s, parts, other_texts, not is_named)


def _guess_audio(names: Sequence[str], values: Callable[[str], Iterable[Any]]) -> str | None:
    """Return the one column whose cells end like audio files; None if there are several, or none."""
    found = [name for name in names if _is_alike(_sample(values(name)), lambda cell: files.is_audio(PurePath(cell)))]
    return found[0] if len(found) == 1 else None


def _guess_text(names: Sequence[str], values: Callable[[str], Iterable[Any]]) -> str | None:
    """Return the column whose cells are words and far longer than those of any other; None if there is none."""
    lengths = {}
    for name in names:
        cells = _sample(values(name))
        if _is_alike(cells, lambda cell: any(map(str.isalpha, cell)) and not files.is_audio(PurePath(cell))):
            lengths[name] = sum(map(len, cells)) / len(cells)
    longest = sorted(lengths, key=lengths.__getitem__, reverse=True)
    if len(longest) > 1 and lengths[longest[0]] < MIN_TEXT_LEAD * lengths[longest[1]]:
        return None
    return longest[0] if longest else None


def _sample(values: Iterable[Any]) -> list[str]:
    """Return the first cells that are not empty, as text."""
    cells = (str(value).strip() for value in values if value is not None)
    return list(itertools.islice(filter(None, cells), MAX_SAMPLED))


def _is_alike(cells: Sequence[str], is_kind: Callable[[str], bool]) -> bool:
    return bool(cells) and sum(map(is_kind, cells)) >= MIN_ALIKE * len(cells)


def note_columns(column_names: Iterable[str], columns: Columns) -> tuple[Mark, ...]:
    """Return notes of the columns that were guessed, and of those that are not used."""
    guessed = (Mark("assumed-columns", f"the audio is in {columns.audio!r} and its text in {columns.text!r}"),)
    return (guessed if columns.is_guessed else ()) + _note_unused(column_names, columns)


def _note_unused(column_names: Iterable[str], columns: Columns) -> tuple[Mark, ...]:
    own = {"row", "marks"}  # of a manifest
    unused = [name for name in column_names if name not in {*columns.names, *own}]
    if not unused:
        return ()
    return (Mark("columns-not-used", format_list(unused, MAX_LISTED)),)
