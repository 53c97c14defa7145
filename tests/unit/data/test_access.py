"""Restricted reads: an app that others can reach reads only its uploads and its data folder."""

import pyarrow
import pytest
from pyarrow import parquet

from asrkit.data import access, sources
from asrkit.errors import DataError
from tests.support.sheets import cells, write_xlsx


@pytest.fixture
def restricted_reads(tmp_path, monkeypatch):
    monkeypatch.delenv(access.READABLE_VARIABLE, raising=False)
    (tmp_path / "data").mkdir()
    monkeypatch.setenv(access.READABLE_VARIABLE, str(tmp_path / "data"))


@pytest.mark.parametrize("template", ["", "../../secret.wav", "{root}/secret.wav", "link.wav", "folder/secret.wav"])
def test_recording_outside_the_readable_folders_is_refused(clip, table, tmp_path, restricted_reads, template):
    clip("secret.wav")
    clip("data/corpus/a.wav")
    (tmp_path / "data/corpus/link.wav").symlink_to(tmp_path / "secret.wav")
    (tmp_path / "data/corpus/folder").symlink_to(tmp_path)
    name = template.format(root=tmp_path) or "a.wav"
    table("data/corpus/metadata.csv", "file_name,text", "a.wav,hi", f"{name},ho")
    if not template:
        assert len(sources.load(str(tmp_path / "data/corpus")).train) == 2
        return
    with pytest.raises(DataError, match="may not be read here: this app reads only what was uploaded to it"):
        sources.load(str(tmp_path / "data/corpus"))


@pytest.mark.parametrize("name", ["link.xlsx", "link.xlsx#s"])
def test_sheet_name_does_not_bypass_the_check_of_links(clip, tmp_path, restricted_reads, name):
    clip("data/a.wav")
    write_xlsx(tmp_path / "secret.xlsx", {"s": cells([["file_name", "text"], ["a.wav", "secret"]])})
    (tmp_path / "data/link.xlsx").symlink_to(tmp_path / "secret.xlsx")
    with pytest.raises(DataError, match="may not be read here"):
        sources.load(str(tmp_path / "data" / name))


@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize("lines", [("m.csv", "file_name,text", "{name},hi"), ("wav.scp", "a {name}")])
def test_error_does_not_reveal_whether_a_recording_exists(clip, table, tmp_path, restricted_reads, exists, lines):
    if exists:
        clip("secret.wav")
    table(f"data/corpus/{lines[0]}", *(line.format(name=tmp_path / "secret.wav") for line in lines[1:]))
    if lines[0] == "wav.scp":
        table("data/corpus/text", "a hi")
    with pytest.raises(DataError, match="may not be read here"):
        sources.load(str(tmp_path / "data/corpus"))


@pytest.mark.parametrize("exists", [True, False])
def test_parquet_error_does_not_reveal_whether_a_recording_exists(clip, tmp_path, restricted_reads, exists):
    if exists:
        clip("secret.wav")
    rows = pyarrow.table({"audio": [{"bytes": None, "path": str(tmp_path / "secret.wav")}], "text": ["hi"]})
    parquet.write_table(rows, tmp_path / "data/a.parquet")
    with pytest.raises(DataError, match="may not be read here"):
        sources.load(str(tmp_path / "data/a.parquet"))


@pytest.mark.parametrize("exists", [True, False])
def test_error_does_not_reveal_whether_a_dataset_exists(clip, table, tmp_path, restricted_reads, exists):
    if exists:
        clip("other/a.wav")
        table("other/metadata.csv", "file_name,text", "a.wav,hi")
    for name in (f"{tmp_path}/other", f"{tmp_path}/data/../other"):
        with pytest.raises(DataError, match="other may not be read here"):
            sources.load(name)


def test_built_in_data_is_readable(restricted_reads):
    assert sources.load("callsigns").train


def test_reads_are_unrestricted_by_default(clip, table, tmp_path, monkeypatch):
    monkeypatch.delenv(access.READABLE_VARIABLE, raising=False)
    clip("a.wav")
    assert len(sources.load(str(table("m.csv", "file_name,text", f"{tmp_path}/a.wav,hi"))).train) == 1


def test_environment_variable_lists_the_readable_folders(tmp_path, monkeypatch):
    monkeypatch.setenv(access.READABLE_VARIABLE, f"{tmp_path}/first:{tmp_path}/second")
    access.check(tmp_path / "second" / "a.wav")
    with pytest.raises(DataError, match="may not be read here"):
        access.check(tmp_path / "data" / "a.wav")


@pytest.mark.parametrize("name", ["hub:/etc", "hub:../data", "hub:./x", "hub:a/b/c", "hub:~/x"])
def test_hub_name_of_a_local_path_is_refused(name):
    with pytest.raises(DataError, match="is not a dataset name"):
        sources.load(name)


@pytest.fixture
def visitors_dir(tmp_path, monkeypatch, restricted_reads):
    """The folder of the visitors' data, with reads isolated by visitor."""
    monkeypatch.setenv(access.VISITORS_VARIABLE, "")
    access.isolate_visitors(tmp_path / "data")
    return tmp_path / "data" / access.VISITORS_FOLDER


@pytest.mark.parametrize("exists", [True, False])
def test_data_of_another_visitor_is_neither_readable_nor_revealed(clip, table, tmp_path, visitors_dir, exists):
    if exists:
        clip("data/.visitors/bob/corpus/b.wav")
        table("data/.visitors/bob/corpus/metadata.csv", "file_name,text", "b.wav,hi")
    clip("data/.visitors/ann/corpus/a.wav")
    table("data/.visitors/ann/corpus/metadata.csv", "file_name,text", "a.wav,hi")
    table("data/.visitors/ann/other.csv", "file_name,text", "../bob/corpus/b.wav,hi")
    messages = set()
    with access.as_visitor("ann"):
        assert len(sources.load(f"{visitors_dir}/ann/corpus").train) == 1
        assert access.visitor_dir(tmp_path / "data") == visitors_dir / "ann"
        for name in (
            f"{visitors_dir}/bob/corpus",
            f"{visitors_dir}/ann/../bob/corpus",
            f"{visitors_dir}/bob",
            str(visitors_dir),
        ):
            with pytest.raises(DataError, match="may not be read here") as error:
                sources.load(name)
            messages.add(str(error.value).replace(name, ""))
        with pytest.raises(DataError, match="may not be read here"):
            sources.load(f"{visitors_dir}/ann/other.csv")
    assert len(messages) == 1
    with access.as_visitor(""), pytest.raises(DataError, match="may not be read here"):
        sources.load(f"{visitors_dir}/ann/corpus")
    assert len(sources.load(f"{visitors_dir}/ann/corpus").train) == 1, "the operator reads everything"


def test_shared_data_folder_is_readable_by_every_visitor(clip, table, tmp_path, visitors_dir):
    clip("data/corpus/a.wav")
    table("data/corpus/metadata.csv", "file_name,text", "a.wav,hi")
    clip("data/.visitors/bob/corpus/b.wav")
    with access.as_visitor("ann"):
        assert len(sources.load(f"{tmp_path}/data/corpus").train) == 1
        assert len(sources.load(f"{tmp_path}/data").train) == 1, "visitors' folders are left out"


@pytest.mark.parametrize(("owner", "is_visitor", "folder"), [("operator", False, ""), ("visitor:ann", True, "ann")])
def test_worker_reads_as_the_owner_of_its_run(owner, is_visitor, folder):
    with access.as_visitor(access.owner_folder(owner)):
        assert (access.is_visitor(), access.current_visitor()) == (is_visitor, folder)
    assert not access.is_visitor()


def test_visitor_without_cookies_is_refused(tmp_path, visitors_dir):
    assert access.visitor_dir(tmp_path / "data") == tmp_path / "data", "the operator"
    with access.as_visitor(""), pytest.raises(DataError, match="does not accept cookies"):
        access.visitor_dir(tmp_path / "data")
