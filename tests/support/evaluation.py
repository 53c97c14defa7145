"""Evaluate a model on clips as a run does."""

import time

from asrkit.training.clip_decoding import decode_clips
from asrkit.training.evaluation import Evaluation, score_clips


def evaluate(model, processor, utterances, *, normaliser="none", lexicon_decoder=None, **options) -> Evaluation:
    """Decode all clips and score them. options: of `decode_clips`."""
    since, clips = time.monotonic(), range(len(utterances))
    results = decode_clips(model, processor, utterances, clips, lexicon_decoder=lexicon_decoder, **options)
    return score_clips(utterances, results, normaliser, time.monotonic() - since, lexicon_decoder is not None)
