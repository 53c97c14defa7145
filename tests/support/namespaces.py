"""Two network namespaces of this machine, joined by a slow link, as two machines with a poor network between them."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

CLOCK_MODULE = Path(__file__).parent / "shifted_clock"
ADDRESSES = ("10.213.7.1", "10.213.7.2")


@dataclass(frozen=True)
class TwoMachines:
    """names: of the namespaces."""

    names: tuple[str, str]

    def start(self, machine: int, command: Sequence[str], environment: dict[str, str]) -> subprocess.Popen[str]:
        """Start a command on machine 0 or 1."""
        return subprocess.Popen(
            ["ip", "netns", "exec", self.names[machine], *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | environment,
        )

    def set_link(self, is_up: bool) -> None:
        """Cut the link, or join it again."""
        _run("ip", "-n", self.names[0], "link", "set", "asr0", "up" if is_up else "down")


def why_impossible() -> str:
    """Return why there can be no namespaces here; empty where there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if not shutil.which("ip") or not shutil.which("tc"):
        return "the commands ip and tc are missing (iproute2)"
    try:
        with two_machines("1gbit"):
            return ""
    except subprocess.CalledProcessError as error:
        return f"this machine forbids network namespaces: {error.stderr.strip()}"


@contextlib.contextmanager
def two_machines(rate: str, delay: str = "10ms") -> Iterator[TwoMachines]:
    """Make two namespaces, joined by a link of this rate, and of this delay where the kernel has netem."""
    names = (f"asr{os.getpid()}a", f"asr{os.getpid()}b")
    try:
        for name in names:
            _run("ip", "netns", "add", name)
            _run("ip", "-n", name, "link", "set", "lo", "up")
        _run("ip", "-n", names[0], "link", "add", "asr0", "type", "veth", "peer", "name", "asr1", "netns", names[1])
        for name, device, address in zip(names, ("asr0", "asr1"), ADDRESSES, strict=True):
            _run("ip", "-n", name, "address", "add", f"{address}/24", "dev", device)
            _run("ip", "-n", name, "link", "set", device, "up")
            _slow_down(name, device, rate, delay)
        yield TwoMachines(names)
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


def _slow_down(name: str, device: str, rate: str, delay: str) -> None:
    try:
        _run("tc", "-n", name, "qdisc", "add", "dev", device, "root", "netem", "delay", delay, "rate", rate)
    except subprocess.CalledProcessError:  # a kernel without netem: the rate alone
        _run(
            *("tc", "-n", name, "qdisc", "add", "dev", device, "root"),
            *("tbf", "rate", rate, "burst", "64kb", "latency", "400ms"),
        )


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)


def shift_clock(offset_s: float) -> dict[str, str]:
    """Return the environment of a Python process on a machine whose clock is wrong by so many seconds."""
    paths = [str(CLOCK_MODULE), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {"PYTHONPATH": os.pathsep.join(paths), "SHIFTED_CLOCK_S": str(offset_s)}


def kill_worker_of(torchrun: subprocess.Popen[str]) -> None:
    """Kill the worker that a torchrun of one process has started."""
    (worker,) = psutil.Process(torchrun.pid).children()
    worker.kill()
