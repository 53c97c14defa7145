"""Audio files of a few kB whose headers ask for gigabytes: what is decoded and held at once has a bound."""

from __future__ import annotations

import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from asrkit.audio import files, load_audio, waveform
from asrkit.audio.blocks import stream_blocks
from asrkit.audio.files import decode_audio
from asrkit.audio.resampling import StreamResampler
from asrkit.errors import AudioError

MB = 1 << 20


def peak_bytes(act: Callable[[], Any]) -> int:
    """Return the most that Python and numpy held while `act` ran, which may raise AudioError."""
    tracemalloc.start()
    try:
        act()
    except AudioError:
        pass
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return peak


def write_wav(path: Path, rate: int, channels: int, num_bytes: int = 8_000) -> Path:
    """Write a WAV file of 16 bits with any rate and number of channels."""
    block = 2 * channels
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, rate, min(rate * block, 2**32 - 1), block, 16)
    data = struct.pack("<4sI", b"data", num_bytes) + bytes(num_bytes)
    path.write_bytes(struct.pack("<4sI4s", b"RIFF", 4 + len(fmt) + len(data), b"WAVE") + fmt + data)
    return path


@pytest.mark.parametrize("rate", [1_000_010, 384_001, 2**31 - 1])
def test_impossible_sampling_rate_is_refused_unread(tmp_path: Path, rate: int) -> None:
    path = write_wav(tmp_path / "a.wav", rate, 1)
    for act in (load_audio, decode_audio, lambda path: list(stream_blocks(path))):
        with pytest.raises(AudioError, match=f"has a sampling rate of {rate} Hz; convert it"):
            act(path)
    with pytest.raises(AudioError, match="has a sampling rate"):
        StreamResampler(rate)
    with pytest.raises(AudioError, match="has a sampling rate"):
        load_audio((rate, np.zeros(100, np.float32)))


@pytest.mark.parametrize(("rate", "channels"), [(16_000, 65), (16_000, 1_000), (192_000, 32), (384_000, 9)])
def test_too_many_channels_are_refused(tmp_path: Path, rate: int, channels: int) -> None:
    path = write_wav(tmp_path / "a.wav", rate, channels, 200 * channels)
    with pytest.raises(AudioError, match=rf"has {channels} channels of {rate} Hz, which are too many"):
        load_audio(path)
    with pytest.raises(AudioError, match="which are too many"):
        list(stream_blocks(path))


def test_silence_of_eight_channels_is_decoded_in_small_blocks(tmp_path: Path) -> None:
    """FLAC packs eight channels of silence 10,000 to one: 180 s at 96 kHz are 550 MB, of which 11 MB are kept."""
    path = tmp_path / "a.flac"
    with soundfile.SoundFile(path, "w", 96_000, 8, subtype="PCM_16") as file:
        for _ in range(180):
            file.write(np.zeros((96_000, 8), np.int16))
    assert path.stat().st_size < 1_000_000
    assert peak_bytes(lambda: load_audio(path)) < 250 * MB
    assert load_audio(path).duration_s == 180


def test_blocks_do_not_grow_with_rate_and_channels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    read = soundfile.SoundFile.read

    def count(file: soundfile.SoundFile, frames: int = -1, **options: Any) -> Any:
        sizes.append(frames * file.channels)
        return read(file, frames, **options)

    monkeypatch.setattr(soundfile.SoundFile, "read", count)
    load_audio(write_wav(tmp_path / "a.wav", 48_000, 64, 12_800))
    load_audio(write_wav(tmp_path / "b.wav", 384_000, 8, 12_800))
    assert len(sizes) == 2 and max(sizes) <= files._MAX_BLOCK_VALUES


def test_length_that_is_held_at_once_has_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted while it is decoded: the file may pack any length into a few bytes. Streaming holds one block alone."""
    monkeypatch.setattr(files, "MAX_SAMPLES", 16_000 * 20)
    monkeypatch.setattr(files, "_BLOCK_S", 1.0)
    path = tmp_path / "a.flac"
    soundfile.write(path, np.zeros(16_000 * 600, np.int16), 16_000)
    for act in (load_audio, decode_audio):
        with pytest.raises(AudioError, match="longer than the .* hours that are read at once; cut it into clips"):
            act(path)
        assert peak_bytes(lambda act=act: act(path)) < 5 * MB
    assert len(load_audio(path, start_s=590).samples) == 160_000
    assert sum(map(len, stream_blocks(path))) == 16_000 * 600


def test_bound_admits_what_people_record() -> None:
    assert waveform.MAX_SAMPLES >= 3 * 3600 * waveform.SAMPLING_RATE
    for rate, channels in ((8_000, 1), (48_000, 2), (192_000, 2), (384_000, 2), (48_000, 32), (96_000, 8)):
        waveform.check_format(rate, channels, "a.wav")
