"""An app that others can reach reads what was uploaded to it and its data folder, whatever a table names."""

import pyarrow
import pytest
from pyarrow import parquet

from asrkit.data import access, sources
from asrkit.errors import DataError
from tests.support.sheets import cells, xlsx


@pytest.fixture
def limited(tmp_path, monkeypatch):
    monkeypatch.delenv(access.READABLE_VARIABLE, raising=False)
    (tmp_path / "data").mkdir()
    monkeypatch.setenv(access.READABLE_VARIABLE, str(tmp_path / "data"))


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


@pytest.mark.parametrize("name", ["link.xlsx", "link.xlsx#s"])
def test_a_sheet_is_no_way_round_a_link(clip, tmp_path, limited, name):
    clip("data/a.wav")
    xlsx(tmp_path / "secret.xlsx", {"s": cells([["file_name", "text"], ["a.wav", "secret"]])})
    (tmp_path / "data/link.xlsx").symlink_to(tmp_path / "secret.xlsx")
    with pytest.raises(DataError, match="may not be read here"):
        sources.load(str(tmp_path / "data" / name))


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
    monkeypatch.delenv(access.READABLE_VARIABLE, raising=False)
    clip("a.wav")
    assert len(sources.load(str(table("m.csv", "file_name,text", f"{tmp_path}/a.wav,hi"))).train) == 1


def test_whoever_runs_the_app_has_the_last_word(tmp_path, monkeypatch):
    monkeypatch.setenv(access.READABLE_VARIABLE, f"{tmp_path}/mine:{tmp_path}/ours")
    access.limit_reads(tmp_path / "data")
    access.check(tmp_path / "ours" / "a.wav")
    with pytest.raises(DataError, match="may not be read here"):
        access.check(tmp_path / "data" / "a.wav")


@pytest.mark.parametrize("name", ["hub:/etc", "hub:../data", "hub:./x", "hub:a/b/c", "hub:~/x"])
def test_the_hub_is_no_way_round(name):
    with pytest.raises(DataError, match="names no dataset"):
        sources.load(name)


@pytest.fixture
def parted(tmp_path, monkeypatch, limited):
    """Two visitors, ann and bob, and what lies there for everybody."""
    monkeypatch.setenv(access.VISITORS_VARIABLE, "")
    access.isolate_visitors(tmp_path / "data")
    return tmp_path / "data" / access.VISITORS_FOLDER


@pytest.mark.parametrize("there", [True, False])
def test_nobody_reads_or_learns_of_what_another_visitor_has(clip, table, tmp_path, parted, there):
    if there:
        clip("data/.visitors/bob/mine/b.wav")
        table("data/.visitors/bob/mine/metadata.csv", "file_name,text", "b.wav,hi")
    clip("data/.visitors/ann/hers/a.wav")
    table("data/.visitors/ann/hers/metadata.csv", "file_name,text", "a.wav,hi")
    table("data/.visitors/ann/theirs.csv", "file_name,text", "../bob/mine/b.wav,hi")
    messages = set()
    with access.as_visitor("ann"):
        assert len(sources.load(f"{parted}/ann/hers").train) == 1
        assert access.visitor_dir(tmp_path / "data") == parted / "ann"
        for name in (f"{parted}/bob/mine", f"{parted}/ann/../bob/mine", f"{parted}/bob", str(parted)):
            with pytest.raises(DataError, match="may not be read here") as caught:
                sources.load(name)
            messages.add(str(caught.value).replace(name, ""))
        with pytest.raises(DataError, match="may not be read here"):
            sources.load(f"{parted}/ann/theirs.csv")
    assert len(messages) == 1
    with pytest.raises(DataError, match="may not be read here"):
        sources.load(f"{parted}/ann/hers")  # asked by nobody


def test_what_lies_in_the_data_folder_is_everybodys(clip, table, tmp_path, parted):
    clip("data/corpus/a.wav")
    table("data/corpus/metadata.csv", "file_name,text", "a.wav,hi")
    clip("data/.visitors/bob/mine/b.wav")
    with access.as_visitor("ann"):
        assert len(sources.load(f"{tmp_path}/data/corpus").train) == 1
        assert len(sources.load(f"{tmp_path}/data").train) == 1, "and no folder of a visitor is found from above"


def test_a_worker_reads_as_the_owner_of_its_data(tmp_path, parted):
    for paths, owner in (
        ((f"{parted}/ann/x", ""), "ann"),
        ((f"{parted}/ann/x", f"{parted}/bob/x"), ""),
        (("hub:a/b", f"{parted}/bob/x"), "bob"),
        (("callsigns", ""), ""),
    ):
        with access.as_owner_of(*paths):
            assert access.current_visitor() == owner
    assert access.current_visitor() == ""


def test_a_browser_without_cookies_is_told(tmp_path, parted):
    with pytest.raises(DataError, match="keeps no cookies"):
        access.visitor_dir(tmp_path / "data")
