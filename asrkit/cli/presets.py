"""`presets`: list the shipped presets."""

from __future__ import annotations

import argparse
import dataclasses

from asrkit import config as configs
from asrkit.cli import options as shared


def add_command(commands: shared.Commands) -> None:
    shared.add_json_flag(shared.add_parser(commands, "presets", run, "list the shipped presets"))


def run(options: argparse.Namespace) -> None:
    presets = [configs.load_preset(name) for name in configs.list_presets()]
    if options.json:
        return shared.print_json([dataclasses.asdict(preset) for preset in presets])
    for preset in presets:
        print(f"{preset.name}: {preset.summary}")
