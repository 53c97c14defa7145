"""The store of large files behind the stand-in for the Hugging Face Hub: keeps what the Hub's client uploads.

The client cuts files into chunks and sends them in xorbs, and then a shard that tells which chunks of which xorbs each
file is made of. The formats are those of https://huggingface.co/docs/xet.
"""

from __future__ import annotations

import hashlib
import struct
from typing import ClassVar, NamedTuple

import pyarrow

CHUNK_HEADER_BYTES = 8
"""Version, compressed size (3 bytes), compression, size (3 bytes)."""
RECORD_BYTES = 48
"""Of the header of a shard, and of each of its entries."""
LZ4, GROUPED_LZ4 = 1, 2
HAS_CHECKS, HAS_METADATA = 1 << 31, 1 << 30
"""Flags of a file's entry: what follows its segments."""
END = b"\xff" * 32
"""In place of a file's hash, behind the last one."""


class Segment(NamedTuple):
    """Chunks `first` to `last` - 1 of a xorb."""

    xorb: str
    first: int
    last: int


class XetStore:
    """Xorbs as lists of chunks, and files as lists of segments, by their hashes.

    Xorbs are kept for all servers of the process: the client remembers by the address what it has sent, and another
    server may get the same port.
    """

    xorbs: ClassVar[dict[str, list[bytes]]] = {}

    def __init__(self) -> None:
        self.files: dict[str, list[Segment]] = {}

    def add_xorb(self, name: str, content: bytes) -> None:
        """Keep the chunks of a xorb as it was sent. A footer, which begins with a version that is not 0, is ignored."""
        chunks, position = [], 0
        while position < len(content) and content[position] == 0:
            compressed_bytes = int.from_bytes(content[position + 1 : position + 4], "little")
            num_bytes = int.from_bytes(content[position + 5 : position + 8], "little")
            start = position + CHUNK_HEADER_BYTES
            position = start + compressed_bytes
            chunks.append(_decompress(content[start:position], content[start - 4], num_bytes))
        self.xorbs[name] = chunks

    def add_shard(self, content: bytes) -> None:
        """Keep which segments the files of a shard are made of."""
        position = RECORD_BYTES
        while not content.startswith(END, position):
            name = format_hash(content[position : position + 32])
            flags, num_segments = struct.unpack_from("<II", content, position + 32)
            entries = [position + RECORD_BYTES * (1 + number) for number in range(num_segments)]
            self.files[name] = [
                Segment(format_hash(content[at : at + 32]), *struct.unpack_from("<II", content, at + 40))
                for at in entries
            ]
            num_entries = 1 + num_segments * (2 if flags & HAS_CHECKS else 1) + bool(flags & HAS_METADATA)
            position += RECORD_BYTES * num_entries

    def add_file(self, content: bytes) -> str:
        """Keep a file that did not come from the client; return its hash."""
        name = hashlib.sha256(content).hexdigest()
        self.xorbs[name], self.files[name] = [content], [Segment(name, 0, 1)]
        return name

    def read(self, name: str) -> bytes:
        """Return the content of a file. KeyError for one that was not uploaded."""
        return b"".join(chunk for xorb, first, last in self.files[name] for chunk in self.xorbs[xorb][first:last])


def format_hash(content: bytes) -> str:
    """Format a hash as the client does: four little-endian numbers of 8 bytes."""
    return "".join(f"{number:016x}" for number in struct.unpack("<4Q", content))


def _decompress(content: bytes, compression: int, num_bytes: int) -> bytes:
    if compression not in (LZ4, GROUPED_LZ4):
        return content
    plain = pyarrow.Codec("lz4").decompress(content, num_bytes).to_pybytes()
    if compression == LZ4:
        return plain
    joined, begin = bytearray(num_bytes), 0  # every fourth byte, four times
    for offset in range(4):
        length = len(joined[offset::4])
        joined[offset::4] = plain[begin : begin + length]
        begin += length
    return bytes(joined)
