import math
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asrkit.decoding import ctc

IDS = st.lists(st.integers(0, 3), max_size=12)


@pytest.mark.parametrize(
    ("samples", "expected"),
    [(0, 0), (399, 0), (400, 1), (719, 1), (720, 2), (16_000, 49), (160_000, 499)],
)
def test_frames(samples, expected):
    assert ctc.num_frames(samples / 16_000) == expected


@given(st.integers(0, 480_000))
def test_num_frames_is_exact_for_every_sample_count(samples):
    assert ctc.num_frames(samples / 16_000) == max(0, (samples - 400) // 320 + 1)


def test_num_frames_with_other_convolutions():
    assert ctc.num_frames(1.0, kernels=(10,), strides=(5,)) == 3199


def test_required_frames_and_feasibility():
    assert ctc.required_frames("hello") == 6
    assert ctc.required_frames("aaa") == 5
    assert ctc.required_frames("") == 0
    assert ctc.is_feasible("hello", 6)
    assert not ctc.is_feasible("hello", 5)


def test_collapse_examples():
    assert ctc.collapse([0, 1, 1, 0, 1, 2, 2, 0], blank_id=0) == [1, 1, 2]
    assert ctc.collapse([2, 2, 5, 5, 2], blank_id=5) == [2, 2]
    assert ctc.collapse([], blank_id=0) == []


@given(IDS)
def test_collapse_drops_blanks_and_is_feasible(ids):
    labels = ctc.collapse(ids, 0)
    assert 0 not in labels
    assert ctc.is_feasible(labels, len(ids))


@given(IDS)
def test_collapse_undoes_blanks_between_labels(ids):
    labels = [token for token in ids if token]
    assert ctc.collapse([part for token in labels for part in (token, 0)], 0) == labels


def test_feasible_labels_are_those_that_some_path_reaches():
    reached = {tuple(ctc.collapse(path, 0)) for path in product(range(3), repeat=4)}
    labels = (label for length in range(5) for label in product((1, 2), repeat=length))
    assert all(ctc.is_feasible(label, 4) == (label in reached) for label in labels)


def test_read_vocabulary():
    assert ctc.collect_characters(["b a", "é\tb"]) == ["a", "b", "é"]
    assert ctc.build_vocabulary(["b a", "c|"]) == {"<pad>": 0, "<unk>": 1, "|": 2, "a": 3, "b": 4, "c": 5}


def test_merge_vocabulary_keeps_ids():
    known = {"<pad>": 0, "a": 7, "|": 3}
    merged, added = ctc.merge_vocabulary(known, ["a c b"])
    assert merged == {"<pad>": 0, "a": 7, "|": 3, "b": 8, "c": 9}
    assert added == ["b", "c"]
    assert known == {"<pad>": 0, "a": 7, "|": 3}
    assert ctc.merge_vocabulary(merged, ["abc"]) == (merged, [])


def test_label_entropy():
    assert ctc.label_entropy(["ab", "ba"]) == pytest.approx(math.log(2))
    assert ctc.label_entropy(["aaab"]) == pytest.approx(0.5623351)  # -(3/4 ln 3/4 + 1/4 ln 1/4)
    assert ctc.label_entropy(["aaaa"]) == 0.0
    assert ctc.label_entropy([]) == 0.0
