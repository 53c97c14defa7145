"""Containers and their clocks."""

import av
import numpy as np
import pytest

from asrkit.audio import SAMPLING_RATE, load_audio, read_duration_s, stream_blocks
from asrkit.audio.containers import MAX_BROADCAST_GAP_S, MAX_SILENCE_S, Clock
from asrkit.errors import AudioError
from tests.support.recordings import encode

CONTAINERS = [
    ("a.mkv", "aac", 16_000),
    ("a.mkv", "libopus", 48_000),
    ("a.webm", "libopus", 48_000),
    ("a.mp4", "aac", 44_100),
    ("a.m4a", "aac", 16_000),
    ("a.mov", "pcm_s16le", 16_000),
    ("a.ts", "aac", 16_000),
    ("a.flv", "aac", 44_100),
]


def onset_s(samples):
    return int(np.flatnonzero(np.abs(samples) > 0.1)[0]) / SAMPLING_RATE


def decode_plainly(path):
    """Seconds that FFmpeg decodes."""
    with av.open(str(path)) as container:
        frames = container.decode(container.streams.audio[0])
        return sum(frame.samples / frame.sample_rate for frame in frames)


@pytest.mark.parametrize(
    ("name", "codec", "rate"),
    [*CONTAINERS, ("a.aac", "aac", 16_000), ("a.ac3", "ac3", 48_000), ("a.amr", "amr_nb", 8_000)],
)
def test_all_that_ffmpeg_decodes_is_read(tmp_path, sine, name, codec, rate):
    path = encode(tmp_path / name, sine(3.0), codec, rate=rate)
    expected_s = decode_plainly(path)
    notes = []
    whole = load_audio(path, on_note=notes.append)
    assert whole.duration_s == pytest.approx(expected_s, abs=0.01)
    assert np.array_equal(np.concatenate(list(stream_blocks(path))), whole.samples)
    assert read_duration_s(path) == pytest.approx(expected_s, abs=0.07)
    assert load_audio(path.read_bytes()).duration_s == whole.duration_s
    assert not notes


@pytest.mark.parametrize(("name", "codec", "rate"), [case for case in CONTAINERS if case[0] != "a.m4a"])
def test_audio_that_begins_late_in_a_video_is_placed_by_the_clock(tmp_path, sine, name, codec, rate):
    path = encode(tmp_path / name, sine(2.0), codec, rate=rate, gaps=[(0, 3.0)], video_s=6)
    notes = []
    whole = load_audio(path, on_note=notes.append)
    assert onset_s(whole.samples) == pytest.approx(3.0, abs=0.08)
    assert whole.duration_s == pytest.approx(5.0, abs=0.1)
    assert read_duration_s(path) == pytest.approx(5.0, abs=0.1)
    assert [note.code for note in notes] == ["late-start"]
    np.testing.assert_array_equal(np.concatenate(list(stream_blocks(path))), whole.samples)
    part = load_audio(path, start_s=2.5, end_s=4.0).samples
    assert onset_s(part) == pytest.approx(0.5, abs=0.08)
    assert len(part) == pytest.approx(1.5 * SAMPLING_RATE, abs=2)


@pytest.mark.parametrize(("name", "codec", "rate"), [case for case in CONTAINERS if case[0] not in ("a.mov",)])
def test_gap_in_the_time_stamps_is_silence(tmp_path, sine, name, codec, rate):
    path = encode(tmp_path / name, sine(4.0), codec, rate=rate, gaps=[(1.0, 2.0), (3.0, 1.5)])
    notes = []
    whole = load_audio(path, on_note=notes.append)
    assert whole.duration_s == pytest.approx(7.5, abs=0.15)
    assert read_duration_s(path) == pytest.approx(7.5, abs=0.15)
    sounding = np.abs(whole.samples[: 7 * SAMPLING_RATE]).reshape(-1, SAMPLING_RATE // 4).max(axis=1) > 0.1
    times = np.flatnonzero(sounding) / 4
    assert not [at for at in times if 1.3 < at < 2.7 or 5.3 < at < 6.2]
    assert {0.5, 3.5, 4.5, 6.75} <= set(times)
    assert [(note.code, note.detail) for note in notes] == [("time-gaps", "3.5 s in 2 gaps")]
    part = load_audio(path, start_s=4.0, end_s=5.0).samples
    np.testing.assert_allclose(np.abs(part).max(), 0.5, atol=0.15)
    assert np.abs(load_audio(path, start_s=1.4, end_s=2.6).samples).max() < 0.05


def test_clock_of_audio_alone_counts_from_its_first_frame(tmp_path, sine):
    path = encode(tmp_path / "a.mkv", sine(2.0), "libopus", rate=48_000, gaps=[(0, 5.0)])
    assert load_audio(path).duration_s == pytest.approx(2.0, abs=0.02)
    assert read_duration_s(path) == pytest.approx(2.0, abs=0.05)


@pytest.mark.parametrize(("name", "codec", "rate"), [("a.mkv", "aac", 16_000), ("a.m4a", "aac", 16_000)])
def test_part_far_into_a_container_is_sought(tmp_path, name, codec, rate):
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 8 * SAMPLING_RATE)
    path = encode(tmp_path / name, noise, codec, rate=rate)
    whole = load_audio(path).samples
    for start_s, end_s in ((2.5, 3.5), (6.0, 7.9)):
        part = load_audio(path, start_s=start_s, end_s=end_s).samples
        expected = whole[round(start_s * SAMPLING_RATE) : round(end_s * SAMPLING_RATE)]
        assert np.abs(part - expected).max() < 1e-3


@pytest.mark.parametrize(("name", "codec", "rate"), [("a.webm", "libopus", 48_000), ("a.aac", "aac", 16_000)])
def test_joined_containers_are_read_to_the_last(tmp_path, sine, name, codec, rate):
    content = encode(tmp_path / name, sine(3.0), codec, rate=rate).read_bytes()
    (tmp_path / name).write_bytes(content + content)
    assert load_audio(tmp_path / name).duration_s == pytest.approx(6.0, abs=0.2)
    assert read_duration_s(tmp_path / name) == pytest.approx(6.0, abs=0.2)
    assert load_audio(tmp_path / name, start_s=4.0, end_s=5.0).duration_s == pytest.approx(1.0)


def test_webm_without_a_length_is_read_to_its_end(tmp_path, sine):
    """As a browser records it."""
    path = encode(tmp_path / "a.webm", sine(3.0), "libopus", rate=48_000, options={"live": "1"})
    assert b"\x44\x89" not in path.read_bytes()[:300]  # the element of the duration
    assert load_audio(path).duration_s == pytest.approx(3.0, abs=0.02)
    assert read_duration_s(path) == pytest.approx(3.0, abs=0.05)


@pytest.mark.parametrize(
    ("name", "codec", "rate", "options"),
    [
        ("a.mkv", "libopus", 48_000, {}),
        ("a.webm", "libopus", 48_000, {}),
        ("a.m4a", "aac", 16_000, {"movflags": "faststart"}),
        ("a.wma", "wmav2", 44_100, {}),
    ],
)
def test_cut_container_is_refused(tmp_path, sine, name, codec, rate, options):
    path = encode(tmp_path / name, sine(8.0), codec, rate=rate, options=options)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    for call in (load_audio, lambda path: list(stream_blocks(path))):
        with pytest.raises(AudioError, match="is cut off"):
            call(path)


def test_fragment_that_is_cut_is_noted(tmp_path, sine):
    options = {"movflags": "frag_keyframe+empty_moov", "frag_duration": "500000"}
    path = encode(tmp_path / "a.mp4", sine(4.0), "aac", options=options)
    content = path.read_bytes()
    path.write_bytes(content[:-2000])
    notes = []
    assert load_audio(path, on_note=notes.append).duration_s > 1.5
    assert [note.code for note in notes] == ["cut-short"]


def test_stereo_of_a_container_is_mixed(tmp_path, sine):
    voice = sine(3.0)
    path = encode(tmp_path / "a.m4a", np.stack([voice, -voice], 1), "aac")
    notes = []
    samples = load_audio(path, on_note=notes.append).samples
    assert np.abs(samples[8000:40_000]).max() == pytest.approx(0.5, abs=0.1)
    assert [note.code for note in notes] == ["opposite-phase"]


def test_clock_that_is_set_back_goes_on():
    clock = Clock(0.0, MAX_SILENCE_S)
    assert clock.gap(0.0, 0.0) == 0
    assert clock.gap(0.02, 5.0) == 0  # a joined recording counts from 0 again
    assert clock.gap(1.02, 6.0) == 0
    assert clock.gap(4.02, 7.0) == pytest.approx(2.0)


def test_silence_is_limited():
    clock = Clock(0.0, MAX_SILENCE_S)
    assert clock.gap(1e9, 1.0) == 0
    assert clock.gap(1e9 + 1, 2.0) == 0
    assert clock.gap(1e9 + 1 + MAX_SILENCE_S, 2.0) == pytest.approx(MAX_SILENCE_S)
    assert clock.gap(1e9 + 2 + MAX_SILENCE_S + 1, 2.0 + MAX_SILENCE_S) == 0
    assert Clock(0.0, MAX_BROADCAST_GAP_S).gap(3600.0, 1.0) == 0
