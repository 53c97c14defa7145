"""Roles of split names, and selections of rows."""

import pytest

from asrkit.data.split_names import names_in_selection, select_rows, split_role
from asrkit.errors import DataError


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("train", "train"),
        ("train.clean.100", "train"),
        ("Validation", "eval"),
        ("test-other", "test"),
        ("valid", "eval"),
        ("eval", "eval"),
        ("trainer", None),
        ("other", None),
    ],
)
def test_first_word_decides_the_role(name, role):
    assert split_role(name) == role


ROWS = {"train": list(range(10)), "test": [10, 11]}


@pytest.mark.parametrize(
    ("selection", "kept"),
    [
        ("train", list(range(10))),
        ("train[:20%]", [0, 1]),
        ("train[8:]+test", [8, 9, 10, 11]),
        ("test[1:]", [11]),
    ],
)
def test_selection_takes_rows_of_splits(selection, kept):
    assert select_rows(selection, ROWS) == kept


@pytest.mark.parametrize("selection", ["dev", "train[:x]", "train[0:200%]"])
def test_malformed_selection_is_refused(selection):
    with pytest.raises(DataError, match="cannot be taken .*there are train, test, and parts as in"):
        select_rows(selection, ROWS)


def test_selection_names_its_splits():
    assert names_in_selection("train[:10%]+test") == ["train", "test"]
