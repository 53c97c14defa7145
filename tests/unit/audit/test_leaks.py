"""Recordings, speakers and sentences in both splits, and fingerprints of audio files."""

import os

import pytest

from asrkit.audit import leaks
from asrkit.audit.leaks import ClipIdentity, audio_fingerprints, find_leaks
from asrkit.data.manifest import Utterance


def clip(index, text=None, speaker=None, fingerprint=None):
    return ClipIdentity(index, text or f"text {index}", speaker, fingerprint)


def leaks_by_code(train, held_out, is_own_split=True):
    findings = find_leaks(train, held_out, lambda index, detail: f"{index}: {detail}", is_own_split=is_own_split)
    return {finding.code: finding for finding in findings}


def test_separate_splits_have_no_leaks():
    assert leaks_by_code([clip(0, speaker="ann", fingerprint=b"a")], [clip(1, speaker="bob", fingerprint=b"b")]) == {}
    assert leaks_by_code([], []) == {}


def test_unknown_speakers_and_fingerprints_are_not_shared():
    assert leaks_by_code([clip(0), clip(1, speaker="")], [clip(2), clip(3, speaker="")]) == {}


def test_shared_recording_names_the_training_clips():
    train = [clip(0, fingerprint=b"a"), clip(1, fingerprint=b"b"), clip(2, fingerprint=b"a")]
    held_out = [clip(3, fingerprint=b"a"), clip(4, fingerprint=b"c")]
    finding = leaks_by_code(train, held_out, is_own_split=False)["leak-audio"]
    assert (finding.clips, finding.count) == ((0, 2), 2)
    assert finding.examples == ["0: text 0", "2: text 2"]


def test_shared_recording_of_an_own_split_has_nothing_to_leave_out():
    finding = leaks_by_code([clip(0, fingerprint=b"a")], [clip(1, fingerprint=b"a")])["leak-audio"]
    assert (finding.clips, finding.count, finding.examples) == ((), 1, ["0: text 0"])


def test_shared_speakers_name_the_evaluation_clips():
    train = [clip(0, speaker="ann"), clip(1, speaker="bob"), clip(2, speaker="cy")]
    held_out = [clip(3, speaker="ann"), clip(4, speaker="dee"), clip(5, speaker="bob"), clip(6, speaker="ann")]
    findings = leaks_by_code(train, held_out)
    assert list(findings) == ["leak-speaker"]
    assert findings["leak-speaker"].clips == (3, 5, 6)
    assert findings["leak-speaker"].cause.startswith("2 speakers are both trained and evaluated on")
    assert findings["leak-speaker"].examples == ["3: ann", "5: bob", "6: ann"]


@pytest.mark.parametrize(
    ("is_own_split", "settings"), [(True, {"split_by": "speaker", "eval_count": 0}), (False, {})], ids=["own", "given"]
)
def test_settings_solve_only_an_own_split(is_own_split, settings):
    train, held_out = [clip(0, speaker="ann"), clip(1, speaker="bob")], [clip(2, speaker="ann")]
    assert leaks_by_code(train, held_out, is_own_split)["leak-speaker"].settings == settings


def test_single_speaker_is_a_leak_only_of_a_given_split():
    train, held_out = [clip(0, speaker="ann")], [clip(1, speaker="ann")]
    assert leaks_by_code(train, held_out, is_own_split=True) == {}
    assert list(leaks_by_code(train, held_out, is_own_split=False)) == ["leak-speaker"]


def test_shared_sentences_name_the_evaluation_clips():
    train = [clip(0, "yes"), clip(1, "no")]
    held_out = [clip(2, "yes"), clip(3, "maybe"), clip(4, "no")]
    finding = leaks_by_code(train, held_out)["leak-text"]
    assert finding.clips == (2, 4) and finding.examples == ["2: yes", "4: no"]
    assert finding.cause.startswith("2 of 3 clips to evaluate on say a sentence that is trained on")
    assert leaks_by_code(train, held_out[:2])["leak-text"].cause.startswith(
        "1 of 2 clips to evaluate on says a sentence"
    )


def test_split_by_text_is_suggested_only_where_it_helps():
    by_text = {"split_by": "text", "eval_count": 0}
    train, held_out = [clip(0, "yes"), clip(1, "no")], [clip(2, "yes")]
    assert leaks_by_code(train, held_out)["leak-text"].settings == by_text
    assert leaks_by_code(train, held_out, is_own_split=False)["leak-text"].settings == {}
    assert leaks_by_code([clip(0, "yes")], held_out)["leak-text"].settings == {}, "there is only one text"
    one_speaker = [clip(0, "yes", "ann"), clip(1, "no", "ann")], [clip(2, "yes", "ann")]
    assert leaks_by_code(*one_speaker)["leak-text"].settings == by_text
    two_speakers = [clip(0, "yes", "ann"), clip(1, "no", "ann")], [clip(2, "yes", "bob")]
    assert leaks_by_code(*two_speakers)["leak-text"].settings == {}, "speakers can be split instead"


def test_examples_are_shortened_and_limited():
    train = [clip(index, "x" * 90, fingerprint=b"a") for index in range(7)]
    finding = leaks_by_code(train, [clip(7, fingerprint=b"a")])["leak-audio"]
    assert finding.count == 7 and len(finding.examples) == 5
    assert finding.examples[0] == "0: " + "x" * 60


def rows(folder, *names):
    return [Utterance(str(folder / name), "x", 1.0) for name in names]


def test_fingerprints_are_equal_only_for_equal_files(tmp_path, monkeypatch):
    silent_middle = [os.urandom(64) + bytes(40_000) for _ in range(2)]
    content = {
        "a": b"one",
        "b": b"three",
        "c": silent_middle[0],
        "d": silent_middle[1],
        "e": silent_middle[0],
        "f": b"six",
    }
    for name, data in content.items():
        (tmp_path / name).write_bytes(data)
    os.link(tmp_path / "b", tmp_path / "linked")
    opened = []
    digest_middle = leaks._digest_middle
    monkeypatch.setattr(leaks, "_digest_middle", lambda path, size: opened.append(path) or digest_middle(path, size))
    a, b, c, d, e, f, linked, gone = audio_fingerprints(rows(tmp_path, *content, "linked", "gone"))
    assert c == e and b == linked and gone is None and len({a, b, c, d, f}) == 5
    assert sorted(path[-1] for path in opened) == ["a", "c", "d", "e", "f"]


def test_fingerprints_differ_for_spans_of_one_file(tmp_path):
    (tmp_path / "a").write_bytes(b"one")
    spans = [(0.0, None), (0.0, None), (1.0, None), (0.0, 1.0), (0.0, 1.0)]
    utterances = [Utterance(str(tmp_path / "a"), "x", 1.0, start_s=start, end_s=end) for start, end in spans]
    first, same, later, begin, same_begin = audio_fingerprints(utterances)
    assert first == same and begin == same_begin and len({first, later, begin}) == 3


def test_fingerprints_cover_both_ends_of_a_file(tmp_path):
    middle = bytes(60_000)
    for name, data in {"a": b"x" + middle + b"y", "b": b"x" + middle + b"z", "c": b"w" + middle + b"y"}.items():
        (tmp_path / name).write_bytes(data)
    assert len(set(audio_fingerprints(rows(tmp_path, "a", "b", "c")))) == 3


def test_only_files_with_an_equal_middle_are_read_whole(tmp_path, monkeypatch):
    for name, data in {"a": bytes(50_000), "b": os.urandom(50_000), "c": bytes(50_000)}.items():
        (tmp_path / name).write_bytes(data)
    opened = []
    digest_file = leaks._digest_file
    monkeypatch.setattr(leaks, "_digest_file", lambda path, size: opened.append(path) or digest_file(path, size))
    a, b, c = audio_fingerprints(rows(tmp_path, "a", "b", "c"))
    assert a == c != b and sorted(path[-1] for path in opened) == ["a", "c"]


@pytest.mark.parametrize("name", ["gone.wav", "nul\0.wav", "x" * 300])
def test_unreadable_paths_have_no_fingerprint(tmp_path, name):
    assert audio_fingerprints(rows(tmp_path, name)) == [None]


def test_vanished_files_have_different_fingerprints(tmp_path, monkeypatch):
    for name in "ab":
        (tmp_path / name).write_bytes(b"same")
    stat = leaks._stat

    def vanish(path):
        status = stat(path)
        os.unlink(path)
        return status

    monkeypatch.setattr(leaks, "_stat", vanish)
    first, second = audio_fingerprints(rows(tmp_path, "a", "b"))
    assert first != second and None not in (first, second)
