"""Annotated recordings as a dataset: which tiers are read, what is found, and bad input in one sentence each."""

import re

import pytest

from asrkit.audit import inspection
from asrkit.audit.clips import Limits
from asrkit.data import access, sources
from asrkit.data.readers.annotations import formats, model, xml_files
from asrkit.data.readers.annotations.tiers import TierChoice
from asrkit.errors import DataError
from tests.support.annotations import aligned_tier, link, make_eaf, make_textgrid, reference_tier


@pytest.fixture
def write(tmp_path):
    def write_file(name, content):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write_file


@pytest.fixture
def story(write, clip):
    """Return story(tier, ..., slots=...), which writes an .eaf beside a recording of ten seconds."""

    def make(*tiers, slots=(1000, 2000, 3000, 4000, 5000, 6000), name="story"):
        clip(f"{name}.wav", 10.0)
        return write(f"{name}.eaf", make_eaf(*tiers, slots=slots))

    return make


def texts(path, **options):
    return [row.text for row in sources.load(str(path), **options).utterances]


def codes(path):
    return {mark.code for row in sources.load(str(path)).utterances for mark in row.marks}


SPOKEN = [("a1", 0, 1, "olá a todos"), ("a2", 2, 3, "bom dia")]
TRANSLATED = [("a3", "a1", "", "hello everybody"), ("a4", "a2", "", "good morning")]


class TestChoice:
    def test_tiers_below_the_transcription_are_left_out_without_a_question(self, story):
        path = story(
            aligned_tier("tx@ana", *SPOKEN, type="tx", speaker="ana"),
            reference_tier("ft@ana", *TRANSLATED, type="ft", speaker="ana", parent="tx@ana"),
        )
        assert texts(path) == ["olá a todos", "bom dia"]
        assert not codes(path)

    def test_indistinguishable_tiers_are_an_assumption(self, story):
        path = story(
            aligned_tier("one", *SPOKEN),
            aligned_tier("two", ("b1", 0, 1, "hello everybody"), ("b2", 2, 3, "good morning")),
        )
        assert texts(path) == ["olá a todos", "bom dia"]
        source = sources.load(str(path))
        assert source.utterances[0].marks[0] == ("assumed-tiers", "one is read, not two")
        report = inspection.inspect(source, Limits())
        assert "assumed-tiers" in {finding.code for finding in report.audit.findings if finding.is_assumption}

    @pytest.mark.parametrize(
        ("choice", "expected"),
        [
            ("two", ["hello", "good"]),
            ("T*", ["hello", "good"]),
            ("type:tx", ["olá", "bom"]),
            ("one, two, speaker:ana", ["olá"]),
            ("speaker:ana", ["olá"]),
            ('"a, b"', ["comma"]),
        ],
    )
    def test_tiers_are_chosen_by_name_type_and_speaker(self, story, choice, expected):
        path = story(
            aligned_tier("one", ("a1", 0, 1, "olá"), type="tx", speaker="ana"),
            aligned_tier("one b", ("a2", 2, 3, "bom"), type="tx", speaker="rui"),
            aligned_tier("two", ("b1", 0, 1, "hello"), ("b2", 2, 3, "good"), type="ft"),
            aligned_tier("a, b", ("c1", 4, 5, "comma"), type="zz"),
        )
        assert texts(path, tiers=choice) == expected

    def test_tiers_are_listed_with_counts_and_a_preview(self, story):
        path = story(
            aligned_tier("tx", *SPOKEN, ("a9", 4, 5, ""), type="tx", speaker="ana"),
            reference_tier("ft", *TRANSLATED, type="ft", speaker="ana", parent="tx"),
        )
        first, second = sources.load(str(path)).tiers
        assert (first.name, first.type, first.speaker, first.num_files) == ("tx", "tx", "ana", 1)
        assert (first.num_spans, first.num_texts, first.duration_s, first.is_chosen) == (3, 2, 2.0, True)
        assert first.texts == ("olá a todos", "bom dia")
        assert (second.name, second.num_texts, second.is_chosen) == ("ft", 2, False)

    def test_a_tier_that_is_not_there(self, story):
        path = story(aligned_tier("tx", *SPOKEN))
        with pytest.raises(DataError, match=r"has no tier words; there are 'tx' \(2 texts\)\.$"):
            sources.load(str(path), tiers="words")

    def test_a_file_without_the_chosen_tier_is_one_bad_row(self, story, tmp_path):
        story(aligned_tier("tx", *SPOKEN))
        story(aligned_tier("other", *SPOKEN), name="second")
        rows = sources.load(str(tmp_path), tiers="tx").utterances
        assert [row.fault for row in rows if row.fault] == ["has no tier tx; leave the file out, or name its tier."]
        assert len(rows) == 3

    def test_words_are_joined_up_to_a_pause(self, write, clip):
        clip("story.wav", 10.0)
        words = [(0.0, 0.5, "one"), (0.5, 0.9, "two"), (0.9, 1.5, ""), (1.5, 2.0, "three"), (2.0, 2.4, "four")]
        path = write("story.TextGrid", make_textgrid(words=words, phones=[(0.0, 0.1, "w")]))
        assert texts(path) == ["one two", "three four"]

    def test_speakers_are_named_by_their_tiers(self, write, clip):
        clip("story.wav", 10.0)
        words = {"Ann - words": [(0, 0.3, "one")], "Ben - words": [(2, 2.3, "two")], "Ben - phones": [(2, 2.3, "t")]}
        rows = sources.load(str(write("story.TextGrid", make_textgrid(**words)))).utterances
        assert [(row.text, row.speaker) for row in rows] == [("one", "Ann"), ("two", "Ben")]

    def test_parse(self):
        assert TierChoice.parse("") == TierChoice()
        assert TierChoice.parse("a,type:b, speaker:c,note: d") == TierChoice(("a", "note: d"), ("b",), ("c",))


class TestFolder:
    def test_many_annotations_are_one_dataset_with_the_splits_of_their_folders(self, write, clip, tmp_path):
        for name, split in (("one", "train"), ("two", "train"), ("three", "test")):
            clip(f"d/{split}/{name}.wav", 3.0)
            write(f"d/{split}/{name}.eaf", make_eaf(aligned_tier("tx", ("a1", 0, 1, name)), slots=[0, 1000]))
        source = sources.load(str(tmp_path / "d"))
        assert {row.text for row in source.train} == {"one", "two"}
        assert [row.text for row in source.eval] == ["three"]
        assert [(tier.name, tier.num_files, tier.num_texts) for tier in source.tiers] == [("tx", 3, 3)]

    def test_tables_about_sessions_do_not_hide_elan_files(self, story, write, tmp_path):
        story(aligned_tier("tx", *SPOKEN))
        write("sessions.csv", "session,date\nstory,2020\n")
        assert texts(tmp_path) == ["olá a todos", "bom dia"]

    def test_a_table_of_clips_hides_the_textgrids_beside_them(self, write, clip, tmp_path):
        clip("a.wav", 1.0)
        write("list.csv", "file_name,text\na.wav,from the table\n")
        write("a.TextGrid", make_textgrid(words=[(0, 1, "aligned")]))
        assert texts(tmp_path) == ["from the table"]

    def test_one_of_several_annotations_of_a_recording_is_read(self, story, write, tmp_path):
        story(aligned_tier("tx", *SPOKEN))
        write("story.srt", "1\n00:00:01,000 --> 00:00:02,000\nsubtitle\n")
        source = sources.load(str(tmp_path))
        assert [row.text for row in source.utterances] == ["olá a todos", "bom dia"]
        assert source.notes == (("one-of-several", "story.eaf is read, not story.srt"),)

    def test_a_damaged_file_is_one_bad_row(self, story, write, tmp_path):
        story(aligned_tier("tx", *SPOKEN))
        write("other.eaf", "<ANNOTATION_DOCUMENT>")
        rows = sources.load(str(tmp_path)).utterances
        assert [bool(row.fault) for row in rows] == [True, False, False]
        assert "other.eaf is not complete XML" in rows[0].fault


class TestFindings:
    def test_overlapping_speech(self, story):
        path = story(
            aligned_tier("A", ("a1", 0, 2, "one"), ("a2", 4, 5, "three"), speaker="ana"),
            aligned_tier("B", ("b1", 1, 3, "two"), speaker="rui"),
        )
        rows = sources.load(str(path)).utterances
        marked = {row.text: [mark.code for mark in row.marks] for row in rows}
        assert marked == {"one": ["overlapping-speech"], "two": ["overlapping-speech"], "three": []}

    def test_empty_and_unsure_spans(self, story):
        path = story(
            aligned_tier(
                "tx", ("a1", 0, 1, ""), ("a2", 1, 2, "xxx"), ("a3", 2, 3, "(...)"), ("a4", 3, 4, "and ??? went")
            )
        )
        source = sources.load(str(path))
        assert [(row.text, [mark.code for mark in row.marks]) for row in source.utterances] == [
            ("and ??? went", ["unsure-text"])
        ]
        assert source.notes == (("empty-spans", "1 of 4 have no text, 2 only marks such as xxx"),)
        report = inspection.inspect(source, Limits())
        assert {"empty-spans", "unsure-text"} <= {finding.code for finding in report.audit.findings}

    def test_silences_of_a_textgrid_are_no_finding(self, write, clip):
        clip("story.wav", 5.0)
        path = write("story.TextGrid", make_textgrid(text=[(0, 1, ""), (1, 2, "hello there"), (2, 5, "")]))
        assert sources.load(str(path)).notes == ()

    def test_a_recording_of_another_name_is_an_assumption(self, story, write):
        path = story(aligned_tier("tx", *SPOKEN))
        write("story.eaf", make_eaf(aligned_tier("tx", *SPOKEN), slots=[0, 1, 2, 3], media=link("file:///old.wav")))
        assert sources.load(str(path)).utterances[0].marks[0] == ("file-by-name", "story.wav is taken for old.wav")

    def test_times_beyond_the_end(self, story):
        path = story(aligned_tier("tx", ("a1", 0, 1, "one"), ("a2", 2, 3, "two")), slots=[0, 1000, 9000, 15_000])
        report = inspection.inspect(sources.load(str(path)), Limits())
        assert [finding.count for finding in report.audit.findings if finding.code == "beyond-end"] == [1]


def sentence(path):
    """Return the error of a file, which is one sentence or two, on one line, with the file's name."""
    with pytest.raises(DataError) as raised:
        sources.load(str(path))
    message = str(raised.value)
    assert "\n" not in message and path.name in message and message.endswith(".")
    return message


class TestBadInput:
    def test_media_missing(self, write):
        media = link("file:///D:/voices/story%201.wav")
        path = write("story.eaf", make_eaf(aligned_tier("tx", *SPOKEN), slots=[0, 1, 2, 3], media=media))
        assert "is of the recording story 1.wav, which is missing; copy it beside it." in sentence(path)
        assert "is of the recording a.wav, which" in sentence(write("a.srt", "00:00:01,000 --> 00:00:02,000\nhi\n"))

    def test_reversed_and_negative_times_are_bad_rows(self, write, clip):
        clip("story.wav", 10.0)
        path = write("story.txt", "3.0\t1.0\tthe wrong way\n-1.0\t1.0\ttoo early\n1.0\t2.0\tall right\n")
        rows = sources.load(str(path)).utterances
        assert {row.text: row.fault for row in rows} == {
            "the wrong way": "the annotation ends at 1 s but begins at 3 s; correct its times.",
            "too early": "the annotation begins at -1 s, before the recording; correct its times.",
            "all right": "",
        }

    @pytest.mark.parametrize(
        ("time", "faults"),
        [
            ("nan", ["has a time that is no number", "has a time that is no number", ""]),
            ("inf", ["has a time that is no number", "has a time that is no number", ""]),
            ("1e308", ["ends at 2 s but begins at 1e+308 s", "", ""]),
            ("-1e308", ["begins at -1e+308 s, before the recording", "ends at -1e+308 s but begins at 2 s", ""]),
        ],
    )
    def test_times_that_no_recording_has_are_bad_rows(self, write, clip, time, faults):
        clip("story.wav", 10.0)
        turns = [(time, "2", "one"), ("2", time, "two"), ("4", "5", "three")]
        body = "".join(f'<Turn startTime="{a}" endTime="{b}">{text}</Turn>' for a, b, text in turns)
        rows = sources.load(str(write("story.trs", f"<Trans>{body}</Trans>"))).utterances
        for text, fault in zip(("one", "two", "three"), faults, strict=True):
            (row,) = (row for row in rows if row.text == text)
            assert fault in row.fault and bool(fault) == bool(row.fault)

    def test_entities_are_refused(self, write):
        path = write(
            "bomb.eaf",
            '<!DOCTYPE x [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]><ANNOTATION_DOCUMENT>&b;</ANNOTATION_DOCUMENT>',
        )
        assert "declares the XML entity 'a', which is not read here" in sentence(path)
        path = write("outside.trs", '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><Trans>&f;</Trans>')
        assert "declares the XML entity 'f'" in sentence(path)

    def test_too_many_tiers(self, write, clip):
        clip("story.wav", 1.0)
        tiers = (aligned_tier(f"t{number}") for number in range(10_000))
        assert "has 10,000 tiers; a recording may have 1,000." in sentence(
            write("story.eaf", make_eaf(*tiers, slots=[]))
        )
        grid = make_textgrid(a=[(0, 1, "hi")]).replace("size = 1", "size = 10000", 1)
        assert "has 10,000 tiers" in sentence(write("story.TextGrid", grid))

    def test_a_huge_file_is_refused_before_it_is_read(self, tmp_path):
        path = tmp_path / "story.eaf"
        with open(path, "wb") as file:
            file.truncate(200 << 20)
        assert "has 200 MB; an annotation file may have 128 MB here." in sentence(path)

    def test_visitors_may_read_smaller_files(self, tmp_path):
        path = tmp_path / "story.eaf"
        path.write_text(f"<ANNOTATION_DOCUMENT>{'<a/>' * 500_001}</ANNOTATION_DOCUMENT>")
        with access.as_visitor("ann"), pytest.raises(DataError, match="holds more than 500,000 elements"):
            formats.read(path)
        with open(path, "wb") as file:
            file.truncate(64 << 20)
        with access.as_visitor("ann"), pytest.raises(DataError, match="has 64 MB; an annotation file may have 32 MB"):
            formats.read(path)

    def test_many_small_elements_are_refused(self, write, monkeypatch):
        monkeypatch.setattr(xml_files, "MAX_ELEMENTS", 1_000)
        assert "holds more than 1,000 elements" in sentence(write("a.eaf", f"<ANNOTATION_DOCUMENT>{'<a/>' * 1001}"))
        assert "elements 100 deep" in sentence(write("b.eaf", "<a>" * 200))

    def test_too_many_annotations(self, story, monkeypatch):
        monkeypatch.setattr(model, "MAX_SPANS", 1)
        assert "has 2 annotations; a file may have 1 here." in sentence(story(aligned_tier("tx", *SPOKEN)))

    @pytest.mark.parametrize(
        ("name", "content", "expected"),
        [
            ("a.eaf", b"not xml", "is not complete XML"),
            ("a.eaf", b"<Trans/>", "is not a file of ELAN: it begins with <Trans>, not <ANNOTATION_DOCUMENT>."),
            ("a.eaf", "<ANNOTATION_DOCUMENT>é</ANNOTATION_DOCUMENT>".encode("latin-1"), "is not complete XML"),
            ("a.eaf", b'<?xml version="1.0" encoding="klingon"?><ANNOTATION_DOCUMENT/>', "is not|encoding"),
            ("a.eaf", b"<ANNOTATION_DOCUMENT/>", "has no annotation with a text; transcribe it first."),
            ("a.TextGrid", b"ooBinaryFile\x08TextGrid", "is in Praat's binary form"),
            ("a.TextGrid", b'File type = "ooTextFile"', "ends in the middle of a tier"),
            ("a.TextGrid", b'"ooTextFile" "Sound"', "is not a TextGrid"),
            ("a.TextGrid", '"ooTextFile" "é"'.encode("latin-1"), "is not UTF-8 text .* save it again as UTF-8."),
            ("a.TextGrid", b'"ooTextFile" "TextGrid" 0 1 <exists> "x"', "where Praat writes another kind of value"),
            ("a.srt", b"no captions", "has no captions"),
            ("a.srt", b"1\n0:0x --> 1\nhi", "line 2: '0:0x --> 1' is no pair of times"),
            ("a.cha", b"@Begin\n*CHI:\thi .\n@End\n", "has no bullets, the times of its utterances"),
            ("a.flextext", b"<document><interlinear-text/></document>", "has no times, so its phrases cannot be found"),
            ("a.trs", b'<Trans><Turn startTime="x" endTime="1"/></Trans>', "has a turn at 'x', which is no time"),
            ("a.exb", b'<basic-transcription><tier><event start="a" end="b"/></tier></basic-transcription>', "on its"),
            ("a.json", b'[{"annotations": [], "data": {}}]', "has no regions with a start, an end and a text"),
        ],
    )  # fmt: skip
    def test_damaged_files(self, write, name, content, expected):
        assert re.search(expected, sentence(write(name, content)))

    @pytest.mark.parametrize(
        ("tier", "expected"),
        [
            (aligned_tier("tx", ("a1", 0, 77, "hi")), "names the time slot 'ts77', which does not exist"),
            (aligned_tier("tx", ("a1", 0, 1, "hi"), parent="gone"), "belongs to 'gone', which does not exist"),
            (reference_tier("tx", ("a1", "gone", "", "hi"), parent=""), "refers to 'gone', which is not in the tier"),
            (aligned_tier("x", parent="y") + aligned_tier("y", parent="x"), "belong to each other in a circle"),
        ],
    )
    def test_broken_references(self, write, tier, expected):
        assert expected in sentence(write("a.eaf", make_eaf(tier, slots=[0, 1000])))

    def test_circle_of_annotations(self, write):
        base = aligned_tier("tx", ("a1", 0, 1, "hi"))
        words = reference_tier("w", ("b1", "a1", "b2", "x"), ("b2", "a1", "b1", "y"), parent="tx")
        assert "follow each other in a circle" in sentence(write("a.eaf", make_eaf(base, words, slots=[0, 1000])))


def test_a_recording_beside_the_folder_has_one_path(write, clip, tmp_path):
    clip("media/story.wav", 2.0)
    content = make_eaf(aligned_tier("tx", *SPOKEN), slots=[0, 1, 2, 3], media=link("x", "../media/Story.wav"))
    rows = sources.load(str(write("eaf/story.eaf", content))).utterances
    assert {row.audio for row in rows} == {str(tmp_path / "media" / "story.wav")}


def test_recordings_that_may_not_be_read_are_not_looked_up(write, clip, tmp_path, monkeypatch):
    secret = clip("secret/voice.wav", 1.0)
    monkeypatch.setenv(access.READABLE_VARIABLE, str(tmp_path / "open"))
    path = write(
        "open/story.eaf",
        make_eaf(aligned_tier("tx", *SPOKEN), slots=[0, 1, 2, 3], media=link("x", "../secret/voice.wav")),
    )
    assert secret.exists()
    assert "which is missing" in sentence(path)
