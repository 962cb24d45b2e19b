"""The state that modules keep between runs, containers and caches, which is put back before each run."""

from __future__ import annotations

import collections
import collections.abc
import functools
import inspect
from collections.abc import Callable, Iterable
from types import FunctionType, ModuleType
from typing import Any, Final

_CONTAINERS: Final = (
    *(dict, list, set, bytearray, collections.deque),
    *(collections.OrderedDict, collections.defaultdict, collections.Counter),
)
_PLAIN: Final = (type(None), bool, int, float, str, bytes, tuple, frozenset)


class ModuleState:
    """The contents of containers, of plain globals and of caches that modules keep, as they were at first.

    Code that remembers a value answers the second run with what the first one left. So each run begins with the same
    state, and a value that outlives its purpose is found in the run that put it there.
    """

    def __init__(self, modules: Iterable[ModuleType]) -> None:
        self._modules = list(modules)
        self._names = {module.__name__ for module in self._modules}
        self._restorers: list[Callable[[], object]] = []
        self._seen: set[int] = set()
        for module in self._modules:
            self._keep_namespace(module)
            for value in list(vars(module).values()):
                self._keep(value)

    def restore(self) -> None:
        """Put everything back."""
        for restorer in self._restorers:
            restorer()

    def _keep_namespace(self, module: ModuleType) -> None:
        """Keep the globals that hold plain values, which code may bind anew."""
        names = vars(module)
        kept = {name: value for name, value in names.items() if type(value) in _PLAIN and not name.startswith("__")}

        def restorer() -> None:
            for name, value in kept.items():
                if names.get(name, names) is not value:
                    names[name] = value

        self._restorers.append(restorer)

    def _keep(self, value: Any, depth: int = 0) -> None:
        if id(value) in self._seen or depth > _DEEPEST or type(value).__module__.startswith("purposeguard"):
            return
        self._seen.add(id(value))
        # A proxy of a request has no attributes outside requests.
        if not isinstance(value, type) and callable(inspect.getattr_static(value, "cache_clear", None)):
            self._restorers.append(value.cache_clear)
        if type(value) in _CONTAINERS:
            self._keep_container(value, depth)
        elif isinstance(value, FunctionType):
            self._keep_function(value, depth)
        elif isinstance(value, type):
            if value.__module__ in self._names:
                for member in list(vars(value).values()):
                    self._keep(getattr(member, "__func__", member), depth + 1)
        elif isinstance(value, collections.abc.MutableMapping) and type(value).__module__.startswith("cachetools"):
            kept = dict(value)
            self._restorers += [value.clear, functools.partial(value.update, kept)]
        elif type(value).__module__ in self._names and isinstance(getattr(value, "__dict__", None), dict):
            self._keep_container(vars(value), depth)

    def _keep_container(self, value: Any, depth: int) -> None:
        kept = value.copy()
        if isinstance(value, (dict, set)):
            self._restorers += [value.clear, functools.partial(value.update, kept)]
        else:
            self._restorers += [value.clear, functools.partial(value.extend, kept)]
        for item in kept.values() if isinstance(kept, dict) else kept:
            self._keep(item, depth + 1)

    def _keep_function(self, value: FunctionType, depth: int) -> None:
        """Keep what a function remembers: its attributes, mutable defaults, and the containers that it closes over."""
        if value.__code__.co_filename.startswith(_OWN):
            self._keep(getattr(value, "__wrapped__", None), depth)
            return
        self._keep(vars(value), depth)
        for default in (*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values()):
            self._keep(default, depth + 1)
        for cell in value.__closure__ or ():
            try:
                held = cell.cell_contents
            except ValueError:  # It is not bound yet.
                continue
            if type(held) in (dict, list, set) or isinstance(held, FunctionType):
                self._keep(held, depth + 1)


_DEEPEST: Final = 4
_OWN: Final = __file__.removesuffix("testing/_module_state.py")
