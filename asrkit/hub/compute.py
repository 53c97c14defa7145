"""Jobs on the hardware of the Hugging Face Hub: start, inspect and cancel them, and what they cost."""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from asrkit.errors import HubError
from asrkit.hub import credentials
from asrkit.hub.errors import translate_errors

if TYPE_CHECKING:
    from huggingface_hub import HfApi

HARDWARE_REUSE_S = 3600.0
MINUTES = {"minute": 1.0, "hour": 60.0, "second": 1 / 60}


@dataclass(frozen=True)
class Hardware:
    """A flavour of machine. description: such as `8 vCPU, 30 GB, T4`."""

    name: str
    description: str
    usd_per_hour: float


@dataclass(frozen=True)
class ComputeJob:
    """stage: SCHEDULING, RUNNING, or how it ended: COMPLETED, CANCELED, ERROR, DELETED. message: the Hub's own."""

    id: str
    stage: str
    message: str
    running_s: float
    url: str


class BucketMount(NamedTuple):
    """folder: of the bucket; empty for all of it. path: where the container finds it."""

    bucket: str
    path: str
    folder: str = ""
    is_read_only: bool = False


def connect() -> HfApi:
    """Return the Hub's client, with the present token."""
    from huggingface_hub import HfApi

    return HfApi(token=credentials.current_token())


def require_jobs() -> str:
    """Return the name of the account that jobs run on. HubError without a token that may start jobs."""
    with translate_errors("your account", "account"):
        account = connect().whoami()
    token = account.get("auth", {}).get("accessToken", {})
    scopes = [name for entry in token.get("fineGrained", {}).get("scoped", []) for name in entry.get("permissions", [])]
    if token.get("role") == "read" or (token.get("role") == "fineGrained" and "job.write" not in scopes):
        raise HubError(
            f"The token of {account['name']} may not start jobs on the Hugging Face Hub; make one with write access "
            "(or the permission job.write) and set HF_TOKEN to it."
        )
    return str(account["name"])


def list_hardware() -> dict[str, Hardware]:
    """Return the flavours of machines by name, as the Hub listed them within the last hour."""
    return _list_hardware(int(time.monotonic() // HARDWARE_REUSE_S))


@functools.lru_cache(maxsize=1)
def _list_hardware(_: int) -> dict[str, Hardware]:
    with translate_errors("list of hardware", "jobs'"):
        listed = connect().list_jobs_hardware()
    return {
        each.name: Hardware(
            each.name,
            ", ".join([each.cpu, each.ram, *([each.accelerator.model] if each.accelerator else [])]),
            each.unit_cost_usd * 60 / MINUTES[each.unit_label],
        )
        for each in listed
    }


def run_job(
    name: str,
    image: str,
    command: Sequence[str],
    *,
    flavor: str,
    timeout_s: int,
    mounts: Sequence[BucketMount],
    environment: Mapping[str, str],
) -> str:
    """Start a job with these buckets mounted and the present token as its secret HF_TOKEN; return its id. HubError."""
    from huggingface_hub import Volume, get_token

    api = connect()
    token = get_token() if api.token is None else api.token
    with translate_errors(name, "job", writing=True):
        job = api.run_job(
            image=image,
            command=list(command),
            env=dict(environment),
            secrets={credentials.TOKEN_VARIABLES[0]: token} if token else None,
            flavor=flavor,
            timeout=timeout_s,
            name=name,
            volumes=[
                Volume(
                    type="bucket",
                    source=mount.bucket,
                    mount_path=mount.path,
                    path=mount.folder or None,
                    read_only=mount.is_read_only or None,
                )
                for mount in mounts
            ],
        )
    return str(job.id)


def inspect_job(job_id: str) -> ComputeJob:
    """Return the state of a job. NotOnHubError for one that is gone, HubError where the Hub does not answer."""
    with translate_errors(job_id, "job"):
        job = connect().inspect_job(job_id=job_id)
    running_s = float(job.durations.running_secs or 0) if job.durations else 0.0
    stage = str(getattr(job.status.stage, "value", job.status.stage))  # text where the client does not know it
    return ComputeJob(job.id, stage, job.status.message or "", running_s, job.url)


def cancel_job(job_id: str) -> None:
    """Cancel a job. HubError if the Hub does not do so."""
    with translate_errors(job_id, "job", writing=True):
        connect().cancel_job(job_id=job_id)
