"""What it costs to expect words: a language model of 190,000 of them, and 100 hot words, each against the plain way.

    python -m tests.benchmarks.expecting [--data DATASET] [--model CHECKPOINT]

The plain way spells each word of the language model by itself (`spell_words`), and looks for each hot word at each
place. The hot words are words of the dataset; both ways must hear the same.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from asrkit.audio import load_audio
from asrkit.data import sources
from asrkit.decoding.beam import Vocabulary
from asrkit.decoding.hotwords import MOST, HotWords
from asrkit.decoding.tokens import spell_words
from asrkit.models.resolution import STARTER_DIR
from asrkit.text.normalizers import normalize
from asrkit.text.scripts import tokenize_with_joins
from asrkit.transcription.transcriber import Transcriber

CALLSIGNS = Path(__file__).resolve().parents[2] / "assets" / "demo" / "callsigns"
WORDS, CLIPS, LEAST_LETTERS = 190_000, 100, 4


class Made:
    """A language model of words that nobody says, each as likely as the others."""

    start = ()

    def __init__(self) -> None:
        letters = random.Random(0)
        made: set[str] = set()
        while len(made) < WORDS:
            made.add("".join(letters.choices("etaoinshrdlucmfwypvbgk", k=letters.randint(3, 12))))
        self.words = sorted(made)

    def follow(self, state: tuple, word: str) -> tuple[tuple, float]:
        return state, -9.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=str(STARTER_DIR))
    parser.add_argument("--data", default=str(CALLSIGNS))
    options = parser.parse_args()
    ours, model = Transcriber(options.model), Made()
    tokenizer = ours.processor.tokenizer
    spelled, _ = timed(lambda: [spell_words(tokenizer, tokenize_with_joins(word)) for word in model.words])
    made, _ = timed(lambda: Vocabulary(model, tokenizer))
    print(
        f"{WORDS:,} words of a language model: {made:.2f} s; spelling each by itself alone takes "
        f"{spelled / made:.1f} times as long"
    )

    rows = sources.load(options.data).unseen
    said = {word for row in rows for word in normalize(row.text, "basic").split()}
    hot = sorted(word for word in said if len(word) >= LEAST_LETTERS)[:MOST]
    waves = [load_audio(row.audio, start_s=row.start_s, end_s=row.end_s) for row in rows[:CLIPS]]
    heard = ours.engine.log_probabilities([wave.samples for wave in waves])
    decoder = HotWords(ours.processor, ours.blank_id, hot)
    fast, told = timed(lambda: [decoder.decode(scores, 0.02) for scores in heard])
    with mock.patch.object(HotWords, "_hopeful", lambda self, span, between: range(len(self.spelled))):
        slow, plain = timed(lambda: [decoder.decode(scores, 0.02) for scores in heard])
    seconds = sum(wave.duration_s for wave in waves)
    print(
        f"{len(hot)} hot words: {seconds / fast:.0f} x real time, {slow / fast:.1f} times as fast as looking for "
        f"each at each place ({'the same' if told == plain else 'NOT the same'} words)"
    )


def timed(work: Callable) -> tuple[float, object]:
    begun = time.perf_counter()
    told = work()
    return time.perf_counter() - begun, told


if __name__ == "__main__":
    main()
