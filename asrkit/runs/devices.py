"""The devices of this machine, and their assignment to runs. Queries the system, never torch.

A device is cuda:0, cuda:1, ... (after the colon stands its name in CUDA_VISIBLE_DEVICES), mps or cpu. Runs use the
visible GPUs; without any, Apple's GPU, else the processor. `$ASRKIT_DEVICES` overrides this, and `$ASRKIT_SLOTS` sets
how many runs may share a device.
"""

from __future__ import annotations

import functools
import os
import platform
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from asrkit.config import DEVICE, TrainConfig
from asrkit.cores import count_cores
from asrkit.errors import RunError
from asrkit.runs import system

ALLOWED, SLOTS, VISIBLE = "ASRKIT_DEVICES", "ASRKIT_SLOTS", "CUDA_VISIBLE_DEVICES"
CPU, CUDA = "cpu", "cuda:"


@dataclass(frozen=True)
class DeviceRequest:
    """The devices that a run needs: those in `names` (any, where it is empty), one for each process."""

    names: tuple[str, ...]
    num_processes: int

    @classmethod
    def from_config(cls, config: TrainConfig) -> DeviceRequest:
        return cls(() if config.device == "auto" else tuple(config.device.split(",")), config.processes)


def list_devices() -> list[str]:
    """List the devices that runs with `device=auto` use. RunError if `$ASRKIT_DEVICES` is malformed."""
    if names := os.environ.get(ALLOWED, "").replace(" ", ""):
        if not all(map(DEVICE.fullmatch, names.split(","))):
            raise RunError(f"{ALLOWED} is {names!r}; name devices as in cuda:0,cuda:1 or cpu.")
        return list(dict.fromkeys(names.split(",")))
    if gpus := [f"{CUDA}{name}" for name in _visible_gpus()]:
        return gpus
    return ["mps" if (platform.system(), platform.machine()) == ("Darwin", "arm64") else CPU]


def _visible_gpus() -> list[str]:
    """List the GPUs that CUDA shows to this process, by their names in CUDA_VISIBLE_DEVICES."""
    visible = os.environ.get(VISIBLE)
    if visible is not None and visible.strip() in ("", "-1"):
        return []  # no need to wait for the driver
    try:
        count = _count_gpus()
    except LookupError:
        return []
    if visible is None:
        return [str(number) for number in range(count)]
    names = [name.strip() for name in visible.split(",")]
    # CUDA stops at the first invalid name (programming guide, environment variables).
    end = next(
        (
            index
            for index, name in enumerate(names)
            if not name or name.startswith("-") or (name.isdecimal() and int(name) >= count)
        ),
        len(names),
    )
    return names[:end]


@functools.cache
def _count_gpus() -> int:
    """Count the GPUs that the driver reports. LookupError, which is not cached, if there are none."""
    if count := len(system.query_gpus()):
        return count
    raise LookupError("no GPU")


def slots_per_device() -> int:
    """Return how many runs may share a device. RunError if `$ASRKIT_SLOTS` is not a positive number."""
    value = os.environ.get(SLOTS) or "1"
    if not value.isdecimal() or not int(value):
        raise RunError(f"{SLOTS} is {value!r}; it must be a whole number, 1 or more.")
    return int(value)


def count_slots() -> Counter[str]:
    """Map each device to the number of runs it takes. The processor is always included, for runs that name it."""
    return Counter(dict.fromkeys([*list_devices(), CPU], slots_per_device()))


def check_available(config: TrainConfig) -> None:
    """Raise RunError if this machine lacks the devices of `config`, so that the run would wait forever."""
    request, known, available = DeviceRequest.from_config(config), count_slots(), list_devices()
    missing = [name for name in request.names if name not in known]
    if missing:
        raise RunError(
            f"There is no device {missing[0]} for runs here; set Device (device) to auto or one of {', '.join(known)}."
        )
    if _exceeds_gpus(request, available):
        raise RunError(
            f"The run needs {request.num_processes} GPUs (processes), one for each process, and there are "
            f"{len(available)} for runs here; set Processes to {len(available)} or less."
        )


def _exceeds_gpus(request: DeviceRequest, available: list[str]) -> bool:
    return not request.names and available[0].startswith(CUDA) and request.num_processes > len(available)


def assign_devices(requests: Sequence[DeviceRequest], in_use: Iterable[str]) -> list[list[str]]:
    """Assign devices to queued runs in this order; an empty list for a run that has to wait.

    Devices are reserved for a waiting run: if one of the two that it needs is free, no run behind it gets that one. A
    run that needs more GPUs than there are reserves nothing.
    """
    free, available, assigned = count_slots(), list_devices(), []
    free.subtract(in_use)
    for request in requests:
        chosen = [] if _exceeds_gpus(request, available) else _choose_devices(request, free, available)
        assigned.append(chosen if all(free[name] >= count for name, count in Counter(chosen).items()) else [])
        free.subtract(chosen)
    return assigned


def _choose_devices(request: DeviceRequest, free: Counter[str], available: list[str]) -> list[str]:
    """Choose the devices for a run: those that it names, else those with the most free slots."""
    chosen = list(request.names) or sorted(available, key=lambda name: -free[name])[: request.num_processes]
    # On a single device, every process of the run takes a slot, as far as there are slots.
    return chosen * min(request.num_processes, slots_per_device()) if len(chosen) == 1 else chosen


def worker_environment(assigned: Sequence[str], inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variables that limit a worker to its devices.

    `$ASRKIT_DEVICES` still names all devices, for the next queued run, which this worker starts when it ends.
    """
    environment = {ALLOWED: ",".join(list_devices())}
    gpus = [name.removeprefix(CUDA) for name in assigned if name.startswith(CUDA)]
    if gpus or list_devices()[0].startswith(CUDA):
        environment[VISIBLE] = ",".join(dict.fromkeys(gpus)) or "-1"
        if VISIBLE not in inherited:  # GPU numbers follow the driver's order, not the fastest first
            environment["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
    if slots_per_device() > 1 and not gpus and "OMP_NUM_THREADS" not in inherited:
        environment["OMP_NUM_THREADS"] = str(max(1, count_cores() // slots_per_device()))
    return environment
