"""Joined clips of known text: no word is lost or repeated, wherever the recording is cut."""

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


def decode_part(words, start_s, stop_s, shift=0.0):
    """Words that a model recognises in part of a recording; a cut word keeps its name if its middle is inside."""
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
def test_each_word_appears_once(words, lengths, shift):
    """The segments at a cut overlap by a second or more, with times that differ a little."""
    merger, merged, at, end = SegmentMerger(), [], 0.0, words[-1].end_s + 2
    for length in lengths:
        if at + length + 2.5 > end:
            break
        merged += merger.push(decode_part(words, max(0, at - 1.5), at + length + 1), at + length)
        at += length
    merged += merger.push(decode_part(words, max(0, at - 1.5), end, shift if at else 0.0), None)
    assert [word.word for word in merged] == [word.word for word in words]
    assert all(before.start_s <= after.start_s for before, after in pairwise(merged))


def test_segments_apart_keep_all_words():
    merger = SegmentMerger()
    assert merger.push([Word("one", 0, 1, 1)], None) and merger.push([Word("two", 0.9, 1.5, 1)], None)


def synthesize_word(text, rng):
    """A word of the tiny language and a gap of 0.14 s: long enough to end a word, too short for a pause."""
    return tiny.synthesize(text, rng)[SAMPLING_RATE // 20 : -SAMPLING_RATE // 20]


def test_joined_clips_are_transcribed_as_single_ones():
    """A minute of words without a pause is cut in the middle of speech; each word is still recognised."""
    rng = np.random.default_rng(3)
    words = ["".join(rng.choice(list("abcde"), rng.integers(2, 5))) for _ in range(70)]
    for pause_s in (0.0, 0.7):
        sound = np.concatenate(
            [
                np.concatenate([synthesize_word(word, rng), np.zeros(int(pause_s * SAMPLING_RATE), np.float32)])
                for word in words
            ]
        )
        pieces = segment_audio(sound)
        forced_cuts = sum(piece.is_forced_cut for piece in pieces)
        assert forced_cuts == (0 if pause_s else len(pieces) - 1) and len(pieces) > 2
        transcript = ToneTranscriber().transcribe_blocks([sound])
        assert [word.word for word in transcript.words] == words
        assert transcript.duration_s == pytest.approx(len(sound) / SAMPLING_RATE)
