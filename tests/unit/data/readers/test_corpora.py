"""Layouts of corpora: each is recognised as a folder and in an archive, and its columns can be chosen."""

import json
import shutil
import tarfile

import pyarrow
import pytest
from pyarrow import parquet

from asrkit.audio import load_audio
from asrkit.data import sources


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def make(clip, table):
    """Return make(name, *lines), which writes a text file, or without lines a clip of two seconds."""

    def write(name, *lines):
        return table(name, *lines) if lines else clip(name, 2.0)

    return write


def audiofolder(make):
    make("d/a.wav"), make("d/b.wav")
    make("d/metadata.csv", "file_name,text,speaker,split", "a.wav,one,ann,train", "b.wav,two,bob,test")


def audiofolder_jsonl(make):
    make("d/train/a.wav"), make("d/test/b.wav")
    make("d/train/metadata.jsonl", '{"file_name": "a.wav", "text": "one", "speaker_id": "ann"}')
    make("d/test/metadata.jsonl", '{"file_name": "b.wav", "text": "two", "speaker_id": "bob"}')


def common_voice(make):
    make("d/clips/a.mp3"), make("d/clips/b.mp3")
    make("d/train.tsv", "client_id\tpath\tsentence\tup_votes", "ann\ta.mp3\tone\t2")
    make("d/test.tsv", "client_id\tpath\tsentence\tup_votes", "bob\tb.mp3\ttwo\t2")
    make("d/validated.tsv", "client_id\tpath\tsentence\tup_votes", "ann\ta.mp3\tone\t2", "bob\tb.mp3\ttwo\t2")


def libri_speech(make):
    make("d/LibriSpeech/BOOKS.TXT", "a book")
    make("d/LibriSpeech/train-clean-100/ann/12/ann-12-0000.flac")
    make("d/LibriSpeech/train-clean-100/ann/12/ann-12.trans.txt", "ann-12-0000 one")
    make("d/LibriSpeech/test-other/bob/7/bob-7-0000.flac")
    make("d/LibriSpeech/test-other/bob/7/bob-7.trans.txt", "bob-7-0000 two")


def multilingual_libri_speech(make):
    make("d/mls_spanish/train/audio/ann/12/ann_12_000.flac"), make("d/mls_spanish/dev/audio/bob/7/bob_7_000.flac")
    make("d/mls_spanish/train/transcripts.txt", "ann_12_000\tone")
    make("d/mls_spanish/dev/transcripts.txt", "bob_7_000\ttwo")


def timit(make):
    for name, text in (("TRAIN/DR1/ann/SA1", "0 32000 one"), ("TEST/DR1/bob/SA2", "0 32000 two")):
        make(f"d/{name}.WAV")
        make(f"d/{name}.TXT", text)
        make(f"d/{name}.PHN", "0 100 h#")


def kaldi(make):
    make("d/train/a.wav"), make("d/dev/b.wav")
    make("d/train/wav.scp", "a a.wav")
    make("d/train/text", "a one")
    make("d/train/utt2spk", "a ann")
    make("d/dev/wav.scp", "r flac -c -d -s dev/b.wav |")
    make("d/dev/segments", "b r 0.5 2.5")
    make("d/dev/text", "b two")
    make("d/dev/utt2spk", "b bob")


def nemo(make):
    make("d/a.wav"), make("d/b.wav")
    make("d/train_manifest.json", '{"audio_filepath": "a.wav", "text": "one", "duration": 2.0, "speaker": "ann"}')
    make("d/test_manifest.json", '{"audio_filepath": "b.wav", "text": "two", "duration": 2.0, "speaker": "bob"}')


def vox_populi(make):
    make("d/train_part_0/a.ogg"), make("d/test_part_0/b.ogg")
    header = "id\traw_text\tnormalized_text\tspeaker_id\tsplit"
    make("d/asr.tsv", header, "a\tOne.\tone\tann\ttrain", "b\tTwo.\ttwo\tbob\ttest")


def json_list(make):
    make("d/a.wav"), make("d/b.wav")
    make(
        "d/all.json",
        json.dumps(
            [
                {"path": "a.wav", "text": "one", "speaker": "ann", "split": "train"},
                {"path": "b.wav", "text": "two", "speaker": "bob", "split": "dev"},
            ]
        ),
    )


def as_parquet(make):
    for name, path, text, speaker in (
        ("train-00000-of-00001", "a.flac", "one", "ann"),
        ("test-00000-of-00001", "b.flac", "two", "bob"),
    ):
        content = {"bytes": make(f"gone/{path}").read_bytes(), "path": path}
        parquet_path = make("d/README.md", "a dataset").parent / "data" / f"{name}.parquet"
        parquet_path.parent.mkdir(exist_ok=True)
        parquet.write_table(
            pyarrow.Table.from_pylist([{"audio": content, "text": text, "speaker_id": speaker}]), parquet_path
        )


LAYOUTS = {
    audiofolder: "folder with a metadata table",
    audiofolder_jsonl: "folder with a metadata table",
    common_voice: "Common Voice",
    libri_speech: "LibriSpeech",
    multilingual_libri_speech: "Multilingual LibriSpeech",
    timit: "TIMIT",
    kaldi: "Kaldi data directory",
    nemo: "NeMo manifest",
    vox_populi: "VoxPopuli",
    json_list: "JSON table",
    as_parquet: "parquet",
}


@pytest.mark.parametrize("packed", ["", "zip", "gztar", "xztar"])
@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
def test_layout_is_recognised(make, tmp_path, layout, packed):
    layout(make)
    folder = tmp_path / "d"
    if packed:
        folder = shutil.make_archive(str(tmp_path / "packed"), packed, tmp_path, "d")
        shutil.rmtree(tmp_path / "d")
    source = sources.load(str(folder))
    assert source.layout == LAYOUTS[layout]
    assert [(row.text, row.speaker) for row in source.train] == [("one", "ann")]
    assert [(row.text, row.speaker) for row in source.eval] == [("two", "bob")]
    for row in source.utterances:
        assert row.duration_s == pytest.approx(2.0, abs=0.1) or layout is kaldi
        assert load_audio(row.audio, start_s=row.start_s, end_s=row.end_s).duration_s > 1.4
        assert row.row


def test_lj_speech_is_recognised(make, tmp_path):
    make("LJ/wavs/LJ001-0001.wav"), make("LJ/wavs/LJ001-0002.wav")
    make("LJ/metadata.csv", "LJ001-0001|Mr. 1|mister one", 'LJ001-0002|He said "hi', "")
    source = sources.load(str(tmp_path / "LJ"))
    assert source.layout == "LJSpeech"
    assert [(row.text, row.row) for row in source.train] == [
        ("mister one", "metadata.csv line 1"),
        ('He said "hi', "metadata.csv line 2"),
    ]


def test_unicode_separators_do_not_end_a_line(make, tmp_path):
    text = "one\u2028two\x85three\x0bfour"
    make("a.wav")
    for name, lines in (
        ("x.csv", ["file_name,text", f"a.wav,{text}"]),
        ("y.tsv", ["path\tsentence", f"a.wav\t{text}"]),
    ):
        assert [row.text for row in sources.load(str(make(name, *lines))).train] == [text]
    make("LJ/wavs/1.wav"), make("LJ/metadata.csv", f"1|{text}|")
    make("kaldi/a.wav"), make("kaldi/wav.scp", "a a.wav"), make("kaldi/text", f"a {text}")
    for folder in ("LJ", "kaldi"):
        assert [row.text for row in sources.load(str(tmp_path / folder)).train] == [text]


def test_spoken_digits_are_not_timit(make, tmp_path):
    make("a.wav"), make("b.wav"), make("a.txt", "7 3 9 1"), make("b.txt", "10 2000 5")
    make("c.wav"), make("c.txt", "3 9 1")
    assert [row.text for row in sources.load(str(tmp_path)).train] == ["7 3 9 1", "10 2000 5", "3 9 1"]


def test_recordings_with_text_files_are_read(make, tmp_path):
    make("a.m4a.flac"), make("b/c.wav")
    make("a.m4a.txt", "one")
    make("b/c.txt", "two")
    source = sources.load(str(tmp_path))
    assert source.layout == "recordings with a .txt beside each"
    assert sorted(row.text for row in source.train) == ["one", "two"]


def test_common_voice_with_validated_clips_only(make, tmp_path):
    make("cv/es/clips/a.mp3")
    for name in ("validated", "other", "invalidated"):
        make(f"cv/es/{name}.tsv", "client_id\tpath\tsentence", f"ann\ta.mp3\t{name}")
    source = sources.load(str(tmp_path))
    assert (source.layout, [row.text for row in source.train]) == ("Common Voice", ["validated"])


def test_columns_are_guessed_and_can_be_chosen(make, tmp_path):
    make("a.wav"), make("b.wav")
    path = make("x.csv", "path,sentence,other,voice,noise", "a.wav,yes,no,ann,b.wav")
    source = sources.load(str(path))
    assert (source.columns.audio, source.columns.text, source.columns.speaker) == ("path", "sentence", None)
    assert source.column_names == ("path", "sentence", "other", "voice", "noise")
    named = make("y.csv", "path,sentence,speaker", "a.wav,yes,ann")
    assert sources.load(str(named)).train[0].speaker == "ann"
    assert sources.load(str(named), speaker_column="-").train[0].speaker is None
    (row,) = sources.load(str(path), text_column="other", audio_column="noise", speaker_column="voice").train
    assert (row.text, row.speaker, row.audio) == ("no", "ann", str(tmp_path / "b.wav"))


def test_file_names_without_folder_or_suffix_are_resolved(make, tmp_path):
    make("deep/down/Clip One.wav")
    path = make("x.csv", "id,text", "clip one,hi", "deep\\down\\Clip One.wav,ho", "Clip One.mp3,missing")
    rows = sources.load(str(path)).train
    assert [row.audio.endswith("deep/down/Clip One.wav") for row in rows] == [True, True, False]


def test_few_missing_files_have_an_unknown_duration(make):
    make("a.wav")
    path = make("x.csv", "file_name,text", "a.wav,hi", "a.wav,hi", "gone.wav,hi")
    assert [row.duration_s for row in sources.load(str(path)).train] == [2.0, 2.0, -1.0]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le-bom"])
def test_encoding_is_detected(make, tmp_path, encoding):
    make("a.wav")
    text = "file_name,text\na.wav,año नमस्ते\n"
    content = b"\xff\xfe" + text.encode("utf-16-le") if encoding.endswith("bom") else text.encode(encoding)
    (tmp_path / "x.csv").write_bytes(content)
    assert sources.load(str(tmp_path / "x.csv")).train[0].text == "año नमस्ते"


def test_repeated_loads_of_an_archive_agree(make, tmp_path):
    audiofolder(make)
    with tarfile.open(tmp_path / "x.tar", "w") as packed:
        packed.add(tmp_path / "d", "d")
    first = sources.load(str(tmp_path / "x.tar"))
    assert sources.load(str(tmp_path / "x.tar")).utterances == first.utterances
