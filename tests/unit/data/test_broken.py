"""Broken inputs: each is refused, or read with its fault told, in one clear sentence. Archives are in test_archives."""

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

RATE = 16_000


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def sound(path, seconds=1.0, rate=RATE, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.3 * np.sin(np.arange(round(seconds * rate)) / 9), rate, **options)
    return path


# Tables: what is in the file x (with a.wav beside it) -> the words of the sentence

TABLES = {
    "no columns": ("x.csv", b"hello\nworld\n", "has no audio column: found 'hello'"),
    "no text column": ("x.csv", b"file_name,words\na.wav,hi\n", "has no text column"),
    "header alone": ("x.csv", b"file_name,text\n", "has no rows"),
    "nothing at all": ("x.csv", b"", "has no rows"),
    "blank lines": ("x.csv", b"\n\n\n", "has no rows"),
    "too many fields": ("x.csv", b"file_name,text\na.wav,hi,ho\n", "has 3 fields where the header has 2"),
    "NUL bytes": ("x.csv", b"file_name,text\na.wav,h\0i\n", "holds NUL bytes"),
    "binary": ("x.csv", bytes(range(256)), "is not UTF-8 text"),
    "Latin-1": ("x.csv", "file_name,text\na.wav,año\n".encode("latin-1"), "is not UTF-8 text (byte"),
    "Shift-JIS": ("x.csv", "file_name,text\na.wav,日本\n".encode("shift-jis"), "is not UTF-8 text (byte"),
    "UTF-16 without its mark": ("x.csv", "file_name,text\na.wav,hi\n".encode("utf-16-le"), "holds NUL bytes"),
    "half of a UTF-16 letter": ("x.csv", b"\xff\xfef\0i", "is not UTF-8 text"),
    "half of a UTF-8 letter": ("x.csv", b"file_name,text\na.wav,\xc3\n", "is not UTF-8 text"),
    "a quote that never ends": ("x.csv", b'file_name,text\na.wav,"' + b"hi\n" * 99_999, "cannot be read as a table"),
    "an empty file name": ("x.csv", b"file_name,text\n,hi\n", "row 2: file_name is empty"),
    "files that are not there": ("x.csv", b"file_name,text\nb.wav,hi\n", "does not exist (1 of 1 files are missing)"),
    "a folder for a file": ("x.csv", b"file_name,text\n.,hi\n", "does not exist"),
    "a name with NUL": ("x.jsonl", b'{"audio": "a\\u0000.wav", "text": "x"}', "does not exist"),
    "a name too long": ("x.csv", b"file_name,text\n" + b"a" * 5000 + b".wav,hi\n", "does not exist"),
    "an unknown split": ("x.csv", b"file_name,text,split\na.wav,hi,other\n", "split is 'other'"),
    "a part that ends first": (
        "x.csv",
        b"file_name,text,start_s,end_s\na.wav,hi,2,1\n",
        "ends at 1 s but starts at 2 s",
    ),
    "a part that starts before": ("x.csv", b"file_name,text,start_s\na.wav,hi,-1\n", "start_s is '-1'"),
    "a duration of letters": ("x.csv", b"file_name,text,duration_s\na.wav,hi,long\n", "duration_s is 'long'"),
    "an endless duration": ("x.csv", b"file_name,text,duration_s\na.wav,hi,inf\n", "duration_s is 'inf'"),
    "a column that is not there": ("x.tsv", b"file_name\tsentenze\na.wav\thi\n", "has no text column"),
    "a JSON line cut off": ("x.jsonl", b'{"audio": "a.wav", "text": "a"}\n{"audio": ', "line 2 is not JSON"),
    "a JSON line that is a list": ("x.jsonl", b"[1]", "line 1 is not a JSON object"),
    "a JSON line that is a number": ("x.jsonl", b"1", "line 1 is not a JSON object"),
    "JSON too deep": ("x.jsonl", b"[" * 99_999, "is not JSON"),
    "a JSON list cut off": ("x.json", b'[{"audio": "a.wav", "text": "a"},', "x.json is not JSON"),
    "a JSON list of numbers": ("x.json", b"[1, 2]", "item 1 is not a JSON object"),
    "a JSON object of settings": ("x.json", b'{"a": 1}', "has no audio column"),
    "a text that is a list": ("x.jsonl", b'{"audio": "a.wav", "text": [1]}', "text is [1]; give text"),
    "a text that is true": ("x.jsonl", b'{"audio": "a.wav", "text": true}', "text is True; give text"),
    "audio that is a number of things": (
        "x.jsonl",
        b'{"audio": {"a": 1}, "text": "x"}',
        "audio is {'a': 1}; give text",
    ),
    "a spreadsheet cut off": ("x.xlsx", b"PK\x03\x04", "cannot be read as a spreadsheet"),
    "a spreadsheet of Numbers": ("x.numbers", b"PK\x03\x04", "export it as Excel or CSV"),
    "parquet that is text": ("x.parquet", b"PAR1 no", "cannot be read as parquet"),
    "parquet cut off": ("x.parquet", b"PAR1" + bytes(99), "cannot be read as parquet"),
    "a picture": ("x.png", b"\x89PNG", "is not a table of recordings"),
    "a zip that is none": ("x.zip", b"hello", "is no archive that can be read"),
    "a tar that is none": ("x.tar.gz", b"hello", "is no archive that can be read"),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_broken_table(tmp_path, name):
    file, content, words = TABLES[name]
    sound(tmp_path / "a.wav")
    (tmp_path / file).write_bytes(content)
    with pytest.raises(DataError) as caught:
        sources.load(str(tmp_path / file))
    assert words in str(caught.value) and "\n" not in str(caught.value)


# Folders

FOLDERS = {
    "empty": ({}, "is empty; put recordings"),
    "no transcripts": ({"b.wav": sound}, "holds 1 recordings but no transcripts"),
    "texts without recordings": ({"b.txt": b"hi"}, "is in no known layout"),
    "other things": ({"b.md": b"hi", "c.png": b""}, "is in no known layout"),
    "a transcript that is no text": ({"b.wav": sound, "b.txt": b"\xff\xfe\xff"}, "is not UTF-8 text"),
    "kaldi: no recording": (
        {"wav.scp": b"a b.wav\n", "text": b"c hi\n", "b.wav": sound},
        "utterance c has no recording",
    ),
    "kaldi: a file that is not there": ({"wav.scp": b"a gone.wav\n", "text": b"a hi\n"}, "'gone.wav' does not exist"),
    "kaldi: a command": ({"wav.scp": b"a rm -rf b.wav |\n", "text": b"a hi\n"}, "is a command, which is not run here"),
    "kaldi: twice": ({"wav.scp": b"a b.wav\na b.wav\n", "text": b"a hi\n"}, "'a' comes a second time"),
    "kaldi: no segment": (
        {"wav.scp": b"r b.wav\n", "text": b"a hi\n", "segments": b"b r 0 1\n"},
        "a is not in segments",
    ),
    "kaldi: no times": ({"wav.scp": b"r b.wav\n", "text": b"a hi\n", "segments": b"a r x y\n"}, "is no segment"),
    "kaldi: backwards": ({"wav.scp": b"r b.wav\n", "text": b"a x\n", "segments": b"a r 2 1\n"}, "runs from 2 s to 1 s"),
    "LibriSpeech: no recording": (
        {"84/1/84-1.trans.txt": b"84-1-0 HI\n", "84/1/84-1-1.flac": sound},
        "there is no recording 84-1-0",
    ),
    "LJSpeech: no text": ({"wavs/a.wav": sound, "metadata.csv": b"a|hi\nb\n"}, "line 2 has no | between name and text"),
    "saved by datasets, damaged": (
        {"state.json": b"{}", "dataset_info.json": b"{}"},
        "cannot be read as a saved dataset",
    ),
    "a metadata table of another kind": ({"metadata.csv": b"name,size\na,1\n"}, "has no audio column"),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_a_broken_folder(tmp_path, name):
    files, words = FOLDERS[name]
    (tmp_path / "d").mkdir()
    for file, content in files.items():
        path = tmp_path / "d" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content) if isinstance(content, bytes) else content(path)
    with pytest.raises(DataError) as caught:
        sources.load(str(tmp_path / "d"))
    assert words in str(caught.value) and "\n" not in str(caught.value)


# Recordings: each is found by the audit, and the others are kept


def cut(path):
    sound(path, 3.0)
    os.truncate(path, path.stat().st_size // 2)


def nan(path):
    soundfile.write(path, np.array([0.1, np.nan] * RATE), RATE, subtype="FLOAT")


def written(content):
    return lambda path: path.write_bytes(content)


RECORDINGS = {
    "empty": ("a.wav", written(b""), "zero-length"),
    "text": ("a.wav", written(b"hello"), "unreadable-audio"),
    "zeros": ("a.mp3", written(bytes(9999)), "unreadable-audio"),
    "random": ("a.ogg", written(np.random.default_rng(0).bytes(9999)), "unreadable-audio"),
    "a page": ("a.mp3", written(b"<html>404 Not Found</html>"), "unreadable-audio"),
    "RIFF alone": ("a.wav", written(b"RIFF\0\0\0\0WAVE"), "unreadable-audio"),
    "a header alone": ("a.wav", lambda path: sound(path, 0.0), "zero-length"),
    "cut off WAV": ("a.wav", cut, "unreadable-audio"),
    "cut off FLAC": ("a.flac", cut, "unreadable-audio"),
    "not a number": ("a.wav", nan, "unreadable-audio"),
    "a breath": ("a.wav", lambda path: sound(path, 0.02), "too-short"),
    "an hour": ("a.wav", lambda path: sound(path, 40.0), "too-long"),
    "silence": ("a.wav", lambda path: soundfile.write(path, np.zeros(RATE), RATE), "silent"),
    "a constant": ("a.wav", lambda path: soundfile.write(path, np.full(RATE, 0.5), RATE), "silent"),
    "a rate of ten": ("a.wav", lambda path: soundfile.write(path, np.full(20, 0.5), 10), "unreadable-audio"),
    "a folder": ("a.wav", lambda path: path.mkdir(), "unreadable-audio"),
    "a dead link": ("a.wav", lambda path: path.symlink_to("gone"), "unreadable-audio"),
    "a playlist": ("a.m4a", written(b"#EXTM3U\n/etc/passwd\n"), "unreadable-audio"),
    "a picture in mp4": ("a.mp4", written(b"\0\0\0\x18ftypmp42" + bytes(200)), "unreadable-audio"),
}


@pytest.mark.parametrize("name", RECORDINGS)
def test_a_broken_recording(tmp_path, name):
    file, spoil, code = RECORDINGS[name]
    for number in range(3):
        sound(tmp_path / f"good{number}.wav", 1.0 + number / 10)
    spoil(tmp_path / file)
    rows = [f"good{number}.wav,good" for number in range(3)] + [f"{file},bad"]
    (tmp_path / "x.csv").write_text("\n".join(["file_name,text", *rows]))
    told = inspection.inspect(sources.load(str(tmp_path / "x.csv")), Limits())
    dropped = [found for found in told.audit.findings if found.kind == "drop"]
    assert [(found.code, found.count) for found in dropped] == [(code, 1)] and told.audit.utterances == 3
    assert dropped[0].examples[0].startswith("x.csv row 5: ") and "\n" not in dropped[0].examples[0]
    assert json.dumps(told.audit.to_dict())


# Uploads and prompts


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ([], "Nothing was uploaded"),
        (["a.exe"], "a.exe is neither a recording nor a table"),
        (["a.zip", "b.wav"], "upload an archive by itself"),
        (["x/a.wav", "y/a.wav"], "a.wav was chosen twice"),
        (["a\nb.wav"], "cannot name a file"),
        (
            [
                "..",
            ],
            "cannot name a file",
        ),
        ([".bashrc"], "cannot name a file"),
        (["a" * 300 + ".wav"], "is too long a name"),
        (["a.wav\0"], "cannot name a file"),
        ([""], "cannot name a file"),
    ],
)
def test_an_upload_that_is_refused(tmp_path, names, words):
    sound(tmp_path / "sent.wav")
    with pytest.raises(DataError, match=words):
        uploads.save_upload([(tmp_path / "sent.wav", name) for name in names], tmp_path / "data")
    assert not list((tmp_path / "data").glob("*"))


def test_an_upload_that_is_taken(tmp_path):
    sound(tmp_path / "sent.wav")
    (tmp_path / "sent.csv").write_text("file_name,text\na.wav,hi\n")
    files = [(tmp_path / "sent.wav", "C:\\clips\\a.wav"), (tmp_path / "sent.csv", "my table.csv")]
    folders = [uploads.save_upload(files, tmp_path / "data") for _ in range(2)]
    assert [folder.name for folder in folders] == ["my-table", "my-table-2"]
    assert sources.load(str(folders[1])).train[0].text == "hi"
    assert {path.name for path in (tmp_path / "data").iterdir()} == {"my-table", "my-table-2"}


@pytest.mark.parametrize("packed", [False, True])
def test_two_uploads_of_one_name_at_once_are_both_taken(tmp_path, monkeypatch, packed):
    """The second one begins while the first is still being copied."""
    sound(tmp_path / "a.wav")
    with zipfile.ZipFile(tmp_path / "sent.zip", "w") as archive:
        archive.write(tmp_path / "a.wav", "a.wav")
    file = (tmp_path / "sent.zip", "sent.zip") if packed else (tmp_path / "a.wav", "sent.wav")
    both, rename, first = threading.Barrier(2), os.rename, iter([True, True])
    monkeypatch.setattr(os, "rename", lambda *names: (next(first, False) and both.wait(10), rename(*names)))
    with concurrent.futures.ThreadPoolExecutor(2) as senders:
        folders = list(senders.map(lambda _: uploads.save_upload([file], tmp_path / "data"), range(2)))
    assert sorted(folder.name for folder in folders) == ["sent", "sent-2"]
    assert [len(list(folder.iterdir())) for folder in folders] == [1, 1]
    assert {path.name for path in (tmp_path / "data").iterdir()} == {"sent", "sent-2"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "There is no prompt"),
        (" \n\n", "There is no prompt"),
        ("x" * 500, "Prompt 1 has 500 characters"),
        ("\n".join(map(str, range(6000))), "6,000 prompts are more than anybody reads"),
    ],
)
def test_prompts_that_are_none(text, words):
    with pytest.raises(DataError, match=words):
        prompts.parse(text)


def test_shipped_prompts_can_be_read():
    for name, title in prompts.list_bundled().items():
        lines = prompts.load(name)
        assert title and len(lines) >= 20 and prompts.parse("\n".join(lines)) == lines
    with pytest.raises(DataError, match="no list of prompts '../x'"):
        prompts.load("../x")


def test_there_are_enough_broken_inputs():
    assert len(TABLES) + len(FOLDERS) + len(RECORDINGS) > 75


# Parsers: whatever is in a file, it is read, or refused in one sentence

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
def test_any_table(tmp_path, content, suffix):
    sound(tmp_path / "a.wav", 0.1)
    (tmp_path / f"x{suffix}").write_bytes(content)
    try:
        source = sources.load(str(tmp_path / f"x{suffix}"))
    except AsrkitError as error:
        assert "\n" not in str(error)
    else:
        assert source.utterances


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.binary(max_size=200), scp=st.binary(max_size=200), segments=st.none() | st.binary(max_size=100))
def test_any_kaldi_folder(tmp_path, text, scp, segments):
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
def test_any_archive(tmp_path, content, suffix, magic):
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
def test_any_recording(tmp_path, content, suffix, magic):
    (tmp_path / f"x{suffix}").write_bytes(magic + content)
    (tmp_path / "x.csv").write_text(f"file_name,text\nx{suffix},hi\n")
    told = inspection.inspect(sources.load(str(tmp_path / "x.csv")), Limits())
    assert told.audit.verdict in ("ready", "not-ready")
