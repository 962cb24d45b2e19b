"""Questions whose answers depend on a value: enough of them, and it is found out by guessing."""

from __future__ import annotations

import bisect
import collections
import dataclasses
import difflib
import functools
import hmac
import inspect
import json
import operator
import sys
from collections.abc import Callable, Iterable, Sized
from typing import Annotated, Any, Literal, SupportsInt

import msgspec
from annotated_types import Ge, MinLen
from pydantic import BaseModel, ConfigDict, StringConstraints, TypeAdapter

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from tests.bypass.seal_looking import guard

Oracle = Callable[[Any, str, int], object]
"""Of a secret, a text and a number to compare it with."""


def _matched(secret: Any, text: str, number: int) -> str:
    match secret:
        case "" | 0 | None:
            return "nothing"
        case str():
            return "text"
        case int() | float():
            return "number"
        case [_]:
            return "one"
    return "something"


def _cached(secret: Any, text: str, number: int) -> tuple[int, int]:
    @functools.lru_cache
    def ask(given: Any) -> int:
        return 1

    ask(text), ask(number), ask(secret)
    return ask.cache_info()[:2]


def _guard_cached(secret: Any, text: str, number: int) -> Any:
    @guard.cached()
    @guard.access(tm.Registration)
    def ask(given: Any) -> int:
        return 1

    with guard.purpose(tm.RenewalGuidance):
        ask(text), ask(number), ask(secret)
    return ask.cache_info()[:2]  # type: ignore[attr-defined]  # what caches have beside


class Model(BaseModel):
    model_config = ConfigDict(frozen=True)
    one: Any = None


@dataclasses.dataclass(order=True, frozen=True)
class Data:
    one: Any


def _tried_by(annotation: Any) -> Oracle:
    adapter = TypeAdapter(annotation)

    def valid(secret: Any, text: str, number: int) -> object:
        try:
            adapter.validate_python(secret)
        except ValueError:
            return "not valid"
        return "valid"

    return valid


def _sealed_field(inner: Any) -> Oracle:
    """A field whose validators would look at the value; what is sealed already passes unseen."""
    return _tried_by(pg.Personal[inner, Any] | inner)


SIGNS = {"_sealed_label"}
"""Attributes that say whether anything is to be applied yet, not what."""

ORACLES: dict[str, Oracle] = {
    "==": lambda secret, text, number: [secret == text, text == secret, secret == number],
    "!=": lambda secret, text, number: [secret != text, number != secret],
    "is": lambda secret, text, number: [secret is text, secret is None],
    "operator.eq": lambda secret, text, number: operator.eq(secret, text),
    "__eq__": lambda secret, text, number: [secret.__eq__(text), secret.__ne__(number)],
    "order": lambda secret, text, number: secret < text,
    "order, turned": lambda secret, text, number: text >= secret,
    "order of numbers": lambda secret, text, number: secret <= number,
    "sorted": lambda secret, text, number: [*sorted([text, secret])].index(text),
    "max": lambda secret, text, number: max(text, secret) is text,
    "bisect": lambda secret, text, number: bisect.bisect(["a", "t", "z"], secret),
    "truth": lambda secret, text, number: bool(secret),
    "not": lambda secret, text, number: not secret,
    "and, or": lambda secret, text, number: (secret and 1) or 2,
    "filter": lambda secret, text, number: len([*filter(None, [secret])]),
    "any": lambda secret, text, number: any([secret]),
    "len": lambda secret, text, number: len(secret),
    "length_hint": lambda secret, text, number: operator.length_hint(secret, -1),
    "getsizeof": lambda secret, text, number: sys.getsizeof(secret),
    "__sizeof__": lambda secret, text, number: secret.__sizeof__(),
    "length of its text": lambda secret, text, number: len(str(secret)),
    "hash": lambda secret, text, number: [hash(secret) == hash(text), hash(secret) == hash(number)],
    "in a list": lambda secret, text, number: secret in [text, number],
    "in a set": lambda secret, text, number: [secret in {text, number}, text in {secret, 0.5}],
    "in a dict": lambda secret, text, number: {text: 1, number: 2}.get(secret, 3),
    "in a text": lambda secret, text, number: secret in f"{text} zzz",
    "contains": lambda secret, text, number: text[0] in secret,
    "count": lambda secret, text, number: [text, number].count(secret),
    "index": lambda secret, text, number: [text, number].index(secret),
    "a set's size": lambda secret, text, number: len({secret, text, number}),
    "Counter": lambda secret, text, number: collections.Counter([text, secret])[text],
    "starts with": lambda secret, text, number: secret.startswith("s"),
    "difflib": lambda secret, text, number: difflib.get_close_matches(str(secret), [text]),
    "compare_digest": lambda secret, text, number: hmac.compare_digest(secret, text),
    "isinstance": lambda secret, text, number: [isinstance(secret, kind) for kind in (str, int, float, tuple)],
    "isinstance of protocols": lambda secret, text, number: [
        isinstance(secret, kind) for kind in (Sized, Iterable, SupportsInt, collections.abc.Sequence)
    ],
    "type": lambda secret, text, number: type(secret).__name__,
    "__class__": lambda secret, text, number: secret.__class__.__name__,
    "callable": lambda secret, text, number: [callable(secret), hasattr(secret, "lower"), hasattr(secret, "__len__")],
    "dir": lambda secret, text, number: sorted(name for name in dir(secret) if name not in SIGNS),
    "match": _matched,
    "hits of lru_cache": _cached,
    "hits of guard.cached": _guard_cached,
    "equal models": lambda secret, text, number: [Model(one=secret) == Model(one=text), Model(one=secret) == Model()],
    "hash of models": lambda secret, text, number: hash(Model(one=secret)) == hash(Model(one=text)),
    "equal dataclasses": lambda secret, text, number: Data(secret) == Data(text),
    "ordered dataclasses": lambda secret, text, number: Data(secret) < Data(text),
    "left out as a default": lambda secret, text, number: Model(one=secret).model_dump(exclude_defaults=True) == {},
    "left out as None": lambda secret, text, number: Model(one=secret).model_dump(exclude_none=True) == {},
    "JSON's length": lambda secret, text, number: len(json.dumps(secret)),
    "converted by msgspec": lambda secret, text, number: msgspec.convert(secret, str | None),
    "unpacked": lambda secret, text, number: len([*secret]),
    "a signature's default": lambda secret, text, number: (
        inspect.Parameter("one", inspect.Parameter.KEYWORD_ONLY, default=secret)
        == inspect.Parameter("one", inspect.Parameter.KEYWORD_ONLY, default=text)
    ),
    "a field of one text": _sealed_field(Literal["sentinel-5f1c9a"]),
    "a field of a pattern": _sealed_field(Annotated[str, StringConstraints(pattern="^s")]),
    "a field of a length": _sealed_field(Annotated[str, MinLen(4)]),
    "a field above a number": _sealed_field(Annotated[int, Ge(1)]),
    "a field of a type": _sealed_field(str),
    "a plain field of a type": _tried_by(str | int),
}
