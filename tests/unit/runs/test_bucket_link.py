"""Runs of rented jobs whose bucket is not mounted on the machine of the app, from its start to its model."""

import json
import shutil
from pathlib import Path

import pytest

from asrkit.errors import ConfigError, HubError, NotOnHubError
from asrkit.runs import heartbeat, launchers, lifecycle, summary, supervisor, sync, watchdog
from asrkit.runs.events import make_event
from asrkit.runs.launchers import bucket_link, hf_jobs, job_data
from asrkit.runs.launchers.relay import Relay
from asrkit.runs.run import CANCEL, EVALUATE, SAVE, STOP, Run
from asrkit.runs.store import RunStore
from tests.support.mounted_folder import MountedFolder

HERE = {"start_time": 1.0, "pid": 1, "start": "other-boot:17", "host": "container", "nodes": ""}


class Job:
    """The container of a rented job: its part of a bucket, and a worker that the test plays."""

    def __init__(self, hub, run, path):
        self.hub, self.job = hub, hub.jobs[run.job_id()]
        self.folder = self.job["volumes"][0]["path"]
        self.mounted = MountedFolder(hub, "tiny/bucket", self.folder, path / "bucket")
        self.run = Run(path / "runs" / run.id)
        self.relay = Relay(path / "bucket", self.run)
        self.relay.restore()
        self.job["status"] = {"stage": "RUNNING", "message": None}
        process = self.run.process() | HERE | {"events_from": self.run.events_size()}
        self.run.process_path.write_text(json.dumps(process))

    def work(self, *history):
        for event in history:
            self.run.append(event)
        self.relay.copy_files()
        self.mounted.exchange()

    def beat(self, number):
        self.run.heartbeat_path.write_text(json.dumps({"beat": number, "longest_s": 0}))

    def read_flags(self):
        self.mounted.exchange()
        self.relay.pass_flags()
        self.mounted.exchange()
        return sorted(path.name for path in self.run.control_dir.glob("*"))

    def write_model(self, weights=b"weights"):
        write_checkpoint(self.run.model_dir, weights)

    def end(self, stage="COMPLETED", message=None):
        self.relay.copy_trees()
        self.relay.copy_files(is_last=True)
        self.mounted.exchange()
        self.job["status"] = {"stage": stage, "message": message}


def write_checkpoint(folder: Path, weights: bytes) -> None:
    draft = folder.with_name(".draft")
    draft.mkdir(parents=True)
    (draft / "config.json").write_text("{}")
    (draft / "model.safetensors").write_bytes(weights)
    shutil.rmtree(folder, ignore_errors=True)
    draft.rename(folder)


@pytest.fixture
def linked(hub, monkeypatch):
    """A Hub whose bucket is mounted nowhere here."""
    monkeypatch.setenv(hf_jobs.STORAGE, "tiny/bucket")
    return hub


@pytest.fixture
def run(linked, store, job_config):
    return supervisor.start(store, job_config, "one")


@pytest.fixture
def job(linked, run, tmp_path):
    return Job(linked, run, tmp_path / "container")


def train(step):
    return make_event("train", step, step / 10, loss=1.0 / step)


STARTED = make_event("started", 0, 0.0, total_steps=10)
FINISHED = make_event("finished", 10, 1.0, saved=True, model="model")


def test_job_gets_the_run_the_clips_and_the_base_model(linked, run, job_config, tmp_path):
    job = linked.jobs[run.job_id()]
    folder, clips, base = job["volumes"]
    assert folder["mountPath"] == hf_jobs.JOB_FOLDER and not folder.get("readOnly")
    assert (clips["mountPath"], base["mountPath"]) == (str(tmp_path / "clips"), job_config.model)
    assert clips["readOnly"] and base["readOnly"]
    assert job["command"] == ["python", "-m", hf_jobs.RELAY, hf_jobs.JOB_FOLDER, "/tmp/asrkit-runs/one"]
    assert job["environment"]["ASRKIT_JOB"] == "hf-jobs:"
    sent = {path.removeprefix(f"{folder['path']}/"): path for path in linked.buckets["tiny/bucket"]}
    assert {"config.json", "run.json", "process.json", "train.jsonl", "eval.jsonl", "audit.json"} <= sent.keys()
    assert linked.read_file("tiny/bucket", sent["train.jsonl"]) == run.manifest_path("train").read_bytes()
    assert f"{base['path']}/vocab.json" in linked.buckets["tiny/bucket"]
    assert lifecycle.get_status(run) == lifecycle.QUEUED


def test_page_follows_a_job_to_its_end(run, job):
    job.beat(1)
    job.work(STARTED, *map(train, (1, 2, 3)))
    assert sync.sync_now([run]) == []
    assert run.events_path.read_bytes() == job.run.events_path.read_bytes()
    assert lifecycle.get_status(run) == lifecycle.RUNNING
    shown = summary.summarize_run(run)
    assert (shown["step"], shown["total_steps"], shown["pid"]) == (3, 10, 1)
    job.write_model()
    job.work(FINISHED)
    sync.sync_now([run])
    assert lifecycle.get_status(run) == lifecycle.RUNNING, "the end is told after the model"
    job.end()
    assert "has ended, and its last files are fetched" in launchers.of_run(run).status(run).text
    sync.sync_now([run])
    assert lifecycle.get_status(run) == lifecycle.FINISHED and run.has_model()
    assert (run.model_dir / "model.safetensors").read_bytes() == b"weights"
    job.hub.requests.clear()
    sync.sync_now([run])
    assert lifecycle.get_status(run) == lifecycle.FINISHED and job.hub.requests == [], "nothing is left to ask"


def test_events_are_fetched_from_where_they_were(run, job):
    job.work(STARTED, train(1))
    sync.sync_now([run])
    known = run.events_size()
    job.work(*map(train, range(2, 6)))
    with open(job.run.events_path, "ab") as file:
        file.write(b'{"kind": "tra')
    job.work()
    asked = []
    read = bucket_link.buckets.read
    bucket_link.buckets.read, kept = lambda *given: asked.append(given) or read(*given), read
    try:
        sync.sync_now([run])
    finally:
        bucket_link.buckets.read = kept
    assert [given[2] for given in asked if given[1].endswith("events.jsonl")] == [known]
    assert [event.step for event in run.events()[0]] == [0, 1, 2, 3, 4, 5]


def test_flags_go_up_once(run, job):
    job.work(STARTED, train(1))
    sync.sync_now([run])
    supervisor.save_now(run)
    supervisor.evaluate_now(run)
    sync.sync_now([run])
    assert job.read_flags() == [EVALUATE, SAVE]
    assert not run.has_flag(SAVE) and not run.has_flag(EVALUATE)
    job.run.clear_flags()
    supervisor.stop(run)
    assert launchers.of_run(run).wants_sync(run)
    sync.sync_now([run])
    assert not launchers.of_run(run).wants_sync(run)
    assert job.read_flags() == [STOP] and lifecycle.get_status(run) == lifecycle.STOPPING
    sync.sync_now([run])
    job.run.clear_flags()
    assert job.read_flags() == [], "a flag that was sent is not sent again"
    supervisor.cancel(run)
    sync.sync_now([run])
    assert job.read_flags() == [CANCEL]


def test_run_that_its_time_limit_ended_goes_on_in_another_job(linked, store, run, job, tmp_path):
    job.work(STARTED, *map(train, (1, 2)))
    write_checkpoint(job.run.checkpoints_dir / "checkpoint-2", b"step 2")
    job.write_model(b"best of step 2")
    job.end("ERROR", "Job timeout")
    sync.sync_now([run])
    row = summary.summarize_run(run)
    assert row["status"] == lifecycle.CRASHED and "Job timeout" in row["error"]
    assert run.has_model() and run.checkpoints() == []
    supervisor.stop(run)
    run.set_flag(STOP)  # left from before
    supervisor.resume(store, run)
    second = Job(linked, run, tmp_path / "second")
    assert [path.name for path in second.run.checkpoints()] == ["checkpoint-2"]
    assert (second.run.checkpoints()[0] / "model.safetensors").read_bytes() == b"step 2"
    assert (second.run.model_dir / "model.safetensors").read_bytes() == b"best of step 2"
    assert second.run.events_path.read_bytes() == run.events_path.read_bytes()
    assert second.read_flags() == []
    second.work(make_event("started", 2, 0.2, total_steps=10), train(3))
    sync.sync_now([run])
    assert summary.summarize_run(run)["step"] == 3 and lifecycle.get_status(run) == lifecycle.RUNNING
    second.write_model(b"best of step 3")
    second.work(FINISHED)
    second.end()
    sync.sync_now([run])
    assert (run.model_dir / "model.safetensors").read_bytes() == b"best of step 3"


def test_checkpoints_are_fetched_on_request(run, job):
    write_checkpoint(job.run.checkpoints_dir / "checkpoint-2", b"two")
    (job.run.checkpoints_dir / "checkpoint-2" / "optimizer.pt").write_bytes(b"state")
    job.work(STARTED, FINISHED)
    job.end()
    sync.sync_now([run])
    assert run.checkpoints() == []
    assert bucket_link.fetch_checkpoints(run) == 1
    assert (run.checkpoints()[0] / "optimizer.pt").read_bytes() == b"state"


def test_half_of_a_model_is_not_taken(run, job):
    job.write_model()
    job.work(STARTED, FINISHED)
    job.end()
    (weights,) = [path for path in job.hub.buckets["tiny/bucket"] if path.endswith("model-1/model.safetensors")]
    whole = job.hub.buckets["tiny/bucket"].pop(weights)
    bucket_link.sync(run, is_over=False)
    assert not run.model_dir.exists()
    job.hub.buckets["tiny/bucket"][weights] = whole
    sync.sync_now([run])
    assert run.has_model()


def test_interrupted_download_goes_on(run, job, monkeypatch):
    monkeypatch.setattr(bucket_link, "BLOCK_BYTES", 1000)
    job.write_model(bytes(range(256)) * 20)
    job.work(STARTED, FINISHED)
    job.end()
    read, positions = bucket_link.buckets.read, []

    def fail_once(bucket, path, start=0, end=None):
        if path.endswith(".safetensors"):
            positions.append(start)
            if len(positions) == 3:
                raise HubError("The line is broken.")
        return read(bucket, path, start, end)

    monkeypatch.setattr(bucket_link.buckets, "read", fail_once)
    assert "The line is broken" in sync.sync_now([run])[0]
    assert not run.has_model() and lifecycle.get_status(run) not in lifecycle.RESUMABLE
    assert sync.sync_now([run]) == [] and positions == [0, 1000, 2000, 2000, 3000, 4000, 5000]
    assert (run.model_dir / "model.safetensors").read_bytes() == bytes(range(256)) * 20
    assert list(run.path.glob(".fetched*")) == []


def test_broken_link_is_told_and_no_end(run, job):
    job.work(STARTED, train(1))
    job.beat(1)
    sync.sync_now([run])
    job.hub.forbidden.add("tiny/bucket")
    (failure,) = sync.sync_now([run])
    assert failure.startswith("The files of run one are those of an earlier moment: ")
    launcher = launchers.of_run(run)
    assert launcher.is_cut_off(run)
    assert "Its files cannot be fetched now, which is tried again by itself" in launcher.status(run).text
    assert lifecycle.get_status(run) == lifecycle.RUNNING
    job.hub.tokens.clear()  # not even the state of the job can be asked
    heartbeat._looks.clear()
    assert lifecycle.get_status(run) == lifecycle.RUNNING
    job.hub.forbidden.clear()
    job.hub.tokens.add("hf_good")
    assert sync.sync_now([run]) == [] and not launcher.is_cut_off(run)


def test_bucket_that_is_gone_ends_the_run(run, job):
    job.work(STARTED, train(1))
    sync.sync_now([run])
    job.job["status"] = {"stage": "COMPLETED", "message": None}
    job.hub.buckets.clear()
    with pytest.raises(NotOnHubError, match="There is no bucket tiny/bucket"):
        launchers.of_run(run).sync(run)
    assert lifecycle.get_status(run) == lifecycle.CRASHED


def test_waiting_job_is_cancelled_and_stays_stopped(run, linked):
    supervisor.stop(run)
    assert linked.jobs[run.job_id()]["status"]["stage"] == "CANCELED"
    sync.sync_now([run])
    assert lifecycle.get_status(run) == lifecycle.STOPPED


def test_forced_stop_keeps_what_there_is(run, job):
    job.work(STARTED, train(1))
    sync.sync_now([run])
    supervisor.cancel(run)
    job.work(train(2))
    watchdog.force_stop(run)
    assert job.job["status"]["stage"] == "CANCELED"
    assert lifecycle.get_status(run) == lifecycle.STOPPED and summary.summarize_run(run)["step"] == 2


def test_process_of_a_job_is_none_of_this_machine(run, job):
    job.work(STARTED)
    given = {**job.run.process(), "launcher": "local", "pid": 1, "start": "boot:1", "devices": ["cuda:0"]}
    job.run.process_path.write_text(json.dumps(given))
    job.work()
    sync.sync_now([run])
    process = run.process()
    assert process["launcher"] == "hf-jobs" and process["start"] == "job:boot:1" and process["devices"] == []


@pytest.mark.parametrize(
    "index",
    [
        {"model": {"folder": "trees/../../other", "files": {"config.json": 2}}},
        {"model": {"folder": "trees/model-1", "files": {"../../config.json": 2}}},
        {"../one": {"folder": "trees/model-1", "files": {"config.json": 2}}},
        {"model": {"folder": "trees/model-1", "files": {"config.json": "many"}}},
    ],
)
def test_index_that_leaves_the_run_is_ignored(run, job, index):
    job.work(STARTED, FINISHED)
    job.hub.put_file("tiny/bucket", f"{job.folder}/index.json", json.dumps({"trees": index}).encode())
    before = run.config_path.read_bytes()
    job.job["status"] = {"stage": "COMPLETED", "message": None}
    assert sync.sync_now([run]) == []
    assert run.config_path.read_bytes() == before and not run.model_dir.exists()


def test_model_has_no_file_that_could_run_code(run, job):
    job.write_model()
    (job.run.model_dir / "modeling.py").write_text("raise SystemExit")
    (job.run.model_dir / "pytorch_model.bin").write_bytes(b"pickle")
    job.work(STARTED, FINISHED)
    job.end()
    sync.sync_now([run])
    assert sorted(path.name for path in run.model_dir.iterdir()) == ["config.json", "model.safetensors"]


def test_deleted_run_is_deleted_on_the_bucket(store, run, job):
    job.work(STARTED, FINISHED)
    job.end()
    sync.sync_now([run])
    supervisor.delete(store, run)
    assert not [path for path in job.hub.buckets["tiny/bucket"] if path.startswith(job.folder)]
    assert [path for path in job.hub.buckets["tiny/bucket"] if path.startswith(job_data.UPLOADS)], "for other runs"


def test_bucket_of_the_account_is_made(linked, store, job_config, monkeypatch):
    monkeypatch.delenv(hf_jobs.STORAGE)
    run = supervisor.start(store, job_config, "one")
    assert linked.jobs[run.job_id()]["volumes"][0]["source"] == "tiny/asrkit" and "tiny/asrkit" in linked.buckets


def test_run_of_the_same_name_elsewhere_has_another_folder(linked, run, job_config, tmp_path):
    other = supervisor.start(RunStore(tmp_path / "elsewhere"), job_config, "one")
    folders = {linked.jobs[each.job_id()]["volumes"][0]["path"] for each in (run, other)}
    assert len(folders) == 2


def test_base_model_that_is_a_run_is_found_by_its_id(linked, store, job_config, make_run):
    first = make_run("first")
    shutil.copytree(job_config.model, first.model_dir)
    run = supervisor.start(store, job_config.replace({"model": "first", "vocabulary": "extend"}), "one")
    base = linked.jobs[run.job_id()]["volumes"][-1]
    assert base["mountPath"] == "/tmp/asrkit-runs/first"
    files = {path.removeprefix(f"{base['path']}/") for path in linked.buckets["tiny/bucket"]}
    assert {"config.json", "model/config.json", "model/model.safetensors"} <= files


def test_directory_of_a_run_as_base_model_is_refused(linked, store, job_config, make_run):
    first = make_run("first")
    first.append(STARTED)
    write_checkpoint(first.model_dir, b"weights")
    with pytest.raises(ConfigError, match=r"is a run; name its model, .*first/model, or the run's id"):
        launchers.for_config(job_config).check(job_config.replace({"model": str(first.path)}))


def test_background_exchange_begins_with_a_flag_and_waits_after_a_failure(store, run, job):
    job.work(STARTED, train(1))
    syncer = sync.Syncer(store)
    syncer.tick()
    syncer.wait()
    assert run.events_size()
    job.hub.requests.clear()
    syncer.tick()
    syncer.wait()
    assert job.hub.requests == [], "not yet"
    supervisor.stop(run)
    syncer.tick()
    syncer.wait()
    assert job.read_flags() == [STOP]
    job.hub.forbidden.add("tiny/bucket")
    run.set_flag(CANCEL)
    for _ in range(3):
        syncer.tick()
        syncer.wait()
    assert launchers.of_run(run).is_cut_off(run)
