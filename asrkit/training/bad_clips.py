"""Clips that turn out bad during a run: left out, counted and reported, until they are too many.

The audit before a run reads headers alone, and files change: a clip may be damaged, hold no audio or numbers that are
none, or be gone. It is left out of its batch, and the batches of the others stay as they are.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from asrkit.data.manifest import Utterance
from asrkit.errors import DataError
from asrkit.runs import events
from asrkit.training import distributed
from asrkit.training.findings import FindingReporter
from asrkit.units import format_count, format_list

logger = logging.getLogger(__name__)

BAD_CLIPS = "bad-clips"
"""The code of the finding."""

OUTSIDE = "clips-outside-limits"
"""That of streamed clips of other lengths than clips of the run may have."""

Split = Literal["train", "eval"]

MAX_SHARE, MIN_BAD = 0.05, 3
"""Share of a split's clips that may be bad; of little data, so many, unless they are half of it."""
MIN_LOST, MAX_LOST_SHARE = 20, 0.5
"""Clips, and their share of those that were read last, that show that a disk or a folder is lost."""
MAX_NAMED = 3
_PURPOSES = {"train": "train on", "eval": "evaluate on"}


class BadClips:
    """The bad clips of a run: each is reported once.

    emit: appends an event of a kind to the run. known: (split, clip) of those that were reported before a resume.
    """

    def __init__(
        self,
        train: Sequence[Utterance],
        held_out: Sequence[Utterance],
        findings: FindingReporter,
        emit: Callable[..., None],
        known: Iterable[tuple[str, int]] = (),
    ) -> None:
        self._rows: dict[Split, Sequence[Utterance]] = {"train": train, "eval": held_out}
        self._findings, self._emit, self._known = findings, emit, set(known)
        self._noted: dict[int, str] = {}
        self._num_read = 0
        self._noted_outside: set[int] = set()
        self._outside: set[int] = set()

    def note(self, batches: Iterable[Mapping[str, Any]]) -> None:
        """Note the bad clips of training batches of this process, until the next `report`."""
        for about in (batch["about"] for batch in batches):
            self._noted |= about["bad"]
            self._noted_outside.update(about.get("outside", ()))
            self._num_read += len(about["clips"]) + len(about["bad"])

    def report(self) -> None:
        """Report what all processes have noted; each has to call this. Raises DataError as `add` does."""
        noted: dict[int, str] = {}
        num_read = 0
        for bad, count, outside in distributed.all_gather((self._noted, self._num_read, self._noted_outside)):
            noted |= bad
            num_read += count
            self._outside |= outside
        if self._outside:
            self._findings.report(
                OUTSIDE,
                "Some streamed clips are shorter or longer than clips may be, which shows when they arrive; they are "
                "left out, and counted at the end.",
                "Nothing else is affected. To train on them, change the shortest and the longest clip (min_duration_s, "
                "max_duration_s).",
            )
        self._noted, self._num_read, self._noted_outside = {}, 0, set()
        self.add("train", noted, num_read)

    def add(self, split: Split, bad: Mapping[int, str], num_read: int = 0) -> None:
        """Report the clips of a split that are new among `bad` (clip -> why).

        num_read: clips that were read with them; 0 if the run goes on, however many are bad.

        Raises DataError, on every process that gets the same, where too many clips are bad.
        """
        new = [clip for clip in sorted(bad) if (split, clip) not in self._known]
        if not new:
            return
        self._known |= {(split, clip) for clip in new}
        rows = self._rows[split]
        details = [{"split": split, "clip": clip, "file": rows[clip].audio, "reason": bad[clip]} for clip in new]
        named = format_list([_name(rows[clip].audio, bad[clip]) for clip in new], MAX_NAMED, "; ")
        self._report_new(len(new), named, details)
        if num_read:
            self._check_amount(split, len(new), num_read, named)

    def describe(self) -> str:
        """Return sentences, with a space before each, that count the clips that were left out; empty for none."""
        parts = [
            f" {format_count(number, 'clip')} turned out {how} and {'was' if number == 1 else 'were'} left out."
            for number, how in ((len(self._known), "bad"), (len(self._outside), "too short or too long"))
            if number
        ]
        return "".join(parts)

    def _check_amount(self, split: Split, num_new: int, num_read: int, named: str) -> None:
        rows, num_bad = self._rows[split], sum(each == split for each, _ in self._known)
        if num_bad > max(MAX_SHARE * len(rows), min(MIN_BAD, len(rows) / 2)):
            raise DataError(
                f"{num_bad} of the {format_count(len(rows), 'clip')} to {_PURPOSES[split]} turned out bad, the last "
                f"ones: {named}. Check the data again, then start again or resume."
            )
        if num_new >= MIN_LOST and num_new > MAX_LOST_SHARE * num_read:
            raise DataError(
                f"{num_new} of the last {num_read} clips turned out bad: {named}. If their disk or folder is back, "
                "resume the run."
            )

    def _report_new(self, num_new: int, named: str, details: list[dict[str, Any]]) -> None:
        clips = format_count(num_new, "clip")
        is_first = self._findings.report(
            BAD_CLIPS,
            f"{clips} turned out bad and {'is' if num_new == 1 else 'are'} left out: {named}.",
            "Nothing else is affected. Repair or remove such clips before the next run; the audit decodes every clip.",
            bad_clips=details,
        )
        if not is_first:
            text = f"Left out {clips} more, {len(self._known)} so far: {named}."
            self._emit(events.PHASE, phase="training", text=text, bad_clips=details)
            logger.warning(text)


def _name(path: str, reason: str) -> str:
    text = reason.rstrip(".")
    return text if path in text else f"{Path(path).name}: {text}"
