"""Word, character and mixed error rates with their edit counts, pooled over the corpus.

An error rate is (substitutions + deletions + insertions) / reference tokens, summed over all utterances before the
division, so that long utterances count for more, as in sclite. Edits are those of jiwer's minimal alignment.

MER here is the *mixed* error rate of code-switched speech (Chinese by character, English by word), on
`text.scripts.tokenize_mixed`. It is not `jiwer.mer`, the match error rate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import jiwer
import numpy as np

from asrkit.errors import DataError
from asrkit.text.graphemes import compose
from asrkit.text.scripts import tokenize_mixed

Operation = Literal["equal", "substitute", "delete", "insert"]


@dataclass(frozen=True)
class ErrorRate:
    """rate: a fraction, which insertions can take above 1. Counts are in the tokens of the rate."""

    rate: float
    substitutions: int
    deletions: int
    insertions: int
    hits: int
    reference_length: int


@dataclass(frozen=True)
class Scores:
    """length_ratio: hypothesis characters / reference characters; near 0 means that the model outputs blanks."""

    wer: ErrorRate
    cer: ErrorRate
    mer: ErrorRate
    length_ratio: float


def score(references: Sequence[str], hypotheses: Sequence[str]) -> Scores:
    """Score normalised texts; white space is collapsed, and one space between words counts as a character.

    Texts are compared in NFC: é is one character, and no error where the model writes it in its other form.
    An empty reference adds nothing to the length and its hypothesis counts as insertions (as in sclite and Kaldi).
    Where all references are empty there is nothing to divide by: the rate is then 0.0 without insertions and 1.0 with
    them, never infinite.

    Raises DataError when the two lists differ in length.
    """
    if len(references) != len(hypotheses):
        raise DataError(
            f"There are {len(references)} references but {len(hypotheses)} hypotheses; give one hypothesis each."
        )
    cer = _pooled(references, hypotheses, _characters)
    return Scores(
        wer=_pooled(references, hypotheses, str.split),
        cer=cer,
        mer=_pooled(references, hypotheses, tokenize_mixed),
        length_ratio=_length_ratio(cer),
    )


def bootstrap_wer_interval(
    references: Sequence[str], hypotheses: Sequence[str], resamples: int = 1000
) -> tuple[float, float]:
    """Return the 95 % confidence interval of the WER.

    Percentile bootstrap over utterances (Bisani and Ney, "Bootstrap estimates for confidence intervals in ASR
    performance evaluation", ICASSP 2004), with a fixed seed. (0, 0) or (1, 1) where there is nothing to divide by.
    """
    return _interval(references, hypotheses, str.split, resamples)


def bootstrap_intervals(references: Sequence[str], hypotheses: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Return the intervals of wer, cer and mer, as `bootstrap_wer_interval` does."""
    return {
        name: _interval(references, hypotheses, tokens, 1000)
        for name, tokens in (("wer", str.split), ("cer", _characters), ("mer", tokenize_mixed))
    }


def _interval(
    references: Sequence[str], hypotheses: Sequence[str], tokens: Callable[[str], list[str]], resamples: int
) -> tuple[float, float]:
    output = _align(references, hypotheses, tokens)
    errors = np.array(
        [
            sum(
                max(chunk.ref_end_idx - chunk.ref_start_idx, chunk.hyp_end_idx - chunk.hyp_start_idx)
                for chunk in chunks
                if chunk.type != "equal"
            )
            for chunks in output.alignments
        ]
    )
    lengths = np.array([len(words) for words in output.references])
    if not lengths.sum():
        return (float(errors.sum() > 0),) * 2
    rng = np.random.default_rng(0)
    draws = (rng.integers(len(lengths), size=len(lengths)) for _ in range(resamples))
    rates = [errors[chosen].sum() / max(1, lengths[chosen].sum()) for chosen in draws]
    low, high = np.percentile(rates, (2.5, 97.5))
    return float(low), float(high)


def align_words(reference: str, hypothesis: str) -> list[tuple[Operation, list[str], list[str]]]:
    """Align two texts: runs of equal, substituted, deleted or inserted words, as (operation, reference, hypothesis).

    A character of a script without word spaces is a word (`text.scripts.tokenize_mixed`).

    A substitution has as many words on both sides; the reference side of an insertion and the hypothesis side of a
    deletion are empty.
    """
    output = _align([reference], [hypothesis], tokenize_mixed)
    (reference_words,), (hypothesis_words,) = output.references, output.hypotheses
    return [
        (
            cast(Operation, chunk.type),
            reference_words[chunk.ref_start_idx : chunk.ref_end_idx],
            hypothesis_words[chunk.hyp_start_idx : chunk.hyp_end_idx],
        )
        for chunk in output.alignments[0]
    ]


def _pooled(references: Sequence[str], hypotheses: Sequence[str], tokens: Callable[[str], list[str]]) -> ErrorRate:
    output = _align(references, hypotheses, tokens)
    errors = output.substitutions + output.deletions + output.insertions
    length = output.hits + output.substitutions + output.deletions
    return ErrorRate(
        rate=errors / length if length else float(errors > 0),
        substitutions=output.substitutions,
        deletions=output.deletions,
        insertions=output.insertions,
        hits=output.hits,
        reference_length=length,
    )


def _align(
    references: Sequence[str], hypotheses: Sequence[str], tokenize: Callable[[str], list[str]]
) -> jiwer.WordOutput:
    """Align the tokens of composed texts. jiwer's own transforms reject empty references and split tokens again."""
    tokens = ([tokenize(compose(text)) for text in texts] for texts in (references, hypotheses))
    process: Callable[..., jiwer.WordOutput] = jiwer.process_words  # its annotations know strings only
    return process(*tokens, reference_transform=list, hypothesis_transform=list)


def _characters(text: str) -> list[str]:
    return list(" ".join(text.split()))


def _length_ratio(cer: ErrorRate) -> float:
    """1.0 where both sides are empty; an empty reference counts as one character."""
    hypothesis_length = cer.hits + cer.substitutions + cer.insertions
    return 1.0 if hypothesis_length == cer.reference_length else hypothesis_length / max(cer.reference_length, 1)
