"""A file, encoded bytes or a microphone array -> `Waveform`: mono float32 at 16 kHz.

soundfile (libsndfile) decodes WAV of every width (G.711 in it too), FLAC, OGG/Opus, MP3 and NIST SPHERE; raw G.711 is
recognised by the file's name. What libsndfile cannot read, or not to its end, goes to PyAV: m4a, webm, AMR, joined MP3
files and others. Every file is decoded to its end, whatever its header says.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import numpy as np
import soxr

from asrkit.audio.decoders import Encoded, plan_decoders
from asrkit.audio.downmix import mix_all
from asrkit.audio.notes import OnNote, ignore_note
from asrkit.audio.resampling import QUALITY, StreamResampler
from asrkit.audio.waveform import (
    MAX_SAMPLES,
    SAMPLING_RATE,
    Samples,
    Waveform,
    check_format,
)
from asrkit.errors import AudioError

_BLOCK_S = 60.0  # seconds of one read, since a header may claim terabytes
_MAX_BLOCK_VALUES = 8_000_000  # of one read: 32 MB, whatever rate and channels

Source = Encoded | tuple[int, np.ndarray]


def load_audio(
    source: Source, *, start_s: float = 0.0, end_s: float | None = None, on_note: OnNote = ignore_note
) -> Waveform:
    """Decode, mix to mono and resample `source`, or its part from start_s to end_s.

    source: a path, the bytes of an encoded file, or `(rate, array)` as gr.Audio hands it, where the array is (n,) or
    (n, channels) of integers (scaled by their range) or floats (taken as they are). A part of a file is sought, not
    decoded from its beginning. on_note: called with what was read otherwise than the file plainly says.

    Raises AudioError for a file that is missing, empty, cut off or not audio, and for samples that are not finite.
    """
    pieces: list[Samples] = []
    num_samples = 0
    for rate, blocks in groupby(_decode(source, start_s, end_s, on_note), lambda pair: pair[0]):
        resampler = StreamResampler(rate)
        for _, block in blocks:
            pieces.append(resampler.push(block))
            num_samples = _check_length(num_samples + len(pieces[-1]), source)
        pieces.append(resampler.finish())
    return Waveform(_join(pieces))


def read_duration_s(path: str | Path, on_note: OnNote = ignore_note) -> float:
    """Return the seconds of audio in a file without decoding it; 0.0 for a header without audio.

    Where the file does not bear out its header, frames or packets are counted: within one of them, it is what
    `load_audio` decodes. Raises AudioError for a file that is missing, empty (0 bytes), cut off or not audio.
    """
    check_file(path)
    return sum(recording.read_duration_s() for recording in plan_decoders(path, str(path), on_note))


def decode_audio(
    source: Source, *, start_s: float = 0.0, end_s: float | None = None, on_note: OnNote = ignore_note
) -> tuple[int, Samples]:
    """Decode at the original sampling rate: (rate, (n,) mono float32). Raises as `load_audio` does."""
    parts: list[tuple[int, Samples]] = []
    num_samples = 0
    for rate, blocks in groupby(_decode(source, start_s, end_s, on_note), lambda pair: pair[0]):
        kept = []
        for _, block in blocks:
            num_samples = _check_length(num_samples + len(block), source)
            kept.append(block)
        parts.append((rate, _join(kept)))
    rate = parts[0][0]
    return rate, _join(
        [samples if other == rate else soxr.resample(samples, other, rate, QUALITY) for other, samples in parts]
    )


def _check_length(num_samples: int, source: Source) -> int:
    """Return the number of samples. Raises AudioError for more than are held at once."""
    if num_samples > MAX_SAMPLES:
        raise AudioError(
            f"{name_source(source)} is longer than the {MAX_SAMPLES // (3600 * SAMPLING_RATE)} hours that are read at "
            "once; cut it into clips, or name the part of each row by start and end."
        )
    return num_samples


def iter_mono(
    source: Encoded, start_s: float, end_s: float | None, block_s: float, on_note: OnNote
) -> Iterator[tuple[int, Samples]]:
    """Yield (rate, (n,) mono samples, n > 0) of about `block_s` seconds; joined recordings may differ in rate.

    Raises AudioError as `load_audio` does, but for a source without audio.
    """
    name, offset_s = name_source(source), 0.0
    plan = plan_decoders(source, name, on_note)
    for recording in plan:
        if end_s is not None and offset_s >= end_s:
            return
        decoder = recording.open()
        check_format(decoder.rate, decoder.num_channels, name)
        block_s = min(block_s, _MAX_BLOCK_VALUES / (decoder.rate * decoder.num_channels))
        if len(plan) > 1 and (start_s or end_s is not None):
            offset_s, begin_s = offset_s + recording.read_duration_s(), offset_s
            if start_s >= offset_s:
                continue
        else:
            begin_s = 0.0
        part_end_s = None if end_s is None else end_s - begin_s
        for block in decoder.iter_blocks(max(0.0, start_s - begin_s), part_end_s, block_s, on_note):
            num_bad = block.size - int(np.isfinite(block).sum())
            if num_bad:
                raise AudioError(
                    f"{name} has {num_bad} samples that are not finite (NaN or infinity); export it again."
                )
            if len(block):
                yield decoder.rate, block


def _decode(source: Source, start_s: float, end_s: float | None, on_note: OnNote) -> Iterator[tuple[int, Samples]]:
    """Yield (rate, (n,) mono float32, finite) of the recordings in the source, with n >= 1. Raises if there is none."""
    name = name_source(source)
    if start_s < 0 or (end_s is not None and end_s <= start_s):
        raise AudioError(f"{name} cannot be read from {start_s:g} s to {end_s:g} s; give 0 <= start < end.")
    if isinstance(source, tuple):
        blocks = iter([_decode_array(*source, start_s, end_s, on_note)])
    else:
        _check_source(source)
        blocks = iter_mono(source, start_s, end_s, _BLOCK_S, on_note)
    is_empty = True
    for rate, block in blocks:
        if len(block):
            is_empty = False
            yield rate, block
    if is_empty:
        part = f" after {start_s:g} s" if start_s else ""
        raise AudioError(f"{name} holds no audio (zero frames{part}); record it again or leave it out.")


def _join(blocks: list[Samples]) -> Samples:
    blocks = [block for block in blocks if len(block)]
    return blocks[0] if len(blocks) == 1 else np.concatenate([np.zeros(0, np.float32), *blocks])


def _check_source(source: Encoded) -> None:
    if not isinstance(source, bytes):
        check_file(source)
    elif not source:
        raise AudioError(f"{name_source(source)} is empty (0 bytes); send the whole file.")


def _decode_array(
    rate: int, array: np.ndarray, start_s: float, end_s: float | None, on_note: OnNote
) -> tuple[int, Samples]:
    rate, samples = _from_array(rate, array)
    samples = samples[round(start_s * rate) : None if end_s is None else round(end_s * rate)]
    check_format(rate, samples.shape[1], "The recording")
    num_bad = samples.size - int(np.isfinite(samples).sum())
    if num_bad:
        raise AudioError(f"The recording has {num_bad} samples that are not finite (NaN or infinity); export it again.")
    mono, notes = mix_all(samples, rate)
    for note in notes:
        on_note(note)
    return rate, mono


def _from_array(rate: int, array: np.ndarray) -> tuple[int, np.ndarray]:
    """(n,) or (n, channels) of any number type -> (rate, (n, channels) float32)."""
    array = np.asarray(array)
    if array.ndim not in (1, 2) or array.dtype.kind not in "iuf":
        raise AudioError(
            f"The recording is an array of shape {array.shape} and type {array.dtype}; "
            "give numbers of shape (n,) or (n, channels)."
        )
    if array.dtype.kind == "f":
        samples = array.astype(np.float32)
    else:
        limits = np.iinfo(array.dtype)
        middle = (int(limits.max) + int(limits.min) + 1) // 2  # 0 when signed, 128 for 8-bit WAV
        full_scale = (int(limits.max) - int(limits.min) + 1) // 2
        samples = ((array.astype(np.float64) - middle) / full_scale).astype(np.float32)
    return int(rate), samples if samples.ndim == 2 else samples[:, None]


def check_file(path: str | Path) -> None:
    path = str(path)
    try:
        path.encode("utf-8")  # libsndfile takes no other names
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise AudioError(f"{path} is a folder; give an audio file.")
        if status.st_size == 0:
            raise AudioError(f"{path} is empty (0 bytes); copy it again or leave it out.")
    except UnicodeEncodeError as error:
        raise AudioError(f"The file name {path!r} is not UTF-8; rename the file.") from error
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:  # ValueError: a name with NUL
        raise AudioError(f"{path} does not exist; check the path.") from error
    except OSError as error:  # a name that is too long, a folder that is closed
        raise AudioError(f"{path!r:.200} cannot be opened ({error!r:.80}); check the path.") from error


def name_source(source: Source) -> str:
    """Return the name of a source for messages."""
    if isinstance(source, tuple):
        return "The recording"
    return f"The uploaded audio ({len(source)} bytes)" if isinstance(source, bytes) else str(source)
