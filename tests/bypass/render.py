"""Every way that a colleague in a hurry would print, dump or take apart an object."""

from __future__ import annotations

import copy
import dataclasses
import gc
import json
import operator
import pickle
import string
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import attrs
from fastapi.encoders import jsonable_encoder
from pydantic import BaseModel, TypeAdapter
from pydantic_core import to_json, to_jsonable_python
from rich.pretty import pretty_repr

from tests.bypass.seal_looking import quiet, slots_of
from tests.bypass.seal_reporters import by_rich, logged, rich_traceback, traced
from tests.bypass.seal_ways import SHOW

Way = Callable[[Any], Any]


def referents(one: Any) -> list[str]:
    """All texts that the garbage collector finds from the object, not through modules, functions, frames or classes."""
    own = {id(cls) for cls in type(one).__mro__}
    seen: set[int] = set()
    pending, texts = [one], []
    while pending:
        current = pending.pop()
        if id(current) in seen or len(seen) > 50_000 or (isinstance(current, type) and id(current) not in own):
            continue
        seen.add(id(current))
        if isinstance(current, (str, bytes)):
            texts.append(str(current))
        elif type(current).__module__ in {"builtins", "types"} and not isinstance(
            current, (list, tuple, dict, set, frozenset)
        ):
            if type(current).__name__ in {"cell", "method", "getset_descriptor", "member_descriptor"}:
                pending += gc.get_referents(current)
        else:
            pending += gc.get_referents(current)
    return texts


def matched(one: Any) -> list[Any]:
    found: list[Any] = []
    match one:
        case {"device": device}:
            found.append(device)
        case {"email": _, **rest}:
            found.append(rest)
        case [_, device, *_]:
            found.append(device)
        case object(device=device):
            found.append(device)
    return found


def unpacked(one: Any) -> list[Any]:
    head, *tail = one
    return [head, tail, [*one], (*one,), {*map(str, one)}]


def called(one: Any) -> Any:
    def receive(*args: Any, **kwargs: Any) -> Any:
        return args, kwargs

    return receive(*one, **one._asdict()) if hasattr(one, "_asdict") else receive(**one)


def shown(way: Way, one: Any) -> str:
    """All text that comes of a way, its error's included."""
    try:
        given = way(one)
    except Exception as error:
        given = [repr(error), str(error), error.args]
        # The frames from the library on: those before are the test's own, and so is what they hold.
        for frame, _ in list(traceback.walk_tb(error.__traceback__))[1:]:
            given += [quiet(lambda value=value: repr(value)) for value in frame.f_locals.values()]  # type: ignore[misc]
    return "\n".join(_flat(given))


def _flat(given: Any, depth: int = 0) -> Iterator[str]:
    if isinstance(given, bytes):
        yield given.decode("utf-8", "replace")
        yield given.decode("utf-16-le", "replace")
    yield from (f(given) for f in (str, repr))
    if depth < 3 and isinstance(given, (list, tuple)):
        for item in tuple.__iter__(given) if isinstance(given, tuple) else given:
            yield from _flat(item, depth + 1)


def _class(one: Any) -> Any:
    return type(one)


def _base(one: Any) -> Any:
    return type(one).__mro__[1]


def _of_base_model(name: str) -> Any:
    return getattr(BaseModel, name)


def _above(cls: Any, one: Any) -> Any:
    return super(cls, one).device


def _attributes(one: Any) -> list[Any]:
    return [(name, quiet(lambda name=name: getattr(one, name))) for name in dir(one) if name != "__class__"]  # type: ignore[misc]


def _texts(one: Any) -> list[Any]:
    """A copy, taken apart in turn."""
    return [repr(one), str(one), quiet(lambda: vars(one)), quiet(lambda: one.device), quiet(lambda: list(one))]


def _as_base(one: Any) -> Any:
    mine = copy.copy(one)
    base = next((cls for cls in type(mine).__mro__[1:] if cls.__name__ == type(mine).__name__), type(mine))
    mine.__class__ = base
    return [quiet(lambda: repr(mine)), quiet(lambda: mine.device), quiet(lambda: vars(mine))]


SHARED = ("repr", "str", "format", "ascii", "print", "pprint", "reprlib", "object.__getstate__")
WAYS: dict[str, Way] = {
    **{name: SHOW[name] for name in SHARED},
    "f-string": lambda one: f"{one} {one!r} {one!s} {one=}",
    "percent": lambda one: ("%s" % (one,)) + ("%r" % (one,)) + ("%.500s" % (one,)),  # noqa: UP031
    "percent of items": lambda one: "%s %s %s" % one,  # noqa: UP031
    "percent by name": lambda one: "%(device)s" % one,  # noqa: UP031
    "str.format": lambda one: "{} {!r} {!s:>99}".format(one, one, one),  # noqa: UP032
    "format of a field": "{0.device}".format,
    "format of an index": "{0[device]}".format,
    "format_map": "{device}".format_map,
    "template": lambda one: string.Template("$device").substitute(one),
    "rich": lambda one: pretty_repr(one, max_width=200),
    "logging": lambda one: [logged(one), logged({"one": one}, message="%(one)s"), logged([one], message="%s")],
    "traceback": lambda one: [traced(one), by_rich(rich_traceback)(one)],
    "vars": vars,
    "__dict__": lambda one: one.__dict__,
    "dir": dir,
    "values of dir": _attributes,
    "object.__getattribute__": lambda one: object.__getattribute__(one, "device"),
    "base __getattribute__": lambda one: _base(one).__getattribute__(one, "device"),
    "super": lambda one: [quiet(partial(_above, cls, one)) for cls in type(one).__mro__[:-1]],
    "getattr with default": lambda one: getattr(one, "device", None),
    "hasattr": lambda one: hasattr(one, "device"),
    "attrgetter": operator.attrgetter("device"),
    "itemgetter": operator.itemgetter("device"),
    "item by index": lambda one: [quiet(partial(operator.getitem, one, index)) for index in range(-4, 4)],
    "tuple.__getitem__": lambda one: [tuple.__getitem__(one, i) for i in range(tuple.__len__(one))],
    "tuple.__iter__": lambda one: list(tuple.__iter__(one)),
    "tuple.__repr__": tuple.__repr__,
    "tuple added": lambda one: one + (),  # noqa: RUF005
    "tuple multiplied": lambda one: one * 2,
    "slices": lambda one: [one[:], one[1:], one[::-1], one[1:2]],
    "dict.__getitem__": lambda one: dict.__getitem__(one, "device"),
    "dict.get": lambda one: dict.get(one, "device"),
    "dict.__repr__": dict.__repr__,
    "dict.items": lambda one: [list(dict.items(one)), list(dict.values(one)), list(dict.keys(one))],
    "dict()": dict,
    "dict merged": lambda one: [one | {}, {} | dict(one), {**one}],
    "dict popped": lambda one: one.pop("device"),
    "dict.pop": lambda one: dict.pop(one, "device", None),
    "popitem": lambda one: [quiet(copy.copy(one).popitem) for _ in range(4)],
    "items": lambda one: list(one.items()),
    "iterating": list,
    "reversed": lambda one: list(reversed(one)),
    "sorted": lambda one: sorted(one, key=str),
    "enumerate": lambda one: list(enumerate(one)),
    "zip": lambda one: list(zip(one, one, strict=True)),
    "join": lambda one: ",".join(map(str, one)),
    "unpacking": unpacked,
    "calling with": called,
    "slots": lambda one: list(slots_of(one)),
    "match": matched,
    "dataclasses.asdict": dataclasses.asdict,
    "dataclasses.astuple": dataclasses.astuple,
    "dataclasses.replace": lambda one: [_texts(dataclasses.replace(one)), _texts(dataclasses.replace(one, email="x"))],
    "attrs.asdict": attrs.asdict,
    "attrs.astuple": attrs.astuple,
    "attrs.evolve": lambda one: [_texts(attrs.evolve(one)), _texts(attrs.evolve(one, email="x"))],
    "_asdict": lambda one: one._asdict(),
    "_replace": lambda one: _texts(one._replace(email="x")),
    "_make": lambda one: type(one)._make(one),
    "model_dump": lambda one: one.model_dump(),
    "model_dump, all ways": lambda one: [
        one.model_dump(mode="json"),
        one.model_dump(round_trip=True),
        one.model_dump(exclude_unset=False, exclude_defaults=False),
        one.model_dump(include={"device"}),
        one.model_dump(by_alias=True, serialize_as_any=True),
    ],
    "model_dump_json": lambda one: one.model_dump_json(),
    "model_dump_json, indented": lambda one: one.model_dump_json(indent=1, include={"device"}),
    "BaseModel.model_dump": BaseModel.model_dump,
    "BaseModel.__repr__": BaseModel.__repr__,
    "BaseModel.__iter__": lambda one: list(BaseModel.__iter__(one)),
    "BaseModel.__getattr__": lambda one: _of_base_model("__getattr__")(one, "_private"),
    "private state": lambda one: [one.__pydantic_private__, one.__pydantic_extra__, one.__pydantic_fields_set__],
    "model_extra": lambda one: [one.model_extra, one.model_fields_set],
    "model_copy": lambda one: [_texts(one.model_copy()), _texts(one.model_copy(deep=True, update={"email": "x"}))],
    "model_construct": lambda one: _texts(type(one).model_construct(**dict(one))),
    "serializer": lambda one: _class(one).__pydantic_serializer__.to_python(one),
    "serializer of the base": lambda one: _base(one).__pydantic_serializer__.to_json(one),
    "TypeAdapter of its class": lambda one: TypeAdapter(type(one)).dump_python(one),
    "TypeAdapter of the base": lambda one: TypeAdapter(_base(one)).dump_json(one),
    "TypeAdapter of anything": lambda one: TypeAdapter(Any).dump_python(one),
    "to_json": to_json,
    "to_jsonable_python": to_jsonable_python,
    "jsonable_encoder": jsonable_encoder,
    "jsonable_encoder, with it": lambda one: jsonable_encoder(one, include={"device"}),
    "json": json.dumps,
    "json of attributes": lambda one: json.dumps(one, default=vars),
    "json of asdict": lambda one: json.dumps(one, default=str),
    "copy": lambda one: _texts(copy.copy(one)),
    "deepcopy": lambda one: _texts(copy.deepcopy(one)),
    "pickle": lambda one: [pickle.dumps(one, protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)],
    "pickle and back": lambda one: _texts(pickle.loads(pickle.dumps(one))),
    "__reduce_ex__": lambda one: [repr(one.__reduce_ex__(protocol)) for protocol in range(6)],
    "object.__reduce_ex__": lambda one: [object.__reduce_ex__(one, protocol) for protocol in (2, 5)],
    "__getstate__": lambda one: one.__getstate__(),
    "__class__ changed": _as_base,
    "referents": referents,
    "ordering": lambda one: [quiet(lambda: one < one), quiet(lambda: one <= one)],  # noqa: PLR0124
}
"""Some of these raise for some kinds of objects, which is fine; none may show what is withheld."""
