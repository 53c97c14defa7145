"""Runs as jobs on the hardware of the Hugging Face Hub, paid by the minute.

Either the runs directory lies on a bucket that is mounted here and, at the same path, in the container of the job: on a
Space with a bucket as its storage all of this is given. Or the job has a folder of a bucket that is mounted nowhere
else, and the files of the run are exchanged through it (`bucket_link`).
"""

from __future__ import annotations

import logging
import os
import shlex
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from asrkit.config import TrainConfig
from asrkit.errors import AsrkitError, ConfigError, HubError, NotOnHubError, RunError
from asrkit.files import write_json
from asrkit.hub import buckets, compute, credentials
from asrkit.hub.compute import BucketMount, ComputeJob
from asrkit.runs import processes
from asrkit.runs.launchers import bucket_link, job_data, payer
from asrkit.runs.launchers.bucket_link import BucketLink
from asrkit.runs.launchers.interface import JOB, JobState, JobStatus, Launcher
from asrkit.runs.launchers.submission import status_by_heartbeat, submission
from asrkit.runs.launchers.time_limit import choose_time_limit_s
from asrkit.runs.run import Run

STORAGE, IMAGE = "ASRKIT_JOBS_STORAGE", "ASRKIT_JOBS_IMAGE"
"""Environment variables: OWNER/BUCKET:PATH, the bucket and where it is mounted here, or without PATH if it is not; the
image, else the Space's own."""
DEFAULT_BUCKET = "asrkit"
"""Of the account that pays, where no bucket is named."""
JOB_FOLDER = "/asrkit-run"
"""Where a job mounts the folder of a run whose directory is elsewhere."""

RELAY = "asrkit.runs.launchers.relay"
REUSE_S = 5.0
"""Pages ask every second, and the Hub serves everybody."""

logger = logging.getLogger(__name__)


class Storage(NamedTuple):
    """A bucket, empty for the one of the account that pays; and the folder where it is mounted here, if it is."""

    bucket: str
    mount: Path | None


class HfJobsLauncher(Launcher):
    """Starts a job of the account whose token is used here."""

    name, has_queue, needs_upload, is_rented = "hf-jobs", True, True, True

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, ComputeJob | HubError]] = {}
        self._failed: dict[Path, str] = {}

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

    def upload(self, run: Run, config: TrainConfig) -> Any:
        storage = read_storage()
        bucket = _find_bucket(storage)
        if storage.mount is None:
            buckets.create(bucket)
        return job_data.upload(run, config, bucket, storage.mount)

    def submit(self, run: Run, assigned: Sequence[str]) -> None:
        with payer.as_payer(run):
            self._submit(run)

    def _submit(self, run: Run) -> None:
        config, storage, image = run.config(), read_storage(), read_image()
        link = bucket_link.read_link(run)
        if link is None and storage.mount is None:
            link = bucket_link.make_link(run, _find_bucket(storage))
        if link:
            mounts = [BucketMount(link.bucket, JOB_FOLDER, link.folder)]
            uploaded = job_data.list_mounts(run, link.bucket, None)
            command = ["python", "-m", RELAY, JOB_FOLDER, str(job_data.JOB_RUNS / run.id)]
        else:
            mounts = [BucketMount(storage.bucket, str(storage.mount))]
            uploaded = job_data.list_mounts(run, storage.bucket, storage.mount)
            log = shlex.quote(str(run.log_path.resolve()))
            worker = shlex.join(["python", *processes.job_command(run)[1:]])
            command = ["bash", "-c", f"exec {worker} > >(tee -a {log}) 2>&1"]
        limit_s = choose_time_limit_s(run)
        package = job_data.PACKAGE if link is None or image == _own_image() else job_data.IMAGE_PACKAGE
        with submission(run, self.name):
            if link:
                bucket_link.push(run, link)
            job_id = compute.run_job(
                f"asrkit-{run.id}",
                image,
                command,
                flavor=config.hf_flavor,
                timeout_s=round(limit_s),
                mounts=[*mounts, *uploaded],
                environment={JOB: f"{self.name}:", "PYTHONPATH": str(package), "PYTHONUNBUFFERED": "1"},
            )
            write_json(run.job_path, {"id": job_id})

    def status(self, run: Run) -> JobStatus:
        job_id, link = run.job_id(), bucket_link.read_link(run)
        if job_id is None:
            return status_by_heartbeat(run, "Being submitted to the Hugging Face Hub")
        if link and link.is_settled:
            return JobStatus(JobState.GONE)
        try:
            job = self._find(run)
        except NotOnHubError:
            return self._describe_end(run, link, f"Hugging Face job {job_id}")
        except HubError as error:
            text = f"Job {job_id} of the Hugging Face Hub. {error}"
            if link is None:
                return status_by_heartbeat(run, text)
            # Who is cut off from the Hub does not know that a job has ended.
            return JobStatus(JobState.ALIVE if "pid" in (run.process() or {}) else JobState.WAITING, text)
        if job.stage == "SCHEDULING":
            return JobStatus(JobState.WAITING, f"Waiting for hardware of the Hugging Face Hub ({job.url})")
        if job.stage == "RUNNING":
            return JobStatus(JobState.ALIVE, self._add_failure(run, f"Hugging Face job {job.url}"))
        return self._describe_end(run, link, f"Hugging Face job {job.url}")

    def _describe_end(self, run: Run, link: BucketLink | None, name: str) -> JobStatus:
        """Return the state of a job that is over: alive as long as not all that it has written is here."""
        if link is None or link.is_settled:
            return JobStatus(JobState.GONE, name)
        return JobStatus(JobState.ALIVE, self._add_failure(run, f"{name} has ended, and its last files are fetched"))

    def _add_failure(self, run: Run, text: str) -> str:
        failure = self._failed.get(run.path)
        return (
            f"{text}. Its files cannot be fetched now, which is tried again by itself: {failure}" if failure else text
        )

    def needs_sync(self, run: Run) -> bool:
        link = bucket_link.read_link(run)
        return link is not None and not link.is_settled and run.job_id() is not None

    def wants_sync(self, run: Run) -> bool:
        link = bucket_link.read_link(run)
        return link is not None and bool(bucket_link.list_unsent(run, link))

    def sync(self, run: Run) -> None:
        try:
            is_over = self._is_over(run)
            with payer.as_payer(run):
                if is_over:
                    compute.require_jobs()  # to whom its token means nothing, the Hub says that there is no such job
                try:
                    bucket_link.sync(run, is_over, is_trusted=not payer.is_visitors(run))
                except NotOnHubError:
                    if is_over:  # the bucket is gone, and with it what is not here
                        bucket_link.settle(run)
                    raise
        except AsrkitError as error:
            self._failed[run.path] = str(error).rstrip(".")
            raise
        self._failed.pop(run.path, None)

    def _is_over(self, run: Run) -> bool:
        try:
            return self._find(run).stage not in ("SCHEDULING", "RUNNING")
        except NotOnHubError:
            return True

    def is_cut_off(self, run: Run) -> bool:
        return run.path in self._failed

    def stop(self, run: Run) -> None:
        job_id = run.job_id()
        if job_id is None or self.status(run).state is JobState.GONE:
            return
        try:
            if not self._is_over(run):
                with payer.as_payer(run):
                    compute.cancel_job(job_id)
        except HubError:
            if not payer.is_abandoned(run):
                raise
            logger.warning("Job %s of run %s goes on in its owner's account, who is not signed in.", job_id, run.id)
        with self._lock:
            self._known.pop(job_id, None)
        if self.needs_sync(run):
            try:
                with payer.as_payer(run):
                    bucket_link.sync(run, is_over=True, is_trusted=not payer.is_visitors(run))
            except AsrkitError as error:
                logger.warning("The last files of run %s were not fetched: %s", run.id, error)
                bucket_link.settle(run)

    def fetch_checkpoints(self, run: Run) -> int:
        if payer.is_visitors(run):
            raise RunError(
                f"The checkpoints of run {run.id} stay in the bucket of its owner, where they can be fetched."
            )
        return bucket_link.fetch_checkpoints(run)

    def discard(self, run: Run) -> None:
        try:
            with payer.as_payer(run):
                bucket_link.discard(run)
        except HubError as error:
            if not payer.is_abandoned(run):
                raise
            logger.warning("The files of run %s stay in its owner's bucket: %s", run.id, error)

    def cost(self, run: Run) -> str:
        try:
            job, hardware = self._find(run), compute.list_hardware()[run.config().hf_flavor]
        except (AsrkitError, KeyError):
            return ""
        return f"{job.running_s / 3600 * hardware.usd_per_hour:.2f} USD"

    def explain_end(self, run: Run) -> str:
        try:
            job = self._find(run)
        except HubError:
            return ""
        if job.stage == "CANCELED":
            return f"The Hugging Face job {job.id} was cancelled."
        return f"The Hugging Face job {job.id} ended: {job.message.rstrip('.')}." if job.message else ""

    def _find(self, run: Run) -> ComputeJob:
        """Return the job as the Hub described it less than REUSE_S ago. HubError if it does not."""
        job_id = run.job_id() or ""
        with payer.as_payer(run), self._lock:
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
    """Return the bucket for the files of runs that `$ASRKIT_JOBS_STORAGE` names. ConfigError for what it cannot be.

    A visitor has a bucket of their own.
    """
    if not credentials.is_operator():
        return Storage("", None)
    named = os.environ.get(STORAGE, "")
    bucket, _, mount = named.partition(":")
    if named and (bucket.count("/") != 1 or (mount and not Path(mount).is_absolute()) or named.endswith(":")):
        raise ConfigError(
            f"{STORAGE} is {named!r}; set it to OWNER/BUCKET:PATH for a bucket that is mounted here and holds the "
            "runs, such as me/asrkit:/data, to OWNER/BUCKET for one that is not, or to nothing."
        )
    return Storage(bucket, Path(mount).resolve() if mount else None)


def _find_bucket(storage: Storage) -> str:
    return storage.bucket or f"{compute.require_jobs()}/{DEFAULT_BUCKET}"


def read_image() -> str:
    """Return the image of the container: `$ASRKIT_JOBS_IMAGE`, else that of this Space. ConfigError outside of one."""
    image = os.environ.get(IMAGE) or _own_image()
    if not image:
        raise ConfigError(f"The launcher hf-jobs needs an image with asrkit; set {IMAGE}, or start it on a Space.")
    return image


def _own_image() -> str:
    space = os.environ.get("SPACE_ID", "")
    return space and f"hf.co/spaces/{space}"
