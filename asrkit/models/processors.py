"""The processor of a checkpoint. Imports transformers when called."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def load_processor(checkpoint: str | Path) -> Any:
    """The processor of a checkpoint: feature extractor and tokenizer, or the former alone where there is no more.

    One that was published with a language model is taken without it: transformers needs pyctcdecode for that, and what
    comes out would no longer be what the model hears. Raises what transformers does.
    """
    from transformers import (
        AutoFeatureExtractor,
        AutoProcessor,
        AutoTokenizer,
        Wav2Vec2BertProcessor,
        Wav2Vec2Processor,
    )

    try:
        loaded = AutoProcessor.from_pretrained(checkpoint)
    except ImportError:
        loaded = None
    if loaded is not None and not type(loaded).__name__.endswith("WithLM"):
        return loaded
    extractor = AutoFeatureExtractor.from_pretrained(checkpoint)
    kind = Wav2Vec2BertProcessor if "input_features" in extractor.model_input_names else Wav2Vec2Processor
    return kind(extractor, AutoTokenizer.from_pretrained(checkpoint))
