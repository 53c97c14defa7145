"""Partial uploads are removed, and no other files."""

from pathlib import Path

import pytest
from gradio.utils import get_upload_folder

from asrkit.ui.common import upload_folder


@pytest.mark.parametrize("is_set", [True, False])
def test_other_files_in_the_temporary_folder_are_kept(tmp_path, monkeypatch, is_set):
    """The folder for temporary files may be shared by several programs."""
    monkeypatch.setattr(upload_folder.tempfile, "tempdir", str(tmp_path))
    setting = str(tmp_path) if is_set else ""
    monkeypatch.setenv("GRADIO_TEMP_DIR", setting)
    (tmp_path / "tmpabc").write_text("another program's")
    upload_folder.set_upload_folder(7860)
    folder = Path(get_upload_folder())
    assert folder.parent == tmp_path and (tmp_path / "tmpabc").read_text() == "another program's"
    folder.mkdir()
    (folder / "tmpdef").write_text("half an upload")
    monkeypatch.setenv("GRADIO_TEMP_DIR", setting)
    upload_folder.set_upload_folder(7860)  # the app is started again
    assert not list(folder.iterdir())
