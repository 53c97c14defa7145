"""The layouts of well-known corpora and toolkits, recognised by files that only they have.

Kaldi, ESPnet   wav.scp and text, and optionally segments and utt2spk
LJSpeech        metadata.csv without a header, with fields separated by |, and wavs/
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

from asrkit.data import access, files
from asrkit.data.manifest import Utterance
from asrkit.data.readers import tables
from asrkit.errors import DataError

_TIMIT = re.compile(r"(\d+) (\d+) (\S.*)", re.DOTALL)
_TIMIT_PROBED_FILES = 20
_TIMIT_MIN_SAMPLES = 1_000
"""A sixteenth of a second. A transcript of digits, such as "7 3 9 1", begins with smaller numbers."""

Transcripts = dict[Path, tuple[str, str]]
"""audio file -> (text, speaker)"""


@dataclass(frozen=True)
class Layout:
    """A layout of a folder.

    title: for messages and the page. matches: whether a folder has this layout. read: the utterances, without a split.
    """

    title: str
    matches: Callable[[Path], bool]
    read: Callable[[Path], list[Utterance]]


def recognise(folder: Path) -> Layout | None:
    """Return the layout of `folder` by the files in it; None for an unknown one."""
    return next((layout for layout in _LAYOUTS if layout.matches(folder)), None)


def recognise_transcripts(paths: list[Path]) -> tuple[str, Transcripts]:
    """Return (title, transcripts) for a folder with these files, whose transcripts lie beside its recordings.

    The title is empty if the transcripts are plain .txt files, one per recording.
    """
    lists = [path for path in paths if path.name.endswith(".trans.txt")]
    if lists:
        return "LibriSpeech", _read_librispeech(lists, paths)
    text_files = [path for path in paths if path.suffix.lower() == ".txt"]
    probed = [_read_timit_text(path) for path in text_files[:_TIMIT_PROBED_FILES]]
    if probed and all(probed):
        return "TIMIT", _read_timit(text_files, paths)
    return "", {}


def _read_librispeech(lists: list[Path], paths: list[Path]) -> Transcripts:
    audio = {(path.parent, path.stem): path for path in filter(files.is_audio, paths)}
    transcripts: Transcripts = {}
    for path in lists:
        for where, name, text in _read_pairs(path):
            clip = audio.get((path.parent, name))
            if clip is None:
                raise DataError(
                    f"{where}: there is no recording {name} beside {path}; copy it there or remove the line."
                )
            transcripts[clip] = (text, name.partition("-")[0])
    return transcripts


def _read_timit(text_files: list[Path], paths: list[Path]) -> Transcripts:
    unused = {(path.parent, path.stem.lower()): path for path in text_files}
    transcripts: Transcripts = {}
    for clip in filter(files.is_audio, paths):
        # Some copies contain SA1.WAV in NIST's format and SA1.WAV.wav in Microsoft's: only one of them is used.
        path = unused.pop((clip.parent, clip.name.partition(".")[0].lower()), None)
        if path is not None:
            transcripts[clip] = (_read_timit_text(path), clip.parent.name)
    return transcripts


def _read_timit_text(path: Path) -> str:
    """Return the text after the first and last sample; empty for a file without them."""
    match = _TIMIT.fullmatch(files.read_text(path).strip())
    return match[3] if match and int(match[1]) < int(match[2]) >= _TIMIT_MIN_SAMPLES else ""


def _read_kaldi(folder: Path) -> list[Utterance]:
    texts = {name: (where, text) for where, name, text in _read_pairs(folder / "text")}
    recordings = {name: (where, value) for where, name, value in _read_pairs(folder / "wav.scp")}
    speakers = _read_optional_pairs(folder / "utt2spk")
    segments = _read_optional_pairs(folder / "segments")
    utterances = []
    for name, (where, text) in texts.items():
        recording, start_s, end_s = name, 0.0, None
        if segments:
            recording, start_s, end_s = _parse_segment(segments, name, where)
        if recording not in recordings:
            raise DataError(f"{where}: utterance {name} has no recording in wav.scp; add it there or remove the line.")
        file = str(_find_kaldi_file(folder, *recordings[recording]))
        speaker = speakers.get(name, ("", ""))[1] or None
        duration_s = files.measure_duration(file, start_s, end_s)
        utterances.append(Utterance(file, text, duration_s, speaker, None, start_s, end_s, where))
    return utterances


def _parse_segment(segments: dict[str, tuple[str, str]], name: str, where: str) -> tuple[str, float, float | None]:
    """Return (recording, start_s, end_s) of an utterance; end_s is None for the end of the recording."""
    if name not in segments:
        raise DataError(f"{where}: utterance {name} is not in segments; add it there or remove the line.")
    segment_where, value = segments[name]
    try:
        recording, start, end = value.split()
        start_s, end_s = float(start), float(end)
    except ValueError as error:
        raise DataError(
            f"{segment_where}: {value!r:.60} is no segment; write: utterance recording start end."
        ) from error
    if not 0 <= start_s < (end_s if end_s >= 0 else float("inf")):
        raise DataError(f"{segment_where}: the segment runs from {start_s:g} s to {end_s:g} s; correct its times.")
    return recording, start_s, end_s if end_s >= 0 else None  # Kaldi writes -1 for the end of the recording


def _find_kaldi_file(folder: Path, where: str, value: str) -> Path:
    """Find a file relative to `folder` or to the folder above it where Kaldi was run. Commands are not run."""
    name = value
    if value.endswith("|"):
        words = shlex.split(value[:-1])
        inputs = [word for word in words if files.is_audio(Path(word))]
        if not words or words[0] != "flac" or len(inputs) != 1:
            raise DataError(
                f"{where}: {value!r:.60} is a command, which is not run here; write the recordings to "
                "files and give their paths."
            )
        name = inputs[0]  # flac -c -d -s FILE | only decodes the file, which is done here anyway
    candidates = [base / name for base in (folder, *folder.parents[:3])]
    policy = access.ReadPolicy()
    file = next((path for path in candidates if policy.allows(path) and path.is_file()), None)
    if file is None:
        raise DataError(f"{where}: {name!r:.120} does not exist or may not be read here; correct the path.")
    return file


def _read_ljspeech(folder: Path) -> list[Utterance]:
    finder = files.AudioFinder(folder / "wavs")
    utterances = []
    for number, line in enumerate(files.read_lines(folder / "metadata.csv"), 1):
        fields = line.split("|")
        where = f"metadata.csv line {number}"
        if not line.strip():
            continue
        if len(fields) < 2:
            raise DataError(f"{where} has no | between name and text; write: name|text as written|text as read.")
        file = str(finder.find(fields[0]))
        text_as_read = " ".join((fields[2:] or [""])[0].split())
        utterances.append(Utterance(file, text_as_read or fields[1].strip(), files.measure_duration(file), row=where))
    return utterances


def _read_mls(folder: Path) -> list[Utterance]:
    finder = files.AudioFinder(folder / "audio")
    utterances = []
    for where, name, text in _read_pairs(folder / "transcripts.txt"):
        file = str(finder.find(name))
        utterances.append(Utterance(file, text, files.measure_duration(file), name.partition("_")[0], row=where))
    return utterances


def _read_pairs(path: Path) -> Iterator[tuple[str, str, str]]:
    """Yield (where, first word, rest) for each line that is not empty. Raises DataError for a repeated first word."""
    names = set()
    for number, line in enumerate(files.read_lines(path), 1):
        words = line.split(maxsplit=1)
        if not words:
            continue
        where = f"{path.name} line {number}"
        if words[0] in names:
            raise DataError(f"{where}: {words[0]!r:.60} occurs twice; remove one (in {path}).")
        names.add(words[0])
        yield where, words[0], words[1].strip() if len(words) > 1 else ""


def _read_optional_pairs(path: Path) -> dict[str, tuple[str, str]]:
    """Return first word -> (where, rest); empty for a file that does not exist."""
    if not path.is_file():
        return {}
    return {first: (where, rest) for where, first, rest in _read_pairs(path)}


def _is_ljspeech(folder: Path) -> bool:
    path = folder / "metadata.csv"
    if not ((folder / "wavs").is_dir() and path.is_file()):
        return False
    first_line = files.read_text(path).partition("\n")[0]
    return "|" in first_line and not {field.strip().lower() for field in first_line.split("|")} & {*tables.TEXT_COLUMNS}


_LAYOUTS = (
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
