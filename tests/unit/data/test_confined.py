"""Datasets that are read in a sandbox are the same as those that are read here."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import datasets
import pytest

from asrkit.data import access, confined, sources, uploads, utterance_table
from asrkit.data.confined import ReplyPart
from asrkit.data.manifest import Utterance, UtteranceTable
from asrkit.errors import DataError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "asrkit"


@pytest.fixture
def corpus(clip: Callable[..., Path], table: Callable[..., Path], tmp_path: Path) -> Path:
    clip("corpus/a.wav")
    clip("corpus/clips/b.wav")
    table("corpus/metadata.csv", "file_name,text,speaker", "a.wav,hi,ann", "clips/b.wav,ho,bob", "gone.wav,hum,ann")
    return tmp_path / "corpus"


def test_dataset_is_the_same(corpus: Path) -> None:
    for data in (corpus, corpus / "metadata.csv"):
        assert confined.load(str(data)) == sources.load(str(data))
    both = {"eval_data": str(corpus), "speaker_column": "speaker"}
    assert confined.load("callsigns", **both) == sources.load("callsigns", **both)


def test_many_rows_come_as_columns(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(utterance_table, "MIN_TABLE_ROWS", 2)
    source = confined.load(str(corpus))
    assert isinstance(source.train, UtteranceTable) and source == sources.load(str(corpus))


def test_a_file_name_that_is_not_utf8_is_kept(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(utterance_table, "MIN_TABLE_ROWS", 1)
    rows = [[Utterance("a.wav", "a", 1.0)], [Utterance("\udcff.wav", "b", 1.0)], [Utterance("c.wav", "c", 1.0)]]
    assert utterance_table.collect_rows(rows) == [row for batch in rows for row in batch]


def test_a_reader_cannot_send_rows_without_end(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [ReplyPart("train", [Utterance("a.wav", "a", 1.0)])] * 9
    with pytest.raises(DataError, match="more texts than fit into memory"):
        list(confined._limit_size(iter(parts), 500, "x.csv"))


def test_errors_are_the_same(tmp_path: Path, corpus: Path) -> None:
    (tmp_path / "empty").mkdir()
    for data in ("", "nowhere/at all", str(tmp_path / "empty"), str(corpus / "a.wav"), "a\0b", "x" * 5000):
        with pytest.raises(DataError) as expected:
            sources.load(data)
        with pytest.raises(DataError) as found:
            confined.load(data)
        assert str(found.value) == str(expected.value)


def test_recordings_elsewhere_are_read(corpus: Path, clip: Callable[..., Path], table: Callable[..., Path]) -> None:
    elsewhere = [clip(f"elsewhere/{number}/c.wav") for number in range(3)]
    table("list.csv", "file_name,text", *(f"{path},hi" for path in elsewhere))
    source = confined.load(str(corpus.parent / "list.csv"))
    assert [row.duration_s for row in source.train] == [
        row.duration_s for row in sources.load(str(corpus)).train[:1]
    ] * 3


def test_links_that_lead_elsewhere_are_followed(corpus: Path, tmp_path: Path) -> None:
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "clips").symlink_to(corpus / "clips")
    (linked / "a.wav").symlink_to(corpus / "a.wav")
    (linked / "metadata.csv").symlink_to(corpus / "metadata.csv")
    found, expected = (load(str(linked)).train for load in (confined.load, sources.load))
    assert found == expected and [row.duration_s > 0 for row in found] == [True, True, False]


def test_visitor_reads_nothing_of_others(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: Callable[..., Path]
) -> None:
    monkeypatch.setenv(access.VISITORS_VARIABLE, "")
    access.isolate_visitors(tmp_path / "data")
    own = Path(f"data/{access.VISITORS_FOLDER}/ann/own")
    table(str(own / "metadata.csv"), "file_name,text", f"{corpus}/a.wav,hi")
    with access.as_visitor("ann"):
        for data in (str(tmp_path / own), str(corpus)):
            with pytest.raises(DataError, match="may not be read here"):
                confined.load(data)
        shutil.copy(corpus / "a.wav", tmp_path / own)
        table(str(own / "metadata.csv"), "file_name,text", "a.wav,hi")
        assert len(confined.load(str(tmp_path / own)).train) == 1


def test_archives_are_unpacked_into_the_cache(corpus: Path, tmp_path: Path, cache: Path) -> None:
    archive = shutil.make_archive(str(tmp_path / "packed"), "zip", corpus)
    rows = confined.load(archive).train
    assert rows == sources.load(archive).train
    assert all(Path(row.audio).is_relative_to(cache) for row in rows[:2])


def test_saved_dataset_and_its_clips_are_read(corpus: Path, tmp_path: Path, cache: Path) -> None:
    content = (corpus / "a.wav").read_bytes()
    rows = {"audio": [{"bytes": content, "path": "a.wav"}], "text": ["hi"]}
    datasets.Dataset.from_dict(rows).cast_column("audio", datasets.Audio(decode=False)).save_to_disk(
        str(tmp_path / "saved")
    )
    (row,) = confined.load(str(tmp_path / "saved")).train
    assert (row.text, Path(row.audio).read_bytes()) == ("hi", content)
    assert Path(row.audio).is_relative_to(cache) and row.duration_s > 0


def test_uploaded_archive_becomes_a_dataset(corpus: Path, tmp_path: Path) -> None:
    archive = Path(shutil.make_archive(str(tmp_path / "packed"), "gztar", corpus))
    data_dir = tmp_path / "data"
    folder = uploads.save_upload([(archive, "my corpus.tar.gz")], data_dir)
    assert folder == data_dir / "my-corpus" and len(sources.load(str(folder)).train) == 3
    assert uploads.save_upload([(archive, "my corpus.tar.gz")], data_dir).name == "my-corpus-2"
    assert sorted(path.name for path in data_dir.iterdir()) == ["my-corpus", "my-corpus-2"]
