"""Texts and JSON forms of findings."""

import itertools
import re
from typing import get_args

import pytest

from asrkit.audit.findings import EXPLANATIONS, Change, Finding, Kind, derive_verdict, make_finding
from asrkit.audit.leaks import ClipIdentity, find_leaks
from asrkit.data.manifest import MarkCode

VALUES = {"minimum": 0.1, "maximum": 30.0, "median": 14.2, "snr": 6.0, "rare": 5, "characters": "ñ ø", "frame_ms": 20.0}
DETAILS = ("1 speaker is in both splits", "2 speakers are in both splits", "8,000 Hz", "8,000 Hz, 11,025 Hz")


def check_text(text):
    assert text == text.strip() and text.endswith("."), f"no full stop: {text}"
    assert "  " not in text and "\n" not in text, f"double space: {text}"
    assert not re.search(r"\b(\w+)\s+\1\b", text, re.IGNORECASE), f"repeated word: {text}"
    assert not re.search(r"\s[.,:;]|[{}]|\.\.", text), f"stray punctuation: {text}"


@pytest.mark.parametrize("code", EXPLANATIONS)
def test_texts_are_well_formed(code):
    for num_clips, detail in itertools.product([1, 2], DETAILS):
        finding = make_finding(code, range(num_clips), ["clip.wav"] * num_clips, detail=detail, **VALUES)
        assert finding.count == num_clips
        check_text(finding.cause)
        check_text(finding.remedy)


@pytest.mark.parametrize(
    "text", ["Learned from from half.", "No full stop", "Two  spaces.", "Left {open}.", "A comma , ."]
)
def test_check_rejects_malformed_texts(text):
    with pytest.raises(AssertionError):
        check_text(text)


@pytest.mark.parametrize("num_clips", [1, 2])
def test_texts_of_leaks_are_well_formed(num_clips):
    def side(start):
        return [ClipIdentity(start + n, f"text {n}", f"speaker {n}", bytes([n])) for n in range(num_clips)]

    other = ClipIdentity(9, "other", "another speaker", b"other")
    findings = list(find_leaks([*side(0), other], side(10), lambda index, detail: detail, is_own_split=True))
    assert [finding.code for finding in findings] == ["leak-audio", "leak-speaker", "leak-text"]
    for finding in findings:
        check_text(finding.cause)


def test_json_forms_keep_their_keys():
    finding = Finding("some-code", "Cause.", "Remedy.", step=3, epoch=0.5, count=2, examples=["a.wav"], clips=(4, 7))
    assert finding.to_audit_dict() == {
        "code": "some-code",
        "count": 2,
        "examples": ["a.wav"],
        "effect": "Cause.",
        "fix": "Remedy.",
    }
    assert finding.to_run_dict() == {
        "code": "some-code",
        "step": 3,
        "epoch": 0.5,
        "cause": "Cause.",
        "remedy": "Remedy.",
    }
    assert list(finding.to_audit_dict()) == ["code", "count", "examples", "effect", "fix"]
    assert list(finding.to_run_dict()) == ["code", "step", "epoch", "cause", "remedy"]


def test_examples_are_limited():
    assert len(make_finding("silent", range(9), ["clip.wav"] * 9).examples) == 5


def test_codes_of_marks_have_an_explanation():
    assert {*get_args(MarkCode)} <= set(EXPLANATIONS)


@pytest.mark.parametrize("code", EXPLANATIONS)
def test_explanation_has_a_known_kind_and_change(code):
    explanation = EXPLANATIONS[code]
    assert explanation.kind in get_args(Kind) and explanation.changes in (None, *get_args(Change))


@pytest.mark.parametrize("code", EXPLANATIONS)
def test_only_a_finding_that_changes_nothing_leaves_the_verdict_ready(code):
    finding = make_finding(code, [0], ["clip.wav"], detail="one", **VALUES)
    changes = EXPLANATIONS[code].changes
    assert derive_verdict(9, 0, [finding]) == ("ready-with-drops" if changes else "ready")
    assert finding.to_audit_dict().get("changes") == changes
    assert finding.is_assumption == (changes is not None and finding.kind != "drop")


def test_verdict_counts_dropped_clips_first():
    assert [derive_verdict(*counts, []) for counts in ((9, 1), (4, 5), (0, 0), (5, 5))] == [
        "ready-with-drops",
        "not-ready",
        "not-ready",
        "ready-with-drops",
    ]
