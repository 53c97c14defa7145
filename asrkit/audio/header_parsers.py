"""What the headers of WAV, RF64, W64, AIFF, AU, CAF and NIST SPHERE files say of their audio."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

ReadBytes = Callable[[int, int], bytes]
"""(position, count) -> up to so many bytes of the file."""

MIN_UNKNOWN_BYTES = 0x7FFF0000
"""A recorder that writes to a pipe does not know the size of the data, and leaves a huge one in a header of 32 bits."""
MAX_CLAIM_RATIO = 100
"""A header of a format that tells its length only once is nonsense, not that of a cut file, beyond this ratio."""
MAX_CHUNKS = 10_000
MAX_U32 = 0xFFFFFFFF
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
    field: position, `struct` format and surplus of the size of the data as the header writes it. pcm: (Hz, bytes of a
    frame) of plain PCM; None for other encodings.
    """

    start: int
    claimed: int | None
    file_end: int | None
    bytes_per_s: float
    field: tuple[int, str, int] | None
    chunks: ChunkStyle | None
    pcm: tuple[int, int] | None = None


def parse_header(read: ReadBytes, size: int) -> Header | None:
    """Parse the header of a file of `size` bytes; None for another format and for a damaged header."""
    magic = read(0, 16)
    parse = _parse_w64 if magic == _W64_RIFF else _PARSERS.get(magic[:4])
    try:
        return parse(read, size) if parse else None
    except (struct.error, ValueError, ZeroDivisionError, OverflowError):
        return None


def iter_chunks(read: ReadBytes, start: int, size: int, style: ChunkStyle) -> Iterator[Chunk]:
    """Yield the chunks from a position on, at most `MAX_CHUNKS`."""
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


def _known(count: int, limit: int = MIN_UNKNOWN_BYTES) -> int | None:
    return count if 0 <= count < limit else None


def _parse_riff(read: ReadBytes, size: int) -> Header | None:
    magic, riff_size, kind = struct.unpack("<4sI4s", read(0, 12))
    if kind != b"WAVE":
        return None
    order = ">" if magic == b"RIFX" else "<"
    riff_size = struct.unpack(f"{order}I", read(4, 4))[0]
    style, bytes_per_s, long_size, long_position = ChunkStyle(f"{order}4sI"), 0.0, 0, 0
    pcm: tuple[int, int] | None = None
    for chunk in iter_chunks(read, 12, size, style):
        if chunk.identifier == b"fmt ":
            bytes_per_s = _bytes_per_s(read(chunk.start, 14), order)
            pcm = _read_pcm(read(chunk.start, 16), order)
        elif chunk.identifier == b"ds64":
            riff_size, long_size = struct.unpack("<QQ", read(chunk.start, 16))
            long_position = chunk.start + 8
        elif chunk.identifier == b"data":
            is_long = long_position > 0 and chunk.size == MAX_U32
            claimed, limit = (long_size, 1 << 62) if is_long else (chunk.size, MIN_UNKNOWN_BYTES)
            field = (long_position, "<Q", 0) if is_long else (chunk.start - 4, f"{order}I", 0)
            open_end = not riff_size or riff_size >= (1 << 62 if long_size else MIN_UNKNOWN_BYTES)
            if not is_long and size > MIN_UNKNOWN_BYTES:
                limit = MAX_U32  # a file as large as that may tell the truth
            file_end = None if open_end else 8 + riff_size
            return Header(chunk.start, _known(claimed, limit), file_end, bytes_per_s, field, style, pcm)
    return None


def _read_pcm(fmt: bytes, order: str) -> tuple[int, int] | None:
    """Return (Hz, bytes of a frame) of WAVE_FORMAT_PCM with 16, 24 or 32 bits; None for other or odd formats."""
    tag, channels, rate, per_s, block, bits = struct.unpack(f"{order}HHIIHH", fmt)
    is_plain = tag == 1 and channels and rate and bits in (16, 24, 32) and 8 * block == channels * bits
    return (rate, block) if is_plain and per_s == rate * block else None


def _bytes_per_s(fmt: bytes, order: str) -> float:
    rate, per_s, block = struct.unpack(f"{order}4xIIH", fmt)
    return float(per_s or rate * block)


def _parse_w64(read: ReadBytes, size: int) -> Header | None:
    style, bytes_per_s = ChunkStyle("<16sQ", counts_itself=True, alignment=8), 0.0
    file_end = struct.unpack("<Q", read(16, 8))[0]
    for chunk in iter_chunks(read, 40, size, style):
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
    for chunk in iter_chunks(read, 12, size, style):
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
    for chunk in iter_chunks(read, 8, size, style):
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
