"""Several datasets in one setting."""

import numpy as np
import pytest
import soundfile

from asrkit.config import TrainConfig
from asrkit.data import access, dataset_names, sources
from asrkit.errors import DataError
from asrkit.runs import preparation


def write_dataset(folder, *rows):
    """Write clips of noise and their table. rows: (text, split)."""
    folder.mkdir(parents=True)
    lines = ["file_name,text,split"]
    for number, (text, split) in enumerate(rows):
        noise = np.random.default_rng(len(text) + number).normal(0, 0.1, 16_000)
        soundfile.write(folder / f"{number}.wav", noise, 16_000)
        lines.append(f"{number}.wav,{text},{split}")
    (folder / "metadata.csv").write_text("\n".join(lines))
    return str(folder)


def test_names_are_joined_and_separated(tmp_path):
    names = ["callsigns", "/data/mine", "hub:owner/c++:en"]
    assert dataset_names.separate(dataset_names.join(names)) == names
    assert dataset_names.separate("a + b + a") == ["a", "b"]
    (tmp_path / "mine + yours").mkdir()
    path = str(tmp_path / "mine + yours")
    assert dataset_names.separate(path) == [path], "a folder of that name is one dataset"


@pytest.mark.parametrize("setting", ["a + ", " + b", "a +  + b", "+ b"])
def test_missing_name_is_refused(setting):
    with pytest.raises(DataError, match="lack a name before or after"):
        dataset_names.separate(setting)


def test_visitor_does_not_learn_whether_a_path_exists(tmp_path):
    (tmp_path / "mine + yours").mkdir()
    with access.as_visitor("ann"):
        for name in ("mine + yours", "neither + nor"):
            assert len(dataset_names.separate(str(tmp_path / name))) == 2


def test_datasets_are_trained_on_together(tmp_path):
    """One without an evaluation split is trained on alone, if another has one."""
    ours = write_dataset(tmp_path / "ours", ("one", "train"), ("two", "eval"), ("three", "test"))
    mine = write_dataset(tmp_path / "mine", ("four", ""), ("five", ""))
    source = sources.load(dataset_names.join([ours, mine]))
    assert [row.text for row in source.train] == ["one", "four", "five"]
    assert [row.text for row in source.eval] == ["two"] and [row.text for row in source.test] == ["three"]
    assert "ours (1 train" in source.description and "mine (2 train" in source.description
    alone = sources.load(mine, eval_data=dataset_names.join([ours, mine]))
    assert [row.text for row in alone.eval] == ["two"]


def test_each_dataset_is_checked(tmp_path):
    mine = write_dataset(tmp_path / "mine", ("four", ""))
    with pytest.raises(DataError, match="nowhere"):
        sources.load(f"{mine} + {tmp_path}/nowhere")
    assert not preparation.is_local(TrainConfig(train=f"{mine} + hub:owner/name"))
