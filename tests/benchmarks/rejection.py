"""Rejection by a model with a word list: words of its list that are kept, and words of other speech that are marked.

    python -m tests.benchmarks.rejection --model CHECKPOINT [--data DATASET] [--other DATASET ...]

The goal is 95 % kept and 90 % marked. --data: speech of the model's list, of which the evaluation part is used; by
default the demo's callsigns. --other: other speech; without it, sentences spoken by espeak-ng in three languages. Of
words of the list, those count that are right; of other speech, those that are wrong. "joined" is a clip of the list,
one of other speech and one of the list in one recording, without pauses.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from asrkit.audio import Waveform, load_audio
from asrkit.data import sources
from asrkit.decoding.lexicon import LexiconDecoder
from asrkit.decoding.transcript import Transcript
from asrkit.text import metrics
from asrkit.text.normalisers import normalise
from asrkit.transcription.transcriber import Transcriber
from tests.benchmarks.accuracy import CALLSIGNS

MAX_CLIPS, MAX_CLIP_S, NUM_JOINED = 200, 20.0, 60
KEPT_GOAL, MARKED_GOAL = 0.95, 0.9
SENTENCES = {
    "en": "the old man walked slowly along the river until he reached the bridge. nobody knows why the letter was "
    "never sent to its owner. please remember to water the plants while we are away. several engineers examined the "
    "broken engine. a large ship appeared shortly after sunrise",
    "de": "der alte mann ging langsam am fluss entlang bis zur brücke. wir sollten die ergebnisse noch einmal prüfen. "
    "es regnete stark als der zug endlich ankam. bitte vergiss nicht die blumen zu gießen",
    "es": "el viejo caminaba despacio por la orilla del río. nadie sabe por qué la carta nunca llegó. los niños "
    "jugaban al fútbol detrás de la escuela. llovía mucho cuando por fin llegó el tren",
}
VOICES = ("m1", "m3", "m7", "f1", "f2", "f4")

Clip = tuple[Waveform, str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", default=str(CALLSIGNS))
    parser.add_argument("--other", nargs="+", default=[])
    options = parser.parse_args()
    transcriber = Transcriber(options.model)
    if not isinstance(transcriber.decoder, LexiconDecoder):
        parser.error(f"{options.model} has no word list")
    known = load_clips(options.data, set(transcriber.decoder.words), on_list=True)
    others = {name: load_clips(name, set(transcriber.decoder.words), on_list=False) for name in options.other}
    others = others or {f"espeak-ng, {language}": speak(language) for language in SENTENCES}
    scored = score_words(transcriber, known)
    kept = [confidence for is_right, is_marked, confidence in scored if is_right and not is_marked]
    num_right = sum(is_right for is_right, _, _ in scored)
    report(f"{options.data}: words kept", len(kept), num_right, KEPT_GOAL)
    for name, clips in others.items():
        words = score_words(transcriber, clips)
        wrong = [is_marked for is_right, is_marked, _ in words if not is_right]
        report(f"{name}: words marked", sum(wrong), len(wrong), MARKED_GOAL)
        scored += words
    for name, goal, count, total in score_joined(
        transcriber, known, [clip for clips in others.values() for clip in clips]
    ):
        report(f"joined: {name}", count, total, goal)
    print(f"confidence of all words: calibration error {calibration_error(scored):.1%}")


def report(name: str, count: int, total: int, goal: float) -> None:
    share = count / max(1, total)
    print(f"{name} {share:.1%} of {total} ({'reached' if share >= goal else 'MISSED'}: {goal:.0%})", flush=True)


def load_clips(dataset: str, words: set[str], on_list: bool) -> list[Clip]:
    """Load clips with their texts; of other speech, those without a word of the list or a digit."""
    source = sources.load(dataset)
    rows = [(row, normalise(row.text, "basic")) for row in source.eval or source.train]
    rows = [
        (row, text) for row, text in rows if on_list or not (words & set(text.split()) or any(map(str.isdigit, text)))
    ]
    random.Random(0).shuffle(rows)
    waves = [(load_audio(row.audio, start_s=row.start_s, end_s=row.end_s), text) for row, text in rows[:MAX_CLIPS]]
    return [(wave, text) for wave, text in waves if wave.duration_s <= MAX_CLIP_S]


def speak(language: str) -> list[Clip]:
    """Speak the sentences of a language with every voice."""
    clips = []
    with tempfile.TemporaryDirectory() as folder:
        for sentence in SENTENCES[language].split(". "):
            for voice in VOICES:
                path = Path(folder) / "clip.wav"
                subprocess.run(["espeak-ng", "-v", f"{language}+{voice}", "-w", str(path), sentence], check=True)
                clips.append((load_audio(path), sentence))
    return clips


def score_words(transcriber: Transcriber, clips: Sequence[Clip]) -> list[tuple[bool, bool, float]]:
    """Return (is right, is marked, confidence) of each recognised word."""
    scored = []
    for transcript, (_, text) in zip(transcriber.transcribe_batch([wave for wave, _ in clips]), clips, strict=True):
        is_right = [
            operation == "equal"
            for operation, _, hypothesis in metrics.align_words(text, transcript.text)
            for _ in hypothesis
        ]
        scored += [
            (right, word.not_in_word_list, word.confidence)
            for right, word in zip(is_right, transcript.words, strict=True)
        ]
    return scored


def score_joined(
    transcriber: Transcriber, known: Sequence[Clip], others: Sequence[Clip]
) -> list[tuple[str, float, int, int]]:
    """Return (name, goal, count, total) of right words kept, and of words in the other speech marked."""
    rng = random.Random(0)
    kept, marked = [], []
    for _ in range(NUM_JOINED):
        before, other, after = rng.choice(known), rng.choice(others), rng.choice(known)
        start_s, end_s = before[0].duration_s, before[0].duration_s + other[0].duration_s
        samples = np.concatenate([wave.samples for wave, _ in (before, other, after)])
        transcript: Transcript = transcriber.transcribe(Waveform(samples))
        for word in transcript.words:
            if start_s <= word.midpoint_s < end_s:
                marked.append(word.not_in_word_list)
            elif word.word in (before if word.midpoint_s < start_s else after)[1].split():
                kept.append(not word.not_in_word_list)
    return [
        ("words kept", KEPT_GOAL, sum(kept), len(kept)),
        ("words marked", MARKED_GOAL, sum(marked), len(marked)),
    ]


def calibration_error(scored: Sequence[tuple[bool, bool, float]]) -> float:
    """Return the expected calibration error of the confidences in ten bins."""
    bins: dict[int, list[float]] = {}
    for is_right, _, confidence in scored:
        bins.setdefault(min(9, int(10 * confidence)), []).append(is_right - confidence)
    return sum(abs(sum(differences)) for differences in bins.values()) / max(1, len(scored))


if __name__ == "__main__":
    main()
