"""The run directory of a rented job, exchanged with a bucket that is not mounted here.

The job works on a folder of the bucket (`remote_folder`, `relay`). `push` sends what it begins with, and `sync` fetches
what it has written since and sends the flags. Files appear whole here, a growing one as far as it has been fetched;
what was interrupted goes on where it was.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from asrkit.errors import RunError
from asrkit.files import commit_directory, free_bytes, readable_disk_errors, write_atomic, write_json
from asrkit.hub import buckets
from asrkit.hub.buckets import BucketEntry
from asrkit.runs import metadata
from asrkit.runs.companions import claimed
from asrkit.runs.launchers.foreign_events import is_well_formed, mask_malformed
from asrkit.runs.launchers.remote_folder import (
    CONTROL,
    EVENTS,
    FROM_APP,
    FROM_JOB,
    GROWING,
    HEARTBEAT,
    INDEX,
    LOG,
    MODEL,
    PROCESS,
    RUNS,
    Tree,
    ends_run,
    parse_index,
)
from asrkit.runs.ownership import OPERATORS_OWN
from asrkit.runs.run import CANCEL, EVALUATE, FLAGS, SAVE, SCORE, STOP, Run
from asrkit.units import format_size

BLOCK_BYTES = 16 << 20
"""A file is fetched in pieces of this size; after an interruption it goes on with the next one."""
MIN_FREE_BYTES = 100 << 20
ASKED_ONCE = (SAVE, EVALUATE)
"""Flags that are done with once they are sent."""
SUFFIXES = (".json", ".jsonl", ".txt", ".md", ".png", ".safetensors")
"""What a model consists of. A bucket is written by others than this app, so nothing that could run code is taken."""


FROM_VISITORS_JOB = (PROCESS, HEARTBEAT, LOG, EVENTS)
MAX_VISITORS_FILE_BYTES = 100 << 20
MAX_VISITORS_RUN_BYTES = 10 << 30
"""What is taken of a small file, and of all that belongs to a run, from the bucket of a visitor."""


@dataclass(frozen=True)
class BucketLink:
    """is_settled: all that the last job of the run has written is here. sent: flags that it was sent. trees: which copy
    of a directory is here, by its path in the run directory."""

    bucket: str
    folder: str
    is_settled: bool = False
    sent: tuple[str, ...] = ()
    trees: dict[str, str] = field(default_factory=dict)


def read_link(run: Run) -> BucketLink | None:
    """Return the link of a run; None for one that has none."""
    try:
        values = json.loads(run.link_path.read_text(encoding="utf-8"))
        return BucketLink(**{**values, "sent": tuple(values["sent"])})
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None


def make_link(run: Run, bucket: str) -> BucketLink:
    """Return the link of a new run to a folder of its own."""
    return BucketLink(bucket, f"{RUNS}/{run.id}-{secrets.token_hex(4)}")


def push(run: Run, link: BucketLink) -> None:
    """Send what a job of the run begins with, and forget what was asked of an earlier one. HubError."""
    entries = buckets.list_files(link.bucket, link.folder, writing=True)
    buckets.delete(
        link.bucket, link.folder, [name for name in entries if name.startswith(f"{CONTROL}/") or name == HEARTBEAT]
    )
    paths = {name: run.path / name for name in FROM_APP}
    changed: dict[str, Path | bytes] = {
        name: path for name, path in paths.items() if path.exists() and not _is_same(path, entries.get(name))
    }
    # In the job, who pays for it is the operator.
    changed[metadata.NAME] = json.dumps({**metadata.read_metadata(run), **asdict(OPERATORS_OWN)}).encode()
    flags = {f"{CONTROL}/{flag}": flag.encode() for flag in FLAGS if run.has_flag(flag)}
    buckets.upload(link.bucket, link.folder, changed | flags)
    write_json(run.link_path, asdict(replace(link, is_settled=False, sent=())))


def discard(run: Run) -> None:
    """Delete the folder of a run that is deleted here, if it has one. HubError if that is impossible."""
    if link := read_link(run):
        buckets.delete(link.bucket, link.folder, buckets.list_files(link.bucket, link.folder))


def settle(run: Run) -> None:
    """Count what is here as all that there is, because the rest cannot be fetched any more."""
    if link := read_link(run):
        write_json(run.link_path, asdict(replace(link, is_settled=True)))


def list_unsent(run: Run, link: BucketLink) -> list[str]:
    """List the flags that the job is still to be sent."""
    return [flag for flag in (*ASKED_ONCE, STOP, CANCEL) if run.has_flag(flag) and flag not in link.sent]


def sync(run: Run, is_over: bool, is_trusted: bool = True) -> None:
    """Send the flags and fetch what the job has written; nothing while another process does so.

    is_over: the job has ended, so that it writes no more. is_trusted: False where others than the operator may write to
    the bucket. HubError where the bucket cannot be used; RunError where the
    disk is full.
    """
    with claimed(run.path / ".link.lock") as is_mine, readable_disk_errors(run.path):
        link = read_link(run)
        if is_mine and link and not link.is_settled:
            if not is_over:
                link = _send_flags(run, link)
            _fetch(run, link, is_over, is_trusted)


def fetch_checkpoints(run: Run) -> int:
    """Fetch the checkpoints of a run, and return how many there are. HubError, RunError."""
    link = read_link(run)
    if link is None:
        return len(run.checkpoints())
    entries = buckets.list_files(link.bucket, link.folder)
    trees = {name: tree for name, tree in _read_index(link, entries).items() if name != MODEL}
    with readable_disk_errors(run.path):
        for name, tree in trees.items():
            link = _fetch_tree(run, link, name, tree, entries)
    return len(trees)


def _send_flags(run: Run, link: BucketLink) -> BucketLink:
    flags = list_unsent(run, link)
    if not flags:
        return link
    buckets.upload(link.bucket, link.folder, {f"{CONTROL}/{flag}": flag.encode() for flag in flags})
    for flag in flags:
        if flag in ASKED_ONCE:
            run.clear_flags(flag)
    sent = (*link.sent, *(flag for flag in flags if flag not in ASKED_ONCE))
    return _write_link(run, replace(link, sent=sent))


def _fetch(run: Run, link: BucketLink, is_over: bool, is_trusted: bool) -> None:
    entries = buckets.list_files(link.bucket, link.folder)
    if not is_trusted:
        _check_sizes(run, entries)
    for name in FROM_JOB if is_trusted else FROM_VISITORS_JOB:
        entry, path = entries.get(name), run.path / name
        if entry is None or _is_same(path, entry):
            continue
        if name in GROWING:
            fresh = _read_fresh(link, entry, path)
            if name == EVENTS and (is_over or ends_run(fresh)):  # the model is there before the run has ended
                link = _fetch_model(run, link, entries, is_trusted)
            if fresh:
                with open(path, "ab") as file:
                    file.write(fresh if is_trusted or name != EVENTS else mask_malformed(fresh))
        else:
            _take_file(run, name, buckets.read(link.bucket, entry.path), entry)
    if is_over:
        link = _fetch_model(run, link, entries, is_trusted)
        run.clear_flags(SCORE, *ASKED_ONCE)
        _write_link(run, replace(link, is_settled=True))


def _check_sizes(run: Run, entries: dict[str, BucketEntry]) -> None:
    small = [entries[name].size for name in (*FROM_VISITORS_JOB, INDEX) if name in entries]
    total = sum(entry.size for entry in entries.values())
    if max(small, default=0) > MAX_VISITORS_FILE_BYTES or total > MAX_VISITORS_RUN_BYTES:
        raise RunError(
            f"Run {run.id} has written more than this app takes ({format_size(total)}); it stays in the bucket."
        )


def _is_same(path: Path, entry: BucketEntry | None) -> bool:
    """Whether a file here is that of the bucket: of its size and, to the millisecond, of its time.

    `process.json` has another size here (`_mark_as_remote`).
    """
    if entry is None:
        return False
    try:
        stat = path.stat()
    except FileNotFoundError:
        return False
    return (stat.st_size == entry.size or path.name == PROCESS) and abs(stat.st_mtime - entry.mtime_s) < 0.002


def _read_fresh(link: BucketLink, entry: BucketEntry, path: Path) -> bytes:
    """Return what a growing file has there and not here. One that is longer here was continued by the app."""
    known = path.stat().st_size if path.exists() else 0
    return buckets.read(link.bucket, entry.path, known, entry.size) if entry.size > known else b""


def _take_file(run: Run, name: str, content: bytes, entry: BucketEntry) -> None:
    if name == PROCESS:
        content = _mark_as_remote(run, content)
    path = run.path / name
    with write_atomic(path, sync=False) as file:
        file.write(content)
    os.utime(path, (entry.mtime_s, entry.mtime_s))


def _mark_as_remote(run: Run, content: bytes) -> bytes:
    """Return `process.json` so that no process of this machine is taken for the job's, whatever the bucket says."""
    try:
        given = json.loads(content)
        pid, start = int(given["pid"]), str(given["start"])
    except (ValueError, KeyError, TypeError):
        given = {}
    own: dict[str, Any] = run.process() or {}
    if given:
        own |= {"pid": pid, "start": f"job:{start}", "host": str(given.get("host")), "events_from": own["events_from"]}
    return json.dumps(own, indent=2).encode()


def _read_index(link: BucketLink, entries: dict[str, BucketEntry]) -> dict[str, Tree]:
    return parse_index(buckets.read(link.bucket, entries[INDEX].path)) if INDEX in entries else {}


def _fetch_model(run: Run, link: BucketLink, entries: dict[str, BucketEntry], is_trusted: bool) -> BucketLink:
    tree = _read_index(link, entries).get(MODEL)
    if tree is None:
        return link
    files = {path: size for path, size in tree.files.items() if path.endswith(SUFFIXES)}
    if not is_trusted and (size := files.get(run.evaluation_path.name)):
        path = f"{link.folder}/{tree.folder}/{run.evaluation_path.name}"
        if size > MAX_VISITORS_FILE_BYTES or not is_well_formed(buckets.read(link.bucket, path)):
            del files[run.evaluation_path.name]
    return _fetch_tree(run, link, MODEL, Tree(tree.folder, files), entries)


def _fetch_tree(run: Run, link: BucketLink, name: str, tree: Tree, entries: dict[str, BucketEntry]) -> BucketLink:
    """Fetch a directory of the run unless it is here or not complete there; return the link that knows it."""
    target = run.path / name
    if link.trees.get(name) == tree.folder and target.is_dir():
        return link
    found = {path: entries.get(f"{tree.folder}/{path}") for path in tree.files}
    if any(entry is None or entry.size != tree.files[path] for path, entry in found.items()):
        return link
    num_bytes = sum(tree.files.values())
    if free_bytes(run.path) < num_bytes + MIN_FREE_BYTES:
        raise RunError(
            f"The disk that holds {run.path} has no room for {name} of the run ({format_size(num_bytes)}); free some "
            "space, and it is fetched."
        )
    draft = run.path / f".fetched-{Path(tree.folder).name}"
    for path, entry in found.items():
        if entry is not None:
            _fetch_file(link.bucket, entry, draft / path)
    commit_directory(draft, target)
    for old in run.path.glob(f".fetched-{Path(name).name}-*"):
        shutil.rmtree(old, ignore_errors=True)
    return _write_link(run, replace(link, trees={**link.trees, name: tree.folder}))


def _fetch_file(bucket: str, entry: BucketEntry, path: Path) -> None:
    """Fetch what is missing of a file that does not change."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "ab") as file:
        while (begin := file.tell()) < entry.size:
            file.write(buckets.read(bucket, entry.path, begin, min(begin + BLOCK_BYTES, entry.size)))
            file.flush()


def _write_link(run: Run, link: BucketLink) -> BucketLink:
    with contextlib.suppress(FileNotFoundError):  # the run was deleted
        write_json(run.link_path, asdict(link))
    return link
