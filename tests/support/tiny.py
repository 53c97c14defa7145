"""A language of five tones and a model of forty thousand parameters: real training in seconds.

Each letter a to e is a tone of 80 ms behind 40 ms of near-silence, so a small CTC model can learn it.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import soundfile

RATE = 16_000
HERTZ = {"a": 300, "b": 600, "c": 1200, "d": 2200, "e": 3600}


def synthesize(text: str, rng: np.random.Generator) -> np.ndarray:
    """(samples,) float32 at 16 kHz."""
    pieces = [0.003 * rng.standard_normal(int(0.1 * RATE))]
    for letter in text:
        tone = (
            np.zeros(int(0.08 * RATE))
            if letter == " "
            else np.sin(2 * np.pi * HERTZ[letter] * rng.uniform(0.97, 1.03) * np.arange(int(0.08 * RATE)) / RATE)
        )
        pieces += [0.4 * tone, np.zeros(int(0.04 * RATE))]
    samples = np.concatenate([*pieces, np.zeros(int(0.1 * RATE))])
    return (samples + 0.003 * rng.standard_normal(len(samples))).astype(np.float32)


def write_dataset(folder: Path, train: int = 24, held_out: int = 6, seed: int = 0) -> Path:
    """An audiofolder with `metadata.csv` and a split column."""
    rng = np.random.default_rng(seed)
    (folder / "audio").mkdir(parents=True)
    with open(folder / "metadata.csv", "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["file_name", "text", "split"])
        for number in range(train + held_out):
            words = ["".join(rng.choice(list(HERTZ), rng.integers(1, 4))) for _ in range(rng.integers(1, 3))]
            name = f"audio/{number:03d}.wav"
            soundfile.write(folder / name, synthesize(" ".join(words), rng), RATE)
            table.writerow([name, " ".join(words), "train" if number < train else "eval"])
    return folder


def write_checkpoint(folder: Path, letters: str = "abcde", **changes) -> Path:
    """A randomly initialised wav2vec2 CTC checkpoint with its processor."""
    import torch
    from transformers import (
        Wav2Vec2Config,
        Wav2Vec2CTCTokenizer,
        Wav2Vec2FeatureExtractor,
        Wav2Vec2ForCTC,
        Wav2Vec2Processor,
    )

    torch.manual_seed(0)
    vocabulary = {token: number for number, token in enumerate(["<pad>", "<unk>", "|", *letters])}
    settings = {
        "vocab_size": len(vocabulary),
        "pad_token_id": 0,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "conv_dim": (16,) * 7,
        "num_conv_pos_embeddings": 16,
        "num_conv_pos_embedding_groups": 2,
        "feat_extract_norm": "layer",
        "do_stable_layer_norm": True,
        "conv_bias": True,
        "feat_proj_dropout": 0.0,
        "final_dropout": 0.0,
        "activation_dropout": 0.0,
        "mask_feature_prob": 0.0,
        **changes,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    tokenizer = Wav2Vec2CTCTokenizer(
        str(folder / "vocab.json"), pad_token="<pad>", unk_token="<unk>", bos_token=None, eos_token=None
    )
    extractor = Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=True)
    Wav2Vec2Processor(extractor, tokenizer).save_pretrained(folder)
    Wav2Vec2ForCTC(Wav2Vec2Config(**settings)).save_pretrained(folder)
    return folder


def make_log_probs(
    path: list[int], confidence: float, alternatives: dict[int, tuple[int, float]] | None = None
) -> np.ndarray:
    """(frames, 8) log probabilities of a path of tokens, one a frame: blank 0, delimiter 2, then a to e.

    confidence: probability of the path's token. alternatives: probability of another token in some frames,
    {frame: (token, probability)}.
    """
    probs = np.full((len(path), 8), (1 - confidence) / 7)
    probs[np.arange(len(path)), path] = confidence
    for frame, (token, probability) in (alternatives or {}).items():
        probs[frame] *= (1 - probability) / (1 - probs[frame, token])
        probs[frame, token] = probability
    return np.log(probs).astype(np.float32)


SETTINGS = {
    "learning_rate": 3e-3,
    "num_epochs": 4,
    "max_steps": 12,
    "train_batch_size": 8,
    "eval_batch_size": 4,
    "eval_steps": 4,
    "logging_steps": 1,
    "freeze": "nothing",
    "mixed_precision": "no",
    "augmentation": "none",
}
"""A run of a few seconds: 12 steps, evaluated at 0, 4, 8 and 12."""
