"""`audit`, `evaluate`, `transcribe`, `diagnose`, `presets`: one answer each."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import sys
import time
from pathlib import Path
from typing import Any

from asrkit import config as configs
from asrkit.audit import selection
from asrkit.cli import options as given
from asrkit.errors import AudioError
from asrkit.models import resolution
from asrkit.runs import diagnosis, model_choices, preparation, summary
from asrkit.runs.report import published
from asrkit.runs.store import RunStore


def presets(options: argparse.Namespace) -> None:
    shipped = [configs.load_preset(name) for name in configs.list_presets()]
    if options.json:
        return given.dump([dataclasses.asdict(preset) for preset in shipped])
    for preset in shipped:
        print(f"{preset.name}: {preset.summary}")


def audit(options: argparse.Namespace) -> int:
    from asrkit.audit import inspection
    from asrkit.data import sources

    store = RunStore(options.runs_dir)
    asked = {"preset": "", "train": options.data, "max_duration_s": 30}
    config = configs.TrainConfig().replace(asked | given.changes_of(options))
    if options.model:
        limits = preparation.make_limits(
            config,
            resolution.fetch(options.model, store, language=config.adapter_language, on_progress=_print_progress),
        )
    else:
        limits = inspection.Limits(
            config.text_rules, min_duration_s=config.min_duration_s, max_duration_s=config.max_duration_s
        )
    source = sources.load(
        options.data,
        text_column=config.text_column or None,
        audio_column=config.audio_column or None,
        speaker_column=config.speaker_column or None,
        on_progress=_print_progress,
    )
    score = None
    if options.align:
        from asrkit.transcription.scoring import scorer

        score = scorer(options.model or model_choices.find_default_model(store), store)
    found = inspection.inspect(
        source,
        limits,
        score=score,
        keeps_vocabulary=limits.vocabulary is not None,
        hold_out=functools.partial(preparation.split_rows, config),
        on_progress=_progress_line(),
    )
    path = selection.write(store.data_dir, options.data, found, options.leave_out) if options.leave_out else None
    if options.json:
        given.dump(found.audit.to_dict())
    else:
        _print_audit(source, found.audit)
    if path:
        print(
            f"The clips without {', '.join(options.leave_out)}: {path}", file=sys.stderr if options.json else sys.stdout
        )
    return 1 if found.audit.verdict == "not-ready" else 0


def _progress_line() -> Any:
    """Says on a terminal how far it is; nothing where nobody looks."""
    last = [0.0]

    def tell(what: str, done: int, of: int) -> None:
        if sys.stderr.isatty() and (done == of or time.monotonic() - last[0] > given.POLL_S):
            last[0] = time.monotonic()
            print(f"\r{what}: {done} of {of}", end="\n" if done == of else "", file=sys.stderr, flush=True)

    return tell


def _print_audit(source: Any, told: Any) -> None:
    print(f"{source.description}; recognised as: {source.layout}")
    print(f"{told.verdict}: {told.utterances} clips, {told.hours:.2f} hours, {told.dropped} left out")
    for finding in told.findings:
        print(f"{finding.code} ({finding.count}): {finding.cause} {finding.remedy} {'; '.join(finding.examples)}")


def diagnose(options: argparse.Namespace) -> None:
    name, store = options.run, RunStore(options.runs_dir)
    history = published.load_card(name) if Path(name).is_file() else summary.load_history(store.get(name))
    found = diagnosis.diagnose(history)
    if options.json:
        return given.dump([finding.to_run_dict() for finding in found])
    for finding in found:
        print(f"{finding.code} (epoch {finding.epoch:g}, step {finding.step}): {finding.cause} {finding.remedy}")
    if not found:
        print("Nothing looks wrong.")


def evaluate(options: argparse.Namespace) -> None:
    from asrkit.data import sources
    from asrkit.transcription import evaluation, transcriber

    store = RunStore(options.runs_dir)
    source = sources.load(options.data, on_progress=_print_progress)
    name = options.model or model_choices.find_default_model(store)
    model = transcriber.get(name, store, _print_progress)
    report = evaluation.evaluate(
        model, source.unseen, options.normaliser, decoder=given.expected(options).build_decoder(model)
    )
    figures = report.summary()
    if options.json:
        return given.dump(figures)
    low, high = report.intervals["wer"]
    if report.unreadable:
        print(
            f"{len(report.unreadable)} clips could not be read and are in no figure; one of them: "
            f"{report.unreadable[0]}",
            file=sys.stderr,
        )
    print(
        f"WER {figures['wer']:.2%} (95 % interval {low:.2%} to {high:.2%})  CER {figures['cer']:.2%}  "
        f"MER {figures['mer']:.2%}  ({figures['utterances']} clips, {figures['rtfx']:.0f} x real time)"
    )


def transcribe(options: argparse.Namespace) -> int:
    from asrkit.transcription import files, subtitles

    store = RunStore(options.runs_dir)

    def listener() -> Any:
        # Loaded only now: a file that cannot be read is said at once, not after the seconds that torch takes.
        from asrkit.transcription import transcriber

        name = options.model or model_choices.find_default_model(store)
        return transcriber.get(name, store, _print_progress)

    expect = given.expected(options)
    told, failed, stems = [], False, files.stems(options.files)
    for name, stem in zip(options.files, stems, strict=True):
        try:
            transcript = files.transcribe_file(name, listener, expect=expect, progress=_progress_of(name))
        except AudioError as error:
            print(f"asrkit: {error if name in str(error) else f'{name}: {error}'}", file=sys.stderr)
            failed = True
            continue
        if doubt := files.doubt(transcript):
            print(f"asrkit: {name}: {doubt}", file=sys.stderr)
        text = subtitles.FORMATS[options.format](transcript)
        if options.output:
            files.write_text(Path(options.output) / f"{stem}.{options.format}", text)
        elif options.format == "json":
            told.append({"file": name, **transcript.to_dict()})
        elif options.format == "txt" and len(options.files) > 1:
            print(f"{name}: {transcript.text}", flush=True)
        else:
            print(text, end="", flush=True)
    if options.format == "json" and not options.output:
        given.dump(told)
    return int(failed)


def _print_progress(message: str, done: int, total: int) -> None:
    """Print on a terminal how far a fetch is."""
    if sys.stderr.isatty():
        print(f"\r{message}", end="\n" if done >= total else "", file=sys.stderr, flush=True)


def _progress_of(name: str) -> Any:
    """Tells on a terminal how far a long file is."""

    def tell(told: Any) -> None:
        if sys.stderr.isatty() and told.duration_s > 60:
            end = "\n" if told.heard_s >= told.duration_s else ""
            print(f"\r{name}: {told.heard_s / told.duration_s:.0%}", end=end, file=sys.stderr, flush=True)

    return tell
