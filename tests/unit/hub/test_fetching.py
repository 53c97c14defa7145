"""Fetching files into the client's cache, by a child process."""

import pytest

from asrkit import hub
from asrkit.errors import HubError
from asrkit.hub import fetching


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
