"""Streaming of a recording of any length in blocks of 16 kHz samples, in constant memory."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np
import soundfile

from asrkit.audio import containers
from asrkit.audio.files import MAX_MISSING_FRACTION, check_file, data_chunk_fraction, not_audio_error, open_sound_file
from asrkit.audio.resampling import StreamResampler
from asrkit.errors import AudioError

BLOCK_S = 10.0


def stream_blocks(path: str | Path) -> Iterator[np.ndarray]:
    """Decode a file into (n,) float32 blocks of about ten seconds, mono, 16 kHz.

    Raises AudioError as `load_audio` does: with the first block for a file that is missing, empty or not audio; later
    for samples that are not finite and for a file that is cut off.
    """
    check_file(path)
    try:
        file = open_sound_file(path)
    except (soundfile.LibsndfileError, TypeError) as error:
        if not containers.is_available():
            raise not_audio_error(path) from error
        rate, mono = _decode_container(path)
    else:
        rate, mono = file.samplerate, _decode_sound_file(file, path)
    resampler, num_samples = StreamResampler(rate), 0
    for block in mono:
        num_samples += len(block)
        if not np.isfinite(block).all():
            raise AudioError(f"{path} has samples that are not finite (NaN or infinity); export it again.")
        yield resampler.push(block)
    if not num_samples:
        raise AudioError(f"{path} holds no audio (zero frames); record it again or leave it out.")
    yield resampler.finish()


def _decode_sound_file(file: soundfile.SoundFile, path: str | Path) -> Iterator[np.ndarray]:
    with file:
        size, num_frames = round(BLOCK_S * file.samplerate), 0
        while True:
            try:
                block = file.read(size, dtype="float32", always_2d=True)
            except soundfile.LibsndfileError as error:
                raise AudioError(
                    f"{path} is damaged {num_frames / file.samplerate:.0f} s into the recording; "
                    "copy or download it again."
                ) from error
            if not len(block):
                break
            num_frames += len(block)
            yield block.mean(axis=1, dtype=np.float32)
        fraction = min(data_chunk_fraction(file), num_frames / file.frames if file.frames else 1.0)
        if fraction < 1 - MAX_MISSING_FRACTION:
            raise AudioError(
                f"{path} is cut off: only {fraction:.0%} of the audio is there; copy or download it again."
            )


def _decode_container(path: str | Path) -> tuple[int, Iterator[np.ndarray]]:
    """Decode with PyAV what libsndfile cannot read. Raises AudioError where FFmpeg fails too, at once or later."""
    import av

    try:
        container = containers.open_container(path)
    except av.FFmpegError as error:
        raise not_audio_error(path) from error
    if not container.streams.audio:
        container.close()
        raise not_audio_error(path)
    stream = container.streams.audio[0]

    def decoded() -> Iterator[np.ndarray]:
        to_mono = av.AudioResampler(format="flt", layout="mono", rate=stream.rate)
        size, num_buffered, buffer = round(BLOCK_S * stream.rate), 0, []
        with container:
            try:
                for frame in chain(container.decode(stream), [None]):  # None flushes the resampler
                    for part in to_mono.resample(frame):
                        buffer.append(part.to_ndarray()[0])
                        num_buffered += part.samples
                    if buffer and (num_buffered >= size or frame is None):
                        yield np.concatenate(buffer)
                        num_buffered, buffer = 0, []
            except av.FFmpegError as error:
                raise not_audio_error(path) from error

    return stream.rate, decoded()
