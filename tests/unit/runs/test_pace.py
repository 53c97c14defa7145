"""How fast this machine trains, as its runs have measured it."""

import dataclasses
import json

import pytest

from asrkit.runs import calibration, pace
from asrkit.runs.events import Event
from asrkit.runs.store import RunStore

PACE = pace.Pace(5.0, 30.0, 100.0, 1_000_000, "nothing")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv(pace.VARIABLE, raising=False)
    monkeypatch.delenv("ATEN_CPU_CAPABILITY", raising=False)
    return tmp_path / "asrkit" / pace.FILE


def history(*speeds, start=0):
    yield Event("phase", 1.0, data={"phase": "loading", "begins": True}, elapsed_s=100.0)
    yield Event("started", 1.0, start, data={"parameters": 1_000_000}, elapsed_s=107.0)
    yield Event("eval", 1.0, 0, data={"audio_seconds": 50.0, "seconds": 2.0}, elapsed_s=109.0)
    for step, speed in enumerate(speeds, 1):
        yield Event("train", 1.0, step, data={"audio_seconds_per_second": speed}, elapsed_s=109.0 + step)
    yield Event("eval", 1.0, 9, data={"audio_seconds": 50.0, "seconds": 0.5}, elapsed_s=120.0)


def test_pace_of_a_run_is_measured():
    measured = pace.measure(history(1.0, 20.0, 60.0), "nothing")
    assert measured.startup_s == 7.0 and measured.train_speed == pytest.approx(30.0) and measured.eval_speed == 40.0
    assert measured.predict_s(300.0, 80.0) == pytest.approx(7 + 10 + 2)


@pytest.mark.parametrize("events", [history(), history(1.0), history(1.0, 2.0, start=5), []])
def test_short_or_resumed_runs_are_no_measure(events):
    assert pace.measure(events, "nothing") is None


def test_pace_is_kept_for_each_device_and_instruction_set(monkeypatch):
    pace.remember(PACE, "cpu")
    assert dataclasses.replace(pace.recall("cpu", 1_050_000, "nothing"), time=0.0) == PACE
    assert pace.recall("cpu", 200_000_000, "nothing") is None, "far too large"
    assert pace.recall("cuda:0", 1_000_000, "nothing") is None and not pace.is_known("cuda:1")
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "avx2")
    assert pace.recall("cpu", 1_000_000, "nothing") is None


def test_run_replaces_a_calibration():
    pace.remember(dataclasses.replace(PACE, is_calibration=True, train_speed=1000.0), "cpu")
    pace.remember(PACE, "cpu")
    assert pace.recall("cpu", 1_000_000, "nothing") == PACE
    assert pace.recall("cpu", 1_000_000, "feature-encoder") == PACE, "the nearest there is"


def test_run_beside_other_programs_does_not_slow_the_forecast_down():
    """The fastest of the last three runs counts: a machine that is slower for good shows after them."""
    slow = dataclasses.replace(PACE, train_speed=PACE.train_speed / 20)
    for expected, measured in ((slow, slow), (PACE, PACE), (PACE, slow), (PACE, slow), (slow, slow)):
        pace.remember(measured, "cpu")
        assert pace.recall("cpu", 1_000_000, "nothing") == expected


@pytest.mark.parametrize("content", ["", "[]", "{", '{"x": 1}', json.dumps({"other": [{"speed": 1}]})])
def test_damaged_file_is_nothing_known(cache, content):
    cache.parent.mkdir()
    cache.write_text(content)
    assert pace.recall("cpu", 1_000_000, "nothing") is None
    pace.remember(PACE, "cpu")
    assert pace.recall("cpu", 1_000_000, "nothing") == PACE


def test_machine_is_measured_once(tmp_path, monkeypatch):
    """Not while something is known, and not beside a run."""
    started = []
    monkeypatch.setenv("ASRKIT_DEVICES", "cpu")
    monkeypatch.setattr(calibration.subprocess, "run", lambda command, **options: started.append(command))
    store = RunStore(tmp_path / "runs")
    calibration.calibrate_once(store)
    assert [command[-1] for command in started] == ["asrkit.training.calibration"]
    pace.remember(PACE, "cpu")
    calibration.calibrate_once(store)
    assert len(started) == 1
