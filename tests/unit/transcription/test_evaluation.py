import csv
import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from asrkit.audio import SAMPLING_RATE
from asrkit.data.manifest import Utterance
from asrkit.decoding.transcript import Transcript, Word
from asrkit.errors import AudioError, ConfigError, DataError
from asrkit.transcription import evaluation
from asrkit.transcription.evaluation import evaluate
from tests.support import streams
from tests.support.waiting import wait_for


class ScriptedTranscriber:
    """Returns the text set for a clip's length in milliseconds; `word~0.5` is a word with confidence 0.5."""

    def __init__(self):
        self.texts, self.batch_sizes = {}, []

    def transcribe_batch(self, waves, decoder):
        self.batch_sizes.append(len(waves))
        return [
            Transcript(
                [
                    Word(word.partition("~")[0], i, i + 0.5, float(word.partition("~")[2] or 0.95))
                    for i, word in enumerate(self.texts[round(wave.duration_s * 1000)].split())
                ],
                wave.duration_s,
            )
            for wave in waves
        ]


@pytest.fixture
def transcriber(tmp_path):
    transcriber, rows = ScriptedTranscriber(), []

    def add(reference, hypothesis, seconds=None, speaker=None):
        milliseconds = round(1000 * (seconds or 1 + len(rows) / 100))
        path = tmp_path / f"{len(rows)}.wav"
        soundfile.write(path, [0.1] * (milliseconds * SAMPLING_RATE // 1000), SAMPLING_RATE)
        transcriber.texts[milliseconds] = hypothesis
        rows.append(Utterance(str(path), reference, milliseconds / 1000, speaker))

    transcriber.add, transcriber.rows = add, rows
    return transcriber


def test_report_counts_and_groups(transcriber):
    transcriber.add("One two, three.", "one two three", 1.5, "ann")
    transcriber.add("one two three", "one too three", 3.0, "bob")
    transcriber.add("four", "four two too", 3.5, "bob")
    transcriber.add("two two", "", 25.0)
    report = evaluate(transcriber, transcriber.rows, "basic")
    assert report.scores.wer.rate == pytest.approx(5 / 9)
    low, high = report.intervals["wer"]
    assert 0 <= low < 5 / 9 < high
    assert [clip.hypothesis for clip in report.clips] == ["one two three", "one too three", "four two too", ""]
    assert [clip.utterance.audio[-5:] for clip in report.worst_clips(2)] == ["2.wav", "3.wav"]
    assert report.confusions(9)[:2] == [("two", "", 2), ("", "too", 1)]
    assert ("two", "too", 1) in report.confusions(9) and len(report.confusions(1)) == 1
    assert [(group.name, group.num_clips, round(group.scores.wer.rate, 2)) for group in report.group_by_speaker()] == [
        ("(not said)", 1, 1.0),
        ("bob", 2, 0.75),
        ("ann", 1, 0.0),
    ]
    assert [(group.name, group.num_clips) for group in report.group_by_length()] == [
        ("under 2 s", 1),
        ("2 to 5 s", 2),
        ("over 20 s", 1),
    ]
    rows = list(csv.DictReader(io.StringIO(report.to_csv())))
    assert [row["wer"] for row in rows] == ["0.0", "0.3333", "2.0", "1.0"] and rows[0]["reference"] == "one two three"


def test_calibration_bins_compare_confidence_with_accuracy(transcriber):
    transcriber.add("a b c d", "a~0.6 b~0.6 x~0.6 y~0.6")
    transcriber.add("a b", "a~0.995 b~1.0")
    transcriber.add("it's here", "don.t~0.2 here~0.2")  # the normaliser makes three words of two: not judged
    report = evaluate(transcriber, transcriber.rows, "basic")
    rows = [(row.low, row.num_words, round(row.confidence, 3), row.accuracy) for row in report.calibration_bins()]
    assert rows == [(0.5, 4, 0.6, 0.5), (0.99, 2, 0.998, 1.0)]
    assert report.calibration_error() == pytest.approx((4 * 0.1 + 2 * 0.0025) / 6)


def test_clips_are_grouped_by_length_and_reported_in_order(transcriber):
    for number in range(150):
        transcriber.add(f"clip {number}", f"clip {number}", 1 + (number * 37 % 150) / 100)
    seen = []
    report = evaluate(
        transcriber, transcriber.rows, "basic", on_progress=lambda message, done, total: seen.append((done, total))
    )
    assert report.scores.wer.rate == 0
    assert transcriber.batch_sizes == [64, 64, 22] and seen == [(0, 150), (64, 150), (128, 150), (150, 150)]
    assert report.group_by_speaker() == []


def test_unreadable_clip_is_skipped_and_reported(transcriber, tmp_path):
    transcriber.add("a b", "a b")
    (tmp_path / "bad.wav").write_text("no sound")
    rows = [Utterance(str(tmp_path / "bad.wav"), "a", -1.0), *transcriber.rows, Utterance("gone.wav", "a", 1.0)]
    seen = []
    report = evaluate(transcriber, rows, "basic", on_progress=lambda message, done, total: seen.append(done))
    assert report.summary()["utterances"] == 1 and report.summary()["wer"] == 0 and report.summary()["unreadable"] == 2
    assert any("bad.wav" in one for one in report.unreadable) and seen[-1] == 3


def test_seconds_in_memory_are_limited(transcriber, monkeypatch):
    monkeypatch.setattr(evaluation, "MAX_GROUP_S", 4.0)
    for number in range(5):
        transcriber.add("a", "a", 1.5 + number / 100)
    assert evaluate(transcriber, transcriber.rows, "basic").scores.wer.rate == 0
    assert transcriber.batch_sizes == [2, 2, 1]


def test_next_clips_are_decoded_while_the_last_are_transcribed(transcriber, monkeypatch):
    monkeypatch.setattr(evaluation, "MAX_GROUP_CLIPS", 1)
    for number in range(3):
        transcriber.add("a", "a", 1 + number / 100)
    decoded, real, transcribe = [], evaluation._load_waves, transcriber.transcribe_batch

    def load(utterances, group, reader):
        found = real(utterances, group, reader)
        decoded.append(group)
        return found

    def transcribe_batch(waves, decoder):
        wanted = min(3, len(transcriber.batch_sizes) + 2)
        wait_for(lambda: len(decoded) >= wanted, "the next group to be decoded")
        return transcribe(waves, decoder)

    monkeypatch.setattr(evaluation, "_load_waves", load)
    monkeypatch.setattr(transcriber, "transcribe_batch", transcribe_batch)
    assert evaluate(transcriber, transcriber.rows, "basic").scores.wer.rate == 0


def test_impossible_evaluations_raise(transcriber):
    with pytest.raises(DataError, match="no clip"):
        evaluate(transcriber, [], "basic")
    with pytest.raises(AudioError, match="gone.wav"):
        evaluate(transcriber, [Utterance("gone.wav", "a", 1.0)], "basic")
    with pytest.raises(ConfigError, match="normaliser"):
        evaluate(transcriber, [Utterance("gone.wav", "a", 1.0)], "nosuch")
    transcriber.add("a", "a")

    class Enough(Exception):
        pass

    def stop(message, done, total):
        raise Enough

    with pytest.raises(Enough):
        evaluate(transcriber, transcriber.rows, "basic", on_progress=stop)
    assert transcriber.batch_sizes == []


def test_errors_of_an_unspaced_script_are_counted_by_character(transcriber):
    transcriber.add("我们去", "我门去")
    transcriber.add("我们", "我们")
    report = evaluate(transcriber, transcriber.rows, "basic")
    assert report.confusions(9) == [("们", "门", 1)]
    assert [clip.errors for clip in report.clips] == [1, 0] and report.scores.mer.rate == 0.2


@pytest.mark.parametrize("num_outputs", [8, 11], ids=["as the tokenizer", "more than the tokenizer"])
def test_training_and_evaluation_decode_the_same_text(tmp_path, num_outputs):
    """A model that emits every output, `<unk>` and those beyond the vocabulary included."""
    from transformers import AutoModelForCTC, AutoProcessor

    from asrkit.transcription.transcriber import Transcriber
    from tests.support import tiny
    from tests.support.evaluation import evaluate as evaluate_as_in_a_run

    folder = tiny.write_checkpoint(tmp_path / "tiny", vocab_size=num_outputs)
    model = AutoModelForCTC.from_pretrained(folder)
    with torch.no_grad():
        model.lm_head.weight.normal_(0, 20, generator=torch.Generator().manual_seed(3))
    model.save_pretrained(folder)
    rng = np.random.default_rng(0)
    utterances = []
    for number, duration_s in enumerate((0.4, 0.9, 1.3)):
        path = tmp_path / f"{number}.wav"
        soundfile.write(path, 0.1 * rng.standard_normal(round(duration_s * SAMPLING_RATE)), SAMPLING_RATE)
        utterances.append(Utterance(str(path), "ab", duration_s))
    processor = AutoProcessor.from_pretrained(folder)
    samples = evaluate_as_in_a_run(model.eval(), processor, utterances, batch_size=1).samples
    clips = evaluate(Transcriber(str(folder)), utterances, "none").clips
    assert [sample["hypothesis"] for sample in samples] == [clip.hypothesis for clip in clips]
    assert len("".join(clip.hypothesis for clip in clips)) > 20 and not any("<" in clip.hypothesis for clip in clips)


def test_streamed_clips_are_fetched(transcriber, tmp_path, monkeypatch):
    folder = tmp_path / "hub/datasets" / streams.NAME
    streams.write_parquet(folder / "train.parquet", [1.0, 1.5, 2.0, 2.5], 1, ["one", "two", "three", "four"])
    transcriber.texts = {1000: "one", 1500: "two", 2000: "tree", 2500: "four"}
    with streams.serve(tmp_path / "hub") as stand_in:
        streams.use_in_process(stand_in, tmp_path, monkeypatch)
        rows = streams.read_rows(stand_in)
        assert not all(Path(row.audio).exists() for row in rows)
        report = evaluate(transcriber, rows, "basic")
    assert [clip.hypothesis for clip in report.clips] == ["one", "two", "tree", "four"]
    assert not report.unreadable
