"""Each annotation format: a file as its program writes it gives the same two clips, and its own peculiarities."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from asrkit.data import sources
from asrkit.data.readers.annotations import chat, formats
from tests.support.annotations import aligned_tier, link, make_eaf, make_textgrid, reference_tier

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_file(name: str, content: str, encoding: str = "utf-8") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode(encoding))
        return path

    return write_file


def clips(path: Path, **options: str) -> list[tuple[float, float | None, str, str | None]]:
    rows = sources.load(str(path), **options).utterances
    assert not [row.fault for row in rows if row.fault]
    return [(round(row.start_s, 3), row.end_s and round(row.end_s, 3), row.text, row.speaker) for row in rows]


TWO = [(0.5, 1.5, "hello there", "Ann"), (2.0, 3.25, "good morning", "Ben")]
UNNAMED = [(*row[:3], None) for row in TWO]


def eaf(write: Write) -> Path:
    return write(
        "story.eaf",
        make_eaf(
            aligned_tier("A", ("a1", 0, 1, "hello there"), speaker="Ann"),
            aligned_tier("B", ("a2", 2, 3, "good  morning"), speaker="Ben"),
            slots=[500, 1500, 2000, 3250],
            media=link("file:///C:/Users/ann/story.wav", "./story.wav"),
        ),
    )


def textgrid_long(write: Write) -> Path:
    tiers = {
        "Ann": [(0, 0.5, ""), (0.5, 1.5, "hello there"), (1.5, 4, "")],
        "Ben": [(0, 2, ""), (2.0, 3.25, "good morning"), (3.25, 4, "")],
    }
    return write("story.TextGrid", make_textgrid(**tiers), "utf-16")


def textgrid_short(write: Write) -> Path:
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "0", "4", "<exists>", "3"]
    lines += [
        '"IntervalTier"',
        '"Ann"',
        "0",
        "4",
        "3",
        "0",
        "0.5",
        '""',
        "0.5",
        "1.5",
        '"hello there"',
        "1.5",
        "4",
        '""',
    ]
    lines += ['"TextTier"', '"clicks"', "0", "4", "1", "0.7", '"click"']
    lines += ['"IntervalTier"', '"Ben"', "0", "4", "1", "2", "3.25", '"good morning"']
    return write("story.TextGrid", "\n".join(lines))


def srt(write: Write) -> Path:
    return write(
        "story.srt",
        "1\r\n00:00:00,500 --> 00:00:01,500\r\n<i>hello</i>\r\nthere\r\n\r\n"
        "2\r\n00:00:02,000 --> 00:00:03,250 X1:0\r\n{\\an8}good morning\r\n",
        "utf-8-sig",
    )


def vtt(write: Write) -> Path:
    return write(
        "story.vtt",
        "WEBVTT - a story\n\nNOTE\nnot a caption\n\nSTYLE\n::cue { color: red }\n\n00:00.500 --> 00:01.500 align:left\n"
        "<v Ann>hello <00:01.000>there</v>\n\nsecond\n00:00:02.000 --> 00:00:03.250\n<v.loud Ben>good morning\n",
    )


def audacity(write: Write) -> Path:
    return write(
        "story.txt", "0.500000\t1.500000\thello there\n\\\t100.0\t200.0\n1.7\t1.7\tclick\n2,0\t3,25\tgood morning\n"
    )


def htk(write: Write) -> Path:
    return write("story.lab", "5000000 15000000 hello there\n20000000 32500000 good morning\n")


def elan_export(write: Write) -> Path:
    rows = [
        ("A", "Ann", "00:00:00.500", "0.500", "500", "00:00:01.500", "1.500", "1500", "00:00:01.000", "1.000", "1000"),
        ("B", "Ben", "00:00:02.000", "2.000", "2000", "00:00:03.250", "3.250", "3250", "00:00:01.250", "1.250", "1250"),
    ]
    texts = ["hello there", "good morning"]
    return write("story.txt", "".join("\t".join((*row, text)) + "\n" for row, text in zip(rows, texts, strict=True)))


def elan_export_with_header(write: Write) -> Path:
    return write(
        "story.txt",
        "Tier\tParticipant\tBegin Time - hh:mm:ss.ms\tEnd Time - hh:mm:ss.ms\tDuration - hh:mm:ss.ms\tAnnotation\n"
        "A\tAnn\t00:00:00.500\t00:00:01.500\t00:00:01.000\thello there\n"
        "B\tBen\t00:00:02.000\t00:00:03.250\t00:00:01.250\tgood morning\n",
    )


def trs(write: Write) -> Path:
    return write(
        "story.trs",
        '<?xml version="1.0" encoding="ISO-8859-1"?>\n<!DOCTYPE Trans SYSTEM "trans-14.dtd">\n'
        '<Trans audio_filename="story" version="1"><Speakers><Speaker id="spk1" name="Ann"/>'
        '<Speaker id="spk2" name="Ben"/></Speakers><Episode><Section type="report" startTime="0" endTime="4">'
        '<Turn startTime="0" endTime="0.5"><Sync time="0"/>\n</Turn>'
        '<Turn speaker="spk1" startTime="0.5" endTime="1.5"><Sync time="0.5"/>\nhello <Event desc="x"/> there</Turn>'
        '<Turn speaker="spk1 spk2" startTime="2.0" endTime="3.25"><Sync time="2.0"/><Who nb="2"/>good morning</Turn>'
        "</Section></Episode></Trans>",
        "iso-8859-1",
    )


def exb(write: Write) -> Path:
    return write(
        "story.exb",
        '<?xml version="1.0" encoding="UTF-8"?><basic-transcription><head><meta-information>'
        '<referenced-file url="story.wav"/></meta-information><speakertable>'
        '<speaker id="S0"><abbreviation>Ann</abbreviation></speaker>'
        '<speaker id="S1"><abbreviation>Ben</abbreviation></speaker></speakertable></head><basic-body><common-timeline>'
        '<tli id="T0" time="0.5"/><tli id="T1"/><tli id="T2" time="1.5"/><tli id="T3" time="2.0"/>'
        '<tli id="T4" time="3.25"/></common-timeline>'
        '<tier id="TIE0" speaker="S0" category="v" type="t" display-name="Ann [v]">'
        '<event start="T0" end="T1">hello </event><event start="T1" end="T2">there</event></tier>'
        '<tier id="TIE1" speaker="S1" category="v" type="t" display-name="Ben [v]">'
        '<event start="T3" end="T4">good morning</event></tier>'
        '<tier id="TIE2" speaker="S1" category="en" type="a" display-name="Ben [en]">'
        '<event start="T3" end="T4">a greeting</event></tier></basic-body></basic-transcription>',
    )


def flextext(write: Write) -> Path:
    return write(
        "story.flextext",
        '<?xml version="1.0" encoding="utf-8"?><document version="2"><interlinear-text><paragraphs><paragraph>'
        '<phrases><phrase begin-time-offset="500" end-time-offset="1500" speaker="Ann">'
        '<item type="segnum" lang="en">1</item><words><word><item type="txt" lang="xx">hello</item></word>'
        '<word><item type="txt" lang="xx">there</item>'
        '</word></words><item type="gls" lang="en">a greeting</item></phrase>'
        '<phrase begin-time-offset="2000" end-time-offset="3250" speaker="Ben">'
        '<item type="txt" lang="xx">good morning</item><item type="gls" lang="en">a greeting</item></phrase></phrases>'
        "</paragraph></paragraphs>"
        '<media-files><media guid="m" location="file:/D:/story.wav"/></media-files></interlinear-text></document>',
    )


def cha(write: Write) -> Path:
    return write(
        "story.cha",
        "@UTF8\n@Begin\n@Participants:\tAnn Mother, Ben Child\n@Media:\tstory, audio\n"
        "*Ann:\t<h(e)llo> [!]\n\tthere &=laughs \x15500_1500\x15\n%mor:\tco|hello adv|there\n"
        "*Ben:\tgood [: go] (.) mo(r)ning \x152000_3250\x15\n@End\n",
    )


def label_studio(write: Write) -> Path:
    regions = [("r1", 0.5, 1.5, "hello there", "Ann"), ("r2", 2.0, 3.25, "good morning", "Ben")]
    result = []
    for key, start, end, text, speaker in regions:
        part = {"start": start, "end": end, "channel": 0}
        result.append({"id": key, "from_name": "labels", "type": "labels", "value": {**part, "labels": [speaker]}})
        result.append({"id": key, "from_name": "text", "type": "textarea", "value": {**part, "text": [text]}})
    task = {"id": 7, "data": {"audio": "/data/upload/3/1a2b3c4d-story.wav"}, "annotations": [{"result": result}]}
    return write("tasks.json", json.dumps([task]))


def label_studio_minimal(write: Write) -> Path:
    task = {
        "audio": "/data/local-files/?d=audio%2Fstory.wav",
        "id": 7,
        "label": [{"start": 0.5, "end": 1.5, "labels": ["Ann"]}, {"start": 2.0, "end": 3.25, "labels": ["Ben"]}],
        "transcription": ["hello there", "good morning"],
        "annotator": 1,
    }
    return write("tasks.json", json.dumps([task]))


NAMED = [eaf, textgrid_long, textgrid_short, vtt, elan_export, elan_export_with_header, trs, exb, flextext, cha]


@pytest.mark.parametrize("make", [*NAMED, label_studio, label_studio_minimal, srt, audacity, htk])
def test_file_and_folder_give_two_clips_of_a_long_recording(make, write, clip, tmp_path):
    clip("story.wav", 4.0)
    path = make(write)
    expected = UNNAMED if make in (srt, audacity, htk) else TWO
    assert clips(path) == clips(tmp_path) == expected
    assert sources.load(str(path)).layout == formats.recognise(path).title
    assert not [mark for row in sources.load(str(path)).utterances for mark in row.marks]


class TestElan:
    def test_symbolic_parts_are_joined_in_their_order_with_the_times_of_their_sentence(self, write, clip):
        clip("story.wav", 5.0)
        path = write(
            "story.eaf",
            make_eaf(
                aligned_tier("ref", ("a1", 0, 1, "story.001"), ("a2", 2, 3, "story.002")),
                reference_tier("tx", ("a3", "a2", "", "two"), ("a4", "a1", "", "one"), parent="ref"),
                reference_tier(
                    "mb", ("a7", "a4", "a6", "c"), ("a6", "a4", "a5", "b"), ("a5", "a4", "", "a"), parent="tx"
                ),
                slots=[0, 1000, 2000, 3000],
            ),
        )
        assert clips(path, tiers="mb") == [(0.0, 1.0, "a b c", None)]
        assert clips(path) == [(0.0, 1.0, "one", None), (2.0, 3.0, "two", None)]

    def test_parts_without_times_between_them_are_joined(self, write, clip):
        clip("story.wav", 5.0)
        words = aligned_tier("words", ("a2", 0, 1, "one"), ("a3", 1, 3, "two"), ("a4", 4, 5, "three"), parent="text")
        text = aligned_tier("text", ("a1", 0, 5, "one two three"))
        path = write("story.eaf", make_eaf(text, words, slots=[1000, None, 1500, 2000, 2500, 3000]))
        assert clips(path, tiers="words") == [(1.0, 2.0, "one two", None), (2.5, 3.0, "three", None)]

    def test_frames_are_converted(self, write, clip):
        clip("story.wav", 5.0)
        path = write("story.eaf", make_eaf(aligned_tier("text", ("a1", 0, 1, "hi")), slots=[25, 50], unit="PAL-frames"))
        assert clips(path) == [(1.0, 2.0, "hi", None)]

    @pytest.mark.parametrize(
        ("url", "relative", "file"),
        [
            ("file:///D:/My%20Recordings/st%C3%B3ry.wav", "", "stóry.wav"),
            ("file:///D:/corpus/media/story.wav", "../media/story.wav", "media/story.wav"),
            ("C:\\corpus\\wav\\STORY.WAV", "", "wav/story.wav"),
            ("file://server/share/session/story.mp3", "", "session/story.mp3"),
        ],
    )
    def test_media_of_another_machine_is_found(self, write, clip, tmp_path, url, relative, file):
        clip(f"corpus/{file}", 2.0)
        write(
            "corpus/story.eaf",
            make_eaf(aligned_tier("text", ("a1", 0, 1, "hi")), slots=[0, 900], media=link(url, relative)),
        )
        (row,) = sources.load(str(tmp_path / "corpus")).utterances
        assert row.audio == str(tmp_path / "corpus" / file) and not row.marks

    def test_audio_is_preferred_to_video_and_to_a_second_microphone(self, write, clip, tmp_path):
        clip("close.wav", 2.0), clip("room.wav", 2.0)
        write("story.mp4", "a video")
        media = link("file:///story.mp4") + link("file:///close.wav") + link("file:///room.wav")
        path = write("story.eaf", make_eaf(aligned_tier("text", ("a1", 0, 1, "hi")), slots=[0, 900], media=media))
        source = sources.load(str(path))
        assert [row.audio for row in source.utterances] == [str(tmp_path / "close.wav")]
        assert "close.wav is used, not story.mp4, room.wav" in source.notes[0].detail

    def test_offset_of_a_recording_moves_its_clips(self, write, clip):
        clip("story.wav", 5.0)
        media = link("file:///story.wav", origin="2000")
        path = write("story.eaf", make_eaf(aligned_tier("text", ("a1", 0, 1, "hi")), slots=[0, 900], media=media))
        (row,) = sources.load(str(path)).utterances
        assert (row.start_s, row.end_s, row.marks[0].code) == (2.0, 2.9, "assumed-times")


def test_both_speakers_of_an_overlapping_turn_have_a_span(write, clip):
    clip("story.wav", 5.0)
    path = write(
        "story.trs",
        '<Trans audio_filename="story"><Speakers/><Episode><Section><Turn speaker="a b" startTime="0" endTime="2">'
        '<Sync time="0"/><Who nb="1"/>yes<Who nb="2"/>no<Sync time="1"/>well</Turn></Section></Episode></Trans>',
    )
    assert clips(path) == [(0.0, 1.0, "yes", "a"), (0.0, 1.0, "no", "b"), (1.0, 2.0, "well", "a")]


@pytest.mark.parametrize(
    ("code", "spoken"),
    [
        ("<I want> [//] I need it .", "I want I need it."),
        ("(be)cause &-um 0det dog@s:eng +...", "because um dog"),
        ("fire_engine [= a toy] xxx (1.5) no:o ?", "fire engine xxx noo?"),
    ],
)
def test_chat_codes_are_removed(code, spoken):
    assert chat.clean(code) == spoken


def test_text_of_a_lab_file_is_that_of_its_recording(write, clip, tmp_path):
    clip("a.wav", 1.0)
    write("a.lab", "hello there\n")
    assert clips(tmp_path) == [(0.0, None, "hello there", None)]
