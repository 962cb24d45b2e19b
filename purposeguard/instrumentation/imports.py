"""Functions that run right after a module was imported for the first time."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Final

Hook = Callable[[ModuleType], object]


class _HookedLoader(Loader):
    """A loader that calls functions after it has executed a module, and gives way to the loader in it."""

    def __init__(self, loader: Any, take_hooks: Callable[[], Sequence[Hook]]) -> None:
        """Wrap a loader.

        Args:
            loader: The loader of the module.
            take_hooks: Returns the functions to call at the first call, and none later.
        """
        self._loader = loader
        self._take_hooks = take_hooks

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Create the module as its own loader does."""
        created: ModuleType | None = self._loader.create_module(spec)
        return created

    def exec_module(self, module: ModuleType) -> None:
        """Execute the module, then call the functions with it."""
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        for hook in self._take_hooks():
            hook(module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)


class ImportHooks(MetaPathFinder):
    """A finder that lets functions run after modules are imported. Put it into `sys.meta_path` with `install`."""

    def __init__(self) -> None:
        self._hooks: dict[str, list[Hook]] = {}
        self._searching: set[str] = set()

    def add(self, name: str, hook: Hook) -> None:
        """Call a function with a module after its import, or now if it was imported before."""
        module = sys.modules.get(name)
        if module is not None:
            hook(module)
        else:
            self._hooks.setdefault(name, []).append(hook)

    def install(self) -> None:
        """Let the hooks take effect for all later imports."""
        sys.meta_path.insert(0, self)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a module with hooks by the other finders, and hook its loader."""
        if fullname not in self._hooks or fullname in self._searching:
            return None
        self._searching.add(fullname)
        try:
            spec = self._find_elsewhere(fullname, path, target)
        finally:
            self._searching.discard(fullname)
        if spec is not None and spec.loader is not None:
            # The hooks are kept until the module is executed: a caller may only ask where it is, or its code may fail.
            spec.loader = _HookedLoader(spec.loader, functools.partial(self._hooks.pop, fullname, ()))
        return spec

    def _find_elsewhere(self, name: str, path: Sequence[str] | None, target: ModuleType | None) -> ModuleSpec | None:
        for finder in sys.meta_path:
            find_spec = getattr(finder, "find_spec", None)
            spec: ModuleSpec | None = None if finder is self or find_spec is None else find_spec(name, path, target)
            if spec is not None:
                return spec
        return None


IMPORT_HOOKS: Final = ImportHooks()
"""The hooks of this process."""
