"""Translation of the Hub client's exceptions into ours, each with one sentence for the user."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator

from asrkit.errors import GatedError, HubError, NotOnHubError, first_line
from asrkit.hub import credentials

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)
"""Errors of this machine's disk, which are not translated."""

REFUSED = ("(401 Unauthorized)", "(403 Forbidden)")
"""In errors of the client's code for large files, which have no status of their own."""


@contextlib.contextmanager
def translate_errors(name: str, kind: str, writing: bool = False) -> Iterator[None]:
    """Raise GatedError, NotOnHubError or HubError for an exception of the client; OSError for one of the disk."""
    from huggingface_hub import errors

    try:
        yield
    except (errors.HfHubHTTPError, errors.HFValidationError, errors.HfUriError, ValueError) as error:
        raise (_publish_error(error, name) if writing else _fetch_error(error, name, kind)) from error
    # RuntimeError: raised for any error by the client's code for large files.
    except (
        errors.RevisionResolutionError,
        errors.HTTPError,  # type: ignore[attr-defined]  # re-exported from the client's HTTP library
        OSError,
        RuntimeError,
    ) as error:
        if isinstance(error, OSError) and error.errno in DISK_ERRORS:
            raise
        if writing and any(status in str(error) for status in REFUSED):
            raise HubError(f"{name} cannot be written on the Hugging Face Hub; {write_remedy()}.") from error
        raise HubError(
            f"The {kind} {name}: the Hugging Face Hub cannot be reached ({_reason(error)}); check the "
            "network and try again, or use what is on this machine."
        ) from error


def _publish_error(error: Exception, name: str) -> HubError:
    from huggingface_hub import errors

    if isinstance(error, errors.HfHubHTTPError):
        return HubError(
            f"{name} cannot be written on the Hugging Face Hub ({_reason(error)}); check the name, and "
            f"{write_remedy()}."
        )
    return HubError(f"The Hugging Face Hub rejected {name} ({_reason(error)}); correct that and publish again.")


def write_remedy() -> str:
    """Return what gives whoever acts a token that may write."""
    if credentials.is_operator():
        return "log in with `hf auth login` with a token that may write there"
    return "sign in again, where the sign-in asks for the right to publish (contribute-repos)"


def _fetch_error(error: Exception, name: str, kind: str) -> HubError:
    from huggingface_hub import constants, errors

    status = error.response.status_code if isinstance(error, errors.HfHubHTTPError) else 0
    if isinstance(error, errors.GatedRepoError):
        page = f"{constants.ENDPOINT}/{'datasets/' if kind == 'dataset' else ''}{name}"
        login = "set HF_TOKEN to a token of yours, or log in with `hf auth login`"
        then = login if credentials.is_operator() else "fetch its files yourself and upload them"
        return GatedError(f"The {kind} {name} is gated: accept its terms at {page}, then {then}.")
    if isinstance(error, (errors.RepositoryNotFoundError, errors.BucketNotFoundError, errors.HFValidationError)):
        if_yours = "set HF_TOKEN if it is yours" if credentials.is_operator() else "upload its files if it is yours"
        return NotOnHubError(
            f"There is no {kind} {name} on the Hugging Face Hub, or it is private; check the name, and {if_yours}."
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return NotOnHubError(f"The {kind} {name} on the Hugging Face Hub has no such revision; check its name.")
    if status in (401, 403):
        token = "the token in HF_TOKEN or of `hf auth login` may be wrong or expired: replace or remove it"
        remedy = token if credentials.is_operator() else "sign out and in again"
        return HubError(f"The Hugging Face Hub refuses {name} ({_reason(error)}); {remedy}.")
    other = "" if "bucket" in kind else ", or give a folder on this machine"
    return HubError(
        f"The {kind} {name} cannot be fetched from the Hugging Face Hub ({_reason(error)}); try again later{other}."
    )


def _reason(error: BaseException) -> str:
    """Return the Hub's own message, if it sent one, else the cause, such as an address that cannot be resolved."""
    message = getattr(error, "server_message", None) or first_line(
        error.__cause__ if isinstance(error.__cause__, OSError) and not hasattr(error, "response") else error
    )
    return str(message).rstrip(".: ")
