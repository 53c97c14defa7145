"""Repositories on the Hub: their files, cached for when the Hub cannot be reached."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from asrkit.files import write_json
from asrkit.hub import credentials
from asrkit.hub.errors import translate_errors

Kind = Literal["model", "dataset"]


@dataclass(frozen=True)
class Repository:
    """One state (commit) of a repository.

    sizes: file -> bytes. offline: whether the state comes from the cache, because the Hub could not be reached.
    """

    name: str
    kind: Kind
    commit: str
    sizes: Mapping[str, int]
    offline: bool = False

    def save_cached(self, key: str, value: Any) -> None:
        """Cache `value`, which is true of this state, as JSON."""
        path = self._cache_path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, value)

    def load_cached(self, key: str) -> Any | None:
        """Load a value cached for this state; None if there is none."""
        try:
            return json.loads(self._cache_path(key).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None

    def _cache_path(self, key: str) -> Path:
        folder = f"{self.kind}s--{self.name.replace('/', '--')}"
        return Path(credentials.home_dir(self.kind), "asrkit", folder, self.commit, f"{key or '-'}.json")


def inspect_repository(name: str, kind: Kind, revision: str | None = None) -> Repository:
    """List the files of a repository; if the Hub cannot be reached, those of the last inspection.

    Raises GatedError, NotOnHubError or HubError for a repository that is gated, does not exist, or cannot be reached.
    """
    from huggingface_hub import HfApi, errors

    api, cache = HfApi(token=credentials.current_token()), credentials.cache_dir(kind)
    with translate_errors(name, kind):
        # Resolves to the last known commit without a network.
        resolved = api.resolve_revision(name, repo_type=kind, revision=revision, cache_dir=cache).resolved
        commit = str(resolved)
        try:
            request = api.dataset_info if kind == "dataset" else api.model_info
            info = request(name, revision=commit, files_metadata=True)
            if info.gated:  # everybody may list its files, but not fetch them
                api.auth_check(name, repo_type=kind)
        except (errors.HTTPError, OSError) as error:  # type: ignore[attr-defined]  # of the client's HTTP library
            status = error.response.status_code if isinstance(error, errors.HfHubHTTPError) else 500
            sizes = Repository(name, kind, commit, {}).load_cached("sizes") if status >= 500 else None
            if sizes is None:
                raise
            return Repository(name, kind, commit, sizes, offline=True)
        repository = Repository(name, kind, commit, {file.rfilename: file.size or 0 for file in info.siblings or []})
        repository.save_cached("sizes", dict(repository.sizes))
    return repository


def read_text(repository: Repository, path: str) -> str:
    """Return the text of a small file of a repository, fetched in this process. HubError if it cannot be fetched."""
    from huggingface_hub import HfApi

    name, kind = repository.name, repository.kind
    api = HfApi(token=credentials.current_token())
    with translate_errors(name, kind):
        file = api.hf_hub_download(
            name, path, repo_type=kind, revision=repository.commit, cache_dir=credentials.cache_dir(kind)
        )
    return Path(file).read_text(encoding="utf-8", errors="replace")
