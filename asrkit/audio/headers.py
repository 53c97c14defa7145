"""What the headers of WAV, RF64, W64, AIFF, AU, CAF and NIST SPHERE say of their audio, held against the file.

These headers tell how many bytes of audio follow. A recorder that writes to a pipe, loses its power or passes 4 GB
leaves a wrong number there. libsndfile believes it, so a wrong header is replaced by a right one before it reads.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

ReadBytes = Callable[[int, int], bytes]
"""(position, count) -> up to so many bytes of the file."""

Problem = Literal["", "wrong-length", "assumed-audio", "cut-off"]

MIN_UNKNOWN_BYTES = 0x7FFF0000
"""A recorder that writes to a pipe does not know the size of the data, and leaves a huge one in a header of 32 bits."""
MAX_CLAIM_RATIO = 100
"""A header of a format that tells its length only once is nonsense, not that of a cut file, beyond this ratio."""
MIN_MISSED_S = 0.05
"""Bytes behind the data that are no chunk are looked at from this length on; less is padding."""
MAX_PADDING_BYTES = 1 << 26
"""How much of the end of a file is searched for padding and chunks."""
MAX_CHUNKS = 10_000
_PIECE_BYTES = 1 << 20
_MAX_U32 = 0xFFFFFFFF
_TRAILING_CHUNK = re.compile(
    rb"LIST|id3 |ID3 |bext|iXML|axml|_PMX|cue |smpl|inst|PEAK|fact|afsp|JUNK|junk|FLLR|PAD |info"
)
_JOINED = (b"RIFF", b"RF64", b"FORM", b".snd")
_TAGS = (b"ID3", b"TAG", b"APETAGEX")
_W64_RIFF = bytes.fromhex("726966662e91cf11a5d628db04c10000")
_AU_BYTES = {1: 1, 2: 1, 3: 2, 4: 3, 5: 4, 6: 4, 7: 8, 27: 1}


@dataclass(frozen=True)
class ChunkStyle:
    """How a family of formats writes the identifier and the size of a chunk, as a `struct` format.

    counts_itself: the size counts the header of the chunk. alignment: chunks begin at a multiple of it.
    """

    format: str
    counts_itself: bool = False
    alignment: int = 2


@dataclass(frozen=True)
class Chunk:
    """identifier: its first four bytes. start, size: of its content. next: where the next chunk begins."""

    identifier: bytes
    start: int
    size: int
    next: int


@dataclass(frozen=True)
class Header:
    """start: the first byte of the audio. claimed: its bytes by the header, None where it leaves them open.

    file_end: the size of the file by the header, None where it leaves it open. bytes_per_s: of audio, 0 if unknown.
    field: position, `struct` format and surplus of the size of the data as the header writes it.
    """

    start: int
    claimed: int | None
    file_end: int | None
    bytes_per_s: float
    field: tuple[int, str, int] | None
    chunks: ChunkStyle | None


@dataclass(frozen=True)
class AudioExtent:
    """Where the audio of a file starts and stops, and where the next file begins that is joined to it, if any.

    problem: "cut-off" if the file ends before its audio; "wrong-length" if the header is wrong; "assumed-audio" if that
    is a guess. claimed_s, found_s: seconds of audio by the header, and in the file. head: a right header, if it is
    wrong.
    """

    start: int
    stop: int
    end: int
    problem: Problem = ""
    claimed_s: float = 0.0
    found_s: float = 0.0
    head: bytes = b""


def check_header(read: ReadBytes, size: int) -> AudioExtent | None:
    """Hold the header of a file of `size` bytes against the file; None for another format and for a damaged header."""
    magic = read(0, 16)
    parse = _parse_w64 if magic == _W64_RIFF else _PARSERS.get(magic[:4])
    try:
        header = parse(read, size) if parse else None
    except (struct.error, ValueError, ZeroDivisionError, OverflowError):
        return None
    return _judge(header, read, size) if header and header.start <= size else None


def _judge(header: Header, read: ReadBytes, size: int) -> AudioExtent:
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
    return _mend(header, read, _find_chunks(header, read, size), size, problem)


def _extent(header: Header, stop: int, end: int, problem: Problem = "", head: bytes = b"") -> AudioExtent:
    claimed_s, found_s = (
        count / header.bytes_per_s if header.bytes_per_s else 0.0
        for count in (header.claimed or 0, stop - header.start)
    )
    return AudioExtent(header.start, stop, end, problem, claimed_s, found_s, head)


def _mend(header: Header, read: ReadBytes, stop: int, size: int, problem: Problem) -> AudioExtent:
    """Make the extent of a file whose header is wrong or open, with a right header."""
    position, form, surplus = header.field or (header.start, "", 0)
    if position + struct.calcsize(form) > header.start or not form:  # it has none, or is damaged
        return _extent(header, stop, size, problem)
    head, count = bytearray(read(0, header.start)), stop - header.start + surplus
    if count > _MAX_U32 and form == "<I" and head[:4] == b"RIFF":
        long = struct.pack(
            "<4sI4s4sIQQQI", b"RF64", _MAX_U32, b"WAVE", b"ds64", 28, count + len(head) + 28, count, 0, 0
        )
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
    for chunk in _iter_chunks(read, start, size, header.chunks):
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


def _iter_chunks(read: ReadBytes, start: int, size: int, style: ChunkStyle) -> Iterator[Chunk]:
    length = struct.calcsize(style.format)
    for _ in range(MAX_CHUNKS):
        if start + length > size:
            return
        identifier, count = struct.unpack(style.format, read(start, length))
        content = max(0, count - length) if style.counts_itself else max(0, count)
        next_start = start + length + content
        next_start += -next_start % style.alignment
        yield Chunk(identifier[:4], start + length, content, next_start)
        start = next_start


def _shift(read: ReadBytes, begin: int) -> ReadBytes:
    return lambda position, count: read(begin + position, count)


def _known(count: int, limit: int = MIN_UNKNOWN_BYTES) -> int | None:
    return count if 0 <= count < limit else None


def _parse_riff(read: ReadBytes, size: int) -> Header | None:
    magic, riff_size, kind = struct.unpack("<4sI4s", read(0, 12))
    if kind != b"WAVE":
        return None
    order = ">" if magic == b"RIFX" else "<"
    riff_size = struct.unpack(f"{order}I", read(4, 4))[0]
    style, bytes_per_s, long_size, long_position = ChunkStyle(f"{order}4sI"), 0.0, 0, 0
    for chunk in _iter_chunks(read, 12, size, style):
        if chunk.identifier == b"fmt ":
            bytes_per_s = _bytes_per_s(read(chunk.start, 14), order)
        elif chunk.identifier == b"ds64":
            riff_size, long_size = struct.unpack("<QQ", read(chunk.start, 16))
            long_position = chunk.start + 8
        elif chunk.identifier == b"data":
            is_long = long_position > 0 and chunk.size == _MAX_U32
            claimed, limit = (long_size, 1 << 62) if is_long else (chunk.size, MIN_UNKNOWN_BYTES)
            field = (long_position, "<Q", 0) if is_long else (chunk.start - 4, f"{order}I", 0)
            open_end = not riff_size or riff_size >= (1 << 62 if long_size else MIN_UNKNOWN_BYTES)
            if not is_long and size > MIN_UNKNOWN_BYTES:
                limit = _MAX_U32  # a file as large as that may tell the truth
            file_end = None if open_end else 8 + riff_size
            return Header(chunk.start, _known(claimed, limit), file_end, bytes_per_s, field, style)
    return None


def _bytes_per_s(fmt: bytes, order: str) -> float:
    rate, per_s, block = struct.unpack(f"{order}4xIIH", fmt)
    return float(per_s or rate * block)


def _parse_w64(read: ReadBytes, size: int) -> Header | None:
    style, bytes_per_s = ChunkStyle("<16sQ", counts_itself=True, alignment=8), 0.0
    file_end = struct.unpack("<Q", read(16, 8))[0]
    for chunk in _iter_chunks(read, 40, size, style):
        if chunk.identifier == b"fmt ":
            bytes_per_s = _bytes_per_s(read(chunk.start, 14), "<")
        elif chunk.identifier == b"data":
            claimed = struct.unpack("<Q", read(chunk.start - 8, 8))[0]
            count = max(0, claimed - 24)
            end = _known(file_end, 1 << 62) or None
            return Header(chunk.start, _known(count, 1 << 62), end, bytes_per_s, (chunk.start - 8, "<Q", 24), style)
    return None


def _parse_aiff(read: ReadBytes, size: int) -> Header | None:
    form_size, kind = struct.unpack(">4xI4s", read(0, 12))
    if kind not in (b"AIFF", b"AIFC"):
        return None
    style, bytes_per_s = ChunkStyle(">4sI"), 0.0
    for chunk in _iter_chunks(read, 12, size, style):
        if chunk.identifier == b"COMM":
            channels, bits, exponent, mantissa = struct.unpack(">H4xHHQ", read(chunk.start, 18))
            bytes_per_s = channels * ((bits + 7) // 8) * mantissa * 2.0 ** ((exponent & 0x7FFF) - 16446)
        elif chunk.identifier == b"SSND":
            count = None if chunk.size >= MIN_UNKNOWN_BYTES else max(0, chunk.size - 8)
            file_end = 8 + form_size if 0 < form_size < MIN_UNKNOWN_BYTES else None
            return Header(chunk.start + 8, count, file_end, bytes_per_s, (chunk.start - 4, ">I", 8), style)
    return None


def _parse_au(read: ReadBytes, size: int) -> Header | None:
    order = ">" if read(0, 4) == b".snd" else "<"
    start, count, encoding, rate, channels = struct.unpack(f"{order}4x5I", read(0, 24))
    claimed = _known(count)
    bytes_per_s = float(_AU_BYTES.get(encoding, 0) * rate * channels)
    return Header(start, claimed, _single_claim_end(start, claimed, size), bytes_per_s, (8, f"{order}I", 0), None)


def _parse_caf(read: ReadBytes, size: int) -> Header | None:
    style, bytes_per_s = ChunkStyle(">4sq", alignment=1), 0.0
    for chunk in _iter_chunks(read, 8, size, style):
        if chunk.identifier == b"desc":
            rate, per_packet, frames = struct.unpack(">d8xII", read(chunk.start, 24))
            bytes_per_s = rate * per_packet / frames if frames else 0.0
        elif chunk.identifier == b"data":
            count = struct.unpack(">q", read(chunk.start - 8, 8))[0]
            claimed = None if count < 0 else max(0, count - 4)
            start = chunk.start + 4
            end = _single_claim_end(start, claimed, size)
            return Header(start, claimed, end, bytes_per_s, (chunk.start - 8, ">q", 4), style)
    return None


def _parse_nist(read: ReadBytes, size: int) -> Header | None:
    start = int(read(8, 8))
    fields = dict(re.findall(rb"(\w+) -\S+ (\S+)", read(16, start)))
    if b"," in fields.get(b"sample_coding", b""):  # compressed
        return None
    frame_bytes = int(fields.get(b"channel_count", b"1")) * int(fields.get(b"sample_n_bytes", b"2"))
    claimed = int(fields[b"sample_count"]) * frame_bytes if b"sample_count" in fields else None
    bytes_per_s = float(frame_bytes * int(fields.get(b"sample_rate", b"16000")))
    return Header(start, claimed, _single_claim_end(start, claimed, size), bytes_per_s, None, None)


def _single_claim_end(start: int, claimed: int | None, size: int) -> int | None:
    """Return the end of a file whose header does not tell it, None where the size of its audio is nonsense."""
    return None if claimed is None or claimed > MAX_CLAIM_RATIO * max(1, size - start) else start + claimed


_PARSERS: dict[bytes, Callable[[ReadBytes, int], Header | None]] = {
    b"RIFF": _parse_riff,
    b"RIFX": _parse_riff,
    b"RF64": _parse_riff,
    b"BW64": _parse_riff,
    b"FORM": _parse_aiff,
    b".snd": _parse_au,
    b"dns.": _parse_au,
    b"caff": _parse_caf,
    b"NIST": _parse_nist,
}
