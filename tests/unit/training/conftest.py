"""Tiny checkpoints of every model family, and clips of noise."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from asrkit.data.manifest import Utterance
from tests.support.checkpoints import write_checkpoint, write_noise_clips


@pytest.fixture(scope="session")
def checkpoint_cache(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Checkpoints made so far, by their settings."""
    return {"": tmp_path_factory.mktemp("checkpoints")}


@pytest.fixture
def checkpoint(tmp_path: Path, checkpoint_cache: dict[str, Path]) -> Callable[..., Path]:
    """checkpoint("hubert", head=False, letters="abc", layerdrop=0.1) -> a copy that the test may change."""

    def make(kind: str = "wav2vec2", **settings) -> Path:
        key = repr((kind, sorted(settings.items())))
        if key not in checkpoint_cache:
            checkpoint_cache[key] = write_checkpoint(
                checkpoint_cache[""] / str(len(checkpoint_cache)), kind, **settings
            )
        return Path(shutil.copytree(checkpoint_cache[key], tmp_path / f"{kind}-{len(list(tmp_path.iterdir()))}"))

    return make


@pytest.fixture
def clips(tmp_path: Path) -> Callable[..., list[Utterance]]:
    """clips(1.0, 0.5) -> utterances of that many seconds of noise, with texts from `texts`."""

    def make(*durations_s: float, texts: tuple[str, ...] = ("ab", "a cab", "bad", "deed")) -> list[Utterance]:
        return write_noise_clips(tmp_path, *durations_s, texts=texts)

    return make
