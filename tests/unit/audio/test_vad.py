from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from asrkit.audio import SAMPLING_RATE, vad
from asrkit.audio.vad import FRAME_SAMPLES, SileroVad
from asrkit.errors import ConfigError
from tests.support.demo_clips import load_clips


@pytest.mark.parametrize("size", [1, 100, 511, 512, 1600, 70_000])
def test_block_size_does_not_change_a_bit(size):
    samples = np.concatenate([*load_clips(2), np.zeros(SAMPLING_RATE, np.float32), 0.001 * load_clips(1)[0]])
    samples = samples[: 2 * SAMPLING_RATE if size == 1 else None]
    detector = SileroVad()
    in_blocks = [detector.push(samples[start : start + size]) for start in range(0, len(samples), size)]
    at_once = SileroVad().push(samples)
    assert len(at_once) == len(samples) // FRAME_SAMPLES
    np.testing.assert_array_equal(at_once, np.concatenate(in_blocks))


@pytest.mark.parametrize("size", [vad.BATCH_SAMPLES + 1, 5 * vad.BATCH_SAMPLES])
def test_several_threads_do_not_change_a_bit(size):
    samples = np.concatenate(load_clips(40))
    assert len(samples) > 5 * vad.BATCH_SAMPLES
    with ThreadPoolExecutor(3) as pool:
        detector = SileroVad(pool)
        in_threads = [detector.push(samples[start : start + size]) for start in range(0, len(samples), size)]
    np.testing.assert_array_equal(np.concatenate(in_threads), SileroVad().push(samples))


def test_probabilities_equal_those_of_silero_vads_own_code(monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)  # the package sets it for the whole process
    from silero_vad import load_silero_vad

    reference = load_silero_vad(onnx=True)
    monkeypatch.setattr(SileroVad, "_gains", lambda self, frames: np.ones(len(frames), np.float32))
    for clip in load_clips(30):
        clip = clip[: len(clip) // FRAME_SAMPLES * FRAME_SAMPLES]
        expected = reference.audio_forward(torch.from_numpy(clip)[None], SAMPLING_RATE)[0].numpy()
        np.testing.assert_allclose(SileroVad().push(clip), expected, atol=1e-3)


@pytest.mark.parametrize("dbfs", [-20, -40, -60])
def test_speech_is_detected_at_any_level(dbfs):
    soft_clips = [clip * np.float32(10 ** (dbfs / 20)) / np.sqrt((clip**2).mean()) for clip in load_clips(30)]
    padding = np.zeros(FRAME_SAMPLES, np.float32)
    highest = [SileroVad().push(np.concatenate([clip, padding])).max() for clip in soft_clips]
    assert sum(probability > 0.5 for probability in highest) >= 29


@pytest.mark.parametrize(
    "make_samples",
    [
        np.zeros,
        lambda n: 0.1 * np.random.default_rng(0).standard_normal(n),
        lambda n: 0.3 * np.sin(2 * np.pi * 50 * np.arange(n) / SAMPLING_RATE),
        np.ones,
    ],
    ids=["zeros", "noise", "hum", "offset"],
)
def test_sounds_without_speech_are_not_speech(make_samples):
    assert SileroVad().push(make_samples(10 * SAMPLING_RATE).astype(np.float32)).max() < 0.5


def test_missing_package_names_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr(vad.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="silero-vad, .* is not installed; run: pip install"):
        vad._load_session.__wrapped__()
