import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrkit.decoding.ngram import BEGIN, END, UNKNOWN, LanguageModel
from asrkit.errors import DataError

TEXTS = st.lists(st.lists(st.sampled_from("abcde"), min_size=1, max_size=6).map(" ".join), min_size=1, max_size=12)


@settings(deadline=None)
@given(TEXTS, st.integers(1, 4))
def test_next_word_probabilities_sum_to_one(texts, order):
    model = LanguageModel(texts, order)
    choices = [*model.words, END, UNKNOWN]
    histories = [(), *itertools.product([*model.words, BEGIN, "zebra"], repeat=2)]
    for history in histories:
        known = tuple(word if (word,) in model.log_probabilities or word == BEGIN else UNKNOWN for word in history)
        assert sum(10 ** model.score(known, word) for word in choices) == pytest.approx(1, abs=1e-6)


def test_frequent_words_and_words_of_many_contexts_are_likelier():
    model = LanguageModel(["press star to go on"] * 4 + ["press star to stop", "press pound to stop"])
    chances = [model.score((BEGIN, "press"), word) for word in ("star", "pound", "go")]
    assert chances == sorted(chances, reverse=True) and len(set(chances)) == 3
    texts = LanguageModel(["san francisco"] * 9 + ["a b", "c b", "d b", "e b"], 2)
    assert texts.score(("zebra",), "b") > texts.score(("zebra",), "francisco"), "seen less often, but after more words"
    assert texts.score((), "zebra") == texts.score((), UNKNOWN)


def test_follow_scores_words_after_their_history():
    model = LanguageModel(["press star to go on"] * 4 + ["press pound to stop"])
    state, first = model.follow(model.start, "press")
    _, star = model.follow(state, "star")
    _, zebra = model.follow(state, "zebra")
    assert first / math.log(10) == pytest.approx(model.score((BEGIN,), "press")) and star > zebra
    assert model.follow(model.follow(model.start, "zebra")[0], "star")[1] < star


def test_language_model_without_text_raises():
    with pytest.raises(DataError, match="needs some text"):
        LanguageModel(["", "  "])
