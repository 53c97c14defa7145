"""Findings that the worker reports while it trains: each kind once per run, resumes included."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import torch

from asrkit.data.manifest import Utterance
from asrkit.runs import diagnosis, events, summary
from asrkit.runs.run import Run
from asrkit.units import format_list

logger = logging.getLogger(__name__)

MAX_NAMED_CLIPS = 8
"""Maximum number of clips that are named for a batch with a non-finite loss."""


class FindingReporter:
    """Emits and logs findings, each code once.

    emit: appends an event of a kind to the run. codes: reported already, before the run was resumed.
    """

    def __init__(self, run: Run, emit: Callable[..., None], codes: Iterable[str] = ()) -> None:
        self._run, self._emit, self._codes = run, emit, set(codes)

    def has_reported(self, code: str) -> bool:
        return code in self._codes

    def report(self, code: str, cause: str, remedy: str, **data: Any) -> bool:
        """Emit a finding, with further fields of its event; return whether its code is new."""
        if code in self._codes:
            return False
        self._codes.add(code)
        self._emit(events.FINDING, code=code, cause=cause, remedy=remedy, **data)
        logger.warning("%s: %s %s", code, cause, remedy)
        return True

    def report_split(self, num_parts: int) -> None:
        """Report that a batch did not fit into memory; after the first time, as a phase."""
        text = (
            f"A batch did not fit into memory; each is computed in {num_parts} parts from now on, with the same result."
        )
        is_new = self.report(
            "batch-split",
            text,
            "To train faster, lower the batch size and raise the gradient accumulation by the same factor.",
            parts=num_parts,
        )
        if not is_new:
            self._emit(events.PHASE, phase="training", text=text, parts=num_parts)
            logger.warning(text)

    def diagnose(self, non_finite_evidence: str = "", is_over: bool = False) -> None:
        """Report what the history of the run shows.

        non_finite_evidence: a sentence for a `non-finite` finding. is_over: whether training has ended.
        """
        history = replace(summary.load_history(self._run), is_over=is_over)
        for finding in diagnosis.diagnose(history):
            evidence = non_finite_evidence if finding.code == "non-finite" else ""
            self.report(finding.code, finding.cause + evidence, finding.remedy)


def describe_clips_without_loss(losses: Iterable[tuple[torch.Tensor, list[int]]], rows: Sequence[Utterance]) -> str:
    """Return a sentence, with a space before it, that names the clips of the first batch with a non-finite loss.

    losses: of each batch, with the indices of its clips in `rows`. "" if all are finite.
    """
    clips = next((clips for loss, clips in losses if not torch.isfinite(loss).all()), [])
    return f" It began with a batch of {_name_clips(clips, rows)}." if clips else ""


def find_infeasible_clips(batches: Iterable[tuple[torch.Tensor, list[int]]]) -> list[int]:
    """Return the clips whose labels need more frames than they have, of batches of (whether so, (clips,); clips)."""
    return [clip for flags, clips in batches for clip, flag in zip(clips, flags.tolist(), strict=True) if flag]


def report_infinite_losses(clips: Sequence[int], rows: Sequence[Utterance], findings: FindingReporter) -> None:
    """Report clips whose CTC loss is infinite; `ctc_zero_infinity` makes it 0, so nothing else would show it."""
    if clips:
        named = list(dict.fromkeys(clips))
        findings.report(
            "infinite-loss",
            f"The text of {_name_clips(named, rows)} needs more frames than the model makes of the audio: the CTC loss "
            "is infinite and was counted as 0, so nothing is learned from it.",
            "Leave these clips out or correct their texts; a base model with shorter frames, or no adapter behind the "
            "encoder, can learn faster speech.",
            clips=len(named),
        )


def _name_clips(clips: Sequence[int], rows: Sequence[Utterance]) -> str:
    return format_list([rows[clip].id for clip in clips], MAX_NAMED_CLIPS)
