"""Evaluate a model on a manifest: decode every clip and score the texts.

Only the text of each clip is kept, so memory does not grow with the vocabulary or the length of the clips.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from asrkit.data.manifest import Utterance
from asrkit.decoding import ctc
from asrkit.decoding.greedy import GreedyDecoder
from asrkit.decoding.lexicon import LexiconDecoder
from asrkit.models import anatomy
from asrkit.models.anatomy import Anatomy
from asrkit.text import metrics
from asrkit.text.normalisers import normalise
from asrkit.training import distributed, failures
from asrkit.training.arguments import num_loader_workers
from asrkit.training.data import Batch, SpeechDataset
from asrkit.training.loaders import make_eval_loader
from asrkit.training.micro_batching import free_memory, take_clips
from asrkit.training.prefetch import prefetch

if TYPE_CHECKING:
    from asrkit.training.model import CtcModel

logger = logging.getLogger(__name__)

NUM_FIXED_SAMPLES, NUM_WORST_SAMPLES = 5, 3


@dataclass(frozen=True)
class Evaluation:
    """Result of one evaluation.

    loss: mean over clips of the CTC loss per label (nats), without the clips whose loss is infinite.
    num_infinite: clips whose text needs more frames than they have, so that their loss is infinite.
    greedy: with a word list, the scores of greedy decoding on the same frames (the acoustic model alone).
    wer_interval: 95 % confidence, by the bootstrap.
    blank_share: share of true frames whose most likely token is the blank.
    unknown_share: share of the decoded tokens that are the unknown token.
    samples: `{"id", "audio", "reference", "hypothesis", "worst"}`.
    """

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
    num_infinite: int = 0

    def to_event_data(self) -> dict[str, Any]:
        """Return the data of an `eval` event."""
        rates = {"wer": self.scores.wer, "cer": self.scores.cer, "mer": self.scores.mer}
        return {
            "loss": self.loss,
            **({"infinite_losses": self.num_infinite} if self.num_infinite else {}),
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
    """The evaluation ended early because the run is to stop."""


@dataclass
class _ProcessResult:
    """Result of one process: text and finite loss of each clip by its index in the manifest, and totals over clips."""

    hypotheses: dict[int, str] = field(default_factory=dict)
    greedy: dict[int, str] = field(default_factory=dict)
    losses: dict[int, float] = field(default_factory=dict)
    num_blanks: int = 0
    num_frames: int = 0
    num_unknown: int = 0
    num_tokens: int = 0
    audio_seconds: float = 0.0


def evaluate(
    model: CtcModel,
    processor: Any,
    utterances: Sequence[Utterance],
    *,
    batch_size: int,
    normaliser: str,
    lexicon_decoder: LexiconDecoder | None = None,
    on_progress: Callable[[int, int], bool] = lambda done, total: True,
) -> Evaluation:
    """Decode (greedily, or with `lexicon_decoder`) and score; references and hypotheses are normalised alike.

    Each of several processes evaluates its share of the clips, and all of them return the whole result.
    on_progress: called with the number of evaluated clips and of all clips; if it returns False on one process,
    `Interrupted` is raised on all of them.
    """
    start, was_training = time.monotonic(), model.training
    model.eval()
    try:
        result = _evaluate_share(model, processor, utterances, batch_size, lexicon_decoder, on_progress)
    finally:
        model.train(was_training)
    all_results = distributed.all_gather(result)
    results = [result for result in all_results if result is not None]
    if len(results) < len(all_results):
        raise Interrupted
    losses = [loss for result in results for loss in result.losses.values()]
    references = [normalise(row.text, normaliser) for row in utterances]
    greedy = _merge_texts([result.greedy for result in results], normaliser)
    hypotheses = _merge_texts([result.hypotheses for result in results], normaliser) if lexicon_decoder else greedy
    return Evaluation(
        loss=float(np.mean(losses)) if losses else math.inf,
        scores=metrics.score(references, hypotheses),
        greedy=metrics.score(references, greedy) if lexicon_decoder else None,
        wer_interval=metrics.bootstrap_wer_interval(references, hypotheses),
        blank_share=sum(result.num_blanks for result in results) / max(1, sum(result.num_frames for result in results)),
        unknown_share=sum(result.num_unknown for result in results)
        / max(1, sum(result.num_tokens for result in results)),
        utterances=len(utterances),
        audio_seconds=sum(result.audio_seconds for result in results),
        seconds=time.monotonic() - start,
        samples=_select_samples(utterances, references, hypotheses),
        num_infinite=len(utterances) - len(losses),
    )


def _merge_texts(shares: list[dict[int, str]], normaliser: str) -> list[str]:
    """Return the normalised texts of all processes, in the order of the manifest."""
    texts = {index: text for share in shares for index, text in share.items()}
    return [normalise(texts[index], normaliser) for index in sorted(texts)]


def _evaluate_share(
    model: CtcModel,
    processor: Any,
    utterances: Sequence[Utterance],
    batch_size: int,
    lexicon_decoder: LexiconDecoder | None,
    on_progress: Callable[[int, int], bool],
) -> _ProcessResult | None:
    """Evaluate this process's share of the clips; None if `on_progress` returned False."""
    result = _ProcessResult()
    parts = anatomy.of(model, processor)
    greedy = GreedyDecoder(processor, parts.blank_id)
    # Where padding changes a clip's own frames, clips are evaluated one by one.
    size = batch_size if parts.is_batch_invariant else 1
    longest_first = sorted(range(len(utterances)), key=lambda index: -utterances[index].duration_s)
    share = longest_first[distributed.RANK :: distributed.WORLD_SIZE]
    device = next(model.parameters()).device
    loader = make_eval_loader(
        SpeechDataset(utterances, processor),
        [share[start : start + size] for start in range(0, len(share), size)],
        processor,
        # On a CPU, further processes would slow the model down.
        num_workers=num_loader_workers() if device.type == "cuda" else 0,
    )
    batches = prefetch(loader, device)
    num_remaining, max_clips = len(share), size
    while num_remaining:
        if not on_progress(len(utterances) - num_remaining * distributed.WORLD_SIZE, len(utterances)):
            return None
        batch = next(batches)
        max_clips = _decode_fitting(model, parts, greedy, batch, max_clips, lexicon_decoder, result)
        num_remaining -= len(batch["labels"])
    return result


def _decode_fitting(
    model: CtcModel,
    parts: Anatomy,
    greedy: GreedyDecoder,
    batch: Batch,
    max_clips: int,
    lexicon_decoder: LexiconDecoder | None,
    result: _ProcessResult,
) -> int:
    """Decode a batch, at most `max_clips` at once; return how many fit. Raises the error where not even one does."""
    num_clips, start = len(batch["labels"]), 0
    while start < num_clips:
        part = take_clips(batch, start, start + max_clips)
        try:
            _decode_batch(model, parts, greedy, part, lexicon_decoder, result)
        except RuntimeError as error:
            if not failures.is_out_of_memory(error) or len(part["labels"]) == 1:
                raise
        else:
            start += max_clips
            continue
        # Outside the handler, because the exception holds on to the memory.
        max_clips = len(part["labels"]) // 2
        free_memory()
        logger.warning("%d clips do not fit into memory at once; continuing with %d.", len(part["labels"]), max_clips)
    return max_clips


def _decode_batch(
    model: CtcModel,
    parts: Anatomy,
    greedy: GreedyDecoder,
    batch: Batch,
    lexicon_decoder: LexiconDecoder | None,
    result: _ProcessResult,
) -> None:
    """Add texts, losses and totals of a batch to `result`."""
    device, indices = next(model.parameters()).device, batch["about"]["clips"]
    inputs = {name: value.to(device) for name, value in batch.items() if name != "about"}
    with torch.inference_mode():
        output = model(**inputs)
    ids, frame_counts = output.logits.argmax(-1).cpu(), parts.count_batch_frames(inputs).cpu()
    # Where memory runs out, it does so before anything is added to the result.
    probs = output.logits.float().softmax(-1).cpu().numpy() if lexicon_decoder else None
    result.audio_seconds += batch["about"]["audio_seconds"]
    # The model's loss is the mean over the batch, where an infinite one counts as 0 (`ctc_zero_infinity`).
    is_infinite = parts.is_infeasible(batch["labels"].cpu(), frame_counts).tolist()
    finite = [index for index, infinite in zip(indices, is_infinite, strict=True) if not infinite]
    if finite:
        result.losses |= dict.fromkeys(finite, float(output.loss) * len(indices) / len(finite))
    for index, row, count in zip(indices, ids, frame_counts, strict=True):
        true_ids = row[:count].tolist()
        result.num_blanks += true_ids.count(greedy.blank_id)
        result.num_frames += int(count)
        tokens = ctc.collapse(true_ids, greedy.blank_id)
        result.num_tokens += len(tokens)
        result.num_unknown += sum(token == parts.unknown_id for token in tokens)
        result.greedy[index] = greedy.to_text(true_ids)
    if lexicon_decoder and probs is not None:
        result.hypotheses |= {
            index: " ".join(word.word for word in lexicon_decoder.search(frames[:count]))
            for index, frames, count in zip(indices, probs, frame_counts, strict=True)
        }


def _select_samples(
    utterances: Sequence[Utterance], references: list[str], hypotheses: list[str]
) -> list[dict[str, Any]]:
    """Select a few clips spread over the set, the same in every evaluation, and those with the highest CER."""
    spread = np.linspace(0, len(utterances) - 1, min(NUM_FIXED_SAMPLES, len(utterances)))
    fixed = sorted({round(index) for index in spread})
    rates = [metrics.score([r], [h]).cer.rate for r, h in zip(references, hypotheses, strict=True)]
    by_rate = [int(index) for index in np.argsort(rates)[::-1]]
    worst = [index for index in by_rate if index not in fixed and rates[index] > 0][:NUM_WORST_SAMPLES]
    return [
        {
            "id": utterances[index].id,
            "audio": utterances[index].audio,
            "reference": references[index],
            "hypothesis": hypotheses[index],
            "worst": index in worst,
        }
        for index in [*fixed, *worst]
    ]
