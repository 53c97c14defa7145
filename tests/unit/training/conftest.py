"""Checkpoints of ten to sixty thousand parameters in every family, with random weights and, where wanted, a head."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
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
CALM = {"final_dropout": 0.0, "activation_dropout": 0.0, "feat_proj_dropout": 0.0}


@pytest.fixture
def checkpoint(tmp_path: Path) -> Callable[..., Path]:
    """checkpoint("hubert", head=False, letters="abc", dtype=torch.float16, layerdrop=0.1) -> its directory.

    marks: names of a begin and an end token that are in the tokenizer and have no row in the output layer.
    """

    def make(
        kind: str = "wav2vec2",
        head: bool = True,
        letters: str = "abcde",
        pad: str = "<pad>",
        unknown: str = "<unk>",
        marks: tuple[str, ...] = (),
        dtype: torch.dtype = torch.float32,
        **changes,
    ) -> Path:
        folder = tmp_path / f"{kind}-{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        torch.manual_seed(0)
        tokens = [pad, unknown, "|", *letters, *marks]
        settings = {**SMALL, **CALM, **changes, "vocab_size": len(tokens) - len(marks), "pad_token_id": 0}
        if kind == "wav2vec2-bert":
            settings |= {
                "feature_projection_input_dim": 160,
                "conformer_conv_dropout": 0.0,
                "left_max_position_embeddings": 8,
                "right_max_position_embeddings": 2,
            }
        else:
            settings = {**CONVOLUTIONS, **settings}
        config, with_head, without = FAMILIES[kind]
        (with_head if head else without)(config(**settings)).to(dtype).save_pretrained(folder)
        extractor = (
            SeamlessM4TFeatureExtractor()
            if kind == "wav2vec2-bert"
            else Wav2Vec2FeatureExtractor(
                do_normalize=True, return_attention_mask=settings["feat_extract_norm"] == "layer"
            )
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

    return make


@pytest.fixture
def clips(tmp_path: Path) -> Callable[..., list[Utterance]]:
    """clips(1.0, 0.5) -> utterances of that many seconds of noise, with texts from `texts`."""

    def make(*seconds: float, texts: tuple[str, ...] = ("ab", "a cab", "bad", "deed")) -> list[Utterance]:
        rng, rows = np.random.default_rng(0), []
        for number, length in enumerate(seconds):
            path = tmp_path / f"clip-{number}.wav"
            soundfile.write(path, 0.1 * rng.standard_normal(round(length * 16_000)), 16_000)
            rows.append(Utterance(str(path), texts[number % len(texts)], length))
        return rows

    return make
