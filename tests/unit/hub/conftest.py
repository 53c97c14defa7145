"""A stand-in of the Hub on the loopback, for the client in this process and in its children."""

import pytest
from huggingface_hub import constants

from tests.support import hub


@pytest.fixture
def served(tmp_path, monkeypatch):
    """The stand-in, with the model owner/model: config.json and weights/a.bin."""
    folder = tmp_path / "hub/models/owner/model"
    (folder / "weights").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "weights/a.bin").write_bytes(bytes(70_000))
    home = tmp_path / "home"
    with hub.serve(tmp_path / "hub") as stand_in:
        for name, value in stand_in.env(home).items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        monkeypatch.setattr(constants, "ENDPOINT", stand_in.url)
        template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants._HF_DEFAULT_ENDPOINT, stand_in.url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HOME", str(home))
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(home / "token"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        yield stand_in
