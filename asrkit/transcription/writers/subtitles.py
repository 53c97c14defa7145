"""Subtitle formats: SubRip and WebVTT."""

from __future__ import annotations

from asrkit.decoding.transcript import Transcript
from asrkit.transcription.writers.captions import Caption, split_captions


def to_srt(transcript: Transcript) -> str:
    """Return SubRip: numbered captions with times such as 00:01:02,345."""
    parts = (
        f"{number}\n{_format_times(caption, ',')}\n{_format_lines(caption)}\n"
        for number, caption in enumerate(split_captions(transcript), 1)
    )
    return "\n".join(parts)


def to_vtt(transcript: Transcript) -> str:
    """Return WebVTT (W3C): `&`, `<` and `>` of the text are written as entities."""
    parts = (
        f"{_format_times(caption, '.')}\n"
        f"{_format_lines(caption).replace('&', '&amp;').replace('<', '&lt;').replace('>', '&gt;')}\n"
        for caption in split_captions(transcript)
    )
    return "\n".join(["WEBVTT\n", *parts])


def _format_lines(caption: Caption) -> str:
    return "\n".join(caption.lines)


def _format_times(caption: Caption, separator: str) -> str:
    return f"{_format_time(caption.start_s, separator)} --> {_format_time(caption.end_s, separator)}"


def _format_time(seconds: float, separator: str) -> str:
    milliseconds = max(0, round(seconds * 1000))
    hours, rest = divmod(milliseconds, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"{hours:02d}:{minutes:02d}:{rest // 1000:02d}{separator}{rest % 1000:03d}"
