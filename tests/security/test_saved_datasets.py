"""Saved datasets that attack: they name no file but their own, and reveal none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pytest

from asrkit.data import access, sources
from asrkit.data.readers import saved
from asrkit.errors import DataError

TEXT = "what another visitor said"


def save(folder: Path, text: str = TEXT) -> Path:
    clip = {"bytes": b"RIFF", "path": "a.wav"}
    datasets.Dataset.from_dict({"audio": [clip], "text": [text]}).save_to_disk(str(folder))
    return folder


@pytest.fixture
def visitors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(access.VISITORS_VARIABLE, str(tmp_path / ".visitors"))
    (tmp_path / ".visitors").mkdir()
    return tmp_path / ".visitors"


def refusal(folder: Path) -> str:
    with access.as_visitor("mallory"), pytest.raises(DataError) as caught:
        sources.load(str(folder))
    message = str(caught.value)
    assert TEXT not in message and "\n" not in message
    return message


def name_file(folder: Path, name: Any) -> None:
    state = json.loads((folder / "state.json").read_text())
    state["_data_files"] = [{"filename": name}]
    (folder / "state.json").write_text(json.dumps(state))


def test_state_cannot_name_files_of_others_nor_tell_whether_they_exist(visitors: Path) -> None:
    victim, own = save(visitors / "alice" / "data"), save(visitors / "mallory" / "data", "own")
    (arrow,) = victim.glob("*.arrow")
    answers = set()
    for name in (
        str(arrow),
        f"../../alice/data/{arrow.name}",
        f"../../alice/data/{arrow.name}x",
        "/etc/passwd",
        "/etc/no-such-file",
        "s3://bucket/data.arrow",
        "..",
        "",
        None,
    ):
        name_file(own, name)
        answers.add(refusal(own).replace(f"{name!r:.80}", ""))
    assert len(answers) == 1 and "which is not in its folder" in answers.pop()


def test_links_in_a_saved_dataset_lead_nowhere(visitors: Path) -> None:
    victim, own = save(visitors / "alice" / "data"), save(visitors / "mallory" / "data", "own")
    (own / "linked.arrow").symlink_to(next(victim.glob("*.arrow")))
    name_file(own, "linked.arrow")
    assert "which is not in its folder" in refusal(own)
    (own / "state.json").unlink()
    (own / "state.json").symlink_to(victim / "state.json")
    assert "which is not in its folder" in refusal(own)


@pytest.mark.parametrize("split", ["../../alice/data", "/etc", "s3://bucket", "file:///etc", 3])
def test_splits_are_folders_of_the_dataset(visitors: Path, split: Any) -> None:
    save(visitors / "alice" / "data")
    own = visitors / "mallory" / "data"
    own.mkdir(parents=True)
    (own / "dataset_dict.json").write_text(json.dumps({"splits": [split]}))
    assert "which is not in its folder" in refusal(own)


def write_stream(path: Path, table: pa.Table, **options: Any) -> None:
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema, **options) as writer:
        writer.write_table(table)


def test_compressed_arrow_file_is_refused_unread(visitors: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """100 MB in a file of some kB."""
    own = save(visitors / "mallory" / "data", "own")
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    write_stream(own / "bomb.arrow", pa.table({"audio": ["a.wav"], "text": ["a" * 100_000_000]}), options=options)
    assert (own / "bomb.arrow").stat().st_size < 100_000
    name_file(own, "bomb.arrow")
    monkeypatch.setattr(datasets, "load_from_disk", lambda path: pytest.fail("it was read"))
    assert "is compressed" in refusal(own)


def test_rows_are_counted_before_they_are_read(visitors: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of a null column take no bytes: a file of some hundred bytes may have as many as it likes."""
    own = save(visitors / "mallory" / "data", "own")
    write_stream(own / "bomb.arrow", pa.table({"text": pa.Array.from_buffers(pa.null(), 2**30, [None])}))
    name_file(own, "bomb.arrow")
    monkeypatch.setattr(datasets, "load_from_disk", lambda path: pytest.fail("it was read"))
    assert "holds 1,073,741,824 rows" in refusal(own)


@pytest.mark.parametrize("cut", [3, 9, 200, -64])
def test_damaged_arrow_file_is_one_sentence(visitors: Path, cut: int) -> None:
    own = save(visitors / "mallory" / "data", "own")
    (arrow,) = own.glob("*.arrow")
    arrow.write_bytes(arrow.read_bytes()[:cut])
    refusal(own)
    arrow.write_bytes(b"\xff\xff\xff\xff" + b"\x10\x00\x00\x00" + b"\xfe" * 16)
    assert "is no Arrow file" in refusal(own)


def test_own_files_are_counted_and_read(visitors: Path) -> None:
    own = save(visitors / "mallory" / "data", "own")
    with access.as_visitor("mallory"):
        saved.check_files(own)
