"""`audit`: find what is wrong with a dataset."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from asrkit import config as configs
from asrkit.audit import selection
from asrkit.cli import options as shared
from asrkit.languages import guess_language
from asrkit.models import resolution
from asrkit.runs import model_choices
from asrkit.runs.advice import Advice, advise, find_machine
from asrkit.units import format_count

if TYPE_CHECKING:
    from asrkit.audit.clips import Audit
    from asrkit.audit.inspection import Inspection
    from asrkit.data.sources import Source
    from asrkit.runs.store import RunStore


def add_command(commands: shared.Commands) -> None:
    parser = shared.add_parser(commands, "audit", run, "find what is wrong with a dataset")
    shared.add_json_flag(parser)
    parser.add_argument("data", metavar="DATA")
    parser.add_argument("--model", default="", help="check against this base model's vocabulary")
    parser.add_argument("--normaliser", help="same as --set normaliser=NAME (default: basic)")
    parser.add_argument(
        "--align",
        action="store_true",
        help="check transcripts by forced alignment with that model or the newest; the worst come first",
    )
    parser.add_argument(
        "--leave-out",
        metavar="CODE",
        nargs="+",
        help="write the dataset without the clips of these findings, and print its path",
        default=[],
    )
    parser.add_argument(
        "--set",
        metavar="FIELD=VALUE",
        action="append",
        default=[],
        dest="changes",
        help="a setting of the run that the data is for, such as max_duration_s=20",
    )


def run(options: argparse.Namespace) -> int:
    from asrkit.data import confined
    from asrkit.runs import dataset_audit

    store = shared.open_store(options)
    defaults = {"preset": "", "train": options.data, "max_duration_s": 30}
    normaliser = {"normaliser": options.normaliser} if options.normaliser else {}
    changes = shared.spell_numbers_of_language(shared.parse_changes(options.changes))
    config = configs.TrainConfig().replace(defaults | normaliser | changes)
    limits = dataset_audit.make_limits(config, _fetch_model(options.model, config, store))
    source = confined.load(
        options.data,
        text_column=config.text_column or None,
        audio_column=config.audio_column or None,
        speaker_column=config.speaker_column or None,
        tiers=config.tiers,
        on_progress=shared.print_progress,
    )
    score = None
    if options.align:
        from asrkit.transcription.scoring import make_scorer

        score = make_scorer(options.model or model_choices.find_default_model(store), store)
    result = dataset_audit.inspect_dataset(
        source, limits, config, store, score, on_sample=_print_sample, on_progress=shared.make_counter()
    )
    language = config.language or guess_language(clip.text for clip in result.clips)
    advised = advise(result.audit.hours, language, find_machine())
    path = selection.write(store.data_dir, options.data, result, options.leave_out) if options.leave_out else None
    if options.json:
        tiers = {"tiers": [asdict(tier) for tier in source.tiers]} if source.tiers else {}
        shared.print_json(result.audit.to_dict() | {"advice": advised.to_dict()} | tiers)
    else:
        _print_audit(source, result.audit, advised)
    if path:
        print(
            f"The clips without {', '.join(options.leave_out)}: {path}", file=sys.stderr if options.json else sys.stdout
        )
    return 1 if result.audit.verdict == "not-ready" else 0


def _print_sample(sample: Inspection) -> None:
    """Show on stderr what is wrong with clips drawn over the whole dataset, before the others are decoded."""
    audit = sample.audit
    drawn = f"of {len(sample.clips)} clips drawn from {sample.num_all:,}, {audit.dropped} cannot be used"
    findings = "; ".join(f"{finding.code} ({finding.count})" for finding in audit.findings)
    print(f"First verdict: {drawn}{f'; {findings}' if findings else ''}.", file=sys.stderr, flush=True)


def _fetch_model(name: str, config: configs.TrainConfig, store: RunStore) -> Path | None:
    if not name:
        return None
    return resolution.fetch(name, store, language=config.adapter_language, on_progress=shared.print_progress)


def _print_audit(source: Source, audit: Audit, advised: Advice) -> None:
    print(f"{source.description}; recognised as: {source.layout}")
    for tier in source.tiers:
        who = f" ({', '.join(filter(None, (tier.type, tier.speaker)))})" if tier.type or tier.speaker else ""
        print(
            f"tier {tier.name}{who}: {'read' if tier.is_chosen else 'not read'}, {tier.num_texts} of {tier.num_spans} "
            f"annotations have a text, {tier.duration_s / 60:.1f} minutes: {'; '.join(tier.texts)}"
        )
    print(
        f"{audit.verdict}: {format_count(audit.utterances, 'clip')}, {audit.hours:.2f} hours, {audit.dropped} left out"
    )
    for finding in audit.findings:
        fix = "".join(f" (--set {name}={value})" for name, value in finding.settings.items())
        print(f"{finding.code} ({finding.count}): {finding.cause} {finding.remedy}{fix} {'; '.join(finding.examples)}")
    print(f"Advice: {advised.sentence}")
    if codes := [finding.code for finding in audit.findings if finding.is_assumption]:
        print(f"To accept these assumptions, train with --yes: {', '.join(codes)}")
