"""Every way that a colleague in a hurry would print, log, report or copy a sealed value: each works, on the seal.

Each shows something of a plain value of some kind, which the tests see first: else it would prove nothing.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import copy
import copyreg
import csv
import functools
import html
import inspect
import io
import itertools
import json
import logging
import pprint
import reprlib
import string
import textwrap
import threading
import types
import urllib.parse
from collections.abc import Generator
from typing import Any

from pydantic import TypeAdapter
from pydantic_core import to_json
from rich.pretty import pretty_repr

import purposeguard as pg
from tests.bypass.seal_looking import Ask, quiet, slots_of
from tests.bypass.seal_reporters import (
    STRUCTLOG,
    JsonFormatter,
    asserted,
    by_rich,
    called,
    debugged,
    displayed,
    frames_as_html,
    logged,
    logged_as_number,
    raised_with,
    rich_inspect,
    rich_traceback,
    sent_to_a_service,
    traced,
    unhandled,
    warned,
)


def _printed(one: Any) -> str:
    stream = io.StringIO()
    print(one, [one], file=stream)
    return stream.getvalue()


def _longer() -> reprlib.Repr:
    longer = reprlib.Repr()
    longer.maxstring = longer.maxother = longer.maxlong = 999
    return longer


def _csv(one: Any) -> str:
    stream = io.StringIO()
    csv.writer(stream).writerow([one])
    csv.DictWriter(stream, ["one"]).writerow({"one": one})
    return stream.getvalue()


def _matched(one: Any) -> list[Any]:
    match one:
        case str() | int() | float() | bytes():
            return [one]
        case [first, *_]:
            return [first]
        case {"device": device}:
            return [device]
        case pg.Personal(label=label):
            return [label]
        case object(device=device) | object(email=device) | object(x=device):
            return [device]
    return []


def _in_a_task(one: Any) -> list[str]:
    async def give() -> Any:
        return one

    async def main() -> list[str]:
        task = asyncio.create_task(give(), name=f"for {one}")
        await task
        return [repr(task), repr(task.result()), repr(asyncio.get_running_loop().call_soon(str, one))]

    return asyncio.run(main())


def _in_a_pool(one: Any) -> list[str]:
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        found = pool.submit(lambda given: [given, repr(given)], one).result()
    return [repr(found), repr(threading.Thread(target=print, args=(one,))._args)]  # type: ignore[attr-defined]  # what it is going to run with


def _context(one: Any) -> list[str]:
    variable: contextvars.ContextVar[Any] = contextvars.ContextVar("bypass")
    return [repr(contextvars.copy_context().run(lambda: (variable.set(one), contextvars.copy_context()[variable])))]


def _generated(one: Any) -> list[Any]:
    def give() -> Generator[Any]:
        yield one

    generator = give()
    held = inspect.getgeneratorlocals(generator)
    return [repr(held), list(generator)]


def _members(one: Any) -> list[Any]:
    """The attributes that have other values than an object's own."""
    return [(name, value) for name, value in inspect.getmembers(one) if name != "__doc__"]


def _attributes(one: Any) -> list[Any]:
    found = [(name, quiet(functools.partial(getattr, one, name))) for name in dir(one)]
    return [item for item in found if not callable(item[1])]


def _descriptors(one: Any) -> list[Any]:
    """What any descriptor of any class in the order of resolution gives."""
    found = []
    for cls in type(one).__mro__:
        for name, attribute in vars(cls).items():
            if hasattr(attribute, "__get__") and not callable(attribute) and name != "__abstractmethods__":
                found.append((name, quiet(functools.partial(attribute.__get__, one, type(one)))))
    return [*found, *slots_of(one)]


def _declared_slots(one: Any) -> list[Any]:
    names = [name for cls in type(one).__mro__ for name in getattr(cls, "__slots__", ()) if name != "__weakref__"]
    return [getattr(one, name, None) for name in [*names, *copyreg._slotnames(type(one))]]  # type: ignore[attr-defined]  # what copy and pickle ask


def _noted(one: Any) -> list[Any]:
    error = raised_with(one)
    error.add_note(f"about {one}")
    return [error, error.__notes__]


SHOW: dict[str, Ask] = {
    "repr": repr,
    "str": str,
    "ascii": ascii,
    "format": format,
    "f-strings": lambda one: f"{one} {one!r} {one!s} {one!a} {one=}",
    "%s, %r and %a": lambda one: "%s %r %a %.500s %99s" % (one, one, one, one, one),  # noqa: UP031
    "%s alone": lambda one: "%s" % (one,),  # noqa: UP031
    "str.format": lambda one: "{} {!r} {!s:>99} {x}".format(one, one, one, x=one),  # noqa: UP032
    "string.Template": lambda one: string.Template("$one").substitute(one=one),
    "string.Formatter": lambda one: string.Formatter().format("{0!r:>99}", one),
    "object.__repr__ of a list": lambda one: repr([one, (one,), {one.__class__: one}]),
    "the methods by name": lambda one: [one.__repr__(), one.__str__(), one.__format__("")],
    "print": _printed,
    "pprint": pprint.pformat,
    "pprint, narrow": lambda one: pprint.pformat({"one": [one]}, width=1),
    "reprlib": lambda one: _longer().repr(one),
    "textwrap": lambda one: textwrap.fill(str(one)),
    "csv": _csv,
    "html.escape of its text": lambda one: html.escape(str(one)),
    "quote of its text": lambda one: urllib.parse.quote(str(one), safe=""),
    "urlencode": lambda one: urllib.parse.urlencode({"one": str(one)}),
    "the interpreter's prompt": displayed,
    "the interpreter's last words": unhandled,
    "warnings": warned,
    "logging %s and %r": logged,
    "logging %s by name": lambda one: logged({"one": one}, message="%(one)s"),
    "logging %d": logged_as_number,
    "logging extra": lambda one: logged(one, message="", extra={"one": one}, formatter=logging.Formatter("%(one)s")),
    "logging as JSON": lambda one: logged(one, formatter=JsonFormatter(), extra={"one": one}),
    "logging with exc_info": lambda one: logged(one, message="", exc_info=raised_with(one)),
    "logging, braces": lambda one: logged(
        one, message="", extra={"o": one}, formatter=logging.Formatter("{o}", style="{")
    ),
    "traceback with locals": traced,
    "cgitb": frames_as_html,
    "an error service": sent_to_a_service,
    "rich, print": by_rich(lambda console, one: console.print(one, [one], {"one": one})),
    "rich, pretty": lambda one: pretty_repr(one, max_width=500),
    "rich, inspect": by_rich(rich_inspect),
    "rich, log with locals": by_rich(lambda console, one: console.log(one, log_locals=True)),
    "rich, traceback": by_rich(rich_traceback),
    **STRUCTLOG,
    "pdb, p": debugged("p held", "pp held", "p kept"),
    "pdb, args": debugged("args", "p locals()"),
    "pdb, display": debugged("display held", "up", "down", "p f'{held}'"),
    "pdb, a statement": debugged("!print(held, file=__import__('sys').stdout)", "!held"),
    "unittest": asserted,
    "mock": called,
    "inspect.getmembers": _members,
    "inspect.getmembers_static": inspect.getmembers_static,
    "inspect.getargvalues": lambda one: [
        inspect.formatargvalues(*inspect.getargvalues(raised_with(one).__traceback__.tb_next.tb_frame))  # type: ignore[union-attr]  # there is one
    ],
    "bound arguments": lambda one: [inspect.signature(lambda given: given).bind(one)],
    "attributes of dir": _attributes,
    "descriptors of all classes": _descriptors,
    "slots of all classes": _declared_slots,
    "copy": lambda one: [copy.copy(one)],
    "deepcopy": lambda one: [copy.deepcopy(one), copy.deepcopy([one])],
    "object.__getstate__": object.__getstate__,
    "match": _matched,
    "partial": lambda one: repr(functools.partial(print, one)),
    "namespace": lambda one: repr(types.SimpleNamespace(one=one)),
    "an error's text": lambda one: [
        str(ValueError(one)),
        repr(KeyError(one)),
        ExceptionGroup("many", [ValueError(one)]),
    ],
    "an error's note": _noted,
    "a task": _in_a_task,
    "a pool": _in_a_pool,
    "a context variable": _context,
    "a generator's locals": _generated,
    "itertools": lambda one: list(itertools.repeat(one, 2)),
    "a weak dict's values": lambda one: repr(dict(enumerate([one]))),
    "json with default=str": lambda one: json.dumps([one], default=str),
    "json with default=repr": lambda one: json.dumps({"one": one}, default=repr, indent=1, sort_keys=True),
    "to_json of what it does not know": lambda one: to_json([one], serialize_unknown=True),
    "to_json with a fallback": lambda one: to_json(one, fallback=repr),
    "TypeAdapter of anything": lambda one: [TypeAdapter(Any).dump_python(one), TypeAdapter(object).dump_python([one])],
    "an id and a type": lambda one: [id(one), type(one), one],
}
"""Works, on the seal."""
