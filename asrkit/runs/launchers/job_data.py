"""What a rented job needs of this machine's files: on the bucket that it mounts, or uploaded there before the start."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import NamedTuple

from asrkit.config import TrainConfig
from asrkit.data import manifest
from asrkit.errors import ConfigError, RunError
from asrkit.hub import buckets
from asrkit.hub.compute import BucketMount
from asrkit.runs.run import Run

UPLOADS = "asrkit-data"
"""The folder of the bucket for uploaded data."""
MIN_DEPTH = 2
"""Of a folder that is mounted in the container, where a shorter path, such as /home, would hide files of the image."""

_PACKAGE = Path(__file__).resolve().parents[3]


class UploadedData(NamedTuple):
    """local: the folder that holds all files, and the path where the job finds it. remote: the folder in the bucket."""

    local: Path
    remote: str
    files: dict[str, Path]


def check_model(config: TrainConfig, mount: Path) -> None:
    """Raise ConfigError for a base model in a folder of this machine that the job does not find."""
    path = Path(config.model)
    if path.is_absolute() and path.exists() and not _is_in_container(path, mount):
        raise ConfigError(
            f"The base model {path} is not on the bucket at {mount}, where the job finds it; copy it there, or name a "
            "model of the Hub (OWNER/NAME)."
        )


def _is_in_container(path: Path, mount: Path) -> bool:
    return any(path.resolve().is_relative_to(known) for known in (mount, _PACKAGE))


def plan_upload(run: Run, mount: Path) -> UploadedData | None:
    """Return the clips that are neither on the bucket nor in asrkit; None if there are none.

    RunError where the run is not on the bucket, or the clips have no folder in common that a container can mount.
    """
    if not run.path.resolve().is_relative_to(mount):
        raise RunError(f"The runs directory {run.path.parent} is not on the bucket at {mount}; choose one there.")
    outside = {
        os.path.abspath(row.audio)
        for split in ("train", "eval")
        if (path := run.manifest_path(split)).exists()
        for row in manifest.read(path)
        if not _is_in_container(Path(row.audio), mount)
    }
    if not outside:
        return None
    local = Path(os.path.commonpath([os.path.dirname(path) for path in outside]))
    if len(local.parts) <= MIN_DEPTH or any(known.is_relative_to(local) for known in (mount, _PACKAGE)):
        raise RunError(
            f"The clips lie in several folders below {local}, such as {min(outside)}; a job needs them in one folder. "
            f"Put them into one, or on the bucket at {mount}, or name a dataset of the Hub (hub:OWNER/NAME)."
        )
    key = hashlib.sha1(os.fsencode(local), usedforsecurity=False).hexdigest()[:12]
    files = {os.path.relpath(path, local): Path(path) for path in sorted(outside)}
    return UploadedData(local, f"{UPLOADS}/{key}", files)


def upload(run: Run, bucket: str, mount: Path) -> list[dict[str, str]]:
    """Upload the clips of a run that the bucket does not have yet; return the folders for `list_mounts`."""
    data = plan_upload(run, mount)
    if data is None:
        return []
    buckets.upload_missing(bucket, data.remote, data.files)
    return [{"path": str(data.local), "folder": data.remote}]


def list_mounts(run: Run, bucket: str, mount: Path) -> list[BucketMount]:
    """Return how the job of a run mounts the folders that were uploaded for it."""
    try:
        folders = json.loads(run.upload_path.read_text(encoding="utf-8"))
    except FileNotFoundError:  # of an older version
        data = plan_upload(run, mount)
        folders = [{"path": str(data.local), "folder": data.remote}] if data else []
    return [BucketMount(bucket, each["path"], each["folder"], is_read_only=True) for each in folders]
