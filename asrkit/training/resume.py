"""The state of a resumed run, read from the events of its earlier processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from asrkit.runs import view
from asrkit.runs.events import Event
from asrkit.runs.run import Run
from asrkit.training.checkpointing import parse_step


@dataclass(frozen=True)
class ResumeState:
    """State of a run before its next step.

    evaluations: `eval` events up to the step. finding_codes: codes of the findings reported up to it.
    num_parts: number of parts in which a batch had to be computed (see MicroBatcher). bad_clips: (split, clip) of those
    that were reported, at whatever step.
    """

    step: int = 0
    evaluations: Sequence[Event] = ()
    finding_codes: frozenset[str] = frozenset()
    num_parts: int = 1
    bad_clips: frozenset[tuple[str, int]] = frozenset()


def read_resume_state(run: Run, checkpoint: Path | None) -> ResumeState:
    """Read the state at `checkpoint`; without one the run starts at step 0 and keeps `num_parts` and `bad_clips`."""
    history = run.events(skim=True)[0]
    num_parts = max((event.data.get("parts", 1) for event in history), default=1)
    bad_clips = frozenset(
        (str(clip["split"]), int(clip["clip"])) for event in history for clip in event.data.get("bad_clips", [])
    )
    if checkpoint is None:
        return ResumeState(num_parts=num_parts, bad_clips=bad_clips)
    run_view, step = view.load_view(run), parse_step(checkpoint)
    return ResumeState(
        step,
        [event for event in run_view.evaluations if (event.step or 0) <= step],
        frozenset(finding["code"] for finding in run_view.findings if (finding.get("step") or 0) <= step),
        num_parts,
        bad_clips,
    )
