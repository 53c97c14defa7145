"""CTC arithmetic: output frames, feasibility of labels, collapsing of paths, vocabularies.

Source: Graves et al., "Connectionist Temporal Classification", ICML 2006. The blank is token 0 of the vocabularies made
here. Hugging Face keeps the blank's id in `pad_token_id`: the padding token of the labels is the blank of the outputs.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from asrkit.audio import SAMPLING_RATE
from asrkit.text.graphemes import GraphemeSplitter

BLANK, UNKNOWN, DELIMITER = "<pad>", "<unk>", "|"


def num_frames(
    duration_s: float,
    kernels: Sequence[int] = (10, 3, 3, 3, 3, 2, 2),
    strides: Sequence[int] = (5, 2, 2, 2, 2, 2, 2),
) -> int:
    """Return the output frames of wav2vec2's convolutions (the defaults) for `duration_s` of 16 kHz audio.

    Each layer without padding: n -> floor((n - kernel) / stride) + 1. 400 samples give the first frame, then one each
    320 samples (20 ms). 0 for audio shorter than the receptive field.
    """
    # Plus a thousandth of a sample: 1001 samples, stored as 1001 / 16000 seconds, would else come back as 1000.
    length = int(duration_s * SAMPLING_RATE + 1e-3)
    for kernel, stride in zip(kernels, strides, strict=True):
        if length < kernel:
            return 0
        length = (length - kernel) // stride + 1
    return length


def required_frames(tokens: Sequence[Hashable]) -> int:
    """Return the fewest frames that can emit `tokens`: one each, and a blank between two equal ones."""
    return len(tokens) + sum(left == right for left, right in pairwise(tokens))


def is_feasible(tokens: Sequence[Hashable], frames: int) -> bool:
    """Return whether a path of `frames` frames can collapse to `tokens`; where none can, the CTC loss is infinite."""
    return required_frames(tokens) <= frames


@dataclass(frozen=True)
class TokenRun:
    """A token that a path repeats in frames `start` to before `end`."""

    token: int
    start: int
    end: int


def token_runs(ids: Sequence[int], blank_id: int) -> list[TokenRun]:
    """Return the runs of equal ids in a path, one id for each frame, without those of the blank."""
    runs, start = [], 0
    for token, frames in groupby(ids):
        end = start + len(list(frames))
        if token != blank_id:
            runs.append(TokenRun(token, start, end))
        start = end
    return runs


def collapse(ids: Sequence[int], blank_id: int) -> list[int]:
    """Return the labels of a path, one id for each frame: repeats merged, then blanks dropped."""
    return [run.token for run in token_runs(ids, blank_id)]


def collect_characters(texts: Iterable[str], split: Callable[[str], Iterable[str]] = iter) -> list[str]:
    """Return the characters of all texts, sorted, without white space. split: into letters of several characters."""
    words = {word for text in texts for word in text.split()}  # which recur, and letters do not go beyond them
    return sorted({character for word in words for character in split(word)})


def build_vocabulary(texts: Iterable[str], graphemes: Iterable[str] = ()) -> dict[str, int]:
    """Return token -> id in Wav2Vec2's layout: blank 0, unknown 1, word delimiter 2, then the sorted characters.

    graphemes: letters of several characters, which get a token where the texts have them.
    """
    split = GraphemeSplitter(graphemes).split
    tokens = dict.fromkeys([BLANK, UNKNOWN, DELIMITER, *collect_characters(texts, split)])
    return {token: number for number, token in enumerate(tokens)}


def lowercase_vocabulary(known: dict[str, int], texts: Iterable[str]) -> dict[str, int]:
    """Return `known` with lower-case letters, if it has capitals alone and the texts have lower-case letters.

    Many English models know A to Z only, and texts are lowered so that WER does not count case: without this, every
    letter would be new to the model. Ids stay, so what the model has learned of A applies to a.
    """
    letters = {token for token in known if len(token) == 1 and token.isalpha()}
    lowered = {token.lower() for token in letters}
    if (
        not any(letter.isupper() for letter in letters)
        or any(letter.islower() for letter in letters)
        or len(lowered) < len(letters)
        or not any(character.islower() for text in texts for character in text)
    ):
        return known
    return {
        token.lower() if token in letters and len(token.lower()) == 1 else token: number
        for token, number in known.items()
    }


def merge_vocabulary(
    known: dict[str, int],
    texts: Iterable[str],
    num_rows: int = 0,
    other: Sequence[str] = (),
    split: Callable[[str], Iterable[str]] = iter,
) -> tuple[dict[str, int], list[str]]:
    """Return `known` with the texts' new characters after the last id, and these characters, sorted.

    num_rows: outputs of the model, which may have more than `known` has tokens. other: new tokens, which come first.
    split: as in `collect_characters`.
    """
    added = [*other, *(character for character in collect_characters(texts, split) if character not in known)]
    first = max(num_rows, max(known.values(), default=-1) + 1)
    return known | {character: first + number for number, character in enumerate(added)}, added


def label_entropy(texts_tokens: Iterable[Iterable[Hashable]]) -> float:
    """Return the entropy in nats of the unigram token distribution: -sum p ln p; 0.0 without tokens.

    A model that has learned only the token frequencies cannot reach a lower loss per token.
    """
    counts = Counter(token for tokens in texts_tokens for token in tokens)
    total = counts.total()
    return math.fsum(count / total * math.log(total / count) for count in counts.values())
