"""Checkpoints of ten to sixty thousand parameters in every model family, with random weights, and clips of noise."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import soundfile
import torch
from transformers import (
    Data2VecAudioConfig,
    Data2VecAudioForCTC,
    Data2VecAudioModel,
    HubertConfig,
    HubertForCTC,
    HubertModel,
    SeamlessM4TFeatureExtractor,
    Wav2Vec2BertConfig,
    Wav2Vec2BertForCTC,
    Wav2Vec2BertModel,
    Wav2Vec2BertProcessor,
    Wav2Vec2Config,
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
    tokens = [pad, unknown, "|", *letters, *marks]
    settings = {**SMALL, **NO_DROPOUT, **changes, "vocab_size": len(tokens) - len(marks), "pad_token_id": 0}
    if kind == "wav2vec2-bert":
        settings |= {
            "feature_projection_input_dim": 160,
            "conformer_conv_dropout": 0.0,
            "left_max_position_embeddings": 8,
            "right_max_position_embeddings": 2,
        }
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


def write_noise_clips(folder: Path, *durations_s: float, texts: tuple[str, ...]) -> list[Utterance]:
    """Write clips of noise; return them as utterances with `texts` in turn."""
    rng, rows = np.random.default_rng(0), []
    for index, duration_s in enumerate(durations_s):
        path = folder / f"clip-{index}.wav"
        soundfile.write(path, 0.1 * rng.standard_normal(round(duration_s * 16_000)), 16_000)
        rows.append(Utterance(str(path), texts[index % len(texts)], duration_s))
    return rows
