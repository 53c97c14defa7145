"""The frames of a container, decoded with PyAV, and their mix to blocks of mono samples."""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from asrkit.audio.byte_ranges import ByteRange
from asrkit.audio.downmix import Downmixer, surround_weights
from asrkit.audio.notes import AudioNote
from asrkit.audio.waveform import Samples

if TYPE_CHECKING:
    from av import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer

HEADERLESS = {".g722": "g722", ".722": "g722"}
"""FFmpeg's format by suffix for files without a header."""

SELF_CONTAINED = (
    "mov,mp4,matroska,webm,aac,amr,amrnb,amrwb,asf,g722,caf,aiff,au,wav,w64,ogg,flac,mp3,avi,flv,mpeg,"
    "mpegts,ac3,eac3,wv,tta,ape,gsm"
)
"""The formats that FFmpeg may detect. Playlists are excluded: an uploaded playlist could refer to any other file."""


class ContainerFrames:
    """Iterates over (time stamp in seconds or None, (n, channels) float32, weights of the channels) of a container.

    num_samples: decoded so far. bad_s: seconds that could not be decoded.
    """

    def __init__(self, container: InputContainer, rate: int) -> None:
        self.num_samples, self.bad_s = 0, 0.0
        self._container, self._stream, self._rate = container, container.streams.audio[0], rate
        self._format: tuple[Any, ...] = ()
        self._iterator = self._iterate()

    def __iter__(self) -> Iterator[tuple[float | None, Samples, list[float] | None]]:
        return self._iterator

    def peek_stamp(self) -> float | None:
        """Return the time stamp of the next frame; None without one, or without a frame."""
        first = next(self._iterator, None)
        if first is None:
            return None
        self._iterator = chain([first], self._iterator)
        return first[0]

    def _iterate(self) -> Iterator[tuple[float | None, Samples, list[float] | None]]:
        import av

        frame_s = 0.0
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except av.FFmpegError:  # the file ends within a packet
                self.bad_s += frame_s
                packet = None
            if packet is None:
                return
            try:
                frames = packet.decode()
            except av.EOFError:
                return
            except av.FFmpegError:
                self.bad_s += seconds(packet.duration, self._stream) or frame_s
                continue
            for frame in frames:
                frame_s = frame.samples / frame.sample_rate
                yield frame.time, *self._convert(frame)

    def _convert(self, frame: AudioFrame) -> tuple[Samples, list[float] | None]:
        """Convert a frame to (n, channels) at the rate of the stream; joined files may change in the middle."""
        import av

        form = (frame.format.name, frame.layout.name, frame.sample_rate)
        if form != self._format:
            self._format = form
            self._resampler = av.AudioResampler(format="fltp", layout=frame.layout, rate=self._rate)
            self._weights = surround_weights([channel.name for channel in frame.layout.channels])
        empty = np.zeros((0, frame.layout.nb_channels), np.float32)
        block = np.concatenate([empty, *(part.to_ndarray().T for part in self._resampler.resample(frame))])
        self.num_samples += len(block)
        return block, self._weights


class BlockMixer:
    """Gathers blocks of any number of channels, mixed to mono, until there are `size` samples."""

    def __init__(self, rate: int, size: int) -> None:
        self._rate, self._size, self._count = rate, size, 0
        self._mixer: Downmixer | None = None
        self._num_channels = 1
        self._blocks: list[Samples] = []
        self._notes: list[AudioNote] = []

    def push(self, block: Samples, weights: list[float] | None = None) -> Iterator[Samples]:
        if self._mixer is None or block.shape[1] != self._num_channels:
            yield from self.finish()
            self._num_channels = block.shape[1]
            self._mixer = Downmixer(self._rate, self._num_channels, weights)
        self._blocks.append(block)
        self._count += len(block)
        if self._count >= self._size:
            yield self._mixer.push(self._gather())

    def push_silence(self, count: int) -> Iterator[Samples]:
        while count > 0:
            yield from self.push(np.zeros((min(count, self._size), self._num_channels), np.float32))
            count -= self._size

    def finish(self) -> Iterator[Samples]:
        if self._mixer is not None:
            yield self._mixer.push(self._gather())
            yield self._mixer.finish()
            self._notes += self._mixer.notes()
            self._mixer = None

    def notes(self) -> list[AudioNote]:
        return list({note.code: note for note in self._notes}.values())

    def _gather(self) -> Samples:
        blocks, self._blocks, self._count = self._blocks, [], 0
        return np.concatenate(blocks) if blocks else np.zeros((0, self._num_channels), np.float32)


def open_container(source: str | Path | bytes | ByteRange) -> InputContainer:
    """Open a container. Raises av.FFmpegError for an unknown format."""
    import av

    suffix = ""
    readable: Any
    if isinstance(source, bytes):
        readable = io.BytesIO(source)
    elif isinstance(source, ByteRange):
        readable = source.open()
    else:
        readable, suffix = str(Path(source).absolute()), Path(source).suffix.lower()  # a colon would mean a protocol
    # Strict is the default: a title in another encoding would make the audio unreadable.
    return av.open(
        readable,
        mode="r",
        format=HEADERLESS.get(suffix),
        metadata_errors="replace",
        options={"format_whitelist": SELF_CONTAINED},
    )


def seconds(stamp: int | None, stream: AudioStream) -> float | None:
    return None if stamp is None or stream.time_base is None else float(stamp * stream.time_base)
