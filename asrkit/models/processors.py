"""Processors of checkpoints. transformers is imported on the first call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from asrkit.decoding.tokens import find_delimiter


def load_processor(checkpoint: str | Path) -> Any:
    """Return the processor of a checkpoint: feature extractor and tokenizer, or the former alone where it has no more.

    A language model in the processor is left out: transformers needs pyctcdecode for it, and its output would no longer
    be that of the acoustic model. Raises what transformers does.
    """
    from transformers import AutoFeatureExtractor, AutoProcessor, AutoTokenizer

    try:
        processor = AutoProcessor.from_pretrained(checkpoint)
    except ImportError:
        processor = None
    if processor is None or type(processor).__name__.endswith("WithLM"):
        extractor = AutoFeatureExtractor.from_pretrained(checkpoint)
        processor = make_processor(extractor, AutoTokenizer.from_pretrained(checkpoint))
    if (tokenizer := getattr(processor, "tokenizer", None)) is not None:
        repair_delimiter(tokenizer)
    return processor


def make_processor(extractor: Any, tokenizer: Any) -> Any:
    """Return a processor of these parts, of a class that loads any such parts again."""
    from transformers import Wav2Vec2BertProcessor, Wav2Vec2Processor

    kind = Wav2Vec2BertProcessor if "input_features" in extractor.model_input_names else Wav2Vec2Processor
    return kind(extractor, tokenizer)


def repair_delimiter(tokenizer: Any) -> None:
    """Set the word delimiter of a tokenizer of characters to the token that it has.

    transformers saves a space as word delimiter, but loads it as "|", which then is the unknown token.
    """
    vocabulary = getattr(tokenizer, "encoder", None)
    if vocabulary is None or getattr(tokenizer, "word_delimiter_token", None) in vocabulary:
        return
    if (delimiter := find_delimiter(vocabulary)) is not None:
        tokenizer.word_delimiter_token = delimiter  # which is what is saved
        tokenizer._word_delimiter_token = delimiter  # which is what is used
