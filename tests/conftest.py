"""What all tests share: quiet libraries, one thread per process, no network, and cheap garbage collection."""

import gc
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["TOKENIZERS_PARALLELISM"] = "false"


def pytest_collection_finish() -> None:
    """Exempt what the libraries made on import from garbage collection.

    Trainer collects garbage twice in each training, which takes 0.3 s with all libraries loaded: half the time of a
    test that trains a tiny model.
    """
    gc.collect()
    gc.freeze()
