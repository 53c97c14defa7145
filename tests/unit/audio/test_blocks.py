import tracemalloc

import av
import numpy as np
import pytest
import soundfile

from asrkit.audio import SAMPLING_RATE, StreamResampler, load_audio, stream_blocks
from asrkit.errors import AudioError


def read_blocks(path):
    return np.concatenate(list(stream_blocks(path)))


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000])
def test_blocks_together_are_the_recording(clip, rate):
    path = clip("a.wav", seconds=23.4, rate=rate)
    found, whole = read_blocks(path), load_audio(path).samples
    assert abs(len(found) - len(whole)) <= 2
    size = min(len(found), len(whole)) - 200
    np.testing.assert_allclose(found[200:size], whole[200:size], atol=0.01)


@pytest.mark.parametrize("name", ["a.flac", "a.ogg", "a.mp3"])
def test_compressed_formats(clip, name):
    path = clip(name, seconds=12)
    assert len(read_blocks(path)) == pytest.approx(12 * SAMPLING_RATE, abs=0.1 * SAMPLING_RATE)


def test_m4a_is_streamed(tmp_path, sine):
    path = tmp_path / "a.m4a"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44_100, layout="stereo")
        wave = np.stack([sine(25, 44_100)] * 2)
        for start in range(0, wave.shape[1], 1024):
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(wave[:, start : start + 1024]), "fltp", "stereo")
            frame.sample_rate, frame.pts = 44_100, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    found = list(stream_blocks(path))
    assert len(found) >= 3 and sum(map(len, found)) == pytest.approx(25 * SAMPLING_RATE, abs=0.2 * SAMPLING_RATE)
    np.testing.assert_allclose(read_blocks(path), load_audio(path).samples[: sum(map(len, found))], atol=0.02)


def test_six_channels_at_96_khz(tmp_path, sine):
    soundfile.write(tmp_path / "six.wav", np.stack([sine(11, 96_000)] * 6, axis=1), 96_000)
    assert len(read_blocks(tmp_path / "six.wav")) == pytest.approx(11 * SAMPLING_RATE, abs=2)


def test_unusable_files_are_reported(tmp_path, clip):
    (tmp_path / "text.wav").write_text("Dear friend,")
    (tmp_path / "none.wav").write_bytes(b"")
    soundfile.write(tmp_path / "zero.wav", np.zeros(0), SAMPLING_RATE)
    soundfile.write(tmp_path / "nan.wav", np.array([0.1, np.nan]), SAMPLING_RATE, subtype="FLOAT")
    whole = clip("whole.wav", seconds=30).read_bytes()
    (tmp_path / "cut.wav").write_bytes(whole[: len(whole) // 2])
    for name, words in {
        "gone.wav": "does not exist",
        "none.wav": "is empty",
        "text.wav": "cannot be read as audio",
        "zero.wav": "holds no audio",
        "nan.wav": "not finite",
        "cut.wav": "cut off: only 50%",
    }.items():
        with pytest.raises(AudioError, match=words):
            read_blocks(tmp_path / name)
    with pytest.raises(AudioError, match="sampling rate of 500 Hz"):
        StreamResampler(500)


def test_damaged_mp3_is_reported(clip, tmp_path):
    whole = clip("whole.mp3", seconds=30).read_bytes()
    litter = np.random.default_rng(0).integers(0, 256, len(whole) - 4000, dtype=np.uint8).tobytes()
    (tmp_path / "litter.mp3").write_bytes(whole[:4000] + litter)
    (tmp_path / "cut.mp3").write_bytes(whole[: len(whole) // 2])
    for name in ("litter.mp3", "cut.mp3"):
        with pytest.raises(AudioError, match=f"{name} is (damaged|cut off)"):
            read_blocks(tmp_path / name)


def test_memory_does_not_grow_with_duration(tmp_path):
    with soundfile.SoundFile(tmp_path / "hour.wav", "w", 8_000, 1) as file:
        for _ in range(60):
            file.write(np.zeros(60 * 8_000, np.float32))
    tracemalloc.start()
    assert sum(map(len, stream_blocks(tmp_path / "hour.wav"))) == pytest.approx(3600 * SAMPLING_RATE, abs=10)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12e6, "a block of ten seconds, several times over"
