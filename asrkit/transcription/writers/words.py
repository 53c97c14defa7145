"""Formats of words alone: plain text, JSON and tab-separated values."""

from __future__ import annotations

import json

from asrkit.decoding.transcript import Transcript


def to_txt(transcript: Transcript) -> str:
    """Return the text on one line."""
    return f"{transcript.text}\n"


def to_json(transcript: Transcript) -> str:
    """Return `Transcript.to_dict` as indented JSON."""
    return json.dumps(transcript.to_dict(), ensure_ascii=False, indent=2) + "\n"


def to_tsv(transcript: Transcript) -> str:
    """Return one word a line: start and end in milliseconds, the word, its confidence."""
    rows = (
        f"{round(word.start_s * 1000)}\t{round(word.end_s * 1000)}\t{word.word}\t{word.confidence:.4f}\n"
        for word in transcript.words
    )
    return "".join(["start\tend\tword\tconfidence\n", *rows])
