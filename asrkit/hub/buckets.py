"""Files in buckets of the Hugging Face Hub, which jobs mount."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from asrkit.hub.compute import connect
from asrkit.hub.errors import translate_errors


def upload_missing(bucket: str, folder: str, files: Mapping[str, Path]) -> int:
    """Upload files to a folder of a bucket, by their paths there, and return how many it did not have yet.

    One of the same size that is not older counts as the same. HubError if the bucket cannot be written.
    """
    from huggingface_hub import BucketFile

    api = connect()
    with translate_errors(bucket, "bucket", writing=True):
        listed = api.list_bucket_tree(bucket, prefix=folder, recursive=True)
        known = {entry.path: entry for entry in listed if isinstance(entry, BucketFile)}
        missing: list[tuple[str | Path | bytes, str]] = []
        for name, file in files.items():
            stat, there = os.stat(file), known.get(f"{folder}/{name}")
            if there and there.size == stat.st_size and there.mtime and there.mtime.timestamp() >= int(stat.st_mtime):
                continue
            missing.append((file, f"{folder}/{name}"))
        if missing:
            api.batch_bucket_files(bucket, add=missing)
    return len(missing)
