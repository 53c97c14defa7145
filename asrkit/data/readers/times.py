"""Columns of a table that say which part of a recording a row is: their names, their unit and their values."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

Kind = Literal["start", "end", "length"]
Unit = Literal["s", "ms", "samples"]

_STARTS = frozenset(
    "start begin beginning beg onset offset from in tmin xmin anfang beginn debut inicio inizio 开始 開始".split()
)
_ENDS = frozenset("end stop until to out tmax xmax finish ende fin final fine 结束 終了".split())
_LENGTHS = frozenset("duration dur length len dauer duree duracion 时长".split())
_KINDS: dict[str, Kind] = {
    **dict.fromkeys(_STARTS, "start"),
    **dict.fromkeys(_ENDS, "end"),
    **dict.fromkeys(_LENGTHS, "length"),
}
_UNITS: dict[str, Unit | Literal["frames"]] = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds", "sekunden"), "s"),
    **dict.fromkeys(("ms", "msec", "msecs", "millis", "millisecond", "milliseconds"), "ms"),
    **dict.fromkeys(("sample", "samples"), "samples"),
    **dict.fromkeys(("frame", "frames"), "frames"),
}
_FILLERS = frozenset(
    "time timestamp timecode tc stamp zeit point t at audio clip segment seg utt utterance speech recording rec pos "
    "position num n nb".split()
)
_SUFFIXES = ("timestamp", "time", "zeit", "seconds", "secs", "sec", "samples", "sample", "frames", "frame", "ms", "pos")
_COMMON_WORDS = frozenset("to from in out until stop final fine fin".split())  # of columns that hold no times
_LONE = frozenset({"time", "timestamp", "t", "zeit", "tiempo", "temps"})
"""Names of a position, or of the time of day when it was recorded."""
_NUMBER = re.compile(r"([+-]?\d+(?:[.,]\d+)?(?:[eE][+-]?\d+)?)\s*(ms|msec|s|sec|seconds?)?", re.IGNORECASE)
_CLOCK = re.compile(r"(?:(\d+):)?(\d{1,2}):(\d{1,2}(?:[.,]\d+)?)")
MIN_PARSED_SHARE = 0.8  # of a column's values, for it to hold times
MIN_FITTING_SHARE = 0.9  # of the rows, for a unit to be the right one
TOLERANCE_S = 0.6
"""By how much a time in a table may miss the end of its recording: many are rounded to a second."""
MIN_PART_S, MAX_PART_S = 0.05, 60.0
"""Bounds of the typical part of a recording, the text of one row."""
_ALL_UNITS: tuple[Unit, ...] = ("s", "ms", "samples")


@dataclass(frozen=True)
class TimeColumn:
    """A column by its name. unit: None if the name has none, or frames, of which the length is unknown."""

    name: str
    kind: Kind
    unit: Unit | None


def recognise(name: str, others: Iterable[str] = ()) -> TimeColumn | None:
    """Return what a column is by its name; None for another one. others: the names of all columns."""
    words = _words(name)
    units = [_UNITS[word] for word in words if word in _UNITS]
    words = [word for word in words if word not in _UNITS]
    kinds = [word for word in words if word not in _FILLERS]
    unit = next((unit for unit in units if unit != "frames"), None)
    if not kinds and units and {"num", "n", "nb"} & set(words):
        return TimeColumn(name, "length", unit)
    if len(kinds) != 1:
        return None
    if kinds[0] == "offset" and any("onset" in _words(other) for other in others):
        return TimeColumn(name, "end", unit)
    known = _KINDS.get(kinds[0])
    return TimeColumn(name, known, unit) if known else None


def looks_like_time(name: str) -> bool:
    """Return whether a name has a word for a time, as in vad_start or time, so that it may say where a clip is."""
    words = _words(name)
    return bool(set(words) & (_STARTS | _ENDS) - _COMMON_WORDS) or (len(words) == 1 and words[0] in _LONE)


def parse(value: Any) -> tuple[float, Unit | None] | None:
    """Return (number, unit if the value itself has one) of 3.5, "3,5", "3.5 s", "3500ms" or "00:00:03.5"."""
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return (float(value), None) if math.isfinite(value) else None
    text = str(value).strip()
    if number := _NUMBER.fullmatch(text):
        unit: Unit | None = None
        if number[2]:
            unit = "ms" if number[2].lower().startswith("ms") else "s"
        return float(number[1].replace(",", ".")), unit
    if clock := _CLOCK.fullmatch(text):
        hours, minutes, seconds = clock[1] or "0", clock[2], clock[3].replace(",", ".")
        if float(seconds) < 60 and (clock[1] is None or int(minutes) < 60) and len(hours) < 6:
            return 3600 * int(hours) + 60 * int(minutes) + float(seconds), "s"
    return None


def holds_times(values: Iterable[Any], min_share: float = MIN_PARSED_SHARE) -> bool:
    """Return whether at least that share of a column's values are times, and one is."""
    given = [value for value in values if value not in (None, "")]
    count = sum(parse(value) is not None for value in given)
    return count > 0 and count >= min_share * len(given)


def choose(names: Sequence[str], values: Callable[[str], Iterable[Any]]) -> dict[Kind, TimeColumn]:
    """Choose the columns of the start and of the end or the length; empty without a start, except for our own end_s.

    Of two of a kind, the one in seconds. A column that does not hold times is none, unless it has our own name.
    """
    chosen: dict[Kind, TimeColumn] = {}
    order: tuple[Unit | None, ...] = ("s", None, "ms", "samples")
    found = filter(None, (recognise(name, names) for name in names))
    for column in sorted(found, key=lambda column: order.index(column.unit)):
        is_clear = not _COMMON_WORDS & set(_words(column.name))
        is_ours = column.name.lower() in ("start_s", "end_s")
        if column.kind not in chosen and (
            is_ours or holds_times(values(column.name), 0.0 if is_clear else MIN_PARSED_SHARE)
        ):
            chosen[column.kind] = column
    has_own_end = "end" in chosen and chosen["end"].name.lower() == "end_s"
    return chosen if "start" in chosen or has_own_end else {}


def to_seconds(number: float, unit: Unit, rate: int) -> float:
    """Convert a number. rate: of the recording, in Hz."""
    return number if unit == "s" else number / (1000.0 if unit == "ms" else max(1, rate))


def infer_unit(parts: Sequence[tuple[float, float, float, str]], rate: Callable[[str], int]) -> Unit:
    """Return the unit in which the parts lie in their recordings and are as long as a sentence.

    parts: (start, end, seconds of the recording, its file), the times in the unknown unit. rate: file -> Hz. Seconds if
    no unit fits.
    """
    for unit in _ALL_UNITS:
        lengths_s = []
        for start, end, file_s, file in parts:
            rate_hz = rate(file) if unit == "samples" else 0
            if to_seconds(end, unit, rate_hz) <= file_s + TOLERANCE_S:
                lengths_s.append(to_seconds(end - start, unit, rate_hz))
        if parts and len(lengths_s) >= MIN_FITTING_SHARE * len(parts) and MIN_PART_S <= median(lengths_s) <= MAX_PART_S:
            return unit
    return "s"


def is_length_of(
    row: Mapping[str, Any], column: TimeColumn, file_s: float, rate: Callable[[str], int], file: str
) -> bool:
    """Return whether the length that a row names is that of its recording, in the column's unit or in any."""
    parsed = parse(row.get(column.name))
    if parsed is None or file_s < 0:
        return True
    number, unit = parsed
    known = unit or column.unit
    return any(
        abs(to_seconds(number, one, rate(file) if one == "samples" else 0) - file_s) <= max(TOLERANCE_S, 0.05 * file_s)
        for one in ((known,) if known else _ALL_UNITS)
    )


def _words(name: str) -> list[str]:
    """Return the words of startTime, start_time or "Start (s)", in lower case and without accents."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    plain = "".join(
        letter for letter in unicodedata.normalize("NFKD", spaced).lower() if not unicodedata.combining(letter)
    )
    words = []
    for word in re.findall(r"[^\W_]+", plain):
        suffix = next((end for end in _SUFFIXES if word.endswith(end) and word != end), "")
        known = word[: -len(suffix)] in _STARTS | _ENDS | _LENGTHS if suffix else False
        words += [word[: -len(suffix)], suffix] if known else [word]
    return words
