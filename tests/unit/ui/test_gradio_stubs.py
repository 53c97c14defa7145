"""Gradio is imported without writing type stubs."""

import importlib.machinery
import inspect
import sys

import pytest
from gradio import component_meta

from asrkit.ui import gradio_stubs


def test_no_component_class_has_its_stub_written(monkeypatch):
    def refuse(*_):
        raise AssertionError("the source of a component class is read")

    monkeypatch.setattr(inspect, "getfile", refuse)
    component_meta.ComponentMeta("Silent", (), {"EVENTS": []})


def test_function_that_gradio_has_is_replaced():
    spec = importlib.machinery.PathFinder.find_spec(gradio_stubs.MODULE, sys.modules["gradio"].__path__)
    assert f"def {gradio_stubs.FUNCTION}(" in spec.loader.get_source(gradio_stubs.MODULE)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """package(source) -> the import of a stand-in for Gradio, whose module is that source."""

    def make(source):
        (tmp_path / "standin").mkdir()
        (tmp_path / "standin/__init__.py").write_text("")
        (tmp_path / "standin/meta.py").write_text(source)
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.setattr(gradio_stubs, "MODULE", "standin.meta")
        monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
        gradio_stubs.skip_stubs()
        gradio_stubs.skip_stubs()
        try:
            from standin import meta
        finally:
            for name in ("standin", "standin.meta"):
                sys.modules.pop(name, None)
        assert not any(isinstance(finder, gradio_stubs._Finder) for finder in sys.meta_path)
        return meta

    return make


def test_only_the_function_that_writes_stubs_is_replaced(package):
    meta = package("def create_or_modify_pyi(*_): raise OSError\ndef other(): return 7\n")
    assert meta.create_or_modify_pyi("class", "name", []) is None and meta.other() == 7


def test_gradio_without_that_function_is_imported_as_it_is(package):
    assert not hasattr(package("value = 7\n"), gradio_stubs.FUNCTION)
