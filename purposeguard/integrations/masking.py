"""Masking: what is shown of a value outside any purpose. What tagged classes and seals hold is replaced by its clause.

`logging`, `structlog`, `sentry` and `opentelemetry` of this package share it. A value is looked through by the plans
of its classes, as guards do; what cannot be looked at is replaced by its class.
"""

from __future__ import annotations

import collections
import datetime
import enum
import itertools
import logging
import pathlib
import re
import types
import uuid
from collections.abc import Collection, ItemsView, Iterable, KeysView, Mapping, ValuesView
from typing import Any, Final

from typing_extensions import override

from purposeguard.integrations._masking_classes import CLASSES, HIDDEN, is_mapped, marker
from purposeguard.integrations._masking_texts import DEEPEST, MarkerText, MaskedTexts
from purposeguard.policy.violations import REFUSALS
from purposeguard.values.annotations import PLAIN, is_namedtuple, is_taggable
from purposeguard.values.plan import RAW_DICT, ValuePlan, stored_entries, undeclared_entries
from purposeguard.values.sealed import Sealed
from purposeguard.values.type_schema import SILENT, Shape
from purposeguard.values.walk import RowContexts, ValueWalk

MOST_ITEMS: Final = 100
"""Items of a container that are shown; those beyond are replaced by their number."""

MOST_PARTS: Final = 10_000
"""Values that are looked at in one."""

LONGEST: Final = 50_000
"""Characters of a text that are shown."""

_SHOWN: Final = (
    type,
    enum.Enum,
    uuid.UUID,
    pathlib.PurePath,
    datetime.tzinfo,
    logging.Logger,
    types.BuiltinFunctionType,
    types.CodeType,
    types.FunctionType,
    types.ModuleType,
    types.NoneType,
    types.NotImplementedType,
    types.EllipsisType,
)
"""Classes whose objects are shown as they are: code, and what the standard library makes of a text or number."""


_PARAMETERS: Final = ("db.params", "db.query.parameter", "db.statement.parameters")
"""What Sentry and OpenTelemetry call the parameters of a query."""


_PAIR: Final = re.compile(r"""(?<![\w.])(["']?)([A-Za-z_]\w*)\1\s*([=:＝：])\s*""")
"""The name of a field before its value, in a `repr`, a dict, JSON or a query."""

_QUOTED: Final = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""", re.DOTALL)

_SEPARATOR: Final = re.compile(r"[,;&|\n{、，；＆]\s*$")
"""What ends a value before the name of another field."""

_AFTER_VALUE: Final = re.compile(r"[\s,;&|、，；＆)\]}]*$")
"""What follows a value that is written without quotes, and is shown."""

_OPENING: Final = "([{"
_CLOSING: Final = ")]}"


class Masker:
    """Masks values.

    Tagged classes of modules are found by themselves. Of one that is made in a function, dicts are recognised once an
    object of it was met, or where it is among `models`. `shown` are classes whose own texts hold nothing personal, such
    as a URL without a query: their objects are left as they are. `strict`: any entry of a dict, and any `name=value` in
    a text, is masked that has the name of a tagged field.
    """

    def __init__(self, *models: type, shown: Iterable[type] = (), strict: bool = False) -> None:
        for model in models:
            CLASSES.of(model)
        self._shown = (*_SHOWN, *shown)
        self._strict = strict

    def masked(self, value: Any) -> Any:
        """Return `value`, or a copy in which what is tagged or sealed is replaced.

        It raises nothing: what cannot be looked at is replaced as well.
        """
        return Look(self).masked(value)

    def entries(self, entries: Mapping[Any, Any]) -> dict[Any, Any]:
        """Return the same of each entry of a dict, which may itself be made from a tagged class."""
        return Look(self).entries(entries)

    def text(self, text: str) -> str:
        """Return a text in which what is written like the fields of a tagged class is replaced: at least two of them.

        So of objects and dicts that were made into a text before it came here.
        """
        if len(text) > LONGEST:
            text = f"{text[:LONGEST]}{HIDDEN}"
        pairs = list(_PAIR.finditer(text))
        if not pairs:
            return text
        markers = CLASSES.markers(frozenset(pair[2] for pair in pairs), least=1 if self._strict else 2)
        if not markers:
            return text
        parts: list[str] = []
        done = 0
        for pair in pairs:
            if pair[2] in markers and pair.start() >= done:
                parts += (text[done : pair.end()], markers[pair[2]])
                done = _find_value_end(text, pair, {each.start(): each for each in pairs}, markers)
        return "".join((*parts, text[done:]))

    def markers(self, keys: Collection[Any]) -> Mapping[str, str]:
        """Return key → what stands for its value, of a dict with these keys. Parameters of queries are hidden."""
        names = frozenset(key for key in keys if isinstance(key, str))
        markers = CLASSES.markers(names, least=1 if self._strict or len(keys) == 1 else 2, or_all=True)
        parameters = [name for name in names if name.startswith(_PARAMETERS)]
        return {**markers, **dict.fromkeys(parameters, HIDDEN)} if parameters else markers

    def is_shown(self, cls: type) -> bool:
        """Return True if objects of a class are left as they are."""
        return cls in PLAIN or issubclass(cls, self._shown)


def _find_value_end(text: str, pair: re.Match[str], pairs: Mapping[int, re.Match[str]], names: Collection[str]) -> int:
    """Find where the value of a pair ends. Where that is not certain, more of the text is taken for the value.

    A value that is written as code writes it (in quotes or brackets, or a seal) ends with these. Any other may be of
    several words: it ends where the next field begins.
    """
    at = pair.end()
    if text.startswith("<", at):  # a seal, or what stands for a value
        end = text.find(">", at) + 1 or len(text)
    elif text[at : at + 1] in ("'", '"'):
        quoted = _QUOTED.match(text, at)
        end = len(text) if quoted is None else quoted.end()
    else:
        end = _end_of_brackets(text, at)
    if end > at and _is_followed_as_in_code(text, end, text[at]):
        return end
    if text[at : at + 1] in ("'", '"'):  # The text was cut, or the value has quotes itself.
        return len(text)
    limit = _next_field(text, pair, pairs, names)
    after = _AFTER_VALUE.search(text, max(at, end), limit)
    return limit if after is None else after.start()


def _end_of_brackets(text: str, at: int) -> int:
    """Return where the brackets that begin here are closed; `at` if there are none, or they are not closed."""
    depth = 0
    begin = at
    while at < len(text) and (depth or text[at] in _OPENING):
        quoted = _QUOTED.match(text, at)
        if quoted is not None:
            at = quoted.end()
            continue
        depth += (text[at] in _OPENING) - (text[at] in _CLOSING)
        at += 1
        if not depth:
            return at
    return begin


_CODE_AFTER: Final = re.compile(
    r"""\s*(?:$|[)\]}]|[,;&]\s*(?:$|["'\d\[{(<)\]}]|\.\.\.|[A-Za-z_]\w*\s*[=:(]|(?:None|True|False)\b)|(?<=\s)["']?[A-Za-z_]\w*["']?\s*[=:])"""
)
"""What may follow a value that code has written: the end, a bracket, or a separator and another value or field."""


def _is_followed_as_in_code(text: str, end: int, first: str) -> bool:
    """Return True if a value in quotes or brackets ends here: what follows is no further part of it."""
    if _CODE_AFTER.match(text, end) is not None:
        return True
    # Words may follow in a sentence. Where quotes follow, they may be those of the value.
    return text[end : end + 1].isspace() and first in "'\"" and first not in text[end:]


def _next_field(text: str, pair: re.Match[str], pairs: Mapping[int, re.Match[str]], names: Collection[str]) -> int:
    """Return where the next field begins after a pair; the length of the text if there is none."""
    depth = 0
    at = pair.end()
    while at < len(text):
        other = pairs.get(at)
        if other is not None and not depth and at > pair.end() and _begins_field(text, pair, other, names):
            return at
        char = text[at]
        quoted = _QUOTED.match(text, at) if not text[at - 1].isalnum() else None
        depth = max(0, depth + (char in _OPENING) - (char in _CLOSING))
        at = at + 1 if quoted is None else quoted.end()
    return at


def _begins_field(text: str, pair: re.Match[str], other: re.Match[str], names: Collection[str]) -> bool:
    """Return True if another pair is no part of the value of the first: it is tagged, or stands after a separator."""
    is_separated = _SEPARATOR.search(text, pair.end(), other.start()) is not None
    return other[2] in names or (is_separated and other[3] == pair[3])


_CONTAINERS: Final = (list, tuple, set, frozenset, collections.deque, KeysView, ValuesView, ItemsView)
_LOOKED_INTO: Final = (Mapping, Sealed, BaseException, *_CONTAINERS)
_AS_THEY_ARE: Final = PLAIN - {str, bytes}


class Look(ValueWalk):
    """One look at several values that are shown together; an object that is in several is looked at once.

    `texts` get what is masked. After MOST_PARTS values nothing more is shown.
    """

    def __init__(self, masker: Masker, texts: MaskedTexts | None = None) -> None:
        super().__init__()
        self._masker = masker
        self._texts = texts
        self._left = MOST_PARTS
        self._known: dict[int, tuple[Any, Any]] = {}  # with the object, so that its identity is not given again

    def masked(self, value: Any) -> Any:
        """As `Masker.masked`."""
        return self.visit(value, SILENT, "", ())

    def entries(self, entries: Mapping[Any, Any]) -> dict[Any, Any]:
        """As `Masker.entries`."""
        markers = self._masker.markers(entries)
        return {
            key: self.hide(item, markers[key]) if key in markers else self.masked(item) for key, item in entries.items()
        }

    def hide(self, value: Any, what: str) -> MarkerText:
        """What stands for a value."""
        if self._texts is not None:
            try:
                self._texts.add(value, what)
            except Exception:  # noqa: BLE001  # of the value's own code; it is not shown here, at least
                return MarkerText(HIDDEN)
        return MarkerText(what)

    def visit(self, value: Any, shape: Shape, path: str, around: RowContexts) -> Any:
        """What is shown of a value."""
        cls = type(value)
        if cls in _AS_THEY_ARE and (shape is SILENT or not shape.says_what):
            return value
        if shape is SILENT and id(value) in self._known:
            return self._known[id(value)][1]
        self._left -= 1
        if self._left < 0 or len(self._under_way) > DEEPEST:
            return MarkerText(HIDDEN)
        try:
            shown = self._visit(value, cls, shape, path, around)
        except Exception:  # noqa: BLE001  # of an annotation, or of a container's own code: what it holds is unknown
            return self._hide_opaque(value)
        if shape is SILENT:
            self._known[id(value)] = (value, shown)
        return shown

    def _visit(self, value: Any, cls: type, shape: Shape, path: str, around: RowContexts) -> Any:
        if issubclass(cls, str) and (shape is SILENT or not shape.says_what) and not issubclass(cls, enum.Enum):
            plain = str.__str__(value)  # whatever its class makes of it
            text = self._masker.text(plain)
            return value if cls in (str, MarkerText) and text == plain else MarkerText(text)
        if issubclass(cls, bytes):
            plain = value.decode("utf-8", "replace")
            text = self._masker.text(plain)
            return value if text == plain else MarkerText(text)
        if is_mapped(cls):
            return self._mask_mapped_object(value)
        if shape is SILENT and not (issubclass(cls, _LOOKED_INTO) or is_taggable(cls)):
            return value if self._masker.is_shown(cls) else self._hide_opaque(value)
        return super().visit(value, shape, path, around)

    @override
    def handle_cycle(self, value: Any, plan: ValuePlan, path: str) -> None:
        """It is shown where it was met first."""
        raise RecursionError

    @override
    def search(self, value: Any, plan: ValuePlan, path: str, around: RowContexts) -> None:
        """Nothing: of an object without fields nothing is shown but its text."""

    @override
    def leaves_state(self, value: Any, plan: ValuePlan, path: str, around: RowContexts) -> bool:
        """Return True: what an object holds outside of its fields and items is not shown."""
        return True

    @override
    def visit_leaf(self, value: Any, plan: ValuePlan, path: str, around: RowContexts) -> Any:
        if plan.whole is not None:
            return self.hide(value, marker(plan.whole))
        if isinstance(value, Sealed):
            return self.hide(value, repr(value))
        if isinstance(value, BaseException):
            return self._mask_exception(value)
        return value if self._masker.is_shown(plan.cls) else self._hide_opaque(value)

    def _mask_exception(self, error: BaseException) -> Any:
        """What is shown of an exception: itself, where all that its message is made of is shown."""
        args: tuple[Any, ...] = error.args
        shown = [self.masked(arg) for arg in args]
        written_in_c = isinstance(type(error).__str__, types.WrapperDescriptorType)
        if type(error) in REFUSALS or (written_in_c and all(map(_is_same, shown, args))):
            return error
        return MarkerText(f"{type(error).__name__}({', '.join(map(repr, shown))})")

    @override
    def visit_row(self, row: Any, plan: ValuePlan, path: str, around: RowContexts) -> Any:
        if plan.whole is not None:
            return self.hide(row, marker(plan.whole))
        tagged = CLASSES.of(plan.cls)
        markers: Mapping[str, str] = {} if tagged is None else tagged.markers
        if tagged is None and is_namedtuple(plan.cls) and not getattr(plan.cls, "__annotations__", None):
            markers = self._masker.markers(plan.fields or ())  # it says no more of its fields than a dict
        shown: dict[str, Any] = {}
        changed = False
        for name, shape, value in plan.iter_values(row, {}):
            what = marker(plan.labels[name]) if name in plan.labels else markers.get(name)
            shown[name] = self.visit(value, shape, "", around) if what is None else self.hide(value, what)
            changed = changed or shown[name] is not value
        for name, value in undeclared_entries(row, plan.fields or {}):
            shown[name] = self.visit(value, SILENT, "", around) if tagged is None else self.hide(value, HIDDEN)
            changed = changed or shown[name] is not value
        if not changed and tagged is None:
            return row
        if isinstance(row, dict):
            return shown
        return MarkerText(f"{plan.cls.__name__}({', '.join(f'{name}={value!r}' for name, value in shown.items())})")

    @override
    def visit_container(self, value: Any, plan: ValuePlan, path: str, around: RowContexts) -> Any:
        if plan.whole is not None:
            return self.hide(value, marker(plan.whole))
        if isinstance(value, Mapping):
            return self._visit_mapping(value, plan, path, around)
        if not isinstance(value, _CONTAINERS):
            return value if self._masker.is_shown(plan.cls) else self._hide_opaque(value)
        items: list[Any] = list(itertools.islice(value, MOST_ITEMS))
        left = [self.visit(item, plan.items, "", around) for item in items]
        more = _make_ellipsis(value)
        if type(value) in (list, tuple, set, frozenset) and not more:
            return value if all(map(_is_same, left, items)) else type(value)(left)
        return [*left, *more]

    @override
    def _visit_mapping(self, value: Mapping[Any, Any], plan: ValuePlan, path: str, around: RowContexts) -> Any:
        entries = list(itertools.islice(stored_entries(value), MOST_ITEMS))
        markers = self._masker.markers([key for key, _ in entries])
        left: dict[Any, Any] = {}
        for key, item in entries:
            shown_key = self.visit(key, plan.keys, "", around)
            what = markers.get(key) if isinstance(key, str) else None
            shown = self.visit(item, plan.items, "", around) if what is None else self.hide(item, what)
            left[str(shown_key) if isinstance(shown_key, (list, dict, set)) else shown_key] = shown
        more = _make_ellipsis(value)
        if type(value) is dict and not more:
            same = all(map(_is_same, left, value)) and all(map(_is_same, left.values(), value.values()))
            return value if same else left
        return {**left, **dict.fromkeys(more, HIDDEN)}

    def _mask_mapped_object(self, row: Any) -> MarkerText:
        """What is shown of a mapped object: its class. It may hold more than is tagged, and load what it lacks."""
        tagged = CLASSES.of(type(row))
        values: dict[str, Any] = getattr(row, RAW_DICT, None) or vars(row)  # Also what may not be read now is masked.
        for name, value in list(values.items()):
            if tagged is not None and name in tagged.markers:
                self.hide(value, tagged.markers[name])
        return self._hide_opaque(row)

    def _hide_opaque(self, value: Any) -> MarkerText:
        cls = type(value)
        return MarkerText(f"<{cls.__module__}.{cls.__qualname__}>")


def _is_same(one: object, other: object) -> bool:
    return one is other


def _make_ellipsis(value: Collection[Any]) -> list[MarkerText]:
    beyond = len(value) - MOST_ITEMS
    return [MarkerText(f"<{beyond} more>")] if beyond > 0 else []
