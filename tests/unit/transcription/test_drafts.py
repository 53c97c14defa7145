"""Drafts of empty segments, with a transcriber that writes how long each segment is."""

import types
from xml.parsers import expat

import pytest

from asrkit.data.readers.annotations import formats
from asrkit.decoding.transcript import Transcript, Word
from asrkit.errors import DataError
from asrkit.transcription import drafts
from tests.support.annotations import aligned_tier, make_eaf, make_textgrid, reference_tier


def load_listener():
    def transcribe_batch(waves, decoder):
        return [
            Transcript([Word(f"{wave.duration_s:g} s", 0, wave.duration_s, 1)] if wave.duration_s > 0.2 else [], 1)
            for wave in waves
        ]

    return types.SimpleNamespace(transcribe_batch=transcribe_batch, decoder=None)


@pytest.fixture
def write(tmp_path, clip):
    def make(name, content):
        clip("story.wav", 10.0)
        path = tmp_path / name
        path.write_text(content)
        return path

    return make


def drafted(path, **options):
    """Return tier -> [(start_s, text)] of the new tiers."""
    before = {tier.name for tier in formats.read(path)[0].tiers}
    path.write_bytes(drafts.draft_annotation(path, load_listener, **options))
    (after,) = formats.read(path)
    return {
        tier.name: [(span.start_s, span.text) for span in tier.spans if span.text]
        for tier in after.tiers
        if tier.name not in before
    }


def test_each_speaker_gets_a_tier_of_drafts(write):
    path = write(
        "story.eaf",
        make_eaf(
            aligned_tier("A", ("a1", 0, 1, ""), ("a2", 2, 3, ""), ("a3", 6, 7, ""), speaker="ana"),
            aligned_tier("B", ("b1", 4, 5, ""), speaker="rui"),
            reference_tier("note", ("c1", "a1", "", ""), parent="A"),
            slots=[0, 1000, 2000, 2500, 3000, 12_000, 20_000, 21_000],
        ),
    )
    assert drafted(path) == {"A (asrkit)": [(0.0, "1 s"), (2.0, "0.5 s")], "B (asrkit)": [(3.0, "7 s")]}


def test_segments_with_a_text_and_without_speech_get_no_draft(write):
    grid = make_textgrid(seg=[(0, 1, ""), (1, 2, "done"), (2, 2.15, ""), (2.15, 4, "")], done=[(0, 4, "all of it")])
    path = write("story.TextGrid", grid)
    assert drafted(path) == {"seg (asrkit)": [(0.0, "1 s"), (2.15, "1.85 s")]}


def test_tiers_are_chosen_by_name(write):
    tiers = (aligned_tier(name, ("a" + name, 0, 1, "")) for name in ("A", "B"))
    path = write("story.eaf", make_eaf(*tiers, slots=[0, 1000]))
    with pytest.raises(DataError, match=r"has no tier C; there are 'A' \(0 texts\)"):
        drafts.draft_annotation(path, load_listener, tiers="C")
    assert drafted(path, tiers="B") == {"B (asrkit)": [(0.0, "1 s")]}


@pytest.mark.parametrize(
    ("tier", "expected"),
    [
        (aligned_tier("A", ("a1", 0, 1, "done")), "has no tier of empty segments; draw segments"),
        (aligned_tier("A", ("a1", 2, 3, "")), "has no empty segment within its recording"),
        (aligned_tier("A", ("a1", 1, 4, "")), "no speech was heard in the segments of A"),
    ],
)
def test_nothing_to_draft(write, tier, expected):
    path = write("story.eaf", make_eaf(tier, slots=[0, 1000, 20_000, 30_000, 1150]))
    with pytest.raises(DataError, match=expected):
        drafts.draft_annotation(path, load_listener)


def test_recording_is_missing(tmp_path):
    path = tmp_path / "other.eaf"
    path.write_text(make_eaf(aligned_tier("A", ("a1", 0, 1, "")), slots=[0, 1000]))
    with pytest.raises(DataError, match=r"other\.eaf is of the recording other\.wav, which is missing"):
        drafts.draft_annotation(path, load_listener)


def test_annotations_are_read_in_a_sandbox(write, monkeypatch):
    path = write("story.eaf", make_eaf(aligned_tier("tx", ("a1", 0, 1, "")), slots=[1000, 2000]))
    monkeypatch.setattr(expat, "ParserCreate", lambda *_: pytest.fail("parsed in this process"))
    assert b"<ANNOTATION_VALUE>1 s</ANNOTATION_VALUE>" in drafts.draft_annotation(path, load_listener)
