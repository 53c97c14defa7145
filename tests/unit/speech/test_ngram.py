import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrkit.errors import DataError
from asrkit.speech.ngram import BEGIN, END, UNKNOWN, LanguageModel

TEXTS = st.lists(st.lists(st.sampled_from("abcde"), min_size=1, max_size=6).map(" ".join), min_size=1, max_size=12)


@settings(deadline=None)
@given(TEXTS, st.integers(1, 4))
def test_after_any_words_the_chances_of_the_next_add_up_to_one(texts, order):
    model = LanguageModel(texts, order)
    choices = [*model.words, END, UNKNOWN]
    histories = [(), *itertools.product([*model.words, BEGIN, "zebra"], repeat=2)]
    for history in histories:
        known = tuple(word if (word,) in model.log_probabilities or word == BEGIN else UNKNOWN for word in history)
        assert sum(10 ** model.score(known, word) for word in choices) == pytest.approx(1, abs=1e-6)


def test_what_was_said_often_is_likely_and_a_word_of_many_contexts_more_than_one_of_a_single_one():
    model = LanguageModel(["press star to go on"] * 4 + ["press star to stop", "press pound to stop"])
    chances = [model.score((BEGIN, "press"), word) for word in ("star", "pound", "go")]
    assert chances == sorted(chances, reverse=True) and len(set(chances)) == 3
    texts = LanguageModel(["san francisco"] * 9 + ["a b", "c b", "d b", "e b"], 2)
    assert texts.score(("zebra",), "b") > texts.score(("zebra",), "francisco"), "seen less often, but after more words"
    assert texts.score((), "zebra") == texts.score((), UNKNOWN)


def test_the_file_that_decoders_read():
    text = LanguageModel(["a b", "a c"], 2).arpa()
    head, _, rest = text.partition("\\1-grams:")
    assert head == "\\data\\\nngram 1=6\nngram 2=5\n\n"
    assert rest.endswith("\\end\\\n") and "-99.000000\t<s>\t" in rest and f"\t{UNKNOWN}\n" in rest
    for line in rest.splitlines():
        if "\t" in line:
            assert float(line.split("\t")[0]) <= 0


def test_no_text():
    with pytest.raises(DataError, match="needs some text"):
        LanguageModel(["", "  "])
