"""Loading of the decoder that a checkpoint was trained for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from asrkit.decoding import common_words
from asrkit.decoding.greedy import GreedyDecoder
from asrkit.decoding.lexicon import WORD_LIST_FILE, LexiconDecoder
from asrkit.decoding.protocols import Decoder


def load_decoder(checkpoint: str, processor: Any, blank_id: int, settings: Mapping[str, Any] | None = None) -> Decoder:
    """Return the lexicon decoder of a checkpoint with a word list beside its weights, else the greedy decoder.

    settings: its config.json, which names the language whose common words it prefers.
    """
    try:
        words = (Path(checkpoint) / WORD_LIST_FILE).read_text(encoding="utf-8").split()
    except (FileNotFoundError, NotADirectoryError):
        return GreedyDecoder(processor, blank_id, common_words.find_language(settings))
    return LexiconDecoder.from_processor(words, processor, blank_id)
