"""Archives of a few kB that ask for gigabytes or for files without number: one budget, in the sender's part."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from asrkit.audio.waveform import encode_wav
from asrkit.data import access, archive_members, archives, embedded, sources, uploads
from asrkit.errors import DataError
from asrkit.sandbox import confinement


def pack(content: Mapping[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in content.items():
            packed.writestr(name, data)
    return file.getvalue()


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a visitor."""
    monkeypatch.setenv(access.VISITORS_VARIABLE, str(tmp_path / ".visitors"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / ".visitors" / "mallory"
    (folder / "data").mkdir(parents=True)
    return folder


def refusal(path: Path) -> str:
    with access.as_visitor("mallory"), pytest.raises(DataError) as caught:
        sources.load(str(path))
    return str(caught.value)


def test_zip_of_zips_shares_one_budget_and_leaves_nothing(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each archive unpacks to less than the floor; without a common budget ten of them are ten times that."""
    monkeypatch.setattr(archives, "BOMB_FLOOR", 1 << 20)
    inner = pack({"a.wav": encode_wav(np.zeros(350_000)), "a.txt": b"hi"})
    (own / "data" / "bomb.zip").write_bytes(pack({f"{number}.zip": inner for number in range(10)}))
    before = size_of(tmp_path)
    assert "unpacks to more than 500 times its size" in refusal(own / "data")
    assert size_of(tmp_path) == before and not list((own / access.CACHE_FOLDER).rglob("*.wav"))


def test_archives_within_archives_count_as_the_outermost(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kB that becomes 100 kB that become 50 MB: 500 times the size is that of the kB."""
    monkeypatch.setattr(archives, "BOMB_FLOOR", 1 << 16)
    content = pack({"a.txt": bytes(10_000_000)})
    for _ in range(3):
        content = pack({"x.zip": content})
    (own / "data" / "bomb.zip").write_bytes(content)
    assert len(content) < 20_000
    assert "unpacks to more than 500 times its size" in refusal(own / "data")


def test_what_visitors_unpack_is_in_their_part(own: Path, tmp_path: Path) -> None:
    (own / "data" / "train.zip").write_bytes(pack({"a.txt": b"hi"}))
    with access.as_visitor("mallory"):
        assert embedded.cache_dir().is_relative_to(own)
        folder = archives.unpack_cached(own / "data" / "train.zip", embedded.cache_dir() / "unpacked")
    assert folder.is_relative_to(own) and not (tmp_path / "cache").exists()
    assert not embedded.cache_dir().is_relative_to(own)


def test_rows_cannot_name_what_others_unpacked(own: Path, tmp_path: Path) -> None:
    """The operator's cache was readable for everybody."""
    clip = tmp_path / "cache" / "asrkit" / "unpacked" / "private" / "a.wav"
    clip.parent.mkdir(parents=True)
    clip.write_bytes(b"RIFF")
    (own / "data" / "metadata.csv").write_text(f"file_name,text\n{clip},hi\n")
    found = refusal(own / "data")
    (own / "data" / "metadata.csv").write_text(f"file_name,text\n{clip}x,hi\n")
    assert found.replace(str(clip), "") == refusal(own / "data").replace(f"{clip}x", "")


def test_visitors_unpack_less_than_the_operator(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confinement, "_is_confined", True)  # so that the limits below hold where it is unpacked
    monkeypatch.setattr(archives, "MAX_VISITOR_FILES", 5)
    monkeypatch.setattr(archives, "MAX_VISITOR_BYTES", 1000)
    archive = own / "many.zip"
    archive.write_bytes(pack({f"{number}.txt": b"hi" for number in range(6)}))
    with access.as_visitor("mallory"), pytest.raises(DataError, match="more than 5 files"):
        uploads.save_upload([(archive, "many.zip")], own)
    assert uploads.save_upload([(archive, "many.zip")], own).is_dir(), "the operator may"
    archive.write_bytes(pack({"a.txt": bytes(1001)}))
    with access.as_visitor("mallory"), pytest.raises(DataError, match="that visitors may unpack"):
        uploads.save_upload([(archive, "one.zip")], own)
    assert not list(own.glob(".*ing-*"))


@pytest.mark.parametrize("stated", [0, 1, 65_535])
def test_entries_are_counted_whatever_the_end_record_says(
    own: Path, monkeypatch: pytest.MonkeyPatch, stated: int
) -> None:
    """zipfile makes an object of a kB for each entry of the list, before anybody can count."""
    monkeypatch.setattr(archive_members, "MAX_FILES", 1_000)
    content = pack({f"{number}.txt": b"" for number in range(1_001)})
    end = content.rfind(b"PK\x05\x06")
    archive = own / "a.zip"
    archive.write_bytes(content[: end + 8] + struct.pack("<HH", stated, stated) + content[end + 12 :])
    monkeypatch.setattr(zipfile, "ZipFile", lambda *args: pytest.fail("its list was read"))
    with pytest.raises(DataError, match="more than 1,000 files"):
        archives.unpack(archive, own, ["a"])
