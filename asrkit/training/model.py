"""Base checkpoint + vocabulary -> processor + CTC model, in float32, with the class defaults that hurt overridden."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoFeatureExtractor,
    AutoModelForCTC,
    PreTrainedModel,
    Wav2Vec2BertProcessor,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2Processor,
)

from asrkit.config import TrainConfig
from asrkit.decoding import ctc
from asrkit.errors import ModelError, first_line
from asrkit.models import memory_format, processors, vocabularies

if TYPE_CHECKING:

    class CtcModel(PreTrainedModel):
        """Static type of a transformers CTC model; these classes have no common base that declares these members."""

        config: Any
        base_model: Any
        accepts_loss_kwargs: bool
        lm_head: torch.nn.Linear

        def _get_feat_extract_output_lengths(self, lengths: torch.Tensor) -> torch.Tensor: ...

        def _get_adapters(self) -> dict[str, torch.nn.Parameter]: ...

        def freeze_feature_encoder(self) -> None: ...


ADAPTER_WIDTH = 16
"""Bottleneck of the adapters that are added to a model without any; the size that MMS uses (Pratap et al. 2023)."""


def load(base: str, config: TrainConfig, texts: Sequence[str]) -> tuple[Any, CtcModel]:
    """Return (processor, model) to fine-tune `base` (a directory or Hub id) on normalised `texts`.

    A CTC-tuned base keeps its output rows for the characters it knows. ModelError if `base` cannot be loaded, or if it
    lacks a character of `texts` and the vocabulary must not grow.
    """
    if config.vocabulary == "fresh" or _load_tokenizer(base) is None:
        vocabulary = ctc.build_vocabulary(texts)
        processor = _make_processor(base, vocabulary)
        model = _load_model(
            base,
            config,
            vocab_size=len(vocabulary),
            pad_token_id=processor.tokenizer.pad_token_id,
            ignore_mismatched_sizes=True,
        )
    else:
        processor, model = _load_tuned(base, config, texts)
    return processor, _prepare_for_training(model, config)


def reload(checkpoint: Path, config: TrainConfig) -> tuple[Any, CtcModel]:
    """Return (processor, model) of one of the run's checkpoints, to resume from."""
    model = _load_model(str(checkpoint), config)
    return processors.load_processor(checkpoint), _prepare_for_training(model, config)


def _prepare_for_training(model: CtcModel, config: TrainConfig) -> CtcModel:
    """Apply gradient checkpointing, freezing and memory format to a new or a resumed model."""
    if config.gradient_checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
    freeze(model, config.freeze)
    if not torch.accelerator.is_available():
        memory_format.use_channels_last(model)
    return model


def _load_tuned(base: str, config: TrainConfig, texts: Sequence[str]) -> tuple[Any, CtcModel]:
    """Load a CTC checkpoint with its own head, with rows added for new characters where the vocabulary may grow."""
    processor = processors.load_processor(base)
    nested = getattr(processor.tokenizer, "vocab", {})
    if vocabularies.is_nested(nested):  # MMS: an adapter and a head for each language
        letters = vocabularies.select_language(nested, config.adapter_language, base)
        processor = _make_processor(base, letters, like=processor.tokenizer)
        model = _load_model(base, config, target_lang=config.adapter_language, ignore_mismatched_sizes=True)
    else:
        model = _load_model(base, config)
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
            _add_output_rows(model, max(vocabulary.values()) + 1)
        vocabulary = {token: number for token, number in vocabulary.items() if number < rows or token in added}
        processor = _make_processor(base, vocabulary, like=processor.tokenizer)
    return processor, model


def _load_tokenizer(base: str) -> Any | None:
    """Return the base model's CTC tokenizer, or None if it was never fine-tuned for CTC."""
    settings = _load_config(base)
    if not any("CTC" in name for name in settings.architectures or []):
        return None
    try:
        return processors.load_processor(base).tokenizer
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise ModelError(
            f"The base model {base} has an output layer but its tokenizer cannot be loaded "
            f"({first_line(error).rstrip('.')}); set Vocabulary to fresh."
        ) from error


def _load_config(base: str) -> Any:
    try:
        return AutoConfig.from_pretrained(base)
    except (OSError, ValueError) as error:
        raise ModelError(f"The base model {base} cannot be loaded: {first_line(error).rstrip('.')}.") from error


def _make_processor(base: str, vocabulary: dict[str, int], like: Any = None) -> Any:
    """Make a processor with this vocabulary and the base's feature extractor.

    like: a tokenizer whose names for the special tokens are kept.
    """
    pad, unknown, delimiter = ctc.BLANK, ctc.UNKNOWN, ctc.DELIMITER
    if like is not None:
        pad, unknown, delimiter = like.pad_token, like.unk_token, like.word_delimiter_token
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "vocab.json")
        path.write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
        # transformers takes `pad_token` as the blank. CTC has no begin and end tokens.
        tokenizer = Wav2Vec2CTCTokenizer(
            str(path), pad_token=pad, unk_token=unknown, word_delimiter_token=delimiter, bos_token=None, eos_token=None
        )
    try:
        extractor = AutoFeatureExtractor.from_pretrained(base)
    except (OSError, ValueError) as error:
        raise ModelError(
            f"The base model {base} has no usable preprocessor_config.json "
            f"({first_line(error).rstrip('.')}); copy all files of the model."
        ) from error
    kind = Wav2Vec2BertProcessor if "input_features" in extractor.model_input_names else Wav2Vec2Processor
    return kind(extractor, tokenizer)


def _load_model(base: str, config: TrainConfig, **changes: Any) -> CtcModel:
    """Load the CTC model of `base` in float32 with the dropouts and masks of `config`; `changes` go into its config."""
    settings = _load_config(base)
    overrides: dict[str, Any] = {
        "ctc_loss_reduction": "mean",
        "ctc_zero_infinity": True,
        "layerdrop": config.layerdrop,
        # One setting for all dropouts but the attention's, so that a 0 in the form switches all of them off.
        **dict.fromkeys(
            ("hidden_dropout", "activation_dropout", "feat_proj_dropout", "final_dropout"), config.hidden_dropout
        ),
        "attention_dropout": config.attention_dropout,
        "mask_time_prob": config.mask_time_prob,
        "mask_time_length": config.mask_time_length,
        # The class default, at least two masks per clip, would hide most of a short clip.
        "mask_time_min_masks": 0,
        **changes,
    }
    loading = {name: overrides.pop(name) for name in ("ignore_mismatched_sizes", "target_lang") if name in overrides}
    if config.freeze == "all-but-adapters" and getattr(settings, "adapter_attn_dim", None) is None:
        if settings.model_type != "wav2vec2" or not settings.do_stable_layer_norm:
            raise ModelError(
                f"The base model {base} does not support adapters (only wav2vec2 models with layer norm, "
                "such as XLS-R and MMS, do); choose another Freeze."
            )
        overrides["adapter_attn_dim"] = ADAPTER_WIDTH
    for name, value in overrides.items():
        setattr(settings, name, value)
    try:
        model = AutoModelForCTC.from_pretrained(base, config=settings, dtype=torch.float32, **loading)
        return cast("CtcModel", model)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"The base model {base} cannot be loaded for CTC: {first_line(error).rstrip('.')}.") from error


def _add_output_rows(model: CtcModel, size: int) -> None:
    """Add output rows for new characters: known rows stay, new ones start at their mean plus small noise."""
    old = model.lm_head
    new = torch.nn.Linear(old.in_features, size)
    with torch.no_grad():
        new.weight.copy_(old.weight.mean(0) + 0.02 * torch.randn_like(new.weight))
        # Two nats below the mean: likely enough to be learned, too unlikely to disturb the known characters.
        new.bias.fill_(float(old.bias.mean()) - 2.0)
        new.weight[: old.out_features], new.bias[: old.out_features] = old.weight, old.bias
    model.lm_head, model.config.vocab_size = new, size


def freeze(model: CtcModel, part: str) -> None:
    """Freeze `nothing`, the `feature-encoder`, `all-but-adapters` or `all-but-head`; train the rest."""
    for parameter in model.parameters():
        parameter.requires_grad = not part.startswith("all-but-")
    if part == "all-but-adapters":
        for parameter in model._get_adapters().values():
            parameter.requires_grad = True
    for parameter in model.lm_head.parameters():
        parameter.requires_grad = True
    if part != "nothing" and hasattr(model, "freeze_feature_encoder"):
        model.freeze_feature_encoder()  # also saves the backward pass through it


def count_frames(model: CtcModel, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Return the true output frames of each clip of a batch, (clips,); without a mask, those of the longest clip."""
    features = batch["input_values"] if "input_values" in batch else batch["input_features"]
    mask = batch.get("attention_mask")
    lengths = mask.sum(-1) if mask is not None else torch.full((len(features),), features.shape[1])
    return model._get_feat_extract_output_lengths(lengths).to(torch.long)
