"""The status text of a run, and its samples as HTML."""

import pytest

from asrkit.runs.events import Event
from asrkit.runs.heartbeat import HeartbeatStatus
from asrkit.ui.common import samples, status_text


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({"phase": "loading"}, "Loading the base model"),
        ({"phase": "evaluating", "done": 24, "total": 100}, "Evaluating 24 of 100"),
        (
            {"phase": "evaluating", "text": "Recognised 24 of 100 clips", "done": 24, "total": 100},
            "Recognised 24 of 100 clips",
        ),
        ({"phase": "preparing", "text": "Reading 480 clips", "done": 120, "total": 480}, "Reading 480 clips, 25% done"),
        ({"phase": "humming"}, "Humming"),
        ({}, "Working"),
    ],
)
def test_phase_event_is_formatted_with_its_progress(data, text):
    assert status_text.format_phase(Event("phase", 0.0, data=data)) == text


def test_errors_are_marked_by_word():
    assert samples.mark_errors("a b c d", "a x c e d") == (
        'a <mark title="instead of b">x</mark> c <ins title="extra">e</ins> d'
    )
    assert samples.mark_errors("a b", "a") == 'a <del title="missing">b</del>'
    assert samples.mark_errors("我们去 a", "我门去 b") == (
        '我<mark title="instead of 们">门</mark>去 <mark title="instead of a">b</mark>'
    ), "by character"
    assert samples.mark_errors("", "<b>") == '<ins title="extra">&lt;b&gt;</ins>'


def test_quotes_in_a_reference_are_escaped():
    assert 'title="instead of &quot;onmouseover=x"' in samples.mark_errors('"onmouseover=x', "b")


def test_evaluation_without_samples_has_a_notice():
    assert "has no sample clips" in samples.render_samples(Event("eval", 0.0, 1))
    assert samples.format_caption(Event("eval", 0.0, 4, data={"wer": None, "cer": 0.5})) == "Step 4 · CER 50.0 %"
    mixed = {"wer": 0.3, "datasets": {"/data/mine/village": {"wer": 0.2}, "hub:org/name": {"wer": 0.4}}}
    caption = samples.format_caption(Event("eval", 0.0, 4, data=mixed))
    assert caption == "Step 4 · WER 30.0 % · village: WER 20.0 % · hub:org/name: WER 40.0 %"


def test_heartbeat_that_nobody_can_fetch_tells_nothing(make_run, monkeypatch):
    run = make_run(process={"pid": 1, "start": "other:1", "launcher": "hf-jobs"})
    monkeypatch.setattr(status_text.heartbeat, "read_heartbeat", lambda _: HeartbeatStatus(100.0, 1.0))
    launcher = status_text.launchers.of_run(run)
    assert status_text.format_short_status(run, "running") == "Running, not responding"
    monkeypatch.setattr(launcher, "is_cut_off", lambda _: True)
    assert status_text.format_short_status(run, "running") == "Running"
    assert status_text.describe_silence("running", status_text.read_heartbeat(run, "running")) == ""
