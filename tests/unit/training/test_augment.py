import numpy as np
import pytest

from asrkit.training import augment
from asrkit.training.augment import RATE, STRENGTHS, Augmentation, add_noise, mu_law, reverberate, warp


def tone(hertz, seconds=1.0, peak=0.5):
    return (peak * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def loudest_hertz(samples):
    return np.abs(np.fft.rfft(samples * np.hanning(len(samples)))).argmax() * RATE / len(samples)


def energy(samples, low, high):
    hertz = np.fft.rfftfreq(len(samples), 1 / RATE)
    return (np.abs(np.fft.rfft(samples))[(hertz >= low) & (hertz < high)] ** 2).sum()


NOISE = np.random.default_rng(9).standard_normal(RATE).astype(np.float32) * 0.1
INPUTS = {
    "tone": tone(440),
    "noise": NOISE,
    "silence": np.zeros(RATE, np.float32),
    "short": tone(440, 0.03),
    "one sample": np.ones(1, np.float32),
    "odd length": tone(300, 0.5)[:7999],
    "full scale": np.sign(tone(100)),
}


@pytest.mark.parametrize("strength", STRENGTHS)
@pytest.mark.parametrize("name", INPUTS)
def test_output_is_finite_float32(strength, name):
    given = INPUTS[name].copy()
    for seed in range(20):
        out = STRENGTHS[strength](given, np.random.default_rng(seed))
        assert out.dtype == np.float32 and out.ndim == 1 and len(out) and np.isfinite(out).all()
    assert np.array_equal(given, INPUTS[name]), "the clip itself was changed"


def test_strength_none_keeps_the_waveform():
    assert np.array_equal(STRENGTHS["none"](NOISE, np.random.default_rng(0)), NOISE)


@pytest.mark.parametrize("strength", ["light", "strong"])
def test_same_seed_gives_same_waveform(strength):
    made = [STRENGTHS[strength](NOISE, np.random.default_rng([7, epoch])) for epoch in (0, 0, *range(1, 10))]
    assert np.array_equal(made[0], made[1])
    assert any(not np.array_equal(made[0], other) for other in made[2:])


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.0, 1.25, 1.3, 2.0])
@pytest.mark.parametrize("length", [16_000, 15_999, 4_001])
def test_warp_scales_length_and_pitch(factor, length):
    given = tone(500)[:length]
    out = warp(given, factor)
    assert len(out) == round(length / factor)
    assert loudest_hertz(out) == pytest.approx(500 * factor, abs=5)
    middle = out[len(out) // 4 : -len(out) // 4]
    assert np.abs(middle).max() == pytest.approx(0.5, abs=0.03)


def test_faster_warp_does_not_alias():
    """7 kHz played 1.5 times faster would be 10.5 kHz, which cannot be held: it must vanish, not fold to 5.5 kHz."""
    assert np.abs(warp(tone(7000), 1.5)[1000:-1000]).max() < 0.02


def test_warp_factor_is_drawn_from_its_range():
    only_warp = Augmentation(warp=(0.8, 1.25), warp_probability=1.0)
    factors = [len(NOISE) / len(only_warp(NOISE, np.random.default_rng(seed))) for seed in range(60)]
    assert 0.8 <= min(factors) < 0.9 and 1.15 < max(factors) <= 1.25
    assert np.median(factors) == pytest.approx(1.0, abs=0.08)


def test_edges_add_silence_at_both_ends():
    padded = Augmentation(edge_s=0.3)(np.ones(RATE, np.float32), np.random.default_rng(0))
    sounding = np.flatnonzero(padded)
    assert len(sounding) == RATE and 0 < sounding[0] <= 0.3 * RATE
    assert 0 < len(padded) - 1 - sounding[-1] <= 0.3 * RATE


@pytest.mark.parametrize("snr_db", [0.0, 5.0, 20.0, 40.0])
@pytest.mark.parametrize("length", [16_000, 15_999, 401])
def test_noise_has_requested_snr(snr_db, length):
    for seed in range(5):
        speech = tone(440)[:length].astype(np.float64)
        noise = add_noise(speech, snr_db, np.random.default_rng(seed)) - speech
        found = 10 * np.log10((speech**2).mean() / (noise**2).mean())
        assert found == pytest.approx(snr_db, abs=0.5)


def test_noise_color_varies():
    shares = [
        energy(noise, 0, 1000) / energy(noise, 0, 8001)
        for seed in range(40)
        if (noise := add_noise(NOISE, 0.0, np.random.default_rng(seed)) - NOISE) is not None
    ]
    assert min(shares) < 0.25 and max(shares) > 0.95  # white has 1/8 of its energy there, brown nearly all


def test_band_limit_removes_high_frequencies():
    only_band = Augmentation(band_probability=1.0)
    lost = []
    for seed in range(30):
        out = only_band(NOISE, np.random.default_rng(seed))
        assert len(out) == len(NOISE)
        kept = energy(out, 800, 2500) / energy(NOISE, 800, 2500)
        assert kept > 0.5, "speech itself must pass"
        lost.append(energy(out, 7900, 8001) / energy(NOISE, 7900, 8001))
    assert np.median(lost) < 0.01


def test_telephone_band_ends_at_3400_hz(monkeypatch):
    monkeypatch.setattr(augment, "mu_law", lambda samples: samples)
    only_band = Augmentation(band_probability=1.0)
    shares = [
        energy(only_band(NOISE, np.random.default_rng(seed)), 5000, 8001) / energy(NOISE, 5000, 8001)
        for seed in range(30)
    ]
    assert sum(share < 0.01 for share in shares) >= 10  # six of ten are telephones


@pytest.mark.parametrize("seconds", [0.1, 0.3, 0.6])
def test_reverberation_keeps_length_and_energy_and_adds_tail(seconds):
    click = np.zeros(RATE)
    click[1000] = 1.0
    out = reverberate(click, seconds, np.random.default_rng(0))
    assert len(out) == RATE and (out**2).sum() == pytest.approx(1.0, abs=1e-3)
    assert np.abs(out[:1000]).max() < 1e-6, "an echo came before the sound"
    end = 1000 + round(seconds * RATE)
    tail = (out[1001:end] ** 2).sum()
    assert 0.01 < tail < 0.5 and (out[end:] ** 2).sum() < 1e-9


def test_mu_law_error_is_proportional_to_peak():
    for peak in (1.0, 0.01):
        given = tone(440, peak=peak)
        out = mu_law(given)
        assert not np.array_equal(out, given)
        assert np.abs(out - given).max() < 0.04 * peak
    assert np.array_equal(mu_law(np.zeros(10)), np.zeros(10))
