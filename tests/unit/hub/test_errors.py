"""Exceptions of the Hub's client become one sentence of ours."""

import errno

import pytest
from huggingface_hub.errors import HFValidationError, RevisionResolutionError

from asrkit.errors import HubError, NotOnHubError
from asrkit.hub.errors import DISK_ERRORS, translate_errors


@pytest.mark.parametrize("error", [ConnectionError("no route."), RuntimeError("broken pipe"), OSError(errno.EIO, "x")])
def test_unreachable_hub(error):
    match = "The dataset owner/name: the Hugging Face Hub cannot be reached"
    with pytest.raises(HubError, match=match) as caught, translate_errors("owner/name", "dataset"):
        raise error
    assert caught.value.__cause__ is error and ".)" not in str(caught.value)


@pytest.mark.parametrize("code", DISK_ERRORS)
def test_disk_errors_are_not_translated(code):
    with pytest.raises(OSError) as caught, translate_errors("owner/name", "model"):
        raise OSError(code, "disk")
    assert caught.value.errno == code


def test_malformed_name_is_not_on_the_hub():
    with pytest.raises(NotOnHubError, match="There is no model a b"), translate_errors("a b", "model"):
        raise HFValidationError("bad name")


def test_refused_content_is_named_when_publishing():
    match = r"rejected owner/name \(bad card\)"
    with pytest.raises(HubError, match=match), translate_errors("owner/name", "model", writing=True):
        raise ValueError("bad card")


def test_other_exceptions_pass():
    with pytest.raises(KeyError), translate_errors("owner/name", "model"):
        raise KeyError("bug")


def test_unresolved_revision_is_a_hub_error():
    with pytest.raises(HubError), translate_errors("owner/name", "model"):
        raise RevisionResolutionError("offline")
