"""A process for files that come from anybody: it reads what it is given, and can do nothing else.

`Sandbox` runs functions of this package in child processes that have no environment, no token, no network and no
programs to start, that may read their inputs and the libraries alone, and that have limits on memory, processor time
and files. What they return is data of a declared type (`messages`), never code.

`server` is the process that forks them, with the libraries imported, and `server_process` starts it; `confinement` is
what the kernel takes from them.
"""

from asrkit.sandbox.client import REQUIRED_VARIABLE, Sandbox, can_confine, limited, require
from asrkit.sandbox.limits import ResourceLimits

__all__ = ["REQUIRED_VARIABLE", "ResourceLimits", "Sandbox", "can_confine", "limited", "require"]
