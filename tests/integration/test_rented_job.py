"""A run of a rented job whose bucket is not mounted here: the program of the job with a real worker, beside the app."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from asrkit.config import TrainConfig
from asrkit.runs import lifecycle, summary, supervisor, sync
from asrkit.runs.launchers import hf_jobs
from asrkit.runs.run import Run
from asrkit.runs.store import RunStore
from tests.support.hub import Hub
from tests.support.jobs_hub import serve_in_process
from tests.support.mounted_folder import MountedFolder
from tests.support.runs import evaluation_results, loss_curve
from tests.support.waiting import wait_for


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setenv("HF_XET_CACHE", str(tmp_path / "xet"))
    monkeypatch.delenv(hf_jobs.STORAGE, raising=False)
    with serve_in_process(tmp_path / "hub", monkeypatch) as served:
        yield served


def test_run_far_away_is_followed_stopped_and_has_a_model(
    hub: Hub, store: RunStore, settings: Callable[..., TrainConfig], tmp_path: Path
) -> None:
    run = supervisor.start(store, settings(launcher="hf-jobs", max_steps=400, logging_steps=1), "far")
    job = hub.jobs[run.job_id() or ""]
    container = tmp_path / "container"
    mounted = MountedFolder(hub, "tiny/asrkit", job["volumes"][0]["path"], container / "bucket")
    there = Run(container / "runs" / "far")
    arguments = [str(mounted.path), str(there.path)]
    code = f"from asrkit.runs.launchers import relay; relay.INTERVAL_S = 0.2; raise SystemExit(relay.main({arguments}))"
    environment = {**os.environ, **job["environment"], "PYTHONPATH": os.pathsep.join(sys.path)}
    worker = subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.DEVNULL)
    job["status"] = {"stage": "RUNNING", "message": None}

    def follow() -> int:
        mounted.exchange()
        assert sync.sync_now([run]) == []
        return summary.summarize_run(run)["step"] or 0

    try:
        wait_for(lambda: follow() >= 2, "the first steps")
        assert lifecycle.get_status(run) == lifecycle.RUNNING
        supervisor.stop(run)
        wait_for(lambda: follow() and worker.poll() is not None, "the job to end")
    finally:
        worker.kill()
        worker.wait()
    mounted.exchange()
    job["status"] = {"stage": "COMPLETED", "message": None}
    assert worker.returncode == 0 and sync.sync_now([run]) == []
    assert lifecycle.get_status(run) == lifecycle.STOPPED and run.has_model()
    assert run.events_path.read_bytes() == there.events_path.read_bytes()
    assert loss_curve(run) == loss_curve(there) and evaluation_results(run)
    assert run.log_path.read_bytes() == there.log_path.read_bytes()
    assert list_files(run.model_dir) == list_files(there.model_dir) >= {"model.safetensors", "README.md"}


def list_files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")}
