"""An exception -> what to tell a person: the kind of error, what happened, what to do about it."""

from __future__ import annotations

import errno
from dataclasses import dataclass

from asrkit.errors import (
    AsrkitError,
    AudioError,
    ConfigError,
    DataError,
    GatedError,
    HubError,
    ModelError,
    NotOnHubError,
    first_line,
)


@dataclass(frozen=True)
class Failure:
    """`error` is a kebab-case code; `message` one sentence; `remedy` what to do."""

    error: str
    message: str
    remedy: str


_OURS = {
    AudioError: ("bad-audio", "Repair or remove the clip, then start again."),
    DataError: ("bad-data", "Mend the data as the message says, then start again."),
    ModelError: ("bad-model", "Choose another base model or vocabulary, then start again."),
    GatedError: ("gated", "Do so, then resume the run."),
    NotOnHubError: ("not-on-hub", "Start again with another name: this run keeps the one it was given."),
    HubError: ("hub-unreachable", "Resume the run when that is mended; whole files that were fetched are kept."),
    ConfigError: ("bad-settings", "Change the setting, then start again."),
}

_DISK_FULL = ("No space left on device", "PytorchStreamWriter failed", "unexpected pos ")
"""What safetensors and torch.save say of a full disk; neither raises OSError."""

_OUT_OF_MEMORY = ("OutOfMemoryError", "out of memory", "DefaultCPUAllocator: can't allocate memory")


_PEER_LOST = (
    "Connection closed by peer",
    "Connection reset by peer",
    "/gloo/",
    "NCCL error",
    "ncclRemoteError",
    "DistBackendError",
    "DistNetworkError",
    "killed by signal: Terminated",
)
"""What gloo, NCCL and a data loader whose process torchrun ends say when one of several processes is gone."""


def out_of_memory(error: BaseException) -> bool:
    """Whether a device (or the machine) had no room for what was to be computed."""
    return isinstance(error, MemoryError) or any(sign in f"{type(error).__name__}: {error}" for sign in _OUT_OF_MEMORY)


def _disk_full(error: BaseException | None) -> bool:
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def _said(error: BaseException) -> str:
    """The sentence of one of our errors; a data loader's process wraps it into its traceback."""
    return (
        str(error).rpartition(f"{type(error).__name__}: ")[2].strip()
        if str(error).startswith("Caught ")
        else str(error)
    )


def explain(error: BaseException) -> Failure:
    """The failure that `error` means, recognised by its type and words. Unknown ones say so honestly."""
    if _disk_full(error.__cause__):
        return Failure("disk-full", str(error), "Free some space, then resume the run.")
    for kind, (code, remedy) in _OURS.items():
        if isinstance(error, kind):
            return Failure(code, _said(error), remedy)
    if isinstance(error, AsrkitError):
        return Failure("failed", str(error), "Follow the message, then resume or start again.")
    words = f"{type(error).__name__}: {error}"
    if _disk_full(error) or any(sign in words for sign in _DISK_FULL):
        return Failure("disk-full", "The disk is full.", "Free some space, then resume the run.")
    if isinstance(error, OSError) and error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return Failure(
            "cannot-write",
            f"The run cannot write any more: {first_line(error)}.",
            "Make its directory writable, then resume the run.",
        )
    if out_of_memory(error):
        return Failure(
            "out-of-memory",
            "The device ran out of memory.",
            "Halve the batch (and double the gradient accumulation), shorten the longest clip, or switch on "
            "gradient checkpointing.",
        )
    if "killed by signal: Killed" in words:
        return Failure(
            "killed",
            "The system killed a process that reads clips, most likely for memory.",
            "Shorten the longest clip or free some memory, then resume the run.",
        )
    if any(sign in words for sign in _PEER_LOST):
        return Failure(
            "process-lost",
            "Another process of this run ended unexpectedly.",
            "The log says why the first of them ended; mend that, then resume the run.",
        )
    if "CUDA" in words or "NVIDIA" in words:
        return Failure(
            "cuda",
            f"The GPU reported an error: {first_line(error)}",
            "Check the driver with nvidia-smi; resume the run when the GPU works.",
        )
    return Failure(
        "unexpected", words.splitlines()[0], "See the traceback and the log; resume goes on from the last checkpoint."
    )
