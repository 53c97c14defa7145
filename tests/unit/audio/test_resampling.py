import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrkit.audio import SAMPLING_RATE, StreamResampler, resample
from asrkit.errors import AudioError

RATES = [1_000, 8_000, 11_025, 22_050, 44_099, 44_100, 48_000, 96_000]


def tone(hertz, rate, seconds=1.0):
    return np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate).astype(np.float32)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("count", [1, 2, 7, 1001, 50_000])
def test_length_is_rounded_up(rate, count):
    assert len(resample(np.zeros(count, np.float32), rate)) == math.ceil(count * SAMPLING_RATE / rate)


@settings(deadline=None, max_examples=50)
@given(st.sampled_from(RATES), st.lists(st.integers(0, 9_000), min_size=1, max_size=8), st.integers(0, 2**32 - 1))
def test_blocks_of_any_size_give_the_bits_of_one_call(rate, sizes, seed):
    samples = np.random.default_rng(seed).standard_normal(sum(sizes)).astype(np.float32)
    stream = StreamResampler(rate)
    blocks = [stream.push(block) for block in np.split(samples, np.cumsum(sizes)[:-1])]
    np.testing.assert_array_equal(np.concatenate([*blocks, stream.finish()]), resample(samples, rate))


def test_16_khz_passes_unchanged():
    samples = tone(440, SAMPLING_RATE)
    assert resample(samples, SAMPLING_RATE) is samples
    stream = StreamResampler(SAMPLING_RATE)
    assert stream.push(samples) is samples and len(stream.finish()) == 0


@pytest.mark.parametrize("rate", [22_050, 44_100, 48_000])
def test_speech_band_passes_and_what_would_alias_is_removed(rate):
    middle = slice(2_000, -2_000)
    for hertz in (100, 1_000, 7_000):
        np.testing.assert_allclose(
            resample(tone(hertz, rate), rate)[middle], tone(hertz, SAMPLING_RATE)[middle], atol=1e-3
        )
    for hertz in (9_000, 10_500):
        assert np.abs(resample(tone(hertz, rate), rate)[middle]).max() < 1e-4


def test_signal_is_not_delayed():
    click = np.zeros(48_000, np.float32)
    click[24_000] = 1
    assert np.argmax(np.abs(resample(click, 48_000))) == 8_000


def test_too_low_sampling_rate_is_refused():
    with pytest.raises(AudioError, match="sampling rate of 500 Hz; speech needs at least 1000 Hz"):
        StreamResampler(500)
