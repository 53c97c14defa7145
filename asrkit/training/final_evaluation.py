"""Score the model of a run on all of its evaluation clips: at the end of training, or later.

During training a sample is evaluated. What is decoded here is kept beside the model, so that a stop or a killed worker
loses a batch at most; a new best model replaces the folder, and these results with it.
"""

from __future__ import annotations

import functools
import json
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import IO

from asrkit.config import TrainConfig
from asrkit.data import manifest
from asrkit.decoding.lexicon import LexiconDecoder
from asrkit.decoding.loading import load_decoder
from asrkit.errors import DataError
from asrkit.files import write_atomic
from asrkit.models import anatomy, blanks, processors, weights
from asrkit.runs import events, summary, view
from asrkit.runs.run import Run
from asrkit.training import distributed
from asrkit.training.arguments import make_arguments, make_autocast
from asrkit.training.bad_clips import BAD_CLIPS, BadClips
from asrkit.training.clip_decoding import ClipResult, Interrupted, decode_clips
from asrkit.training.evaluation import Evaluation, score_clips
from asrkit.training.findings import FindingReporter
from asrkit.training.progress import make_progress_check
from asrkit.training.reporting import emit
from asrkit.training.resume import read_resume_state
from asrkit.training.stopping import has_end_flag
from asrkit.training.streaming import StreamInterrupted, open_streams, restore_streams

logger = logging.getLogger(__name__)

PROGRESS_TEXT = "Evaluating the best model: {done} of {total} clips"


def is_due(run: Run) -> bool:
    """Whether the model was evaluated on a sample, and nobody asks the run to stop; the same on every process."""
    is_sample = distributed.IS_MAIN and summary.is_scored_on_sample(run, view.load_view(run, skim=True))
    return distributed.broadcast(is_sample and not has_end_flag(run))


def score_model(run: Run, config: TrainConfig, on_poll: Callable[[], None]) -> bool:
    """Score the model in `model/`, and put the result beside it and into the events.

    Return False if it was stopped; it then continues another time where it was. on_poll: called for each batch.
    """
    restore_streams(run)
    started, rows, folder = time.monotonic(), manifest.read(run.manifest_path("eval")), run.model_dir
    processor, (model, _) = processors.load_processor(folder), weights.load_model(folder, weights.load_config(folder))
    blanks.settle(model, processor, str(folder), config.blank_id)
    decoder = load_decoder(str(folder), processor, anatomy.of(model, processor).blank_id)
    lexicon_decoder = decoder if isinstance(decoder, LexiconDecoder) else None
    device, bad, to_run = make_arguments(run, config).device, dict[int, str](), functools.partial(emit, run)
    results = distributed.broadcast(_read_results(run))
    check_progress = make_progress_check(run, on_poll, to_run, PROGRESS_TEXT, len(results))
    remaining = [index for index in range(len(rows)) if index not in results]
    try:
        with (
            make_autocast(device.type, config.mixed_precision),
            run.partial_results_path(distributed.RANK).open("a", encoding="utf-8") as file,
        ):
            results |= decode_clips(
                model.to(device),
                processor,
                rows,
                remaining,
                batch_size=config.eval_batch_size,
                lexicon_decoder=lexicon_decoder,
                on_progress=check_progress,
                on_batch=lambda new: _append_results(file, new),
                on_bad=bad.update,
                streamed=open_streams(run, config),
            )
    except (Interrupted, StreamInterrupted):
        return False
    known = read_resume_state(run, None).bad_clips
    findings = FindingReporter(run, to_run, [BAD_CLIPS] if known else [])
    BadClips([], rows, findings, to_run, known).add("eval", bad)
    if not results:
        raise DataError(f"None of the {len(rows)} clips to evaluate on can be used; check the data again.")
    if distributed.IS_MAIN:
        seconds, has_word_list = time.monotonic() - started, lexicon_decoder is not None
        scored = score_clips(rows, results, config.text_rules, seconds, has_word_list)
        _record(run, config, replace(scored, num_bad=len(bad)))
    return True


def _record(run: Run, config: TrainConfig, result: Evaluation) -> None:
    best = summary.get_best_evaluation(run, view.load_view(run, skim=True))
    step, epoch = (best.step, best.epoch) if best else (None, None)
    data = {"normaliser": config.text_rules, "decoding": config.decoding, **result.to_event_data()}
    emit(run, events.FINAL_EVAL, model_step=step, model_epoch=epoch, **data)
    data.pop("samples")
    with write_atomic(run.evaluation_path) as file:
        file.write(events.make_event(events.EVAL, step, epoch, **data).to_line().encode("utf-8"))
    for path in run.partial_results_paths():
        path.unlink()
    logger.info("All %d clips: WER %.2f %%, CER %.2f %%", result.utterances, 100 * data["wer"], 100 * data["cer"])


def _read_results(run: Run) -> dict[int, ClipResult]:
    """Read what was decoded before; a last line that was not written whole is left out."""
    results: dict[int, ClipResult] = {}
    for path in run.partial_results_paths():
        for line in path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]:
            record = json.loads(line)
            clip = record.pop("clip")
            results[clip] = ClipResult(**record)
    return results


def _append_results(file: IO[str], results: dict[int, ClipResult]) -> None:
    file.write("".join(json.dumps({"clip": index, **asdict(result)}) + "\n" for index, result in results.items()))
    file.flush()
