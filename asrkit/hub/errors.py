"""What the Hub's client raises -> one sentence of ours."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator

from asrkit.errors import GatedError, HubError, NotOnHubError, first_line

DISK = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)
"""Errors of this machine's disk, which say themselves what is wrong."""


@contextlib.contextmanager
def translate_errors(name: str, kind: str, writing: bool = False) -> Iterator[None]:
    """Raises GatedError, NotOnHubError or HubError for whatever the client says; OSError for the disk."""
    from huggingface_hub import errors

    try:
        yield
    except (errors.HfHubHTTPError, errors.HFValidationError, errors.HfUriError, ValueError) as error:
        raise (_unwritten if writing else _refused)(error, name, kind) from error
    # RuntimeError: what fetches big files in pieces says so, whatever it was.
    except (errors.RevisionResolutionError, errors.HTTPError, OSError, RuntimeError) as error:
        if isinstance(error, OSError) and error.errno in DISK:
            raise
        raise HubError(
            f"The {kind} {name}: the Hugging Face Hub cannot be reached ({_reason(error)}); check the "
            "network and try again, or use what is on this machine."
        ) from error


def _unwritten(error: Exception, name: str, kind: str) -> HubError:
    from huggingface_hub import errors

    if isinstance(error, errors.HfHubHTTPError):
        return HubError(
            f"{name} cannot be written on the Hugging Face Hub ({_reason(error)}); check the name, and "
            "log in with `hf auth login` with a token that may write there."
        )
    return HubError(f"The Hugging Face Hub does not take {name} so ({_reason(error)}); mend that and publish again.")


def _refused(error: Exception, name: str, kind: str) -> HubError:
    """What an answer of the Hub means that is no file."""
    from huggingface_hub import constants, errors

    status = error.response.status_code if isinstance(error, errors.HfHubHTTPError) else 0
    if isinstance(error, errors.GatedRepoError):
        page = f"{constants.ENDPOINT}/{'datasets/' if kind == 'dataset' else ''}{name}"
        return GatedError(
            f"The {kind} {name} is gated: accept its terms at {page}, then set HF_TOKEN to a token of "
            "yours, or log in with `hf auth login`."
        )
    if isinstance(error, (errors.RepositoryNotFoundError, errors.HFValidationError)):
        return NotOnHubError(
            f"There is no {kind} {name} on the Hugging Face Hub, or it is private; check the name, "
            "and set HF_TOKEN if it is yours."
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return NotOnHubError(f"The {kind} {name} on the Hugging Face Hub has no such revision; check it.")
    if status in (401, 403):
        return HubError(
            f"The Hugging Face Hub refuses {name} ({_reason(error)}); the token in HF_TOKEN or of "
            "`hf auth login` may be wrong or expired: replace or remove it."
        )
    return HubError(
        f"The {kind} {name} cannot be fetched from the Hugging Face Hub ({_reason(error)}); try again "
        "later, or give a folder on this machine."
    )


def _reason(error: BaseException) -> str:
    """The Hub's own words where it has some; of an address that cannot be resolved, why."""
    told = getattr(error, "server_message", None) or first_line(
        error.__cause__ if isinstance(error.__cause__, OSError) and not hasattr(error, "response") else error
    )
    return str(told).rstrip(".: ")
