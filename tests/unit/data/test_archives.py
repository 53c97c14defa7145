"""Malformed and hostile archives: each is refused with a one-line error, leaves no files and changes none outside."""

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

from asrkit.data import archive_members, archives
from asrkit.errors import DataError


@pytest.fixture(autouse=True)
def check_surroundings(tmp_path):
    """Check that files around the target stay unchanged and that no draft is left."""
    (tmp_path / "keep.txt").write_text("keep")
    yield
    assert (tmp_path / "keep.txt").read_text() == "keep"
    remaining = {path.name for path in tmp_path.iterdir()}
    assert remaining <= {"keep.txt", "in", "bad.zip", "bad.tar", "bad.tar.gz", "ok.zip", "ok.tar"}
    assert not (tmp_path / "in").exists() or [path.name for path in (tmp_path / "in").iterdir()] in ([], ["data"])


def make_zip(tmp_path, *entries, name="bad.zip", compress=zipfile.ZIP_STORED):
    with zipfile.ZipFile(tmp_path / name, "w", compress) as archive:
        for entry, content in entries:
            archive.writestr(entry, content)
    return tmp_path / name


def make_tar(tmp_path, *entries, name="bad.tar"):
    with tarfile.open(tmp_path / name, "w:gz" if name.endswith("gz") else "w") as archive:
        for entry, content in entries:
            if isinstance(entry, str):
                entry = tarfile.TarInfo(entry)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return tmp_path / name


def tar_entry(name, type_, target="keep.txt"):
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = type_, target
    return entry


def make_zip_link(name):
    entry = zipfile.ZipInfo(name)
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry


def make_encrypted_zip(tmp_path):
    path = make_zip(tmp_path, ("a.wav", b"secret"))
    content = bytearray(path.read_bytes())
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    return path


def truncate(path, share=0.5):
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    return path


def make_tar_with_long_name(tmp_path):
    """Make a tar file with a name of 200 MB, compressed to 200 kB."""
    return make_tar(
        tmp_path,
        (tar_entry("././@LongLink", tarfile.GNUTYPE_LONGNAME, ""), bytes(200 << 20)),
        ("a.wav", b"x"),
        name="bad.tar.gz",
    )


def make_zip_with_wrong_checksum(tmp_path):
    path = make_zip(tmp_path, ("a.wav", b"sound sound"))
    path.write_bytes(path.read_bytes().replace(b"sound sound", b"sound SOUND"))
    return path


def make_zip_with_many_entries(tmp_path):
    """Make a zip file whose zip64 end record declares two million entries."""
    path = make_zip(tmp_path, ("a.wav", b"x"))
    content = path.read_bytes()
    at = content.index(b"PK\x05\x06")
    end64 = b"PK\x06\x06" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, 2_000_000, 2_000_000, 47, 0)
    end = bytearray(content[at:])
    end[8:12] = b"\xff\xff\xff\xff"
    path.write_bytes(content[:at] + end64 + end)
    return path


ZEROS = bytes(80 << 20)
BAD = {
    "zip with a parent path": (lambda p: make_zip(p, ("../keep.txt", b"gone")), "a path that leads out of it"),
    "zip with a nested parent path": (
        lambda p: make_zip(p, ("a/../../keep.txt", b"gone")),
        "a path that leads out of it",
    ),
    "zip with an absolute path": (lambda p: make_zip(p, (f"{p}/keep.txt", b"gone")), "a path that leads out of it"),
    "zip with backslashes": (lambda p: make_zip(p, ("..\\keep.txt", b"gone")), "a path that leads out of it"),
    "zip with a drive": (lambda p: make_zip(p, ("C:/keep.txt", b"gone")), "a path that leads out of it"),
    "zip with a link": (lambda p: make_zip(p, (make_zip_link("a.wav"), "/etc/passwd")), "a link or a device"),
    "zip with a line break": (lambda p: make_zip(p, ("a\nb.wav", b"x")), "line breaks or control characters"),
    "zip with an escape": (lambda p: make_zip(p, ("a\x1b[2Jb.wav", b"x")), "line breaks or control characters"),
    "zip with a long name": (lambda p: make_zip(p, ("a" * 300 + ".wav", b"x")), "too long or too deep"),
    "zip with a deep path": (lambda p: make_zip(p, ("a/" * 200 + "a.wav", b"x")), "too long or too deep"),
    "zip with a password": (make_encrypted_zip, "it needs a password"),
    "zip with a duplicate name": (lambda p: make_zip(p, ("a.wav", b"x"), ("a.wav", b"y")), "'a.wav' twice"),
    "truncated zip": (lambda p: truncate(make_zip(p, ("a.wav", os.urandom(999)))), "is not a readable archive"),
    "zip with a wrong checksum": (make_zip_with_wrong_checksum, "it is damaged"),
    "zip without files": (lambda p: make_zip(p, ("a/", b"")), "holds no files"),
    "zip bomb": (
        lambda p: make_zip(p, ("a.wav", ZEROS), compress=zipfile.ZIP_DEFLATED),
        "more than 500 times its size",
    ),
    "zip with millions of entries": (make_zip_with_many_entries, "holds more than 500,000 files"),
    "zip that is a text file": (lambda p: write_text_file(p / "bad.zip"), "is not a readable archive"),
    "tar with a parent path": (lambda p: make_tar(p, ("../keep.txt", b"gone")), "a path that leads out of it"),
    "tar with an absolute path": (lambda p: make_tar(p, (f"{p}/keep.txt", b"gone")), "a path that leads out of it"),
    "tar with a symlink": (lambda p: make_tar(p, (tar_entry("a", tarfile.SYMTYPE), b"")), "a link or a device"),
    "tar with a hard link": (lambda p: make_tar(p, (tar_entry("a", tarfile.LNKTYPE), b"")), "a link or a device"),
    "tar with a device": (lambda p: make_tar(p, (tar_entry("a", tarfile.CHRTYPE), b"")), "a link or a device"),
    "tar with a pipe": (lambda p: make_tar(p, (tar_entry("a", tarfile.FIFOTYPE), b"")), "a link or a device"),
    "tar with a line break": (lambda p: make_tar(p, ("a\nb.wav", b"x")), "line breaks or control characters"),
    "tar bomb": (lambda p: make_tar(p, ("a.wav", ZEROS), name="bad.tar.gz"), "more than 500 times its size"),
    "truncated tar": (lambda p: truncate(make_tar(p, ("a.wav", os.urandom(99_999)), name="bad.tar.gz")), "is damaged"),
    "tar with a duplicate name": (lambda p: make_tar(p, ("a.wav", b"x"), ("a.wav", b"y")), "'a.wav' twice"),
    "tar with a long name": (make_tar_with_long_name, "is damaged|is not a readable archive"),
    "tar without files": (lambda p: make_tar(p), "holds no files"),
    "tar with a file as a folder": (lambda p: make_tar(p, ("a", b"x"), ("a/b", b"y")), "cannot be unpacked"),
    "empty file": (lambda p: write_text_file(p / "bad.tar", ""), "is not a readable archive|holds no files"),
}


def write_text_file(path, content="no archive at all"):
    path.write_text(content)
    return path


@pytest.mark.parametrize("name", BAD)
def test_bad_archive_is_refused(tmp_path, name):
    make, message = BAD[name]
    path = make(tmp_path)
    with pytest.raises(DataError, match=message) as error:
        archives.unpack(path, tmp_path / "in", ["data"])
    assert str(error.value).startswith(path.name) and "\n" not in str(error.value)
    assert not (tmp_path / "in" / "data").exists()


def test_long_name_is_not_read_into_memory(tmp_path):
    path = make_tar_with_long_name(tmp_path)
    tracemalloc.start()
    with pytest.raises(DataError):
        archives.unpack(path, tmp_path / "in", ["data"])
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()


def test_too_many_files_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archive_members, "MAX_FILES", 3)
    for path in (
        make_tar(tmp_path, *((f"{n}.wav", b"x") for n in range(4))),
        make_zip(tmp_path, *((f"{n}.wav", b"x") for n in range(4))),
    ):
        with pytest.raises(DataError, match="holds more than 3 files"):
            archives.unpack(path, tmp_path / "in", ["data"])


def test_archive_larger_than_the_free_space_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_BYTES", 1000)
    with pytest.raises(DataError, match="there is room for"):
        archives.unpack(make_zip(tmp_path, ("a.wav", os.urandom(2000))), tmp_path / "in", ["data"])


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_archive_is_unpacked_without_system_files(tmp_path, make):
    path = make(
        tmp_path,
        ("d/a.wav", b"one"),
        ("d/é/b.txt", b"two"),
        ("__MACOSX/d/._a.wav", b"system file"),
        ("d/.DS_Store", b"system file"),
        ("d/._a.wav", b"system file"),
        name=f"ok.{'zip' if make is make_zip else 'tar'}",
    )
    folder = archives.unpack(path, tmp_path / "in", ["data"])
    files = {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    assert files == {"d/a.wav": b"one", "d/é/b.txt": b"two"}


def test_concurrent_callers_share_one_unpacked_copy(tmp_path, monkeypatch):
    path, barrier, rename = make_zip(tmp_path, ("a.wav", b"one"), name="ok.zip"), threading.Barrier(2), os.rename
    monkeypatch.setattr(os, "rename", lambda *names: (barrier.wait(10), rename(*names)))
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        one, two = pool.map(lambda _: archives.unpack_cached(path, tmp_path / "in" / "data"), range(2))
    assert one == two and (one / "a.wav").read_bytes() == b"one"
    assert list((tmp_path / "in" / "data").iterdir()) == [one]


def test_archives_are_recognised_by_suffix(tmp_path):
    assert archives.stem(tmp_path / "cv.es.tar.gz") == "cv.es" and archives.is_archive(tmp_path / "A.ZIP")
    assert not archives.is_archive(tmp_path / "a.gz")


def test_names_of_a_mac_that_lack_the_utf8_flag_are_decoded(tmp_path):
    path = make_zip(tmp_path, ("x1.wav", b"a"), ("x2.wav", b"b"), name="ok.zip")
    content = path.read_bytes().replace(b"x1.wav", "é.wav".encode()).replace(b"x2.wav", b"\x81x.wav")
    path.write_bytes(content)
    folder = archives.unpack(path, tmp_path / "in", ["data"])
    assert sorted(file.name for file in folder.iterdir()) == ["é.wav", "üx.wav"]
