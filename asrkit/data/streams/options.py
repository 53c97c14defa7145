"""Whether a dataset is streamed, and through how large a cache: the settings `stream` and `stream_cache_gb`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

StreamMode = Literal["auto", "yes", "no"]


@dataclass(frozen=True)
class StreamOptions:
    """mode: auto streams what is larger than the room on the disk. audio_column: chosen by the user."""

    mode: StreamMode = "no"
    cache_bytes: int = 20_000_000_000
    audio_column: str = ""


NOT_STREAMED = StreamOptions()
