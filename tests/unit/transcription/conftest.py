import pytest
import tiny


@pytest.fixture(scope="package")
def processor(tmp_path_factory):
    """Of the tiny model: blank 0, unknown 1, delimiter 2, a to e."""
    from transformers import AutoProcessor

    return AutoProcessor.from_pretrained(tiny.model(tmp_path_factory.mktemp("processor") / "tiny"))
