"""Containers of sealed values: an error on each line that is marked so, and on no other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import purposeguard as pg
from purposeguard import Personal, Use
from purposeguard.notices import trendmicro_jp as tm

guard = pg.Guard(tm.NOTICE)

Renewable: TypeAlias = Personal[str, tm.RenewalGuidance]


def text() -> str:
    return "mail@example.org"


mail = Personal(text(), tm.Registration)
device = Personal(text(), tm.ProductData)
web = Personal(text(), tm.WebContact)
mails: list[Personal[str, tm.Registration]] = [mail]
devices: list[Personal[str, tm.ProductData]] = [device]
mixed = [mail, device]


def remind(use: Use[tm.RenewalGuidance], to: Renewable) -> str:
    return use.open(to)


# Containers: what can be changed is invariant, and each item keeps its sources.


def add(to: list[Renewable]) -> None: ...


def add_by_key(to: dict[str, Renewable]) -> None: ...


def read(values: Sequence[Renewable]) -> None: ...


def read_by_key(values: Mapping[str, Renewable]) -> None: ...


add(mails)  # error
add_by_key({"a": mail} | {"b": device})  # error
read(devices)  # error
read(mixed)  # error
read((mail, device))  # error
read([mail, None])  # error
read(text())  # error
read_by_key({"a": device})  # error
read_by_key({1: mail})  # error
widened: list[Renewable] = mails  # error
narrowed: list[Personal[str, tm.Registration]] = [mail, device]  # error
as_set: set[Renewable] = {device}  # error
as_tuple: tuple[Renewable, Renewable] = (mail, device)  # error
nested: dict[str, list[Renewable]] = {"a": [mail, web]}  # error
mails.append(device)  # error
mails.append(text())  # error
mails.extend(devices)  # error
mails[0] = device  # error
mails += devices  # error
by_key: dict[str, Renewable] = {}
by_key["a"] = device  # error
by_key[mail] = mail  # error
by_key.setdefault("a", device)  # error
by_key.get("a").map(len)  # error
by_key.get("a", text()).map(len)  # error

# Comprehensions and what goes through functions.

with guard.purpose(tm.RenewalGuidance) as of_many:
    plain = [of_many.open(one) for one in mixed]  # error
    by_name = {one: of_many.open(one) for one in devices}  # error
    lazily = (of_many.open(one) for one in devices)  # error
    through = list(map(of_many.open, devices))  # error
    some = [one for one in mails if one.startswith("a")]  # error
    texts: list[str] = [one for one in mails]  # error
    upper = [one.upper() for one in mails]  # error
    lengths: dict[int, int] = {len(one): 1 for one in mails}  # error
    longest = max(mails, key=len)  # error
    ordered = sorted(mails, key=lambda one: one.label)  # error
    mail.map(of_many.open)  # error
    mail.map(remind)  # error
