import itertools
import tracemalloc

import numpy as np
import pytest
import soundfile

from asrkit.audio import peaks
from asrkit.audio.confined import AudioReader
from asrkit.audio.peaks import Peaks, stream_peaks
from asrkit.errors import AudioError


def read_all(path):
    found = Peaks()
    for block in stream_peaks(path):
        found.add(block)
    found.finish()
    return found


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000])
def test_bins_are_the_extremes_of_ten_milliseconds(tmp_path, rate, monkeypatch):
    monkeypatch.setattr(peaks, "_BLOCK_S", 0.333)  # no block ends with a bin
    samples = np.random.default_rng(0).uniform(-1, 1, round(2.345 * rate)).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", samples, rate, subtype="FLOAT")
    found = np.concatenate(list(stream_peaks(tmp_path / "a.wav")))
    edges = [round(number * rate / 100) for number in range(len(found))] + [len(samples)]
    expected = [(samples[a:b].min(), samples[a:b].max()) for a, b in itertools.pairwise(edges)]
    assert len(found) == 235
    np.testing.assert_array_equal(found, np.array(expected, np.float32))


def test_coarser_bins_keep_the_extremes(tmp_path):
    samples = np.zeros(16_000, np.float32)
    samples[[4_000, 12_000]] = 0.5, -1.0
    soundfile.write(tmp_path / "a.wav", samples, 16_000, subtype="FLOAT")
    found = read_all(tmp_path / "a.wav")
    assert found.duration_s == pytest.approx(1.0)
    assert found.read(0, 10, 50).tolist() == [[0, 64], [-127, 0]]
    assert found.read(1, 10, 64).tolist() == [[-127, 0]]  # the last one is shorter
    assert found.read(9, 10, 64).tolist() == []


def test_bins_become_longer_where_there_are_too_many(monkeypatch):
    monkeypatch.setattr(peaks, "MAX_BINS", 100)
    found, values = Peaks(), np.random.default_rng(0).integers(-127, 128, (1_003, 2))
    values.sort(axis=1)
    for block in np.array_split(values, 17):
        found.add((block / 127).astype(np.float32))
    found.finish()
    assert found.bin_s == pytest.approx(0.16) and len(found.read(0, 1_000, 1)) == 63
    assert found.duration_s == pytest.approx(63 * 0.16)
    groups = np.split(values, range(16, 1_003, 16))
    assert found.read(0, 1_000, 1).tolist() == [[group[:, 0].min(), group[:, 1].max()] for group in groups]


def test_sandbox_gives_the_same(clip):
    path = clip("a.flac", seconds=3)
    with AudioReader([path]) as reader:
        np.testing.assert_array_equal(np.concatenate(list(reader.stream_peaks(path))), next(stream_peaks(path)))


def test_file_that_is_no_audio_is_an_error(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"no audio")
    with pytest.raises(AudioError, match="cannot be read as audio"), AudioReader([tmp_path / "a.wav"]) as reader:
        list(reader.stream_peaks(tmp_path / "a.wav"))


def test_memory_does_not_grow_with_the_length(tmp_path):
    used = []
    for minutes in (2, 12):
        with soundfile.SoundFile(tmp_path / "a.wav", "w", 16_000, 1) as file:
            for _ in range(minutes):
                file.write(np.zeros(60 * 16_000, np.int16))
        tracemalloc.start()
        for _ in stream_peaks(tmp_path / "a.wav"):
            pass
        used.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert used[1] < 1.1 * used[0]
