"""LaunchSettings: where the worker of a run runs, as a process of this machine or as a job of a cluster."""

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
        "local starts a process on this machine, slurm submits a job with sbatch, hf-jobs rents a machine of the "
        "Hugging Face Hub. default is the launcher that ASRKIT_LAUNCHER names, else local.",
        choices=("default", "local", "slurm", "hf-jobs"),
    )
    nodes: int = _setting(
        1,
        "Nodes",
        "Machines of a Slurm job. Each runs as many worker processes as Processes says, with a GPU for each unless "
        "Device is cpu.",
        low=1,
        high=256,
    )
    slurm_partition: str = _setting("", "Slurm partition", "Empty for the cluster's default.")
    slurm_account: str = _setting("", "Slurm account", "Empty for the default of whoever submits the job.")
    slurm_time: str = _setting(
        "",
        "Slurm time limit",
        "Such as 12:00:00 or 2-00:00:00. A run that reaches it saves, is queued again and goes on.",
    )
    slurm_options: str = _setting(
        "", "Further Slurm options", "Flags of sbatch, such as --cpus-per-task=8 --mem=32G --qos=long."
    )
    hf_flavor: str = _setting(
        "t4-small", "Hardware", "Machine of a Hugging Face job, such as a10g-large; `hf jobs hardware` lists them."
    )
    hf_timeout_h: float = _setting(
        24.0,
        "Hugging Face time limit (hours)",
        "After it the job is ended, whatever it does; resume goes on from the last checkpoint. It limits the cost. "
        "Where earlier runs on such hardware tell how long it takes, twice that and half an hour is the limit if less.",
        low=0.1,
        high=168,
    )
    mirrors: str = _setting(
        "",
        "Mirrors",
        "Where else the curves are written: tensorboard, trackio, wandb, or several of them, separated by commas. Each "
        "needs its package.",
    )
    webhook: str = _setting(
        "",
        "Webhook",
        "An address of Slack, Discord or one that takes JSON, which gets a message when the run has ended. It is kept "
        "in the run directory and shown nowhere. Default: that of ASRKIT_WEBHOOK.",
    )
