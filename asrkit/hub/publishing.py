"""Publication on the Hub: models and Spaces. One of the same name is replaced only if that is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from asrkit.errors import ExistsOnHubError, HubError
from asrkit.hub import credentials
from asrkit.hub.errors import translate_errors, write_remedy

TargetKind = Literal["model", "space"]
NOUNS: Mapping[TargetKind, str] = {"model": "model", "space": "Space"}
WRITING_ROLES = ("write", "fineGrained")
"""Roles of tokens that may write; for a fine-grained one its permissions say where."""
WRITE_PERMISSION = "repo.write"
HUB_FILE = ".gitattributes"
"""Which the Hub writes into every repository."""
REPLACED_SUFFIXES = (".safetensors", ".bin", ".index.json", "words.txt")
"""Files of a model that would be loaded beside those of the one that replaces it."""


@dataclass(frozen=True)
class Target:
    """A repository to publish into. replace: whether one of that name may be replaced."""

    name: str
    kind: TargetKind
    private: bool = True
    replace: bool = False

    @property
    def noun(self) -> str:
        return NOUNS[self.kind]


def require_writable(target: Target) -> list[str]:
    """Return the files that `target` has already; called before the work whose result is to be published.

    Raises HubError unless the current token may write there; ExistsOnHubError where there is a repository of that name
    that is not to be replaced; HubError for a public one where a private one is wanted.
    """
    from huggingface_hub import HfApi, errors, get_token

    name, noun = target.name, target.noun
    if name.count("/") != 1:
        raise HubError(f"{name!r} is not a valid name of a {noun}; write OWNER/NAME.")
    token = credentials.current_token()
    if token is False or not (token or get_token()):
        raise HubError(f"{name} cannot be written on the Hugging Face Hub without a token; {write_remedy()}.")
    api = HfApi(token=token)
    with translate_errors(name, noun, writing=True):
        _check_token(api.whoami(), name)
        inspect = api.space_info if target.kind == "space" else api.model_info
        try:
            info = inspect(name)
        except errors.RepositoryNotFoundError:
            return []
    if not target.replace:
        raise ExistsOnHubError(f"There is a {noun} {name} already; choose another name, or replace it.")
    if target.private and not info.private:
        raise HubError(
            f"The {noun} {name} is public on the Hugging Face Hub; make it private in its settings first, publish "
            "publicly, or choose another name."
        )
    return [file.rfilename for file in getattr(info, "siblings", None) or []]  # a kernel, a kind of its own, has none


def _check_token(user: Mapping[str, Any], name: str) -> None:
    """Raise HubError unless a token may write the repository `name`. user: what the Hub says about it (`whoami`)."""
    owner = name.partition("/")[0]
    if owner not in (user["name"], *(group["name"] for group in user.get("orgs", []))):
        raise HubError(f"{name} cannot be written: the token belongs to {user['name']}, who is not in {owner}.")
    token = user.get("auth", {}).get("accessToken", {})
    if token.get("role", "write") not in WRITING_ROLES:
        raise HubError(f"{name} cannot be written: the token may only read; {write_remedy()}.")
    scopes = token.get("fineGrained", {}).get("scoped", [])
    named = [scope["permissions"] for scope in scopes if scope.get("entity", {}).get("name") in (owner, name)]
    if scopes and not any(WRITE_PERMISSION in permissions for permissions in named):
        raise HubError(f"{name} cannot be written: the token may not write repositories of {owner}; {write_remedy()}.")


def _is_replaced(target: Target, path: str) -> bool:
    return path.endswith(REPLACED_SUFFIXES) if target.kind == "model" else path != HUB_FILE


def publish(target: Target, files: Mapping[str, Path | bytes], sdk: str | None = None) -> str:
    """Upload `files`, by their paths there, in one commit, and return the address. sdk: of a Space.

    What the repository has besides is removed: of a model, files that would be loaded beside the new ones, of a Space
    all. Raises as `require_writable` does.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    present = require_writable(target)
    replaced = [path for path in present if path not in files and _is_replaced(target, path)]
    api = HfApi(token=credentials.current_token())
    with translate_errors(target.name, target.noun, writing=True):
        url = api.create_repo(
            target.name, repo_type=target.kind, space_sdk=sdk, private=target.private, exist_ok=target.replace
        )
        api.create_commit(
            target.name,
            [
                *(CommitOperationAdd(path, content) for path, content in files.items()),
                *map(CommitOperationDelete, replaced),
            ],
            repo_type=target.kind,
            commit_message="Upload with asrkit",
        )
    return str(url)
