"""CHAT transcripts of CHILDES and TalkBank (.cha), whose utterances are linked to the recording by bullets.

Codes that describe the speech are removed, so that the text is what was said: [//], <…>, &=laughs, (.), +…
"""

from __future__ import annotations

import re
from pathlib import Path

from asrkit.data.readers.annotations.model import AnnotatedRecording, Media, Span, Tier, read_lines, tidy
from asrkit.errors import DataError

_BULLET = re.compile('\x15(?:%(?:snd|mov):"([^"]+)"_)?(\\d+)_(\\d+)-?\x15')
_RULES = (
    (re.compile(r"\[=\?[^\]]*\]|\[[^\]]*\]"), " "),  # [//], [: target], [% comment]
    (re.compile(r"&=\S+"), " "),  # &=laughs
    (re.compile(r"&[-+~*](\w*)"), r"\1"),  # &-um, &+fr
    (re.compile(r"\(\.*\d*[.:]?\d*\.*\)"), " "),  # (.), (..), (1.5)
    (re.compile(r"[()<>‹›]"), ""),  # (be)cause, <group>
    (re.compile(r"\+[^\s\w]*[.?!,/\"]*"), " "),  # +..., +/., +"
    (re.compile(r"@\w+(?::\w+)?"), ""),  # word@s:eng
    (re.compile(r"(?<!\S)0\w*"), " "),  # 0det: a word left out
    (re.compile(r"[↑↓⇗↗→↘⇘∞≈≋≡∙⌈⌉⌊⌋∆∇⁎⁇°▁▔☺♋Ϋ∲§„‡]"), ""),
    (re.compile(r"(?<=\w)[:^](?=\w)"), ""),  # lengthened or interrupted sounds
    (re.compile(r"(?<=\w)_(?=\w)"), " "),  # fire_engine
    (re.compile(r"\s+([.?!,])"), r"\1"),
)


def read(path: Path) -> list[AnnotatedRecording]:
    """Read the utterances that have bullets. Raises DataError for a file without any."""
    tiers: dict[str, list[Span]] = {}
    media: list[str] = []
    for line in _join_lines(read_lines(path)):
        name, _, content = line.partition(":")
        if name == "@Media":
            media.append(content.split(",")[0].strip().strip('"'))
        elif name.startswith("*"):
            for file, span in _read_utterance(content):
                media += [file] if file else []
                tiers.setdefault(name[1:].strip(), []).append(span)
    if not tiers:
        raise DataError(
            f"{path} has no bullets, the times of its utterances in the recording; link them to it in CLAN, or align "
            "the text with the recording (python -m asrkit align)."
        )
    return [
        AnnotatedRecording(
            tuple(Tier(name, tuple(spans), "utterance", name) for name, spans in tiers.items()),
            tuple(Media((name,)) for name in dict.fromkeys(media)),
        )
    ]


def _join_lines(lines: list[str]) -> list[str]:
    """Return lines with those that continue them, which begin with a tab."""
    joined: list[list[str]] = []
    for line in lines:
        if line.startswith("\t") and joined:
            joined[-1].append(line)
        else:
            joined.append([line])
    return [" ".join(parts) for parts in joined]


def _read_utterance(content: str) -> list[tuple[str, Span]]:
    """Return (recording or "", span) for each bullet, with the text before it."""
    spans, position = [], 0
    for match in _BULLET.finditer(content):
        text = content[position : match.start()]
        spans.append((match[1] or "", Span(int(match[2]) / 1000, int(match[3]) / 1000, clean(text))))
        position = match.end()
    return spans


def clean(text: str) -> str:
    """Return what was said, of an utterance in CHAT."""
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return tidy(text)
