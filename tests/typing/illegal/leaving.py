"""Derivations and reclassifiers misused: an error on each line that is marked so, and on no other."""

from __future__ import annotations

from collections.abc import Sequence

import purposeguard as pg
from purposeguard import derive
from purposeguard import Personal
from purposeguard.notices import trendmicro_jp as tm

guard = pg.Guard(tm.NOTICE)


def text() -> str:
    return "mail@example.org"


def subject(value: int) -> int:
    return value


def ratio(value: int) -> float:
    return value / 2


mail = Personal(text(), tm.Registration)
contract = Personal(text(), tm.Contract)
device = Personal(len(text()), tm.ProductData)
web = Personal(text(), tm.WebContact)
cookie = Personal(text(), tm.Cookie)
scans = Personal([len(text())], tm.ProductData)
others = Personal([len(text())], tm.Contract)

# A derivation joins what the notice says, in its order, and gives what it says.

tm.link_usage(mail, cookie)  # error
tm.link_usage(mail, mail)  # error
tm.link_usage(cookie, cookie)  # error
tm.link_usage(cookie)  # error
tm.link_usage(cookie, mail, web)  # error
tm.link_usage(cookie, text())  # error
tm.link_usage(text(), mail)  # error
tm.link_usage(tm.Cookie, tm.Registration)  # error
tm.link_usage(cookie, mail.zip(cookie))  # error
tm.link_usage(cookie.zip(mail), mail)  # error
tm.link_usage(tm.link_usage(cookie, mail), mail)  # error
tm.link_usage(one=cookie, other=mail)  # error
linked = tm.link_usage(cookie, mail)
as_cookie: Personal[tuple[str, str], tm.Cookie] = linked  # error
as_customer: Personal[tuple[str, str], tm.Registration] = linked  # error
as_traffic: Personal[tuple[str, str], tm.TrafficAnalysis] = linked  # error
in_this_order: Personal[tuple[int, str], tm.UsageAnalysis] = tm.link_usage(cookie, mail.map(len))  # error
derive(tm.NOTICE, "link", cookie, text())  # error
derive(tm.NOTICE, cookie, mail)  # error
derive("link", cookie, mail)  # error
guard.derive(cookie, mail)  # error
guard.derive("link", cookie, text)  # error

# A reclassifier says where from, where to, and why.

guard.reclassify(tm.ProductData, why="figures")  # error
guard.reclassify(tm.ProductData, to=pg.NotPersonal)  # error
guard.reclassify(tm.ProductData, to=tm.ProductProvision, why="figures")  # error
guard.reclassify(tm.ProductProvision, to=pg.NotPersonal, why="figures")  # error
guard.reclassify(tm.ProductData, to="not-personal", why="figures")  # error
guard.reclassify(tm.ProductData, to=None, why="figures")  # error
guard.reclassify(tm.ProductData, to=pg.NotPersonal, why=5)  # error
guard.reclassify(tm.ProductData, pg.NotPersonal, "figures")  # error
guard.reclassify(tm.ProductData, to=pg.NotPersonal, why="figures", approver=5)  # error
guard.reclassify(tm.ProductData, to=pg.NotPersonal, why="figures", at_least="3")  # error
guard.reclassify(tm.ProductData, to=pg.NotPersonal, why="figures", name=5)  # error
guard.reclassify(device, to=pg.NotPersonal, why="figures")  # error
guard.reclassify(tm.Registration, tm.Contract, tm.WebContact, device, to=pg.NotPersonal, why="figures")  # error
guard.reclassify(tm.Registration, tm.Contract, tm.WebContact, tm.WebForm, to=tm.UsageAnalysis, why="figures")  # error
many = guard.reclassify(tm.ProductData, to=pg.NotPersonal, why="figures", at_least=3)
four = guard.reclassify(
    tm.Registration, tm.Contract, tm.WebContact, tm.WebForm, to=pg.NotPersonal, why="figures", at_least=3
)


@guard.reclassify(tm.ProductData, to=pg.NotPersonal, why="figures")
def mean(values: Sequence[int], digits: int = 1, *, half: bool = False) -> float:
    return round(sum(values) / len(values), digits - half)


@guard.reclassify(tm.Registration, tm.Contract, to=tm.Contract, why="the first letters")
def shortened(value: str) -> str:
    return value[:3]


@guard.reclassify(tm.Registration, tm.Contract, tm.WebContact, tm.WebForm, to=tm.Cookie, why="the first letters")
def of_four(value: str) -> str:
    return value[:3]


@many  # error
def nothing() -> float:
    return 0.0


@many  # error
def keywords(*, value: int) -> int:
    return value


many(5)  # error

# What it gives is sealed, and what it takes is sealed under the sources that it names.

mean([1, 2])  # error
mean(scans.map(sum))  # error
mean(device)  # error
mean(others)  # error
mean(scans.zip(scans))  # error
mean(Personal.collect([device], tm.Contract))  # error
mean(scans, "1")  # error
mean(scans, digits="1")  # error
mean(scans, 1, True)  # error
mean(scans, whole=True)  # error
mean(values=scans)  # error
mean()  # error
shortened(web)  # error
shortened(mail.zip(web).map(str))  # error
shortened(device.map(str))  # error
shortened(text())  # error
of_four(cookie)  # error
of_four(mail.zip(cookie).map(str))  # error
for_four: Personal[str, tm.Registration] = of_four(mail)  # error
plain: float = mean(scans)  # error
another: Personal[int, pg.NotPersonal] = mean(scans)  # error
for_what: Personal[float, tm.RenewalGuidance] = mean(scans)  # error
narrowed: Personal[str, tm.Registration] = shortened(mail)  # error
mean(scans) + 1  # error
mean(scans).is_integer()  # error

with guard.purpose(tm.RenewalGuidance) as renewal:
    renewal.open(scans)  # error
    renewal.open(mean(scans))
    renewal.open(mean(scans).zip(scans))  # error
    renewal.open(shortened(mail).zip(device))  # error
    whole: int = renewal.open(mean(scans))  # error

with guard.purpose(tm.UsageAnalysis) as analysis:
    analysis.open(linked)
    analysis.open(linked.zip(mail))  # error
    analysis.open(shortened(mail))  # error

with guard.purpose(tm.NetworkOperations) as network:
    network.open(cookie)
    network.open(linked)  # error

# Aggregates say of whom a value is. How many there must be was declared.

many.count(scans)  # error
many.count(scans, subject)  # error
many.count(scans, subject=subject, at_least=2)  # error
many.mean(scans, ratio, subject=subject, at_least=2)  # error
four.count(scans, subject=subject)  # error
many.count(scans, subject=len)  # error
many.count(scans, subject=5)  # error
many.count(device, subject=subject)  # error
many.count(others, subject=subject)  # error
many.count([1, 2, 3], subject=subject)  # error
many.count([device], subject=subject)  # error
many.mean(scans, subject=subject)  # error
many.mean(scans, str, subject=subject)  # error
many.mean(others, ratio, subject=subject)  # error
many.mean(scans.zip(others), ratio, subject=subject)  # error
many.median(scans, ratio, subject=subject)  # error
count: int = many.count(scans, subject=subject)  # error
other_count: Personal[str, pg.NotPersonal] = many.count(scans, subject=subject)  # error
other_mean: Personal[int, pg.NotPersonal] = many.mean(scans, ratio, subject=subject)  # error
guard.transform(5)  # error
guard.transform(text)(1)  # error
