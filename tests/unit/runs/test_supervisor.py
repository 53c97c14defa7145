import concurrent.futures
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import psutil
import pytest

from asrkit.cli import train
from asrkit.config import TrainConfig
from asrkit.errors import ConfigError, DataError, ModelError, RunError
from asrkit.runs import heartbeat, launchers, lifecycle, processes, queue, summary, supervisor, view
from asrkit.runs.events import Event
from asrkit.runs.run import CANCEL, SCORE, STOP
from asrkit.runs.store import RunStore
from asrkit.ui.common.run_list import RunList
from asrkit.ui.train.api import TrainApi
from tests.support.runs import end_runs
from tests.support.waiting import wait_for

NOW = 1_763_766_000.0
BEFORE, AFTER = NOW - 100, NOW + 100


@pytest.fixture
def live_process(child):
    """The content of `process.json` for a process that is running."""
    return {**processes.identify_process(child.pid), "start_time": NOW}


@pytest.fixture
def dead_process():
    """The content of `process.json` for a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    process_info = processes.identify_process(process.pid)
    process.communicate()
    return {**process_info, "start_time": NOW}


def make_event(kind, time_s=AFTER, **data):
    return Event(kind, time_s, 3, 0.5, data)


STARTED, PHASE, TRAIN, EVAL = (make_event(kind) for kind in ("started", "phase", "train", "eval"))


# Status of a run


def test_run_without_a_process_is_queued(make_run):
    assert lifecycle.get_status(make_run()) == "queued"


def test_run_is_starting_until_the_worker_has_loaded(make_run, live_process):
    assert lifecycle.get_status(make_run("one", [], live_process)) == "starting"
    loading = make_event("phase", phase="loading", text="Loading PyTorch")
    assert lifecycle.get_status(make_run("two", [loading, loading], live_process)) == "starting"


@pytest.mark.parametrize(
    "event", [STARTED, TRAIN, EVAL, make_event("checkpoint"), make_event("finding"), make_event("newer-kind")]
)
def test_run_with_a_training_event_is_running(make_run, live_process, event):
    assert lifecycle.get_status(make_run("one", [PHASE, event, PHASE], live_process)) == "running"


def test_run_is_running_during_a_long_evaluation(make_run, live_process):
    """The last 64 kB of the events hold only evaluation phases, not the `started` event."""
    evaluating = make_event("phase", phase="evaluating", text="Evaluating 8 of 100000 clips" + "." * 2000)
    run = make_run("one", [STARTED, *[evaluating] * 40], live_process)
    assert STARTED not in run.last_events()
    assert lifecycle.get_status(run) == "running"


@pytest.mark.parametrize("flag", [STOP, CANCEL])
def test_flagged_run_is_stopping_while_its_worker_is_alive(make_run, live_process, dead_process, flag):
    for name, events in (("loads", []), ("trains", [STARTED, TRAIN])):
        run = make_run(name, events, live_process)
        run.set_flag(flag)
        assert lifecycle.get_status(run) == "stopping"
    run = make_run("crashed", [STARTED, TRAIN], dead_process)
    run.set_flag(flag)
    assert lifecycle.get_status(run) == "crashed"


@pytest.mark.parametrize("kind", ["stopped", "finished", "failed"])
def test_end_event_decides_the_status(make_run, live_process, dead_process, kind):
    end = make_event(kind)
    assert lifecycle.get_status(make_run("gone", [STARTED, end], dead_process)) == kind
    assert lifecycle.get_status(make_run("leaving", [STARTED, end], live_process)) == kind
    assert lifecycle.get_status(make_run("copied", [STARTED, end])) == kind


@pytest.mark.parametrize(
    "events", [[], [PHASE], [STARTED, TRAIN], [make_event("stopped", BEFORE), make_event("phase")]]
)
def test_run_without_end_event_and_worker_is_crashed(make_run, dead_process, events):
    assert lifecycle.get_status(make_run("one", events, dead_process)) == "crashed"


def test_resumed_worker_that_died_before_its_first_event_is_crashed(make_run, dead_process):
    """`events_from` separates the workers: timestamps play no part, as clocks can change."""
    old = [make_event("started"), make_event("finished")]
    dead_process = {**dead_process, "events_from": sum(len(event.to_line()) for event in old)}
    assert lifecycle.get_status(make_run("one", old, dead_process)) == "crashed"


def test_end_event_in_the_reserve_decides_the_status(make_run, dead_process):
    run = make_run("one", [STARTED, TRAIN], dead_process)
    run.reserve_disk()
    assert lifecycle.get_status(run) == "crashed", "an empty reserve holds no end event"
    line = Event("failed", 100.0, data={"message": "The disk is full.", "remedy": "Free some."}).to_line()
    (run.path / ".reserve").write_text(line)
    assert lifecycle.get_status(run) == "failed" and summary.summarize_run(run)["error"] == "The disk is full."
    assert summary.describe_failure(run, "failed", view.load_view(run))["remedy"] == "Free some."


def test_half_written_end_event_is_no_end(make_run, dead_process):
    run = make_run("one", [STARTED], dead_process)
    with open(run.events_path, "ab") as file:
        file.write(make_event("finished").to_line().encode()[:-1])
    assert lifecycle.get_status(run) == "crashed"


@pytest.mark.parametrize("kind", ["stopped", "failed"])
def test_resumed_run_is_active_again(make_run, live_process, kind):
    """An end event before `events_from` belongs to an earlier worker."""
    old = [make_event("started", BEFORE), make_event(kind, BEFORE)]
    live_process = {**live_process, "events_from": sum(len(event.to_line()) for event in old)}
    assert lifecycle.get_status(make_run("loads", old, live_process)) == "starting"
    assert (
        lifecycle.get_status(make_run("trains", [*old, make_event("phase"), make_event("started")], live_process))
        == "running"
    )
    assert (
        lifecycle.get_status(make_run("ended", [*old, make_event("started"), make_event("finished")], live_process))
        == "finished"
    )


# Liveness of a process


def test_is_alive(child):
    process = {**processes.identify_process(child.pid), "host": socket.gethostname()}
    assert processes.is_alive(process)
    assert not processes.is_alive(None)
    assert not processes.is_alive({**process, "start": "another-boot:12"})
    assert not processes.is_alive({**process, "host": "elsewhere", "start": "1763766000.0"})
    assert not processes.is_alive({**process, "start": None})


def test_reused_pid_is_not_the_worker(make_run, child):
    run = make_run("one", [STARTED, TRAIN], {**processes.identify_process(os.getpid()), "pid": child.pid})
    assert not processes.is_alive(run.process())
    assert lifecycle.get_status(run) == "crashed"


def test_run_on_another_machine_is_not_active_here(make_run, live_process):
    away = {**live_process, "host": "elsewhere", "start": "another-boot:12"}
    assert lifecycle.get_status(make_run("one", [STARTED], away)) == "crashed"


@pytest.mark.parametrize(
    ("process", "error"),
    [
        (
            {"host": "elsewhere", "start": "another-boot:12"},
            "was started on elsewhere, and has left no heartbeat here",
        ),
        ({"folder": 1}, "a copy of a run that is active in another folder"),
    ],
)
def test_error_says_why_a_worker_is_not_visible(make_run, live_process, process, error):
    run = make_run("one", [STARTED], {**live_process, **process})
    assert lifecycle.get_status(run) == "crashed" and error in summary.summarize_run(run)["error"]
    assert (
        "ended without a message"
        in summary.summarize_run(make_run("two", [STARTED], {**live_process, "start": "x:1"}))["error"]
    )


def test_renamed_machine_recognises_its_run(make_run, live_process):
    assert lifecycle.get_status(make_run("one", [STARTED], {**live_process, "host": "before"})) == "running"


CLAIM_SCRIPT = """
import pathlib, sys
from asrkit.runs.store import Run
handle = Run(pathlib.Path(sys.argv[1])).claim()
print("claimed", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("change", [supervisor.resume, supervisor.delete])
def test_run_claimed_by_an_invisible_process_is_left_alone(make_run, store, dead_process, change):
    run = make_run("one", [STARTED], {**dead_process, "host": "elsewhere"})
    with subprocess.Popen(
        [sys.executable, "-c", CLAIM_SCRIPT, str(run.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as owner:
        assert owner.stdout.readline() == b"claimed\n"
        with pytest.raises(RunError, match="Run one is still running on elsewhere; stop it there first"):
            change(store, run)
        owner.stdin.close()
    assert run.path.exists()
    supervisor.delete(store, run)


def test_copy_of_an_active_run_is_not_active(store, config, worker):
    """Killing or deleting the copy does not affect the original's worker."""
    run = supervisor.start(store, config, "one")
    copy = store.root / "copy"
    shutil.copytree(run.path, copy)
    copied = store.get("copy")
    assert [lifecycle.get_status(each) for each in (run, copied)] == ["starting", "crashed"]
    processes.kill_worker(copied)
    supervisor.delete(store, copied)
    assert lifecycle.get_status(run) == "starting"


def test_zombie_is_not_alive(make_run, child):
    run = make_run("one", [STARTED], processes.identify_process(child.pid))
    assert processes.is_alive(run.process())
    child.stdin.close()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # ended but not reaped
    assert not processes.is_alive(run.process())
    assert processes.identify_process(child.pid)["start"] is None
    child.stdin = None


def test_process_start_is_constant(child):
    first = processes.identify_process(child.pid)
    again = processes.identify_process(child.pid)
    assert first["start"] == again["start"] and first["pid"] == child.pid
    assert first["start"] != processes.identify_process(os.getpid())["start"]
    assert abs(first["start_time"] - time.time()) < 60


# Actions by status


def test_stop_and_cancel_flag_only_active_runs(make_run, live_process, dead_process):
    running, ended = (
        make_run("runs", [STARTED], live_process),
        make_run("ended", [STARTED, make_event("finished")], dead_process),
    )
    for request, flag in ((supervisor.stop, STOP), (supervisor.cancel, CANCEL)):
        request(running)
        request(running)
        request(ended)
        assert running.has_flag(flag) and not ended.has_flag(flag)


def test_active_run_is_not_deleted(make_run, store, live_process, dead_process):
    busy, crashed = make_run("busy", [STARTED], live_process), make_run("crashed", [STARTED], dead_process)
    with pytest.raises(RunError, match="Run busy is still running; stop or cancel it before deleting it"):
        supervisor.delete(store, busy)
    supervisor.delete(store, crashed)
    assert [run.id for run in store.all()] == ["busy"]


def test_find_active_run(make_run, store, live_process):
    make_run("crashed", [STARTED], {**live_process, "start": "another-boot:12"})
    assert lifecycle.find_active_run(store) is None
    busy = make_run("busy", [STARTED], live_process)
    assert lifecycle.find_active_run(store).id == "busy"
    assert supervisor.resume(store, busy).process() == live_process | {
        "host": socket.gethostname(),
        "command": ["worker"],
    }


def test_resume_rejects_other_statuses(make_run, store, dead_process):
    run = make_run("one", [STARTED, make_event("finished")], dead_process)
    with pytest.raises(RunError, match="Run one is finished; only a stopped, failed or crashed run can be resumed"):
        supervisor.resume(store, run)


# Starting real processes


def test_worker_is_started_detached(store, config, worker):
    run = supervisor.start(store, config, "one")
    process = run.process()
    assert os.getsid(process["pid"]) == process["pid"] != os.getsid(0)
    assert process["host"] == socket.gethostname() and process["command"][-1] == str(run.path.resolve())
    assert lifecycle.get_status(run) == "starting"
    wait_for(lambda: run.log_tail() == "hello from one\ntrouble\n", "the worker's output", seconds=20)
    assert sorted(path.name for path in run.path.glob("*.jsonl")) == ["eval.jsonl", "train.jsonl"]

    processes.kill_worker(run)
    assert lifecycle.get_status(run) == "crashed"


# The queue


def queued_ids(store):
    return [run.id for run in queue.list_queue(store)]


def start_ready_ids(store):
    return [run.id for run in queue.start_ready_runs(store)]


def get_queue_status(store, run):
    return queue.get_queue_status(run, lifecycle.iter_active_runs(store), queue.list_queue(store))


def test_queued_runs_start_in_order(store, config, worker):
    first, second, third = (supervisor.start(store, config, name) for name in ("c-first", "a-second", "b-third"))
    assert [lifecycle.get_status(run) for run in (first, second, third)] == ["starting", "queued", "queued"]
    assert queued_ids(store) == ["a-second", "b-third"]
    assert get_queue_status(store, third) == (["c-first"], ["a-second"], 1, "", "")
    assert queue.start_ready_runs(store) == [], "a run is active"
    queue.move(store, third, 1)
    assert queued_ids(store) == ["b-third", "a-second"]
    processes.kill_worker(first)
    assert start_ready_ids(store) == ["b-third"]
    assert lifecycle.get_status(third) == "starting" and queued_ids(store) == ["a-second"]
    queue.move(store, first, 1)
    assert queued_ids(store) == ["a-second"], "moving an active run does not change the queue"


@pytest.mark.parametrize(
    ("position", "order"), [(1, "cabd"), (2, "acbd"), (3, "abcd"), (4, "abdc"), (99, "abdc"), (-1, "cabd")]
)
def test_move_changes_the_queue(store, config, worker, position, order):
    supervisor.start(store, config, "busy")
    runs = {name: supervisor.start(store, config, name) for name in "abcd"}
    for _ in range(2):
        queue.move(store, runs["c"], position)
        assert queued_ids(store) == list(order), "moving twice gives the same order"
    reopened = type(store)(store.root)
    supervisor.start(reopened, config, "e")
    assert queued_ids(reopened) == [*order, "e"], "the order survives a restart and a new run comes last"


def test_many_moves_keep_the_queue_consistent(store, config, worker):
    """Repeated halving exhausts the floats between two queue positions."""
    supervisor.start(store, config, "busy")
    runs = [supervisor.start(store, config, name) for name in "abc"]
    for number in range(60):
        queue.move(store, runs[2 - number % 2], 2)
    assert queued_ids(store) == ["a", "b", "c"]
    queue.move(store, runs[2], 1)
    assert queued_ids(store) == ["c", "a", "b"]


def test_system_clock_set_back_keeps_the_queue_order(store, config, worker, monkeypatch):
    supervisor.start(store, config, "busy")
    supervisor.start(store, config, "first")
    monkeypatch.setattr(queue.time, "time", lambda: 1000.0)
    supervisor.start(store, config, "second")
    assert queued_ids(store) == ["first", "second"]


def test_resumed_run_is_queued_behind_others(store, config, worker):
    crashed = supervisor.start(store, config, "crashed")
    processes.kill_worker(crashed)
    busy = supervisor.start(store, config, "busy")
    for _ in range(2):
        supervisor.resume(store, crashed)
    assert (lifecycle.get_status(crashed), queued_ids(store)) == ("queued", ["crashed"])
    processes.kill_worker(busy)
    queue.start_ready_runs(store)
    assert lifecycle.get_status(crashed) == "starting"


@pytest.mark.parametrize("remove", [supervisor.stop, supervisor.cancel])
def test_stop_removes_a_queued_run(store, config, worker, remove):
    supervisor.start(store, config, "busy")
    run = supervisor.start(store, config, "waits")
    for _ in range(2):
        remove(run)
    assert lifecycle.get_status(run) == "stopped" and queued_ids(store) == []
    end = run.events()[0][-1].data
    assert end["message"] == "Removed from the queue before it began." and end["begins"], (
        "no worker ran before this event"
    )
    supervisor.resume(store, run)
    assert queued_ids(store) == ["waits"]
    supervisor.delete(store, run)
    assert [each.id for each in store.all()] == ["busy"]


@pytest.mark.parametrize("is_busy", [False, True])
def test_ended_run_is_scored_on_all_clips_through_the_queue(make_run, store, config, worker, is_busy):
    """Only where its model was evaluated on a sample. Removed from the queue, the run is what it was."""
    scored = {"loss": 1.0, "wer": 0.5, "utterances": 64, "of": 1_000}
    run = make_run("one", [STARTED, make_event("eval", **scored), make_event("finished", saved=True)])
    supervisor.evaluate_now(run)
    assert not run.has_flag(SCORE), "it has no model"
    run.model_dir.mkdir()
    (run.model_dir / "config.json").write_text("{}")
    if is_busy:
        supervisor.start(store, config, "busy")
    supervisor.evaluate_now(run)
    assert run.has_flag(SCORE)
    assert (lifecycle.get_status(run), queued_ids(store)) == (("queued", ["one"]) if is_busy else ("starting", []))
    if is_busy:
        supervisor.stop(run)
        assert lifecycle.get_status(run) == "finished" and not run.has_flag(SCORE)


def test_two_apps_start_the_next_run_once(store, config, worker):
    busy = supervisor.start(store, config, "busy")
    supervisor.start(store, config, "next")
    processes.kill_worker(busy)
    with concurrent.futures.ThreadPoolExecutor(8) as apps:
        started = [run.id for runs in apps.map(lambda _: queue.start_ready_runs(store), range(16)) for run in runs]
    assert started == ["next"]


def test_tests_leave_no_run_that_goes_on(store, config, worker):
    busy = supervisor.start(store, config, "busy")
    supervisor.start(store, config, "next")
    end_runs(store)
    assert queue.start_ready_runs(store) == [] and [run.id for run in store.all()] == ["busy"]
    assert not processes.is_alive(busy.process())


def test_run_that_cannot_start_fails_and_the_next_one_starts(store, config, worker, monkeypatch):
    busy = supervisor.start(store, config, "a-busy")
    first, second = (supervisor.start(store, config, name) for name in ("b-first", "c-second"))
    processes.kill_worker(busy)
    spawn = queue.spawn_worker

    def spawn_or_fail(run, devices):
        if run.id == "b-first":
            raise OSError(12, "Cannot allocate memory")
        spawn(run, devices)

    monkeypatch.setattr(queue, "spawn_worker", spawn_or_fail)
    assert start_ready_ids(store) == ["c-second"]
    assert lifecycle.get_status(first) == "failed" and lifecycle.get_status(second) == "starting"


def test_damaged_queue_file_does_not_block_the_queue(store, config, worker):
    busy = supervisor.start(store, config, "busy")
    run = supervisor.start(store, config, "torn")
    run.queue_path.write_text("{")
    processes.kill_worker(busy)
    assert start_ready_ids(store) == ["torn"]


def test_resume_clears_flags_and_repairs_events(store, config, worker):
    run = supervisor.start(store, config, "one")
    supervisor.stop(run)
    processes.kill_worker(run)
    run.append(make_event("train", NOW))
    with open(run.events_path, "ab") as file:
        file.write(b'{"torn')
    first = run.process()
    supervisor.resume(store, run)
    assert lifecycle.get_status(run) == "starting" and not run.has_flag(STOP)
    assert run.process()["pid"] != first["pid"]
    assert run.events_path.read_bytes().endswith(b"}\n")


def test_worker_that_ends_at_once_leaves_no_zombie(store, config, worker, monkeypatch):
    monkeypatch.setattr(processes, "_WORKER", "no_such_worker")
    run = supervisor.start(store, config, "one")
    wait_for(lambda: lifecycle.get_status(run) == "crashed", "the crash", seconds=20)
    assert "No module named no_such_worker" in run.log_tail()


def test_error_before_the_start_leaves_no_run(store, config, worker, monkeypatch, tmp_path):
    with pytest.raises(ModelError):
        supervisor.start(store, config.replace({"model": "nonsense"}))
    with pytest.raises(DataError):
        supervisor.start(store, config.replace({"train": str(tmp_path / "nowhere")}))
    monkeypatch.setattr("asrkit.runs.store.free_bytes", lambda path: 100 * 2**20)
    with pytest.raises(RunError) as error:
        supervisor.start(store, config)
    assert str(error.value) == (
        f"The disk that holds {store.root} is full (100 MB free); free at least 200 MB and start again."
    )
    assert store.all() == []


def test_worker_that_cannot_be_started_leaves_no_run(store, config, monkeypatch):
    def raise_disk_full(path, value):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(processes, "write_json", raise_disk_full)
    with pytest.raises(RunError, match="is full; free some space"):
        supervisor.start(store, config, "one")
    assert store.all() == []


def test_hub_data_is_not_read_before_the_start(store, config, worker):
    run = supervisor.start(store, config.replace({"train": "hub:owner/name"}), "one")
    assert lifecycle.get_status(run) == "starting" and not run.manifest_path("train").exists()


def test_unreadable_queued_run_does_not_block_the_queue(store, config, worker):
    busy = supervisor.start(store, config, "busy")
    damaged, valid = (supervisor.start(store, config, name) for name in ("a-damaged", "b-valid"))
    damaged.config_path.write_text("{")
    processes.kill_worker(busy)
    assert start_ready_ids(store) == ["b-valid"]
    assert lifecycle.get_status(damaged) == "failed" and lifecycle.get_status(valid) == "starting"


def test_base_model_is_found_from_any_working_directory(store, config, worker, base, monkeypatch):
    monkeypatch.chdir(base.parent)
    run = supervisor.start(store, config.replace({"model": base.name}), "one")
    assert run.config().model == str(base)


def test_torchrun_flags_apply_to_one_run(store, config, worker, monkeypatch):
    """The worker must not inherit them: it would pass them on to the next queued run."""
    monkeypatch.setenv("ASRKIT_TORCHRUN", "--nnodes=1 --standalone")
    run = supervisor.start(store, config, "one")
    command = run.process()["command"]
    assert command[1:5] == ["-m", "torch.distributed.run", "--nnodes=1", "--standalone"]
    environment = psutil.Process(run.process()["pid"]).environ()
    assert "ASRKIT_TORCHRUN" not in environment


def test_torchrun_variables_of_a_cluster_are_not_inherited(store, config, worker, monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR"):
        monkeypatch.setenv(name, "2")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("LOCAL_SCRATCH", "/scratch")
    environment = psutil.Process(supervisor.start(store, config, "one").process()["pid"]).environ()
    assert not {"RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR"} & set(environment)
    assert (environment["OMP_NUM_THREADS"], environment["LOCAL_SCRATCH"]) == ("3", "/scratch")


def test_directory_called_starter_is_not_the_starter(store, config, worker, monkeypatch, tmp_path):
    """The name of the starter model takes precedence over a directory of the same name."""
    (tmp_path / "starter").mkdir()
    monkeypatch.chdir(tmp_path)
    run = supervisor.start(store, config.replace({"model": "starter"}), "one")
    assert run.config().model == "starter"


FORMER = Event("failed", BEFORE, 10, data={"message": "A bad clip.", "remedy": "Leave it out.", "traceback": "old"})


def make_crashed_resume(make_run, dead_process, log="", **process):
    """A failed run that was resumed and whose new worker died before its first event."""
    old = [make_event("started", BEFORE), FORMER]
    run = make_run("one", old, {**dead_process, "events_from": sum(len(event.to_line()) for event in old), **process})
    run.log_path.write_text("old line\n" + log)
    return run, RunStore(run.path.parent)


@pytest.mark.parametrize(
    ("process", "log", "message"),
    [
        ({"log_from": 9}, "", "ended without a message: it was killed, or ran out of memory. Its history is kept."),
        ({"log_from": 9}, "OSError: no space\n", "Its history is kept. The last line of its log: OSError: no space."),
        (
            {"log_from": 9, "exit": 1},
            "No module named 'torch'\n",
            "with exit code 1 and no other message. Its history is kept. "
            "The last line of its log: No module named 'torch'.",
        ),
        ({"exit": -signal.SIGSEGV}, "", "segmentation fault"),
    ],
)
def test_failure_of_an_earlier_worker_is_not_reported(make_run, dead_process, process, log, message):
    run, store = make_crashed_resume(make_run, dead_process, log, **process)
    reply = TrainApi(store).poll({"run": run.id})
    assert reply["status"] == "crashed" and message in reply["error"]["message"] and not reply["error"]["traceback"]
    assert summary.summarize_run(run)["error"] == reply["error"]["message"]
    assert message in train._explain_failure(run, view.load_view(run), "crashed")


def test_pending_end_event_precedes_an_earlier_end(make_run, dead_process):
    run, store = make_crashed_resume(make_run, dead_process)
    end = Event("failed", 100.0, data={"message": "The disk is full.", "remedy": "Free some.", "traceback": "new"})
    (run.path / ".reserve").write_text(end.to_line())
    assert TrainApi(store).poll({"run": run.id})["error"] == end.data
    assert summary.summarize_run(run)["error"] == "The disk is full."
    assert train._explain_failure(run, view.load_view(run), "failed") == "The disk is full. Free some."
    (run.path / ".reserve").write_text(Event("stopped", 100.0, data={"message": "Killed.", "forced": True}).to_line())
    assert TrainApi(store).poll({"run": run.id})["outcome"] == "Killed."


def test_concurrent_actions_happen_once(store, config, worker):
    run = supervisor.start(store, config, "one")

    def wait_for_start(count):
        wait_for(lambda: run.log_tail().count("hello from") == count, f"start {count} of the worker", seconds=30)

    wait_for_start(1)
    processes.kill_worker(run)
    api = TrainApi(store)

    def act_concurrently(action):
        with concurrent.futures.ThreadPoolExecutor(8) as clients:
            return {
                reply["notice"]
                for reply in clients.map(lambda _: api.perform_action({"action": action, "run": run.id}), range(16))
            }

    assert act_concurrently("resume") == {""}
    wait_for_start(2)
    assert (
        act_concurrently("stop")
        == act_concurrently("cancel")
        == act_concurrently("save")
        == act_concurrently("force_stop")
        == {""}
    )
    assert [event.kind for event in run.events()[0]] == ["stopped"] and lifecycle.get_status(run) == "stopped"
    assert act_concurrently("resume") == {""}
    wait_for_start(3)
    act_concurrently("force_stop")
    assert act_concurrently("delete") <= {
        "",
        f"There is no run 'one' in {store.root}; `python -m asrkit runs list` shows them.",
    }
    assert store.all() == []


def test_actions_on_a_deleted_run_raise(make_run, store):
    run = make_run("one", [STARTED])
    store.delete(run)
    supervisor.delete(store, run)
    for request in (supervisor.stop, supervisor.cancel, lambda deleted: supervisor.resume(store, deleted)):
        with pytest.raises(RunError, match="There is no run 'one'"):
            request(run)


# Runs that a restart of the machine interrupted


def test_interrupted_runs_are_resumed_at_the_start_of_a_space(make_run, dead_process, monkeypatch):
    resumed = []
    monkeypatch.setattr(supervisor, "resume", lambda store, run: resumed.append(run.id) or run)
    runs = {
        name: make_run(name, [STARTED, TRAIN, *ends], {**dead_process, **info})
        for name, ends, info in (
            ("interrupted", [], {}),
            ("finished", [make_event("finished")], {}),
            ("crashed", [], {"exit": -9}),
            ("stopping", [], {}),
            ("cancelled", [], {}),
        )
    }
    runs["stopping"].set_flag(STOP)
    runs["cancelled"].set_flag(CANCEL)
    store = RunStore(runs["finished"].path.parent)
    assert [run.id for run in supervisor.resume_interrupted(store)] == resumed == ["interrupted"]


def test_run_that_cannot_be_resumed_does_not_keep_others(make_run, dead_process, monkeypatch, caplog):
    for name in ("one", "two"):
        run = make_run(name, [STARTED], dead_process)

    def resume(store, run):
        if run.id == "two":
            raise RunError("the disk is full")
        return run

    monkeypatch.setattr(supervisor, "resume", resume)
    assert [each.id for each in supervisor.resume_interrupted(RunStore(run.path.parent))] == ["one"]
    assert "two was interrupted and cannot be resumed: the disk is full" in caplog.text


# A worker on another machine that shares the runs directory

AWAY = {"host": "elsewhere", "start": "another-boot:12"}


def beat(run, beat_s):
    """Write a heartbeat by the monotonic clock of another machine, as its worker does."""
    run.heartbeat_path.write_text(json.dumps({"beat": beat_s, "longest_s": 2.0}))


def test_worker_elsewhere_is_alive_while_its_heartbeat_changes(make_run, live_process, monkeypatch):
    run = make_run("one", [STARTED], {**live_process, **AWAY})
    beat(run, 1e9)  # a clock far ahead of this one
    assert lifecycle.get_status(run) == "crashed", "one look cannot tell"
    assert lifecycle.get_status(run) == "crashed", "nothing has changed"
    beat(run, 12.0)
    assert lifecycle.get_status(run) == "running"
    status = heartbeat.read_heartbeat(run)
    assert status.age_s < 30 and status.longest_s == 2.0 and not status.is_silent
    monkeypatch.setattr(heartbeat, "ELSEWHERE_LIMIT_S", 0.0)
    assert lifecycle.get_status(run) == "crashed" and "no longer changes" in summary.summarize_run(run)["error"]


def test_worker_elsewhere_is_recognised_by_callers_that_look_once(make_run, live_process, monkeypatch):
    run, dead = make_run("one", [STARTED], {**live_process, **AWAY}), make_run("two", [STARTED], live_process | AWAY)
    beat(run, 1.0)
    beat(dead, 1.0)
    sleeps = []

    def sleep(seconds):
        sleeps.append(seconds)
        beat(run, 1.0 + len(sleeps))

    monkeypatch.setattr(heartbeat.time, "sleep", sleep)
    monkeypatch.setattr(heartbeat, "FIRST_LOOKS_S", 0.05)
    heartbeat.wait_for_first_looks([run, dead])
    assert sleeps and [lifecycle.get_status(each) for each in (run, dead)] == ["running", "crashed"]


def test_page_sees_a_worker_elsewhere_that_loads(make_run, live_process, store):
    rows = RunList(store)
    run = make_run("one", [], {**live_process, **AWAY})
    beat(run, 1.0)
    assert rows.rows(refresh=True)[0].status == "crashed"
    beat(run, 2.25)
    assert rows.rows(refresh=True)[0].status == "starting"


def test_devices_of_a_run_elsewhere_are_free_here(make_run, live_process):
    run = make_run("one", [STARTED], {**live_process, **AWAY, "devices": ["cpu"]})
    assert queue.devices_in_use([run]) == []
    here = make_run("two", [STARTED], {**live_process, "devices": ["cpu"]})
    assert queue.devices_in_use([run, here]) == ["cpu"]


# Launchers


def test_default_launcher_is_that_of_the_installation(monkeypatch):
    assert launchers.for_config(TrainConfig()).name == "local"
    monkeypatch.setenv(launchers.DEFAULT, "loacl")
    with pytest.raises(ConfigError, match="ASRKIT_LAUNCHER is 'loacl'; set it to one of local"):
        launchers.for_config(TrainConfig())
    assert launchers.for_config(TrainConfig(launcher="local")).name == "local"
