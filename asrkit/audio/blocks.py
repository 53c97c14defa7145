"""Streaming of a recording of any length in blocks of 16 kHz samples, in constant memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from asrkit.audio.files import check_file, iter_mono
from asrkit.audio.notes import OnNote, ignore_note
from asrkit.audio.resampling import StreamResampler
from asrkit.audio.waveform import Samples
from asrkit.errors import AudioError

BLOCK_S = 10.0


def stream_blocks(path: str | Path, on_note: OnNote = ignore_note) -> Iterator[Samples]:
    """Decode a file into (n,) float32 blocks of about ten seconds, mono, 16 kHz.

    on_note: called with what was read otherwise than the file plainly says. Raises AudioError as `load_audio` does:
    with the first block for a file that is missing, empty or not audio; later for samples that are not finite and for a
    file that turns out to be cut off.
    """
    check_file(path)
    resampler: StreamResampler | None = None
    num_samples = 0
    for rate, block in iter_mono(path, 0.0, None, BLOCK_S, on_note):
        if resampler is None or resampler.rate != rate:
            if resampler is not None:
                yield resampler.finish()
            resampler = StreamResampler(rate)
        num_samples += len(block)
        yield resampler.push(block)
    if resampler is None or not num_samples:
        raise AudioError(f"{path} holds no audio (zero frames); record it again or leave it out.")
    yield resampler.finish()
