"""LJSpeech: metadata.csv without a header, with fields separated by |, and wavs/ -> utterances.

A line is name|text as written|text as read, or name|text. A bar may be part of a text.
"""

from __future__ import annotations

import difflib
import re
from pathlib import Path

from asrkit.data import files
from asrkit.data.audio_finder import AudioFinder
from asrkit.data.durations import measure_duration
from asrkit.data.manifest import BAD_ROW, Mark, Utterance
from asrkit.data.readers.columns import TEXT_COLUMNS

_MIN_LIKENESS = 0.5
"""Of a text as written and as read, which differ in numbers and abbreviations."""


def matches(folder: Path) -> bool:
    """Return whether a folder has this layout."""
    path = folder / "metadata.csv"
    if not ((folder / "wavs").is_dir() and path.is_file()):
        return False
    first_line = files.read_text(path).partition("\n")[0]
    return "|" in first_line and not {field.strip().lower() for field in first_line.split("|")} & {*TEXT_COLUMNS}


def read(folder: Path) -> list[Utterance]:
    """Read the utterances, without a split."""
    lines = [
        (f"metadata.csv line {number}", line.rstrip("\n").split("|"))
        for number, line in enumerate(files.read_lines(folder / "metadata.csv"), 1)
        if line.strip()
    ]
    found = AudioFinder(folder / "wavs").find_all([fields[0].strip() for _, fields in lines])
    has_text_as_read = _has_text_as_read([fields for _, fields in lines])
    lines_differ = len({len(fields) for _, fields in lines}) > 1
    utterances = []
    for (where, fields), file in zip(lines, found, strict=True):
        text, marks = _choose_text(fields, has_text_as_read, lines_differ)
        duration_s = measure_duration(file.path)
        utterances.append(Utterance(str(file.path), text, duration_s, row=where, marks=(*file.marks, *marks)))
    return utterances


def _has_text_as_read(lines: list[list[str]]) -> bool:
    """Return whether lines are name|text as written|text as read, and not name|text with bars in some texts.

    Where lines differ in their number of fields, it takes two texts that are much alike, or of which the second looks
    written out; it may be left empty.
    """
    three = [fields for fields in lines if len(fields) == 3]
    if len(three) == len(lines):
        return True
    pairs = [(fields[1], fields[2]) for fields in three]
    read = [not read.strip() or _are_alike(written, read) or _is_written_out(written, read) for written, read in pairs]
    return 2 * sum(read) > len(read)


def _are_alike(written: str, read: str) -> bool:
    return difflib.SequenceMatcher(None, written.lower(), read.lower(), autojunk=False).ratio() > _MIN_LIKENESS


def _is_written_out(written: str, read: str) -> bool:
    """Return whether the second text has no capitals, digits and signs, and the first one has some.

    A bar of a text has spaces around it.
    """
    signs, others = (re.findall(r"[^\W\d_]|\s", text) != list(text) or text != text.lower() for text in (written, read))
    return signs and not others and not written.endswith(" ") and not read.startswith(" ")


def _choose_text(fields: list[str], has_text_as_read: bool, lines_differ: bool) -> tuple[str, tuple[Mark, ...]]:
    """Return (text, what was assumed) of a line."""
    if len(fields) < 2:
        fault = "has no | between name and text; write: name|text as written|text as read."
        return "", (Mark(BAD_ROW, fault),)
    if len(fields) == 2:
        return fields[1].strip(), ()
    count = f"{len(fields)} fields"
    if has_text_as_read:
        # Of more than three fields, both texts have the same bars.
        middle = (len(fields) + 1) // 2
        written, read = "|".join(fields[1:middle]).strip(), "|".join(fields[middle:]).strip()
        text = " ".join(read.split()) or written
        if len(fields) == 3:
            is_clear = not lines_differ or not read or _are_alike(written, read)
            return text, () if is_clear else (Mark("extra-fields", f"{count}, of which the last is read: {text:.60}"),)
        if len(fields) % 2 == 0 or not _are_alike(written, read):
            return "", (Mark(BAD_ROW, f"has {count}; write: name|text as written|text as read."),)
        return text, (Mark("extra-fields", f"{count}: {text:.60}"),)
    text = "|".join(fields[1:]).strip()
    return text, (Mark("extra-fields", f"{count}: {text:.60}"),)
