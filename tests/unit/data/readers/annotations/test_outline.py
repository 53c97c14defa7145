"""What is shown of one recording: its spans by tier, which become clips, and why others do not."""

import pytest

from asrkit.data import confined, sources
from asrkit.data.readers.annotations import outline
from tests.support.annotations import aligned_tier, make_eaf, reference_tier

SPOKEN = [
    ("a1", 0, 1, "olá a todos"),
    ("a2", 2, 3, ""),
    ("a3", 4, 5, "xxx"),
    ("a4", 6, 7, "bom ??? dia"),
    ("a5", 9, 8, "reversed"),
    ("a6", 10, 11, "fala"),
]
SLOTS = [1000, 2000, 2000, 3000, 3000, 4000, 4000, 5000, 5000, 6000, 6000, 8000]


@pytest.fixture
def story(tmp_path, clip):
    recording = clip("story.wav", 10.0)
    clip("other.wav", 10.0)
    tiers = (
        aligned_tier("tx@ana", *SPOKEN, type="tx", speaker="ana"),
        reference_tier("ft@ana", ("t1", "a1", "", "hello"), ("t2", "a2", "", ""), type="ft", parent="tx@ana"),
        aligned_tier("tx@beto", ("b1", 10, 11, "sim"), type="tx", speaker="beto"),
    )
    (tmp_path / "story.eaf").write_text(make_eaf(*tiers, slots=SLOTS))
    (tmp_path / "other.eaf").write_text(make_eaf(tiers[2], slots=SLOTS))
    return tmp_path, str(recording)


def read(folder, recording, **options):
    found = sources.load(str(folder), outline_of=recording, **options).outline
    return {tier.name: (tier.is_chosen, tier.spans) for tier in found.tiers}


def test_spans_have_what_becomes_of_them(story):
    found = read(*story)
    assert [name for name, (is_chosen, _) in found.items() if is_chosen] == ["tx@ana", "tx@beto"]
    assert [(span.start_s, span.text, span.reason) for span in found["tx@ana"][1]] == [
        (1.0, "olá a todos", ""),
        (2.0, "", "empty-spans"),
        (3.0, "xxx", "only-marks"),
        (4.0, "bom ??? dia", ""),
        (6.0, "fala", ""),
        (6.0, "reversed", "bad-row"),
    ]
    assert [span.marks for span in found["tx@ana"][1]][-2] == ("overlapping-speech",)
    assert "unsure-text" in found["tx@ana"][1][3].marks
    assert [(span.text, span.speaker, span.reason) for span in found["ft@ana"][1]] == [("hello", "", "other-tier")]
    (span,) = found["tx@beto"][1]
    assert (span.start_s, span.end_s, span.speaker, span.marks) == (6.0, 8.0, "beto", ("overlapping-speech",))


def test_spans_of_other_speakers_are_left_out(story):
    found = read(*story, tiers="tx@*, speaker:beto")
    assert {span.reason for span in found["tx@ana"][1] if span.text == "fala"} == {"other-speaker"}
    assert [span.reason for span in found["tx@beto"][1]] == [""]


def test_clips_are_those_of_the_outline(story):
    folder, recording = story
    spans = [span for _, spans in read(folder, recording).values() for span in spans if not span.reason]
    rows = [row for row in sources.load(str(folder)).utterances if row.audio == recording and not row.fault]
    assert sorted((span.start_s, span.end_s, span.text) for span in spans) == sorted(
        (row.start_s, row.end_s, row.text) for row in rows
    )


def test_sandbox_gives_the_same(story):
    folder, recording = story
    assert confined.load(str(folder), outline_of=recording).outline == sources.load(
        str(folder), outline_of=recording
    ).outline  # fmt: skip
    assert sources.load(str(folder)).outline is None


def test_spans_of_chosen_tiers_come_first_where_there_are_too_many(story, monkeypatch):
    monkeypatch.setattr(outline, "MAX_SPANS", 7)
    found = sources.load(str(story[0]), outline_of=story[1]).outline
    assert {tier.name: len(tier.spans) for tier in found.tiers} == {"tx@ana": 6, "tx@beto": 1, "ft@ana": 0}
    assert found.num_left_out == 1
