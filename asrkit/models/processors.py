"""Processors of checkpoints, of named classes. transformers is imported on the first call.

A checkpoint's folder may come from anybody. transformers' Auto classes would let its files choose which class reads
which path: `"tokenizer_class": "BertTokenizer"` with `"vocab": "/any/file"` makes the lines of that file the words that
the model can say. Here the type of the model chooses the classes; settings are taken by name, where they are plain
values, and files are those of the folder.
"""

from __future__ import annotations

import inspect
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from asrkit.decoding.tokens import find_delimiter
from asrkit.errors import ModelError, first_line
from asrkit.models import checkpoints, vocabularies
from asrkit.models.libraries import find_class

EXTRACTORS = {
    "wav2vec2-bert": "SeamlessM4TFeatureExtractor",
    "omniasr_ctc": "OmniASRFeatureExtractor",
    "parakeet_ctc": "ParakeetFeatureExtractor",
    "lasr_ctc": "LasrFeatureExtractor",
    "granite_speech5_ctc": "GraniteSpeech5FeatureExtractor",
}
"""`model_type` -> class of its feature extractor; Wav2Vec2FeatureExtractor for the others. The files may name another
one of these classes."""
PROCESSORS = {
    "wav2vec2-bert": "Wav2Vec2BertProcessor",
    "omniasr_ctc": "OmniASRCTCProcessor",
    "parakeet_ctc": "ParakeetProcessor",
    "lasr_ctc": "LasrProcessor",
    "granite_speech5_ctc": "GraniteSpeech5Processor",
}
"""`model_type` -> class of its processor; Wav2Vec2Processor for the others."""
WAVEFORM_EXTRACTOR = "Wav2Vec2FeatureExtractor"
MAX_SETTING = {"feature_size": 1024, "num_mel_bins": 1024, "n_fft": 8192, "stride": 64}
"""Of a feature extractor's integers: tables of these sizes are calculated. MAX_RATE for the others."""
MAX_RATE = 48_000
SPECIAL_TOKENS = ("pad_token", "unk_token", "bos_token", "eos_token")
MAX_TOKEN_LENGTH = 200


def load_processor(checkpoint: str | Path) -> Any:
    """Return the processor of a checkpoint: feature extractor and tokenizer, or the former alone where it has no more.

    A language model beside them is left out. Raises ModelError for a checkpoint that is damaged.
    """
    folder = Path(checkpoint)
    extractor, tokenizer = load_feature_extractor(folder), load_tokenizer(folder)
    if tokenizer is None:
        return extractor
    name = PROCESSORS.get(_model_type(folder), "Wav2Vec2Processor")
    if _takes_mel_features(extractor) != (name != "Wav2Vec2Processor") and name != "OmniASRCTCProcessor":
        return make_processor(extractor, tokenizer)
    return find_class(name)(extractor, tokenizer)


def load_feature_extractor(folder: Path) -> Any:
    """Return the feature extractor of a checkpoint. Raises ModelError where it has no usable one."""
    settings = checkpoints.read_preprocessor(folder)
    if settings is None:
        raise ModelError(f"The model {folder} has no usable preprocessor_config.json; copy all files of the model.")
    stated = settings.get("feature_extractor_type")
    name = EXTRACTORS.get(_model_type(folder), WAVEFORM_EXTRACTOR)
    kind = find_class(stated if stated in (WAVEFORM_EXTRACTOR, *EXTRACTORS.values()) else name)
    accepted = {*inspect.signature(kind.__init__).parameters, "return_attention_mask", "padding_side"} - {"self"}
    values = {key: value for key, value in settings.items() if key in accepted - {"kwargs"}}
    for key, value in values.items():
        is_plain = value in ("left", "right") if key == "padding_side" else isinstance(value, bool | int | float)
        if not is_plain or abs(value if isinstance(value, int | float) else 0) > MAX_SETTING.get(key, MAX_RATE):
            raise ModelError(
                f"The preprocessor_config.json of the model {folder} has an impossible {key}: {value!r:.80}."
            )
    try:
        return kind(**values)
    except (TypeError, ValueError, ArithmeticError) as error:
        raise ModelError(
            f"The model {folder} has no usable preprocessor_config.json ({first_line(error).rstrip('.')}); copy all "
            "files of the model."
        ) from error


def load_tokenizer(folder: Path) -> Any | None:
    """Return the tokenizer of a checkpoint, of characters or of pieces; None where it has no vocabulary.

    Raises ModelError for damaged files.
    """
    settings = checkpoints.read_settings(folder / "tokenizer_config.json") or {}
    tokens = _special_tokens(folder, settings)
    vocabulary = vocabularies.read_whole(folder)
    if vocabulary is not None:
        return _make_character_tokenizer(folder, vocabulary, settings, tokens)
    if (pieces := vocabularies.read_pieces(folder)) is None:
        return None
    return find_class("ParakeetTokenizer")(tokenizer_object=pieces, **tokens)


def _make_character_tokenizer(
    folder: Path, vocabulary: dict[str, Any], settings: Mapping[str, Any], tokens: Mapping[str, Any]
) -> Any:
    options: dict[str, Any] = {"do_lower_case": settings.get("do_lower_case") is True, **tokens}
    for key in ("word_delimiter_token", "replace_word_delimiter_char"):
        if key in settings:
            options[key] = _token(settings[key], key, folder)
    if vocabularies.is_nested(vocabulary):
        language = _token(settings.get("target_lang"), "target_lang", folder)
        if language is not None and language not in vocabulary:
            raise ModelError(f"The model {folder} is set to the language {language!r}, which its vocab.json lacks.")
        options["target_lang"] = language
    tokenizer = tokenizer_of(vocabulary, **options)
    repair_delimiter(tokenizer)
    return tokenizer


def tokenizer_of(vocabulary: Mapping[str, Any], **options: Any) -> Any:
    """Return a tokenizer of characters with this vocabulary; options: of transformers' Wav2Vec2CTCTokenizer."""
    with tempfile.TemporaryDirectory() as folder:  # it takes a file alone
        path = Path(folder, "vocab.json")
        path.write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
        return find_class("Wav2Vec2CTCTokenizer")(str(path), **options)


def _special_tokens(folder: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the names of the special tokens; older versions of transformers wrote a file of their own for them."""
    stated = (checkpoints.read_settings(folder / "special_tokens_map.json") or {}) | dict(settings)
    tokens: dict[str, Any] = {key: _token(stated[key], key, folder) for key in SPECIAL_TOKENS if key in stated}
    further = [stated.get(key) for key in ("additional_special_tokens", "extra_special_tokens")]
    names = dict.fromkeys(
        _token(entry, "special token", folder) for entries in further if isinstance(entries, list) for entry in entries
    )
    if names:
        tokens["extra_special_tokens"] = [name for name in names if name is not None]
    return tokens


def _token(value: Any, key: str, folder: Path) -> str | None:
    """Return a token, which may be written with its properties. Raises ModelError for anything else."""
    if isinstance(value, dict):
        value = value.get("content")
    if value is not None and not (isinstance(value, str) and len(value) <= MAX_TOKEN_LENGTH):
        raise ModelError(f"The tokenizer_config.json of the model {folder} has an impossible {key}: {value!r:.80}.")
    return value


def _model_type(folder: Path) -> str:
    return str((checkpoints.read_config(folder) or {}).get("model_type"))


def _takes_mel_features(extractor: Any) -> bool:
    return "input_features" in extractor.model_input_names


def make_processor(extractor: Any, tokenizer: Any) -> Any:
    """Return a processor of these parts, of a class that loads any such parts again."""
    kind = "Wav2Vec2BertProcessor" if _takes_mel_features(extractor) else "Wav2Vec2Processor"
    return find_class(kind)(extractor, tokenizer)


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
