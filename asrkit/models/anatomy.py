"""The anatomy of a CTC model: where its parts are, and what they are called, in all architectures of transformers.

`of` describes a loaded model; `frames.read` knows its frames from the configuration files alone, without torch. Whoever
needs a model's head, blank, mask or frames asks here.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, cast

from asrkit.decoding.tokens import Speller
from asrkit.errors import ModelError
from asrkit.models.features import InputFormat
from asrkit.models.frames import FrameGeometry, from_settings

if TYPE_CHECKING:
    import torch

HEAD_NAMES = ("lm_head", "ctc_head")
FEATURE_ENCODERS = ("subsampling", "subsampler", "audio_tower.subsampling", "feature_extractor")
"""Modules that make frames of the input, by their paths in the model or in its base model."""
BATCH_DEPENDENT = frozenset({"data2vec-audio", "sew", "sew-d", "wav2vec2-conformer"})
"""`model_type`s whose frames depend on the padding behind them, mask or not: SEW pools pairs of frames, the others
convolve over padding. `tests/unit/models/test_architectures.py` measures it."""
LAYER = r"(?:^|\.)(?:encoder|audio_tower)\.layers?\.\d+"
"""Begins the paths of the encoder's Transformer or Conformer layers and of the modules in them."""
LAYER_LINEARS = re.compile(LAYER + r"\.(?!.*\badapter_layer\.)")
"""Paths of the modules in these layers, MMS's small adapters apart."""
UNCALLED_LINEARS = re.compile(r"\.attention\.(?:[qkv]|out)_proj$")
"""Linear layers whose weights WavLM hands to torch's attention, without calling the layers."""
ADAPTER_TYPES = frozenset({"wav2vec2"})
"""`model_type`s to which small layers can be added that are trained alone, where they have layer norm (MMS)."""


@dataclass(frozen=True)
class Head:
    """The output layer. path: of its module. kind: tied where other layers share its weights."""

    path: str
    kind: Literal["linear", "conv1d", "tied"]
    num_rows: int


@dataclass(frozen=True)
class Anatomy:
    """The parts of one CTC model.

    blank_id, unknown_id, delimiter_id: outputs; None for a vocabulary without such a token. inputs: names and shapes of
    what it takes. geometry: its frames by its configuration. feature_encoder: the path of the convolutions that make
    frames, None where there are none. has_adapter: behind its encoder, which shortens its output. has_small_adapters:
    in its layers, as MMS; can_add_small_adapters: whether it can be given such. masks_time: whether it has SpecAugment.
    is_batch_invariant: whether padded batches give the frames that each clip gives alone. lora_targets: paths of the
    linear layers that LoRA adds to: attention and feed-forward of the encoder's layers.
    """

    model_type: str
    head: Head
    blank_id: int
    unknown_id: int | None
    delimiter_id: int | None
    inputs: InputFormat
    geometry: FrameGeometry
    feature_encoder: str | None
    has_adapter: bool
    has_small_adapters: bool
    can_add_small_adapters: bool
    masks_time: bool
    is_batch_invariant: bool
    lora_targets: tuple[str, ...]
    _count_frames: Callable[[Any], Any] = field(repr=False, compare=False)

    @property
    def sampling_rate(self) -> int:
        return self.inputs.sampling_rate

    @property
    def frame_ms(self) -> float:
        """Time from one output frame to the next."""
        return self.geometry.frame_ms

    @property
    def min_samples(self) -> int:
        """Samples at 16 kHz that the first output frame needs; a shorter clip has none."""
        return self.geometry.min_samples

    @property
    def freezable(self) -> tuple[str, ...]:
        """The choices of `TrainConfig.freeze` that leave something to train and something frozen."""
        parts = ["nothing", "all-but-head"]
        if self.lora_targets:
            parts.append("lora")
        if self.feature_encoder:
            parts.append("feature-encoder")
        if self.has_small_adapters or self.can_add_small_adapters:
            parts.append("all-but-adapters")
        return tuple(parts)

    def num_frames(self, num_samples: int) -> int:
        """Return the output frames of `num_samples` at 16 kHz, by the model's own function."""
        import torch

        if num_samples < self.min_samples:
            return 0  # where the functions of some models go below zero
        return int(self.count_frames(torch.tensor([self.geometry.num_inputs(num_samples)])))

    def count_frames(self, lengths: torch.Tensor) -> torch.Tensor:
        """Return the output frames of inputs of these lengths, (clips,), by the model's own function."""
        import torch

        frames: torch.Tensor = self._count_frames(lengths)
        return frames.to(torch.long)

    def count_batch_frames(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return the true output frames of each clip of a batch, (clips,); without a mask, those of the longest."""
        import torch

        mask = batch.get(self.inputs.mask_name or "")
        if mask is not None:
            return self.count_frames(mask.sum(-1))
        values = batch[self.inputs.input_name]
        length = values.shape[-1] if values.ndim == 2 or self.inputs.has_channels else values.shape[1]
        return self.count_frames(torch.full((len(values),), length))

    def head_of(self, model: Any) -> Any:
        """Return the module of the output layer."""
        return model.get_submodule(self.head.path)

    def is_infeasible(self, labels: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
        """Return for each clip whether its labels need more frames than it has: then its CTC loss is infinite.

        labels: (clips, labels), negative where they are padding. frames: (clips,).
        """
        valid = labels >= 0
        repeats = (labels[:, 1:] == labels[:, :-1]) & valid[:, 1:]
        return valid.sum(-1) + repeats.sum(-1) > frames.to(labels.device)


def of(model: Any, processor: Any, name: str = "") -> Anatomy:
    """Describe a CTC model and its processor; name: what error messages call it.

    Raises ModelError where head, blank, input or mask are missing or contradict each other.
    """
    config, name = model.config, name or str(getattr(model, "name_or_path", "") or type(model).__name__)
    extractor, tokenizer = processor.feature_extractor, getattr(processor, "tokenizer", None)
    head = _find_head(model, name)
    speller = None if tokenizer is None else Speller.from_tokenizer(tokenizer)
    inputs = InputFormat.of(extractor)
    accepted = inspect.signature(type(model).forward).parameters
    for part, key in (("input", inputs.input_name), ("mask", inputs.mask_name)):
        if key is not None and key not in accepted:
            raise ModelError(
                f"The feature extractor of the model {name} gives the {part} {key}, which {type(model).__name__} does "
                "not take; copy the preprocessor_config.json that belongs to the model."
            )
    has_adapter = bool(getattr(config, "add_adapter", False))
    stable = bool(getattr(config, "do_stable_layer_norm", False))
    return Anatomy(
        model_type=config.model_type,
        head=head,
        blank_id=declared_blank(config, head.num_rows, name),
        unknown_id=speller.unknown_id if speller else None,
        delimiter_id=speller.delimiter_id if speller else None,
        inputs=inputs,
        geometry=from_settings(config.to_dict(), extractor.to_dict(), name),
        feature_encoder=_find_feature_encoder(model),
        has_adapter=has_adapter,
        has_small_adapters=getattr(config, "adapter_attn_dim", None) is not None,
        can_add_small_adapters=config.model_type in ADAPTER_TYPES and stable,
        masks_time=hasattr(model.base_model, "_mask_hidden_states"),
        # An adapter convolves over the padding that the encoder has masked.
        is_batch_invariant=inputs.mask_name is not None
        and config.model_type not in BATCH_DEPENDENT
        and not has_adapter,
        lora_targets=tuple(_find_lora_targets(model)),
        _count_frames=_own_frame_function(model, name),
    )


def check_head_weights(missing: Iterable[str], name: str) -> None:
    """Raise ModelError if the output layer is among the weights that a checkpoint lacks: it would be a random one.

    missing: names of weights, as `from_pretrained(output_loading_info=True)` tells them.
    """
    lacking = sorted(key for key in missing if key.startswith(tuple(f"{head}." for head in HEAD_NAMES)))
    if lacking:
        raise ModelError(
            f"The weights of the model {name} lack its output layer ({', '.join(lacking)}), though its config.json "
            "names a CTC model; set Vocabulary to fresh to train a new one."
        )


def encoder_settings(config: Any) -> Any:
    """Return the part of a model's config that describes its encoder: nested in some architectures."""
    for key in ("encoder_config", "audio_config"):
        if (nested := getattr(config, key, None)) is not None:
            return nested
    return config


def declared_blank(config: Any, num_rows: int, name: str) -> int:
    """Return the blank by a model's config: `blank_token_id`, else `pad_token_id`, as in most architectures.

    Raises ModelError where it has neither, or the output layer has no such row.
    """
    blank_id = getattr(config, "blank_token_id", None)
    if blank_id is None:
        blank_id = config.pad_token_id
    if not isinstance(blank_id, int) or not 0 <= blank_id < num_rows:
        raise ModelError(
            f"The blank of the model {name} is {blank_id} by its config.json, which is none of its {num_rows} outputs; "
            "set blank_id to that of its CTC blank (for transcription: blank_token_id in config.json)."
        )
    return blank_id


def _find_head(model: Any, name: str) -> Head:
    from torch import nn

    for path in HEAD_NAMES:
        module = getattr(model, path, None)
        if isinstance(module, nn.Linear | nn.Conv1d):
            rows = int(module.weight.shape[0])
            if rows != model.config.vocab_size:
                raise ModelError(
                    f"The output layer of the model {name} has {rows} rows, but its config.json says vocab_size "
                    f"{model.config.vocab_size}; the checkpoint is damaged."
                )
            tied = any(other is module.weight for other in _other_weights(model, path))
            return Head(path, "tied" if tied else "linear" if isinstance(module, nn.Linear) else "conv1d", rows)
    raise ModelError(
        f"The model {name} ({type(model).__name__}) has no CTC output layer ({' or '.join(HEAD_NAMES)}); choose a "
        "model for CTC."
    )


def _other_weights(model: Any, path: str) -> Iterator[torch.Tensor]:
    for module_path, module in model.named_modules():
        if module_path != path and (weight := module._parameters.get("weight")) is not None:
            yield weight


def _find_feature_encoder(model: Any) -> str | None:
    prefix = model.base_model_prefix if model.base_model is not model else "encoder"
    paths = (f"{prefix}.{path}" for path in FEATURE_ENCODERS)
    modules = dict(model.named_modules())
    return next((path for path in paths if path in modules), None)


def list_layers(model: Any) -> list[Any]:
    """Return the encoder's Transformer or Conformer layers."""
    return [layer for path, layer in model.named_modules() if re.search(LAYER + "$", path)]


def _find_lora_targets(model: Any) -> Iterator[str]:
    from torch import nn

    for path, module in model.named_modules():
        is_called = model.config.model_type != "wavlm" or not UNCALLED_LINEARS.search(path)
        if isinstance(module, nn.Linear) and LAYER_LINEARS.search(path) and is_called:
            yield path


def _own_frame_function(model: Any, name: str) -> Callable[[Any], Any]:
    for function in ("_get_feat_extract_output_lengths", "_get_subsampling_output_length"):
        if (own := getattr(model, function, None)) is not None:
            return cast("Callable[[Any], Any]", own)
    raise ModelError(f"The model {name} ({type(model).__name__}) does not tell its frames; choose another base model.")
