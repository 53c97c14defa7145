"""What has to be decided before a run starts: clips that cannot be used, and what was assumed to read the data."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from asrkit.audit.findings import Finding
from asrkit.config import TrainConfig
from asrkit.errors import UndecidedError


def check_decisions(bad_clips: list[Finding], assumptions: list[Finding], config: TrainConfig) -> None:
    """Raise UndecidedError, with every finding and its first clip on a line, if there are any to be decided on."""
    undecided = {
        "drop_bad_clips": [] if config.drop_bad_clips else bad_clips,
        "accept_assumptions": [] if config.accept_assumptions else assumptions,
    }
    ways = {
        "drop_bad_clips": "Or switch on “Leave out bad clips” (drop_bad_clips).",
        "accept_assumptions": "Training does not start on such assumptions unless you accept them: use “Accept "
        "assumptions” (accept_assumptions; --yes on the command line).",
    }
    lines = [
        "\n".join(_describe_finding(finding, config) for finding in _merge_by_code(findings)) + f" {ways[name]}"
        for name, findings in undecided.items()
        if findings
    ]
    if lines:
        raise UndecidedError("\n".join(lines), [name for name, findings in undecided.items() if findings])


def _merge_by_code(findings: list[Finding]) -> list[Finding]:
    """Return one finding for each code, with the clips of both splits counted."""
    counts = Counter[str]()
    for finding in findings:
        counts[finding.code] += finding.count
    first = {finding.code: finding for finding in reversed(findings)}
    return [replace(first[code], count=count) for code, count in counts.items()]


def _describe_finding(finding: Finding, config: TrainConfig) -> str:
    where = finding.examples[0] if finding.examples else config.train
    others = f" ({finding.count} clips in all)" if finding.count > 1 else ""
    return f"{where}{others}: {finding.cause} {finding.remedy}"
