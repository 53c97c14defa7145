"""Tables of a few kB or MB that unfold to gigabytes: what a visitor's table may hold in memory has a bound."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from asrkit.data import access, files, limits, sources
from asrkit.data.readers import separated, spreadsheets
from asrkit.errors import DataError
from asrkit.sandbox import Sandbox

MB = 1 << 20


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a visitor's dataset."""
    monkeypatch.setenv(access.VISITORS_VARIABLE, str(tmp_path / ".visitors"))
    folder = tmp_path / ".visitors" / "mallory" / "data"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


def refusal(path: Path) -> str:
    with access.as_visitor("mallory"), pytest.raises(DataError) as caught:
        sources.load(str(path))
    return str(caught.value)


@pytest.mark.parametrize("item", ["[]", "{}", "0", '""'])
def test_json_of_many_values_is_not_parsed(own: Path, monkeypatch: pytest.MonkeyPatch, item: str) -> None:
    """An empty list has two bytes in JSON and 56 in memory."""
    monkeypatch.setattr(json, "loads", lambda text: pytest.fail("it was parsed"))
    (own / "metadata.json").write_text("[" + ",".join([item] * 4_000_001) + "]")
    assert "holds more than 4,000,000 values" in refusal(own / "metadata.json")


def test_large_text_is_not_read(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open(own / "metadata.json", "wb") as file:
        file.truncate(200 * MB)
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail("it was read"))
    assert "has 200 MB, too much for a table" in refusal(own / "metadata.json")


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".txt"])
def test_text_of_separators_alone_is_refused(own: Path, suffix: str) -> None:
    (own / f"metadata{suffix}").write_text("file_name,text\n" + ",\n" * 2_000_001)
    with access.as_visitor("mallory"), pytest.raises(DataError, match="holds more than 4,000,000 values"):
        files.read_text(own / f"metadata{suffix}")


def test_rows_have_a_bound(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "VISITORS", replace(limits.VISITORS, rows=10))
    (own / "metadata.csv").write_text("file_name,text\n" + "a.wav,hi\n" * 11)
    assert "holds 11 rows; a table may have 10 here" in refusal(own / "metadata.csv")
    parquet.write_table(pa.table({"audio": ["a.wav"] * 11, "text": ["hi"] * 11}), own / "a.parquet")
    assert "holds 11 rows" in refusal(own / "a.parquet")


NUM_LINES = 1_000


def test_open_quotes_do_not_make_reading_quadratic(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each line begins a quoted text that may go on for 200 lines: 100 MB took 207 s."""
    num_calls = 0
    split_line = separated.split_line

    def count(line: str, delimiter: str) -> Any:
        nonlocal num_calls
        num_calls += 1
        return split_line(line, delimiter)

    monkeypatch.setattr(separated, "split_line", count)
    monkeypatch.setattr(separated, "MIN_LINES_AHEAD", NUM_LINES)  # so that a small table goes beyond it
    content = "file,text,speaker,note,more\n" + 'x,"ab\n' * NUM_LINES
    with pytest.raises(DataError, match="begin quotation marks that they never close"):
        list(separated.read_records(content, ","))
    assert num_calls < 12 * NUM_LINES + 2 * separated.MIN_LINES_AHEAD


def test_few_open_quotes_are_still_read() -> None:
    content = "file,text,speaker\n" + 'x,"a"b\n' * 50 + 'x,"one\ntwo",y\n'
    *records, last = separated.read_records(content, ",")
    assert len(records) == 51 and last.fields == ["x", "one\ntwo", "y"]


def write_repeated(path: Path, value: str, num_rows: int, **columns: Any) -> Path:
    """Write a column of one value that repeats, which Parquet stores once."""
    texts = pa.DictionaryArray.from_arrays(pa.array(np.zeros(num_rows, np.int32)), pa.array([value]))
    table = pa.table({"audio": [f"{index}.wav" for index in range(num_rows)], "text": texts, **columns})
    parquet.write_table(table, path, compression="zstd", store_schema=False)
    return path


@pytest.mark.parametrize("column", ["text", "start"])
def test_value_that_repeats_does_not_fill_memory(own: Path, traced: None, column: str) -> None:
    """4,000 times a MB in 10 kB took 4 GB."""
    path = write_repeated(own / "a.parquet", "a" * MB, 4_000)
    if column != "text":  # read as a whole to see whether it holds times
        table = parquet.ParquetFile(path).schema_arrow.names
        assert table == ["audio", "text"]
        path.unlink()
        texts = pa.DictionaryArray.from_arrays(pa.array(np.zeros(4_000, np.int32)), pa.array(["a" * MB]))
        content = {"audio": ["a.wav"] * 4_000, "text": ["hi"] * 4_000, column: texts}
        parquet.write_table(pa.table(content), path, compression="zstd", store_schema=False)
    assert path.stat().st_size < 100_000
    assert "holds more than 128 MB of text" in refusal(path)
    assert tracemalloc.get_traced_memory()[1] < 400 * MB
    assert pa.default_memory_pool().max_memory() < 400 * MB


def test_batches_shrink_with_what_a_value_may_be(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from asrkit.data.readers import parquet as reader

    small, large = write_repeated(own / "a.parquet", "a", 4), write_repeated(own / "b.parquet", "a" * 20 * MB, 4)
    assert reader._batch_rows(parquet.ParquetFile(small)) == 64
    assert reader._batch_rows(parquet.ParquetFile(large)) == 12


def test_recordings_in_a_table_have_a_bound(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "VISITORS", replace(limits.VISITORS, clip_bytes=1_000))
    clips = [{"bytes": bytes([number]) * 300, "path": f"{number}.wav"} for number in range(4)]
    parquet.write_table(pa.table({"audio": clips, "text": ["hi"] * 4}), own / "a.parquet")
    assert "of recordings; split it up" in refusal(own / "a.parquet")


def test_the_operator_has_other_limits(own: Path) -> None:
    assert limits.current() == limits.FileLimits() and limits.FileLimits().rows >= 1_000_000
    with access.as_visitor("mallory"):
        assert limits.current() == limits.VISITORS


def test_spreadsheets_are_read_without_the_environment(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that reads them has no secret to give away."""
    asked: list[tuple[str, Any]] = []
    call = Sandbox.call

    def watch(confined: Sandbox, function: Any, *arguments: Any, **options: Any) -> Any:
        asked.append((function.__module__, confined._confined.environment))
        return call(confined, function, *arguments, **options)

    monkeypatch.setenv("HF_TOKEN", "hf_of_the_operator")
    monkeypatch.setattr(Sandbox, "call", watch)
    (own / "a.xlsx").write_bytes(b"no spreadsheet")
    with pytest.raises(DataError, match="cannot be read as a spreadsheet"):
        spreadsheets.read(own / "a.xlsx")
    assert asked == [(spreadsheets.__name__, ())]
