"""The program of a rented job between a mounted folder and the run directory on the disk of its container."""

import json
import shutil
import signal

import pytest

from asrkit.config import TrainConfig
from asrkit.files import write_json
from asrkit.runs import processes
from asrkit.runs.events import make_event
from asrkit.runs.launchers import relay
from asrkit.runs.launchers.relay import Relay
from asrkit.runs.launchers.remote_folder import parse_index
from asrkit.runs.run import SAVE, STOP, Run

WORKER = """
import json, pathlib, sys, time
run = pathlib.Path(sys.argv[1])
print("hello from", run.name, flush=True)
def write(**event):
    with open(run / "events.jsonl", "a") as file:
        file.write(json.dumps({"time": 1.0, **event}) + "\\n")
write(kind="started", step=0, total_steps=2)
while not (run / "control" / "stop").exists():
    time.sleep(0.01)
(run / "model").mkdir()
(run / "model" / "config.json").write_text("{}")
write(kind="stopped", saved=True)
sys.exit(3)
"""


@pytest.fixture
def folder(tmp_path):
    """A mounted folder as the app has filled it."""
    path = tmp_path / "bucket"
    path.mkdir()
    write_json(path / "config.json", TrainConfig(train="hub:tiny/speech").to_dict())
    write_json(path / "process.json", {"launcher": "hf-jobs", "events_from": 0, "log_from": 0})
    (path / "log.txt").write_text("the log of an earlier job\n")
    return path


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path / "runs" / "one")


@pytest.fixture
def fast(monkeypatch):
    monkeypatch.setattr(relay, "INTERVAL_S", 0.02)
    monkeypatch.setattr(relay, "PACE", 0.0)
    monkeypatch.setattr(relay, "RETRY_S", 0.0)
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def test_job_runs_the_worker_and_keeps_what_it_writes(folder, run, fast, monkeypatch, tmp_path, capfdbinary):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "fake_worker.py").write_text(WORKER)
    monkeypatch.setattr(processes, "_WORKER", "fake_worker")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "code"))
    (folder / "control").mkdir()
    (folder / "control" / STOP).write_text("stop")
    assert relay.main([str(folder), str(run.path)]) == 3
    kinds = [json.loads(line)["kind"] for line in (folder / "events.jsonl").read_text().splitlines()]
    assert kinds == ["started", "stopped"]
    model = parse_index((folder / "index.json").read_bytes())["model"]
    assert (folder / model.folder / "config.json").read_text() == "{}"
    assert list((folder / "control").iterdir()) == []
    assert (folder / "log.txt").read_text() == "the log of an earlier job\nhello from one\n"
    output = capfdbinary.readouterr().out
    assert b"hello from one" in output and b"earlier job" not in output


def test_only_what_has_changed_is_copied(folder, run):
    relayed = Relay(folder, run)
    relayed.restore()
    run.append(make_event("started", 0))
    relayed.copy_files()
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert "events.jsonl" in before
    run.append(make_event("train", 1, loss=1.0))
    relayed.copy_files()
    after = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert {name for name in after if after[name] != before.get(name)} == {"events.jsonl"}


def test_end_is_held_back_until_the_model_is_there(folder, run):
    relayed = Relay(folder, run)
    relayed.restore()
    run.append(make_event("started", 0))
    relayed.copy_files()
    run.append(make_event("finished", 1))
    relayed.copy_files()
    assert (folder / "events.jsonl").read_bytes().count(b"\n") == 1
    relayed.copy_files(is_last=True)
    assert (folder / "events.jsonl").read_bytes().count(b"\n") == 2


def write_checkpoint(run, step, content):
    path = run.checkpoints_dir / f"checkpoint-{step}"
    path.mkdir(parents=True)
    (path / "weights").write_text(content)


def read_trees(folder):
    index = parse_index((folder / "index.json").read_bytes())
    return {name: (folder / tree.folder / "weights").read_text() for name, tree in index.items()}


def test_pruned_and_replaced_checkpoints(folder, run):
    relayed = Relay(folder, run)
    relayed.restore()
    write_checkpoint(run, 1, "one")
    write_checkpoint(run, 2, "two")
    relayed.copy_trees()
    assert read_trees(folder) == {"checkpoints/checkpoint-1": "one", "checkpoints/checkpoint-2": "two"}
    shutil.rmtree(run.checkpoints_dir)
    write_checkpoint(run, 2, "other")
    relayed.copy_trees()
    assert read_trees(folder) == {"checkpoints/checkpoint-2": "other"}
    assert len(list((folder / "trees").iterdir())) == 1
    shutil.rmtree(run.checkpoints_dir)
    relayed.copy_trees()
    assert read_trees(folder) == {}


def test_next_job_takes_no_half_of_a_checkpoint(folder, run, tmp_path):
    first = Relay(folder, run)
    first.restore()
    write_checkpoint(run, 1, "one")
    first.copy_trees()
    half = folder / "trees" / "checkpoints-checkpoint-2-2"
    half.mkdir()
    (half / "weights").write_text("tw")
    second = Relay(folder, Run(tmp_path / "second" / "one"))
    second.restore()
    assert [path.name for path in second.run.checkpoints()] == ["checkpoint-1"]
    second.copy_trees()
    assert read_trees(folder) == {"checkpoints/checkpoint-1": "one"} and not half.exists()
    write_checkpoint(second.run, 3, "three")
    second.copy_trees()
    assert read_trees(folder) == {"checkpoints/checkpoint-1": "one", "checkpoints/checkpoint-3": "three"}


def test_flag_is_taken_out_of_the_folder(folder, run):
    relayed = Relay(folder, run)
    relayed.restore()
    (folder / "control").mkdir()
    (folder / "control" / SAVE).write_text("save")
    relayed.pass_flags()
    assert run.has_flag(SAVE) and not (folder / "control" / SAVE).exists()


@pytest.mark.parametrize(("audio", "is_kept"), [("gone.wav", False), ("here.wav", True)])
def test_data_on_the_disk_of_an_earlier_job_is_fetched_again(folder, run, tmp_path, audio, is_kept):
    (tmp_path / "here.wav").write_bytes(b"")
    for split in ("train", "eval"):
        row = {"audio": str(tmp_path / audio), "text": "a", "duration_s": 1.0}
        (folder / f"{split}.jsonl").write_text(json.dumps(row) + "\n")
    Relay(folder, run).restore()
    assert run.manifest_path("train").exists() == run.manifest_path("eval").exists() == is_kept


def test_bucket_that_takes_nothing_fails_the_job_in_the_end(folder, run, fast, monkeypatch):
    relayed = Relay(folder, run)
    relayed.restore()
    run.append(make_event("started", 0))
    attempts = []

    def refuse(**_):
        attempts.append(1)
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(relayed, "copy_files", refuse)
    assert not relay._copy_the_rest(relayed) and len(attempts) == relay.ATTEMPTS
