"""Hypotheses and scores of a model on a manifest. What is kept for each clip is its text, so memory does not grow with
the vocabulary or with the length of the clips."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from asrkit.data.manifest import Utterance
from asrkit.decoding import ctc
from asrkit.decoding.greedy import GreedyDecoder
from asrkit.decoding.lexicon import LexiconDecoder
from asrkit.text import metrics
from asrkit.text.normalizers import normalize
from asrkit.training import distributed, failures
from asrkit.training.data import Collator, SpeechDataset, wants_mask
from asrkit.training.model import frame_counts

SAMPLES_FIXED, SAMPLES_WORST = 5, 3


@dataclass(frozen=True)
class Evaluation:
    """loss: mean over clips of the CTC loss a label (nats). blank_share: share of true frames whose best token is the
    blank. unknown_share: share of the written tokens that stand for no letter. samples: `{"id", "audio", "reference",
    "hypothesis", "worst"}`. greedy: where `scores` are those of a word list, the scores of the greedy decoding of the
    same frames: what the acoustic model hears by itself. wer_interval: 95 %, by the bootstrap."""

    loss: float
    scores: metrics.Scores
    greedy: metrics.Scores | None
    wer_interval: tuple[float, float]
    blank_share: float
    unknown_share: float
    utterances: int
    audio_seconds: float
    seconds: float
    samples: list[dict[str, Any]]

    def to_data(self) -> dict[str, Any]:
        """What an `eval` event holds."""
        rates = {"wer": self.scores.wer, "cer": self.scores.cer, "mer": self.scores.mer}
        return {
            "loss": self.loss,
            **{name: rate.rate for name, rate in rates.items()},
            **({"greedy_wer": self.greedy.wer.rate, "greedy_cer": self.greedy.cer.rate} if self.greedy else {}),
            "wer_interval": list(self.wer_interval),
            "counts": {
                name: {
                    "substitutions": rate.substitutions,
                    "deletions": rate.deletions,
                    "insertions": rate.insertions,
                    "reference_length": rate.reference_length,
                }
                for name, rate in rates.items()
            },
            "blank_share": self.blank_share,
            "unknown_share": self.unknown_share,
            "length_ratio": self.scores.length_ratio,
            "utterances": self.utterances,
            "audio_seconds": round(self.audio_seconds, 2),
            "seconds": round(self.seconds, 2),
            "samples": self.samples,
        }


class Interrupted(Exception):
    """Somebody asked for the end of the run while it was being evaluated."""


@dataclass
class _Heard:
    """What one process found: by place in the manifest, the text and the loss of each clip; counts over all of them."""

    hypotheses: dict[int, str] = field(default_factory=dict)
    greedy: dict[int, str] = field(default_factory=dict)
    losses: dict[int, float] = field(default_factory=dict)
    blanks: int = 0
    frames: int = 0
    unknown: int = 0
    written: int = 0
    audio_seconds: float = 0.0


def evaluate(
    model: torch.nn.Module,
    processor: Any,
    utterances: Sequence[Utterance],
    *,
    batch_size: int,
    normaliser: str,
    loop: LexiconDecoder | None = None,
    progress: Callable[[int, int], bool] = lambda done, total: True,
) -> Evaluation:
    """Decode (greedily, or with the words of `loop`) and score; both sides go through the same normaliser.

    Where several processes train the run, each hears its share and every one of them gets the whole result.
    progress: called with clips done and all clips; when it answers False, `Interrupted` is raised, on every process.
    """
    begun, was_training = time.monotonic(), model.training
    model.eval()
    try:
        mine = _hear(model, processor, utterances, batch_size, loop, progress)
    finally:
        model.train(was_training)
    parts = distributed.gathered(mine)
    if None in parts:
        raise Interrupted
    losses = [loss for part in parts for loss in part.losses.values()]
    references = [normalize(row.text, normaliser) for row in utterances]
    greedy = _in_order([part.greedy for part in parts], normaliser)
    hypotheses = _in_order([part.hypotheses for part in parts], normaliser) if loop else greedy
    return Evaluation(
        float(np.mean(losses)),
        metrics.score(references, hypotheses),
        metrics.score(references, greedy) if loop else None,
        metrics.bootstrap_wer_interval(references, hypotheses),
        sum(part.blanks for part in parts) / max(1, sum(part.frames for part in parts)),
        sum(part.unknown for part in parts) / max(1, sum(part.written for part in parts)),
        len(losses),
        sum(part.audio_seconds for part in parts),
        time.monotonic() - begun,
        _samples(utterances, references, hypotheses),
    )


def _in_order(parts: list[dict[int, str]], normaliser: str) -> list[str]:
    texts = {place: text for part in parts for place, text in part.items()}
    return [normalize(texts[place], normaliser) for place in sorted(texts)]


def _hear(
    model: torch.nn.Module,
    processor: Any,
    utterances: Sequence[Utterance],
    batch_size: int,
    loop: LexiconDecoder | None,
    progress: Callable[[int, int], bool],
) -> _Heard | None:
    """This process's share of the clips, or None where it was told to stop."""
    dataset, collator, heard = SpeechDataset(utterances, processor), Collator(processor), _Heard()
    greedy = GreedyDecoder(processor, model.config.pad_token_id)
    # Without a mask, padding changes what a clip's own frames see: such models are evaluated clip by clip.
    size = batch_size if wants_mask(processor.feature_extractor) else 1
    left = sorted(range(len(utterances)), key=lambda index: -utterances[index].duration_s)[
        distributed.RANK :: distributed.WORLD
    ]
    while left:
        if not progress(len(utterances) - len(left) * distributed.WORLD, len(utterances)):
            return None
        chosen = left[:size]
        batch = collator([dataset[index] for index in chosen])
        try:
            _listen(model, greedy, processor.tokenizer.unk_token_id, batch, chosen, loop, heard)
        except RuntimeError as error:
            if not failures.out_of_memory(error) or len(chosen) == 1:
                raise
            size = len(chosen) // 2
            print(f"{len(chosen)} clips did not fit into memory at once; going on with {size}.", flush=True)
        else:
            left = left[size:]
    return heard


def _listen(
    model: torch.nn.Module,
    greedy: GreedyDecoder,
    unknown_id: int,
    batch: dict[str, Any],
    chosen: list[int],
    loop: LexiconDecoder | None,
    heard: _Heard,
) -> None:
    """Add what the model makes of a Batch, whose clips have the places `chosen` in the manifest, to `heard`."""
    device = next(model.parameters()).device
    inputs = {name: value.to(device) for name, value in batch.items() if name != "about"}
    with torch.inference_mode():
        answer = model(**inputs)
    ids, counts = answer.logits.argmax(-1).cpu(), frame_counts(model, inputs).cpu()
    heard.audio_seconds += batch["about"]["audio_seconds"]
    # The model's loss is the mean over the batch; weighted by clips, batches add up to the mean over all.
    heard.losses |= dict.fromkeys(chosen, float(answer.loss))
    for index, row, count in zip(chosen, ids, counts, strict=True):
        true = row[:count].tolist()
        heard.blanks += true.count(greedy.blank_id)
        heard.frames += int(count)
        labels = ctc.collapse(true, greedy.blank_id)
        heard.written += len(labels)
        heard.unknown += labels.count(unknown_id)
        heard.greedy[index] = greedy.to_text(true)
    if loop:
        seen = answer.logits.float().softmax(-1).cpu().numpy()
        heard.hypotheses |= {
            index: " ".join(one.word for one in loop.search(frames[:count]))
            for index, frames, count in zip(chosen, seen, counts, strict=True)
        }


def _samples(rows: Sequence[Utterance], references: list[str], hypotheses: list[str]) -> list[dict[str, Any]]:
    """The same few clips each time, spread over the set, and the worst by CER."""
    fixed = sorted({round(place) for place in np.linspace(0, len(rows) - 1, min(SAMPLES_FIXED, len(rows)))})
    errors = [metrics.score([r], [h]).cer.rate for r, h in zip(references, hypotheses, strict=True)]
    worst = [index for index in np.argsort(errors)[::-1] if index not in fixed and errors[index] > 0][:SAMPLES_WORST]
    return [
        {
            "id": rows[index].id,
            "audio": rows[index].audio,
            "reference": references[index],
            "hypothesis": hypotheses[index],
            "worst": index in worst,
        }
        for index in [*fixed, *map(int, worst)]
    ]
