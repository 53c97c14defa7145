import pytest

from asrkit import files
from asrkit.config import TrainConfig
from asrkit.files import replace_directory
from asrkit.runs.run import Run
from asrkit.runs.store import RunStore
from asrkit.training.checkpointing import repair_checkpoints


class Broken(Exception):
    """Something ended the block."""


def test_replace_directory_is_atomic(tmp_path):
    target = tmp_path / "model"
    for content in ("one", "two"):
        with replace_directory(target) as draft:
            draft.mkdir()
            (draft / "weights").write_text(content)
        assert (target / "weights").read_text() == content
    with pytest.raises(Broken), replace_directory(target) as draft:
        draft.mkdir()
        (draft / "weights").write_text("half")
        raise Broken
    assert (target / "weights").read_text() == "two"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_partial_checkpoints_are_not_listed(tmp_path):
    run = RunStore(tmp_path).create(TrainConfig())
    (run.partial_checkpoint_dir / "checkpoint-9").mkdir(parents=True)
    assert run.checkpoints() == []


@pytest.fixture
def killed_run(tmp_path):
    """A run with a whole checkpoint and all that a kill may have left beside it."""
    run = Run(tmp_path)
    for name in ("checkpoint-4", ".partial", ".checkpoint-2-gone", ".checkpoint-6-old"):
        (run.checkpoints_dir / name).mkdir(parents=True)
        (run.checkpoints_dir / name / "weights").write_text(name)
    (tmp_path / ".model-draft").mkdir()
    return run


def test_repair_completes_or_undoes_interrupted_changes(killed_run):
    repair_checkpoints(killed_run)
    assert sorted(path.name for path in killed_run.checkpoints_dir.iterdir()) == ["checkpoint-4", "checkpoint-6"]
    assert (killed_run.checkpoints_dir / "checkpoint-6" / "weights").read_text() == ".checkpoint-6-old"
    assert not (killed_run.path / ".model-draft").exists()


def test_removed_checkpoint_is_renamed_before_its_files_are_deleted(killed_run, monkeypatch):
    """A kill in between leaves no half of it under its name."""
    whole = killed_run.checkpoints_dir / "checkpoint-4"
    seen = []
    monkeypatch.setattr(files.shutil, "rmtree", lambda path, **_: seen.append((path.name, whole.exists())))
    files.remove_directory(whole)
    assert seen[-1] == (".checkpoint-4-gone", False)
    assert killed_run.checkpoints() == []
