"""The result of one evaluation: the scores of the texts that a model decoded from clips of a manifest."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from asrkit.data.manifest import Utterance
from asrkit.text import metrics
from asrkit.text.normalisers import normalise
from asrkit.training.clip_decoding import ClipResult

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
    num_bad: clips that were left out, because they turned out bad. num_available: clips of which these are a sample;
    None for all. by_dataset: the error rates of each dataset and its clips, where there are several. start_sample:
    scores on those of the clips that were evaluated before the first step, where these were fewer.
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
    num_bad: int = 0
    num_available: int | None = None
    start_sample: metrics.Scores | None = None
    by_dataset: dict[str, dict[str, float]] = field(default_factory=dict)

    def to_event_data(self) -> dict[str, Any]:
        """Return the data of an `eval` event."""
        rates = _list_rates(self.scores)
        start_rates = _list_rates(self.start_sample) if self.start_sample else {}
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
            **({"num_bad_clips": self.num_bad} if self.num_bad else {}),
            "of": self.utterances if self.num_available is None else self.num_available,
            **({"datasets": self.by_dataset} if self.by_dataset else {}),
            **({"start_sample": {name: rate.rate for name, rate in start_rates.items()}} if start_rates else {}),
            "audio_seconds": round(self.audio_seconds, 2),
            "seconds": round(self.seconds, 2),
            "samples": self.samples,
        }


def _list_rates(scores: metrics.Scores) -> dict[str, metrics.ErrorRate]:
    return {"wer": scores.wer, "cer": scores.cer, "mer": scores.mer}


def score_clips(
    utterances: Sequence[Utterance],
    results: Mapping[int, ClipResult],
    normaliser: str,
    seconds: float,
    has_word_list: bool = False,
) -> Evaluation:
    """Score decoded clips; references and hypotheses are normalised alike.

    results: by index in the manifest. seconds: that decoding took. has_word_list: whether a word list was used.
    """
    clips = sorted(results)
    rows, decoded = [utterances[index] for index in clips], [results[index] for index in clips]
    references = [normalise(row.text, normaliser) for row in rows]
    hypotheses = [normalise(result.hypothesis, normaliser) for result in decoded]
    greedy = [normalise(result.greedy, normaliser) for result in decoded] if has_word_list else None
    losses = [result.loss for result in decoded if result.loss is not None]
    return Evaluation(
        loss=float(np.mean(losses)) if losses else math.inf,
        scores=metrics.score(references, hypotheses),
        greedy=metrics.score(references, greedy) if greedy is not None else None,
        wer_interval=metrics.bootstrap_wer_interval(references, hypotheses),
        blank_share=sum(result.num_blanks for result in decoded) / max(1, sum(result.num_frames for result in decoded)),
        unknown_share=sum(result.num_unknown for result in decoded)
        / max(1, sum(result.num_tokens for result in decoded)),
        utterances=len(rows),
        audio_seconds=sum(row.duration_s for row in rows),
        seconds=seconds,
        samples=_select_samples(rows, references, hypotheses),
        num_infinite=len(rows) - len(losses),
        by_dataset=_score_datasets(rows, references, hypotheses),
    )


def _score_datasets(
    rows: Sequence[Utterance], references: Sequence[str], hypotheses: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Return the error rates, and the number of clips, of each of several datasets."""
    texts: dict[str, list[tuple[str, str]]] = {}
    for row, pair in zip(rows, zip(references, hypotheses, strict=True), strict=True):
        texts.setdefault(row.dataset or "", []).append(pair)
    if len(texts) < 2:
        return {}
    scores: dict[str, dict[str, float]] = {}
    for name, pairs in sorted(texts.items()):
        rates = _list_rates(metrics.score([reference for reference, _ in pairs], [made for _, made in pairs]))
        scores[name] = {kind: rate.rate for kind, rate in rates.items()} | {"utterances": len(pairs)}
    return scores


def score_texts(utterances: Sequence[Utterance], results: Mapping[int, ClipResult], normaliser: str) -> metrics.Scores:
    """Return the error rates of decoded clips alone; the parameters are those of `score_clips`."""
    return metrics.score(
        [normalise(utterances[index].text, normaliser) for index in results],
        [normalise(result.hypothesis, normaliser) for result in results.values()],
    )


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
