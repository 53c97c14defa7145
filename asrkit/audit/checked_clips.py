"""Clips after their check, as objects one by one, and as columns all together: some hundred bytes a clip."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from asrkit.audio import AudioNote
from asrkit.audio.clip_stats import ClipStats
from asrkit.data.indexed import IndexedSequence
from asrkit.data.manifest import Column, Utterance

DIGEST_BYTES = 12
_TEXTS = 1024
"""Texts that become Arrow's strings at once."""


@dataclass(frozen=True, slots=True)
class CheckedClip:
    """A clip after its check.

    row: with the real duration. text: normalised. code: the finding that it is dropped for; None if it is kept. stats:
    None if it was not decoded. unknown: characters of the text that the model cannot write. notes: what was read
    otherwise than the file plainly says.
    """

    row: Utterance
    text: str
    code: str | None
    detail: str = ""
    stats: ClipStats | None = None
    unknown: frozenset[str] = field(default_factory=frozenset)
    notes: tuple[AudioNote, ...] = ()


class CheckedClips(IndexedSequence[CheckedClip]):
    """The clips of these rows after their check, in the same order."""

    def __init__(self, rows: Sequence[Utterance], clips: Iterable[CheckedClip] = ()) -> None:
        self.rows = rows
        self._codes: list[str | None] = [None]
        self._code_of_clip, self._durations_s = array("b"), array("d")
        self._texts: list[Any] = []
        self._last_texts: list[str] = []
        self._rates = array("i")  # 0 for a clip without statistics
        self._levels = {name: array("d") for name in ("loudest_dbfs", "clipped_fraction", "snr_db")}
        self._digests = bytearray()
        self._details: dict[int, str] = {}
        self.unknown: dict[int, frozenset[str]] = {}
        self.notes: dict[int, tuple[AudioNote, ...]] = {}
        for clip in clips:
            self.append(clip)

    def append(self, clip: CheckedClip) -> None:
        """Add the clip of the next row."""
        index, stats = len(self), clip.stats
        if clip.code not in self._codes:
            self._codes.append(clip.code)
        self._code_of_clip.append(self._codes.index(clip.code))
        self._durations_s.append(clip.row.duration_s)
        self._last_texts.append(clip.text)
        if len(self._last_texts) == _TEXTS:
            self._texts.append(_pack(self._last_texts))
            self._last_texts = []
        self._rates.append(stats.sampling_rate if stats else 0)
        for name, column in self._levels.items():
            value = getattr(stats, name) if stats else None
            column.append(np.nan if value is None else value)
        self._digests += stats.digest if stats else bytes(DIGEST_BYTES)
        if clip.detail:
            self._details[index] = clip.detail
        if clip.unknown:
            self.unknown[index] = clip.unknown
        if clip.notes:
            self.notes[index] = clip.notes

    def __len__(self) -> int:
        return len(self._code_of_clip)

    def make_item(self, index: int) -> CheckedClip:
        number, place = divmod(index, _TEXTS)
        texts = self._texts[number] if number < len(self._texts) else self._last_texts
        return self._make(index, self.rows[index], str(texts[place]))

    def __iter__(self) -> Iterator[CheckedClip]:
        for index, (row, text) in enumerate(zip(self.rows, self.iter_texts(), strict=False)):
            yield self._make(index, row, text)

    @property
    def is_kept(self) -> np.ndarray:
        """Whether each clip is kept, (clips,) bool."""
        return np.frombuffer(self._code_of_clip, np.int8) == 0 if self._code_of_clip else np.zeros(0, bool)

    @property
    def durations_s(self) -> np.ndarray:
        """(clips,)"""
        return np.array(self._durations_s)

    @property
    def rates(self) -> np.ndarray:
        """Sampling rates, 0 for a clip without statistics, (clips,)."""
        return np.array(self._rates)

    def kept(self) -> list[int]:
        """Return the indices of the clips that are kept."""
        return list(np.flatnonzero(self.is_kept).tolist())

    def dropped(self) -> dict[str, list[int]]:
        """Return code -> indices of the clips that are dropped for it."""
        codes = np.array(self._code_of_clip)
        found = {code: np.flatnonzero(codes == number).tolist() for number, code in enumerate(self._codes) if code}
        return {code: indices for code, indices in found.items() if indices}

    def iter_texts(self) -> Iterator[str]:
        """Yield the normalised texts."""
        for texts in (*self._texts, self._last_texts):
            yield from texts if isinstance(texts, list) else texts.to_pylist()

    def iter_column(self, name: str) -> Iterator[Any]:
        """Yield the values of a field of the rows other than the duration."""
        return iter(Column(name, self.rows))

    def iter_stats(self) -> Iterator[tuple[int, ClipStats]]:
        """Yield the index and the statistics of each kept clip that has some."""
        for index in np.flatnonzero(self.is_kept & (self.rates > 0)).tolist():
            yield index, self._stats(index)

    def digest(self, index: int) -> bytes | None:
        """Return the digest of a clip's audio; None if it was not decoded."""
        return bytes(self._digests[DIGEST_BYTES * index : DIGEST_BYTES * (index + 1)]) if self._rates[index] else None

    def _make(self, index: int, row: Utterance, text: str) -> CheckedClip:
        seconds = self._durations_s[index]
        return CheckedClip(
            row if row.duration_s == seconds else replace(row, duration_s=seconds),
            text,
            self._codes[self._code_of_clip[index]],
            self._details.get(index, ""),
            self._stats(index) if self._rates[index] else None,
            self.unknown.get(index, frozenset()),
            self.notes.get(index, ()),
        )

    def _stats(self, index: int) -> ClipStats:
        snr_db = self._levels["snr_db"][index]
        return ClipStats(
            self._durations_s[index],
            self._rates[index],
            self._levels["loudest_dbfs"][index],
            self._levels["clipped_fraction"][index],
            None if snr_db != snr_db else snr_db,
            bytes(self._digests[DIGEST_BYTES * index : DIGEST_BYTES * (index + 1)]),
        )


def _pack(texts: list[str]) -> Any:
    import pyarrow

    try:
        return pyarrow.array(texts, pyarrow.string())
    except UnicodeEncodeError:  # a lone surrogate
        return texts
