"""The CTC blank of a checkpoint: declared, else its output for silence, else named by the vocabulary.

Hugging Face's CTC classes take `pad_token_id` for the blank. Checkpoints that were converted from elsewhere may keep
another: fairseq2 has `<s>` = 0 as blank and `<pad>` = 1, NeMo the last row. Decoded by the wrong one, such a model
outputs nonsense without a warning. A CTC model outputs blanks for silence, so a second of it shows which one it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from asrkit.audio import SAMPLING_RATE
from asrkit.decoding.tokens import Speller, forget
from asrkit.errors import ModelError
from asrkit.models import features
from asrkit.models.anatomy import HEAD_NAMES
from asrkit.models.features import InputFormat

BLANK_NAMES = frozenset({"<blank>", "<blk>", "[blank]", "<ctc_blank>", "<ctc>", "<eps>", "blank"})
"""Tokens that can be nothing else than the blank, in lower case."""
MIN_SHARE, MIN_PROBABILITY = 0.9, 0.5
"""A silence is clear where one output is the likeliest in this share of its frames, with this mean probability."""
NOISE_LEVEL = 1e-4


@dataclass(frozen=True)
class SilenceOutput:
    """The most frequent likeliest token of a model for silence, how often it is that, and its mean probability."""

    token: int
    share: float
    probability: float

    @property
    def is_clear(self) -> bool:
        return self.share >= MIN_SHARE and self.probability >= MIN_PROBABILITY


def settle(model: Any, processor: Any, name: str, chosen: int = -1) -> int:
    """Find the blank of a tuned checkpoint; have model and tokenizer agree on it, now and when they are saved.

    chosen: the blank that the user has set, -1 for none. name: of the model, for messages. Raises ModelError where the
    blank is no output of the model or is unknown.
    """
    blank_id = find(model, processor, name, chosen)
    config, tokenizer = model.config, processor.tokenizer
    config.blank_token_id = blank_id
    if getattr(tokenizer, "encoder", None) is not None and tokenizer.pad_token_id != blank_id:
        token = next((text for text, number in tokenizer.encoder.items() if number == blank_id), "")
        if not token:
            token = "<blank>"
            tokenizer.encoder[token], tokenizer.decoder[blank_id] = blank_id, token
        tokenizer.pad_token = token
        forget(tokenizer)
    if config.model_type != "omniasr_ctc":  # whose loss takes blank_token_id
        config.pad_token_id = blank_id
    return blank_id


def find(model: Any, processor: Any, name: str, chosen: int = -1) -> int:
    """Return the blank of a tuned checkpoint. Raises ModelError as `settle` does."""
    config, num_rows = model.config, _count_rows(model)
    declared = chosen if chosen >= 0 else getattr(config, "blank_token_id", None)
    if declared is not None:
        if not 0 <= declared < num_rows:
            source = "The blank (blank_id)" if chosen >= 0 else f"The blank_token_id in the config.json of {name}"
            raise ModelError(f"{source} is {declared}, but the model has the outputs 0 to {num_rows - 1}; correct it.")
        return int(declared)
    speller, pad_id = Speller.from_tokenizer(processor.tokenizer), config.pad_token_id
    silence = measure_silence(model, processor)
    if silence.is_clear and silence.token not in speller.texts and silence.token != speller.delimiter_id:
        return silence.token
    named = [number for text, number in speller.vocabulary.items() if text.lower() in BLANK_NAMES and number < num_rows]
    if len(named) == 1:
        return named[0]
    is_valid = isinstance(pad_id, int) and 0 <= pad_id < num_rows
    is_agreed = pad_id == processor.tokenizer.pad_token_id and not _is_fairseq_order(speller, pad_id)
    if is_valid and is_agreed and not named:
        return int(pad_id)
    raise ModelError(
        f"The CTC blank of the model {name} cannot be determined: pad_token_id is {pad_id} in its config.json and "
        f"{processor.tokenizer.pad_token_id} in its tokenizer, and in silence it does not clearly output one token; "
        "set blank_id (for transcription: blank_token_id in its config.json) to the output that is its blank."
    )


def measure_silence(model: Any, processor: Any) -> SilenceOutput:
    """Run a second of digital silence and one of faint noise."""
    import torch

    noise = NOISE_LEVEL * np.random.default_rng(0).standard_normal(SAMPLING_RATE)
    clips = [np.zeros(SAMPLING_RATE, np.float32), noise.astype(np.float32)]
    extractor, was_training = processor.feature_extractor, model.training
    batch = features.pad(InputFormat.of(extractor), [features.extract(extractor, clip) for clip in clips])
    parameter = next(model.parameters())
    inputs = {
        key: value.to(parameter.device, parameter.dtype if value.is_floating_point() else None)
        for key, value in batch.items()
    }
    with torch.inference_mode():
        probabilities = model.eval()(**inputs).logits.float().softmax(-1).flatten(0, 1)
    model.train(was_training)
    best = probabilities.argmax(-1)
    token = int(best.mode().values)
    return SilenceOutput(token, float((best == token).float().mean()), float(probabilities[:, token].mean()))


def _count_rows(model: Any) -> int:
    head = next((getattr(model, name) for name in HEAD_NAMES if hasattr(model, name)), None)
    return int(model.config.vocab_size if head is None else head.weight.shape[0])


def _is_fairseq_order(speller: Speller, pad_id: int) -> bool:
    """Whether `<s>` is token 0 and `<pad>` is not: the order of fairseq, whose blank is `<s>`."""
    return speller.vocabulary.get("<s>") == 0 and pad_id != 0
