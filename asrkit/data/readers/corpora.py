"""The layouts of well-known corpora and toolkits, recognised by the files that only they have.

Kaldi, ESPnet   wav.scp and text, with segments and utt2spk if there are any
LJSpeech        metadata.csv without a header, parted by |, and wavs/
LibriSpeech     <speaker>-<chapter>.trans.txt beside the recordings
MLS             transcripts.txt and audio/<speaker>/<book>/<id>.flac
TIMIT           SA1.TXT beside SA1.WAV, with the first and last sample before the text
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from asrkit.data import access
from asrkit.data.manifest import Utterance
from asrkit.data.readers import tables
from asrkit.errors import DataError

_TIMIT = re.compile(r"(\d+) (\d+) (\S.*)", re.DOTALL)
_TIMIT_LOOKED_AT = 20
_TIMIT_SAMPLES = 1_000  # a sixteenth of a second: spoken digits, as "7 3 9 1", end no sentence there


@dataclass(frozen=True)
class Layout:
    """title: for people. is_it: whether a folder (with the files below it) is one; read: its utterances, unsplit."""

    title: str
    is_it: Callable[[Path], bool]
    read: Callable[[Path], list[Utterance]]


def recognise(folder: Path) -> Layout | None:
    """The layout of `folder`, told by files that lie in it; None where it is none of these."""
    return next((layout for layout in _BY_FILES if layout.is_it(folder)), None)


def recognise_transcripts(files: list[Path]) -> tuple[str, dict[Path, tuple[str, str]]]:
    """-> (title, audio file -> (text, speaker)) for a folder whose transcripts lie beside its recordings; the title is
    empty where these are plain .txt files, one for each."""
    lists = [path for path in files if path.name.endswith(".trans.txt")]
    if lists:
        return "LibriSpeech", _librispeech(lists, files)
    texts = [path for path in files if path.suffix.lower() == ".txt"]
    looked = [_timit_text(path) for path in texts[:_TIMIT_LOOKED_AT]]
    if looked and all(looked):
        return "TIMIT", _timit(texts, files)
    return "", {}


def _librispeech(lists: list[Path], files: list[Path]) -> dict[Path, tuple[str, str]]:
    audio = {(path.parent, path.stem): path for path in files if path.suffix.lower() in tables.AUDIO_SUFFIXES}
    found = {}
    for path in lists:
        for where, name, text in _pairs(path, path.name):
            clip = audio.get((path.parent, name))
            if clip is None:
                raise DataError(
                    f"{where}: there is no recording {name} beside {path}; copy it there or remove the line."
                )
            found[clip] = (text, name.partition("-")[0])
    return found


def _timit(texts: list[Path], files: list[Path]) -> dict[Path, tuple[str, str]]:
    clips = [path for path in files if path.suffix.lower() in tables.AUDIO_SUFFIXES]
    said = {(path.parent, path.stem.lower()): path for path in texts}
    found = {}
    for clip in clips:
        # Some copies hold SA1.WAV in NIST's format and SA1.WAV.wav in Microsoft's: one of them is enough.
        path = said.pop((clip.parent, clip.name.partition(".")[0].lower()), None)
        if path is not None:
            found[clip] = (_timit_text(path), clip.parent.name)
    return found


def _timit_text(path: Path) -> str:
    """Behind the first and last sample; empty for a file without them."""
    match = _TIMIT.fullmatch(tables.read_text(path).strip())
    return match[3] if match and int(match[1]) < int(match[2]) >= _TIMIT_SAMPLES else ""


def _read_kaldi(folder: Path) -> list[Utterance]:
    texts = {name: (where, text) for where, name, text in _pairs(folder / "text", "text")}
    wavs = {name: (where, value) for where, name, value in _pairs(folder / "wav.scp", "wav.scp")}
    speakers = _optional(folder / "utt2spk")
    segments = _optional(folder / "segments")
    found = []
    for name, (where, text) in texts.items():
        recording, start_s, end_s = name, 0.0, None
        if segments:
            recording, start_s, end_s = _segment(segments, name, where)
        if recording not in wavs:
            raise DataError(f"{where}: utterance {name} has no recording in wav.scp; add it there or remove the line.")
        file = str(_kaldi_file(folder, *wavs[recording]))
        speaker = speakers.get(name, ("", ""))[1] or None
        found.append(Utterance(file, text, tables.measure(file, start_s, end_s), speaker, None, start_s, end_s, where))
    return found


def _segment(segments: dict[str, tuple[str, str]], name: str, where: str) -> tuple[str, float, float | None]:
    if name not in segments:
        raise DataError(f"{where}: utterance {name} is not in segments; add it there or remove the line.")
    place, value = segments[name]
    try:
        recording, start, end = value.split()
        start_s, end_s = float(start), float(end)
    except ValueError as error:
        raise DataError(f"{place}: {value!r:.60} is no segment; write: utterance recording start end.") from error
    if not 0 <= start_s < (end_s if end_s >= 0 else float("inf")):
        raise DataError(f"{place}: the segment runs from {start_s:g} s to {end_s:g} s; correct its times.")
    return recording, start_s, end_s if end_s >= 0 else None  # -1 is Kaldi's word for the end


def _kaldi_file(folder: Path, where: str, value: str) -> Path:
    """A path relative to the folder or to where Kaldi was run, which is above it. Commands are not run."""
    name = value
    if value.endswith("|"):
        words = shlex.split(value[:-1])
        files = [word for word in words if Path(word).suffix.lower() in tables.AUDIO_SUFFIXES]
        if not words or words[0] != "flac" or len(files) != 1:
            raise DataError(
                f"{where}: {value!r:.60} is a command, which is not run here; write the recordings to "
                "files and give their paths."
            )
        name = files[0]  # flac -c -d -s FILE | only unpacks it, which is done here anyway
    places = [base / name for base in (folder, *folder.parents[:3])]
    gate = access.Gate()
    found = next((path for path in places if gate.opens(path) and path.is_file()), None)
    if found is None:
        raise DataError(f"{where}: {name!r:.120} does not exist or may not be read here; correct the path.")
    return found


def _read_ljspeech(folder: Path) -> list[Utterance]:
    finder, found = tables.Finder(folder / "wavs"), []
    for number, line in enumerate(tables.read_lines(folder / "metadata.csv"), 1):
        fields = line.split("|")
        where = f"metadata.csv line {number}"
        if not line.strip():
            continue
        if len(fields) < 2:
            raise DataError(f"{where} has no | between name and text; write: name|text as written|text as read.")
        file = str(finder.find(fields[0]))
        read = " ".join((fields[2:] or [""])[0].split())
        found.append(Utterance(file, read or fields[1].strip(), tables.measure(file), row=where))
    return found


def _read_mls(folder: Path) -> list[Utterance]:
    finder, found = tables.Finder(folder / "audio"), []
    for where, name, text in _pairs(folder / "transcripts.txt", "transcripts.txt"):
        file = str(finder.find(name))
        found.append(Utterance(file, text, tables.measure(file), name.partition("_")[0], row=where))
    return found


def _pairs(path: Path, name: str) -> Iterator[tuple[str, str, str]]:
    """(where, first word, rest) of each line that is not empty. Raises DataError for a first word that comes twice."""
    seen = set()
    for number, line in enumerate(tables.read_lines(path), 1):
        words = line.split(maxsplit=1)
        if not words:
            continue
        if words[0] in seen:
            raise DataError(f"{name} line {number}: {words[0]!r:.60} comes a second time; remove one (in {path}).")
        seen.add(words[0])
        yield f"{name} line {number}", words[0], words[1].strip() if len(words) > 1 else ""


def _optional(path: Path) -> dict[str, tuple[str, str]]:
    if not path.is_file():
        return {}
    return {first: (where, rest) for where, first, rest in _pairs(path, path.name)}


def _is_ljspeech(folder: Path) -> bool:
    path = folder / "metadata.csv"
    if not ((folder / "wavs").is_dir() and path.is_file()):
        return False
    first = tables.read_text(path).partition("\n")[0]
    return "|" in first and not {field.strip().lower() for field in first.split("|")} & {*tables.TEXT_COLUMNS}


_BY_FILES = (
    Layout(
        "Kaldi data directory",
        lambda folder: (folder / "wav.scp").is_file() and (folder / "text").is_file(),
        _read_kaldi,
    ),
    Layout("LJSpeech", _is_ljspeech, _read_ljspeech),
    Layout(
        "Multilingual LibriSpeech",
        lambda folder: (folder / "transcripts.txt").is_file() and (folder / "audio").is_dir(),
        _read_mls,
    ),
)
