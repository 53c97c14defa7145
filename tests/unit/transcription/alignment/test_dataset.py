"""A whole recording of tones, aligned by a model that detects them."""

import csv
import json

import numpy as np
import pytest
import soundfile

from asrkit.audio import load_audio
from asrkit.data import sources
from asrkit.errors import AudioError, DataError
from asrkit.transcription.alignment.dataset import REPORT, TABLE, align_recording
from asrkit.transcription.alignment.script import split_lines
from tests.support import tiny
from tests.support.tone_model import ToneModel
from tests.support.tone_transcriber import decode_tones

SENTENCES = ["bad dab.", "cab ace.", "bed bee deed.", "add ebb.", "decade.", "bade abed.", "ceded cede.", "dead bead."]


def speak(path, sentences, pause_s=0.6):
    rng = np.random.default_rng(0)
    pause = 0.001 * rng.standard_normal(round(pause_s * tiny.RATE)).astype(np.float32)
    parts = [part for sentence in sentences for part in (tiny.synthesize(sentence.rstrip("."), rng), pause)]
    soundfile.write(path, np.concatenate([pause, *parts]), tiny.RATE)
    return path


@pytest.fixture
def align(tmp_path, processor):
    def run(spoken, lines):
        audio = speak(tmp_path / "long.wav", spoken)
        model = ToneModel(processor)
        result = align_recording(audio, split_lines(lines), model, tmp_path / "out", rules="basic")
        with open(tmp_path / "out" / TABLE, encoding="utf-8", newline="") as file:
            return result, list(csv.DictReader(file))

    return run


def test_each_clip_has_the_text_that_is_said_in_it(align, tmp_path):
    result, rows = align(SENTENCES, SENTENCES)
    assert " ".join(row["text"] for row in rows) == " ".join(SENTENCES)
    assert len(rows) > 1 and not result.passages and result.num_words == result.num_words_in_clips
    for row in rows:
        wave = load_audio(tmp_path / "out" / row["file_name"], start_s=float(row["start_s"]), end_s=float(row["end_s"]))
        said = "".join(word.word for word in decode_tones(wave.samples))
        assert said == "".join(letter for letter in row["text"] if letter.isalpha())
        assert -0.2 < float(row["score"]) <= 0


def test_dataset_is_read_as_any_other(align, tmp_path):
    _, rows = align(SENTENCES, SENTENCES)
    loaded = sources.load(tmp_path / "out")
    assert [row.text for row in loaded.utterances] == [row["text"] for row in rows]
    assert loaded.utterances[1].start_s == pytest.approx(float(rows[1]["start_s"]))
    assert not any(row.fault for row in loaded.utterances)


def test_text_without_speech_and_speech_without_text_are_passages(align, tmp_path):
    lines = [*SENTENCES[:2], "edda ebbed added.", *SENTENCES[2:5], *SENTENCES[6:]]
    result, rows = align(SENTENCES, lines)
    assert {row["text"] for row in rows}.isdisjoint({"edda ebbed added.", SENTENCES[5]})
    assert "".join(row["text"].replace(" ", "") for row in rows) == "".join(
        SENTENCES[index].replace(" ", "") for index in (0, 1, 2, 3, 4, 6, 7)
    )
    assert [(passage.kind, passage.text) for passage in result.passages] == [
        ("missing", "edda ebbed added."),
        ("extra", ""),
    ]
    report = json.loads((tmp_path / "out" / REPORT).read_text(encoding="utf-8"))
    assert [passage["kind"] for passage in report["passages"]] == ["missing", "extra"]
    assert report["words"] == report["words_in_clips"] + 3


def test_a_misread_sentence_is_in_no_clip_or_the_most_doubtful(align):
    lines = [*SENTENCES[:3], "ceded accede a bade cab.", *SENTENCES[4:]]
    result, rows = align(SENTENCES, lines)
    *_, doubtful = sorted(rows, key=lambda row: -float(row["score"]))
    said = {word for line in SENTENCES for word in line.split()}
    assert all(said.issuperset(row["text"].split()) for row in rows if row is not doubtful)
    assert "accede" in {passage.kind: passage.text for passage in result.passages}["missing"]


def test_wrong_letters_lower_the_score_of_their_clip_alone(align):
    lines = [*SENTENCES[:3], "acd ebb.", *SENTENCES[4:]]
    _, rows = align(SENTENCES, lines)
    scores = {row["text"]: float(row["score"]) for row in rows}
    worst = min(scores, key=scores.__getitem__)
    assert "acd" in worst and sorted(scores.values())[1] > 3 * scores[worst]


def test_numbers_in_digits_stay_in_the_text(align):
    lines = [*SENTENCES[:4], "42.", *SENTENCES[5:]]
    result, rows = align(SENTENCES, lines)
    assert " ".join(row["text"] for row in rows) == " ".join(lines) and not result.passages


def test_a_text_that_does_not_fit_makes_no_dataset(align, tmp_path):
    with pytest.raises(DataError, match="No part of"):
        align(["aaaa"], ["ebbed deed bed.", "deeded ebbed."])
    assert not (tmp_path / "out").exists()


def test_silent_recording_makes_no_dataset(tmp_path, processor):
    soundfile.write(tmp_path / "silent.wav", np.zeros(3 * tiny.RATE), tiny.RATE)
    words = split_lines(SENTENCES)
    with pytest.raises(AudioError, match="silent"):
        align_recording(tmp_path / "silent.wav", words, ToneModel(processor), tmp_path / "out", rules="basic")
    assert not (tmp_path / "out").exists()
