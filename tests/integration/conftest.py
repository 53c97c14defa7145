"""Tiny speech, a tiny base model, and a run store whose workers are killed after the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from asrkit.config import TrainConfig
from asrkit.runs.store import RunStore
from tests.support import tiny
from tests.support.runs import end_runs


@pytest.fixture(scope="session", autouse=True)
def forked_workers(fork_server: None) -> None:
    """Runs save the imports of their workers."""


@pytest.fixture(scope="session")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_dataset(tmp_path_factory.mktemp("speech") / "tones")


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_checkpoint(tmp_path_factory.mktemp("base") / "tiny")


@pytest.fixture
def settings(speech: Path, base: Path) -> Callable[..., TrainConfig]:
    """A TrainConfig for a run of seconds; keywords change it."""

    def make(**changes) -> TrainConfig:
        values = {"preset": "", "train": str(speech), "model": str(base), **tiny.SETTINGS, **changes}
        return TrainConfig().replace(values)

    return make


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RunStore]:
    kept = RunStore(tmp_path / "runs")
    yield kept
    end_runs(kept)
