"""The cost of decoding hints: a language model of 190,000 words, and 100 hot words, each against a plain way.

    python -m tests.benchmarks.expecting [--data DATASET] [--model CHECKPOINT]

The plain way spells each word of the language model by itself (`spell_words`), and tries each hot word at each
position. The hot words are words of the dataset; both ways must give the same words.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from unittest import mock

from asrkit.audio import load_audio
from asrkit.data import sources
from asrkit.decoding.beam import WordTrie
from asrkit.decoding.hotwords import MAX_HOT_WORDS, HotWordDecoder
from asrkit.decoding.tokens import Speller, spell_words
from asrkit.models.resolution import STARTER_DIR
from asrkit.text.normalisers import normalise
from asrkit.text.scripts import tokenize_with_joins
from asrkit.transcription.transcriber import Transcriber

CALLSIGNS = Path(__file__).resolve().parents[2] / "assets" / "demo" / "callsigns"
NUM_WORDS, NUM_CLIPS, MIN_LETTERS = 190_000, 100, 4

Result = TypeVar("Result")


class RandomWordModel:
    """A language model of random words, each as likely as the others."""

    start = ()

    def __init__(self) -> None:
        rng = random.Random(0)
        words: set[str] = set()
        while len(words) < NUM_WORDS:
            words.add("".join(rng.choices("etaoinshrdlucmfwypvbgk", k=rng.randint(3, 12))))
        self.words = sorted(words)

    def follow(self, state: tuple, word: str) -> tuple[tuple, float]:
        return state, -9.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=str(STARTER_DIR))
    parser.add_argument("--data", default=str(CALLSIGNS))
    options = parser.parse_args()
    transcriber, model = Transcriber(options.model), RandomWordModel()
    speller = Speller.from_tokenizer(transcriber.processor.tokenizer)
    plain_s, _ = measure(lambda: [spell_words(speller, tokenize_with_joins(word)) for word in model.words])
    trie_s, _ = measure(lambda: WordTrie(model, speller))
    print(
        f"{NUM_WORDS:,} words of a language model: {trie_s:.2f} s; spelling each by itself alone takes "
        f"{plain_s / trie_s:.1f} times as long"
    )

    utterances = sources.load(options.data).unseen
    words = {word for utterance in utterances for word in normalise(utterance.text, "basic").split()}
    hot_words = sorted(word for word in words if len(word) >= MIN_LETTERS)[:MAX_HOT_WORDS]
    waves = [
        load_audio(utterance.audio, start_s=utterance.start_s, end_s=utterance.end_s)
        for utterance in utterances[:NUM_CLIPS]
    ]
    clips = transcriber.engine.log_probabilities([wave.samples for wave in waves])
    decoder = HotWordDecoder(transcriber.processor, transcriber.blank_id, hot_words)
    fast_s, fast_words = measure(lambda: [decoder.decode(scores, 0.02) for scores in clips])
    with mock.patch.object(
        HotWordDecoder, "_find_plausible", lambda self, scores, with_delimiters: range(len(self.hot_words))
    ):
        slow_s, slow_words = measure(lambda: [decoder.decode(scores, 0.02) for scores in clips])
    audio_s = sum(wave.duration_s for wave in waves)
    print(
        f"{len(hot_words)} hot words: {audio_s / fast_s:.0f} x real time, {slow_s / fast_s:.1f} times as fast as "
        f"trying each at each position ({'the same' if fast_words == slow_words else 'NOT the same'} words)"
    )


def measure(work: Callable[[], Result]) -> tuple[float, Result]:
    """Return the seconds that `work` takes, and its result."""
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


if __name__ == "__main__":
    main()
