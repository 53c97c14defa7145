"""When a run evaluates, saves and stops, and which of its evaluations is the best."""

from __future__ import annotations

import math
from typing import Any

from transformers import TrainerCallback

from asrkit.runs import diagnosis, events
from asrkit.runs.run import CANCEL, EVALUATE, SAVE
from asrkit.training import distributed


class Record:
    """The best evaluation so far and how many there have been without getting better.

    While nothing is recognised yet, the error rate cannot get better; a loss that falls does then: a model that is
    still on the blank may be about to leave it.
    """

    def __init__(self, metric: str) -> None:
        self.metric, self.best, self.lowest_loss, self.stale = metric, math.inf, math.inf, 0

    def add(self, told: dict[str, Any]) -> bool:
        """Whether the evaluation whose event holds `told` is the best; of equals, the first."""
        value, loss = told[self.metric], told.get("loss")
        known = value is not None and math.isfinite(value)
        better = known and value < self.best
        hopeless = known and self.metric != "loss" and min(value, self.best) >= diagnosis.COLLAPSED_RATE
        falling = hopeless and loss is not None and loss < self.lowest_loss
        self.stale = 0 if better or falling else self.stale + 1
        if better:
            self.best = value
        if loss is not None and loss < self.lowest_loss:
            self.lowest_loss = loss
        return better


class Schedule(TrainerCallback):
    """When a CtcTrainer evaluates, saves and stops. Trainer's own strategies are switched off, so this is the only
    place."""

    def __init__(self, trainer: Any) -> None:
        self.trainer = trainer

    def on_train_begin(self, args, state, control, **_):
        if distributed.FIRST:
            self.trainer.diagnose()
        if self.trainer.config.eval_on_start if state.global_step == 0 else self._left_out(state):
            self.trainer.evaluate()
        self.trainer.emit(events.PHASE, phase="training", text="Training")

    def _left_out(self, state) -> bool:
        """Whether the evaluation of the step that is resumed from was broken off by the end of the life before."""
        every = self.trainer.config.eval_steps
        due = state.global_step % every == 0 if every else float(state.epoch or 0).is_integer()
        return due and self.trainer.scored_at < state.global_step

    def on_step_end(self, args, state, control, **_):
        config, step = self.trainer.config, state.global_step
        last, asked = step >= state.max_steps, self.trainer.asked()
        if self.trainer.interrupted:
            control.should_save = CANCEL not in asked
            control.should_training_stop, control.should_evaluate = True, False
            return control
        # An end of epoch that is also the end of training is evaluated in on_epoch_end, not twice.
        control.should_evaluate = bool(config.eval_steps and (step % config.eval_steps == 0 or last))
        control.should_save = bool(step % config.save_steps == 0 if config.save_steps else control.should_evaluate)
        control.should_evaluate |= EVALUATE in asked
        control.should_save |= SAVE in asked
        if distributed.FIRST and asked:
            self.trainer.run.clear_flags(*asked)
        return control

    def on_epoch_end(self, args, state, control, **_):
        if self.trainer.interrupted:
            control.should_evaluate = control.should_save = False
        elif not self.trainer.config.eval_steps:
            control.should_evaluate = True
            control.should_save = not self.trainer.config.save_steps
        return control


class HeadFirst(TrainerCallback):
    """Holds everything but the output layer still for the first steps, by dropping the other gradients."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def on_pre_optimizer_step(self, args, state, control, model=None, **_):
        if state.global_step < self.steps:
            for name, parameter in model.named_parameters():
                if "lm_head" not in name:
                    parameter.grad = None
