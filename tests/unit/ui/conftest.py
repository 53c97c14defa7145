"""Fixtures of the page's unit tests."""

import pytest

from asrkit.ui.common import run_list


@pytest.fixture(autouse=True)
def list_runs_anew(monkeypatch):
    """List the runs for every poll, however long that takes on a busy machine."""
    monkeypatch.setattr(run_list, "REUSE_FACTOR", 0)
