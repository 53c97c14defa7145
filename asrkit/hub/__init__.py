"""The Hugging Face Hub: fetch files of a repository, list them, and publish models and Spaces.

Fetched files lie in the Hub client's own cache and are fetched once. Without a network, files in the cache are used,
but only if all of them are there.
"""

from asrkit.hub.fetching import fetch, is_cached, missing_bytes
from asrkit.hub.publishing import Target, publish, require_writable
from asrkit.hub.repositories import Kind, Repository, inspect_repository, read_text

__all__ = [
    "Kind",
    "Repository",
    "Target",
    "fetch",
    "inspect_repository",
    "is_cached",
    "missing_bytes",
    "publish",
    "read_text",
    "require_writable",
]
