"""What the live panel is told, from hand-written events."""

import os
import socket
import threading
import time
import weakref

import pytest

from asrkit import config
from asrkit.errors import RunError
from asrkit.files import write_json
from asrkit.runs import processes, queue
from asrkit.runs.events import Event
from asrkit.runs.run import CANCEL, EVALUATE, SAVE, STOP
from asrkit.runs.store import RunStore
from asrkit.ui.common import run_list, viewers
from asrkit.ui.train import follow, live_panel
from asrkit.ui.train.live_panel import LiveRun

NOW = 1_800_000_000.0


@pytest.fixture
def store(tmp_path):
    return RunStore(tmp_path / "runs")


@pytest.fixture
def run(store):
    """A run whose worker is this very process, so that it counts as alive."""
    made = store.create(config.load_preset("demo").config, "20260101-000000-demo")
    write_json(
        made.process_path, {**processes.identify_process(os.getpid()), "host": socket.gethostname(), "start_time": NOW}
    )
    return made


def tell(run, kind, step=None, at=NOW, **data):
    run.append(Event(kind, at, step, step and step / 10, data))


def begin(run, step=0):
    tell(run, "started", step, total_steps=20, metric_for_best_model="wer")


def evaluate(run, step, wer, hypothesis="november four"):
    tell(
        run,
        "eval",
        step,
        loss=wer * 2,
        wer=wer,
        cer=wer / 2,
        mer=wer,
        utterances=100,
        samples=[{"id": "a", "reference": "november four", "hypothesis": hypothesis}],
    )


def column(curve):
    """Steps and values of a curve as it is told."""
    return {"x": curve["x"], "y": curve["y"]}


LIVES = weakref.WeakKeyDictionary()


def live_of(store):
    """The app's side of the panel: one for a store, as in the app."""
    return LIVES.setdefault(store, LiveRun(store))


def poll(store, run, told=None, **asked):
    """The next answer for a page that has seen the answer `told`."""
    return live_of(store).poll({"run": run.id, "after": told["offset"] if told else 0, **asked})


def test_a_new_page_draws_everything_and_then_only_what_is_new(store, run):
    begin(run)
    tell(run, "train", 1, loss=3.0)
    first = poll(store, run)
    assert first["reset"]
    assert first["points"]["train/loss"] == {"x": [1], "e": [0.1], "t": [0.0], "y": [3.0]}
    tell(run, "train", 2, loss=2.5)
    evaluate(run, 2, 0.5)
    second = poll(store, run, first)
    assert not second["reset"]
    assert {name: column(curve) for name, curve in second["points"].items()} == {
        "train/loss": {"x": [2], "y": [2.5]},
        "eval/loss": {"x": [2], "y": [1.0]},
        "eval/wer": {"x": [2], "y": [0.5]},
        "eval/cer": {"x": [2], "y": [0.25]},
    }
    assert poll(store, run, second)["points"] == {}


def test_a_torn_line_is_left_for_later(store, run):
    begin(run)
    tell(run, "train", 1, loss=3.0)
    whole = Event("train", NOW, 2, 0.2, {"loss": 2.0}).to_line()
    with open(run.events_path, "a") as file:
        file.write(whole[:20])
    first = poll(store, run)
    assert first["points"]["train/loss"]["x"] == [1]
    with open(run.events_path, "a") as file:
        file.write(whole[20:])
    assert column(poll(store, run, first)["points"]["train/loss"]) == {"x": [2], "y": [2.0]}


def test_a_resume_rewinds_and_the_page_draws_from_nothing(store, run):
    begin(run)
    for step in range(1, 6):
        tell(run, "train", step, loss=float(step))
    first = poll(store, run)
    begin(run, step=3)
    tell(run, "train", 4, loss=40.0)
    again = poll(store, run, first)
    assert again["reset"]
    assert column(again["points"]["train/loss"]) == {"x": [1, 2, 3, 4], "y": [1.0, 2.0, 3.0, 40.0]}


def test_another_history_in_its_place_is_drawn_from_nothing(store, run):
    begin(run)
    for step in range(1, 9):
        tell(run, "train", step, loss=1.0)
    live = LiveRun(store)
    first = live.poll({"run": run.id, "after": 0})
    run.events_path.unlink()
    begin(run)
    told = live.poll({"run": run.id, "after": first["offset"]})
    assert told["reset"] and told["points"]["train/loss"]["x"] == []


def test_pages_that_poll_at_once_miss_nothing_and_get_nothing_twice(store, run, monkeypatch):
    monkeypatch.setattr(follow, "MOST_NEWS", 1000)
    begin(run)
    live = LiveRun(store)
    steps = {name: [] for name in range(4)}
    last = live.poll({"run": run.id})["offset"]

    def page(name):
        after = last
        while not steps[name] or steps[name][-1] < 300:
            told = live.poll({"run": run.id, "after": after})
            assert not told["reset"]
            steps[name] += told["points"].get("train/loss", {"x": []})["x"]
            after = told["offset"]

    pages = [threading.Thread(target=page, args=(name,)) for name in steps]
    for thread in pages:
        thread.start()
    for step in range(1, 301):
        tell(run, "train", step, loss=1.0)
    for thread in pages:
        thread.join(60)
    assert all(told == list(range(1, 301)) for told in steps.values())


def test_long_curves_are_thinned_when_a_page_opens(store, run, monkeypatch):
    monkeypatch.setattr(follow, "MOST_POINTS", 10)
    begin(run)
    for step in range(1, 96):
        tell(run, "train", step, loss=1.0)
    steps = poll(store, run)["points"]["train/loss"]["x"]
    assert len(steps) <= 11 and steps[0] == 1 and steps[-1] == 95


def test_a_number_that_is_not_finite_is_a_gap(store, run):
    begin(run)
    tell(run, "train", 1, loss=float("nan"))
    assert column(poll(store, run)["points"]["train/loss"]) == {"x": [1], "y": [None]}


def test_the_mixed_rate_is_drawn_where_it_decides(store, run):
    tell(run, "started", 0, total_steps=20, metric_for_best_model="mer")
    evaluate(run, 1, 0.5)
    assert poll(store, run)["points"]["eval/mer"]["y"] == [0.5]


def test_nothing_in_a_hypothesis_becomes_html(store, run):
    begin(run)
    evaluate(run, 1, 0.5, hypothesis='<script>alert(1)</script> "><img src=x onerror=alert(1)>')
    html = poll(store, run)["evaluation"]["html"]
    assert "<script" not in html and "<img" not in html
    assert "&lt;script&gt;" in html


def test_the_evaluation_is_sent_once_and_an_older_one_on_demand(store, run):
    begin(run)
    evaluate(run, 1, 0.5)
    evaluate(run, 2, 0.4)
    first = poll(store, run)
    assert first["evaluation"]["step"] == 2 and first["evaluations"] == [1, 2]
    key = first["evaluation"]["key"]
    assert poll(store, run, first, evaluation=key)["evaluation"] is None
    assert poll(store, run, first, evaluation=key, at_step=1)["evaluation"]["caption"] == (
        "Step 1 · 100 clips · WER 50.0 % · CER 25.0 %"
    )


def test_a_failed_run_says_what_to_do(store, run):
    tell(run, "failed", message="The disk is full.", remedy="Free some space.", traceback="Traceback", error="full")
    told = poll(store, run)
    assert told["error"] == {"message": "The disk is full.", "remedy": "Free some space.", "traceback": "Traceback"}
    assert told["can"] == ["resume", "delete"] and told["ended"]


def test_a_killed_run_says_so_and_can_be_resumed(store, run):
    begin(run)
    write_json(run.process_path, {"pid": os.getpid(), "start": "another", "host": socket.gethostname()})
    told = poll(store, run)
    assert told["status_word"] == "Interrupted" and told["can"] == ["resume", "delete"]
    assert "killed" in told["error"]["message"]


@pytest.mark.parametrize(
    ("flags", "can", "activity"),
    [
        ([], ["stop", "cancel", "evaluate", "save"], "Training…"),
        ([STOP], ["cancel"], "Stopping after this step, then saving the model… (by force after 10 min)"),
        ([STOP, CANCEL], ["kill"], "Cancelling… (by force after 2 min)"),
    ],
)
def test_buttons_and_words_follow_what_was_asked(store, run, flags, can, activity):
    begin(run)
    tell(run, "train", 1, loss=1.0)
    for flag in flags:
        run.set_flag(flag)
    told = poll(store, run)
    assert (told["can"], told["activity"]) == (can, activity)


def test_before_the_first_word_of_the_worker_the_page_says_something(store, run):
    told = poll(store, run)
    assert (told["status"], told["activity"], told["progress"]) == ("starting", "Starting the worker…", 0.0)


def test_a_finished_run_invites_to_talk(store, run):
    begin(run)
    evaluate(run, 10, 0.031)
    run.model_dir.mkdir()
    (run.model_dir / "config.json").write_text("{}")
    tell(run, "finished", 20, message="Finished.", saved=True, model="model")
    told = poll(store, run)
    assert told["outcome"] == "Finished. WER 3.1 % (best at step 10). Talk to it in the Transcribe tab."
    assert told["can"] == ["delete"] and told["progress"] == 1.0


def test_a_cancelled_run_says_that_nothing_was_kept(store, run):
    begin(run)
    tell(run, "stopped", 3, message="Cancelled; only the history was kept.", saved=False, model=None)
    told = poll(store, run)
    assert told["outcome"] == "Cancelled; only the history was kept." and told["error"] is None


def test_the_log_comes_when_its_fold_is_open(store, run):
    run.log_path.write_text("step 1\n")
    assert poll(store, run)["log"] is None
    assert poll(store, run, log=True)["log"] == "step 1\n"


def test_who_asks_for_no_run_gets_the_active_one_else_the_newest(store, run):
    store.create(config.load_preset("demo").config, "20270101-000000-demo")
    begin(run)
    told = LiveRun(store).poll({"run": ""})
    assert told["run"] == run.id
    assert [row["id"] for row in told["runs"]] == ["20270101-000000-demo", run.id]
    assert "runs" not in LiveRun(store).poll({"run": "", "signature": told["signature"]})


def test_without_runs_there_is_nothing_to_show(store):
    told = LiveRun(store).poll({})
    assert (told["run"], told["notice"], told["runs"]) == ("", "", []) and "points" not in told


@pytest.mark.parametrize("name", ["nothing", "../../etc", "a/b", ""])
def test_a_run_that_does_not_exist_is_one_sentence(store, run, name):
    live = LiveRun(store)
    assert "There is no run" in live.act({"action": "stop", "run": name})["notice"]
    if name:
        assert "There is no run" in live.poll({"run": name})["notice"]


def test_only_the_known_actions_are_done(store, run):
    assert LiveRun(store).act({"action": "create", "run": run.id})["notice"] == "That cannot be done with a run."


def test_a_run_under_way_is_not_deleted_and_one_that_ended_is(store, run):
    live = LiveRun(store)
    begin(run)
    assert "still running" in live.act({"action": "delete", "run": run.id})["notice"] and run.config_path.exists()
    tell(run, "finished", 20, message="Finished.", saved=False)
    assert live.act({"action": "delete", "run": run.id}) == {"notice": ""} and store.all() == []


@pytest.mark.parametrize(("action", "flag"), [("save", SAVE), ("evaluate", EVALUATE)])
def test_what_is_asked_of_a_run_under_way(store, run, action, flag):
    begin(run)
    assert LiveRun(store).act({"action": action, "run": run.id}) == {"notice": ""} and run.has_flag(flag)
    run.clear_flags()
    tell(run, "finished", 20, message="Finished.", saved=False)
    LiveRun(store).act({"action": action, "run": run.id})
    assert not run.has_flag(flag), "a run that has ended is not asked for anything"


def seen_first(store, run):
    """What a page gets of a run that has told its first step."""
    begin(run)
    tell(run, "train", 1, loss=1.0)
    return poll(store, run)


def test_who_was_away_for_long_draws_from_nothing(store, run, monkeypatch):
    """What is told to one page is bounded, however long it slept."""
    monkeypatch.setattr(follow, "MOST_RECENT", 5)
    first = seen_first(store, run)
    for step in range(2, 7):
        tell(run, "train", step, loss=1.0)
    assert not poll(store, run, first)["reset"]
    tell(run, "train", 7, loss=1.0)
    late = poll(store, run, first)
    assert late["reset"] and late["points"]["train/loss"]["x"] == [1, 2, 3, 4, 5, 6, 7]


def test_who_missed_much_gets_few_points_and_the_extremes(store, run, monkeypatch):
    monkeypatch.setattr(follow, "MOST_NEWS", 10)
    first = seen_first(store, run)
    for step in range(2, 102):
        tell(run, "train", step, loss=9.0 if step == 50 else 1.0)
    late = poll(store, run, first)
    curve = late["points"]["train/loss"]
    assert not late["reset"] and len(curve["x"]) <= 12
    assert (curve["x"][0], curve["x"][-1]) == (2, 101) and (50, 9.0) in zip(curve["x"], curve["y"], strict=True)


def test_a_long_history_is_read_in_several_polls(store, run, monkeypatch):
    monkeypatch.setattr(follow, "READ_BYTES", 1000)
    monkeypatch.setattr(follow, "READING_S", 0.0)
    begin(run)
    for step in range(1, 101):
        tell(run, "train", step, loss=1.0)
    read, told = [], {"read": 0.0}
    while told["read"] < 1:
        told = poll(store, run)
        read.append(told["read"])
        assert told["reset"] == (told["read"] == 1)
    assert len(read) > 3 and read == sorted(read)
    assert told["points"]["train/loss"]["x"] == list(range(1, 101))


def test_the_best_evaluation_and_the_findings_are_marked(store, run):
    begin(run)
    evaluate(run, 1, 0.2)
    evaluate(run, 2, 0.4)
    tell(run, "finding", 2, code="plateau", cause="It stands.", remedy="Wait.")
    told = poll(store, run)
    assert told["best"] == {"step": 1, "words": "WER 20.0 %"}
    assert [(one["step"], one["code"]) for one in told["findings"]] == [(2, "plateau")]


def test_a_slow_phase_says_how_long_it_has_taken(store, run):
    tell(run, "phase", 0, at=time.time() - 75, phase="loading", text="Loading the base model")
    assert poll(store, run)["activity"] == "Loading the base model… (1 min 15 s)"


def test_many_pages_are_told_to_ask_less_often(store, run):
    begin(run)
    alone = poll(store, run, page="one")["pace_ms"]
    paces = [poll(store, run, page=f"page {number}")["pace_ms"] for number in range(49)]
    assert alone == 1000 and paces[3] == 1000 and abs(paces[-1] - 50 / 5 * 1000) <= 1000 * viewers.TOGETHER_S / 2


def test_many_pages_ask_in_groups(monkeypatch):
    """At the same few moments, whenever each of them came."""
    counted, now = viewers.Viewers(), 100.0
    monkeypatch.setattr(viewers.time, "monotonic", lambda: now)
    due = []
    for number in range(50):
        now += 0.037 * number % 1
        due.append(now + counted.pace_ms(f"page {number}", 1000) / 1000)
    moments = [one / viewers.TOGETHER_S for one in due[viewers.AT_EASE :]]
    assert moments == pytest.approx([round(one) for one in moments], abs=1e-3)


def test_the_command_of_a_run(store, run):
    told = live_of(store).command({"run": run.id})
    assert told["command"].startswith("python -m asrkit train --preset demo") and told["notice"] == ""
    assert "There is no run" in live_of(store).command({"run": "nothing"})["notice"]


def test_the_pages_thread_starts_what_waits(store, run, monkeypatch):
    """A run whose turn has come is started by a poll of any page."""
    begun = []
    monkeypatch.setattr(queue, "spawn_worker", lambda run, devices: begun.append(run))
    waits = store.create(config.load_preset("demo").config, "waits")
    LiveRun(store).poll({})
    write_json(waits.queue_path, {"place": 1})
    begin(run)
    assert poll(store, waits)["activity"] == f"Waiting for run {run.id} to finish…" and begun == []
    assert poll(store, waits)["can"] == ["leave"]
    tell(run, "finished", 20, message="Finished.", saved=False)
    LiveRun(store).poll({})
    assert [one.id for one in begun] == ["waits"]


def test_what_a_word_list_and_the_letter_frequencies_are_worth(store, run):
    """The dotted curve and the dashed line of the charts, for the runs that have them."""
    tell(run, "started", 0, total_steps=20, label_entropy=2.71)
    evaluate(run, 1, 0.5)
    told = poll(store, run)
    assert told["entropy"] == 2.71
    assert not told["points"].get("eval/greedy_wer", {"x": []})["x"]
    tell(run, "eval", 2, loss=1.0, wer=0.2, cer=0.1, mer=0.2, greedy_wer=0.7, greedy_cer=0.3, samples=[])
    told = poll(store, run)
    assert told["points"]["eval/greedy_wer"]["y"] == [0.7]
    assert told["evaluation"]["caption"].endswith("without the word list WER 70.0 %")


def test_what_the_system_refuses_is_said_as_it_is(store, run, monkeypatch):
    begin(run)

    def fails(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setitem(live_panel.ACTIONS, "stop", fails)
    assert "Input/output error" in live_of(store).act({"action": "stop", "run": run.id})["notice"]
    monkeypatch.setattr(live_panel.queue, "start_ready_runs", fails)
    waits = store.create(
        config.load_preset("demo").config, "waits", lambda made: write_json(made.queue_path, {"place": 1})
    )
    tell(run, "finished", 20, message="")
    told = poll(store, waits)
    assert "cannot be started" in told["notice"] and told["status"] == "queued"


def test_only_the_runs_that_are_looked_at_are_kept_in_memory(store, monkeypatch):
    monkeypatch.setattr(follow, "MOST_KEPT", 2)
    followers, listed = follow.Followers(store), run_list.RunList(store)
    runs = [store.create(config.load_preset("demo").config, name) for name in ("a", "b", "c")]
    for one in runs:
        tell(one, "finished", 20, message="")
    kept = [weakref.ref(followers.get(name)) for name in ("a", "b", "a", "c")]
    assert [one() is not None for one in kept] == [True, False, True, True]
    listed.rows(now=True)
    for one in runs:
        store.delete(one)
        with pytest.raises(RunError):
            followers.get(one.id)
    assert [one() for one in kept] == [None] * 4
    assert listed.rows(now=True) == [] and not listed._settled


def test_what_is_read_out_changes_with_the_phase_and_not_with_every_figure(store, run):
    begin(run)
    said = set()
    for done in (1, 2, 3):
        tell(run, "phase", 1, phase="evaluating", text=f"Evaluating {done} of 3 clips")
        said.add(poll(store, run)["said"])
    assert said == {"Running: Evaluating"}


def test_why_a_run_waits_is_told_without_another_look_at_all_runs(store, run, monkeypatch):
    tell(run, "train", 1, loss=1.0)
    waits = store.create(config.load_preset("demo").config, "20260101-000001-waits")
    write_json(waits.queue_path, {"place": 1.0})
    looks, everything = [], store.all
    monkeypatch.setattr(RunStore, "all", lambda self: looks.append(1) or everything())
    assert poll(store, waits)["activity"] == f"Waiting for run {run.id} to finish…"
    assert len(looks) == 1, "the list of runs has them all"


def test_a_run_that_is_to_end_is_not_said_to_train_on(store, run):
    begin(run)
    for step in (1, 2, 3):
        tell(run, "train", step, at=NOW + 10 * step, loss=1.0)
    assert poll(store, run)["line"].endswith("about 2 min 50 s left")
    run.set_flag(STOP)
    assert poll(store, run)["line"].endswith("30 s so far")
