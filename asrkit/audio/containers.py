"""Audio that libsndfile cannot read (m4a, webm, mp4, AMR, G.722 ...), through PyAV.

PyAV ships its own FFmpeg, so nothing has to be installed on the system. It is tried last and imported only then, so the
project works without it on platforms that it does not support, except for these formats.
"""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from av.container import InputContainer

HEADERLESS = {".g722": "g722", ".722": "g722"}
"""FFmpeg's format by suffix for files without a header."""

SELF_CONTAINED = (
    "mov,mp4,matroska,webm,aac,amr,amrnb,amrwb,asf,g722,caf,aiff,au,wav,w64,ogg,flac,mp3,avi,flv,mpeg,"
    "mpegts,ac3,eac3,wv,tta,ape,gsm"
)
"""The formats that FFmpeg may detect. Playlists are excluded: an uploaded playlist could refer to any other file."""


def is_available() -> bool:
    return importlib.util.find_spec("av") is not None


def decode(source: str | Path | bytes) -> tuple[int, np.ndarray] | None:
    """Decode to (rate, (n, 1) mono float32), or None where PyAV is missing or cannot read it either."""
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
    """Read the duration in seconds from the header, decoding only where it has none; None as for `decode`."""
    if not is_available():
        return None
    import av

    try:
        with open_container(path) as container:
            if not container.streams.audio:
                return None
            if container.duration is not None and not _headerless_format(path):
                return container.duration / av.time_base
    except av.FFmpegError:
        return None
    decoded = decode(path)
    return None if decoded is None else len(decoded[1]) / decoded[0]


def open_container(source: str | Path | bytes) -> InputContainer:
    """Open a container. Raises av.FFmpegError for an unknown format."""
    import av

    # Absolute, for FFmpeg takes what stands before a colon for a protocol.
    readable = io.BytesIO(source) if isinstance(source, bytes) else str(Path(source).absolute())
    # Strict is the default: a title in another encoding would make the audio unreadable.
    return av.open(
        readable,
        mode="r",
        format=_headerless_format(source),
        metadata_errors="replace",
        options={"format_whitelist": SELF_CONTAINED},
    )


def _headerless_format(source: str | Path | bytes) -> str | None:
    return None if isinstance(source, bytes) else HEADERLESS.get(Path(source).suffix.lower())
