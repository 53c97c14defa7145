import pytest
from hypothesis import given
from hypothesis import strategies as st

from asrkit.errors import DataError
from asrkit.text.metrics import ErrorRate, align_words, bootstrap_wer_interval, score
from asrkit.text.scripts import tokenize_mixed

WORDS = st.lists(st.sampled_from(["a", "bb", "c", "我", "好的"]), max_size=6).map(" ".join)
PAIRS = st.lists(st.tuples(WORDS, WORDS), max_size=5)


def test_by_hand():
    scores = score(["the cat sat on the big mat"], ["oh the cat sit on big mat"])
    assert scores.wer == ErrorRate(3 / 7, substitutions=1, deletions=1, insertions=1, hits=5, reference_length=7)
    assert scores.mer == scores.wer
    # "[+oh ]the cat s[a>i]t on [-the ]big mat": 3 + 1 + 4 edits over 26 characters
    assert scores.cer == ErrorRate(8 / 26, substitutions=1, deletions=4, insertions=3, hits=21, reference_length=26)
    assert scores.length_ratio == 25 / 26


def test_pooled_not_averaged():
    scores = score(["a b c d e f g h i", "x"], ["a b c d e f g h i", "y"])
    assert scores.wer.rate == 1 / 10


def test_mixed_script():
    scores = score(["我想买 iphone"], ["我要买 iphone"])
    assert scores.wer.rate == 1 / 2
    assert scores.mer == ErrorRate(1 / 4, 1, 0, 0, 3, 4)


def test_empty_reference_counts_insertions_only():
    assert score(["", "a b"], ["x y", "a b"]).wer == ErrorRate(2 / 2, 0, 0, 2, 2, 2)
    assert score([""], ["x y"]).wer == ErrorRate(1.0, 0, 0, 2, 0, 0)
    assert score([""], [""]).wer == ErrorRate(0.0, 0, 0, 0, 0, 0)
    assert score([], []).cer.rate == 0.0


def test_empty_hypothesis_is_all_deletions():
    scores = score(["a b"], [""])
    assert scores.wer == ErrorRate(1.0, 0, 2, 0, 0, 2)
    assert scores.length_ratio == 0.0


def test_length_ratio():
    assert score(["abcd"], ["ab"]).length_ratio == 0.5
    assert score(["ab"], ["abcd"]).length_ratio == 2.0
    assert score([""], [""]).length_ratio == 1.0
    assert score([""], ["abc"]).length_ratio == 3.0


def test_spaces_are_collapsed():
    assert score(["a  b"], [" a b\n"]).cer.rate == 0.0


def test_lists_of_different_length():
    with pytest.raises(DataError, match="2 references but 1 hypotheses; give one hypothesis each"):
        score(["a", "b"], ["a"])


@given(PAIRS)
def test_zero_exactly_where_equal(pairs):
    references, hypotheses = [left for left, _ in pairs], [right for _, right in pairs]
    scores = score(references, hypotheses)
    equal = references == hypotheses
    assert (scores.wer.rate == 0) == (scores.cer.rate == 0) == equal
    if equal:
        assert scores.mer.rate == 0


@given(PAIRS)
def test_counts_add_up(pairs):
    scores = score([left for left, _ in pairs], [right for _, right in pairs])
    for rate in (scores.wer, scores.cer, scores.mer):
        assert rate.hits + rate.substitutions + rate.deletions == rate.reference_length
        assert 0 <= rate.rate < float("inf")
    assert scores.wer.hits + scores.wer.substitutions + scores.wer.insertions == sum(len(r.split()) for _, r in pairs)


def test_align_by_hand():
    assert align_words("the cat sat on the big mat", "oh the cat sit on big mat") == [
        ("insert", [], ["oh"]),
        ("equal", ["the", "cat"], ["the", "cat"]),
        ("substitute", ["sat"], ["sit"]),
        ("equal", ["on"], ["on"]),
        ("delete", ["the"], []),
        ("equal", ["big", "mat"], ["big", "mat"]),
    ]


def test_align_empty_sides():
    assert align_words("", "") == []
    assert align_words("", "a b") == [("insert", [], ["a", "b"])]
    assert align_words("a", "") == [("delete", ["a"], [])]


@given(WORDS, WORDS)
def test_align_rebuilds_both_sides(reference, hypothesis):
    chunks = align_words(reference, hypothesis)
    assert [word for _, words, _ in chunks for word in words] == tokenize_mixed(reference)
    assert [word for _, _, words in chunks for word in words] == tokenize_mixed(hypothesis)


def test_interval_contains_wer_and_narrows_with_more_clips():
    references, hypotheses = ["a b c d"] * 40, ["a b c d"] * 30 + ["a x c"] * 10
    low, high = bootstrap_wer_interval(references, hypotheses)
    rate = score(references, hypotheses).wer.rate
    assert 0 < low < rate == 0.125 < high < 0.3
    # The standard error of 40 clips, of which a quarter have 2 errors of 4: 0.5 * sqrt(0.25 * 0.75 / 40) = 0.034.
    assert high - low == pytest.approx(2 * 1.96 * 0.034, rel=0.15)
    wide = bootstrap_wer_interval(references[25:35], hypotheses[25:35])
    assert wide[1] - wide[0] > 1.5 * (high - low)
    assert bootstrap_wer_interval(["a"], ["a"]) == (0, 0)
    assert bootstrap_wer_interval([""], ["a"]) == (1, 1) and bootstrap_wer_interval([""], [""]) == (0, 0)
