"""What a rented job needs of this machine's files: on the bucket that it mounts, or uploaded there before the start.

mount: where the bucket is mounted on both machines; None where the job has the bucket alone.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from asrkit.config import TrainConfig
from asrkit.data import manifest
from asrkit.errors import ConfigError, RunError
from asrkit.hub import buckets
from asrkit.hub.compute import BucketMount
from asrkit.models import resolution
from asrkit.runs.run import Run
from asrkit.runs.run_paths import OPTIMIZER_STATE
from asrkit.runs.store import RunStore

UPLOADS = "asrkit-data"
"""The folder of the bucket for uploaded data."""
MIN_DEPTH = 2
"""Of a folder that is mounted in the container, where a shorter path, such as /home, would hide files of the image."""
JOB_RUNS = Path("/tmp/asrkit-runs")
"""The runs directory of a job without a mounted one."""
IMAGE_PACKAGE = Path("/home/user/app")
"""Where the image of a Gradio Space has its repository."""

PACKAGE = Path(__file__).resolve().parents[3]


class UploadedData(NamedTuple):
    """A folder of files by their paths in it. local: where the job finds it. remote: the folder in the bucket."""

    local: Path
    remote: str
    files: dict[str, Path]


def check_model(config: TrainConfig, mount: Path | None, store: RunStore | None = None) -> None:
    """Raise ConfigError for a base model in a folder of this machine that the job does not find."""
    path = Path(config.model)
    if not path.is_absolute() or not path.exists():
        return
    if mount is None:
        if (resolved := resolution.resolve(config.model, store or RunStore())) not in (None, path):
            raise ConfigError(f"The base model {path} is a run; name its model, {resolved}, or the run's id.")
    elif not _is_in_container(path, mount):
        raise ConfigError(
            f"The base model {path} is not on the bucket at {mount}, where the job finds it; copy it there, or name a "
            "model of the Hub (OWNER/NAME)."
        )


def _is_in_container(path: Path, mount: Path | None) -> bool:
    return mount is not None and any(path.resolve().is_relative_to(known) for known in (mount, PACKAGE))


def plan_upload(run: Run, config: TrainConfig, mount: Path | None) -> list[UploadedData]:
    """Return the files that the job does not find: clips and, where it has no runs directory of here, the base model.

    RunError where the run is not on the bucket, or the clips have no folder in common that a container can mount.
    """
    if mount is not None and not run.path.resolve().is_relative_to(mount):
        raise RunError(f"The runs directory {run.path.parent} is not on the bucket at {mount}; choose one there.")
    return [*_plan_clips(run, mount), *([] if mount else _plan_model(config, RunStore(run.path.parent)))]


def _plan_clips(run: Run, mount: Path | None) -> Iterator[UploadedData]:
    outside = {
        os.path.abspath(row.audio)
        for split in ("train", "eval")
        if (path := run.manifest_path(split)).exists()
        for row in manifest.read(path)
        if not _is_in_container(Path(row.audio), mount)
    }
    if not outside:
        return
    local = Path(os.path.commonpath([os.path.dirname(path) for path in outside]))
    hidden = (mount, PACKAGE) if mount else (IMAGE_PACKAGE, JOB_RUNS)
    if len(local.parts) <= MIN_DEPTH or any(known.is_relative_to(local) for known in hidden):
        on_bucket = f", or on the bucket at {mount}" if mount else ""
        raise RunError(
            f"The clips lie in several folders below {local}, such as {min(outside)}; a job needs them in one folder. "
            f"Put them into one{on_bucket}, or name a dataset of the Hub (hub:OWNER/NAME)."
        )
    files = {os.path.relpath(path, local): Path(path) for path in sorted(outside)}
    yield UploadedData(local, _name_folder(local, mount), files)


def _plan_model(config: TrainConfig, store: RunStore) -> Iterator[UploadedData]:
    """Yield the base model, under the name by which the job asks for it; the starter and models of the Hub it has."""
    source = resolution.resolve(config.model, store)
    if source is None or source == resolution.STARTER_DIR:
        return
    based_on = store.find(config.model)
    files = {
        os.path.relpath(path, based_on.path if based_on else source): path
        for path in sorted(source.rglob("*"))
        if path.is_file() and path.name != OPTIMIZER_STATE
    }
    if based_on:
        files["config.json"] = based_on.config_path
    local = JOB_RUNS / based_on.id if based_on else source
    yield UploadedData(local, _name_folder(based_on.path if based_on else source, None), files)


def _name_folder(local: Path, mount: Path | None) -> str:
    """Name the folder in the bucket. Several machines may upload to a bucket that none has mounted."""
    machine = b"" if mount else os.fsencode(socket.gethostname())
    return f"{UPLOADS}/{hashlib.sha1(machine + os.fsencode(local), usedforsecurity=False).hexdigest()[:12]}"


def upload(run: Run, config: TrainConfig, bucket: str, mount: Path | None) -> list[dict[str, str]]:
    """Upload the files of a run that the bucket does not have yet; return the folders for `list_mounts`."""
    planned = plan_upload(run, config, mount)
    for data in planned:
        buckets.upload_missing(bucket, data.remote, data.files)
    return _describe(planned)


def _describe(planned: list[UploadedData]) -> list[dict[str, str]]:
    return [{"path": str(data.local), "folder": data.remote} for data in planned]


def list_mounts(run: Run, bucket: str, mount: Path | None) -> list[BucketMount]:
    """Return how the job of a run mounts the folders that were uploaded for it."""
    try:
        folders = json.loads(run.upload_path.read_text(encoding="utf-8"))
    except FileNotFoundError:  # of an older version
        folders = _describe(plan_upload(run, run.config(), mount))
    return [BucketMount(bucket, each["path"], each["folder"], is_read_only=True) for each in folders]
