"""Base checkpoint + vocabulary -> processor + CTC model, in float32, with the class defaults that hurt overridden."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoFeatureExtractor,
    AutoModelForCTC,
    Wav2Vec2BertProcessor,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2Processor,
)

from asrkit.config import TrainConfig
from asrkit.decoding import ctc
from asrkit.errors import ModelError, first_line
from asrkit.models import memory_format, processors, vocabularies

BLANK, UNKNOWN, WORD = "<pad>", "<unk>", "|"
ADAPTER_WIDTH = 16
"""Of the adapters that a model without any gets, as MMS has them (Pratap et al. 2023)."""


def load(base: str, config: TrainConfig, texts: Sequence[str]) -> tuple[Any, torch.nn.Module]:
    """(processor, model) to fine-tune `base` (a directory or Hub id) on normalised `texts`.

    A CTC-tuned base keeps its output rows for the characters it knows. ModelError where `base` cannot be loaded or does
    not know a character and the vocabulary is to be kept.
    """
    if config.vocabulary == "fresh" or _tokenizer(base) is None:
        vocabulary = ctc.build_vocabulary(texts)
        processor = _processor(base, vocabulary)
        model = _pretrained(
            base,
            config,
            vocab_size=len(vocabulary),
            pad_token_id=processor.tokenizer.pad_token_id,
            ignore_mismatched_sizes=True,
        )
    else:
        processor, model = _warm(base, config, texts)
    return processor, _set_up(model, config)


def reload(checkpoint: Path, config: TrainConfig) -> tuple[Any, torch.nn.Module]:
    """(processor, model) of a run's own checkpoint, to go on with."""
    return processors.load_processor(checkpoint), _set_up(_pretrained(str(checkpoint), config), config)


def _set_up(model: torch.nn.Module, config: TrainConfig) -> torch.nn.Module:
    """What a loaded model needs before it is trained, the first time or again."""
    if config.gradient_checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
    freeze(model, config.freeze)
    return model if torch.accelerator.is_available() else memory_format.straighten(model)


def _warm(base: str, config: TrainConfig, texts: Sequence[str]) -> tuple[Any, torch.nn.Module]:
    """From a CTC checkpoint: its own head, with rows added for new characters where the vocabulary may grow."""
    processor = processors.load_processor(base)
    nested = getattr(processor.tokenizer, "vocab", {})
    if vocabularies.is_nested(nested):  # MMS: an adapter and a head for each language
        letters = vocabularies.language_vocabulary(nested, config.adapter_language, base)
        processor = _processor(base, letters, like=processor.tokenizer)
        model = _pretrained(base, config, target_lang=config.adapter_language, ignore_mismatched_sizes=True)
    else:
        model = _pretrained(base, config)
    known = ctc.lowercase_vocabulary(processor.tokenizer.get_vocab(), texts)
    vocabulary, added = ctc.merge_vocabulary(known, texts)
    if added and config.vocabulary == "keep":
        raise ModelError(
            f"{config.model} does not know {', '.join(map(repr, added))}; set Vocabulary to extend, "
            "or choose a normaliser that removes them."
        )
    if added or known != processor.tokenizer.get_vocab():
        rows = model.lm_head.out_features
        if added:
            _grow(model, max(vocabulary.values()) + 1)
        vocabulary = {token: number for token, number in vocabulary.items() if number < rows or token in added}
        processor = _processor(base, vocabulary, like=processor.tokenizer)
    return processor, model


def _tokenizer(base: str) -> Any | None:
    """The base model's CTC tokenizer, or None where it was never tuned for CTC."""
    settings = _settings(base)
    if not any("CTC" in name for name in settings.architectures or []):
        return None
    try:
        return processors.load_processor(base).tokenizer
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise ModelError(
            f"The base model {base} has an output layer but its tokenizer cannot be loaded "
            f"({first_line(error).rstrip('.')}); set Vocabulary to fresh."
        ) from error


def _settings(base: str) -> Any:
    try:
        return AutoConfig.from_pretrained(base)
    except (OSError, ValueError) as error:
        raise ModelError(f"The base model {base} cannot be loaded: {first_line(error).rstrip('.')}.") from error


def _processor(base: str, vocabulary: dict[str, int], like: Any = None) -> Any:
    """A processor with this vocabulary and the base's feature extractor; special tokens have their names in `like`."""
    pad, unknown, delimiter = BLANK, UNKNOWN, WORD
    if like is not None:
        pad, unknown, delimiter = like.pad_token, like.unk_token, like.word_delimiter_token
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "vocab.json")
        path.write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
        # The blank is `pad_token`: Hugging Face keeps it there. No sentence marks: CTC has none.
        tokenizer = Wav2Vec2CTCTokenizer(
            str(path), pad_token=pad, unk_token=unknown, word_delimiter_token=delimiter, bos_token=None, eos_token=None
        )
    try:
        extractor = AutoFeatureExtractor.from_pretrained(base)
    except (OSError, ValueError) as error:
        raise ModelError(
            f"The base model {base} has no usable preprocessor_config.json "
            f"({first_line(error).rstrip('.')}); copy all of it."
        ) from error
    kind = Wav2Vec2BertProcessor if "input_features" in extractor.model_input_names else Wav2Vec2Processor
    return kind(extractor, tokenizer)


def _pretrained(base: str, config: TrainConfig, **changes: Any) -> torch.nn.Module:
    settings = _settings(base)
    wanted = {
        "ctc_loss_reduction": "mean",
        "ctc_zero_infinity": True,
        "layerdrop": config.layerdrop,
        # One dropout for everything but the attention: what the form shows as 0 is 0.
        **dict.fromkeys(
            ("hidden_dropout", "activation_dropout", "feat_proj_dropout", "final_dropout"), config.hidden_dropout
        ),
        "attention_dropout": config.attention_dropout,
        "mask_time_prob": config.mask_time_prob,
        "mask_time_length": config.mask_time_length,
        # At least two masks a clip, the class default, would hide most of a short one.
        "mask_time_min_masks": 0,
        **changes,
    }
    loading = {name: wanted.pop(name) for name in ("ignore_mismatched_sizes", "target_lang") if name in wanted}
    if config.freeze == "all-but-adapters" and getattr(settings, "adapter_attn_dim", None) is None:
        if settings.model_type != "wav2vec2" or not settings.do_stable_layer_norm:
            raise ModelError(
                f"The base model {base} has no place for adapters (only wav2vec2 models with layer norm, "
                "such as XLS-R and MMS, do); choose another Freeze."
            )
        wanted["adapter_attn_dim"] = ADAPTER_WIDTH
    for name, value in wanted.items():
        setattr(settings, name, value)
    try:
        return AutoModelForCTC.from_pretrained(base, config=settings, dtype=torch.float32, **loading)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"The base model {base} cannot be loaded for CTC: {first_line(error).rstrip('.')}.") from error


def _grow(model: torch.nn.Module, size: int) -> None:
    """Add output rows for new characters: known rows stay, new ones start at the mean of the known with small noise."""
    old = model.lm_head
    new = torch.nn.Linear(old.in_features, size)
    with torch.no_grad():
        new.weight.copy_(old.weight.mean(0) + 0.02 * torch.randn_like(new.weight))
        # Likely enough to be learned, unlikely enough not to disturb: two nats below the mean.
        new.bias.fill_(float(old.bias.mean()) - 2.0)
        new.weight[: old.out_features], new.bias[: old.out_features] = old.weight, old.bias
    model.lm_head, model.config.vocab_size = new, size


def freeze(model: torch.nn.Module, what: str) -> None:
    """Decide what is trained: `nothing`, `feature-encoder`, `all-but-adapters` or `all-but-head` is held fixed."""
    for parameter in model.parameters():
        parameter.requires_grad = not what.startswith("all-but-")
    if what == "all-but-adapters":
        for parameter in model._get_adapters().values():
            parameter.requires_grad = True
    for parameter in model.lm_head.parameters():
        parameter.requires_grad = True
    if what != "nothing" and hasattr(model, "freeze_feature_encoder"):
        model.freeze_feature_encoder()  # which also spares the backward pass through it


def frame_counts(model: torch.nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """(clips,) true output frames of each clip of a batch; all of them where there is no mask."""
    features = batch.get("input_values", batch.get("input_features"))
    mask = batch.get("attention_mask")
    lengths = mask.sum(-1) if mask is not None else torch.full((len(features),), features.shape[1])
    return model._get_feat_extract_output_lengths(lengths).to(torch.long)
