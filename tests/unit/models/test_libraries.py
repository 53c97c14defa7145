"""Classes of transformers, whose modules are imported on first use."""

import sys
import threading
import types

from asrkit.models.libraries import find_class


def test_one_thread_at_a_time_imports(monkeypatch):
    """transformers tells a second thread that a name does not exist whose module the first is importing."""

    class LazyModule(types.ModuleType):
        importing: str | None = None

        def __getattr__(self, name):
            if self.importing:
                raise AttributeError(f"module 'transformers' has no attribute {name!r}")
            self.importing = name
            paused.wait(0.05)  # let the others in, if they can come
            self.importing = None
            return name

    paused, found = threading.Event(), []
    monkeypatch.setitem(sys.modules, "transformers", LazyModule("transformers"))
    threads = [threading.Thread(target=lambda name=name: found.append(find_class(name))) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == ["a", "b", "c"]
