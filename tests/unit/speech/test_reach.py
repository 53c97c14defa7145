"""An app that others can reach reads what was uploaded to it and its data folder, whatever a table names."""

import pyarrow
import pytest
from pyarrow import parquet

from asrkit.errors import DataError
from asrkit.speech import reach, sources


@pytest.fixture
def limited(tmp_path, monkeypatch):
    monkeypatch.delenv(reach.VARIABLE, raising=False)
    (tmp_path / "data").mkdir()
    monkeypatch.setenv(reach.VARIABLE, str(tmp_path / "data"))


@pytest.mark.parametrize("spoil", ["", "../../secret.wav", "{root}/secret.wav", "link.wav", "folder/secret.wav"])
def test_a_recording_that_lies_elsewhere(clip, table, tmp_path, limited, spoil):
    clip("secret.wav")
    clip("data/mine/a.wav")
    (tmp_path / "data/mine/link.wav").symlink_to(tmp_path / "secret.wav")
    (tmp_path / "data/mine/folder").symlink_to(tmp_path)
    name = spoil.format(root=tmp_path) or "a.wav"
    table("data/mine/metadata.csv", "file_name,text", "a.wav,hi", f"{name},ho")
    if not spoil:
        assert len(sources.load(str(tmp_path / "data/mine")).train) == 2
        return
    with pytest.raises(DataError, match="may not be read here: this app reads only what was uploaded to it"):
        sources.load(str(tmp_path / "data/mine"))


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("lines", [("m.csv", "file_name,text", "{name},hi"), ("wav.scp", "a {name}")])
def test_whether_a_recording_lies_elsewhere_is_not_told(clip, table, tmp_path, limited, there, lines):
    if there:
        clip("secret.wav")
    table(f"data/mine/{lines[0]}", *(line.format(name=tmp_path / "secret.wav") for line in lines[1:]))
    if lines[0] == "wav.scp":
        table("data/mine/text", "a hi")
    with pytest.raises(DataError, match="may not be read here"):
        sources.load(str(tmp_path / "data/mine"))


@pytest.mark.parametrize("there", [True, False])
def test_nor_by_parquet(clip, tmp_path, limited, there):
    if there:
        clip("secret.wav")
    rows = pyarrow.table({"audio": [{"bytes": None, "path": str(tmp_path / "secret.wav")}], "text": ["hi"]})
    parquet.write_table(rows, tmp_path / "data/a.parquet")
    with pytest.raises(DataError, match="may not be read here"):
        sources.load(str(tmp_path / "data/a.parquet"))


@pytest.mark.parametrize("there", [True, False])
def test_a_dataset_that_lies_elsewhere_is_not_told_of(clip, table, tmp_path, limited, there):
    if there:
        clip("other/a.wav")
        table("other/metadata.csv", "file_name,text", "a.wav,hi")
    for name in (f"{tmp_path}/other", f"{tmp_path}/data/../other"):
        with pytest.raises(DataError, match="other may not be read here"):
            sources.load(name)


def test_what_comes_with_asrkit_may_be_read(limited):
    assert sources.load("callsigns").train


def test_without_a_limit_everything_is_read(clip, table, tmp_path, monkeypatch):
    monkeypatch.delenv(reach.VARIABLE, raising=False)
    clip("a.wav")
    assert len(sources.load(str(table("m.csv", "file_name,text", f"{tmp_path}/a.wav,hi"))).train) == 1


def test_whoever_runs_the_app_has_the_last_word(tmp_path, monkeypatch):
    monkeypatch.setenv(reach.VARIABLE, f"{tmp_path}/mine:{tmp_path}/ours")
    reach.limit_to(tmp_path / "data")
    reach.check(tmp_path / "ours" / "a.wav")
    with pytest.raises(DataError, match="may not be read here"):
        reach.check(tmp_path / "data" / "a.wav")


@pytest.mark.parametrize("name", ["hub:/etc", "hub:../data", "hub:./x", "hub:a/b/c", "hub:~/x"])
def test_the_hub_is_no_way_round(name):
    with pytest.raises(DataError, match="names no dataset"):
        sources.load(name)
