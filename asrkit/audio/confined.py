"""The functions of this package for files that come from anybody: decoded in a sandbox, with the same results.

The files that belong to asrkit, such as the demo's, are decoded here, without another process.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

from asrkit.audio.blocks import stream_blocks
from asrkit.audio.channels import split_channels
from asrkit.audio.clip_stats import ClipStats, measure_clip
from asrkit.audio.files import decode_audio, load_audio, read_duration_s
from asrkit.audio.notes import AudioNote, OnNote, ignore_note
from asrkit.audio.peaks import stream_peaks
from asrkit.audio.waveform import Samples, Waveform
from asrkit.errors import AudioError
from asrkit.sandbox import Sandbox

ASSETS = str(Path(__file__).resolve().parents[2] / "assets")

Result = TypeVar("Result")


class ClipSpan(NamedTuple):
    """A recording, or the part of it between two times."""

    path: str
    start_s: float = 0.0
    end_s: float | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """duration_s: by the header, and of the decoded audio where there are stats. error: why it cannot be read."""

    duration_s: float = 0.0
    stats: ClipStats | None = None
    notes: tuple[AudioNote, ...] = ()
    error: str = ""


class AudioReader:
    """Reads these files, and no others, in processes of their own: one for each thread that calls.

    Raises AudioError as the functions of this package do, and for a file with which a process breaks down or exceeds
    the limits. Close it, or use it as a context manager; the processes end with it.
    """

    def __init__(self, files: Iterable[str | Path]) -> None:
        paths, own = map(str, files), list[str]()
        self._sandbox: Sandbox | None = None
        for path in paths:
            own.append(path)
            if not _is_own(path):
                self._sandbox = Sandbox(chain(own, paths))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the processes."""
        if self._sandbox:
            self._sandbox.close()

    def load(
        self, path: str | Path, *, start_s: float = 0.0, end_s: float | None = None, on_note: OnNote = ignore_note
    ) -> Waveform:
        """Do what `load_audio` does."""
        samples, notes = self._call(_load, path, ClipSpan(str(path), start_s, end_s))
        _pass_on(notes, on_note)
        return Waveform(samples)

    def decode(
        self, path: str | Path, *, start_s: float = 0.0, end_s: float | None = None, on_note: OnNote = ignore_note
    ) -> tuple[int, Samples]:
        """Decode as `decode_audio` does."""
        rate, samples, notes = self._call(_decode, path, ClipSpan(str(path), start_s, end_s))
        _pass_on(notes, on_note)
        return rate, samples

    def read_duration_s(self, path: str | Path, on_note: OnNote = ignore_note) -> float:
        """Do what `read_duration_s` does."""
        seconds, notes = self._call(_read_duration, path, str(path))
        _pass_on(notes, on_note)
        return seconds

    def stream(self, path: str | Path, on_note: OnNote = ignore_note) -> Iterator[Samples]:
        """Do what `stream_blocks` does."""
        if self._sandbox is None:
            items = _stream(str(path))
        else:
            items = self._sandbox.stream(_stream, str(path), about=path, error=AudioError)
        for samples, notes in items:
            _pass_on(notes, on_note)
            if samples is not None:
                yield samples

    def stream_peaks(self, path: str | Path) -> Iterator[Samples]:
        """Do what `peaks.stream_peaks` does."""
        if self._sandbox is None:
            yield from stream_peaks(path)
            return
        for flat in self._sandbox.stream(_stream_peaks, str(path), about=path, error=AudioError):
            yield flat.reshape(-1, 2)

    def measure(self, parts: Sequence[ClipSpan], max_decoded_s: float) -> list[Measured]:
        """Measure each part; those up to `max_decoded_s` are decoded for it. One that breaks down spares the others."""
        if not parts:
            return []
        try:
            return self._call(_measure, parts[0].path, list(parts), max_decoded_s)
        except AudioError as error:
            if len(parts) == 1:
                return [Measured(error=str(error))]
        return [measured for part in parts for measured in self.measure([part], max_decoded_s)]

    def _call(self, function: Callable[..., Result], about: str | Path, *arguments: Any) -> Result:
        if self._sandbox is None:
            return function(*arguments)
        return self._sandbox.call(function, *arguments, about=about, error=AudioError)


def split_channels_confined(path: str | Path, folder: Path) -> list[Path]:
    """Do what `split_channels` does, in a sandbox that may write into `folder`."""
    with Sandbox([path], [folder]) as sandbox:
        return sandbox.call(split_channels, str(path), folder, about=path, error=AudioError)


def load_confined(
    path: str | Path, *, start_s: float = 0.0, end_s: float | None = None, on_note: OnNote = ignore_note
) -> Waveform:
    """Do what `load_audio` does, in a sandbox for this file alone."""
    with AudioReader([path]) as reader:
        return reader.load(path, start_s=start_s, end_s=end_s, on_note=on_note)


def _is_own(path: str) -> bool:
    return path.startswith(ASSETS + os.sep) and os.pardir not in path.split(os.sep)


def _pass_on(notes: Iterable[AudioNote], on_note: OnNote) -> None:
    for note in notes:
        on_note(note)


# In the sandbox


def _load(part: ClipSpan) -> tuple[Samples, tuple[AudioNote, ...]]:
    notes: list[AudioNote] = []
    wave = load_audio(part.path, start_s=part.start_s, end_s=part.end_s, on_note=notes.append)
    return wave.samples, tuple(notes)


def _decode(part: ClipSpan) -> tuple[int, Samples, tuple[AudioNote, ...]]:
    notes: list[AudioNote] = []
    rate, samples = decode_audio(part.path, start_s=part.start_s, end_s=part.end_s, on_note=notes.append)
    return rate, samples, tuple(notes)


def _read_duration(path: str) -> tuple[float, tuple[AudioNote, ...]]:
    notes: list[AudioNote] = []
    return read_duration_s(path, notes.append), tuple(notes)


def _stream(path: str) -> Iterator[tuple[Samples | None, tuple[AudioNote, ...]]]:
    notes: list[AudioNote] = []
    for samples in stream_blocks(path, notes.append):
        yield samples, tuple(notes)
        notes.clear()
    yield None, tuple(notes)


def _stream_peaks(path: str) -> Iterator[Samples]:
    for peaks in stream_peaks(path):
        yield peaks.ravel()  # arrays arrive with one dimension


def _measure(parts: list[ClipSpan], max_decoded_s: float) -> list[Measured]:
    return [_measure_part(part, max_decoded_s) for part in parts]


def _measure_part(part: ClipSpan, max_decoded_s: float) -> Measured:
    notes: dict[str, AudioNote] = {}
    stats = None

    def on_note(note: AudioNote) -> None:
        notes[note.code] = note

    try:
        seconds = _part_duration_s(part, on_note)
        if 0 < seconds <= max_decoded_s:
            stats = measure_clip(part.path, start_s=part.start_s, end_s=part.end_s, on_note=on_note)
            seconds = stats.duration_s
    except AudioError as error:
        return Measured(error=str(error))
    return Measured(seconds, stats, tuple(notes.values()))


def _part_duration_s(part: ClipSpan, on_note: OnNote) -> float:
    """Return the seconds of audio without decoding it, 0.0 for none. Raises AudioError."""
    try:
        file_s = read_duration_s(part.path, on_note)
    except AudioError:
        if os.path.isfile(part.path) and os.path.getsize(part.path) == 0:
            return 0.0
        raise
    return max(0.0, (file_s if part.end_s is None else min(part.end_s, file_s)) - part.start_s)
