"""Run directories made by hand: no worker, no torch."""

import json
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile

from asrkit import config as configs
from asrkit.config import TrainConfig
from asrkit.runs import processes
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


@pytest.fixture
def child():
    """A process that lives until it is told otherwise, as `process.json` names it."""
    process = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    yield process
    process.communicate()


WORKER = """
import pathlib, sys, time
run = pathlib.Path(sys.argv[1])
print("hello from", run.name, flush=True)
print("trouble", file=sys.stderr, flush=True)
while True:
    time.sleep(60)
"""


@pytest.fixture
def worker(monkeypatch, tmp_path, store):
    """A worker that prints and waits; every one that was started is ended with the test."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "pretended_worker.py").write_text(WORKER)
    monkeypatch.setattr(processes, "_WORKER", "pretended_worker")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "code"))
    yield
    for run in store.all():
        processes.kill(run)


@pytest.fixture
def config(tmp_path, base):
    clips = tmp_path / "clips"
    clips.mkdir()
    for name in ("one", "two"):
        soundfile.write(clips / f"{name}.wav", [0.1, -0.1] * 8000, 16_000)
        (clips / f"{name}.txt").write_text(name)
    return TrainConfig(preset="quick", train=str(clips), model=str(base))
