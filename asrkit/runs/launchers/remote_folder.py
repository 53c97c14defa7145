"""The folder of a bucket through which a rented job and an app elsewhere exchange the files of a run.

It has the small files of the run directory under their names, the flags in `control/`, and the directories (the model
and the checkpoints) below `trees/`, each under a new name whenever it changes. `index.json` says which of these are
complete; it is written after them, so that nobody takes half of one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple

from asrkit.data.manifest import TABLE_SUFFIX
from asrkit.runs.events import END_KINDS, Event

RUNS = "asrkit-runs"
"""The folder of the bucket that has the folders of runs."""
INDEX, TREES, CONTROL = "index.json", "trees", "control"

EVENTS, LOG, PROCESS, HEARTBEAT = "events.jsonl", "log.txt", "process.json", "heartbeat.json"
MANIFESTS = tuple(f"{split}{suffix}" for split in ("train", "eval") for suffix in (".jsonl", TABLE_SUFFIX))
FROM_APP = ("config.json", PROCESS, EVENTS, LOG, "audit.json", *MANIFESTS)
"""What a job begins with."""
FROM_JOB = (PROCESS, HEARTBEAT, "audit.json", *MANIFESTS, LOG, EVENTS)
"""What the worker of a job writes, in the order in which the app takes it: the events tell what is there."""
MODEL, CHECKPOINTS = "model", "checkpoints"
GROWING = frozenset({EVENTS, LOG})
"""Files that are only ever appended to."""


def ends_run(lines: bytes) -> bool:
    """Whether the last of these lines of events is the end of a run."""
    last = Event.from_line(lines.rstrip(b"\n").rpartition(b"\n")[2]) if lines.endswith(b"\n") else None
    return last is not None and last.kind in END_KINDS


class Tree(NamedTuple):
    """folder: in the folder of the run. files: sizes in bytes by path in it."""

    folder: str
    files: Mapping[str, int]


def format_index(trees: Mapping[str, Tree]) -> bytes:
    """Format the index of directories by their paths in the run directory."""
    return json.dumps(
        {"trees": {name: {"folder": tree.folder, "files": dict(tree.files)} for name, tree in trees.items()}}
    ).encode()


def parse_index(content: bytes) -> dict[str, Tree]:
    """Parse an index; one that is half-written or not ours has no directories."""
    try:
        trees = json.loads(content)["trees"]
        parsed = {
            str(name): Tree(str(tree["folder"]), {str(path): int(size) for path, size in tree["files"].items()})
            for name, tree in trees.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
    return {name: tree for name, tree in parsed.items() if _is_safe(name, tree)}


def _is_safe(name: str, tree: Tree) -> bool:
    """Whether the paths of a directory stay in the run directory: whoever may write to the bucket has written them."""
    parts = [part for path in (name, tree.folder, *tree.files) for part in path.split("/")]
    is_known = name == MODEL or name.startswith(f"{CHECKPOINTS}/checkpoint-")
    return is_known and tree.folder.startswith(f"{TREES}/") and not any(part in ("", ".", "..") for part in parts)
