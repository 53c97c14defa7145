"""Uploads are in a new private folder; folders of apps that have ended are removed, and no other files."""

import fcntl
import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from gradio.utils import get_upload_folder

from asrkit.ui.common import upload_folder
from asrkit.ui.common.private_folder import make_private_folder

APP = f"""
import pathlib, sys
from asrkit.ui.common.private_folder import make_private_folder
print(make_private_folder(pathlib.Path(sys.argv[1]), "{upload_folder.PREFIX}"), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def restart(tmp_path, monkeypatch):
    def start(is_set=False):
        monkeypatch.setattr(upload_folder.tempfile, "tempdir", str(tmp_path))
        monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path) if is_set else "")
        upload_folder.set_upload_folder()
        return Path(get_upload_folder())

    return start


@pytest.mark.parametrize("is_set", [True, False])
def test_upload_folder_is_new_and_private(tmp_path, restart, is_set):
    """The folder for temporary files may be shared by several programs and users."""
    (tmp_path / "tmpabc").write_text("another program's")
    first, second = restart(is_set), restart(is_set)
    assert first != second and first.parent == second.parent == tmp_path
    assert stat.S_IMODE(second.stat().st_mode) == 0o700
    assert (tmp_path / "tmpabc").read_text() == "another program's"


def test_folders_of_ended_apps_are_removed(tmp_path, restart):
    command = [sys.executable, "-c", APP, str(tmp_path)]
    apps = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    running, killed = (Path(app.stdout.readline().strip()) for app in apps)
    apps[1].kill()
    apps[1].wait()
    (killed / "tmpdef").write_text("half an upload")
    restart(is_set=True)
    assert running.is_dir() and not killed.exists()
    apps[0].communicate()
    assert not running.exists(), "an app removes its folder when it ends"


@pytest.mark.parametrize(
    "interfere", [os.rmdir, lambda folder: fcntl.flock(os.open(folder, os.O_RDONLY), fcntl.LOCK_EX)]
)
def test_folder_that_another_app_takes_before_it_is_locked_is_made_again(tmp_path, monkeypatch, interfere):
    make, made = tempfile.mkdtemp, []

    def make_and_lose_the_first(**options):
        made.append(make(**options))
        if len(made) == 1:
            interfere(made[0])
        return made[-1]

    monkeypatch.setattr(tempfile, "mkdtemp", make_and_lose_the_first)
    folder = make_private_folder(tmp_path, "asrkit-")
    assert folder.is_dir() and [str(folder)] == made[1:]


def test_planted_link_is_not_followed(tmp_path, restart):
    (tmp_path / "private").mkdir()
    (tmp_path / "private/tmpkey").write_text("key")
    (tmp_path / "asrkit-uploads-planted").symlink_to(tmp_path / "private")
    restart()
    assert (tmp_path / "private/tmpkey").read_text() == "key"
