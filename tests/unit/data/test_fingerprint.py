"""Changes of files are seen by names, sizes, times and inodes."""

import os
import shutil
from pathlib import Path

import pytest

from asrkit.data.fingerprint import Fingerprint, locate


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "data"
    (folder / "clips").mkdir(parents=True)
    for name in ("metadata.csv", "clips/a.wav", "clips/b.wav"):
        (folder / name).write_text(name)
        os.utime(folder / name, (1_000_000, 1_000_000))
    return folder


def replace_unnoticeably(path: Path) -> None:
    """As rsync does: the new file has the size and the time of the old one."""
    stat = path.stat()
    copy = path.with_name(".copy")
    copy.write_bytes(b"x" * stat.st_size)
    os.utime(copy, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    copy.replace(path)


CHANGES = {
    "touched": lambda folder: os.utime(folder / "clips" / "a.wav"),
    "deleted": lambda folder: (folder / "clips" / "a.wav").unlink(),
    "added": lambda folder: (folder / "clips" / "a.txt").write_text("a"),
    "renamed": lambda folder: (folder / "clips" / "a.wav").rename(folder / "clips" / "c.wav"),
    "replaced": lambda folder: replace_unnoticeably(folder / "clips" / "a.wav"),
    "folder-added": lambda folder: (folder / "train").mkdir(),
    "gone": lambda folder: shutil.rmtree(folder),
    "hidden": lambda folder: (folder / ".DS_Store").write_text("x"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changes_in_a_folder(folder, change):
    state = Fingerprint.of([folder])
    assert state.is_current() and state.changed_at == 1_000_000
    CHANGES[change](folder)
    assert state.is_current() == (change == "hidden")


def test_of_a_table_its_own_file_and_the_folders_of_its_recordings_count(folder):
    state = Fingerprint.of([folder / "metadata.csv"], [str(folder / "clips")])
    (folder / "other.csv").write_text("x")
    assert state.is_current()
    os.utime(folder / "metadata.csv")
    assert not state.is_current()


def test_a_link_changes_with_what_it_leads_to(folder, tmp_path):
    (tmp_path / "a.wav").write_text("a")
    (folder / "clips" / "link.wav").symlink_to(tmp_path / "a.wav")
    state = Fingerprint.of([folder])
    assert state.is_current()
    (tmp_path / "a.wav").unlink()
    assert not state.is_current()


def test_names_are_located_as_they_are_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.xlsx").touch()
    assert locate("x.xlsx#Monday") == tmp_path / "x.xlsx" and locate("data") == tmp_path / "data"
    assert locate("callsigns").is_dir()
