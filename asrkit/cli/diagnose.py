"""`diagnose`: find what is going wrong with a run, or with a published results table."""

from __future__ import annotations

import argparse
from pathlib import Path

from asrkit.cli import options as shared
from asrkit.runs import diagnosis, summary
from asrkit.runs.report import published


def add_command(commands: shared.Commands) -> None:
    parser = shared.add_parser(commands, "diagnose", run, "find what is wrong with a run or a published results table")
    shared.add_json_flag(parser)
    parser.add_argument("run", metavar="RUN|CARD.md")


def run(options: argparse.Namespace) -> None:
    name, store = options.run, shared.open_store(options)
    history = published.load_card(name) if Path(name).is_file() else summary.load_history(store.get(name))
    findings = diagnosis.diagnose(history)
    if options.json:
        return shared.print_json([finding.to_run_dict() for finding in findings])
    for finding in findings:
        print(f"{finding.code} (epoch {finding.epoch:g}, step {finding.step}): {finding.cause} {finding.remedy}")
    if not findings:
        print("No problems found.")
