"""Splits of utterances into a training part and an evaluation part."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import Any, Literal

from asrkit.errors import ConfigError, DataError

SplitBy = Literal["speaker", "text", "random", "auto"]
SplitIndices = tuple[list[int], list[int]]
"""(indices to train on, indices to evaluate on)"""


def split_indices(
    speakers: Sequence[str | None],
    texts: Sequence[str],
    *,
    eval_share: float = 0.1,
    count: int = 0,
    seed: int = 42,
    by: SplitBy = "auto",
    audio_fingerprints: Sequence[Hashable | None] = (),
) -> SplitIndices:
    """Split utterances into train and eval, both not empty; the same for the same utterances and seed.

    speakers, texts: of each utterance. count: number of utterances to evaluate on, instead of a share. by: "speaker"
    keeps every speaker on one side (rows without a speaker go to train), "text" every text; "auto" splits by speaker if
    two or more are known, and else at random. Whole speakers and texts rarely add up to `eval_share` exactly: the eval
    side is no larger than that unless it consists of a single one, which is then the smallest. audio_fingerprints: one
    per utterance, equal for equal audio (`audit.leaks.audio_fingerprints`); "random" and "text" keep equal audio on one
    side.

    Raises DataError for fewer than two utterances, speakers or texts to split by, or a count that leaves nothing to
    train on; ConfigError for a share outside 0 to 1.
    """
    if not 0 < eval_share < 1:
        raise ConfigError(f"eval_share is {eval_share}; give a share between 0 and 1, such as 0.1.")
    if by not in ("auto", "speaker", "text", "random"):
        raise ConfigError(f"Data cannot be split by {by!r}; choose speaker, text, random or auto.")
    num_known, num_rows = len({speaker for speaker in speakers if speaker}), len(speakers)
    eval_count = count or max(1, min(round(eval_share * num_rows), num_rows - 1))
    if by == "speaker" or (by == "auto" and num_known >= 2):
        return _split_by_key(speakers, "speaker", count or eval_share * num_rows, seed)
    if by == "text":
        return _split_by_key(_merge_keys(texts, audio_fingerprints), "text", eval_count, seed)
    keys = _merge_keys(range(num_rows), audio_fingerprints)
    if len(set(keys)) == len(keys) or len(set(keys)) == 1:  # no copies, or nothing but copies
        return hold_out(num_rows, eval_count, seed)
    return _split_by_key(keys, "recording", eval_count, seed)


def hold_out(num_rows: int, count: int, seed: int) -> SplitIndices:
    """Shuffle with `seed`, and evaluate on the last `count` utterances.

    Raises DataError unless 1 <= count < number of utterances.
    """
    if not 1 <= count < num_rows:
        raise DataError(
            f"{count} of {num_rows} utterances cannot be held out for evaluation: at least one must stay on "
            "each side; add utterances or give evaluation data of its own."
        )
    shuffled = random.Random(seed).sample(range(num_rows), num_rows)
    return shuffled[:-count], shuffled[-count:]


def _split_by_key(keys: Sequence[Any], key_name: str, eval_count: float, seed: int) -> SplitIndices:
    """Keep utterances of one key on one side; those without a key go to train."""
    sizes = Counter(key for key in keys if key not in (None, ""))
    if len(sizes) < 2:
        raise DataError(
            f"Splitting by {key_name} needs at least 2 different ones and the data has {len(sizes)}; "
            + ("add a speaker column or split at random." if key_name == "speaker" else "split at random.")
        )
    order = sorted(sizes)
    random.Random(seed).shuffle(order)
    eval_keys: set[Any] = set()
    count = 0
    for key in order:
        if count + sizes[key] <= eval_count and len(eval_keys) < len(order) - 1:
            eval_keys.add(key)
            count += sizes[key]
    eval_keys = eval_keys or {min(order, key=sizes.__getitem__)}
    sides: SplitIndices = [], []
    for index, key in enumerate(keys):
        sides[key in eval_keys].append(index)
    return sides


def _merge_keys(keys: Iterable[Any], audio_fingerprints: Sequence[Hashable | None]) -> list[Any]:
    """Return the keys, with one key for all rows whose fingerprints are equal (union-find)."""
    keys = list(keys)
    parents: dict[Any, Any] = {}

    def root(key: Any) -> Any:
        while parents.get(key, key) != key:
            key = parents[key]
        return key

    first_keys: dict[Hashable, Any] = {}
    for key, fingerprint in zip(keys, audio_fingerprints, strict=False):
        if fingerprint is not None:
            parents[root(key)] = root(first_keys.setdefault(fingerprint, key))
    return [root(key) for key in keys]
