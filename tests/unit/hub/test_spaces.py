import pytest

from asrkit import hub
from asrkit.errors import HubError


@pytest.fixture
def writable(served, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_good")
    return served


def test_space_is_made_with_its_files(writable):
    address = hub.publish_space("tiny/page", {"index.html": b"<p>", "runtime/a.wasm": b"\0"}, "static", private=True)
    assert address == f"{writable.url}/spaces/tiny/page"
    folder = writable.root / "spaces/tiny/page"
    assert (folder / "index.html").read_bytes() == b"<p>" and (folder / "runtime/a.wasm").read_bytes() == b"\0"
    assert "tiny/page" in writable.private


def test_public_space_is_not_private(writable):
    hub.publish_space("tiny/page", {"index.html": b""}, "static", private=False)
    assert "tiny/page" not in writable.private


def test_existing_space_is_not_replaced(writable):
    folder = writable.root / "spaces/tiny/page"
    folder.mkdir(parents=True)
    with pytest.raises(HubError, match="There is a Space tiny/page already"):
        hub.publish_space("tiny/page", {"index.html": b""}, "static", private=True)
    assert list(folder.iterdir()) == []


def test_token_that_may_only_read_is_refused(writable):
    writable.user["auth"]["accessToken"]["role"] = "read"
    with pytest.raises(HubError, match="the token may only read"):
        hub.require_new_space("tiny/page")


def test_owner_must_be_the_user_or_one_of_their_organizations(writable):
    with pytest.raises(HubError, match="belongs to tiny, who is not in others"):
        hub.require_new_space("others/page")
    writable.user["orgs"] = [{"name": "others"}]
    hub.require_new_space("others/page")


def test_missing_token_is_asked_for(served):
    with pytest.raises(HubError, match="hf auth login"):
        hub.require_new_space("tiny/page")


@pytest.mark.parametrize("name", ["page", "a/b/c"])
def test_space_needs_owner_and_name(name):
    with pytest.raises(HubError, match="write OWNER/NAME"):
        hub.require_new_space(name)
