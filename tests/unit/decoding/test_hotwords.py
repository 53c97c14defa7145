from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrkit.decoding.hotwords import HotWords
from asrkit.errors import ConfigError
from tests.support import tiny


def frames(path, sure=0.95, also=None):
    return tiny.make_log_probs(path, sure, also)


def heard(processor, words, scores):
    return [
        (one.word, round(one.start_s, 2), round(one.end_s, 2))
        for one in HotWords(processor, 0, words).decode(scores, 0.02)
    ]


NEARLY = frames([0, 3, 0, 4, 2, 0, 5, 0, 7, 6, 0], also={3: (6, 0.25)})  # "ab ced", where the b might be a d


def test_a_word_that_the_sound_nearly_says_is_heard_and_the_others_stay(processor):
    assert heard(processor, [], NEARLY) == [("ab", 0.02, 0.08), ("ced", 0.12, 0.2)]
    assert heard(processor, ["ad"], NEARLY) == [("ad", 0.02, 0.08), ("ced", 0.12, 0.2)]


def test_a_word_that_sounds_otherwise_is_not(processor):
    assert heard(processor, ["ee", "bbbb", "cab"], NEARLY) == heard(processor, [], NEARLY)
    assert heard(processor, ["ab"], NEARLY) == heard(processor, [], NEARLY)


def test_a_word_that_was_heard_in_two_pieces(processor):
    assert heard(processor, ["abced"], NEARLY) == [("abced", 0.02, 0.2)]


def test_a_hot_word_that_was_heard_leaves_its_neighbours_alone(processor):
    said = frames([0, 3, 0, 2, 0, 5, 0, 7, 0, 6, 0, 3, 0, 4, 0, 2, 0, 7, 0])
    assert [word for word, _, _ in heard(processor, ["cedab", "cedeb"], said)] == ["a", "cedab", "e"]


def test_the_better_of_two_hot_words(processor):
    assert heard(processor, ["ae", "ad"], NEARLY)[0][0] == "ad"


def test_nothing_was_said(processor):
    assert HotWords(processor, 0, ["ad"]).decode(frames([0, 0, 2, 0]), 0.02) == []


def test_what_cannot_be_a_hot_word(processor):
    with pytest.raises(ConfigError, match="cannot spell the hot word 'xyz'"):
        HotWords(processor, 0, ["ab", "xyz"])
    with pytest.raises(ConfigError, match="101 hot words"):
        HotWords(processor, 0, ["ab"] * 101)


@settings(deadline=None, max_examples=60)
@given(
    path=st.lists(st.integers(0, 7), min_size=1, max_size=25),
    sure=st.floats(0.2, 0.99),
    hot=st.lists(st.text("abcde", min_size=1, max_size=5), min_size=1, max_size=6, unique=True),
)
def test_what_is_left_out_without_a_search_would_not_have_been_heard(processor, path, sure, hot):
    decoder, scores = HotWords(processor, 0, hot), frames(path, sure)
    with mock.patch.object(HotWords, "_hopeful", lambda self, span, between: range(len(self.spelled))):
        wanted = decoder.decode(scores, 0.02)
    assert decoder.decode(scores, 0.02) == wanted
