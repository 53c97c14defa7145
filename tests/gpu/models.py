"""Checkpoints with random weights in the shapes of published models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

LETTERS = "abcdefghijklmnopqrstuvwxyz'"
BLANK_BIAS = 2.0
"""Added to the blank's output, so that random weights give some letters, as a trained model does, not one a frame."""

SHAPES: dict[str, dict[str, Any]] = {
    "xls-r-300m": {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096},
    "xls-r-1b": {"hidden_size": 1280, "num_hidden_layers": 48, "num_attention_heads": 16, "intermediate_size": 5120},
    "w2v-bert": {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096},
    "middle": {"hidden_size": 512, "num_hidden_layers": 12, "num_attention_heads": 8, "intermediate_size": 2048},
}
SMALL = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 128}
WAV2VEC2 = {
    "feat_extract_norm": "layer",
    "do_stable_layer_norm": True,
    "conv_bias": True,
    "feat_proj_dropout": 0.0,
    "final_dropout": 0.0,
}


def write_checkpoint(folder: Path, shape: str, is_small: bool, **changes: Any) -> Path:
    """Write a checkpoint with a processor for `LETTERS`; is_small: with few and narrow layers of the same kind."""
    import torch
    from transformers import (
        SeamlessM4TFeatureExtractor,
        Wav2Vec2BertConfig,
        Wav2Vec2BertForCTC,
        Wav2Vec2BertProcessor,
        Wav2Vec2Config,
        Wav2Vec2CTCTokenizer,
        Wav2Vec2FeatureExtractor,
        Wav2Vec2ForCTC,
        Wav2Vec2Processor,
    )

    torch.manual_seed(0)
    folder.mkdir(parents=True)
    tokens = ["<pad>", "<unk>", "|", *LETTERS]
    settings = {**(SMALL if is_small else SHAPES[shape]), "vocab_size": len(tokens), "pad_token_id": 0, **changes}
    if shape == "w2v-bert":
        model = Wav2Vec2BertForCTC(Wav2Vec2BertConfig(**settings))
    else:
        small = {"conv_dim": (32,) * 7, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 2}
        model = Wav2Vec2ForCTC(Wav2Vec2Config(**{**WAV2VEC2, **(small if is_small else {}), **settings}))
    with torch.no_grad():
        model.lm_head.bias[0] += BLANK_BIAS
    model.to(torch.bfloat16).save_pretrained(folder)  # half of the bytes; loaded as float32
    (folder / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(tokens)}))
    tokenizer = Wav2Vec2CTCTokenizer(
        str(folder / "vocab.json"), pad_token="<pad>", unk_token="<unk>", bos_token=None, eos_token=None
    )
    if shape == "w2v-bert":
        Wav2Vec2BertProcessor(SeamlessM4TFeatureExtractor(), tokenizer).save_pretrained(folder)
    else:
        extractor = Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=True)
        Wav2Vec2Processor(extractor, tokenizer).save_pretrained(folder)
    return folder
