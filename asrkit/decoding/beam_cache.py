"""Beam searches for a text or a KenLM file, made once for each model."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from asrkit.data import access
from asrkit.decoding import common_words
from asrkit.decoding.beam import LETTER_BONUS, BeamSearch
from asrkit.decoding.kenlm_model import KenLM
from asrkit.decoding.ngram import LanguageModel, WordModel
from asrkit.decoding.protocols import AcousticModel
from asrkit.errors import ConfigError
from asrkit.text.normalisers import normalise
from asrkit.text.scripts import tokenize_mixed

MAX_DECODERS = 4
"""Decoders that are kept. Those with the same language model share it: a file's may take gigabytes."""

_cached: dict[tuple[int, str], BeamSearch] = {}
"""(id of the processor, name of the language model) -> decoder, least recently used first. A decoder references its
processor, so the id stays unique."""
_lock = threading.Lock()


def load_from_file(model: AcousticModel, path: str, extra_words: Sequence[str] = ()) -> BeamSearch:
    """Return the decoder for a model, a KenLM file and further known words.

    Raises ConfigError for a path that is no file and as `KenLM` does, DataError for a file that may not be read here.
    """
    file = Path(os.path.expanduser(path))  # unlike Path.expanduser, this leaves an unknown user as it is
    access.check(file)
    if not os.path.isfile(file):  # unlike Path.is_file, False for a path that is too long
        raise ConfigError(f"There is no language model {path}; give the path of an .arpa or KenLM binary file.")
    return _get(model, f"{file.absolute()} {file.stat().st_mtime}", lambda: KenLM(file), extra_words)


def build_from_text(model: AcousticModel, text: str, extra_words: Sequence[str] = ()) -> BeamSearch | None:
    """Return the decoder for a model, a text with one sentence a line, and further known words.

    None for an empty text. Raises ConfigError and DataError as `BeamSearch` and `LanguageModel` do.
    """
    lines = [" ".join(tokenize_mixed(normalise(line, "basic"))) for line in text.splitlines()]
    sentences = [line for line in lines if line]
    if not sentences:
        return None
    digest = hashlib.sha256("\n".join(sentences).encode()).hexdigest()
    return _get(model, digest, lambda: LanguageModel(sentences), extra_words)


def load_common_words(model: AcousticModel, language: str) -> BeamSearch:
    """Return the decoder for a model and the common words of a language of `common_words.NAMES`."""
    name = f"common words {language}"
    return _get(model, name, lambda: common_words.load(language), (), common_words.LETTER_BONUS)


def _get(
    model: AcousticModel,
    name: str,
    load_language_model: Callable[[], WordModel],
    extra_words: Sequence[str],
    letter_bonus: float = LETTER_BONUS,
) -> BeamSearch:
    key = (id(model.processor), name)
    with _lock:
        decoder = _cached.pop(key, None)
        if decoder is None:
            shared = next((other.model for (_, other_name), other in _cached.items() if other_name == name), None)
            words = [normalise(word, "basic") for word in extra_words]
            decoder = BeamSearch(model.processor, model.blank_id, shared or load_language_model(), words, letter_bonus)
        _cached[key] = decoder
        while len(_cached) > MAX_DECODERS:
            del _cached[next(iter(_cached))]
        return decoder
