"""Explain an exception to the user: an error code, what happened, and what to do about it."""

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
from asrkit.training.distributed import ProcessLostError
from asrkit.training.links import MachineLostError


@dataclass(frozen=True)
class Failure:
    """`error` is a kebab-case code; `message` one sentence; `remedy` what to do."""

    error: str
    message: str
    remedy: str


_ASRKIT_ERRORS = {
    AudioError: ("bad-audio", "Repair or remove the clip, then start again."),
    DataError: ("bad-data", "Correct the data as the message says, then start again."),
    ModelError: ("bad-model", "Choose another base model or vocabulary, then start again."),
    GatedError: ("gated", "Accept the terms and set the token, then resume the run."),
    NotOnHubError: ("not-on-hub", "Start a new run with another name; this run keeps the name in its config."),
    HubError: (
        "hub-unreachable",
        "Resume the run once the connection works again; files that were fetched completely are kept.",
    ),
    ConfigError: ("bad-settings", "Change the setting, then start again."),
}

_DISK_FULL = ("No space left on device", "PytorchStreamWriter failed", "unexpected pos ")
"""Messages of safetensors and torch.save on a full disk; neither raises OSError."""

_OUT_OF_MEMORY = (
    "OutOfMemoryError",
    "out of memory",
    "DefaultCPUAllocator: can't allocate memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "unable to find an engine to execute this computation",
)
"""Messages of torch's allocators, and of cuBLAS and cuDNN, which allocate their workspaces themselves. The last one is
cuDNN's where no algorithm of a convolution fits into what is left."""


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
"""Messages of gloo, NCCL and a data loader that torchrun ended, when another process of the run is gone."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device (or the machine) ran out of memory."""
    return isinstance(error, MemoryError) or _contains_any(f"{type(error).__name__}: {error}", _OUT_OF_MEMORY)


def _is_disk_full(error: BaseException | None) -> bool:
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def _contains_any(text: str, parts: tuple[str, ...]) -> bool:
    return any(part in text for part in parts)


def _format_message(error: BaseException) -> str:
    """Return the message of an AsrkitError, also where a data loader's process has wrapped it into a traceback."""
    return (
        str(error).rpartition(f"{type(error).__name__}: ")[2].strip()
        if str(error).startswith("Caught ")
        else str(error)
    )


def explain(error: BaseException) -> Failure:
    """Map an exception to a Failure by its type and message; an unknown one gets the code `unexpected`."""
    if _is_disk_full(error.__cause__):
        return Failure("disk-full", str(error), "Free some space, then resume the run.")
    for kind, (code, remedy) in _ASRKIT_ERRORS.items():
        if isinstance(error, kind):
            return Failure(code, _format_message(error), remedy)
    if isinstance(error, MachineLostError):
        return Failure("machine-lost", str(error), "Resume the run once it is back, or on other machines.")
    if isinstance(error, AsrkitError):
        return Failure("failed", str(error), "Follow the message, then resume or start again.")
    text = f"{type(error).__name__}: {error}"
    if _is_disk_full(error) or _contains_any(text, _DISK_FULL):
        return Failure("disk-full", "The disk is full.", "Free some space, then resume the run.")
    if isinstance(error, OSError) and error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return Failure(
            "cannot-write",
            f"The run can no longer write its files: {first_line(error)}.",
            "Make its directory writable, then resume the run.",
        )
    if is_out_of_memory(error):
        return Failure(
            "out-of-memory",
            "The device ran out of memory.",
            "Halve the batch (and double the gradient accumulation), shorten the longest clip, or switch on "
            "gradient checkpointing.",
        )
    if "killed by signal: Killed" in text:
        return Failure(
            "killed",
            "The system killed a process that reads clips, most likely because memory ran out.",
            "Shorten the longest clip or free some memory, then resume the run.",
        )
    if isinstance(error, ProcessLostError) or _contains_any(text, _PEER_LOST):
        return Failure(
            "process-lost",
            "Another process of this run ended unexpectedly.",
            "The log says why it ended; solve that, then resume the run.",
        )
    if "CUDA" in text or "NVIDIA" in text:
        return Failure(
            "cuda",
            f"The GPU reported an error: {first_line(error)}",
            "Check the driver with nvidia-smi; resume the run when the GPU works.",
        )
    return Failure(
        "unexpected", text.splitlines()[0], "See the traceback and the log; resume goes on from the last checkpoint."
    )
