"""The C functions the engine relies on are there, and are the only way it reaches wasmtime's guests."""

from __future__ import annotations

import ast
import ctypes
from pathlib import Path

import pytest
from wasmtime import _bindings, _ffi

from alga_runner.engine import _capi
from alga_runner.engine.component import _capi as component_capi
from alga_runner.errors import EngineUnavailable

ENGINE = Path(_capi.__file__).parent


def test_every_declared_function_is_in_the_installed_wasmtime():
    library = ctypes.CDLL(str(_ffi.filename))

    assert len(_capi.DECLARED) > 20
    assert [name for name in sorted(_capi.DECLARED) if not hasattr(library, name)] == []


def test_declared_functions_take_as_many_arguments_as_the_bindings_say():
    differing = {
        name: (len(ours.argtypes), len(theirs.argtypes))
        for name in _capi.DECLARED
        if (theirs := getattr(_bindings, f"_{name}", None)) is not None
        and len((ours := _function(name)).argtypes) != len(theirs.argtypes)
    }

    assert differing == {}


def _function(name: str) -> object:
    values = (*vars(_capi).values(), *vars(component_capi).values())
    functions = (value for value in values if hasattr(value, "argtypes"))
    return next(function for function in functions if function.__name__ == name)


def test_a_wasmtime_without_a_function_is_refused_with_its_name():
    with pytest.raises(EngineUnavailable, match="wasmtime_no_such_function"):
        _capi.declare("wasmtime_no_such_function", None)


def test_no_wrapper_with_a_process_wide_exception_is_used():
    forbidden = {"Func", "Store", "Instance", "define_func", "Caller", "add_wasip2"}

    used = {
        (path.name, node.attr)
        for path in ENGINE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in forbidden
    }

    assert used == set()
