"""Audio that libsndfile cannot read (m4a, webm, mp4, AMR, G.722 ...), through PyAV.

PyAV ships its own FFmpeg, so nothing has to be installed on the system. It is asked last and imported only then: a
machine that it does not exist for can do without it, and says what it cannot read.
"""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path
from typing import Any

import numpy as np

HEADERLESS = {".g722": {"format": "g722"}, ".722": {"format": "g722"}}
"""Formats that only the name of the file tells."""

SELF_CONTAINED = (
    "mov,mp4,matroska,webm,aac,amr,amrnb,amrwb,asf,g722,caf,aiff,au,wav,w64,ogg,flac,mp3,avi,flv,mpeg,"
    "mpegts,ac3,eac3,wv,tta,ape,gsm"
)
"""What FFmpeg may take a file for. Playlists are left out: an upload that is one could name any other file."""


def is_available() -> bool:
    return importlib.util.find_spec("av") is not None


def decode(source: str | Path | bytes) -> tuple[int, np.ndarray] | None:
    """-> (rate, (n, 1) float32, mono), or None where PyAV is missing or cannot read it either."""
    if not is_available():
        return None
    import av

    try:
        with open_container(source) as container:
            if not container.streams.audio:
                return None
            stream = container.streams.audio[0]
            if not stream.rate:
                return None
            to_mono = av.AudioResampler(format="flt", layout="mono", rate=stream.rate)
            frames = [*container.decode(stream), None]  # None flushes the resampler
            blocks = [block.to_ndarray()[0] for frame in frames for block in to_mono.resample(frame)]
    except av.FFmpegError:
        return None
    samples = np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
    return stream.rate, samples[:, None]


def read_duration_s(path: str | Path) -> float | None:
    """Seconds by the container's header (decoding only where the header has none); None as for `decode`."""
    if not is_available():
        return None
    import av

    try:
        with open_container(path) as container:
            if not container.streams.audio:
                return None
            if container.duration is not None and not _options(path):
                return container.duration / av.time_base
    except av.FFmpegError:
        return None
    decoded = decode(path)
    return None if decoded is None else len(decoded[1]) / decoded[0]


def open_container(source: str | Path | bytes) -> Any:
    """Raises av.FFmpegError where FFmpeg cannot tell what it is."""
    import av

    # Absolute, for FFmpeg takes what stands before a colon for a protocol.
    readable = io.BytesIO(source) if isinstance(source, bytes) else str(Path(source).absolute())
    # Strict is the default: a title in another encoding would make the audio unreadable.
    return av.open(
        readable, metadata_errors="replace", options={"format_whitelist": SELF_CONTAINED}, **_options(source)
    )


def _options(source: str | Path | bytes) -> dict[str, str]:
    return {} if isinstance(source, bytes) else HEADERLESS.get(Path(source).suffix.lower(), {})
