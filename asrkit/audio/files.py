"""A file, encoded bytes or a microphone array -> `Waveform`: mono float32 at 16 kHz.

soundfile (libsndfile) decodes WAV of every width (G.711 in it too), FLAC, OGG/Opus, MP3 and NIST SPHERE; raw G.711 is
recognised by the file's name. What libsndfile cannot read goes to PyAV: m4a, webm, AMR, G.722 and others.
"""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import soundfile

from asrkit.audio import containers
from asrkit.audio.resampling import resample
from asrkit.audio.waveform import MIN_SAMPLING_RATE, Waveform
from asrkit.errors import AudioError

# Decoded audio may fall this far short of what its header promises (MP3 headers are estimates); more means a cut file.
MAX_MISSING_FRACTION = 0.1

# A recorder that writes to a pipe does not know the length and leaves a huge one in the WAV header.
_UNKNOWN_LENGTH = 0x7FFF0000
_CUT_DATA_CHUNK = re.compile(r"^data\s*:\s*(\d+) \(should be (\d+)\)", re.MULTILINE)

_UNKNOWN_FRAMES = 1 << 62  # libsndfile's count for a FLAC file that was written to a pipe is the largest number

_BLOCK_FRAMES = 1 << 20  # frames of one read, since a header may claim terabytes

_UNRECOGNISED = 1  # libsndfile's SF_ERR_UNRECOGNISED_FORMAT

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

Source = str | Path | bytes | tuple[int, np.ndarray]


def load_audio(source: Source, *, start_s: float = 0.0, end_s: float | None = None) -> Waveform:
    """Decode, mix to mono and resample `source`, or its part from start_s to end_s.

    source: a path, the bytes of an encoded file, or `(rate, array)` as gr.Audio hands it, where the array is (n,) or
    (n, channels) of integers (scaled by their range) or floats (taken as they are). A part of a file is sought, not
    decoded from its beginning.

    Raises AudioError for a file that is missing, empty, cut off or not audio, and for samples that are not finite.
    """
    rate, samples = _decode(source, start_s, end_s)
    return Waveform(resample(samples.mean(axis=1, dtype=np.float32), rate))


def read_duration_s(path: str | Path) -> float:
    """Read the duration of a file in seconds from its header alone; 0.0 for a header without audio.

    Raises AudioError for a file that is missing, empty (0 bytes) or not audio.
    """
    check_file(path)
    try:
        with open_sound_file(path) as file:
            return file.frames / file.samplerate
    except (soundfile.LibsndfileError, TypeError) as error:
        length = containers.read_duration_s(path)
        if length is None:
            raise not_audio_error(path) from error
        return length


def decode_audio(source: Source, *, start_s: float = 0.0, end_s: float | None = None) -> tuple[int, np.ndarray]:
    """Decode at the original sampling rate: (rate, (n,) mono float32). Raises as `load_audio` does."""
    rate, samples = _decode(source, start_s, end_s)
    return rate, samples.mean(axis=1, dtype=np.float32)


def _decode(source: Source, start_s: float, end_s: float | None) -> tuple[int, np.ndarray]:
    """-> (rate, (n, channels) float32, finite, with n >= 1)."""
    if start_s < 0 or (end_s is not None and end_s <= start_s):
        raise AudioError(f"{_name(source)} cannot be read from {start_s:g} s to {end_s:g} s; give 0 <= start < end.")
    if isinstance(source, tuple):
        rate, samples = _from_array(*source)
        samples = samples[round(start_s * rate) : None if end_s is None else round(end_s * rate)]
    else:
        rate, samples = _from_encoded(source, start_s, end_s)
    if rate < MIN_SAMPLING_RATE:
        raise AudioError(
            f"{_name(source)} has a sampling rate of {rate} Hz; speech needs at least {MIN_SAMPLING_RATE} Hz."
        )
    if not len(samples):
        part = f" after {start_s:g} s" if start_s else ""
        raise AudioError(f"{_name(source)} holds no audio (zero frames{part}); record it again or leave it out.")
    num_bad = samples.size - int(np.isfinite(samples).sum())
    if num_bad:
        raise AudioError(
            f"{_name(source)} has {num_bad} samples that are not finite (NaN or infinity); export it again."
        )
    return rate, samples


def _from_encoded(source: str | Path | bytes, start_s: float, end_s: float | None) -> tuple[int, np.ndarray]:
    if isinstance(source, bytes):
        if not source:
            raise AudioError(f"{_name(source)} is empty (0 bytes); send the whole file.")
    else:
        check_file(source)
    try:
        with open_sound_file(source) as file:
            return file.samplerate, _read(file, _name(source), start_s, end_s)
    except (soundfile.LibsndfileError, TypeError) as error:
        decoded = containers.decode(source)
        if decoded is None:
            raise not_audio_error(source) from error
        rate, samples = decoded
        return rate, samples[round(start_s * rate) : None if end_s is None else round(end_s * rate)]


def open_sound_file(source: str | Path | bytes) -> soundfile.SoundFile:
    """Open a file or encoded bytes with libsndfile.

    Raises LibsndfileError for what is not audio and for a FLAC without a length, which libsndfile cannot read
    to its end; TypeError for `.raw`, which has no header.
    """
    law = None if isinstance(source, bytes) else _HEADERLESS.get(Path(source).suffix.lower())
    if law:
        return soundfile.SoundFile(str(source), samplerate=8_000, channels=1, format="RAW", subtype=law)
    file = soundfile.SoundFile(io.BytesIO(source) if isinstance(source, bytes) else str(source))
    if file.frames >= _UNKNOWN_FRAMES:
        file.close()
        raise soundfile.LibsndfileError(_UNRECOGNISED)
    return file


def _read(file: soundfile.SoundFile, name: str, start_s: float, end_s: float | None) -> np.ndarray:
    first = min(round(start_s * file.samplerate), file.frames)
    last = file.frames if end_s is None else min(round(end_s * file.samplerate), file.frames)
    if first:
        file.seek(first)
    samples = _read_blocks(file, last - first)
    share = min(data_chunk_fraction(file), len(samples) / (last - first) if last > first else 1.0)
    if share < 1 - MAX_MISSING_FRACTION:
        raise AudioError(f"{name} is cut off: only {share:.0%} of the audio is there; copy or download it again.")
    return samples


def _read_blocks(file: soundfile.SoundFile, num_frames: int) -> np.ndarray:
    """(n, channels) float32 with n <= num_frames. Memory grows with the audio, not with what the header claims."""
    blocks = [np.zeros((0, file.channels), np.float32)]
    while num_frames > 0:
        block = file.read(min(num_frames, _BLOCK_FRAMES), dtype="float32", always_2d=True)
        blocks.append(block)
        num_frames -= len(block)
        if len(block) < _BLOCK_FRAMES:
            break
    return blocks[1] if len(blocks) == 2 else np.concatenate(blocks)


def data_chunk_fraction(file: soundfile.SoundFile) -> float:
    """Return how much of the audio that a WAV header claims is there. libsndfile reports it in its log only."""
    cut = _CUT_DATA_CHUNK.search(file.extra_info)
    if not cut or not 0 < int(cut[1]) < _UNKNOWN_LENGTH:
        return 1.0
    return int(cut[2]) / int(cut[1])


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
    path = Path(path)
    try:
        str(path).encode("utf-8")  # libsndfile takes no other names
        if not path.exists():
            raise AudioError(f"{path} does not exist; check the path.")
        if not path.is_file():
            raise AudioError(f"{path} is a folder; give an audio file.")
        if path.stat().st_size == 0:
            raise AudioError(f"{path} is empty (0 bytes); copy it again or leave it out.")
    except UnicodeEncodeError as error:
        raise AudioError(f"The file name {str(path)!r} is not UTF-8; rename the file.") from error
    except OSError as error:  # a name that is too long, a folder that is closed
        raise AudioError(f"{str(path)!r:.200} cannot be opened ({error!r:.80}); check the path.") from error


def not_audio_error(source: Source) -> AudioError:
    # libsndfile's own reason stays in __cause__: for a damaged MP3 it says that the file does not exist.
    return AudioError(
        f"{_name(source)} cannot be read as audio: it is damaged or in another format; export it as WAV, FLAC, "
        "OGG/Opus or MP3"
        + ("." if containers.is_available() else ", or install PyAV (pip install av) to read m4a, webm and others.")
    )


def _name(source: Source) -> str:
    if isinstance(source, tuple):
        return "The recording"
    return f"The uploaded audio ({len(source)} bytes)" if isinstance(source, bytes) else str(source)
