"""Leaves of annotations: types that hold no other values, with what `Annotated` asks of them."""

from __future__ import annotations

import datetime
import enum
import ipaddress
import pathlib
import types
import typing
import uuid
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Final

import typing_extensions
from hypothesis import strategies as st
from hypothesis.errors import ResolutionFailed
from pydantic import BaseModel, TypeAdapter

from purposeguard.testing import _leaves_of_numbers, _leaves_of_text, _leaves_of_time
from purposeguard.testing._checks import Check, adapter_of, check_of
from purposeguard.testing._kinds import OTHERS, TEXTS, Kind, number_of, usable
from purposeguard.testing._leaf import Leaf, Unsolvable, mixed, one_of, recognisable
from purposeguard.testing._limits import Limits


def leaf_of(base: Any, metadata: Sequence[object], takes: Check | None = None, *, reads: bool = False) -> Leaf:
    """The leaf of an annotation `Annotated[base, *metadata]`; `takes`, where the field is asked as well.

    `reads`: nobody validates what is drawn, so that it must be what pydantic would make of it.

    Raises:
        Unsolvable: nothing that is known fits.
    """
    every = fixed(base)
    if every is not None:
        kept = [one for one in every if takes is None or takes(one)]
        leaf = Leaf(st.sampled_from(kept or every))
        leaf.fixed = kept or every
        return leaf
    limits, adapter = Limits(metadata), adapter_of(base, metadata)
    read = adapter.validate_python if adapter is not None and _changes(base, limits) else None
    checks = [one for one in (check_of(adapter), _taking(takes, read if reads else None)) if one is not None]
    limits.validated = bool(limits.others) or takes is not None
    limits.fits = check_of(adapter_of(base, limits.known)) or limits.fits
    limits.seen = read or limits.seen

    def valid(value: Any) -> bool:
        return all(check(value) for check in checks)

    make = _NATIVE.get(base) if isinstance(base, type) else None
    found = _of_unknown(base, limits, valid, adapter) if make is None else make(limits, valid)
    if reads and read is not None:
        found.read = read
    found.valid = valid if limits.validated or base not in _NATIVE else None
    return found


def _changes(base: Any, limits: Limits) -> bool:
    """Whether pydantic may make something else of a value: it reads texts as other types, and validators may."""
    return not isinstance(base, type) or base not in _NATIVE or bool(limits.others)


def _taking(takes: Check | None, read: Callable[[Any], Any] | None) -> Check | None:
    """Asks a field by what will be put into it."""
    if takes is None or read is None:
        return takes
    return lambda value: takes(read(value))


def fixed(base: Any) -> list[Any] | None:
    """All values of a type that has few."""
    if base is None or base is type(None):
        return [None]
    if base is bool:
        return [False, True]
    if typing_extensions.get_origin(base) in (typing.Literal, typing_extensions.Literal):
        return list(typing_extensions.get_args(base))
    if isinstance(base, type) and issubclass(base, enum.Enum) and len(base):
        return list(base)
    return None


def _simple(native: Callable[[], st.SearchStrategy[Any]], *names: str) -> Callable[[Limits, Check], Leaf]:
    def made(limits: Limits, valid: Check) -> Leaf:
        kinds = [kind for kind in OTHERS if kind.name in names]
        strategy = native()
        if any(one is not None for one in (limits.lowest, limits.highest)):
            strategy = strategy.filter(valid)
        return mixed(strategy, kinds, [kind.make(1) for kind in kinds], limits, valid)

    return made


def _uuids(limits: Limits, valid: Check) -> Leaf:
    def make(n: int) -> uuid.UUID:
        return _uuid_of((n << 64) + number_of(n), limits.version or 4)

    if limits.version is not None:
        version = limits.version
        native = st.integers(0, 2**128 - 1).map(lambda n: _uuid_of(n, version))
    else:
        native = st.uuids()
    odd = [_uuid_of(n << 100, limits.version or version) for n in (1, 2) for version in (1, 3, 4, 5)]
    return mixed(native, [Kind("UUID", make)], odd, limits, valid)


def _uuid_of(n: int, version: int) -> uuid.UUID:
    """A UUID of a version; the standard library does not know all of them in every release."""
    return uuid.UUID(int=n & ~(0xF000 << 64) & ~(0xC000 << 48) | version << 76 | 0x8000 << 48)


_NATIVE: Final[dict[Any, Callable[[Limits, Check], Leaf]]] = {
    str: _leaves_of_text.texts,
    bytes: _leaves_of_text.octets,
    int: _leaves_of_numbers.ints,
    float: _leaves_of_numbers.floats,
    Decimal: _leaves_of_numbers.decimals,
    datetime.date: _leaves_of_time.days,
    datetime.datetime: _leaves_of_time.moments,
    datetime.time: _leaves_of_time.times,
    datetime.timedelta: _leaves_of_time.durations,
    uuid.UUID: _uuids,
    complex: _simple(lambda: st.complex_numbers(allow_nan=False, allow_infinity=False)),
    ipaddress.IPv4Address: _simple(lambda: st.ip_addresses(v=4), "IPv4 object"),
    ipaddress.IPv6Address: _simple(lambda: st.ip_addresses(v=6), "IPv6 object"),
    pathlib.Path: lambda limits, valid: mixed(None, [kind.then(pathlib.Path) for kind in TEXTS[:5]], [], limits, valid),
}


def _of_unknown(base: Any, limits: Limits, valid: Check, adapter: TypeAdapter[Any] | None) -> Leaf:
    """Of a type that is not known here: what pydantic reads as it, else what hypothesis has for it."""
    if base in (Any, object):
        return Leaf(
            st.one_of(st.none(), st.booleans(), st.integers(), st.text(_leaves_of_text.CHARACTERS)), TEXTS[0].make
        )
    if adapter is not None and not _is_anything(base, valid):
        # Digits where nothing else will do: as which moment they are read, many of them share.
        digital = [one for one in TEXTS if one.make(0).lstrip("+").isdecimal()]
        others = (*(one for one in TEXTS if one not in digital), *OTHERS)
        fit = list(usable(others, valid)) or list(usable(tuple(digital), valid))
        if fit:
            return Leaf(one_of(fit).filter(valid), recognisable(fit, limits).make)
        if getattr(base, "__module__", "").partition(".")[0] == "pydantic":  # it would be made of anything
            raise Unsolvable("its validators take nothing that is known: give a strategy for it")
    try:
        strategy = st.from_type(base)
        strategy.validate()
    except (ResolutionFailed, TypeError) as error:
        raise Unsolvable(f"no strategy is known for {base!r}") from error
    return Leaf(strategy.filter(valid))


def _is_anything(base: Any, valid: Check) -> bool:
    """Whether pydantic would take for the type what is none of it."""
    return isinstance(base, type) and issubclass(base, (BaseModel, types.FunctionType)) and valid(object())
