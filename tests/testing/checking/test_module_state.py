"""What modules remember is put back before each run."""

from __future__ import annotations

import functools
from types import ModuleType

import flask

from purposeguard.testing._module_state import ModuleState


def test_a_module_may_import_proxies_of_a_request() -> None:
    module = ModuleType("module")
    vars(module).update(g=flask.g, request=flask.request, numbers=[1])
    state = ModuleState([module])
    module.numbers.append(2)
    state.restore()
    assert module.numbers == [1]


def test_caches_are_emptied() -> None:
    module = ModuleType("module")
    double = functools.lru_cache(lambda number: 2 * number)
    vars(module)["double"] = double
    state = ModuleState([module])
    double(1)
    state.restore()
    assert double.cache_info().currsize == 0
