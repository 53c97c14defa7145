"""Fixtures for tests of run directories that need neither a real training worker nor torch."""

import subprocess
import sys

import pytest
import soundfile
from huggingface_hub import close_session, constants

from asrkit.config import TrainConfig
from asrkit.hub import compute
from asrkit.runs import processes
from asrkit.runs.launchers import hf_jobs
from tests.support.hub import serve
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
    with serve(tmp_path / "hub") as served:
        monkeypatch.setattr(constants, "ENDPOINT", served.url)
        monkeypatch.setattr("huggingface_hub.hf_api.constants.ENDPOINT", served.url)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(compute.credentials, "_operators_token", "hf_good")
        monkeypatch.setattr(hf_jobs, "REUSE_S", 0.0)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv(hf_jobs.STORAGE, f"tiny/bucket:{tmp_path}")
        monkeypatch.setenv("SPACE_ID", "tiny/app")
        compute._list_hardware.cache_clear()
        close_session()  # the port may have been another server's
        yield served
    compute._list_hardware.cache_clear()


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
