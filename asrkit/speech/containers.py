"""Audio that libsndfile cannot read (m4a, webm, mp4 ...), through PyAV where that optional package is installed.

PyAV ships its own FFmpeg, so nothing has to be installed on the system.
"""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path

import numpy as np


def available() -> bool:
    return importlib.util.find_spec("av") is not None


def decode(source: str | Path | bytes) -> tuple[int, np.ndarray] | None:
    """-> (rate, (n, 1) float32, mono), or None where PyAV is missing or cannot read it either."""
    if not available():
        return None
    import av

    try:
        with av.open(_readable(source)) as container:
            if not container.streams.audio:
                return None
            stream = container.streams.audio[0]
            to_mono = av.AudioResampler(format="flt", layout="mono", rate=stream.rate)
            frames = [*container.decode(stream), None]  # None flushes the resampler
            blocks = [block.to_ndarray()[0] for frame in frames for block in to_mono.resample(frame)]
    except av.FFmpegError:
        return None
    samples = np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
    return stream.rate, samples[:, None]


def duration_s(path: str | Path) -> float | None:
    """Seconds by the container's header (decoding only where the header has none); None as for `decode`."""
    if not available():
        return None
    import av

    try:
        with av.open(_readable(path)) as container:
            if not container.streams.audio:
                return None
            if container.duration is not None:
                return container.duration / av.time_base
    except av.FFmpegError:
        return None
    decoded = decode(path)
    return None if decoded is None else len(decoded[1]) / decoded[0]


def _readable(source: str | Path | bytes) -> str | io.BytesIO:
    return io.BytesIO(source) if isinstance(source, bytes) else str(source)
