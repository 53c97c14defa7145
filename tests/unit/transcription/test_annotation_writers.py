"""Transcripts as annotation files: each is valid, and our readers read from it what was written."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrkit.data.readers.annotations import formats
from asrkit.data.readers.annotations.tiers import TierChoice, choose
from asrkit.decoding.transcript import Transcript, Word
from asrkit.errors import DataError
from asrkit.transcription.writers import WRITERS, file_name
from asrkit.transcription.writers.annotations import split_tracks
from asrkit.transcription.writers.insertion import NewTier, insert_into_eaf, insert_into_textgrid
from tests.support.annotations import aligned_tier, make_eaf, make_textgrid
from tests.support.eaf_schema import check_eaf

WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]), min_size=1, max_size=8)
TEXTS = ("eaf", "textgrid", "elan", "audacity")


@st.composite
def transcripts(draw):
    """Words in order, some of no length, some touching; on up to three channels."""
    words = []
    for channel in draw(st.sampled_from([[0], [1, 2], [1, 3]])):
        at_s = 0.137 * channel
        for word in draw(st.lists(WORDS, max_size=8)):
            start_s = at_s + draw(st.sampled_from([0.0, 0.0004, 0.2, 1.0]))
            at_s = start_s + draw(st.sampled_from([0.0, 0.0004, 0.3, 9.0]))
            words.append(Word(word, start_s, at_s, 0.5, joined=draw(st.booleans()), channel=channel))
    return Transcript(words, max([1.0, *(word.end_s for word in words)]), "a story.wav")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("written")


@pytest.mark.parametrize("name", TEXTS)
@settings(max_examples=25)
@given(transcript=transcripts())
def test_utterances_are_read_back(folder, name, transcript):
    path = folder / file_name("a story", name)
    path.write_bytes(WRITERS[name](transcript).encode())
    tracks = list(split_tracks(transcript))
    has_speakers = name in ("eaf", "elan") or (name == "textgrid" and len(tracks) > 1)
    expected = [
        (mark.start_ms, mark.end_ms, mark.text, track.speaker if has_speakers else "")
        for track in tracks
        for mark in track.utterances
    ]
    if name == "eaf":
        check_eaf(path.read_bytes())
    if not expected:
        return
    (recording,) = formats.read(path)
    chosen = choose(recording, TierChoice())
    assert not chosen.assumption
    read = [
        (round(1000 * span.start_s), round(1000 * span.end_s), span.text, chosen.speaker_of(tier, span))
        for tier in chosen.tiers
        for span in tier.spans
        if span.text
    ]
    assert sorted(read) == sorted(expected)


def test_utterances_end_at_pauses_and_after_fifteen_seconds():
    words = [Word("one", 0, 0.4, 1), Word("two", 0.5, 1, 1), Word("three", 1.7, 2, 1), Word("four", 2.1, 17, 1)]
    (track,) = split_tracks(Transcript(words, 17))
    assert [(mark.text, mark.start_ms, mark.end_ms) for mark in track.utterances] == [
        ("one two", 0, 1000),
        ("three", 1700, 2000),
        ("four", 2100, 17_000),
    ]


def test_ctm():
    words = [Word("one", 0.1, 0.5, 0.9, channel=2), Word("two", 0.5, 0.7, 0.25, channel=2)]
    assert WRITERS["ctm"](Transcript(words, 1, "/x/my story.wav")) == (
        "my_story 2 0.100 0.400 one 0.9000\nmy_story 2 0.500 0.200 two 0.2500\n"
    )


def test_eaf_links_its_recording_by_name_and_by_place(tmp_path, monkeypatch):
    bare = WRITERS["eaf"](Transcript([], 1, "Ana & Rui.wav"))
    assert 'MEDIA_URL="file:///Ana%20%26%20Rui.wav"' in bare
    assert 'RELATIVE_MEDIA_URL="./Ana%20%26%20Rui.wav"' in bare
    path = tmp_path / "a b.wav"
    assert f'MEDIA_URL="{path.as_uri()}" MIME_TYPE="audio/x-wav"' in WRITERS["eaf"](Transcript([], 1, str(path)))


class TestInsertion:
    SLOTS = (0, 1000, 2000, 3000)

    def insert(self, content, name="seg", new="seg (asrkit)", texts=("olá & <b>", "dia"), tmp_path=None, suffix=".eaf"):
        path = tmp_path / f"story{suffix}"
        path.write_bytes(content)
        (recording,) = formats.read(path)
        (tier,) = (tier for tier in recording.tiers if tier.name == name)
        empty = [span for span in tier.spans if not span.text]
        function = insert_into_eaf if suffix == ".eaf" else insert_into_textgrid
        result = function(content, [NewTier(new, tier, dict(zip(empty, texts, strict=False)))], path)
        path.write_bytes(result)
        return result, recording, formats.read(path)[0]

    @pytest.mark.parametrize("newline", ["\n", "\r\n"])
    def test_eaf_keeps_all_of_its_bytes(self, tmp_path, newline):
        tier = aligned_tier("seg", ("a1", 0, 1, ""), ("a2", 2, 3, ""), speaker="Zoé")
        odd = '<TIER LINGUISTIC_TYPE_REF="default-lt" TIER_ID="a > b"/>\n'
        types = '<!-- kept --><CONSTRAINT STEREOTYPE="Included_In"/>\n'
        content = make_eaf(tier, odd, slots=self.SLOTS, types=types).replace("\n", newline).encode()
        result, before, after = self.insert(content, tmp_path=tmp_path)
        check_eaf(result)
        inserted = after.tiers[-1]
        assert (inserted.name, inserted.parent, inserted.speaker) == ("seg (asrkit)", "seg", "Zoé")
        assert [(span.start_s, span.end_s, span.text) for span in inserted.spans] == [
            (0.0, 1.0, "olá & <b>"),
            (2.0, 3.0, "dia"),
        ]
        assert after.tiers[:-1] == before.tiers
        kept = iter(result)
        expected = content.replace(b">99<", b">101<")
        assert all(byte in kept for byte in expected)  # in order: only insertions
        assert result.count(b"\n") == result.count(newline.encode())

    def test_eaf_with_a_type_of_an_earlier_draft(self, tmp_path):
        content = make_eaf(aligned_tier("seg", ("a1", 0, 1, "")), slots=self.SLOTS).encode()
        once, _, _ = self.insert(content, tmp_path=tmp_path)
        twice, _, after = self.insert(once, new="seg (asrkit 2)", tmp_path=tmp_path)
        check_eaf(twice)
        assert [tier.name for tier in after.tiers] == ["seg", "seg (asrkit)", "seg (asrkit 2)"]
        assert twice.count(b'LINGUISTIC_TYPE_ID="asrkit transcription"') == 1

    def test_eaf_in_another_encoding(self, tmp_path):
        text = make_eaf(aligned_tier("seg", ("a1", 0, 1, ""), speaker="Zoé"), slots=self.SLOTS)
        content = text.replace('encoding="UTF-8"', 'encoding="ISO-8859-1"').encode("latin-1")
        _, _, after = self.insert(content, texts=["ə łóz"], tmp_path=tmp_path)
        assert after.tiers[-1].spans[0].text == "ə łóz"

    def test_eaf_in_utf_16_is_refused(self, tmp_path):
        text = make_eaf(aligned_tier("seg", ("a1", 0, 1, "")), slots=self.SLOTS).replace("UTF-8", "UTF-16")
        with pytest.raises(DataError, match=r"story\.eaf is UTF-16; open it in ELAN and save it again"):
            self.insert(text.encode("utf-16"), tmp_path=tmp_path)

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
    @pytest.mark.parametrize("is_long", [True, False])
    def test_textgrid_keeps_its_form_and_encoding(self, tmp_path, encoding, is_long):
        text = make_textgrid(
            seg=[(0, 0.123456789012, ""), (0.123456789012, 2, ""), (2, 3, "kept")], other=[(0, 3, "é")]
        )
        if not is_long:
            numbers = re.findall(r'"[^"]*"|<exists>|(?<!\S)\d[\d.]*(?!\S)', text)
            text = "\n".join(numbers) + "\n"
        content = text.encode(encoding)
        result, before, after = self.insert(content, texts=['say "hi"'], tmp_path=tmp_path, suffix=".TextGrid")
        assert after.tiers[:-1] == before.tiers
        assert [span.text for span in after.tiers[-1].spans] == ['say "hi"', "", ""]
        assert [span[:2] for span in after.tiers[-1].spans] == [span[:2] for span in before.tiers[0].spans]
        decoded = result.decode(encoding)
        assert decoded[: len(text)] == (
            text.replace("size = 2", "size = 3", 1) if is_long else text.replace("\n2\n", "\n3\n", 1)
        )
        assert ("xmin" in decoded[len(text) :]) == is_long
