"""Finds an application's guard by name, and reads what it declares.

Nothing of the application runs but the import of its modules.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from purposeguard.cli.files import CommandProblem
from purposeguard.cli.words import learn_titles
from purposeguard.errors import PurposeGuardError
from purposeguard.guard import Guard
from purposeguard.notice.vocabulary import Family, Purpose, list_members, list_term_ids
from purposeguard.runtime.access import AccessFunction
from purposeguard.runtime.declarations import EntrustmentDeclaration
from purposeguard.runtime.handover import HandOverFunction
from purposeguard.runtime.registry import Access
from purposeguard.runtime.site import Site


def find_guard(target: str, imports: Iterable[str] = ()) -> Guard:
    """Return the guard `MODULE:GUARD`, after its module and the `imports` are imported.

    Raises:
        CommandProblem: a module cannot be imported, or there is no guard of this name in it.
    """
    guard = find(target, imports)
    if not isinstance(guard, Guard):
        raise CommandProblem(f"`{target}` is no guard but a {type(guard).__name__}")
    for notice in guard.history:
        learn_titles(notice)
    return guard


def find(target: str, imports: Iterable[str] = ()) -> Any:
    """Return the object `MODULE:NAME`, after its module and the `imports` are imported.

    Raises:
        CommandProblem: a module cannot be imported, or there is nothing of this name in it.
    """
    module, colon, path = target.partition(":")
    if not (module and colon and path):
        raise CommandProblem(f"`{target}` names no guard: give MODULE:GUARD, e.g. `shop.privacy:guard`")
    # A console script, unlike `python -m`, does not search the current directory.
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)
    target_object: Any = import_application(module)
    for name in imports:
        import_application(name)
    for name in path.split("."):
        if not hasattr(target_object, name):
            guards = ", ".join(_iter_guards(module))
            there = f"it has {guards}" if guards else "it has no guard at all"
            raise CommandProblem(f"{module} has no `{path}` (help: {there})")
        target_object = getattr(target_object, name)
    return target_object


def _iter_guards(module: str) -> Iterator[str]:
    """Yield the guards of a module, as a command line names them."""
    for name, value in vars(sys.modules[module]).items():
        if isinstance(value, Guard):
            yield f"`{module}:{name}`"


def import_application(name: str) -> ModuleType:
    """Return the module of this name.

    Raises:
        CommandProblem: it is not found, or fails while it is imported.
    """
    try:
        with contextlib.redirect_stdout(sys.stderr):  # The report must not contain what the module prints.
            return importlib.import_module(name)
    except (Exception, SystemExit) as error:  # whatever a foreign module raises is reported; nothing is decided by it
        raise CommandProblem(_import_failure(name, error)) from error


def _import_failure(name: str, error: BaseException) -> str:
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    if missing and (name == missing or name.startswith(f"{missing}.")):
        return f"there is no module `{missing}` (help: start where it can be imported, or set PYTHONPATH)"
    place = _find_foreign_frame(error)
    where = "" if place is None else f"\n  at {place.filename}, line {place.lineno}"
    message = str(error) or "no message"
    return f"{name} cannot be imported: {type(error).__name__}: {message}{where}"


def _find_foreign_frame(error: BaseException) -> traceback.FrameSummary | None:
    """Return the last frame of an error that is neither in this package nor in the machinery of imports."""
    package = str(Path(__file__).parent.parent)
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        imports = frame.filename.startswith("<frozen") or "importlib" in Path(frame.filename).parts
        if not imports and not frame.filename.startswith(package):
            return frame
    return None


def read_annotations(guard: Guard) -> dict[Site, str]:
    """Resolve annotations that name classes defined later.

    Returns: The reason for each site whose annotations cannot be resolved.
    """
    unread: dict[Site, str] = {}
    declared: list[Access | EntrustmentDeclaration] = [*guard.accesses, *guard.entrustments]
    for declaration in declared:
        if declaration.label is None:
            reason = _resolve(declaration)
            if reason is not None:
                unread[declaration.site] = reason
    return unread


def _resolve(declared: Access | EntrustmentDeclaration) -> str | None:
    """Resolve the annotations of a declaration. Return the reason if they cannot be resolved."""
    resolve = _find_resolver(declared)
    if resolve is None:
        annotation = "return annotation is" if isinstance(declared, Access) else "parameters' annotations are"
        return f"its {annotation} read at its first call, and it cannot be found by its name before"
    try:
        resolve()
    except PurposeGuardError as error:
        return str(error).removeprefix(f"{declared.name}: ")
    return None


def says_whose(access: Access) -> bool:
    """Return True if the rows of an access function name their subjects: they are then decided row by row."""
    for layer in _layers(access):
        reader = getattr(layer, "__purposeguard_access__", None)
        if isinstance(reader, AccessFunction) and reader.access is access and reader.marked:
            return True
    return False


def _find_resolver(declared: Access | EntrustmentDeclaration) -> Callable[[], object] | None:
    """Return the method that reads the annotations of a declared function; None if the function is not found."""
    for layer in _layers(declared):
        reader = getattr(layer, "__purposeguard_access__", None)
        if isinstance(reader, AccessFunction) and reader.access is declared:
            return reader.resolve_label
        hand_over = getattr(layer, "__purposeguard_entrustment__", None)
        if isinstance(hand_over, HandOverFunction) and hand_over.declared is declared:
            return hand_over.resolve_shapes
    return None


def _layers(declared: Access | EntrustmentDeclaration) -> Iterator[Any]:
    """Yield the declared function and its decorators, outermost first."""
    fn: Any = sys.modules.get(declared.module)
    for name in declared.qualname.split("."):
        fn = inspect.getattr_static(fn, name, None)
    seen: set[int] = set()
    while fn is not None and id(fn) not in seen:
        seen.add(id(fn))
        yield fn
        fn = getattr(fn, "__func__", None) or getattr(fn, "__wrapped__", None)


def clauses_of(purpose: type[Purpose] | Family) -> tuple[str, ...]:
    """Return the id of a purpose, or those of the members of a family."""
    return tuple(list_term_ids(list_members(purpose)))


def package_of(guard: Guard) -> str:
    """Return the package that all declarations share, with its dot; empty if there is none."""
    shared: list[str] = []
    declared = (*guard.activities, *guard.accesses, *guard.entrustments)
    for parts in zip(*(declaration.module.split(".") for declaration in declared), strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(f"{parts[0]}.")
    return "".join(shared)
