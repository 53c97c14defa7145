"""Loading data: metadata tables, tables, pairs of files, and errors."""

import json
import os

import pytest

from asrkit.data import sources
from asrkit.errors import DataError


def load(path, **options):
    return sources.load(str(path), **options)


def texts(utterances):
    return [utterance.text for utterance in utterances]


class TestMetadata:
    def test_folder_is_read(self, clip, table, tmp_path):
        clip("audio/a.wav", 1.5)
        table("metadata.csv", "file_name,text,speaker_id", 'audio/a.wav,"Hello, you",ann')
        source = load(tmp_path)
        (utterance,) = source.train
        assert utterance.audio == str(tmp_path / "audio/a.wav")
        assert (utterance.text, utterance.duration_s, utterance.speaker) == ("Hello, you", 1.5, "ann")
        assert utterance.row == "metadata.csv row 2"
        assert source.eval is None
        assert "1 train utterances" in source.description

    def test_duration_is_taken_from_the_metadata(self, clip, table, tmp_path):
        clip("a.wav", 1.5)
        table("metadata.csv", "file_name,text,duration_s", "a.wav,hi,1.4")
        assert load(tmp_path).train[0].duration_s == 1.4

    def test_split_column_of_jsonl_is_read(self, clip, table, tmp_path):
        clip("a.wav")
        splits = ["train", "validation", "test", None, "dev"]
        table("metadata.jsonl", *(json.dumps({"file_name": "a.wav", "sentence": str(s), "split": s}) for s in splits))
        source = load(tmp_path)
        assert texts(source.train) == ["train", "None"]
        assert texts(source.eval) == ["validation", "dev"]
        assert texts(source.test) == texts(source.unseen) == ["test"]  # the best checkpoint is not chosen by these
        assert "2 train, 2 eval and 1 test utterances" in source.description
        assert source.train[0].row == "metadata.jsonl line 1"
        assert len(source.utterances) == 5

    def test_single_test_split_is_evaluated_on(self, clip, table, tmp_path):
        clip("a.wav")
        table("metadata.csv", "file_name,text,split", "a.wav,one,train", "a.wav,two,test")
        source = load(tmp_path)
        assert (texts(source.eval), source.test, texts(source.unseen)) == (["two"], None, ["two"])

    def test_split_folders_are_read(self, clip, table, tmp_path):
        for split in ("train", "dev"):
            clip(f"{split}/{split}.wav")
            table(f"{split}/metadata.csv", "file_name,transcription", f"{split}.wav,{split}")
        source = load(tmp_path)
        assert (texts(source.train), texts(source.eval)) == (["train"], ["dev"])
        assert source.eval[0].row == "dev/metadata.csv row 2"
        assert source.eval[0].split == "dev"

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
    def test_byte_order_mark_is_ignored(self, clip, table, tmp_path, encoding):
        clip("é.wav")
        table("metadata.csv", "file_name,text", "é.wav,नमस्ते", encoding=encoding)
        assert texts(load(tmp_path).train) == ["नमस्ते"]

    def test_windows_lines_blank_rows_and_line_breaks_are_read(self, clip, tmp_path):
        clip("a.wav")
        content = b'file_name,text\r\na.wav,"one\r\ntwo"\r\n\r\na.wav,three\r\n'
        (tmp_path / "metadata.csv").write_bytes(content)
        rows = load(tmp_path).train
        assert [" ".join(text.split()) for text in texts(rows)] == ["one two", "three"]
        assert rows[1].row == "metadata.csv row 4"


def test_paths_are_absolute(clip, table, tmp_path, monkeypatch):
    clip("data/a.wav")
    table("data/metadata.csv", "file_name,text", "a.wav,hi")
    monkeypatch.chdir(tmp_path)
    assert sources.load("data").train[0].audio == str(tmp_path / "data/a.wav")


class TestTables:
    @pytest.mark.parametrize(
        ("name", "separator"), [("data.csv", ","), ("data.csv", ";"), ("data.csv", "\t"), ("data.tsv", "\t")]
    )
    @pytest.mark.parametrize("column", ["file_name", "path", "audio", "file", "audio_filepath", "wav", "Path"])
    def test_separator_and_audio_column_are_detected(self, clip, table, name, separator, column):
        clip("a.wav")
        path = table(name, separator.join([column, "Sentence"]), separator.join(["a.wav", "hello"]))
        assert texts(load(path).train) == ["hello"]

    def test_columns_are_chosen_by_name(self, clip, table):
        clip("a.wav")
        path = table("x.csv", "recording,spoken,text", "a.wav,this,not this")
        assert texts(load(path, audio_column="recording", text_column="spoken").train) == ["this"]

    def test_common_voice_is_read(self, clip, table, tmp_path):
        clip("clips/a.mp3")
        for split in ("train", "dev", "validated"):
            table(f"{split}.tsv", "client_id\tpath\tsentence", f'c1\ta.mp3\t"{split}" he said')
        source = load(tmp_path)
        assert texts(source.train) == ['"train" he said']
        assert texts(source.eval) == ['"dev" he said']
        assert source.train[0].speaker == "c1"
        assert source.train[0].audio.endswith("clips/a.mp3")

    def test_nemo_offset_and_duration_are_a_span(self, clip, table):
        clip("a.wav", 3.0)
        path = table("m.jsonl", '{"audio_filepath": "a.wav", "text": "x", "offset": 1.0, "duration": 0.5}')
        (utterance,) = load(path).train
        assert (utterance.start_s, utterance.end_s, utterance.duration_s) == (1.0, 1.5, 0.5)

    def test_manifest_is_read_as_data(self, clip, tmp_path):
        from asrkit.data import manifest

        rows = [manifest.Utterance(str(clip("a.wav", 2.0)), "hi", 1.0, "ann", start_s=0.5, end_s=1.5)]
        manifest.write(tmp_path / "m.jsonl", rows)
        (row,) = load(tmp_path / "m.jsonl").train
        assert (row.text, row.duration_s, row.start_s, row.end_s, row.speaker) == ("hi", 1.0, 0.5, 1.5, "ann")

    def test_numbers_are_read_as_text(self, clip, table):
        clip("a.wav")
        assert texts(load(table("m.jsonl", '{"audio": "a.wav", "text": 42}')).train) == ["42"]


class TestPairs:
    def test_text_files_are_paired_by_name(self, clip, table, tmp_path):
        clip("b/two.flac")
        clip("one.wav", 0.5)
        clip("._one.wav")
        table("one.txt", "first", "line", encoding="utf-8-sig")
        table("b/two.txt", "second")
        rows = load(tmp_path).train
        assert [(row.text, row.row) for row in rows] == [("second", "b/two.flac"), ("first line", "one.wav")]
        assert rows[1].duration_s == 0.5

    def test_clip_without_a_text_file_has_an_empty_text(self, clip, table, tmp_path):
        clip("a.wav")
        clip("b.wav")
        table("a.txt", "hello")
        assert texts(load(tmp_path).train) == ["hello", ""]


def test_unreadable_audio_has_an_unknown_duration(table, tmp_path):
    table("notes.wav", "not audio")
    (tmp_path / "none.wav").touch()
    table("metadata.csv", "file_name,text", "notes.wav,hi", "none.wav,ho")
    assert [row.duration_s for row in load(tmp_path).train] == [-1.0, -1.0]


def test_built_in_name_is_resolved(clip, table, tmp_path, monkeypatch):
    clip("a.wav")
    table("metadata.csv", "file_name,text", "a.wav,alpha bravo")
    monkeypatch.setitem(sources.BUILT_IN, "callsigns", tmp_path)
    assert texts(sources.load("callsigns").train) == ["alpha bravo"]


def test_rows_of_several_datasets_name_theirs(clip, table):
    first, second = (str(table(f"{name}/metadata.csv", "file_name,text", f"a.wav,{name}").parent) for name in "xy")
    for folder in (first, second):
        clip(f"{folder}/a.wav")
    assert [(row.text, row.dataset) for row in load(f"{first} + {second}").train] == [("x", first), ("y", second)]
    assert [row.dataset for row in load(first).train] == [None]


def test_eval_data_overrides_the_split_column(clip, table, tmp_path):
    clip("a.wav")
    train = table("t.csv", "file_name,text,split", "a.wav,train,train", "a.wav,own,test")
    plain = table("e.csv", "file_name,text", "a.wav,other")
    assert texts(load(train).eval) == ["own"]
    assert texts(load(train, eval_data=str(plain)).eval) == ["other"]
    assert texts(load(plain, eval_data=str(train)).eval) == ["own"]


class TestErrors:
    def test_missing_path(self, tmp_path):
        with pytest.raises(DataError, match=r"no data at '.*/gone'; give a folder, .*hub:owner/name.*callsigns"):
            load(tmp_path / "gone")
        with pytest.raises(DataError, match="no data at ''"):
            load("")

    def test_empty_folder(self, tmp_path):
        (tmp_path / ".DS_Store").touch()
        with pytest.raises(DataError, match=r"is empty; put recordings and a metadata\.csv"):
            load(tmp_path)

    def test_unknown_layout(self, table, tmp_path):
        table("readme.md", "hi")
        with pytest.raises(DataError, match=r"is in no known layout; it needs one of: a metadata\.csv"):
            load(tmp_path)

    def test_recordings_without_transcripts(self, clip, tmp_path):
        clip("a.wav")
        with pytest.raises(DataError, match=r"holds 1 recordings but no transcripts; .*\(such as a\.txt\)"):
            load(tmp_path)

    def test_not_a_table(self, clip):
        with pytest.raises(DataError, match=r"a\.wav is not a table of recordings; give a folder, an archive or a "):
            load(clip("a.wav"))

    def test_no_text_column(self, table):
        path = table("x.csv", "file_name,words", "a.wav,7")
        message = (
            r"x\.csv has no text column: found 'file_name', 'words'; wanted one of text, sentence.*set text_column"
        )
        with pytest.raises(DataError, match=message):
            load(path)

    def test_no_audio_column(self, table):
        with pytest.raises(DataError, match=r"no audio column: found 'clip', 'text'; wanted one of file_name"):
            load(table("x.csv", "clip,text", "a,hi"))
        with pytest.raises(DataError, match="no audio column: found 'clip', 'text'; wanted 'sound'"):
            load(table("x.csv", "clip,text", "a.wav,hi"), audio_column="sound")

    @pytest.mark.parametrize("lines", [["file_name,text"], [""]])
    def test_no_rows(self, table, lines):
        with pytest.raises(DataError, match=r"x\.csv has no rows; add one row for each recording"):
            load(table("x.csv", *lines))

    def test_missing_files(self, clip, table):
        clip("a.wav")
        path = table("x.csv", "file_name,text", "a.wav,hi", "b.wav,hi", "c.wav,hi")
        message = r"x\.csv row 3: file_name names .*b\.wav, which does not exist \(2 of 3 files are missing\)"
        with pytest.raises(DataError, match=message):
            load(path)

    def test_no_file_name(self, table):
        with pytest.raises(DataError, match=r"x\.csv row 2: file_name is empty"):
            load(table("x.csv", "file_name,text", ",hi"))

    def test_not_utf8(self, table):
        with pytest.raises(DataError, match=r"x\.csv is not UTF-8 text \(byte 21\); save it again as UTF-8"):
            load(table("x.csv", "file_name,text", "a.wav,é", encoding="latin-1"))

    def test_not_json(self, table):
        with pytest.raises(DataError, match=r"x\.jsonl line 1 is not JSON"):
            load(table("x.jsonl", "{", "{"))
        with pytest.raises(DataError, match=r"x\.jsonl line 1 is not a JSON object"):
            load(table("x.jsonl", "[1]"))

    @pytest.mark.parametrize("value", ["[1]", "{}", "true"])
    def test_text_of_another_type(self, clip, table, value):
        clip("a.wav")
        with pytest.raises(DataError, match=r"x\.jsonl line 1: text is .*; give text"):
            load(table("x.jsonl", f'{{"audio": "a.wav", "text": {value}}}'))

    @pytest.mark.parametrize("value", ["abc", "-1", "nan", "inf"])
    def test_malformed_duration(self, clip, table, value):
        clip("a.wav")
        with pytest.raises(DataError, match=rf"x\.csv row 2: duration_s is '{value}'; give seconds"):
            load(table("x.csv", "file_name,text,duration_s", f"a.wav,hi,{value}"))

    def test_part_that_ends_before_it_starts(self, clip, table):
        clip("a.wav")
        with pytest.raises(DataError, match=r"x\.csv row 2: the part ends at 1 s but starts at 2 s"):
            load(table("x.csv", "file_name,text,start_s,end_s", "a.wav,hi,2,1"))

    def test_unknown_split(self, clip, table):
        clip("a.wav")
        with pytest.raises(DataError, match=r"x\.csv row 2: split is 'other'; use train, validation or test"):
            load(table("x.csv", "file_name,text,split", "a.wav,hi,other"))

    def test_lone_surrogate_is_replaced(self, clip, table, tmp_path):
        from asrkit.data import manifest

        clip("a.wav")
        rows = load(table("x.jsonl", '{"audio": "a.wav", "text": "a\\ud800"}')).train
        manifest.write(tmp_path / "m.jsonl", rows)
        assert texts(manifest.read(tmp_path / "m.jsonl")) == ["a?"]


@pytest.mark.parametrize("name", ["a" * 300, "~nosuchuser/x", "caf\udce9"])
def test_impossible_path_is_refused(name):
    with pytest.raises(DataError, match="cannot be read|no data at"):
        sources.load(name)


def test_file_name_that_is_not_utf_8_is_refused(clip, table, tmp_path):
    os.rename(clip("d/a.wav"), tmp_path / "d/caf\udce9.wav")
    os.rename(table("d/a.txt", "hi"), tmp_path / "d/caf\udce9.txt")
    with pytest.raises(DataError, match=r"caf.udce9.\w+' is not UTF-8; rename the file"):
        sources.load(str(tmp_path / "d"))
