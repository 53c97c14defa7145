"""The vocabulary of a model as other programs read it: one token a line, with its number behind a space."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from asrkit.decoding.tokens import Speller
from asrkit.errors import ModelError
from asrkit.models.anatomy import Anatomy

ONNX_ASR_BLANK, ONNX_ASR_SPACE = "<blk>", "▁"
SHERPA_BLANK, SHERPA_SPACE = "<blk>", " "


def list_spellings(processor: Any, anatomy: Anatomy, blank: str, space: str, mark: str) -> list[str]:
    """Return what each output writes, in the order of the outputs.

    blank: for the blank. space: for the delimiter between words. mark: before pieces that begin a word. Outputs that
    write nothing, such as `<unk>`, have an empty text.
    """
    speller = Speller.from_tokenizer(processor.tokenizer)
    spellings = []
    for token in range(anatomy.head.num_rows):
        text = speller.texts.get(token, "")
        spellings.append(mark + text if token in speller.word_starts else text)
    spellings[anatomy.blank_id] = blank
    if speller.delimiter_id is not None:
        spellings[speller.delimiter_id] = space
    return spellings


def write_onnx_asr(path: Path, processor: Any, anatomy: Anatomy) -> None:
    """Write `vocab.txt` of onnx-asr, which reads "▁" as a space, and an empty token as one that writes nothing."""
    _write(path, list_spellings(processor, anatomy, ONNX_ASR_BLANK, ONNX_ASR_SPACE, ONNX_ASR_SPACE))


def write_sherpa_onnx(path: Path, processor: Any, anatomy: Anatomy) -> None:
    """Write `tokens.txt` of sherpa-onnx.

    It reads a line with a number alone as a space. What writes nothing is written as a zero-width space, therefore.
    """
    spellings = list_spellings(processor, anatomy, SHERPA_BLANK, SHERPA_SPACE, SHERPA_SPACE)
    _write(path, [spelling or "\u200b" for spelling in spellings])


def _write(path: Path, spellings: list[str]) -> None:
    broken = next((one for one in spellings if one != SHERPA_SPACE and any(map(str.isspace, one))), None)
    if broken is not None:
        raise ModelError(f"The token {broken!r} has white space in it, which {path.name} cannot hold.")
    text = "".join(f"{spelling} {number}\n" for number, spelling in enumerate(spellings))
    path.write_text(text, encoding="utf-8")
