"""What a MODEL argument means: a run id, a run or checkpoint directory, a Hub id, or `starter`."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Protocol

from asrkit import hub
from asrkit.data import access
from asrkit.errors import ModelError
from asrkit.jobs import ProgressCallback
from asrkit.models.checkpoints import WEIGHTS, check_directory, check_type

STARTER = "starter"
STARTER_DIR = Path(__file__).resolve().parents[2] / "assets" / "starter"
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


class RunDirectory(Protocol):
    """A run as far as it concerns a base model: where its weights lie."""

    @property
    def id(self) -> str: ...

    @property
    def model_dir(self) -> Path: ...

    def has_model(self) -> bool: ...

    def checkpoints(self) -> list[Path]: ...


class RunDirectories(Protocol):
    """The runs that a model's name may mean; `runs.store.RunStore` is one."""

    root: Path

    def find(self, run_id: str) -> RunDirectory | None: ...

    def at(self, path: Path) -> RunDirectory: ...


def resolve(name: str, store: RunDirectories) -> Path | None:
    """The checkpoint's directory; None for a Hub id. ModelError in one sentence where `name` is neither."""
    if name in ("", STARTER):
        return STARTER_DIR
    if run := store.find(name):
        return _of_run(run)
    # os.path, for a name that is no path at all is then no directory, instead of an exception.
    path = Path(os.path.expanduser(name))
    if not access.ReadPolicy([store.root]).allows(path.absolute()):
        if HUB_ID.fullmatch(name):
            return None
        raise ModelError(
            f"There is no model {name!r}: it is no run in {store.root}, no Hub id (owner/name) and no "
            "directory that may be read here."
        )
    if os.path.isdir(path):
        if (path / "events.jsonl").exists() or (path / "checkpoints").is_dir():
            return _of_run(store.at(path))
        check_directory(path)
        return path
    if os.path.exists(path):
        raise ModelError(f"Model {name} is a file; give the checkpoint's directory.")
    if HUB_ID.fullmatch(name) and not name.startswith((".", "/")):
        return None
    raise ModelError(
        f"There is no model {name!r}: it is no run in {store.root}, no directory and no Hub id "
        f"(owner/name); `python -m asrkit runs list` shows the runs."
    )


def fetch(name: str, store: RunDirectories, *, language: str = "", on_progress: ProgressCallback | None = None) -> Path:
    """The directory of the checkpoint, on this disk; on_progress: how much of one from the Hub is there.

    language: of an MMS model, of whose thousand adapters only that one is fetched. ModelError as `resolve` raises it
    and for what is no CTC speech model, before its weights are fetched; HubError for what cannot be had from the Hub.
    """
    found = resolve(name, store)
    if found:
        return found
    known = _fetched.get((name, language))
    if known is None or not known.is_dir():
        repository = hub.inspect_repository(name, "model")
        called = f"model {name} on the Hugging Face Hub"
        needed = _needed(list(repository.sizes), language)
        if "config.json" not in needed:
            raise ModelError(f"The {called} is no model: it has no config.json; give a Hugging Face checkpoint.")
        check_type(hub.fetch(repository, ["config.json"], on_progress), called)
        known = hub.fetch(repository, needed, on_progress)
        check_directory(known, called)
        _fetched[name, language] = known
    return known


def is_local(name: str, store: RunDirectories) -> bool:
    """Whether it lies on this disk, as far as that is known without asking the Hub. ModelError as `resolve` raises
    it."""
    return resolve(name, store) is not None or (name, "") in _fetched


_fetched: dict[tuple[str, str], Path] = {}
"""(Hub id, language) -> folder: the Hub is asked once in the life of a process."""


def _needed(paths: list[str], language: str) -> list[str]:
    """Settings and vocabularies, and the weights once, though a repository may hold them for three frameworks."""
    weights = next((name for name in WEIGHTS if name in paths), "")
    shards = weights.removesuffix(".index.json").rpartition(".") if weights.endswith(".index.json") else None
    adapters = (f"adapter.{language}.safetensors", f"adapter.{language}.bin")
    adapter = next((name for name in adapters if name in paths), "")
    return [
        path
        for path in paths
        if "/" not in path
        and (
            path in (weights, adapter)
            or path.endswith(".txt")
            or (path.endswith(".json") and ".index." not in path)
            or (shards and path.startswith(f"{shards[0]}-") and path.endswith(f".{shards[2]}"))
        )
    ]


def absolute_name(name: str, store: RunDirectories) -> str:
    """`name` so that it means the same from any working directory. ModelError as `resolve` raises it."""
    if resolve(name, store) is None or _is_name(name, store):
        return name
    return os.path.abspath(os.path.expanduser(name))


def _is_name(name: str, store: RunDirectories) -> bool:
    """Whether `name` is the starter or a run of the store: these come before a directory that is called so."""
    return name in ("", STARTER) or store.find(name) is not None


def _of_run(run: RunDirectory) -> Path:
    if run.has_model():
        return run.model_dir
    if run.checkpoints():
        return run.checkpoints()[-1]
    raise ModelError(f"Run {run.id} has no model yet; wait for its first evaluation, or choose another.")
