"""Loading of the decoder that a checkpoint was trained for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from asrkit.decoding import common_words
from asrkit.decoding.greedy import GreedyDecoder
from asrkit.decoding.lexicon import WORD_LIST_FILE, LexiconDecoder
from asrkit.decoding.protocols import Decoder


def load_decoder(checkpoint: str, processor: Any, blank_id: int) -> Decoder:
    """Return the lexicon decoder of a checkpoint with a word list beside its weights, else the greedy decoder."""
    try:
        words = (Path(checkpoint) / WORD_LIST_FILE).read_text(encoding="utf-8").split()
    except (FileNotFoundError, NotADirectoryError):
        return GreedyDecoder(processor, blank_id, common_words.find_language(checkpoint))
    return LexiconDecoder.from_processor(words, processor, blank_id)
