"""What readers assume of plausible but wrong data is marked; one bad row is one bad row."""

import json
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from asrkit.audit.findings import EXPLANATIONS
from asrkit.data import manifest, sources
from asrkit.errors import ColumnError
from tests.support.sheets import cells, write_xlsx


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def load(path):
    return sources.load(str(path)).utterances


def codes(rows):
    return [[mark.code for mark in row.marks] for row in rows]


def parts(rows):
    return [(row.start_s, row.end_s) for row in rows]


class TestTables:
    def test_unbalanced_quote_is_marked(self, clip, table):
        lines = [f"{number}.wav|{text}" for number, text in enumerate(("one", '"two, three', "four", "five"), 1)]
        for number in range(1, 5):
            clip(f"{number}.wav")
        rows = load(table("x.csv", "file_name|text", *lines))
        assert [row.text for row in rows] == ["one", '"two, three', "four", "five"]
        assert codes(rows) == [[], ["stray-quote"], [], []]

    def test_merged_lines_are_marked(self, clip, table):
        clip("a.wav")
        (row,) = load(table("x.csv", "file_name,text", 'a.wav,"one', 'two"'))
        assert (row.text, row.marks) == ("one\ntwo", (manifest.Mark("merged-lines", "lines 2 to 3"),))

    def test_delimiter_in_a_text_is_kept_and_marked(self, clip, table):
        clip("a.wav")
        path = table("x.csv", "file_name,text,speaker", "a.wav,well, hello,ann", "a.wav,well, hello,ann,,")
        assert [(row.text, row.speaker) for row in load(path)] == [("well, hello", "ann")] * 2
        assert codes(load(path)) == [["extra-fields"]] * 2

    def test_different_text_in_another_column_is_marked(self, clip, table):
        clip("a.wav"), clip("b.wav")
        lines = ("file_name,text,transcript", "a.wav,Hello there.,hello there", "b.wav,good day,good night")
        path = table("x.csv", *lines)
        assert [row.text for row in load(path)] == ["Hello there.", "good day"]
        assert codes(load(path)) == [[], ["other-texts"]]
        chosen = sources.load(str(path), text_column="transcript").utterances
        assert codes(chosen) == [[], []] and chosen[1].text == "good night"

    def test_empty_surplus_fields_are_ignored(self, clip, table):
        clip("a.wav")
        assert codes(load(table("x.csv", "file_name,text", "a.wav,hello,,"))) == [[]]

    def test_missing_fields_are_marked(self, clip, table):
        clip("a.wav"), clip("b.wav")
        path = table("x.csv", "file_name,speaker,text,note", "a.wav,ann,hello,", "b.wav,hello,loud")
        assert codes(load(path)) == [[], ["missing-fields"]]

    def test_quoted_tsv_is_read(self, clip, table):
        clip("a.wav")
        rows = load(table("x.tsv", "path\tsentence", 'a.wav\t"He said ""hi"""'))
        assert [(row.text, row.marks) for row in rows] == [('He said "hi"', ())]

    def test_several_texts_of_one_recording_are_marked(self, clip, table):
        clip("a.wav"), clip("b.wav")
        rows = load(table("x.csv", "file_name,text", "a.wav,one", "a.wav,two", "b.wav,three", "b.wav,three"))
        assert codes(rows) == [["shared-recording"], ["shared-recording"], [], []]

    def test_recording_that_was_entered_twice_is_not_marked(self, clip, table):
        for number in range(5):
            clip(f"{number}.wav")
        lines = [f"{number}.wav,{number}" for number in range(5)]
        assert not any(codes(load(table("x.csv", "file_name,text", *lines, "0.wav,zero"))))
        rows = load(table("y.csv", "file_name,text", *lines, "0.wav,zero", "0.wav,null"))
        assert [bool(row.marks) for row in rows] == [True, False, False, False, False, True, True]

    def test_rows_left_in_a_manifest_share_no_recording(self, clip, table, tmp_path):
        clip("a.wav")
        rows = load(table("x.csv", "file_name,text", "a.wav,one", "a.wav,two"))
        manifest.write(tmp_path / "m.jsonl", rows[:1])
        assert codes(rows) == [["shared-recording"]] * 2 and codes(load(tmp_path / "m.jsonl")) == [[]]

    @pytest.mark.parametrize(
        ("header", "values"),
        [
            ("start,end", ["0.5,1.5", "1.5,2"]),
            ("start_time;end_time", ["0,5;1,5", "1,5;2,0"]),
            ("begin_ms,stop_ms", ["500,1500", "1500,2000"]),
            ("start,duration", ["0.5,1", "1.5,0.5"]),
            ("onset,offset", ["0.5,1.5", "1.5,2"]),
            ("from,to", ["00:00:00.5,00:00:01.5", "0:01.5,0:02"]),
            ("start_sample,num_samples", ["8000,16000", "24000,8000"]),
        ],
    )
    def test_times_are_parts(self, clip, table, header, values):
        clip("a.wav", 3.0)
        delimiter = ";" if ";" in header else ","
        lines = [delimiter.join(["a.wav", value, "hi"]) for value in values]
        rows = load(table("x.csv", delimiter.join(["file_name", header, "text"]), *lines))
        assert parts(rows) == [(0.5, 1.5), (1.5, 2.0)] and codes(rows) == [[], []]
        assert [row.duration_s for row in rows] == [1.0, 0.5]

    @pytest.mark.parametrize(("values", "unit"), [(["500,1500", "1500,2500"], "milli"), (["8000,24000"] * 2, "sampl")])
    def test_unit_that_is_not_named_is_marked(self, clip, table, values, unit):
        clip("a.wav", 3.0)
        rows = load(table("x.csv", "file_name,start,end,text", *(f"a.wav,{value},hi" for value in values)))
        assert parts(rows)[0] == (0.5, 1.5) and codes(rows) == [["assumed-times"]] * 2
        assert unit in rows[0].marks[0].detail

    def test_parts_without_an_end_that_overlap_are_marked(self, clip, table):
        clip("a.wav", 3.0), clip("b.wav", 3.0)
        rows = load(table("x.csv", "file_name,start,text", "a.wav,0,one", "a.wav,1.5,two", "b.wav,1,three"))
        assert codes(rows) == [["assumed-times"], [], []]

    @pytest.mark.parametrize("header", ["vad_start,vad_end", "word,end", "time,end"])
    def test_times_that_are_not_used_are_marked(self, clip, table, header):
        clip("a.wav", 3.0)
        rows = load(table("x.csv", f"file_name,{header},text", "a.wav,0.5,1.5,hi"))
        assert parts(rows) == [(0.0, None)] and {*codes(rows)[0]} == {"unused-times"}

    def test_length_is_marked_where_it_is_not_that_of_the_recording(self, clip, table):
        clip("a.wav", 3.0)
        lines = ["a.wav,3.0,one", "a.wav,3000,one", "a.wav,48000,one", "a.wav,1.2,one", "a.wav,2.8,one"]
        rows = load(table("x.csv", "file_name,duration,text", *lines))
        assert codes(rows) == [[], [], [], ["unused-times"], []]

    def test_columns_that_decide_what_is_meant_are_marked(self, clip, table):
        clip("a.wav")
        rows = load(table("x.csv", "file_name,text,channel,is_valid", "a.wav,hi,1,true", "a.wav,hi,2,false"))
        assert codes(rows) == [["unused-columns"], ["unused-columns"] * 2]
        assert codes(load(table("y.csv", "file_name,text,channel,skip", "a.wav,hi,1,", "a.wav,hi,1,0"))) == [[], []]

    def test_unused_columns_are_noted(self, clip, table):
        clip("a.wav")
        path = table("x.csv", "file_name,text,age,accent", "a.wav,hi,9,")
        assert sources.load(str(path)).notes == (manifest.Mark("columns-not-used", "age, accent"),)

    @pytest.mark.parametrize(
        ("header", "rows", "expected"),
        [
            ("Archivo,Transcripción", ["a.wav,buenos días", "b.wav,adiós"], ("Archivo", "Transcripción")),
            ("no,xyz,who,what", ["1,a.wav,ana,good day to you", "2,b.wav,bob,and to you"], ("xyz", "what")),
            ("Sound file,text", ["a.wav,hello", "b.wav,you"], ("Sound file", "text")),
            ("path,said", ["a.wav,hello", "b.wav,you"], ("path", "said")),
        ],
    )
    def test_columns_without_known_names_are_guessed_by_their_cells(self, clip, table, header, rows, expected):
        clip("a.wav")
        clip("b.wav")
        source = sources.load(str(table("x.csv", header, *rows)))
        assert (source.columns.audio, source.columns.text) == expected
        assert "assumed-columns" in [note.code for note in source.notes], "the guess wants a yes"
        assert EXPLANATIONS["assumed-columns"].changes == "text"

    @pytest.mark.parametrize(
        ("header", "row", "missing"),
        [
            ("one,two,three", "a.wav,hello there,good bye", "text"),  # as long
            ("one,two,three", "a.wav,a.flac,good bye", "audio"),
            ("one,two", "a.wav,17", "text"),
            ("one,two", "7,17", "audio"),
        ],
    )
    def test_columns_are_asked_for_where_a_guess_would_be_unsure(self, clip, table, header, row, missing):
        clip("a.wav")
        with pytest.raises(ColumnError, match=f"no {missing} column: found 'one', 'two'") as raised:
            sources.load(str(table("x.csv", header, row, row)))
        assert raised.value.column_names == tuple(header.split(","))

    def test_spreadsheet_id_without_its_zeros_is_found(self, clip, tmp_path):
        clip("0007.wav")
        (row,) = load(write_xlsx(tmp_path / "x.xlsx", {"one": cells([["id", "text"], [7, "hi"]])}))
        assert row.audio.endswith("0007.wav") and codes([row]) == [["file-by-name"]]

    def test_marks_survive_a_manifest(self, clip, table, tmp_path):
        clip("deep/a.wav")
        rows = load(table("x.csv", "file_name,text", "a.wav,hi"))
        manifest.write(tmp_path / "m.jsonl", rows)
        assert manifest.read(tmp_path / "m.jsonl") == rows
        source = sources.load(str(tmp_path / "m.jsonl"))
        assert [row.marks for row in source.train] == [rows[0].marks] and source.notes == ()


class TestBadRows:
    @pytest.mark.parametrize(
        ("name", "lines", "detail"),
        [
            ("x.jsonl", ['{"audio": "a.wav", "text": "good"}', "{"], "is not JSON"),
            ("x.jsonl", ['{"audio": "a.wav", "text": "good"}', "[1]"], "is not a JSON object"),
            ("x.jsonl", ['{"audio": "a.wav", "text": "good"}', '{"audio": "a.wav", "text": [1]}'], "text is [1]"),
            ("x.jsonl", ['{"audio": "a.wav", "text": "good"}', '{"text": "x"}'], "audio is empty"),
            ("x.csv", ["file_name,text,start,end", "a.wav,good,0,1", "a.wav,bad,x,1"], "start is 'x'"),
            ("x.csv", ["file_name,text,start,end", "a.wav,good,0,1", "a.wav,bad,-1,1"], "start is '-1'"),
            ("x.csv", ["file_name,text,start,end", "a.wav,good,0,1", "a.wav,bad,1,1"], "ends at 1 s but starts at 1 s"),
            ("x.csv", ["file_name,text,duration_s", "a.wav,good,1", "a.wav,bad,inf"], "duration_s is 'inf'"),
            ("x.csv", ["file_name,text,split", "a.wav,good,", "b.wav,bad,other"], "split is 'other'"),
        ],
    )
    def test_of_a_table(self, clip, table, name, lines, detail):
        clip("a.wav"), clip("b.wav")
        good, bad = load(table(name, *lines))
        assert (good.text, good.marks) == ("good", ())
        assert codes([bad]) == [["bad-row"]] and detail in bad.marks[0].detail

    def test_of_parquet(self, clip, tmp_path):
        clip("a.wav")
        rows = [{"audio": {"bytes": None, "path": name}, "text": name} for name in ("a.wav", "gone.wav")]
        parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "x.parquet")
        good, bad = load(tmp_path / "x.parquet")
        assert good.audio == str(tmp_path / "a.wav") and codes([good, bad]) == [[], ["bad-row"]]

    def test_of_parquet_with_times(self, clip, tmp_path):
        clip("a.wav", 3.0)
        rows = [{"path": "a.wav", "text": "hi", "start": start, "end": 2.0, "age": 9} for start in (0.5, 2.0)]
        parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "x.parquet")
        found = load(tmp_path / "x.parquet")
        assert (parts(found)[0], codes(found)) == ((0.5, 2.0), [[], ["bad-row"]])

    def test_of_kaldi(self, clip, table, tmp_path):
        clip("r.wav", 3.0)
        names = ("a", "b", "c", "d", "e", "f")
        table("text", *(f"{name} {name}" for name in names), "f again")
        table("wav.scp", "r R.WAV")
        table("segments", "a r -0.01 1", "b r 1 2", "c r 2 -1", "d r 1 1", "e gone 0 1", "f r 0 1")
        rows = load(tmp_path)
        assert codes(rows) == [["bad-row"], [], [], ["bad-row"], ["bad-row"], ["bad-row"]]
        assert "from -0.01 s to 1 s" in rows[0].marks[0].detail and "no recording" in rows[4].marks[0].detail

    def test_of_librispeech(self, clip, table, tmp_path):
        clip("1/2/1-2-0.flac"), clip("1/2/1-2-2.flac")
        table("1/2/1-2.TRANS.TXT", "1-2-0 ONE", "1-2-1 TWO", "1-2-2 THREE")
        rows = load(tmp_path)
        assert [row.text for row in rows] == ["ONE", "TWO", "THREE"] and codes(rows) == [[], ["bad-row"], []]

    def test_of_ljspeech(self, clip, table, tmp_path):
        clip("wavs/a.wav")
        table("metadata.csv", "a|hi", "b")
        assert codes(load(tmp_path)) == [[], ["bad-row"]]

    def test_of_mls(self, clip, table, tmp_path):
        clip("audio/ann/12/ann_12_000.flac"), clip("audio/bob/7/bob_7_000.flac"), clip("audio/bob/7/bob_7_002.flac")
        names = ("ann_12_000", "ann_12_001", "bob_7_000", "bob_7_000", "bob_7_002")
        table("transcripts.txt", *(f"{name}\tone" for name in names), "bob_7_002")
        rows = load(tmp_path)
        assert [(Path(row.audio).stem, row.duration_s) for row in rows[:2]] == [
            ("ann_12_000", 1.0),
            ("ann_12_001", -1.0),
        ]
        assert codes(rows) == [[], [], ["bad-row"], ["bad-row"]]

    def test_of_timit(self, clip, table, tmp_path):
        for number in range(3):
            clip(f"{number}.WAV"), table(f"{number}.TXT", "0 16000 one" if number else "one")
        assert codes(load(tmp_path)) == [["bad-row"], [], []]

    def test_of_text_files(self, clip, table, tmp_path):
        clip("a.wav"), table("a.txt", "one"), clip("b.wav"), clip("c.wav"), table("c.Txt", "x"), table("c.TXT", "y")
        (tmp_path / "b.TXT").write_bytes(b"\xff")
        assert codes(load(tmp_path)) == [[], ["bad-row"], ["bad-row"]]


@pytest.mark.parametrize(
    ("lines", "texts", "marked"),
    [
        (["a|one | two", "b|three"], ["one | two", "three"], [True, False]),
        (["a|one | two |", "b|three | four", "c|five"], ["one | two |", "three | four", "five"], [True, True, False]),
        (["a|Mr. 1|mister one", "b|Dr. 2|doctor two"], ["mister one", "doctor two"], [False] * 2),
        (["a|one two.|one two", "b|two|two", "c|x | y|x | y"], ["one two", "two", "x | y"], [False, False, True]),
        (["a|one two.|one two", "b|two|", "c|three"], ["one two", "two", "three"], [False] * 3),
        (["a|Mr. 1|mister one", "b|two"], ["mister one", "two"], [True, False]),
        (["a|one|two", "b|three"], ["one|two", "three"], [True, False]),
    ],
)
def test_bar_in_an_ljspeech_text_is_kept(clip, table, tmp_path, lines, texts, marked):
    for name in "abc":
        clip(f"wavs/{name}.wav")
    table("metadata.csv", *lines)
    rows = load(tmp_path)
    assert [row.text for row in rows] == texts
    assert codes(rows) == [["extra-fields"] if one else [] for one in marked]


def test_text_files_are_found_in_any_form(clip, table, tmp_path):
    clip("A.WAV"), table("A.TXT", "one"), clip("e\u0301.wav"), table("é.txt", "two")
    assert sorted(row.text for row in load(tmp_path)) == ["one", "two"]


class TestTextFiles:
    def test_other_text_beside_a_recording_is_marked(self, clip, table, tmp_path):
        for name, text, other in (("a", "One, two!", "one two"), ("b", "three", "four"), ("c", "five", "0 9 pau")):
            clip(f"{name}.wav"), table(f"{name}.txt", text), table(f"{name}.LAB", other)
        rows = load(tmp_path)
        assert codes(rows) == [[], ["other-texts"], []] and rows[1].marks[0].detail == "b.LAB is four"

    def test_other_text_beside_a_recording_of_a_table_is_marked(self, clip, table, tmp_path):
        clip("clips/a.wav"), clip("clips/b.wav"), table("clips/b.txt", "four"), table("clips/b.wav.trn", "three")
        rows = load(table("metadata.csv", "file_name,text", "clips/a.wav,one", "clips/b.wav,three"))
        assert codes(rows) == [[], ["other-texts"]]
        table("parts.csv", "file_name,text,start_s,end_s", "clips/b.wav,three,0,0.5")
        assert codes(load(tmp_path / "parts.csv")) == [[]]

    def test_recording_without_a_transcript_is_marked_with_the_file_that_is_left_over(self, clip, table, tmp_path):
        for name in ("a", "hello-12", "x", "y"):
            clip(f"{name}.wav")
        table("a.txt", "one"), table("hello_12.txt", "two"), table("y.lab", "three"), table("zzz.txt", "four")
        source = sources.load(str(tmp_path))
        assert [row.fault for row in source.train] == [
            "",
            "hello-12.wav has no hello-12.txt beside it, and hello_12.txt belongs to no recording",
            "x.wav has no x.txt beside it",
            "y.wav has no y.txt beside it, only y.lab",
        ]
        assert codes(source.train)[1:] == [["missing-transcript"]] * 3
        assert source.notes == (manifest.Mark("unmatched-transcripts", "zzz.txt"),)

    def test_recordings_without_any_transcript_name_what_is_left_over(self, clip, table, tmp_path):
        clip("a.wav"), table("b.txt", "one"), table("README.txt", "of the data")
        with pytest.raises(manifest.DataError, match=r"no transcripts; .*\(such as a\.txt\); b\.txt belong to no rec"):
            load(tmp_path)

    def test_name_with_the_suffix_of_its_recording_is_found(self, clip, table, tmp_path):
        clip("a.wav"), table("a.wav.txt", "one"), clip("b.flac"), table("b.txt", "two")
        assert [row.text for row in load(tmp_path)] == ["one", "two"]

    def test_recording_of_timit_without_a_transcript_is_marked(self, clip, table, tmp_path):
        for number in range(3):
            clip(f"{number}.WAV")
        table("0.TXT", "0 16000 one"), table("1.TXT", "0 16000 two")
        assert codes(load(tmp_path)) == [[], [], ["missing-transcript"]]


def test_manifest_rejects_unknown_marks(tmp_path):
    row = {"audio": "a.wav", "text": "x", "duration_s": 1.0, "marks": [["loud", "x"]]}
    (tmp_path / "m.jsonl").write_text(json.dumps(row))
    with pytest.raises(manifest.DataError, match="is no mark"):
        manifest.read(tmp_path / "m.jsonl")
