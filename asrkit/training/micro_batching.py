"""Updates that fit into memory: a batch that does not is computed in parts, with the same gradient.

One process may find out at any time. Of several, none may while its gradients are being added to the others' (these
would wait for ever), so the first updates, which have the largest batches, are computed by each on its own and added up
afterwards; what they needed holds for the rest of the run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import torch

from asrkit.training import distributed as team
from asrkit.training import failures

PROBED = 2
"""Updates that are computed apart: the optimizer takes its memory at the end of the first."""

Step = Callable[[torch.nn.Module, dict[str, Any]], torch.Tensor]


class Fitting:
    """How many parts a batch is computed in. `told` is called with the number when it grows.

    no_sync: of a model, a context in which a backward pass leaves its gradients to this process. parts: what the life
    before found out, where the run is resumed: its first updates have no longer the largest batches.
    """

    def __init__(
        self, told: Callable[[int], None], no_sync: Callable[[Any], AbstractContextManager], parts: int = 1
    ) -> None:
        self.told, self.no_sync = told, no_sync
        self.parts, self.updates, self.taken = parts, 0, []

    def begin(self) -> None:
        """A new update."""
        self.updates, self.taken = self.updates + 1, []

    def step(self, compute: Step, model: torch.nn.Module, batch: dict[str, Any], last: bool) -> torch.Tensor:
        """Forward and backward of a batch; -> its loss. last: whether the update ends with it.

        Raises what `compute` does where a single clip does not fit, or, of several processes, a batch after the first
        updates.
        """
        self.taken.append(batch)
        if team.WORLD == 1:
            return self._fitted(compute, model, batch)
        if self.updates > PROBED:
            *firsts, final = parts_of(batch, self.parts)
            with self.no_sync(model):
                told = sum(compute(model, part) for part in firsts)
            return told + compute(model, final)
        with self.no_sync(model):
            told = self._fitted(compute, model, batch)
        if last:
            average_gradients(model)
            self._grow(max(team.gathered(self.parts)))
        return told

    def _fitted(self, compute: Step, model: torch.nn.Module, batch: dict[str, Any]) -> torch.Tensor:
        batches = [batch]
        while True:
            try:
                return [sum(compute(model, part) for part in parts_of(one, self.parts)) for one in batches][-1]
            except RuntimeError as error:
                if not failures.out_of_memory(error) or self.parts >= len(batch["labels"]):
                    raise
            # A backward pass that broke off has left part of its gradient: the whole update is computed again. Outside
            # the handler, because the exception holds on to the memory.
            self._grow(self.parts * 2)
            model.zero_grad()
            batches = self.taken

    def _grow(self, parts: int) -> None:
        if parts > self.parts:
            self.parts = parts
            free_memory()
            self.told(parts)


def parts_of(batch: dict[str, Any], parts: int) -> Iterator[dict[str, Any]]:
    """A Batch in at most `parts` of (nearly) equally many clips, without copying; the seconds of audio are counted with
    the first."""
    about, clips = batch["about"], len(batch["labels"])
    size = -(-clips // parts)
    for start in range(0, clips, size):
        chosen = slice(start, start + size)
        rows = {name: value[chosen] for name, value in batch.items() if name != "about"}
        yield {
            **rows,
            "about": {"audio_seconds": about["audio_seconds"] if start == 0 else 0.0, "clips": about["clips"][chosen]},
        }


def average_gradients(model: torch.nn.Module) -> None:
    """Replace each gradient by its mean over the processes. What none of them has a gradient for is left without."""
    from torch import distributed

    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    known = torch.tensor(
        [parameter.grad is not None for parameter in trained], dtype=torch.int, device=trained[0].device
    )
    distributed.all_reduce(known)
    for parameter, processes in zip(trained, known.tolist(), strict=True):
        if processes:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            distributed.all_reduce(parameter.grad)
            parameter.grad /= team.WORLD


def free_memory() -> None:
    """Give back what a GPU's allocator holds on to."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
