"""A run, or its model alone, as a zip, streamed; and an archive of a run read back in, on another machine too."""

from __future__ import annotations

import contextlib
import io
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any

from asrkit.config import TrainConfig
from asrkit.data import confined, manifest, uploads
from asrkit.data.manifest import TABLE_SUFFIX
from asrkit.errors import ConfigError, RunError, first_line
from asrkit.files import readable_disk_errors, write_atomic
from asrkit.runs import events, ownership
from asrkit.runs.ownership import OPERATORS_OWN, Ownership
from asrkit.runs.report import card
from asrkit.runs.run import Run
from asrkit.runs.run_paths import LOCAL_FILES, OPTIMIZER_STATE, PROCESS_FILES
from asrkit.runs.store import RunStore

BLOCK_BYTES, BLOCK_LINES = 1 << 20, 5_000
COMPRESSED_SUFFIXES = frozenset({".safetensors", ".pt", ".pth", ".bin", ".flac", ".ogg", ".mp3", ".png"})
"""Files that a zip does not make smaller."""
TEXT_SUFFIXES = frozenset({".json", ".jsonl", ".txt", ".md", ".csv"})

HidePaths = Callable[[str], str]
"""For who may not know this machine: changes a text."""


def collect_model(run: Run, name: str) -> dict[str, Path | bytes]:
    """Return the files of a run's model by their paths, with a card for the model called `name`.

    The evaluation, which quotes transcripts, is left out. Raises RunError for a run without a model.
    """
    if not run.has_model():
        raise RunError(f"Run {run.id} has no model yet; wait for its first evaluation.")
    files: dict[str, Path | bytes] = {
        path.relative_to(run.model_dir).as_posix(): path
        for path in sorted(run.model_dir.rglob("*"))
        if path.is_file() and path not in (run.evaluation_path, *run.partial_results_paths())
    }
    return {**files, "README.md": card.render_published_card(run, name).encode()}


def iter_model(run: Run, hide_paths: HidePaths | None = None) -> Iterator[bytes]:
    """Yield the model of a run and its card as a zip, in pieces. Raises RunError for a run without a model."""
    entries = [(f"{run.id}/{path}", file) for path, file in collect_model(run, run.id).items()]
    return _iter_zip(entries, hide_paths)


def iter_archive(run: Run, hide_paths: HidePaths | None = None, with_optimizer: bool = False) -> Iterator[bytes]:
    """Yield the run directory as a zip, in pieces.

    Drafts (hidden names) are left out, and files that vanish meanwhile: an active run deletes old checkpoints.
    Manifests are lines there, which every version reads.
    with_optimizer: with the states of the optimizer, two thirds of the size, without which the run cannot be resumed.
    hide_paths: changes each line of a text; what describes processes is left out then.
    """
    left_out = {*(PROCESS_FILES if hide_paths else ()), *(() if with_optimizer else {OPTIMIZER_STATE})}
    return _iter_zip(_list_files(run, left_out), hide_paths)


def _list_files(run: Run, left_out: set[str]) -> Iterator[tuple[str, Path]]:
    for path in sorted(run.path.rglob("*")):
        name = path.relative_to(run.path)
        if not any(part.startswith(".") for part in name.parts) and name.name not in left_out and path.is_file():
            is_table = path.suffix == TABLE_SUFFIX
            yield f"{run.id}/{(name.with_suffix('.jsonl') if is_table else name).as_posix()}", path


def _iter_zip(entries: Iterable[tuple[str, Path | bytes]], hide_paths: HidePaths | None) -> Iterator[bytes]:
    buffer = _Buffer()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, source in entries:
            yield from _add_file(archive, name, source, buffer, hide_paths)
    yield buffer.take()


def _add_file(
    archive: zipfile.ZipFile, name: str, source: Path | bytes, buffer: _Buffer, hide_paths: HidePaths | None
) -> Iterator[bytes]:
    suffix = Path(name).suffix
    file: IO[bytes]
    with contextlib.ExitStack() as opened:
        if isinstance(source, bytes):
            info, file = zipfile.ZipInfo(name), io.BytesIO(source)
        else:
            try:
                info = zipfile.ZipInfo.from_file(source, name, strict_timestamps=False)
                file = opened.enter_context(open(source, "rb"))
            except FileNotFoundError:
                return
        info.compress_type = zipfile.ZIP_STORED if suffix in COMPRESSED_SUFFIXES else zipfile.ZIP_DEFLATED
        entry = opened.enter_context(archive.open(info, "w", force_zip64=True))
        if isinstance(source, Path) and source.suffix == TABLE_SUFFIX:
            lines = manifest.iter_lines(manifest.read(source))
            blocks = iter(lambda: b"".join(islice(lines, BLOCK_LINES)), b"")
        elif hide_paths and suffix in TEXT_SUFFIXES:
            blocks = iter(lambda: b"".join(file.readlines(BLOCK_BYTES)), b"")
        else:
            blocks = iter(lambda: file.read(BLOCK_BYTES), b"")
        for block in blocks:
            entry.write(_hide_paths(block, hide_paths) if hide_paths and suffix in TEXT_SUFFIXES else block)
            yield buffer.take()


def _hide_paths(lines: bytes, hide_paths: HidePaths) -> bytes:
    return hide_paths(lines.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")


class _Buffer(io.RawIOBase):
    """Holds what is written until it is taken. It cannot seek, so the zip is written front to back."""

    def __init__(self) -> None:
        self._held = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, block: Any) -> int:
        self._held += block
        return len(block)

    def take(self) -> bytes:
        held, self._held = bytes(self._held), bytearray()
        return held


def write_zip(blocks: Iterator[bytes], path: Path) -> None:
    """Write a zip to a file, whole or not at all."""
    with write_atomic(path) as file:
        for block in blocks:
            file.write(block)


def import_archive(
    store: RunStore, archive: Path, name: str, run_id: str | None = None, owned: Ownership = OPERATORS_OWN
) -> Run:
    """Create a run of what `iter_archive` has packed, here or on another machine; whole or not at all.

    name: of the archive, for messages. run_id: default: the id that it had. owned: whose it is here. What means nothing
    on another machine is left out, and a run that had not ended is stopped.

    Raises DataError for an archive that is damaged, unsafe or too large; RunError for one that holds no run, or a run
    whose id is taken.
    """
    with readable_disk_errors(store.root):
        store.root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".importing-", dir=store.root) as scratch:
            link = Path(scratch) / uploads.sanitize_file_name(name)
            link.symlink_to(archive.absolute())
            packed, config = _find_run(confined.unpack(link, Path(scratch)), name)
            return store.create(config, run_id or packed.id, lambda draft: _move_files(packed, draft, owned))


def _find_run(unpacked: Path, name: str) -> tuple[Run, TrainConfig]:
    """Return the run that an archive holds in a folder, and its settings. Raises RunError if there is none."""
    runs = [run for run in map(Run, unpacked.iterdir()) if run.config_path.is_file()]
    if len(runs) != 1:
        raise RunError(f"{name} is not the archive of a run; give a ZIP that `runs archive` or the page has made.")
    try:
        return runs[0], runs[0].config()
    except ConfigError as error:
        raise RunError(
            f"This version of asrkit cannot read the settings of the run in {name} ({first_line(error).rstrip('.')})."
        ) from error


def _move_files(packed: Run, draft: Run, owned: Ownership) -> None:
    for path in packed.path.iterdir():
        # A manifest of columns is no part of an archive, and nobody reads a foreign one as if it were asrkit's own.
        if path.name not in LOCAL_FILES and path.suffix != TABLE_SUFFIX and not path.name.startswith("."):
            if path.is_file():  # the settings stay as they were written
                (draft.path / path.name).unlink(missing_ok=True)
            shutil.move(path, draft.path / path.name)
    ownership.write_ownership(draft, owned)
    draft.repair_events()
    if not draft.has_ended():
        draft.append(events.make_event(events.STOPPED, message="Read in from an archive that was made during the run."))
