"""What is wrong with this data, why it matters, and what would be dropped before training."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

from asrkit.errors import AudioError
from asrkit.speech import audio, ctc
from asrkit.speech.manifest import Utterance
from asrkit.speech.text import normalise

EXAMPLES = 5
CHARACTERS = 20  # how many unknown characters a message lists

# code -> (effect, fix). Codes are in the order of the checks: an utterance is dropped for the first that applies.
EXPLANATIONS = {
    "unreadable-audio": (
        "The file is missing, cut off or not audio, so nothing can be learned from it.",
        "Copy or export these files again as WAV, FLAC, OGG/Opus or MP3.",
    ),
    "zero-length": ("The file holds no audio.", "Record these utterances again, or remove their rows."),
    "too-short": (
        "Clips under {minimum:g} s hold no word, and give the model too few frames to work on.",
        "Record them again, or remove their rows.",
    ),
    "too-long": (
        "One clip over {maximum:g} s fills the memory of a whole batch, and training may run out of it.",
        "Cut these recordings at pauses, or raise the longest duration if there is memory.",
    ),
    "empty-transcript": (
        "Nothing is left of the text after normalising, which would teach the model to be silent.",
        "Fill in the text, remove the rows, or choose another normaliser.",
    ),
    "unknown-characters": (
        "The model cannot write these characters: {characters}.",
        "Write digits out as words, choose a normaliser that removes the others or matches the model's case, or build "
        "the vocabulary from this data.",
    ),
    "label-too-long": (
        "The text has more characters than the audio has frames (one each 20 ms): the CTC loss would be infinite.",
        "Check that text and audio belong together; otherwise remove the rows.",
    ),
}


@dataclass(frozen=True)
class Finding:
    """One kind of trouble. code: kebab-case; examples: up to five, such as "metadata.csv row 3: clip.flac (0.05 s)"."""

    code: str
    count: int
    examples: list[str]
    effect: str
    fix: str


@dataclass(frozen=True)
class Audit:
    """utterances and hours are those that are kept.

    verdict: "not-ready" when nothing is left or more than half is dropped, "ready" when nothing is dropped.
    """

    verdict: Literal["ready", "ready-with-drops", "not-ready"]
    utterances: int
    hours: float
    dropped: int
    findings: list[Finding]

    def to_dict(self) -> dict:
        """As `audit --json` prints it."""
        return asdict(self)


@dataclass(frozen=True)
class _Limits:
    """The arguments of `audit`, and the unknown characters met on the way."""

    normaliser: str
    vocabulary: set[str] | None
    frames_of: Callable[[float], int]
    minimum_s: float
    maximum_s: float
    decode: bool
    unknown: set[str] = field(default_factory=set)


def audit(
    utterances: Iterable[Utterance],
    *,
    normaliser: str,
    vocabulary: set[str] | None = None,
    frames_of: Callable[[float], int] = ctc.frames,
    min_duration_s: float = 0.1,
    max_duration_s: float = 30.0,
    decode: bool = False,
) -> tuple[list[Utterance], Audit]:
    """-> (the utterances to train on, what was found). Texts stay raw; durations become those of the audio itself.

    vocabulary: the characters the model can write; None when it will be built from this text, so that none is unknown.
    frames_of: seconds of audio -> CTC frames of the model.
    decode: decode every clip, which finds files that are cut off or damaged behind a good header; else headers only.

    Raises ConfigError for an unknown normaliser.
    """
    normalise("", normaliser)  # an unknown name is told before hours of audio are read
    limits = _Limits(normaliser, vocabulary, frames_of, min_duration_s, max_duration_s, decode)
    kept: list[Utterance] = []
    dropped: dict[str, list[str]] = {}
    for utterance in utterances:
        measured, code, detail = _check(utterance, limits)
        if code is None:
            kept.append(measured)
        else:
            dropped.setdefault(code, []).append(_example(utterance, detail))
    return kept, _report(kept, dropped, limits)


def _check(utterance: Utterance, limits: _Limits) -> tuple[Utterance, str | None, str]:
    """-> (the utterance with its real duration, the code it is dropped for or None, a detail for the example)."""
    try:
        seconds = _measure(utterance, limits.decode)
    except AudioError as error:
        return utterance, "unreadable-audio", str(error)
    measured = replace(utterance, duration_s=seconds)
    code = _check_duration(seconds, limits)
    if code:
        return measured, code, f"{seconds:.2f} s"
    return measured, *_check_text(measured, limits)


def _measure(utterance: Utterance, decode: bool) -> float:
    """Seconds of audio, 0.0 for none. Raises AudioError."""
    path = Path(utterance.audio)
    if path.is_file() and path.stat().st_size == 0:
        return 0.0
    whole_s = audio.duration_s(path)
    end_s = whole_s if utterance.end_s is None else min(utterance.end_s, whole_s)
    if end_s <= utterance.start_s:
        return 0.0
    if decode:
        return audio.decoded_duration_s(path, start_s=utterance.start_s, end_s=utterance.end_s)
    return end_s - utterance.start_s


def _check_duration(seconds: float, limits: _Limits) -> str | None:
    if seconds <= 0 or not math.isfinite(seconds):
        return "zero-length"
    if seconds < limits.minimum_s:
        return "too-short"
    return "too-long" if seconds > limits.maximum_s else None


def _check_text(utterance: Utterance, limits: _Limits) -> tuple[str | None, str]:
    text = normalise(utterance.text, limits.normaliser)
    if not text:
        return "empty-transcript", f"text {utterance.text!r}"
    unknown = set() if limits.vocabulary is None else set(ctc.characters([text])) - limits.vocabulary
    if unknown:
        limits.unknown.update(unknown)
        return "unknown-characters", "".join(sorted(unknown))
    tokens, frames = text.replace(" ", ctc.DELIMITER), limits.frames_of(utterance.duration_s)
    if not ctc.feasible(tokens, frames):
        return "label-too-long", f"{len(tokens)} characters in {frames} frames"
    return None, ""


def _example(utterance: Utterance, detail: str) -> str:
    place = f"{utterance.row}: " if utterance.row else ""
    return f"{place}{Path(utterance.audio).name} ({detail})"


def _report(kept: list[Utterance], dropped: dict[str, list[str]], limits: _Limits) -> Audit:
    lost = sum(len(examples) for examples in dropped.values())
    verdict = "ready" if not lost else "ready-with-drops"
    if not kept or lost > len(kept):
        verdict = "not-ready"
    findings = [_finding(code, dropped[code], limits) for code in EXPLANATIONS if code in dropped]
    hours = sum(utterance.duration_s for utterance in kept) / 3600
    return Audit(verdict, len(kept), round(hours, 4), lost, findings)


def _finding(code: str, examples: list[str], limits: _Limits) -> Finding:
    effect, fix = EXPLANATIONS[code]
    listed = " ".join(sorted(limits.unknown)[:CHARACTERS])
    if len(limits.unknown) > CHARACTERS:
        listed += f" and {len(limits.unknown) - CHARACTERS} more"
    effect = effect.format(minimum=limits.minimum_s, maximum=limits.maximum_s, characters=listed)
    return Finding(code, len(examples), examples[:EXAMPLES], effect, fix)
