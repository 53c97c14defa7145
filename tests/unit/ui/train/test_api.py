"""Replies to the live panel, from hand-written events."""

import os
import re
import socket
import threading
import time
import weakref
from dataclasses import replace

import pytest

from asrkit import config
from asrkit.errors import RunError
from asrkit.files import write_json
from asrkit.runs import pace, processes, queue
from asrkit.runs.description import make_description, write_description
from asrkit.runs.events import Event
from asrkit.runs.run import CANCEL, EVALUATE, SAVE, STOP
from asrkit.runs.store import RunStore
from asrkit.ui.common import run_list, viewers
from asrkit.ui.train import api, followers
from asrkit.ui.train.api import TrainApi

NOW = 1_800_000_000.0


@pytest.fixture
def store(tmp_path):
    return RunStore(tmp_path / "runs")


@pytest.fixture
def run(store):
    """Create a run whose worker is this process, so that it counts as alive."""
    new_run = store.create(config.load_preset("demo").config, "20260101-000000-demo")
    write_json(
        new_run.process_path,
        {**processes.identify_process(os.getpid()), "host": socket.gethostname(), "start_time": NOW},
    )
    return new_run


def add_event(run, kind, step=None, at=NOW, **data):
    run.append(Event(kind, at, step, step and step / 10, data))


def start(run, step=0):
    add_event(run, "started", step, total_steps=20, metric_for_best_model="wer")


def evaluate(run, step, wer, hypothesis="november four", clip="a"):
    add_event(
        run,
        "eval",
        step,
        loss=wer * 2,
        wer=wer,
        cer=wer / 2,
        mer=wer,
        utterances=100,
        samples=[{"id": clip, "reference": "november four", "hypothesis": hypothesis}],
    )


def drop_times(curve):
    """Return the steps and values of a curve."""
    return {"x": curve["x"], "y": curve["y"]}


APIS = weakref.WeakKeyDictionary()


def get_api(store):
    """Return the API of a store: one for all pages, as in the app."""
    return APIS.setdefault(store, TrainApi(store))


def poll(store, run, last_reply=None, **request):
    """Return the reply to a page whose last reply was `last_reply`."""
    return get_api(store).poll({"run": run.id, "after": last_reply["offset"] if last_reply else 0, **request})


def test_first_poll_sends_all_points_and_later_polls_only_new_ones(store, run):
    start(run)
    add_event(run, "train", 1, loss=3.0)
    first = poll(store, run)
    assert first["reset"]
    assert first["points"]["train/loss"] == {"x": [1], "e": [0.1], "t": [0.0], "y": [3.0]}
    add_event(run, "train", 2, loss=2.5)
    evaluate(run, 2, 0.5)
    second = poll(store, run, first)
    assert not second["reset"]
    assert {name: drop_times(curve) for name, curve in second["points"].items()} == {
        "train/loss": {"x": [2], "y": [2.5]},
        "eval/loss": {"x": [2], "y": [1.0]},
        "eval/wer": {"x": [2], "y": [0.5]},
        "eval/cer": {"x": [2], "y": [0.25]},
    }
    assert poll(store, run, second)["points"] == {}


def test_half_written_line_is_read_once_it_is_complete(store, run):
    start(run)
    add_event(run, "train", 1, loss=3.0)
    line = Event("train", NOW, 2, 0.2, {"loss": 2.0}).to_line()
    with open(run.events_path, "a") as file:
        file.write(line[:20])
    first = poll(store, run)
    assert first["points"]["train/loss"]["x"] == [1]
    with open(run.events_path, "a") as file:
        file.write(line[20:])
    assert drop_times(poll(store, run, first)["points"]["train/loss"]) == {"x": [2], "y": [2.0]}


def test_resume_resets_the_curves(store, run):
    start(run)
    for step in range(1, 6):
        add_event(run, "train", step, loss=float(step))
    first = poll(store, run)
    start(run, step=3)
    add_event(run, "train", 4, loss=40.0)
    again = poll(store, run, first)
    assert again["reset"]
    assert drop_times(again["points"]["train/loss"]) == {"x": [1, 2, 3, 4], "y": [1.0, 2.0, 3.0, 40.0]}


def test_replaced_history_resets_the_curves(store, run):
    start(run)
    for step in range(1, 9):
        add_event(run, "train", step, loss=1.0)
    train_api = TrainApi(store)
    first = train_api.poll({"run": run.id, "after": 0})
    run.events_path.unlink()
    start(run)
    reply = train_api.poll({"run": run.id, "after": first["offset"]})
    assert reply["reset"] and reply["points"]["train/loss"]["x"] == []


def test_concurrent_pages_get_every_point_once(store, run, monkeypatch):
    monkeypatch.setattr(followers, "MAX_NEW_POINTS", 1000)
    start(run)
    train_api = TrainApi(store)
    steps = {name: [] for name in range(4)}
    last = train_api.poll({"run": run.id})["offset"]

    def page(name):
        after = last
        while not steps[name] or steps[name][-1] < 300:
            reply = train_api.poll({"run": run.id, "after": after})
            assert not reply["reset"]
            steps[name] += reply["points"].get("train/loss", {"x": []})["x"]
            after = reply["offset"]

    pages = [threading.Thread(target=page, args=(name,)) for name in steps]
    for thread in pages:
        thread.start()
    for step in range(1, 301):
        add_event(run, "train", step, loss=1.0)
    for thread in pages:
        thread.join(60)
    assert all(seen == list(range(1, 301)) for seen in steps.values())


def test_first_poll_thins_long_curves(store, run, monkeypatch):
    monkeypatch.setattr(followers, "MAX_POINTS", 10)
    start(run)
    for step in range(1, 96):
        add_event(run, "train", step, loss=1.0)
    steps = poll(store, run)["points"]["train/loss"]["x"]
    assert len(steps) <= 11 and steps[0] == 1 and steps[-1] == 95


def test_non_finite_value_is_null(store, run):
    start(run)
    add_event(run, "train", 1, loss=float("nan"))
    assert drop_times(poll(store, run)["points"]["train/loss"]) == {"x": [1], "y": [None]}


def test_mer_is_sent_if_it_selects_the_best_model(store, run):
    add_event(run, "started", 0, total_steps=20, metric_for_best_model="mer")
    evaluate(run, 1, 0.5)
    assert poll(store, run)["points"]["eval/mer"]["y"] == [0.5]


def test_hypothesis_is_escaped(store, run):
    start(run)
    evaluate(run, 1, 0.5, hypothesis='<script>alert(1)</script> "><img src=x onerror=alert(1)>')
    html = poll(store, run)["evaluation"]["html"]
    assert "<script" not in html and "<img" not in html
    assert "&lt;script&gt;" in html


def test_latest_evaluation_is_sent_once_and_older_ones_on_demand(store, run):
    start(run)
    evaluate(run, 1, 0.5)
    evaluate(run, 2, 0.4)
    first = poll(store, run)
    assert first["evaluation"]["step"] == 2 and first["evaluations"] == [1, 2]
    key = first["evaluation"]["key"]
    assert poll(store, run, first, evaluation=key)["evaluation"] is None
    assert poll(store, run, first, evaluation=key, at_step=1)["evaluation"]["caption"] == (
        "Step 1 · 100 clips · WER 50.0 % · CER 25.0 %"
    )


def test_failed_run_has_error_and_remedy(store, run):
    add_event(
        run, "failed", message="The disk is full.", remedy="Free some space.", traceback="Traceback", error="full"
    )
    reply = poll(store, run)
    assert reply["error"] == {"message": "The disk is full.", "remedy": "Free some space.", "traceback": "Traceback"}
    assert reply["can"] == ["resume", "delete"] and reply["ended"]


def test_killed_run_is_interrupted_and_can_be_resumed(store, run):
    start(run)
    write_json(run.process_path, {"pid": os.getpid(), "start": "another", "host": socket.gethostname()})
    reply = poll(store, run)
    assert reply["status_word"] == "Interrupted" and reply["can"] == ["resume", "delete"]
    assert "killed" in reply["error"]["message"]


@pytest.mark.parametrize(
    ("flags", "can", "activity"),
    [
        ([], ["stop", "cancel", "evaluate", "save"], "Training…"),
        ([STOP], ["cancel"], "Stopping after this step, then saving the model… (force stop after 10 min)"),
        ([STOP, CANCEL], ["force_stop"], "Cancelling… (force stop after 2 min)"),
    ],
)
def test_actions_and_activity_follow_the_control_flags(store, run, flags, can, activity):
    start(run)
    add_event(run, "train", 1, loss=1.0)
    for flag in flags:
        run.set_flag(flag)
    reply = poll(store, run)
    assert (reply["can"], reply["activity"]) == (can, activity)


def test_run_without_events_is_starting(store, run):
    reply = poll(store, run)
    assert (reply["status"], reply["activity"], reply["progress"]) == ("starting", "Starting the worker…", 0.0)


def test_finished_run_refers_to_the_transcribe_tab(store, run):
    start(run)
    evaluate(run, 10, 0.031)
    run.model_dir.mkdir()
    (run.model_dir / "config.json").write_text("{}")
    add_event(run, "finished", 20, message="Finished.", saved=True, model="model")
    reply = poll(store, run)
    assert reply["outcome"] == "Finished. WER 3.1 % (best at step 10). Talk to it in the Transcribe tab."
    assert reply["can"] == ["delete"] and reply["progress"] == 1.0


def test_gain_that_chance_may_explain_is_called_so(store, run):
    """The best evaluation is not the start, yet no better than it by more than chance."""
    start(run)
    evaluate(run, 0, 0.25)
    evaluate(run, 10, 0.0)
    add_event(run, "finding", 20, code="no-gain", cause="No gain.", remedy="Train for longer.")
    add_event(run, "finished", 20, message="Finished.", saved=True, model="model")
    outcome = poll(store, run)["outcome"]
    assert outcome.startswith("Finished. WER 0.0 % (best at step 10); ") and "may be chance" in outcome
    assert "still the best" not in outcome and "of 100 words" not in outcome


def test_cancelled_run_has_no_model(store, run):
    start(run)
    add_event(run, "stopped", 3, message="Cancelled; only the history was kept.", saved=False, model=None)
    reply = poll(store, run)
    assert reply["outcome"] == "Cancelled; only the history was kept." and reply["error"] is None


def test_log_is_sent_on_request(store, run):
    run.log_path.write_text("step 1\n")
    assert poll(store, run)["log"] is None
    assert poll(store, run, log=True)["log"] == "step 1\n"


def test_poll_without_run_chooses_the_active_one(store, run):
    store.create(config.load_preset("demo").config, "20270101-000000-demo")
    start(run)
    reply = TrainApi(store).poll({"run": ""})
    assert reply["run"] == run.id
    assert [row["id"] for row in reply["runs"]] == ["20270101-000000-demo", run.id]
    assert "runs" not in TrainApi(store).poll({"run": "", "signature": reply["signature"]})


def test_poll_of_an_empty_store(store):
    reply = TrainApi(store).poll({})
    assert (reply["run"], reply["notice"], reply["runs"]) == ("", "", []) and "points" not in reply


@pytest.mark.parametrize("name", ["nothing", "../../etc", "a/b", ""])
def test_unknown_run_is_reported(store, run, name):
    train_api = TrainApi(store)
    assert "There is no run" in train_api.perform_action({"action": "stop", "run": name})["notice"]
    if name:
        assert "There is no run" in train_api.poll({"run": name})["notice"]


def test_unknown_action_is_refused(store, run):
    reply = TrainApi(store).perform_action({"action": "create", "run": run.id})
    assert reply["notice"] == "This action does not exist."


def test_delete_refuses_a_run_under_way(store, run):
    train_api = TrainApi(store)
    start(run)
    assert "still running" in train_api.perform_action({"action": "delete", "run": run.id})["notice"]
    assert run.config_path.exists()
    add_event(run, "finished", 20, message="Finished.", saved=False)
    assert train_api.perform_action({"action": "delete", "run": run.id}) == {"notice": ""} and store.all() == []


@pytest.mark.parametrize(("action", "flag"), [("save", SAVE), ("evaluate", EVALUATE)])
def test_save_and_evaluate_set_flags_of_an_active_run_only(store, run, action, flag):
    start(run)
    assert TrainApi(store).perform_action({"action": action, "run": run.id}) == {"notice": ""} and run.has_flag(flag)
    run.clear_flags()
    add_event(run, "finished", 20, message="Finished.", saved=False)
    TrainApi(store).perform_action({"action": action, "run": run.id})
    assert not run.has_flag(flag), "a run that has ended gets no flags"


def poll_first_step(store, run):
    """Return the reply to a page that opens after the first step."""
    start(run)
    add_event(run, "train", 1, loss=1.0)
    return poll(store, run)


def test_page_that_missed_too_many_events_is_reset(store, run, monkeypatch):
    monkeypatch.setattr(followers, "MAX_RECENT_EVENTS", 5)
    first = poll_first_step(store, run)
    for step in range(2, 7):
        add_event(run, "train", step, loss=1.0)
    assert not poll(store, run, first)["reset"]
    add_event(run, "train", 7, loss=1.0)
    late = poll(store, run, first)
    assert late["reset"] and late["points"]["train/loss"]["x"] == [1, 2, 3, 4, 5, 6, 7]


def test_long_updates_are_thinned_and_keep_extremes(store, run, monkeypatch):
    monkeypatch.setattr(followers, "MAX_NEW_POINTS", 10)
    first = poll_first_step(store, run)
    for step in range(2, 102):
        add_event(run, "train", step, loss=9.0 if step == 50 else 1.0)
    late = poll(store, run, first)
    curve = late["points"]["train/loss"]
    assert not late["reset"] and len(curve["x"]) <= 12
    assert (curve["x"][0], curve["x"][-1]) == (2, 101) and (50, 9.0) in zip(curve["x"], curve["y"], strict=True)


def test_long_history_is_read_in_several_polls(store, run, monkeypatch):
    monkeypatch.setattr(followers, "READ_BYTES", 1000)
    monkeypatch.setattr(followers, "MAX_READ_S", 0.0)
    start(run)
    for step in range(1, 101):
        add_event(run, "train", step, loss=1.0)
    read, reply = [], {"read": 0.0}
    while reply["read"] < 1:
        reply = poll(store, run)
        read.append(reply["read"])
        assert reply["reset"] == (reply["read"] == 1)
    assert len(read) > 3 and read == sorted(read)
    assert reply["points"]["train/loss"]["x"] == list(range(1, 101))


def test_samples_show_what_the_base_model_wrote_before_training(store, run):
    start(run)
    evaluate(run, 0, 0.5, hypothesis="november for")
    assert "Before training" not in poll(store, run)["evaluation"]["html"]
    evaluate(run, 10, 0.0)
    html = poll(store, run)["evaluation"]["html"]
    assert "<th>Before training</th><th>Now</th>" in html
    assert re.search(r"<td>november <mark[^>]*>for</mark></td><td>november four</td></tr>", html)


def test_clip_that_was_not_evaluated_before_training_says_so(store, run):
    start(run)
    evaluate(run, 0, 0.5)
    evaluate(run, 10, 0.0, clip="b")
    assert '<td><span class="quiet">–</span></td><td>november four</td></tr>' in poll(store, run)["evaluation"]["html"]


def test_samples_leave_out_a_base_model_that_wrote_no_word_right(store, run):
    start(run)
    evaluate(run, 0, 1.0, hypothesis="")
    evaluate(run, 10, 0.0)
    assert "Before training" not in poll(store, run)["evaluation"]["html"]


def test_reply_has_best_evaluation_and_findings(store, run):
    start(run)
    evaluate(run, 1, 0.2)
    evaluate(run, 2, 0.4)
    add_event(run, "finding", 2, code="plateau", cause="It stands.", remedy="Wait.")
    reply = poll(store, run)
    assert reply["best"] == {"step": 1, "text": "WER 20.0 %"}
    assert [(one["step"], one["code"]) for one in reply["findings"]] == [(2, "plateau")]


def test_evaluations_on_a_sample_say_so_and_have_a_band(store, run):
    start(run)
    add_event(run, "eval", 1, loss=1.0, wer=0.2, utterances=500, of=16_398, wer_interval=[0.15, 0.26])
    reply = poll(store, run)
    assert reply["best"]["text"] == "WER 20.0 % on 500 of 16,398 clips"
    assert reply["sample"] == "evaluated on 500 of 16,398 clips; the band is WER's 95 % interval"
    assert reply["evaluation"]["caption"] == ("Step 1 · 500 of 16,398 clips · WER 20.0 % (95 % interval 15.0 to 26.0)")
    band = {"eval/wer_low": 0.15, "eval/wer_high": 0.26}
    assert {name: reply["points"][name]["y"] for name in band} == {name: [value] for name, value in band.items()}
    add_event(run, "eval", 2, loss=1.0, wer=0.1, utterances=500, of=16_398, wer_interval=[0.05, 0.16])
    assert poll(store, run, reply)["points"]["eval/wer_low"]["y"] == [0.05]


def test_evaluations_on_several_datasets_have_a_curve_for_each(store, run):
    def evaluate_on(step, num_datasets):
        datasets = {f"/home/ann/set {index}": {"wer": index / 10} for index in range(num_datasets)}
        add_event(run, "eval", step, loss=1.0, wer=0.2, utterances=100, datasets=datasets)

    start(run)
    evaluate_on(1, 2)
    reply = poll(store, run)
    assert {name: curve["y"] for name, curve in reply["points"].items() if "set" in name} == {
        "eval/wer/set 0": [0.0],
        "eval/wer/set 1": [0.1],
    }, "without their paths"
    assert reply["evaluation"]["caption"] == "Step 1 · 100 clips · WER 20.0 % · set 0: WER 0.0 % · set 1: WER 10.0 %"
    evaluate_on(2, 9)
    news = poll(store, run, reply)["points"]
    assert news["eval/wer/set 1"]["x"] == [2]
    assert len([name for name in news if "set" in name]) == followers.MAX_DATASET_CURVES


@pytest.mark.parametrize(("utterances", "can"), [(64, ["score", "delete"]), (1_000, ["delete"])])
def test_ended_run_can_be_evaluated_on_all_clips_after_a_sample(store, run, utterances, can):
    start(run)
    add_event(run, "eval", 1, loss=1.0, wer=0.2, utterances=utterances, of=1_000)
    add_event(run, "finished", 1, saved=True)
    run.model_dir.mkdir()
    (run.model_dir / "config.json").write_text("{}")
    assert poll(store, run)["can"] == can


def test_slow_phase_shows_its_duration(store, run):
    add_event(run, "phase", 0, at=time.time() - 75, phase="loading", text="Loading the base model")
    assert poll(store, run)["activity"] == "Loading the base model… (1 min 15 s)"


def test_poll_interval_grows_with_the_number_of_pages(store, run):
    start(run)
    alone = poll(store, run, page="one")["pace_ms"]
    paces = [poll(store, run, page=f"page {index}")["pace_ms"] for index in range(49)]
    assert alone == 1000 and paces[3] == 1000 and abs(paces[-1] - 50 / 5 * 1000) <= 1000 * viewers.GROUP_INTERVAL_S / 2


def test_command_has_the_settings_of_a_run(store, run):
    reply = get_api(store).make_command({"run": run.id})
    assert reply["command"].startswith("python -m asrkit train --preset demo") and reply["notice"] == ""
    assert "There is no run" in get_api(store).make_command({"run": "nothing"})["notice"]


def test_poll_starts_queued_runs(store, run, monkeypatch):
    spawned = []
    monkeypatch.setattr(queue, "spawn_worker", lambda run, devices: spawned.append(run))
    queued_run = store.create(config.load_preset("demo").config, "waits")
    TrainApi(store).poll({})
    write_json(queued_run.queue_path, {"place": 1})
    start(run)
    assert poll(store, queued_run)["activity"] == f"Waiting for run {run.id} to finish…" and spawned == []
    assert poll(store, queued_run)["can"] == ["dequeue"]
    add_event(run, "finished", 20, message="Finished.", saved=False)
    TrainApi(store).poll({})
    assert [one.id for one in spawned] == ["waits"]


def test_reply_has_greedy_wer_and_label_entropy_if_known(store, run):
    add_event(run, "started", 0, total_steps=20, label_entropy=2.71)
    evaluate(run, 1, 0.5)
    reply = poll(store, run)
    assert reply["entropy"] == 2.71
    assert not reply["points"].get("eval/greedy_wer", {"x": []})["x"]
    add_event(run, "eval", 2, loss=1.0, wer=0.2, cer=0.1, mer=0.2, greedy_wer=0.7, greedy_cer=0.3, samples=[])
    reply = poll(store, run)
    assert reply["points"]["eval/greedy_wer"]["y"] == [0.7]
    assert reply["evaluation"]["caption"].endswith("without the word list WER 70.0 %")


def test_os_errors_are_shown_as_notices(store, run, monkeypatch):
    start(run)

    def fails(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setitem(api.RUN_ACTIONS, "stop", fails)
    assert "Input/output error" in get_api(store).perform_action({"action": "stop", "run": run.id})["notice"]
    monkeypatch.setattr(api.queue, "start_ready_runs", fails)
    queued_run = store.create(
        config.load_preset("demo").config, "waits", lambda new_run: write_json(new_run.queue_path, {"place": 1})
    )
    add_event(run, "finished", 20, message="")
    reply = poll(store, queued_run)
    assert "cannot be started" in reply["notice"] and reply["status"] == "queued"


def test_least_recently_polled_run_is_dropped_from_memory(store, monkeypatch):
    monkeypatch.setattr(followers, "MAX_FOLLOWERS", 2)
    cache, listing = followers.FollowerCache(store), run_list.RunList(store)
    runs = [store.create(config.load_preset("demo").config, name) for name in ("a", "b", "c")]
    for one in runs:
        add_event(one, "finished", 20, message="")
    kept = [weakref.ref(cache.get(name)) for name in ("a", "b", "a", "c")]
    assert [one() is not None for one in kept] == [True, False, True, True]
    listing.rows(refresh=True)
    for one in runs:
        store.delete(one)
        with pytest.raises(RunError):
            cache.get(one.id)
    assert [one() for one in kept] == [None] * 4
    assert listing.rows(refresh=True) == [] and not listing._ended


def test_announcement_changes_with_the_phase_only(store, run):
    start(run)
    announcements = set()
    for done in (1, 2, 3):
        add_event(run, "phase", 1, phase="evaluating", text=f"Evaluating {done} of 3 clips")
        announcements.add(poll(store, run)["announcement"])
    assert announcements == {"Running: Evaluating"}


def test_queue_status_uses_the_list_of_runs(store, run, monkeypatch):
    add_event(run, "train", 1, loss=1.0)
    queued_run = store.create(config.load_preset("demo").config, "20260101-000001-waits")
    write_json(queued_run.queue_path, {"place": 1.0})
    listings, list_all = [], store.all
    monkeypatch.setattr(RunStore, "all", lambda self: listings.append(1) or list_all())
    assert poll(store, queued_run)["activity"] == f"Waiting for run {run.id} to finish…"
    assert len(listings) == 1, "the list of runs is used for the queue as well"


def test_stopping_run_has_no_remaining_time(store, run):
    start(run)
    for step in (1, 2, 3):
        add_event(run, "train", step, at=NOW + 10 * step, loss=1.0)
    assert poll(store, run)["line"].endswith("about 2 min 50 s left")
    run.set_flag(STOP)
    assert poll(store, run)["line"].endswith("30 s so far")


def test_run_is_described_and_called_by_its_name(store, run):
    panel = get_api(store)
    before = poll(store, run)
    request = {"run": run.id, "name": " Try  2 ", "tags": ["paper", "paper"], "notes": "windy"}
    assert before["can_describe"] and panel.save_description(request) == {"notice": ""}
    after = poll(store, run, signature=before["signature"])
    assert after["description"] == {"name": "Try 2", "tags": ("paper",), "notes": "windy"}
    assert after["runs"] == [{"id": run.id, "label": "Try 2 · starting"}]
    refused = panel.save_description(request | {"name": "n" * 101})
    assert "can have 100 characters" in refused["notice"] and poll(store, run)["description"]["name"] == "Try 2"


def test_queue_has_names(store, run):
    queued_run = store.create(config.load_preset("demo").config, "waits")
    write_json(queued_run.queue_path, {"place": 1})
    write_description(queued_run, make_description("Next try"))
    assert poll(store, run)["queue"] == [{"id": "waits", "name": "Next try"}]


def test_settings_of_a_run_begin_with_those_that_differ_from_its_preset(store):
    run = store.create(config.load_preset("demo").config.replace({"learning_rate": 0.005, "seed": 9}), "one")
    reply = poll(store, run)
    assert reply["settings"] == "Demo · starter · callsigns · lr 0.005, seed 9"
    assert reply["runs"][0]["label"] == "one · lr 0.005, seed 9 · queued"
    first, second, third, *_ = get_api(store).list_settings({"run": "one"})["settings"]
    assert first == {"label": "Learning rate", "value": "0.005", "preset": "0.001"}
    assert (second["label"], second["value"], third["preset"]) == ("Seed", "9", "")
    assert "There is no run" in get_api(store).list_settings({"run": "nothing"})["notice"]


def test_demo_starts_with_its_preset_or_says_why_it_cannot(store, monkeypatch):
    started = []

    def start_admitted(store, started_config):
        if started:
            raise RunError("There is no room.")
        started.append(started_config)
        return store.unguarded.create(started_config, "20260101-000000-demo")

    monkeypatch.setattr(api, "start_admitted", start_admitted)
    panel = TrainApi(store)
    assert panel.start_demo({}) == {"run": "20260101-000000-demo"}
    assert started == [config.load_preset("demo").config]
    assert panel.start_demo({}) == {"notice": "There is no room."}


def test_cancelled_run_is_called_so(store, run):
    start(run)
    add_event(run, "stopped", 3, saved=False)
    assert poll(store, run)["status_word"] == "Stopped"
    run.set_flag(CANCEL)
    reply = poll(store, run)
    assert (reply["status"], reply["status_word"], reply["announcement"]) == ("stopped", "Cancelled", "Cancelled")


def play_speeds(run, *speeds):
    add_event(run, "started", 0, total_steps=20, parameters=3_000_000, device="cpu")
    for step, speed in enumerate(speeds, 1):
        add_event(run, "train", step, loss=1.0, audio_seconds_per_second=speed)


def remember_speed(speed, **changes):
    earlier = pace.Pace(5.0, speed, None, 3_000_000, config.load_preset("demo").config.freeze)
    pace.remember(replace(earlier, **changes), "cpu")


@pytest.fixture
def no_pace(tmp_path, monkeypatch):
    monkeypatch.setenv(pace.VARIABLE, str(tmp_path / "pace.json"))


def test_run_that_is_much_slower_than_earlier_ones_says_so(store, run, no_pace):
    remember_speed(40.0)
    play_speeds(run, 1.0, 10.0, 10.0, 10.0)
    assert "speed of earlier runs" not in poll(store, run)["machine"], "there are too few points"
    add_event(run, "train", 5, loss=1.0, audio_seconds_per_second=10.0)
    assert poll(store, run)["machine"].startswith("25 % of the speed of earlier runs")


@pytest.mark.parametrize("earlier", [{"train_speed": 15.0}, {"parameters": 300_000_000}])
def test_run_is_compared_with_earlier_runs_of_such_a_model_only(store, run, no_pace, earlier):
    remember_speed(40.0, **earlier)
    play_speeds(run, *[10.0] * 6)
    assert "speed of earlier runs" not in poll(store, run)["machine"]
