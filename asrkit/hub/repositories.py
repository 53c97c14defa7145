"""What is in a repository: asked of the Hub, remembered for when it cannot be asked; and a model put there."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from asrkit.errors import HubError
from asrkit.hub.errors import translate_errors

Kind = Literal["model", "dataset"]
OLD_WEIGHTS = (".safetensors", ".bin", ".index.json", "words.txt")
"""Of a model that is replaced: what would be loaded beside the new one."""


@dataclass(frozen=True)
class Repository:
    """One state of a repository: sizes has each of its files, in bytes. remembered: the Hub could not be asked."""

    name: str
    kind: Kind
    commit: str
    sizes: Mapping[str, int]
    remembered: bool = False

    def remember(self, about: str, told: Any) -> None:
        """Keep something that is true of this state, as JSON."""
        path = self._memory(about)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        partial.write_text(json.dumps(told), encoding="utf-8")
        os.replace(partial, path)

    def recall(self, about: str) -> Any | None:
        """What was kept of this state, or None."""
        try:
            return json.loads(self._memory(about).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None

    def _memory(self, about: str) -> Path:
        from huggingface_hub import constants

        folder = f"{self.kind}s--{self.name.replace('/', '--')}"
        return Path(constants.HF_HOME, "asrkit", folder, self.commit, f"{about or '-'}.json")


def inspect_repository(name: str, kind: Kind, revision: str | None = None) -> Repository:
    """What is in the repository now; where the Hub cannot be reached, what was there when it was looked at last.

    Raises GatedError, NotOnHubError or HubError if it is not for everybody, not there, or not reached.
    """
    from huggingface_hub import HfApi, errors

    api = HfApi()
    with translate_errors(name, kind):
        commit = str(api.resolve_revision(name, repo_type=kind, revision=revision).resolved)  # which remembers it
        try:
            told = api.repo_info(name, repo_type=kind, revision=commit, files_metadata=True)
            if told.gated:  # its list of files is for everybody, the files are not
                api.auth_check(name, repo_type=kind)
        except (errors.HTTPError, OSError) as error:
            status = error.response.status_code if isinstance(error, errors.HfHubHTTPError) else 500
            sizes = Repository(name, kind, commit, {}).recall("sizes") if status >= 500 else None
            if sizes is None:
                raise
            return Repository(name, kind, commit, sizes, remembered=True)
        found = Repository(name, kind, commit, {file.rfilename: file.size or 0 for file in told.siblings})
        found.remember("sizes", dict(found.sizes))
    return found


def publish(name: str, files: Mapping[str, Path | bytes], private: bool) -> str:
    """Put `files` into the model repository `name`, made where there is none, in one commit; weights of another model
    that lie there are removed. -> its address.

    Raises HubError if this machine's token may not write there, if the repository is there and public though it is to
    be private, or the Hub cannot be reached.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, errors

    if name.count("/") != 1:
        raise HubError(f"{name!r} is no name for a model; write OWNER/NAME.")
    api = HfApi()
    with translate_errors(name, "model", writing=True):
        try:
            there = api.repo_info(name)
        except errors.RepositoryNotFoundError:
            api.create_repo(name, private=private)
            old: list[str] = []
        else:
            if private and not there.private:
                raise HubError(
                    f"{name} is on the Hugging Face Hub already, for everybody; make it private in its "
                    "settings first, or choose another name."
                )
            old = [
                file.rfilename
                for file in there.siblings
                if file.rfilename.endswith(OLD_WEIGHTS) and file.rfilename not in files
            ]
        api.create_commit(
            name,
            [*(CommitOperationAdd(path, content) for path, content in files.items()), *map(CommitOperationDelete, old)],
            commit_message="Model trained with asrkit",
        )
    return f"{api.endpoint}/{name}"
