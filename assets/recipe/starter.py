"""Train the starter: a small wav2vec2 CTC model, from random weights, on synthetic English.

    python -m assets.recipe.starter SPEECH OUT --minutes 100
    python -m assets.recipe.starter SPEECH OUT2 --minutes 100 --base OUT/model     # train on, with a fresh schedule

Resumable: `OUT/state.pt` is replaced every few minutes and a second call goes on from it. The learning rate follows the
training time that has been spent, not a number of steps, so the budget is minutes whatever the machine. New clips that
appear in SPEECH are picked up as they come. With an NVIDIA GPU all of it happens there; `--workers` processes then
have to augment enough.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from pathlib import Path

import jiwer
import numpy as np
import soundfile
import torch
import torchaudio
from torch.utils.data import DataLoader, IterableDataset
from transformers import (
    Wav2Vec2Config,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForCTC,
    Wav2Vec2Processor,
)

from asrkit.models import memory_format
from asrkit.training.augment import RATE, STRENGTHS

ALPHABET = ["<pad>", "<unk>", "|", "'", *"abcdefghijklmnopqrstuvwxyz"]
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
TOKEN = {symbol: number for number, symbol in enumerate(ALPHABET)} | {" ": ALPHABET.index("|")}


def config() -> Wav2Vec2Config:
    """5.4 M parameters; the usual wav2vec2 frame (400 samples, hop 320) with narrow early convolutions, which take
    most of the time on a CPU."""
    return Wav2Vec2Config(
        vocab_size=len(ALPHABET),
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=None,
        hidden_size=256,
        num_hidden_layers=6,
        num_attention_heads=4,
        intermediate_size=1024,
        conv_dim=(64, 64, 96, 128, 192, 256, 256),
        conv_kernel=(10, 3, 3, 3, 3, 2, 2),
        conv_stride=(5, 2, 2, 2, 2, 2, 2),
        conv_bias=True,
        common_words="en",  # `asrkit.decoding.common_words`
        feat_extract_norm="layer",
        do_stable_layer_norm=True,
        num_conv_pos_embeddings=31,
        num_conv_pos_embedding_groups=8,
        hidden_dropout=0.0,
        attention_dropout=0.0,
        activation_dropout=0.0,
        feat_proj_dropout=0.0,
        final_dropout=0.0,
        layerdrop=0.0,
        mask_time_prob=0.0,
        mask_feature_prob=0.0,
        ctc_loss_reduction="mean",
        ctc_zero_infinity=True,
    )


WEIGHTS = {
    "human-librispeech": 8.0,
    "human-librispeech-clean5": 3.0,
    "human-librispeech-aligned": 3.0,
    "human-vctk": 4.0,
    "human-ljspeech": 1.5,
    "human-an4": 1.0,
    "human-orders": 3.0,
    "human-words": 0.4,
    "kokoro": 2.5,
    "piper": 1.0,
    "flite": 0.5,
    "espeak": 0.4,
    "festival": 0.4,
}
"""How often a source's clips are drawn, relative to the others: human and natural voices more."""
LONGEST_S = 17.0
LENGTH_GRID = RATE // 2
"""Batches are padded to multiples of this: oneDNN makes code for every new length, a third of the time of a step."""


class Speech(IterableDataset):
    """Endless augmented batches of about `seconds` of audio, of one length class each; `longest_s` may grow."""

    def __init__(self, folder: Path, seconds: float, longest_s, seed: int) -> None:
        self.folder, self.seconds, self.longest_s, self.seed = folder, seconds, longest_s, seed

    def __iter__(self):
        rng = np.random.default_rng([self.seed, os.getpid(), time.time_ns()])
        while True:
            rows = [
                json.loads(line)
                for path in sorted(self.folder.glob("*.jsonl"))
                for line in path.read_text().splitlines()
                if line.endswith("}")
            ]
            rows = [row for row in rows if row["duration_s"] <= self.longest_s.value]
            weights = np.array([WEIGHTS[row["voice"].split(":")[0]] for row in rows])
            rows = list(rng.choice(rows, min(400, len(rows)), p=weights / weights.sum()))
            rows.sort(key=lambda row: row["duration_s"] * rng.uniform(0.9, 1.1))
            yield from self._shuffled(rows, rng)

    def _shuffled(self, rows, rng):
        batches, batch = [], []
        bound = self.seconds * (0.5 if self.longest_s.value < 15 else 1)
        for row in rows:
            if batch and (len(batch) + 1) * row["duration_s"] > bound:
                batches.append(batch)
                batch = []
            batch.append(row)
        rng.shuffle(batches)
        for batch in batches:
            yield collate([(self._load(row["path"], rng), row["text"]) for row in batch])

    def _load(self, path: str, rng) -> np.ndarray:
        samples, _ = soundfile.read(path, dtype="float32")
        return STRENGTHS["light" if self.longest_s.value < 15 else "strong"](samples, rng)


def collate(pairs) -> dict[str, torch.Tensor]:
    lengths = [len(samples) for samples, _ in pairs]
    length = -(-max(lengths) // LENGTH_GRID) * LENGTH_GRID
    values = torch.zeros(len(pairs), length)
    mask = torch.zeros(len(pairs), length, dtype=torch.long)
    ids = [[TOKEN[c] for c in text] for _, text in pairs]
    labels = torch.full((len(pairs), max(map(len, ids))), -100)
    for i, (samples, _) in enumerate(pairs):
        values[i, : len(samples)] = torch.from_numpy((samples - samples.mean()) / np.sqrt(samples.var() + 1e-7))
        mask[i, : len(samples)] = 1
        labels[i, : len(ids[i])] = torch.tensor(ids[i])
    return {"input_values": values, "attention_mask": mask, "labels": labels}


def to_device(batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: values.to(DEVICE, non_blocking=True) for name, values in batch.items()}


def greedy(logits: torch.Tensor) -> str:
    ids = torch.unique_consecutive(logits.argmax(-1)).tolist()
    return " ".join("".join(ALPHABET[i] for i in ids if i > 1).replace("|", " ").split())


@torch.no_grad()
def score(model, rows) -> dict[str, float]:
    model.eval()
    references, hypotheses = [], []
    for row in rows:
        samples, _ = soundfile.read(row["path"], dtype="float32")
        batch = to_device(collate([(samples, row["text"])]))
        hypotheses.append(greedy(model(batch["input_values"], attention_mask=batch["attention_mask"]).logits[0]))
        references.append(row["text"])
    model.train()
    return {
        "cer": round(jiwer.cer(references, hypotheses), 4),
        "wer": round(jiwer.wer(references, hypotheses), 4),
        "sample": f"{references[0]} | {hypotheses[0]}",
    }


def pretrain_spectra(model, loader, minutes: float) -> None:
    """Pretrain the convolutions: regress the log mel spectrum of their own input.

    The output of a random convolution stack depends on phase; learning spectra through CTC alone takes longer than all
    the rest. 80 bands, 25 ms frames every 20 ms: frame for frame what the model's output frames cover.
    """
    mel = torchaudio.transforms.MelSpectrogram(RATE, n_fft=400, hop_length=320, n_mels=80, center=False).to(DEVICE)
    encoder, readout = model.wav2vec2.feature_extractor, torch.nn.Linear(model.config.conv_dim[-1], 80).to(DEVICE)
    parameters = [*encoder.parameters(), *readout.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=2e-3, betas=(0.9, 0.98), fused=True)
    begun, step, losses = time.monotonic(), 0, []
    while (done := (time.monotonic() - begun) / (minutes * 60)) < 1:
        values = next(loader)["input_values"].to(DEVICE)
        target = (mel(values) + 1e-3).log().transpose(1, 2) / 3
        with torch.autocast(DEVICE.type, dtype=torch.bfloat16):
            predicted = readout(encoder(values).transpose(1, 2))
        loss = (predicted.float() - target).square().mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * min(1.0, step / 100) * (1 - 0.9 * done)
        optimizer.step()
        optimizer.zero_grad()
        step += 1
        losses.append(loss.item())
        if step % 100 == 0:
            print(f"spectra step {step}  loss {np.mean(losses[-100:]):.4f}", flush=True)


def rate(done: float, peak: float, flat: float) -> float:
    """Linear warm-up over 3 % of the budget, flat to the share `flat`, cosine to nothing. `done` is the share spent."""
    if done < 0.03:
        return peak * max(done / 0.03, 0.02)
    return peak * 0.5 * (1 + math.cos(math.pi * max(0.0, min(done, 1.0) - flat) / (1 - flat))) + 1e-6


def save(model, out: Path) -> None:
    """The checkpoint in half precision, with its processor, as `from_pretrained` reads it."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "vocab.json").write_text(json.dumps({s: n for n, s in enumerate(ALPHABET)}))
    tokenizer = Wav2Vec2CTCTokenizer(
        str(out / "vocab.json"),
        unk_token="<unk>",
        pad_token="<pad>",
        bos_token=None,
        eos_token=None,
        word_delimiter_token="|",
    )
    extractor = Wav2Vec2FeatureExtractor(1, RATE, 0.0, do_normalize=True, return_attention_mask=True)
    Wav2Vec2Processor(extractor, tokenizer).save_pretrained(out)
    half = Wav2Vec2ForCTC(model.config)
    half.load_state_dict({name: values.cpu() for name, values in model.state_dict().items()})
    half.half().save_pretrained(out)


class Training:
    """Everything that `OUT/state.pt` resumes: the model, its average, the optimizer, the steps and the time spent."""

    def __init__(self, out: Path, peak: float, base: Path | None, dropout: float = 0.0, mask: float = 0.0) -> None:
        self.state = out / "state.pt"
        self.model, self.average = (Wav2Vec2ForCTC(config()).to(DEVICE) for _ in range(2))
        if base:
            for module in self.model.modules():
                if isinstance(module, torch.nn.Dropout):
                    module.p = dropout  # of few human hours, the same clips come again and again
            if mask:
                self.mask_frames(mask)
            self.model.load_state_dict(Wav2Vec2ForCTC.from_pretrained(base, dtype=torch.float32).state_dict())
        self.reset_average()
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=peak, betas=(0.9, 0.98), weight_decay=0.01, fused=True
        )
        self.step, self.spent_s = 0, 0.0
        if self.state.exists():
            state = torch.load(self.state, map_location=DEVICE)
            self.model.load_state_dict(state["model"])
            self.average.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.step, self.spent_s = state["step"], state["spent"]

    def mask_frames(self, share: float) -> None:
        """Replace a share of the frames behind the convolutions, and half of it of their features, by zeros."""
        encoder = self.model.wav2vec2
        encoder.register_buffer(
            "masked_spec_embed", torch.zeros(encoder.config.hidden_size).to(DEVICE), persistent=False
        )
        encoder.config.update(
            {"mask_time_prob": share, "mask_time_length": 8, "mask_feature_prob": share / 2, "mask_feature_length": 16}
        )

    def reset_average(self) -> None:
        self.average.load_state_dict(self.model.state_dict())

    def update(self, batch: dict[str, torch.Tensor], learning_rate: float) -> tuple[float, float]:
        """Take a step, unless the gradient is not finite; -> loss and norm of the gradient."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        with torch.autocast(DEVICE.type, dtype=torch.bfloat16):
            loss = self.model(**to_device(batch)).loss
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        if torch.isfinite(norm):
            self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1
        with torch.no_grad():
            decay = min(0.999, self.step / (self.step + 100))
            torch._foreach_lerp_(list(self.average.parameters()), list(self.model.parameters()), 1 - decay)
        return loss.item(), norm.item()

    def save(self) -> None:
        """Replace the state as a whole."""
        state = {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "step": self.step,
            "spent": self.spent_s,
            "optimizer": self.optimizer.state_dict(),
        }
        torch.save(state, self.state.with_suffix(".part"))
        os.replace(self.state.with_suffix(".part"), self.state)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("speech", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=100)
    parser.add_argument("--spectra", type=float, default=4, help="minutes of spectrum regression beforehand")
    parser.add_argument("--peak", type=float, default=1e-3)
    parser.add_argument("--flat", type=float, default=0.55, help="share of the minutes after which the rate falls")
    parser.add_argument("--seconds", type=float, default=32)
    parser.add_argument("--workers", type=int, default=1, help="processes that load and augment")
    parser.add_argument("--dropout", type=float, default=0.05, help="with --base")
    parser.add_argument("--mask", type=float, default=0.0, help="share of frames to mask, with --base")
    parser.add_argument("--base", type=Path, help="a starter to train on from: no spectra, no short clips first")
    parser.add_argument("--check", type=Path, nargs="*", default=[], help="JSONL lists to score, never trained on")
    return parser.parse_args()


def main() -> None:
    options = parse_options()
    options.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    training = Training(options.out, options.peak, options.base, options.dropout, options.mask)
    longest = torch.multiprocessing.Value("d", LONGEST_S if options.base else 2.0)
    speech = Speech(options.speech, options.seconds, longest, training.step)
    loader = iter(DataLoader(speech, batch_size=None, num_workers=options.workers, prefetch_factor=8))
    if training.step == 0 and not options.base and options.spectra:
        pretrain_spectra(training.model, loader, options.spectra)
        training.reset_average()
    memory_format.use_best(training.model, DEVICE.type)
    checks = {path.stem: [json.loads(line) for line in path.read_text().splitlines()] for path in options.check}
    budget_s, begun, saved, audio_s, losses = options.minutes * 60, time.monotonic(), time.monotonic(), 0.0, []
    while training.spent_s < budget_s:
        done = training.spent_s / budget_s
        longest.value = LONGEST_S if options.base or done >= 0.15 else 2.0 if done < 0.06 else 3.5
        batch, learning_rate = next(loader), rate(done, options.peak, options.flat)
        loss, norm = training.update(batch, learning_rate)
        losses.append(loss)
        audio_s += batch["attention_mask"].sum().item() / RATE
        now = time.monotonic()
        training.spent_s, begun = training.spent_s + now - begun, now
        if training.step % 100 == 0:
            print(
                f"{training.spent_s:7.0f} s  step {training.step}  loss {np.mean(losses[-100:]):.3f}  norm {norm:.2f}  "
                f"lr {learning_rate:.1e}  audio {audio_s / 3600:.2f} h",
                flush=True,
            )
        if now - saved > 300:
            saved = now
            training.save()
            save(training.average, options.out / "model")
            print("   ", {name: score(training.average, rows[:80]) for name, rows in checks.items()}, flush=True)
            begun = time.monotonic()
    save(training.average, options.out / "model")
    print({name: score(training.average, rows) for name, rows in checks.items()}, flush=True)


if __name__ == "__main__":
    main()
