"""Formats of words alone: plain text, JSON and tab-separated values."""

from __future__ import annotations

import json

from asrkit.decoding.transcript import Transcript
from asrkit.files import disarm_formula


def to_txt(transcript: Transcript) -> str:
    """Return the text on one line."""
    return f"{transcript.text}\n"


def to_json(transcript: Transcript) -> str:
    """Return `Transcript.to_dict` as indented JSON."""
    return json.dumps(transcript.to_dict(), ensure_ascii=False, indent=2) + "\n"


def to_tsv(transcript: Transcript) -> str:
    """Return one word a line: start and end in milliseconds, the word, its confidence.

    People open it as a table: no word is a formula, and none has a tab or line break, which would begin another cell.
    """
    rows = (
        f"{round(word.start_s * 1000)}\t{round(word.end_s * 1000)}\t{disarm_formula(' '.join(word.word.split()))}\t"
        f"{word.confidence:.4f}\n"
        for word in transcript.words
    )
    return "".join(["start\tend\tword\tconfidence\n", *rows])
