"""A new tier in an existing .eaf or .TextGrid; nothing else of the file is changed.

The file is not written anew from what was read of it, which would lose what this program does not know: the new
elements are inserted into its bytes.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.parsers import expat

from asrkit.data.readers.annotations.model import Span, Tier
from asrkit.data.readers.annotations.praat import VALUES
from asrkit.errors import DataError
from asrkit.transcription.writers.annotations import constraint_line, textgrid_tier, xml_attribute, xml_text

TYPE = "asrkit transcription"
"""The linguistic type of new tiers in an .eaf."""
_ASSOCIATION = "Symbolic_Association"
_AFTER_TYPES = ("LINGUISTIC_TYPE", "LOCALE", "LANGUAGE", "CONSTRAINT")
"""Elements behind the tiers, in the order of ELAN's schema."""


@dataclass(frozen=True)
class NewTier:
    """A tier to insert. of: the tier whose spans it has; texts: those of some of these spans."""

    name: str
    of: Tier
    texts: Mapping[Span, str]


def insert_into_eaf(content: bytes, tiers: Sequence[NewTier], path: Path) -> bytes:
    """Return the file with tiers whose annotations refer to those of an existing tier.

    Raises DataError for a file whose encoding has other bytes for < and > than ASCII.
    """
    scan = _EafScan(content, path)
    lines: list[str] = []
    number = scan.last_id
    for tier in tiers:
        lines.append(
            f"    <TIER LINGUISTIC_TYPE_REF={xml_attribute(TYPE)} PARENT_REF={xml_attribute(tier.of.name)}"
            + (f" PARTICIPANT={xml_attribute(tier.of.speaker)}" if tier.of.speaker else "")
            + f" TIER_ID={xml_attribute(tier.name)}>"
        )
        for span, text in tier.texts.items():
            number += 1
            lines += [
                "        <ANNOTATION>",
                f'            <REF_ANNOTATION ANNOTATION_ID="a{number}" ANNOTATION_REF={xml_attribute(span.key)}>',
                f"                <ANNOTATION_VALUE>{xml_text(text)}</ANNOTATION_VALUE>",
                "            </REF_ANNOTATION>",
                "        </ANNOTATION>",
            ]
        lines.append("    </TIER>")
    edits = [(scan.ends["TIER"], lines)]
    if TYPE not in scan.types:
        line = (
            f'    <LINGUISTIC_TYPE CONSTRAINTS="{_ASSOCIATION}" GRAPHIC_REFERENCES="false" '
            f'LINGUISTIC_TYPE_ID="{TYPE}" TIME_ALIGNABLE="false"/>'
        )
        edits.append((scan.ends.get("LINGUISTIC_TYPE", scan.ends["TIER"]), [line]))
    if _ASSOCIATION not in scan.constraints:
        place = max(scan.ends.get(name, 0) for name in ("TIER", *_AFTER_TYPES))
        edits.append((place, [constraint_line(_ASSOCIATION)]))
    result = content
    for place, new_lines in reversed(edits):  # from the end, so that the other places stay where they are
        inserted = "".join(f"{scan.newline}{line}" for line in new_lines)
        result = result[:place] + inserted.encode(scan.encoding, "xmlcharrefreplace") + result[place:]
    if scan.property_at:
        start, stop = scan.property_at
        result = result[:start] + str(number).encode() + result[stop:]
    return result


class _EafScan:
    """Where the elements of an .eaf end, and which annotation ids, types and constraints it has.

    property_at: where the number of the last annotation stands, which ELAN counts on from.
    """

    def __init__(self, content: bytes, path: Path) -> None:
        if content[:2] in (codecs.BOM_UTF16_BE, codecs.BOM_UTF16_LE):
            raise DataError(f"{path} is UTF-16; open it in ELAN and save it again, which makes it UTF-8.")
        self.ends: dict[str, int] = {}
        self.types: set[str] = set()
        self.constraints: set[str] = set()
        self.last_id = 0
        self.property_at: tuple[int, int] | None = None
        self.encoding = "utf-8"
        self.newline = "\r\n" if b"\r\n" in content else "\n"
        self._content = content
        self._in_property = False
        parser = expat.ParserCreate()
        parser.buffer_text = True
        self._position: Callable[[], int] = lambda: parser.CurrentByteIndex
        parser.XmlDeclHandler = self._on_declaration
        parser.StartElementHandler = self._on_start
        parser.EndElementHandler = self._on_end
        parser.Parse(content, True)

    def _on_declaration(self, version: str, encoding: str | None, standalone: int) -> None:
        if encoding and encoding.lower() not in ("utf-8", "utf8"):
            self.encoding = "ascii"

    def _on_start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "LINGUISTIC_TYPE":
            self.types.add(attributes.get("LINGUISTIC_TYPE_ID", ""))
        elif name == "CONSTRAINT":
            self.constraints.add(attributes.get("STEREOTYPE", ""))
        elif name in ("ALIGNABLE_ANNOTATION", "REF_ANNOTATION"):
            self._count(attributes.get("ANNOTATION_ID", "").removeprefix("a"))
        self._in_property = name == "PROPERTY" and attributes.get("NAME") == "lastUsedAnnotationId"

    def _on_end(self, name: str) -> None:
        position = self._position()
        self.ends[name] = _tag_end(self._content, position)
        if self._in_property and self._content.startswith(b"</", position):
            start = self._content.rindex(b">", 0, position) + 1
            value = self._content[start:position]
            if value.strip().isdigit():
                self.property_at = (start, position)
                self._count(value.decode().strip())
        self._in_property = False

    def _count(self, number: str) -> None:
        if number.isascii() and number.isdecimal() and len(number) < 16:
            self.last_id = max(self.last_id, int(number))


def _tag_end(content: bytes, position: int) -> int:
    """Return the index behind the tag that begins at `position`; a > in an attribute does not end it."""
    match = re.compile(rb"""<(?:[^"'>]|"[^"]*"|'[^']*')*>""").match(content, position)
    return match.end() if match else position


def insert_into_textgrid(content: bytes, tiers: Sequence[NewTier], path: Path) -> bytes:
    """Return the file with tiers of the same intervals as existing ones, behind all others, in the form of the file."""
    encoding = "utf-16" if content[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8"
    bom = content[:2] if encoding == "utf-16" else b""
    codec = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}.get(bom, "utf-8")
    text = content[len(bom) :].decode(codec)
    newline = "\r\n" if "\r\n" in text else "\n"
    values = list(VALUES.finditer(text))
    num_tiers = int(float(values[5][2]))
    end_s = float(values[3][2])
    is_long = "xmin" in text[: values[2].start()]
    lines: list[str] = []
    for number, tier in enumerate(tiers, num_tiers + 1):
        intervals = [(repr(span.start_s), repr(span.end_s), tier.texts.get(span, "")) for span in tier.of.spans]
        full = textgrid_tier(number, tier.name, intervals, end_s)
        lines += full if is_long else [match[0] for match in VALUES.finditer("\n".join(full))]
    place = values[5].span(2)
    body = text[: place[0]] + str(num_tiers + len(tiers)) + text[place[1] :]
    body += "" if body.endswith("\n") else newline
    return bom + (body + newline.join(lines) + newline).encode(codec)
