"""A dataset on a faulty stand-in of the Hub, read by the client in this process."""

import pytest

from asrkit.hub import ranges
from tests.support import streams


@pytest.fixture
def served(tmp_path, monkeypatch):
    """Two parquet files with three row groups of two clips each."""
    folder = tmp_path / "hub/datasets" / streams.NAME
    for number in range(2):
        streams.write_parquet(folder / f"data/train-{number}.parquet", [1.0, 2.0, 1.5, 1.5, 0.5, 1.0], 2)
    with streams.serve(tmp_path / "hub") as stand_in:
        streams.use_in_process(stand_in, tmp_path, monkeypatch)
        yield stand_in


@pytest.fixture
def waits(monkeypatch):
    """The seconds that were waited for the server, which take no time."""
    waited = []
    monkeypatch.setattr(ranges, "sleep", waited.append)
    return waited
