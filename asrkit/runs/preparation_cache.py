"""Large data that has not changed is not prepared again, and all runs on it share its manifests.

A hidden folder beside the runs has the manifests by their content, and the results of preparations with what these
depend on. They are hard links to the files of runs: a run is whole when it is moved, copied or archived, and the number
of links tells what no run needs any more. Nothing of visitors is kept, because it has to go with their runs.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import time
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Protocol

import asrkit
from asrkit.config import TrainConfig
from asrkit.config.data import DataSettings
from asrkit.data import access, fingerprint
from asrkit.data.fingerprint import Fingerprint
from asrkit.data.manifest import TABLE_SUFFIX
from asrkit.files import renew, replace_directory, write_json
from asrkit.jobs import ProgressCallback
from asrkit.runs import preparation
from asrkit.runs.prepared_data import FOLDER, PreparedData
from asrkit.runs.run import Run
from asrkit.runs.store import RunStore

MAX_PREPARATIONS = 20
"""Those that were used last are kept."""
SETTINGS = sorted(
    {field.name for field in fields(DataSettings)} - {"preset", "model"}
    | {"adapter_language", "add_adapter", "decoding", "seed"}
)
"""What a preparation depends on, beside the files of the base model."""
SEARCHED = frozenset({"file-by-name", "one-of-several", "bad-row", "unreadable-audio"})
"""Findings of names whose files were looked for below the folder of their table."""

CODE_SUFFIXES = frozenset({".py", ".json", ".csv"})

_FINGERPRINT, _MANIFESTS = "fingerprint.json", "manifests"


class Prepared(Protocol):
    """What the directory of a new run is filled with."""

    def write(self, run: Run) -> None: ...


def prepare(
    config: TrainConfig,
    store: RunStore,
    hub_dir: Path | None = None,
    model: Path | None = None,
    on_progress: ProgressCallback | None = None,
) -> Prepared:
    """Do what `preparation.prepare_data` does, unless the same data was prepared with the same settings before."""
    if access.is_visitor():
        return preparation.prepare_data(config, store, hub_dir, model, on_progress)
    folder = None
    if preparation.is_local(config):
        model = preparation.check_settings(config, store, model)
        folder = store.root / FOLDER / _make_key(config, model)
        if _is_current(folder):
            return _KnownData(folder)
    begin_s = time.time()
    prepared = preparation.prepare_data(config, store, hub_dir, model, on_progress)
    state = _take_fingerprint(config, prepared) if folder else None
    # Of files that have changed meanwhile, who knows which state was read.
    return _NewData(prepared, store, folder, state if state and state.changed_at < begin_s else None)


def _take_fingerprint(config: TrainConfig, prepared: PreparedData) -> Fingerprint:
    paths = [fingerprint.locate(name) for name in preparation.list_datasets(config)]
    if SEARCHED & {finding.code for finding in prepared.audit.findings}:
        paths = [path if path.is_dir() else path.parent for path in paths]
    return Fingerprint.of(paths, prepared.folders)


def share_manifest(path: Path, store: RunStore) -> None:
    """Let the manifest of a run be the same file as that of another run that has the same content."""
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    shared = store.root / FOLDER / _MANIFESTS / f"{digest}{path.suffix}"
    shared.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(OSError):  # a file system without hard links; another run does the same at this moment
        if shared.exists():
            draft = path.with_name(f".{path.name}")
            os.link(shared, draft)
            os.replace(draft, path)
        else:
            os.link(path, shared)


@dataclass(frozen=True)
class _KnownData:
    """The results of an earlier preparation."""

    folder: Path

    def write(self, run: Run) -> None:
        for path in self.folder.iterdir():
            if path.name != _FINGERPRINT:
                _link(path, run.path / path.name)


@dataclass(frozen=True)
class _NewData:
    """A preparation that is kept in `folder` for later runs if the data is large and did not change meanwhile."""

    prepared: PreparedData
    store: RunStore
    folder: Path | None
    state: Fingerprint | None

    def write(self, run: Run) -> None:
        self.prepared.write(run)
        for split in ("train", "eval"):
            if run.has_table(split):
                share_manifest(run.manifest_path(split), self.store)
        if self.folder is None or self.state is None or not run.has_table("train"):
            return
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        with replace_directory(self.folder) as draft:
            draft.mkdir()
            write_json(draft / _FINGERPRINT, asdict(self.state))
            for path in (run.manifest_path("train"), run.manifest_path("eval"), run.audit_path):
                _link(path, draft / path.name)
        _trim(self.folder.parent)


def _link(source: Path, target: Path) -> None:
    """Make `target` the same file, or a copy: of text, which people may edit, and where there are no hard links."""
    if source.suffix == TABLE_SUFFIX:
        with contextlib.suppress(OSError):
            os.link(source, target)
            return
    shutil.copyfile(source, target)


def _is_current(folder: Path) -> bool:
    try:
        state = Fingerprint(**json.loads((folder / _FINGERPRINT).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return False
    renew(folder)
    return state.is_current()


def _trim(root: Path) -> None:
    """Delete the preparations that were not used for longest, and the manifests that nothing else links to."""
    kept = [path for path in root.iterdir() if path.name != _MANIFESTS and not path.name.startswith(".")]
    kept.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    for folder in kept[MAX_PREPARATIONS:]:
        shutil.rmtree(folder)
    manifests = root / _MANIFESTS
    for path in manifests.iterdir() if manifests.is_dir() else ():
        if path.stat().st_nlink == 1:
            path.unlink()


def _make_key(config: TrainConfig, model: Path | None) -> str:
    """Return a digest of what the preparation of a dataset depends on, beside the dataset."""
    values = [
        [str(fingerprint.locate(name)) for name in preparation.list_datasets(config)],
        {name: getattr(config, name) for name in SETTINGS},
        asdict(Fingerprint.of([], [str(model)])) if model else None,
        os.environ.get(access.READABLE_VARIABLE),
        _digest_code(),
    ]
    return hashlib.blake2b(json.dumps(values).encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


@cache
def _digest_code() -> str:
    """Return a digest of the state of this package's files, by which a preparation was made."""
    package = Path(asrkit.__file__).parent
    return Fingerprint.of([path for path in package.rglob("*") if path.suffix in CODE_SUFFIXES]).digest
