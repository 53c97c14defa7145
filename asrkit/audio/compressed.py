"""What FLAC, Ogg and MP3 files say of their length, compared with the frames and pages in them.

Each is read whole by a player, whatever its beginning says: files may be joined, and the number of samples may be that
of the first, an estimate, or missing. Formats: RFC 9639 (FLAC), RFC 3533 (Ogg), ISO 11172-3 (MPEG audio).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cache

from asrkit.audio.byte_ranges import Searchable

_OGG_LONGEST_PAGE = 65307
_FLAC_TAIL_BYTES = 1 << 16
_MAX_TRAILING_BYTES = 160  # an ID3v1 tag has 128

_MPEG_RATES = (44_100, 48_000, 32_000)


# ---- FLAC


@dataclass(frozen=True)
class FlacLength:
    """samples: by the header, 0 where it leaves them open. is_exact: the last frame ends there.

    is_complete: whether the file ends at the end of a frame; known only if it is not exact.
    """

    samples: int
    rate: int
    is_exact: bool
    is_complete: bool

    @property
    def seconds(self) -> float:
        return self.samples / self.rate if self.rate else 0.0


def find_flac_starts(content: Searchable) -> list[int]:
    """Return where each of the FLAC files begins that are joined in one; none for another format."""
    first = skip_id3(content, 0)
    if content[first : first + 4] != b"fLaC":
        return []
    stream_info = (b"\x00\x00\x00\x22", b"\x80\x00\x00\x22")
    later = [start for start in _find_all(content, b"fLaC", first + 4) if content[start + 4 : start + 8] in stream_info]
    return [first, *later]


def check_flac(content: Searchable, start: int, stop: int) -> FlacLength:
    """Hold the number of samples in the header of a FLAC file against its last frame."""
    info = content[start + 8 : start + 42]
    if len(info) < 34:
        return FlacLength(0, 0, is_exact=False, is_complete=False)
    block_samples = struct.unpack(">H", info[:2])[0]
    packed = int.from_bytes(info[10:18], "big")
    rate, samples = packed >> 44, packed & ((1 << 36) - 1)
    last = _find_last_frame(content, start + 42, stop, block_samples)
    if last is None:
        return FlacLength(samples, rate, is_exact=False, is_complete=False)
    position, end = last
    if end == samples:
        return FlacLength(samples, rate, is_exact=True, is_complete=True)
    return FlacLength(samples, rate, is_exact=False, is_complete=_crc16(content[position:stop]) == 0)


def _find_last_frame(content: Searchable, start: int, stop: int, block_samples: int) -> tuple[int, int] | None:
    """Return (position, number of the sample behind it) of the last frame."""
    limit = max(start, stop - _FLAC_TAIL_BYTES)
    tail = content[limit:stop]
    position = len(tail)
    while (position := tail.rfind(b"\xff", 0, position)) >= 0:
        if tail[position + 1 : position + 2] in (b"\xf8", b"\xf9"):
            end = _frame_end(tail[position : position + 20], block_samples)
            if end is not None:
                return limit + position, end
    return None


def _frame_end(header: bytes, block_samples: int) -> int | None:
    """Return the number of the sample behind the frame with this header; None for bytes that are no header."""
    if len(header) < 6 or header[3] & 1 or header[3] >> 4 > 10 or not header[2] >> 4 or header[2] & 15 == 15:
        return None
    size = 4
    lead = header[size]
    num_more = 0 if lead < 0x80 else 7 - (lead ^ 0xFF).bit_length()
    if num_more < 0 or 0x80 <= lead < 0xC0:
        return None
    number = lead if not num_more else lead & ((1 << (6 - num_more)) - 1)
    for byte in header[size + 1 : size + 1 + num_more]:
        number = number << 6 | byte & 0x3F
    size += 1 + num_more
    code = header[2] >> 4
    if code in (6, 7):
        count = int.from_bytes(header[size : size + code - 5], "big") + 1
        size += code - 5
    else:
        count = 192 if code == 1 else 576 << (code - 2) if code < 6 else 256 << (code - 8)
    size += {12: 1, 13: 2, 14: 2}.get(header[2] & 15, 0)
    if len(header) <= size or _crc8(header[:size]) != header[size]:
        return None
    return (number if header[1] & 1 else number * block_samples) + count


@cache
def _crc_table(polynomial: int, width: int) -> list[int]:
    top, mask = 1 << (width - 1), (1 << width) - 1
    table = []
    for byte in range(256):
        value = byte << (width - 8)
        for _ in range(8):
            value = (value << 1 ^ (polynomial if value & top else 0)) & mask
        table.append(value)
    return table


def _crc8(data: bytes) -> int:
    table, value = _crc_table(0x07, 8), 0
    for byte in data:
        value = table[value ^ byte]
    return value


def _crc16(data: bytes) -> int:
    table, value = _crc_table(0x8005, 16), 0
    for byte in data:
        value = (value << 8 & 0xFFFF) ^ table[value >> 8 ^ byte]
    return value


# ---- Ogg


def find_ogg_starts(content: Searchable) -> list[int]:
    """Return where each of the streams begins that are chained in an Ogg file; those that run side by side are one."""
    starts: list[int] = []
    end_of_beginnings = -1
    for position in _find_all(content, b"OggS\0", 0):
        if content[position + 5 : position + 6] not in (b"\x02", b"\x06"):  # it continues a stream
            continue
        end = _ogg_page_end(content, position)
        if not starts or position != end_of_beginnings:
            starts.append(position)
        end_of_beginnings = end
    return starts


def is_ogg_cut(content: Searchable) -> bool:
    """Whether an Ogg file ends within a page."""
    size = len(content)
    last = content.rfind(b"OggS\x00", max(0, size - 2 * _OGG_LONGEST_PAGE))
    return last >= 0 and _ogg_page_end(content, last) > size


def _ogg_page_end(content: Searchable, position: int) -> int:
    header = content[position : position + 27]
    if len(header) < 27:
        return position + 27
    lengths = content[position + 27 : position + 27 + header[26]]
    return position + 27 + header[26] + sum(lengths)


# ---- MP3


@dataclass(frozen=True)
class XingTag:
    """The length by the first frame of an MP3 file. num_bytes: from that frame on, 0 where it does not tell."""

    start: int
    seconds: float
    num_bytes: int

    def fits(self, content: Searchable) -> bool:
        """Whether the file has as many bytes as the tag says, but for a short tag behind them."""
        return self.num_bytes > 0 and -4 <= len(content) - self.start - self.num_bytes <= _MAX_TRAILING_BYTES


def is_mp3(content: Searchable) -> bool:
    """Whether the file begins with a frame of MPEG audio, layer III, behind any ID3 tags."""
    start = skip_id3(content, 0)
    return _parse_mpeg_header(content[start : start + 4]) is not None


def read_xing(content: Searchable) -> XingTag | None:
    """Read the tag in the first frame that encoders write: "Xing" for variable bit rates, "Info" for constant ones."""
    start = skip_id3(content, 0)
    frame = content[start : start + 200]
    header = _parse_mpeg_header(frame[:4])
    if header is None:
        return None
    rate, samples_per_frame, side_bytes = header
    tag = 4 + side_bytes
    if frame[tag : tag + 4] not in (b"Xing", b"Info"):
        return None
    flags = int.from_bytes(frame[tag + 4 : tag + 8], "big")
    if not flags & 1:
        return None
    num_frames = int.from_bytes(frame[tag + 8 : tag + 12], "big")
    num_bytes = int.from_bytes(frame[tag + 12 : tag + 16], "big") if flags & 2 else 0
    return XingTag(start, num_frames * samples_per_frame / rate, num_bytes)


def _parse_mpeg_header(header: bytes) -> tuple[int, int, int] | None:
    """-> (sampling rate, samples of a frame, bytes of side information), None for bytes that are no header."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE6 != 0xE2:
        return None
    version, rate_code, is_mono = header[1] >> 3 & 3, header[2] >> 2 & 3, header[3] >> 6 == 3
    if version == 1 or rate_code == 3 or header[2] >> 4 == 15:
        return None
    if version == 3:  # MPEG 1
        return _MPEG_RATES[rate_code], 1152, 17 if is_mono else 32
    return _MPEG_RATES[rate_code] >> (1 if version == 2 else 2), 576, 9 if is_mono else 17


def _find_all(content: Searchable, marker: bytes, start: int) -> list[int]:
    """Return all positions of a marker. Searched from the end, which takes CPython half the time."""
    positions, end = [], len(content)
    while (end := content.rfind(marker, start, end)) >= 0:
        positions.append(end)
    return positions[::-1]


def skip_id3(content: Searchable, start: int) -> int:
    """Return the position behind the ID3v2 tags at a position."""
    while content[start : start + 3] == b"ID3" and len(content) >= start + 10:
        size = 0
        for byte in content[start + 6 : start + 10]:
            size = size << 7 | byte & 0x7F
        start += 10 + size + (10 if content[start + 5] & 0x10 else 0)
    return start
