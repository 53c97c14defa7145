"""The launcher of Hugging Face jobs, with a stand-in for the Hub that the Hub's own client talks to."""

import json
import shutil

import pytest

from asrkit.config import TrainConfig
from asrkit.errors import ConfigError, HubError, RunError
from asrkit.hub import compute
from asrkit.models import checkpoints
from asrkit.runs import launchers, lifecycle, queue, summary, supervisor
from asrkit.runs.launchers import hf_jobs, job_data
from asrkit.runs.store import RunStore

PARAMETERS = 1_000_000


def test_run_follows_its_job(hub, store, job_config):
    run = supervisor.start(store, job_config, "one")
    job = hub.jobs[run.job_id()]
    assert job["spaceId"] == "tiny/app" and job["flavor"] == "t4-small" and job["timeoutSeconds"] == 10_800
    (volume,) = job["volumes"]
    assert (volume["type"], volume["source"]) == ("bucket", "tiny/bucket")
    assert str(run.path).startswith(volume["mountPath"]) and str(run.path.resolve()) in job["command"][2]
    assert job["secrets"] == {"HF_TOKEN": "hf_good"} and job["environment"]["ASRKIT_JOB"] == "hf-jobs:"
    assert lifecycle.get_status(run) == lifecycle.QUEUED
    assert "Waiting for hardware of the Hugging Face Hub" in queue.get_queue_status(run, [], []).launcher_text
    job["status"] = {"stage": "RUNNING", "message": None}
    job["durations"] = {"schedulingSecs": 5, "runningSecs": 1800, "totalSecs": 1805}
    assert lifecycle.get_status(run) == lifecycle.STARTING
    assert summary.summarize_run(run)["cost"] == "0.20 USD"
    job["status"] = {"stage": "ERROR", "message": "Job timeout"}
    row = summary.summarize_run(run)
    assert row["status"] == "crashed" and row["error"] == f"The Hugging Face job {run.job_id()} ended: Job timeout."
    assert supervisor.resume(store, run).job_id() == "job2"


def start_at_pace(store, config, speed):
    """Start a run, and let it have trained at so many seconds of audio a second."""
    run = supervisor.start(store, config)
    lines = [
        {"kind": "phase", "phase": "loading", "begins": True, "elapsed_s": 0.0},
        {"kind": "started", "step": 0, "parameters": PARAMETERS, "elapsed_s": 20.0},
        *({"kind": "train", "step": step, "audio_seconds_per_second": speed} for step in (1, 2, 3)),
    ]
    run.events_path.write_text("".join(json.dumps({"time": 1.0, **line}) + "\n" for line in lines))
    return run


def test_time_limit_is_the_estimate_with_room_once_the_hardware_is_known(hub, store, job_config, monkeypatch):
    monkeypatch.setattr(checkpoints, "count_weights", lambda _: PARAMETERS)
    config = job_config.replace({"max_steps": 1000, "eval_share": 0.5, "eval_on_end": False})
    first = start_at_pace(store, config, speed=1.0)
    assert hub.jobs[first.job_id()]["timeoutSeconds"] == 3 * 3600, "nothing is known yet"
    second = supervisor.start(store, config)
    limit_s = hub.jobs[second.job_id()]["timeoutSeconds"]
    # Of two clips of a second, one is trained on in each of 1000 steps, which takes a second; evaluations are more.
    assert 2 * (20 + 1000) + 1800 <= limit_s < 3 * 3600
    other = supervisor.start(store, config.replace({"hf_timeout_h": 0.5}))
    assert hub.jobs[other.job_id()]["timeoutSeconds"] == 1800, "the setting is the most"


def test_run_that_its_time_limit_would_end_is_refused(hub, store, job_config, monkeypatch):
    monkeypatch.setattr(checkpoints, "count_weights", lambda _: PARAMETERS)
    start_at_pace(store, job_config, speed=1.0)
    with pytest.raises(
        RunError, match=r"estimated to take .* or more on t4-small, as earlier runs there.*hf_timeout_h"
    ):
        supervisor.start(store, job_config.replace({"max_steps": 20_000}), "two")
    assert store.find("two") is None


def test_waiting_job_is_cancelled(hub, store, job_config):
    run = supervisor.start(store, job_config, "one")
    supervisor.stop(run)
    assert hub.jobs[run.job_id()]["status"]["stage"] == "CANCELED"
    assert lifecycle.get_status(run) == lifecycle.STOPPED


def test_price_is_known_before_the_start(hub, job_config):
    assert launchers.for_config(job_config).price(job_config) == (
        "t4-small (4 vCPU, 15 GB, T4) costs 0.40 USD an hour; the run is ended after 3 hours, so it costs at most "
        "1.20 USD."
    )


@pytest.mark.parametrize(
    ("variable", "value", "changes", "message"),
    [
        (hf_jobs.STORAGE, "bucket", {}, "ASRKIT_JOBS_STORAGE is 'bucket'; set it to OWNER/BUCKET:PATH"),
        (hf_jobs.STORAGE, "tiny/bucket:data", {}, "set it to OWNER/BUCKET:PATH"),
        ("SPACE_ID", "", {}, "needs an image with asrkit"),
        ("SPACE_ID", "tiny/app", {"nodes": 2}, "has one machine and its own GPUs"),
        ("SPACE_ID", "tiny/app", {"hf_flavor": "h900"}, r"choose one of t4-small \(0.40 USD an hour\)"),
    ],
)
def test_settings_that_jobs_cannot_use(hub, job_config, monkeypatch, variable, value, changes, message):
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError, match=message):
        launchers.for_config(job_config).check(job_config.replace(changes))


@pytest.mark.parametrize(
    "token", [{"role": "read"}, {"role": "fineGrained", "fineGrained": {"scoped": [{"permissions": ["repo.write"]}]}}]
)
def test_token_that_may_not_start_jobs(hub, job_config, token):
    hub.user["auth"] = {"accessToken": token}
    with pytest.raises(HubError, match="The token of tiny may not start jobs"):
        launchers.for_config(job_config).check(job_config)


def test_refused_run_leaves_nothing(hub, store, job_config, monkeypatch):
    monkeypatch.setattr(compute, "require_jobs", lambda: "tiny")
    hub.tokens.clear()
    with pytest.raises(HubError, match="asrkit-one cannot be written on the Hugging Face Hub|refuses"):
        supervisor.start(store, job_config, "one")
    assert store.all() == []


@pytest.fixture
def mounted(hub, monkeypatch, tmp_path):
    """A store on a bucket that is mounted beside the clips, which are not on it."""
    hub.buckets["tiny/bucket"] = {}
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv(hf_jobs.STORAGE, f"tiny/bucket:{tmp_path}/mounted")
    return RunStore(tmp_path / "mounted" / "runs")


@pytest.fixture
def mounted_config(job_config, mounted, tmp_path):
    """A configuration whose base model is on the bucket."""
    model = shutil.copytree(job_config.model, tmp_path / "mounted" / "base")
    return job_config.replace({"model": str(model)})


def test_base_model_that_the_job_does_not_find_is_refused(hub, mounted, job_config):
    with pytest.raises(ConfigError, match="The base model .*/base is not on the bucket at .*/mounted"):
        supervisor.start(mounted, job_config, "one")


def test_runs_directory_lies_on_the_bucket(hub, mounted, mounted_config, tmp_path):
    with pytest.raises(RunError, match="runs directory .* is not on the bucket"):
        supervisor.start(RunStore(tmp_path / "runs"), mounted_config, "one")
    assert not hub.buckets["tiny/bucket"] and not hub.jobs


def test_clips_of_this_machine_are_uploaded_once_and_mounted_where_they_were(hub, mounted, mounted_config, tmp_path):
    (tmp_path / "clips" / "private.wav").write_bytes(b"not a clip of the run")
    run = supervisor.start(mounted, mounted_config.replace({"train": list_clips(tmp_path)}), "one")
    runs, clips = hub.jobs[run.job_id()]["volumes"]
    assert runs["mountPath"] == str(tmp_path / "mounted")
    assert clips["mountPath"] == str(tmp_path / "clips") and clips["readOnly"] and clips["source"] == "tiny/bucket"
    files = hub.buckets["tiny/bucket"]
    assert set(files) == {f"{clips['path']}/{name}.wav" for name in ("one", "two")}
    for path, file in files.items():
        file["size"] = (tmp_path / "clips" / path.rpartition("/")[2]).stat().st_size
    (changed,) = [file for path, file in files.items() if path.endswith("two.wav")]
    changed["size"] += 1
    hub.requests.clear()
    supervisor.start(mounted, mounted_config.replace({"train": list_clips(tmp_path)}), "two")
    assert sum(request.endswith("/batch") for request in hub.requests) == 1 and changed is not files[changed["path"]]
    assert [path for path in mounted.root.iterdir() if path.name.startswith(".upload-")] == []


def list_clips(folder):
    """Return the table of the two clips of `config`."""
    table = folder / "clips.csv"
    table.write_text(f"file_name,text\n{folder}/clips/one.wav,one\n{folder}/clips/two.wav,two\n")
    return str(table)


def test_manifests_are_read_once_for_the_upload_and_the_mounts(hub, mounted, mounted_config, monkeypatch, tmp_path):
    planned, plan = [], job_data.plan_upload
    monkeypatch.setattr(job_data, "plan_upload", lambda *given: planned.append(given) or plan(*given))
    run = supervisor.start(mounted, mounted_config, "one")
    assert len(planned) == 1 and len(hub.jobs[run.job_id()]["volumes"]) == 2
    hub.jobs[run.job_id()]["status"] = {"stage": "ERROR", "message": "Job timeout"}
    shutil.rmtree(tmp_path / "clips")
    resumed = hub.jobs[supervisor.resume(mounted, run).job_id()]
    assert resumed["volumes"] == hub.jobs["job1"]["volumes"] and len(planned) == 1


def test_run_of_an_older_version_mounts_its_clips(hub, mounted, mounted_config):
    run = supervisor.start(mounted, mounted_config, "one")
    hub.jobs[run.job_id()]["status"] = {"stage": "ERROR", "message": "Job timeout"}
    run.upload_path.unlink()
    assert hub.jobs[supervisor.resume(mounted, run).job_id()]["volumes"] == hub.jobs["job1"]["volumes"]


def test_clips_without_a_folder_that_can_be_mounted_are_refused(hub, mounted, mounted_config, monkeypatch):
    monkeypatch.setattr(job_data, "MIN_DEPTH", 99)
    with pytest.raises(RunError, match="lie in several folders below"):
        supervisor.start(mounted, mounted_config, "one")
    assert mounted.all() == [] and not hub.buckets["tiny/bucket"]


def test_bucket_that_cannot_be_written_refuses_the_run(hub, mounted, mounted_config):
    hub.buckets.clear()
    with pytest.raises(HubError, match="tiny/bucket cannot be written on the Hugging Face Hub"):
        supervisor.start(mounted, mounted_config, "one")
    assert mounted.all() == [] and not hub.jobs


def test_hub_that_does_not_answer_leaves_the_state_to_the_heartbeat(hub, store, job_config, monkeypatch):
    run = supervisor.start(store, job_config, "one")
    monkeypatch.setattr(compute, "inspect_job", lambda _: (_ for _ in ()).throw(HubError("The Hub is down.")))
    assert "The Hub is down." in queue.get_queue_status(run, [], []).launcher_text
    run.process_path.write_text(json.dumps({**run.process(), "pid": 1, "start": "another-boot:1"}))
    assert lifecycle.get_status(run) == lifecycle.CRASHED
    for beat in (1.0, 2.0):
        run.heartbeat_path.write_text(json.dumps({"beat": beat, "longest_s": 0}))
        status = lifecycle.get_status(run)
    assert status == lifecycle.STARTING


def test_other_launchers_cost_nothing():
    assert launchers.for_config(TrainConfig()).price(TrainConfig()) == ""
