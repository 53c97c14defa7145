"""The header of an audio file compared with the file: where its audio really ends, and a right header if it is wrong.

These headers tell how many bytes of audio follow. A recorder that writes to a pipe, loses its power or passes 4 GB
leaves a wrong number there. libsndfile trusts it, so a wrong header is replaced by a right one before it reads.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from asrkit.audio.header_parsers import MAX_U32, Header, ReadBytes, iter_chunks, parse_header

Problem = Literal["", "wrong-length", "assumed-audio", "cut-off"]

MIN_MISSED_S = 0.05
"""Bytes behind the data that are no chunk are examined from this length on; less is padding."""
MAX_PADDING_BYTES = 1 << 26
"""How much of the end of a file is searched for padding and chunks."""
_PIECE_BYTES = 1 << 20
_TRAILING_CHUNK = re.compile(
    rb"LIST|id3 |ID3 |bext|iXML|axml|_PMX|cue |smpl|inst|PEAK|fact|afsp|JUNK|junk|FLLR|PAD |info"
)
_JOINED = (b"RIFF", b"RF64", b"FORM", b".snd")
_TAGS = (b"ID3", b"TAG", b"APETAGEX")


@dataclass(frozen=True)
class AudioExtent:
    """Where the audio of a file starts and stops, and where the next file begins that is joined to it, if any.

    problem: "cut-off" if the file ends before its audio; "wrong-length" if the header is wrong; "assumed-audio" if that
    is a guess. claimed_s, found_s: seconds of audio by the header, and in the file. head: a right header, if it is
    wrong. plain_s: seconds of plain PCM whose header is right, as it is decoded; None for all others.
    """

    start: int
    stop: int
    end: int
    problem: Problem = ""
    claimed_s: float = 0.0
    found_s: float = 0.0
    head: bytes = b""
    plain_s: float | None = None


def check_header(read: ReadBytes, size: int) -> AudioExtent | None:
    """Compare the header of a file of `size` bytes with it; None for another format and for a damaged header."""
    header = parse_header(read, size)
    return _compare(header, read, size) if header and header.start <= size else None


def _compare(header: Header, read: ReadBytes, size: int) -> AudioExtent:
    claimed, stop = header.claimed, header.start + (header.claimed or 0)
    if claimed and stop > size and header.file_end is not None and header.file_end > size + 1:
        return _extent(header, size, size, "cut-off")
    if claimed is not None and stop <= size:
        for begin in {stop, stop + stop % 2} if claimed else ():
            if read(begin, 4) in _JOINED and check_header(_shift(read, begin), size - begin):
                return _extent(header, stop, begin)
        is_end = size - stop < max(64, MIN_MISSED_S * header.bytes_per_s) if claimed else size <= stop
        if (
            is_end
            or not header.field
            or _is_padding(read, stop, size, claimed)
            or _are_chunks(header, read, stop, size)
        ):
            return _extent(header, stop, size)
    problem: Problem = "" if claimed is None else "assumed-audio" if claimed and stop <= size else "wrong-length"
    return _correct_header(header, read, _find_chunks(header, read, size), size, problem)


def _extent(header: Header, stop: int, end: int, problem: Problem = "", head: bytes = b"") -> AudioExtent:
    claimed_s, found_s = (
        count / header.bytes_per_s if header.bytes_per_s else 0.0
        for count in (header.claimed or 0, stop - header.start)
    )
    is_plain = header.pcm and stop - header.start == header.claimed and not problem
    plain_s = (stop - header.start) // header.pcm[1] / header.pcm[0] if header.pcm and is_plain else None
    return AudioExtent(header.start, stop, end, problem, claimed_s, found_s, head, plain_s)


def _correct_header(header: Header, read: ReadBytes, stop: int, size: int, problem: Problem) -> AudioExtent:
    """Make the extent of a file whose header is wrong or open, with a right header."""
    position, form, surplus = header.field or (header.start, "", 0)
    if position + struct.calcsize(form) > header.start or not form:  # it has none, or is damaged
        return _extent(header, stop, size, problem)
    head, count = bytearray(read(0, header.start)), stop - header.start + surplus
    if count > MAX_U32 and form == "<I" and head[:4] == b"RIFF":
        long = struct.pack("<4sI4s4sIQQQI", b"RF64", MAX_U32, b"WAVE", b"ds64", 28, count + len(head) + 28, count, 0, 0)
        head[position : position + 4] = b"\xff" * 4
        return _extent(header, stop, size, problem, long + head[12:])
    struct.pack_into(form, head, position, min(count, (1 << 8 * struct.calcsize(form)) - 1))
    return _extent(header, stop, size, problem, bytes(head))


def _is_padding(read: ReadBytes, stop: int, size: int, claimed: int) -> bool:
    """Whether a tag or nothing but zeros follows the data."""
    if not claimed or size - stop > MAX_PADDING_BYTES:
        return False
    return read(stop, 8).startswith(_TAGS) or not any(any(piece) for _, piece in _iter_pieces(read, stop, size))


def _iter_pieces(read: ReadBytes, start: int, size: int, overlap: int = 0) -> Iterator[tuple[int, bytes]]:
    for begin in range(start, size, _PIECE_BYTES):
        yield begin, read(begin, min(size - begin, _PIECE_BYTES + overlap))


def _are_chunks(header: Header, read: ReadBytes, start: int, size: int) -> bool:
    """Whether the file consists of chunks from a position to its end."""
    if header.chunks is None:
        return False
    start += -start % header.chunks.alignment
    end, is_known = start, False
    for chunk in iter_chunks(read, start, size, header.chunks):
        if not (chunk.identifier.isascii() and chunk.identifier.decode("ascii").isprintable()):
            return False
        end, is_known = chunk.next, is_known or _TRAILING_CHUNK.match(chunk.identifier) is not None
    return end > start and size - end < 8 and (end <= size + 1 or is_known)


def _find_chunks(header: Header, read: ReadBytes, size: int) -> int:
    """Return where the chunks behind the audio begin, or the end of the file."""
    if header.chunks is not None and not header.chunks.counts_itself:
        for begin, piece in _iter_pieces(read, max(header.start, size - MAX_PADDING_BYTES), size, overlap=4):
            for match in _TRAILING_CHUNK.finditer(piece):
                position = begin + match.start()
                if position % header.chunks.alignment == 0 and _are_chunks(header, read, position, size):
                    return position
    return size


def _shift(read: ReadBytes, begin: int) -> ReadBytes:
    return lambda position, count: read(begin + position, count)
