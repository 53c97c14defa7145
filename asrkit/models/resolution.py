"""Resolution of MODEL arguments: a run id, a run or checkpoint directory, a Hub id, or `starter`."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Protocol

from asrkit import hub
from asrkit.data import access
from asrkit.errors import ModelError
from asrkit.jobs import ProgressCallback
from asrkit.models.checkpoints import WEIGHT_FILES, check_directory, check_type

STARTER = "starter"
STARTER_DIR = Path(__file__).resolve().parents[2] / "assets" / "starter"
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


class RunDirectory(Protocol):
    """A run as far as its model is concerned."""

    @property
    def id(self) -> str: ...

    @property
    def model_dir(self) -> Path: ...

    def has_model(self) -> bool: ...

    def checkpoints(self) -> list[Path]: ...


class RunDirectories(Protocol):
    """The runs that a model's name may refer to; `runs.store.RunStore` is one."""

    root: Path

    def find(self, run_id: str) -> RunDirectory | None: ...

    def at(self, path: Path) -> RunDirectory: ...


def resolve(name: str, store: RunDirectories) -> Path | None:
    """Return the checkpoint's directory, None for a Hub id. Raises ModelError where `name` is neither."""
    if name in ("", STARTER):
        return STARTER_DIR
    if run := store.find(name):
        return _run_checkpoint(run)
    # os.path, unlike Path, answers False for a name that cannot be a path, instead of raising.
    path = Path(os.path.expanduser(name))
    if not _is_readable(path.absolute(), store):
        if HUB_ID.fullmatch(name):
            _check_hub_id(name)
            return None
        raise ModelError(
            f"There is no model {name!r}: it is neither a run in {store.root}, nor a Hub id (owner/name), nor "
            "a directory that may be read here."
        )
    if os.path.isdir(path):
        if (path / "events.jsonl").exists() or (path / "checkpoints").is_dir():
            return _run_checkpoint(store.at(path))
        check_directory(path)
        return path
    if os.path.exists(path):
        raise ModelError(f"Model {name} is a file; give the checkpoint's directory.")
    if HUB_ID.fullmatch(name) and not name.startswith((".", "/")):
        _check_hub_id(name)
        return None
    raise ModelError(
        f"There is no model {name!r}: it is neither a run in {store.root}, nor a directory, nor a Hub "
        f"id (owner/name); `python -m asrkit runs list` shows the runs."
    )


def _is_readable(path: Path, store: RunDirectories) -> bool:
    """Return whether a checkpoint may be read: a visitor sees only the runs that the store shows to them."""
    if not access.is_visitor():
        return access.ReadPolicy([store.root]).allows(path)
    inside = os.path.relpath(os.path.realpath(path), os.path.realpath(store.root)).split(os.sep)
    if inside[0] != os.pardir:
        return store.find(inside[0]) is not None
    return access.ReadPolicy().allows(path)


def _check_hub_id(name: str) -> None:
    if not access.may_use_hub_model(name):
        raise ModelError(f"The model {name} is not among those that visitors may use here; ask whoever runs this app.")


def fetch(name: str, store: RunDirectories, *, language: str = "", on_progress: ProgressCallback | None = None) -> Path:
    """Return the checkpoint's directory on this disk; a model on the Hub is downloaded.

    language: of an MMS model, of whose thousand adapters only that one is downloaded. on_progress: called with bytes
    downloaded. Raises ModelError as `resolve` does and for what is no CTC speech model, before its weights are
    downloaded; HubError for what the Hub does not provide.
    """
    if local := resolve(name, store):
        return local
    directory = _fetched.get((name, language))
    if directory is None or not directory.is_dir():
        repository = hub.inspect_repository(name, "model")
        label = f"model {name} on the Hugging Face Hub"
        needed = _select_files(list(repository.sizes), language)
        if "config.json" not in needed:
            raise ModelError(f"The {label} is not a model: it has no config.json; give a Hugging Face checkpoint.")
        check_type(hub.fetch(repository, ["config.json"], on_progress), label)
        directory = hub.fetch(repository, needed, on_progress)
        check_directory(directory, label)
        _fetched[name, language] = directory
    return directory


def is_local(name: str, store: RunDirectories) -> bool:
    """Return whether the model is on this disk, as far as this process knows. Raises ModelError as `resolve` does."""
    return resolve(name, store) is not None or (name, "") in _fetched


_fetched: dict[tuple[str, str], Path] = {}
"""(Hub id, language) -> directory: each process requests a model from the Hub once."""


def _select_files(paths: list[str], language: str) -> list[str]:
    """Select configuration, vocabularies and one set of weights; a repository may hold some for three frameworks."""
    weights = next((name for name in WEIGHT_FILES if name in paths), "")
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
    """Return `name` such that it means the same in any working directory. Raises ModelError as `resolve` does."""
    if resolve(name, store) is None or _is_reserved(name, store):
        return name
    return os.path.abspath(os.path.expanduser(name))


def _is_reserved(name: str, store: RunDirectories) -> bool:
    """Return whether `name` is the starter or a run: these take precedence over a directory of that name."""
    return name in ("", STARTER) or store.find(name) is not None


def _run_checkpoint(run: RunDirectory) -> Path:
    if run.has_model():
        return run.model_dir
    if run.checkpoints():
        return run.checkpoints()[-1]
    raise ModelError(f"Run {run.id} has no model yet; wait for its first evaluation, or choose another.")
