"""FLEx's interlinear texts (.flextext), where their phrases have times, as those that went through ELAN or SayMore."""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import Element

from asrkit.data.readers.annotations import xml_files
from asrkit.data.readers.annotations.model import AnnotatedRecording, Media, Span, Tier, tidy
from asrkit.errors import DataError

_KINDS = {"txt": "transcription", "gls": "translation", "lit": "translation", "note": "note"}


def read(path: Path) -> list[AnnotatedRecording]:
    """Read every text of the file with its times, which are in milliseconds. Raises DataError where none has times."""
    root = xml_files.read_tree(path, "document", "FLEx")
    texts = list(root.iter("interlinear-text"))
    recordings = [_read_text(text, path) for text in texts]
    if not any(recording.tiers for recording in recordings):
        raise DataError(
            f"{path} has no times, so its phrases cannot be found in a recording; export it from ELAN or SayMore with "
            "times, or align the text with the recording (python -m asrkit align)."
        )
    return recordings


def _read_text(text: Element, path: Path) -> AnnotatedRecording:
    tiers: dict[tuple[str, str], list[Span]] = {}
    for phrase in text.iter("phrase"):
        begin, end = phrase.get("begin-time-offset"), phrase.get("end-time-offset")
        if begin is None or end is None:
            continue
        try:
            start_s, end_s = float(begin) / 1000, float(end) / 1000
        except ValueError as error:
            raise DataError(
                f"{path} has a phrase from {begin!r:.40} to {end!r:.40}; times are milliseconds."
            ) from error
        items = {
            (item.get("type", ""), item.get("lang", "")): xml_files.all_text(item) for item in phrase.findall("item")
        }
        if not any(kind == "txt" for kind, _ in items):
            items |= _join_words(phrase)
        for key, content in items.items():
            if key[0] in _KINDS:
                tiers.setdefault(key, []).append(Span(start_s, end_s, content, phrase.get("speaker", "")))
    media = [Media((name,)) for name in (file.get("location", "") for file in text.iter("media")) if name]
    return AnnotatedRecording(
        tuple(
            Tier(f"{kind} {language}".strip(), tuple(spans), _KINDS[kind]) for (kind, language), spans in tiers.items()
        ),
        tuple(media),
        xml_files.all_text(next((item for item in text.findall("item") if item.get("type") == "title"), None)),
    )


def _join_words(phrase: Element) -> dict[tuple[str, str], str]:
    """Return the text that the words of a phrase make, with punctuation behind the word before it."""
    text, language = "", ""
    for word in phrase.iter("word"):
        for item in word.findall("item"):
            kind = item.get("type", "")
            if kind in ("txt", "punct"):
                language = language or item.get("lang", "")
                text += ("" if kind == "punct" else " ") + xml_files.all_text(item)
    return {("txt", language): tidy(text)} if text else {}
