"""What a base model cannot do for a run, found before the run starts and without torch: one sentence each."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from asrkit.config import TrainConfig
from asrkit.errors import ConfigError, ModelError
from asrkit.models import checkpoints, vocabularies

NO_TIME_MASKS = frozenset({"omniasr_ctc", "parakeet_ctc", "lasr_ctc", "granite_speech5_ctc"})
"""`model_type`s without SpecAugment."""
ADAPTER_TYPES = frozenset({"wav2vec2", "wav2vec2-bert", "wav2vec2-conformer", "data2vec-audio", "wavlm"})
"""`model_type`s that can have an adapter behind the encoder."""
MIN_RATE, MAX_RATE = 4_000, 48_000


def check(path: Path, config: TrainConfig) -> None:
    """Raise ModelError where a run of `config` cannot start from the checkpoint directory `path`."""
    settings = checkpoints.read_config(path)
    if settings is None:
        return
    kind = str(settings.get("model_type"))
    for problem, remedy in _find_problems(path, settings, kind, config):
        raise ModelError(f"The base model {config.model} {problem}; {remedy}.")


def check_delimiter(path: Path, config: TrainConfig, texts: Iterable[str]) -> None:
    """Raise ModelError where texts have spaces and the vocabulary that is kept has no token for them."""
    if config.vocabulary != "keep":
        return
    speller = vocabularies.read_speller(path, config.adapter_language)
    if speller and speller.delimiter_id is None and not speller.word_starts and any(" " in text for text in texts):
        raise ModelError(
            f"The base model {config.model} has no token for the space between words; set Vocabulary to auto."
        )


def check_optimizer(setting: str) -> None:
    """Raise ConfigError where `TrainConfig.optimizer` needs a package that is not installed."""
    if setting == "adamw-8bit" and importlib.util.find_spec("bitsandbytes") is None:
        raise ConfigError(
            "The 8-bit optimizer (adamw-8bit) needs the package bitsandbytes; run `pip install bitsandbytes`, or set "
            "optimizer to adamw."
        )


def _find_problems(path: Path, settings: dict[str, Any], kind: str, config: TrainConfig) -> Iterable[tuple[str, str]]:
    """Yield (problem, remedy)."""
    preprocessor = checkpoints.read_preprocessor(path)
    if preprocessor is None:
        yield "has no usable preprocessor_config.json", "copy all files of the model"
        return
    rate = preprocessor.get("sampling_rate", 16_000)
    if not isinstance(rate, int) or not MIN_RATE <= rate <= MAX_RATE:
        yield (
            f"expects audio of {rate} Hz by its preprocessor_config.json",
            f"choose one of {MIN_RATE} to {MAX_RATE} Hz",
        )
    is_tuned = any("CTC" in name for name in settings.get("architectures") or [])
    num_rows = settings.get("vocab_size")
    if is_tuned and config.vocabulary != "fresh":
        if vocabularies.read_speller(path, config.adapter_language) is None:
            yield "has an output layer but no vocab.json or tokenizer.json", "set Vocabulary to fresh"
        elif config.graphemes and not (path / "vocab.json").exists():
            yield "spells in pieces of words", "leave Graphemes (graphemes) empty, or set Vocabulary to fresh"
        if isinstance(num_rows, int) and config.blank_id >= num_rows:
            yield f"has the outputs 0 to {num_rows - 1}, but blank_id is {config.blank_id}", "set it to its CTC blank"
    if config.mask_time_prob and kind in NO_TIME_MASKS:
        yield f"({kind}) has no time masking", "set Time masking (mask_time_prob) to 0"
    if config.add_adapter and kind not in ADAPTER_TYPES:
        yield f"({kind}) cannot have an adapter behind its encoder", "switch add_adapter off"
