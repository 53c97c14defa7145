from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrkit.decoding.hotwords import HotWordDecoder
from asrkit.errors import ConfigError
from tests.support import tiny


def frames(path, share=0.95, also=None):
    return tiny.make_log_probs(path, share, also)


def decode(processor, words, scores):
    return [
        (one.word, round(one.start_s, 2), round(one.end_s, 2))
        for one in HotWordDecoder(processor, 0, words).decode(scores, 0.02)
    ]


NEARLY = frames([0, 3, 0, 4, 2, 0, 5, 0, 7, 6, 0], also={3: (6, 0.25)})  # "ab ced", where the b might be a d


def test_hot_word_replaces_a_similar_word_only(processor):
    assert decode(processor, [], NEARLY) == [("ab", 0.02, 0.08), ("ced", 0.12, 0.2)]
    assert decode(processor, ["ad"], NEARLY) == [("ad", 0.02, 0.08), ("ced", 0.12, 0.2)]


def test_dissimilar_hot_words_change_nothing(processor):
    assert decode(processor, ["ee", "bbbb", "cab"], NEARLY) == decode(processor, [], NEARLY)
    assert decode(processor, ["ab"], NEARLY) == decode(processor, [], NEARLY)


def test_hot_word_replaces_two_neighbours(processor):
    assert decode(processor, ["abced"], NEARLY) == [("abced", 0.02, 0.2)]


def test_correct_hot_word_keeps_its_neighbours(processor):
    scores = frames([0, 3, 0, 2, 0, 5, 0, 7, 0, 6, 0, 3, 0, 4, 0, 2, 0, 7, 0])
    assert [word for word, _, _ in decode(processor, ["cedab", "cedeb"], scores)] == ["a", "cedab", "e"]


def test_better_of_two_hot_words_wins(processor):
    assert decode(processor, ["ae", "ad"], NEARLY)[0][0] == "ad"


def test_silence_has_no_words(processor):
    assert HotWordDecoder(processor, 0, ["ad"]).decode(frames([0, 0, 2, 0]), 0.02) == []


def test_invalid_hot_words_raise(processor):
    with pytest.raises(ConfigError, match="cannot spell the hot word 'xyz'"):
        HotWordDecoder(processor, 0, ["ab", "xyz"])
    with pytest.raises(ConfigError, match="101 hot words"):
        HotWordDecoder(processor, 0, ["ab"] * 101)


@settings(deadline=None, max_examples=60)
@given(
    path=st.lists(st.integers(0, 7), min_size=1, max_size=25),
    share=st.floats(0.2, 0.99),
    hot=st.lists(st.text("abcde", min_size=1, max_size=5), min_size=1, max_size=6, unique=True),
)
def test_pruned_hypotheses_never_win(processor, path, share, hot):
    decoder, scores = HotWordDecoder(processor, 0, hot), frames(path, share)
    with mock.patch.object(
        HotWordDecoder, "_find_plausible", lambda self, scores, with_delimiters: range(len(self.hot_words))
    ):
        expected = decoder.decode(scores, 0.02)
    assert decoder.decode(scores, 0.02) == expected
