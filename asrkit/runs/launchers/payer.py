"""Who pays for the job of a run, and with whose token the Hub is asked about it: the operator's, or a visitor's own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from asrkit.data import access
from asrkit.errors import HubError
from asrkit.hub import credentials
from asrkit.runs import ownership
from asrkit.runs.run import Run


def is_visitors(run: Run) -> bool:
    """Whether a visitor has started the run."""
    return access.owner_folder(ownership.read_ownership(run).owner) is not None


def is_abandoned(run: Run) -> bool:
    """Whether the run is that of a visitor who is not signed in any more."""
    return is_visitors(run) and not credentials.recall_token(ownership.read_ownership(run).owner)


@contextlib.contextmanager
def as_payer(run: Run) -> Iterator[None]:
    """Use the token of whoever pays for the run, whoever asks. HubError for a visitor whose token is not here."""
    reader, owner = None, ownership.read_ownership(run).owner
    if is_visitors(run):
        if is_abandoned(run):
            raise HubError(
                "Who started the run is not signed in here any more; its job goes on, and is followed again once they "
                "sign in."
            )
        reader = credentials.Reader(credentials.recall_token(owner))
    with credentials.as_reader(reader):
        yield
