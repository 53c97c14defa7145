"""Listing the files of a repository, and the cache for when the Hub cannot be reached."""

import pytest

from asrkit import hub
from asrkit.errors import GatedError, HubError, NotOnHubError

SIZES = {"config.json": 2, "weights/a.bin": 70_000}


def test_inspection_lists_files_with_their_sizes(served):
    repository = hub.inspect_repository("owner/model", "model")
    assert (repository.name, repository.kind, repository.sizes) == ("owner/model", "model", SIZES)
    assert len(repository.commit) == 40 and not repository.offline


def test_broken_hub_is_replaced_by_the_last_inspection(served):
    known = hub.inspect_repository("owner/model", "model")
    served.broken.add("owner/model")
    repository = hub.inspect_repository("owner/model", "model")
    assert (repository.commit, repository.sizes, repository.offline) == (known.commit, SIZES, True)


def test_broken_hub_without_an_earlier_inspection_is_an_error(served):
    served.broken.add("owner/model")
    with pytest.raises(HubError, match="owner/model"):
        hub.inspect_repository("owner/model", "model")


def test_missing_repository(served):
    with pytest.raises(NotOnHubError, match="no model owner/none on the Hugging Face Hub, or it is private"):
        hub.inspect_repository("owner/none", "model")


def test_gated_repository_names_the_page_of_its_terms(served):
    served.gated.add("owner/model")
    with pytest.raises(GatedError, match=f"accept its terms at {served.url}/owner/model, then set HF_TOKEN"):
        hub.inspect_repository("owner/model", "model")


def test_cached_values_belong_to_one_commit(served, tmp_path):
    repository = hub.Repository("owner/model", "model", "a" * 40, {})
    assert repository.load_cached("plan en") is None
    repository.save_cached("plan en", {"splits": ["train"]})
    assert repository.load_cached("plan en") == {"splits": ["train"]}
    assert repository.load_cached("plan es") is None
    assert hub.Repository("owner/model", "model", "b" * 40, {}).load_cached("plan en") is None
    assert hub.Repository("owner/model", "dataset", "a" * 40, {}).load_cached("plan en") is None


def test_damaged_cache_is_ignored(served, tmp_path):
    repository = hub.Repository("owner/model", "model", "a" * 40, {})
    repository.save_cached("sizes", {})
    (path,) = (tmp_path / "home/asrkit").rglob("sizes.json")
    path.write_text("{")
    assert repository.load_cached("sizes") is None


def test_text_of_a_file_is_read_at_its_commit(served):
    assert hub.read_text(hub.inspect_repository("owner/model", "model"), "config.json") == "{}"


def test_text_that_is_gone_is_an_error(served):
    with pytest.raises(HubError, match="The model owner/model cannot be fetched"):
        hub.read_text(hub.inspect_repository("owner/model", "model"), "none.json")
