"""Data of toolkits, in files that only they have.

Lhotse      *recordings*.jsonl and *supervisions*.jsonl, or *cuts*.jsonl, which may be .gz
WeNet       data.list, with a JSON object a line, or the path of a shard, which is an archive
Sphinx      NAME.fileids and NAME.transcription
"""

from __future__ import annotations

import gzip
import json
import os
import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from asrkit.data import access, archives, files, limits
from asrkit.data.audio_finder import AudioFinder
from asrkit.data.durations import PartDurations, measure_duration
from asrkit.data.manifest import BAD_ROW, UNREADABLE_S, Mark, Utterance
from asrkit.data.split_names import split_role
from asrkit.errors import DataError, first_line
from asrkit.units import format_binary_size

WENET_LIST = "data.list"
_SPHINX_LINE = re.compile(r"(.*)\(([^()\s]+)\)\s*")
_SPHINX_MARKS = re.compile(r"</?s>|<sil>|\+\+\w+\+\+")


def is_lhotse(folder: Path) -> bool:
    """Return whether a folder holds manifests of Lhotse."""
    return bool(_list_manifests(folder, "cuts")) or bool(
        _list_manifests(folder, "supervisions") and _list_manifests(folder, "recordings")
    )


def read_lhotse(folder: Path) -> list[Utterance]:
    """Read supervisions with their recordings, or else cuts. Recordings that are commands or URLs are bad rows."""
    recordings: dict[str, dict[str, Any]] = {}
    for path in _list_manifests(folder, "recordings"):
        recordings.update({str(item.get("id")): item for _, item in _read_objects(path)})
    rows: list[tuple[str, str | None, dict[str, Any], dict[str, Any] | None, float]] = []
    for path in _list_manifests(folder, "supervisions"):
        split = _split_of_name(path)
        for where, item in _read_objects(path):
            rows.append((where, split, item, recordings.get(str(item.get("recording_id"))), 0.0))
    for path in _list_manifests(folder, "cuts") if not rows else ():
        split = _split_of_name(path)
        for where, cut in _read_objects(path):
            for item in cut.get("supervisions") or ():
                rows.append((where, split, item, cut.get("recording"), _number(cut.get("start")) or 0.0))
    finder = AudioFinder(folder)
    names = [_lhotse_file(recording) for _, _, _, recording, _ in rows]
    found = finder.find_all([name or "." for name in names])
    durations, utterances = PartDurations(), []
    for (where, split, item, _, offset_s), name, file in zip(rows, names, found, strict=True):
        start, length = _number(item.get("start")), _number(item.get("duration"))
        text, speaker = str(item.get("text") or ""), str(item.get("speaker") or "") or None
        fault = "" if name else "its recording has no file that can be read here; write the recordings to files."
        if start is None or length is None or start < 0 or length <= 0:
            fault = f"its part is {item.get('start')!r:.40} and {item.get('duration')!r:.40} s; correct its times."
        if fault:
            utterances.append(
                Utterance(str(file.path), text, UNREADABLE_S, speaker, split, row=where, marks=(Mark(BAD_ROW, fault),))
            )
            continue
        start_s, end_s = offset_s + (start or 0.0), offset_s + (start or 0.0) + (length or 0.0)
        duration_s = durations.measure(file.path, start_s, end_s)
        utterances.append(
            Utterance(str(file.path), text, duration_s, speaker, split, start_s, end_s, where, file.marks)
        )
    return utterances


def lists_shards(path: Path) -> bool:
    """Return whether a list of WeNet names archives instead of recordings."""
    with open(path, "rb") as file:
        first = file.read(4096).split(b"\n")[0].strip()
    return archives.is_archive(Path(first.decode("utf-8", "replace")))


def find_shards(path: Path) -> list[tuple[str, Path | None]]:
    """Return (line, archive) for each line of a list of shards; None for one that is not there.

    It is looked for by its path, and then with ever fewer of its folders below that of the list: the list may have been
    written on another machine. Raises DataError for an empty list.
    """
    names = [line.strip() for line in files.read_lines(path) if line.strip()]
    if not names:
        raise DataError(f"{path} lists no shards; write it again.")
    policy = access.ReadPolicy([])
    return [(name, _find_shard(name, path.parent, policy)) for name in names]


def _find_shard(name: str, folder: Path, policy: access.ReadPolicy) -> Path | None:
    parts = PurePosixPath(name.replace("\\", "/")).parts
    below = [folder.joinpath(*parts[index:]) for index in range(len(parts)) if parts[index] not in ("/", "..")]
    for candidate in [Path(os.path.normpath(folder / name)), *below]:
        if policy.allows(candidate) and files.is_file(candidate):
            return candidate
    return None


def read_wenet(path: Path) -> list[Utterance]:
    """Read the lines of a list, of key, wav and txt, and maybe start and end in seconds."""
    rows = list(_read_objects(path))
    found = AudioFinder(path.parent).find_all([str(item.get("wav") or item.get("key") or ".") for _, item in rows])
    durations, utterances = PartDurations(), []
    for (where, item), file in zip(rows, found, strict=True):
        start_s, end_s = _number(item.get("start")) or 0.0, _number(item.get("end"))
        text, speaker = str(item.get("txt") or ""), str(item.get("speaker") or "") or None
        duration_s = durations.measure(file.path, start_s, end_s)
        utterances.append(Utterance(str(file.path), text, duration_s, speaker, None, start_s, end_s, where, file.marks))
    return utterances


def is_sphinx(folder: Path) -> bool:
    """Return whether a folder, or etc/ in it, holds the lists of Sphinx."""
    return bool(_list_sphinx(folder))


def read_sphinx(folder: Path) -> list[Utterance]:
    """Read each NAME.transcription with the files of NAME.fileids; a split by NAME, as an4_train."""
    utterances = []
    finder = AudioFinder(folder / "wav" if (folder / "wav").is_dir() else folder)
    for ids_path in _list_sphinx(folder):
        texts_path = ids_path.with_suffix(".transcription")
        ids = {line.strip().rpartition("/")[2]: line.strip() for line in files.read_lines(ids_path) if line.strip()}
        rows: list[tuple[str, str, str, tuple[Mark, ...]]] = []
        for number, line in enumerate(files.read_lines(texts_path), 1):
            if not line.strip():
                continue
            where, match = f"{texts_path.name} line {number}", _SPHINX_LINE.fullmatch(line.strip())
            name = match[2].rpartition("/")[2] if match else ""
            text = " ".join(_SPHINX_MARKS.sub(" ", match[1] if match else line).split())
            fault = "" if name in ids else f"names no recording of {ids_path.name}; write: <s> text </s> (name)."
            rows.append((where, ids.get(name, "."), text, (Mark(BAD_ROW, fault),) if fault else ()))
        found = finder.find_all([name for _, name, _, _ in rows])
        split = _split_of_name(ids_path)
        for (where, _, text, marks), file in zip(rows, found, strict=True):
            duration_s = measure_duration(file.path)
            row = Utterance(str(file.path), text, duration_s, None, split, row=where, marks=(*marks, *file.marks))
            utterances.append(row)
    return utterances


def _list_sphinx(folder: Path) -> list[Path]:
    lists = sorted([*folder.glob("*.fileids"), *(folder / "etc").glob("*.fileids")])
    return [path for path in lists if path.with_suffix(".transcription").is_file()]


def _list_manifests(folder: Path, kind: str) -> list[Path]:
    paths = sorted([*folder.glob("*.jsonl"), *folder.glob("*.jsonl.gz")])
    return [path for path in paths if kind in re.split(r"[^a-z]+", path.name.lower())]


def _split_of_name(path: Path) -> str | None:
    """Return the word of a file's name that is a split, as in libri_supervisions_train-clean.jsonl.gz."""
    return next((word for word in re.split(r"[^a-z]+", path.name.lower()) if split_role(word)), None)


def _read_objects(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (where, object) of each line. Raises DataError for a line that is none."""
    for number, line in enumerate(_read_lines(path), 1):
        if not line.strip():
            continue
        try:
            item = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            raise DataError(f"{path} line {number} is not JSON ({first_line(error)}); write it again.") from error
        if not isinstance(item, dict):
            raise DataError(f"{path} line {number} is not a JSON object; write it again.")
        yield f"{path.name} line {number}", item


def _read_lines(path: Path) -> Sequence[str]:
    """Read the lines of a text file, which may be compressed, up to the limit of a table."""
    if path.suffix != ".gz":
        return files.read_lines(path)
    limit = limits.current().text_bytes
    try:
        with gzip.open(path) as file:
            content = file.read(limit + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} is damaged ({first_line(error)}); copy it again.") from error
    if len(content) > limit:
        raise DataError(f"{path} unfolds to more than {format_binary_size(limit)}, too much for a table; split it up.")
    try:
        return content.decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text (byte {error.start}); write it again.") from error


def _lhotse_file(recording: Any) -> str:
    """Return the file of a recording; empty for one that is a command, a URL or in memory."""
    sources = recording.get("sources") if isinstance(recording, dict) else None
    first = sources[0] if isinstance(sources, list) and sources and isinstance(sources[0], dict) else {}
    return str(first.get("source") or "") if first.get("type") == "file" else ""


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
