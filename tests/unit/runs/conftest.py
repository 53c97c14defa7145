"""Fixtures for tests of run directories that need neither a real training worker nor torch."""

import subprocess
import sys

import pytest
import soundfile

from asrkit.config import TrainConfig
from asrkit.runs import processes
from tests.support.runs import end_runs


@pytest.fixture
def child():
    """A process that runs until its standard input is closed."""
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
    """Replace the training worker by one that prints two lines and sleeps; kill all workers after the test."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "fake_worker.py").write_text(WORKER)
    monkeypatch.setattr(processes, "_WORKER", "fake_worker")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "code"))
    yield
    end_runs(store)


@pytest.fixture
def config(tmp_path, base):
    clips = tmp_path / "clips"
    clips.mkdir()
    for name in ("one", "two"):
        soundfile.write(clips / f"{name}.wav", [0.1, -0.1] * 8000, 16_000)
        (clips / f"{name}.txt").write_text(name)
    return TrainConfig(preset="quick", train=str(clips), model=str(base))
