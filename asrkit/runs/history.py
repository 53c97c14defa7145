"""The history of a run as the diagnosis rules read it: its settings, losses and evaluations."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

BIG_MODEL = re.compile(r"(?<![a-z0-9])(large|xls-?r|xlsr|mms|300m|1b|2b|w2v-bert)(?![a-z0-9])", re.IGNORECASE)
BIG_PARAMETERS = 200_000_000
BIG_MODEL_RATE = 2e-4
"""Above this learning rate, models of 300 M parameters rarely leave the blank; recipes that work take 5e-5 to 1e-4."""

SMALL_UPDATE_S = 60.0
"""Seconds of audio per update below which the gradient of a big model's CTC loss is mostly noise."""


@dataclass(frozen=True)
class EvaluationScore:
    """One evaluation. Rates are fractions; None for numbers that are missing or not finite."""

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


@dataclass(frozen=True)
class RunHistory:
    """The input of the rules.

    settings: names as in TrainConfig. losses: (step, epoch, training loss or None). label_entropy: of the training
    texts, in nats per label. update_s: seconds of audio per optimizer step. parameters: of the model, if known. clip_s:
    median length of the training clips. precision: in which the run computes: bf16, fp16 or no (float32). is_over:
    whether training has ended.
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
