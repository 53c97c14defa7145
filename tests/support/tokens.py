"""The token of the apps that tests start, which makes a test their operator."""

import os

TOKEN = os.environ.setdefault("ASRKIT_TOKEN", "token-of-the-apps-that-tests-start")
AUTHORIZATION = {"Authorization": f"Bearer {TOKEN}"}


def add_token(address: str) -> str:
    """Return the link that opens a page as its operator."""
    base, _, query = address.partition("?")
    return f"{base}?token={TOKEN}" + (f"&{query}" if query else "")
