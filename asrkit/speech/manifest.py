"""Utterance rows: written, read back and split. A manifest is JSONL, one utterance a line, UTF-8."""

from __future__ import annotations

import hashlib
import json
import os
import random
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal

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
    seed: int = 42,
    by: Literal["speaker", "random", "auto"] = "auto",
) -> Halves:
    """-> (train, eval), both not empty; the same for the same utterances and seed.

    by: "speaker" puts every speaker on one side only (rows without a speaker train); "auto" does so where two speakers
    or more are known, and else draws utterances. Whole speakers rarely make up `eval_share` exactly: the eval side is
    no larger than that unless its only speaker is, who is then the one with the fewest utterances.

    Raises DataError for fewer than two utterances, or speakers to split by; ConfigError for a share outside 0 to 1.
    """
    if not 0 < eval_share < 1:
        raise ConfigError(f"eval_share is {eval_share}; give a share between 0 and 1, such as 0.1.")
    speakers = Counter(utterance.speaker for utterance in utterances if utterance.speaker)
    if by == "speaker" or (by == "auto" and len(speakers) >= 2):
        return _split_speakers(utterances, speakers, eval_share * len(utterances), seed)
    if by not in ("auto", "random"):
        raise ConfigError(f"Data cannot be split by {by!r}; choose speaker, random or auto.")
    return hold_out(utterances, max(1, min(round(eval_share * len(utterances)), len(utterances) - 1)), seed)


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


def _split_speakers(utterances: Sequence[Utterance], speakers: Counter, wanted: float, seed: int) -> Halves:
    if len(speakers) < 2:
        raise DataError(
            f"Splitting by speaker needs at least 2 speakers and the data names {len(speakers)}; add a speaker column "
            "or split at random."
        )
    order = sorted(speakers)
    random.Random(seed).shuffle(order)
    held: set[str] = set()
    count = 0
    for speaker in order:
        if count + speakers[speaker] <= wanted and len(held) < len(order) - 1:
            held.add(speaker)
            count += speakers[speaker]
    held = held or {min(order, key=speakers.__getitem__)}
    train = [utterance for utterance in utterances if utterance.speaker not in held]
    return train, [utterance for utterance in utterances if utterance.speaker in held]


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
