"""Recordings in containers that only PyAV can write, with a clock of their own."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np


def encode(
    path: Path,
    samples: np.ndarray,
    codec: str,
    *,
    rate: int = 16_000,
    gaps: Sequence[tuple[float, float]] = (),
    video_s: float = 0.0,
    options: dict[str, str] | None = None,
) -> Path:
    """Write (n,) or (n, channels) samples at 16 kHz.

    gaps: (second of the audio, silence before it by the clock alone). video_s: seconds of black picture beside it.
    """
    samples = samples if samples.ndim == 2 else samples[:, None]
    layout = "mono" if samples.shape[1] == 1 else "stereo"
    with av.open(str(path), "w", options=options or {}) as out:
        video_codec = {".webm": "libvpx", ".flv": "flv"}.get(path.suffix, "mpeg4")
        video = out.add_stream(video_codec, rate=5, width=32, height=32, pix_fmt="yuv420p") if video_s else None
        stream = out.add_stream(codec, rate=rate, layout=layout)
        if codec == "wmav2":
            stream.bit_rate = 64_000
        if video is not None:
            for _ in range(round(video_s * 5)):
                out.mux(video.encode(av.VideoFrame(32, 32, "yuv420p")))
            out.mux(video.encode(None))
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray((samples * 32767).astype(np.int16).reshape(1, -1)), format="s16", layout=layout
        )
        frame.sample_rate = 16_000
        fitting = av.AudioResampler(format=stream.format.name, layout=layout, rate=rate, frame_size=stream.frame_size)
        pieces = [piece for part in (frame, None) for piece in fitting.resample(part)]
        position = 0
        for piece in pieces:
            piece.pts, piece.time_base, position = position, Fraction(1, rate), position + piece.samples
        for packet in [packet for piece in (*pieces, None) for packet in stream.encode(piece)]:
            packet.time_base = Fraction(1, rate)
            at_s = float(max(0, packet.pts or 0) * packet.time_base)
            late = round(sum(length_s for gap_s, length_s in gaps if at_s >= gap_s) / packet.time_base)
            packet.pts, packet.dts = (packet.pts or 0) + late, (packet.dts or 0) + late
            packet.stream = stream
            out.mux(packet)
    return path
