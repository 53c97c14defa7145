"""EvaluationSettings: when a run is evaluated and saved, and which model is kept."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from asrkit.config.fields import setting

_setting = partial(setting, group="Evaluation")

MAX_TIME_SHARE = 0.1
"""Share of a run's time that evaluations during training may take where `eval_max_clips` is 0."""


def max_evaluation_s(training_s: float) -> float:
    """Return the seconds that all evaluations of a run that trains for `training_s` seconds may take."""
    return training_s * MAX_TIME_SHARE / (1 - MAX_TIME_SHARE)


@dataclass(frozen=True)
class EvaluationSettings:
    """The fields of TrainConfig in the form's group Evaluation."""

    eval_steps: int = _setting(
        0,
        "Evaluate every (steps)",
        "0 evaluates at the end of each epoch.",
        low=0,
        high=1_000_000,
    )
    eval_on_start: bool = _setting(
        True,
        "Evaluate before training",
        "Shows the error rates of the base model.",
    )
    eval_max_clips: int = _setting(
        0,
        "Evaluation sample",
        "Clips that an evaluation during training is made on, spread over speakers and lengths: 0 takes as many as "
        "keep evaluations within a tenth of the run's time, -1 all. Before the first step there are 64 at most.",
        low=-1,
        high=1_000_000,
    )
    eval_on_end: bool = _setting(
        True,
        "Evaluate on all clips at the end",
        "Where a sample was evaluated, the best model is scored on all clips after training; a stop skips it, and it "
        "can be done later.",
    )
    decoding: str = _setting(
        "greedy",
        "Decoding",
        "greedy: any spelling. words: only words of the training transcripts: for commands, names and callsigns.",
        choices=("greedy", "words"),
    )
    save_steps: int = _setting(
        0,
        "Save every (steps)",
        "0 saves a checkpoint at each evaluation.",
        low=0,
        high=1_000_000,
    )
    save_total_limit: int = _setting(
        2,
        "Checkpoints kept",
        "Older ones are deleted; the best model is kept separately.",
        low=1,
        high=1000,
    )
    metric_for_best_model: str = _setting(
        "wer",
        "Best model by",
        "Metric; the lowest value is best.",
        choices=("wer", "cer", "mer", "loss"),
    )
    early_stopping_patience: int = _setting(
        0,
        "Early stopping patience",
        "Stop after this many evaluations without improvement; 0 never does.",
        low=0,
        high=1000,
    )
    logging_steps: int = _setting(
        10,
        "Log every (steps)",
        "How often the training loss is recorded.",
        low=1,
        high=10_000,
    )
