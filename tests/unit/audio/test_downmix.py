import numpy as np
import pytest
import soundfile

from asrkit.audio import SAMPLING_RATE, load_audio, stream_blocks
from asrkit.audio.downmix import Downmixer, mix_all, surround_weights
from asrkit.audio.waveform import loudest_rms

RNG = np.random.default_rng(0)
VOICE = (RNG.normal(0, 0.1, 30 * SAMPLING_RATE) * (1 + np.sin(np.arange(30 * SAMPLING_RATE) / 3000))).astype(np.float32)
HISS = RNG.normal(0, 0.001, len(VOICE)).astype(np.float32)


def mix(*channels):
    samples, notes = mix_all(np.stack(channels, 1).astype(np.float32), SAMPLING_RATE)
    return samples, [(note.code, note.detail) for note in notes]


def test_equal_channels_are_averaged():
    samples, notes = mix(VOICE, VOICE)
    np.testing.assert_allclose(samples, VOICE, atol=1e-5)
    assert not notes


def test_opposite_phase_is_inverted():
    samples, notes = mix(VOICE, -VOICE)
    np.testing.assert_allclose(samples, VOICE, atol=1e-5)
    assert notes == [("opposite-phase", "throughout")]


def test_opposite_phase_with_offset_noise_and_another_level():
    samples, notes = mix(VOICE + 0.2 + HISS, -0.6 * VOICE + 0.2)
    assert loudest_rms(samples) == pytest.approx(loudest_rms(VOICE), rel=0.1)
    assert np.corrcoef(samples, VOICE)[0, 1] > 0.99
    assert [code for code, _ in notes] == ["opposite-phase"]


@pytest.mark.parametrize("other", [np.zeros_like(VOICE), HISS])
@pytest.mark.parametrize("is_left", [True, False])
def test_voice_in_one_channel_is_not_halved(other, is_left):
    samples, notes = mix(*((VOICE, other) if is_left else (other, VOICE)))
    np.testing.assert_allclose(samples, VOICE, atol=0.01)
    assert notes == [("silent-channel", f"channel {2 if is_left else 1} of 2")]


def test_speakers_that_take_turns_on_two_channels_are_not_halved():
    turn = np.arange(len(VOICE)) // (2 * SAMPLING_RATE) % 2 == 0
    samples, notes = mix(VOICE * turn, VOICE * ~turn)
    np.testing.assert_allclose(samples, VOICE, atol=0.02)
    assert not notes


def test_one_voice_of_many_channels():
    samples, notes = mix(*[np.zeros_like(VOICE)] * 3, VOICE)
    np.testing.assert_allclose(samples, VOICE, atol=1e-6)
    assert notes == [("silent-channel", "channels 1, 2, 3 of 4")]


def test_silence_stays_silence():
    samples, notes = mix(*[np.zeros_like(VOICE)] * 2)
    assert not samples.any()
    assert not notes


def test_short_clips_are_averaged():
    samples, _ = mix([0.2, 1.0], [0.4, 0.0])
    assert samples == pytest.approx([0.3, 0.5])


@pytest.mark.parametrize("size", [1, 999, 160_000, 10**6])
def test_size_of_the_blocks_does_not_matter(size):
    channels = np.stack([VOICE, np.where(np.arange(len(VOICE)) < 170_000, -VOICE, HISS)], 1)[:200_000]
    whole, notes = mix_all(channels, SAMPLING_RATE)
    mixer = Downmixer(SAMPLING_RATE, 2)
    blocks = [mixer.push(channels[start : start + size]) for start in range(0, 200_000, max(size, 100))]
    if size > 100:
        np.testing.assert_allclose(np.concatenate([*blocks, mixer.finish()]), whole, atol=1e-6)
        assert mixer.notes() == list(notes)


def test_change_of_phase_is_faded():
    half = len(VOICE) // 2 // (10 * SAMPLING_RATE) * 10 * SAMPLING_RATE
    tone = 0.3 * np.sin(2 * np.pi * 100 * np.arange(len(VOICE)) / SAMPLING_RATE)
    samples, _ = mix(tone, np.where(np.arange(len(tone)) < half, tone, -tone))
    assert np.abs(np.diff(samples)).max() < 0.03


def test_center_of_a_film_is_kept():
    weights = surround_weights(["FL", "FR", "FC", "LFE", "BL", "BR"])
    assert weights == [0.707, 0.707, 1.0, 0.0, 0.5, 0.5]
    assert surround_weights(["FL", "FR"]) is None
    mixer = Downmixer(SAMPLING_RATE, 6, weights)
    channels = np.zeros((len(VOICE), 6), np.float32)
    channels[:, 2] = VOICE
    samples = np.concatenate([mixer.push(channels), mixer.finish()])
    np.testing.assert_allclose(samples, VOICE, atol=1e-5)


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_stereo_is_the_same_whole_and_streamed(tmp_path, rate):
    soundfile.write(tmp_path / "a.wav", np.stack([VOICE, -VOICE], 1), rate)
    whole = load_audio(tmp_path / "a.wav").samples
    np.testing.assert_allclose(np.concatenate(list(stream_blocks(tmp_path / "a.wav"))), whole, atol=1e-6)
