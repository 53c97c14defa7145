import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asrkit.runs import clock, summary
from asrkit.runs.curves import Point, thin
from asrkit.runs.events import Event, make_event
from asrkit.runs.view import RunView, load_view


def event(kind, time, step=None, epoch=None, elapsed_s=None, **data):
    """An event; without `elapsed_s`, one of an older version."""
    return Event(kind, time, step, epoch, data, elapsed_s)


def scores(step, wer, cer=0.5, loss=1.0, **more):
    return event("eval", 1000.0 + step, step, step / 10, loss=loss, wer=wer, cer=cer, mer=wer and wer / 2, **more)


STARTED = event("started", 1000.0, 0, total_steps=40, metric_for_best_model="wer")


def fold(*history):
    run_view = RunView("one")
    for one in history:
        run_view.apply(one)
    return run_view


def curve(run_view, name):
    return [(point.step, point.value) for point in run_view.series[name]]


def test_empty_view():
    empty = RunView("one")
    assert empty.progress() == 0 and empty.eta_s() is None and empty.elapsed_s == 0
    assert empty.best is None and empty.end is None and empty.total_steps is None


def test_events_become_curves():
    run_view = fold(
        STARTED,
        event("train", 1010.0, 10, 1.0, loss=3.0, learning_rate=1e-4, grad_norm=2.0, surprise=7),
        scores(10, 0.9, blank_share=0.7),
        event("train", 1020.0, 20, 2.0, loss=None, learning_rate=9e-5, non_finite=["loss"]),
    )
    assert curve(run_view, "train/loss") == [(10, 3.0), (20, None)]
    assert curve(run_view, "train/learning_rate") == [(10, 1e-4), (20, 9e-5)]
    assert curve(run_view, "train/grad_norm") == [(10, 2.0)]
    assert curve(run_view, "eval/wer") == [(10, 0.9)] and curve(run_view, "eval/blank_share") == [(10, 0.7)]
    assert "train/surprise" not in run_view.series and "eval/length_ratio" not in run_view.series
    point = run_view.series["train/loss"][0]
    assert point == (10, 1.0, 1010.0, 3.0, 10.0)
    assert (run_view.step, run_view.epoch, run_view.progress()) == (20, 2.0, 0.5)


def test_phase_ends_with_the_next_event_of_another_kind():
    loading = event("phase", 1.0, phase="loading", text="Loading")
    assert fold(loading).phase == loading
    for next_one in (
        event("train", 2.0, 1, loss=1.0),
        scores(1, 1.0),
        event("checkpoint", 2.0, 1),
        event("finished", 2.0, 1, message=""),
    ):
        assert fold(loading, next_one).phase is None


def test_resume_rewinds_to_the_checkpoint():
    """What was written after the checkpoint is written again; what came before it stays, in its order."""
    steps = [event("train", 1000.0 + step, step, step / 10, loss=float(step)) for step in (10, 20, 30)]
    run_view = fold(
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
    assert curve(run_view, "train/loss") == [(10, 10.0), (20, 20.0)]
    assert curve(run_view, "eval/wer") == [(10, 0.8), (20, 0.5)]
    assert [history.step for history in run_view.evaluations] == [10, 20]
    assert [finding["code"] for finding in run_view.findings] == ["plateau"]
    assert run_view.best.step == 20 and run_view.step == 20
    assert run_view.end is None
    run_view.apply(event("train", 2010.0, 30, 3.0, loss=3.5))
    assert curve(run_view, "train/loss") == [(10, 10.0), (20, 20.0), (30, 3.5)]


def test_resumed_run_has_no_end_while_it_loads():
    run_view = fold(STARTED, event("failed", 1001.0, message="No."), event("phase", 1002.0, phase="loading", text=""))
    assert run_view.end is None


@pytest.mark.parametrize(("metric", "step"), [("wer", 20), ("cer", 30), ("loss", 10), ("mer", 20)])
def test_best_evaluation_by_the_chosen_metric(metric, step):
    begun = dataclasses.replace(STARTED, data={**STARTED.data, "metric_for_best_model": metric})
    run_view = fold(begun, scores(10, 0.9, 0.5, 0.1), scores(20, 0.3, 0.4, 0.5), scores(30, 0.4, 0.2, 0.6))
    assert run_view.best.step == step


def test_best_evaluation_is_the_first_of_equals_and_has_a_number():
    assert fold(STARTED, scores(10, 0.5), scores(20, 0.5)).best.step == 10
    assert fold(STARTED, scores(10, None), scores(20, 0.9)).best.step == 20
    assert fold(STARTED, scores(10, None)).best is None


def test_eta_counts_down_for_one_interval():
    """10 steps took 20 s, so the 30 that are left take 60 s, less the 5 s since the last event."""
    run_view = fold(STARTED, event("train", 1010.0, 0, loss=1.0), event("train", 1030.0, 10, loss=1.0))
    assert run_view.eta_s() == run_view.eta_s(30.0) == 60.0
    assert run_view.eta_s(35.0) == 55.0
    assert run_view.eta_s(9999.0) == 40.0, "the estimate stands still during an evaluation"
    run_view.apply(event("finished", 1100.0, 40, message=""))
    assert run_view.eta_s() is None


NIGHT = 8 * 3600.0


def test_suspended_machine_adds_no_elapsed_time():
    steps = [event("train", 1000.0 + 10 * step, step, elapsed_s=10.0 * step, loss=1.0) for step in (1, 2, 3)]
    slept = fold(STARTED, *steps, event("train", 1040.0 + NIGHT, 4, elapsed_s=40.0, loss=1.0))
    assert slept.elapsed_s == pytest.approx(40.0)
    assert slept.eta_s() == pytest.approx(360.0)
    evaluating = [event("phase", 1031.0 + wait, elapsed_s=31.0, phase="evaluating", text="") for wait in (0.0, NIGHT)]
    assert fold(STARTED, *steps, *evaluating).elapsed_s == pytest.approx(31.0)


def test_older_runs_use_event_times():
    loading = event("phase", 1000.0, phase="loading", text="Loading the base model")
    begun = event("started", 5000.0, 0, total_steps=4000)
    steps = [event("train", 5000.0 + 10 * step, step, loss=1.0) for step in (1, 2, 3, 1000)]
    assert fold(loading, begun, *steps).elapsed_s == 14_000.0


def test_eta_uses_the_pace_of_the_present_worker():
    """Before the stop a step took 1 s; now it takes 4 s, and 18 are left."""
    run_view = fold(
        STARTED,
        event("train", 1001.0, 1, loss=1.0),
        event("train", 1011.0, 11, loss=1.0),
        event("stopped", 1012.0, 11, message=""),
        event("started", 5000.0, 11, total_steps=40),
        event("train", 5010.0, 12, loss=1.0),
    )
    assert run_view.eta_s() is None
    run_view.apply(event("train", 5050.0, 22, loss=1.0))
    assert run_view.eta_s() == 72.0


def test_eta_needs_total_steps_and_a_pace():
    two = [event("train", 1010.0, 1, loss=1.0), event("train", 1020.0, 2, loss=1.0)]
    assert fold(event("started", 1000.0, 0), *two).eta_s() is None
    assert fold(STARTED, two[0]).eta_s() is None
    assert fold(STARTED, two[0], two[0]).eta_s() is None


def test_elapsed_time_stops_at_the_end():
    run_view = fold(event("phase", 990.0, phase="loading", text=""), STARTED)
    assert run_view.elapsed_s == 10.0
    run_view.apply(event("failed", 1030.0, message=""))
    assert run_view.elapsed_s == 40.0


def test_progress_is_at_most_one():
    assert fold(STARTED, event("train", 1010.0, 50, loss=1.0)).progress() == 1.0


# The summary that `runs show` prints

KEYS = [
    *("run_id", "name", "tags", "notes", "status", "step", "total_steps", "epoch", "pid", "last_eval", "best"),
    *("findings", "error", "path", "launcher", "job", "cost"),
]
NAMELESS = {"name": "", "tags": (), "notes": ""}
HERE = {"launcher": "local", "job": None, "cost": ""}
UNKNOWN_CLIPS = {"clips": None, "of": None, "wer_interval": None}


def test_summary_of_a_queued_run(make_run):
    run = make_run("one")
    names = [name for name in KEYS if name not in NAMELESS | HERE]
    values = ["one", "queued", 0, None, 0.0, None, None, None, [], None, str(run.path)]
    assert summary.summarize_run(run) == dict(zip(names, values, strict=True)) | NAMELESS | HERE


def test_summary(make_run):
    finding = {"code": "plateau", "cause": "Too low a rate.", "remedy": "Raise it."}
    history = [
        STARTED,
        event("train", 1010.0, 10, 1.0, loss=3.0),
        scores(10, 0.5),
        scores(20, 0.75, samples=["much"], utterances=50, of=200, wer_interval=[0.6, 0.9]),
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
    run = make_run("one", history, {"pid": 1, "start": "another boot", "start_time": 900.0})
    assert load_view(run).end.data["remedy"] == "Halve it."
    run_view = summary.summarize_run(run)
    assert list(run_view) == KEYS
    assert run_view == {
        "run_id": "one",
        "status": "failed",
        "step": 21,
        "total_steps": 40,
        "epoch": 2.1,
        "pid": 1,
        "last_eval": {"step": 20, "loss": 1.0, "wer": 0.75, "cer": 0.5, "mer": 0.375}
        | {"clips": 50, "of": 200, "wer_interval": [0.6, 0.9]},
        "best": {"step": 10, "loss": 1.0, "wer": 0.5, "cer": 0.5, "mer": 0.25} | UNKNOWN_CLIPS,
        "findings": [{"code": "plateau", "step": 20, "epoch": 2.0, "cause": "Too low a rate.", "remedy": "Raise it."}],
        "error": "Out of memory.",
        "path": str(run.path),
        **NAMELESS,
        **HERE,
    }


def test_pause_before_a_resume_adds_no_elapsed_time():
    """10 s of work, ended or killed, an hour of nothing, 5 s of loading and 15 s of work: 30 s."""

    def load(start_time):
        return [
            event("phase", start_time, phase="loading", text="Loading PyTorch", begins=True),
            event("phase", start_time + 2, phase="loading", text="Loading the base model"),
        ]

    first = [*load(1000.0), event("started", 1005.0, 0, total_steps=4), event("train", 1010.0, 2, loss=1.0)]
    second = [*load(4610.0), event("started", 4615.0, 2, total_steps=4), event("train", 4630.0, 3, loss=1.0)]
    assert fold(*load(1000.0), *second).elapsed_s == pytest.approx(22.0), "killed while it loaded"
    for end in ([], [event("stopped", 1010.0, 2, message="Stopped.", saved=True)]):
        assert fold(*first, *end, *second).elapsed_s == pytest.approx(30.0)


def points(values):
    return [Point(step, step / 10, 1000.0 + step, value, float(step)) for step, value in enumerate(values)]


@given(st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), min_size=1, max_size=400), st.integers(4, 40))
def test_thinning_keeps_ends_extremes_gaps_and_order(values, max_points):
    before = points(values)
    after = thin(before, max_points)
    assert (after[0], after[-1]) == (before[0], before[-1])
    assert after == sorted(after, key=lambda point: point.step) and set(after) <= set(before)
    assert len(after) <= 1.5 * max_points + 4
    known = [value for value in values if value is not None]
    kept = [point.value for point in after if point.value is not None]
    if known:
        assert (min(known), max(known)) == (min(kept), max(kept))
    assert (None in values) == any(point.value is None for point in after)


def test_long_curve_is_thinned_and_keeps_its_spike():
    long, step = RunView("one", max_points=50), 0
    for step in range(1, 20_001):
        long.apply(event("train", 1000.0 + step, step, step / 10, loss=99.0 if step == 7 else 1 / step))
    kept = curve(long, "train/loss")
    assert len(kept) <= 300 and (7, 99.0) in kept and kept[-1][0] == step
    gaps = [after - before for (before, _), (after, _) in zip(kept, kept[1:], strict=False)]
    assert max(gaps) < 20_000 / 15, "every stretch of the run has a point"


def test_points_of_older_runs_exclude_the_pause_before_a_resume():
    run_view = fold(
        STARTED,
        event("train", 1010.0, 1, loss=1.0),
        event("phase", 5000.0, phase="loading", begins=True),
        event("train", 5010.0, 2, loss=1.0),
    )
    assert [point.elapsed_s for point in run_view.series["train/loss"]] == [10.0, 20.0]


def test_restart_from_step_0_repeats_no_evaluation_or_finding():
    """Killed after the evaluation of step 0 and before the first checkpoint."""
    finding = event("finding", 1000.0, 0, 0.0, code="learning-rate-high", cause="", remedy="")
    run_view = fold(
        STARTED, finding, scores(0, 1.0), event("train", 1001.0, 1, 0.1, loss=3.0), STARTED, finding, scores(0, 1.0)
    )
    assert [history.step for history in run_view.evaluations] == [0] and len(run_view.findings) == 1
    assert curve(run_view, "eval/wer") == [(0, 1.0)] and curve(run_view, "train/loss") == []


HOUR = 3600.0


@pytest.mark.parametrize("jump_s", [HOUR, -HOUR])
def test_system_clock_changes_neither_elapsed_time_nor_pace(jump_s):
    """Ten seconds a step, with one resume; the clock is set while the run trains, and again before the resume."""
    run_view = fold(
        STARTED,
        *(event("train", 1000.0 + 10 * step, step, elapsed_s=10.0 * step, loss=1.0) for step in (1, 2, 3)),
        *(event("train", 1000.0 + 10 * step + jump_s, step, elapsed_s=10.0 * step, loss=1.0) for step in (4, 5)),
    )
    assert run_view.elapsed_s == pytest.approx(50.0)
    assert run_view.eta_s() == pytest.approx(350.0)
    run_view.apply(event("phase", 1060.0 - jump_s, elapsed_s=50.0, phase="loading", text="", begins=True))
    run_view.apply(event("started", 1070.0 - jump_s, 5, elapsed_s=60.0, total_steps=40))
    run_view.apply(event("train", 1080.0 - jump_s, 6, elapsed_s=70.0, loss=1.0))
    assert [round(point.elapsed_s) for point in run_view.series["train/loss"]] == [10, 20, 30, 40, 50, 70]
    assert run_view.elapsed_s == pytest.approx(70.0)


@pytest.mark.parametrize("jump_s", [HOUR, -HOUR])
def test_run_clock_ignores_changes_of_the_system_clock(monkeypatch, jump_s):
    now = {"time": 1035.0, "monotonic": 7.0}
    for name in now:
        monkeypatch.setattr(clock.time, name, lambda name=name: now[name])
    run_view, run_clock = fold(STARTED, event("train", 1030.0, 3, elapsed_s=30.0, loss=1.0)), clock.RunClock()
    assert run_clock.elapsed_s(run_view) == 35.0
    now["time"], now["monotonic"] = 1036.0 + jump_s, 8.0
    assert run_clock.elapsed_s(run_view) == 36.0
    run_view.apply(event("train", 1040.0 + jump_s, 4, elapsed_s=40.0, loss=1.0))
    assert run_clock.elapsed_s(run_view) == 40.0, "never before the last event"


def test_worker_stamps_its_events_with_elapsed_time(make_run, monkeypatch):
    """A resumed worker counts on from the elapsed time of the workers before it."""
    run, now = make_run(), {"time": 1000.0, "monotonic": 7.0}
    for name in now:
        monkeypatch.setattr(clock.time, name, lambda name=name: now[name])
    for jump_s in (0.0, -HOUR):
        run.start_clock(load_view(run, skim=True).elapsed_s)
        run.append(make_event("phase", phase="loading", begins=True))
        now["time"], now["monotonic"] = now["time"] + 10 + jump_s, now["monotonic"] + 10
        run.append(make_event("stopped", message=""))
        now["monotonic"] += 500  # nobody works
    assert [one.elapsed_s for one in run.events()[0]] == [0.0, 10.0, 10.0, 20.0]
    assert load_view(run).elapsed_s == 20.0


def test_each_of_several_datasets_has_a_curve():
    run_view = RunView("one")
    datasets = {"/data/mine": {"wer": 0.4}, "/other/mine": {"wer": 0.6}, "hub:a/b": {"wer": 0.8}}
    run_view.apply(Event("eval", 1.0, 5, 0.5, {"wer": 0.7}))
    run_view.apply(Event("eval", 2.0, 10, 1.0, {"wer": 0.5, "datasets": datasets}))
    assert {name: curve(run_view, name) for name in run_view.series if name.startswith("eval/wer")} == {
        "eval/wer": [(5, 0.7), (10, 0.5)],
        "eval/wer/mine": [(10, 0.4)],
        "eval/wer/mine (2)": [(10, 0.6)],
        "eval/wer/hub:a/b": [(10, 0.8)],
    }
