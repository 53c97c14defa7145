"""Right: the GPU computes what the CPU computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.nn import functional

from asrkit.config import TrainConfig
from asrkit.training.data import Collator, SpeechDataset
from asrkit.training.model import load
from asrkit.transcription.engine import Engine
from tests.gpu import models, speech
from tests.gpu.pack import Pack
from tests.support.evaluation import evaluate as evaluate_clips

TOLERANCES = {torch.float32: 1e-4, torch.bfloat16: 0.1, torch.float16: 0.03}
"""Largest relative error of the loss and of the whole gradient. The model's rounding is 6e-8, 4e-3 and 5e-4."""
LOSS_SCALE = 1024.0


def run(pack: Pack) -> None:
    if pack.has_gpu:  # float32 as on the CPU
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    rows = speech.write_clips(pack.folder / "clips", speech.draw_lengths("common-voice", pack.pick(40.0, 12.0)))
    for shape in ("middle", "w2v-bert"):
        sizes = {"hidden_size": 256, "num_hidden_layers": 6, "num_attention_heads": 4, "intermediate_size": 512}
        base = models.write_checkpoint(pack.folder / shape, shape, pack.is_small, **pack.pick(sizes, {}))
        compare_gradients(pack, shape, base, rows)
        compare_batches(pack, shape, base, rows)
    compare_ctc(pack)


def compare_gradients(pack: Pack, shape: str, base: Any, rows: list[Any]) -> None:
    """Compare the loss and the whole gradient with those of the CPU in float32."""
    config = TrainConfig(preset="", model=str(base), freeze="nothing")
    processor, model = load(str(base), config, [])
    dataset = SpeechDataset(rows, processor)
    batch = Collator(processor)([dataset[index] for index in range(min(4, len(rows)))])
    batch.pop("about")
    expected_loss, expected = compute(model, batch, torch.device("cpu"), torch.float32)
    for dtype, tolerance in TOLERANCES.items():
        loss, gradient = compute(model, batch, pack.device, dtype)
        name = f"{shape}, {str(dtype).removeprefix('torch.')}"
        pack.measure(
            f"{name}: relative error of the loss",
            abs(loss - expected_loss) / abs(expected_loss),
            at_most=tolerance,
            is_exact=True,
        )
        error = float((gradient - expected).norm() / expected.norm())
        pack.measure(f"{name}: relative error of the gradient", error, at_most=tolerance, is_exact=True)


def compute(
    model: Any, batch: dict[str, torch.Tensor], device: torch.device, dtype: torch.dtype
) -> tuple[float, torch.Tensor]:
    """Return the loss and the gradient of all weights as one float64 vector on the CPU. fp16 with loss scaling."""
    model.to(device).eval()  # without dropout
    model.zero_grad()
    scale = LOSS_SCALE if dtype == torch.float16 else 1.0
    inputs = {name: value.to(device) for name, value in batch.items()}
    with torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32):
        loss = model(**inputs).loss
    (loss * scale).backward()
    parts = [parameter.grad.flatten().double().cpu() for parameter in model.parameters() if parameter.grad is not None]
    return float(loss), torch.cat(parts) / scale


def compare_ctc(pack: Pack) -> None:
    """Compare torch's CTC on the device, and cuDNN's where it applies, with float64 on the CPU."""
    generator = torch.Generator().manual_seed(0)
    frames, clips, tokens = 200, 8, 40
    logits = torch.randn(frames, clips, tokens, generator=generator)
    target_lengths = torch.randint(5, 40, (clips,), generator=generator, dtype=torch.int32)
    targets = torch.randint(1, tokens, (int(target_lengths.sum()),), generator=generator, dtype=torch.int32)
    input_lengths = torch.full((clips,), frames, dtype=torch.int32)  # cuDNN's takes full lengths only

    def loss_and_gradient(device: torch.device, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
        values = logits.to(device, dtype, copy=True).requires_grad_()
        loss = functional.ctc_loss(
            values.log_softmax(-1), targets, input_lengths, target_lengths, blank=0, reduction="sum"
        )
        loss.backward()
        assert values.grad is not None
        return loss.detach().double().cpu(), values.grad.double().cpu()

    expected_loss, expected = loss_and_gradient(torch.device("cpu"), torch.float64)
    for name, uses_cudnn in (("torch's CTC", False), ("cuDNN's CTC", True)):
        with torch.backends.cudnn.flags(enabled=uses_cudnn):
            if uses_cudnn and not is_cudnn_ctc(pack, logits, targets, input_lengths, target_lengths):
                pack.skip(name, "torch does not choose it here" if pack.has_gpu else "there is no GPU")
                continue
            loss, gradient = loss_and_gradient(pack.device, torch.float32)
        errors = [
            float((found - wanted).norm() / wanted.norm())
            for found, wanted in ((loss, expected_loss), (gradient, expected))
        ]
        pack.measure(f"{name}: relative error against float64", max(errors), at_most=1e-3, is_exact=True)


def is_cudnn_ctc(pack: Pack, logits: torch.Tensor, targets: torch.Tensor, *lengths: torch.Tensor) -> bool:
    """Whether torch would hand this loss to cuDNN."""
    if not pack.has_gpu:
        return False
    log_probs = logits.to(pack.device).log_softmax(-1)
    return bool(torch._use_cudnn_ctc_loss(log_probs, targets, *(length.tolist() for length in lengths), 0))


def compare_batches(pack: Pack, shape: str, base: Any, rows: list[Any]) -> None:
    """Compare clips in batches with the same clips one by one, in training's evaluation and in transcription."""
    processor, model = load(str(base), TrainConfig(preset="", model=str(base)), [])
    model.to(pack.device)
    alone, together = (evaluate_clips(model, processor, rows, batch_size=size, normaliser="none") for size in (1, 8))
    pack.check(
        f"{shape}: WER and CER do not depend on the batch",
        (alone.scores.wer.rate, alone.scores.cer.rate) == (together.scores.wer.rate, together.scores.cer.rate),
        f"{alone.scores.wer.rate:.4f} and {together.scores.wer.rate:.4f}",
    )
    pack.measure(
        f"{shape}: difference of the evaluation loss", abs(alone.loss / together.loss - 1), at_most=1e-4, is_exact=True
    )
    engine = Engine(str(base), pack.device.type)
    clips = [SpeechDataset(rows, processor)[index]["features"] for index in range(len(rows))]
    clips = [clip if clip.ndim == 1 else np.zeros(16_000, np.float32) for clip in clips]
    for dtype, tolerance in {engine.dtype: 0.5, torch.float32: 1e-3}.items():
        engine.model.to(dtype)
        engine.dtype = dtype
        batched = engine.log_probabilities(clips)
        largest = max(
            float(np.abs(engine.log_probabilities([clip])[0] - found).max())
            for clip, found in zip(clips, batched, strict=True)
        )
        name = str(dtype).removeprefix("torch.")
        pack.measure(f"{shape}, {name}: log posteriors by batch", largest, at_most=tolerance, is_exact=True)
