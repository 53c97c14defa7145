import concurrent.futures
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
from asrkit.errors import DataError, ModelError, RunError
from asrkit.runs import lifecycle, processes, queue, summary, supervisor, view
from asrkit.runs.events import Event
from asrkit.runs.run import CANCEL, STOP
from asrkit.runs.store import RunStore
from asrkit.ui.train.api import TrainApi
from tests.support.waiting import wait_for

NOW = 1_763_766_000.0
BEFORE, AFTER = NOW - 100, NOW + 100


@pytest.fixture
def living(child):
    return {**processes.identify_process(child.pid), "start_time": NOW}


@pytest.fixture
def dead():
    """What `process.json` says of a process that has gone."""
    process = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    result = processes.identify_process(process.pid)
    process.communicate()
    return {**result, "start_time": NOW}


def said(kind, when=AFTER, **data):
    return Event(kind, when, 3, 0.5, data)


STARTED, PHASE, TRAIN, EVAL = (said(kind) for kind in ("started", "phase", "train", "eval"))


# What a run is


def test_run_without_a_process_is_queued(make_run):
    assert lifecycle.get_status(make_run()) == "queued"


def test_starting_until_the_worker_has_loaded(make_run, living):
    assert lifecycle.get_status(make_run("one", [], living)) == "starting"
    loading = said("phase", phase="loading", text="Loading PyTorch")
    assert lifecycle.get_status(make_run("two", [loading, loading], living)) == "starting"


@pytest.mark.parametrize("event", [STARTED, TRAIN, EVAL, said("checkpoint"), said("finding"), said("newer-kind")])
def test_running(make_run, living, event):
    assert lifecycle.get_status(make_run("one", [PHASE, event, PHASE], living)) == "running"


def test_running_through_an_evaluation_of_hours(make_run, living):
    """More than the last 64 kB of the events say only that it is being evaluated."""
    waiting = said("phase", phase="evaluating", text="Evaluating 8 of 100000 clips" + "." * 2000)
    run = make_run("one", [STARTED, *[waiting] * 40], living)
    assert STARTED not in run.last_events()
    assert lifecycle.get_status(run) == "running"


@pytest.mark.parametrize("flag", [STOP, CANCEL])
def test_stopping(make_run, living, dead, flag):
    for name, result in (("loads", []), ("trains", [STARTED, TRAIN])):
        run = make_run(name, result, living)
        run.set_flag(flag)
        assert lifecycle.get_status(run) == "stopping"
    run = make_run("crashed", [STARTED, TRAIN], dead)
    run.set_flag(flag)
    assert lifecycle.get_status(run) == "crashed"


@pytest.mark.parametrize("kind", ["stopped", "finished", "failed"])
def test_ended(make_run, living, dead, kind):
    end = said(kind)
    assert lifecycle.get_status(make_run("gone", [STARTED, end], dead)) == kind
    assert lifecycle.get_status(make_run("leaving", [STARTED, end], living)) == kind
    assert lifecycle.get_status(make_run("copied", [STARTED, end])) == kind


@pytest.mark.parametrize("result", [[], [PHASE], [STARTED, TRAIN], [said("stopped", BEFORE), said("phase")]])
def test_crashed(make_run, dead, result):
    assert lifecycle.get_status(make_run("one", result, dead)) == "crashed"


def test_resumed_worker_that_died_before_its_first_event_is_crashed(make_run, dead):
    """Whatever the clocks say: the old end lies before the byte from which the new worker tells."""
    old = [said("started"), said("finished")]
    dead = {**dead, "events_from": sum(len(event.to_line()) for event in old)}
    assert lifecycle.get_status(make_run("one", old, dead)) == "crashed"


def test_end_event_in_the_reserve_decides_the_status(make_run, dead):
    run = make_run("one", [STARTED, TRAIN], dead)
    run.reserve_disk()
    assert lifecycle.get_status(run) == "crashed", "an untouched reserve says nothing"
    line = Event("failed", 100.0, data={"message": "The disk is full.", "remedy": "Free some."}).to_line()
    (run.path / ".reserve").write_text(line)
    assert lifecycle.get_status(run) == "failed" and summary.summarize_run(run)["error"] == "The disk is full."
    assert summary.describe_failure(run, "failed", view.load_view(run))["remedy"] == "Free some."


def test_half_written_end_event_is_no_end(make_run, dead):
    run = make_run("one", [STARTED], dead)
    with open(run.events_path, "ab") as file:
        file.write(said("finished").to_line().encode()[:-1])
    assert lifecycle.get_status(run) == "crashed"


@pytest.mark.parametrize("kind", ["stopped", "failed"])
def test_resumed_run_is_active_again(make_run, living, kind):
    """The end of an earlier life is older than the present worker."""
    old = [said("started", BEFORE), said(kind, BEFORE)]
    living = {**living, "events_from": sum(len(event.to_line()) for event in old)}
    assert lifecycle.get_status(make_run("loads", old, living)) == "starting"
    assert lifecycle.get_status(make_run("trains", [*old, said("phase"), said("started")], living)) == "running"
    assert lifecycle.get_status(make_run("ended", [*old, said("started"), said("finished")], living)) == "finished"


# Who is alive


def test_alive(child):
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


def test_run_on_another_machine_is_not_active_here(make_run, living):
    away = {**living, "host": "elsewhere", "start": "another-boot:12"}
    assert lifecycle.get_status(make_run("one", [STARTED], away)) == "crashed"


@pytest.mark.parametrize(
    ("where", "result"),
    [
        (
            {"host": "elsewhere", "start": "another-boot:12"},
            "was started on elsewhere; whether it is alive cannot be seen",
        ),
        ({"folder": 1}, "a copy of a run that is active in another folder"),
    ],
)
def test_invisible_worker_is_not_reported_dead(make_run, living, where, result):
    run = make_run("one", [STARTED], {**living, **where})
    assert lifecycle.get_status(run) == "crashed" and result in summary.summarize_run(run)["error"]
    assert (
        "ended without a message"
        in summary.summarize_run(make_run("two", [STARTED], {**living, "start": "x:1"}))["error"]
    )


def test_renamed_machine_recognizes_its_run(make_run, living):
    assert lifecycle.get_status(make_run("one", [STARTED], {**living, "host": "before"})) == "running"


CLAIMS = """
import pathlib, sys
from asrkit.runs.store import Run
handle = Run(pathlib.Path(sys.argv[1])).claim()
print("mine", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("change", [supervisor.resume, supervisor.delete])
def test_run_claimed_by_an_invisible_process_is_left_alone(make_run, store, dead, change):
    run = make_run("one", [STARTED], {**dead, "host": "elsewhere"})
    with subprocess.Popen(
        [sys.executable, "-c", CLAIMS, str(run.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout.readline() == b"mine\n"
        with pytest.raises(RunError, match="Run one is still running on elsewhere; stop it there first"):
            change(store, run)
        other.stdin.close()
    assert run.path.exists()
    supervisor.delete(store, run)


def test_copy_of_an_active_run_is_not_active(store, config, worker):
    """Nor is the worker of the original ended for it."""
    run = supervisor.start(store, config, "one")
    copy = store.root / "copy"
    shutil.copytree(run.path, copy)
    copied = store.get("copy")
    assert [lifecycle.get_status(one) for one in (run, copied)] == ["starting", "crashed"]
    processes.kill_worker(copied)
    supervisor.delete(store, copied)
    assert lifecycle.get_status(run) == "starting"


def test_zombie_is_not_alive(make_run, child):
    run = make_run("one", [STARTED], processes.identify_process(child.pid))
    assert processes.is_alive(run.process())
    child.stdin.close()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it has ended and is not reaped
    assert not processes.is_alive(run.process())
    assert processes.identify_process(child.pid)["start"] is None
    child.stdin = None


def test_process_start_is_constant(child):
    first = processes.identify_process(child.pid)
    again = processes.identify_process(child.pid)
    assert first["start"] == again["start"] and first["pid"] == child.pid
    assert first["start"] != processes.identify_process(os.getpid())["start"]
    assert abs(first["start_time"] - time.time()) < 60


# What may be done


def test_stop_and_cancel_flag_only_active_runs(make_run, living, dead):
    running, ended = make_run("runs", [STARTED], living), make_run("ended", [STARTED, said("finished")], dead)
    for ask, flag in ((supervisor.stop, STOP), (supervisor.cancel, CANCEL)):
        ask(running)
        ask(running)
        ask(ended)
        assert running.has_flag(flag) and not ended.has_flag(flag)


def test_active_run_is_not_deleted(make_run, store, living, dead):
    busy, crashed = make_run("busy", [STARTED], living), make_run("crashed", [STARTED], dead)
    with pytest.raises(RunError, match="Run busy is still running; stop or cancel it before deleting it"):
        supervisor.delete(store, busy)
    supervisor.delete(store, crashed)
    assert [run.id for run in store.all()] == ["busy"]


def test_find_active_run(make_run, store, living):
    make_run("crashed", [STARTED], {**living, "start": "another-boot:12"})
    assert lifecycle.find_active_run(store) is None
    busy = make_run("busy", [STARTED], living)
    assert lifecycle.find_active_run(store).id == "busy"
    assert supervisor.resume(store, busy).process() == living | {"host": socket.gethostname(), "command": ["worker"]}


def test_resume_rejects_other_statuses(make_run, store, dead):
    run = make_run("one", [STARTED, said("finished")], dead)
    with pytest.raises(RunError, match="Run one is finished; only a stopped, failed or crashed run can be resumed"):
        supervisor.resume(store, run)


# Starting real processes


def test_worker_is_started_detached(store, config, worker):
    run = supervisor.start(store, config, "one")
    process = run.process()
    assert os.getsid(process["pid"]) == process["pid"] != os.getsid(0)
    assert process["host"] == socket.gethostname() and process["command"][-1] == str(run.path.resolve())
    assert lifecycle.get_status(run) == "starting"
    wait_for(lambda: run.log_tail() == "hello from one\ntrouble\n", "the worker's words", seconds=20)
    assert sorted(path.name for path in run.path.glob("*.jsonl")) == ["eval.jsonl", "train.jsonl"]

    processes.kill_worker(run)
    assert lifecycle.get_status(run) == "crashed"


# The line


def waiting(store):
    return [run.id for run in queue.list_queue(store)]


def begun(store):
    return [run.id for run in queue.start_ready_runs(store)]


def ahead(store, run):
    return queue.get_queue_status(run, lifecycle.iter_active_runs(store), queue.list_queue(store))


def test_queued_runs_start_in_order(store, config, worker):
    first, second, third = (supervisor.start(store, config, name) for name in ("c-first", "a-second", "b-third"))
    assert [lifecycle.get_status(run) for run in (first, second, third)] == ["starting", "queued", "queued"]
    assert waiting(store) == ["a-second", "b-third"]
    assert ahead(store, third) == (["c-first"], ["a-second"], 1, "")
    assert queue.start_ready_runs(store) == [], "one is under way"
    queue.move(store, third, 1)
    assert waiting(store) == ["b-third", "a-second"]
    processes.kill_worker(first)
    assert begun(store) == ["b-third"]
    assert lifecycle.get_status(third) == "starting" and waiting(store) == ["a-second"]
    queue.move(store, first, 1)
    assert waiting(store) == ["a-second"], "what does not wait has no place"


@pytest.mark.parametrize(
    ("position", "line"), [(1, "cabd"), (2, "acbd"), (3, "abcd"), (4, "abdc"), (99, "abdc"), (-1, "cabd")]
)
def test_move_changes_the_queue(store, config, worker, position, line):
    supervisor.start(store, config, "busy")
    runs = {name: supervisor.start(store, config, name) for name in "abcd"}
    for _ in range(2):
        queue.move(store, runs["c"], position)
        assert waiting(store) == list(line), "once or twice"
    again = type(store)(store.root)
    supervisor.start(again, config, "e")
    assert waiting(again) == [*line, "e"], "after a restart, and who comes now is the last"


def test_many_moves_keep_the_queue_consistent(store, config, worker):
    """Places come to lie so close that there is none between them."""
    supervisor.start(store, config, "busy")
    runs = [supervisor.start(store, config, name) for name in "abc"]
    for number in range(60):
        queue.move(store, runs[2 - number % 2], 2)
    assert waiting(store) == ["a", "b", "c"]
    queue.move(store, runs[2], 1)
    assert waiting(store) == ["c", "a", "b"]


def test_system_clock_set_back_keeps_the_queue_order(store, config, worker, monkeypatch):
    supervisor.start(store, config, "busy")
    supervisor.start(store, config, "first")
    monkeypatch.setattr(queue.time, "time", lambda: 1000.0)
    supervisor.start(store, config, "second")
    assert waiting(store) == ["first", "second"]


def test_resumed_run_is_queued_behind_others(store, config, worker):
    crashed = supervisor.start(store, config, "crashed")
    processes.kill_worker(crashed)
    busy = supervisor.start(store, config, "busy")
    for _ in range(2):
        supervisor.resume(store, crashed)
    assert (lifecycle.get_status(crashed), waiting(store)) == ("queued", ["crashed"])
    processes.kill_worker(busy)
    queue.start_ready_runs(store)
    assert lifecycle.get_status(crashed) == "starting"


@pytest.mark.parametrize("leave", [supervisor.stop, supervisor.cancel])
def test_stop_removes_a_queued_run(store, config, worker, leave):
    supervisor.start(store, config, "busy")
    run = supervisor.start(store, config, "waits")
    for _ in range(2):
        leave(run)
    assert lifecycle.get_status(run) == "stopped" and waiting(store) == []
    end = run.events()[0][-1].data
    assert end["message"] == "Removed from the queue before it began." and end["begins"], "nobody worked until then"
    supervisor.resume(store, run)
    assert waiting(store) == ["waits"]
    supervisor.delete(store, run)
    assert [one.id for one in store.all()] == ["busy"]


def test_two_apps_start_the_next_run_once(store, config, worker):
    busy = supervisor.start(store, config, "busy")
    supervisor.start(store, config, "next")
    processes.kill_worker(busy)
    with concurrent.futures.ThreadPoolExecutor(8) as apps:
        started = [run.id for runs in apps.map(lambda _: queue.start_ready_runs(store), range(16)) for run in runs]
    assert started == ["next"]


def test_run_that_cannot_start_fails_and_the_next_one_starts(store, config, worker, monkeypatch):
    busy = supervisor.start(store, config, "a-busy")
    first, second = (supervisor.start(store, config, name) for name in ("b-first", "c-second"))
    processes.kill_worker(busy)
    spawn = queue.spawn_worker

    def fails_once(run, devices):
        if run.id == "b-first":
            raise OSError(12, "Cannot allocate memory")
        spawn(run, devices)

    monkeypatch.setattr(queue, "spawn_worker", fails_once)
    assert begun(store) == ["c-second"]
    assert lifecycle.get_status(first) == "failed" and lifecycle.get_status(second) == "starting"


def test_damaged_queue_file_does_not_block_the_queue(store, config, worker):
    busy = supervisor.start(store, config, "busy")
    run = supervisor.start(store, config, "torn")
    run.queue_path.write_text("{")
    processes.kill_worker(busy)
    assert begun(store) == ["torn"]


def test_resume_clears_flags_and_repairs_events(store, config, worker):
    run = supervisor.start(store, config, "one")
    supervisor.stop(run)
    processes.kill_worker(run)
    run.append(said("train", NOW))
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
    monkeypatch.setattr("asrkit.runs.store.free_bytes", lambda where: 100 * 2**20)
    with pytest.raises(RunError) as caught:
        supervisor.start(store, config)
    assert str(caught.value) == (
        f"The disk that holds {store.root} is full (100 MB free); free at least 200 MB and start again."
    )
    assert store.all() == []


def test_worker_that_cannot_be_started_leaves_no_run(store, config, monkeypatch):
    def full(path, value):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(processes, "write_json", full)
    with pytest.raises(RunError, match="is full; free some space"):
        supervisor.start(store, config, "one")
    assert store.all() == []


def test_hub_data_is_not_read_before_the_start(store, config, worker):
    run = supervisor.start(store, config.replace({"train": "hub:owner/name"}), "one")
    assert lifecycle.get_status(run) == "starting" and not run.manifest_path("train").exists()


def test_unreadable_queued_run_does_not_block_the_queue(store, config, worker):
    busy = supervisor.start(store, config, "busy")
    torn, fine = (supervisor.start(store, config, name) for name in ("a-torn", "b-fine"))
    torn.config_path.write_text("{")
    processes.kill_worker(busy)
    assert begun(store) == ["b-fine"]
    assert lifecycle.get_status(torn) == "failed" and lifecycle.get_status(fine) == "starting"


def test_base_model_is_found_from_any_working_directory(store, config, worker, base, monkeypatch):
    monkeypatch.chdir(base.parent)
    run = supervisor.start(store, config.replace({"model": base.name}), "one")
    assert run.config().model == str(base)


def test_torchrun_flags_apply_to_one_run(store, config, worker, monkeypatch):
    """The worker would hand them to the next run in line."""
    monkeypatch.setenv("ASRKIT_TORCHRUN", "--nnodes=1 --standalone")
    run = supervisor.start(store, config, "one")
    command = run.process()["command"]
    assert command[1:5] == ["-m", "torch.distributed.run", "--nnodes=1", "--standalone"]
    result = psutil.Process(run.process()["pid"]).environ()
    assert "ASRKIT_TORCHRUN" not in result


def test_torchrun_variables_of_a_cluster_are_not_inherited(store, config, worker, monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR"):
        monkeypatch.setenv(name, "2")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("LOCAL_SCRATCH", "/scratch")
    result = psutil.Process(supervisor.start(store, config, "one").process()["pid"]).environ()
    assert not {"RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR"} & set(result)
    assert (result["OMP_NUM_THREADS"], result["LOCAL_SCRATCH"]) == ("3", "/scratch")


def test_directory_called_starter_is_not_the_starter(store, config, worker, monkeypatch, tmp_path):
    """Names come before directories, wherever the app was started."""
    (tmp_path / "starter").mkdir()
    monkeypatch.chdir(tmp_path)
    run = supervisor.start(store, config.replace({"model": "starter"}), "one")
    assert run.config().model == "starter"


FORMER = Event("failed", BEFORE, 10, data={"message": "A bad clip.", "remedy": "Leave it out.", "traceback": "old"})


def lived_again(make_run, dead, log="", **process):
    """A run that failed, was resumed, and whose worker died before its first word."""
    old = [said("started", BEFORE), FORMER]
    run = make_run("one", old, {**dead, "events_from": sum(len(result.to_line()) for result in old), **process})
    run.log_path.write_text("old line\n" + log)
    return run, RunStore(run.path.parent)


@pytest.mark.parametrize(
    ("process", "log", "result"),
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
def test_failure_of_an_earlier_life_is_not_reported(make_run, dead, process, log, result):
    run, store = lived_again(make_run, dead, log, **process)
    shown = TrainApi(store).poll({"run": run.id})
    assert shown["status"] == "crashed" and result in shown["error"]["message"] and not shown["error"]["traceback"]
    assert summary.summarize_run(run)["error"] == shown["error"]["message"]
    assert result in train._explain_failure(run, view.load_view(run), "crashed")


def test_pending_end_event_precedes_an_earlier_end(make_run, dead):
    run, store = lived_again(make_run, dead)
    words = Event("failed", 100.0, data={"message": "The disk is full.", "remedy": "Free some.", "traceback": "new"})
    (run.path / ".reserve").write_text(words.to_line())
    assert TrainApi(store).poll({"run": run.id})["error"] == words.data
    assert summary.summarize_run(run)["error"] == "The disk is full."
    assert train._explain_failure(run, view.load_view(run), "failed") == "The disk is full. Free some."
    (run.path / ".reserve").write_text(
        Event("stopped", 100.0, data={"message": "Ended by force.", "forced": True}).to_line()
    )
    assert TrainApi(store).poll({"run": run.id})["outcome"] == "Ended by force."


def test_concurrent_actions_happen_once(store, config, worker):
    run = supervisor.start(store, config, "one")

    def lives(count):
        wait_for(lambda: run.log_tail().count("hello from") == count, f"life {count}", seconds=30)

    lives(1)
    processes.kill_worker(run)
    live = TrainApi(store)

    def press(action):
        with concurrent.futures.ThreadPoolExecutor(8) as visitors:
            return {
                result["notice"]
                for result in visitors.map(lambda _: live.act({"action": action, "run": run.id}), range(16))
            }

    assert press("resume") == {""}
    lives(2)
    assert press("stop") == press("cancel") == press("save") == press("kill") == {""}
    assert [result.kind for result in run.events()[0]] == ["stopped"] and lifecycle.get_status(run) == "stopped"
    assert press("resume") == {""}
    lives(3)
    press("kill")
    assert press("delete") <= {"", f"There is no run 'one' in {store.root}; `python -m asrkit runs list` shows them."}
    assert store.all() == []


def test_actions_on_a_deleted_run_raise(make_run, store):
    run = make_run("one", [STARTED])
    store.delete(run)
    supervisor.delete(store, run)
    for ask in (supervisor.stop, supervisor.cancel, lambda one: supervisor.resume(store, one)):
        with pytest.raises(RunError, match="There is no run 'one'"):
            ask(run)
