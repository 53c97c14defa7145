"""What a visitor may start: how many runs, with which settings, for how long, and how much of the disk they take."""

import dataclasses
import threading
import time
from dataclasses import fields

import pytest

from asrkit import config as configs
from asrkit.config import FIELDS, TrainConfig
from asrkit.errors import QuotaError, RunError
from asrkit.runs import events, lifecycle, ownership
from asrkit.runs.ownership import Ownership
from asrkit.runs.run import STOP
from asrkit.runs.store import RunStore
from asrkit.ui.common import form
from asrkit.ui.security import quotas
from asrkit.ui.security.permissions import OPERATOR, Action, as_identity
from asrkit.ui.security.quotas import Quotas
from asrkit.ui.security.store import GuardedStore
from asrkit.ui.train import run_quota, start
from asrkit.ui.train.api import TrainApi
from tests.security.test_shares import ANN, BOB

SETTINGS = [(name, each) for each in fields(Quotas) for name in each.metadata["settings"]]


@pytest.fixture
def store(tmp_path):
    return RunStore(tmp_path / "runs")


@pytest.fixture
def limit(monkeypatch):
    return lambda **values: monkeypatch.setattr(quotas, "_current", Quotas(**values))


@pytest.fixture
def started(monkeypatch):
    """The configurations that get as far as the supervisor, which refuses them."""
    configs_seen = []

    def refuse(store, config, owned, description):
        configs_seen.append(config)
        raise RunError("not in this test")

    monkeypatch.setattr(start.supervisor, "start", refuse)
    return configs_seen


def press_start(store, who, **values):
    """Press Start with the demo's settings and `values`; return the message."""
    config = form.DEFAULTS.replace(values)
    with as_identity(who):
        updates = list(start.start_run(GuardedStore(store.root), tuple(getattr(config, name) for name in form.NAMES)))
    return updates[-1][1]["value"]


def make_run(store, owner, num_bytes=0):
    run = store.create(TrainConfig())
    ownership.write_ownership(run, Ownership(owner))
    (run.path / "weights").write_bytes(bytes(num_bytes))
    return run


@pytest.mark.parametrize(("name", "quota"), SETTINGS, ids=[name for name, _ in SETTINGS])
def test_setting_beyond_its_limit_is_refused_before_the_start(store, started, name, quota):
    limit, above = quota.default, quota.default + 1
    assert press_start(store, OPERATOR, **{name: above}).endswith("not in this test</p></div>")
    message = press_start(store, ANN, **{name: above})
    assert f"({name}) is {form.format_number(above)}; the runs of visitors may have" in message
    assert f"{form.format_number(limit)} at most." in message
    assert press_start(store, ANN, **{name: limit}).endswith("not in this test</p></div>")
    assert [getattr(config, name) for config in started] == [above, limit]


@pytest.mark.parametrize("preset", configs.list_presets())
def test_every_preset_is_within_the_limits(preset):
    run_quota.check_settings(configs.load_preset(preset).config)


def test_settings_that_take_time_or_memory_without_an_own_bound_are_limited():
    """A setting that may be 1,000 and more is limited, or known to cost a visitor's run nothing more."""
    harmless = {
        *("eval_count", "warmup_steps", "head_first_steps", "eval_steps", "save_steps", "logging_steps"),
        *("seed", "max_grad_norm", "blank_id", "early_stopping_patience", "lora_rank", "lora_alpha", "eval_max_clips"),
        "stream_cache_gb",  # nothing is streamed for visitors
    }
    large = {name for name, each in FIELDS.items() if (each.metadata["high"] or 0) >= 1_000}
    assert large - harmless == {name for name, _ in SETTINGS} - {"max_duration_s", "processes"}


def test_start_counts_the_runs_of_a_visitor(store, started, limit):
    """The button, not only a resume: 12 strangers' runs joined the queue in 25 seconds."""
    make_run(store, ANN.owner_id)  # waits in the queue
    assert "start another when it has ended" in press_start(store, ANN)
    limit(visitors_runs=1)
    assert "as many runs as this app accepts" in press_start(store, BOB)
    assert not started
    press_start(store, OPERATOR)
    assert len(started) == 1


def test_visitor_whose_data_is_being_checked_does_not_delay_others(store, monkeypatch):
    checking, release = threading.Event(), threading.Event()

    def check_long(store, config, owned, description):
        if owned.owner == ANN.owner_id:
            checking.set()
            assert release.wait(60)
        raise RunError("not in this test")

    monkeypatch.setattr(start.supervisor, "start", check_long)
    first = threading.Thread(target=press_start, args=[store, ANN])
    first.start()
    try:
        assert checking.wait(60)
        assert "start another when it has ended" in press_start(store, ANN)
        assert press_start(store, BOB).endswith("not in this test</p></div>")
    finally:
        release.set()
        first.join()
    assert press_start(store, ANN).endswith("not in this test</p></div>")


def test_runs_that_fill_the_disk_keep_their_owner_from_another(store, started, limit):
    limit(visitor_runs=9, visitors_runs=9, visitor_runs_bytes=100_000, visitors_runs_bytes=200_000)
    make_run(store, ownership.OPERATOR, 900_000)
    make_run(store, ANN.owner_id, 150_000)
    assert "delete some of them first" in press_start(store, ANN)
    assert press_start(store, BOB).endswith("not in this test</p></div>")
    make_run(store, "visitor:c", 90_000)
    assert "The runs of visitors take as much of the disk" in press_start(store, BOB)


def test_resume_is_admitted_like_a_start(store, limit):
    run = make_run(store, ANN.owner_id)
    run.append(events.make_event(events.STARTED, step=0))
    run.append(events.make_event(events.STOPPED))
    (run.path / "process.json").write_text("{}")
    limit(run_epochs=1)
    with as_identity(ANN):
        notice = TrainApi(store).perform_action({"run": run.id, "action": "resume"})["notice"]
    assert "Epochs (num_epochs) is 5; the runs of visitors may have 1 at most." in notice


def test_visitors_run_that_works_too_long_is_stopped(store, monkeypatch, limit):
    limit(run_hours=2)
    hour_s = 3600
    long, young, operators, silent = (
        make_run(store, owner) for owner in (ANN.owner_id, BOB.owner_id, ownership.OPERATOR, "visitor:c")
    )
    for run, elapsed_s, age_s in ((long, 1.5, 1), (young, 1.5, 0.1), (operators, 9, 9)):
        event = events.make_event(events.TRAIN, step=1, epoch=0.1, loss=1.0)
        event.time, event.elapsed_s = time.time() - age_s * hour_s, elapsed_s * hour_s
        run.append(event)
    monkeypatch.setattr(lifecycle, "iter_active_runs", lambda store: iter(store.all()))
    monkeypatch.setattr(run_quota.supervisor, "stop", lambda run: run.set_flag(STOP))
    assert [run.id for run in run_quota.stop_overdue(store)] == [long.id]
    assert run_quota.stop_overdue(store) == [] and long.has_flag(STOP) and not silent.has_flag(STOP)


def test_quota_error_leaves_no_place_taken(store):
    with as_identity(ANN):
        for _ in range(3):
            with pytest.raises(RunError), run_quota.run_admitted(store, TrainConfig()):
                raise RunError("failed")
        with pytest.raises(QuotaError), run_quota.run_admitted(store, TrainConfig(num_epochs=101)):
            raise AssertionError
    assert run_quota._starting == []


RENTER = dataclasses.replace(ANN, grants=frozenset({Action.RENT_MACHINE}))


def test_renting_is_for_those_whom_the_operator_allows_it(store, started):
    assert "Launcher (launcher) is for operators" in press_start(store, ANN, launcher="hf-jobs")
    assert press_start(store, RENTER, launcher="hf-jobs").endswith("not in this test</p></div>")
    both = dataclasses.replace(ANN, grants=frozenset({Action.START_RUN, Action.RENT_MACHINE}))
    assert press_start(store, both).endswith("not in this test</p></div>")
    assert [config.launcher for config in started] == ["hf-jobs", "default"]


def test_who_may_only_rent_does_not_train_here(store, started):
    assert "set Launcher (launcher) to hf-jobs" in press_start(store, RENTER)
    assert "set Launcher (launcher) to hf-jobs" in press_start(store, RENTER, launcher="local")
    with as_identity(RENTER):
        assert "set Launcher (launcher) to hf-jobs" in TrainApi(store).start_demo({})["notice"]
    assert started == []


def test_rented_machine_is_no_default_of_a_visitor(store, started, monkeypatch):
    monkeypatch.setenv("ASRKIT_LAUNCHER", "hf-jobs")
    assert "You may not train on a machine that you rent" in press_start(store, ANN)
    assert started == []


def test_who_rents_chooses_the_machine_and_how_long_but_no_more(store, started):
    rented = {"launcher": "hf-jobs", "hf_flavor": "a10g-large", "hf_timeout_h": 2.0, "num_epochs": 500.0}
    assert press_start(store, RENTER, **rented).endswith("not in this test</p></div>")
    assert "(mirrors) is for operators" in press_start(store, RENTER, **rented, mirrors="tensorboard")
    assert [config.hf_flavor for config in started] == ["a10g-large"]


def test_rented_run_is_not_stopped_for_the_time_of_this_machine(store, limit, monkeypatch):
    limit(run_hours=1)
    run = make_run(store, ANN.owner_id)
    run.process_path.write_text('{"launcher": "hf-jobs", "devices": [], "events_from": 0}')
    run.append(events.make_event(events.TRAIN, 1))
    monkeypatch.setattr(run_quota.lifecycle, "iter_active_runs", lambda _: [run])
    monkeypatch.setattr(run_quota, "_elapsed_s", lambda _: 10_000.0)
    assert run_quota.stop_overdue(store) == []
    run.process_path.unlink()
    monkeypatch.setattr(run_quota.supervisor, "stop", lambda run: None)
    assert run_quota.stop_overdue(store) == [run]
