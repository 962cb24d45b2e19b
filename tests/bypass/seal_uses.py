"""Every way that a colleague in a hurry would use a sealed value as if it were plain: each is refused.

Each shows something of a plain value of some kind, which the tests see first: else it would prove nothing.
"""

from __future__ import annotations

import array
import asyncio
import base64
import cmath
import codecs
import collections
import contextlib
import copyreg
import ctypes
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import glob
import hashlib
import html
import io
import itertools
import json
import marshal
import math
import multiprocessing.reduction
import operator
import os
import pathlib
import pickle
import random
import re
import shelve
import shutil
import socket
import sqlite3
import statistics
import string
import struct
import subprocess
import uuid
import weakref
import zlib
from email.message import EmailMessage
from typing import Any

import attrs
import msgspec
from fastapi.encoders import jsonable_encoder
from pydantic import BaseModel, TypeAdapter
from pydantic_core import to_json, to_jsonable_python

from purposeguard.values.json import encode_sealed
from tests.bypass.seal_looking import Ask

TEXT_START = "senti"


def _bytes(one: Any) -> bytes:
    return b"" if isinstance(one, int) else bytes(one)  # of a number it makes so many


def _bytearray(one: Any) -> bytearray:
    return bytearray() if isinstance(one, int) else bytearray(one)


def _pickled_by_python(one: Any) -> bytes:
    stream = io.BytesIO()
    pickle._Pickler(stream, 2).dump(one)  # the pickler that is written in Python
    return stream.getvalue()


def _pickled_by_a_table(one: Any) -> bytes:
    stream = io.BytesIO()
    pickler = pickle.Pickler(stream)
    pickler.dispatch_table = {**copyreg.dispatch_table, type(one): lambda given: (str, (vars(given),))}
    pickler.dump(one)
    return stream.getvalue()


def _shelved(one: Any) -> Any:
    kept: dict[bytes, bytes] = {}
    shelf: shelve.Shelf[Any]
    with shelve.Shelf(kept) as shelf:
        shelf["one"] = one
    return kept


def _iterated(one: Any) -> list[Any]:
    found = []
    for item in one:
        found += [item]
    return found


def _queried(one: Any) -> list[Any]:
    with contextlib.closing(sqlite3.connect(":memory:")) as database:
        return database.execute("select ?", (one,)).fetchall()


def _mailed(one: Any) -> str:
    message = EmailMessage()
    message["To"] = one
    message.set_content(one)
    return message.as_string()


def _dumped(one: Any) -> str:
    stream = io.StringIO()
    json.dump(one, stream)
    return stream.getvalue()


def print_nothing(*args: Any, **kwargs: Any) -> Any:
    return args, kwargs


def _stars(one: Any) -> Any:
    return print_nothing(*one)


def _keywords(one: Any) -> Any:
    return print_nothing(**one)


def _awaited(one: Any) -> Any:
    async def wait() -> Any:
        return await one

    return asyncio.run(wait())


def _entered(one: Any) -> Any:
    with one as inner:
        return inner


def _added_up(one: Any) -> Any:
    one += ""
    return one


def _set(one: Any) -> Any:
    one[0] = 1
    return one


class Kind(enum.Enum):
    ONE = TEXT_START


def _replace(one: Any) -> Any:
    """As `copy.replace`, which Python has from 3.13 on."""
    if not hasattr(type(one), "__replace__") and not dataclasses.is_dataclass(one):
        raise TypeError(f"replace() does not support {type(one).__name__} objects")
    return dataclasses.replace(one)


def _sent(one: Any) -> bytes:
    left, right = socket.socketpair()
    with left, right:
        left.sendall(one)
        return right.recv(99)


REFUSED: dict[str, Ask] = {
    "int": int,
    "float": float,
    "complex": complex,
    "index": operator.index,
    "hex, oct, bin": lambda one: [hex(one), oct(one), bin(one)],
    "round": round,
    "math": lambda one: [math.trunc(one), math.floor(one), math.ceil(one)],
    "sqrt": lambda one: math.sqrt(one) ** 2,
    "cmath": lambda one: cmath.sqrt(one) ** 2,
    "signs": lambda one: [-one, +one, abs(one), ~one],
    "added": lambda one: one + one,
    "added to text": lambda one: "" + one,
    "added from the right": lambda one: [0 + one],
    "added in place": _added_up,
    "taken away": lambda one: one - 0,
    "multiplied": lambda one: one * 1,
    "text multiplied by": lambda one: 1 * one,
    "divided": lambda one: one / 1,
    "divided whole": lambda one: [one // 1, divmod(one, 10**12)],
    "rest": lambda one: one % 10**12,
    "%s in the value": lambda one: one % (),
    "power": lambda one: [one**1, pow(one, 1, 10**12)],
    "shifted": lambda one: [one << 0, one >> 0],
    "bits": lambda one: [one & -1, one | 0, one ^ 0],
    "merged": lambda one: one | {},
    "sum": lambda one: sum([one]),
    "statistics": lambda one: statistics.fmean([one]),
    "decimal": lambda one: decimal.Decimal(0) + one,
    "fraction": lambda one: fractions.Fraction(1) * one,
    "a date": lambda one: datetime.datetime.fromtimestamp(one, datetime.UTC).timestamp(),
    "a span": lambda one: [datetime.timedelta(seconds=1) * one, str(0 * one + one)],
    "range": lambda one: [*range(one, 10**9, 10**9)],
    "an index": lambda one: range(10**12)[one],
    "struct": lambda one: [struct.pack("q", one), struct.unpack("q", struct.pack("q", one))],
    "array": lambda one: array.array("q", [one]),
    "ctypes": lambda one: [ctypes.c_longlong(one).value],
    "%f and %e": lambda one: "%f %e" % (one, one),  # noqa: UP031
    "%c": lambda one: ["%c" % (one % 1000), one],  # noqa: UP031
    "a key of it by %": lambda one: "%(device)s" % one,  # noqa: UP031
    "a format with a specification": lambda one: f"{one:>40}",
    "format with a specification": lambda one: [format(one, "_"), f"{one:d}"],
    "str.format of an attribute": "{0.device}".format,
    "str.format of an item": "{0[0]}".format,
    "str.format of a key": "{0[device]}".format,
    "format_map": "{device}".format_map,
    "Template of it": lambda one: string.Template("$device").substitute(one),
    "a loop": _iterated,
    "list": list,
    "tuple": tuple,
    "set": set,
    "dict": dict,
    "frozenset": frozenset,
    "deque": collections.deque,
    "Counter": collections.Counter,
    "sorted": lambda one: sorted(one, key=str),
    "reversed": lambda one: [*reversed(one)],
    "enumerate": lambda one: [*enumerate(one)],
    "zip": lambda one: [*zip(one, strict=True)],
    "map": lambda one: [*map(str, one)],
    "filter": lambda one: [*filter(None, one)],
    "unpacking": lambda one: [*one],
    "star arguments": _stars,
    "chain": lambda one: [*itertools.chain(one)],
    "batches": lambda one: [*itertools.islice(one, 99)],
    "max": lambda one: [max(one, key=str), min(one, key=str), one],
    "any": lambda one: [any(one), *one],
    "random.choice": lambda one: [*{random.Random(0).choice(one) for _ in range(9)}, *one],
    "shuffled": lambda one: random.Random(0).sample(one, len(one)),
    "the first item": lambda one: [one[0], one],
    "a slice": lambda one: one[:],
    "a key": lambda one: one["device"],
    "itemgetter": operator.itemgetter(slice(None)),
    "an item set": _set,
    "contains": lambda one: [TEXT_START in one, one],
    "bytes": _bytes,
    "bytes by a number": lambda one: [int.from_bytes(one, "big").to_bytes(15, "big"), one],
    "fspath": os.fspath,
    "fsencode": os.fsencode,
    "open": open,
    "os.stat": os.stat,
    "os.path": lambda one: os.path.join(one, "x"),  # as text  # noqa: PTH118  # as text
    "shutil": lambda one: shutil.which(one) or open(one),  # likewise  # noqa: SIM115, PTH123  # refused, or an error that names the path
    "glob": lambda one: [glob.escape(one)],
    "subprocess": lambda one: subprocess.run([one], check=False),
    "an attribute": lambda one: [one.device, one.email],
    "an attribute by name": lambda one: getattr(one, "device"),  # as code that is given a name  # noqa: B009  # as code that is given a name
    "attrgetter": operator.attrgetter("device"),
    "a method": lambda one: one.lower(),
    "methodcaller": operator.methodcaller("encode"),
    "isoformat and the like": lambda one: [one.hex(), one],
    "__dict__": lambda one: one.__dict__,
    "_plain": lambda one: [one._plain, one],
    "value": lambda one: [one.value, one],
    "a mail": _mailed,
    "BaseModel.model_dump": BaseModel.model_dump,
    "to_jsonable_python with a fallback": lambda one: to_jsonable_python(one, fallback=dict),
    "html.escape": html.escape,
    "json": json.dumps,
    "json, indented": lambda one: json.dumps([one], indent=2),
    "json, sorted": lambda one: json.dumps({"one": one}, sort_keys=True),
    "json by an encoder": lambda one: json.dumps(one, cls=type("Mine", (json.JSONEncoder,), {})),
    "json by pieces": lambda one: [*json.JSONEncoder().iterencode([one])],
    "json to a file": _dumped,
    "json of what it holds": lambda one: json.dumps([one], default=lambda given: given.__dict__),
    "json of its items": lambda one: json.dumps([one], default=list),
    "json by encode_sealed, outside": lambda one: json.dumps([one], default=encode_sealed),
    **{f"pickle {protocol}": functools.partial(lambda n, one: pickle.dumps(one, n), protocol) for protocol in range(6)},
    "pickle by Python": _pickled_by_python,
    "pickle for a process": lambda one: bytes(multiprocessing.reduction.ForkingPickler.dumps(one)),
    "shelve": _shelved,
    "__reduce__": lambda one: [one.__reduce__(), one],
    "__reduce_ex__": lambda one: [one.__reduce_ex__(4), one],
    "object.__reduce_ex__": lambda one: [object.__reduce_ex__(one, 2), one],
    "__getstate__": lambda one: [one.__getstate__(), one],
}
"""Raises SealedValue (which is a TypeError), PurposeMissing where the purpose is what is missing."""

STRANGERS: dict[str, tuple[type[Exception], Ask]] = {
    "keywords": (TypeError, _keywords),
    "called": (TypeError, lambda one: [one(), one]),
    "awaited": (TypeError, _awaited),
    "entered": (TypeError, _entered),
    "next": (TypeError, next),
    "vars": (TypeError, vars),
    "statistics.mean": (TypeError, lambda one: statistics.mean([one])),
    "%d": (TypeError, lambda one: "%d" % one),  # noqa: UP031
    "%x": (TypeError, lambda one: "%x" % one),  # noqa: UP031
    "join": (TypeError, "".join),
    "bytearray": (TypeError, _bytearray),
    "object.__getattribute__": (AttributeError, lambda one: object.__getattribute__(one, "device")),
    "pickle by a table": (TypeError, _pickled_by_a_table),
    "eval": (TypeError, lambda one: [eval(one, {"sentinel": 0}), one]),  # noqa: S307  # of what a test gave
    "set attribute": (AttributeError, lambda one: [one.__setattr__("device", TEXT_START), one]),
    "joined as an item": (TypeError, lambda one: ",".join({1: one}.values())),
    "text of bytes": (TypeError, lambda one: str(one, "utf-8")),
    "re.match": (TypeError, lambda one: re.match("(.*)", one)),
    "re.sub": (TypeError, lambda one: re.sub("x", "y", one)),
    "a view": (TypeError, lambda one: [bytes(memoryview(one))]),
    "base64": (TypeError, lambda one: base64.b16encode(one).lower()),
    "codecs": (TypeError, lambda one: codecs.encode(one, "utf-8")),
    "a hash of it": (TypeError, lambda one: [hashlib.sha256(one).hexdigest(), one]),
    "a checksum": (TypeError, lambda one: [zlib.crc32(one), one]),
    "Decimal": (TypeError, decimal.Decimal),
    "Fraction": (TypeError, fractions.Fraction),
    "Path": (TypeError, lambda one: str(pathlib.Path(one))),
    "uuid": (TypeError, lambda one: [uuid.uuid5(uuid.NAMESPACE_DNS, one), one]),
    "an enumeration": (ValueError, Kind),
    "marshal": (ValueError, marshal.dumps),
    "json as a key": (TypeError, lambda one: json.dumps({one: 1})),
    "json of vars": (TypeError, lambda one: json.dumps([one], default=vars)),
    "to_json": (ValueError, to_json),
    "to_jsonable_python": (ValueError, to_jsonable_python),
    "TypeAdapter as JSON": (ValueError, lambda one: TypeAdapter(Any).dump_json(one)),
    "model_validate": (ValueError, lambda one: TypeAdapter(str | int | bytes).validate_python(one)),
    "jsonable_encoder": (ValueError, jsonable_encoder),
    "msgspec, JSON": (TypeError, msgspec.json.encode),
    "msgspec, MessagePack": (TypeError, msgspec.msgpack.encode),
    "msgspec, builtins": (TypeError, lambda one: msgspec.to_builtins([one])),
    "msgspec, converted": (ValueError, lambda one: msgspec.convert(one, str | int)),
    "dataclasses.asdict": (TypeError, dataclasses.asdict),
    "dataclasses.astuple": (TypeError, dataclasses.astuple),
    "dataclasses.replace": (TypeError, dataclasses.replace),
    "dataclasses.fields": (TypeError, lambda one: [getattr(one, field.name) for field in dataclasses.fields(one)]),
    "copy.replace": (TypeError, _replace),
    "attrs.asdict": (Exception, attrs.asdict),
    "attrs.evolve": (Exception, attrs.evolve),
    "a weak reference": (TypeError, lambda one: [weakref.ref(one)(), one]),
    "sqlite": (sqlite3.Error, _queried),
    "a socket": (TypeError, _sent),
    "a file": (TypeError, lambda one: io.StringIO().write(one) and one),
    "a binary file": (TypeError, lambda one: io.BytesIO().write(one) and one),
    "a seed": (TypeError, lambda one: [random.Random(one).random(), one]),
}
"""Refused by who was asked, as of any object that it does not know: by an error of this class.

Whether they ask the value first, which raises SealedValue, is a matter of their versions.
"""
