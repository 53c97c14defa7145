"""What all tests share: quiet libraries, one thread per process, no network, and cheap garbage collection."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from typing import Any

import pytest

from asrkit.ui import gradio_stubs

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["ASRKIT_ENGINE"] = "pytorch"  # else each model that a test transcribes with would be exported and measured

signal.signal(
    signal.SIGINT, signal.default_int_handler
)  # a shell's background jobs, such as CI's, inherit to ignore it
gradio_stubs.skip_stubs()  # some tests import Gradio before the page
gc.disable()  # until all libraries are imported, see `pytest_collection_finish`


def pytest_configure() -> None:
    """Let apps know this machine's speed, so that none measures it; runs of tests do not change it for the user."""
    os.environ["ASRKIT_PACE"] = os.path.join(tempfile.mkdtemp(prefix="asrkit-pace-"), "pace.json")
    from asrkit.runs import pace

    pace.remember(pace.Pace(5.0, 60.0, 200.0, parameters=5_441_821, freeze="feature-encoder"), "cpu")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Mix files that wait with files that compute, for `--dist loadfile`."""
    if config.getvalue("dist") != "loadfile":
        return None
    from tests.support.schedule import MixedFiles

    return MixedFiles(config, log)


def pytest_unconfigure() -> None:
    shutil.rmtree(os.path.dirname(os.environ["ASRKIT_PACE"]), ignore_errors=True)


def pytest_collection_finish() -> None:
    """Exempt what the libraries made on import from garbage collection, which would walk through all of it.

    Trainer collects garbage twice in each training, which takes 0.3 s with all libraries loaded: half the time of a
    test that trains a tiny model.
    """
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def fork_server() -> Iterator[None]:
    """Let all runs of this process be forked from one server, as those of an app are; see `asrkit.runs.fork_server`."""
    from asrkit.runs.fork_server import start_fork_server
    from tests.support.waiting import wait_for

    server = start_fork_server()
    if server is None:  # not on this system: workers are started as programs
        yield
        return
    wait_for(server.path.exists, "the fork server")
    yield
    server.close()
