"""How transformers' Trainer saves: checkpoints and the best model, each written whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import Trainer

from asrkit.config import TrainConfig
from asrkit.decoding import lexicon
from asrkit.files import replace_directory
from asrkit.runs import events
from asrkit.runs.events import Event
from asrkit.runs.run import Run
from asrkit.training import checkpointing, distributed, lora


class SavingTrainer(Trainer):
    """A Trainer that saves into a run. A subclass sets these attributes before it calls `Trainer.__init__`."""

    run: Run
    config: TrainConfig
    processor: Any
    lexicon_decoder: lexicon.LexiconDecoder | None

    def emit(self, kind: str, **data: Any) -> None:
        """Append an event of the current step."""
        raise NotImplementedError

    def save_best(self, event: Event | None = None) -> None:
        """Replace `model/` atomically by the current weights. event: their evaluation."""
        with replace_directory(self.run.model_dir) as draft:
            self.accelerator.unwrap_model(self.model).save_pretrained(draft, state_dict=self._merged_state())
            self.processor.save_pretrained(draft)
            if event:
                (draft / self.run.evaluation_path.name).write_text(event.to_line(), encoding="utf-8")
            if self.lexicon_decoder:
                words = "\n".join(self.lexicon_decoder.words) + "\n"
                (draft / lexicon.WORD_LIST_FILE).write_text(words, encoding="utf-8")

    def _merged_state(self) -> dict[str, torch.Tensor] | None:
        """Return the weights to save where they are not the model's own."""
        if self.config.freeze != "lora":
            return None
        return lora.merged_state(self.accelerator.unwrap_model(self.model))

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        super()._save(output_dir, self._merged_state() or state_dict)
        if self.config.freeze == "lora" and output_dir is not None and self.args.should_save:
            lora.save(self.accelerator.unwrap_model(self.model), Path(output_dir))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: torch.nn.Module | None = None) -> None:
        if self.config.freeze != "lora":  # `model.reload` has given it those of the checkpoint
            super()._load_from_checkpoint(resume_from_checkpoint, model)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Save weights, optimizer, schedule and random state; the checkpoint gets its name once it is complete."""
        name = f"checkpoint-{self.state.global_step}"
        self.emit(events.PHASE, phase="saving", text=f"Saving the checkpoint of step {self.state.global_step}")
        try:
            super()._save_checkpoint(model, trial)
        except BaseException:
            checkpointing.discard_partial(self.run)  # on a full disk this makes room for the `failed` event
            raise
        self.accelerator.wait_for_everyone()
        if distributed.IS_MAIN:
            self.processor.save_pretrained(self.run.partial_checkpoint_dir / name)
            checkpointing.commit_checkpoint(self.run, name, self.config.save_total_limit)
            self.emit(events.CHECKPOINT, path=f"checkpoints/{name}")

    def _get_output_dir(self, trial: Any) -> str:
        return str(self.run.partial_checkpoint_dir)
