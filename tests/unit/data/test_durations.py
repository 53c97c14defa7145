"""Durations by header are remembered for unchanged files, so that only new ones are opened."""

import os
import shutil
import time

import pytest

from asrkit.data import access, confined, durations
from asrkit.data.durations import measure_duration, remembered
from asrkit.data.manifest import UNREADABLE_S


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(durations, "MIN_FILES", 1)
    return tmp_path / "cache" / "asrkit" / durations.FILE_NAME


@pytest.fixture
def opened(monkeypatch):
    """Names of the files whose headers were read."""
    files, read = [], durations.read_duration_s
    monkeypatch.setattr(durations, "read_duration_s", lambda file: files.append(os.path.basename(file)) or read(file))
    return files


def record(clip, name, seconds=0.5):
    """A clip of a minute ago."""
    path = clip(name, seconds)
    os.utime(path, (time.time() - 60,) * 2)
    return path


def measure(*paths):
    with remembered():
        return [measure_duration(path) for path in paths]


def test_only_new_files_are_opened(clip, opened):
    paths = [record(clip, f"{number}.wav", 0.1 * number) for number in range(1, 6)]
    first = measure(*paths)
    assert first == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])
    opened.clear()
    assert measure(*paths, record(clip, "new.wav", 0.7)) == [*first, 0.7]
    assert opened == ["new.wav"]


def test_files_that_are_looked_up_together_are_opened_if_they_are_new(clip, opened):
    known, changed, new = (record(clip, f"{number}.wav", 0.1 * number) for number in range(1, 4))
    measure(known, changed)
    shutil.copy2(record(clip, "longer.wav", 0.9), changed)
    opened.clear()
    with remembered():
        parts = durations.PartDurations()
        parts.look_up(map(str, [known, changed, new]))
        assert [parts.measure(path) for path in (new, known, changed)] == pytest.approx([0.3, 0.1, 0.9])
    assert opened == ["3.wav", "2.wav"]


def test_a_changed_file_is_opened_again(clip, opened):
    changed, replaced = record(clip, "a.wav"), record(clip, "b.wav")
    measure(changed, replaced)
    opened.clear()
    shutil.copy2(record(clip, "longer.wav", 0.9), changed)
    shutil.copy2(record(clip, "shorter.wav", 0.2), f"{replaced}.new")
    os.replace(f"{replaced}.new", replaced)
    assert measure(changed, replaced) == pytest.approx([0.9, 0.2])
    assert opened == ["a.wav", "b.wav"]


def test_what_cannot_be_read_and_what_is_new_is_tried_again(clip, opened, tmp_path):
    (tmp_path / "bad.wav").write_text("no audio")
    os.utime(tmp_path / "bad.wav", (1e9, 1e9))
    paths = [clip("new.wav"), tmp_path / "bad.wav", tmp_path / "gone.wav"]
    for _ in range(2):
        assert measure(*paths)[1:] == [UNREADABLE_S] * 2
    assert opened == ["new.wav", "bad.wav", "gone.wav"] * 2


def test_nothing_is_kept_of_visitors_and_of_small_data(clip, cache, opened, monkeypatch):
    path = record(clip, "a.wav")
    with access.as_visitor("somebody"):
        measure(path)
    monkeypatch.setattr(durations, "MIN_FILES", 2)
    measure(path)
    monkeypatch.setattr(durations, "MIN_FILES", 1)
    measure(path)
    assert opened == ["a.wav"] * 3
    assert measure(path) == [0.5] and opened == ["a.wav"] * 3


def test_without_a_place_for_it_every_file_is_opened(clip, cache, opened):
    cache.parent.mkdir(parents=True)
    cache.mkdir()
    path = record(clip, "a.wav")
    assert measure(path) == measure(path) == [0.5] and len(opened) == 2


def test_a_dataset_that_is_read_in_a_sandbox_is_remembered(clip, table, tmp_path, monkeypatch):
    """A file that is the same by size, time and inode is not opened, whatever is in it."""
    for number in range(durations_min := 500):
        os.link(record(clip, "data/a.wav") if not number else tmp_path / "data/a.wav", tmp_path / f"data/{number}.wav")
    table("data/metadata.csv", "file_name,text", *(f"{number}.wav,hi" for number in range(durations_min)))
    first = confined.load(str(tmp_path / "data"))
    path = tmp_path / "data/a.wav"
    stat = path.stat()
    with open(path, "r+b") as file:
        file.write(bytes(stat.st_size))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    again = confined.load(str(tmp_path / "data"))
    assert {row.duration_s for row in again.train} == {0.5} and again == first
