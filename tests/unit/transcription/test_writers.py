import csv
import io
import json

import pysubs2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asrkit.decoding.transcript import Transcript, Word
from asrkit.transcription.writers import WRITERS
from asrkit.transcription.writers.captions import MAX_LINE_WIDTH, split_captions
from asrkit.transcription.writers.subtitles import to_srt, to_vtt

LETTERS = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=12)


def spoken(*parts, duration_s=None):
    """Words behind one another: a word of 0.3 s, or a pause of that many seconds."""
    words, at = [], 0.0
    for part in parts:
        if isinstance(part, str):
            words.append(Word(part, at, at + 0.3, 0.9))
            at += 0.4
        else:
            at += part
    return Transcript(words, duration_s or at)


@st.composite
def transcripts(draw):
    parts = draw(st.lists(st.one_of(LETTERS, st.floats(0, 20)), max_size=60))
    return spoken(*parts, 0.5)


def test_srt_format():
    transcript = spoken(3725.0, "one", "two", 2.0, "three")
    assert to_srt(transcript) == (
        "1\n01:02:05,000 --> 01:02:06,000\none two\n\n2\n01:02:07,800 --> 01:02:08,200\nthree\n"
    )


def test_vtt_format():
    assert to_vtt(spoken("a&b", "<i>")) == "WEBVTT\n\n00:00:00.000 --> 00:00:00.800\na&amp;b &lt;i&gt;\n"


@pytest.mark.parametrize("name", ["srt", "vtt"])
@given(transcript=transcripts())
def test_pysubs2_reads_every_word_back_in_order(name, transcript):
    read = pysubs2.SSAFile.from_string(WRITERS[name](transcript), format_=name)
    assert " ".join(line.plaintext.replace("\n", " ") for line in read).split() == [
        word.word for word in transcript.words
    ]
    for before, after in zip(read, list(read)[1:], strict=False):
        assert before.start < before.end <= after.start


@given(transcript=transcripts())
def test_captions_are_short_and_have_every_word(transcript):
    shown = list(split_captions(transcript))
    assert [word for one in shown for word in one.words] == transcript.words
    for one in shown:
        assert one.end_s - one.start_s <= 7.01
        assert len(one.lines) <= 2 and all(len(line) <= MAX_LINE_WIDTH + 12 for line in one.lines)


def test_silence_has_no_words():
    nothing = Transcript([], 2.0)
    assert WRITERS["srt"](nothing) == "" and WRITERS["txt"](nothing) == "\n"
    assert WRITERS["vtt"](nothing) == "WEBVTT\n"
    assert json.loads(WRITERS["json"](nothing)) == {"text": "", "words": [], "duration_s": 2.0}


def test_tsv_format():
    table = list(csv.DictReader(io.StringIO(WRITERS["tsv"](spoken("one", "two"))), delimiter="\t"))
    assert [(row["start"], row["end"], row["word"]) for row in table] == [("0", "300", "one"), ("400", "700", "two")]
