"""Progress of work that takes a while."""

from __future__ import annotations

from collections.abc import Callable

ProgressCallback = Callable[[int, int], None]
"""Called with (done, total), such as bytes fetched and bytes to fetch. Raising from it cancels the work."""
