"""Shards: any dataset as a few large tar files, for slow and network disks, where many small files are the bottleneck.

A shard holds, for each clip, KEY.flac or KEY.ogg (16 kHz, mono), KEY.txt and KEY.json, which is the layout of
WebDataset and of datasets' `webdataset` builder. This package reads a folder of them too. The clips are in a random
order, so that any shard is a sample of the whole; `train-00000.tar`, `validation-00000.tar` and so on keep the splits.

A shard is written whole or not at all, and what is done is kept in INDEX: interrupted work goes on there.
"""

from __future__ import annotations

import hashlib
import io
import json
import random
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import soundfile

from asrkit.audio import SAMPLING_RATE, Waveform
from asrkit.audio.confined import AudioReader
from asrkit.data.manifest import Utterance
from asrkit.data.sources import Source
from asrkit.errors import AudioError, DataError
from asrkit.files import readable_disk_errors, write_json
from asrkit.jobs import ProgressCallback

INDEX, DRAFT = ".shards.json", ".draft.tar"
FORMATS = {"flac": ("flac", "FLAC", "PCM_16"), "opus": ("ogg", "OGG", "OPUS")}
"""Suffix, and format and subtype of libsndfile."""
_SEED = 0


@dataclass
class ShardCounts:
    """What was written so far, and the clips that could not be read."""

    num_clips: int = 0
    seconds: float = 0.0
    num_bytes: int = 0
    shards: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def write_shards(
    source: Source,
    folder: Path,
    *,
    max_bytes: int,
    audio_format: str = "flac",
    on_progress: ProgressCallback = lambda message, done, total: None,
) -> ShardCounts:
    """Write the clips of a dataset to tar files of about `max_bytes` each, and return what is in all of them.

    A clip that cannot be read, or has no text, is left out. Raises DataError where the folder has something else, or
    shards of other data or with other options, and where no clip is left.
    """
    splits = {"train": source.train, "validation": source.eval or [], "test": source.test or []}
    plan = _describe_plan(splits, max_bytes, audio_format)
    index = _open_index(folder, plan)
    total = sum(map(len, splits.values()))
    done = sum(index["positions"].values())
    with AudioReader(row.audio for row in chain.from_iterable(splits.values())) as reader:
        for split, rows in splits.items():
            order = random.Random(_SEED).sample(range(len(rows)), len(rows))
            while (start := index["positions"].get(split, 0)) < len(rows):
                with _Shard(folder / DRAFT, reader, audio_format) as shard:
                    for position in order[start:]:
                        on_progress("Writing shards", done, total)
                        done += 1
                        shard.add(f"{split}-{position:08d}", rows[position])
                        if shard.num_bytes >= max_bytes:
                            break
                _commit(folder, index, split, shard)
    counts = ShardCounts(**index["counts"])
    if not counts.num_clips:
        raise DataError(f"None of the {total} clips can be read; the first: {counts.left_out[0]}")
    return counts


class _Shard:
    """A tar file that is being written, and what was added to it. num_rows: clips that were added or left out."""

    def __init__(self, path: Path, reader: AudioReader, audio_format: str) -> None:
        self.path, self._reader = path, reader
        self._suffix, self._format, self._subtype = FORMATS[audio_format]
        self.num_rows, self.num_clips, self.num_bytes, self.seconds = 0, 0, 0, 0.0
        self.left_out: list[str] = []

    def __enter__(self) -> _Shard:
        with readable_disk_errors(self.path.parent):
            self._tar = tarfile.open(self.path, mode="w", format=tarfile.USTAR_FORMAT)
        return self

    def __exit__(self, *error: object) -> None:
        with readable_disk_errors(self.path.parent):
            self._tar.close()

    def add(self, key: str, row: Utterance) -> None:
        self.num_rows += 1
        try:
            if row.fault or not row.text.strip():
                raise DataError(f"{row.row or row.audio}: {row.fault or 'it has no text'}")
            wave = self._reader.load(row.audio, start_s=row.start_s, end_s=row.end_s)
        except (AudioError, DataError) as error:
            self.left_out.append(str(error))
            return
        about = {
            "text": row.text,
            "speaker": row.speaker or "",
            "duration_s": round(wave.duration_s, 3),
            "source": row.row,
        }
        self._add_file(f"{key}.{self._suffix}", self._encode(wave))
        self._add_file(f"{key}.json", json.dumps(about, ensure_ascii=False).encode("utf-8", "backslashreplace"))
        self._add_file(f"{key}.txt", row.text.encode("utf-8", "backslashreplace"))
        self.num_clips, self.seconds = self.num_clips + 1, self.seconds + wave.duration_s

    def _encode(self, wave: Waveform) -> bytes:
        encoded = io.BytesIO()
        soundfile.write(encoded, wave.samples, SAMPLING_RATE, format=self._format, subtype=self._subtype)
        return encoded.getvalue()

    def _add_file(self, name: str, content: bytes) -> None:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        with readable_disk_errors(self.path.parent):
            self._tar.addfile(member, io.BytesIO(content))
        self.num_bytes += tarfile.BLOCKSIZE + len(content)


def _describe_plan(splits: Mapping[str, Sequence[Utterance]], max_bytes: int, audio_format: str) -> dict[str, Any]:
    """Return what the shards depend on."""
    digest = hashlib.sha256()
    for row in chain.from_iterable(splits.values()):
        fields = [row.audio, row.text, row.speaker, row.start_s, row.end_s]
        digest.update(json.dumps(fields).encode() + b"\n")
    return {"clips": digest.hexdigest(), "max_bytes": max_bytes, "audio": audio_format}


def _open_index(folder: Path, plan: dict[str, Any]) -> dict[str, Any]:
    """Return the index of work that was begun, else a new one, in a folder that is new or empty."""
    path = folder / INDEX
    try:
        index: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if folder.exists() and any(folder.iterdir()):
            raise DataError(f"{folder} has files in it; give a new folder for the shards.") from None
        with readable_disk_errors(folder.parent):
            folder.mkdir(parents=True, exist_ok=True)
            index = {"plan": plan, "positions": {}, "counts": asdict(ShardCounts())}
            write_json(path, index)
        return index
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error}); give a new folder for the shards.") from None
    if index.get("plan") != plan:
        raise DataError(f"{folder} has shards of other data, or with other options; give a new folder.")
    return index


def _commit(folder: Path, index: dict[str, Any], split: str, shard: _Shard) -> None:
    """Give a shard its name, and then note it in the index."""
    counts = index["counts"]
    with readable_disk_errors(folder):
        if shard.num_clips:
            number = sum(name.startswith(f"{split}-") for name in counts["shards"])
            name = f"{split}-{number:05d}.tar"
            counts["shards"].append(name)
            counts["num_bytes"] += shard.path.stat().st_size
            shard.path.replace(folder / name)
        counts["num_clips"] += shard.num_clips
        counts["seconds"] += shard.seconds
        counts["left_out"] += shard.left_out
        index["positions"][split] = index["positions"].get(split, 0) + shard.num_rows
        write_json(folder / INDEX, index)
        shard.path.unlink(missing_ok=True)  # without a clip it was not renamed
