"""Advice for a dataset: language x hours x memory x speed -> base model, preset and settings, in one sentence.

The candidates are tried in order; the first that fits into memory and trains within half a day is advised. The order
comes from published comparisons (guide, Training, "Which base model"): MMS below one hour of speech, XLS-R from there
on; for English a checkpoint that is tuned for it. Without a GPU these take days, so the starter is advised.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import psutil

from asrkit import config as configs
from asrkit.config import TrainConfig
from asrkit.cores import count_cores
from asrkit.models import catalogue, checkpoints, resolution
from asrkit.models.catalogue import BaseModel, Language
from asrkit.models.frames import FrameGeometry
from asrkit.runs import devices, estimate, pace, system
from asrkit.units import format_count, format_rough_duration

MMS_HOURS = 1.0
"""Hours of speech from which XLS-R does as well as MMS (arXiv 2506.17459)."""
FEW_CLIPS_HOURS = 1 / 12
LARGE_HOURS, LARGE_GB = 50.0, 40.0
"""Hours and memory from which the larger XLS-R is advised."""
LARGE_PARAMETERS = 300_000_000
MAX_TRAINING_S = 12 * 3600.0
MEMORY_SHARE, RAM_SHARE = 0.75, 0.5
"""Of a GPU's memory and of a machine's, for the model and a batch; the estimate may be too low."""
MIN_BATCH_S = 15.0
"""Seconds of audio in the smallest batch that is advised."""


@dataclass(frozen=True)
class Machine:
    """What trains. memory_gb: of the GPU, else of the machine. speed: weights x audio seconds a second, if known."""

    memory_gb: float
    is_gpu: bool
    speed: float | None

    @property
    def description(self) -> str:
        return f"{self.memory_gb:.0f} GB" if self.is_gpu else f"no GPU, {self.memory_gb:.0f} GB of memory"


def find_machine() -> Machine:
    """Return the largest GPU of this machine, else its processor at the speed that is known by now."""
    if gpu_gb := _query_gpu_memory_gb():
        return Machine(gpu_gb, True, None)
    known = pace.recall(devices.CPU, LARGE_PARAMETERS, "feature-encoder")
    speed = known.train_speed * known.parameters if known else estimate.SPEEDS_PER_CORE[-1] * count_cores()
    return Machine(psutil.virtual_memory().total / 2**30, False, speed)


@cache
def _query_gpu_memory_gb() -> float:
    """Return the memory of the largest GPU; 0 without any."""
    return max((gpu.memory_total_bytes or 0 for gpu in system.query_gpus()), default=0) / 2**30


@dataclass(frozen=True)
class Advice:
    """base, preset, settings: of the run that is advised. evidence: for the base. memory_gb: that the run needs."""

    sentence: str
    base: str
    preset: str
    settings: dict[str, Any]
    evidence: str
    memory_gb: float

    def to_dict(self) -> dict[str, Any]:
        """Return the advice as `audit --json` prints it."""
        return {
            "sentence": self.sentence,
            "base": self.base,
            "preset": self.preset,
            "settings": self.settings,
            "evidence": self.evidence,
            "memory_gb": round(self.memory_gb, 1),
        }


@dataclass(frozen=True)
class _Candidate:
    """reason: completes "base: reason". settings: besides the preset's."""

    base: str
    preset: str
    settings: dict[str, Any]
    reason: str


def advise(hours: float, language: str, machine: Machine) -> Advice:
    """Advise on `hours` of speech. language: a code or a name, empty where it is not known."""
    known = catalogue.find_language(language)
    spoken = known.name if known else f"a language ({language})" if language else "an unknown language"
    amount = f"{hours:.3g} hours" if hours >= 1.5 else format_count(max(1, round(60 * hours)), "minute")
    beginning = f"{amount} of {spoken}, {machine.description}"
    too_much = ""
    for candidate in _candidates(hours, known):
        model = catalogue.find_model(candidate.base)
        if model is None:
            raise KeyError(candidate.base)
        fitting = _fit(candidate, model, machine)
        if fitting is None:
            too_much = too_much or f"{_short_name(model)} does not fit"
        elif (seconds := _training_s(candidate, model, hours, machine)) is not None and seconds > MAX_TRAINING_S:
            too_much = too_much or f"{_short_name(model)} would take {format_rough_duration(seconds)}"
        else:
            return _make_advice(beginning, candidate, model, *fitting, too_much)
    return _advise_starter(beginning, hours, known, too_much)


def _candidates(hours: float, language: Language | None) -> Iterator[_Candidate]:
    """Yield what to train, the best first."""
    if language and language.code == "eng":
        yield _Candidate(
            "facebook/wav2vec2-base-960h", "small-gpu", {}, "starting from a checkpoint that is tuned for it is best"
        )
    xlsr = "from one hour of speech on it does as well as MMS, and gains most from more"
    mms = catalogue.find_model(catalogue.MMS_ALL)
    if hours < MMS_HOURS and mms and (language is None or mms.knows(language)):
        adapter = {"freeze": "all-but-adapters", "learning_rate": 1e-3, "gradient_checkpointing": True}
        adapter |= {"adapter_language": language.mms} if language else {"vocabulary": "fresh"}
        reason = "best below one hour of speech; above one hour XLS-R does as well"
        yield _Candidate(mms.id, "low-resource", adapter, reason)
        xlsr = "next to MMS; above one hour of speech it does as well"
    if hours >= LARGE_HOURS:
        yield _Candidate("facebook/wav2vec2-xls-r-1b", "large-gpu", {}, xlsr)
    preset = "low-resource" if hours < MMS_HOURS else "small-gpu"
    yield _Candidate("facebook/wav2vec2-xls-r-300m", preset, {}, xlsr)
    lora = {"freeze": "lora", "learning_rate": 3e-4, "gradient_checkpointing": True}
    yield _Candidate("facebook/wav2vec2-xls-r-300m", preset, lora, "with LoRA it fits")


def _fit(candidate: _Candidate, model: BaseModel, machine: Machine) -> tuple[dict[str, Any], float] | None:
    """Return (settings, GB needed) with the largest batch that fits, None where none does."""
    if candidate.base.endswith("1b") and machine.memory_gb < LARGE_GB:
        return None
    limit = machine.memory_gb * (MEMORY_SHARE if machine.is_gpu else RAM_SHARE)
    preset = configs.load_preset(candidate.preset).config
    update_s, batch_s = preset.batch_seconds * preset.gradient_accumulation_steps, preset.batch_seconds
    while batch_s >= MIN_BATCH_S:
        batches = {"batch_seconds": batch_s, "gradient_accumulation_steps": round(update_s / batch_s)}
        settings = candidate.settings | batches
        config = preset.replace(settings | ({"mixed_precision": "bf16"} if machine.is_gpu else {}))
        needed = estimate.estimate_memory(config, dict(model.shape), FrameGeometry(), model.weights, batch_s) / 2**30
        if needed <= limit:
            return settings, needed
        batch_s /= 2
    return None


def _training_s(candidate: _Candidate, model: BaseModel, hours: float, machine: Machine) -> float | None:
    if machine.speed is None:
        return None
    config = configs.load_preset(candidate.preset).config
    return config.num_epochs * 3600 * hours * model.weights / machine.speed


def _make_advice(
    beginning: str,
    candidate: _Candidate,
    model: BaseModel,
    settings: dict[str, Any],
    needed_gb: float,
    too_much: str,
) -> Advice:
    preset = configs.load_preset(candidate.preset)
    settings = {name: value for name, value in settings.items() if getattr(preset.config, name) != value}
    ways = {"lora": " with LoRA", "all-but-adapters": " with adapters only"}
    way = ways.get(str(settings.get("freeze")), "")
    notes = [candidate.reason, too_much]
    if not model.is_commercial:
        notes.append("not for commercial use")
    sentence = f"{beginning}: {_short_name(model)}{way}, preset {preset.title} ({'; '.join(filter(None, notes))})."
    return Advice(sentence, model.id, candidate.preset, settings, model.evidence, needed_gb)


def _advise_starter(beginning: str, hours: float, language: Language | None, too_much: str) -> Advice:
    preset, folder = configs.load_preset("few-clips" if hours <= FEW_CLIPS_HOURS else "quick"), resolution.STARTER_DIR
    config: TrainConfig = replace(preset.config, model=resolution.STARTER)
    shape, weights = checkpoints.read_config(folder) or {}, checkpoints.count_weights(folder)
    needed = estimate.estimate_memory(config, shape, FrameGeometry(), weights, config.batch_seconds or 60.0) / 2**30
    english = bool(language and language.code == "eng")
    reason = "it trains in minutes" if english else "it trains in minutes, but knows English alone"
    notes = [reason, too_much, "" if english else "on a GPU a multilingual base is far better"]
    sentence = f"{beginning}: the starter, preset {preset.title} ({'; '.join(filter(None, notes))})."
    return Advice(sentence, resolution.STARTER, preset.name, {}, "", needed)


def _short_name(model: BaseModel) -> str:
    return model.title.partition(",")[0]
