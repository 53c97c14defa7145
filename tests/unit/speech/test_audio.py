import io
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from asrkit.errors import AudioError
from asrkit.speech import audio, containers


def test_imports_no_heavy_package():
    code = (
        "import sys; import asrkit.speech.sources, asrkit.speech.audit, asrkit.speech.metrics\n"
        "print(*{'torch', 'torchaudio', 'transformers', 'datasets', 'gradio'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3"])
def test_loads_every_format_that_libsndfile_decodes(clip, name):
    wave = audio.load(clip(name, 1.0))
    assert wave.samples.dtype == np.float32
    assert wave.samples.ndim == 1
    assert wave.duration_s == pytest.approx(1.0, abs=0.08)
    assert np.abs(wave.samples).max() == pytest.approx(0.5, abs=0.1)


def test_bytes_equal_the_file(clip):
    path = clip("a.flac")
    assert np.array_equal(audio.load(path.read_bytes()).samples, audio.load(str(path)).samples)


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000, 44_099])
def test_resampling_keeps_duration_and_pitch(rate, sine):
    samples = audio.load((rate, sine(1.0, rate, hertz=1000))).samples
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
def test_numbers_are_scaled_by_their_range(dtype, values, expected):
    assert audio.load((16_000, np.array(values, dtype))).samples.tolist() == expected


def test_channels_are_averaged():
    stereo = np.array([[0.2, 0.4], [1.0, 0.0]], np.float32)
    assert audio.load((16_000, stereo)).samples == pytest.approx([0.3, 0.5])


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg"])
def test_a_part_is_that_part(clip, name):
    path = clip(name, 3.0)
    whole = audio.load(path).samples
    part = audio.load(path, start_s=1.0, end_s=1.5).samples
    assert part == pytest.approx(whole[16_000:24_000], abs=1e-3)
    assert audio.load(path, start_s=2.5).duration_s == pytest.approx(0.5)
    assert audio.load((16_000, whole), start_s=1.0, end_s=1.5).samples == pytest.approx(whole[16_000:24_000])


def test_a_part_is_sought_not_read_through(clip, monkeypatch):
    path, read = clip("long.wav", 60.0), []
    plain = soundfile.SoundFile.read

    def spy(self, frames=-1, *args, **kwargs):
        read.append(frames)
        return plain(self, frames, *args, **kwargs)

    monkeypatch.setattr(soundfile.SoundFile, "read", spy)
    audio.load(path, start_s=50.0, end_s=51.0)
    assert read == [16_000]


def test_duration_by_the_header(clip):
    assert audio.duration_s(clip("a.flac", 1.25)) == 1.25
    assert audio.duration_s(clip("b.wav", 0.5, rate=44_100)) == 0.5
    assert audio.duration_s(clip("empty.wav", 0.0)) == 0.0


@pytest.mark.parametrize("call", [audio.load, audio.duration_s])
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
        audio.load(clip("a.wav", 0.0))
    with pytest.raises(AudioError, match=r"The recording holds no audio \(zero frames\)"):
        audio.load((16_000, np.zeros(0, np.int16)))


def test_part_outside_the_file(clip):
    with pytest.raises(AudioError, match="zero frames after 2 s"):
        audio.load(clip("a.wav", 1.0), start_s=2.0)
    with pytest.raises(AudioError, match="from 2 s to 1 s; give 0 <= start < end"):
        audio.load(clip("a.wav", 1.0), start_s=2.0, end_s=1.0)


def test_empty_and_foreign_bytes():
    with pytest.raises(AudioError, match=r"The uploaded audio \(0 bytes\) is empty"):
        audio.load(b"")
    with pytest.raises(AudioError, match=r"The uploaded audio \(5 bytes\) cannot be read as audio"):
        audio.load(b"hello")


def test_not_finite(tmp_path, sine):
    samples = sine()
    samples[7] = np.nan
    soundfile.write(tmp_path / "a.wav", samples, 16_000, subtype="FLOAT")
    with pytest.raises(AudioError, match=r"a\.wav has 1 samples that are not finite"):
        audio.load(tmp_path / "a.wav")


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3"])
def test_cut_off_files_are_told(clip, name):
    path = clip(name, 3.0)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(AudioError, match="is cut off|cannot be read as audio"):
        audio.load(path)


def test_wav_of_unknown_length_loads(sine):
    """A recorder that writes to a pipe leaves 0xFFFFFFFF for the length of the data."""
    buffer = io.BytesIO()
    soundfile.write(buffer, sine(), 16_000, format="WAV")
    content = bytearray(buffer.getvalue())
    at = content.index(b"data") + 4
    content[at : at + 4] = b"\xff\xff\xff\xff"
    assert audio.load(bytes(content)).duration_s == 1.0


def test_wrong_arrays():
    with pytest.raises(AudioError, match=r"shape \(2, 2, 2\)"):
        audio.load((16_000, np.zeros((2, 2, 2))))
    with pytest.raises(AudioError, match="type bool"):
        audio.load((16_000, np.zeros(9, bool)))
    with pytest.raises(AudioError, match="sampling rate of 10 Hz"):
        audio.load((10, np.zeros(9)))


def test_check_speech(sine):
    audio.check_speech(audio.Waveform(sine(0.5)))
    with pytest.raises(AudioError, match=r"The recording is 0\.10 s long; speak for at least 0\.2 s"):
        audio.check_speech(audio.Waveform(sine(0.1)))
    for silent in (np.zeros(16_000, np.float32), np.full(16_000, 0.2, np.float32), sine(1.0, peak=1e-4)):
        with pytest.raises(AudioError, match="The recording is silent; check that the right microphone is selected"):
            audio.check_speech(audio.Waveform(silent))


def test_a_word_in_a_long_silence_is_speech(sine):
    audio.check_speech(audio.Waveform(np.concatenate([np.zeros(160_000, np.float32), sine(0.3, peak=0.01)])))


def test_pyav_reads_what_libsndfile_cannot(tmp_path, sine):
    av = pytest.importorskip("av")
    path = tmp_path / "a.m4a"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(sine(2.0)[None], format="fltp", layout="mono")
        frame.sample_rate = 16_000
        container.mux([packet for part in (frame, None) for packet in stream.encode(part)])
    assert audio.load(path).duration_s == pytest.approx(2.0, abs=0.15)
    assert audio.load(path.read_bytes(), start_s=0.5, end_s=1.0).duration_s == pytest.approx(0.5)
    assert audio.duration_s(path) == pytest.approx(2.0, abs=0.15)


def test_without_pyav_the_message_names_it(tmp_path, monkeypatch):
    monkeypatch.setattr(containers, "available", lambda: False)
    (tmp_path / "a.m4a").write_bytes(b"\0\0\0\x20ftypM4A " + bytes(99))
    with pytest.raises(AudioError, match=r"install PyAV \(pip install av\)"):
        audio.load(tmp_path / "a.m4a")
