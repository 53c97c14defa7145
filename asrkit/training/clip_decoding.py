"""Decode clips of a manifest with the model that is trained: the text, the loss and the counts of each clip.

Only the text of each clip is kept, so memory does not grow with the vocabulary or the length of the clips.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from asrkit.data.batch_cuts import fill_batches, max_inference_batch_s, min_inference_fill
from asrkit.data.manifest import Column, Utterance
from asrkit.data.streams.clips import StreamedClips
from asrkit.decoding import ctc
from asrkit.decoding.greedy import GreedyDecoder
from asrkit.decoding.lexicon import LexiconDecoder
from asrkit.models import anatomy
from asrkit.models.anatomy import Anatomy
from asrkit.training import distributed, failures
from asrkit.training.arguments import num_loader_workers
from asrkit.training.compilation import uncompiled
from asrkit.training.data import Batch, SpeechDataset
from asrkit.training.loaders import make_eval_loader
from asrkit.training.micro_batching import free_memory, take_clips
from asrkit.training.prefetch import prefetch
from asrkit.training.streamed_order import BUFFERS_IN_CACHE, Pieces

if TYPE_CHECKING:
    from asrkit.training.model import CtcModel

logger = logging.getLogger(__name__)

MIN_CLIPS_FOR_WORKERS = 256
"""Clips from which on processes are started to decode the audio; it takes them seconds to begin."""

ProgressCheck = Callable[[int, int], bool]
"""Called with the number of decoded clips and of all; whether to continue."""


class Interrupted(Exception):
    """The evaluation ended early because the run is to stop."""


@dataclass(frozen=True)
class ClipResult:
    """What the model made of one clip.

    greedy: text by greedy decoding. hypothesis: text by the word list, the same as `greedy` without one. loss: CTC loss
    per label (nats), None where the text needs more frames than there are. num_blanks: true frames whose most likely
    token is the blank. num_unknown: of the decoded tokens, the unknown ones.
    """

    hypothesis: str
    greedy: str
    loss: float | None
    num_frames: int
    num_blanks: int
    num_tokens: int
    num_unknown: int


def decode_clips(
    model: CtcModel,
    processor: Any,
    utterances: Sequence[Utterance],
    clips: Sequence[int],
    *,
    batch_size: int = 0,
    lexicon_decoder: LexiconDecoder | None = None,
    on_progress: ProgressCheck = lambda done, total: True,
    on_batch: Callable[[dict[int, ClipResult]], None] = lambda results: None,
    on_bad: Callable[[dict[int, str]], None] = lambda bad: None,
    streamed: StreamedClips | None = None,
) -> dict[int, ClipResult]:
    """Decode the clips with these indices (greedily, or with `lexicon_decoder`); return the result of each good one.

    Each of several processes decodes its share, and all of them return all results. batch_size: clips in a batch; 0
    fills batches by seconds. If `on_progress` returns False on one process, `Interrupted` is raised on all of them.
    on_batch: called with the results of each batch of this process. on_bad: called on each process with the clips of
    all of them that cannot be used, index -> why. streamed: fetches streamed clips, which come piece by piece.
    """
    was_training = model.training
    model.eval()
    try:
        decoder = _ShareDecoder(model, processor, utterances, lexicon_decoder, streamed)
        share = decoder.decode(clips, batch_size, on_progress, on_batch)
    finally:
        model.train(was_training)
    results: dict[int, ClipResult] = {}
    bad: dict[int, str] = {}
    for part, bad_part in distributed.all_gather((share, decoder.bad)):
        if part is None:
            raise Interrupted
        results |= part
        bad |= bad_part
    if bad:
        on_bad(bad)
    return results


class _ShareDecoder:
    """Decodes this process's share of the clips."""

    def __init__(
        self,
        model: CtcModel,
        processor: Any,
        utterances: Sequence[Utterance],
        lexicon_decoder: LexiconDecoder | None,
        streamed: StreamedClips | None,
    ) -> None:
        self.streamed, self.pieces = streamed, Pieces.of(utterances, 0) if streamed else None
        self.model, self.processor, self.utterances, self.lexicon_decoder = (
            model,
            processor,
            utterances,
            lexicon_decoder,
        )
        self.durations_s = Column("duration_s", utterances).to_numpy()
        self.parts: Anatomy = anatomy.of(model, processor)
        self.greedy = GreedyDecoder(processor, self.parts.blank_id)
        self.device = next(model.parameters()).device
        self.results: dict[int, ClipResult] = {}
        self.bad: dict[int, str] = {}

    def decode(
        self,
        clips: Sequence[int],
        batch_size: int,
        on_progress: ProgressCheck,
        on_batch: Callable[[dict[int, ClipResult]], None],
    ) -> dict[int, ClipResult] | None:
        """Decode every clip of the share; None if `on_progress` returned False."""
        share, parts = self._take_share(clips)
        if self.streamed and self.pieces:
            self.streamed.fetch_ahead(self.pieces.list_paths(share))
        loader = make_eval_loader(
            SpeechDataset(self.utterances, self.processor, streamed=self.streamed),
            [batch for part in parts for batch in self._make_batches(part, batch_size)],
            self.processor,
            # On a CPU, further processes would slow the model down.
            num_workers=num_loader_workers()
            if self.device.type == "cuda" and len(share) >= MIN_CLIPS_FOR_WORKERS
            else 0,
        )
        batches, num_remaining, max_clips = prefetch(loader, self.device), len(share), len(share)
        while num_remaining:
            if not on_progress(len(clips) - num_remaining * distributed.WORLD_SIZE, len(clips)):
                return None
            batch = next(batches)
            good, bad = batch["about"]["clips"], batch["about"]["bad"]
            if good:
                max_clips = self._decode_fitting(batch, max_clips)
            self.bad |= bad
            num_remaining -= len(good) + len(bad)
            on_batch({index: self.results[index] for index in good})
        return self.results

    def _take_share(self, clips: Sequence[int]) -> tuple[list[int], list[list[int]]]:
        """Return this process's share, and the parts of it that are sorted by length: of streamed clips, by pieces."""
        if self.streamed and self.pieces:
            buffers = self.pieces.cut(clips, self.streamed.max_bytes / BUFFERS_IN_CACHE)
        else:
            buffers = [list(clips)]
        parts = [
            sorted(buffer, key=lambda index: -self.durations_s[index])[distributed.RANK :: distributed.WORLD_SIZE]
            for buffer in buffers
        ]
        return [clip for part in parts for clip in part], parts

    def _make_batches(self, share: list[int], batch_size: int) -> list[list[int]]:
        """Cut clips, the longest first, into batches."""
        # Where padding changes a clip's own frames, clips are decoded one by one.
        size = batch_size if self.parts.is_batch_invariant else 1
        if size:
            return [share[start : start + size] for start in range(0, len(share), size)]
        durations_s = self.durations_s[share].tolist()
        device_type = self.device.type
        batches = fill_batches(durations_s, max_inference_batch_s(device_type), min_inference_fill(device_type))
        return [[share[position] for position in batch] for batch in batches]

    def _decode_fitting(self, batch: Batch, max_clips: int) -> int:
        """Decode a batch, at most `max_clips` at once; return how many fit. Raises the error where not one does."""
        num_clips, start = len(batch["labels"]), 0
        while start < num_clips:
            part = take_clips(batch, start, start + max_clips)
            try:
                self._decode_batch(part)
            except RuntimeError as error:
                if not failures.is_out_of_memory(error) or len(part["labels"]) == 1:
                    raise
            else:
                start += max_clips
                continue
            # Outside the handler, because the exception holds on to the memory.
            max_clips = len(part["labels"]) // 2
            free_memory()
            logger.warning(
                "%d clips do not fit into memory at once; continuing with %d.", len(part["labels"]), max_clips
            )
        return max_clips

    def _decode_batch(self, batch: Batch) -> None:
        indices = batch["about"]["clips"]
        inputs = {name: value.to(self.device) for name, value in batch.items() if name != "about"}
        with torch.inference_mode(), uncompiled():
            output = self.model(**inputs)
        ids, frame_counts = output.logits.argmax(-1).cpu(), self.parts.count_batch_frames(inputs).cpu()
        # Where memory runs out, it does so before anything is added to the results.
        probs = output.logits.float().softmax(-1).cpu().numpy() if self.lexicon_decoder else None
        # The model's loss is the mean over the batch, where an infinite one counts as 0 (`ctc_zero_infinity`).
        is_infinite = self.parts.is_infeasible(batch["labels"].cpu(), frame_counts).tolist()
        loss = float(output.loss) * len(indices) / max(1, len(indices) - sum(is_infinite))
        for position, (index, count) in enumerate(zip(indices, frame_counts.tolist(), strict=True)):
            true_ids = ids[position][:count].tolist()
            tokens = ctc.collapse(true_ids, self.greedy.blank_id)
            text = self.greedy.to_text(true_ids)
            words = None
            if self.lexicon_decoder and probs is not None:
                words = " ".join(word.word for word in self.lexicon_decoder.search(probs[position][:count]))
            self.results[index] = ClipResult(
                hypothesis=text if words is None else words,
                greedy=text,
                loss=None if is_infinite[position] else loss,
                num_frames=count,
                num_blanks=true_ids.count(self.greedy.blank_id),
                num_tokens=len(tokens),
                num_unknown=sum(token == self.parts.unknown_id for token in tokens),
            )
