"""N-gram models as .arpa files, the text format that KenLM and others read."""

from __future__ import annotations

import gzip
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from asrkit.decoding.ngram import BEGIN, Gram, LanguageModel
from asrkit.files import write_atomic

NEVER = -99.0
"""log10 of a probability of 0, as such files write it: `<s>` follows nothing."""


def write_arpa(model: LanguageModel, path: Path) -> None:
    """Write a model, whole or not at all. Read back, it gives each word the same probability."""
    with write_atomic(path) as file:
        for line in _iter_lines(model):
            file.write(f"{line}\n".encode())


def read_arpa(path: Path) -> LanguageModel:
    """Read a gzipped file as `write_arpa` writes them; for those of the app, which are not checked."""
    log_probabilities: dict[Gram, float] = {}
    backoffs: dict[Gram, float] = {}
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            fields = line.rstrip("\n").split("\t")
            if len(fields) > 1:
                gram = tuple(fields[1].split(" "))
                log_probabilities[gram] = float(fields[0])
                if len(fields) > 2:
                    backoffs[gram] = float(fields[2])
    return LanguageModel.from_grams(log_probabilities, backoffs)


def _iter_lines(model: LanguageModel) -> Iterator[str]:
    grams: dict[int, list[Gram]] = defaultdict(list)
    for gram in sorted({(BEGIN,): NEVER, **model.log_probabilities}):
        grams[len(gram)].append(gram)
    yield "\\data\\"
    for size in sorted(grams):
        yield f"ngram {size}={len(grams[size])}"
    for size in sorted(grams):
        yield ""
        yield f"\\{size}-grams:"
        for gram in grams[size]:
            fields = [f"{model.log_probabilities.get(gram, NEVER):.7g}", " ".join(gram)]
            if gram in model.backoffs:
                fields.append(f"{model.backoffs[gram]:.7g}")
            yield "\t".join(fields)
    yield ""
    yield "\\end\\"
