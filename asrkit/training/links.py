"""The network between the processes of a run: how long it takes to exchange gradients, and whether machines answer.

A machine that is switched off, or whose network fails, says nothing: the others would wait for its gradients for as
long as their sockets do, which is a quarter of an hour or for ever. So one process of each machine counts up a number
in the store of torchrun, and looks whether those of the others still change. Clocks are not compared.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from asrkit.errors import RunError
from asrkit.training import distributed
from asrkit.units import format_size

logger = logging.getLogger(__name__)

PROBE_BYTES = 16 << 20
"""At most so much is exchanged to measure the network."""
MAX_EXCHANGE_SHARE = 0.3
"""Of the time of an update; above it the network is what limits the training."""
MAX_SILENCE_S = float(os.environ.get("ASRKIT_LINK_TIMEOUT") or 120)
POLL_INTERVAL_S = min(5.0, MAX_SILENCE_S / 6)


class MachineLostError(RunError):
    """Another machine of the run does not answer any more."""


class Store(Protocol):
    """What is needed of torch's TCPStore."""

    def set(self, key: str, value: str) -> None: ...
    def get(self, key: str) -> bytes: ...


def measure_exchange(num_bytes: int, device: str) -> GradientExchange | None:
    """Measure how long the processes take to add up gradients of this size; None for a single process.

    Every process has to call it at the same time. The first exchange, which sets up connections, does not count.
    """
    if distributed.WORLD_SIZE == 1:
        return None
    import torch

    probe = torch.zeros(max(1, min(num_bytes, PROBE_BYTES) // 4), device=device)
    times = []
    for _ in range(3):
        _wait_for_device(device)
        started = time.monotonic()
        torch.distributed.all_reduce(probe)
        _wait_for_device(device)
        times.append(time.monotonic() - started)
    return GradientExchange(min(times[1:]) * num_bytes / (4 * probe.numel()), num_bytes)


@dataclass(frozen=True)
class GradientExchange:
    """seconds: to add up the gradients of an update once, of num_bytes."""

    seconds: float
    num_bytes: int

    def explain_bottleneck(self, step_s: float) -> tuple[str, str] | None:
        """Return cause and remedy where the exchange takes a large share of a step; None where it does not.

        A part of it may be hidden behind the computation of gradients.
        """
        share = self.seconds / step_s if step_s else 0.0
        if share < MAX_EXCHANGE_SHARE:
            return None
        rate = format_size(self.num_bytes / max(self.seconds, 1e-9))
        return (
            f"The processes exchange {format_size(self.num_bytes)} of gradients an update, at {rate} a second: "
            f"{self.seconds:.2g} of the {step_s:.2g} s of an update.",
            "Raise gradient_accumulation_steps, so that several batches share an exchange, train with freeze=lora, "
            "which has small gradients, or use a faster network.",
        )


def _wait_for_device(device: str) -> None:
    import torch

    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def start_monitor(on_lost: Callable[[MachineLostError], None]) -> None:
    """Watch the other machines in a thread; `on_lost` is called there. Does nothing for a run on one machine."""
    if distributed.WORLD_SIZE == distributed.LOCAL_WORLD_SIZE:
        return
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    is_leader = os.environ.get("LOCAL_RANK") == "0"
    leaders = [rank for rank, leads in enumerate(distributed.all_gather(is_leader)) if leads]
    if not is_leader:
        return
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    patience = timedelta(seconds=max(1.0, MAX_SILENCE_S / 4))
    store = TCPStore(address, port, is_master=False, wait_for_workers=False, timeout=patience)
    # All but the first look at the first alone: whom it has lost, it ends.
    others = [rank for rank in leaders if rank != distributed.RANK and (distributed.IS_MAIN or rank == 0)]
    monitor = LinkMonitor(store, distributed.RANK, others, on_lost)
    # In two threads: without a network, the store may never answer.
    for name, work in (("links", monitor.exchange_forever), ("link-watch", monitor.watch_forever)):
        threading.Thread(target=work, daemon=True, name=name).start()


class LinkMonitor:
    """Counts up this process's number in the store, and notices whose number stands still."""

    def __init__(
        self, store: Store, rank: int, others: Sequence[int], on_lost: Callable[[MachineLostError], None]
    ) -> None:
        self._store, self._rank, self._on_lost = store, rank, on_lost
        self._count = 0
        now = time.monotonic()
        self._seen: dict[int, tuple[bytes, float]] = dict.fromkeys(others, (b"", now))

    def exchange_forever(self) -> None:
        while True:
            self.exchange()
            time.sleep(POLL_INTERVAL_S)

    def exchange(self) -> None:
        """Count up this process's number, and read those of the others."""
        self._count += 1
        try:
            self._store.set(_key(self._rank), str(self._count))
            for other, (known, _) in self._seen.items():
                if (found := self._store.get(_key(other))) != known:
                    self._seen[other] = found, time.monotonic()
        except RuntimeError as error:  # torch's errors of the network are of several kinds of it
            logger.warning("The other machines of the run do not answer (%s).", str(error).partition("\n")[0])

    def watch_forever(self) -> None:
        while not self.has_lost_machine():
            time.sleep(POLL_INTERVAL_S)

    def has_lost_machine(self) -> bool:
        """Return whether a machine has been silent for too long, and report it to `on_lost`."""
        silent = [other for other, (_, since) in self._seen.items() if time.monotonic() - since > MAX_SILENCE_S]
        if silent:
            self._on_lost(
                MachineLostError(
                    f"The machine of process {silent[0]} has not answered for {MAX_SILENCE_S:.0f} s: it is switched "
                    "off, or the network between the machines is down."
                )
            )
        return bool(silent)


def _key(rank: int) -> str:
    return f"asrkit/link/{rank}"
