"""Broken inputs: each is refused with a one-line error or reported by the audit. Archives are in test_archives."""

import concurrent.futures
import json
import os
import threading
import zipfile

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asrkit.audit import inspection
from asrkit.audit.clips import Limits
from asrkit.data import files, prompts, sources, uploads
from asrkit.data.readers import tables
from asrkit.errors import AsrkitError, DataError
from asrkit.sandbox import confinement

RATE = 16_000


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def no_sandbox(monkeypatch):
    """Let the readers run in this process, where hundreds of files are read in the time of one sandbox's start."""
    monkeypatch.setattr(confinement, "_is_confined", True)


def write_sine(path, seconds=1.0, rate=RATE, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.3 * np.sin(np.arange(round(seconds * rate)) / 9), rate, **options)
    return path


# Tables: (file name, content, message); a.wav lies beside the table

TABLES = {
    "no columns": ("x.csv", b"hello\nworld\n", "has no audio column: found 'hello'"),
    "no text column": ("x.csv", b"file_name,words\na.wav,7\n", "has no text column"),
    "header alone": ("x.csv", b"file_name,text\n", "has no rows"),
    "empty file": ("x.csv", b"", "has no rows"),
    "blank lines": ("x.csv", b"\n\n\n", "has no rows"),
    "NUL bytes": ("x.csv", b"file_name,text\na.wav,h\0i\n", "holds NUL bytes"),
    "binary": ("x.csv", bytes(range(256)), "is not UTF-8 text"),
    "Latin-1": ("x.csv", "file_name,text\na.wav,año\n".encode("latin-1"), "is not UTF-8 text (byte"),
    "Shift-JIS": ("x.csv", "file_name,text\na.wav,日本\n".encode("shift-jis"), "is not UTF-8 text (byte"),
    "UTF-16 without a byte order mark": ("x.csv", "file_name,text\na.wav,hi\n".encode("utf-16-le"), "holds NUL bytes"),
    "truncated UTF-16": ("x.csv", b"\xff\xfef\0i", "is not UTF-8 text"),
    "truncated UTF-8": ("x.csv", b"file_name,text\na.wav,\xc3\n", "is not UTF-8 text"),
    "an unclosed quote": (
        "x.csv",
        b'file_name,text\na.wav,"' + b"hi\n" * 99_999,
        "does not exist (99998 of 99999 files",
    ),
    "an empty file name": ("x.csv", b"file_name,text\n,hi\n", "row 2: file_name is empty"),
    "missing files": ("x.csv", b"file_name,text\nb.wav,hi\n", "does not exist (1 of 1 files are missing)"),
    "a folder for a file": ("x.csv", b"file_name,text\n.,hi\n", "does not exist"),
    "a file name with NUL": ("x.jsonl", b'{"audio": "a\\u0000.wav", "text": "x"}', "does not exist"),
    "a long file name": ("x.csv", b"file_name,text\n" + b"a" * 5000 + b".wav,hi\n", "does not exist"),
    "an unknown split": ("x.csv", b"file_name,text,split\na.wav,hi,other\n", "split is 'other'"),
    "a part that ends before it starts": (
        "x.csv",
        b"file_name,text,start_s,end_s\na.wav,hi,2,1\n",
        "ends at 1 s but starts at 2 s",
    ),
    "a negative start": ("x.csv", b"file_name,text,start_s\na.wav,hi,-1\n", "start_s is '-1'"),
    "a duration that is no number": ("x.csv", b"file_name,text,duration_s\na.wav,hi,long\n", "duration_s is 'long'"),
    "an infinite duration": ("x.csv", b"file_name,text,duration_s\na.wav,hi,inf\n", "duration_s is 'inf'"),
    "a misspelt column": ("x.tsv", b"file_name\tsentenze\ttranscribtion\na.wav\thi\tyo\n", "has no text column"),
    "a truncated JSON line": ("x.jsonl", b'{"audio": \n', "line 1 is not JSON"),
    "a JSON line that is a list": ("x.jsonl", b"[1]", "line 1 is not a JSON object"),
    "a JSON line that is a number": ("x.jsonl", b"1", "line 1 is not a JSON object"),
    "deeply nested JSON": ("x.jsonl", b"[" * 99_999, "is not JSON"),
    "a truncated JSON list": ("x.json", b'[{"audio": "a.wav", "text": "a"},', "x.json is not JSON"),
    "a JSON list of numbers": ("x.json", b"[1, 2]", "item 1 is not a JSON object"),
    "a JSON object of settings": ("x.json", b'{"a": 1}', "has no audio column"),
    "a text that is a list": ("x.jsonl", b'{"audio": "a.wav", "text": [1]}', "text is [1]; give text"),
    "a text that is true": ("x.jsonl", b'{"audio": "a.wav", "text": true}', "text is True; give text"),
    "audio that is an object": (
        "x.jsonl",
        b'{"audio": {"a": 1}, "text": "x"}',
        "audio is {'a': 1}; give text",
    ),
    "a truncated spreadsheet": ("x.xlsx", b"PK\x03\x04", "cannot be read as a spreadsheet"),
    "a spreadsheet of Numbers": ("x.numbers", b"PK\x03\x04", "export it as Excel or CSV"),
    "parquet that is text": ("x.parquet", b"PAR1 no", "cannot be read as parquet"),
    "truncated parquet": ("x.parquet", b"PAR1" + bytes(99), "cannot be read as parquet"),
    "a picture": ("x.png", b"\x89PNG", "is not a table of recordings"),
    "a zip that is a text file": ("x.zip", b"hello", "is not a readable archive"),
    "a tar that is a text file": ("x.tar.gz", b"hello", "is not a readable archive"),
}


@pytest.mark.parametrize("name", TABLES)
def test_broken_table_is_refused(tmp_path, name):
    file, content, message = TABLES[name]
    write_sine(tmp_path / "a.wav")
    (tmp_path / file).write_bytes(content)
    with pytest.raises(DataError) as error:
        sources.load(str(tmp_path / file))
    assert message in str(error.value) and "\n" not in str(error.value)


# Folders

FOLDERS = {
    "empty": ({}, "is empty; put recordings"),
    "no transcripts": ({"b.wav": write_sine}, "holds 1 recordings but no transcripts"),
    "texts without recordings": ({"b.txt": b"hi"}, "is in no known layout"),
    "other files": ({"b.md": b"hi", "c.png": b""}, "is in no known layout"),
    "a transcript that is no text": ({"b.wav": write_sine, "b.txt": b"\xff\xfe\xff"}, "is not UTF-8 text"),
    "kaldi: no recording": (
        {"wav.scp": b"a b.wav\n", "text": b"c hi\n", "b.wav": write_sine},
        "utterance c has no recording",
    ),
    "kaldi: a missing file": ({"wav.scp": b"a gone.wav\n", "text": b"a hi\n"}, "'gone.wav' does not exist"),
    "kaldi: a command": ({"wav.scp": b"a rm -rf b.wav |\n", "text": b"a hi\n"}, "is a command, which is not run here"),
    "kaldi: a duplicate recording": ({"wav.scp": b"a b.wav\na b.wav\n", "text": b"a hi\n"}, "'a' occurs twice"),
    "kaldi: no segment": (
        {"wav.scp": b"r b.wav\n", "text": b"a hi\n", "segments": b"b r 0 1\n"},
        "a is not in segments",
    ),
    "kaldi: no times": ({"wav.scp": b"r b.wav\n", "text": b"a hi\n", "segments": b"a r x y\n"}, "is no segment"),
    "kaldi: a segment that ends before it starts": (
        {"wav.scp": b"r b.wav\n", "text": b"a x\n", "segments": b"a r 2 1\n"},
        "runs from 2 s to 1 s",
    ),
    "LibriSpeech: no recording": (
        {"84/1/84-1.trans.txt": b"84-1-0 HI\n", "84/1/84-1-1.flac": write_sine},
        "there is no recording 84-1-0",
    ),
    "TIMIT: no text": ({"a.wav": write_sine, "a.txt": b"\xff\xfe\xff"}, "is not UTF-8 text"),
    "saved by datasets, damaged": (
        {"state.json": b"{}", "dataset_info.json": b"{}"},
        "cannot be read as a saved dataset",
    ),
    "a metadata table of another kind": ({"metadata.csv": b"name,size\na,1\n"}, "has no audio column"),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_broken_folder_is_refused(tmp_path, name):
    files, message = FOLDERS[name]
    (tmp_path / "d").mkdir()
    for file, content in files.items():
        path = tmp_path / "d" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content) if isinstance(content, bytes) else content(path)
    with pytest.raises(DataError) as error:
        sources.load(str(tmp_path / "d"))
    assert message in str(error.value) and "\n" not in str(error.value)


# Recordings: the audit drops each and keeps the others


def write_truncated(path):
    write_sine(path, 3.0)
    os.truncate(path, path.stat().st_size // 2)


def write_nan(path):
    soundfile.write(path, np.array([0.1, np.nan] * RATE), RATE, subtype="FLOAT")


def write_bytes(content):
    return lambda path: path.write_bytes(content)


RECORDINGS = {
    "empty": ("a.wav", write_bytes(b""), "zero-length"),
    "text": ("a.wav", write_bytes(b"hello"), "unreadable-audio"),
    "zeros": ("a.mp3", write_bytes(bytes(9999)), "unreadable-audio"),
    "random": ("a.ogg", write_bytes(np.random.default_rng(0).bytes(9999)), "unreadable-audio"),
    "an HTML page": ("a.mp3", write_bytes(b"<html>404 Not Found</html>"), "unreadable-audio"),
    "RIFF alone": ("a.wav", write_bytes(b"RIFF\0\0\0\0WAVE"), "unreadable-audio"),
    "a header alone": ("a.wav", lambda path: write_sine(path, 0.0), "zero-length"),
    "truncated WAV": ("a.wav", write_truncated, "unreadable-audio"),
    "truncated FLAC": ("a.flac", write_truncated, "unreadable-audio"),
    "NaN samples": ("a.wav", write_nan, "unreadable-audio"),
    "20 ms": ("a.wav", lambda path: write_sine(path, 0.02), "too-short"),
    "40 s": ("a.wav", lambda path: write_sine(path, 40.0), "too-long"),
    "silence": ("a.wav", lambda path: soundfile.write(path, np.zeros(RATE), RATE), "silent"),
    "a constant": ("a.wav", lambda path: soundfile.write(path, np.full(RATE, 0.5), RATE), "silent"),
    "a rate of 10 Hz": ("a.wav", lambda path: soundfile.write(path, np.full(20, 0.5), 10), "unreadable-audio"),
    "a folder": ("a.wav", lambda path: path.mkdir(), "unreadable-audio"),
    "a broken link": ("a.wav", lambda path: path.symlink_to("gone"), "unreadable-audio"),
    "a playlist": ("a.m4a", write_bytes(b"#EXTM3U\n/etc/passwd\n"), "unreadable-audio"),
    "a picture in mp4": ("a.mp4", write_bytes(b"\0\0\0\x18ftypmp42" + bytes(200)), "unreadable-audio"),
}


@pytest.mark.parametrize("name", RECORDINGS)
def test_broken_recording_is_dropped(tmp_path, name):
    file, write, code = RECORDINGS[name]
    for index in range(3):
        write_sine(tmp_path / f"good{index}.wav", 1.0 + index / 10)
    write(tmp_path / file)
    rows = [f"good{index}.wav,good" for index in range(3)] + [f"{file},bad"]
    (tmp_path / "x.csv").write_text("\n".join(["file_name,text", *rows]))
    result = inspection.inspect(sources.load(str(tmp_path / "x.csv")), Limits())
    dropped = [finding for finding in result.audit.findings if finding.kind == "drop"]
    assert [(finding.code, finding.count) for finding in dropped] == [(code, 1)] and result.audit.utterances == 3
    assert dropped[0].examples[0].startswith("x.csv row 5: ") and "\n" not in dropped[0].examples[0]
    assert json.dumps(result.audit.to_dict())


# Uploads and prompts


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "Nothing was uploaded"),
        (["a.exe"], "a.exe is neither a recording nor a table"),
        (["a.zip", "b.wav"], "upload an archive by itself"),
        (["x/a.wav", "y/a.wav"], "a.wav was chosen twice"),
        (["a\nb.wav"], "cannot name a file"),
        ([".."], "cannot name a file"),
        ([".bashrc"], "cannot name a file"),
        (["a" * 300 + ".wav"], "is too long a name"),
        (["a.wav\0"], "cannot name a file"),
        ([""], "cannot name a file"),
    ],
)
def test_upload_with_bad_names_is_refused(tmp_path, names, message):
    write_sine(tmp_path / "upload.wav")
    with pytest.raises(DataError, match=message):
        uploads.save_upload([(tmp_path / "upload.wav", name) for name in names], tmp_path / "data")
    assert not list((tmp_path / "data").glob("*"))


def test_upload_is_saved_under_a_unique_name(tmp_path):
    write_sine(tmp_path / "upload.wav")
    (tmp_path / "upload.csv").write_text("file_name,text\na.wav,hi\n")
    files = [(tmp_path / "upload.wav", "C:\\clips\\a.wav"), (tmp_path / "upload.csv", "my table.csv")]
    folders = [uploads.save_upload(files, tmp_path / "data") for _ in range(2)]
    assert [folder.name for folder in folders] == ["my-table", "my-table-2"]
    assert sources.load(str(folders[1])).train[0].text == "hi"
    assert {path.name for path in (tmp_path / "data").iterdir()} == {"my-table", "my-table-2"}


@pytest.mark.parametrize("packed", [False, True])
def test_concurrent_uploads_of_one_name_are_both_saved(tmp_path, monkeypatch, packed):
    """The second upload begins while the first is still being copied."""
    write_sine(tmp_path / "a.wav")
    with zipfile.ZipFile(tmp_path / "upload.zip", "w") as archive:
        archive.write(tmp_path / "a.wav", "a.wav")
    file = (tmp_path / "upload.zip", "upload.zip") if packed else (tmp_path / "a.wav", "upload.wav")
    barrier, rename, first = threading.Barrier(2), os.rename, iter([True, True])
    monkeypatch.setattr(os, "rename", lambda *names: (next(first, False) and barrier.wait(10), rename(*names)))
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        folders = list(pool.map(lambda _: uploads.save_upload([file], tmp_path / "data"), range(2)))
    assert sorted(folder.name for folder in folders) == ["upload", "upload-2"]
    assert [len(list(folder.iterdir())) for folder in folders] == [1, 1]
    assert {path.name for path in (tmp_path / "data").iterdir()} == {"upload", "upload-2"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "There is no prompt"),
        (" \n\n", "There is no prompt"),
        ("x" * 500, "Prompt 1 has 500 characters"),
        ("\n".join(map(str, range(6000))), "6,000 prompts are too many to read aloud"),
    ],
)
def test_bad_prompts_are_refused(text, message):
    with pytest.raises(DataError, match=message):
        prompts.parse(text)


def test_bundled_prompts_are_valid():
    for name, title in prompts.list_bundled().items():
        lines = prompts.load(name)
        assert title and len(lines) >= 20 and prompts.parse("\n".join(lines)) == lines
    with pytest.raises(DataError, match="no list of prompts '../x'"):
        prompts.load("../x")


def test_number_of_broken_inputs():
    assert len(TABLES) + len(FOLDERS) + len(RECORDINGS) > 75


# Parsers: any content is read, or refused with a one-line error

ANY_FILE = st.one_of(
    st.binary(max_size=400),
    st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace")),
    st.lists(st.lists(st.text(max_size=12), max_size=4).map(",".join), max_size=6).map(
        lambda lines: "\n".join(["file_name,text,split", *lines]).encode("utf-8", "replace")
    ),
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["audio", "text", "duration"]), inner)
        ),
        max_leaves=8,
    ).map(lambda value: json.dumps(value).encode()),
)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=ANY_FILE, suffix=st.sampled_from(tables.SUFFIXES))
def test_any_table_is_read_or_refused(no_sandbox, tmp_path, content, suffix):
    write_sine(tmp_path / "a.wav", 0.1)
    (tmp_path / f"x{suffix}").write_bytes(content)
    try:
        source = sources.load(str(tmp_path / f"x{suffix}"))
    except AsrkitError as error:
        assert "\n" not in str(error)
    else:
        assert source.utterances


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.binary(max_size=200), scp=st.binary(max_size=200), segments=st.none() | st.binary(max_size=100))
def test_any_kaldi_folder_is_read_or_refused(no_sandbox, tmp_path, text, scp, segments):
    for name, content in (("text", text), ("wav.scp", scp), ("segments", segments)):
        (tmp_path / name).unlink(missing_ok=True)
        if content is not None:
            (tmp_path / name).write_bytes(content)
    try:
        sources.load(str(tmp_path))
    except AsrkitError as error:
        assert "\n" not in str(error)


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.binary(max_size=600),
    suffix=st.sampled_from([".zip", ".tar", ".tar.gz"]),
    magic=st.sampled_from([b"", b"PK\x03\x04", b"\x1f\x8b\x08", b"PK\x05\x06" + bytes(18)]),
)
def test_any_archive_is_read_or_refused(no_sandbox, tmp_path, content, suffix, magic):
    (tmp_path / f"x{suffix}").write_bytes(magic + content)
    try:
        sources.load(str(tmp_path / f"x{suffix}"))
    except AsrkitError as error:
        assert "\n" not in str(error)


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.binary(max_size=600),
    suffix=st.sampled_from(sorted(files.AUDIO_SUFFIXES)),
    magic=st.sampled_from(
        [
            b"",
            b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0\x01\0\x01\0",
            b"fLaC",
            b"OggS",
            b"ID3",
            b"\0\0\0\x20ftypM4A ",
            b"#!AMR\n",
        ]
    ),
)
def test_any_recording_is_audited(no_sandbox, tmp_path, content, suffix, magic):
    (tmp_path / f"x{suffix}").write_bytes(magic + content)
    (tmp_path / "x.csv").write_text(f"file_name,text\nx{suffix},hi\n")
    result = inspection.inspect(sources.load(str(tmp_path / "x.csv")), Limits())
    assert result.audit.verdict in ("ready", "not-ready")
