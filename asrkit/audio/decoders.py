"""Chooses a decoder for each recording in a file: libsndfile where the file bears out its header, else FFmpeg.

A file may hold several recordings one after another (chained Ogg, joined WAV or FLAC files); each has its decoder.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import soundfile

from asrkit.audio import compressed, containers
from asrkit.audio.byte_ranges import ByteRange, open_reader, searchable, source_size
from asrkit.audio.container_frames import HEADERLESS
from asrkit.audio.containers import MAX_MISSING_FRACTION, ContainerDecoder, UnreadableError, not_audio_error
from asrkit.audio.downmix import Downmixer
from asrkit.audio.header_parsers import ReadBytes
from asrkit.audio.headers import check_header
from asrkit.audio.notes import AudioNote, OnNote, cut_off_error, length_note
from asrkit.audio.waveform import Samples
from asrkit.errors import AudioError

Encoded = str | Path | bytes
"""A path, or the bytes of an encoded file."""

# Telephone audio without a header: 8 kHz, mono, one byte a sample (ITU-T G.711).
_HEADERLESS = {
    ".ulaw": "ULAW",
    ".ul": "ULAW",
    ".mulaw": "ULAW",
    ".pcmu": "ULAW",
    ".alaw": "ALAW",
    ".al": "ALAW",
    ".pcma": "ALAW",
}
_VORBIS_MARGIN_S = 15.0
_UNKNOWN_FRAMES = 1 << 62  # libsndfile's count for a FLAC file that was written to a pipe is the largest number


class AudioDecoder(Protocol):
    """Decodes one recording. rate: in Hz."""

    rate: int
    num_channels: int

    def read_duration_s(self) -> float:
        """Return the seconds of audio."""

    def iter_blocks(self, start_s: float, end_s: float | None, block_s: float, on_note: OnNote) -> Iterator[Samples]:
        """Yield (n,) mono float32 blocks of about `block_s` seconds, from start_s to end_s; some may be empty."""


class SoundFileDecoder:
    """Decodes with libsndfile. Raises LibsndfileError or TypeError for what it cannot read."""

    def __init__(self, source: Encoded | ByteRange, name: str, law: str | None = None) -> None:
        """law: of telephone audio without a header."""
        self._name = name
        if isinstance(source, bytes):
            readable: Any = io.BytesIO(source)
        else:
            readable = source.open() if isinstance(source, ByteRange) else str(source)
        raw = {"samplerate": 8_000, "channels": 1, "format": "RAW", "subtype": law} if law else {}
        self._file = soundfile.SoundFile(readable, **raw)
        self.rate: int = self._file.samplerate
        self.num_channels: int = self._file.channels
        self.format: str = self._file.format
        if self._file.frames >= _UNKNOWN_FRAMES:
            self._file.close()
            raise soundfile.LibsndfileError(1)  # SF_ERR_UNRECOGNISED_FORMAT: it cannot be read to its end

    def read_duration_s(self) -> float:
        """Return the seconds of audio by the header."""
        with self._file as file:
            return file.frames / file.samplerate

    def close(self) -> None:
        """Close the file, which is not needed after all."""
        self._file.close()

    def _seek(self, frame: int) -> None:
        """Seek; libsndfile misses the frame within the last page of Vorbis, so there it seeks a page before."""
        margin = round(_VORBIS_MARGIN_S * self.rate) if self._file.subtype == "VORBIS" else 0
        self._file.seek(max(0, frame - margin))
        if margin:
            self._file.read(min(frame, margin), dtype="float32")

    def iter_blocks(self, start_s: float, end_s: float | None, block_s: float, on_note: OnNote) -> Iterator[Samples]:
        """Yield blocks as `AudioDecoder` does; a part is sought. Raises AudioError for a damaged or cut file."""
        with self._file as file:
            first = min(round(start_s * file.samplerate), file.frames)
            last = file.frames if end_s is None else min(round(end_s * file.samplerate), file.frames)
            mixer, num_left, size = (
                Downmixer(file.samplerate, file.channels),
                last - first,
                round(block_s * file.samplerate),
            )
            try:
                if first:
                    self._seek(first)
                while num_left > 0:
                    block = file.read(min(num_left, size), dtype="float32", always_2d=True)
                    num_left -= len(block)
                    yield mixer.push(block)
                    if len(block) < size:
                        break
            except soundfile.LibsndfileError as error:
                at_s = (last - num_left) / file.samplerate
                raise AudioError(
                    f"{self._name} is damaged {at_s:.0f} s into the recording; copy or download it again."
                ) from error
            if num_left > MAX_MISSING_FRACTION * (last - first):
                raise cut_off_error(self._name, 1 - num_left / (last - first))
            yield mixer.finish()
        for note in mixer.notes():
            on_note(note)


@dataclass(frozen=True)
class FileRecording:
    """A recording in a file. open: makes its decoder. plain_s: its seconds, where they are known without a decoder."""

    open: Callable[[], AudioDecoder]
    plain_s: float | None = None

    def read_duration_s(self) -> float:
        """Return the seconds of audio. Raises as the decoder does."""
        return self.open().read_duration_s() if self.plain_s is None else self.plain_s


def plan_decoders(source: Encoded, name: str, on_note: OnNote) -> list[FileRecording]:
    """Return the recordings in the source, in order.

    name: of the source, for messages. Raises AudioError for a file that is cut off, OpenDecoder for what is not audio.
    """
    suffix = "" if isinstance(source, bytes) else os.path.splitext(source)[1].lower()
    if law := _HEADERLESS.get(suffix):
        return [FileRecording(partial(SoundFileDecoder, source, name, law))]
    if suffix in HEADERLESS:
        return [FileRecording(partial(_open_any, source, name))]
    plan = _plan_uncompressed(source, name, on_note) or _plan_compressed(source, name, on_note)
    if len(plan) > 1:
        on_note(AudioNote("joined-files", f"{len(plan)} recordings"))
    return plan or [FileRecording(partial(_open_any, source, name))]


def _plan_uncompressed(source: Encoded, name: str, on_note: OnNote) -> list[FileRecording]:
    """Plan for formats whose header tells the size of the audio; nothing for other formats."""
    size, plan = source_size(source), list[FileRecording]()
    begin = 0
    with open_reader(source) as read:
        while begin < size and (extent := check_header(partial(_read_from, read, begin), size - begin)):
            if extent.problem == "cut-off":
                fraction = extent.found_s / extent.claimed_s if extent.claimed_s else 0.0
                if fraction < 1 - MAX_MISSING_FRACTION:
                    raise cut_off_error(name, fraction)
                on_note(AudioNote("cut-short", f"{extent.claimed_s - extent.found_s:.1f} of {extent.claimed_s:.1f} s"))
            elif extent.problem:
                on_note(length_note(extent.problem, extent.claimed_s, extent.found_s))
            part: Encoded | ByteRange = source
            if extent.head:
                part = ByteRange(source, begin + extent.start, begin + extent.stop, extent.head)
            elif begin or extent.end < size:
                part = ByteRange(source, begin, begin + extent.end)
            plan.append(FileRecording(partial(_open_any, part, name), extent.plain_s))
            begin += extent.end
    return plan


def _read_from(read: ReadBytes, begin: int, position: int, count: int) -> bytes:
    return read(begin + position, count)


def _plan_compressed(source: Encoded, name: str, on_note: OnNote) -> list[FileRecording]:
    """Plan for FLAC, Ogg and MP3; nothing for other formats."""
    with searchable(source) as content:
        size = len(content)
        if content[:4] == b"OggS":
            if compressed.is_ogg_cut(content):
                raise AudioError(f"{name} is cut off: it ends within a page of Ogg; copy or download it again.")
            parts = _split(source, compressed.find_ogg_starts(content), size)
            return [FileRecording(partial(_open_any, part, name)) for part in parts]
        if flac_starts := compressed.find_flac_starts(content):
            return [
                _plan_flac(part, compressed.check_flac(content, start, stop), name, on_note)
                for part, (start, stop) in zip(
                    _split(source, flac_starts, size), pairwise([*flac_starts, size]), strict=True
                )
            ]
        tag = compressed.read_xing(content)
        if tag and not tag.fits(content) and containers.is_available():
            return [FileRecording(partial(_open_container, source, name, tag.seconds))]
        return [FileRecording(partial(_open_mp3, source, name))] if tag else []


def _split(source: Encoded, starts: list[int], size: int) -> list[Encoded | ByteRange]:
    """Return the ranges that begin at these positions; the source itself if there is one."""
    if len(starts) < 2:
        return [source]
    return [ByteRange(source, start, stop) for start, stop in pairwise([*starts, size])]


def _plan_flac(part: Encoded | ByteRange, length: compressed.FlacLength, name: str, on_note: OnNote) -> FileRecording:
    if length.is_exact or not containers.is_available():
        return FileRecording(
            partial(_open_any, part, name), length.seconds if length.is_exact and length.rate else None
        )
    if length.is_complete and length.samples:
        on_note(AudioNote("wrong-length", f"{length.seconds:.1f} s by the header"))
    return FileRecording(partial(_open_container, part, name, 0.0 if length.is_complete else length.seconds))


def _open_any(source: Encoded | ByteRange, name: str) -> AudioDecoder:
    """Open with libsndfile or, for MP3 without a length and for what it cannot read, with FFmpeg. Raises AudioError."""
    try:
        decoder = SoundFileDecoder(source, name)
        if decoder.format != "MP3" or not containers.is_available():
            return decoder
        decoder.close()
        reason: Exception | None = None
    except (soundfile.LibsndfileError, TypeError) as error:
        reason = error
    return _open_container(source, name, reason=reason)


def _open_mp3(source: Encoded, name: str) -> AudioDecoder:
    try:
        return SoundFileDecoder(source, name)
    except soundfile.LibsndfileError as error:
        return _open_container(source, name, reason=error)


def _open_container(
    source: Encoded | ByteRange, name: str, claimed_s: float = 0.0, reason: Exception | None = None
) -> AudioDecoder:
    """Open with FFmpeg. reason: why libsndfile did not, which stays in __cause__. Raises AudioError."""
    try:
        return ContainerDecoder(source, name, claimed_s)
    except UnreadableError as error:
        raise not_audio_error(name) from reason or error
