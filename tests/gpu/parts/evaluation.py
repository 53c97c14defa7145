"""Fast: ten hours evaluated, as a run does it and as `asrkit evaluate` does."""

from __future__ import annotations

from asrkit.config import TrainConfig
from asrkit.training.arguments import make_autocast, resolve_precision
from asrkit.training.evaluation import Evaluation
from asrkit.training.model import load
from asrkit.transcription import evaluation
from asrkit.transcription.transcriber import Transcriber
from tests.gpu import models, speech
from tests.gpu.pack import Pack
from tests.support.evaluation import evaluate as evaluate_clips

MAX_SECONDS = 60.0
HOUR_S = 3600.0
FAST_CARDS = ("H100", "H200")
"""Cards that the goal is for; others evaluate two hours."""


def run(pack: Pack) -> None:
    base = models.write_checkpoint(pack.folder / "base", "xls-r-300m", pack.is_small)
    hour = speech.write_clips(pack.folder / "clips", speech.draw_lengths("common-voice", pack.pick(HOUR_S, 30.0)))
    is_fast = any(name in pack.device_name for name in FAST_CARDS)
    rows = hour * (10 if is_fast and not pack.is_small else 2)  # the same files, so they are in the system's cache
    hours = sum(row.duration_s for row in rows) / HOUR_S
    limit_s = MAX_SECONDS if is_fast else None
    transcriber = Transcriber(str(base), pack.device.type)
    transcriber.engine.warm_up()
    seconds, report = pack.time(lambda: evaluation.evaluate(transcriber, rows, "basic"))
    pack.measure(f"`evaluate`, {hours:.1f} h", seconds, "s", at_most=limit_s, detail=str(transcriber.engine.dtype))
    pack.check("every clip is evaluated", len(report.clips) == len(rows), f"{len(report.clips)} of {len(rows)}")
    transcriber.engine.move_to("cpu")
    pack.free()
    processor, model = load(str(base), TrainConfig(preset="", model=str(base)), [])
    model.to(pack.device)
    for size in pack.pick((0, 32), (0,)):

        def evaluate(size: int = size) -> Evaluation:
            with make_autocast(pack.device.type, "auto"):
                return evaluate_clips(model, processor, rows, batch_size=size, normaliser="basic")

        seconds, result = pack.time(evaluate)
        batches = f"batches of {size}" if size else "batches filled by seconds"
        name, precision = f"in a run, {hours:.1f} h, {batches}", resolve_precision("auto")
        pack.measure(name, seconds, "s", at_most=limit_s, detail=precision)
        pack.check("every clip is evaluated in a run", result.utterances == len(rows))
