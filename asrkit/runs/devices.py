"""Which devices this machine has for runs, and which run gets which. Asks the system, never torch.

A device is cuda:0, cuda:1, ... (behind the colon stands what CUDA_VISIBLE_DEVICES calls it), mps or cpu. The GPUs that
may be seen are all there is to be had; without any it is Apple's, else the processor. `$ASRKIT_DEVICES` names others,
`$ASRKIT_SLOTS` says how many runs may share one of them.
"""

from __future__ import annotations

import functools
import os
import platform
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from asrkit.config import DEVICE, TrainConfig
from asrkit.errors import RunError
from asrkit.runs import system

ALLOWED, SLOTS, VISIBLE = "ASRKIT_DEVICES", "ASRKIT_SLOTS", "CUDA_VISIBLE_DEVICES"
CPU, CUDA = "cpu", "cuda:"


@dataclass(frozen=True)
class Wish:
    """What a run is to have: these devices (any, where none is named), one for each of its processes."""

    names: tuple[str, ...]
    processes: int

    @classmethod
    def of(cls, config: TrainConfig) -> Wish:
        return cls(() if config.device == "auto" else tuple(config.device.split(",")), config.processes)


def found() -> list[str]:
    """The devices that runs take of their own accord. RunError where `$ASRKIT_DEVICES` names something else."""
    if names := os.environ.get(ALLOWED, "").replace(" ", ""):
        if not all(map(DEVICE.fullmatch, names.split(","))):
            raise RunError(f"{ALLOWED} is {names!r}; name devices as in cuda:0,cuda:1 or cpu.")
        return list(dict.fromkeys(names.split(",")))
    if gpus := [f"{CUDA}{name}" for name in _visible()]:
        return gpus
    return ["mps" if (platform.system(), platform.machine()) == ("Darwin", "arm64") else CPU]


def _visible() -> list[str]:
    """The GPUs that CUDA lets this process see, by the names that CUDA_VISIBLE_DEVICES has for them."""
    visible = os.environ.get(VISIBLE)
    if visible is not None and visible.strip() in ("", "-1"):
        return []  # nobody has to wait for the driver
    try:
        count = _installed()
    except LookupError:
        return []
    if visible is None:
        return [str(number) for number in range(count)]
    names = [name.strip() for name in visible.split(",")]
    # CUDA stops at the first that is none (programming guide, environment variables).
    end = next(
        (
            place
            for place, name in enumerate(names)
            if not name or name.startswith("-") or (name.isdecimal() and int(name) >= count)
        ),
        len(names),
    )
    return names[:end]


@functools.cache
def _installed() -> int:
    """How many GPUs the driver tells of. LookupError (asked again the next time) where there is none."""
    if count := len(system.gpus()):
        return count
    raise LookupError("no GPU")


def slots() -> int:
    """How many runs may share a device. RunError where `$ASRKIT_SLOTS` is no such number."""
    told = os.environ.get(SLOTS) or "1"
    if not told.isdecimal() or not int(told):
        raise RunError(f"{SLOTS} is {told!r}; it must be a whole number, 1 or more.")
    return int(told)


def places() -> Counter[str]:
    """Device -> how many runs it takes. The processor is there even where no run takes it of its own accord."""
    return Counter(dict.fromkeys([*found(), CPU], slots()))


def check(config: TrainConfig) -> None:
    """RunError for a run that would wait for ever: this machine does not have what it wants."""
    wish, known, have = Wish.of(config), places(), found()
    missing = [name for name in wish.names if name not in known]
    if missing:
        raise RunError(
            f"There is no device {missing[0]} for runs here; set Device (device) to auto or of {', '.join(known)}."
        )
    if _wants_more(wish, have):
        raise RunError(
            f"The run wants {wish.processes} GPUs (processes), one for each process, and there are "
            f"{len(have)} for runs here; set Processes to {len(have)} or less."
        )


def _wants_more(wish: Wish, have: list[str]) -> bool:
    return not wish.names and have[0].startswith(CUDA) and wish.processes > len(have)


def shared_out(wishes: Sequence[Wish], taken: Iterable[str]) -> list[list[str]]:
    """What each of the runs in line gets, in this order; nothing for one that has to wait.

    What a run waits for is kept for it: of two devices that it needs, nobody behind it takes the one that is free. One
    that wants more GPUs than there are is left to a machine that has them.
    """
    free, all_of_them, given = places(), found(), []
    free.subtract(taken)
    for wish in wishes:
        wanted = [] if _wants_more(wish, all_of_them) else _wanted(wish, free, all_of_them)
        given.append(wanted if all(free[name] >= count for name, count in Counter(wanted).items()) else [])
        free.subtract(wanted)
    return given


def _wanted(wish: Wish, free: Counter[str], have: list[str]) -> list[str]:
    """The devices that a run takes as soon as they are free: those with the most room, where it named none."""
    chosen = list(wish.names) or sorted(have, key=lambda name: -free[name])[: wish.processes]
    # Of a device that is alone every process has a share, as far as there are shares.
    return chosen * min(wish.processes, slots()) if len(chosen) == 1 else chosen


def environment(taken: Sequence[str], given: Mapping[str, str]) -> dict[str, str]:
    """What a worker is told so that it sees its devices and no others, and still knows which there are for the next
    run in line. given: what it is told otherwise."""
    told = {ALLOWED: ",".join(found())}
    gpus = [name.removeprefix(CUDA) for name in taken if name.startswith(CUDA)]
    if gpus or found()[0].startswith(CUDA):
        told[VISIBLE] = ",".join(dict.fromkeys(gpus)) or "-1"
        if VISIBLE not in given:  # the driver's order, which the numbers are from; not the fastest first
            told["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
    if slots() > 1 and not gpus and "OMP_NUM_THREADS" not in given:
        told["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // slots()))
    return told
