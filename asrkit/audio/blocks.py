"""A recording of any length in blocks of 16 kHz samples, so that three hours of it take the memory of a minute."""

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

    Raises AudioError, at the first block for a file that is missing, empty or not audio, and on the way for samples
    that are not finite or for a file that turns out to be cut off, as `load_audio` does.
    """
    check_file(path)
    try:
        file = open_sound_file(path)
    except (soundfile.LibsndfileError, TypeError) as error:
        if not containers.is_available():
            raise not_audio_error(path) from error
        rate, mono = _of_container(path)
    else:
        rate, mono = file.samplerate, _of_soundfile(file, path)
    convert, taken = StreamResampler(rate), 0
    for block in mono:
        taken += len(block)
        if not np.isfinite(block).all():
            raise AudioError(f"{path} has samples that are not finite (NaN or infinity); export it again.")
        yield convert.push(block)
    if not taken:
        raise AudioError(f"{path} holds no audio (zero frames); record it again or leave it out.")
    yield convert.finish()


def _of_soundfile(file: soundfile.SoundFile, path: str | Path) -> Iterator[np.ndarray]:
    with file:
        size, taken = round(BLOCK_S * file.samplerate), 0
        while True:
            try:
                block = file.read(size, dtype="float32", always_2d=True)
            except soundfile.LibsndfileError as error:
                raise AudioError(
                    f"{path} is damaged {taken / file.samplerate:.0f} s into the recording; copy or download it again."
                ) from error
            if not len(block):
                break
            taken += len(block)
            yield block.mean(axis=1, dtype=np.float32)
        share = min(data_chunk_fraction(file), taken / file.frames if file.frames else 1.0)
        if share < 1 - MAX_MISSING_FRACTION:
            raise AudioError(f"{path} is cut off: only {share:.0%} of the audio is there; copy or download it again.")


def _of_container(path: str | Path) -> tuple[int, Iterator[np.ndarray]]:
    """What libsndfile cannot read. AudioError where FFmpeg cannot either, or breaks off on the way."""
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
        size, held, waiting = round(BLOCK_S * stream.rate), 0, []
        with container:
            try:
                for frame in chain(container.decode(stream), [None]):  # None flushes the resampler
                    for part in to_mono.resample(frame):
                        waiting.append(part.to_ndarray()[0])
                        held += part.samples
                    if waiting and (held >= size or frame is None):
                        yield np.concatenate(waiting)
                        held, waiting = 0, []
            except av.FFmpegError as error:
                raise not_audio_error(path) from error

    return stream.rate, decoded()
