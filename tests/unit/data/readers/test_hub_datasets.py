"""Names of datasets on the Hub. Fetching is tested in tests/integration/test_hub.py."""

import pytest

from asrkit.data import access
from asrkit.data.readers import hub_datasets
from asrkit.data.readers.hub_names import DatasetName
from asrkit.data.readers.hub_plans import Plan
from asrkit.errors import DataError
from asrkit.hub import Repository


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
def test_name_is_resolved_by_the_configurations(data, parts):
    """The dataset has the configurations en and dev."""
    assert DatasetName.parse(data).resolve(("en", "dev")) == DatasetName("owner/name", *parts)


@pytest.mark.parametrize(
    "data",
    ["hub:", "hub:owner/name/more", "hub:../etc", "hub:owner/na me", "hub:owner/name:a:b:c", "hub:owner/name::test"],
)
def test_malformed_name_is_refused(data):
    with pytest.raises(DataError, match="is not a dataset name; write hub:owner/name"):
        DatasetName.parse(data)


def test_local_folder_is_not_searched_on_the_hub(tmp_path, monkeypatch):
    (tmp_path / "clips").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="clips is on this machine; give it without hub:"):
        hub_datasets.fetch("hub:clips")


def make_large_plan(builder="parquet"):
    repository = Repository("owner/large", "dataset", "0" * 40, {"a.parquet": 100 << 30})
    return Plan(repository, ("default",), "default", builder, {"train": ["a.parquet"]})


@pytest.mark.parametrize(
    ("mode", "free_gb", "expected"),
    [("auto", 150, True), ("auto", 300, False), ("no", 150, False), ("yes", 300, True)],
)
def test_data_that_is_larger_than_the_room_is_streamed(mode, free_gb, expected, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(hub_datasets, "free_bytes", lambda where: free_gb << 30)
    assert hub_datasets._is_streamed(make_large_plan(), ["a.parquet"], mode) == expected


def test_fetched_data_is_not_streamed_by_itself(monkeypatch):
    monkeypatch.setattr(hub_datasets, "free_bytes", lambda where: 0)
    monkeypatch.setattr(hub_datasets.hub, "missing_bytes", lambda repository, paths: 0)
    assert not hub_datasets._is_streamed(make_large_plan(), ["a.parquet"], "auto")


def test_what_cannot_be_streamed_is_refused_where_it_is_asked_for():
    plan = make_large_plan("webdataset")
    assert not hub_datasets._is_streamed(plan, ["a.parquet"], "auto")
    with pytest.raises(DataError, match="holds no parquet files, so it cannot be streamed"):
        hub_datasets._is_streamed(plan, ["a.parquet"], "yes")
    with access.as_visitor("somebody"):
        assert not hub_datasets._is_streamed(make_large_plan(), ["a.parquet"], "auto")
        with pytest.raises(DataError, match="not streamed for visitors"):
            hub_datasets._is_streamed(make_large_plan(), ["a.parquet"], "yes")
