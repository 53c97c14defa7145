import numpy as np

from asrkit.transcription.alignment import band
from asrkit.transcription.alignment.band import find_band

RNG = np.random.default_rng(0)
NUM_TOKENS = 20_000
TEXT = RNG.integers(3, 29, NUM_TOKENS).tolist()


def recognise(text, share_right):
    is_right = RNG.random(len(text)) < share_right
    return [token if right else int(RNG.integers(3, 29)) for token, right in zip(text, is_right, strict=True)]


def check(found, path):
    """path: (frame, token) of the truth."""
    frames, tokens = np.array(path).T
    assert ((found.low[frames] <= tokens) & (tokens < found.high[frames])).all()
    assert (np.diff(found.low) >= 0).all() and (np.diff(found.high) >= 0).all()
    assert found.low[0] == 0 and found.high[-1] == NUM_TOKENS
    assert (found.high - found.low).mean() < NUM_TOKENS / 2


def test_band_contains_the_true_path_of_a_weak_model():
    frames = list(range(0, 4 * NUM_TOKENS, 4))
    found = find_band(recognise(TEXT, 0.35), frames, TEXT, 4 * NUM_TOKENS)
    check(found, list(zip(frames, range(NUM_TOKENS), strict=True)))


def test_band_holds_the_truth_around_missing_parts():
    spoken = [*range(8_000), *range(10_000, NUM_TOKENS)]
    recognised = [*recognise(TEXT[:3_000], 0.6), *RNG.integers(3, 29, 1_500).tolist()]
    recognised += recognise([TEXT[token] for token in spoken[3_000:]], 0.6)
    frames = list(range(0, 4 * len(recognised), 4))
    spoken_frames = [*frames[:3_000], *frames[4_500:]]
    found = find_band(recognised, frames, TEXT, 4 * len(recognised))
    check(found, list(zip(spoken_frames, spoken, strict=True)))


def test_captions_widen_the_band_where_nothing_was_recognised():
    frames = list(range(0, 4 * NUM_TOKENS, 4))
    captions = [(frames[token], token) for token in range(0, NUM_TOKENS, 50)]
    found = find_band([], [], TEXT, 4 * NUM_TOKENS, captions)
    assert found.low[40_000] < 10_000 - band.SLACK_TOKENS and found.high[40_000] > 10_000 + band.SLACK_TOKENS
