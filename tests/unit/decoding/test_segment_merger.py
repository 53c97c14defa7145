"""Joined clips of known text: no word is lost or doubled, wherever the recording is cut."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asrkit.audio import SAMPLING_RATE
from asrkit.audio.segmentation import segment_audio
from asrkit.decoding.segment_merger import SegmentMerger
from asrkit.decoding.transcript import Word
from tests.support import tiny
from tests.support.tone_transcriber import ToneTranscriber


@st.composite
def speech(draw):
    """Words that do not overlap, each known by its number."""
    words, at = [], draw(st.floats(0, 1))
    for number in range(draw(st.integers(1, 60))):
        length = draw(st.floats(0.06, 1.2))
        words.append(Word(str(number), at, at + length, 1.0))
        at += length + draw(st.floats(0.02, 0.6))
    return words


def heard(words, start_s, stop_s, shift=0.0):
    """What a model says of a stretch: words that it hears in part too, under their name if it heard their middle."""
    inside = [word for word in words if word.end_s > start_s + 0.02 and word.start_s < stop_s - 0.02]
    return [
        Word(
            word.word if start_s < word.midpoint_s < stop_s else f"part of {word.word}",
            max(start_s, word.start_s + shift),
            min(stop_s, word.end_s + shift),
            1.0,
        )
        for word in inside
    ]


@given(speech(), st.lists(st.floats(2.0, 15.0), min_size=1, max_size=5), st.floats(-0.01, 0.01))
def test_each_word_is_said_once(words, lengths, shift):
    """Both sides of a cut hear a second or more across it, with times that differ a little."""
    merger, found, at, end = SegmentMerger(), [], 0.0, words[-1].end_s + 2
    for length in lengths:
        if at + length + 2.5 > end:
            break
        found += merger.push(heard(words, max(0, at - 1.5), at + length + 1), at + length)
        at += length
    found += merger.push(heard(words, max(0, at - 1.5), end, shift if at else 0.0), None)
    assert [word.word for word in found] == [word.word for word in words]
    assert all(before.start_s <= after.start_s for before, after in pairwise(found))


def test_a_pause_needs_no_seam():
    merger = SegmentMerger()
    assert merger.push([Word("one", 0, 1, 1)], None) and merger.push([Word("two", 0.9, 1.5, 1)], None)


def letters(text, rng):
    """A word of the tiny language with a gap of 0.14 s to the next: it parts words, and is too short for a pause."""
    return tiny.synthesize(text, rng)[SAMPLING_RATE // 20 : -SAMPLING_RATE // 20]


def test_joined_clips_are_read_as_one_by_one():
    """A tuned model reads a minute of words without a pause (so that it is cut in the middle of speech) as it does each
    word alone; and the same with pauses."""
    rng = np.random.default_rng(3)
    words = ["".join(rng.choice(list("abcde"), rng.integers(2, 5))) for _ in range(70)]
    for pause_s in (0.0, 0.7):
        sound = np.concatenate(
            [np.concatenate([letters(word, rng), np.zeros(int(pause_s * SAMPLING_RATE), np.float32)]) for word in words]
        )
        pieces = segment_audio(sound)
        forced_cuts = sum(piece.is_forced_cut for piece in pieces)
        assert forced_cuts == (0 if pause_s else len(pieces) - 1) and len(pieces) > 2
        told = ToneTranscriber().transcribe_blocks([sound])
        assert [word.word for word in told.words] == words
        assert told.duration_s == pytest.approx(len(sound) / SAMPLING_RATE)
