"""A repository on the Hugging Face Hub -> files on this disk, and back; one sentence where that cannot be.

Fetched files lie in the Hub client's own cache and are fetched once; without a network, what is there already is used,
but never a part of it in place of the whole.
"""

from asrkit.hub.fetching import fetch
from asrkit.hub.repositories import Kind, Repository, inspect_repository, publish

__all__ = ["Kind", "Repository", "fetch", "inspect_repository", "publish"]
