from concurrent.futures import ThreadPoolExecutor
from unittest import mock

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from asrkit.audio import SAMPLING_RATE, segmentation
from asrkit.audio.segmentation import LOOK_BACK_S, MAX_SEGMENT_S, Segmenter, segment_audio
from tests.support.demo_clips import load_clips


def tone(seconds, peak=0.3, hertz=200.0):
    """A tone whose level varies as that of speech does."""
    at = np.arange(round(seconds * SAMPLING_RATE)) / SAMPLING_RATE
    return (peak * np.sin(2 * np.pi * hertz * at) * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * at))).astype(np.float32)


def quiet(seconds, level=0.0005, seed=0):
    return (level * np.random.default_rng(seed).standard_normal(round(seconds * SAMPLING_RATE))).astype(np.float32)


def kept_spans_s(segments):
    return [(segment.keep_from / SAMPLING_RATE, segment.keep_to / SAMPLING_RATE) for segment in segments]


def segment_in_blocks(samples, sizes):
    """Segment in blocks of the given sizes, repeated."""
    segmenter, at, segments, number = Segmenter(), 0, [], 0
    while at < len(samples):
        size = sizes[number % len(sizes)]
        segments += segmenter.push(samples[at : at + size])
        at, number = at + size, number + 1
    return segments + segmenter.finish()


def check(segments, samples):
    """Segments are ordered, do not overlap, are not too long and contain the samples of the recording."""
    for before, after in zip(segments, segments[1:], strict=False):
        assert before.keep_to <= after.keep_from
        assert after.start < after.keep_from if before.is_forced_cut else after.start == after.keep_from
    for segment in segments:
        assert segment.start <= segment.keep_from < segment.keep_to <= segment.stop <= len(samples)
        assert len(segment.samples) <= (MAX_SEGMENT_S + LOOK_BACK_S + 0.2) * SAMPLING_RATE
        np.testing.assert_array_equal(segment.samples, samples[segment.start : segment.stop])


def test_pause_ends_segment_and_is_shared_by_both_sides():
    samples = np.concatenate([quiet(0.4), tone(2), quiet(0.8), tone(1.5), quiet(0.3)])
    segments = segment_audio(samples)
    check(segments, samples)
    assert len(segments) == 2
    (begin, end), (again, last) = kept_spans_s(segments)
    assert begin == 0 and 2.5 <= end <= 2.95 and again == end and 4.8 <= last <= 5.0
    assert not segments[0].is_forced_cut


def test_short_pause_ends_only_long_segment():
    short = np.concatenate([quiet(0.3), tone(2), quiet(0.2), tone(2), quiet(0.3)])
    assert len(segment_audio(short)) == 1
    long = np.concatenate([quiet(0.3), tone(4), quiet(0.2), tone(2), quiet(0.3)])
    assert len(segment_audio(long)) == 2


def test_forced_cut_is_at_quietest_moment_with_context_on_both_sides():
    samples = np.concatenate([quiet(0.2), tone(11.5), tone(0.12, peak=0.01), tone(20)])
    segments = segment_audio(samples)
    check(segments, samples)
    first, second = segments[:2]
    assert first.is_forced_cut and abs(first.keep_to / SAMPLING_RATE - 11.76) < 0.1
    assert first.stop - first.keep_to >= SAMPLING_RATE, "a second of context follows"
    assert second.keep_from == first.keep_to and second.keep_from - second.start == round(LOOK_BACK_S * SAMPLING_RATE)
    edges = kept_spans_s(segments)
    assert all(before[1] == after[0] for before, after in zip(edges, edges[1:], strict=False))
    assert edges[-1][1] == pytest.approx(len(samples) / SAMPLING_RATE)


def test_silence_is_dropped_and_sound_is_kept():
    samples = np.concatenate([quiet(30), tone(1), quiet(60), tone(1, peak=0.02), quiet(7)])
    segments = segment_audio(samples)
    check(segments, samples)
    assert len(segments) == 2
    for segment, (begin, end) in zip(segments, [(30, 31), (91, 92)], strict=True):
        assert segment.keep_from / SAMPLING_RATE <= begin - 0.1 and segment.keep_to / SAMPLING_RATE >= end
        assert segment.keep_to - segment.keep_from < 4 * SAMPLING_RATE


def test_soft_speaker_after_loud_one_is_kept():
    samples = np.concatenate(
        [tone(12, 0.9), quiet(0.4), tone(2.5, 0.06), quiet(3), tone(9, 0.9), tone(3, 0.05), quiet(2)]
    )
    covered = np.zeros(len(samples), bool)
    for segment in segment_audio(samples):
        covered[segment.keep_from : segment.keep_to] = True
    assert covered[np.abs(samples) > 0.01].all()


@pytest.mark.parametrize(
    "samples",
    [np.zeros(0), np.zeros(100), np.zeros(20 * SAMPLING_RATE), quiet(20, 0.0003), quiet(20, 0.1)],
    ids=["none", "a frame", "zeros", "hiss", "noise"],
)
def test_silence_and_noise_give_no_segment(samples):
    assert segment_audio(samples.astype(np.float32)) == []


@pytest.mark.parametrize("seconds", [0.01, 0.05, 0.099, 0.1, 0.101, 0.35])
def test_word_at_the_very_end_is_kept_spans_s(seconds):
    samples = np.concatenate([quiet(1.0), tone(seconds)])
    (segment,) = segment_audio(samples)
    assert segment.keep_to == len(samples)


def test_constant_offset_gives_no_segment():
    assert segment_audio(quiet(10) + np.float32(0.2)) == []


def test_speech_in_noise_is_cut_at_pauses():
    rng = np.random.default_rng(1)
    samples = np.concatenate([quiet(0.5, 0), *[np.concatenate([tone(2), quiet(0.8, 0)]) for _ in range(5)]])
    noisy = (samples + 0.02 * rng.standard_normal(len(samples))).astype(np.float32)
    segments = segment_audio(noisy)
    check(segments, noisy)
    assert len(segments) == 5 and not any(segment.is_forced_cut for segment in segments)


@settings(deadline=None, max_examples=25)
@given(
    st.lists(st.tuples(st.floats(0.05, 18), st.floats(0.05, 4), st.floats(0.01, 0.9)), min_size=1, max_size=4),
    st.lists(st.integers(1, 50_000), min_size=1, max_size=4),
    st.integers(0, 9),
)
@example([(8.875, 0.5, 0.75), (2.0, 1.0, 0.25)], [4000], 0)
@example([(1.0, 1.96875, 0.5), (10.96875, 0.5, 0.5)], [1], 0)
def test_block_size_changes_nothing_and_each_sound_is_kept_once(parts, sizes, seed):
    samples = np.concatenate(
        [segment for speech, pause, peak in parts for segment in (tone(speech, peak), quiet(pause, seed=seed))]
    )
    whole, in_blocks = segment_audio(samples), segment_in_blocks(samples, [max(64, size) for size in sizes])
    assert kept_spans_s(whole) == kept_spans_s(in_blocks) and [one.start for one in whole] == [
        one.start for one in in_blocks
    ]
    check(whole, samples)
    with mock.patch.object(
        segmentation, "VAD_TRUST_FRAMES", np.inf
    ):  # a long tone may pass for a voice, and the next one not
        whole = segment_audio(samples)
    covered = np.zeros(len(samples), int)
    for segment in whole:
        covered[segment.keep_from : segment.keep_to] += 1
    assert covered.max() == 1
    lost = (np.abs(samples) > 0.01) & (covered == 0)
    assert lost.sum() < 0.05 * SAMPLING_RATE, "loud samples are kept, except for the fading end of the last sound"


def test_pending_holds_what_arrived_since_the_last_segment():
    segmenter = Segmenter()
    samples = np.concatenate([quiet(0.3), tone(1), quiet(0.7), tone(1)])
    assert not segmenter.has_speech and len(segmenter.pending.samples) == 0
    (segment,) = segmenter.push(samples)
    assert segmenter.has_speech and segmenter.position == len(samples)
    now = segmenter.pending
    assert (now.start, now.stop) == (segment.keep_to, len(samples))
    np.testing.assert_array_equal(now.samples, samples[segment.keep_to :])


def covered_fractions(samples, spans):
    """The fraction of each (first, last) second that segments keep."""
    covered = np.zeros(len(samples), bool)
    for segment in segment_audio(samples):
        covered[segment.keep_from : segment.keep_to] = True
    return [covered[round(first * SAMPLING_RATE) : round(last * SAMPLING_RATE)].mean() for first, last in spans]


def sentences(pause_s, loudness=(1.0,)):
    """Clips of the demo with pauses before and between them, and the span of seconds of each."""
    pause, parts, spans, at = np.zeros(round(pause_s * SAMPLING_RATE), np.float32), [], [], 0.0
    for number, clip in enumerate(load_clips(8)):
        loud = np.flatnonzero(np.abs(clip) > 0.1 * np.abs(clip).max())
        at += pause_s
        spans.append((at + loud[0] / SAMPLING_RATE, at + loud[-1] / SAMPLING_RATE))
        parts += [pause, clip * np.float32(loudness[number % len(loudness)])]
        at += len(clip) / SAMPLING_RATE
    return np.concatenate(parts), spans


def music(count):
    """Plucked chords, 150 beats a minute, of power 1."""
    at = np.arange(count) / SAMPLING_RATE
    pitch = np.random.default_rng(0).choice([220, 262, 330, 392], count // 6400 + 1)[np.arange(count) // 6400]
    sound = sum(np.sin(2 * np.pi * pitch * n * at) / n for n in (1, 2, 3)) * np.exp(-3 * (at % 0.4))
    return sound / np.sqrt((sound**2).mean())


def test_music_between_sentences_is_dropped_and_sentences_are_kept():
    samples, spans = sentences(3.0)
    mixed = (samples + 0.1 * np.sqrt((samples**2).mean()) * music(len(samples))).astype(np.float32)
    check(segment_audio(mixed), mixed)
    assert min(covered_fractions(mixed, spans)) > 0.9
    gaps = [(before[1] + 0.6, after[0] - 0.4) for before, after in zip(spans, spans[1:], strict=False)]
    assert np.mean(covered_fractions(mixed, gaps)) < 0.5


@pytest.mark.parametrize("loudness", [(1.0,), (0.03,), (1.0, 0.03)], ids=str)
def test_segmenter_keeps_quiet_speech(loudness):
    samples, spans = sentences(1.0, loudness)
    noisy = samples + quiet(len(samples) / SAMPLING_RATE, 0.00001)[: len(samples)]
    assert min(covered_fractions(noisy, spans)) == 1.0


@pytest.mark.parametrize("size", [977, 4800])
def test_block_size_does_not_change_segments_under_music(size):
    samples, _ = sentences(0.7)
    mixed = (samples + 0.2 * np.sqrt((samples**2).mean()) * music(len(samples))).astype(np.float32)
    assert kept_spans_s(segment_audio(mixed)) == kept_spans_s(segment_in_blocks(mixed, [size]))


def test_several_threads_find_the_same_segments():
    """As of a file, whose blocks are minutes long, against a microphone."""
    rng, parts = np.random.default_rng(0), []
    for clip in load_clips(40):
        parts += [clip, quiet(rng.uniform(0.05, 1.0))]
    samples = np.concatenate(parts)
    with ThreadPoolExecutor(3) as pool:
        segmenter = Segmenter(pool)
        found = [*segmenter.push(samples), *segmenter.finish()]
    expected = segment_in_blocks(samples, [8000])
    assert len(found) == len(expected) > 20
    for one, other in zip(found, expected, strict=True):
        assert (one.start, one.keep_from, one.keep_to) == (other.start, other.keep_from, other.keep_to)
        np.testing.assert_array_equal(one.samples, other.samples)
