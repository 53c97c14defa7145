"""Fixtures for tests of run directories that need neither a real training worker nor torch."""

import subprocess
import sys

import pytest
import soundfile

from asrkit.config import TrainConfig
from asrkit.runs import processes
from asrkit.runs.launchers import hf_jobs
from tests.support.jobs_hub import serve_in_process
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
def hub(tmp_path, monkeypatch, xet_cache):
    """A stand-in for the Hub, for this process; its bucket tiny/bucket counts as mounted at tmp_path."""
    with serve_in_process(tmp_path / "hub", monkeypatch) as served:
        monkeypatch.setenv(hf_jobs.STORAGE, f"tiny/bucket:{tmp_path}")
        yield served


@pytest.fixture
def job_config(config):
    return config.replace({"launcher": "hf-jobs", "hf_timeout_h": 3})


@pytest.fixture
def config(tmp_path, base):
    clips = tmp_path / "clips"
    clips.mkdir()
    for name in ("one", "two"):
        soundfile.write(clips / f"{name}.wav", [0.1, -0.1] * 8000, 16_000)
        (clips / f"{name}.txt").write_text(name)
    return TrainConfig(preset="quick", train=str(clips), model=str(base))
