"""The training loop: transformers' Trainer with correct CTC loss scaling, our batches, evaluation and events."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import DataLoader

from asrkit.config import TrainConfig
from asrkit.data.manifest import Column, Utterance
from asrkit.decoding import lexicon
from asrkit.models import anatomy
from asrkit.runs import events
from asrkit.runs.run import CANCEL, FLAGS, Run
from asrkit.training import distributed
from asrkit.training.arguments import find_device_type, make_arguments
from asrkit.training.bad_clips import BadClips
from asrkit.training.cache import EncoderCache, is_exact
from asrkit.training.clip_decoding import Interrupted
from asrkit.training.data import Batch
from asrkit.training.evaluator import Evaluator
from asrkit.training.findings import (
    FindingReporter,
    describe_clips_without_loss,
    report_infinite_losses,
)
from asrkit.training.head import HeadFirst, set_head_learning_rate
from asrkit.training.links import GradientExchange
from asrkit.training.loaders import EpochDataLoader, make_train_loader
from asrkit.training.loss_scaling import get_loss_scale, report_overflow
from asrkit.training.micro_batching import MicroBatcher, free_memory
from asrkit.training.prefetch import prefetch
from asrkit.training.progress import make_progress_check
from asrkit.training.reporting import emit
from asrkit.training.resume import ResumeState
from asrkit.training.saving import SavingTrainer
from asrkit.training.schedule import BestTracker, Schedule
from asrkit.training.step_log import StepLog
from asrkit.training.stopping import END_FLAGS
from asrkit.training.streaming import StreamInterrupted, open_streams

if TYPE_CHECKING:
    from asrkit.training.model import CtcModel

logger = logging.getLogger(__name__)


class CtcTrainer(SavingTrainer):
    """Trains a CTC model on manifests and appends events to the run.

    The loss of an update is the mean over its clips, however the update is divided into batches and processes:
    transformers does not divide a CTC loss by the accumulation steps (it assumes that the model did).
    """

    loss_is_scaled_for_ga = True

    def __init__(
        self,
        run: Run,
        config: TrainConfig,
        model: CtcModel,
        processor: Any,
        train: Sequence[Utterance],
        held_out: Sequence[Utterance],
        resume_state: ResumeState | None = None,
        on_poll: Callable[[], None] = lambda: None,
    ) -> None:
        """on_poll: called each time the control flags are read."""
        resume_state = resume_state or ResumeState()
        self.run, self.config, self.processor, self._on_poll = run, config, processor, on_poll
        self.train_rows, self.eval_rows = train, held_out
        self.anatomy = anatomy.of(model, processor)
        self.best_tracker, self.last_evaluated_step = BestTracker(config.metric_for_best_model), -1
        for event in resume_state.evaluations:
            self.best_tracker.add(event.data)
            self.last_evaluated_step = event.step or 0
        self.findings = FindingReporter(run, self.emit, resume_state.finding_codes)
        self.interrupted = False
        self.lexicon_decoder = (
            lexicon.LexiconDecoder.from_processor(
                lexicon.collect_words(Column("text", train)), processor, self.anatomy.blank_id
            )
            if config.decoding == "words"
            else None
        )
        self.bad_clips = BadClips(train, held_out, self.findings, self.emit, resume_state.bad_clips)
        self.streamed = open_streams(run, config)
        self.evaluator = Evaluator(
            config, processor, held_out, self.lexicon_decoder, resume_state.evaluations, self.bad_clips, self.streamed
        )
        self.exchange: GradientExchange | None = None
        self._clips_in_update = 1.0
        self._epoch: Iterator[Any] | None = None
        self._epoch_batches: Iterator[Batch] = iter(())
        self._train_loader: EpochDataLoader | None = None
        self._steps = StepLog()
        # Half for decoded audio, half for the frozen convolutions, divided among the processes on this machine.
        self._cache_bytes = config.cache_gb * 2**30 / 2 / distributed.LOCAL_WORLD_SIZE
        uses_cache = config.cache_gb and find_device_type(config) == "cpu"
        exact = is_exact(model, self.anatomy, augmented=config.augmentation != "none")
        self.encoder_cache = EncoderCache(model, self.anatomy, self._cache_bytes) if exact and uses_cache else None
        # CTC's forward takes **kwargs, which Trainer mistakes for a loss that is divided by `num_items_in_batch`.
        model.accepts_loss_kwargs = False
        super().__init__(model=model, args=make_arguments(run, config), train_dataset=train, callbacks=[Schedule(self)])
        self.micro_batcher = MicroBatcher(self.findings.report_split, self.accelerator.no_sync, resume_state.num_parts)
        if config.head_first_steps:
            self.add_callback(HeadFirst(self.anatomy.head_of(model), config.head_first_steps))

    # Data and loss

    def train(self, *arguments: Any, **more: Any) -> Any:
        """Train as Trainer does, and end the processes of the loader."""
        try:
            return super().train(*arguments, **more)
        except StreamInterrupted:  # before the first batch of an update
            self._interrupt()
            if self.state.global_step and not self.run.has_flag(CANCEL):
                self._save_checkpoint(self.model, None)
            return None
        finally:
            self._epoch, self._epoch_batches = None, iter(())
            if self._train_loader is not None:
                self._train_loader.close()
                self._train_loader = None

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Return the loader, made once: it lets a sandbox read the files of all clips."""
        if self._train_loader is None:
            self._train_loader = make_train_loader(
                self.config,
                self.args,
                self.train_rows,
                self.processor,
                self._cache_bytes,
                self.anatomy.geometry,
                self.streamed,
            )
        return self._train_loader

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> tuple[list[Any], None]:
        """Fetch the batches of an update and count their clips over all processes."""
        if epoch_iterator is not self._epoch:
            self._epoch, self._epoch_batches = epoch_iterator, prefetch(epoch_iterator, device)
        batches, _ = super().get_batch_samples(self._epoch_batches, num_batches, device)
        if not batches:  # Trainer would end the training as if it were complete
            raise RuntimeError(f"the loader has no batch for the update after step {self.state.global_step}")
        self.bad_clips.note(batches)
        num_clips = float(sum(len(batch["about"]["clips"]) for batch in batches))
        if self.args.world_size > 1:
            num_clips = self.accelerator.reduce(torch.tensor(num_clips, device=device)).item()
        self._clips_in_update = max(1.0, num_clips)
        self.micro_batcher.begin_update()
        return batches, None

    def training_step(
        self, model: torch.nn.Module, inputs: dict[str, Any], num_items_in_batch: Any = None
    ) -> torch.Tensor:
        """Run forward and backward on a batch; if memory runs out, in parts with the same gradient."""
        return self.micro_batcher.step(super().training_step, model, inputs, self.accelerator.sync_gradients)

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """Scale the batch mean to this batch's share of the mean over all clips of the update.

        Gradients are averaged over processes afterwards, hence the factor `world_size`.
        """
        about = inputs.pop("about")
        clips = about["clips"]
        if self.encoder_cache and clips:
            self.encoder_cache.set_batch(clips, inputs[self.anatomy.inputs.mask_name or ""])
        outputs = model(**inputs)
        infeasible = self.anatomy.is_infeasible(inputs["labels"], self.anatomy.count_batch_frames(inputs))
        self._steps.add(clips, outputs.loss.detach(), infeasible[: len(clips)], about["audio_seconds"])
        loss = outputs.loss * (len(clips) * self.args.world_size / self._clips_in_update)
        return (loss, outputs) if return_outputs else loss

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Count nothing: Trainer's count walks through the whole model for every batch, and nobody reads it."""
        return 0

    def create_optimizer(self, *args: Any) -> torch.optim.Optimizer:
        """Create Trainer's optimizer; `head_learning_rate` gives the output layer its own learning rate."""
        optimizer: torch.optim.Optimizer = super().create_optimizer(*args)
        if self.config.head_learning_rate and self.model is not None:
            head = self.anatomy.head_of(self.accelerator.unwrap_model(self.model))
            set_head_learning_rate(optimizer, head, self.config.head_learning_rate)
        return optimizer

    # Events

    def emit(self, kind: str, **data: Any) -> None:
        """Append an event of the current step and epoch, from rank 0 only."""
        emit(self.run, kind, self.state.global_step, self.state.epoch or 0.0, **data)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Emit Trainer's report on the last `logging_steps` steps as a `train` event."""
        self.bad_clips.report()
        if "loss" not in logs:
            return
        scale = get_loss_scale(self.accelerator.scaler)
        metrics = self._steps.make_metrics(logs, self.args.world_size, scale)
        infeasible = self._steps.take_infeasible_clips()
        if infeasible:
            metrics["infinite_losses"] = len(infeasible)
        self.emit(events.TRAIN, **metrics)
        report_infinite_losses(infeasible, self.train_rows, self.findings)
        if scale is not None:
            report_overflow(scale, self.findings)
        if self.exchange and (bottleneck := self.exchange.explain_bottleneck(self._steps.step_s)):
            self.findings.report("slow-link", *bottleneck)
        is_finite = math.isfinite(metrics["loss"])
        if not is_finite:
            self._tr_loss.zero_()  # Trainer subtracts reported losses from this sum, and nan - nan stays nan
        losses = self._steps.take_losses()
        if not distributed.IS_MAIN:
            return
        if not is_finite and not self.findings.has_reported("non-finite"):
            self.findings.diagnose(non_finite_evidence=describe_clips_without_loss(losses, self.train_rows))
        logger.info(
            "Step %d: loss %.4f, learning rate %.2e, %.1f audio seconds per second",
            self.state.global_step,
            metrics["loss"],
            metrics["learning_rate"],
            metrics["audio_seconds_per_second"],
        )

    # Evaluation

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Score the evaluation sample, each process its share; keep the model in `model/` if it is the best so far.

        Accelerate has wrapped the model's forward in the run's precision, so evaluation uses that precision too.
        """
        model = self.accelerator.unwrap_model(self.model)
        on_progress = make_progress_check(self.run, self._on_poll, self.emit, "Evaluating {done} of {total} clips")
        try:
            if self.state.global_step:
                every, max_steps = self.config.eval_steps, self.state.max_steps
                count = -(-max_steps // every) if every else math.ceil(self.state.num_train_epochs)
                result = self.evaluator.evaluate(model, on_progress, self._steps.step_s * max_steps, count)
            else:
                result = self.evaluator.evaluate_start(model, on_progress)
        except (Interrupted, StreamInterrupted):  # raised on every process, whichever saw the flag
            self._interrupt()
            self.control.should_save = not distributed.broadcast(self.run.has_flag(CANCEL))
        else:
            stops = distributed.broadcast(self._record(result.to_event_data()) if distributed.IS_MAIN else False)
            self.control.should_training_stop |= stops
        self.control.should_evaluate = False
        self._steps.restart_clock()
        return {}

    def release_memory(self) -> None:
        """Free the memory that only training needs, so that the best model can be loaded."""
        if self.optimizer is not None:
            self.optimizer.state.clear()
        self.accelerator.unwrap_model(self.model).to("cpu").zero_grad()
        self.encoder_cache = None
        free_memory()

    def end_step(self) -> None:
        self._steps.end_step()

    def _record(self, metrics: dict[str, Any]) -> bool:
        """Emit an evaluation and keep the model if it is the best so far; return whether to stop training early."""
        self.emit(events.EVAL, normaliser=self.config.text_rules, decoding=self.config.decoding, **metrics)
        logger.info(
            "Step %d: evaluation loss %.4f, WER %.2f %%, CER %.2f %%",
            self.state.global_step,
            metrics["loss"],
            100 * metrics["wer"],
            100 * metrics["cer"],
        )
        self.findings.diagnose()
        if self.best_tracker.add(metrics):
            data = {name: value for name, value in metrics.items() if name != "samples"}
            self.save_best(events.make_event(events.EVAL, self.state.global_step, self.state.epoch or 0.0, **data))
        patience = self.config.early_stopping_patience
        return bool(patience and self.best_tracker.num_stale >= patience)

    # Flags

    def _read_flags(self) -> set[str]:
        """Return the control flags that this process sees now."""
        self._on_poll()
        return {flag for flag in FLAGS if self.run.has_flag(flag)}

    def poll_flags(self) -> set[str]:
        """Return the flags that rank 0 sees after this step; a stop, a cancel or a preemption interrupts training.

        Rank 0 alone decides, because other processes may see a flag one step later.
        """
        flags = distributed.broadcast(self._read_flags())
        if flags & END_FLAGS:
            self._interrupt()
        return flags

    def _interrupt(self) -> None:
        self.interrupted = self.control.should_training_stop = True

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        self._steps.restart_clock()
