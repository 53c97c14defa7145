"""Checkpoints of ten to sixty thousand parameters in every model family, with random weights, and clips of noise."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import soundfile
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    Data2VecAudioConfig,
    Data2VecAudioForCTC,
    Data2VecAudioModel,
    GraniteSpeech5CTCConfig,
    GraniteSpeech5FeatureExtractor,
    GraniteSpeech5ForCTC,
    GraniteSpeech5Processor,
    HubertConfig,
    HubertForCTC,
    HubertModel,
    LasrCTCConfig,
    LasrFeatureExtractor,
    LasrForCTC,
    LasrProcessor,
    OmniASRCTCConfig,
    OmniASRCTCProcessor,
    OmniASRFeatureExtractor,
    OmniASRForCTC,
    ParakeetCTCConfig,
    ParakeetFeatureExtractor,
    ParakeetForCTC,
    ParakeetProcessor,
    ParakeetTokenizer,
    SeamlessM4TFeatureExtractor,
    SEWConfig,
    SEWDConfig,
    SEWDForCTC,
    SEWDModel,
    SEWForCTC,
    SEWModel,
    UniSpeechConfig,
    UniSpeechForCTC,
    UniSpeechModel,
    UniSpeechSatConfig,
    UniSpeechSatForCTC,
    UniSpeechSatModel,
    Wav2Vec2BertConfig,
    Wav2Vec2BertForCTC,
    Wav2Vec2BertModel,
    Wav2Vec2BertProcessor,
    Wav2Vec2Config,
    Wav2Vec2ConformerConfig,
    Wav2Vec2ConformerForCTC,
    Wav2Vec2ConformerModel,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForCTC,
    Wav2Vec2Model,
    Wav2Vec2Processor,
    WavLMConfig,
    WavLMForCTC,
    WavLMModel,
)

from asrkit.data.manifest import Utterance

FAMILIES = {
    "wav2vec2": (Wav2Vec2Config, Wav2Vec2ForCTC, Wav2Vec2Model),
    "hubert": (HubertConfig, HubertForCTC, HubertModel),
    "wavlm": (WavLMConfig, WavLMForCTC, WavLMModel),
    "data2vec-audio": (Data2VecAudioConfig, Data2VecAudioForCTC, Data2VecAudioModel),
    "wav2vec2-bert": (Wav2Vec2BertConfig, Wav2Vec2BertForCTC, Wav2Vec2BertModel),
    "wav2vec2-conformer": (Wav2Vec2ConformerConfig, Wav2Vec2ConformerForCTC, Wav2Vec2ConformerModel),
    "unispeech": (UniSpeechConfig, UniSpeechForCTC, UniSpeechModel),
    "unispeech-sat": (UniSpeechSatConfig, UniSpeechSatForCTC, UniSpeechSatModel),
    "sew": (SEWConfig, SEWForCTC, SEWModel),
    "sew-d": (SEWDConfig, SEWDForCTC, SEWDModel),
}
SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
CONVOLUTIONS = {
    "conv_dim": (16,) * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 2,
    "conv_bias": True,
    "feat_extract_norm": "layer",
    "do_stable_layer_norm": True,
}
NO_DROPOUT = {"final_dropout": 0.0, "activation_dropout": 0.0, "feat_proj_dropout": 0.0}


def write_checkpoint(
    folder: Path,
    kind: str = "wav2vec2",
    head: bool = True,
    letters: str = "abcde",
    pad: str = "<pad>",
    unknown: str = "<unk>",
    marks: tuple[str, ...] = (),
    dtype: torch.dtype = torch.float32,
    **changes,
) -> Path:
    """Write a checkpoint of a family into `folder`; `changes` go into its config.

    head: with an output layer and a tokenizer. marks: begin and end tokens of the tokenizer without an output row.
    """
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    if kind in PIECE_FAMILIES:
        return write_piece_checkpoint(folder, kind, **changes)
    tokens = [pad, unknown, "|", *letters, *marks]
    settings = {
        **SMALL,
        **NO_DROPOUT,
        **changes,
        "vocab_size": changes.get("vocab_size", len(tokens) - len(marks)),
        "pad_token_id": 0,
    }
    if kind == "wav2vec2-bert":
        settings |= {
            "feature_projection_input_dim": 160,
            "conformer_conv_dropout": 0.0,
            "left_max_position_embeddings": 8,
            "right_max_position_embeddings": 2,
        }
    elif kind in ("sew", "sew-d"):
        settings = {**CONVOLUTIONS, "conv_dim": (16,) * 13, "squeeze_factor": 2, **settings}
    else:
        settings = {**CONVOLUTIONS, **settings}
    config, with_head, without_head = FAMILIES[kind]
    (with_head if head else without_head)(config(**settings)).to(dtype).save_pretrained(folder)
    extractor = (
        SeamlessM4TFeatureExtractor()
        if kind == "wav2vec2-bert"
        else Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=settings["feat_extract_norm"] == "layer")
    )
    if not head:
        extractor.save_pretrained(folder)
        return folder
    (folder / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(tokens)}))
    bos, eos = marks or (None, None)
    tokenizer = Wav2Vec2CTCTokenizer(
        str(folder / "vocab.json"), pad_token=pad, unk_token=unknown, bos_token=bos, eos_token=eos
    )
    processor = Wav2Vec2BertProcessor if kind == "wav2vec2-bert" else Wav2Vec2Processor
    processor(extractor, tokenizer).save_pretrained(folder)
    return folder


PIECES = ("▁a", "▁b", "▁c", "▁d", "▁e", "▁", "a", "b", "c", "d", "e", "ab", "ad", "ee", "▁cab")
MERGES = [("a", "b"), ("a", "d"), ("e", "e"), ("▁c", "ab")]


def write_piece_checkpoint(folder: Path, kind: str, **changes) -> Path:
    """Write a checkpoint of omniasr_ctc, parakeet_ctc, lasr_ctc or granite_speech5_ctc, which spell in pieces of words.

    Blank, padding and unknown tokens are those of the published checkpoints; omniasr_ctc has no pieces but letters.
    """
    torch.manual_seed(0)
    config, model, extractor, processor = PIECE_FAMILIES[kind]
    special = {
        "omniasr_ctc": ["<s>", "<pad>", "</s>", "<unk>"],
        "parakeet_ctc": ["<unk>"],
        "lasr_ctc": ["<pad>", "</s>", "<unk>"],
        "granite_speech5_ctc": ["<pad>", "<unk>"],
    }[kind]
    pieces = [" ", *"abcde"] if kind == "omniasr_ctc" else list(PIECES)
    tokens = [*special, *pieces, *(["<pad>"] if kind == "parakeet_ctc" else [])]
    tokenizer = make_piece_tokenizer(tokens, spaces=kind == "omniasr_ctc")
    encoder = {**SMALL, "hidden_dropout": 0.0, "dropout": 0.0, "activation_dropout": 0.0, "layerdrop": 0.1}
    settings: dict = {"vocab_size": len(tokens), "pad_token_id": tokens.index("<pad>")}
    if kind == "omniasr_ctc":
        encoder |= {"conv_dim": (16,) * 7, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 2}
        settings |= {"audio_config": encoder, "blank_token_id": 0}
    elif kind == "granite_speech5_ctc":
        settings["encoder_config"] = {**SMALL, "vocab_size": len(tokens), "num_mel_bins": 16, "context_size": 16}
    else:
        settings["encoder_config"] = {
            **encoder,
            "num_mel_bins": 16,
            "subsampling_conv_channels": 8,
            "conv_kernel_size": 5,
        }
    mel = {"granite_speech5_ctc": {"num_mel_bins": 16}, "omniasr_ctc": {}}.get(kind, {"feature_size": 16})
    model(config(**settings | changes)).save_pretrained(folder)
    processor(extractor(**mel), tokenizer).save_pretrained(folder)
    return folder


PIECE_FAMILIES = {
    "omniasr_ctc": (OmniASRCTCConfig, OmniASRForCTC, OmniASRFeatureExtractor, OmniASRCTCProcessor),
    "parakeet_ctc": (ParakeetCTCConfig, ParakeetForCTC, ParakeetFeatureExtractor, ParakeetProcessor),
    "lasr_ctc": (LasrCTCConfig, LasrForCTC, LasrFeatureExtractor, LasrProcessor),
    "granite_speech5_ctc": (
        GraniteSpeech5CTCConfig,
        GraniteSpeech5ForCTC,
        GraniteSpeech5FeatureExtractor,
        GraniteSpeech5Processor,
    ),
}
ARCHITECTURES = (*FAMILIES, *PIECE_FAMILIES)
"""All `model_type`s that transformers has a CTC class for."""


def make_piece_tokenizer(tokens: list[str], spaces: bool = False) -> ParakeetTokenizer:
    """Make a fast tokenizer of these tokens: BPE with a mark before each word, or single characters and spaces."""
    vocabulary = {token: number for number, token in enumerate(tokens)}
    merges = [] if spaces else [pair for pair in MERGES if "".join(pair) in vocabulary]
    backend = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>"))
    if not spaces:
        backend = Tokenizer(models.BPE(vocabulary, [("▁", letter) for letter in "abcde"] + merges, unk_token="<unk>"))
        backend.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
        backend.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    return ParakeetTokenizer(tokenizer_object=backend, pad_token="<pad>", unk_token="<unk>")


def write_noise_clips(folder: Path, *durations_s: float, texts: tuple[str, ...]) -> list[Utterance]:
    """Write clips of noise; return them as utterances with `texts` in turn."""
    rng, rows = np.random.default_rng(0), []
    for index, duration_s in enumerate(durations_s):
        path = folder / f"clip-{index}.wav"
        soundfile.write(path, 0.1 * rng.standard_normal(round(duration_s * 16_000)), 16_000)
        rows.append(Utterance(str(path), texts[index % len(texts)], duration_s))
    return rows
