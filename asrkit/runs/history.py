"""The history of a run as the diagnosis rules read it: its settings, losses and evaluations."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

BIG_MODEL = re.compile(r"(?<![a-z0-9])(large|xls-?r|xlsr|mms|300m|1b|2b|w2v-bert)(?![a-z0-9])", re.IGNORECASE)
BIG_PARAMETERS = 200_000_000
BIG_MODEL_RATE = 2e-4
"""Above this learning rate, models of 300 M parameters rarely leave the blank; recipes that work take 5e-5 to 1e-4."""

SMALL_UPDATE_S = 60.0
"""Seconds of audio per update below which the gradient of a big model's CTC loss is mostly noise."""


METRICS = ("loss", "wer", "cer", "mer")
_DETAILS = ("blank_share", "length_ratio", "wer_interval", "unknown_share", "start_sample")


@dataclass(frozen=True)
class EvaluationScore:
    """One evaluation. Rates are fractions; None for numbers that are missing or not finite.

    clips: on which it was made, 0 if unknown. start_sample: the rates on those of the clips that the evaluation before
    the first step had, where that had fewer.
    """

    step: int
    epoch: float
    loss: float | None
    wer: float | None = None
    cer: float | None = None
    mer: float | None = None
    blank_share: float | None = None
    length_ratio: float | None = None
    wer_interval: tuple[float, float] | None = None
    unknown_share: float | None = None
    clips: int = 0
    start_sample: Mapping[str, float | None] | None = None

    @classmethod
    def from_data(cls, data: Mapping[str, Any], step: int = 0, epoch: float = 0.0) -> EvaluationScore:
        """Make a score from the data of an `eval` event."""
        metrics = {name: data.get(name) for name in METRICS}
        finite = {
            name: value if value is not None and math.isfinite(value) else None for name, value in metrics.items()
        }
        details = {name: data.get(name) for name in _DETAILS}
        return cls(step, epoch, **finite, **details, clips=data.get("utterances", 0))

    def get(self, metric: str) -> float | None:
        """Return one of `METRICS`."""
        value: float | None = getattr(self, metric)
        return value

    def is_better_than(self, other: EvaluationScore | None, metric: str) -> bool:
        """Whether the metric is known and lower, on the clips of the other evaluation where that had fewer."""
        if other is None or other.get(metric) is None:
            return self.get(metric) is not None
        value, before = self._get_on_clips_of(other, metric), other.get(metric)
        return value is not None and before is not None and value < before

    def differs_from(self, other: EvaluationScore, metric: str = "wer") -> bool:
        """Whether a metric differs by more than chance explains: the 95 % interval of the difference is without 0.

        On the clips of the other evaluation where that had fewer. The interval follows from both intervals (Zou and
        Donner, "Construction of confidence limits about effect measures", Statistics in Medicine 2008) as for
        evaluations on different clips; on the same clips a difference varies less.
        """
        value, before = self._get_on_clips_of(other, metric), other.get(metric)
        if value is None or before is None:
            return False
        low, high = (other if self._has_clips_of(other) else self)._interval(metric, value)
        low_before, high_before = other._interval(metric, before)
        if value < before:
            return before - value > math.hypot(before - low_before, high - value)
        return value - before > math.hypot(high_before - before, value - low)

    def is_improvement_on(self, other: EvaluationScore | None, metric: str) -> bool:
        """Whether the metric is lower by more than chance explains."""
        return self.is_better_than(other, metric) and (other is None or self.differs_from(other, metric))

    def _has_clips_of(self, other: EvaluationScore) -> bool:
        return self.start_sample is not None and other.clips < self.clips

    def _get_on_clips_of(self, other: EvaluationScore, metric: str) -> float | None:
        value = self.get(metric)
        return self.start_sample.get(metric, value) if self.start_sample and self._has_clips_of(other) else value

    def _interval(self, metric: str, value: float) -> tuple[float, float]:
        """Return the 95 % interval of a metric, for CER and MER as wide as WER's in proportion to their value.

        An unknown one, and that of the loss, are taken to be the value alone.
        """
        if metric == "loss" or not self.wer or not self.wer_interval:
            return value, value
        low, high = self.wer_interval
        return low * value / self.wer, high * value / self.wer


@dataclass(frozen=True)
class RunHistory:
    """The input of the rules.

    settings: names as in TrainConfig. losses: (step, epoch, training loss or None). label_entropy: of the training
    texts, in nats per label. update_s: seconds of audio per optimizer step. parameters: of the model, if known. clip_s:
    median length of the training clips. precision: in which the run computes: bf16, fp16 or no (float32). is_over:
    whether training has ended. final: the evaluation of the best model on all clips.
    """

    settings: dict[str, Any]
    scores: list[EvaluationScore]
    losses: list[tuple[int, float, float | None]] = field(default_factory=list)
    label_entropy: float | None = None
    update_s: float | None = None
    parameters: int | None = None
    clip_s: float | None = None
    precision: str | None = None
    is_over: bool = False
    final: EvaluationScore | None = None

    @property
    def is_big(self) -> bool:
        """Whether the trained part is so large that it needs low learning rates: by count, else by the model's name."""
        if str(self.settings.get("freeze", "")).startswith(("all-but-", "lora")):
            return False
        if self.parameters is not None:
            return self.parameters >= BIG_PARAMETERS
        return bool(BIG_MODEL.search(str(self.settings.get("model", ""))))

    @property
    def learning_rate(self) -> float:
        return float(self.settings.get("learning_rate") or 0)

    @property
    def has_high_learning_rate(self) -> bool:
        """Whether the learning rate is far above what works for a model of this size."""
        return self.is_big and self.learning_rate > BIG_MODEL_RATE

    @property
    def has_small_updates(self) -> bool:
        return self.update_s is not None and self.update_s < SMALL_UPDATE_S

    @property
    def warmup_steps(self) -> int:
        return int(self.settings.get("warmup_steps") or 0)

    @property
    def metric(self) -> str:
        """The rate by which the best evaluation is chosen; `loss`, too, may be chosen."""
        return str(self.settings.get("metric_for_best_model") or "wer")

    @property
    def start(self) -> EvaluationScore | None:
        """The evaluation before the first step, if there was one."""
        return self.scores[0] if self.scores and self.scores[0].step == 0 else None
