"""Findings: problems of a dataset or of a run, each with its cause and its remedy.

To add a finding, give its code an entry in `explanations.json` and a title in the page's texts (data.finding.CODE). If
what is learned from is not plainly what the data says, the entry has "changes": "audio" or "text". The rest follows
from that: with such a finding the verdict is never "ready" (`derive_verdict`), and a run starts only if they are
accepted (`accept_assumptions`, --yes), unless its kind is "drop", of which the clips are left out. A reader that sees
the problem in a row adds a `Mark` to the utterance, whose code is one of `manifest.MarkCode`; `clips.build_audit` makes
the finding of all marks of one code.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

MAX_EXAMPLES = 5

Kind = Literal["drop", "suspect", "advice"]
"""drop: the clips cannot be used and are left out. suspect: they can be used, and can be left out. advice: there is
nothing to leave out."""

Change = Literal["audio", "text"]
"""What of the data a finding changes: which audio, or which text, is learned from."""

Verdict = Literal["ready", "ready-with-drops", "not-ready"]


@dataclass(frozen=True)
class Finding:
    """A problem of a dataset, found by the audit, or of a run, found by its diagnosis.

    code: kebab-case. cause: what was observed and why it matters. remedy: what to change.

    step, epoch: of a run, where the problem was first seen. count, examples: of a dataset, how many clips are concerned
    and up to `MAX_EXAMPLES` of them, such as "metadata.csv row 3: clip.flac (0.05 s)". clips: their indices in the
    audited dataset, the worst first. settings: the configuration changes that the remedy consists of, if any. changes:
    what is learned from differs from what the data plainly says, in its audio or its text; None if it does not.
    """

    code: str
    cause: str
    remedy: str
    step: int = 0
    epoch: float = 0.0
    kind: Kind = "advice"
    count: int = 1
    examples: list[str] = field(default_factory=list)
    clips: tuple[int, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    changes: Change | None = None

    @property
    def is_assumption(self) -> bool:
        """Whether the clips are learned from on an assumption, which has to be accepted before training."""
        return self.changes is not None and self.kind != "drop"

    def to_audit_dict(self) -> dict[str, Any]:
        """Return the finding as `audit --json` prints it. "changes" and "settings" are there only if there are any."""
        changes: dict[str, Any] = {"changes": self.changes} if self.changes else {}
        if self.settings:
            changes["settings"] = self.settings
        return {
            "code": self.code,
            "count": self.count,
            "examples": self.examples,
            "effect": self.cause,
            "fix": self.remedy,
            **changes,
        }

    def to_run_dict(self) -> dict[str, Any]:
        """Return the finding as `diagnose --json` prints it."""
        return {
            "code": self.code,
            "step": self.step,
            "epoch": self.epoch,
            "cause": self.cause,
            "remedy": self.remedy,
        }


class Explanation(NamedTuple):
    """What is said about the findings of one code. The cause may have placeholders, such as {detail}."""

    kind: Kind
    cause: str
    remedy: str
    changes: Change | None = None


EXPLANATIONS: dict[str, Explanation] = {
    code: Explanation(**entry)
    for code, entry in json.loads(Path(__file__).with_name("explanations.json").read_text(encoding="utf-8")).items()
}
"""code -> explanation. Those of kind "drop" come in the order of the checks: a clip is dropped for the first one that
applies."""


def derive_verdict(num_kept: int, num_dropped: int, findings: Sequence[Finding]) -> Verdict:
    """Return the verdict on a dataset.

    "not-ready" if more than half of the clips, or all, are dropped; "ready" only if none is dropped and no finding
    changes which audio or which text is learned from.
    """
    if not num_kept or num_dropped > num_kept:
        return "not-ready"
    return "ready-with-drops" if num_dropped or any(finding.changes for finding in findings) else "ready"


def make_finding(
    code: str,
    clips: Sequence[int],
    examples: Sequence[str],
    *,
    settings: dict[str, Any] | None = None,
    count: int | None = None,
    **values: Any,
) -> Finding:
    """Make a finding from its entry in `EXPLANATIONS`, with `values` for the placeholders of the cause.

    count: number of clips, if it is not that of `clips`.
    """
    explanation = EXPLANATIONS[code]
    return Finding(
        code,
        explanation.cause.format(**values),
        explanation.remedy,
        kind=explanation.kind,
        count=len(clips) if count is None else count,
        examples=list(examples[:MAX_EXAMPLES]),
        clips=tuple(clips),
        settings=settings or {},
        changes=explanation.changes,
    )
