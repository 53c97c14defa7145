"""Names, splits and configurations of datasets on the Hub; what is fetched is in tests/integration/test_hub.py."""

import pytest

from asrkit.data.readers import hub
from asrkit.errors import DataError


@pytest.mark.parametrize(
    ("data", "parts"),
    [
        ("hub:owner/name", (None, None)),
        (" hub:owner/name ", (None, None)),
        ("hub:owner/name:en", ("en", None)),
        ("hub:owner/name:en:test", ("en", "test")),
        ("hub:owner/name:dev:test", ("dev", "test")),
        ("hub:owner/name:dev", ("dev", None)),
        ("hub:owner/name:validation", (None, "validation")),
        ("hub:owner/name:train[:10%]", (None, "train[:10%]")),
        ("hub:owner/name:validated[5:10]", (None, "validated[5:10]")),
        ("hub:owner/name:en:other[:10%]", ("en", "other[:10%]")),
    ],
)
def test_names(data, parts):
    """Of a dataset with configurations en and dev; one part alone may be either."""
    assert hub.Name.of(data).settled(("en", "dev")) == hub.Name("owner/name", *parts)


@pytest.mark.parametrize(
    "data",
    ["hub:", "hub:owner/name/more", "hub:../etc", "hub:owner/na me", "hub:owner/name:a:b:c", "hub:owner/name::test"],
)
def test_what_names_nothing(data):
    with pytest.raises(DataError, match="names no dataset; write hub:owner/name"):
        hub.Name.of(data)


@pytest.mark.parametrize(
    ("name", "side"),
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
def test_side(name, side):
    assert hub.side(name) == side


ROWS = {"train": list(range(10)), "test": [10, 11]}


@pytest.mark.parametrize(
    ("split", "kept"),
    [
        ("train", list(range(10))),
        ("train[:20%]", [0, 1]),
        ("train[8:]+test", [8, 9, 10, 11]),
        ("test[1:]", [11]),
    ],
)
def test_parts_of_splits(split, kept):
    assert hub.cut(split, ROWS) == kept


@pytest.mark.parametrize("split", ["dev", "train[:x]", "train[0:200%]"])
def test_parts_that_cannot_be_taken(split):
    with pytest.raises(DataError, match="cannot be taken .*there are train, test, and parts as in"):
        hub.cut(split, ROWS)


def test_a_folder_here_is_not_looked_for_elsewhere(tmp_path, monkeypatch):
    (tmp_path / "clips").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="clips is on this machine; give it without hub:"):
        hub.fetch("hub:clips")
