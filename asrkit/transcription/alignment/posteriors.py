"""Log posteriors of a long recording, in a temporary file: memory does not grow with the recording."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from typing import Self

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating]
BLANK, BETWEEN_WORDS, UNSPELLED, BEST = -4, -3, -2, -1
"""Columns behind those of the tokens. BEST: the likeliest token of each frame."""
EXTRA_COST, UNSPELLED_COST = 3.0, 2.0
"""Nats for each frame of speech that the text leaves out, and of words that the model has no tokens for. The loss of a
frame in which a letter is spoken that the text has is 1 with a weak model, and 2 with one of another language."""
PAUSE_COST = 8.0
"""Nats for a pause of the recording within a word."""
MIN_LOG_PROBABILITY = -50.0
"""Keeps a probability of 0 finite in 16 bits."""


class PosteriorFile:
    """(frames, columns) float16 log posteriors: a column for each token of a text, then those named above.

    Between two words is a pause, which is the blank or the delimiter; or speech that the text leaves out, where the
    likeliest token of a frame costs EXTRA_COST, and UNSPELLED_COST where the text has words without tokens.

    token_ids: of the columns. A context manager, which deletes the file.
    """

    def __init__(self, token_ids: Sequence[int], blank_id: int, delimiter_id: int | None) -> None:
        self._token_ids, self._blank_id = np.asarray(token_ids, np.intp), blank_id
        self._pause_ids = [blank_id] if delimiter_id is None else [blank_id, delimiter_id]
        self._num_columns = len(token_ids) - BLANK
        self._file = tempfile.TemporaryFile(prefix="asrkit-posteriors-")  # noqa: SIM115, open as long as the object
        self.num_frames = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def append(self, log_probabilities: FloatArray) -> None:
        """Append (frames, vocabulary) log posteriors."""
        rows = np.empty((len(log_probabilities), self._num_columns), np.float16)
        clipped = np.maximum(log_probabilities, MIN_LOG_PROBABILITY)
        rows[:, :BLANK] = clipped[:, self._token_ids]
        rows[:, BLANK] = clipped[:, self._blank_id]
        best, pause = clipped.max(axis=1), clipped[:, self._pause_ids].max(axis=1)
        rows[:, BETWEEN_WORDS] = np.maximum(pause, best - EXTRA_COST)
        rows[:, UNSPELLED] = np.maximum(pause, best - UNSPELLED_COST)
        rows[:, BEST] = best
        self._write(rows)

    def append_pause(self) -> None:
        """Append a frame that stands for a pause, in which words may begin and end, but hardly go on."""
        row = np.full(self._num_columns, -PAUSE_COST, np.float16)
        row[[BETWEEN_WORDS, UNSPELLED, BEST]] = 0.0
        self._write(row)

    def _write(self, rows: npt.NDArray[np.float16]) -> None:
        self._file.seek(0, 2)
        self._file.write(rows.tobytes())
        self.num_frames += rows.size // self._num_columns

    def read(self, start: int, stop: int) -> npt.NDArray[np.float32]:
        """Return the rows of frames `start` to before `stop`."""
        row_bytes = 2 * self._num_columns
        self._file.seek(start * row_bytes)
        data = self._file.read((stop - start) * row_bytes)
        return np.frombuffer(data, np.float16).reshape(-1, self._num_columns).astype(np.float32)
