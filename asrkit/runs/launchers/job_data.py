"""What a rented job needs of this machine's files: on the bucket that it mounts, or uploaded there before the start."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import NamedTuple

from asrkit.data import manifest
from asrkit.errors import RunError
from asrkit.hub import buckets
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
        if not any(Path(row.audio).resolve().is_relative_to(known) for known in (mount, _PACKAGE))
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


def upload(run: Run, bucket: str, mount: Path) -> None:
    """Upload the clips of a run that the bucket does not have yet."""
    if data := plan_upload(run, mount):
        buckets.upload_missing(bucket, data.remote, data.files)
