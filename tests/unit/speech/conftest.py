from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile


def _sine(seconds: float = 1.0, rate: int = 16_000, hertz: float = 440.0, peak: float = 0.5) -> np.ndarray:
    return (peak * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


@pytest.fixture
def sine() -> Callable[..., np.ndarray]:
    return _sine


@pytest.fixture
def clip(tmp_path: Path) -> Callable[..., Path]:
    """Write a sine as an audio file below tmp_path: clip("a/b.flac", seconds=2)."""

    def write(name: str, seconds: float = 1.0, rate: int = 16_000) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, _sine(seconds, rate), rate)
        return path

    return write


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., Path]:
    def write(name: str, *lines: str, encoding: str = "utf-8") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n", encoding=encoding)
        return path

    return write
