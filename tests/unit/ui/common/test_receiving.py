"""Parts of uploads are removed, and nothing of anybody else's."""

from pathlib import Path

import pytest
from gradio.utils import get_upload_folder

from asrkit.ui.common import receiving


@pytest.mark.parametrize("named", [True, False])
def test_what_others_have_in_the_temporary_folder_stays(tmp_path, monkeypatch, named):
    """Somebody who names a folder for temporary files may have named one for several programs."""
    monkeypatch.setattr(receiving.tempfile, "tempdir", str(tmp_path))
    told = str(tmp_path) if named else ""
    monkeypatch.setenv("GRADIO_TEMP_DIR", told)
    (tmp_path / "tmpabc").write_text("another program's")
    receiving.own_folder(7860)
    mine = Path(get_upload_folder())
    assert mine.parent == tmp_path and (tmp_path / "tmpabc").read_text() == "another program's"
    mine.mkdir()
    (mine / "tmpdef").write_text("half of an upload")
    monkeypatch.setenv("GRADIO_TEMP_DIR", told)
    receiving.own_folder(7860)  # the app is started again
    assert not list(mine.iterdir())
