"""The constants of the code under test: a branch on one of them is found only if a value equals it."""

from __future__ import annotations

import ast
import contextlib
import datetime
import functools
import itertools
import math
import operator
import os
import sys
import sysconfig
import types
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final

import purposeguard

_MOST: Final = 5_000
"""The number of constants after which no more modules are read."""
_MOST_OF_CONTAINER: Final = 1_000
_LONGEST: Final = 200
"""The length of the longest text or bytes that counts as a constant."""
_DEEPEST: Final = 3
"""The depth to which containers at module level are read."""
_FRAMEWORKS: Final = frozenset({"pytest", "_pytest", "pluggy", "hypothesis", "purposeguard"})
_OWN_FOLDER: Final = f"{Path(purposeguard.__file__).parent}{os.sep}"
_STANDARD_LIBRARY: Final = tuple(f"{sysconfig.get_path(name)}{os.sep}" for name in ("stdlib", "platstdlib"))
_DAY: Final = datetime.timedelta(days=1)
_MADE: Final[dict[str, Callable[..., Any]]] = {
    "Decimal": Decimal,
    **{cls.__name__: cls for cls in (datetime.date, datetime.datetime, datetime.time, datetime.timedelta)},
}
"""Calls with constant arguments that make constants, by the name of what is called."""
_PLAIN: Final = (str, bytes, int, float, *_MADE.values())
_PARTS: Final = {"startswith", "endswith", "find", "partition", "removeprefix"}


class Constants:
    """Constants in the order in which they were read.

    Args:
        values: The constants; other objects are left out.
        parts: Texts that the code looks for inside other texts.
    """

    def __init__(self, values: Iterable[object] = (), parts: Iterable[str] = ()) -> None:
        self._values = tuple(dict.fromkeys((type(value), value) for value in values if _is_constant(value)))
        self._parts = tuple(dict.fromkeys(parts))
        self._by_type: dict[Any, tuple[Any, ...]] = {}

    def of(self, base: Any) -> tuple[Any, ...]:
        """Return the constants to try for a type: those of this very type, then others, then neighbors.

        A type that is not known gets the texts, which pydantic may convert to it.
        """
        found = self._by_type.get(base)
        if found is None:
            values = [value for kind, value in self._values if kind is base]
            values += [value for kind, value in self._values if kind is not base]
            choose: Callable[[list[Any]], Iterator[Any]] = _FITTING.get(base, self._texts)
            found = self._by_type[base] = tuple(dict.fromkeys(choose(values)))
        return found

    def _texts(self, values: list[Any]) -> Iterator[str]:
        yield from (value for value in values if isinstance(value, str))
        for part in self._parts:
            yield from (f"a{part}a", f"a{part}", f"{part}a")


def _is_constant(value: object) -> bool:
    if isinstance(value, (str, bytes)):
        return type(value) in (str, bytes) and 0 < len(value) <= _LONGEST
    if isinstance(value, (float, Decimal)):
        return math.isfinite(value)  # NaN equals nothing
    return type(value) in _PLAIN


def _bytes(values: list[Any]) -> Iterator[bytes]:
    yield from (value for value in values if isinstance(value, bytes))
    yield from (value.encode(errors="replace") for value in values if isinstance(value, str))


def _with_neighbors(values: Iterable[Any], step: Any) -> Iterator[Any]:
    """Yield the values, then those one step above, then those one step below."""
    values = list(values)
    yield from values
    for change in (operator.add, operator.sub):
        for value in values:
            with contextlib.suppress(OverflowError):  # no such day
                yield change(value, step)


def _integers(values: list[Any]) -> Iterator[int]:
    finite = [value for value in values if isinstance(value, (int, float, Decimal)) and math.isfinite(value)]
    yield from _with_neighbors(map(math.floor, finite), 1)


def _decimals(values: list[Any]) -> Iterator[Decimal]:
    numbers: list[Decimal] = []
    for value in values:
        if isinstance(value, (int, float, Decimal, str)):
            with contextlib.suppress(InvalidOperation):
                number = Decimal(str(value))
                if number.is_finite():
                    numbers.append(number)
    yield from _with_neighbors(numbers, 1)


def _floats(values: list[Any]) -> Iterator[float]:
    numbers: list[float] = []
    for value in values:
        if isinstance(value, (int, float, Decimal)):
            with contextlib.suppress(OverflowError):
                numbers.append(float(value))
    yield from _with_neighbors(numbers, 1)


def _moments(values: list[Any]) -> Iterator[datetime.datetime]:
    """Yield the moments in the values and in texts; each also with and without a time zone."""
    for value in values:
        moment = value
        if isinstance(value, str):
            with contextlib.suppress(ValueError):
                moment = datetime.datetime.fromisoformat(value)
        elif type(value) is datetime.date:
            moment = datetime.datetime.combine(value, datetime.time())
        if isinstance(moment, datetime.datetime):
            yield moment
            yield moment.replace(tzinfo=datetime.UTC if moment.tzinfo is None else None)


def _days(values: list[Any]) -> Iterator[datetime.date]:
    return _with_neighbors((moment.date() for moment in _moments(values)), _DAY)


def _times(values: list[Any]) -> Iterator[datetime.time]:
    for value in values:
        if isinstance(value, datetime.time):
            yield value
        elif isinstance(value, str) and ":" in value:
            with contextlib.suppress(ValueError):
                yield datetime.time.fromisoformat(value)


def _durations(values: list[Any]) -> Iterator[datetime.timedelta]:
    return _with_neighbors((value for value in values if isinstance(value, datetime.timedelta)), _DAY)


_FITTING: Final[dict[Any, Callable[[list[Any]], Iterator[Any]]]] = {
    bytes: _bytes,
    int: _integers,
    float: _floats,
    Decimal: _decimals,
    datetime.date: _days,
    datetime.datetime: lambda values: _with_neighbors(_moments(values), _DAY),
    datetime.time: _times,
    datetime.timedelta: _durations,
}

# ---- Which modules ------------------------------------------------------------------------------------------------


def collect_constants(first: str | None = None, modules: Iterable[types.ModuleType] | None = None) -> Constants:
    """Return the constants of the user's own modules: not of the standard library, nor of installed packages.

    Args:
        first: The name of a module. Its constants and those of modules that it uses come first. Other modules of tests
            are left out.
        modules: The modules to read, in place of these.
    """
    values: list[object] = []
    parts: list[str] = []
    for module in _list_modules(first) if modules is None else modules:
        found = _read_module(module)
        values += (*found[0], *found[1])  # Those that something is compared with come first.
        parts += found[2]
        if len(values) >= _MOST:
            break
    return Constants(values[:_MOST], parts[:_MOST])


def _list_modules(first: str | None) -> list[types.ModuleType]:
    """Return the user's modules: those that `first` uses, the tests among them last, then all others."""
    loaded = {name: module for name, module in list(sys.modules.items()) if _is_own(module)}
    reached: dict[str, None] = {}
    pending = [first] if first in loaded else []
    for name in pending:  # grows
        if name in loaded and name not in reached:
            reached[name] = None
            pending += map(_module_of, list(vars(loaded[name]).values()))
    ordered = [*sorted(reached, key=_is_test), *itertools.filterfalse(_is_test, loaded)]
    return list(map(loaded.__getitem__, dict.fromkeys(ordered)))


def _module_of(value: object) -> str:
    if isinstance(value, types.ModuleType):
        return value.__name__
    name = getattr(value, "__module__", None) if isinstance(value, (type, types.FunctionType)) else None
    return name if isinstance(name, str) else ""


def _is_own(module: object) -> bool:
    if not isinstance(module, types.ModuleType) or not isinstance(getattr(module, "__file__", None), str):
        return False
    return module.__name__.partition(".")[0] not in _FRAMEWORKS and _is_own_file(str(module.__file__))


@functools.lru_cache(maxsize=16_384)
def _is_own_file(file: str) -> bool:
    path = Path(file).absolute()
    if {"site-packages", "dist-packages"}.intersection(path.parts):
        return False
    return not str(path).startswith((_OWN_FOLDER, *_STANDARD_LIBRARY))


def _is_test(name: str) -> bool:
    *packages, last = name.split(".")
    return last.startswith("test_") or last.endswith("_test") or last == "conftest" or "tests" in packages


# ---- The constants of a module ------------------------------------------------------------------------------------

_Found = tuple[tuple[object, ...], tuple[object, ...], tuple[str, ...]]
_READ: Final[dict[str, tuple[object, _Found]]] = {}
"""File → its identity when it was read, and its compared constants, all constants and parts."""


def _read_module(module: Any) -> _Found:
    try:
        status = Path(module.__file__).stat()
    except OSError:  # the file is inside an archive, or gone
        identity: object = None
    else:
        identity = status.st_mtime_ns, status.st_size, status.st_ino
    identity = id(module), identity
    known = _READ.get(module.__file__)
    if known is None or known[0] != identity:
        reader = _Reader()
        with contextlib.suppress(OSError, SyntaxError, ValueError, RecursionError, ImportError):
            _read_code(module, reader)
        for name, value in list(vars(module).items()):
            if not name.startswith("__"):
                reader.values += _iter_plain(value)
        known = _READ[module.__file__] = identity, (tuple(reader.compared), tuple(reader.values), tuple(reader.parts))
    return known[1]


def _read_code(module: Any, reader: _Reader) -> None:
    if module.__file__.endswith((".py", ".pyw")):
        reader.visit(ast.parse(Path(module.__file__).read_bytes()))
        return
    loader: Any = getattr(module.__spec__, "loader", None)
    code = loader.get_code(module.__name__) if hasattr(loader, "get_code") else None
    if code is not None:
        reader.values += _iter_compiled(code)


def _iter_compiled(code: types.CodeType) -> Iterator[object]:
    """Yield the constants of code without its source, except docstrings."""
    has_docstring = "__doc__" in code.co_names or (code.co_flags & 0x2 and not code.co_name.startswith("<"))
    for constant in code.co_consts[1 if has_docstring else 0 :]:
        yield from _iter_compiled(constant) if isinstance(constant, types.CodeType) else _iter_plain(constant)


def _iter_plain(value: object, depth: int = 0) -> Iterator[object]:
    """Yield a constant, or the constants in a plain container."""
    if type(value) in _PLAIN:
        yield value
    elif depth < _DEEPEST and type(value) in (list, tuple, set, frozenset, dict):
        container: Any = value
        items = [*container, *container.values()] if isinstance(container, dict) else container
        if isinstance(container, (set, frozenset)):
            items = sorted(container, key=repr)
        for item in itertools.islice(items, _MOST_OF_CONTAINER):
            yield from _iter_plain(item, depth + 1)


class _Reader(ast.NodeVisitor):
    """Reads the constants of source code, except docstrings and annotations."""

    def __init__(self) -> None:
        self.compared: list[object] = []
        """The constants that something is compared with, which come first."""
        self.values: list[object] = []
        self.parts: list[str] = []

    def visit_Constant(self, node: ast.Constant) -> None:
        self.values.append(node.value)

    def visit_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):
            self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_arg(self, node: ast.arg) -> None:
        """Leave out the annotation of a parameter."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        node.returns = None
        self.generic_visit(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        node.returns = None
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        if isinstance(node.left, ast.Constant) and isinstance(node.ops[0], (ast.In, ast.NotIn)):
            self._add_part(node.left)
        before = len(self.values)
        self.generic_visit(node)
        self.compared += self.values[before:]

    def visit_MatchValue(self, node: ast.MatchValue) -> None:
        before = len(self.values)
        self.generic_visit(node)
        self.compared += self.values[before:]

    def visit_Call(self, node: ast.Call) -> None:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in _PARTS and node.args:
            self._add_part(node.args[0])
        if name in _MADE:
            with contextlib.suppress(ValueError, TypeError, OverflowError, InvalidOperation):
                options = {keyword.arg or "": ast.literal_eval(keyword.value) for keyword in node.keywords}
                self.values.append(_MADE[name](*map(ast.literal_eval, node.args), **options))
                return
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        self._fold(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        self._fold(node)

    def _fold(self, node: ast.UnaryOp | ast.BinOp) -> None:
        """Read `-1` and `60 * 60` as the compiler does."""
        if all(
            isinstance(part, (ast.Constant, ast.BinOp, ast.UnaryOp, ast.operator, ast.unaryop))
            for part in ast.walk(node)
        ):
            self.values += _iter_compiled(compile(ast.Expression(node), "<constant>", "eval"))
        else:
            self.generic_visit(node)

    def _add_part(self, node: ast.AST) -> None:
        texts = node.elts if isinstance(node, ast.Tuple) else [node]
        for text in texts:
            if isinstance(text, ast.Constant) and isinstance(text.value, str) and _is_constant(text.value):
                self.parts.append(text.value)
