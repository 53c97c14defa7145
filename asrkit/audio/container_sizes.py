"""How long a container was when it was written, by its own word: a shorter one is cut off."""

from __future__ import annotations

from pathlib import Path

from asrkit.audio.byte_ranges import read_bytes
from asrkit.audio.header_parsers import MIN_UNKNOWN_BYTES

_BOXES = {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"moof", b"mfra", b"wide", b"udta", b"sidx", b"styp", b"uuid"}
_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"


def declared_size(source: str | Path | bytes, size: int) -> int:
    """Return how many bytes a Matroska, WebM, MP4, AVI or WMA file had; its `size` if it does not tell.

    Less than its size where a Matroska file goes on behind its end, or leaves it open: files may be joined.
    """
    head = read_bytes(source, 0, 256)
    if head[:4] == _EBML:
        return _matroska_size(head + bytes(16))
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        riff_size = int.from_bytes(head[4:8], "little")
        return size if riff_size >= MIN_UNKNOWN_BYTES else max(size, 8 + riff_size)
    if head[:16] == _ASF:
        properties = read_bytes(source, 0, 1 << 16)
        position = properties.find(_ASF_PROPERTIES)
        return max(size, int.from_bytes(properties[position + 40 : position + 48], "little")) if position > 0 else size
    if head[4:8] in _BOXES:
        return _boxes_size(source, size)
    return size


def _matroska_size(head: bytes) -> int:
    """Return the end of the segment by its header, 0 where it is left open."""

    def read_size(position: int) -> tuple[int, int, bool]:
        """-> (number, the position behind it, whether it is left open)"""
        length = 9 - head[position].bit_length()  # 9 for a byte of zeros, which is no number
        number = int.from_bytes(head[position : position + length], "big") & ((1 << 7 * length) - 1)
        return number, position + length, number == (1 << 7 * length) - 1

    header_size, start, _ = read_size(4)
    segment = start + header_size
    if head[segment : segment + 4] != _SEGMENT:
        return 0
    size, start, is_open = read_size(segment + 4)
    return 0 if is_open else start + size


def _boxes_size(source: str | Path | bytes, size: int) -> int:
    """Return the end of the last box of an MP4 file."""
    position = 0
    while position + 8 <= size:
        head = read_bytes(source, position, 16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:], "big")
        if head[4:8] not in _BOXES or length < 8:  # 0: up to the end of the file
            return size
        position += length
    return max(size, position)
