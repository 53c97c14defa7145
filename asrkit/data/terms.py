"""What the speakers of a recorded dataset have consented to, and its licence, in the words of whoever recorded it.

They are kept as asrkit-terms.json in the dataset's folder. Runs copy them into their audit, and the cards of their
models have them.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asrkit.errors import DataError

FILE = "asrkit-terms.json"
MAX_CHARS = 2_000
"""Of one text."""
MAX_BYTES = 1 << 20


@dataclass(frozen=True)
class SpeechTerms:
    """licence: of the data. consents: speaker -> what he or she has consented to; the name may be empty."""

    licence: str = ""
    consents: Mapping[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.licence or self.consents)

    def to_dict(self) -> dict[str, Any]:
        return {"licence": self.licence, "consents": dict(self.consents)}


def check_text(text: str) -> str:
    """Return a text of the terms on one line. Raises DataError for a long one."""
    text = " ".join(text.split())
    if len(text) > MAX_CHARS:
        raise DataError(f"{text[:40]}… has {len(text):,} characters; give at most {MAX_CHARS:,}, or name a document.")
    return text


def read(folder: Path) -> SpeechTerms:
    """Read the terms of a dataset; none where it has no such file. Raises DataError for one that is damaged."""
    path = folder / FILE
    try:
        with open(path, "rb") as file:
            values = json.loads(file.read(MAX_BYTES))
        texts = [values["licence"], *values["consents"], *values["consents"].values()]
        if not all(isinstance(text, str) for text in texts):
            raise TypeError("not all are texts")
        return SpeechTerms(values["licence"], values["consents"])
    except FileNotFoundError:
        return SpeechTerms()
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} has no terms as asrkit writes them ({error!r:.80}); correct or remove it.") from error


def collect(audio_folders: Iterable[str]) -> list[dict[str, Any]]:
    """Return the terms of the recorded datasets that have these folders of recordings, with the name of each."""
    datasets = sorted({Path(folder).parent for folder in audio_folders})
    return [{"dataset": folder.name, **terms.to_dict()} for folder in datasets if (terms := read(folder))]


def render(terms: Mapping[str, Any]) -> str:
    """Return terms as Markdown, in which they are words and no markup."""
    lines = [f"Licence of the data: {_quote(terms['licence'])}"] if terms["licence"] else []
    lines += [
        f"Consent of {_quote(speaker) if speaker else 'the speaker'}: {_quote(text)}"
        for speaker, text in terms["consents"].items()
    ]
    return "".join(f"- {line}\n" for line in lines)


def _quote(text: str) -> str:
    marked = "".join(f"\\{letter}" if letter in "\\`*_[]#|!" else letter for letter in text)
    return html.escape(marked, quote=False)
