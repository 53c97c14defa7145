"""The API of the picture of a long recording in the Data tab: its waveform, its spans by tier, and its sound.

A recording is named by a digest of its path, and only if it is in the dataset that is named with it, which whoever asks
may read.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from asrkit.audio import SAMPLING_RATE, WAV_HEADER_BYTES, make_wav_header
from asrkit.audio.confined import AudioReader
from asrkit.audio.peaks import Peaks
from asrkit.audit.clips import MAX_OVERSHOOT_S
from asrkit.config import TrainConfig
from asrkit.data.manifest import Utterance
from asrkit.data.readers.annotations.outline import Outline, OutlinedSpan, OutlinedTier
from asrkit.errors import AudioError, DataError
from asrkit.jobs import Job, JobRegistry
from asrkit.ui import strings
from asrkit.ui.common.component import Reply, Request, with_error_reply
from asrkit.ui.common.served_files import AudioFile
from asrkit.ui.data import proposals
from asrkit.ui.data.dataset_cache import DatasetCache
from asrkit.ui.security.quotas import admit_job, owner_name

MAX_RECORDINGS, MAX_SPEAKERS = 500, 100
"""Of a dataset that are listed."""
MAX_WAVEFORMS = 16
"""Kept in memory, of at most 4 MB each."""
ABANDON_AFTER_S = 60
TILE_BINS = 1024
MAX_LEVEL = 16
BLOCK_S = 10.0
"""Seconds that are decoded at a time for what is played."""
USED, DOUBTFUL, LEFT_OUT = "used", "doubtful", "out"


@dataclass
class ListedRecording:
    """A recording of a dataset and its rows."""

    id: str
    path: str
    rows: list[Utterance] = field(default_factory=list)


class TimelineApi:
    """Every argument comes from the page and is checked here."""

    def __init__(self, datasets: DatasetCache) -> None:
        self.datasets = datasets
        self.waveforms: JobRegistry[Peaks] = JobRegistry(
            "waveform", max_jobs=MAX_WAVEFORMS, abandon_after_s=ABANDON_AFTER_S, admit=admit_job("waveform")
        )

    @with_error_reply
    def list_recordings(self, request: Request) -> Reply:
        """List the recordings of a dataset whose parts are its clips, and its speakers."""
        rows = self.datasets.get(request).source.utterances
        listed = list_recordings(rows)
        return {
            "recordings": [
                {"id": each.id, "name": os.path.basename(each.path), "clips": len(each.rows)}
                for each in listed[:MAX_RECORDINGS]
            ],
            "num_recordings": len(listed),
            "speakers": sorted({row.speaker for row in rows if row.speaker})[:MAX_SPEAKERS],
        }

    @with_error_reply
    def list_spans(self, request: Request) -> Reply:
        """Return the spans of recording `id` by tier, each with its state: what becomes of it, and why.

        {"duration_s", "states": [{"kind", "text"}], "tiers": [{"name", "is_chosen", "start", "end", "text", "speaker",
        "state"}], "left_out"}; the last five of a tier are lists, with times in seconds and indices of states.
        """
        recording = self._find(request)
        with AudioReader([recording.path]) as reader:
            duration_s = reader.read_duration_s(recording.path)
        outline = self.datasets.read_outline(request, recording.path) or outline_rows(recording.rows)
        states = _States(duration_s, proposals.read_settings(request.get("settings")))
        tiers = [_describe_tier(tier, states) for tier in outline.tiers if tier.spans]
        return {
            "duration_s": duration_s,
            "states": states.list(),
            "tiers": sorted(tiers, key=lambda tier: not tier["is_chosen"]),
            "left_out": outline.num_left_out,
        }

    @with_error_reply
    def show_waveform(self, request: Request) -> Reply:
        """Return tile `position` of the waveform of recording `id`: TILE_BINS bins of 2 ** `number` bins each.

        {"bin_s", "known_s", "is_complete", "low", "high"}: seconds of a bin at number 0, seconds that are decoded by
        now, and the lowest and highest values of the bins, -127 to 127.
        """
        level, tile = int(request["number"]), int(request["position"])
        if not (0 <= level <= MAX_LEVEL and tile >= 0):
            raise DataError(strings.text("timeline.no_tile"))
        path = self._find(request).path
        job = self.waveforms.join(_file_key(path), lambda job: _read_waveform(job, path), owner=owner_name())
        if job.error:
            raise job.error
        peaks, is_complete = job.result or Peaks(), job.has_ended
        bins = peaks.read(TILE_BINS * tile, TILE_BINS, 1 << level)
        return {
            "bin_s": peaks.bin_s,
            "known_s": peaks.duration_s,
            "is_complete": is_complete,
            "low": bins[:, 0].tolist(),
            "high": bins[:, 1].tolist(),
        }

    def open_part(self, query: Mapping[str, str]) -> AudioFile:
        """Open recording `id` of a dataset from `start` to `end` seconds, or to its end.

        Raises DataError for times that are none, and AudioError for a recording that cannot be read.
        """
        recording = self._find(dict(query))
        reader = AudioReader([recording.path])
        duration_s = reader.read_duration_s(recording.path)
        try:
            start_s, end_s = (max(0.0, float(query.get(name) or default)) for name, default in
                              (("start", 0.0), ("end", math.inf)))  # fmt: skip
        except ValueError as error:
            raise DataError(strings.text("timeline.no_times")) from error
        end_s = min(end_s, duration_s)
        if not start_s < end_s:
            raise DataError(strings.text("timeline.no_times"))
        return RecordingPart(reader, recording.path, start_s, end_s)

    def _find(self, request: Request) -> ListedRecording:
        listed = list_recordings(self.datasets.get(request).source.utterances)
        found = next((each for each in listed if each.id == request.get("id")), None)
        if found is None:
            raise DataError(strings.text("timeline.recording_gone"))
        return found


class RecordingPart:
    """A part of a recording as a WAV file, which is decoded where it is read."""

    def __init__(self, reader: AudioReader, path: str, start_s: float, end_s: float) -> None:
        self.reader, self.path = reader, path
        self._first, self._num_samples = round(start_s * SAMPLING_RATE), round((end_s - start_s) * SAMPLING_RATE)
        self._block: tuple[int, bytes] = (-1, b"")

    @property
    def size_bytes(self) -> int:
        return WAV_HEADER_BYTES + 2 * self._num_samples

    def read(self, start: int, stop: int) -> bytes:
        """Read bytes of the file."""
        content = make_wav_header(self._num_samples)[start:stop]
        at = max(start, WAV_HEADER_BYTES)
        while at < min(stop, self.size_bytes):
            index, offset = divmod(at - WAV_HEADER_BYTES, _BLOCK_BYTES)
            part = self._read_block(index)[offset : offset + stop - at]
            content, at = content + part, at + len(part)
        return content

    def _read_block(self, index: int) -> bytes:
        if self._block[0] != index:
            first = index * _BLOCK_SAMPLES
            num_samples = min(_BLOCK_SAMPLES, self._num_samples - first)
            start_s = (self._first + first) / SAMPLING_RATE
            samples = np.zeros(num_samples, np.float32)
            try:
                wave = self.reader.load(self.path, start_s=start_s, end_s=start_s + num_samples / SAMPLING_RATE)
                decoded = wave.samples[:num_samples]
                samples[: len(decoded)] = decoded
            except AudioError:
                if not index:  # else the header promised more than there is: silence
                    raise
            scaled = np.clip(samples * 32768, -32768, 32767).astype("<i2")
            self._block = (index, scaled.tobytes())
        return self._block[1]


_BLOCK_SAMPLES = round(BLOCK_S * SAMPLING_RATE)
_BLOCK_BYTES = 2 * _BLOCK_SAMPLES


def list_recordings(rows: Iterable[Utterance]) -> list[ListedRecording]:
    """Return the recordings of which parts are clips, in the order of the rows."""
    found: dict[str, ListedRecording] = {}
    for row in rows:
        if row.fault or (not row.start_s and row.end_s is None):
            continue
        if row.audio not in found:
            found[row.audio] = ListedRecording(_name(row.audio), row.audio)
        found[row.audio].rows.append(row)
    return list(found.values())


def outline_rows(rows: Iterable[Utterance]) -> Outline:
    """Return the outline of clips that no annotation file describes: a tier for each speaker."""
    by_speaker: dict[str, list[OutlinedSpan]] = {}
    for row in sorted(rows, key=lambda row: row.start_s):
        codes = tuple(dict.fromkeys(mark.code for mark in row.marks))
        span = OutlinedSpan(row.start_s, row.end_s, row.text[:200], row.speaker or "", "", codes)
        by_speaker.setdefault(span.speaker, []).append(span)
    return Outline(
        tuple(
            OutlinedTier(speaker or strings.text("timeline.clips"), True, tuple(spans))
            for speaker, spans in by_speaker.items()
        )
    )


class _States:
    """What becomes of spans, each as (kind, sentence), numbered in the order in which they occur."""

    def __init__(self, duration_s: float, config: TrainConfig) -> None:
        self.duration_s, self.config = duration_s, config
        self._numbers: dict[tuple[str, tuple[str, ...]], int] = {}

    def number(self, span: OutlinedSpan) -> int:
        """Return the number of a span's state."""
        reason = span.reason or self._check_times(span)
        state = (LEFT_OUT, (reason,)) if reason else (DOUBTFUL if _doubts(span) else USED, _doubts(span))
        return self._numbers.setdefault(state, len(self._numbers))

    def list(self) -> list[dict[str, str]]:
        """Return all states."""
        described = []
        for kind, codes in self._numbers:
            why = ", ".join(strings.text(f"timeline.why.{code}") for code in codes)
            described.append({"kind": kind, "text": strings.text(f"timeline.state.{kind}", why=why)})
        return described

    def _check_times(self, span: OutlinedSpan) -> str:
        end_s = self.duration_s if span.end_s is None else span.end_s
        if end_s > self.duration_s + MAX_OVERSHOOT_S:
            return "beyond-end"
        length_s = min(end_s, self.duration_s) - span.start_s
        if length_s < self.config.min_duration_s:
            return "too-short"
        return "too-long" if length_s > self.config.max_duration_s else ""


def _doubts(span: OutlinedSpan) -> tuple[str, ...]:
    return tuple(code for code in ("overlapping-speech", "unsure-text") if code in span.marks)


def _describe_tier(tier: OutlinedTier, states: _States) -> Reply:
    end_s = [states.duration_s if span.end_s is None else span.end_s for span in tier.spans]
    return {
        "name": tier.name,
        "is_chosen": tier.is_chosen,
        "start": [round(span.start_s, 3) for span in tier.spans],
        "end": [round(end, 3) for end in end_s],
        "text": [span.text for span in tier.spans],
        "speaker": [span.speaker for span in tier.spans],
        "state": [states.number(span) for span in tier.spans],
    }


def _read_waveform(job: Job[Peaks], path: str) -> Peaks:
    job.result = peaks = Peaks()  # shown while it grows
    with AudioReader([path]) as reader:
        for block in reader.stream_peaks(path):
            peaks.add(block)
            job.check()
    peaks.finish()
    return peaks


def _file_key(path: str) -> tuple[str, int, int]:
    """Return what is equal for equal recordings."""
    try:
        status = os.stat(path)
    except OSError as error:
        raise AudioError(strings.text("timeline.recording_gone")) from error
    return path, status.st_mtime_ns, status.st_size


def _name(path: str) -> str:
    return hashlib.blake2b(path.encode("utf-8", "surrogatepass"), digest_size=9).hexdigest()
