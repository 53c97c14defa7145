import threading
import types

import torch

from asrkit.transcription import gpu, model_cache
from asrkit.transcription.model_cache import get_transcriber
from tests.support.waiting import wait_for


def test_gpu_is_yielded_while_a_run_is_active(store, checkpoint, monkeypatch):
    """Fake transcribers claim to be on the GPU; one that the cache has dropped is moved too."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)

    class FakeTranscriber:
        def __init__(self, checkpoint, device):
            self.engine = types.SimpleNamespace(device=torch.device(device), move_to=self.move_to)

        def move_to(self, device):
            self.engine.device = torch.device(device)

    monkeypatch.setattr(model_cache, "Transcriber", FakeTranscriber)
    monkeypatch.setattr(model_cache.lifecycle, "find_active_run", lambda store: None)
    first = get_transcriber(str(checkpoint), store)
    assert get_transcriber(str(checkpoint), store) is first and first.engine.device.type == "cuda"
    model_cache._cached.clear()  # other models came; this one is still in use
    monkeypatch.setattr(model_cache.lifecycle, "find_active_run", lambda store: object())
    monkeypatch.setattr(gpu, "POLL_S", 0.01)
    threading.Thread(target=gpu.yield_gpu, args=[store], daemon=True).start()
    wait_for(lambda: first.engine.device.type == "cpu", "the model to move to the CPU")
    assert (second := get_transcriber(str(checkpoint), store)).engine.device.type == "cpu"
    monkeypatch.setattr(model_cache.lifecycle, "find_active_run", lambda store: None)
    assert get_transcriber(str(checkpoint), store) is second and second.engine.device.type == "cuda"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)  # ends the thread


def test_yield_gpu_survives_disk_errors(store, monkeypatch):
    polls = []

    def active(store):
        polls.append(1)
        raise OSError("no disk")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: len(polls) < 3)
    monkeypatch.setattr(model_cache, "transcribers_on_gpu", lambda: [object()])
    monkeypatch.setattr(model_cache.lifecycle, "find_active_run", active)
    monkeypatch.setattr(gpu, "POLL_S", 0.0)
    gpu.yield_gpu(store)
    assert len(polls) == 3
