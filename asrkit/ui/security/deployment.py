"""How an app is reached and by whom: on one's own machine, on a server with a password, in public, or on a Space."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from asrkit import sandbox
from asrkit.errors import ConfigError
from asrkit.files import readable_disk_errors, write_atomic
from asrkit.ui.security.permissions import Action
from asrkit.ui.security.quotas import Quotas, read_quotas

OAUTH_VARIABLES = ("OAUTH_CLIENT_ID", "OAUTH_CLIENT_SECRET", "OAUTH_SCOPES", "OPENID_PROVIDER_URL")
"""Set by a Space whose front matter has `hf_oauth`."""

RENT, RENT_SCOPES = "ASRKIT_VISITORS_RENT", ("jobs", "contribute-repos")
"""Environment variable that lets visitors of a Space rent machines with their own accounts, and the scopes that the
sign-in then has to ask for: to start jobs, and to make a bucket for their files."""

LOOPBACK_NAMES = ("127.0.0.1", "localhost", "::1")
ANY_ADDRESS = ("0.0.0.0", "::", "")
MIN_PASSWORD_LENGTH, MIN_TOKEN_LENGTH = 8, 32
TOKEN_FILE = ".token"


class Kind(StrEnum):
    """LOCAL: only this machine connects. SERVER: others do, who know the password. PUBLIC: anybody. SPACE: a Hugging
    Face Space, where people sign in."""

    LOCAL = "local"
    SERVER = "server"
    PUBLIC = "public"
    SPACE = "space"


@dataclass(frozen=True)
class Deployment:
    """What the guard has to know.

    hosts: the names, with port where it is not the scheme's own, under which the app may be asked. origins: those of
    its own pages. token: what a program sends, and what the printed link carries. password: of a server; empty for
    none. is_password_made: it was drawn at the start, not set by the operator. owner: of a Space, a user or an
    organisation. operators: the users who operate it, and organisations whose administrators do; lower case.
    is_secure: pages come over https. has_sign_in: whether a Space has OAuth. visitor_grants, anonymous_grants: what
    the operator allows them beyond the table of roles. quotas: how much they may ask for. missing_scopes: what the
    sign-in of a Space does not ask for, although visitors may rent machines.
    """

    kind: Kind
    url: str
    hosts: frozenset[str]
    origins: frozenset[str]
    token: str = field(repr=False)
    password: str = field(default="", repr=False)
    is_password_made: bool = False
    owner: str = ""
    operators: frozenset[str] = frozenset()
    is_secure: bool = False
    has_sign_in: bool = False
    visitor_grants: frozenset[Action] = frozenset()
    anonymous_grants: frozenset[Action] = frozenset()
    quotas: Quotas = field(default_factory=Quotas)
    missing_scopes: tuple[str, ...] = ()

    @property
    def is_shared(self) -> bool:
        """Whether others than who started it may use the app, if only through a proxy and with a password."""
        return self.kind != Kind.LOCAL or bool(self.password)

    @property
    def has_visitors(self) -> bool:
        """Whether others than operators may use the app."""
        return self.kind in (Kind.PUBLIC, Kind.SPACE)

    def describe(self) -> str:
        """Return the lines that the app prints once it is ready."""
        if self.kind == Kind.SPACE:
            note = (
                ""
                if self.has_sign_in
                else "; visitors can only transcribe, because the Space has no sign-in (hf_oauth)"
            )
            if self.missing_scopes:
                scopes = ", ".join(self.missing_scopes)
                note += f"; visitors cannot rent machines, because hf_oauth_scopes in the front matter lacks {scopes}"
            if not sandbox.can_confine():
                note += "; it reads no files, because the kernel cannot confine what reads them (Landlock)"
            return f"asrkit is ready at {self.url}{note}"
        lines = [f"asrkit is ready at {self.link}"]
        if self.has_visitors and not sandbox.can_confine():
            lines.append("It reads no files, because this machine's kernel cannot confine what reads them (Landlock).")
        if self.password:
            shown = self.password if self.is_password_made else "in ASRKIT_PASSWORD"
            lines.append(f"Others open {self.url} and sign in with the password {shown}")
        return "\n".join(lines)

    @property
    def link(self) -> str:
        """The link that makes whoever opens it the operator."""
        return f"{self.url}?token={self.token}"


def make_deployment(
    host: str,
    port: int,
    public_url: str = "",
    is_public: bool = False,
    token: str = "",
    environ: Mapping[str, str] = os.environ,
) -> Deployment:
    """Describe the app that listens to `host` and `port`.

    public_url: its address behind a proxy or a tunnel. is_public: let in anybody, with few rights. token: see
    `keep_token`; random if empty. Reads ASRKIT_PASSWORD, ASRKIT_OPERATORS, ASRKIT_VISITORS_TRAIN, ASRKIT_VISITORS_RENT,
    ASRKIT_ANONYMOUS_DATA and a Space's own variables. Raises ConfigError for an address or a password that cannot be
    used.
    """
    is_space = bool(environ.get("SPACE_ID"))
    hosts = set(_list_hosts(host, port))
    url = f"http://{_format_host(host)}:{port}/"
    if public_url:
        url = _check_public_url(public_url)
        hosts.add(urlsplit(url).netloc.lower())
    if is_space:
        names = [name.strip() for name in environ.get("SPACE_HOST", "").split(",") if name.strip()]
        hosts.update(name.lower() for name in names)
        url = f"https://{names[0]}/" if names else url
    schemes, given = ("http", "https"), _read_password(environ)
    kind = _choose_kind(host, is_public, is_space)
    return Deployment(
        kind=kind,
        url=url,
        hosts=frozenset(hosts),
        origins=frozenset(f"{scheme}://{name}" for name in hosts for scheme in schemes),
        token=token or secrets.token_urlsafe(24),
        password=given or (secrets.token_urlsafe(9) if kind == Kind.SERVER else ""),
        is_password_made=kind == Kind.SERVER and not given,
        owner=_find_owner(environ) if is_space else "",
        operators=_list_operators(environ) if is_space else frozenset(),
        is_secure=url.startswith("https:"),
        has_sign_in=is_space and environ.get("SYSTEM") == "spaces" and all(map(environ.get, OAUTH_VARIABLES)),
        visitor_grants=_list_visitor_grants(environ, is_space),
        anonymous_grants=frozenset({Action.USE_OWN_DATA} if _is_set(environ, "ASRKIT_ANONYMOUS_DATA") else ()),
        quotas=read_quotas(environ),
        missing_scopes=tuple(_list_missing_scopes(environ)) if is_space and _is_set(environ, RENT) else (),
    )


def _list_visitor_grants(environ: Mapping[str, str], is_space: bool) -> frozenset[Action]:
    trains = {Action.START_RUN} if _is_set(environ, "ASRKIT_VISITORS_TRAIN") else set()
    rents = (
        {Action.RENT_MACHINE} if is_space and _is_set(environ, RENT) and not _list_missing_scopes(environ) else set()
    )
    return frozenset(trains | rents)


def _list_missing_scopes(environ: Mapping[str, str]) -> list[str]:
    """List what the sign-in of a Space does not ask for, and visitors need to rent a machine."""
    return [scope for scope in RENT_SCOPES if scope not in environ.get("OAUTH_SCOPES", "").split()]


def keep_token(folder: Path, environ: Mapping[str, str] = os.environ) -> str:
    """Return ASRKIT_TOKEN, else a random token that is kept in `folder`, so that open pages outlive a restart.

    Only the user who runs the app can read the file; one that others can read is replaced.
    """
    if token := environ.get("ASRKIT_TOKEN"):
        return token
    path = folder / TOKEN_FILE
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        with os.fdopen(descriptor, encoding="ascii", errors="replace") as file:
            stat, token = os.fstat(descriptor), file.read().strip()
        if stat.st_uid == os.getuid() and not stat.st_mode & 0o077 and len(token) >= MIN_TOKEN_LENGTH:
            return token
    token = secrets.token_urlsafe(24)
    with readable_disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with write_atomic(path, mode=0o600) as draft:
            draft.write(token.encode())
    return token


def _choose_kind(host: str, is_public: bool, is_space: bool) -> Kind:
    if is_space:
        return Kind.SPACE
    if is_public:
        return Kind.PUBLIC
    return Kind.LOCAL if host in LOOPBACK_NAMES else Kind.SERVER


def _read_password(environ: Mapping[str, str]) -> str:
    password = environ.get("ASRKIT_PASSWORD", "")
    if password and len(password) < MIN_PASSWORD_LENGTH:
        raise ConfigError(
            f"The password in ASRKIT_PASSWORD has {len(password)} characters; give it at least {MIN_PASSWORD_LENGTH}."
        )
    return password


def _list_operators(environ: Mapping[str, str]) -> frozenset[str]:
    named = environ.get("ASRKIT_OPERATORS", "").replace(",", " ").split()
    return frozenset(name.lower() for name in (*named, _find_owner(environ)) if name)


def _find_owner(environ: Mapping[str, str]) -> str:
    return environ.get("SPACE_AUTHOR_NAME") or environ.get("SPACE_ID", "").partition("/")[0]


def _list_hosts(host: str, port: int) -> Iterator[str]:
    """Yield the Host headers that name this machine, as browsers write them."""
    names = {host} if host not in ANY_ADDRESS else {socket.gethostname(), socket.getfqdn(), *_list_addresses()}
    for name in {*names, *LOOPBACK_NAMES}:
        formatted = _format_host(name).lower()
        yield f"{formatted}:{port}"
        if port in (80, 443):
            yield formatted


def _list_addresses() -> Iterator[str]:
    for addresses in psutil.net_if_addrs().values():
        for one in addresses:
            if one.family in (socket.AF_INET, socket.AF_INET6):
                yield one.address.partition("%")[0]


def _format_host(host: str) -> str:
    if host in ANY_ADDRESS:
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def _check_public_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ConfigError(f"--public-url is {text!r}; give the whole address, such as https://asr.example.org/.")
    return text if text.endswith("/") else f"{text}/"


def _is_set(environ: Mapping[str, str], name: str) -> bool:
    return environ.get(name, "").strip().lower() in ("1", "true", "yes", "on")
