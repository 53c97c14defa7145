"""FLAC, Ogg and MP3 files whose header declares another length than that of their audio, and joined files."""

import io
import struct

import av
import numpy as np
import pytest
import soundfile

from asrkit.audio import SAMPLING_RATE, compressed, decoders, load_audio, read_duration_s, stream_blocks
from asrkit.errors import AudioError
from tests.support.recordings import encode

TONES = {hertz: 0.4 * np.sin(2 * np.pi * hertz * np.arange(2 * SAMPLING_RATE) / SAMPLING_RATE) for hertz in (440, 1320)}
"""Two seconds each."""


def write(tmp_path, hertz, kind, subtype=None, rate=SAMPLING_RATE, channels=1):
    name = tmp_path / f"{hertz}-{rate}-{channels}"
    samples = np.interp(np.arange(2 * rate) / rate, np.arange(2 * SAMPLING_RATE) / SAMPLING_RATE, TONES[hertz])
    soundfile.write(name, np.stack([samples] * channels, 1), rate, format=kind, subtype=subtype)
    return name.read_bytes()


def pitches(samples, count):
    """The strongest frequency of each of `count` parts."""
    middles = [part[len(part) // 4 : len(part) // 4 + 8000] for part in np.array_split(samples, count)]
    return [float(np.abs(np.fft.rfft(middle, SAMPLING_RATE)).argmax()) for middle in middles]


def check_both(path, seconds, hertz, codes=None):
    notes = []
    whole = load_audio(path, on_note=notes.append)
    assert whole.duration_s == pytest.approx(seconds, abs=0.03 * seconds)
    assert pitches(whole.samples, len(hertz)) == pytest.approx(hertz, abs=3)
    streamed = np.concatenate(list(stream_blocks(path)))
    np.testing.assert_allclose(streamed, whole.samples, atol=1e-6)
    assert read_duration_s(path) == pytest.approx(whole.duration_s, abs=0.08)
    assert codes is None or [note.code for note in notes] == codes


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_chained_ogg_is_read_to_the_last(tmp_path, subtype):
    links = [write(tmp_path, hertz, "OGG", subtype) for hertz in (440, 1320, 440)]
    (tmp_path / "a.ogg").write_bytes(b"".join(links))
    check_both(tmp_path / "a.ogg", 6, [440, 1320, 440], ["joined-files"])
    assert pitches(load_audio(tmp_path / "a.ogg", start_s=2.2, end_s=3.8).samples, 1) == pytest.approx([1320], abs=3)


def test_chained_ogg_of_other_rates_channels_and_codecs(tmp_path):
    links = [
        write(tmp_path, 440, "OGG", "VORBIS"),
        write(tmp_path, 1320, "OGG", "VORBIS", 44_100, 2),
        write(tmp_path, 440, "OGG", "OPUS"),
    ]
    (tmp_path / "a.ogg").write_bytes(b"".join(links))
    check_both(tmp_path / "a.ogg", 6, [440, 1320, 440], ["joined-files"])


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_end_of_ogg_is_sought_exactly(tmp_path, subtype):
    path = tmp_path / "a.ogg"
    noise = np.random.default_rng(0).uniform(-0.4, 0.4, 4 * SAMPLING_RATE)
    soundfile.write(path, noise, SAMPLING_RATE, subtype=subtype)
    whole = load_audio(path).samples
    for start_s in (1.0, 3.2, 3.9):
        part = load_audio(path, start_s=start_s).samples
        assert np.abs(part[200:] - whole[-len(part) :][200:]).max() < 0.05


def test_ogg_that_ends_within_a_page_is_cut_off(tmp_path):
    content = write(tmp_path, 440, "OGG", "VORBIS")
    (tmp_path / "a.ogg").write_bytes(content[: len(content) * 2 // 3])
    for call in (load_audio, read_duration_s, lambda path: list(stream_blocks(path))):
        with pytest.raises(AudioError, match="is cut off"):
            call(tmp_path / "a.ogg")


def set_samples(content, count):
    content = bytearray(content)
    content[21] = content[21] & 0xF0 | count >> 32
    content[22:26] = struct.pack(">I", count & 0xFFFFFFFF)
    return bytes(content)


@pytest.mark.parametrize(
    ("count", "codes"),
    [(0, []), (9_000, ["wrong-length"]), (900_000, ["wrong-length"]), ((1 << 36) - 1, ["wrong-length"])],
)
def test_flac_is_read_to_its_last_frame(tmp_path, count, codes):
    (tmp_path / "a.flac").write_bytes(set_samples(write(tmp_path, 440, "FLAC"), count))
    check_both(tmp_path / "a.flac", 2, [440], codes)


@pytest.mark.parametrize("second", [440, 1320])
def test_joined_flac_files_are_read_to_the_last(tmp_path, second):
    (tmp_path / "a.flac").write_bytes(write(tmp_path, 440, "FLAC") + write(tmp_path, second, "FLAC"))
    check_both(tmp_path / "a.flac", 4, [440, second], ["joined-files"])


@pytest.mark.parametrize(("before", "behind"), [(b"ID3\4\0\0\0\0\2\1" + bytes(257), b""), (b"", b"TAG" + bytes(125))])
def test_tags_around_flac_are_skipped(tmp_path, before, behind):
    (tmp_path / "a.flac").write_bytes(before + write(tmp_path, 440, "FLAC") + behind)
    check_both(tmp_path / "a.flac", 2, [440], [])


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
@pytest.mark.parametrize("num_samples", [100, 4096, 4097, 60_000])
def test_last_frame_of_flac_gives_its_length(subtype, num_samples):
    buffer = io.BytesIO()
    samples = np.random.default_rng(num_samples).uniform(-1, 1, (num_samples, 2))
    soundfile.write(buffer, samples, 48_000, format="FLAC", subtype=subtype)
    content = buffer.getvalue()
    length = compressed.check_flac(content, 0, len(content))
    assert (length.is_exact, length.samples, length.rate) == (True, num_samples, 48_000)
    wrong = compressed.check_flac(set_samples(content, num_samples + 1), 0, len(content))
    assert (wrong.is_exact, wrong.is_complete) == (False, True)
    cut = set_samples(content, num_samples + 1)[:-9]
    assert not compressed.check_flac(cut, 0, len(cut)).is_complete


def test_length_of_a_whole_flac_file_needs_no_decoder(tmp_path, monkeypatch):
    path = tmp_path / "a.flac"
    path.write_bytes(write(tmp_path, 440, "FLAC", rate=8000))
    monkeypatch.setattr(decoders, "SoundFileDecoder", None)
    assert read_duration_s(path) == 2.0


def write_mp3(tmp_path, hertz, *, has_tag=True, quality="2"):
    path = encode(
        tmp_path / "one.mp3",
        TONES[hertz],
        "libmp3lame",
        options={"write_xing": "1" if has_tag else "0", "id3v2_version": "3" if has_tag else "0"},
    )
    return path.read_bytes()


ID3_WITH_PICTURE = b"ID3\3\0\0\0\0\x20\0" + np.random.default_rng(0).integers(0, 255, 4096, np.uint8).tobytes()
APE_TAG = b"APETAGEX" + struct.pack("<IIII", 2000, 132, 1, 0x80000000) + bytes(108)


@pytest.mark.parametrize("has_tag", [True, False])
@pytest.mark.parametrize("between", [b"", ID3_WITH_PICTURE, APE_TAG])
def test_joined_mp3_files_are_read_to_the_last(tmp_path, has_tag, between):
    parts = [write_mp3(tmp_path, 440, has_tag=has_tag), between, write_mp3(tmp_path, 1320, has_tag=has_tag)]
    (tmp_path / "a.mp3").write_bytes(b"".join(parts))
    check_both(tmp_path / "a.mp3", 4.15, [440, 1320], ["wrong-length"] if has_tag else [])


@pytest.mark.parametrize("behind", [APE_TAG, b"TAG" + bytes(125), ID3_WITH_PICTURE])
def test_tags_behind_mp3_are_no_audio(tmp_path, behind):
    (tmp_path / "a.mp3").write_bytes(write_mp3(tmp_path, 440) + behind)
    check_both(tmp_path / "a.mp3", 2, [440], [])


def test_variable_rate_mp3_without_a_tag_is_read_to_its_end(tmp_path):
    """Silence, then noise: the first frames tell of many times the length."""
    samples = np.concatenate(
        [np.zeros(8 * SAMPLING_RATE), np.random.default_rng(0).uniform(-0.5, 0.5, 4 * SAMPLING_RATE)]
    )
    for name, part in (("rising.mp3", samples), ("falling.mp3", samples[::-1])):
        path = write_variable_mp3(tmp_path / name, part)
        assert load_audio(path).duration_s == pytest.approx(12, abs=0.15)
        assert sum(map(len, stream_blocks(path))) == pytest.approx(12 * SAMPLING_RATE, abs=0.15 * SAMPLING_RATE)
        assert read_duration_s(path) == pytest.approx(12, abs=0.15)


def write_variable_mp3(path, samples):
    with av.open(str(path), "w", options={"write_xing": "0", "id3v2_version": "0"}) as out:
        stream = out.add_stream("libmp3lame", rate=SAMPLING_RATE, layout="mono", options={"q": "0"})
        stream.codec_context.flags |= av.codec.context.Flags.qscale
        stream.codec_context.global_quality = 0
        frame = av.AudioFrame.from_ndarray(samples.astype(np.float32)[None], format="fltp", layout="mono")
        frame.sample_rate = SAMPLING_RATE
        fitting = av.AudioResampler(format="fltp", layout="mono", rate=SAMPLING_RATE, frame_size=stream.frame_size)
        for piece in [piece for part in (frame, None) for piece in fitting.resample(part)]:
            out.mux(stream.encode(piece))
        out.mux(stream.encode(None))
    return path


def test_cut_mp3_is_refused(tmp_path):
    content = write_mp3(tmp_path, 440)
    (tmp_path / "a.mp3").write_bytes(content[: len(content) // 2])
    with pytest.raises(AudioError, match=r"a\.mp3 is cut off: only [45]\d% of the audio is there"):
        load_audio(tmp_path / "a.mp3")
