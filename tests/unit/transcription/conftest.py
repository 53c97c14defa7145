"""A small random checkpoint that emits many letters, and its transcriber."""

import pytest
import torch

from asrkit.runs.store import RunStore
from asrkit.transcription import model_cache
from asrkit.transcription.transcriber import Transcriber
from tests.support import tiny


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A random model whose output layer is scaled up, so that it emits many letters."""
    folder = tiny.write_checkpoint(tmp_path_factory.mktemp("base") / "tiny")
    from transformers import AutoModelForCTC

    model = AutoModelForCTC.from_pretrained(folder)
    with torch.no_grad():
        model.lm_head.weight.normal_(0, 20, generator=torch.Generator().manual_seed(2))
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def transcriber(checkpoint):
    return Transcriber(str(checkpoint))


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setattr(model_cache, "_cached", {})
    return RunStore(tmp_path / "runs")
