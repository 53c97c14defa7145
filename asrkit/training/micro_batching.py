"""Updates that fit into memory: a batch that does not fit is computed in parts, with the same gradient.

A single process may split its batch at any time. Of several processes, none may do so while its gradients are being
added to the others', which would wait forever. So each process computes the first updates, which have the largest
batches, on its own, and averages the gradients afterwards; the number of parts they needed holds for the rest of the
run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import torch

from asrkit.training import distributed as team
from asrkit.training import failures
from asrkit.training.data import Batch

NUM_UNSYNCED_UPDATES = 2
"""Updates that each process computes on its own: the optimizer allocates its state at the end of the first."""

TrainingStep = Callable[[torch.nn.Module, Batch], torch.Tensor]


class MicroBatcher:
    """Computes a batch in `num_parts` parts, and in more where memory runs out.

    on_split: called with the number of parts when it grows.
    no_sync: context of a model in which a backward pass leaves its gradients in this process.
    num_parts: the number that the run needed before it was resumed, whose first updates are not the largest any more.
    """

    def __init__(
        self,
        on_split: Callable[[int], None],
        no_sync: Callable[[Any], AbstractContextManager[Any]],
        num_parts: int = 1,
    ) -> None:
        self.on_split, self.no_sync = on_split, no_sync
        self.num_parts, self.num_updates = num_parts, 0
        self._update_batches: list[Batch] = []

    def begin_update(self) -> None:
        """Start a new optimizer step."""
        self.num_updates, self._update_batches = self.num_updates + 1, []

    def step(self, compute: TrainingStep, model: torch.nn.Module, batch: Batch, is_last: bool) -> torch.Tensor:
        """Run forward and backward on a batch and return its loss. is_last: whether the update ends with it.

        Raises the out-of-memory error of `compute` where a single clip does not fit, or, with several processes, for a
        batch after the first updates.
        """
        self._update_batches.append(batch)
        if team.WORLD_SIZE == 1:
            return self._compute_fitting(compute, model, batch)
        if self.num_updates > NUM_UNSYNCED_UPDATES:
            *firsts, final = split_batch(batch, self.num_parts)
            with self.no_sync(model):
                losses = [compute(model, part) for part in firsts]
            return _sum([*losses, compute(model, final)])
        with self.no_sync(model):
            loss = self._compute_fitting(compute, model, batch)
        if is_last:
            average_gradients(model)
            self._grow(max(team.all_gather(self.num_parts)))
        return loss

    def _compute_fitting(self, compute: TrainingStep, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        batches = [batch]
        while True:
            try:
                losses = [
                    _sum([compute(model, part) for part in split_batch(update_batch, self.num_parts)])
                    for update_batch in batches
                ]
                return losses[-1]
            except RuntimeError as error:
                if not failures.is_out_of_memory(error) or self.num_parts >= len(batch["labels"]):
                    raise
            # The failed backward pass has left part of its gradient, so the whole update is computed again. This is
            # outside the handler because the exception holds on to the memory.
            self._grow(self.num_parts * 2)
            model.zero_grad()
            batches = self._update_batches

    def _grow(self, num_parts: int) -> None:
        if num_parts > self.num_parts:
            self.num_parts = num_parts
            free_memory()
            self.on_split(num_parts)


def _sum(losses: list[torch.Tensor]) -> torch.Tensor:
    return torch.stack(losses).sum()


def split_batch(batch: Batch, num_parts: int) -> Iterator[Batch]:
    """Yield at most `num_parts` parts of (nearly) equally many clips, without copying.

    The first part counts all seconds of audio.
    """
    num_clips = len(batch["labels"])
    size = -(-num_clips // num_parts)
    for start in range(0, num_clips, size):
        yield take_clips(batch, start, start + size)


def take_clips(batch: Batch, start: int, stop: int) -> Batch:
    """Return clips `start` to `stop` of a batch, without copying. A part from clip 0 on counts all seconds of audio."""
    about = batch["about"]
    tensors = {name: value[start:stop] for name, value in batch.items() if name != "about"}
    audio_seconds = about["audio_seconds"] if start == 0 else 0.0
    return {**tensors, "about": {"audio_seconds": audio_seconds, "clips": about["clips"][start:stop]}}


def average_gradients(model: torch.nn.Module) -> None:
    """Replace each gradient by its mean over the processes; a parameter without any gradient keeps none."""
    from torch import distributed

    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    has_gradient = torch.tensor(
        [parameter.grad is not None for parameter in trained], dtype=torch.int, device=trained[0].device
    )
    distributed.all_reduce(has_gradient)
    for parameter, num_processes in zip(trained, has_gradient.tolist(), strict=True):
        if num_processes:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            distributed.all_reduce(parameter.grad)
            parameter.grad /= team.WORLD_SIZE


def free_memory() -> None:
    """Release unused memory that a GPU's allocator holds."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
