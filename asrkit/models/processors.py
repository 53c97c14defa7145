"""Processors of checkpoints. transformers is imported on the first call."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def load_processor(checkpoint: str | Path) -> Any:
    """Return the processor of a checkpoint: feature extractor and tokenizer, or the former alone where it has no more.

    A language model in the processor is left out: transformers needs pyctcdecode for it, and its output would no longer
    be that of the acoustic model. Raises what transformers does.
    """
    from transformers import (
        AutoFeatureExtractor,
        AutoProcessor,
        AutoTokenizer,
        Wav2Vec2BertProcessor,
        Wav2Vec2Processor,
    )

    try:
        processor = AutoProcessor.from_pretrained(checkpoint)
    except ImportError:
        processor = None
    if processor is not None and not type(processor).__name__.endswith("WithLM"):
        return processor
    extractor = AutoFeatureExtractor.from_pretrained(checkpoint)
    processor_class = Wav2Vec2BertProcessor if "input_features" in extractor.model_input_names else Wav2Vec2Processor
    return processor_class(extractor, AutoTokenizer.from_pretrained(checkpoint))
