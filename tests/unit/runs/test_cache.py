"""The operator's cache is bounded by age and size, and keeps what runs use."""

import os
import time

import pytest
from huggingface_hub import constants

from asrkit.config import TrainConfig
from asrkit.data import archives, manifest
from asrkit.data.embedded import ClipExtractor
from asrkit.data.manifest import Utterance
from asrkit.runs import cache
from asrkit.runs.store import RunStore

DAY_S = 24 * 3600
MB = 10**6


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "asrkit"


@pytest.fixture
def store(tmp_path):
    return RunStore(tmp_path / "runs")


def put(path, days, size=MB):
    """Write a file that was last used so many days ago, in a folder of the same age."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    for one in (path, path.parent):
        os.utime(one, (time.time() - days * DAY_S,) * 2)
    return path


def trim(store, max_mb=1000, max_days=30, **options):
    return {path.name for path in cache.trim(store, max_mb * MB, max_days * DAY_S, **options)}


def test_what_was_not_used_for_long_is_deleted(root, store):
    old, new = put(root / "clips/old.wav", 31), put(root / "clips/new.wav", 29)
    unpacked, kept = put(root / "unpacked/old-1/a/b.wav", 31), put(root / "unpacked/new-1/b.wav", 2)
    os.utime(root / "unpacked/old-1", (0, 0))
    assert trim(store) == {"old.wav", "old-1"}
    assert new.exists() and kept.exists() and not old.exists() and not unpacked.parents[1].exists()
    assert trim(store) == set()


def test_least_recently_used_is_deleted_above_the_size(root, store):
    for days in range(6):
        put(root / f"clips/{days}.wav", days + 0.5)
    put(root / "unpacked/large-1/a.wav", 4.2, 3 * MB)
    assert trim(store, max_mb=6) == {"5.wav", "4.wav", "large-1"}
    assert trim(store, max_mb=0) == {"1.wav", "2.wav", "3.wav"}  # not what is used today
    assert trim(store, max_mb=0, max_days=0) == set()


def test_what_a_run_reads_stays(root, store, tmp_path):
    clip, unpacked = put(root / "clips/a.wav", 99), put(root / "unpacked/corpus-1/en/a.wav", 99)
    put(root / "clips/b.wav", 99)
    os.utime(root / "unpacked/corpus-1", (0, 0))
    run, damaged = store.create(TrainConfig()), store.create(TrainConfig())
    manifest.write(run.manifest_path("train"), [Utterance(str(clip), "a", 1.0)])
    manifest.write(run.manifest_path("eval"), [Utterance(str(unpacked), "a", 1.0)])
    damaged.manifest_path("train").write_text("{")
    assert trim(store, max_mb=0) == {"b.wav"}
    store.delete(run)
    assert trim(store, max_mb=0) == {"a.wav", "corpus-1"}


def test_use_renews(root, store, tmp_path):
    content = b"RIFF" + bytes(100)
    clip = ClipExtractor(None)._write(content, "")
    (tmp_path / "a.tar").write_bytes(b"")
    target = root / "unpacked" / "unpacked-1"
    put(target / "a.wav", 40)
    put(clip, 40)
    assert ClipExtractor(None)._write(content, "") == clip
    assert archives.renew(target)
    assert trim(store) == set() and clip.exists()
    assert not archives.renew(root / "gone")


def test_repositories_that_other_programs_fetched_stay(root, store, tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf/hub"))
    for name in ("datasets--a--ours", "models--a--ours", "datasets--a--others"):
        put(tmp_path / "hf/hub" / name / "blobs/x", 50)
        os.utime(tmp_path / "hf/hub" / name, (0, 0))
        if name.endswith("ours"):
            (tmp_path / "hf/asrkit" / name).mkdir(parents=True)
    assert trim(store) == set()
    assert trim(store, includes_hub=True) == {"datasets--a--ours", "models--a--ours"}
    assert os.listdir(tmp_path / "hf/hub") == ["datasets--a--others"]
