"""Plan how the purposes of `purposes.toml` are written beside routes, tasks and commands."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from purposeguard.cli.adopt.code_edits import REGISTERING, FunctionEdit
from purposeguard.cli.adopt.entry_points import FoundEntryPoint, unwrap
from purposeguard.cli.adopt.source_files import Function, SourceFile
from purposeguard.cli.adopt.tag_plan import NameResolver, TagPlanner, Vocabulary
from purposeguard.errors import Fault
from purposeguard.notice.vocabulary import Family
from purposeguard.project.purposes import PurposeFile, StatedEntry
from purposeguard.runtime.activity import Block

_DJANGO: Final = "purposeguard.integrations.django"
_FASTAPI: Final = "purposeguard.integrations.fastapi"
_FLASK: Final = "purposeguard.integrations.flask"


class GuardName(NamedTuple):
    """The guard as the code imports it."""

    module: str
    name: str


class LeftEntryPoint(NamedTuple):
    """An entry point whose purpose stays in `purposes.toml` alone."""

    pattern: str
    name: str
    reason: str


@dataclass(slots=True)
class PurposePlan:
    """The changes that write purposes into the code."""

    written: list[FoundEntryPoint] = field(default_factory=list)
    """The entry points whose purpose would be written."""
    moved: set[str] = field(default_factory=set)
    """The patterns whose entry points all have their purpose in the code."""
    left: list[LeftEntryPoint] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)


class PurposePlanner:
    """Plans the changes for entry points.

    Args:
        purposes: The purposes. Its notice is that of the vocabulary.
        vocabulary: The module whose classes are written.
        guard: The guard, for the frameworks whose decorators need it.
        files: The files of the project.
        tags: The planner of tags, which knows the names of files, and whose plan takes the changes.
    """

    def __init__(
        self,
        purposes: PurposeFile,
        vocabulary: Vocabulary,
        guard: GuardName | None,
        files: Mapping[Path, SourceFile],
        tags: TagPlanner,
    ) -> None:
        self._purposes = purposes
        self._vocabulary = vocabulary
        self._guard = guard
        self._files = files
        self._tags = tags
        self._matched: dict[str, list[bool]] = defaultdict(list)
        self.plan = PurposePlan()

    def plan_entry_points(self, found: Iterable[FoundEntryPoint]) -> PurposePlan:
        """Return the plan for all entry points of the application."""
        by_function: dict[int, list[FoundEntryPoint]] = defaultdict(list)
        for each in found:
            by_function[id(unwrap(each.function))].append(each)
        for entry_points in by_function.values():
            self._plan_function(entry_points)
        self.plan.moved = {pattern for pattern, written in self._matched.items() if all(written)}
        for pattern in self._purposes.entries:
            if pattern not in self._matched:
                self.plan.left.append(LeftEntryPoint(pattern, "", "no entry point of the application matches it"))
        return self.plan

    def _plan_function(self, entry_points: Sequence[FoundEntryPoint]) -> None:
        """Plan the changes to a function, which may answer several entry points."""
        entries = {each.name: self._purposes.find(each.name) for each in entry_points}
        stated = [entry for entry in entries.values() if entry is not None]
        if not stated:
            return
        first, entry = entry_points[0], stated[0]
        if all(each.stated for each in entry_points):
            self._check_agreement(entry_points, entries)
            return
        reason = _explain_difference(entries)
        if reason is None:
            reason = self._write(first, entry)
        for each in entry_points:
            matched = entries[each.name]
            if matched is None:
                continue
            self._matched[matched.pattern].append(reason is None)
            if reason is None:
                self.plan.written.append(each)
            else:
                self.plan.left.append(LeftEntryPoint(matched.pattern, each.name, reason))

    def _check_agreement(
        self, entry_points: Sequence[FoundEntryPoint], entries: Mapping[str, StatedEntry | None]
    ) -> None:
        for each in entry_points:
            entry = entries[each.name]
            if entry is None:
                continue
            self._matched[entry.pattern].append(True)
            for stated in each.stated:
                block = stated.stated if isinstance(stated, Block) else stated
                if _identify(block.purpose) != _identify(entry.purpose) or block.channel != entry.channel:
                    message = f"{each.name} states {_identify(entry.purpose)}, and the code {_identify(block.purpose)}"
                    line, path = entry.position.line, self._purposes.path
                    self.plan.faults.append(Fault(entry.pattern, message, "leave one of them", path, line, 1))

    def _write(self, found: FoundEntryPoint, entry: StatedEntry) -> str | None:
        """Plan the change to a function. Return the reason why that is not possible, or None."""
        function = unwrap(found.function)
        module, qualname = getattr(function, "__module__", ""), getattr(function, "__qualname__", "")
        code = getattr(function, "__code__", None)
        file = None if code is None else self._files.get(Path(code.co_filename).resolve())
        if file is None or module not in file.modules:
            return "its function is in no file of the project"
        definitions = file.functions.get(qualname, [])
        if len(definitions) != 1:
            return f"{module} has no function `{qualname}`" if not definitions else f"`{qualname}` is defined again"
        if self._guard is None and found.framework != "django":
            return "name the guard, `--guard shop.privacy:guard`"
        routes: tuple[int, ...] = ()
        if found.framework == "fastapi":
            routes = tuple(_find_route_decorators(definitions[0], function.__globals__))
            reason = _explain_unusable(definitions[0], routes)
            if reason is not None:
                return reason
        names = self._tags.get_names(file, module)
        edit = self._make_edit(found, entry, names, routes)
        self._tags.plan.edits[file.path].functions[qualname] = edit
        return None

    def _make_edit(
        self, found: FoundEntryPoint, entry: StatedEntry, names: NameResolver, routes: tuple[int, ...]
    ) -> FunctionEdit:
        vocabulary = names.use(self._vocabulary.module, None, self._vocabulary.alias)
        purpose = f"{vocabulary}.{_name_purpose(entry.purpose)}"
        arguments = ", ".join([purpose, *_iter_options(entry)])
        if found.framework == "django":
            return FunctionEdit(decorator=f"{names.use(_DJANGO, 'purpose', 'purpose')}({arguments})")
        if self._guard is None:
            raise ValueError("a guard is needed")
        block = f"{names.use(*self._guard, self._guard.name)}.purpose({arguments})"
        if found.framework == "flask":
            return FunctionEdit(decorator=f"{names.use(_FLASK, 'purpose', 'purpose')}({block})")
        if found.framework != "fastapi":
            return FunctionEdit(decorator=block)
        if found.takes_purpose:
            return FunctionEdit(argument="purpose", value=purpose if arguments == purpose else block, extended=routes)
        depends = names.use("fastapi", "Depends", "Depends")
        value = f"[{depends}({names.use(_FASTAPI, 'entering', 'entering')}({block}))]"
        return FunctionEdit(argument="dependencies", value=value, extended=routes)


def _explain_difference(entries: Mapping[str, StatedEntry | None]) -> str | None:
    """Return why one statement cannot hold for all entry points of a function; None if it can."""
    without = [name for name, entry in entries.items() if entry is None]
    if without:
        return f"its function answers {', '.join(sorted(without)[:3])} too, for which no purpose is stated"
    terms = {
        (entry.purpose, entry.channel, entry.conditions, entry.mode) for entry in entries.values() if entry is not None
    }
    return None if len(terms) == 1 else "the entry points of its function have different purposes"


def _find_route_decorators(function: Function, names: Mapping[str, Any]) -> Iterator[int]:
    """Yield the indexes of the decorators that make a function a route of FastAPI.

    A decorator may have the name of such a method and be something else, such as `trace` of a library for tracing.

    Args:
        function: The function.
        names: The names of its module.
    """
    for index, decorator in enumerate(function.decorator_list):
        if not isinstance(decorator, ast.Call) or _name_of(decorator) not in REGISTERING:
            continue
        called = _find_object(decorator.func, names)
        if called is None or hasattr(getattr(called, "__self__", None), "add_api_route"):
            yield index


def _find_object(expression: ast.expr, names: Mapping[str, Any]) -> Any:
    """Return the object of a dotted name; None if there is none any more, or for any other expression."""
    if isinstance(expression, ast.Attribute):
        return getattr(_find_object(expression.value, names), expression.attr, None)
    return names.get(expression.id) if isinstance(expression, ast.Name) else None


def _explain_unusable(function: Function, routes: Iterable[int]) -> str | None:
    """Return why the decorators that make a function a route cannot take the purpose; None if they can."""
    calls = [each for index, each in enumerate(function.decorator_list) if index in routes]
    if not calls:
        return "no decorator makes its function a route"
    for call in calls:
        for keyword in call.keywords if isinstance(call, ast.Call) else ():
            is_list = keyword.arg == "dependencies" and isinstance(keyword.value, ast.List)
            if keyword.arg in (None, "purpose") or (keyword.arg == "dependencies" and not is_list):
                return f"`{keyword.arg or '**'}` of its decorator cannot be extended"
    return None


def _name_of(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _iter_options(entry: StatedEntry) -> Iterator[str]:
    """Yield the arguments of `guard.purpose` beside the purpose."""
    if entry.channel is not None:
        yield f'channel="{entry.channel}"'
    if entry.mode is not None:
        yield f'mode="{entry.mode}"'
    if entry.conditions:
        yield f"conditions=[{', '.join(f'{chr(34)}{name}{chr(34)}' for name in sorted(entry.conditions))}]"


def _name_purpose(purpose: Any) -> str:
    return purpose.name if isinstance(purpose, Family) else purpose.__name__


def _identify(purpose: Any) -> str:
    """Return the id of a purpose or the name of a family. Classes of one notice may be there twice."""
    return str(purpose.name if isinstance(purpose, Family) else purpose.clause)
