"""Language models in KenLM's files: .arpa, compressed or not, or binary."""

from __future__ import annotations

import bz2
import gzip
import lzma
import mmap
import zlib
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from asrkit.decoding.ngram import BEGIN, END, LN10, UNKNOWN
from asrkit.errors import ConfigError, first_line

MAX_KNOWN_WORDS = 200_000
"""Different words of a file: more take gigabytes to look up."""
MAX_TEXT_MB = 500
"""Size of an .arpa file on disk: kenlm reads 25 MB a second, and blocks the whole process meanwhile."""
BINARY_MAGIC = b"mmap lm"
OPENERS: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ": lzma.open,
}
"""First bytes of a compressed file -> the function that opens it; kenlm reads the same."""


class KenLM:
    """A KenLM file, read by the package kenlm. Its words are those of `text.scripts.tokenize_mixed`.

    Raises ConfigError where the package is missing, the file is no such model, is too large, or lists no words.
    """

    def __init__(self, path: str | Path) -> None:
        try:
            import kenlm
        except ImportError as error:
            raise ConfigError("A KenLM file needs the package kenlm: pip install kenlm.") from error
        settings = kenlm.Config()
        settings.show_progress, settings.arpa_complain = False, kenlm.ARPALoadComplain.NONE
        special = {BEGIN, END, UNKNOWN}
        try:
            _check_size(Path(path))
            listed = (word for word in read_words(Path(path)) if word not in special)
            words = set(islice(listed, MAX_KNOWN_WORDS + 1))
            if len(words) > MAX_KNOWN_WORDS:
                raise ConfigError(f"{path} has a vocabulary of more than {MAX_KNOWN_WORDS} words; prune it.")
            self._model = kenlm.Model(str(path), settings)
        except (OSError, RuntimeError, ValueError, EOFError, zlib.error, lzma.LZMAError) as error:
            raise ConfigError(f"{path} cannot be read as a KenLM language model ({first_line(error)}).") from error
        self._new_state = kenlm.State
        self.words = sorted(word for word in words if word in self._model)
        if not self.words:
            raise ConfigError(f"{path} does not contain its vocabulary; give the .arpa file it was built from.")

    @property
    def start(self) -> Any:
        """The state at the beginning of a sentence."""
        state = self._new_state()
        self._model.BeginSentenceWrite(state)
        return state

    def follow(self, state: Any, word: str) -> tuple[Any, float]:
        """Return the state after a further word, and ln P(word | the words before)."""
        following = self._new_state()
        return following, LN10 * self._model.BaseScore(state, word, following)


def read_words(path: Path) -> Iterator[str]:
    """Yield the words of a file: the unigrams of an .arpa, or the list at the end of a binary, after <unk>."""
    magic = _read_magic(path)
    if magic == BINARY_MAGIC:
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            start = data.rfind(UNKNOWN.encode() + b"\0")
            names = data[start:] if start >= 0 else b""
        yield from (name.decode("utf-8", "replace") for name in names.split(b"\0") if name)
        return
    opener: Callable[..., Any] = next((opener for prefix, opener in OPENERS.items() if magic.startswith(prefix)), open)
    with opener(path, "rb") as file:
        for line in map(bytes.strip, file):
            if line == b"\\2-grams:":
                return
            if line.count(b"\t") and len(fields := line.split(b"\t")) > 1:
                yield fields[1].decode("utf-8", "replace")


def _read_magic(path: Path) -> bytes:
    with open(path, "rb") as file:
        return file.read(len(BINARY_MAGIC))


def _check_size(path: Path) -> None:
    size_mb = path.stat().st_size / 1e6
    if size_mb > MAX_TEXT_MB and _read_magic(path) != BINARY_MAGIC:
        raise ConfigError(
            f"{path} has {size_mb:.0f} MB of text, which takes long to read; make a binary file of it "
            "with KenLM's build_binary, or prune it."
        )
