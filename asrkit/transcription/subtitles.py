"""A transcript as a file: plain text, SRT, WebVTT, TSV or JSON. Knows no model."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from asrkit.decoding.transcript import Transcript, Word, join_words

LINE, LINES = 42, 2
"""Characters in a line and lines in a caption (the BBC's and Netflix's guides ask for 37 to 42 and 2)."""
WIDE = 2.6
"""What a full-width character counts as: so 16 of them are a line, as Netflix's guides have it for Chinese."""
PAUSE_S, LONGEST_S = 0.8, 7.0
"""Quiet that begins a new caption, and the longest that one may stand."""
LEAST_S = 1.0
"""A caption stands at least this long, if the next one lets it."""


@dataclass(frozen=True)
class Caption:
    """Words shown together."""

    start_s: float
    end_s: float
    words: Sequence[Word]

    @property
    def lines(self) -> list[str]:
        """One line where it fits, else two of about the same length; at a space where there is one that lets both
        fit."""
        if _width(join_words(self.words)) <= LINE or len(self.words) == 1:
            return [join_words(self.words)]
        places = range(1, len(self.words))
        spaces = [place for place in places if not self.words[place].joined]
        splits = [[join_words(self.words[:place]), join_words(self.words[place:])] for place in spaces or places]
        even = min(splits, key=_unevenness)
        if max(map(_width, even)) > LINE:
            even = min(
                ([join_words(self.words[:place]), join_words(self.words[place:])] for place in places), key=_unevenness
            )
        return even


def captions(transcript: Transcript) -> Iterator[Caption]:
    """Words -> captions, in order and never overlapping."""
    groups: list[list[Word]] = []
    for word in transcript.words:
        if groups and _fits(groups[-1], word):
            groups[-1].append(word)
        else:
            groups.append([word])
    for place, group in enumerate(groups):
        begin, end = group[0].start_s, group[-1].end_s
        limit = groups[place + 1][0].start_s if place + 1 < len(groups) else max(end, transcript.duration_s)
        yield Caption(begin, max(end, min(begin + LEAST_S, limit)), group)


def _unevenness(halves: Sequence[str]) -> float:
    return abs(_width(halves[0]) - _width(halves[1]))


def _width(text: str) -> float:
    """In characters of a line: none for a mark, WIDE for a full-width one."""
    return sum(
        0
        if unicodedata.combining(one) or unicodedata.category(one) == "Mn"
        else WIDE
        if unicodedata.east_asian_width(one) in "WF"
        else 1
        for one in text
    )


def _fits(group: list[Word], word: Word) -> bool:
    length = _width(join_words([*group, word]))
    return (
        word.start_s - group[-1].end_s < PAUSE_S
        and word.end_s - group[0].start_s <= LONGEST_S
        and length <= LINE * LINES - LINE // 4
    )


def srt(transcript: Transcript) -> str:
    """SubRip: numbered captions with times such as 00:01:02,345."""
    parts = (
        f"{number}\n{_clock(one.start_s, ',')} --> {_clock(one.end_s, ',')}\n{_lines(one)}\n"
        for number, one in enumerate(captions(transcript), 1)
    )
    return "\n".join(parts)


def vtt(transcript: Transcript) -> str:
    """WebVTT (W3C): `&`, `<` and `>` of the text are written as entities."""
    parts = (
        f"{_clock(one.start_s, '.')} --> {_clock(one.end_s, '.')}\n"
        f"{_lines(one).replace('&', '&amp;').replace('<', '&lt;').replace('>', '&gt;')}\n"
        for one in captions(transcript)
    )
    return "\n".join(["WEBVTT\n", *parts])


def tsv(transcript: Transcript) -> str:
    """One word a line: start and end in milliseconds, the word, its confidence."""
    rows = (
        f"{round(one.start_s * 1000)}\t{round(one.end_s * 1000)}\t{one.word}\t{one.confidence:.4f}\n"
        for one in transcript.words
    )
    return "".join(["start\tend\tword\tconfidence\n", *rows])


def txt(transcript: Transcript) -> str:
    return f"{transcript.text}\n"


def as_json(transcript: Transcript) -> str:
    return json.dumps(transcript.to_dict(), ensure_ascii=False, indent=2) + "\n"


FORMATS: dict[str, Callable[[Transcript], str]] = {"txt": txt, "srt": srt, "vtt": vtt, "tsv": tsv, "json": as_json}
"""Name (and ending) of a format -> what writes it."""


def _lines(caption: Caption) -> str:
    return "\n".join(caption.lines)


def _clock(seconds: float, point: str) -> str:
    whole = max(0, round(seconds * 1000))
    hours, rest = divmod(whole, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"{hours:02d}:{minutes:02d}:{rest // 1000:02d}{point}{rest % 1000:03d}"
