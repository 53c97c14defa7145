import numpy as np
import pytest

from asrkit.audio import SAMPLING_RATE, vad
from asrkit.audio.vad import FRAME, SileroVad
from asrkit.errors import ConfigError
from tests.support.spoken import clips


@pytest.mark.parametrize("size", [1, 100, 511, 512, 1600, 70_000])
def test_the_size_of_the_blocks_changes_no_bit(size):
    sound = np.concatenate([*clips(2), np.zeros(SAMPLING_RATE, np.float32), 0.001 * clips(1)[0]])
    sound = sound[: 2 * SAMPLING_RATE if size == 1 else None]
    one = SileroVad()
    apart = [one.push(sound[at : at + size]) for at in range(0, len(sound), size)]
    whole = SileroVad().push(sound)
    assert len(whole) == len(sound) // FRAME
    np.testing.assert_array_equal(whole, np.concatenate(apart))


@pytest.mark.parametrize("dbfs", [-20, -40, -60])
def test_speech_is_heard_however_soft(dbfs):
    soft = [clip * np.float32(10 ** (dbfs / 20)) / np.sqrt((clip**2).mean()) for clip in clips(30)]
    likely = [SileroVad().push(np.concatenate([clip, np.zeros(FRAME, np.float32)])).max() for clip in soft]
    assert sum(one > 0.5 for one in likely) >= 29


@pytest.mark.parametrize(
    "sound",
    [
        np.zeros,
        lambda n: 0.1 * np.random.default_rng(0).standard_normal(n),
        lambda n: 0.3 * np.sin(2 * np.pi * 50 * np.arange(n) / SAMPLING_RATE),
        np.ones,
    ],
    ids=["zeros", "noise", "hum", "offset"],
)
def test_what_is_no_speech_is_none(sound):
    assert SileroVad().push(sound(10 * SAMPLING_RATE).astype(np.float32)).max() < 0.5


def test_without_the_package_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setattr(vad.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="silero-vad, .* is not installed; run: pip install"):
        vad.weights.__wrapped__()
