"""The schedule of a run: evaluation, saving, stopping, and the choice of the best evaluation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from asrkit.config import TrainConfig
from asrkit.runs import collapse, events
from asrkit.runs.history import EvaluationScore
from asrkit.runs.run import CANCEL, EVALUATE, SAVE, Run
from asrkit.training import distributed
from asrkit.training.findings import FindingReporter


class BestTracker:
    """The best evaluation so far, and the number of evaluations since the last improvement.

    The best has the lowest metric. An improvement is lower than the one before by more than chance explains. While
    nothing is recognised yet, the error rate cannot improve. A falling loss counts as an improvement then: a
    model that outputs only blanks may be about to stop doing so.
    """

    def __init__(self, metric: str) -> None:
        self.metric, self.lowest_loss, self.num_stale = metric, math.inf, 0
        self.best: EvaluationScore | None = None
        self._last_improvement: EvaluationScore | None = None

    def add(self, metrics: Mapping[str, Any]) -> bool:
        """Add the metrics of an evaluation; return whether it is the best. Of equals, the first is."""
        score = EvaluationScore.from_data(metrics)
        is_better = score.is_better_than(self.best, self.metric)
        if is_better:
            self.best = score
        is_loss_falling = score.loss is not None and score.loss < self.lowest_loss
        if is_loss_falling and score.loss is not None:
            self.lowest_loss = score.loss
        if score.is_improvement_on(self._last_improvement, self.metric):
            self._last_improvement, self.num_stale = score, 0
        elif is_loss_falling and self._is_collapsed(score):
            self.num_stale = 0
        else:
            self.num_stale += 1
        return is_better

    def _is_collapsed(self, score: EvaluationScore) -> bool:
        value, best = score.get(self.metric), self.best.get(self.metric) if self.best else None
        if value is None or best is None or self.metric == "loss":
            return False
        return min(value, best) >= collapse.COLLAPSED_RATE


class ScheduledTrainer(Protocol):
    """The interface of CtcTrainer that `Schedule` uses."""

    run: Run
    config: TrainConfig
    interrupted: bool
    last_evaluated_step: int
    findings: FindingReporter

    def evaluate(self) -> Any: ...

    def emit(self, kind: str, **data: Any) -> None: ...

    def end_step(self) -> None: ...

    def poll_flags(self) -> set[str]: ...


class Schedule(TrainerCallback):
    """Decides when a CtcTrainer evaluates, saves and stops. Trainer's own strategies are switched off."""

    def __init__(self, trainer: ScheduledTrainer) -> None:
        self.trainer = trainer

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if distributed.IS_MAIN:
            self.trainer.findings.diagnose()
        if self.trainer.config.eval_on_start if state.global_step == 0 else self._is_evaluation_missing(state):
            self.trainer.evaluate()
        self.trainer.emit(events.PHASE, phase="training", text="Training")

    def _is_evaluation_missing(self, state: TrainerState) -> bool:
        """Whether the run was stopped before the evaluation of the step that it resumes from was complete."""
        every = self.trainer.config.eval_steps
        is_due = state.global_step % every == 0 if every else float(state.epoch or 0).is_integer()
        return is_due and self.trainer.last_evaluated_step < state.global_step

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> TrainerControl:
        config, step = self.trainer.config, state.global_step
        self.trainer.end_step()
        is_last, flags = step >= state.max_steps, self.trainer.poll_flags()
        if self.trainer.interrupted:
            control.should_save = CANCEL not in flags
            control.should_training_stop, control.should_evaluate = True, False
            return control
        # on_epoch_end evaluates at the end of an epoch; the end of training is not evaluated twice.
        control.should_evaluate = bool(config.eval_steps and (step % config.eval_steps == 0 or is_last))
        control.should_save = bool(step % config.save_steps == 0 if config.save_steps else control.should_evaluate)
        control.should_evaluate |= EVALUATE in flags
        control.should_save |= SAVE in flags
        if distributed.IS_MAIN and flags:
            self.trainer.run.clear_flags(*flags)
        return control

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> TrainerControl:
        if self.trainer.interrupted:
            control.should_evaluate = control.should_save = False
        elif not self.trainer.config.eval_steps:
            control.should_evaluate = True
            control.should_save = not self.trainer.config.save_steps
        return control
