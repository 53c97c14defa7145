"""Durations and sizes as text, for the page, the terminal and messages."""

from __future__ import annotations

import re
from collections.abc import Sequence

_BYTES = {"": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_SIZE = re.compile(r"(\d{1,15})\s*(|kb|mb|gb|tb)")


def format_duration(seconds: float) -> str:
    """Format a duration in its two largest units: 8 s, 1 min 10 s, 2 h 5 min, 3 d 4 h. Negative values count as 0."""
    whole = max(0, round(seconds))
    for size, unit, small, small_unit in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // small
            return f"{whole // size} {unit} {rest} {small_unit}" if rest else f"{whole // size} {unit}"
    return f"{whole} s"


def format_rough_duration(seconds: float) -> str:
    """Format an estimated duration: in steps of 5 s below a minute, of 10 s below 5 min, of minutes above."""
    step = 5 if seconds < 60 else 10 if seconds < 300 else 60
    return format_duration(max(step, round(seconds / step) * step))


def format_count(number: int, noun: str) -> str:
    """Format `1 clip` or `1,200 clips`."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def format_list(items: Sequence[str], max_items: int, separator: str = ", ") -> str:
    """Format the first items of a list: `a, b and 3 more`."""
    listed = separator.join(items[:max_items])
    return f"{listed} and {len(items) - max_items} more" if len(items) > max_items else listed


def format_size(num_bytes: float) -> str:
    """Format a number of bytes in decimal units: 812 kB, 5.4 MB, 54 MB, 3.1 GB."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6)):
        if num_bytes >= scale:
            return f"{num_bytes / scale:.1f} {unit}" if num_bytes < 10 * scale else f"{num_bytes / scale:.0f} {unit}"
    return f"{num_bytes / 1e3:.0f} kB"


def parse_size(text: str) -> int | None:
    """Return the bytes of 500MB, 2 gb or 4096 (decimal units); None for any other text, and for 0."""
    match = _SIZE.fullmatch(text.strip().lower())
    return (int(match[1]) * _BYTES[match[2]] or None) if match else None


def format_binary_size(num_bytes: float) -> str:
    """Format a limit, or a size that is compared with one, in binary units: 32 MB, 2 GB, 1.5 GB."""
    if num_bytes >= 1 << 30:
        return f"{num_bytes / 2**30:.1f}".removesuffix(".0") + " GB"
    return f"{num_bytes / 2**20:.0f} MB"


def format_rate(rate: float | None) -> str:
    """Format a rate that is stored as a fraction: 3.1 %. None is unknown."""
    return "unknown" if rate is None else f"{rate * 100:.1f} %"
