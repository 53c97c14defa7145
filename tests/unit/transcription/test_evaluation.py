import csv
import io

import pytest
import soundfile

from asrkit.audio import SAMPLING_RATE
from asrkit.data.manifest import Utterance
from asrkit.decoding.transcript import Transcript, Word
from asrkit.errors import AudioError, ConfigError, DataError
from asrkit.transcription import evaluation
from asrkit.transcription.evaluation import evaluate


class Parrot:
    """Says what is written under a clip's length in milliseconds, each word as sure as its number says."""

    def __init__(self):
        self.said, self.asked = {}, []

    def transcribe_batch(self, waves, decoder):
        self.asked.append(len(waves))
        return [
            Transcript(
                [
                    Word(word.partition("~")[0], i, i + 0.5, float(word.partition("~")[2] or 0.95))
                    for i, word in enumerate(self.said[round(wave.duration_s * 1000)].split())
                ],
                wave.duration_s,
            )
            for wave in waves
        ]


@pytest.fixture
def parrot(tmp_path):
    listener, rows = Parrot(), []

    def add(reference, hypothesis, seconds=None, speaker=None):
        milliseconds = round(1000 * (seconds or 1 + len(rows) / 100))
        path = tmp_path / f"{len(rows)}.wav"
        soundfile.write(path, [0.1] * (milliseconds * SAMPLING_RATE // 1000), SAMPLING_RATE)
        listener.said[milliseconds] = hypothesis
        rows.append(Utterance(str(path), reference, milliseconds / 1000, speaker))

    listener.add, listener.rows = add, rows
    return listener


def test_counts_and_groups_by_hand(parrot):
    parrot.add("One two, three.", "one two three", 1.5, "ann")
    parrot.add("one two three", "one too three", 3.0, "bob")
    parrot.add("four", "four two too", 3.5, "bob")
    parrot.add("two two", "", 25.0)
    told = evaluate(parrot, parrot.rows, "basic")
    assert told.scores.wer.rate == pytest.approx(5 / 9)
    low, high = told.intervals["wer"]
    assert 0 <= low < 5 / 9 < high
    assert [clip.hypothesis for clip in told.clips] == ["one two three", "one too three", "four two too", ""]
    assert [clip.utterance.audio[-5:] for clip in told.worst_clips(2)] == ["2.wav", "3.wav"]
    assert told.confusions(9)[:2] == [("two", "", 2), ("", "too", 1)]
    assert ("two", "too", 1) in told.confusions(9) and len(told.confusions(1)) == 1
    assert [(group.name, group.num_clips, round(group.scores.wer.rate, 2)) for group in told.group_by_speaker()] == [
        ("(not said)", 1, 1.0),
        ("bob", 2, 0.75),
        ("ann", 1, 0.0),
    ]
    assert [(group.name, group.num_clips) for group in told.group_by_length()] == [
        ("under 2 s", 1),
        ("2 to 5 s", 2),
        ("over 20 s", 1),
    ]
    rows = list(csv.DictReader(io.StringIO(told.to_csv())))
    assert [row["wer"] for row in rows] == ["0.0", "0.3333", "2.0", "1.0"] and rows[0]["reference"] == "one two three"


def test_confidence_against_truth(parrot):
    parrot.add("a b c d", "a~0.6 b~0.6 x~0.6 y~0.6")
    parrot.add("a b", "a~0.995 b~1.0")
    parrot.add("it's here", "don.t~0.2 here~0.2")  # the normaliser makes three words of two: not judged
    told = evaluate(parrot, parrot.rows, "basic")
    rows = [(row.low, row.num_words, round(row.confidence, 3), row.accuracy) for row in told.calibration_bins()]
    assert rows == [(0.5, 4, 0.6, 0.5), (0.99, 2, 0.998, 1.0)]
    assert told.calibration_error() == pytest.approx((4 * 0.1 + 2 * 0.0025) / 6)


def test_clips_are_heard_with_others_of_their_length_and_told_in_their_order(parrot):
    for number in range(150):
        parrot.add(f"clip {number}", f"clip {number}", 1 + (number * 37 % 150) / 100)
    seen = []
    told = evaluate(parrot, parrot.rows, "basic", on_progress=lambda message, done, total: seen.append((done, total)))
    assert told.scores.wer.rate == 0
    assert parrot.asked == [64, 64, 22] and seen == [(0, 150), (64, 150), (128, 150), (150, 150)]
    assert told.group_by_speaker() == []


def test_a_clip_that_cannot_be_read_is_left_out_and_told(parrot, tmp_path):
    parrot.add("a b", "a b")
    (tmp_path / "bad.wav").write_text("no sound")
    rows = [Utterance(str(tmp_path / "bad.wav"), "a", -1.0), *parrot.rows, Utterance("gone.wav", "a", 1.0)]
    seen = []
    told = evaluate(parrot, rows, "basic", on_progress=lambda message, done, total: seen.append(done))
    assert told.summary()["utterances"] == 1 and told.summary()["wer"] == 0 and told.summary()["unreadable"] == 2
    assert any("bad.wav" in one for one in told.unreadable) and seen[-1] == 3


def test_long_clips_are_not_all_held_at_once(parrot, monkeypatch):
    monkeypatch.setattr(evaluation, "MAX_GROUP_S", 4.0)
    for number in range(5):
        parrot.add("a", "a", 1.5 + number / 100)
    assert evaluate(parrot, parrot.rows, "basic").scores.wer.rate == 0
    assert parrot.asked == [2, 2, 1]


def test_what_cannot_be_evaluated(parrot):
    with pytest.raises(DataError, match="no clip"):
        evaluate(parrot, [], "basic")
    with pytest.raises(AudioError, match="gone.wav"):
        evaluate(parrot, [Utterance("gone.wav", "a", 1.0)], "basic")
    with pytest.raises(ConfigError, match="normalizer"):
        evaluate(parrot, [Utterance("gone.wav", "a", 1.0)], "nosuch")
    parrot.add("a", "a")

    class Enough(Exception):
        pass

    def stop(message, done, total):
        raise Enough

    with pytest.raises(Enough):
        evaluate(parrot, parrot.rows, "basic", on_progress=stop)
    assert parrot.asked == []


def test_errors_in_a_script_without_spaces_are_told_by_character(parrot):
    parrot.add("我们去", "我门去")
    parrot.add("我们", "我们")
    told = evaluate(parrot, parrot.rows, "basic")
    assert told.confusions(9) == [("们", "门", 1)]
    assert [clip.errors for clip in told.clips] == [1, 0] and told.scores.mer.rate == 0.2
