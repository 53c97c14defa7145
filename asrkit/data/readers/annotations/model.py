"""What every annotation format is read into: recordings, their tiers, and the spans of each tier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from asrkit.data import files, limits
from asrkit.errors import DataError

MAX_TIERS = 1_000
"""Of one recording; the largest corpora of sign language have about 200."""
MAX_SPANS = 1_000_000
MAX_CLOCK_S = 1e9


class Span(NamedTuple):
    """A part of a recording and what was written about it; times as they stand in the file, which may be wrong.

    end_s: None for the end of the recording. speaker: where the format names one for each span. key: what the format
    names the span by.
    """

    start_s: float
    end_s: float | None
    text: str
    speaker: str = ""
    key: str = ""


@dataclass(frozen=True)
class Tier:
    """Spans of one kind: what one speaker said, or its translation, its words, its sounds.

    type: ELAN's linguistic type and its like. speaker: the participant. parent: the name of the tier that this one
    belongs to. marks_silence: spans fill the whole recording, as in Praat, so that most empty ones are silence.
    """

    name: str
    spans: tuple[Span, ...]
    type: str = ""
    speaker: str = ""
    parent: str = ""
    marks_silence: bool = False


class Media(NamedTuple):
    """A recording as a file names it: a URL, a path of any machine, or a bare name.

    names: the best one first. offset_s: where in the recording the annotation's zero is.
    """

    names: tuple[str, ...]
    offset_s: float = 0.0


@dataclass(frozen=True)
class AnnotatedRecording:
    """The annotation of one recording. media: its files, of which there may be several, or none that is named.

    where: which of several recordings of a file it is, for messages.
    """

    tiers: tuple[Tier, ...]
    media: tuple[Media, ...] = ()
    where: str = ""


def check_num_tiers(path: Path, num_tiers: int) -> None:
    """Raise DataError for more tiers than any recording has."""
    if num_tiers > MAX_TIERS:
        count = f"{num_tiers:,}" if num_tiers <= MAX_SPANS else f"more than {MAX_SPANS:,}"
        raise DataError(
            f"{path} has {count} tiers; a recording may have {MAX_TIERS:,}. Delete those without a transcription."
        )


def check_size(path: Path, recordings: Sequence[AnnotatedRecording]) -> None:
    """Raise DataError for more tiers or spans than any recording has."""
    check_num_tiers(path, max((len(recording.tiers) for recording in recordings), default=0))
    num_spans = sum(len(tier.spans) for recording in recordings for tier in recording.tiers)
    if num_spans > (limit := min(MAX_SPANS, limits.current().rows)):
        raise DataError(f"{path} has {num_spans:,} annotations; a file may have {limit:,} here. Split it up.")


def nearest_time(times: Sequence[float | None], index: int, step: int) -> float | None:
    """Return the time at `index` of a timeline, or else the nearest one before it (step -1) or after it (step 1).

    None where no point on that side has a time.
    """
    indices = range(index, len(times) if step > 0 else -1, step)
    return next((time for time in map(times.__getitem__, indices) if time is not None), None)


def tidy(text: str) -> str:
    """Return a text on one line, with single spaces."""
    return " ".join(text.split())


def read_lines(path: Path) -> list[str]:
    """Return the lines of a text file, without line ends. Raises DataError as `files.read_text` does."""
    return [line.rstrip("\n") for line in files.read_lines(path)]


def parse_clock(text: str) -> float | None:
    """Return the seconds of "01:02:03.456", "02:03,456" or "3.5"; None for anything else."""
    parts = text.strip().replace(",", ".").split(":")
    if len(parts) > 3 or not all(part and part.replace(".", "", 1).isdecimal() for part in parts):
        return None
    if any("." in part for part in parts[:-1]):
        return None
    seconds = 0.0
    for part in parts:
        seconds = 60 * seconds + float(part)
    return seconds


def format_clock(seconds: float) -> str:
    """Return "1:02:03.4", for messages; a time that no recording has, or that is no number, as it is."""
    if not abs(seconds) < MAX_CLOCK_S:
        return f"{seconds:g} s"
    sign, tenths = "-" if seconds < 0 else "", round(10 * abs(seconds))
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    return f"{sign}{hours}:{minutes:02d}:{rest // 10:02d}.{rest % 10}"
