import errno

import pytest
import torch
from safetensors.torch import save_file
from torch.utils.data import DataLoader, Dataset

from asrkit.errors import AudioError, ConfigError, DataError, GatedError, HubError, ModelError, RunError
from asrkit.training.distributed import ProcessLostError
from asrkit.training.failures import explain


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (AudioError("a.wav is cut off."), "bad-audio", "a.wav is cut off."),
        (DataError("metadata.csv row 3 is empty."), "bad-data", "metadata.csv row 3 is empty."),
        (ModelError("base is no CTC model."), "bad-model", "base is no CTC model."),
        (ConfigError("Seed is -1."), "bad-settings", "Seed is -1."),
        (RunError("Run one is gone."), "failed", "Run one is gone."),
        (OSError(errno.ENOSPC, "No space left on device"), "disk-full", "The disk is full."),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "disk-full", "The disk is full."),
        (OSError(errno.EROFS, "Read-only file system"), "cannot-write", "can no longer write its files"),
        (
            torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
            "out-of-memory",
            "The device ran out of memory.",
        ),
        (
            RuntimeError(
                "[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory: you tried to "
                "allocate 4000000000000 bytes."
            ),
            "out-of-memory",
            "The device ran out of memory.",
        ),
        (MemoryError(), "out-of-memory", "The device ran out of memory."),
        (GatedError("The model owner/name is gated."), "gated", "The model owner/name is gated."),
        (HubError("There is no model ownr/name."), "hub-unreachable", "There is no model ownr/name."),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), "cuda", "The GPU reported an error"),
        (ProcessLostError("Another process ended."), "process-lost", "Another process of this run ended"),
        (ZeroDivisionError("division by zero"), "unexpected", "ZeroDivisionError: division by zero"),
        (ValueError(), "unexpected", "ValueError"),
        (KeyboardInterrupt(), "unexpected", "KeyboardInterrupt"),
    ],
)
def test_each_error_has_code_message_and_remedy(error, code, words):
    failure = explain(error)
    assert failure.error == code and words in failure.message
    assert "\n" not in failure.message and failure.remedy.endswith(".")


def test_message_is_first_line_of_error():
    assert explain(RuntimeError("first\nsecond\nthird")).message == "RuntimeError: first"
    assert explain(RuntimeError("CUDA error: first\nsecond")).message == "The GPU reported an error: CUDA error: first"


def test_real_allocation_failure_is_out_of_memory():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**62, dtype=torch.uint8)
    assert explain(caught.value).error == "out-of-memory"


@pytest.mark.parametrize("save", [save_file, torch.save])
def test_real_full_disk_is_disk_full(small_disk, save):
    with pytest.raises(Exception) as caught:
        save({"weights": torch.zeros(2**20)}, small_disk / "weights")
    assert explain(caught.value).error == "disk-full"


def test_audio_error_of_a_loader_process_is_one_sentence(monkeypatch):
    """PyTorch raises the error again with the traceback of the loader's process as its text."""

    class BadClip(Dataset):
        def __len__(self):
            return 1

        def __getitem__(self, index):
            raise AudioError("clips/a.wav holds no audio.")

    # Shutting down the loader's process waits this long where fork has left the process stuck.
    monkeypatch.setattr(torch.utils.data._utils, "MP_STATUS_CHECK_INTERVAL", 0.2)
    batches = iter(DataLoader(BadClip(), num_workers=1))
    with pytest.raises(AudioError) as caught:
        next(batches)
    batches._shutdown_workers()
    assert explain(caught.value).message == "clips/a.wav holds no audio."
