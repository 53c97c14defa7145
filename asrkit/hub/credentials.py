"""Who reads the Hub: the token that is sent, and the cache that is used.

On one's own machine the Hub client finds both by itself. On an app that others use too, the operator's token leaves the
environment when the app starts (`withhold_token`), so that nothing that is started or read there finds it, and is
handed to the operator's own reads only. A visitor reads with their own token or none, and fetches datasets into a cache
of their own: what the operator's token has fetched into the common one may be private.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, MutableMapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

TOKEN_VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
WITHHELD = "ASRKIT_HUB_TOKEN_WITHHELD"
"""Environment variable of processes that act for a visitor on an app that has a token."""

Token = str | Literal[False] | None
"""Of the Hub client: None is the login of this machine, False is none."""

MAX_KEPT_TOKENS = 1000

_operators_token: str | None = None
_kept_tokens: dict[str, tuple[str, float]] = {}


@dataclass(frozen=True)
class Reader:
    """token: sent to the Hub. home: the folder of the cache; None for $HF_HOME. max_bytes: what may be in `home`."""

    token: Token = field(default=None, repr=False)
    home: Path | None = None
    max_bytes: int | None = None


_reader: ContextVar[Reader | None] = ContextVar("hub_reader", default=None)


@contextlib.contextmanager
def as_reader(reader: Reader | None) -> Iterator[None]:
    """Read the Hub as `reader`; None is the operator."""
    token = _reader.set(reader)
    try:
        yield
    finally:
        _reader.reset(token)


def is_operator() -> bool:
    """Whether the operator reads, who can give this machine a token."""
    return _reader.get() is None


def current_token() -> Token:
    """Return the token for requests to the Hub."""
    reader = _reader.get()
    return _operators_token if reader is None else reader.token


def home_dir(kind: str) -> Path:
    """Return the folder of what is kept of repositories of a kind, `model` or `dataset`.

    Models are in one folder for all: visitors use those that the operator has listed.
    """
    from huggingface_hub import constants

    reader = _reader.get()
    if reader is None or reader.home is None or kind == "model":
        return Path(constants.HF_HOME)
    return reader.home


def room_bytes(kind: str) -> int | None:
    """Return how much more may be fetched of repositories of a kind; None for whatever the disk takes."""
    reader, home = _reader.get(), home_dir(kind)
    if reader is None or reader.max_bytes is None or home != reader.home:
        return None
    held = 0
    for parent, _, names in os.walk(home):
        for name in names:
            with contextlib.suppress(FileNotFoundError):  # another fetch has completed it
                held += os.lstat(os.path.join(parent, name)).st_size
    return max(0, reader.max_bytes - held)


def cache_dir(kind: str) -> Path:
    """Return the cache of the Hub client for repositories of a kind."""
    from huggingface_hub import constants

    home = home_dir(kind)
    return Path(constants.HF_HUB_CACHE) if home == Path(constants.HF_HOME) else home / "hub"


def withhold_token(environ: MutableMapping[str, str] = os.environ) -> None:
    """Take the operator's token out of the environment and keep it for the operator's reads."""
    global _operators_token
    found = [environ.pop(name) for name in TOKEN_VARIABLES if environ.get(name)]
    if found:
        _operators_token = found[0]


def keep_token(owner: str, token: str, expires_s: float) -> None:
    """Keep a visitor's own token in memory, for what goes on for them after their request; the latest of each.

    expires_s: when it does, as Unix time.
    """
    _kept_tokens.pop(owner, None)
    _kept_tokens[owner] = token, expires_s
    while len(_kept_tokens) > MAX_KEPT_TOKENS:
        _kept_tokens.pop(next(iter(_kept_tokens)), None)


def recall_token(owner: str) -> str:
    """Return the token that was kept for a visitor; empty if there is none that is still valid."""
    token, expires_s = _kept_tokens.get(owner, ("", 0.0))
    return token if time.time() < expires_s else ""


def worker_environment(environ: MutableMapping[str, str], is_operators: bool) -> dict[str, str]:
    """Return `environ` for a worker: with the operator's token for the operator's runs, without any for others."""
    kept = {name: value for name, value in environ.items() if name not in (*TOKEN_VARIABLES, WITHHELD)}
    if is_operators:
        known = {name: environ[name] for name in TOKEN_VARIABLES if name in environ}
        return kept | known | ({TOKEN_VARIABLES[0]: _operators_token} if _operators_token else {})
    has_token = _operators_token or any(environ.get(name) for name in TOKEN_VARIABLES) or environ.get(WITHHELD)
    return kept | ({WITHHELD: "1"} if has_token else {})


def is_withheld() -> bool:
    """Whether this process acts for a visitor, and must leave the operator's runs to the app, which has the token."""
    return bool(os.environ.get(WITHHELD))
