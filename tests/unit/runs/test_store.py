import datetime
import errno
import json
import os
import re
import subprocess
import sys

import pytest

from asrkit.config import TrainConfig
from asrkit.errors import RunError
from asrkit.files import free_bytes, write_json
from asrkit.runs import store as stores
from asrkit.runs.events import Event
from asrkit.runs.run import CANCEL, FLAGS, STOP, Run
from asrkit.runs.store import RunStore

CONFIG = TrainConfig(preset="quick", seed=7)


def make_train_event(step, **data):
    return Event("train", 100.0 + step, step, 0.0, data)


# Creating and finding runs


def test_new_run_has_its_config_and_contents(store):
    run = store.create(CONFIG, "one", fill=lambda draft: (draft.path / "train.jsonl").write_text("row\n"))
    assert run.path == store.root / "one" and run.config() == CONFIG
    assert (run.path / "train.jsonl").read_text() == "row\n"
    assert os.listdir(store.root) == ["one"]
    assert run.path.stat().st_mode & 0o777 == 0o755


def test_generated_id_has_time_and_preset(store):
    first, second, third = (store.create(CONFIG) for _ in range(3))
    assert re.fullmatch(r"\d{8}-\d{6}-quick", first.id)
    assert len({first.id, second.id, third.id}) == 3
    assert re.fullmatch(r"\d{8}-\d{6}-custom", store.create(TrainConfig(preset="")).id)


def test_run_is_created_completely_or_not_at_all(store):
    def fill(draft):
        (draft.path / "train.jsonl").write_text("row\n")
        assert store.all() == []
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.create(CONFIG, "one", fill)
    assert os.listdir(store.root) == []
    assert store.create(CONFIG, "one").id == "one"


def test_existing_id_is_rejected(store):
    store.create(CONFIG, "one")
    with pytest.raises(RunError, match="Run one already exists in .*; choose another id or delete it first"):
        store.create(TrainConfig(seed=8), "one")
    assert store.get("one").config().seed == 7 and os.listdir(store.root) == ["one"]


@pytest.mark.parametrize("run_id", ["../x", ".hidden", "a/b", "a b", "-x", "é", "a\n", "a" * 101, ".."])
def test_invalid_ids_are_rejected(store, run_id):
    with pytest.raises(RunError, match="cannot be used; use letters, digits"):
        store.create(CONFIG, run_id)
    assert not store.root.exists()
    with pytest.raises(RunError, match="There is no run"):
        store.get(run_id)


def test_find_rejects_other_directories(store):
    with pytest.raises(RunError, match=r"There is no run 'missing' in .*runs; `python -m asrkit runs list`"):
        store.get("missing")
    assert store.all() == []
    (store.root / "folder").mkdir(parents=True)
    with pytest.raises(RunError, match="There is no run ''"):
        store.get("")
    with pytest.raises(RunError, match="There is no run 'folder'"):
        store.get("folder")
    assert store.all() == []


def test_all_runs_newest_first(store):
    for name in ("20260102-000000-demo", "20260103-000000-demo", "20260101-235959-quick"):
        store.create(CONFIG, name)
    (store.root / ".new-half").mkdir()
    (store.root / ".new-half" / "config.json").write_text("{}")
    assert [run.id[:8] for run in store.all()] == ["20260103", "20260102", "20260101"]


def test_named_runs_are_sorted_by_start(store):
    """The ids of named runs hold no time; Transcribe and `evaluate` default to the newest run."""
    for name, date in (("zulu", "2026-01-01"), ("alpha", "2026-01-03"), ("20260102-000000-demo", "2026-01-09")):
        run = store.create(CONFIG, name)
        seconds = datetime.datetime.fromisoformat(date).timestamp()
        os.utime(run.config_path, (seconds, seconds))
    assert [run.id for run in store.all()] == ["alpha", "20260102-000000-demo", "zulu"]


def test_delete(store):
    run = store.create(CONFIG, "one")
    kept = store.create(CONFIG, "two")
    run.append(make_train_event(1))
    store.delete(run)
    assert store.all()[0].id == kept.id and os.listdir(store.root) == ["two"]


def test_runs_directory_comes_from_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("ASRKIT_RUNS", str(tmp_path / "runs-dir"))
    assert RunStore().root == tmp_path / "runs-dir"
    monkeypatch.setenv("ASRKIT_RUNS", "")
    assert str(RunStore().root) == "runs"


# Reading events while they are written


def test_no_events_yet(make_run):
    run = make_run()
    assert run.events() == ([], 0) and run.last_events() == []
    run.repair_events()
    assert not run.events_path.exists()


def test_reading_continues_at_the_offset(make_run):
    run = make_run()
    run.append(make_train_event(1))
    first, offset = run.events()
    assert [event.step for event in first] == [1] and offset == run.events_path.stat().st_size
    assert run.events(offset) == ([], offset)
    run.append(make_train_event(2))
    run.append(make_train_event(3))
    assert [event.step for event in run.events(offset)[0]] == [2, 3]


def test_half_written_line_is_left_for_later(make_run):
    """A write may stop at any byte, even inside a multi-byte character."""
    run = make_run()
    run.append(make_train_event(1, text="नमस्ते"))
    start = run.events_path.stat().st_size
    line = make_train_event(2, text="“été” 你好").to_line().encode()
    for cut in range(len(line)):
        with open(run.events_path, "r+b") as file:
            file.truncate(start)
            file.seek(start)
            file.write(line[:cut])
        assert [event.step for event in run.events()[0]] == [1]
        assert run.events(start) == ([], start)
    with open(run.events_path, "ab") as file:
        file.write(line[cut:])
    assert run.events(start)[0] == [make_train_event(2, text="“été” 你好")]


def test_unicode_line_separators_do_not_split_lines(make_run):
    run = make_run()
    text = "one\u2028two\u2029three\u0085four\rfive\x0bsix\x1cseven"
    run.append(make_train_event(1, text=text))
    assert [event.data["text"] for event in run.events()[0]] == [text]


def test_invalid_lines_are_skipped(make_run):
    run = make_run(history=[make_train_event(1)])
    with open(run.events_path, "ab") as file:
        file.write(b"\xff\xfe junk\n\n[1]\n")
    run.append(make_train_event(2))
    assert [event.step for event in run.events()[0]] == [1, 2]


def test_shorter_file_is_read_from_the_start(make_run):
    run = make_run(history=[make_train_event(1)])
    assert [event.step for event in run.events(after=10_000)[0]] == [1]


def test_limit_reads_whole_events_only(make_run):
    run = make_run(history=[make_train_event(1), make_train_event(2), make_train_event(3)])
    size = len(make_train_event(1).to_line())
    events, offset = run.events(limit_bytes=2 * size + size // 2)
    assert [event.step for event in events] == [1, 2] and offset == 2 * size


def test_repair_cuts_off_a_half_written_line(make_run):
    run = make_run(history=[make_train_event(1)])
    before = run.events_path.read_bytes()
    with open(run.events_path, "ab") as file:
        file.write(b'{"time": 2, "kind": "tra')
    run.repair_events()
    assert run.events_path.read_bytes() == before
    run.repair_events()
    run.append(make_train_event(2))
    assert [event.step for event in run.events()[0]] == [1, 2]


def test_repair_of_a_single_half_written_line(make_run):
    run = make_run()
    run.events_path.write_bytes(b'{"time": 2')
    run.repair_events()
    assert run.events_path.read_bytes() == b""


def test_last_events(make_run):
    run = make_run(history=[make_train_event(step, text="é" * 20) for step in range(100)])
    size = len(make_train_event(99, text="é" * 20).to_line().encode())
    for extra in range(size):
        assert [event.step for event in run.last_events(size=2 * size + extra)] == [98, 99]
    assert [event.step for event in run.last_events()] == list(range(100))


def test_last_event_may_be_long(make_run):
    run = make_run(history=[make_train_event(1), Event("failed", 200.0, 2, data={"traceback": "x" * 200_000})])
    assert run.last_events()[-1].kind == "failed"


# Flags


def test_flags_are_idempotent(make_run):
    run = make_run()
    for flag in FLAGS:
        assert not run.has_flag(flag)
        run.set_flag(flag)
        run.set_flag(flag)
        assert run.has_flag(flag)
    run.clear_flags(STOP)
    run.clear_flags(STOP)
    assert not run.has_flag(STOP) and run.has_flag(CANCEL)
    run.clear_flags()
    assert not any(map(run.has_flag, FLAGS))


def test_unknown_flags_are_rejected(make_run):
    with pytest.raises(ValueError, match="unknown flag"):
        make_run().set_flag("../config.json")


def test_flag_creates_the_control_directory(tmp_path):
    (tmp_path / "old").mkdir()
    run = Run(tmp_path / "old")
    run.clear_flags()
    run.set_flag(STOP)
    assert run.has_flag(STOP)


# Checkpoints, log, process


def test_checkpoints_are_sorted_by_step(make_run):
    run = make_run()
    assert run.checkpoints() == []
    for name in ("checkpoint-90", "checkpoint-1000", ".partial", "checkpoint-x", "checkpoint-200"):
        (run.checkpoints_dir / name).mkdir(parents=True)
    assert [path.name for path in run.checkpoints()] == ["checkpoint-90", "checkpoint-200", "checkpoint-1000"]


def test_log_tail(make_run):
    run = make_run()
    assert run.log_tail() == ""
    run.log_path.write_text("début\n" + "x" * 30_000 + "\nfin é\n")
    assert run.log_tail(7) == "fin é\n"
    assert len(run.log_tail()) == 20_000 - 1 and run.log_tail().endswith("fin é\n")


@pytest.mark.parametrize("content", ["", "{", None])
def test_missing_process_file(make_run, content):
    run = make_run()
    if content is not None:
        run.process_path.write_text(content)
    assert run.process() is None


# Disks


def test_write_json_keeps_the_old_file_if_writing_fails(tmp_path, monkeypatch):
    path = tmp_path / "audit.json"
    write_json(path, {"é": 1})
    assert json.loads(path.read_text(encoding="utf-8")) == {"é": 1}

    def raise_disk_full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", raise_disk_full)
    with pytest.raises(OSError, match="No space left"):
        write_json(path, {"é": 2})
    assert json.loads(path.read_text(encoding="utf-8")) == {"é": 1}
    assert os.listdir(tmp_path) == ["audit.json"]


def test_full_disk(small_disk):
    store = RunStore(small_disk / "runs")
    with pytest.raises(RunError) as error:
        store.create(CONFIG, "one", fill=lambda draft: write_json(draft.path / "audit.json", "x" * 2_000_000))
    assert str(error.value) == f"The disk that holds {store.root} is full; free some space and start again."
    assert os.listdir(store.root) == []
    assert store.create(CONFIG, "one").config() == CONFIG
    assert 0 < free_bytes(small_disk / "not" / "yet") <= 2**20


def test_read_only_disk(small_disk):
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    store = RunStore(small_disk / "runs")
    for attempt in (lambda: store.create(CONFIG, "one"), lambda: store.lock().__enter__()):
        with pytest.raises(RunError) as error:
            attempt()
        assert str(error.value) == (
            f"{store.root} cannot be written (Read-only file system); choose another --runs-dir."
        )


def test_directory_without_permission(tmp_path):
    (tmp_path / "read-only").mkdir(mode=0o555)
    if os.access(tmp_path / "read-only", os.W_OK):
        pytest.skip("root may write everywhere")
    store = RunStore(tmp_path / "read-only" / "runs")
    with pytest.raises(RunError, match=r"cannot be written \(Permission denied\); choose another --runs-dir"):
        store.create(CONFIG, "one")


def test_file_in_place_of_the_runs_directory(tmp_path):
    (tmp_path / "file").write_text("x")
    for root in (tmp_path / "file", tmp_path / "file" / "runs"):
        with pytest.raises(RunError, match="cannot be written .*; choose another --runs-dir"):
            RunStore(root).create(CONFIG, "one")


def test_lock_is_exclusive(store):
    """flock locks the open file, so a second open conflicts in the same process as in another one."""
    import fcntl

    with store.lock():
        handle = os.open(store.root / ".lock", os.O_RDWR)
        with pytest.raises(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(handle)
    assert stores.RunStore(store.root).all() == []


def test_skimming_keeps_the_last_train_event_and_missing_numbers(make_run):
    events = [
        Event("started", 1.0, 0),
        *(Event("train", 1.0 + step, step, data={"loss": 1.0}) for step in (1, 2)),
        Event("eval", 4.0, 2),
        Event("train", 5.0, 3, data={"loss": float("nan")}),
        *(Event("train", 3.0 + step, step, data={"loss": 1.0}) for step in (4, 5)),
    ]
    run = make_run(history=events)
    observed, offset = run.events(skim=True)
    assert [(event.kind, event.step) for event in observed] == [
        ("started", 0),
        ("train", 2),
        ("eval", 2),
        ("train", 3),
        ("train", 5),
    ]
    assert offset == run.events_size()
    content = run.events_path.read_bytes()
    assert [content[event.offset :].split(b"\n")[0] for event in observed] == [
        event.to_line().strip().encode() for event in (events[0], events[2], events[3], events[4], events[6])
    ]


def test_line_longer_than_the_limit_is_read_completely(make_run):
    run = make_run(history=[Event("eval", 1.0, 1, data={"samples": ["x" * 5000]}), Event("train", 2.0, 2)])
    events, offset = run.events(0, limit_bytes=100)
    assert events and events[0].kind == "eval" and offset > 5000


def test_failed_append_leaves_nothing_behind(make_run, monkeypatch):
    run = make_run(history=[Event("train", 1.0, 1)])
    before, written = run.events_path.read_bytes(), []

    def write_partly(handle, line):
        if written:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(os_write(handle, line[:7]))
        return 7

    os_write = stores.os.write
    monkeypatch.setattr(stores.os, "write", write_partly)
    with pytest.raises(OSError, match="No space"):
        run.append(Event("train", 2.0, 2))
    assert run.events_path.read_bytes() == before


def test_claim_is_exclusive(make_run):
    run = make_run()
    script = "import sys\nfrom asrkit.runs.store import Run\nprint(Run(sys.argv[1]).claim(0.1) is not None)\n"
    assert run.claim() is not None
    other = subprocess.run([sys.executable, "-c", script, str(run.path)], capture_output=True, text=True, timeout=60)
    assert other.stdout == "False\n", other.stderr


# End events on a full disk


@pytest.fixture
def full_disk(monkeypatch):
    """Every append fails until `undo()` is called on the fixture."""

    def raise_disk_full(run, event):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Run, "append", raise_disk_full)
        yield patch


FAILED = Event("failed", 100.0, data={"message": "The disk is full."})


def test_end_event_waits_in_the_reserve_on_a_full_disk(store, full_disk):
    run = store.create(CONFIG)
    run.reserve_disk()
    assert run.pending_end_event() is None
    run.append_end_event(FAILED)
    run.release_reserve()
    assert run.pending_end_event() == FAILED and run.events()[0] == []
    full_disk.undo()
    run.append_pending_end_event()
    run.append_pending_end_event()
    assert run.pending_end_event() is None and run.events()[0] == [FAILED]


def test_appended_end_event_frees_the_reserve(store):
    run = store.create(CONFIG)
    run.reserve_disk()
    run.append_end_event(FAILED)
    assert run.events()[0] == [FAILED] and not (run.path / ".reserve").exists()


def test_end_event_without_a_reserve_raises_on_a_full_disk(store, full_disk):
    with pytest.raises(OSError, match="No space left"):
        store.create(CONFIG).append_end_event(FAILED)
