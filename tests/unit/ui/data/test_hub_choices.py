"""The lists of configurations and splits of a Hub dataset."""

import pytest

from asrkit.data.readers import hub_datasets
from asrkit.data.readers.hub_datasets import DatasetChoices
from asrkit.ui.data import hub_choices

SPLITS = {"train": 1_500_000, "validation": 500_000, "other": 2_000_000_000}


@pytest.fixture
def list_choices(monkeypatch):
    """Return a function that lists the given choices of hub:owner/data."""

    def list_given(choices):
        monkeypatch.setattr(hub_datasets, "list_choices", lambda data: choices)
        return hub_choices.list_choices("hub:owner/data")

    return list_given


def test_splits_with_a_role_are_joined_and_selected(list_choices):
    reply = list_choices(DatasetChoices(("default",), "default", SPLITS, None))
    assert reply["splits"] == [
        ("hub:owner/data", "train and validation (2.0 MB)"),
        ("hub:owner/data:default:train", "train (1.5 MB)"),
        ("hub:owner/data:default:validation", "validation (500 kB)"),
        ("hub:owner/data:default:other", "other (2.0 GB)"),
    ]
    assert reply["split"] == "hub:owner/data" and reply["config"] == "hub:owner/data:default"


def test_no_split_is_selected_before_a_configuration(list_choices):
    reply = list_choices(DatasetChoices(("en", "es"), None, {}, None))
    assert reply["configs"] == [("hub:owner/data:en", "en"), ("hub:owner/data:es", "es")]
    assert (reply["config"], reply["split"], reply["splits"]) == ("", "", [])


def test_named_split_is_selected_and_added_if_it_is_a_slice(list_choices):
    choices = DatasetChoices(("en", "es"), "en", {"train": 1_000_000}, "train[:10%]")
    reply = list_choices(choices)
    assert reply["split"] == "hub:owner/data:en:train[:10%]"
    assert reply["splits"][-1] == ("hub:owner/data:en:train[:10%]", "train[:10%]")
    assert reply["splits"][0] == ("hub:owner/data:en", "train (1.0 MB)")
