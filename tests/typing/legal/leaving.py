"""Ways to another label: derivations that the notice declares, and declared reclassifiers. Accepted, and runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, assert_type

import purposeguard as pg
from purposeguard import Personal, derive
from purposeguard.notices import trendmicro_jp as tm

guard = pg.Guard(tm.NOTICE, strict=True)


class Scan(NamedTuple):
    customer: int
    threats: int


def text() -> str:
    return "mail@example.org"


mail = Personal(text(), tm.Registration)
web = Personal(text(), tm.WebContact)
prospect = Personal(text(), tm.ProspectContact)
cookie = Personal(len(text()), tm.Cookie)
scans = Personal([Scan(key, key % 3) for key in range(5)], tm.ProductData)

# A derivation has a source of its own.

linked = tm.link_usage(cookie, mail)
assert_type(linked, Personal[tuple[int, str], tm.LinkedUsage])
assert_type(tm.link_usage(cookie, web.zip(prospect)), Personal[tuple[int, tuple[str, str]], tm.LinkedUsage])
assert_type(tm.link_usage(Personal.collect([cookie]), mail), Personal[tuple[tuple[int, ...], str], tm.LinkedUsage])
assert_type(derive(tm.NOTICE, "link", cookie, mail), Personal[Any, Any])
assert_type(guard.derive("link", cookie, mail), Personal[tuple[int, str], Any])
assert_type(guard.derive("link", tm.Cookie, tm.Registration), pg.Label)

with guard.purpose(tm.UsageAnalysis) as analysis:
    assert_type(analysis.open(linked), tuple[int, str])
    assert_type(analysis.open(linked.zip(cookie)), tuple[tuple[int, str], int])

# A reclassifier: a function of a plain first argument takes a sealed one, and keeps the rest of its signature.


@guard.reclassify(tm.ProductData, to=pg.NotPersonal, why="a mean over many customers tells of none of them")
def mean_threats(values: Sequence[Scan], digits: int = 1, *, half: bool = False) -> float:
    mean = sum(value.threats for value in values) / len(values)
    return round(mean / (2 if half else 1), digits)


@guard.reclassify(tm.Registration, tm.Contract, to=tm.Contract, why="the year of purchase alone", approver="the DPO")
def shortened(value: str, /, *more: int, **named: int) -> tuple[str, int]:
    return value[:4], len(more) + len(named)


@guard.reclassify(tm.WebContact, tm.WebProfile, tm.WebForm, to=pg.NotPersonal, why="whether there is any")
def present(value: str) -> bool:
    return bool(value)


@guard.reclassify(
    tm.Registration,
    tm.Contract,
    tm.WebContact,
    tm.WebProfile,
    to=pg.NotPersonal,
    why="whether there is any",
    name="presence",
)
def stated(value: str) -> bool:
    return bool(value)


def shown(value: object) -> str:
    return type(value).__name__


of_five = guard.reclassify(
    tm.Registration,
    tm.Contract,
    tm.WebContact,
    tm.WebProfile,
    tm.WebForm,
    to=tm.Cookie,
    why="the name of a class tells of nobody",
    approver="the DPO",
    at_least=None,
    name=None,
)


@guard.transform
def threats(scan: Scan) -> int:
    return scan.threats


@guard.transform
def only_found(values: list[Scan]) -> list[Scan]:
    return [value for value in values if value.threats]


@guard.transform
def both_scans(values: tuple[list[Scan], float]) -> list[Scan]:
    return [value for value in values[0] if value.threats > values[1]]


@guard.transform
def only_first(values: tuple[str, str]) -> str:
    return values[0]


@guard.transform
def only_domain(value: str) -> str:
    return value.partition("@")[2]


assert_type(mean_threats(scans), Personal[float, pg.NotPersonal])
assert_type(mean_threats(scans, 2, half=True), Personal[float, pg.NotPersonal])
assert_type(mean_threats(scans.map(only_found)), Personal[float, pg.NotPersonal])
assert_type(shortened(mail, 1, 2, more=3), Personal[tuple[str, int], tm.Contract])
assert_type(present(web), Personal[bool, pg.NotPersonal])
assert_type(stated(web), Personal[bool, pg.NotPersonal])
assert_type(stated(web.zip(mail).map(only_first)), Personal[bool, pg.NotPersonal])
assert_type(of_five(shown)(web), Personal[str, tm.Cookie])
assert_type(only_found([]), list[Scan])


@guard.transform
def subject(scan: Scan) -> int:
    return scan.customer


@guard.transform
def found(scan: Scan) -> float:
    return scan.threats / 1


many = guard.reclassify(tm.ProductData, to=pg.NotPersonal, why="figures over many customers", at_least=3)
assert_type(many.count(scans, subject=subject), Personal[int, pg.NotPersonal])
assert_type(many.mean(scans, found, subject=subject), Personal[float, pg.NotPersonal])
one_by_one = Personal.collect([Personal(Scan(key, 1), tm.ProductData) for key in range(3)])
assert_type(many.count(one_by_one, subject=subject), Personal[int, pg.NotPersonal])

# What is not personal may go with anything, anywhere.

figure = mean_threats(scans)
assert_type(mean_threats(scans.zip(figure).map(both_scans)), Personal[float, pg.NotPersonal])
with guard.purpose(tm.RenewalGuidance) as renewal:
    assert_type(renewal.open(figure), float)
    assert_type(renewal.open(mail.zip(figure)), tuple[str, float])
    assert_type(renewal.open(shortened(mail)), tuple[str, int])
with guard.purpose(tm.TrafficAnalysis) as traffic:
    assert_type(traffic.open(figure), float)
    assert_type(traffic.open(cookie.zip(figure, present(web))), tuple[int, float, bool])

# By ids the sources are known when it runs.

guard.transform(hash)
by_ids = guard.reclassify("1.1(a)", pg.Label(tm.Contract), to=pg.NotPersonal, why="sources by their ids", at_least=2)
assert_type(by_ids.count(Personal.collect([mail, mail.map(only_domain)]), subject=hash).label, pg.Label)
