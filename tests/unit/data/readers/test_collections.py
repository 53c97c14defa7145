"""Layouts of toolkits and public collections: clips a and b, with the text, speaker and split that each layout has."""

import gzip
import json
import shutil
import tarfile

import pytest

from asrkit.data import sources
from asrkit.errors import DataError


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def make(clip, table):
    return lambda name, *lines: table(name, *lines) if lines else clip(name, 2.0)


def spontaneous_speech(make):
    make("d/audios/spontaneous-speech-1.mp3"), make("d/audios/spontaneous-speech-2.mp3")
    header = "client_id\taudio_id\taudio_file\tduration_ms\tprompt\ttranscription\tsplit"
    rows = [
        "ann\t1\tspontaneous-speech-1.mp3\t2000\tAsk\tone\ttrain",
        "bob\t2\tspontaneous-speech-2.mp3\t2000\tAsk\ttwo\tdev",
    ]
    make("d/ss-corpus-xx.tsv", header, *rows)
    make("d/ss-reported-audios-xx.tsv", "client_id\taudio_id\treason", "ann\t1\tnoise")
    return "Common Voice Spontaneous Speech"


def speech_brain_csv(make):
    make("d/a.wav"), make("d/b.wav")
    make("d/train.csv", "ID,duration,wav,spk_id,wrd", "1,2.0,$data_root/a.wav,ann,one")
    make("d/test.csv", "ID,duration,wav,spk_id,wrd", "2,2.0,$data_root/b.wav,bob,two")
    return "CSV table"


def speech_brain_json(make):
    make("d/a.wav"), make("d/b.wav")
    for split, file, speaker, word in (("train", "a", "ann", "one"), ("valid", "b", "bob", "two")):
        row = {"wav": f"{{data_root}}/{file}.wav", "length": 2.0, "words": word, "spk_id": speaker}
        make(f"d/{split}.json", json.dumps({f"{speaker}-1": row}, indent=1))
    return "JSON table"


def lhotse(make):
    for name, speaker, word, split in (("a", "ann", "one", "train"), ("b", "bob", "two", "dev")):
        make(f"d/audio/{name}.wav")
        source = {"type": "file", "channels": [0], "source": f"/elsewhere/d/audio/{name}.wav"}
        recording = {"id": name, "sources": [source], "sampling_rate": 16_000, "duration": 2.0}
        part = {"id": name, "recording_id": name, "start": 0.25, "duration": 1.5, "text": word, "speaker": speaker}
        path = make(f"d/x_recordings_{split}.jsonl", json.dumps(recording))
        packed = path.with_name(f"x_supervisions_{split}.jsonl.gz")
        packed.write_bytes(gzip.compress(json.dumps(part).encode()))
    return "Lhotse manifests"


def lhotse_cuts(make):
    for name, speaker, word, split in (("a", "ann", "one", "train"), ("b", "bob", "two", "dev")):
        make(f"d/{name}.wav")
        part = {"id": name, "recording_id": name, "start": 0.0, "duration": 1.5, "text": word, "speaker": speaker}
        recording = {"id": name, "sources": [{"type": "file", "channels": [0], "source": f"{name}.wav"}]}
        cut = {"id": name, "start": 0.25, "duration": 1.5, "supervisions": [part], "recording": recording}
        make(f"d/cuts_{split}.jsonl", json.dumps(cut))
    return "Lhotse manifests"


def speech_commands(make):
    for path in ("one/aaaaaaaa_nohash_0.wav", "two/bbbbbbbb_nohash_0.wav", "_background_noise_/hum.wav"):
        make(f"d/{path}")
    make("d/validation_list.txt", "two/bbbbbbbb_nohash_0.wav"), make("d/testing_list.txt", "")
    return "Speech Commands"


def sphinx(make):
    for split, name, word in (("train", "a", "one"), ("test", "b", "two")):
        make(f"d/wav/{name}/{name}1.wav")
        make(f"d/etc/x_{split}.fileids", f"{name}/{name}1")
        make(f"d/etc/x_{split}.transcription", f"<s> {word} </s> ({name}1)")
    return "Sphinx lists"


@pytest.mark.parametrize(
    "layout", [spontaneous_speech, speech_brain_csv, speech_brain_json, lhotse, lhotse_cuts, speech_commands, sphinx]
)
@pytest.mark.parametrize("packed", [False, True])
def test_layout_with_splits(make, tmp_path, layout, packed):
    title = layout(make)
    folder = tmp_path / "d"
    if packed:
        folder = shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path, "d")
        shutil.rmtree(tmp_path / "d")
    source = sources.load(str(folder))
    assert source.layout == title and not [row.fault for row in source.utterances if row.fault]
    named = {speech_commands: ("aaaaaaaa", "bbbbbbbb"), sphinx: (None, None)}.get(layout, ("ann", "bob"))
    assert [(row.text, row.speaker) for row in source.train] == [("one", named[0])]
    assert [(row.text, row.speaker) for row in source.eval] == [("two", named[1])]
    for row in source.utterances:
        assert 1.4 < row.duration_s < 2.2
        assert (row.start_s, row.end_s) == ((0.25, 1.75) if layout in (lhotse, lhotse_cuts) else (0.0, None))


def wenet(make):
    make("d/wav/a.wav"), make("d/wav/b.wav")
    lines = [
        json.dumps({"key": name, "wav": f"/data/d/wav/{name}.wav", "txt": word})
        for name, word in (("a", "one"), ("b", "two"))
    ]
    make("d/data.list", *lines)
    return "WeNet data.list", [("one", None), ("two", None)]


def m_ailabs(make):
    for path, word in (("female/ann/book", "one"), ("male/bob/book", "two")):
        make(f"d/de_DE/by_book/{path}/wavs/x_1.wav")
        make(f"d/de_DE/by_book/{path}/metadata.csv", f"x_1|{word.title()}!|{word}")
    return "M-AILABS", [("one", "ann"), ("two", "bob")]


def voxforge(make):
    for place, word in (("ann-20100101-abc", "ONE"), ("anonymous-20100101-xyz", "TWO")):
        make(f"d/{place}/wav/a0001.wav")
        make(f"d/{place}/etc/PROMPTS", f"{place}/mfc/a0001 {word}")
    return "VoxForge", [("ONE", "ann"), ("TWO", "anonymous-20100101-xyz")]


def tatoeba(make):
    make("d/audio/eng/11.mp3"), make("d/audio/eng/902.mp3")
    make("d/sentences_with_audio.csv", "11\t901\tann\tCC BY 4.0\t", "12\t902\tbob\t\t", "13\t903\tbob\t\t")
    make("d/sentences.csv", "11\teng\tone", "12\teng\ttwo", "13\tdeu\tdrei")
    return "Tatoeba", [("one", "ann"), ("two", "bob")]


def tatoeba_archive(make):
    make("d/audio/ann/11.mp3"), make("d/audio/bob/12.mp3")
    make("d/sentences_with_audio.csv", "id\tusername\ttext", "11\tann\tone", "12\tbob\ttwo")
    return "Tatoeba", [("one", "ann"), ("two", "bob")]


@pytest.mark.parametrize("layout", [wenet, m_ailabs, voxforge, tatoeba, tatoeba_archive])
def test_layout_without_splits(make, tmp_path, layout):
    title, expected = layout(make)
    source = sources.load(str(tmp_path / "d"))
    assert source.layout == title
    assert [(row.text, row.speaker) for row in source.utterances] == expected
    assert all(1.9 < row.duration_s < 2.2 for row in source.utterances)


def write_shard(make, path, *names):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name in names:
            archive.add(make(f"gone/{name}.wav"), f"{name}.wav")
            archive.add(make(f"gone/{name}.txt", f"text of {name}"), f"{name}.txt")


@pytest.mark.parametrize("place", ["data/shards", "shards", "."])
def test_wenet_shards_of_another_machine_are_found(make, tmp_path, place):
    folder = tmp_path / "d"
    write_shard(make, folder / place / "shard_0.tar", "a")
    write_shard(make, folder / place / "other.tar", "b")  # not in the list
    make("d/data.list", "/export/data/shards/shard_0.tar")
    for data in (folder, folder / "data.list"):
        source = sources.load(str(data))
        assert source.layout == "WeNet shards" and [row.text for row in source.utterances] == ["text of a"]


def test_missing_shard_is_a_bad_row_and_missing_shards_an_error(make, tmp_path):
    write_shard(make, tmp_path / "d/shard_0.tar", "a")
    make("d/data.list", "shard_0.tar", "../up/shard_1.tar")
    source = sources.load(str(tmp_path / "d"))
    assert [row.fault for row in source.utterances] == ["", "../up/shard_1.tar is missing; copy it."]
    (tmp_path / "d/shard_0.tar").unlink()
    with pytest.raises(DataError, match=r"the shard shard_0.tar is missing, as are all others; copy them beside it"):
        sources.load(str(tmp_path / "d"))


def test_wenet_list_can_be_named(make, tmp_path):
    make("d/wav/a.wav")
    path = make("d/dev.list", json.dumps({"key": "a", "wav": "wav/a.wav", "txt": "one"}))
    assert [row.text for row in sources.load(str(path)).utterances] == ["one"]


@pytest.mark.parametrize("names", [["7_jackson_0.wav", "0_theo_12.wav"], ["01/7_01_0.wav", "02/0_02_12.wav"]])
def test_digits_in_names_are_an_assumption(make, tmp_path, names):
    for name in names:
        make(name)
    source = sources.load(str(tmp_path))
    assert sorted(row.text for row in source.utterances) == ["0", "7"]
    assert {mark.code for row in source.utterances for mark in row.marks} == {"text-from-name"}
    assert len({row.speaker for row in source.utterances}) == 2


def test_clips_named_by_an_index(make, tmp_path):
    make("clips/0.wav"), make("clips/1.wav")
    path = make("all.csv", "index,sentence", "0,one", "1,two")
    assert [row.text for row in sources.load(str(path)).utterances] == ["one", "two"]


def test_copies_in_several_formats_are_one_recording(make, tmp_path):
    for suffix in ("mp3", "wav", "flac"):
        make(f"a.{suffix}")
    make("a.txt", "one")
    source = sources.load(str(tmp_path))
    assert [row.audio for row in source.utterances] == [str(tmp_path / "a.wav")]
    assert source.notes == (("one-of-several", "a.wav is read, not a.flac, a.mp3"),)


def test_pipes_of_espnet_are_refused(make, tmp_path):
    make("wav.scp", "a sox /x/a.wav -t wav - |"), make("text", "a one")
    with pytest.raises(sources.DataError, match="is a command, which is not run here"):
        sources.load(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("x_supervisions.jsonl", b"{", r"x_supervisions\.jsonl line 1 is not JSON"),
        ("x_supervisions.jsonl.gz", b"\x1f\x8b\x08\x00broken", r"x_supervisions\.jsonl\.gz is damaged"),
        (
            "x_supervisions.jsonl",
            b'{"recording_id": "gone", "start": 0, "duration": 1}',
            "has no file that can be read",
        ),
    ],
)
def test_damaged_manifests_of_lhotse(make, tmp_path, name, content, expected):
    make("x_recordings.jsonl", "{}")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(sources.DataError, match=expected):
        sources.load(str(tmp_path))
