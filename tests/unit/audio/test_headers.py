"""Files whose header declares another length than that of their audio."""

import io
import struct

import numpy as np
import pytest
import soundfile

from asrkit.audio import SAMPLING_RATE, load_audio, read_duration_s, stream_blocks
from asrkit.audio.headers import check_header
from asrkit.errors import AudioError

LIST = b"LIST" + struct.pack("<I", 26) + b"INFOISFT" + struct.pack("<I", 14) + b"Lavf62.12.102\0"
NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, 2 * SAMPLING_RATE).astype(np.float32)
"""Two seconds, none of which looks like a chunk or like padding."""


def encode(kind, subtype="PCM_16", samples=NOISE, endian=None):
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, SAMPLING_RATE, format=kind, subtype=subtype, endian=endian)
    return buffer.getvalue()


def patch(content, position, form, *values):
    content = bytearray(content)
    struct.pack_into(form, content, position, *values)
    return bytes(content)


def set_wav_size(content, size, riff_size=None):
    content = patch(content, content.index(b"data") + 4, "<I", size)
    return content if riff_size is None else patch(content, 4, "<I", riff_size)


def check_everywhere(path, expected, *, codes=()):
    """The same audio whole, streamed and in part, and its duration, with these notes."""
    notes, streamed_notes = [], []
    whole = load_audio(path, on_note=notes.append)
    streamed = np.concatenate(list(stream_blocks(path, streamed_notes.append)))
    assert len(whole.samples) == len(expected)
    np.testing.assert_allclose(whole.samples, expected, atol=0.01)
    np.testing.assert_array_equal(streamed, whole.samples)
    assert read_duration_s(path) == pytest.approx(whole.duration_s, abs=1e-4)
    end_s = whole.duration_s
    part = load_audio(path, start_s=end_s - 0.5).samples
    np.testing.assert_allclose(part, whole.samples[-len(part) :], atol=1e-6)
    np.testing.assert_array_equal(load_audio(path.read_bytes()).samples, whole.samples)
    assert tuple(note.code for note in notes) == codes
    assert notes == streamed_notes


WAV = encode("WAV")
SIZE = 2 * len(NOISE)


@pytest.mark.parametrize(
    ("content", "codes"),
    [
        pytest.param(set_wav_size(WAV, 0), ("wrong-length",), id="zero"),
        pytest.param(set_wav_size(WAV, 0, 0), ("wrong-length",), id="zero, as the RIFF size"),
        pytest.param(set_wav_size(WAV, 0) + LIST, ("wrong-length",), id="zero, with a chunk behind"),
        pytest.param(set_wav_size(WAV, SIZE // 3 & ~1), ("assumed-audio",), id="too small"),
        pytest.param(set_wav_size(WAV, 20_000, 20_036), ("assumed-audio",), id="too small, as the RIFF size"),
        pytest.param(set_wav_size(WAV, 20_000) + LIST, ("assumed-audio",), id="too small, with a chunk behind"),
        pytest.param(set_wav_size(WAV, SIZE * 5), ("wrong-length",), id="too large"),
        pytest.param(set_wav_size(WAV, SIZE * 5, 0), ("wrong-length",), id="too large, RIFF size unknown"),
        pytest.param(set_wav_size(WAV, 0xFFFFFFFF, 0xFFFFFFFF), (), id="unknown"),
        pytest.param(set_wav_size(WAV, 0x7FFFFFFF, 0x7FFFFFFF) + LIST, (), id="unknown, with a chunk behind"),
        pytest.param(set_wav_size(WAV, 0x80000000, 0x80000024), (), id="unknown, half of 32 bits"),
        pytest.param(WAV, (), id="right"),
        pytest.param(WAV + LIST, (), id="right, with a chunk behind"),
        pytest.param(WAV[:36] + LIST + WAV[36:], (), id="right, with a chunk before"),
        pytest.param(WAV + b"\x07", (), id="odd last byte"),
        pytest.param(WAV + b"TAG" + bytes(range(125)), (), id="ID3v1 behind"),
        pytest.param(WAV + bytes(40_000), (), id="padded with zeros"),
        pytest.param(encode("WAV", endian="BIG"), (), id="RIFX"),
        pytest.param(set_wav_size(encode("RF64"), 0xFFFFFFFF), (), id="RF64"),
    ],
)
def test_wav_is_read_to_its_end(tmp_path, content, codes):
    (tmp_path / "a.wav").write_bytes(content)
    check_everywhere(tmp_path / "a.wav", NOISE, codes=codes)


@pytest.mark.parametrize("kind", ["WAV", "WAVEX"])
@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW"])
@pytest.mark.parametrize(("size", "code"), [(0, "wrong-length"), (9000, "assumed-audio")])
def test_wav_of_every_width_is_read_to_its_end(tmp_path, kind, subtype, size, code):
    content = encode(kind, subtype)
    (tmp_path / "a.wav").write_bytes(set_wav_size(content, size))
    expected = load_audio(content).samples
    assert len(expected) == len(NOISE)
    check_everywhere(tmp_path / "a.wav", expected, codes=(code,))


@pytest.mark.parametrize("subtype", ["IMA_ADPCM", "MS_ADPCM", "GSM610"])
def test_compressed_wav_is_read_to_its_end(tmp_path, subtype):
    content = encode("WAV", subtype)
    (tmp_path / "a.wav").write_bytes(set_wav_size(content, 0))
    assert load_audio(tmp_path / "a.wav").duration_s == pytest.approx(2, abs=0.05)


def locate(kind, content):
    """-> position and `struct` format of the size of the data."""
    return {
        "AIFF": lambda: (content.index(b"SSND") + 4, ">I"),
        "AU": lambda: (8, ">I"),
        "CAF": lambda: (content.index(b"data") + 4, ">q"),
        "W64": lambda: (content.index(b"data\xf3\xac") + 16, "<Q"),
        "RF64": lambda: (content.index(b"ds64") + 16, "<Q"),
    }[kind]()


@pytest.mark.parametrize("kind", ["AIFF", "AU", "CAF", "W64", "RF64"])
@pytest.mark.parametrize(("size", "codes"), [(0, ("wrong-length",)), (16_000, ("assumed-audio",))])
def test_other_headers_are_mended(tmp_path, kind, size, codes):
    content = encode(kind)
    path = tmp_path / f"a.{kind.lower()}"
    path.write_bytes(patch(content, *locate(kind, content), size))
    check_everywhere(path, NOISE, codes=codes)


@pytest.mark.parametrize("kind", ["WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "NIST", "FLAC"])
@pytest.mark.parametrize("call", [load_audio, read_duration_s, lambda path: list(stream_blocks(path))])
def test_cut_file_is_refused(tmp_path, kind, call):
    content = encode(kind)
    (tmp_path / "a.wav").write_bytes(content[: len(content) * 4 // 5])
    if kind == "FLAC" and call is read_duration_s:
        assert call(tmp_path / "a.wav") < 1.9
        return
    with pytest.raises(AudioError, match=r"a\.wav is cut off: only (7[6-9]|80)% of the audio is there"):
        call(tmp_path / "a.wav")


def test_short_cut_is_noted():
    notes = []
    assert load_audio(WAV[: -SIZE // 20], on_note=notes.append).duration_s == pytest.approx(1.9)
    assert [(note.code, note.detail) for note in notes] == [("cut-short", "0.1 of 2.0 s")]


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "ULAW"])
def test_duration_of_wav_is_that_of_libsndfile(tmp_path, subtype, channels):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros((12_345, channels)), 44_100, subtype=subtype)
    assert read_duration_s(path) == soundfile.info(path).duration
    extent = check_header(lambda position, count: path.read_bytes()[position:][:count], path.stat().st_size)
    assert extent.plain_s == (12_345 / 44_100 if subtype in ("PCM_16", "PCM_24", "PCM_32") else None)


def test_empty_file_with_a_chunk_behind_is_empty():
    empty = encode("WAV", samples=NOISE[:0]) + LIST
    with pytest.raises(AudioError, match=r"holds no audio \(zero frames\)"):
        load_audio(empty)


def test_joined_wav_files_are_read_to_the_last(tmp_path):
    second = encode("WAV", "PCM_24", NOISE[:8000])
    (tmp_path / "a.wav").write_bytes(WAV + second + WAV)
    check_everywhere(tmp_path / "a.wav", np.concatenate([NOISE, NOISE[:8000], NOISE]), codes=("joined-files",))


def test_wav_above_4_gb_is_read_to_its_end(tmp_path):
    """Its size is written modulo 2**32; a sparse file of silence."""
    size = (1 << 32) + 3_200_000
    with open(tmp_path / "long.wav", "wb") as file:
        file.write(set_wav_size(WAV, size & 0xFFFFFFFF)[:44])
        file.seek(44 + size - 4)
        file.write(b"\1\2\3\4")
    extent = check_header(open_at(tmp_path / "long.wav"), 44 + size)
    assert (extent.problem, extent.stop) == ("assumed-audio", 44 + size)
    assert read_duration_s(tmp_path / "long.wav") == pytest.approx(size / 2 / SAMPLING_RATE)


def open_at(path):
    def read(position, count):
        with open(path, "rb") as file:
            file.seek(position)
            return file.read(count)

    return read


@pytest.mark.parametrize("kind", ["WAV", "AIFF", "AU", "CAF", "W64", "RF64", "NIST"])
def test_damaged_headers_raise_nothing(kind):
    content, rng = encode(kind, samples=NOISE[:200]), np.random.default_rng(1)
    for _ in range(300):
        damaged = bytearray(content[: rng.integers(1, len(content))])
        for _ in range(3):
            damaged[rng.integers(0, min(len(damaged), 200))] = rng.integers(0, 256)
        check_header(lambda position, count, data=bytes(damaged): data[position : position + count], len(damaged))
