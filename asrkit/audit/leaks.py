"""What the two sides of a split share: recordings, speakers, sentences. Then WER says less than it seems to."""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from asrkit.audit.findings import Finding, finding
from asrkit.data.manifest import Utterance

SPOT_BYTES = 16 << 10  # from the middle of a file: few recordings of one length are equal there and not the same


@dataclass(frozen=True)
class Clip:
    """What counts of a clip. text: after the rules. print: equal for equal audio; None where that is not known."""

    place: int
    text: str
    speaker: str | None
    print: Hashable | None


def between(
    train: Sequence[Clip], held_out: Sequence[Clip], name: Callable[[int, str], str], *, own: bool
) -> Iterator[Finding]:
    """name: (place, detail) -> an example. own: whether the run draws the split itself, so that settings change it."""
    prints = {clip.print for clip in held_out} - {None}
    heard = [clip for clip in train if clip.print in prints]
    if heard:
        # In a split of its own a run holds equal audio together, once the copies are gone that are told as such.
        yield finding(
            "leak-audio",
            [] if own else [clip.place for clip in heard],
            [name(clip.place, clip.text[:60]) for clip in heard[:9]],
            count=len(heard),
        )
    both = {clip.speaker for clip in train if clip.speaker} & {clip.speaker for clip in held_out}
    everybody = {clip.speaker for clip in (*train, *held_out) if clip.speaker}
    # One voice alone cannot be parted from itself, and who wants a model of it need not.
    if both and (len(everybody) > 1 or not own):
        known = [clip for clip in held_out if clip.speaker in both]
        who = "1 speaker is" if len(both) == 1 else f"{len(both)} speakers are"
        yield finding(
            "leak-speaker",
            [clip.place for clip in known],
            [name(clip.place, clip.speaker or "") for clip in known[:9]],
            settings={"split_by": "speaker", "eval_count": 0} if own else None,
            detail=f"{who} both trained and evaluated on",
        )
    texts = {clip.text for clip in train}
    said = [clip for clip in held_out if clip.text in texts]
    if said:
        alone = own and len(everybody) < 2 and any(clip.text != said[0].text for clip in train)
        yield finding(
            "leak-text",
            [clip.place for clip in said],
            [name(clip.place, clip.text) for clip in said[:9]],
            settings={"split_by": "text", "eval_count": 0} if alone else None,
            detail=f"{len(said)} of {len(held_out)} clips to evaluate on say a sentence that is trained on",
        )


def prints(rows: Sequence[Utterance]) -> list[Hashable | None]:
    """For each row what is equal for the same part of equal files, whatever their names; None where nothing can be
    read. Only files of one length are opened, and only those that are equal in their middle are read whole."""
    files: dict[str, Hashable | None] = dict.fromkeys({row.audio for row in rows})
    inodes: dict[tuple[int, int], list[str]] = defaultdict(list)
    sizes: dict[tuple[int, int], int] = {}
    for path in files:
        if stat := _stat(path):
            inodes[stat.st_dev, stat.st_ino].append(path)
            sizes[stat.st_dev, stat.st_ino] = stat.st_size
    keys: dict[tuple[int, int], Hashable] = dict(sizes)
    for look in (_middle, _whole):
        count = Counter(keys.values())
        keys = {
            inode: (key, look(inodes[inode][0], sizes[inode])) if count[key] > 1 else key for inode, key in keys.items()
        }
    for inode, paths in inodes.items():
        files |= dict.fromkeys(paths, keys[inode])
    return [None if files[row.audio] is None else (files[row.audio], row.start_s, row.end_s) for row in rows]


def _stat(path: str) -> Any:
    try:
        return os.stat(path)
    except (OSError, ValueError):  # missing, or no path at all: the audit tells it
        return None


def _middle(path: str, size: int) -> Hashable:
    try:
        with open(path, "rb") as file:
            file.seek(max(0, (size - SPOT_BYTES) // 2))
            return hashlib.blake2b(file.read(SPOT_BYTES), digest_size=12).digest()
    except OSError:
        return path


def _whole(path: str, size: int) -> Hashable:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha1").digest()
    except OSError:
        return path
