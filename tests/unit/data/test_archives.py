"""Archives that no honest person makes: each is refused in a sentence, leaves nothing, and touches nothing outside."""

import concurrent.futures
import io
import os
import stat
import struct
import tarfile
import threading
import tracemalloc
import zipfile

import pytest

from asrkit.data import archives
from asrkit.errors import DataError


@pytest.fixture(autouse=True)
def outside(tmp_path):
    """What lies around stays as it is, and no draft is left."""
    (tmp_path / "keep.txt").write_text("keep")
    yield
    assert (tmp_path / "keep.txt").read_text() == "keep"
    left = {path.name for path in tmp_path.iterdir()}
    assert left <= {"keep.txt", "in", "bad.zip", "bad.tar", "bad.tar.gz", "ok.zip", "ok.tar"}
    assert not (tmp_path / "in").exists() or [path.name for path in (tmp_path / "in").iterdir()] in ([], ["data"])


def zipped(tmp_path, *entries, name="bad.zip", compress=zipfile.ZIP_STORED):
    with zipfile.ZipFile(tmp_path / name, "w", compress) as packed:
        for entry, content in entries:
            packed.writestr(entry, content)
    return tmp_path / name


def tarred(tmp_path, *entries, name="bad.tar"):
    with tarfile.open(tmp_path / name, "w:gz" if name.endswith("gz") else "w") as packed:
        for entry, content in entries:
            if isinstance(entry, str):
                entry = tarfile.TarInfo(entry)
            entry.size = len(content)
            packed.addfile(entry, io.BytesIO(content))
    return tmp_path / name


def kind(name, type_, target="keep.txt"):
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = type_, target
    return entry


def zip_link(name):
    entry = zipfile.ZipInfo(name)
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry


def encrypted(tmp_path):
    path = zipped(tmp_path, ("a.wav", b"secret"))
    content = bytearray(path.read_bytes())
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    return path


def cut(path, share=0.5):
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    return path


def long_header(tmp_path):
    """A name of 200 MB, which packs to 200 kB."""
    return tarred(
        tmp_path,
        (kind("././@LongLink", tarfile.GNUTYPE_LONGNAME, ""), bytes(200 << 20)),
        ("a.wav", b"x"),
        name="bad.tar.gz",
    )


def wrong_checksum(tmp_path):
    path = zipped(tmp_path, ("a.wav", b"sound sound"))
    path.write_bytes(path.read_bytes().replace(b"sound sound", b"sound SOUND"))
    return path


def many(tmp_path):
    """The end of a zip file that promises two million entries (zip64)."""
    path = zipped(tmp_path, ("a.wav", b"x"))
    content = path.read_bytes()
    at = content.index(b"PK\x05\x06")
    end64 = b"PK\x06\x06" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, 2_000_000, 2_000_000, 47, 0)
    end = bytearray(content[at:])
    end[8:12] = b"\xff\xff\xff\xff"
    path.write_bytes(content[:at] + end64 + end)
    return path


ZEROS = bytes(80 << 20)
BAD = {
    "zip climbs out": (lambda p: zipped(p, ("../keep.txt", b"gone")), "a path that leads out of it"),
    "zip climbs out later": (lambda p: zipped(p, ("a/../../keep.txt", b"gone")), "a path that leads out of it"),
    "zip with a root": (lambda p: zipped(p, (f"{p}/keep.txt", b"gone")), "a path that leads out of it"),
    "zip with backslashes": (lambda p: zipped(p, ("..\\keep.txt", b"gone")), "a path that leads out of it"),
    "zip with a drive": (lambda p: zipped(p, ("C:/keep.txt", b"gone")), "a path that leads out of it"),
    "zip with a link": (lambda p: zipped(p, (zip_link("a.wav"), "/etc/passwd")), "a link or a device"),
    "zip with a line break": (lambda p: zipped(p, ("a\nb.wav", b"x")), "line breaks or control characters"),
    "zip with an escape": (lambda p: zipped(p, ("a\x1b[2Jb.wav", b"x")), "line breaks or control characters"),
    "zip with a long name": (lambda p: zipped(p, ("a" * 300 + ".wav", b"x")), "too long or too deep"),
    "zip with a deep path": (lambda p: zipped(p, ("a/" * 200 + "a.wav", b"x")), "too long or too deep"),
    "zip with a password": (encrypted, "it needs a password"),
    "zip that holds a name twice": (lambda p: zipped(p, ("a.wav", b"x"), ("a.wav", b"y")), "'a.wav' twice"),
    "zip that is cut off": (lambda p: cut(zipped(p, ("a.wav", os.urandom(999)))), "no archive that can be read"),
    "zip with a wrong checksum": (wrong_checksum, "it is damaged"),
    "zip without files": (lambda p: zipped(p, ("a/", b"")), "holds no files"),
    "zip bomb": (lambda p: zipped(p, ("a.wav", ZEROS), compress=zipfile.ZIP_DEFLATED), "more than 500 times its size"),
    "zip of millions": (many, "holds more than 500,000 files"),
    "zip that is text": (lambda p: _text(p / "bad.zip"), "no archive that can be read"),
    "tar climbs out": (lambda p: tarred(p, ("../keep.txt", b"gone")), "a path that leads out of it"),
    "tar with a root": (lambda p: tarred(p, (f"{p}/keep.txt", b"gone")), "a path that leads out of it"),
    "tar with a symlink": (lambda p: tarred(p, (kind("a", tarfile.SYMTYPE), b"")), "a link or a device"),
    "tar with a hard link": (lambda p: tarred(p, (kind("a", tarfile.LNKTYPE), b"")), "a link or a device"),
    "tar with a device": (lambda p: tarred(p, (kind("a", tarfile.CHRTYPE), b"")), "a link or a device"),
    "tar with a pipe": (lambda p: tarred(p, (kind("a", tarfile.FIFOTYPE), b"")), "a link or a device"),
    "tar with a line break": (lambda p: tarred(p, ("a\nb.wav", b"x")), "line breaks or control characters"),
    "tar bomb": (lambda p: tarred(p, ("a.wav", ZEROS), name="bad.tar.gz"), "more than 500 times its size"),
    "tar that is cut off": (lambda p: cut(tarred(p, ("a.wav", os.urandom(99_999)), name="bad.tar.gz")), "is damaged"),
    "tar that holds a name twice": (lambda p: tarred(p, ("a.wav", b"x"), ("a.wav", b"y")), "'a.wav' twice"),
    "tar with an endless name": (long_header, "is damaged|no archive that can be read"),
    "tar without files": (lambda p: tarred(p), "holds no files"),
    "a file where a folder is": (lambda p: tarred(p, ("a", b"x"), ("a/b", b"y")), "cannot be unpacked"),
    "empty file": (lambda p: _text(p / "bad.tar", ""), "no archive that can be read|holds no files"),
}


def _text(path, content="no archive at all"):
    path.write_text(content)
    return path


@pytest.mark.parametrize("name", BAD)
def test_a_bad_archive(tmp_path, name):
    make, words = BAD[name]
    path = make(tmp_path)
    with pytest.raises(DataError, match=words) as caught:
        archives.unpack(path, tmp_path / "in", ["data"])
    assert str(caught.value).startswith(path.name) and "\n" not in str(caught.value)
    assert not (tmp_path / "in" / "data").exists()


def test_an_endless_name_takes_no_memory(tmp_path):
    path = long_header(tmp_path)
    tracemalloc.start()
    with pytest.raises(DataError):
        archives.unpack(path, tmp_path / "in", ["data"])
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()


def test_more_files_than_a_corpus_has(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_FILES", 3)
    for path in (
        tarred(tmp_path, *((f"{n}.wav", b"x") for n in range(4))),
        zipped(tmp_path, *((f"{n}.wav", b"x") for n in range(4))),
    ):
        with pytest.raises(DataError, match="holds more than 3 files"):
            archives.unpack(path, tmp_path / "in", ["data"])


def test_more_bytes_than_there_is_room_for(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_BYTES", 1000)
    with pytest.raises(DataError, match="there is room for"):
        archives.unpack(zipped(tmp_path, ("a.wav", os.urandom(2000))), tmp_path / "in", ["data"])


@pytest.mark.parametrize("make", [zipped, tarred])
def test_a_good_archive(tmp_path, make):
    path = make(
        tmp_path,
        ("d/a.wav", b"one"),
        ("d/é/b.txt", b"two"),
        ("__MACOSX/d/._a.wav", b"litter"),
        ("d/.DS_Store", b"litter"),
        ("d/._a.wav", b"litter"),
        name=f"ok.{'zip' if make is zipped else 'tar'}",
    )
    folder = archives.unpack(path, tmp_path / "in", ["data"])
    files = {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    assert files == {"d/a.wav": b"one", "d/é/b.txt": b"two"}


def test_two_that_ask_for_one_archive_at_once_both_have_it(tmp_path, monkeypatch):
    """Two runs on the same one, for instance."""
    path, both, rename = zipped(tmp_path, ("a.wav", b"one"), name="ok.zip"), threading.Barrier(2), os.rename
    monkeypatch.setattr(os, "rename", lambda *names: (both.wait(10), rename(*names)))
    with concurrent.futures.ThreadPoolExecutor(2) as askers:
        one, two = askers.map(lambda _: archives.unpack_cached(path, tmp_path / "in" / "data"), range(2))
    assert one == two and (one / "a.wav").read_bytes() == b"one"
    assert list((tmp_path / "in" / "data").iterdir()) == [one]


def test_a_name_is_known_by_its_suffix(tmp_path):
    assert archives.stem(tmp_path / "cv.es.tar.gz") == "cv.es" and archives.is_archive(tmp_path / "A.ZIP")
    assert not archives.is_archive(tmp_path / "a.gz")
