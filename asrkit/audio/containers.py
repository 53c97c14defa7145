"""Audio through PyAV: what libsndfile cannot read (m4a, webm, mp4, AMR, G.722 ...), or not to its end.

PyAV ships its own FFmpeg, so nothing has to be installed on the system. It is tried last and imported only then, so the
project works without it on platforms that it does not support, except for these formats.

A container has a clock: the audio of a video may begin after the picture, and a recording that was paused may have a
gap. Where the clock runs ahead of the audio, silence is put in, so that times are those that a player shows.
"""

from __future__ import annotations

import importlib.util
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asrkit.audio.byte_ranges import ByteRange, source_size
from asrkit.audio.container_frames import BlockMixer, ContainerFrames, open_container, seconds
from asrkit.audio.container_sizes import declared_size
from asrkit.audio.notes import AudioNote, OnNote, cut_off_error, length_note
from asrkit.audio.waveform import Samples
from asrkit.errors import AudioError

if TYPE_CHECKING:
    from av import Packet
    from av.container import InputContainer

MIN_GAP_S = 0.1
"""Time stamps may be off by a frame, or rounded: the clock is followed from this difference on."""
MAX_SILENCE_S = 6 * 3600.0
"""Silence that is put into one recording at most; a clock that leaps further has been set, or is nonsense."""
MAX_BROADCAST_GAP_S = 10.0
"""The same for one gap in formats whose clock may be set at any time (MPEG-TS)."""
MAX_MISSING_FRACTION = 0.1
"""Audio may fall this far short of what its header declares; more means a cut file."""
PREROLL_S = 1.0
"""A part is decoded from so far before its start: the first frames after a jump are incomplete."""
_SEEKABLE = {"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"}


class UnreadableError(Exception):
    """FFmpeg cannot read the source as audio, or PyAV is not installed."""


def is_available() -> bool:
    return importlib.util.find_spec("av") is not None


def not_audio_error(name: str) -> AudioError:
    """Return the error for a source that no decoder can read."""
    return AudioError(
        f"{name} cannot be read as audio: it is damaged or in another format; export it as WAV, FLAC, OGG/Opus or MP3"
        + ("." if is_available() else ", or install PyAV (pip install av) to read m4a, webm and others.")
    )


class Clock:
    """Places frames on the time line of a container whose first time stamp is `origin_s`."""

    def __init__(self, origin_s: float, max_gap_s: float) -> None:
        self._offset_s, self._max_gap_s, self._silence_left_s = -origin_s, max_gap_s, MAX_SILENCE_S

    def gap(self, stamp_s: float, position_s: float) -> float:
        """Return the seconds of silence between `position_s`, where the audio so far ends, and the next frame."""
        gap_s = stamp_s + self._offset_s - position_s
        if abs(gap_s) < MIN_GAP_S:
            return 0.0
        if 0 < gap_s <= min(self._max_gap_s, self._silence_left_s):
            self._silence_left_s -= gap_s
            return gap_s
        self._offset_s -= gap_s  # the clock was set: joined recordings count from 0 again
        return 0.0


class ContainerDecoder:
    """Decodes the first audio stream to mono blocks at its own sampling rate.

    name: of the source, for messages. claimed_s: seconds of audio that the file is known to have had. Raises
    UnreadableError for what is not audio, and AudioError for a file that is cut off.
    """

    def __init__(self, source: str | Path | bytes | ByteRange, name: str, claimed_s: float = 0.0) -> None:
        if not is_available():
            raise UnreadableError
        import av

        self._source, self._name, self._claimed_s = source, name, claimed_s
        self._missing_bytes = self._check_size()
        is_joined = self._missing_bytes < 0
        try:
            with open_container(source) as container:
                stream = container.streams.audio[0] if container.streams.audio else None
                if stream is None or not stream.rate:
                    raise UnreadableError
                self.rate: int = stream.rate
                self.num_channels: int = max(1, stream.channels)
                self._origin_s = (container.start_time or 0) / av.time_base
                self._is_seekable = container.format.name in _SEEKABLE and not is_joined
                self._max_gap_s = MAX_BROADCAST_GAP_S if container.format.name == "mpegts" else MAX_SILENCE_S
                if container.format.name.startswith("mov") and stream.frames and stream.duration and stream.time_base:
                    self._claimed_s = float(stream.duration * stream.time_base)
                    self._indexed_s = self._claimed_s + self._start_s(stream)
                else:
                    self._indexed_s = 0.0
        except av.FFmpegError as error:
            raise UnreadableError from error

    def _start_s(self, stream: Any) -> float:
        start_s = float((stream.start_time or 0) * stream.time_base) - self._origin_s
        return start_s if start_s >= MIN_GAP_S else 0.0

    def _check_size(self) -> int:
        """Return how many bytes are missing at the end of the file, below 0 where another file may be joined to it.

        Raises AudioError for a file that is cut off.
        """
        if isinstance(self._source, ByteRange):
            return 0
        size = source_size(self._source)
        declared = declared_size(self._source, size)
        if size < (1 - MAX_MISSING_FRACTION) * declared:
            raise cut_off_error(self._name, size / declared)
        return declared - size

    def read_duration_s(self) -> float:
        """Return the seconds of audio: by the index, or by counting packets, which are not decoded."""
        import av

        if self._indexed_s:
            return self._indexed_s
        clock, position_s, last_s, trimmed = Clock(self._origin_s, self._max_gap_s), 0.0, 0.0, 0
        try:
            with open_container(self._source) as container:
                stream = container.streams.audio[0]
                for packet in container.demux(stream):
                    if not packet.size:
                        continue
                    stamp_s, length_s = seconds(packet.pts, stream), seconds(packet.duration, stream) or 0.0
                    if stamp_s is not None:
                        gap_s = stamp_s - self._origin_s - position_s
                        position_s += clock.gap(stamp_s, position_s) or (gap_s if abs(gap_s) < MIN_GAP_S else 0.0)
                    last_s = length_s or last_s
                    position_s += length_s
                    trimmed = _trimmed_samples(packet)
        except av.FFmpegError:
            pass  # decoding tells what is wrong with the end of the file
        return max(0.0, position_s - trimmed / self.rate)

    def iter_blocks(self, start_s: float, end_s: float | None, block_s: float, on_note: OnNote) -> Iterator[Samples]:
        """Yield (n,) mono float32 blocks of about `block_s` seconds, from start_s to end_s on the time line.

        Raises AudioError for a file that is cut off or badly damaged.
        """
        import av

        first, last = round(start_s * self.rate), None if end_s is None else round(end_s * self.rate)
        clock, mixer = Clock(self._origin_s, self._max_gap_s), BlockMixer(self.rate, round(block_s * self.rate))
        gaps: list[tuple[float, float]] = []
        try:
            container, frames, position = self._open_at(start_s)
            with container:
                for stamp_s, block, weights in frames:
                    gap_s = 0.0 if stamp_s is None else clock.gap(stamp_s, position / self.rate)
                    if gap_s:
                        gaps.append((position / self.rate, gap_s))
                        num_silent = round(gap_s * self.rate)
                        yield from mixer.push_silence(_overlap(position, num_silent, first, last))
                        position += num_silent
                    begin, count = max(0, first - position), _overlap(position, len(block), first, last)
                    yield from mixer.push(block[begin : begin + count], weights)
                    position += len(block)
                    if last is not None and position >= last:
                        break
                else:
                    self._check_end(frames, position, gaps, is_whole=not first and last is None, on_note=on_note)
        except av.FFmpegError as error:
            raise not_audio_error(self._name) from error
        yield from mixer.finish()
        for note in (*mixer.notes(), *_describe_gaps(gaps)):
            on_note(note)

    def _open_at(self, start_s: float) -> tuple[InputContainer, ContainerFrames, int]:
        """Open the container a little before a time; return the frames from there, and the sample of the first."""
        container = open_container(self._source)
        frames = ContainerFrames(container, self.rate)
        if start_s <= 2 * PREROLL_S or not self._is_seekable:
            return container, frames, 0
        container.seek(int((start_s - PREROLL_S + self._origin_s) * 1e6))
        stamp_s = frames.peek_stamp()
        if stamp_s is not None and stamp_s - self._origin_s <= start_s:
            return container, frames, round(max(0.0, stamp_s - self._origin_s) * self.rate)
        container.close()  # the jump went too far, or into a gap
        return self._open_at(0.0)

    def _check_end(
        self,
        frames: ContainerFrames,
        position: int,
        gaps: list[tuple[float, float]],
        *,
        is_whole: bool,
        on_note: OnNote,
    ) -> None:
        """Compare what was decoded up to the end of the file with what the file is known to have had."""
        decoded_s = frames.num_samples / self.rate
        if not is_whole or not (frames.num_samples or frames.bad_s):
            return
        decoded_s += sum(gap_s for at_s, gap_s in gaps if at_s)
        fraction = decoded_s / self._claimed_s if self._claimed_s else 1.0
        if fraction < 1 - MAX_MISSING_FRACTION:
            raise cut_off_error(self._name, fraction)
        if frames.bad_s > MAX_MISSING_FRACTION * (decoded_s + frames.bad_s):
            raise AudioError(
                f"{self._name} is damaged: {frames.bad_s:.1f} s of it cannot be decoded; copy or download it again."
            )
        missing_s = self._claimed_s - decoded_s
        if self._missing_bytes > 0:
            on_note(AudioNote("cut-short", f"{self._missing_bytes} bytes"))
        elif missing_s >= MIN_GAP_S:
            on_note(AudioNote("cut-short", f"{missing_s:.1f} of {self._claimed_s:.1f} s"))
        elif self._claimed_s and -missing_s > MAX_MISSING_FRACTION * self._claimed_s:
            on_note(length_note("wrong-length", self._claimed_s, decoded_s))
        if frames.bad_s >= MIN_GAP_S:
            on_note(AudioNote("undecodable-parts", f"{frames.bad_s:.1f} s"))


def _describe_gaps(gaps: list[tuple[float, float]]) -> list[AudioNote]:
    """gaps: (position, length) in seconds."""
    notes = [AudioNote("late-start", f"{length_s:.1f} s") for at_s, length_s in gaps[:1] if not at_s]
    later = [length_s for at_s, length_s in gaps if at_s]
    if later:
        count = "1 gap" if len(later) == 1 else f"{len(later)} gaps"
        notes.append(AudioNote("time-gaps", f"{sum(later):.1f} s in {count}"))
    return notes


def _overlap(position: int, count: int, first: int, last: int | None) -> int:
    """Return how many of `count` samples from `position` on lie between `first` and `last`."""
    stop = position + count if last is None else min(position + count, last)
    return max(0, stop - max(position, first))


def _trimmed_samples(packet: Packet[Any]) -> int:
    """Return how many samples at the end of a packet are padding of the encoder."""
    if not packet.has_sidedata("skip_samples"):
        return 0
    return int(struct.unpack("<I", bytes(packet.get_sidedata("skip_samples"))[4:8])[0])
