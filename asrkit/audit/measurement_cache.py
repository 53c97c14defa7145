"""What was measured of clips, so that an unchanged file is not read again: an audit goes on where it was stopped.

What could not be read is tried again, because its cause, such as a missing program, may have gone. Nothing is kept of
visitors, because it has to go with their data.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from asrkit.audio.clip_stats import ClipStats
from asrkit.audio.confined import ClipSpan, Measured
from asrkit.audio.notes import AudioNote
from asrkit.data import access
from asrkit.data.file_cache import CLOCK_TICK_NS, FileCache, identify_state

FILE_NAME = ".clips.sqlite"
MIN_CLIPS = 500


def is_kept(num_clips: int) -> bool:
    """Whether what an audit of so many clips measures is kept."""
    return num_clips >= MIN_CLIPS and not access.is_visitor()


@contextlib.contextmanager
def open_cache(folder: Path, num_clips: int) -> Iterator[FileCache | None]:
    """The cache in `folder`; None for so few clips that it is not worth while, and while a visitor acts."""
    if not is_kept(num_clips):
        yield None
        return
    with FileCache(folder / FILE_NAME) as cache:
        yield cache


class CachedBatch:
    """What is known of a batch of clips. missing: those to measure."""

    def __init__(self, cache: FileCache | None, spans: Sequence[ClipSpan], max_decoded_s: float) -> None:
        self._cache, self._spans, self._is_decoded = cache, spans, max_decoded_s > 0
        self._begin_ns = time.time_ns() - CLOCK_TICK_NS
        self._keys = [_make_key(span, self._is_decoded) for span in spans] if cache else [None] * len(spans)
        found = self._look_up(self._keys)
        if cache and not self._is_decoded and None in found:
            decoded = self._look_up([_make_key(span, True) for span in spans])
            found = [own or (other and _as_by_header(other)) for own, other in zip(found, decoded, strict=True)]
        self._found = [each if each and _holds_for(each, max_decoded_s) else None for each in found]
        self.missing = [span for span, each in zip(spans, self._found, strict=True) if each is None]

    def _look_up(self, keys: Sequence[bytes | None]) -> list[Measured | None]:
        known = self._cache.find([key for key in keys if key]) if self._cache else {}
        return [_from_json(known[key]) if key and key in known else None for key in keys]

    def complete(self, measured: Sequence[Measured]) -> list[Measured]:
        """Return all measurements. measured: those of `missing`, which are kept."""
        rest, result, new = iter(measured), list[Measured](), dict[bytes, Measured]()
        for span, key, found in zip(self._spans, self._keys, self._found, strict=True):
            one = found or next(rest)
            result.append(one)
            # Of a file that has changed meanwhile, who knows which state was read.
            if key and not found and not one.error and key == _make_key(span, self._is_decoded, self._begin_ns):
                new[key] = one
        if self._cache:
            self._cache.add({key: _to_json(one) for key, one in new.items()})
        return result


def _as_by_header(decoded: Measured) -> Measured | None:
    """Return what the header of a decoded clip would have given; None if it may have given something else."""
    return None if decoded.notes else Measured(decoded.duration_s)


def _holds_for(measured: Measured, max_decoded_s: float) -> bool:
    """Whether a clip was decoded as far as it has to be."""
    return measured.stats is not None or not 0 < measured.duration_s <= max_decoded_s


def _make_key(span: ClipSpan, is_decoded: bool, changed_before_ns: float = float("inf")) -> bytes | None:
    """Return what identifies a part of a file in its present state; None if it is missing, or newer than that."""
    return identify_state(span.path, (span.start_s, span.end_s, is_decoded), changed_before_ns)


def _to_json(measured: Measured) -> str:
    stats, notes = measured.stats, [(note.code, note.detail) for note in measured.notes]
    numbers = (
        (stats.duration_s, stats.sampling_rate, stats.loudest_dbfs, stats.clipped_fraction, stats.snr_db)
        if stats
        else None
    )
    return json.dumps([measured.duration_s, numbers, stats.digest.hex() if stats else "", notes])


def _from_json(value: str) -> Measured:
    duration_s, numbers, digest, notes = json.loads(value)
    stats = None
    if numbers:
        seconds, rate, loudest_dbfs, clipped_fraction, snr_db = numbers
        stats = ClipStats(seconds, rate, loudest_dbfs, clipped_fraction, snr_db, bytes.fromhex(digest))
    return Measured(duration_s, stats, tuple(AudioNote(*note) for note in notes))
