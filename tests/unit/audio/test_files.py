import io
import subprocess
import sys
import tracemalloc

import av
import numpy as np
import pytest
import soundfile

from asrkit.audio import SAMPLING_RATE, Waveform, check_speech, containers, load_audio, read_duration_s, stream_blocks
from asrkit.errors import AudioError


def test_imports_no_heavy_package():
    code = (
        "import sys; import asrkit.data.sources, asrkit.audit.clips, asrkit.text.metrics\n"
        "print(*{'torch', 'torchaudio', 'transformers', 'datasets', 'gradio'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3"])
def test_loads_every_format_that_libsndfile_decodes(clip, name):
    wave = load_audio(clip(name, 1.0))
    assert wave.samples.dtype == np.float32
    assert wave.samples.ndim == 1
    assert wave.duration_s == pytest.approx(1.0, abs=0.08)
    assert np.abs(wave.samples).max() == pytest.approx(0.5, abs=0.1)


def test_bytes_equal_the_file(clip):
    path = clip("a.flac")
    assert np.array_equal(load_audio(path.read_bytes()).samples, load_audio(str(path)).samples)


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000, 44_099])
def test_resampling_keeps_duration_and_pitch(rate, sine):
    samples = load_audio((rate, sine(1.0, rate, hertz=1000))).samples
    assert len(samples) == pytest.approx(16_000, abs=5)
    assert np.argmax(np.abs(np.fft.rfft(samples, 16_000))) == pytest.approx(1000, abs=1)


@pytest.mark.parametrize(
    ("dtype", "values", "expected"),
    [
        (np.int16, [-32768, 0, 16384], [-1.0, 0.0, 0.5]),
        (np.int32, [-(2**31), 0, 2**30], [-1.0, 0.0, 0.5]),
        (np.uint8, [0, 128, 192], [-1.0, 0.0, 0.5]),
        (np.float32, [-1.0, 0.0, 0.5], [-1.0, 0.0, 0.5]),
        (np.float64, [-1.0, 0.0, 0.5], [-1.0, 0.0, 0.5]),
    ],
)
def test_integers_are_scaled_by_their_range(dtype, values, expected):
    assert load_audio((16_000, np.array(values, dtype))).samples.tolist() == expected


def test_channels_are_averaged():
    stereo = np.array([[0.2, 0.4], [1.0, 0.0]], np.float32)
    assert load_audio((16_000, stereo)).samples == pytest.approx([0.3, 0.5])


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg"])
def test_part_equals_that_part_of_the_file(clip, name):
    path = clip(name, 3.0)
    whole = load_audio(path).samples
    part = load_audio(path, start_s=1.0, end_s=1.5).samples
    assert part == pytest.approx(whole[16_000:24_000], abs=1e-3)
    assert load_audio(path, start_s=2.5).duration_s == pytest.approx(0.5)
    assert load_audio((16_000, whole), start_s=1.0, end_s=1.5).samples == pytest.approx(whole[16_000:24_000])


def test_part_is_read_without_decoding_the_rest(clip, monkeypatch):
    path, read = clip("long.wav", 60.0), []
    plain = soundfile.SoundFile.read

    def spy(self, frames=-1, *args, **kwargs):
        read.append(frames)
        return plain(self, frames, *args, **kwargs)

    monkeypatch.setattr(soundfile.SoundFile, "read", spy)
    load_audio(path, start_s=50.0, end_s=51.0)
    assert read == [16_000]


def test_duration_by_the_header(clip):
    assert read_duration_s(clip("a.flac", 1.25)) == 1.25
    assert read_duration_s(clip("b.wav", 0.5, rate=44_100)) == 0.5
    assert read_duration_s(clip("empty.wav", 0.0)) == 0.0


@pytest.mark.parametrize("call", [load_audio, read_duration_s])
class TestBadFiles:
    def test_missing(self, call, tmp_path):
        with pytest.raises(AudioError, match=r"gone\.wav does not exist; check the path"):
            call(tmp_path / "gone.wav")

    def test_folder(self, call, tmp_path):
        with pytest.raises(AudioError, match="is a folder; give an audio file"):
            call(tmp_path)

    def test_empty(self, call, tmp_path):
        (tmp_path / "a.wav").touch()
        with pytest.raises(AudioError, match=r"a\.wav is empty \(0 bytes\)"):
            call(tmp_path / "a.wav")

    @pytest.mark.parametrize("name", ["notes.wav", "notes.txt", "notes.raw", "notes.mp3", "notes.m4a"])
    def test_not_audio(self, call, tmp_path, name):
        (tmp_path / name).write_text("These are my notes.\n" * 20)
        with pytest.raises(AudioError, match=rf"{name} cannot be read as audio.* WAV, FLAC, OGG/Opus or MP3"):
            call(tmp_path / name)


def test_zero_frames(clip):
    with pytest.raises(AudioError, match=r"holds no audio \(zero frames\)"):
        load_audio(clip("a.wav", 0.0))
    with pytest.raises(AudioError, match=r"The recording holds no audio \(zero frames\)"):
        load_audio((16_000, np.zeros(0, np.int16)))


def test_part_outside_the_file(clip):
    with pytest.raises(AudioError, match="zero frames after 2 s"):
        load_audio(clip("a.wav", 1.0), start_s=2.0)
    with pytest.raises(AudioError, match="from 2 s to 1 s; give 0 <= start < end"):
        load_audio(clip("a.wav", 1.0), start_s=2.0, end_s=1.0)


def test_empty_and_foreign_bytes():
    with pytest.raises(AudioError, match=r"The uploaded audio \(0 bytes\) is empty"):
        load_audio(b"")
    with pytest.raises(AudioError, match=r"The uploaded audio \(5 bytes\) cannot be read as audio"):
        load_audio(b"hello")


def test_not_finite(tmp_path, sine):
    samples = sine()
    samples[7] = np.nan
    soundfile.write(tmp_path / "a.wav", samples, 16_000, subtype="FLOAT")
    with pytest.raises(AudioError, match=r"a\.wav has 1 samples that are not finite"):
        load_audio(tmp_path / "a.wav")


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3"])
def test_cut_off_file_is_reported(clip, name):
    path = clip(name, 3.0)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(AudioError, match="is cut off|cannot be read as audio"):
        load_audio(path)


def test_wav_of_unknown_length_loads(sine):
    """A recorder that writes to a pipe leaves 0xFFFFFFFF for the length of the data."""
    buffer = io.BytesIO()
    soundfile.write(buffer, sine(), 16_000, format="WAV")
    content = bytearray(buffer.getvalue())
    at = content.index(b"data") + 4
    content[at : at + 4] = b"\xff\xff\xff\xff"
    assert load_audio(bytes(content)).duration_s == 1.0


def test_wrong_arrays():
    with pytest.raises(AudioError, match=r"shape \(2, 2, 2\)"):
        load_audio((16_000, np.zeros((2, 2, 2))))
    with pytest.raises(AudioError, match="type bool"):
        load_audio((16_000, np.zeros(9, bool)))
    with pytest.raises(AudioError, match="sampling rate of 10 Hz"):
        load_audio((10, np.zeros(9)))


def test_check_speech(sine):
    check_speech(Waveform(sine(0.5)))
    with pytest.raises(AudioError, match=r"The recording is 0\.10 s long; speak for at least 0\.2 s"):
        check_speech(Waveform(sine(0.1)))
    for silent in (np.zeros(16_000, np.float32), np.full(16_000, 0.2, np.float32), sine(1.0, peak=1e-4)):
        with pytest.raises(AudioError, match="The recording is silent; check that the right microphone is selected"):
            check_speech(Waveform(silent))


def test_word_in_long_silence_is_speech(sine):
    check_speech(Waveform(np.concatenate([np.zeros(160_000, np.float32), sine(0.3, peak=0.01)])))


def encode(path, samples, codec, rate=16_000, container=None):
    """A file that only PyAV can write. samples: (n,) float32 at 16 kHz."""
    with av.open(str(path), "w", format=container) as out:
        stream = out.add_stream(codec, rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray((samples * 32767).astype(np.int16)[None], format="s16", layout="mono")
        frame.sample_rate = 16_000
        fitting = av.AudioResampler(format=stream.format.name, layout="mono", rate=rate, frame_size=stream.frame_size)
        pieces = [piece for part in (frame, None) for piece in fitting.resample(part)]
        out.mux([packet for piece in (*pieces, None) for packet in stream.encode(piece)])
    return path


@pytest.mark.parametrize(
    ("name", "codec", "rate"),
    [
        ("a.m4a", "aac", 16_000),
        ("a.mp4", "aac", 44_100),
        ("a.aac", "aac", 16_000),
        ("a.webm", "libopus", 48_000),
        ("a.mkv", "libopus", 48_000),
        ("a.amr", "amr_nb", 8_000),
        ("a.g722", "g722", 16_000),
    ],
)
def test_pyav_reads_what_libsndfile_cannot(tmp_path, sine, name, codec, rate):
    path = encode(tmp_path / name, sine(2.0), codec, rate)
    wave = load_audio(path)
    assert wave.duration_s == pytest.approx(2.0, abs=0.15)
    assert np.abs(wave.samples[8_000:24_000]).max() == pytest.approx(0.5, abs=0.12)
    assert load_audio(path, start_s=0.5, end_s=1.0).duration_s == pytest.approx(0.5)
    assert read_duration_s(path) == pytest.approx(2.0, abs=0.15)
    if name != "a.g722":  # bytes have no suffix
        assert load_audio(path.read_bytes()).duration_s == pytest.approx(2.0, abs=0.15)


@pytest.mark.parametrize(
    "subtype",
    [
        "PCM_U8",
        "PCM_16",
        "PCM_24",
        "PCM_32",
        "FLOAT",
        "DOUBLE",
        "ULAW",
        "ALAW",
        "IMA_ADPCM",
        "MS_ADPCM",
        "GSM610",
        "G721_32",
    ],
)
def test_wav_of_every_width(tmp_path, sine, subtype):
    channels = 1 if subtype in ("GSM610", "G721_32") else 2
    soundfile.write(tmp_path / "a.wav", np.stack([sine(1.0, 8_000)] * channels, 1), 8_000, subtype=subtype)
    wave = load_audio(tmp_path / "a.wav")
    assert wave.duration_s == pytest.approx(1.0, abs=0.05)
    assert np.abs(wave.samples[4000:12_000]).max() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(("suffix", "law"), [("ulaw", "ULAW"), ("pcmu", "ULAW"), ("alaw", "ALAW"), ("al", "ALAW")])
def test_telephone_audio_without_a_header(tmp_path, sine, suffix, law):
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, sine(1.0, 8_000), 8_000, format="RAW", subtype=law)
    assert (read_duration_s(path), load_audio(path).duration_s) == (1.0, 1.0)
    assert np.abs(load_audio(path).samples[4000:12_000]).max() == pytest.approx(0.5, abs=0.03)


def test_nist_sphere(tmp_path, sine):
    soundfile.write(tmp_path / "sa1.wav", sine(1.0), 16_000, format="NIST", subtype="PCM_16")
    assert load_audio(tmp_path / "sa1.wav").duration_s == 1.0


@pytest.mark.parametrize(
    "content",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile://{other}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile '{other}'\n",
    ],
)
@pytest.mark.parametrize("name", ["a.m4a", "a.m3u8", "a.ffconcat", "a.ts"])
def test_playlist_cannot_read_other_files(clip, tmp_path, content, name):
    (tmp_path / name).write_text(content.format(other=clip("secret.mp3")))
    with pytest.raises(AudioError, match="cannot be read as audio"):
        load_audio(tmp_path / name)


def test_flac_without_length_loads(clip):
    path = clip("a.flac", 2.0)
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0  # 36 bits of total samples: 0 where the writer could not know
    content[22:26] = bytes(4)
    path.write_bytes(content)
    assert read_duration_s(path) == pytest.approx(2.0)
    for source in (path, bytes(content)):
        assert load_audio(source).duration_s == pytest.approx(2.0)
    assert load_audio(path, start_s=0.5, end_s=1.0).duration_s == pytest.approx(0.5)
    assert sum(map(len, stream_blocks(path))) == 2 * SAMPLING_RATE


@pytest.mark.parametrize("name", ["a" * 300 + ".wav", "caf\udce9.wav"])
def test_name_that_cannot_be_opened(tmp_path, name):
    with pytest.raises(AudioError, match="cannot be opened|is not UTF-8"):
        load_audio(tmp_path / name)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.au", "a.aiff"])
def test_header_that_claims_hours_takes_no_memory(clip, tmp_path, name):
    """A kilobyte whose header declares ten gigabytes."""
    path = clip(name, 0.02)
    content = bytearray(path.read_bytes())
    if name == "a.flac":  # 36 bits of total samples end the bytes 18 to 25 of STREAMINFO
        content[21] |= 0x0F
        content[22:26] = b"\xff\xff\xff\xff"
    else:
        at = {"a.wav": content.find(b"data") + 4, "a.au": 8, "a.aiff": content.find(b"SSND") + 4}[name]
        content[at : at + 4] = b"\x7e\xff\xff\xff" if name != "a.wav" else b"\xff\xff\xff\x7e"
    path.write_bytes(content)
    tracemalloc.start()
    assert load_audio(path).duration_s == pytest.approx(0.02)
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()


def test_missing_pyav_is_named_in_the_message(tmp_path, monkeypatch):
    monkeypatch.setattr(containers, "is_available", lambda: False)
    (tmp_path / "a.m4a").write_bytes(b"\0\0\0\x20ftypM4A " + bytes(99))
    with pytest.raises(AudioError, match=r"install PyAV \(pip install av\)"):
        load_audio(tmp_path / "a.m4a")
