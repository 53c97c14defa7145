"""Pseudo-labels, with a transcriber that recognises tones and is as sure as the test says."""

import csv
import dataclasses

import numpy as np
import pytest
import soundfile

from asrkit.audio import load_audio
from asrkit.data import sources
from asrkit.data.manifest import Utterance
from asrkit.decoding.transcript import Transcript, Word
from asrkit.errors import DataError
from asrkit.transcription import labelling
from asrkit.transcription.labelling import Calibration, calibrate, find_recordings, label_recordings
from asrkit.transcription.report import EvaluatedClip
from tests.support import tiny
from tests.support.tone_transcriber import decode_tones

CONFIDENCES = {"ab": 0.9, "cad": 0.5, "bee": 0.2}
SURE = Calibration([0.0, 1.0], [0.0, 1.0])


class Toner:
    """Decodes tones; the confidence is that of CONFIDENCES. Keeps the decoders that it is given."""

    def __init__(self):
        self.decoders = set()

    def transcribe_batch(self, waves, decoder=None):
        self.decoders.add(decoder)
        transcripts = []
        for wave in waves:
            words = [
                dataclasses.replace(word, confidence=CONFIDENCES.get(word.word, 0.0))
                for word in decode_tones(wave.samples)
            ]
            transcripts.append(Transcript(words, wave.duration_s))
        return transcripts


@pytest.fixture
def recordings(tmp_path):
    """A folder with a recording of three words between pauses, one in a folder of its own, and a damaged one."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "recordings"
    (folder / "more").mkdir(parents=True)
    pause = 0.001 * rng.standard_normal(tiny.RATE).astype(np.float32)
    speech = [part for word in CONFIDENCES for part in (tiny.synthesize(word, rng), pause)]
    soundfile.write(folder / "one.wav", np.concatenate([pause, *speech]), tiny.RATE)
    soundfile.write(folder / "more" / "two.flac", np.concatenate([pause, tiny.synthesize("ab", rng), pause]), tiny.RATE)
    (folder / "damaged.wav").write_bytes(b"RIFF")
    (folder / "notes.txt").write_text("no recording")
    return folder


def label(folder, out, keep, transcriber=None, **options):
    found = find_recordings(folder)
    return label_recordings(found, folder, transcriber or Toner(), SURE, out, model="run-1", keep=keep, **options)


def read_table(out):
    with open(out / "metadata.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_segments_between_pauses_are_kept_by_confidence(recordings, tmp_path):
    counts = label(recordings, tmp_path / "out", 0.45)
    assert (counts.num_recordings, counts.num_kept, counts.num_left_out) == (2, 3, 1)
    assert len(counts.unreadable) == 1 and "damaged.wav" in counts.unreadable[0]
    rows = read_table(tmp_path / "out")
    assert [row["text"] for row in rows] == ["ab", "ab", "cad"]
    assert {row["origin"] for row in rows} == {"pseudo-label of run-1"} and {row["split"] for row in rows} == {"train"}
    assert [row["confidence"] for row in rows] == ["0.9", "0.9", "0.5"]
    assert rows[0]["recording"].startswith("more/two.flac at ") and rows[2]["recording"].startswith("one.wav at ")
    for row in rows:
        wave = load_audio(tmp_path / "out" / row["file_name"])
        assert "".join(word.word for word in decode_tones(wave.samples)) == row["text"]
        assert wave.duration_s == pytest.approx(float(row["duration_s"]), abs=1e-3)


def test_recordings_are_decoded_with_what_is_expected(recordings, tmp_path):
    toner, decoder = Toner(), object()
    label(recordings, tmp_path / "out", 0.45, toner, decoder=decoder)
    assert toner.decoders == {decoder}


def test_labels_and_clips_with_texts_make_one_dataset(recordings, tmp_path):
    """It is read without assumptions, and what is evaluated on has no labels of the model."""
    soundfile.write(tmp_path / "own.wav", tiny.synthesize("dad", np.random.default_rng(1)), tiny.RATE)
    own = Utterance(str(tmp_path / "own.wav"), "=dad", speaker="ann", duration_s=1.0)
    label(recordings, tmp_path / "out", 0.8, transcribed=[("train", own), ("eval", own)])
    source = sources.load(str(tmp_path / "out"))
    assert [row.text for row in source.train] == ["'=dad", "ab", "ab"] and len(source.eval) == 1
    assert [note.code for note in source.notes] == ["columns-not-used"], "advice, no assumption"
    assert not any(row.marks for row in source.utterances)
    assert [row["origin"] for row in read_table(tmp_path / "out")][:2] == ["transcribed"] * 2


def test_nothing_is_written_where_no_segment_is_sure_enough(recordings, tmp_path):
    with pytest.raises(DataError, match=r"reaches 0\.95: the most that is expected is 0\.90 of the words"):
        label(recordings, tmp_path / "out", 0.95)
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob(".out*"))


def test_folder_without_recordings_is_refused(tmp_path):
    with pytest.raises(DataError, match="holds no recordings"):
        find_recordings(tmp_path)


def make_clip(confidence, errors, words=10):
    reference = " ".join(f"w{index}" for index in range(words))
    hypothesis = " ".join(["x"] * errors + [f"w{index}" for index in range(errors, words)])
    heard = [Word(word, 0.0, 0.1, confidence) for word in hypothesis.split()]
    return EvaluatedClip(Utterance("a.wav", reference, 1.0), reference, hypothesis, heard, 1.0)


def test_calibration_is_the_accuracy_at_a_confidence():
    clips = [make_clip(0.99, 1) for _ in range(6)] + [make_clip(0.5, 5) for _ in range(6)]
    expected = calibrate(clips)
    assert expected(0.99) == pytest.approx(0.9) and expected(0.5) == pytest.approx(0.5)
    assert expected(1.0) == pytest.approx(0.9) and expected(0.0) == pytest.approx(0.5)
    assert 0.5 < expected(0.7) < 0.9


def test_calibration_never_falls():
    """Clips of little confidence that happen to be right are pooled with those above them."""
    rng = np.random.default_rng(0)
    clips = [make_clip(float(confidence), int(rng.integers(0, 10))) for confidence in np.linspace(0.1, 0.9, 40)]
    values = [calibrate(clips)(confidence) for confidence in np.linspace(0, 1, 50)]
    assert values == sorted(values)
    accuracy = 1 - sum(clip.errors for clip in clips) / 400
    assert values[0] <= accuracy <= values[-1]


def test_missing_words_lower_the_accuracy():
    clip = make_clip(0.9, 0)
    short = dataclasses.replace(clip, hypothesis="w0 w1", words=clip.words[:2])
    assert calibrate([short] * 12)(0.9) == pytest.approx(0.2)


def test_too_few_clips_calibrate_nothing():
    with pytest.raises(DataError, match="heard words in 9 clips .* give 10 or more"):
        calibrate([make_clip(0.9, 0)] * 9)


def test_speech_that_was_cut_is_left_out(recordings, tmp_path, monkeypatch):
    """Without a pause a word may be cut: neither side of the cut is kept."""
    segments = labelling._segments

    def cut_first(recording, segmenter):
        for number, segment in enumerate(segments(recording, segmenter)):
            yield dataclasses.replace(segment, is_forced_cut=number == 0)

    monkeypatch.setattr(labelling, "_segments", cut_first)
    label(recordings, tmp_path / "out", 0.1)
    assert [row["text"] for row in read_table(tmp_path / "out")] == ["bee"]
