"""`python -m asrkit ...`: thin commands over the same functions as the tabs.

Exit code 0, or 1 with one clear line on stderr (2 for a command line that cannot be read, as argparse does; 130 after
Ctrl-C).
With `--json`, one JSON document on stdout and nothing else there.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from asrkit import config as configs
from asrkit.errors import AsrkitError, AudioError, ConfigError, RunError
from asrkit.runs import diagnosis, events, export, models, preparation, published, selection, supervisor, view
from asrkit.runs.store import STOP, Run, RunStore, readable_disk_errors

POLL_S = 0.3


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        return options.command(options) or 0
    except AsrkitError as error:
        print(f"asrkit: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("asrkit: interrupted", file=sys.stderr)
        return 130  # as shells have it: 128 and the number of SIGINT
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m asrkit", description="Fine-tune CTC speech models and use them.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    train = _command(commands, "train", _train, "fine-tune in the foreground; Ctrl-C stops and saves")
    _settings(train)

    runs = commands.add_parser("runs", help="list, show, start, stop and otherwise manage runs")
    actions = runs.add_subparsers(required=True, metavar="ACTION")
    _json(_command(actions, "list", _runs_list, "all runs, newest first"))
    _json(_with_id(_command(actions, "show", _runs_show, "one run")))
    _json(_settings(_command(actions, "start", _runs_start, "start a run in the background")))
    for name, action, words in (("stop", supervisor.stop, "stop and save; remove a waiting run from the queue"),
                                ("cancel", supervisor.cancel, "stop and keep only the history"),
                                ("save", supervisor.save_now, "write a checkpoint after this step"),
                                ("evaluate", supervisor.evaluate_now, "evaluate after this step"),
                                ("next", _put_first, "let a waiting run be the next")):
        _json(_with_id(_command(actions, name, _flag(action), words)))
    _json(_with_id(_command(actions, "resume", _runs_resume, "go on with a stopped, failed or crashed run")))
    _with_id(_command(actions, "delete", _runs_delete, "remove a run that has ended"))
    archive = _with_id(_command(actions, "archive", _runs_archive, "pack a run into one zip"))
    archive.add_argument("file", metavar="FILE", nargs="?", type=Path, help="default: ID.zip here")

    audit = _json(_command(commands, "audit", _audit, "say what is wrong with a dataset"))
    audit.add_argument("data", metavar="DATA")
    audit.add_argument("--model", default="", help="check against this base model's vocabulary")
    audit.add_argument("--normaliser", help="as --set normaliser=NAME; default: basic")
    audit.add_argument("--align", action="store_true", help="hold each text against its audio, with that model or the "
                       "newest; the worst come first")
    audit.add_argument("--leave-out", metavar="CODE", nargs="+", help="write the dataset without the clips of these "
                       "findings, and print where", default=[])
    audit.add_argument("--set", metavar="FIELD=VALUE", action="append", default=[], dest="changes",
                       help="a setting of the run that the data is for, such as max_duration_s=20")

    evaluate = _json(_command(commands, "evaluate", _evaluate, "WER, CER and MER of a model on a dataset"))
    evaluate.add_argument("data", metavar="DATA")
    evaluate.add_argument("--model", default="")
    evaluate.add_argument("--normaliser", default="basic")
    _expect(evaluate)

    transcribe = _command(commands, "transcribe", _transcribe, "audio files to text")
    transcribe.add_argument("files", nargs="+", metavar="FILE")
    transcribe.add_argument("--model", default="")
    transcribe.add_argument("--format", choices=("txt", "json", "srt", "vtt", "tsv"), default="txt")
    _expect(transcribe)
    transcribe.add_argument("--output", metavar="DIR", help="write one file a recording there instead of to stdout")

    diagnose = _json(_command(commands, "diagnose", _diagnose, "what is wrong with a run or a published results table"))
    diagnose.add_argument("run", metavar="RUN|CARD.md")

    _json(_command(commands, "presets", _presets, "the shipped recipes"))
    return parser


def _command(commands: Any, name: str, function: Any, help: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=help, description=help)
    parser.set_defaults(command=function)
    parser.add_argument("--runs-dir", default=None, help="default: $ASRKIT_RUNS, else runs/")
    return parser


def _json(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    return parser


def _expect(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--expect", metavar="FILE", help="text, a sentence a line, whose words are expected; "
                                                         "no others are heard (needs flashlight-text)")
    parser.add_argument("--hot-words", metavar="WORDS", default="", help="names and rare words, apart by commas")


def _expected(options: argparse.Namespace) -> Any:
    from asrkit.transcription.expected import Expected

    try:
        text = Path(options.expect).read_text(encoding="utf-8") if options.expect else ""
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--expect {options.expect}: the text cannot be read ({error}).") from error
    return Expected(text, options.hot_words)


def _with_id(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("run_id", metavar="ID")
    return parser


def _settings(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("--preset", help=", ".join(configs.preset_names()))
    parser.add_argument("--config", metavar="FILE", help="JSON file of settings, as a run's config.json")
    parser.add_argument("--train", metavar="DATA")
    parser.add_argument("--eval", metavar="DATA")
    parser.add_argument("--model", metavar="BASE")
    parser.add_argument("--processes", metavar="N", help="worker processes under torchrun, one for each GPU")
    parser.add_argument("--set", metavar="FIELD=VALUE", action="append", default=[], dest="changes")
    parser.add_argument("--run-id", metavar="ID")
    return parser


def settings_of(options: argparse.Namespace) -> configs.TrainConfig:
    """The TrainConfig that the flags describe. ConfigError if they do not fit together."""
    if options.preset and options.config:
        raise ConfigError("Give --preset or --config, not both.")
    config = configs.from_file(options.config) if options.config else configs.preset(options.preset or "demo").config
    values: dict[str, Any] = {name: getattr(options, name) for name in ("train", "eval", "model", "processes")
                              if getattr(options, name) is not None}
    return config.changed(values | _set(options))


def _set(options: argparse.Namespace) -> dict[str, Any]:
    """What --set and --normaliser change."""
    values: dict[str, Any] = {}
    if getattr(options, "normaliser", None):
        values["normaliser"] = options.normaliser
    for change in options.changes:
        name, equals, value = change.partition("=")
        if not equals:
            raise ConfigError(f"--set {change}: write FIELD=VALUE, such as --set learning_rate=1e-4.")
        values[name.strip()] = value
    return values


def _train(options: argparse.Namespace) -> int:
    store = RunStore(options.runs_dir)
    run = supervisor.start(store, settings_of(options), options.run_id)
    print(f"Run {run.id} in {run.path}", flush=True)
    if before := supervisor.ahead(store, run):
        print(f"It waits for {', '.join(before)} to finish.", flush=True)
    return _follow(store, run)


def _follow(store: RunStore, run: Run) -> int:
    """Print what the run tells until it ends. The first Ctrl-C asks for stop and save; another leaves it to itself."""
    seen, offset = view.RunView(run.id), 0
    while True:
        try:
            store.get(run.id)  # it may have been deleted while it waited
            over = (now := supervisor.status(run)) not in supervisor.ACTIVE and now != supervisor.QUEUED
            if now == supervisor.QUEUED:
                supervisor.advance(store)
            fresh, offset = run.events(offset)
            for told in fresh:
                seen.apply(told)
                _print(told, seen)
            if over:
                break
            time.sleep(POLL_S)
        except KeyboardInterrupt:
            if run.flag(STOP):
                print(f"\nRun {run.id} goes on saving in the background.", flush=True)
                return 130
            supervisor.stop(run)
            print("\nStopping and saving; press Ctrl-C again to leave that to the background.", flush=True)
    status = supervisor.status(run)
    if status in (supervisor.FINISHED, supervisor.STOPPED):
        return 0
    raise RunError(_why(run, seen, status))


def _why(run: Run, seen: view.RunView, status: str) -> str:
    if seen.error:
        return f"{seen.error['message']} {seen.error.get('remedy') or ''}".strip()
    return (f"Run {run.id} {status}: its worker ended without a word; see {run.log_path}, "
            f"then `python -m asrkit runs resume {run.id}`.")


def _print(told: events.Event, seen: view.RunView) -> None:
    data = told.data
    if told.kind == events.PHASE:
        print(data.get("text", data.get("phase")), flush=True)
    elif told.kind == events.TRAIN:
        eta = seen.eta_s(told.time)
        left = f", about {eta:.0f} s left" if eta is not None else ""
        print(f"step {told.step} of {seen.total_steps}  loss {_number(data['loss'])}{left}", flush=True)
    elif told.kind == events.EVAL:
        print(f"evaluation at step {told.step}: loss {_number(data['loss'])}  WER {data['wer']:.2%}  "
              f"CER {data['cer']:.2%}{_greedy(data)}", flush=True)
    elif told.kind in (events.FINISHED, events.STOPPED):
        print(data["message"], flush=True)


def _greedy(data: dict[str, Any]) -> str:
    """What a word list is worth, where one was used."""
    return f"  (WER {data['greedy_wer']:.2%} without the word list)" if data.get("greedy_wer") is not None else ""


def _number(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.4f}"


def _runs_list(options: argparse.Namespace) -> None:
    rows = [view.summary(run) for run in RunStore(options.runs_dir).all()]
    if options.json:
        return _dump(rows)
    for row in rows:
        best = f"  best WER {row['best']['wer']:.2%}" if row["best"] else ""
        print(f"{row['run_id']}  {row['status']}  step {row['step']} of {row['total_steps'] or '?'}{best}")


def _runs_show(options: argparse.Namespace) -> None:
    _show(RunStore(options.runs_dir).get(options.run_id), options.json)


def _show(run: Run, as_json: bool) -> None:
    row = view.summary(run)
    if as_json:
        return _dump(row)
    for name, value in row.items():
        print(f"{name}: {value}")


def _runs_start(options: argparse.Namespace) -> None:
    _show(supervisor.start(RunStore(options.runs_dir), settings_of(options), options.run_id), options.json)


def _runs_resume(options: argparse.Namespace) -> None:
    store = RunStore(options.runs_dir)
    _show(supervisor.resume(store, store.get(options.run_id)), options.json)


def _runs_delete(options: argparse.Namespace) -> None:
    store = RunStore(options.runs_dir)
    supervisor.delete(store, store.get(options.run_id))


def _runs_archive(options: argparse.Namespace) -> None:
    run = RunStore(options.runs_dir).get(options.run_id)
    path = options.file or Path(f"{run.id}.zip")
    with readable_disk_errors(path):
        export.archive_to(run, path)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


def _flag(action: Any) -> Any:
    def command(options: argparse.Namespace) -> None:
        run = RunStore(options.runs_dir).get(options.run_id)
        action(run)
        _show(run, options.json)

    return command


def _put_first(run: Run) -> None:
    supervisor.put_first(RunStore(run.path.parent), run)


def _presets(options: argparse.Namespace) -> None:
    shipped = [configs.preset(name) for name in configs.preset_names()]
    if options.json:
        return _dump([dataclasses.asdict(preset) for preset in shipped])
    for preset in shipped:
        print(f"{preset.name}: {preset.summary}")


def _audit(options: argparse.Namespace) -> int:
    from asrkit.speech import inspection, sources

    store = RunStore(options.runs_dir)
    config = configs.TrainConfig().changed({"preset": "", "train": options.data, "max_duration_s": 30} | _set(options))
    if options.model:
        limits = preparation.limits_of(config, Path(models.resolve(options.model, store)))
    else:
        limits = inspection.Limits(config.text_rules, minimum_s=config.min_duration_s, maximum_s=config.max_duration_s)
    source = sources.load(options.data, text_column=config.text_column or None,
                          audio_column=config.audio_column or None, speaker_column=config.speaker_column or None)
    score = None
    if options.align:
        from asrkit.transcription.scoring import scorer

        score = scorer(options.model or models.default(store), store)
    found = inspection.inspect(source, limits, score=score, keeps_vocabulary=limits.vocabulary is not None,
                               progress=_progress_line())
    path = selection.write(store.data_dir, options.data, found, options.leave_out) if options.leave_out else None
    if options.json:
        _dump(found.audit.to_dict())
    else:
        _print_audit(source, found.audit)
    if path:
        print(f"The clips without {', '.join(options.leave_out)}: {path}",
              file=sys.stderr if options.json else sys.stdout)
    return 1 if found.audit.verdict == "not-ready" else 0


def _progress_line() -> Any:
    """Says on a terminal how far it is; nothing where nobody looks."""
    last = [0.0]

    def tell(what: str, done: int, of: int) -> None:
        if sys.stderr.isatty() and (done == of or time.monotonic() - last[0] > POLL_S):
            last[0] = time.monotonic()
            print(f"\r{what}: {done} of {of}", end="\n" if done == of else "", file=sys.stderr, flush=True)

    return tell


def _print_audit(source: Any, told: Any) -> None:
    print(f"{source.description}; recognised as: {source.layout}")
    print(f"{told.verdict}: {told.utterances} clips, {told.hours:.2f} hours, {told.dropped} left out")
    for finding in told.findings:
        print(f"{finding.code} ({finding.count}): {finding.effect} {finding.fix} {'; '.join(finding.examples)}")


def _diagnose(options: argparse.Namespace) -> None:
    name, store = options.run, RunStore(options.runs_dir)
    history = published.read_card(name) if Path(name).is_file() else view.history(store.get(name))
    found = diagnosis.diagnose(history)
    if options.json:
        return _dump([finding.to_dict() for finding in found])
    for finding in found:
        print(f"{finding.code} (epoch {finding.epoch:g}, step {finding.step}): {finding.cause} {finding.remedy}")
    if not found:
        print("Nothing looks wrong.")


def _evaluate(options: argparse.Namespace) -> None:
    from asrkit.speech import sources
    from asrkit.transcription import evaluation, transcriber

    store = RunStore(options.runs_dir)
    source = sources.load(options.data)
    model = transcriber.get(options.model or models.default(store), store)
    report = evaluation.evaluate(model, source.eval or source.train, options.normaliser,
                                 decoder=_expected(options).decoder(model))
    figures = report.summary()
    if options.json:
        return _dump(figures)
    low, high = report.intervals["wer"]
    print(f"WER {figures['wer']:.2%} (95 % interval {low:.2%} to {high:.2%})  CER {figures['cer']:.2%}  "
          f"MER {figures['mer']:.2%}  ({figures['utterances']} clips, {figures['rtfx']:.0f} x real time)")


def _transcribe(options: argparse.Namespace) -> int:
    from asrkit.transcription import files, subtitles
    from asrkit.transcription.transcript import describe

    store = RunStore(options.runs_dir)

    def listener() -> Any:
        # Loaded only now: a file that cannot be read is said at once, not after the seconds that torch takes.
        from asrkit.transcription import transcriber

        return transcriber.get(options.model or models.default(store), store)

    expect = _expected(options)
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
            told.append({"file": name, **describe(transcript)})
        elif options.format == "txt" and len(options.files) > 1:
            print(f"{name}: {transcript.text}", flush=True)
        else:
            print(text, end="", flush=True)
    if options.format == "json" and not options.output:
        _dump(told)
    return int(failed)


def _progress_of(name: str) -> Any:
    """Tells on a terminal how far a long file is."""
    def tell(told: Any) -> None:
        if sys.stderr.isatty() and told.duration_s > 60:
            end = "\n" if told.heard_s >= told.duration_s else ""
            print(f"\r{name}: {told.heard_s / told.duration_s:.0%}", end=end, file=sys.stderr, flush=True)

    return tell


def _dump(value: Any) -> None:
    print(json.dumps(value, ensure_ascii=False, indent=2))
