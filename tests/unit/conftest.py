"""Fixtures that several rooms' tests need."""

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from asrkit import config as configs
from asrkit.files import write_json
from asrkit.runs import fork_server
from asrkit.runs.events import Event
from asrkit.runs.run import Run
from asrkit.runs.store import RunStore
from tests.support import disks

LETTERS = "abcdefghijklmnopqrstuvwxyz'"


@pytest.fixture(autouse=True)
def no_fork_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the fork server that tests of real processes may have started in this process."""
    monkeypatch.delenv(fork_server.SOCKET, raising=False)


@pytest.fixture(scope="session")
def xet_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let the Hub's client remember what it has uploaded for as long as the tests run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_XET_CACHE", str(tmp_path_factory.mktemp("xet")))
        yield


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    with disks.mount_tmpfs(tmp_path / "small", "1m") as place:
        yield place


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(tmp_path / "runs")


def _sine(seconds: float = 1.0, rate: int = 16_000, hertz: float = 440.0, peak: float = 0.5) -> np.ndarray:
    return (peak * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


@pytest.fixture
def sine() -> Callable[..., np.ndarray]:
    return _sine


@pytest.fixture
def clip(tmp_path: Path) -> Callable[..., Path]:
    """Write a sine as an audio file below tmp_path: clip("a/b.flac", seconds=2)."""

    def write(name: str, seconds: float = 1.0, rate: int = 16_000) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, _sine(seconds, rate), rate)
        return path

    return write


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., Path]:
    def write(name: str, *lines: str, encoding: str = "utf-8") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n", encoding=encoding)
        return path

    return write


@pytest.fixture
def make_run(store: RunStore) -> Callable[..., Run]:
    """make_run("one", [events], process={...}, **settings)."""

    def make(run_id: str = "one", history: list[Event] = (), process: dict | None = None, **settings) -> Run:
        run = store.create(configs.from_dict(settings), run_id)
        for event in history:
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
    (folder / "preprocessor_config.json").write_text('{"sampling_rate": 16000}')
    (folder / "model.safetensors").write_bytes(b"weights")
    tokens = ["<pad>", "<unk>", "|", *LETTERS]
    (folder / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(tokens)}))
    return folder


@pytest.fixture(scope="session")
def processor(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Of the tiny model: blank 0, unknown 1, delimiter 2, a to e."""
    from transformers import AutoProcessor

    from tests.support import tiny

    return AutoProcessor.from_pretrained(tiny.write_checkpoint(tmp_path_factory.mktemp("processor") / "tiny"))
