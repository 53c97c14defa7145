"""Runs as jobs on the hardware of the Hugging Face Hub, paid by the minute.

The runs directory lies on a bucket that is mounted here and, at the same path, in the container of the job. On a Space
with a bucket as its storage all of this is given: the container has the Space's own image.
"""

from __future__ import annotations

import os
import shlex
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from asrkit.config import TrainConfig
from asrkit.errors import AsrkitError, ConfigError, HubError, NotOnHubError
from asrkit.files import write_json
from asrkit.hub import compute
from asrkit.hub.compute import BucketMount, ComputeJob
from asrkit.runs import processes
from asrkit.runs.launchers import job_data
from asrkit.runs.launchers.interface import JOB, JobState, JobStatus, Launcher
from asrkit.runs.launchers.submission import status_by_heartbeat, submission
from asrkit.runs.launchers.time_limit import choose_time_limit_s
from asrkit.runs.run import Run

STORAGE, IMAGE = "ASRKIT_JOBS_STORAGE", "ASRKIT_JOBS_IMAGE"
"""Environment variables: OWNER/BUCKET:PATH, the bucket and where it is mounted; the image, else the Space's own."""

REUSE_S = 5.0
"""Pages ask every second, and the Hub serves everybody."""

_PACKAGE = Path(__file__).resolve().parents[3]


class Storage(NamedTuple):
    """A bucket, and the folder where it is mounted."""

    bucket: str
    mount: Path


class HfJobsLauncher(Launcher):
    """Starts a job of the account whose token is used here."""

    name, has_queue, needs_upload = "hf-jobs", True, True

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, ComputeJob | HubError]] = {}

    def check(self, config: TrainConfig) -> None:
        job_data.check_model(config, read_storage().mount)
        read_image()
        if config.device not in ("auto", "cpu") or config.nodes > 1:
            raise ConfigError(
                "A job of the Hugging Face Hub has one machine and its own GPUs; set Device (device) to auto or cpu "
                "and Nodes (nodes) to 1."
            )
        hardware = compute.list_hardware()
        if config.hf_flavor not in hardware:
            known = ", ".join(f"{each.name} ({each.usd_per_hour:.2f} USD an hour)" for each in hardware.values())
            raise ConfigError(f"Hardware (hf_flavor) is {config.hf_flavor!r}; choose one of {known}.")
        compute.require_jobs()

    def price(self, config: TrainConfig) -> str:
        hardware = compute.list_hardware().get(config.hf_flavor)
        if hardware is None:
            return ""
        most = hardware.usd_per_hour * config.hf_timeout_h
        return (
            f"{hardware.name} ({hardware.description}) costs {hardware.usd_per_hour:.2f} USD an hour; the run is ended "
            f"after {config.hf_timeout_h:g} hours, so it costs at most {most:.2f} USD."
        )

    def upload(self, run: Run) -> Any:
        storage = read_storage()
        return job_data.upload(run, storage.bucket, storage.mount)

    def submit(self, run: Run, assigned: Sequence[str]) -> None:
        config, storage = run.config(), read_storage()
        mounts = [
            BucketMount(storage.bucket, str(storage.mount)),
            *job_data.list_mounts(run, storage.bucket, storage.mount),
        ]
        limit_s = choose_time_limit_s(run)
        command = processes.job_command(run)
        log = shlex.quote(str(run.log_path.resolve()))
        with submission(run, self.name):
            job_id = compute.run_job(
                f"asrkit-{run.id}",
                read_image(),
                ["bash", "-c", f"exec {shlex.join(['python', *command[1:]])} > >(tee -a {log}) 2>&1"],
                flavor=config.hf_flavor,
                timeout_s=round(limit_s),
                mounts=mounts,
                environment={JOB: f"{self.name}:", "PYTHONPATH": str(_PACKAGE), "PYTHONUNBUFFERED": "1"},
            )
            write_json(run.job_path, {"id": job_id})

    def status(self, run: Run) -> JobStatus:
        job_id = run.job_id()
        if job_id is None:
            return status_by_heartbeat(run, "Being submitted to the Hugging Face Hub")
        try:
            job = self._find(job_id)
        except NotOnHubError:
            return JobStatus(JobState.GONE)
        except HubError as error:
            return status_by_heartbeat(run, f"Job {job_id} of the Hugging Face Hub. {error}")
        if job.stage == "SCHEDULING":
            return JobStatus(JobState.WAITING, f"Waiting for hardware of the Hugging Face Hub ({job.url})")
        return JobStatus(JobState.ALIVE if job.stage == "RUNNING" else JobState.GONE, f"Hugging Face job {job.url}")

    def stop(self, run: Run) -> None:
        job_id = run.job_id()
        if job_id is not None and self.status(run).state is not JobState.GONE:
            compute.cancel_job(job_id)
            with self._lock:
                self._known.pop(job_id, None)

    def cost(self, run: Run) -> str:
        job_id = run.job_id()
        try:
            job, hardware = self._find(job_id or ""), compute.list_hardware()[run.config().hf_flavor]
        except (AsrkitError, KeyError):
            return ""
        return f"{job.running_s / 3600 * hardware.usd_per_hour:.2f} USD"

    def explain_end(self, run: Run) -> str:
        try:
            job = self._find(run.job_id() or "")
        except HubError:
            return ""
        if job.stage == "CANCELED":
            return f"The Hugging Face job {job.id} was cancelled."
        return f"The Hugging Face job {job.id} ended: {job.message.rstrip('.')}." if job.message else ""

    def _find(self, job_id: str) -> ComputeJob:
        """Return the job as the Hub described it less than REUSE_S ago. HubError if it does not."""
        with self._lock:
            asked_s, known = self._known.get(job_id, (float("-inf"), None))
            if known is None or time.monotonic() - asked_s > REUSE_S:
                try:
                    known = compute.inspect_job(job_id)
                except HubError as error:
                    known = error
                self._known[job_id] = time.monotonic(), known
        if isinstance(known, HubError):
            raise known
        return known


def read_storage() -> Storage:
    """Return the bucket that holds the runs directory. ConfigError if it is not named."""
    bucket, _, mount = os.environ.get(STORAGE, "").partition(":")
    if bucket.count("/") != 1 or not Path(mount).is_absolute():
        raise ConfigError(
            f"The launcher hf-jobs needs a bucket that is mounted here and holds the runs; set {STORAGE} to "
            "OWNER/BUCKET:PATH, such as me/asrkit:/data."
        )
    return Storage(bucket, Path(mount).resolve())


def read_image() -> str:
    """Return the image of the container: `$ASRKIT_JOBS_IMAGE`, else that of this Space. ConfigError outside of one."""
    image = os.environ.get(IMAGE) or (space := os.environ.get("SPACE_ID", "")) and f"hf.co/spaces/{space}"
    if not image:
        raise ConfigError(f"The launcher hf-jobs needs an image with asrkit; set {IMAGE}, or start it on a Space.")
    return image
