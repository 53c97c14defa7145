"""Webhooks: a message to Slack, Discord or any address that takes JSON, when a run has ended.

The address lets in whoever knows it, so it is in no setting that is shown, archived or published: it stands in a hidden
file of the run directory. A process of its own waits for the end of the run, which it cannot slow or break, and sends
what the worker's last event says, or that there was none.
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import logging
import os
import socket
import ssl
import time
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from asrkit.errors import ConfigError, RunError
from asrkit.files import write_atomic
from asrkit.runs import lifecycle, summary
from asrkit.runs.companions import claimed, start_companion
from asrkit.runs.run import Run

logger = logging.getLogger(__name__)

POLL_INTERVAL_S = 2.0
TIMEOUT_S = 10.0
RETRY_DELAYS_S = (2.0, 10.0)
MAX_TEXT = 1500
"""Characters of a message; Discord takes 2,000."""


def resolve_url(url: str) -> str:
    """Return the webhook of a new run: its own, else ASRKIT_WEBHOOK; empty for none.

    Raises ConfigError for an address that messages cannot be sent to.
    """
    url = url or os.environ.get("ASRKIT_WEBHOOK", "")
    if url:
        _resolve(_parse(url))
    return url


def write_url(run: Run, url: str) -> None:
    """Keep the address, readable by this user alone."""
    with write_atomic(_url_path(run), mode=0o600) as file:
        file.write(url.encode())


def start_waiting(run: Run) -> None:
    """Start a detached process that sends the message when the run has ended; none without an address."""
    if _url_path(run).exists():
        start_companion(run, "webhook", "--wait", log_name="webhook.log")


def send(run: Run, url: str = "", wait: bool = False) -> bool:
    """Send the status of the run, if `wait` after it has ended; return whether there was a message to send.

    url: default: the run's own. There is none where the run has been deleted or another process waits already. Raises
    ConfigError for an address that cannot be used, and RunError where it does not take the message.
    """
    try:
        target = _parse(url or _url_path(run).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"Run {run.id} has no webhook; give an address (--url).") from None
    if not wait:
        _deliver(target, describe(run))
        return True
    with claimed(run.path / ".webhook.lock") as is_mine:
        if not is_mine:
            return False
        while lifecycle.is_unfinished(run):
            time.sleep(POLL_INTERVAL_S)
        if not run.config_path.exists():
            return False
        _deliver(target, describe(run))
        return True


def describe(run: Run) -> dict[str, Any]:
    """Return the message as JSON: `text` for people, and the fields of `runs show --json` that describe the end."""
    facts = summary.summarize_run(run)
    text = _describe_end(run, facts)
    kept = ("run_id", "name", "tags", "status", "step", "total_steps", "best", "error", "cost")
    codes = [finding["code"] for finding in facts["findings"]]
    return {"text": text, **{name: facts[name] for name in kept}, "findings": codes}


def _describe_end(run: Run, facts: dict[str, Any]) -> str:
    title = f"{facts['name']} ({run.id})" if facts["name"] else run.id
    parts = [f"Run {title} {'is ' if facts['status'] in lifecycle.ACTIVE else ''}{facts['status']}."]
    if facts["best"] and facts["best"]["wer"] is not None:
        clips = f" on {facts['best']['clips']} clips" if facts["best"]["clips"] else ""
        parts.append(f"WER {facts['best']['wer']:.1%} at its best, step {facts['best']['step']}{clips}.")
    if facts["error"]:
        parts.append(facts["error"])
    if facts["findings"]:
        parts.append(f"Found: {facts['findings'][-1]['cause']} {facts['findings'][-1]['remedy']}")
    return " ".join(parts)[:MAX_TEXT]


def _url_path(run: Run) -> Path:
    return run.path / ".webhook"


def _parse(url: str) -> SplitResult:
    problem = ConfigError("Webhook (webhook) is no address that starts with https:// or http://; copy it whole.")
    try:
        target = urlsplit(url.strip())
        if target.scheme not in ("http", "https") or not target.hostname or (target.port or 1) < 1:
            raise problem
        if any(not " " < letter <= "~" for letter in url.strip()):
            raise problem
    except ValueError:
        raise problem from None
    return target


def _resolve(target: SplitResult) -> str:
    """Return an address of the webhook's host. Raises ConfigError for one of this machine or its network.

    The connection is made to what was checked here: a second look at the name could give another address.
    """
    host = target.hostname or ""
    try:
        found = socket.getaddrinfo(host, _port(target), type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"The host of the webhook, {host}, cannot be found ({error}); check the address.") from None
    addresses = [str(info[4][0]) for info in found]
    if os.environ.get("ASRKIT_WEBHOOK_LOCAL") != "1" and not all(map(_is_public, addresses)):
        raise ConfigError(
            f"The webhook's host, {host}, is on this machine or its network, which messages are not sent to; "
            "ASRKIT_WEBHOOK_LOCAL=1 allows it."
        )
    return addresses[0]


def _is_public(text: str) -> bool:
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or address.sixtofour or address
    return address.is_global and not address.is_multicast


def _port(target: SplitResult) -> int:
    return target.port or (443 if target.scheme == "https" else 80)


def _format(target: SplitResult, message: dict[str, Any]) -> bytes:
    """Return the body that the host takes: Slack and Discord take nothing but a text."""
    host = target.hostname or ""
    if host == "hooks.slack.com":
        message = {"text": message["text"]}
    elif host in ("discord.com", "discordapp.com") or host.endswith(".discord.com"):
        message = {"content": message["text"], "allowed_mentions": {"parse": []}}
    return json.dumps(message).encode()


def _deliver(target: SplitResult, message: dict[str, Any]) -> None:
    """Send the message, again after a pause where the host is out of reach or busy. RunError if it is not taken."""
    body = _format(target, message)
    for delay in (*RETRY_DELAYS_S, None):
        try:
            status = _post(target, body)
        except (OSError, http.client.HTTPException) as error:
            status, problem = 0, f"cannot be reached ({error})"
        else:
            if 200 <= status < 300:
                return
            problem = f"answered {status}" + (" (a redirect, which is not followed)" if 300 <= status < 400 else "")
        if delay is None or (status and status != 429 and status < 500):
            raise RunError(f"The webhook at {target.hostname} {problem}; the message was not delivered.")
        logger.warning("The webhook at %s %s; trying again in %g s.", target.hostname, problem, delay)
        time.sleep(delay)


def _post(target: SplitResult, body: bytes) -> int:
    """Send the body and return the status. Redirects are not followed: they could lead into this network."""
    with socket.create_connection((_resolve(target), _port(target)), timeout=TIMEOUT_S) as plain:
        name = target.hostname or ""
        connection: http.client.HTTPConnection
        if target.scheme == "https":
            connection = http.client.HTTPSConnection(name, _port(target))
            connection.sock = ssl.create_default_context().wrap_socket(plain, server_hostname=name)
        else:
            connection = http.client.HTTPConnection(name, _port(target))
            connection.sock = plain
        path = (target.path or "/") + (f"?{target.query}" if target.query else "")
        try:
            connection.request("POST", path, body, {"Content-Type": "application/json", "User-Agent": "asrkit"})
            return connection.getresponse().status
        finally:
            connection.close()
