"""Files in buckets, by the Hub's own client against the stand-in, which keeps what it sends."""

import os

import pytest
from huggingface_hub import close_session, constants

from asrkit.errors import HubError, NotOnHubError
from asrkit.hub import buckets, compute
from tests.support.hub import serve


@pytest.fixture
def hub(tmp_path, monkeypatch, xet_cache):
    with serve(tmp_path / "hub") as served:
        monkeypatch.setattr(constants, "ENDPOINT", served.url)
        monkeypatch.setattr("huggingface_hub.hf_api.constants.ENDPOINT", served.url)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(compute.credentials, "current_token", lambda: "hf_good")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        close_session()  # the port may have been another server's
        buckets.create("tiny/bucket")
        yield served


def test_files_come_back_as_they_were_sent(hub, tmp_path):
    sent = {"text.jsonl": b'{"step": 1}\n' * 20_000, "weights.bin": os.urandom(300_000), "folder/small": b"x"}
    (tmp_path / "weights.bin").write_bytes(sent["weights.bin"])
    buckets.upload("tiny/bucket", "runs/one", {**sent, "weights.bin": tmp_path / "weights.bin"})
    entries = buckets.list_files("tiny/bucket", "runs/one")
    assert {name: entry.size for name, entry in entries.items()} == {name: len(sent[name]) for name in sent}
    assert {name: buckets.read("tiny/bucket", entry.path) for name, entry in entries.items()} == sent
    path = entries["text.jsonl"].path
    assert buckets.read("tiny/bucket", path, 5, 17) == sent["text.jsonl"][5:17]
    assert buckets.read("tiny/bucket", path, 12) == sent["text.jsonl"][12:]
    assert abs(entries["weights.bin"].mtime_s - (tmp_path / "weights.bin").stat().st_mtime) < 0.002


def test_folder_is_not_taken_for_another_one_that_begins_like_it(hub):
    buckets.upload("tiny/bucket", "runs", {"one/a": b"a", "one-more/b": b"b"})
    assert set(buckets.list_files("tiny/bucket", "runs/one")) == {"a"}


def test_deleted_files_are_gone(hub):
    buckets.upload("tiny/bucket", "runs", {"a": b"a", "b": b"b"})
    buckets.delete("tiny/bucket", "runs", ["a"])
    assert set(buckets.list_files("tiny/bucket", "runs")) == {"b"}


def test_bucket_that_exists_is_kept(hub):
    buckets.upload("tiny/bucket", "runs", {"a": b"a"})
    buckets.create("tiny/bucket")
    assert set(buckets.list_files("tiny/bucket", "runs")) == {"a"}


def test_missing_bucket_and_refused_token_are_told_apart(hub):
    with pytest.raises(NotOnHubError, match="There is no bucket tiny/other"):
        buckets.list_files("tiny/other", "runs")
    hub.tokens.clear()
    with pytest.raises(HubError, match="refuses tiny/bucket"):
        buckets.list_files("tiny/bucket", "runs")
    with pytest.raises(HubError, match="tiny/bucket cannot be written"):
        buckets.upload("tiny/bucket", "runs", {"a": b"a"})
