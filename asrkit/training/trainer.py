"""The loop: transformers' Trainer, with the loss scaled right, our batches, our evaluation, an event for everything."""

from __future__ import annotations

import math
import os
import resource
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader
from transformers import Trainer, TrainingArguments

from asrkit.config import TrainConfig
from asrkit.data.manifest import Utterance
from asrkit.decoding import lexicon
from asrkit.files import commit_directory, remove_directory, replace_directory
from asrkit.runs import diagnosis, events, summary
from asrkit.runs.events import Event
from asrkit.runs.run import CANCEL, FLAGS, STOP, Run
from asrkit.training import distributed, evaluation
from asrkit.training.augment import STRENGTHS
from asrkit.training.batching import LengthBatches
from asrkit.training.cache import EncoderMemory, is_exact
from asrkit.training.checkpoint_files import partial_dir
from asrkit.training.data import Collator, SpeechDataset, wants_mask
from asrkit.training.micro_batching import Fitting
from asrkit.training.schedule import HeadFirst, Record, Schedule

SAY_EVERY_S = 1.0
"""Least time between two `phase` events of one evaluation."""

ENDING = {STOP, CANCEL}

CLIPS_NAMED = 8
"""Most clips of a batch that are named when its loss is lost."""


class Loader(DataLoader):
    """A DataLoader that hands the epoch on to its batch sampler, which Trainer expects of it."""

    def set_epoch(self, epoch: int) -> None:
        self.batch_sampler.set_epoch(epoch)


class CtcTrainer(Trainer):
    """Trains a CTC model on manifests and appends events to the run.

    The loss of an update is the mean over its clips, whatever the number of batches, clips a batch or processes it is
    spread over: transformers does not divide a CTC loss by the accumulation steps (it believes that the model did).
    """

    loss_is_scaled_for_ga = True

    def __init__(
        self,
        run: Run,
        config: TrainConfig,
        model: torch.nn.Module,
        processor: Any,
        train: Sequence[Utterance],
        held_out: Sequence[Utterance],
        scored: Iterable[Event] = (),
        found: Iterable[str] = (),
        parts: int = 1,
        looked: Callable[[], None] = lambda: None,
    ) -> None:
        """scored, found, parts: evaluations, codes of findings, and in how many parts a batch was computed, of the life
        that is resumed. looked: called when it was looked for flags."""
        self.run, self.config, self.processor, self._looked = run, config, processor, looked
        self.train_rows, self.eval_rows = train, held_out
        self.record, self._found = Record(config.metric_for_best_model), set(found)
        self.scored_at = -1
        for told in scored:
            self.record.add(told.data)
            self.scored_at = told.step or 0
        self.interrupted = False
        self.loop = (
            lexicon.LexiconDecoder.from_processor(lexicon.collect_words(row.text for row in train), processor)
            if config.decoding == "words"
            else None
        )
        self._heard, self._since, self._clips, self._said = 0.0, time.monotonic(), 1, 0.0
        self._losses = []
        # Half for decoded audio, half for the frozen convolutions, shared by the processes on this machine.
        self._cache_bytes = config.cache_gb * 2**30 / 2 / distributed.HERE
        exact = is_exact(model, masked=wants_mask(processor.feature_extractor), augmented=config.augmentation != "none")
        self.memory = EncoderMemory(model, self._cache_bytes) if exact and config.cache_gb else None
        # CTC's forward takes **kwargs, which Trainer mistakes for a loss that is divided by `num_items_in_batch`.
        model.accepts_loss_kwargs = False
        super().__init__(model=model, args=arguments(run, config), train_dataset=train, callbacks=[Schedule(self)])
        self.fitting = Fitting(self._tell_parts, self.accelerator.no_sync, parts)
        if config.head_first_steps:
            self.add_callback(HeadFirst(config.head_first_steps))

    # Data and loss

    def get_train_dataloader(self) -> DataLoader:
        config = self.config
        batches = LengthBatches(
            [row.duration_s for row in self.train_rows],
            seconds=config.batch_seconds,
            clips=config.train_batch_size,
            seed=config.seed,
            rank=self.args.process_index,
            world=self.args.world_size,
            update=self.args.world_size * config.gradient_accumulation_steps,
        )
        workers = self.args.dataloader_num_workers
        dataset = SpeechDataset(
            self.train_rows,
            self.processor,
            None if config.augmentation == "none" else STRENGTHS[config.augmentation],
            config.seed,
            cache_bytes=self._cache_bytes if workers < 2 else 0,
        )  # each would keep the same
        # SpecAugment refuses a batch with fewer frames than one mask is long.
        shortest = 400 + 320 * config.mask_time_length if config.mask_time_prob else 0
        if "input_features" in self.processor.feature_extractor.model_input_names:
            shortest = config.mask_time_length + 1 if config.mask_time_prob else 0
        return Loader(
            dataset,
            batch_sampler=batches,
            collate_fn=Collator(self.processor, shortest),
            num_workers=workers,
            prefetch_factor=4 if workers else None,
            persistent_workers=bool(workers),
            pin_memory=torch.cuda.is_available(),
        )

    def get_batch_samples(self, epoch_iterator: Iterator, num_batches: int, device: torch.device):
        batches, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        clips = torch.tensor(float(sum(len(batch["labels"]) for batch in batches)), device=device)
        if self.args.world_size > 1:
            clips = self.accelerator.reduce(clips)
        self._clips = max(1.0, clips.item())
        self.fitting.begin()
        return batches, None

    def training_step(self, model, inputs, num_items_in_batch=None):
        """Forward and backward of one batch; where memory does not suffice, in parts, with the same gradient."""
        return self.fitting.step(super().training_step, model, inputs, self.accelerator.sync_gradients)

    def _tell_parts(self, parts: int) -> None:
        told = f"A batch did not fit into memory; each is computed in {parts} parts from now on, with the same result."
        if "batch-split" in self._found:
            self.emit(events.PHASE, phase="training", text=told, parts=parts)
        else:
            self._found.add("batch-split")
            self.emit(
                events.FINDING,
                code="batch-split",
                cause=told,
                parts=parts,
                remedy="Lower the batch size and raise the gradient accumulation as much to save the detour.",
            )
        print(told, flush=True)

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        """Batch mean -> this batch's share of the mean over all clips of the update.

        Gradients are averaged over processes afterwards, hence the factor `world_size`.
        """
        about = inputs.pop("about")
        self._heard += about["audio_seconds"]
        if self.memory:
            self.memory.expect(about["clips"], inputs["attention_mask"])
        outputs = model(**inputs)
        self._losses.append((outputs.loss.detach(), about["clips"]))
        loss = outputs.loss * (len(inputs["labels"]) * self.args.world_size / self._clips)
        return (loss, outputs) if return_outputs else loss

    def create_optimizer(self, *told: Any):
        """Trainer's optimizer, with a learning rate of its own for the output layer where one is asked for."""
        optimizer = super().create_optimizer(*told)
        rate = self.config.head_learning_rate
        if rate:
            head = {id(parameter) for name, parameter in self.model.named_parameters() if "lm_head" in name}
            for group in list(optimizer.param_groups):
                mine = [parameter for parameter in group["params"] if id(parameter) in head]
                if mine:
                    group["params"] = [parameter for parameter in group["params"] if id(parameter) not in head]
                    optimizer.add_param_group({**group, "params": mine, "lr": rate})
            optimizer.param_groups = [group for group in optimizer.param_groups if group["params"]]
        return optimizer

    # Events

    def emit(self, kind: str, **data: Any) -> None:
        if distributed.FIRST:
            self.run.append(events.make_event(kind, self.state.global_step, self.state.epoch or 0.0, **data))

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Trainer's report of the last `logging_steps` steps, as a `train` event."""
        if "loss" not in logs:
            return
        now = time.monotonic()
        rate, self._heard, self._since = self._heard / max(now - self._since, 1e-6), 0.0, now
        told = {
            "loss": float(logs["loss"]),
            "learning_rate": logs["learning_rate"],
            "audio_seconds_per_second": round(rate * self.args.world_size, 2),
        }
        if "grad_norm" in logs:
            told["grad_norm"] = float(logs["grad_norm"])
        told["memory_gb"] = round(peak_memory_bytes() / 2**30, 3)
        self.emit(events.TRAIN, **told)
        if not math.isfinite(told["loss"]):
            self._tr_loss.zero_()  # Trainer subtracts what it has told, and nan - nan is nan for ever
        losses, self._losses = self._losses, []
        if not distributed.FIRST:
            return
        if not math.isfinite(told["loss"]) and "non-finite" not in self._found:
            self.diagnose(self._clips_without_loss(losses))
        print(
            f"step {self.state.global_step}  loss {told['loss']:.4f}  learning rate {told['learning_rate']:.2e}  "
            f"{told['audio_seconds_per_second']:.1f} audio seconds a second",
            flush=True,
        )

    # Evaluation and checkpoints

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Score the evaluation manifest, each process its share; keep the model in `model/` if it is the best so far.

        Accelerate has wrapped the model's forward in the run's precision, so it is evaluated as it is trained.
        """
        self._said = 0.0
        try:
            told = evaluation.evaluate(
                self.accelerator.unwrap_model(self.model),
                self.processor,
                self.eval_rows,
                batch_size=self.config.eval_batch_size,
                normaliser=self.config.text_rules,
                loop=self.loop,
                progress=self._evaluating,
            )
        except evaluation.Interrupted:  # on every process, whichever saw the flag
            self._interrupt()
            if distributed.agreed(self.run.has_flag(CANCEL)):
                self.control.should_save = False  # decided before the evaluation began
        else:
            enough = distributed.agreed(self._judge(told.to_data()) if distributed.FIRST else False)
            self.control.should_training_stop |= enough
        self.control.should_evaluate = False
        self._since, self._heard = time.monotonic(), 0.0
        return {}

    def _judge(self, told: dict[str, Any]) -> bool:
        """Tell what an evaluation found and keep the model if it is the best so far; -> whether patience has ended."""
        self.emit(events.EVAL, normaliser=self.config.text_rules, decoding=self.config.decoding, **told)
        print(
            f"step {self.state.global_step}  evaluation loss {told['loss']:.4f}  WER {told['wer']:.2%}  "
            f"CER {told['cer']:.2%}",
            flush=True,
        )
        self.diagnose()
        if self.record.add(told):
            figures = {name: value for name, value in told.items() if name != "samples"}
            self.save_best(events.make_event(events.EVAL, self.state.global_step, self.state.epoch or 0.0, **figures))
        patience = self.config.early_stopping_patience
        return bool(patience and self.record.stale >= patience)

    def diagnose(self, evidence: str = "") -> None:
        """Tell what is going wrong, each finding once."""
        for finding in diagnosis.diagnose(summary.load_history(self.run)):
            if finding.code not in self._found:
                self._found.add(finding.code)
                cause = finding.cause + (evidence if finding.code == "non-finite" else "")
                self.emit(events.FINDING, code=finding.code, cause=cause, remedy=finding.remedy)
                print(f"{finding.code}: {cause} {finding.remedy}", flush=True)

    def _clips_without_loss(self, losses: list[tuple[torch.Tensor, list[int]]]) -> str:
        """A sentence that names the clips of the first batch whose loss is not finite; losses were not waited for."""
        broken = next((clips for loss, clips in losses if not torch.isfinite(loss).all()), [])
        names = [self.train_rows[clip].id for clip in broken]
        more = f" and {len(names) - CLIPS_NAMED} more" if len(names) > CLIPS_NAMED else ""
        return f" It began with a batch of {', '.join(names[:CLIPS_NAMED])}{more}." if names else ""

    def _evaluating(self, done: int, total: int) -> bool:
        now = time.monotonic()
        if now - self._said >= SAY_EVERY_S:
            self._said = now
            self.emit(
                events.PHASE, phase="evaluating", text=f"Evaluating {done} of {total} clips", done=done, total=total
            )
        return not self._flags() & ENDING

    def _flags(self) -> set[str]:
        """What somebody asks of the run, as this process sees it now."""
        self._looked()
        return {flag for flag in FLAGS if self.run.has_flag(flag)}

    def asked(self) -> set[str]:
        """The same, as rank 0 sees it after this step. It alone decides: the others may see a flag a step later."""
        raised = distributed.agreed(self._flags())
        if raised & ENDING:
            self._interrupt()
        return raised

    def _interrupt(self) -> None:
        self.interrupted = self.control.should_training_stop = True

    def save_best(self, told: Event | None = None) -> None:
        """Replace `model/` by the present weights, with their evaluation: whole or not at all."""
        with replace_directory(self.run.model_dir) as draft:
            self.accelerator.unwrap_model(self.model).save_pretrained(draft)
            self.processor.save_pretrained(draft)
            if told:
                (draft / self.run.evaluation_path.name).write_text(told.to_line(), encoding="utf-8")
            if self.loop:
                (draft / lexicon.WORD_LIST_FILE).write_text("\n".join(self.loop.words) + "\n", encoding="utf-8")

    def _save_checkpoint(self, model, trial) -> None:
        """Trainer's checkpoint (weights, optimizer, schedule, random state), under its name only once it is whole."""
        self.emit(events.PHASE, phase="saving", text=f"Saving the checkpoint of step {self.state.global_step}")
        try:
            super()._save_checkpoint(model, trial)
        except BaseException:
            shutil.rmtree(partial_dir(self.run), ignore_errors=True)  # a full disk has room to say so then
            raise
        self.accelerator.wait_for_everyone()
        if distributed.FIRST:
            name = f"checkpoint-{self.state.global_step}"
            self.processor.save_pretrained(partial_dir(self.run) / name)
            commit_directory(partial_dir(self.run) / name, self.run.checkpoints_dir / name)
            partial_dir(self.run).rmdir()
            for old in self.run.checkpoints()[: -self.config.save_total_limit]:
                remove_directory(old)
            self.emit(events.CHECKPOINT, path=f"checkpoints/{name}")
        self._since, self._heard = time.monotonic(), 0.0

    def _get_output_dir(self, trial) -> str:
        return str(partial_dir(self.run))


def arguments(run: Run, config: TrainConfig) -> TrainingArguments:
    """`config` as TrainingArguments: device and precision are chosen from what is there."""
    precision = precision_for(config.mixed_precision)
    return TrainingArguments(
        output_dir=str(run.checkpoints_dir),
        seed=config.seed,
        data_seed=config.seed,
        per_device_train_batch_size=config.train_batch_size,
        per_device_eval_batch_size=config.eval_batch_size,
        gradient_accumulation_steps=config.gradient_accumulation_steps,
        learning_rate=config.learning_rate,
        lr_scheduler_type=config.lr_scheduler_type,
        warmup_steps=config.warmup_steps,
        num_train_epochs=config.num_epochs,
        max_steps=config.max_steps or -1,
        weight_decay=config.weight_decay,
        adam_beta1=config.adam_beta1,
        adam_beta2=config.adam_beta2,
        adam_epsilon=config.adam_epsilon,
        max_grad_norm=config.max_grad_norm,
        bf16=precision == "bf16",
        fp16=precision == "fp16",
        logging_strategy="steps",
        logging_steps=config.logging_steps,
        logging_first_step=True,
        logging_nan_inf_filter=False,
        eval_strategy="no",
        save_strategy="no",
        dataloader_num_workers=loaders(),
        remove_unused_columns=False,
        use_cpu=config.device == "cpu" or not torch.accelerator.is_available(),
        report_to="none",
        disable_tqdm=True,
        ddp_find_unused_parameters=True,
        torch_compile=config.torch_compile,
    )


def loaders() -> int:
    """Processes that decode ahead of the step. Where the step itself takes all the cores, one more only gets in its
    way, unless there are many."""
    cores = (os.cpu_count() or 2) // distributed.HERE
    return min(4, max(1, cores - 1) if torch.accelerator.is_available() else cores // 4)


def precision_for(wanted: str) -> str:
    """`auto` -> bf16 where the device computes it in hardware, else float32. fp16 only where it was asked for."""
    if wanted != "auto":
        return wanted if wanted != "fp16" or torch.cuda.is_available() else "no"
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "no"
    flags = Path("/proc/cpuinfo")
    native = flags.exists() and any(word in flags.read_text() for word in ("avx512_bf16", "amx_bf16"))
    return "bf16" if native else "no"


def peak_memory_bytes() -> int:
    """The most memory this process has held: on the GPU where there is one, else resident."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    # getrusage counts in kilobytes, on macOS in bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
