import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asrkit.runs import clock, summary
from asrkit.runs.curves import Point, thin
from asrkit.runs.events import Event
from asrkit.runs.view import RunView, load_view


def event(kind, time, step=None, epoch=None, **data):
    return Event(kind, time, step, epoch, data)


def scores(step, wer, cer=0.5, loss=1.0, **more):
    return event("eval", 1000.0 + step, step, step / 10, loss=loss, wer=wer, cer=cer, mer=wer and wer / 2, **more)


STARTED = event("started", 1000.0, 0, total_steps=40, metric_for_best_model="wer")


def seen(*told):
    result = RunView("one")
    for one in told:
        result.apply(one)
    return result


def curve(run_view, name):
    return [(point.step, point.value) for point in run_view.series[name]]


def test_nothing_yet():
    empty = RunView("one")
    assert empty.progress() == 0 and empty.eta_s() is None and empty.elapsed_s() == 0
    assert empty.best is None and empty.end is None and empty.total_steps is None


def test_series():
    found = seen(
        STARTED,
        event("train", 1010.0, 10, 1.0, loss=3.0, learning_rate=1e-4, grad_norm=2.0, surprise=7),
        scores(10, 0.9, blank_share=0.7),
        event("train", 1020.0, 20, 2.0, loss=None, learning_rate=9e-5, non_finite=["loss"]),
    )
    assert curve(found, "train/loss") == [(10, 3.0), (20, None)]
    assert curve(found, "train/learning_rate") == [(10, 1e-4), (20, 9e-5)]
    assert curve(found, "train/grad_norm") == [(10, 2.0)]
    assert curve(found, "eval/wer") == [(10, 0.9)] and curve(found, "eval/blank_share") == [(10, 0.7)]
    assert "train/surprise" not in found.series and "eval/length_ratio" not in found.series
    point = found.series["train/loss"][0]
    assert point == (10, 1.0, 1010.0, 3.0, 10.0)
    assert (found.step, found.epoch, found.progress()) == (20, 2.0, 0.5)


def test_a_phase_lasts_until_something_else_is_told():
    loading = event("phase", 1.0, phase="loading", text="Loading")
    assert seen(loading).phase == loading
    for next_one in (
        event("train", 2.0, 1, loss=1.0),
        scores(1, 1.0),
        event("checkpoint", 2.0, 1),
        event("finished", 2.0, 1, message=""),
    ):
        assert seen(loading, next_one).phase is None


def test_a_resumed_run_rewinds_to_its_checkpoint():
    """What was told after the checkpoint is told anew; what came before it stays, in its order."""
    steps = [event("train", 1000.0 + step, step, step / 10, loss=float(step)) for step in (10, 20, 30)]
    found = seen(
        STARTED,
        steps[0],
        scores(10, 0.8),
        event("finding", 1011.0, 10, 1.0, code="plateau"),
        steps[1],
        scores(20, 0.5),
        steps[2],
        scores(30, 0.1),
        event("finding", 1031.0, 30, 3.0, code="overfitting"),
        event("failed", 1032.0, 30, message="Out of memory."),
        event("phase", 2000.0, phase="loading", text="Loading"),
        event("started", 2001.0, 20, total_steps=40, metric_for_best_model="wer"),
    )
    assert curve(found, "train/loss") == [(10, 10.0), (20, 20.0)]
    assert curve(found, "eval/wer") == [(10, 0.8), (20, 0.5)]
    assert [told.step for told in found.evaluations] == [10, 20]
    assert [finding["code"] for finding in found.findings] == ["plateau"]
    assert found.best.step == 20 and found.step == 20
    assert found.end is None
    found.apply(event("train", 2010.0, 30, 3.0, loss=3.5))
    assert curve(found, "train/loss") == [(10, 10.0), (20, 20.0), (30, 3.5)]


def test_a_resumed_run_has_not_ended_while_it_loads():
    found = seen(STARTED, event("failed", 1001.0, message="No."), event("phase", 1002.0, phase="loading", text=""))
    assert found.end is None


@pytest.mark.parametrize(("metric", "step"), [("wer", 20), ("cer", 30), ("loss", 10), ("mer", 20)])
def test_best_by_the_chosen_metric(metric, step):
    begun = dataclasses.replace(STARTED, data={**STARTED.data, "metric_for_best_model": metric})
    found = seen(begun, scores(10, 0.9, 0.5, 0.1), scores(20, 0.3, 0.4, 0.5), scores(30, 0.4, 0.2, 0.6))
    assert found.best.step == step


def test_best_is_the_first_of_equals_and_never_a_missing_number():
    assert seen(STARTED, scores(10, 0.5), scores(20, 0.5)).best.step == 10
    assert seen(STARTED, scores(10, None), scores(20, 0.9)).best.step == 20
    assert seen(STARTED, scores(10, None)).best is None


def test_eta():
    """10 steps took 20 s, so the 30 that are left take 60 s, less the 5 s that have gone by."""
    found = seen(STARTED, event("train", 1010.0, 0, loss=1.0), event("train", 1030.0, 10, loss=1.0))
    assert found.eta_s(now=1030.0) == 60.0
    assert found.eta_s(now=1035.0) == 55.0
    assert found.eta_s(now=9999.0) == 40.0, "an evaluation, or a machine that sleeps, brings the end no nearer"
    found.apply(event("finished", 1100.0, 40, message=""))
    assert found.eta_s(now=1100.0) is None


NIGHT = 8 * 3600.0


def test_a_night_of_sleep_is_no_time_of_work():
    steps = [event("train", 1000.0 + 10 * step, step, loss=1.0) for step in (1, 2, 3)]
    slept = seen(STARTED, *steps, event("train", 1040.0 + NIGHT, 4, loss=1.0))
    assert slept.elapsed_s(now=1040.0 + NIGHT) == pytest.approx(40.0)
    assert slept.eta_s(now=1040.0 + NIGHT) == pytest.approx(360.0)
    evaluating = [event("phase", 1031.0 + wait, phase="evaluating", text="") for wait in (0.0, NIGHT)]
    assert seen(STARTED, *steps, *evaluating).elapsed_s(now=1031.0 + NIGHT) == pytest.approx(31.0)


def test_a_long_wait_is_not_always_sleep():
    loading = event("phase", 1000.0, phase="loading", text="Loading the base model")
    begun = event("started", 5000.0, 0, total_steps=4000)
    steps = [event("train", 5000.0 + 10 * step, step, loss=1.0) for step in (1, 2, 3, 1000)]
    assert seen(loading, begun, *steps).elapsed_s(now=15_000.0) == 14_000.0, "a download; steps that were not read"


def test_eta_is_of_the_present_life():
    """Before the stop a step took 1 s; now it takes 4 s, and 18 are left."""
    found = seen(
        STARTED,
        event("train", 1001.0, 1, loss=1.0),
        event("train", 1011.0, 11, loss=1.0),
        event("stopped", 1012.0, 11, message=""),
        event("started", 5000.0, 11, total_steps=40),
        event("train", 5010.0, 12, loss=1.0),
    )
    assert found.eta_s(now=5010.0) is None
    found.apply(event("train", 5050.0, 22, loss=1.0))
    assert found.eta_s(now=5050.0) == 72.0


def test_no_eta_without_a_goal_or_a_pace():
    two = [event("train", 1010.0, 1, loss=1.0), event("train", 1020.0, 2, loss=1.0)]
    assert seen(event("started", 1000.0, 0), *two).eta_s() is None
    assert seen(STARTED, two[0]).eta_s() is None
    assert seen(STARTED, two[0], two[0]).eta_s() is None


def test_elapsed_time_ends_with_the_run():
    found = seen(event("phase", 990.0, phase="loading", text=""), STARTED)
    assert found.elapsed_s(now=1010.0) == 20.0
    found.apply(event("failed", 1030.0, message=""))
    assert found.elapsed_s(now=9999.0) == 40.0


def test_progress_is_never_more_than_all():
    assert seen(STARTED, event("train", 1010.0, 50, loss=1.0)).progress() == 1.0


# What `runs show` prints

KEYS = ["run_id", "status", "step", "total_steps", "epoch", "pid", "last_eval", "best", "findings", "error", "path"]


def test_summary_of_a_run_that_waits(make_run):
    run = make_run("one")
    assert summary.summarize_run(run) == dict(
        zip(KEYS, ["one", "queued", 0, None, 0.0, None, None, None, [], None, str(run.path)], strict=True)
    )


def test_summary(make_run):
    finding = {"code": "plateau", "cause": "Too low a rate.", "remedy": "Raise it."}
    told = [
        STARTED,
        event("train", 1010.0, 10, 1.0, loss=3.0),
        scores(10, 0.5),
        scores(20, 0.75, samples=["much"]),
        event("finding", 1021.0, 20, 2.0, **finding),
        event(
            "failed",
            1030.0,
            21,
            2.10004,
            error="out-of-memory",
            message="Out of memory.",
            remedy="Halve it.",
            traceback="Traceback",
        ),
    ]
    run = make_run("one", told, {"pid": 1, "start": "another boot", "start_time": 900.0})
    assert load_view(run).end.data["remedy"] == "Halve it."
    found = summary.summarize_run(run)
    assert list(found) == KEYS
    assert found == {
        "run_id": "one",
        "status": "failed",
        "step": 21,
        "total_steps": 40,
        "epoch": 2.1,
        "pid": 1,
        "last_eval": {"step": 20, "loss": 1.0, "wer": 0.75, "cer": 0.5, "mer": 0.375},
        "best": {"step": 10, "loss": 1.0, "wer": 0.5, "cer": 0.5, "mer": 0.25},
        "findings": [{"code": "plateau", "step": 20, "epoch": 2.0, "cause": "Too low a rate.", "remedy": "Raise it."}],
        "error": "Out of memory.",
        "path": str(run.path),
    }


def test_a_pause_between_two_lives_is_no_time_of_work():
    """10 s of work, ended or killed, an hour of nothing, 5 s of loading and 15 s of work: 30 s."""

    def life(begun):
        return [
            event("phase", begun, phase="loading", text="Loading PyTorch", begins=True),
            event("phase", begun + 2, phase="loading", text="Loading the base model"),
        ]

    first = [*life(1000.0), event("started", 1005.0, 0, total_steps=4), event("train", 1010.0, 2, loss=1.0)]
    second = [*life(4610.0), event("started", 4615.0, 2, total_steps=4), event("train", 4630.0, 3, loss=1.0)]
    assert seen(*life(1000.0), *second).elapsed_s(now=4630.0) == pytest.approx(22.0), "killed while it loaded"
    for end in ([], [event("stopped", 1010.0, 2, message="Stopped.", saved=True)]):
        assert seen(*first, *end, *second).elapsed_s(now=4630.0) == pytest.approx(30.0)


def points(values):
    return [Point(step, step / 10, 1000.0 + step, value, float(step)) for step, value in enumerate(values)]


@given(st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), min_size=1, max_size=400), st.integers(4, 40))
def test_a_thinned_curve_keeps_its_ends_its_extremes_and_its_order(values, most):
    before = points(values)
    after = thin(before, most)
    assert (after[0], after[-1]) == (before[0], before[-1])
    assert after == sorted(after, key=lambda point: point.step) and set(after) <= set(before)
    assert len(after) <= 1.5 * most + 4
    known = [value for value in values if value is not None]
    kept = [point.value for point in after if point.value is not None]
    if known:
        assert (min(known), max(known)) == (min(kept), max(kept))
    assert (None in values) == any(point.value is None for point in after)


def test_a_long_run_is_kept_short_and_its_spike_stays():
    long, step = RunView("one", max_points=50), 0
    for step in range(1, 20_001):
        long.apply(event("train", 1000.0 + step, step, step / 10, loss=99.0 if step == 7 else 1 / step))
    kept = curve(long, "train/loss")
    assert len(kept) <= 300 and (7, 99.0) in kept and kept[-1][0] == step
    gaps = [after - before for (before, _), (after, _) in zip(kept, kept[1:], strict=False)]
    assert max(gaps) < 20_000 / 15, "no stretch of the run is without a point"


def test_work_is_counted_without_the_pause_between_two_lives():
    found = seen(
        STARTED,
        event("train", 1010.0, 1, loss=1.0),
        event("phase", 5000.0, phase="loading", begins=True),
        event("train", 5010.0, 2, loss=1.0),
    )
    assert [point.elapsed_s for point in found.series["train/loss"]] == [10.0, 20.0]


def test_a_run_that_begins_again_from_nothing_tells_its_first_evaluation_once():
    """Killed after the evaluation of step 0 and before the first checkpoint."""
    finding = event("finding", 1000.0, 0, 0.0, code="learning-rate-high", cause="", remedy="")
    found = seen(
        STARTED, finding, scores(0, 1.0), event("train", 1001.0, 1, 0.1, loss=3.0), STARTED, finding, scores(0, 1.0)
    )
    assert [told.step for told in found.evaluations] == [0] and len(found.findings) == 1
    assert curve(found, "eval/wer") == [(0, 1.0)] and curve(found, "train/loss") == []


HOUR = 3600.0


@pytest.mark.parametrize("jump_s", [HOUR, -HOUR])
def test_a_clock_that_is_set_changes_neither_time_nor_pace(jump_s):
    """Ten seconds a step, in two lives; the clock is set while it trains, and again between the lives."""
    told = seen(
        STARTED,
        *(event("train", 1000.0 + 10 * step, step, loss=1.0) for step in (1, 2, 3)),
        *(event("train", 1000.0 + 10 * step + jump_s, step, loss=1.0) for step in (4, 5)),
    )
    assert told.elapsed_s(now=1050.0 + jump_s) == pytest.approx(50.0)
    assert told.eta_s(now=1050.0 + jump_s) == pytest.approx(350.0)
    told.apply(event("phase", 1060.0 - jump_s, phase="loading", text="", begins=True))
    told.apply(event("started", 1070.0 - jump_s, 5, total_steps=40))
    told.apply(event("train", 1080.0 - jump_s, 6, loss=1.0))
    assert [round(point.elapsed_s) for point in told.series["train/loss"]] == [10, 20, 30, 40, 50, 70]
    assert told.elapsed_s(now=1080.0 - jump_s) == pytest.approx(70.0)


@pytest.mark.parametrize("jump_s", [HOUR, -HOUR])
def test_the_present_goes_on_when_the_clock_is_set(monkeypatch, jump_s):
    now = {"time": 1035.0, "monotonic": 7.0}
    for name in now:
        monkeypatch.setattr(clock.time, name, lambda name=name: now[name])
    told, present = seen(STARTED, event("train", 1030.0, 3, loss=1.0)), clock.RunClock()
    assert present.of(told) == 1035.0
    now["time"], now["monotonic"] = 1036.0 + jump_s, 8.0
    assert present.of(told) == 1036.0
    told.apply(event("train", 1040.0 + jump_s, 4, loss=1.0))
    assert present.of(told) == max(1036.0, 1040.0) + jump_s, "never before the last event"
