"""Data and base model of a run, checked before anything starts: what is wrong is said now, not after the download.

Used by the supervisor for what is on this machine, and by the worker for what comes from the Hub.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from asrkit.audit import leaks, selection
from asrkit.audit.clips import Audit, Limits, audit
from asrkit.audit.findings import Finding
from asrkit.config import TrainConfig
from asrkit.data import manifest, sources, splitting
from asrkit.data.manifest import Utterance
from asrkit.decoding import ctc
from asrkit.errors import DataError
from asrkit.files import write_json
from asrkit.jobs import ProgressCallback
from asrkit.models import checkpoints, resolution, vocabularies
from asrkit.runs.run import Run
from asrkit.runs.store import RunStore
from asrkit.text import normalizers

HUB = "hub:"
LEAK = "leak-"  # how the codes of such findings begin


@dataclass(frozen=True)
class PreparedData:
    """The frozen manifests of a run and what was found out about them. References are normalised already.

    selection: what somebody left out after an audit, where the data is such a `selection`."""

    train: list[Utterance]
    eval: list[Utterance]
    audit: Audit
    selection: dict[str, Any] | None = None

    def write(self, run: Run) -> None:
        """Put the manifests and the audit into the run directory."""
        manifest.write(run.manifest_path("train"), self.train)
        manifest.write(run.manifest_path("eval"), self.eval)
        chosen = {"selection": self.selection} if self.selection else {}
        write_json(run.audit_path, self.audit.to_dict() | chosen)


def is_local(config: TrainConfig) -> bool:
    """Whether everything needed to check the data lies on this machine."""
    return not (config.train.startswith(HUB) or config.eval.startswith(HUB))


def check_access(config: TrainConfig) -> None:
    """Raise DataError unless whoever asks may read the data of `config`. The worker, which asks for nobody, reads what
    lies where the run's data does."""
    for name in (config.train, config.eval):
        if name and not name.startswith(HUB) and name not in sources.BUILT_IN:
            sources.check_access(name)


def prepare_data(
    config: TrainConfig,
    store: RunStore,
    hub_dir: Path | None = None,
    model: Path | None = None,
    on_progress: ProgressCallback | None = None,
) -> PreparedData:
    """Read, split, normalise and audit the data of `config`.

    model: the base model's directory, where it was fetched already. on_progress: how much of the data is fetched.

    DataError names the first clip that cannot be used and how many there are, unless `drop_bad_clips`; ModelError if
    the base model is not one. The evaluation split is audited as the training split is.
    """
    model = model or resolution.resolve(config.model, store)
    if model and config.vocabulary != "fresh":
        vocabularies.check_language(model, config.adapter_language)
    source = sources.load(
        config.train,
        eval_data=config.eval or None,
        text_column=config.text_column or None,
        audio_column=config.audio_column or None,
        speaker_column=config.speaker_column or None,
        hub_dir=hub_dir,
        on_progress=on_progress,
    )
    check = functools.partial(_checked, config=config, model=model)
    kept, told = check(source.train)
    if source.eval:
        kept_eval, told_eval = check(source.eval)
        told = _joined(told, told_eval)
    else:
        kept_eval = []
    rows = [*kept, *kept_eval]
    prints = dict(zip([row.id for row in rows], leaks.audio_fingerprints(rows), strict=True))
    if source.eval is None:
        kept, kept_eval = _split(kept, config, prints)
    told = replace(told, findings=[*told.findings, *_leaks(kept, kept_eval, config, prints, source.eval is None)])
    for side, name in ((kept, "train"), (kept_eval, "evaluate")):
        if not side:
            raise DataError(f"{config.train}: no clip is left to {name} on; add data or change the clip length limits.")
    return PreparedData(kept, kept_eval, told, selection.record(config.train))


def _split(rows: list[Utterance], config: TrainConfig, prints: dict[str, Hashable | None]) -> splitting.TrainEval:
    """Among the clips that can be used: of a few that are held out, none may be lost to the audit afterwards."""
    if config.eval:
        raise DataError(f"{config.eval} holds no clips to evaluate on; give another evaluation dataset.")
    if not rows:
        return [], []
    if len(rows) < 2:
        raise DataError(
            f"{config.train} holds {len(rows)} clip and no evaluation split; add clips, or name an evaluation dataset."
        )
    return split_rows(config, rows, [prints[row.id] for row in rows])


def load_leak_findings(run: Run) -> list[dict[str, Any]]:
    """What `prepare` found that both sides of the run's split share: findings as `audit --json` prints them."""
    try:
        told = json.loads(run.audit_path.read_text(encoding="utf-8"))
    except FileNotFoundError:  # a run of an earlier version, or one whose lists were made by hand
        return []
    return [each for each in told["findings"] if each["code"].startswith(LEAK)]


def split_rows(
    config: TrainConfig, rows: Sequence[Utterance], prints: Sequence[Hashable | None]
) -> splitting.TrainEval:
    """The split that a run with these settings makes of data without one. Texts are those after the rules."""
    return splitting.split_utterances(
        rows,
        eval_share=config.eval_share,
        count=config.eval_count,
        seed=config.seed,
        by=config.split_by,
        audio_fingerprints=prints,
    )


def _leaks(
    train: list[Utterance],
    held_out: list[Utterance],
    config: TrainConfig,
    prints: dict[str, Hashable | None],
    own: bool,
) -> list[Finding]:
    """What both sides share. Commands are to be known, so their sentences are not told of."""
    rows = [*train, *held_out]
    seen = [leaks.ClipIdentity(index, row.text, row.speaker, prints[row.id]) for index, row in enumerate(rows)]
    found = leaks.find_leaks(
        seen[: len(train)],
        seen[len(train) :],
        lambda index, detail: f"{rows[index].row or Path(rows[index].audio).name} ({detail})",
        own=own,
    )
    return [one for one in found if one.code != "leak-text" or config.decoding != "words"]


def make_limits(config: TrainConfig, model: Path | None) -> Limits:
    """What the clips of a run are checked against; model: None where it is not on this machine.

    ModelError for a damaged checkpoint at `model`.
    """
    keeps = model and config.vocabulary == "keep"
    known = vocabularies.known_characters(model, config.adapter_language) if keeps else None
    return Limits(config.text_rules, known, _frames_of(model), config.min_duration_s, config.max_duration_s)


def _checked(rows: list[Utterance], config: TrainConfig, model: Path | None) -> tuple[list[Utterance], Audit]:
    kept, told = audit(rows, make_limits(config, model))
    blocking = [found for found in told.findings if found.code not in _HARMLESS]
    if blocking and not config.drop_bad_clips:
        raise DataError(_sentence(blocking[0], config))
    return [replace(row, text=normalizers.normalize(row.text, config.text_rules)) for row in kept], told


_HARMLESS = frozenset({"too-long", "too-short"})
"""Clips outside the length limits are left out and counted, as every recipe does; that is what the limits are for."""


def _sentence(found: Finding, config: TrainConfig) -> str:
    where = found.examples[0] if found.examples else config.train
    others = f" ({found.count} clips in all)" if found.count > 1 else ""
    return f"{where}{others}: {found.cause} {found.remedy} Or switch on “Leave out bad clips” (drop_bad_clips)."


def _frames_of(model: Path | None) -> Callable[[float], int]:
    told = checkpoints.read_config(model) or {} if model else {}
    if "conv_kernel" not in told or "conv_stride" not in told:
        return ctc.num_frames
    return functools.partial(ctc.num_frames, kernels=tuple(told["conv_kernel"]), strides=tuple(told["conv_stride"]))


def _joined(train: Audit, held_out: Audit) -> Audit:
    """One audit for both splits: counts added up, findings one after the other."""
    verdicts = ("ready", "ready-with-drops", "not-ready")
    worst = max((train.verdict, held_out.verdict), key=verdicts.index)
    return Audit(
        worst,
        train.utterances + held_out.utterances,
        train.hours + held_out.hours,
        train.dropped + held_out.dropped,
        [*train.findings, *held_out.findings],
    )
