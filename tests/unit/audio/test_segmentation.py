from unittest import mock

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from asrkit.audio import SAMPLING_RATE, segmentation
from asrkit.audio.segmentation import LOOK_BACK_S, MAX_SEGMENT_S, Segmenter, segment_audio
from tests.support.demo_clips import load_clips


def tone(seconds, peak=0.3, hertz=200.0):
    """Something that sounds: a tone whose loudness wavers as speech does."""
    at = np.arange(round(seconds * SAMPLING_RATE)) / SAMPLING_RATE
    return (peak * np.sin(2 * np.pi * hertz * at) * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * at))).astype(np.float32)


def hush(seconds, level=0.0005, seed=0):
    return (level * np.random.default_rng(seed).standard_normal(round(seconds * SAMPLING_RATE))).astype(np.float32)


def kept(pieces):
    return [(piece.keep_from / SAMPLING_RATE, piece.keep_to / SAMPLING_RATE) for piece in pieces]


def fed(samples, sizes):
    """In blocks of the given sizes, over and over."""
    segmenter, at, pieces, number = Segmenter(), 0, [], 0
    while at < len(samples):
        size = sizes[number % len(sizes)]
        pieces += segmenter.push(samples[at : at + size])
        at, number = at + size, number + 1
    return pieces + segmenter.finish()


def check(pieces, samples):
    """In order, apart, long enough and not too long, and holding what the recording holds there."""
    for before, after in zip(pieces, pieces[1:], strict=False):
        assert before.keep_to <= after.keep_from
        assert after.start < after.keep_from if before.is_forced_cut else after.start == after.keep_from
    for piece in pieces:
        assert piece.start <= piece.keep_from < piece.keep_to <= piece.stop <= len(samples)
        assert len(piece.samples) <= (MAX_SEGMENT_S + LOOK_BACK_S + 0.2) * SAMPLING_RATE
        np.testing.assert_array_equal(piece.samples, samples[piece.start : piece.stop])


def test_a_pause_ends_a_piece_and_each_side_keeps_some_of_it():
    samples = np.concatenate([hush(0.4), tone(2), hush(0.8), tone(1.5), hush(0.3)])
    pieces = segment_audio(samples)
    check(pieces, samples)
    assert len(pieces) == 2
    (begin, end), (again, last) = kept(pieces)
    assert begin == 0 and 2.5 <= end <= 2.95 and again == end and 4.8 <= last <= 5.0
    assert not pieces[0].is_forced_cut


def test_a_short_pause_ends_only_a_long_piece():
    short = np.concatenate([hush(0.3), tone(2), hush(0.2), tone(2), hush(0.3)])
    assert len(segment_audio(short)) == 1
    long = np.concatenate([hush(0.3), tone(4), hush(0.2), tone(2), hush(0.3)])
    assert len(segment_audio(long)) == 2


def test_speech_without_a_pause_is_cut_at_its_quietest_moment_and_heard_on_both_sides():
    samples = np.concatenate([hush(0.2), tone(11.5), tone(0.12, peak=0.01), tone(20)])
    pieces = segment_audio(samples)
    check(pieces, samples)
    first, second = pieces[:2]
    assert first.is_forced_cut and abs(first.keep_to / SAMPLING_RATE - 11.76) < 0.1
    assert first.stop - first.keep_to >= SAMPLING_RATE, "heard for a second beyond"
    assert second.keep_from == first.keep_to and second.keep_from - second.start == round(LOOK_BACK_S * SAMPLING_RATE)
    edges = kept(pieces)
    assert all(before[1] == after[0] for before, after in zip(edges, edges[1:], strict=False))
    assert edges[-1][1] == pytest.approx(len(samples) / SAMPLING_RATE)


def test_silence_is_let_go_but_never_what_sounds():
    samples = np.concatenate([hush(30), tone(1), hush(60), tone(1, peak=0.02), hush(7)])
    pieces = segment_audio(samples)
    check(pieces, samples)
    assert len(pieces) == 2
    for piece, (begin, end) in zip(pieces, [(30, 31), (91, 92)], strict=True):
        assert piece.keep_from / SAMPLING_RATE <= begin - 0.1 and piece.keep_to / SAMPLING_RATE >= end
        assert piece.keep_to - piece.keep_from < 4 * SAMPLING_RATE


def test_somebody_soft_after_somebody_loud_is_heard():
    samples = np.concatenate([tone(12, 0.9), hush(0.4), tone(2.5, 0.06), hush(3), tone(9, 0.9), tone(3, 0.05), hush(2)])
    covered = np.zeros(len(samples), bool)
    for piece in segment_audio(samples):
        covered[piece.keep_from : piece.keep_to] = True
    assert covered[np.abs(samples) > 0.01].all()


@pytest.mark.parametrize(
    "samples",
    [np.zeros(0), np.zeros(100), np.zeros(20 * SAMPLING_RATE), hush(20, 0.0003), hush(20, 0.1)],
    ids=["none", "a frame", "zeros", "hiss", "noise"],
)
def test_nothing_to_hear(samples):
    assert segment_audio(samples.astype(np.float32)) == []


@pytest.mark.parametrize("seconds", [0.01, 0.05, 0.099, 0.1, 0.101, 0.35])
def test_a_word_at_the_very_end_is_kept(seconds):
    samples = np.concatenate([hush(1.0), tone(seconds)])
    (piece,) = segment_audio(samples)
    assert piece.keep_to == len(samples)


def test_an_offset_is_no_sound():
    assert segment_audio(hush(10) + np.float32(0.2)) == []


def test_speech_over_noise_is_cut_at_its_pauses():
    rng = np.random.default_rng(1)
    samples = np.concatenate([hush(0.5, 0), *[np.concatenate([tone(2), hush(0.8, 0)]) for _ in range(5)]])
    noisy = (samples + 0.02 * rng.standard_normal(len(samples))).astype(np.float32)
    pieces = segment_audio(noisy)
    check(pieces, noisy)
    assert len(pieces) == 5 and not any(piece.is_forced_cut for piece in pieces)


@settings(deadline=None, max_examples=25)
@given(
    st.lists(st.tuples(st.floats(0.05, 18), st.floats(0.05, 4), st.floats(0.01, 0.9)), min_size=1, max_size=4),
    st.lists(st.integers(1, 50_000), min_size=1, max_size=4),
    st.integers(0, 9),
)
@example([(8.875, 0.5, 0.75), (2.0, 1.0, 0.25)], [4000], 0)
@example([(1.0, 1.96875, 0.5), (10.96875, 0.5, 0.5)], [1], 0)
def test_the_size_of_the_blocks_changes_nothing_and_no_sound_is_lost_or_kept_twice(parts, sizes, seed):
    samples = np.concatenate(
        [piece for speech, pause, peak in parts for piece in (tone(speech, peak), hush(pause, seed=seed))]
    )
    whole, parted = segment_audio(samples), fed(samples, [max(64, size) for size in sizes])
    assert kept(whole) == kept(parted) and [one.start for one in whole] == [one.start for one in parted]
    check(whole, samples)
    with mock.patch.object(
        segmentation, "VAD_TRUST_FRAMES", np.inf
    ):  # a long tone may pass for a voice, and the next one not
        whole = segment_audio(samples)
    covered = np.zeros(len(samples), int)
    for piece in whole:
        covered[piece.keep_from : piece.keep_to] += 1
    assert covered.max() == 1
    lost = (np.abs(samples) > 0.01) & (covered == 0)
    assert lost.sum() < 0.05 * SAMPLING_RATE, "what is loud is answered for, but for the last fading of the last sound"


def test_what_is_open_is_what_came_in_since():
    segmenter = Segmenter()
    samples = np.concatenate([hush(0.3), tone(1), hush(0.7), tone(1)])
    assert not segmenter.has_speech and len(segmenter.pending.samples) == 0
    (piece,) = segmenter.push(samples)
    assert segmenter.has_speech and segmenter.position == len(samples)
    now = segmenter.pending
    assert (now.start, now.stop) == (piece.keep_to, len(samples))
    np.testing.assert_array_equal(now.samples, samples[piece.keep_to :])


def answered(samples, spans):
    """The share of each (first, last) second that a piece answers for."""
    covered = np.zeros(len(samples), bool)
    for piece in segment_audio(samples):
        covered[piece.keep_from : piece.keep_to] = True
    return [covered[round(first * SAMPLING_RATE) : round(last * SAMPLING_RATE)].mean() for first, last in spans]


def sentences(pause_s, loudness=(1.0,)):
    """Clips of the demo with pauses before and between them, and the seconds in which each is said."""
    hushed, parts, spans, at = np.zeros(round(pause_s * SAMPLING_RATE), np.float32), [], [], 0.0
    for number, clip in enumerate(load_clips(8)):
        loud = np.flatnonzero(np.abs(clip) > 0.1 * np.abs(clip).max())
        at += pause_s
        spans.append((at + loud[0] / SAMPLING_RATE, at + loud[-1] / SAMPLING_RATE))
        parts += [hushed, clip * np.float32(loudness[number % len(loudness)])]
        at += len(clip) / SAMPLING_RATE
    return np.concatenate(parts), spans


def music(count):
    """Plucked chords, 150 beats a minute, of power 1."""
    at = np.arange(count) / SAMPLING_RATE
    pitch = np.random.default_rng(0).choice([220, 262, 330, 392], count // 6400 + 1)[np.arange(count) // 6400]
    sound = sum(np.sin(2 * np.pi * pitch * n * at) / n for n in (1, 2, 3)) * np.exp(-3 * (at % 0.4))
    return sound / np.sqrt((sound**2).mean())


def test_music_between_sentences_is_let_go_and_no_sentence_is():
    samples, spans = sentences(3.0)
    mixed = (samples + 0.1 * np.sqrt((samples**2).mean()) * music(len(samples))).astype(np.float32)
    check(segment_audio(mixed), mixed)
    assert min(answered(mixed, spans)) > 0.9
    gaps = [(before[1] + 0.6, after[0] - 0.4) for before, after in zip(spans, spans[1:], strict=False)]
    assert np.mean(answered(mixed, gaps)) < 0.5


@pytest.mark.parametrize("loudness", [(1.0,), (0.03,), (1.0, 0.03)], ids=str)
def test_no_sentence_is_let_go_however_soft(loudness):
    samples, spans = sentences(1.0, loudness)
    noisy = samples + hush(len(samples) / SAMPLING_RATE, 0.00001)[: len(samples)]
    assert min(answered(noisy, spans)) == 1.0


@pytest.mark.parametrize("size", [977, 4800])
def test_speech_under_music_is_cut_alike_in_blocks_of_any_size(size):
    samples, _ = sentences(0.7)
    mixed = (samples + 0.2 * np.sqrt((samples**2).mean()) * music(len(samples))).astype(np.float32)
    assert kept(segment_audio(mixed)) == kept(fed(mixed, [size]))
