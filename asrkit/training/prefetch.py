"""Batches are copied to the GPU while it computes the previous one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch

from asrkit.training.data import Batch


def prefetch(batches: Iterable[Batch], device: torch.device) -> Iterator[Batch]:
    """Yield the batches on `device`, in order. On a GPU, each is copied while the one before it is in use.

    The copies run on a stream of their own. They overlap with computation only from pinned memory (see
    `loaders.make_train_loader`). Other devices get the batches as they are.
    """
    if device.type != "cuda":
        yield from batches
        return
    stream = torch.cuda.Stream(device)
    ahead: tuple[Batch, torch.cuda.Event] | None = None
    for batch in batches:
        copied = _begin_copy(batch, device, stream)
        if ahead is not None:
            yield _finish_copy(*ahead, device)
        ahead = copied
    if ahead is not None:
        yield _finish_copy(*ahead, device)


def _begin_copy(batch: Batch, device: torch.device, stream: torch.cuda.Stream) -> tuple[Batch, torch.cuda.Event]:
    """Enqueue the copy of a batch; return it with the event that follows the copy."""
    with torch.cuda.stream(stream):
        copied = {
            name: value.to(device, non_blocking=True) if isinstance(value, torch.Tensor) else value
            for name, value in batch.items()
        }
        return copied, stream.record_event()


def _finish_copy(batch: Batch, event: torch.cuda.Event, device: torch.device) -> Batch:
    """Make the current stream wait for the copy; the memory is not reused before that stream is done with it."""
    current = torch.cuda.current_stream(device)
    current.wait_event(event)
    for value in batch.values():
        if isinstance(value, torch.Tensor):
            value.record_stream(current)
    return batch
