"""Tests of apps for strangers that read files: without Landlock in the kernel, such an app refuses them (by design)."""

import pytest

from asrkit import sandbox

needs_landlock = pytest.mark.skipif(not sandbox.can_confine(), reason="this kernel has no Landlock")
