"""The Hugging Face Hub: fetch files of a repository, list them, and publish models and Spaces.

Fetched files lie in the Hub client's own cache and are fetched once. Without a network, files in the cache are used,
but only if all of them are there.
"""

from asrkit.hub.fetching import fetch, is_cached
from asrkit.hub.repositories import Kind, Repository, inspect_repository, publish, read_text
from asrkit.hub.spaces import publish_space, require_new_space

__all__ = [
    "Kind",
    "Repository",
    "fetch",
    "inspect_repository",
    "is_cached",
    "publish",
    "publish_space",
    "read_text",
    "require_new_space",
]
