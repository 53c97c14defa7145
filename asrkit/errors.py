"""The exceptions that asrkit raises on purpose.

    AsrkitError
    ├── ConfigError        a setting that cannot work
    ├── DataError          a data set, a manifest, a transcript
    │   ├── AudioError     a recording
    │   ├── ColumnError    a table whose columns have to be chosen
    │   └── UndecidedError data that can be used once somebody decides what to leave out or to accept
    ├── ModelError         a checkpoint, a vocabulary
    ├── HubError           a repository on the Hugging Face Hub
    │   ├── ExistsOnHubError  one that would be overwritten
    │   ├── GatedError     one whose terms must be accepted first
    │   └── NotOnHubError  one that is not there, or not for us
    ├── QuotaError         more than one visitor, or all of them together, may have at once
    └── RunError           a run directory or its process

A message is one clear sentence for the person at the page or the terminal: what is wrong, where (file, row, field), and
what to do about it. Anything else that is raised is a bug.
"""

from collections.abc import Iterable


class AsrkitError(Exception):
    """An error that the user can correct; `str(error)` tells how."""


class ConfigError(AsrkitError):
    """A setting is unknown, out of range, or contradicts another one."""


class DataError(AsrkitError):
    """A data set cannot be read, or contains no usable clip."""


class AudioError(DataError):
    """A recording is missing, damaged, empty, silent or too short."""


class ColumnError(DataError):
    """A table has columns whose meaning its header does not tell. column_names: those to choose from."""

    def __init__(self, message: str, column_names: Iterable[str]) -> None:
        super().__init__(message)
        self.column_names = tuple(column_names)


class UndecidedError(DataError):
    """A data set has clips that cannot be used, or was read on assumptions that change what is learned from.

    settings: the switches that let a run start without these clips, or on these assumptions.
    """

    def __init__(self, message: str, settings: Iterable[str]) -> None:
        super().__init__(message)
        self.settings = tuple(settings)


class ModelError(AsrkitError):
    """A checkpoint cannot be found or loaded, or does not fit the data."""


class HubError(AsrkitError):
    """A repository on the Hub cannot be fetched: most likely the network or the Hub is down."""


class ExistsOnHubError(HubError):
    """There is a repository of the name to publish under, and nobody has asked for it to be replaced."""


class GatedError(HubError):
    """A repository on the Hub is gated: its terms must be accepted first, and a token sent."""


class NotOnHubError(HubError):
    """There is no such repository on the Hub, or it is private."""


class QuotaError(AsrkitError):
    """The request exceeds what one visitor, or all of them together, may have at once."""


class RunError(AsrkitError):
    """A run cannot be started, stopped, resumed or read."""


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or its type's name if the message is empty."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
