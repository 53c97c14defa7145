"""Files in buckets of the Hugging Face Hub, which jobs mount."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from asrkit.hub.compute import connect
from asrkit.hub.errors import translate_errors


class BucketEntry(NamedTuple):
    """A file of a bucket. path: in the bucket. mtime_s: Unix time, 0 where it is unknown."""

    path: str
    size: int
    mtime_s: float
    content_hash: str


def create(bucket: str) -> None:
    """Make a private bucket unless there is one. HubError if that is impossible."""
    with translate_errors(bucket, "bucket", writing=True):
        connect().create_bucket(bucket, private=True, exist_ok=True)


def list_files(bucket: str, folder: str, writing: bool = False) -> dict[str, BucketEntry]:
    """List all files below a folder by their paths in it. HubError if the bucket cannot be read.

    writing: whether that is to be reported as a bucket that cannot be written.
    """
    from huggingface_hub import BucketFile

    with translate_errors(bucket, "bucket", writing):
        listed = list(connect().list_bucket_tree(bucket, folder, recursive=True))
    return {
        entry.path.removeprefix(f"{folder}/"): BucketEntry(
            entry.path, entry.size, entry.mtime.timestamp() if entry.mtime else 0.0, entry.xet_hash
        )
        for entry in listed
        if isinstance(entry, BucketFile) and entry.path.startswith(f"{folder}/")
    }


def read(bucket: str, path: str, start: int = 0, end: int | None = None) -> bytes:
    """Return the bytes of a file from `start` up to but without `end`, such that start < end <= its size. HubError."""
    from huggingface_hub import constants
    from huggingface_hub.utils import (  # type: ignore[attr-defined]  # re-exported
        build_hf_headers,
        hf_raise_for_status,
        http_backoff,
    )

    api = connect()
    headers = build_hf_headers(token=api.token)
    if start or end is not None:
        headers["Range"] = f"bytes={start}-{'' if end is None else end - 1}"
    url = f"{api.endpoint}/buckets/{bucket}/resolve/{quote(path, safe='')}"
    with translate_errors(f"{bucket}/{path}", "bucket's file"):
        response = http_backoff("GET", url, headers=headers, timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT)
        hf_raise_for_status(response)
        return bytes(response.content)


def upload(bucket: str, folder: str, files: Mapping[str, Path | bytes]) -> None:
    """Write files or contents to a folder of a bucket, by their paths there. HubError if that fails."""
    if files:
        with _without_progress_bars():
            _write(bucket, add=_name_sources(folder, files))


def delete(bucket: str, folder: str, names: Iterable[str]) -> None:
    """Delete files from a folder of a bucket. HubError if that fails."""
    if paths := [f"{folder}/{name}" for name in names]:
        _write(bucket, delete=paths)


def upload_missing(bucket: str, folder: str, files: Mapping[str, Path]) -> int:
    """Upload files to a folder of a bucket, by their paths there, and return how many it did not have yet.

    One of the same size that is not older counts as the same. HubError if the bucket cannot be written.
    """
    known = list_files(bucket, folder, writing=True)
    missing: dict[str, Path | bytes] = {}
    for name, file in files.items():
        stat, there = os.stat(file), known.get(name)
        if there and there.size == stat.st_size and there.mtime_s >= int(stat.st_mtime):
            continue
        missing[name] = file
    if missing:
        _write(bucket, add=_name_sources(folder, missing))
    return len(missing)


def _name_sources(folder: str, files: Mapping[str, Path | bytes]) -> list[tuple[str | Path | bytes, str]]:
    return [(source, f"{folder}/{name}") for name, source in files.items()]


def _write(bucket: str, add: list[Any] | None = None, delete: list[str] | None = None) -> None:
    with translate_errors(bucket, "bucket", writing=True):
        connect().batch_bucket_files(bucket, add=add, delete=delete)


@contextlib.contextmanager
def _without_progress_bars() -> Iterator[None]:
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    if are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()
