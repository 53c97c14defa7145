"""Spaces on the Hub: published once, under a new name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from asrkit.errors import HubError
from asrkit.hub import credentials
from asrkit.hub.errors import translate_errors

WRITING_ROLES = ("write", "fineGrained")
"""Roles of tokens that may write; whether a fine-grained one may, the Hub says when the Space is made."""


def require_new_space(name: str) -> None:
    """Raise HubError unless this machine's token may make the Space `name`, and there is none of that name.

    Called before the work of hours whose result would be published.
    """
    from huggingface_hub import HfApi, errors

    if name.count("/") != 1:
        raise HubError(f"{name!r} is not a valid name of a Space; write OWNER/NAME.")
    api = HfApi(token=credentials.current_token())
    owner = name.partition("/")[0]
    with translate_errors(name, "Space", writing=True):
        try:
            user: dict[str, Any] = api.whoami()
        except errors.LocalTokenNotFoundError as error:
            raise HubError(
                f"{name} cannot be made without a token; log in with `hf auth login`, with one that may write."
            ) from error
        is_taken = api.repo_exists(name, repo_type="space")
    token = user.get("auth", {}).get("accessToken", {})
    if token.get("role", "write") not in WRITING_ROLES:
        raise HubError(f"{name} cannot be made: the token may only read; log in with `hf auth login`, with another.")
    if owner not in (user["name"], *(group["name"] for group in user.get("orgs", []))):
        raise HubError(f"{name} cannot be made: the token belongs to {user['name']}, who is not in {owner}.")
    if is_taken:
        raise HubError(f"There is a Space {name} already; choose another name, or delete it in its settings.")


def publish_space(name: str, files: Mapping[str, Path | bytes], sdk: str, private: bool) -> str:
    """Make the Space `name` of these files, and return its address. Raises HubError as `require_new_space` does."""
    from huggingface_hub import CommitOperationAdd, HfApi

    require_new_space(name)
    api = HfApi(token=credentials.current_token())
    with translate_errors(name, "Space", writing=True):
        url = api.create_repo(name, repo_type="space", space_sdk=sdk, private=private)
        api.create_commit(
            name,
            [CommitOperationAdd(path, content) for path, content in files.items()],
            repo_type="space",
            commit_message="Upload with asrkit",
        )
    return str(url)
