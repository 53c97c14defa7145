"""The layouts of well-known corpora and toolkits, recognised by files that only they have.

Kaldi, ESPnet   wav.scp and text, and optionally segments and utt2spk
LJSpeech        metadata.csv without a header, with fields separated by |, and wavs/
LibriSpeech     <speaker>-<chapter>.trans.txt beside the recordings
MLS             transcripts.txt and audio/<speaker>/<book>/<id>.flac
TIMIT           SA1.TXT beside SA1.WAV, with the first and last sample before the text
Others          see `toolkits` and `collections`
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from asrkit.data import access, files
from asrkit.data.audio_finder import AudioFinder, find_in_any_form, fold
from asrkit.data.durations import PartDurations, measure_duration
from asrkit.data.manifest import BAD_ROW, Mark, Utterance
from asrkit.data.readers import collections, ljspeech, toolkits
from asrkit.errors import DataError

_TIMIT = re.compile(r"(\d+) (\d+) (\S.*)", re.DOTALL)
_TIMIT_PROBED_FILES = 20
_TIMIT_MIN_SAMPLES = 1_000
"""A sixteenth of a second. A transcript of digits, such as "7 3 9 1", begins with smaller numbers."""


class CorpusClip(NamedTuple):
    """A recording, its text and speaker, and what was assumed or is wrong. where: its line, for messages."""

    audio: Path
    text: str
    speaker: str
    marks: tuple[Mark, ...] = ()
    where: str = ""


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


def recognise_transcripts(paths: list[Path]) -> tuple[str, list[CorpusClip]]:
    """Return (title, transcripts) for a folder with these files, whose transcripts lie beside its recordings.

    The title is empty if the transcripts are plain .txt files, one per recording.
    """
    lists = [path for path in paths if path.name.lower().endswith(".trans.txt")]
    if lists:
        return "LibriSpeech", _read_librispeech(lists, paths)
    text_files = [path for path in paths if path.suffix.lower() == ".txt"]
    probed = [_read_timit_text(path) for path in text_files[:_TIMIT_PROBED_FILES]]
    if 2 * sum(map(bool, probed)) > len(probed):
        return "TIMIT", _read_timit(text_files, paths)
    return "", []


def _read_librispeech(lists: list[Path], paths: list[Path]) -> list[CorpusClip]:
    audio = {(path.parent, fold(path.stem)): path for path in filter(files.is_audio, paths)}
    transcripts = []
    for path in lists:
        for name, line in _read_pairs(path).items():
            marks, clip = line.marks, audio.get((path.parent, fold(name)))
            if clip is None:
                clip = path.parent / name
                marks = (
                    *marks,
                    Mark(
                        BAD_ROW, f"there is no recording {name} beside {path.name}; copy it there or remove the line."
                    ),
                )
            transcripts.append(CorpusClip(clip, line.text, name.partition("-")[0], marks, line.where))
    return transcripts


def _read_timit(text_files: list[Path], paths: list[Path]) -> list[CorpusClip]:
    unused = {(path.parent, fold(path.stem)): path for path in text_files}
    used: set[tuple[Path, str]] = set()
    transcripts = []
    for clip in filter(files.is_audio, paths):
        # Some copies contain SA1.WAV in NIST's format and SA1.WAV.wav in Microsoft's: only one of them is used.
        name = clip.parent, fold(clip.name.partition(".")[0])
        if name in used:
            continue
        used.add(name)
        path = unused.pop(name, None)
        if path is None:
            detail = f"{clip.name} has no {clip.with_suffix('.TXT').name} beside it"
            transcripts.append(CorpusClip(clip, "", clip.parent.name, (Mark("missing-transcript", detail),)))
            continue
        text = _read_timit_text(path)
        marks = (
            () if text else (Mark(BAD_ROW, f"{path.name} does not have the first and last sample before its text."),)
        )
        transcripts.append(CorpusClip(clip, text, clip.parent.name, marks))
    return transcripts


def _read_timit_text(path: Path) -> str:
    """Return the text after the first and last sample; empty for a file without them, or that is no text."""
    try:
        match = _TIMIT.fullmatch(files.read_text(path).strip())
    except DataError:
        return ""
    return match[3] if match and int(match[1]) < int(match[2]) >= _TIMIT_MIN_SAMPLES else ""


def _read_kaldi(folder: Path) -> list[Utterance]:
    texts, recordings = _read_pairs(folder / "text"), _read_pairs(folder / "wav.scp")
    speakers, segments = _read_optional_pairs(folder / "utt2spk"), _read_optional_pairs(folder / "segments")
    durations, utterances = PartDurations(), []
    for name, line in texts.items():
        file, start_s, end_s, marks = str(folder / name), 0.0, None, line.marks
        try:
            recording = name
            if segments:
                recording, start_s, end_s = _parse_segment(segments, name)
            if recording not in recordings:
                raise DataError(f"utterance {name} has no recording in wav.scp; add it there or remove the line.")
            path = _find_kaldi_file(folder, recordings[recording])
            file = str(path)
            if folder not in path.parents and not Path(recordings[recording].text).is_absolute():
                marks = (*marks, Mark("file-by-name", f"{path} is taken for {recordings[recording].text:.120}"))
        except DataError as error:
            marks = (*marks, Mark(BAD_ROW, str(error)))
        speaker = speakers[name].text or None if name in speakers else None
        duration_s = durations.measure(file, start_s, end_s)
        utterances.append(Utterance(file, line.text, duration_s, speaker, None, start_s, end_s, line.where, marks))
    return utterances


def _parse_segment(segments: dict[str, _Line], name: str) -> tuple[str, float, float | None]:
    """Return (recording, start_s, end_s) of an utterance; end_s is None for the end of the recording."""
    if name not in segments:
        raise DataError(f"utterance {name} is not in segments; add it there or remove the line.")
    line = segments[name]
    line.check()
    try:
        recording, start, end = line.text.split()
        start_s, end_s = float(start), float(end)
    except ValueError as error:
        raise DataError(
            f"{line.where}: {line.text!r:.60} is no segment; write: utterance recording start end."
        ) from error
    if not 0 <= start_s < (end_s if end_s >= 0 else math.inf) or math.isinf(end_s):
        raise DataError(f"{line.where}: the segment runs from {start_s:g} s to {end_s:g} s; correct its times.")
    return recording, start_s, end_s if end_s >= 0 else None  # Kaldi writes -1 for the end of the recording


def _find_kaldi_file(folder: Path, line: _Line) -> Path:
    """Find a file relative to `folder` or to the folder above it where Kaldi was run. Commands are not run."""
    line.check()
    where, name = line.where, line.text
    value = name
    if value.endswith("|"):
        try:
            words = shlex.split(value[:-1])
        except ValueError:  # an unbalanced quotation mark
            words = []
        inputs = [word for word in words if files.is_audio(Path(word))]
        if not words or words[0] != "flac" or len(inputs) != 1:
            raise DataError(
                f"{where}: {value!r:.60} is a command, which is not run here; write the recordings to "
                "files and give their paths."
            )
        name = inputs[0]  # flac -c -d -s FILE | only decodes the file, which is done here anyway
    policy = access.ReadPolicy()
    bases = [base for base in (folder, *folder.parents[:3]) if policy.allows(base / name)]
    file = next(filter(None, (find_in_any_form(base, name) for base in bases)), None)
    if file is None:
        raise DataError(f"{where}: {name!r:.120} does not exist or may not be read here; correct the path.")
    return file


def _read_mls(folder: Path) -> list[Utterance]:
    lines = _read_pairs(folder / "transcripts.txt")
    # <speaker>_<book>_<number> is in audio/<speaker>/<book>/.
    found = AudioFinder(folder / "audio").find_all(["/".join([*name.split("_")[:2], name]) for name in lines])
    return [
        Utterance(
            str(file.path),
            line.text,
            measure_duration(file.path),
            name.partition("_")[0],
            row=line.where,
            marks=(*line.marks, *file.marks),
        )
        for (name, line), file in zip(lines.items(), found, strict=True)
    ]


@dataclass(frozen=True)
class _Line:
    """A line: its first word and the rest. is_repeated: another line begins with that word."""

    where: str
    name: str
    text: str
    is_repeated: bool = False

    def check(self) -> None:
        """Raise DataError for a repeated line."""
        if self.is_repeated:
            raise DataError(self._fault)

    @property
    def marks(self) -> tuple[Mark, ...]:
        return (Mark(BAD_ROW, self._fault),) if self.is_repeated else ()

    @property
    def _fault(self) -> str:
        return f"{self.where}: {self.name!r:.60} occurs twice; remove one."


def _read_pairs(path: Path) -> dict[str, _Line]:
    """Return first word -> rest of each line that is not empty; of a repeated first word the last line, marked."""
    lines: dict[str, _Line] = {}
    for number, line in enumerate(files.read_lines(path), 1):
        words = line.split(maxsplit=1)
        if words:
            text = words[1].strip() if len(words) > 1 else ""
            lines[words[0]] = _Line(f"{path.name} line {number}", words[0], text, words[0] in lines)
    return lines


def _read_optional_pairs(path: Path) -> dict[str, _Line]:
    """Read pairs; empty for a file that does not exist."""
    return _read_pairs(path) if path.is_file() else {}


_LAYOUTS = (
    Layout(
        "Kaldi data directory",
        lambda folder: (folder / "wav.scp").is_file() and (folder / "text").is_file(),
        _read_kaldi,
    ),
    Layout("LJSpeech", ljspeech.matches, ljspeech.read),
    Layout("Lhotse manifests", toolkits.is_lhotse, toolkits.read_lhotse),
    Layout("Sphinx lists", toolkits.is_sphinx, toolkits.read_sphinx),
    Layout("M-AILABS", collections.is_m_ailabs, collections.read_m_ailabs),
    Layout("VoxForge", collections.is_voxforge, collections.read_voxforge),
    Layout("Tatoeba", collections.is_tatoeba, collections.read_tatoeba),
    Layout("Speech Commands", collections.is_speech_commands, collections.read_speech_commands),
    Layout(
        "Multilingual LibriSpeech",
        lambda folder: (folder / "transcripts.txt").is_file() and (folder / "audio").is_dir(),
        _read_mls,
    ),
)
