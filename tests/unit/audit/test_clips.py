"""Checks of single clips: codes, counts, examples and verdicts."""

import json

import numpy as np
import pytest
import soundfile

from asrkit.audit import clips
from asrkit.audit.clips import Limits
from asrkit.audit.findings import EXPLANATIONS
from asrkit.data.manifest import Mark, Utterance
from asrkit.errors import ConfigError


def audit(rows, *, normaliser, decode=False, vocabulary=None, min_duration_s=0.1, max_duration_s=30.0, **fields):
    limits = Limits(normaliser, vocabulary, min_duration_s=min_duration_s, max_duration_s=max_duration_s, **fields)
    return clips.audit_clips(rows, limits, decode)


def row(path, text="hello there", number=2, **fields):
    return Utterance(str(path), text, fields.pop("duration_s", 1.0), row=f"metadata.csv row {number}", **fields)


def only_finding(utterances, **options):
    good = options.pop("good")
    kept, report = audit([*utterances, row(good), row(good)], normaliser="basic", **options)
    assert [utterance.audio for utterance in kept] == [str(good)] * 2
    (finding,) = report.findings
    assert finding.cause and finding.remedy and "{" not in finding.cause
    return finding


def test_good_clip_is_ready(clip):
    kept, report = audit([row(clip("a.wav", 3.6), "Hello!", duration_s=99.0)], normaliser="basic")
    assert [(utterance.text, utterance.duration_s) for utterance in kept] == [("Hello!", 3.6)]
    assert report.to_dict() == {"verdict": "ready", "utterances": 1, "hours": 0.001, "dropped": 0, "findings": []}


def test_unreadable_audio_is_dropped(clip, tmp_path):
    (tmp_path / "notes.wav").write_text("not audio at all")
    bad = [row(tmp_path / "notes.wav", number=3), row(tmp_path / "gone.wav", number=4)]
    finding = only_finding(bad, good=clip("a.wav"))
    assert (finding.code, finding.count) == ("unreadable-audio", 2)
    assert finding.examples[0].startswith("metadata.csv row 3: notes.wav (")


def test_truncated_audio_needs_decoding(clip):
    path = clip("cut.flac", 3.0)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert audit([row(path)], normaliser="basic")[1].verdict == "ready"
    assert only_finding([row(path)], good=clip("a.wav"), decode=True).code == "unreadable-audio"


def test_clips_without_samples_are_dropped(clip, tmp_path):
    (tmp_path / "none.wav").touch()
    bad = [row(clip("zero.wav", 0.0)), row(tmp_path / "none.wav"), row(clip("b.wav"), start_s=5.0)]
    finding = only_finding(bad, good=clip("a.wav"))
    assert (finding.code, finding.count) == ("zero-length", 3)


def test_clips_outside_the_duration_limits_are_dropped(clip):
    finding = only_finding([row(clip("s.wav", 0.05), "a")], good=clip("a.wav"))
    assert (finding.code, finding.examples) == ("too-short", ["metadata.csv row 2: s.wav (0.05 s)"])
    assert "0.1 s" in finding.cause
    finding = only_finding([row(clip("l.wav", 3.0))], good=clip("a.wav"), max_duration_s=2.0)
    assert finding.code == "too-long" and "2 s" in finding.cause


def test_clip_too_long_by_its_header_is_not_decoded(clip):
    found = list(clips.check_clips([row(clip("l.wav", 3.0))], Limits(max_duration_s=2.0), decode=True))
    assert [(one.code, one.stats) for one in found] == [("too-long", None)]


def test_causes_name_missing_files_and_bad_rows(clip, tmp_path):
    (tmp_path / "damaged.wav").write_bytes(b"not audio")
    names = ["damaged.wav", *(f"gone{number}.wav" for number in range(5))]
    bad = row(clip("b.wav"), marks=(Mark("bad-row", "there is no recording 84-1 beside 84.trans.txt."),))
    _, report = audit([row(clip("a.wav")), bad, *(row(tmp_path / name) for name in names)], normaliser="basic")
    causes = {finding.code: finding.cause for finding in report.findings}
    assert causes["unreadable-audio"].startswith(
        "Files do not exist (gone0.wav, gone1.wav, gone2.wav and 2 more) and cannot be decoded (damaged.wav), so "
    )
    assert causes["bad-row"].endswith(": there is no recording 84-1 beside 84.trans.txt.")


def test_duration_is_that_of_the_span(clip):
    path = clip("l.wav", 3.0)
    kept, _ = audit([row(path, "a", start_s=1.0, end_s=1.5)], normaliser="basic", max_duration_s=2.0, decode=True)
    assert kept[0].duration_s == pytest.approx(0.5)


@pytest.mark.parametrize("text", ["", "  ", "...!"])
def test_empty_transcript_is_dropped(clip, text):
    assert only_finding([row(clip("e.wav"), text)], good=clip("a.wav")).code == "empty-transcript"


def test_unknown_characters_are_dropped(clip):
    vocabulary = set("helo tr")
    finding = only_finding([row(clip("u.wav"), "hello 我 q")], good=clip("a.wav"), vocabulary=vocabulary)
    assert finding.code == "unknown-characters"
    assert "q 我" in finding.cause
    assert finding.examples == ["metadata.csv row 2: u.wav (q我)"]


def test_text_longer_than_the_frames_is_dropped(clip):
    path = clip("a.wav", 0.2)  # 9 frames
    assert audit([row(path, "abcdefghi")], normaliser="basic")[1].verdict == "ready"
    for text in ("abcdefghij", "abcdefghh", "abc def ghi"):
        (finding,) = audit([row(path, text)], normaliser="basic")[1].findings
        assert finding.code == "label-too-long"
    (finding,) = audit([row(path, "abcdef")], normaliser="basic", count_frames=lambda duration_s: 5)[1].findings
    assert finding.examples == ["metadata.csv row 2: a.wav (6 characters in 5 frames)"]


def test_verdict_depends_on_the_share_of_bad_clips(clip):
    good, bad = row(clip("a.wav")), row(clip("b.wav"), "")
    verdicts = {
        "ready-with-drops": [good, bad],
        "not-ready": [good, bad, bad],
        "ready": [good, good],
    }
    for verdict, utterances in verdicts.items():
        assert audit(utterances, normaliser="basic")[1].verdict == verdict
    assert audit([], normaliser="basic")[1].verdict == "not-ready"
    assert audit([bad], normaliser="basic")[1].verdict == "not-ready"


def test_report_limits_examples_and_is_json(clip):
    _, report = audit([row(clip("b.wav"), "")] * 9, normaliser="basic")
    assert report.findings[0].count == 9 and len(report.findings[0].examples) == 5
    assert json.loads(json.dumps(report.to_dict()))["findings"][0]["code"] == "empty-transcript"


def test_unknown_normaliser_is_refused():
    with pytest.raises(ConfigError, match="no normaliser 'nope'"):
        audit([], normaliser="nope")


@pytest.mark.parametrize("code", EXPLANATIONS)
def test_every_code_has_a_cause_and_a_remedy(code):
    cause, remedy = EXPLANATIONS[code].cause, EXPLANATIONS[code].remedy
    assert code == code.lower() and cause.endswith(".") and remedy.endswith(".")


def test_marked_rows_are_findings_of_an_audit_that_is_not_ready(clip):
    marks = (Mark("file-by-name", "b/1.wav taken for a/1.wav"), Mark("merged-lines", "lines 2 to 4"))
    kept, report = audit([row(clip("1.wav"), marks=marks), row(clip("2.wav"), number=3)], normaliser="basic")
    assert len(kept) == 2 and report.verdict == "ready-with-drops"
    by_name, merged = report.findings
    assert (by_name.code, by_name.clips, by_name.changes) == ("file-by-name", (0,), "audio")
    assert by_name.examples == ["metadata.csv row 2: 1.wav (b/1.wav taken for a/1.wav)"]
    assert (merged.code, merged.changes) == ("merged-lines", "text")


def test_row_marked_as_bad_is_dropped_with_its_reason(clip):
    bad = row(clip("1.wav"), marks=(Mark("file-by-name", "b/1.wav"), Mark("bad-row", "start is 'abc'")))
    finding = only_finding([bad], good=clip("a.wav"))
    assert (finding.code, finding.kind, finding.examples) == (
        "bad-row",
        "drop",
        ["metadata.csv row 2: 1.wav (start is 'abc')"],
    )


@pytest.mark.parametrize(("end_s", "code"), [(2.0, None), (2.5, None), (2.7, "beyond-end")])
def test_part_beyond_the_end_of_its_recording_is_dropped(clip, end_s, code):
    rows = [row(clip("a.wav", 2.0), start_s=0.5, end_s=end_s), row(clip("b.wav"))]
    kept, report = audit(rows, normaliser="basic")
    assert [finding.code for finding in report.findings] == ([code] if code else [])
    assert len(kept) == (1 if code else 2)


def test_wrong_header_is_an_assumption_and_its_audio_is_used(clip):
    path = clip("a.wav", 3.0)
    content = bytearray(path.read_bytes())
    at = content.index(b"data") + 4
    content[at : at + 4] = (20_000).to_bytes(4, "little")
    path.write_bytes(content)
    for decode in (True, False):
        kept, report = clips.audit_clips([row(path)], Limits(), decode=decode)
        (finding,) = report.findings
        assert (finding.code, finding.changes, finding.clips) == ("assumed-audio", "audio", (0,))
        assert finding.examples == ["metadata.csv row 2: a.wav (0.6 s by the header, 3.0 s in the file)"]
        assert report.verdict == "ready-with-drops"
        assert [utterance.duration_s for utterance in kept] == [3.0]


def test_channel_changes_are_reported(tmp_path, sine):
    voice = sine(2.0)
    soundfile.write(tmp_path / "opposite.wav", np.stack([voice, -voice], 1), 16_000)
    soundfile.write(tmp_path / "left.wav", np.stack([voice, 0 * voice], 1), 16_000)
    rows = [row(tmp_path / "opposite.wav"), row(tmp_path / "left.wav")]
    kept, report = clips.audit_clips(rows, Limits(), decode=True)
    assert len(kept) == 2
    assert report.verdict == "ready"
    assert [(finding.code, finding.clips) for finding in report.findings] == [
        ("opposite-phase", (0,)),
        ("silent-channel", (1,)),
    ]


def test_length_is_that_of_the_audio_not_of_the_header(clip, tmp_path):
    """A clip of which the header says that it is too long, and one that is cut off."""
    path = clip("long.wav", 3.0)
    content = path.read_bytes()
    at = content.index(b"data") + 4
    path.write_bytes(content[:at] + (9_600_000).to_bytes(4, "little") + content[at + 4 :])
    (tmp_path / "cut.wav").write_bytes(clip("whole.wav", 3.0).read_bytes()[:40_000])
    for decode in (True, False):
        kept, report = clips.audit_clips([row(path), row(tmp_path / "cut.wav")], Limits(), decode=decode)
        assert [utterance.duration_s for utterance in kept] == [3.0]
        assert [finding.code for finding in report.findings] == ["unreadable-audio", "wrong-length"]
