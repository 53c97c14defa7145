"""Names of datasets on the Hub. Fetching is tested in tests/integration/test_hub.py."""

import pytest

from asrkit.data.readers import hub_datasets
from asrkit.data.readers.hub_names import DatasetName
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
