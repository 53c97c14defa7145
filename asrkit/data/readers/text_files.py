"""Text files beside recordings: a .txt of the same name is the transcript; a further one may say something else.

In a folder without any .txt the transcripts may be .lab files, as for the Montreal Forced Aligner. Of copies of a
recording in several formats one is read. A name is compared in one form (`audio_finder.fold`), and with or without the
recording's own suffix: clip.txt and clip.wav.txt are both of clip.wav.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

from asrkit.data import access, files
from asrkit.data.audio_finder import are_copies, choose_best, fold
from asrkit.data.durations import measure_duration
from asrkit.data.manifest import BAD_ROW, Mark, Utterance
from asrkit.data.readers.rows import spoken_part
from asrkit.errors import DataError
from asrkit.units import format_list

SUFFIX, LAB_SUFFIX = ".txt", ".lab"
OTHER_SUFFIXES = frozenset(".lab .orth .text .trans .transcript .trn".split())
"""Of transcripts that other programs write beside recordings."""
MAX_COMPARED_NAMES = 2_000
"""Names that are compared with that of a recording without a transcript, to find a typing error."""
MAX_LISTED = 3  # names in a message
MAX_OTHER_BYTES = 64 << 10
_TIMED_LINE = re.compile(r"\s*\d+(\.\d+)?\s+\d+(\.\d+)?(\s|$)")
"""A label with its times, as of HTK, or the samples before a text of TIMIT."""
_NO_TRANSCRIPTS = frozenset(
    "readme license licence copying changes changelog notes prompts words metadata speakers".split()
)

_Key = tuple[Path, str]


def read(folder: Path, paths: Sequence[Path]) -> tuple[list[Utterance], tuple[Mark, ...]]:
    """Return the recordings among the files of a folder, each with its .txt, and notes about the folder.

    A recording without one is marked. Raises DataError if none has one.
    """
    clips, copies = _leave_out_copies(list(filter(files.is_audio, paths)))
    texts: dict[_Key, list[Path]] = defaultdict(list)
    suffix = SUFFIX if any(path.suffix.lower() == SUFFIX for path in paths) else LAB_SUFFIX
    for path in paths:
        if path.suffix.lower() == suffix:
            texts[_key(path)].append(path)
    of_clips = [(clip, texts.get(_key(clip)) or texts.get((clip.parent, fold(clip.name)), [])) for clip in clips]
    used = {path for _, found in of_clips for path in found}
    done = {_key(clip) for clip, found in of_clips if found}
    left = _Leftovers(
        folder, [path for path in paths if _is_transcript(path) and path not in used and _key(path) not in done]
    )
    if not used:
        raise DataError(
            f"{folder} holds {len(clips)} recordings but no transcripts; add a metadata.csv with file_name and text, "
            f"or a .txt beside each (such as {clips[0].with_suffix(SUFFIX).name}){left.describe_all()}."
        )
    described = {path for path in paths if path.suffix == ".json"}
    rows = []
    for clip, found in of_clips:
        text, marks = _read_transcript(clip, found) if found else ("", (left.mark_missing(clip),))
        duration_s = measure_duration(clip)
        speaker = _read_speaker(clip.with_suffix(".json")) if clip.with_suffix(".json") in described else None
        rows.append(Utterance(str(clip), text, duration_s, speaker, row=str(clip.relative_to(folder)), marks=marks))
    notes = left.notes()
    return rows, (*notes, Mark("one-of-several", "; ".join(copies[:MAX_LISTED]))) if copies else notes


def _read_speaker(path: Path) -> str | None:
    """Return the speaker that a JSON file beside a recording names, as in shards (`data.shards`)."""
    try:
        if path.stat().st_size > MAX_OTHER_BYTES:
            return None
        about = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    speaker = about.get("speaker") if isinstance(about, dict) else None
    return speaker.strip() or None if isinstance(speaker, str) else None


def _leave_out_copies(clips: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """Return the recordings, one file of each that lies there in several formats, and what was left out."""
    groups: dict[_Key, list[Path]] = defaultdict(list)
    for clip in clips:
        groups[_key(clip)].append(clip)
    chosen, copies = [], []
    for found in groups.values():
        if len(found) > 1 and are_copies(found):
            best = choose_best(found)
            copies.append(f"{best.name} is read, not {', '.join(path.name for path in found if path != best)}")
            found = [best]
        chosen += found
    return chosen, copies


class OtherTexts:
    """Text files beside recordings, in folders that are listed once, as far as `policy` lets them be read."""

    def __init__(self, policy: access.ReadPolicy) -> None:
        self._list_texts = cache(partial(_list_texts, policy=policy))

    def mark(self, row: Utterance) -> Utterance:
        """Mark a row if a text file of its recording's name says something else than the row."""
        if not row.text or row.end_s is not None or row.start_s:
            return row
        texts = self._list_texts(os.path.dirname(row.audio))
        if not texts:
            return row
        clip = Path(row.audio)
        found = [
            Mark("other-texts", f"{path.name} is {text:.60}")
            for path in texts.get(fold(clip.stem), []) + texts.get(fold(clip.name), [])
            if spoken_part(text := _read_other(path)) not in ("", spoken_part(row.text))
        ]
        # A manifest has them already.
        return replace(row, marks=tuple(dict.fromkeys((*row.marks, *found)))) if found else row


class _Leftovers:
    """The transcripts that belong to no recording."""

    def __init__(self, folder: Path, paths: Sequence[Path]) -> None:
        self.folder, self.paths = folder, paths
        self._named: set[Path] = set()
        self._by_folder: dict[Path, list[Path]] = defaultdict(list)
        for path in paths:
            self._by_folder[path.parent].append(path)

    def mark_missing(self, clip: Path) -> Mark:
        """Return the mark of a recording without a transcript, which names the file that may be meant."""
        wanted = f"{clip.name} has no {clip.with_suffix(SUFFIX).name} beside it"
        if own := [path for path in self._by_folder[clip.parent] if _key(path) == _key(clip)]:
            return Mark("missing-transcript", f"{wanted}, only {self._join(own)}")
        near = self._find_similar(clip)
        self._named.update(near)
        return Mark(
            "missing-transcript", f"{wanted}, and {self._join(near)} belongs to no recording" if near else wanted
        )

    def describe_all(self) -> str:
        """Return "; … belong to no recording"; empty without any."""
        return f"; {self._join(self.paths)} belong to no recording" if self.paths else ""

    def notes(self) -> tuple[Mark, ...]:
        """Return a note of those that no mark has named."""
        paths = [path for path in self.paths if path not in self._named and path.suffix.lower() == SUFFIX]
        return (Mark("unmatched-transcripts", self._join(paths)),) if paths else ()

    def _find_similar(self, clip: Path) -> list[Path]:
        names = {path.stem: path for path in self._by_folder[clip.parent][:MAX_COMPARED_NAMES]}
        if len(self.paths) == 1:
            return list(self.paths)
        return [names[name] for name in difflib.get_close_matches(clip.stem, names, n=1)]

    def _join(self, paths: Sequence[Path]) -> str:
        return format_list([path.relative_to(self.folder).as_posix() for path in paths], MAX_LISTED)


def _key(path: Path) -> _Key:
    return path.parent, fold(path.stem)


def _is_transcript(path: Path) -> bool:
    return path.suffix.lower() in {SUFFIX, *OTHER_SUFFIXES} and fold(path.stem) not in _NO_TRANSCRIPTS


def _read_transcript(clip: Path, found: list[Path]) -> tuple[str, tuple[Mark, ...]]:
    """Return (text, marks). found: files of its name, in any form."""
    exact = [path for path in found if path.stem == clip.stem]
    chosen = exact or found
    if len(chosen) > 1:
        names = " and ".join(path.name for path in chosen)
        return "", (Mark(BAD_ROW, f"{names} are both its transcript; remove one"),)
    try:
        return " ".join(files.read_text(chosen[0]).split()), ()
    except DataError as error:
        return "", (Mark(BAD_ROW, str(error)),)


def _list_texts(folder: str, policy: access.ReadPolicy) -> dict[str, list[Path]]:
    """Return the text files of a folder that may be read, by their folded stems."""
    texts: dict[str, list[Path]] = defaultdict(list)
    try:
        names = sorted(os.listdir(folder or "."))
    except OSError:  # the recording's folder does not exist: the audit reports the recording
        return texts
    suffixes = {SUFFIX, *OTHER_SUFFIXES}
    for name in names:
        if os.path.splitext(name)[1].lower() in suffixes and policy.allows(path := Path(folder, name)):
            texts[fold(path.stem)].append(path)
    return texts


def _read_other(path: Path) -> str:
    """Return the text of a file; empty for one that is no text, or holds labels with times."""
    try:
        if path.stat().st_size > MAX_OTHER_BYTES:
            return ""
        lines = files.read_lines(path)
    except (OSError, DataError):
        return ""
    return "" if any(map(_TIMED_LINE.match, lines)) else " ".join(" ".join(lines).split())
