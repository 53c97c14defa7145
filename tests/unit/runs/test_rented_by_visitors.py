"""Runs that visitors of a Space start on machines that they rent with their own accounts."""

import json
import os
import time

import pytest

from asrkit.data import access
from asrkit.errors import HubError, RunError
from asrkit.hub import credentials
from asrkit.runs import launchers, lifecycle, summary, supervisor, sync, watchdog
from asrkit.runs.launchers import bucket_link, hf_jobs
from asrkit.runs.launchers.foreign_events import is_well_formed, mask_malformed
from asrkit.runs.ownership import Ownership, read_ownership
from asrkit.runs.run import CANCEL, STOP
from asrkit.runs.store import RunStore
from tests.support.mounted_folder import MountedFolder
from tests.unit.runs.test_bucket_link import FINISHED, STARTED, Job, train

ANN, TOKEN = "visitor:user-ann", "hf_oauth_of_ann"


@pytest.fixture
def space(hub, monkeypatch):
    """A Space with a mounted bucket of its owner's; ann is signed in."""
    monkeypatch.setattr(credentials, "_kept_tokens", {})
    hub.users[TOKEN] = "ann"
    sign_in()
    return hub


def sign_in(lasts_s=3600.0):
    credentials.keep_token(ANN, TOKEN, time.time() + lasts_s)


@pytest.fixture
def run(space, store, job_config):
    with credentials.as_reader(credentials.Reader(TOKEN)):
        return supervisor.start(store, job_config, "one", owned=Ownership(ANN))


@pytest.fixture
def job(space, run, tmp_path, monkeypatch):
    monkeypatch.setattr("tests.unit.runs.test_bucket_link.MountedFolder", mount)
    return Job(space, run, tmp_path / "container")


def mount(hub, _, folder, path):
    return MountedFolder(hub, "ann/asrkit", folder, path)


def test_job_is_started_and_paid_by_the_visitor(space, run):
    job = space.jobs[run.job_id()]
    assert job["owner"]["name"] == "ann" and job["secrets"] == {"HF_TOKEN": TOKEN}
    assert {volume["source"] for volume in job["volumes"]} == {"ann/asrkit"}
    assert lifecycle.get_status(run) == lifecycle.QUEUED, "whoever asks"
    job["status"] = {"stage": "RUNNING", "message": None}
    job["durations"] = {"schedulingSecs": 5, "runningSecs": 1800, "totalSecs": 1805}
    assert launchers.of_run(run).cost(run) == "0.20 USD"
    with credentials.as_reader(credentials.Reader(False)):
        assert lifecycle.get_status(run) == lifecycle.STARTING


def test_token_is_in_no_file_here_and_in_no_request_of_the_operator(run, job, store):
    job.work(STARTED, train(1))
    sync.sync_now([run])
    for folder, _, names in os.walk(store.root):
        for name in names:
            with open(os.path.join(folder, name), "rb") as file:
                assert TOKEN.encode() not in file.read(), name
    assert TOKEN not in repr(credentials.Reader(TOKEN))


def test_in_the_job_the_visitor_is_the_operator(run, job):
    assert read_ownership(run).owner == ANN
    assert access.owner_folder(read_ownership(job.run).owner) is None


def test_run_of_a_visitor_is_followed_and_stopped(run, job):
    job.work(STARTED, train(1))
    assert sync.sync_now([run]) == []
    assert summary.summarize_run(run)["step"] == 1
    supervisor.stop(run)
    sync.sync_now([run])
    assert job.read_flags() == [STOP]
    job.write_model()
    job.work(FINISHED)
    job.end()
    sync.sync_now([run])
    assert lifecycle.get_status(run) == lifecycle.FINISHED and run.has_model()


def test_job_goes_on_when_the_sign_in_expires(run, job):
    job.work(STARTED, train(1))
    sync.sync_now([run])
    sign_in(lasts_s=-1.0)
    (failure,) = sync.sync_now([run])
    assert "its job goes on, and is followed again once they sign in" in failure
    assert lifecycle.get_status(run) == lifecycle.RUNNING
    supervisor.stop(run)
    timer = watchdog.ShutdownTimer()
    timer.exceeded_limit_s = lambda *_: 600.0
    watchdog.tick(RunStore(run.path.parent), timer)
    assert lifecycle.get_status(run) == lifecycle.STOPPING, "a request that was not sent is not overdue"
    assert job.job["status"]["stage"] == "RUNNING"
    job.work(train(2))
    sign_in()
    assert sync.sync_now([run]) == []
    assert summary.summarize_run(run)["step"] == 2 and job.read_flags() == [STOP]


def test_operator_can_end_and_delete_the_run_of_who_is_gone(run, job, store):
    job.work(STARTED, train(1))
    sync.sync_now([run])
    sign_in(lasts_s=-1.0)
    run.set_flag(CANCEL)
    watchdog.force_stop(run)
    assert lifecycle.get_status(run) == lifecycle.STOPPED
    supervisor.delete(store, run)
    assert store.find("one") is None


def test_failed_cancel_is_told_to_who_is_here(run, job, monkeypatch):
    job.work(STARTED)
    sync.sync_now([run])
    job.hub.users.clear()
    with pytest.raises(HubError, match="sign out and in again"):
        watchdog.force_stop(run)
    assert lifecycle.get_status(run) != lifecycle.STOPPED


def test_operators_token_never_starts_the_job_of_a_visitor(run, job, store):
    job.end("ERROR", "Job timeout")
    sync.sync_now([run])
    sign_in(lasts_s=-1.0)
    num_jobs = len(job.hub.jobs)
    with pytest.raises(HubError, match="not signed in here any more"):
        supervisor.resume(store, run)
    assert supervisor.resume_interrupted(store) == [] and len(job.hub.jobs) == num_jobs
    sign_in()
    supervisor.resume(store, run)
    assert [each["owner"]["name"] for each in job.hub.jobs.values()] == ["ann", "ann"]


def test_manifests_and_checkpoints_of_a_visitor_are_not_taken(run, job):
    before = run.manifest_path("eval").read_bytes()
    job.run.manifest_path("eval").write_text(json.dumps({"audio": "/etc/passwd", "text": "a"}) + "\n")
    job.work(STARTED)
    sync.sync_now([run])
    assert run.manifest_path("eval").read_bytes() == before
    with pytest.raises(RunError, match="stay in the bucket of its owner"):
        launchers.of_run(run).fetch_checkpoints(run)


def test_malformed_event_of_a_visitor_breaks_no_list(run, job):
    job.work(STARTED)
    with open(job.run.events_path, "ab") as file:
        file.write(b'{"time": 1, "kind": "train", "step": "many", "loss": 1.0}\n')
        file.write(b'{"time": 1, "kind": "eval", "step": 1, "wer": "bad"}\n')
    job.work(train(2))
    sync.sync_now([run])
    assert run.events_size() == job.run.events_size()
    assert [event.step for event in run.events()[0]] == [0, 2]
    job.work(train(3))
    sync.sync_now([run])
    assert summary.summarize_run(run)["step"] == 3


def test_half_a_line_of_a_visitor_is_left_for_later(run, job):
    job.work(STARTED)
    line = train(1).to_line().encode()
    with open(job.run.events_path, "ab") as file:
        file.write(line[:20])
    job.work()
    sync.sync_now([run])
    with open(job.run.events_path, "ab") as file:
        file.write(line[20:])
    job.work()
    sync.sync_now([run])
    assert [event.step for event in run.events()[0]] == [0, 1]


def test_evaluation_of_a_visitors_model_is_checked(run, job):
    job.write_model()
    (job.run.model_dir / "evaluation.json").write_text('{"time": 1, "kind": "eval", "step": 1, "wer": []}\n')
    job.work(STARTED, FINISHED)
    job.end()
    sync.sync_now([run])
    assert run.has_model() and not run.evaluation_path.exists()


def test_more_than_the_app_takes_stays_in_the_bucket(run, job, monkeypatch):
    monkeypatch.setattr(bucket_link, "MAX_VISITORS_RUN_BYTES", 100)
    job.work(STARTED)
    (failure,) = sync.sync_now([run])
    assert "has written more than this app takes" in failure and run.events_size() == 0


@pytest.mark.parametrize(
    "record",
    [
        {"kind": "unknown"},
        {"kind": "train", "time": "now"},
        {"kind": "train", "step": -1},
        {"kind": "train", "step": True},
        {"kind": "train", "step": 1e300},
        {"kind": "train", "epoch": "one"},
        {"kind": "train", "elapsed_s": []},
        {"kind": "train", "loss": "low"},
        {"kind": "started", "total_steps": {}},
        {"kind": "started", "metric_for_best_model": 1},
        {"kind": "eval", "wer_interval": [1]},
        {"kind": "eval", "samples": [1]},
        {"kind": "eval", "datasets": {"a": {"wer": "x"}}},
    ],
)
def test_lines_that_no_worker_writes(record):
    line = json.dumps({"time": 1.0, **record}).encode() + b"\n"
    assert not is_well_formed(line)
    good = train(1).to_line().encode()
    assert mask_malformed(good + line + good) == good + b" " * (len(line) - 1) + b"\n" + good


def test_visitor_without_a_token_gets_none_of_this_machine(space, store, job_config, monkeypatch):
    monkeypatch.setattr("huggingface_hub.get_token", lambda: "hf_good")
    with credentials.as_reader(credentials.Reader(False)), pytest.raises(HubError):
        supervisor.start(store, job_config, "one", owned=Ownership(ANN))
    assert not space.jobs and store.all() == []
    assert hf_jobs.read_storage().mount is not None
