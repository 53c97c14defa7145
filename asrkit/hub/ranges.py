"""Parts of the files of a repository, by range requests that outlast a broken link and a busy server."""

from __future__ import annotations

import email.utils
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from asrkit.errors import HubError, first_line
from asrkit.hub import credentials
from asrkit.hub.errors import translate_errors
from asrkit.hub.repositories import Kind
from asrkit.units import format_duration

OnWait = Callable[[str], None]
"""Called with a sentence, every second while a server is waited for, and with an empty text when it sends again. It may
raise to stop."""

BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses of a server that may answer the same request later."""
FIRST_WAIT_S, MAX_WAIT_S = 1.0, 60.0
MAX_OUTAGE_S = 3600.0
"""How long a server that sends nothing is waited for."""
POLL_S = 1.0
TIMEOUT_S = 30.0
"""Of a connection, and between two blocks of an answer."""

sleep = time.sleep


@dataclass(frozen=True)
class RemoteFile:
    """A file in one state (commit) of a repository."""

    repository: str
    kind: Kind
    commit: str
    path: str
    size: int

    def read(self, start: int, stop: int, on_wait: OnWait = lambda text: None) -> bytes:
        """Return the bytes from `start` to `stop`.

        Where the link breaks, is too slow or the server is busy, the rest is asked for again, after the time that the
        server names, for an hour. Raises HubError after that, and at once where the server refuses.
        """
        received, outage = bytearray(), _Outage(self.repository, on_wait)
        while (missing := stop - start - len(received)) > 0:
            try:
                for chunk in self._request(stop - missing, stop):
                    received += chunk
                    outage.end()
            except _Interrupted as reason:
                outage.wait(reason)
            else:
                if len(received) < stop - start:
                    outage.wait(_Interrupted("the link broke"))
        return bytes(received[: stop - start])

    def _request(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield what one request gets. Raises _Interrupted where it is worth another one."""
        import httpx2
        from huggingface_hub import hf_hub_url
        from huggingface_hub.utils import build_hf_headers, hf_raise_for_status  # type: ignore[attr-defined]

        url = hf_hub_url(self.repository, self.path, repo_type=self.kind, revision=self.commit)
        headers = build_hf_headers(token=credentials.current_token())
        headers |= {"Range": f"bytes={start}-{stop - 1}", "Accept-Encoding": "identity"}
        try:
            with _connect().stream("GET", url, headers=headers) as response:
                if response.status_code in BUSY:
                    raise _Interrupted(f"it answers {response.status_code}", _read_delay(response.headers))
                with translate_errors(self.repository, self.kind):
                    if response.is_error:
                        response.read()
                    hf_raise_for_status(response)
                if response.status_code != 206 and (start, stop) != (0, self.size):
                    raise HubError(
                        f"The Hugging Face Hub does not send parts of {self.path} of {self.repository}; set stream to "
                        "no, and all of it is fetched."
                    )
                yield from response.iter_raw()
        except httpx2.TransportError as error:
            raise _Interrupted(f"the link broke ({first_line(error).rstrip('.')})") from error


class _Interrupted(Exception):
    """A request that is worth another one. wait_s: what the server asks for."""

    def __init__(self, reason: str, wait_s: float | None = None) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


class _Outage:
    """The time in which a server sends nothing."""

    def __init__(self, name: str, on_wait: OnWait) -> None:
        self._name, self._on_wait = name, on_wait
        self._since: float | None = None
        self._next_wait_s = FIRST_WAIT_S

    def wait(self, reason: _Interrupted) -> None:
        """Wait before another request. Raises HubError where that has lasted too long."""
        now = time.monotonic()
        self._since = now if self._since is None else self._since
        if now - self._since > MAX_OUTAGE_S:
            raise HubError(
                f"{self._name} has sent nothing for {format_duration(now - self._since)} ({reason}); check the "
                "network, then start again or resume."
            ) from reason
        wait_s = self._next_wait_s if reason.wait_s is None else min(MAX_OUTAGE_S, reason.wait_s)
        self._next_wait_s = min(MAX_WAIT_S, 2 * self._next_wait_s)
        text = f"Waiting for {self._name}: {reason}; trying again in {format_duration(max(1.0, wait_s))}."
        self._on_wait(text)
        while wait_s > 0:
            sleep(min(POLL_S, wait_s))
            wait_s -= POLL_S
            self._on_wait(text)

    def end(self) -> None:
        """Note that the server sends."""
        if self._since is not None:
            self._on_wait("")
        self._since, self._next_wait_s = None, FIRST_WAIT_S


def _read_delay(headers: Any) -> float | None:
    """Return the seconds that the header Retry-After names, as a number or a date; None without one."""
    value = str(headers.get("Retry-After") or "").strip()
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


_clients: dict[int, Any] = {}


def _connect() -> Any:
    """Return the HTTP client of this process: its connections are not those of the process that it was forked from."""
    import httpx2

    if os.getpid() not in _clients:
        _clients.clear()
        _clients[os.getpid()] = httpx2.Client(follow_redirects=True, timeout=TIMEOUT_S)
    return _clients[os.getpid()]
