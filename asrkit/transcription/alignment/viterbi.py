"""The likeliest path of a long recording through its text, where parts of either may be missing.

A CTC lattice (Graves et al., ICML 2006) whose states between two words do more than a blank does. Speech that the text
leaves out may be absorbed there, at a cost for each frame (`PosteriorFile`). Words that were not spoken may be left out
between any two of them: each token costs `MISSING_COST`, each passage `PASSAGE_COST` besides, so that single letters
that the model gets wrong break nothing. Without such states one missing page would move the text behind it.

The search keeps to a band around a rough alignment. Its back pointers go to a temporary file, a byte for each state and
frame, so that memory does not grow with the recording and nothing is computed twice.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from typing import IO

import numpy as np
import numpy.typing as npt

from asrkit.transcription.alignment.posteriors import BEST, BETWEEN_WORDS, BLANK, UNSPELLED, PosteriorFile

IntArray = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
Scores = npt.NDArray[np.float32]
MISSING_COST, PASSAGE_COST = 3.0, 18.0
"""Nats for a token that was not spoken, and for each passage of them."""
BLOCK_FRAMES = 500
INSIDE, BETWEEN, ANYTHING = 0, 1, 2
"""Gaps: within a word; between two; where words are that the model cannot spell, so any speech is expected."""
_GAP_COLUMNS = np.array([BLANK, BETWEEN_WORDS, UNSPELLED])
_FROM_GAP, _FROM_TOKEN = 1, 2  # of a token; 0 stays in it
_ENTERED, _SKIPPED, _LEADS = 1, 2, 4  # of a gap; 0 stays in it. _LEADS: the best start for passages left out
_NEVER = np.float32(-np.inf)


@dataclass(frozen=True)
class TokenSequence:
    """A text as a model spells it.

    columns: (tokens,) the column of each token in a `PosteriorFile`. gaps: (tokens + 1,) the kind of the gap before
    each token, and behind the last.
    """

    columns: IntArray
    gaps: Bytes

    def __len__(self) -> int:
        return len(self.columns)


@dataclass(frozen=True)
class Band:
    """The tokens that are searched in each frame: low to before high, both (frames,) and never falling."""

    low: IntArray
    high: IntArray


@dataclass(frozen=True)
class FramePath:
    """What each frame of a recording is on the best path.

    states: (frames,) 2 * index + 1 in the token of that index, 2 * index in the gap before it. losses: (frames,) log
    posterior of the state, minus that of the best token of the frame: 0 at best.
    """

    states: IntArray
    losses: Scores


def find_path(posteriors: PosteriorFile, text: TokenSequence, band: Band) -> FramePath:
    """Return the best path within a band that begins with the first token and ends with the last.

    Both may be left out. A recording needs a frame at least.
    """
    search = _Search(text, band)
    with tempfile.TemporaryFile(prefix="asrkit-path-") as pointers:
        for start in range(0, posteriors.num_frames, BLOCK_FRAMES):
            rows = posteriors.read(start, start + BLOCK_FRAMES)
            for frame, row in enumerate(rows, start):
                search.step(frame, row, pointers)
            search.rescale()
        states = _trace(pointers, text, band, search.find_end())
    losses = np.empty(len(states), np.float32)
    for start in range(0, posteriors.num_frames, BLOCK_FRAMES):
        rows = posteriors.read(start, start + BLOCK_FRAMES)
        losses[start : start + len(rows)] = _losses(rows, text, states[start : start + len(rows)])
    return FramePath(states, losses)


def _losses(rows: Scores, text: TokenSequence, states: IntArray) -> Scores:
    is_token, index = states % 2 == 1, states // 2
    columns = np.where(is_token, text.columns[np.minimum(index, len(text) - 1)], _GAP_COLUMNS[text.gaps[index]])
    return rows[np.arange(len(rows)), columns] - rows[:, BEST]


class _Search:
    """Scores of the tokens, (1 + tokens,) behind a guard, and of the gaps, (tokens + 1,); -inf outside the band."""

    def __init__(self, text: TokenSequence, band: Band) -> None:
        self._text, self._band = text, band
        self._tokens = np.full(len(text) + 1, _NEVER)
        self._gaps = np.full(len(text) + 1, _NEVER)
        repeats = np.zeros(len(text), np.float32)
        repeats[1:][text.columns[1:] == text.columns[:-1]] = _NEVER
        self._repeats = repeats  # equal tokens need a blank between them
        self._word_gaps = np.flatnonzero(text.gaps != INSIDE)
        self._missing_costs = (MISSING_COST * self._word_gaps).astype(np.float32)
        started = self._word_gaps[self._word_gaps <= band.high[0]]
        self._gaps[started] = -self._passage_costs(0, started)
        self._low = 0

    def _passage_costs(self, first: IntArray | int, last: IntArray | int) -> Scores:
        """Return what it costs to leave out the tokens from a gap to another; nothing for none."""
        num_missing = np.asarray(last) - np.asarray(first)
        return ((num_missing > 0) * PASSAGE_COST + num_missing * MISSING_COST).astype(np.float32)

    def step(self, frame: int, row: Scores, pointers: IO[bytes]) -> None:
        """Take the posteriors of the next frame, and write the pointers of its tokens, then of its gaps."""
        low, high = int(self._band.low[frame]), int(self._band.high[frame])
        self._tokens[self._low + 1 : low + 1] = self._gaps[self._low : low] = _NEVER
        self._low = low
        stayed, gaps = self._tokens[low + 1 : high + 1], self._gaps[low : high + 1]
        before = self._tokens[low : high + 1]  # the token before each gap
        passed = before[:-1] + self._repeats[low:high]
        entered = np.maximum(gaps[:-1], passed)
        token_pointers = (entered > stayed) * np.where(passed > gaps[:-1], np.uint8(_FROM_TOKEN), np.uint8(_FROM_GAP))
        new_tokens = np.maximum(stayed, entered) + row[self._text.columns[low:high]]
        gap_pointers = (before > gaps).view(np.uint8)  # _ENTERED
        new_gaps = np.maximum(gaps, before) + row[_GAP_COLUMNS][self._text.gaps[low : high + 1]]
        self._leave_out(low, high, new_gaps, gap_pointers)
        self._tokens[low + 1 : high + 1], self._gaps[low : high + 1] = new_tokens, new_gaps
        pointers.write(token_pointers.tobytes())
        pointers.write(gap_pointers.tobytes())

    def _leave_out(self, low: int, high: int, gaps: Scores, pointers: Bytes) -> None:
        """Go from each gap between words to all later ones, where that is better; changes both arrays."""
        first, last = np.searchsorted(self._word_gaps, (low, high + 1))
        indices = self._word_gaps[first:last] - low
        costs = self._missing_costs[first:last]
        starts = gaps[indices] + costs
        best = np.maximum.accumulate(starts)
        pointers[indices[starts == best]] |= _LEADS
        reached = best[:-1] - costs[1:] - np.float32(PASSAGE_COST)
        is_better = reached > gaps[indices[1:]]
        skipped = indices[1:][is_better]
        gaps[skipped] = reached[is_better]
        pointers[skipped] |= _SKIPPED

    def rescale(self) -> None:
        """Move the scores to around 0, where 32 bits are precise."""
        best = max(self._tokens.max(), self._gaps.max())
        self._tokens -= best
        self._gaps -= best

    def find_end(self) -> int:
        """Return the state of the last frame on the best path, which the rest of the text is left out behind."""
        gaps = self._word_gaps[self._gaps[self._word_gaps] > _NEVER]
        rest = self._passage_costs(gaps, len(self._text))
        in_gap = self._gaps[gaps] - rest
        in_token = self._tokens[gaps] - rest
        if not len(gaps) or max(in_gap.max(), in_token.max()) == _NEVER:
            raise AssertionError("The band leaves no path.")
        if in_gap.max() >= in_token.max():
            return 2 * int(gaps[in_gap.argmax()])
        return 2 * int(gaps[in_token.argmax()]) - 1


def _trace(pointers: IO[bytes], text: TokenSequence, band: Band, state: int) -> IntArray:
    """Return the states of all frames by the pointers that lead to the last."""
    states = np.empty(len(band.low), np.int64)
    position = pointers.tell()
    for stop in range(len(states), 0, -BLOCK_FRAMES):
        start = max(0, stop - BLOCK_FRAMES)
        widths = 2 * (band.high[start:stop] - band.low[start:stop]) + 1
        position -= int(widths.sum())
        pointers.seek(position)
        block = np.frombuffer(pointers.read(int(widths.sum())), np.uint8)
        offset = len(block)
        for frame in range(stop - 1, start - 1, -1):
            offset -= int(widths[frame - start])
            low, high = int(band.low[frame]), int(band.high[frame])
            states[frame], state = _step_back(block[offset:], state, low, high - low, text.gaps)
    return states


def _step_back(pointers: Bytes, state: int, low: int, num_tokens: int, kinds: Bytes) -> tuple[int, int]:
    """Return the state of a frame, and that of the frame before.

    state: where the path is once words were left out behind the frame. pointers: of the frame, tokens then gaps.
    """
    index = state // 2
    if state % 2:
        return state, state - int(pointers[index - low])
    gaps = pointers[num_tokens:]
    if gaps[index - low] & _SKIPPED:
        index -= 1
        while not (kinds[index] != INSIDE and gaps[index - low] & _LEADS):
            index -= 1
        state = 2 * index
    # From a gap: stay, or leave the token before it.
    return state, state - int(gaps[index - low] & _ENTERED)
