"""How values look as text: in logs, in addresses, in parameters of SQL, wherever they may come out."""

from __future__ import annotations

import base64
import datetime
import enum
import ipaddress
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from functools import singledispatch
from typing import Any, Final

from pydantic import Secret, SecretBytes, SecretStr

from purposeguard.values.annotations import is_taggable
from purposeguard.values.plan import MISSING, read_field
from purposeguard.values.sealed import Sealed, content
from purposeguard.values.type_schema import Model

SHORTEST: Final = 5
"""Characters of a text that is known again; a shorter one may stand anywhere by chance."""


def texts_of(value: object) -> tuple[str, ...]:
    """How a value looks as text, in every form that is usual for its type; nothing where none would be known again."""
    return tuple(dict.fromkeys(one for one in _all(value) if len(one) >= SHORTEST))


def _all(value: object) -> Iterable[str]:
    if value is None or isinstance(value, (bool, enum.Enum)):
        return ()  # one of few
    if is_taggable(type(value)):
        inside = (read_field(value, name) for name in Model(type(value)).fields())
        return [text for one in inside if one is not MISSING for text in _all(one)]
    return _written(value)


@singledispatch
def _written(value: Any) -> Iterable[str]:
    return (str(value),)


@_written.register
def _(value: Sealed) -> Iterable[str]:
    return _all(content(value))


@_written.register
def _(value: SecretStr | SecretBytes | Secret) -> Iterable[str]:  # type: ignore[type-arg]  # dispatch goes by the class
    return _all(value.get_secret_value())


@_written.register
def _(value: str) -> Iterator[str]:
    yield value
    if not value.isascii():
        yield value.encode("punycode", "ignore").decode()  # as in names of hosts
    # A number in groups, such as a telephone's, is often kept as its digits.
    digits = re.sub(r"[\s()\-.]", "", value)
    if re.fullmatch(r"\+?[0-9]{7,}", digits):
        yield digits
        yield digits.removeprefix("+")
        if digits.startswith("+") and len(digits) > 11:
            yield digits[-9:]  # how it is dialled within a country begins in another way


@_written.register
def _(value: bytes | bytearray) -> Iterable[str]:
    return value.decode("utf-8", "replace"), value.hex(), base64.b64encode(value).decode()


@_written.register
def _(value: int) -> Iterable[str]:
    return _if_long(str(value), f"{value:,}", *((f"{value:x}",) if value >= 16**6 else ()))


@_written.register
def _(value: float) -> Iterable[str]:
    return _if_long(repr(value), f"{value:,}", f"{value:.2f}", f"{value:,.2f}")


@_written.register
def _(value: Decimal) -> Iterable[str]:
    return _if_long(str(value), f"{value:,}", f"{value:f}", repr(float(value)))


def _if_long(plain: str, *others: str) -> Iterable[str]:
    """A number in its forms; not where it is short itself: `1,000` and `7.50` may stand anywhere by chance."""
    return (plain, *others) if len(plain) >= SHORTEST else ()


@_written.register
def _(value: datetime.datetime) -> Iterator[str]:
    iso = value.isoformat()
    stamp = value.timestamp()
    yield from (iso, str(value), f"{iso.removesuffix('+00:00')}Z", str(stamp), str(int(stamp)), str(int(stamp * 1000)))
    yield from _all(value.date())


@_written.register
def _(value: datetime.date) -> Iterator[str]:
    year, month, day = value.year, value.month, value.day
    # Written in other groups, those of two digits are found as well.
    yield from (value.isoformat(), f"{value:%Y/%m/%d}", f"{value:%Y%m%d}", f"{value:%d.%m.%Y}", f"{value:%m/%d/%Y}")
    yield str(value.toordinal())
    yield from (f"{year}年{month}月{day}日", f"{year}/{month}/{day}", f"{year}-{month}-{day}")
    for name in (f"{value:%B}", f"{value:%b}"):
        yield from (f"{name} {one}, {year}" for one in (str(day), f"{day:02}"))
        yield from (f"{one} {name} {year}" for one in (str(day), f"{day:02}"))


@_written.register
def _(value: datetime.time) -> Iterable[str]:
    return (value.isoformat(),)


@_written.register
def _(value: datetime.timedelta) -> Iterable[str]:
    return str(value), str(value.total_seconds())


@_written.register
def _(value: uuid.UUID) -> Iterable[str]:
    return str(value), value.hex


@_written.register
def _(value: ipaddress.IPv6Address) -> Iterable[str]:
    return str(value), value.exploded


@_written.register
def _(value: Mapping) -> Iterator[str]:  # type: ignore[type-arg]  # dispatch goes by the class alone
    for key, one in value.items():
        yield from _all(key)
        yield from _all(one)


@_written.register
def _(value: list | tuple | set | frozenset) -> Iterator[str]:  # type: ignore[type-arg]  # likewise
    for one in value:
        yield from _all(one)
