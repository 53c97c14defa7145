"""Where each word of a text is in a recording, by the best path: its frames, and what was left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asrkit.transcription.alignment.posteriors import EXTRA_COST
from asrkit.transcription.alignment.script import SpelledScript
from asrkit.transcription.alignment.viterbi import BETWEEN, FramePath, IntArray

NOWHERE = -1


@dataclass(frozen=True)
class Placement:
    """Where the words of a text are.

    first, last: (words,) the first and the last frame of each word; NOWHERE for one that was left out, or is
    punctuation. extra: frames of speech that the text leaves out, rising. extra_gaps: the gap between tokens that each
    is in.
    """

    first: IntArray
    last: IntArray
    extra: IntArray
    extra_gaps: IntArray
    _token_frames: IntArray  # (tokens on the path,) the first frame of each
    _losses: np.ndarray  # (frames + 1,) sum of the losses before each frame

    def score(self, first: int, last: int) -> float:
        """Return the loss from frame `first` to `last` by tokens of the text, 0 at best.

        The scale is that of `decoding.alignment.Alignment.score`, minus its best score. Of words without tokens alone
        nothing is known; they score as speech that the text leaves out.
        """
        begin, end = np.searchsorted(self._token_frames, (first, last + 1))
        if begin == end:
            return -EXTRA_COST
        return float(self._losses[last + 1] - self._losses[first]) / int(end - begin)


def place_words(path: FramePath, script: SpelledScript, num_words: int, recognised_frames: Sequence[int]) -> Placement:
    """Find the words of a text on a path. recognised_frames: of the recognised tokens, rising."""
    is_token, index = path.states % 2 == 1, path.states // 2
    frames = np.flatnonzero(is_token)
    tokens, starts = np.unique(index[frames], return_index=True)
    token_first = frames[starts]
    token_last = np.append(frames[starts[1:] - 1], frames[-1:])
    words = script.words[tokens]
    first = np.full(num_words, NOWHERE)
    last = np.full(num_words, NOWHERE)
    first[words[::-1]] = token_first[::-1]
    last[words] = token_last
    # A word of several parts, such as a number, may have been left out in part.
    is_partial = np.bincount(words, minlength=num_words) < np.bincount(script.words, minlength=num_words)
    first[is_partial] = last[is_partial] = NOWHERE
    _place_unspelled(first, last, script.unspelled, np.asarray(recognised_frames, np.int64), len(path.states))
    losses = np.concatenate([[0.0], np.cumsum(path.losses, dtype=np.float64)])
    is_extra = ~is_token & (np.asarray(script.gaps)[index] == BETWEEN) & (path.losses < -EXTRA_COST / 2)
    extra = np.flatnonzero(is_extra)
    return Placement(first, last, extra, index[extra], token_first, losses)


def _place_unspelled(
    first: IntArray, last: IntArray, unspelled: frozenset[int], recognised: IntArray, num_frames: int
) -> None:
    """Place words without tokens, such as numbers in digits, where tokens were recognised between their neighbours.

    Those in a row share it. Where there are none, they are left out.
    """
    placed = np.flatnonzero(first != NOWHERE)
    for word in sorted(unspelled):
        after = int(np.searchsorted(placed, word))
        begin = int(last[placed[after - 1]]) + 1 if after else 0
        end = int(first[placed[after]]) if after < len(placed) else num_frames
        between = recognised[np.searchsorted(recognised, begin) : np.searchsorted(recognised, end)]
        if len(between):
            first[word], last[word] = between[0], between[-1]
