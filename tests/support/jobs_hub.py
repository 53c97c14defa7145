"""The stand-in for the Hugging Face Hub for the launcher of jobs in this process, which acts for the user tiny."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import close_session, constants

from asrkit.hub import compute, credentials
from asrkit.runs.launchers import hf_jobs
from tests.support.hub import Hub, serve


@contextlib.contextmanager
def serve_in_process(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Serve it, and let the Hub's client of this process ask it."""
    with serve(root) as served:
        monkeypatch.setattr(constants, "ENDPOINT", served.url)
        monkeypatch.setattr("huggingface_hub.hf_api.constants.ENDPOINT", served.url)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(credentials, "_operators_token", "hf_good")
        monkeypatch.setattr(hf_jobs, "REUSE_S", 0.0)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("SPACE_ID", "tiny/app")
        compute._list_hardware.cache_clear()
        close_session()  # the port may have been another server's
        yield served
    compute._list_hardware.cache_clear()
