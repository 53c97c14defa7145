"""Fetching files into the client's cache, by a child process."""

import pytest

from asrkit import hub
from asrkit.errors import HubError
from asrkit.hub import credentials, fetching
from asrkit.hub.credentials import Reader
from asrkit.hub.repositories import Repository


@pytest.fixture
def repository(served):
    return hub.inspect_repository("owner/model", "model")


def test_files_are_fetched_with_progress(repository):
    progress = []
    folder = hub.fetch(repository, ["config.json", "weights/a.bin"], lambda *step: progress.append(step))
    assert (folder / "config.json").read_text() == "{}"
    assert (folder / "weights/a.bin").stat().st_size == 70_000
    message, done, total = progress[-1]
    assert (done, total) == (70_002, 70_002) and message.startswith("Fetching owner/model: ")


def test_cached_files_are_not_fetched_again(repository, monkeypatch):
    folder = hub.fetch(repository, ["config.json"])
    monkeypatch.setattr(fetching, "_fetch_in_child", None)
    assert hub.fetch(repository, ["config.json"]) == folder


def test_offline_repository_needs_all_files_in_the_cache(repository):
    offline = hub.Repository(repository.name, "model", repository.commit, repository.sizes, offline=True)
    with pytest.raises(HubError, match="1 of 1 files of owner/model are not in the local cache"):
        hub.fetch(offline, ["config.json"])
    folder = hub.fetch(repository, ["config.json"])
    assert hub.fetch(offline, ["config.json"]) == folder
    with pytest.raises(HubError, match="1 of 2 files of owner/model are not in the local cache"):
        hub.fetch(offline, ["config.json", "weights/a.bin"])


def test_full_disk_is_reported_before_the_fetch(repository, monkeypatch):
    monkeypatch.setattr(fetching, "free_bytes", lambda path: fetching.SPARE_BYTES + 70_001)
    monkeypatch.setattr(fetching, "_fetch_in_child", lambda *arguments: None)
    with pytest.raises(HubError, match="needs 70 kB, but only 1.1 GB are free at"):
        hub.fetch(repository, ["config.json", "weights/a.bin"])


def test_visitor_may_keep_so_much_of_datasets(tmp_path, monkeypatch):
    """Of one after the other, too; a model that the operator has listed is not theirs."""
    monkeypatch.setattr(fetching, "_fetch_in_child", lambda *arguments: None)
    sizes = {"a.parquet": 60_000}
    dataset, model = (Repository("owner/x", kind, "c" * 40, sizes) for kind in ("dataset", "model"))
    with credentials.as_reader(Reader(False, tmp_path / "own", max_bytes=100_000)):
        with pytest.raises(HubError, match="download it again"):  # it was let through to the child
            hub.fetch(dataset, sizes)
        (tmp_path / "own/hub").mkdir(parents=True)
        (tmp_path / "own/hub/earlier").write_bytes(bytes(50_000))
        with pytest.raises(HubError, match="needs 60 kB, and you may fetch 50 kB more on this app"):
            hub.fetch(dataset, sizes)
        with pytest.raises(HubError, match="download it again"):
            hub.fetch(model, sizes)


def test_exception_of_the_callback_stops_the_fetch(repository):
    class Stop(Exception):
        pass

    def stop(*step):
        raise Stop

    with pytest.raises(Stop):
        hub.fetch(repository, ["weights/a.bin"], stop)


def test_failure_of_the_child_is_raised_here(repository):
    stale = hub.Repository(repository.name, "model", repository.commit, {"removed.bin": 5})
    with pytest.raises(HubError, match="The model owner/model cannot be fetched from the Hugging Face Hub"):
        hub.fetch(stale, ["removed.bin"])


def test_partial_files_count_from_the_beginning_of_the_fetch(repository, tmp_path, monkeypatch):
    blobs = tmp_path / "home/hub/models--owner--model/blobs"
    blobs.mkdir(parents=True, exist_ok=True)
    (blobs / "old.incomplete").write_bytes(bytes(10))
    partial_files = fetching._PartialFiles(repository)
    (blobs / "new.incomplete").write_bytes(bytes(20))
    (blobs / "complete").write_bytes(bytes(40))
    assert partial_files.size_bytes() == 20
    monkeypatch.setattr(fetching, "STALE_S", -1.0)
    fetching._PartialFiles(repository)
    assert [path.name for path in blobs.iterdir()] == ["complete"]
