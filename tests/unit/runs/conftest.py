"""Run directories made by hand: no worker, no torch."""

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from asrkit import config as configs
from asrkit.runs.events import Event
from asrkit.runs.store import Run, RunStore, write_json

LETTERS = "abcdefghijklmnopqrstuvwxyz'"


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(tmp_path / "runs")


@pytest.fixture
def make_run(store: RunStore) -> Callable[..., Run]:
    """make_run("one", [events], process={...}, **settings)."""

    def make(run_id: str = "one", told: list[Event] = (), process: dict | None = None, **settings) -> Run:
        run = store.create(configs.from_dict(settings), run_id)
        for event in told:
            run.append(event)
        if process is not None:
            write_json(run.process_path, {"host": socket.gethostname(), "command": ["worker"], **process})
        return run

    return make


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """What the supervisor looks at of a CTC checkpoint: its settings, its vocabulary and that there are weights."""
    folder = tmp_path / "base"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "wav2vec2"}')
    (folder / "model.safetensors").write_bytes(b"weights")
    tokens = ["<pad>", "<unk>", "|", *LETTERS]
    (folder / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(tokens)}))
    return folder
