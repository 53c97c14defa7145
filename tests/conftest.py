"""What all tests share: quiet libraries, one thread per process, no network, and cheap garbage collection."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["TOKENIZERS_PARALLELISM"] = "false"


def pytest_collection_finish() -> None:
    """Exempt what the libraries made on import from garbage collection.

    Trainer collects garbage twice in each training, which takes 0.3 s with all libraries loaded: half the time of a
    test that trains a tiny model.
    """
    gc.collect()
    gc.freeze()


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
