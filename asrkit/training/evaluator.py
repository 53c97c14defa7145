"""The evaluations of a run: on a sample of its evaluation clips that is chosen once, so large as its time allows.

The clips have an order, of which every beginning is spread over speakers and lengths (`data.sampling`); of streamed
ones, a beginning is spread over few pieces. Before the
first step the first few are evaluated; the first evaluation after it goes on in that order for as long as an evaluation
may take, and so finds the sample of all later ones.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from asrkit.config import TrainConfig
from asrkit.config.evaluation import max_evaluation_s
from asrkit.data.manifest import Utterance
from asrkit.data.sampling import order_evenly
from asrkit.data.streams.clips import StreamedClips
from asrkit.decoding.lexicon import LexiconDecoder
from asrkit.errors import DataError
from asrkit.runs.events import Event
from asrkit.training import distributed
from asrkit.training.bad_clips import BadClips
from asrkit.training.clip_decoding import ClipResult, ProgressCheck, decode_clips
from asrkit.training.evaluation import Evaluation, score_clips, score_texts
from asrkit.training.streamed_order import Pieces

if TYPE_CHECKING:
    from asrkit.training.model import CtcModel

MIN_CLIPS = 64
"""Clips of the smallest sample, whatever time it takes, and the most that are evaluated before the first step."""
MAX_START_S = 10.0
"""Time of the evaluation before the first step."""
GROWTH = 4
"""A sample grows by this factor at most before its speed is measured again."""


class Evaluator:
    """Evaluates the model of a run.

    size: number of clips of the sample; None until it is found. num_start: clips that were evaluated before the first
    step. start_s: the seconds that this took.
    """

    def __init__(
        self,
        config: TrainConfig,
        processor: Any,
        rows: Sequence[Utterance],
        lexicon_decoder: LexiconDecoder | None,
        evaluations: Sequence[Event] = (),
        bad_clips: BadClips | None = None,
        streamed: StreamedClips | None = None,
    ) -> None:
        """evaluations: `eval` events of the run before it was resumed; their sample is kept.

        streamed: fetches streamed clips.
        """
        self._bad_clips, self._streamed = bad_clips, streamed
        self.config, self.processor, self.rows, self.lexicon_decoder = config, processor, rows, lexicon_decoder
        pieces = Pieces.of(rows, config.seed) if streamed else None
        self.order = pieces.order(config.seed) if pieces else order_evenly(rows, config.seed)
        self.size: int | None = None
        if config.eval_max_clips > 0:
            self.size = min(config.eval_max_clips, len(rows))
        elif config.eval_max_clips == -1 or len(rows) <= MIN_CLIPS:
            self.size = len(rows)
        self.num_start, self.start_s = 0, 0.0
        for event in evaluations:
            clips = int(event.data.get("utterances") or 0) + int(event.data.get("num_bad_clips") or 0)
            if not event.step:
                self.num_start, self.start_s = clips, float(event.data.get("seconds") or 0)
            elif clips:
                self.size = clips

    def evaluate_start(self, model: CtcModel, on_progress: ProgressCheck) -> Evaluation:
        """Evaluate the model before the first step, on MIN_CLIPS clips at most and for about MAX_START_S at most."""
        started = time.monotonic()
        num_clips = min(self.size or MIN_CLIPS, MIN_CLIPS)
        results, self.num_start = self._decode_growing(model, 1, num_clips, MAX_START_S, on_progress)
        self.start_s = time.monotonic() - started
        return self._score(results, self.num_start, self.start_s)

    def evaluate(
        self, model: CtcModel, on_progress: ProgressCheck, training_s: float, num_evaluations: int
    ) -> Evaluation:
        """Evaluate the model on the sample.

        Where it is not found yet, it is so large that `num_evaluations` of it, with that before the first step, take
        their share of a run that trains for `training_s` seconds.
        """
        started = time.monotonic()
        if self.size is None:
            max_s = (max_evaluation_s(training_s) - self.start_s) / max(1, num_evaluations)
            results, self.size = self._decode_growing(model, MIN_CLIPS, len(self.rows), max_s, on_progress)
        else:
            results = self._decode(model, self.order[: self.size].tolist(), on_progress)
        return self._score(results, self.size, time.monotonic() - started)

    def _decode_growing(
        self, model: CtcModel, first: int, max_clips: int, max_s: float, on_progress: ProgressCheck
    ) -> tuple[dict[int, ClipResult], int]:
        """Decode the first clips of the order, as many as the time allows, but at least `first`, and a good one.

        Return the results, and of how many clips these are, bad ones included.
        """
        results: dict[int, ClipResult] = {}
        deadline, target, num_clips = time.monotonic() + max_s, min(first, max_clips), 0
        while True:
            since, num_before, num_clips = time.monotonic(), num_clips, target

            def report(done: int, _: int, num_before: int = num_before, num_clips: int = num_clips) -> bool:
                return on_progress(num_before + done, num_clips)

            results |= self._decode(model, self.order[num_before:num_clips].tolist(), report)
            now = time.monotonic()
            clip_s = max(now - since, 1e-6) / (num_clips - num_before)
            target = min(max_clips, GROWTH * num_clips, num_clips + int((deadline - now) / clip_s))
            if not results:
                target = min(max_clips, max(target, GROWTH * num_clips))
            target = distributed.broadcast(target)
            if target - num_clips < max(1, num_clips // 10):  # a few more are not worth another round
                return results, num_clips

    def _decode(self, model: CtcModel, clips: Sequence[int], on_progress: ProgressCheck) -> dict[int, ClipResult]:
        return decode_clips(
            model,
            self.processor,
            self.rows,
            clips,
            batch_size=self.config.eval_batch_size,
            lexicon_decoder=self.lexicon_decoder,
            on_progress=on_progress,
            on_bad=lambda bad: self._bad_clips.add("eval", bad, len(clips)) if self._bad_clips else None,
            streamed=self._streamed,
        )

    def _score(self, results: dict[int, ClipResult], num_clips: int, seconds: float) -> Evaluation:
        """Score the results of so many clips, bad ones included. Raises DataError where no clip is good."""
        if not results:
            raise DataError(f"None of the {num_clips} clips to evaluate on can be used; check the data again.")
        has_word_list, rules = self.lexicon_decoder is not None, self.config.text_rules
        num_bad = num_clips - len(results)
        scored = replace(
            score_clips(self.rows, results, rules, seconds, has_word_list),
            num_bad=num_bad,
            num_available=len(self.rows) - num_bad,
        )
        if not 0 < self.num_start < len(results):
            return scored
        start_results = {index: results[index] for index in self.order[: self.num_start].tolist() if index in results}
        return replace(scored, start_sample=score_texts(self.rows, start_results, rules))
