import pytest

from asrkit.config import TrainConfig
from asrkit.runs.store import RunStore
from asrkit.training.files import partial_dir, replaced


class Broken(Exception):
    """Something ended the block."""


def test_a_directory_is_replaced_whole_or_not_at_all(tmp_path):
    target = tmp_path / "model"
    for content in ("one", "two"):
        with replaced(target) as draft:
            draft.mkdir()
            (draft / "weights").write_text(content)
        assert (target / "weights").read_text() == content
    with pytest.raises(Broken), replaced(target) as draft:
        draft.mkdir()
        (draft / "weights").write_text("half")
        raise Broken
    assert (target / "weights").read_text() == "two"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_partial_checkpoints_are_out_of_sight(tmp_path):
    run = RunStore(tmp_path).create(TrainConfig())
    (partial_dir(run) / "checkpoint-9").mkdir(parents=True)
    assert run.checkpoints() == []
