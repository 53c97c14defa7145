"""Base checkpoint + vocabulary -> processor + CTC model, in float32, with the class defaults that hurt overridden."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from transformers import PreTrainedModel

from asrkit.config import TrainConfig
from asrkit.decoding import common_words, ctc, lexicon
from asrkit.decoding.tokens import Speller, make_splitter
from asrkit.errors import ModelError, first_line
from asrkit.models import anatomy, blanks, checkpoints, memory_format, processors, vocabularies, weights
from asrkit.models.anatomy import Anatomy, encoder_settings
from asrkit.text.graphemes import choose_graphemes
from asrkit.training import compilation, lora, pieces
from asrkit.training.arguments import find_device_type
from asrkit.training.head import add_output_rows

if TYPE_CHECKING:

    class CtcModel(PreTrainedModel):
        """Static type of a transformers CTC model; these classes have no common base that declares these members."""

        config: Any
        base_model: Any
        accepts_loss_kwargs: bool

        def _get_adapters(self) -> dict[str, torch.nn.Parameter]: ...

        def freeze_feature_encoder(self) -> None: ...


ADAPTER_WIDTH = 16
"""Bottleneck of the adapters that are added to a model without any; the size that MMS uses (Pratap et al. 2023)."""


def load(base: str, config: TrainConfig, texts: Iterable[str]) -> tuple[Any, CtcModel]:
    """Return (processor, model) to fine-tune `base` (a directory or Hub id) on normalised `texts`.

    The texts are iterated over several times. A CTC-tuned base keeps its output rows for the characters it knows.
    ModelError if `base` cannot be loaded, if it lacks a character of `texts` and the vocabulary must not grow, or if
    its blank is unknown.
    """
    if config.vocabulary == "fresh" or _load_tokenizer(base) is None:
        vocabulary = ctc.build_vocabulary(texts, choose_graphemes(config.graphemes, texts, config.text_rules))
        processor, blank_id = _make_processor(base, vocabulary), vocabulary[ctc.BLANK]
        changes = {"vocab_size": len(vocabulary), "pad_token_id": blank_id, "blank_token_id": blank_id}
        model = _load_model(base, config, **changes, ignore_mismatched_sizes=True)
    else:
        processor, model = _load_tuned(base, config, texts)
    base_language = common_words.find_language(checkpoints.read_config(Path(base)))
    if base_language:
        setattr(model.config, common_words.KEY, common_words.choose_language(base_language, config.language))
    parts = anatomy.of(model, processor, base)
    _check_labels(parts, processor, texts, base)
    return processor, _prepare_for_training(model, parts, config)


def reload(checkpoint: Path, config: TrainConfig) -> tuple[Any, CtcModel]:
    """Return (processor, model) of one of the run's checkpoints, to resume from."""
    model, processor = _load_model(str(checkpoint), config), processors.load_processor(checkpoint)
    blanks.settle(model, processor, str(checkpoint), config.blank_id)
    model = _prepare_for_training(model, anatomy.of(model, processor, str(checkpoint)), config)
    if config.freeze == "lora":
        lora.restore(model, checkpoint)
    return processor, model


def _check_labels(parts: Anatomy, processor: Any, texts: Iterable[str], base: str) -> None:
    """Raise ModelError unless every label of the texts has an output row."""
    speller = Speller.from_tokenizer(processor.tokenizer)
    rows = set(range(parts.head.num_rows)) - {parts.blank_id}
    with_space = next((text for text in texts if " " in text), "")
    for text in [*lexicon.collect_words(texts), with_space]:
        if any(label not in rows for label in speller.encode(text)):
            raise ModelError(
                f"The base model {base} has no output for a character of {text[:40]!r}; set Vocabulary to auto, or "
                "choose a normaliser that removes it."
            )


def _prepare_for_training(model: CtcModel, parts: Anatomy, config: TrainConfig) -> CtcModel:
    """Apply gradient checkpointing, freezing and memory format to a new or a resumed model."""
    if config.mask_time_prob and not parts.masks_time:
        raise ModelError(
            f"Models of the type {parts.model_type} have no time masking; set Time masking (mask_time_prob) to 0."
        )
    if config.gradient_checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
    if config.freeze == "lora":
        if not parts.lora_targets:
            raise ModelError(f"Models of the type {parts.model_type} have no layers for LoRA; choose another Freeze.")
        lora.add(model, parts, rank=config.lora_rank, alpha=config.lora_alpha)
    freeze(model, parts, config.freeze)
    device_type = find_device_type(config)
    memory_format.use_best(model, device_type)
    if config.torch_compile:
        compilation.compile_layers(model, device_type)
    return model


def _load_tuned(base: str, config: TrainConfig, texts: Iterable[str]) -> tuple[Any, CtcModel]:
    """Load a CTC checkpoint with its own head, with rows added for new characters where the vocabulary may grow."""
    processor = processors.load_processor(base)
    nested = getattr(processor.tokenizer, "vocab", {})
    if vocabularies.is_nested(nested):  # MMS: an adapter and a head for each language
        letters = vocabularies.select_language(nested, config.adapter_language, base)
        processor = _make_processor(base, letters, like=processor.tokenizer)
        model = _load_model(base, config, target_lang=config.adapter_language, ignore_mismatched_sizes=True)
    else:
        model = _load_model(base, config)
    blanks.settle(model, processor, base, config.blank_id)
    head, may_grow = anatomy.of(model, processor, base).head, config.vocabulary != "keep"
    if Speller.from_tokenizer(processor.tokenizer).pieces is not None:
        added = pieces.add_characters(processor.tokenizer, texts, head.num_rows) if may_grow else []
        unknown = sorted(Speller.from_tokenizer(processor.tokenizer).unknown_characters(texts))
        size = len(processor.tokenizer)
    else:
        own = _own_vocabulary(processor.tokenizer)
        known = {
            text: number for text, number in ctc.lowercase_vocabulary(own, texts).items() if number < head.num_rows
        }
        delimiter = [] if _has_delimiter(processor.tokenizer, known, texts) else [ctc.DELIMITER]
        split = make_splitter(known, choose_graphemes(config.graphemes, texts, config.text_rules))
        vocabulary, added = ctc.merge_vocabulary(known, texts, head.num_rows, delimiter, split)
        unknown = [] if may_grow else [" " if token in delimiter else token for token in added]
        size = max(vocabulary.values()) + 1
        if vocabulary != own:
            processor = _make_processor(base, vocabulary, like=processor.tokenizer)
    if unknown:
        raise ModelError(
            f"{config.model} does not know {', '.join(map(repr, unknown))}; set Vocabulary to auto, "
            "or choose a normaliser that removes them."
        )
    if added:
        add_output_rows(model, head, size)
    return processor, model


def _own_vocabulary(tokenizer: Any) -> dict[str, int]:
    """Return the vocabulary without what transformers adds to it by itself, such as a word delimiter."""
    special = {token: number for token, number in tokenizer.get_vocab().items() if token == tokenizer.pad_token}
    return special | dict(tokenizer.encoder)


def _has_delimiter(tokenizer: Any, known: dict[str, int], texts: Iterable[str]) -> bool:
    """Whether the vocabulary has a token for the spaces of the texts."""
    return tokenizer.word_delimiter_token in known or not any(" " in text for text in texts)


def _load_tokenizer(base: str) -> Any | None:
    """Return the base model's CTC tokenizer, or None if it was never fine-tuned for CTC."""
    settings = _load_config(base)
    if not any("CTC" in name for name in settings.architectures or []):
        return None
    try:
        tokenizer = processors.load_tokenizer(Path(base))
        reason = "" if tokenizer is not None else "it has no vocab.json or tokenizer.json"
    except Exception as error:  # transformers and tokenizers raise anything here
        tokenizer, reason = None, first_line(error).rstrip(".")
    if tokenizer is None:
        raise ModelError(
            f"The base model {base} has an output layer but its tokenizer cannot be loaded ({reason}); set Vocabulary "
            "to fresh."
        )
    return tokenizer


def _load_config(base: str) -> Any:
    try:
        return weights.load_config(Path(base))
    except ModelError as error:
        raise ModelError(f"The base model {base} cannot be loaded: {first_line(error).rstrip('.')}.") from error


def _make_processor(base: str, vocabulary: dict[str, int], like: Any = None) -> Any:
    """Make a processor with this vocabulary and the base's feature extractor.

    like: a tokenizer whose names for the special tokens are kept.
    """
    pad, delimiter = ctc.BLANK, ctc.DELIMITER
    unknown: str | None = ctc.UNKNOWN
    if like is not None:
        pad, unknown, delimiter = like.pad_token, like.unk_token, like.word_delimiter_token
        unknown = unknown if unknown in vocabulary else None  # else the tokenizer adds it, without an output
        delimiter = delimiter if delimiter in vocabulary else ctc.DELIMITER
    # transformers takes `pad_token` as the blank. CTC has no begin and end tokens.
    tokenizer = processors.tokenizer_of(
        vocabulary, pad_token=pad, unk_token=unknown, word_delimiter_token=delimiter, bos_token=None, eos_token=None
    )
    return processors.make_processor(processors.load_feature_extractor(Path(base)), tokenizer)


def _load_model(base: str, config: TrainConfig, **changes: Any) -> CtcModel:
    """Load the CTC model of `base` in float32 with the dropouts and masks of `config`; `changes` go into its config."""
    settings = _load_config(base)
    loading = {name: changes.pop(name) for name in ("ignore_mismatched_sizes", "target_lang") if name in changes}
    changes |= _adapter_changes(base, config, settings)
    encoder = encoder_settings(settings)
    for name, value in _override_settings(config).items():
        for part in (settings, encoder):
            if part is settings or hasattr(part, name):
                setattr(part, name, value)
    for name, value in changes.items():
        setattr(settings, name, value)
    if "vocab_size" in changes and encoder is not settings and hasattr(encoder, "vocab_size"):
        encoder.vocab_size = changes["vocab_size"]
    try:
        model, missing = weights.load_model(Path(base), settings, **loading)
    except Exception as error:  # transformers raises anything for a damaged checkpoint
        raise ModelError(f"The base model {base} cannot be loaded for CTC: {first_line(error).rstrip('.')}.") from error
    if "ignore_mismatched_sizes" not in loading:
        anatomy.check_head_weights(missing, base)
    return cast("CtcModel", model)


def _override_settings(config: TrainConfig) -> dict[str, Any]:
    return {
        "ctc_loss_reduction": "mean",
        "ctc_zero_infinity": True,
        "layerdrop": config.layerdrop,
        # One setting for all dropouts but the attention's, so that a 0 in the form switches all of them off.
        **dict.fromkeys(DROPOUTS, config.hidden_dropout),
        "attention_dropout": config.attention_dropout,
        "mask_time_prob": config.mask_time_prob,
        "mask_time_length": config.mask_time_length,
        # The class default, at least two masks per clip, would hide most of a short clip.
        "mask_time_min_masks": 0,
    }


DROPOUTS = ("hidden_dropout", "activation_dropout", "feat_proj_dropout", "final_dropout", "dropout")


def _adapter_changes(base: str, config: TrainConfig, settings: Any) -> dict[str, Any]:
    """Return the changes of a config that add adapters. Raises ModelError for a model that cannot have them."""
    changes: dict[str, Any] = {}
    if config.freeze == "all-but-adapters" and getattr(settings, "adapter_attn_dim", None) is None:
        if settings.model_type not in anatomy.ADAPTER_TYPES or not settings.do_stable_layer_norm:
            raise ModelError(
                f"The base model {base} does not support adapters (only wav2vec2 models with layer norm, "
                "such as XLS-R and MMS, do); choose another Freeze."
            )
        changes["adapter_attn_dim"] = ADAPTER_WIDTH
    if config.add_adapter:
        if not hasattr(settings, "add_adapter"):
            raise ModelError(
                f"The base model {base} ({settings.model_type}) cannot have an adapter behind its encoder; switch "
                "add_adapter off."
            )
        changes["add_adapter"] = True
    return changes


def freeze(model: CtcModel, parts: Anatomy, part: str) -> None:
    """Freeze what `TrainConfig.freeze` names, train the rest; with `lora`, its matrices are there already."""
    for name, parameter in model.named_parameters():
        is_lora = any(matrix in name for matrix in lora.MATRICES)
        parameter.requires_grad = is_lora if part == "lora" else not part.startswith("all-but-")
    if part == "all-but-adapters":
        for parameter in model._get_adapters().values():
            parameter.requires_grad = True
    for parameter in parts.head_of(model).parameters():
        parameter.requires_grad = True
    if part == "nothing":
        return
    if hasattr(model, "freeze_feature_encoder"):
        model.freeze_feature_encoder()  # also saves the backward pass through it
    elif parts.feature_encoder:
        for parameter in model.get_submodule(parts.feature_encoder).parameters():
            parameter.requires_grad = False
