"""The sample that a run is evaluated on: how it is found, within which time, and that it stays."""

import functools

import pytest

from asrkit.config import TrainConfig
from asrkit.data.manifest import Utterance
from asrkit.runs.events import Event
from asrkit.text import metrics
from asrkit.training import evaluator
from asrkit.training.clip_decoding import ClipResult
from asrkit.training.evaluator import Evaluator

ROWS = [Utterance(f"{number}.wav", "a b", 1 + number % 7, speaker=f"s{number % 9}") for number in range(1_000)]


class FakeModel:
    """Takes `clip_s` seconds for a clip, by the clock that `time.monotonic` shows; gets every second word right."""

    def __init__(self, clip_s):
        self.clip_s, self.now, self.calls = clip_s, 100.0, []

    def decode(self, model, processor, rows, clips, *, on_progress, **_):
        self.calls.append(list(clips))
        self.now += self.clip_s * len(clips)
        assert on_progress(len(clips), len(clips))
        return {index: ClipResult("a c", "a c", 1.0, 10, 5, 4, 0) for index in clips}


@pytest.fixture
def make_evaluator(monkeypatch):
    """make_evaluator(seconds a clip, settings) -> (Evaluator, FakeModel)"""

    def make(clip_s=0.02, evaluations=(), rows=ROWS, **settings):
        model = FakeModel(clip_s)
        monkeypatch.setattr(evaluator, "decode_clips", model.decode)
        monkeypatch.setattr(evaluator.time, "monotonic", lambda: model.now)
        return Evaluator(TrainConfig(preset="", **settings), None, rows, None, evaluations), model

    return make


def accept(done, total):
    return done <= total


@pytest.mark.parametrize(("clip_s", "num_clips"), [(0.001, 64), (0.02, 64), (0.5, 20), (5.0, 2), (60.0, 1)])
@pytest.mark.parametrize("max_clips", [0, -1])
def test_start_takes_64_clips_and_10_seconds_at_most(make_evaluator, clip_s, num_clips, max_clips):
    ours, model = make_evaluator(clip_s, eval_max_clips=max_clips)
    data = ours.evaluate_start(model, accept).to_event_data()
    assert data["utterances"] == num_clips and data["of"] == 1_000
    assert num_clips == 1 or ours.start_s <= 10


@pytest.mark.parametrize(("training_s", "num_evaluations"), [(900, 5), (9_000, 50), (500, 1), (300, 7)])
def test_evaluations_take_a_tenth_of_the_time(make_evaluator, monkeypatch, training_s, num_evaluations):
    monkeypatch.setattr(metrics, "bootstrap_wer_interval", lambda *_: (0.0, 1.0))  # takes no time by the fake clock
    score = functools.cache(metrics.score)  # the same texts at each evaluation
    monkeypatch.setattr(metrics, "score", lambda *texts: score(*map(tuple, texts)))
    ours, model = make_evaluator(0.02)
    begun = model.now
    ours.evaluate_start(model, accept)
    for _ in range(num_evaluations):
        result = ours.evaluate(model, accept, training_s, num_evaluations)
    evaluating_s = model.now - begun
    share = evaluating_s / (evaluating_s + training_s)
    assert share <= 0.1 and (share > 0.085 or result.utterances == 1_000)
    assert result.to_event_data()["of"] == 1_000


def test_sample_stays_and_begins_with_the_clips_of_the_start(make_evaluator):
    ours, model = make_evaluator(0.02)
    ours.evaluate_start(model, accept)
    start = sum(model.calls, [])
    ours.evaluate(model, accept, 900, 10)
    first = sum(model.calls, [])[len(start) :]
    model.clip_s, model.calls = 3.0, []
    data = ours.evaluate(model, accept, 900, 10).to_event_data()
    (second,) = model.calls
    assert first == second and second[:64] == start and 64 < len(second) < 1_000
    assert data["start_sample"] == {"wer": 0.5, "cer": pytest.approx(1 / 3), "mer": 0.5}


def test_clips_of_the_start_need_no_interval_of_their_own(make_evaluator, monkeypatch):
    """The bootstrap takes the most of the time that scoring takes."""
    ours, model = make_evaluator(0.02)
    ours.evaluate_start(model, accept)
    intervals = []
    monkeypatch.setattr(metrics, "bootstrap_wer_interval", lambda *_: intervals.append((0.0, 1.0)) or intervals[-1])
    assert "start_sample" in ours.evaluate(model, accept, 900, 10).to_event_data()
    assert len(intervals) == 1


def test_sample_has_64_clips_at_least(make_evaluator):
    ours, model = make_evaluator(1.0)
    assert ours.evaluate(model, accept, 10, 10).utterances == 64
    ours, model = make_evaluator(1.0, rows=ROWS[:50])
    assert ours.evaluate(model, accept, 10, 10).utterances == 50


@pytest.mark.parametrize(("max_clips", "num_clips"), [(30, 30), (400, 400), (5_000, 1_000), (-1, 1_000)])
def test_number_of_clips_binds(make_evaluator, max_clips, num_clips):
    ours, model = make_evaluator(1.0, eval_max_clips=max_clips)
    assert ours.evaluate_start(model, accept).utterances <= min(10, num_clips)
    assert ours.evaluate(model, accept, 10, 10).utterances == num_clips


def test_resumed_run_keeps_its_sample(make_evaluator):
    history = [
        Event("eval", 1.0, 0, data={"utterances": 64, "seconds": 1.0}),
        Event("eval", 2.0, 10, data={"utterances": 321}),
    ]
    ours, model = make_evaluator(evaluations=history)
    data = ours.evaluate(model, accept, 10, 10).to_event_data()
    assert data["utterances"] == 321 and "start_sample" in data
