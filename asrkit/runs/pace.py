"""How fast this machine trains: as its runs measured it, or one second of steps before its first run.

Kept in the user's cache by machine and device, since a processor without AVX-512 is several times slower than one with
it, and a shared home folder serves several machines. No torch is imported.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from asrkit.data import embedded
from asrkit.files import write_json
from asrkit.models import precision
from asrkit.runs import events
from asrkit.runs.events import Event

VARIABLE, FILE = "ASRKIT_PACE", "pace.json"
"""Environment variable with another path than that of the file in the cache."""
MAX_KEPT, NUM_RECENT = 40, 3
"""Paces that are kept of a machine, and of such a model on it. Other programs may have slowed a run down, so the
fastest of the last runs counts."""
MAX_RATIO = 100.0
"""Largest ratio of the sizes of two models at which the speed of one predicts that of the other."""
JUST_ENDED_S = 120.0
SAME_SIZE = 0.1
"""Largest relative difference in parameters at which two models count as equally fast."""


@dataclass(frozen=True)
class Pace:
    """How fast a model was trained.

    startup_s: from the start to the first step or evaluation. train_speed, eval_speed: in seconds of audio a second;
    eval_speed is None where nothing was evaluated. parameters: of the model. freeze: as in TrainConfig. is_calibration:
    whether it was measured without a run. time: when, in Unix seconds.
    """

    startup_s: float
    train_speed: float
    eval_speed: float | None
    parameters: int
    freeze: str
    is_calibration: bool = False
    time: float = 0.0

    @property
    def eval_speedup(self) -> float:
        """How much faster evaluation is than training."""
        return (self.eval_speed or self.train_speed) / self.train_speed

    def predict_s(self, train_audio_s: float, eval_audio_s: float) -> float:
        """Return the seconds of a run that trains and evaluates on so much audio in all, repetitions counted."""
        return self.startup_s + train_audio_s / self.train_speed + eval_audio_s / (self.eval_speed or self.train_speed)

    def matches(self, parameters: int, freeze: str) -> bool:
        """Whether the pace is that of a model of this size of which this part was trained."""
        return self.freeze == freeze and abs(self.parameters - parameters) <= SAME_SIZE * parameters

    def scale(self, parameters: int) -> Pace:
        """Return the pace of a model of another size, whose work grows with its parameters."""
        ratio = self.parameters / parameters
        eval_speed = None if self.eval_speed is None else self.eval_speed * ratio
        return replace(self, train_speed=self.train_speed * ratio, eval_speed=eval_speed, parameters=parameters)


def measure(history: Iterable[Event], freeze: str) -> Pace | None:
    """Measure the pace of a run by its events; None if it has not trained for long enough, or was resumed."""
    started: Event | None = None
    loading_since_s = 0.0
    rates: list[float] = []
    evaluated: list[tuple[float, float]] = []
    for event in history:
        if event.kind == events.PHASE and event.data.get("begins"):
            loading_since_s, started, rates, evaluated = event.elapsed_s or 0.0, None, [], []
        elif event.kind == events.STARTED:
            started = event
        elif event.kind == events.TRAIN and event.data.get("audio_seconds_per_second"):
            rates.append(float(event.data["audio_seconds_per_second"]))
        elif event.kind == events.EVAL and event.data.get("seconds"):
            evaluated.append((float(event.data["audio_seconds"]), float(event.data["seconds"])))
    rates = rates[1:]  # the first step allocates
    if started is None or started.step or started.elapsed_s is None or not rates:
        return None
    audio_s, seconds = (sum(column) for column in zip(*evaluated, strict=True)) if evaluated else (0.0, 0.0)
    return Pace(
        startup_s=round(started.elapsed_s - loading_since_s, 2),
        train_speed=len(rates) / sum(1 / rate for rate in rates),  # every event stands for about as much audio
        eval_speed=audio_s / seconds if seconds else None,
        parameters=int(started.data["parameters"]),
        freeze=freeze,
        time=time.time(),
    )


def remember(pace: Pace, device: str) -> None:
    """Keep a pace of this machine for later forecasts, in place of older ones of such a model and of calibrations."""
    machine, by_machine = name_machine(device), _read()
    known = list(_iter_paces(by_machine, machine))
    same = [old for old in known if old.matches(pace.parameters, pace.freeze)]
    others = [old for old in known if old not in same]
    recent = [old for old in same if old.is_calibration == pace.is_calibration][1 - NUM_RECENT :]
    _path().parent.mkdir(parents=True, exist_ok=True)
    write_json(_path(), {**by_machine, machine: [asdict(each) for each in [*others, *recent, pace][-MAX_KEPT:]]})


def recall(device: str, parameters: int, freeze: str) -> Pace | None:
    """Return the pace of such a model on this machine, the fastest of its last runs, else that of the nearest size.

    None if nothing is known, or only models so much smaller or larger that they tell nothing.
    """
    paces = sorted(_iter_paces(_read(), name_machine(device)), key=lambda pace: -pace.train_speed)
    return find_nearest(paces, parameters, freeze)


def find_nearest(paces: Iterable[Pace], parameters: int, freeze: str) -> Pace | None:
    """Return the pace of such a model, else that of the model of the nearest size; None if these tell nothing."""
    known = [pace for pace in paces if _distance(pace, parameters) <= MAX_RATIO]
    return min(
        known,
        key=lambda pace: (not pace.matches(parameters, freeze), pace.is_calibration, _distance(pace, parameters)),
        default=None,
    )


def is_known(device: str) -> bool:
    """Whether anything was measured on this machine."""
    return any(_iter_paces(_read(), name_machine(device)))


def has_run_lately(device: str) -> bool:
    """Whether a run on such a device ended in the last minutes, which the load of the machine still shows."""
    return any(time.time() - pace.time < JUST_ENDED_S for pace in _iter_paces(_read(), name_machine(device)))


def _distance(pace: Pace, parameters: int) -> float:
    return max(pace.parameters, parameters) / min(pace.parameters, parameters)


def name_machine(device: str) -> str:
    """Name a kind of device of this machine; for the processor, with what PyTorch may use of it."""
    kind = device.partition(":")[0]
    restricted = os.environ.get(precision.CAPABILITY, "") if kind == "cpu" else ""
    return " ".join(filter(None, [platform.node(), kind, restricted]))


def _path() -> Path:
    return Path(os.environ.get(VARIABLE) or embedded.cache_dir() / FILE)


def _read() -> dict[str, list[dict[str, object]]]:
    try:
        by_machine = json.loads(_path().read_text(encoding="utf-8"))
    except (OSError, ValueError):  # none was measured yet
        return {}
    return by_machine if isinstance(by_machine, dict) else {}


def _iter_paces(by_machine: dict[str, list[dict[str, object]]], machine: str) -> Iterator[Pace]:
    for values in by_machine.get(machine, []):
        try:
            pace = Pace(**values)  # type: ignore[arg-type]
        except TypeError:  # of another version
            continue
        if pace.parameters > 0 and pace.train_speed > 0:
            yield pace
