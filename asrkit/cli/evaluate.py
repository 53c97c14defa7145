"""`evaluate`: WER, CER and MER of a model on a dataset."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from asrkit.cli import delivery
from asrkit.cli import options as shared
from asrkit.runs import model_choices, scoring_rules
from asrkit.text.normalisers import add_case
from asrkit.units import format_count


def add_command(commands: shared.Commands) -> None:
    parser = shared.add_parser(commands, "evaluate", run, "WER, CER and MER of a model on a dataset")
    shared.add_json_flag(parser)
    parser.add_argument("data", metavar="DATA")
    parser.add_argument("--model", default="", help="default: the newest finished run, else the starter")
    parser.add_argument(
        "--normaliser", help="applied to both sides (default: that of the model's run, else basic, by language)"
    )
    parser.add_argument("--tiers", metavar="NAMES", default="", help="of annotated recordings, as the setting `tiers`")
    shared.add_hint_flags(parser)


def run(options: argparse.Namespace) -> int:
    from asrkit.data import confined
    from asrkit.transcription import evaluation
    from asrkit.transcription.model_cache import get_transcriber

    store = shared.open_store(options)
    source = confined.load(options.data, tiers=options.tiers, on_progress=shared.print_progress)
    if assumed := sum(bool(row.marks) and not row.fault for row in source.unseen):
        print(f"Read on assumptions, which `asrkit audit` lists: {format_count(assumed, 'clip')}.", file=sys.stderr)
    name = options.model or model_choices.find_default_model(store)
    model = get_transcriber(name, store, shared.print_progress)
    scoring = scoring_rules.choose(options.normaliser, name, store, (row.text for row in source.unseen))
    hints = shared.load_hints(options)
    preferred = hints.find_common_words(model)
    report = evaluation.evaluate(model, source.unseen, scoring.rules, decoder=hints.build_decoder(model))
    shared.note_common_words(preferred)
    if not options.normaliser and scoring.rules != "basic":
        print(f"The normaliser is {scoring.rules}; --normaliser basic applies another.", file=sys.stderr)
    if scoring.language and options.normaliser:
        print(
            f"The texts have İ or ı; --normaliser {add_case(options.normaliser, scoring.language)} lowers their "
            "capitals as their language does.",
            file=sys.stderr,
        )
    metrics = report.summary()
    if options.json:
        named: dict[str, Any] = {} if scoring.rules == "basic" else {"normaliser": scoring.rules}
        named |= {"common_words": preferred} if preferred else {}
        return int(not delivery.print_result(shared.format_json(metrics | named), "evaluation.json"))
    low, high = report.intervals["wer"]
    if report.unreadable:
        print(
            f"Not counted, because unreadable: {format_count(len(report.unreadable), 'clip')}; one of them: "
            f"{report.unreadable[0]}",
            file=sys.stderr,
        )
    clips = format_count(metrics["utterances"], "clip")
    is_printed = delivery.print_result(
        f"WER {metrics['wer']:.2%} (95 % interval {low:.2%} to {high:.2%})  CER {metrics['cer']:.2%}  "
        f"MER {metrics['mer']:.2%}  ({clips}, {metrics['rtfx']:.0f} x real time)\n",
        "evaluation.txt",
    )
    return int(not is_printed)
