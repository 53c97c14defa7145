"""Who has signed in on a Space, by the session of Gradio's sign-in."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from asrkit.ui.security.deployment import Deployment

ADMINISTRATOR = "admin"


@dataclass(frozen=True)
class SignedInUser:
    """roles: organisation -> the user's role in it, empty if the user has not let the app know; None if the Hub has not
    said which organisations there are. Names of organisations are in lower case, as they are compared. expires_s: when
    the token does, as Unix time."""

    name: str
    hub_token: str = field(repr=False)
    roles: Mapping[str, str] | None
    expires_s: float = math.inf

    def operates(self, deployment: Deployment) -> bool:
        """Whether the user is an operator by name, or administers an organisation that is."""
        organisations = {name for name, role in (self.roles or {}).items() if role == ADMINISTRATOR}
        return bool(deployment.operators & {self.name.lower(), *organisations})

    def may_own(self, deployment: Deployment) -> bool:
        """Whether the user belongs to the organisation that owns the Space, as far as is known."""
        return self.roles is None or deployment.owner.lower() in self.roles


def signed_in_user(session: Mapping[str, Any]) -> SignedInUser | None:
    """Return the user of a session of Gradio's sign-in; None if there is none that is valid.

    The claims are those of https://huggingface.co/docs/hub/oauth: `orgs` lists the organisations, each with
    `preferred_username` and, if the user has granted access to it, `roleInOrg`.
    """
    from gradio.oauth import _get_valid_oauth_info_from_session

    info = _get_valid_oauth_info_from_session(dict(session)) or {}
    claims = info.get("userinfo") or {}
    name = str(claims.get("preferred_username") or "")
    if not name:
        return None
    listed = claims.get("orgs")
    roles = None
    if isinstance(listed, list):
        known = [each for each in listed if isinstance(each, dict)]
        roles = {str(each.get("preferred_username")).lower(): str(each.get("roleInOrg") or "") for each in known}
    return SignedInUser(name, str(info.get("access_token") or ""), roles, float(info.get("expires_at") or math.inf))
