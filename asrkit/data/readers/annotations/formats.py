"""The annotation formats, and how a file is recognised as one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from asrkit.data.readers.annotations import (
    chat,
    elan,
    exmaralda,
    flextext,
    label_studio,
    labels,
    praat,
    subtitles,
    transcriber,
)
from asrkit.data.readers.annotations.model import AnnotatedRecording, check_size
from asrkit.errors import DataError

Reader = Callable[[Path], list[AnnotatedRecording]]

LABEL_SUFFIXES = (".txt", ".lab")
"""Of files that may hold labels, or anything else."""


@dataclass(frozen=True)
class AnnotationFormat:
    """A format. title: for messages. parse: raises DataError for a file that cannot be read."""

    title: str
    parse: Reader

    def read(self, path: Path) -> list[AnnotatedRecording]:
        """Read the recordings of a file. Raises DataError for one that is damaged or too large."""
        recordings = self.parse(path)
        check_size(path, recordings)
        return recordings


FORMATS: dict[str, AnnotationFormat] = {
    ".eaf": AnnotationFormat("ELAN annotation", elan.read),
    ".textgrid": AnnotationFormat("Praat TextGrid", praat.read),
    ".trs": AnnotationFormat("Transcriber transcript", transcriber.read),
    ".exb": AnnotationFormat("EXMARaLDA transcription", exmaralda.read),
    ".flextext": AnnotationFormat("FLEx interlinear text", flextext.read),
    ".cha": AnnotationFormat("CHAT transcript", chat.read),
    ".vtt": AnnotationFormat("WebVTT subtitles", subtitles.read),
    ".srt": AnnotationFormat("SubRip subtitles", subtitles.read),
}
"""Suffix -> format, in the order in which one is taken of several annotations of one recording."""
SUFFIXES = tuple(FORMATS)
LABEL_STUDIO = AnnotationFormat("Label Studio export", label_studio.read)
ELAN_EXPORT = AnnotationFormat("ELAN tab-delimited text", labels.read_elan_export)
AUDACITY = AnnotationFormat("Audacity labels", labels.read_audacity)
HTK = AnnotationFormat("HTK labels", labels.read_htk)


def recognise(path: Path) -> AnnotationFormat | None:
    """Return the format of a file by its suffix, or else by its beginning; None for another file."""
    suffix = path.suffix.lower()
    if suffix in FORMATS:
        return FORMATS[suffix]
    if suffix == ".json":
        return LABEL_STUDIO if label_studio.matches(path) else None
    if suffix not in LABEL_SUFFIXES:
        return None
    lines = _first_lines(path)
    if labels.is_elan_export(lines):
        return ELAN_EXPORT
    if labels.is_audacity(lines):
        return AUDACITY
    return HTK if suffix == ".lab" and labels.is_htk(lines) else None


def require(path: Path) -> AnnotationFormat:
    """Return the format of a file as `recognise` does. Raises DataError for a file that is no annotation."""
    known = recognise(path)
    if known is None:
        raise DataError(
            f"{path} is not an annotation file; those known have one of the suffixes {', '.join(SUFFIXES)}."
        )
    return known


def read(path: Path) -> list[AnnotatedRecording]:
    """Read the recordings of an annotation file. Raises DataError for a file that is damaged, too large, or none."""
    return require(path).read(path)


def _first_lines(path: Path) -> Sequence[str]:
    """Return the first lines of a text file; none of a file that is no text in UTF-8."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            return [line.rstrip("\n")[:2_000] for line in islice(file, labels.PROBED_LINES)]
    except UnicodeDecodeError:
        return []
