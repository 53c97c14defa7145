"""XML files of annotation programs, read without entities, external files, or more than memory can hold."""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from asrkit.data import limits
from asrkit.data.readers.annotations.model import tidy
from asrkit.errors import DataError
from asrkit.units import format_binary_size

MAX_BYTES = 128 << 20
"""Of one file: a day of speech with a tier of words has about 30 MB."""
MAX_ELEMENTS = 4_000_000
VALUES_PER_ELEMENT = 8
"""What an element counts as, where the values of a table are limited: it takes as much memory."""
MAX_DEPTH = 100


class _Builder:
    """Builds the tree of a file from expat's events, and counts what it holds."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tree = TreeBuilder()
        self.depth, self.num_elements = 0, 0
        self.max_elements = min(MAX_ELEMENTS, limits.current().values // VALUES_PER_ELEMENT)
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self.start
        self.parser.EndElementHandler = self.end
        self.parser.CharacterDataHandler = self.tree.data
        self.parser.EntityDeclHandler = self.refuse_entity

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self.depth += 1
        self.num_elements += 1
        if self.depth > MAX_DEPTH or self.num_elements > self.max_elements:
            raise DataError(
                f"{self.path} holds more than {self.max_elements:,} elements, or elements {MAX_DEPTH} deep, as no "
                "annotation does; split it up."
            )
        self.tree.start(name.rpartition(":")[2], attributes)

    def end(self, name: str) -> None:
        self.depth -= 1
        self.tree.end(name.rpartition(":")[2])

    def refuse_entity(self, name: str, *_: object) -> None:
        raise DataError(
            f"{self.path} declares the XML entity {name!r:.60}, which is not read here because it can unfold to any "
            "size; open the file in the program that it is for, and save it again."
        )


def read_tree(path: Path, root_name: str, program: str) -> Element:
    """Return the root element of an XML file, tags without namespace prefixes.

    Raises DataError for a file that is too large, that is not well-formed, or that another program wrote.
    """
    check_bytes(path)
    builder = _Builder(path)
    try:
        with open(path, "rb") as file:
            builder.parser.ParseFile(file)
        root = builder.tree.close()
    except expat.ExpatError as error:
        raise DataError(
            f"{path} is not complete XML ({expat.ErrorString(error.code)} in line {error.lineno}); export it again "
            f"from {program}."
        ) from error
    except (LookupError, ValueError) as error:  # an encoding that does not exist, or of several bytes a character
        raise DataError(f"{path} has an encoding that is not read here ({error}); save it again as UTF-8.") from error
    if root.tag != root_name:
        raise DataError(f"{path} is not a file of {program}: it begins with <{root.tag:.60}>, not <{root_name}>.")
    return root


def check_bytes(path: Path) -> None:
    """Raise DataError for an annotation file that is too large."""
    size, limit = path.stat().st_size, min(MAX_BYTES, limits.current().text_bytes)
    if size > limit:
        raise DataError(
            f"{path} has {format_binary_size(size)}; an annotation file may have {format_binary_size(limit)} here. "
            "Split it up, or delete tiers that are not needed."
        )


def all_text(element: Element | None) -> str:
    """Return the text of an element with that of its children, on one line."""
    return "" if element is None else tidy("".join(element.itertext()))
