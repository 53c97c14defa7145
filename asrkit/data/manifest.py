"""Utterance rows: written, read back and split. A manifest is JSONL, one utterance a line, UTF-8."""

from __future__ import annotations

import hashlib
import json
import os
import random
import tempfile
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from asrkit.errors import ConfigError, DataError

UNREADABLE_S = -1.0  # the duration of a clip whose header cannot be read; the audit reports and drops it


@dataclass(frozen=True)
class Utterance:
    """One clip, or the part of a file from start_s to end_s, and what is said in it (raw, not normalised).

    duration_s: of this utterance, so of the part. row: where it came from, such as "metadata.csv row 7", for messages.
    """

    audio: str
    text: str
    duration_s: float
    speaker: str | None = None
    split: str | None = None
    start_s: float = 0.0
    end_s: float | None = None
    row: str = ""

    @property
    def id(self) -> str:
        """A short name for lists: the file's stem and a hash that tells apart parts and folders. Stable."""
        place = f"{self.audio} {self.start_s} {self.end_s}".encode("utf-8", "surrogatepass")  # whatever the file's name
        key = hashlib.sha1(place, usedforsecurity=False).hexdigest()[:8]
        return f"{Path(self.audio).stem}-{key}"


Halves = tuple[list[Utterance], list[Utterance]]


def write(path: str | Path, utterances: Iterable[Utterance]) -> None:
    """Write the manifest whole or not at all."""
    path = Path(path)
    descriptor, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        # Half a surrogate pair, from a file name that is not UTF-8, is written as JSON's own escape for it.
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
            for utterance in utterances:
                file.write(json.dumps(asdict(utterance), ensure_ascii=False) + "\n")
        os.chmod(partial, 0o644)  # mkstemp's files are private
        os.replace(partial, path)
    except BaseException:
        os.unlink(partial)
        raise


def read(path: str | Path) -> list[Utterance]:
    """Read what `write` wrote. Raises DataError, naming the line, for anything else."""
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path} does not exist; a manifest is made when a run is started.")
    with open(path, encoding="utf-8") as file:
        return [_parse(line, f"{path} line {number}") for number, line in enumerate(file, 1) if line.strip()]


def split(
    utterances: Sequence[Utterance],
    *,
    eval_share: float = 0.1,
    count: int = 0,
    seed: int = 42,
    by: Literal["speaker", "text", "random", "auto"] = "auto",
    prints: Sequence[Hashable | None] = (),
) -> Halves:
    """-> (train, eval), both not empty; the same for the same utterances and seed.

    count: of utterances to evaluate on, instead of a share. by: "speaker" puts every speaker on one side only (rows
    without a speaker train), "text" every text; "auto" parts speakers where two or more are known, and else draws
    utterances. Whole speakers and texts rarely make up `eval_share` exactly: the eval side is no larger than that
    unless all it has is one of them, which is then the smallest. prints: one for each utterance, equal for equal audio
    (`leaks.audio_fingerprints`); by "random" and "text", equal audio stays on one side.

    Raises DataError for fewer than two utterances, speakers or texts to split by, or a count that leaves nothing to
    train on; ConfigError for a share outside 0 to 1.
    """
    if not 0 < eval_share < 1:
        raise ConfigError(f"eval_share is {eval_share}; give a share between 0 and 1, such as 0.1.")
    if by not in ("auto", "speaker", "text", "random"):
        raise ConfigError(f"Data cannot be split by {by!r}; choose speaker, text, random or auto.")
    speakers = {utterance.speaker for utterance in utterances if utterance.speaker}
    wanted = count or max(1, min(round(eval_share * len(utterances)), len(utterances) - 1))
    if by == "speaker" or (by == "auto" and len(speakers) >= 2):
        return _split_whole(
            utterances, [row.speaker for row in utterances], "speaker", count or eval_share * len(utterances), seed
        )
    if by == "text":
        return _split_whole(utterances, _joined([row.text for row in utterances], prints), "text", wanted, seed)
    alone = _joined(range(len(utterances)), prints)
    if len(set(alone)) == len(alone) or len(set(alone)) == 1:  # no copies, or nothing else
        return hold_out(utterances, wanted, seed)
    return _split_whole(utterances, alone, "recording", wanted, seed)


def hold_out(utterances: Sequence[Utterance], count: int, seed: int) -> Halves:
    """-> (train, eval), where eval is the last `count` of a seeded shuffle, and train the others in shuffled order.

    Raises DataError unless 1 <= count < number of utterances.
    """
    if not 1 <= count < len(utterances):
        raise DataError(
            f"{count} of {len(utterances)} utterances cannot be held out for evaluation: at least one must stay on "
            "each side; add utterances or give evaluation data of its own."
        )
    shuffled = random.Random(seed).sample(utterances, len(utterances))
    return shuffled[:-count], shuffled[-count:]


def _split_whole(utterances: Sequence[Utterance], keys: Sequence[Any], what: str, wanted: float, seed: int) -> Halves:
    """Utterances of one key stay on one side; those without one train."""
    sizes = Counter(key for key in keys if key not in (None, ""))
    if len(sizes) < 2:
        raise DataError(
            f"Splitting by {what} needs at least 2 different ones and the data has {len(sizes)}; "
            + ("add a speaker column or split at random." if what == "speaker" else "split at random.")
        )
    order = sorted(sizes)
    random.Random(seed).shuffle(order)
    held: set[Any] = set()
    count = 0
    for key in order:
        if count + sizes[key] <= wanted and len(held) < len(order) - 1:
            held.add(key)
            count += sizes[key]
    held = held or {min(order, key=sizes.__getitem__)}
    sides: Halves = [], []
    for utterance, key in zip(utterances, keys, strict=True):
        sides[key in held].append(utterance)
    return sides


def _joined(keys: Sequence[Any], prints: Sequence[Hashable | None]) -> list[Any]:
    """The keys, where rows with equal prints share one."""
    first: dict[Any, Any] = {}  # key -> the one that it has become

    def root(key: Any) -> Any:
        while first.get(key, key) != key:
            key = first[key]
        return key

    seen: dict[Hashable, Any] = {}
    for key, printed in zip(keys, prints, strict=False):
        if printed is not None:
            first[root(key)] = root(seen.setdefault(printed, key))
    return [root(key) for key in keys]


def _parse(line: str, where: str) -> Utterance:
    try:
        row = json.loads(line)
        known = {field.name: row[field.name] for field in fields(Utterance) if field.name in row}
        utterance = Utterance(**known)
        numbers = [utterance.duration_s, utterance.start_s, utterance.end_s or 0.0]
        if not (isinstance(utterance.audio, str) and isinstance(utterance.text, str)):
            raise TypeError("audio and text must be text")
        if not all(isinstance(number, int | float) for number in numbers):
            raise TypeError("duration_s, start_s and end_s must be numbers")
    except (ValueError, TypeError) as error:
        raise DataError(f"{where} is not an utterance ({error}); make the manifest again from its data.") from error
    return utterance
