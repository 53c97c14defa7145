"""Leaks between the training and the evaluation split: shared recordings, speakers and sentences.

WER on an evaluation split that shares them with training is lower than on unseen data.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from asrkit.audit.findings import Finding, make_finding
from asrkit.data.manifest import Column, Utterance
from asrkit.data.streams.origins import piece_of

SAMPLE_BYTES = 16 << 10
"""Read from the middle of a file: recordings of equal size that differ at all nearly always differ there."""


@dataclass(frozen=True, slots=True)
class ClipIdentity:
    """The properties by which two clips are compared.

    index: of the clip in its dataset. text: normalised. fingerprint: equal for equal audio; None if it is unknown.
    """

    index: int
    text: str
    speaker: str | None
    fingerprint: Hashable | None


def find_leaks(
    train: Sequence[ClipIdentity],
    held_out: Sequence[ClipIdentity],
    format_example: Callable[[int, str], str],
    *,
    is_own_split: bool,
) -> Iterator[Finding]:
    """Find recordings, speakers and sentences that occur in both splits.

    format_example: (index, detail) -> the text of an example. is_own_split: whether the run makes the split itself, so
    that its settings can change it.
    """
    fingerprints = {clip.fingerprint for clip in held_out} - {None}
    shared = [clip for clip in train if clip.fingerprint in fingerprints]
    if shared:
        # A run that splits the data itself keeps equal audio on one side, and "duplicate-audio" offers to leave out the
        # copies; then there is nothing to leave out here.
        yield make_finding(
            "leak-audio",
            [] if is_own_split else [clip.index for clip in shared],
            [format_example(clip.index, clip.text[:60]) for clip in shared[:9]],
            count=len(shared),
        )
    speakers = {clip.speaker for clip in (*train, *held_out) if clip.speaker}
    shared_speakers = {clip.speaker for clip in train if clip.speaker} & {clip.speaker for clip in held_out}
    # Data of one speaker cannot be split by speaker, and a model of one voice does not need it.
    if shared_speakers and (len(speakers) > 1 or not is_own_split):
        known = [clip for clip in held_out if clip.speaker in shared_speakers]
        count = "1 speaker is" if len(shared_speakers) == 1 else f"{len(shared_speakers)} speakers are"
        yield make_finding(
            "leak-speaker",
            [clip.index for clip in known],
            [format_example(clip.index, clip.speaker or "") for clip in known[:9]],
            settings={"split_by": "speaker", "eval_count": 0} if is_own_split else None,
            detail=f"{count} both trained and evaluated on",
        )
    texts = {clip.text for clip in train}
    repeated = [clip for clip in held_out if clip.text in texts]
    if repeated:
        # Splitting by text helps only if a speaker split is impossible and the training texts are not all the same.
        by_text = is_own_split and len(speakers) < 2 and any(clip.text != repeated[0].text for clip in train)
        verb = "says" if len(repeated) == 1 else "say"
        yield make_finding(
            "leak-text",
            [clip.index for clip in repeated],
            [format_example(clip.index, clip.text) for clip in repeated[:9]],
            settings={"split_by": "text", "eval_count": 0} if by_text else None,
            detail=f"{len(repeated)} of {len(held_out)} clips to evaluate on {verb} a sentence that is trained on",
        )


def audio_fingerprints(rows: Sequence[Utterance]) -> list[Hashable | None]:
    """Fingerprint the audio of each row: equal for the same part of equal files, whatever their names.

    None for a file that cannot be read. Only files of equal size are opened, and only those with an equal middle are
    read whole.
    """
    if not rows:
        return []
    stats = np.array([_stat(path) for path in Column("audio", rows)], np.int64)
    _, firsts, inodes = np.unique(stats[:, :2], axis=0, return_index=True, return_inverse=True)
    sizes = stats[firsts, 2]
    _, keys = np.unique(sizes, return_inverse=True)  # of each inode
    for digest in (_digest_middle, _digest_file):
        is_shared = (np.bincount(keys)[keys] > 1) & (sizes >= 0)
        shared = dict(zip(firsts[is_shared].tolist(), np.flatnonzero(is_shared).tolist(), strict=True))
        known: dict[Hashable, int] = {}
        for index, path in enumerate(Column("audio", rows) if shared else ()):
            if (inode := shared.get(index)) is not None:
                content = int(keys[inode]), digest(path, int(sizes[inode]))
                keys[inode] = known.setdefault(content, len(firsts) + len(known))
        _, keys = np.unique(keys, return_inverse=True)
    columns = (keys[inodes].tolist(), stats[:, 2].tolist(), Column("start_s", rows), Column("end_s", rows))
    return [
        None if size < 0 else key if not start_s and end_s is None else (key, start_s, end_s)
        for key, size, start_s, end_s in zip(*columns, strict=True)
    ]


def _stat(path: str) -> tuple[int, int, int]:
    """Return device, inode and size of a file; -1 for one that is missing, or no path, which the audit reports.

    Also for a streamed one: which of them are in the cache is chance.
    """
    if piece_of(path):
        return -1, -1, -1
    try:
        stat = os.stat(path)
    except (OSError, ValueError):
        return -1, -1, -1
    return stat.st_dev, stat.st_ino, stat.st_size


def _digest_middle(path: str, size: int) -> Hashable:
    try:
        with open(path, "rb") as file:
            file.seek(max(0, (size - SAMPLE_BYTES) // 2))
            return hashlib.blake2b(file.read(SAMPLE_BYTES), digest_size=12).digest()
    except OSError:
        return path


def _digest_file(path: str, size: int) -> Hashable:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha1").digest()
    except OSError:
        return path
