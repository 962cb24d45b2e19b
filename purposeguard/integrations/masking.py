"""Masking of values that are shown outside any purpose. Tagged and sealed data is replaced by its clauses.

`logging`, `structlog`, `sentry` and `opentelemetry` of this package share it. Values are searched by the plans of their
classes, as guards do. An object that cannot be inspected is replaced by the name of its class.
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
from purposeguard.values.plan import RAW_DICT, ValuePlan, find_undeclared_entries, get_stored_entries
from purposeguard.values.sealed import Sealed
from purposeguard.values.type_schema import SILENT, Shape
from purposeguard.values.walk import RowContexts, ValueWalk

MOST_ITEMS: Final = 100
"""The number of items of a container that are shown. The others are replaced by their number."""

MOST_PARTS: Final = 10_000
"""The number of values that one look inspects."""

LONGEST: Final = 50_000
"""The number of characters of a text that are shown."""

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
"""Classes whose objects are shown as they are: code, and simple values of the standard library."""


_PARAMETERS: Final = ("db.params", "db.query.parameter", "db.statement.parameters")
"""The prefixes under which Sentry and OpenTelemetry report the parameters of a query."""


_PAIR: Final = re.compile(r"""(?<![\w.])(["']?)([A-Za-z_]\w*)\1\s*([=:＝：])\s*""")
"""The name of a field before its value, in a `repr`, a dict, JSON or a query."""

_QUOTED: Final = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""", re.DOTALL)

_SEPARATOR: Final = re.compile(r"[,;&|\n{、，；＆]\s*$")
"""A separator that ends a value before the name of another field."""

_AFTER_VALUE: Final = re.compile(r"[\s,;&|、，；＆)\]}]*$")
"""The characters after a value without quotes. They are shown."""

_OPENING: Final = "([{"
_CLOSING: Final = ")]}"


class Masker:
    """The masking of values, with its settings.

    Tagged classes of modules are found automatically. A class that is made in a function has to be among `models`, or
    one of its objects has to be met, before its dicts are recognized.

    Args:
        models: Tagged classes that are not found automatically.
        shown: Classes whose own texts hold nothing personal, such as a URL without a query. Their objects stay as they
            are.
        strict: Mask every entry of a dict, and every `name=value` in a text, that has the name of a tagged field.
    """

    def __init__(self, *models: type, shown: Iterable[type] = (), strict: bool = False) -> None:
        for model in models:
            CLASSES.of(model)
        self._shown = (*_SHOWN, *shown)
        self._strict = strict

    def masked(self, value: Any) -> Any:
        """Return `value`, or a copy in which tagged and sealed data is replaced.

        Raises nothing: what cannot be inspected is replaced as well.
        """
        return Look(self).mask(value)

    def entries(self, entries: Mapping[Any, Any]) -> dict[Any, Any]:
        """Mask each entry of a dict, which may itself be made from a tagged class."""
        return Look(self).entries(entries)

    def text(self, text: str) -> str:
        """Replace the values in a text that are written like at least two fields of a tagged class.

        This masks objects and dicts that were formatted before they came here. With `strict`, one field is enough.
        """
        if len(text) > LONGEST:
            text = f"{text[:LONGEST]}{HIDDEN}"
        pairs = list(_PAIR.finditer(text))
        if not pairs:
            return text
        pairs_by_start = {pair.start(): pair for pair in pairs}
        markers = CLASSES.markers(frozenset(pair[2] for pair in pairs), least=1 if self._strict else 2)
        if not markers:
            return text
        parts: list[str] = []
        done = 0
        for pair in pairs:
            if pair[2] in markers and pair.start() >= done:
                parts += (text[done : pair.end()], markers[pair[2]])
                done = _find_value_end(text, pair, pairs_by_start, markers)
        return "".join((*parts, text[done:]))

    def markers(self, keys: Collection[Any]) -> Mapping[str, str]:
        """Return the replacement texts for the values of a dict, by key. Parameters of queries are always hidden."""
        names = frozenset(key for key in keys if isinstance(key, str))
        markers = CLASSES.markers(names, least=1 if self._strict or len(keys) == 1 else 2, or_all=True)
        parameters = [name for name in names if name.startswith(_PARAMETERS)]
        return {**markers, **dict.fromkeys(parameters, HIDDEN)} if parameters else markers

    def is_shown(self, cls: type) -> bool:
        """Return True if objects of a class stay as they are."""
        return cls in PLAIN or issubclass(cls, self._shown)


def _find_value_end(text: str, pair: re.Match[str], pairs: Mapping[int, re.Match[str]], names: Collection[str]) -> int:
    """Return where the value of a pair ends. In doubt, more of the text counts as the value.

    A value that is written as in code (in quotes or brackets, or a seal) ends with these. Any other value may have
    several words: it ends where the next field begins.
    """
    at = pair.end()
    if text.startswith("<", at):  # A seal, or a text that stands for a value.
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
    """Return where the brackets that begin here are closed, or `at` if there are none or they stay open."""
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
"""Text that may follow a value written by code: the end, a bracket, or a separator and another value or field."""


def _is_followed_as_in_code(text: str, end: int, first: str) -> bool:
    """Return True if a value in quotes or brackets ends here, because what follows cannot be part of it."""
    if _CODE_AFTER.match(text, end) is not None:
        return True
    # Words may follow in a sentence. Where quotes follow, they may be those of the value.
    return text[end : end + 1].isspace() and first in "'\"" and first not in text[end:]


def _next_field(text: str, pair: re.Match[str], pairs: Mapping[int, re.Match[str]], names: Collection[str]) -> int:
    """Return where the next field begins after a pair, or the length of the text if there is none."""
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
    """Return True if another pair is not part of the value of the first: it is tagged, or stands after a separator."""
    is_separated = _SEPARATOR.search(text, pair.end(), other.start()) is not None
    return other[2] in names or (is_separated and other[3] == pair[3])


_CONTAINERS: Final = (list, tuple, set, frozenset, collections.deque, KeysView, ValuesView, ItemsView)
_LOOKED_INTO: Final = (Mapping, Sealed, BaseException, *_CONTAINERS)
_AS_THEY_ARE: Final = PLAIN - {str, bytes}


class Look(ValueWalk):
    """A look at several values that are shown together. An object that is in several of them is looked at once.

    `texts` collects what is masked. After MOST_PARTS values nothing more is shown.
    """

    def __init__(self, masker: Masker, texts: MaskedTexts | None = None) -> None:
        super().__init__()
        self._masker = masker
        self._texts = texts
        self._remaining_parts = MOST_PARTS
        self._shown: dict[int, tuple[Any, Any]] = {}  # Keeps the object alive, so that no other one gets its id.

    def mask(self, value: Any) -> Any:
        """Mask a value; see `Masker.masked`."""
        return self.visit(value, SILENT, "", ())

    def entries(self, entries: Mapping[Any, Any]) -> dict[Any, Any]:
        """Mask each entry of a dict; see `Masker.entries`."""
        markers = self._masker.markers(entries)
        masked: dict[Any, Any] = {}
        for key, item in entries.items():
            masked[key] = self.hide(item, markers[key]) if key in markers else self.mask(item)
        return masked

    def hide(self, value: Any, replacement: str) -> MarkerText:
        """Return the text that stands for a value, and collect the texts in it."""
        if self._texts is not None:
            try:
                self._texts.add(value, replacement)
            except Exception:  # noqa: BLE001  # The value's own code failed. At least it is not shown here.
                return MarkerText(HIDDEN)
        return MarkerText(replacement)

    def visit(self, value: Any, shape: Shape, path: str, around: RowContexts) -> Any:
        """Return what may be shown of a value. If a value cannot be inspected, only its class is shown."""
        cls = type(value)
        if cls in _AS_THEY_ARE and (shape is SILENT or not shape.says_what):
            return value
        if shape is SILENT and id(value) in self._shown:
            return self._shown[id(value)][1]
        self._remaining_parts -= 1
        if self._remaining_parts < 0 or len(self._under_way) > DEEPEST:
            return MarkerText(HIDDEN)
        try:
            shown = self._visit(value, cls, shape, path, around)
        except Exception:  # noqa: BLE001  # An annotation or the container's own code failed.
            return self._hide_opaque(value)
        if shape is SILENT:
            self._shown[id(value)] = (value, shown)
        return shown

    def _visit(self, value: Any, cls: type, shape: Shape, path: str, around: RowContexts) -> Any:
        if issubclass(cls, str) and (shape is SILENT or not shape.says_what) and not issubclass(cls, enum.Enum):
            plain = str.__str__(value)  # Its class may define another `__str__`.
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
        """Raise RecursionError: the object is already shown where it was met first."""
        raise RecursionError

    @override
    def search(self, value: Any, plan: ValuePlan, path: str, around: RowContexts) -> None:
        """Do nothing: of an object without fields, only its text could be shown."""

    @override
    def leaves_state(self, value: Any, plan: ValuePlan, path: str, around: RowContexts) -> bool:
        """Return True: the state of an object outside its fields and items is not shown."""
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
        """Return the exception itself if every part of its message is shown, or else a text."""
        args: tuple[Any, ...] = error.args
        shown = list(map(self.mask, args))
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
            markers = self._masker.markers(plan.fields or ())  # Its fields are as anonymous as those of a dict.
        shown: dict[str, Any] = {}
        changed = False
        for name, shape, value in plan.iter_values(row, {}):
            text = marker(plan.labels[name]) if name in plan.labels else markers.get(name)
            shown[name] = self.visit(value, shape, "", around) if text is None else self.hide(value, text)
            changed = changed or shown[name] is not value
        for name, value in find_undeclared_entries(row, plan.fields or {}):
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
        shown = [self.visit(item, plan.items, "", around) for item in items]
        more = _make_ellipsis(value)
        if type(value) in (list, tuple, set, frozenset) and not more:
            return value if all(map(_is_same, shown, items)) else type(value)(shown)
        return [*shown, *more]

    @override
    def _visit_mapping(self, value: Mapping[Any, Any], plan: ValuePlan, path: str, around: RowContexts) -> Any:
        entries = list(itertools.islice(get_stored_entries(value), MOST_ITEMS))
        markers = self._masker.markers([key for key, _ in entries])
        shown: dict[Any, Any] = {}
        for key, item in entries:
            shown_key = self.visit(key, plan.keys, "", around)
            text = markers.get(key) if isinstance(key, str) else None
            shown_item = self.visit(item, plan.items, "", around) if text is None else self.hide(item, text)
            shown[str(shown_key) if isinstance(shown_key, (list, dict, set)) else shown_key] = shown_item
        more = _make_ellipsis(value)
        if type(value) is dict and not more:
            same = all(map(_is_same, shown, value)) and all(map(_is_same, shown.values(), value.values()))
            return value if same else shown
        return {**shown, **dict.fromkeys(more, HIDDEN)}

    def _mask_mapped_object(self, row: Any) -> MarkerText:
        """Return the class of a mapped object as a text. The object may hold untagged data, and load what it lacks."""
        tagged = CLASSES.of(type(row))
        values: dict[str, Any] = getattr(row, RAW_DICT, None) or vars(row)  # Includes values that may not be read now.
        for name, value in list(values.items()):
            if tagged is not None and name in tagged.markers:
                self.hide(value, tagged.markers[name])
        return self._hide_opaque(row)

    def _hide_opaque(self, value: Any) -> MarkerText:
        cls = type(value)
        return MarkerText(f"<{cls.__module__}.{cls.__qualname__}>")


def _is_same(first: object, second: object) -> bool:
    return first is second


def _make_ellipsis(value: Collection[Any]) -> list[MarkerText]:
    beyond = len(value) - MOST_ITEMS
    return [MarkerText(f"<{beyond} more>")] if beyond > 0 else []
