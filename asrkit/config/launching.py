"""LaunchSettings: where the worker of a run runs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from asrkit.config.fields import setting

_setting = partial(setting, group="Where it runs")


@dataclass(frozen=True)
class LaunchSettings:
    """The fields of TrainConfig in the form's group Where it runs."""

    launcher: str = _setting(
        "default",
        "Launcher",
        "local starts a process on this machine. default is the launcher that ASRKIT_LAUNCHER names, else local.",
        choices=("default", "local"),
    )
