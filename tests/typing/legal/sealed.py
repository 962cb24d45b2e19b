"""Sealing, combining and opening: every type that is inferred on the way. Accepted, and runs."""

from __future__ import annotations

import asyncio
from typing import Any, assert_type

import purposeguard as pg
from purposeguard import Personal, Use
from purposeguard.notices import trendmicro_jp as tm

guard = pg.Guard(tm.NOTICE)


def text() -> str:
    return "mail@example.org"


def number() -> int:
    return 5


# Sealing: the sources are a union, of one to four, or in a label.

mail = Personal(text(), tm.Registration)
assert_type(mail, Personal[str, tm.Registration])
device = Personal(number(), tm.ProductData)
assert_type(device, Personal[int, tm.ProductData])
web = Personal(text(), tm.WebContact)
prospect = Personal(text(), tm.ProspectContact)
cookie = Personal(text().encode(), tm.Cookie)
figure = Personal(number(), pg.NotPersonal)
assert_type(figure, Personal[int, pg.NotPersonal])

both = Personal(text(), tm.Registration, tm.Contract)
assert_type(both, Personal[str, tm.Registration | tm.Contract])
three = Personal(text(), tm.Registration, tm.ProductData, tm.Contract)
assert_type(three, Personal[str, tm.Registration | tm.ProductData | tm.Contract])
four = Personal(text(), tm.WebContact, tm.WebProfile, tm.WebForm, tm.Cookie)
assert_type(four, Personal[str, tm.WebContact | tm.WebProfile | tm.WebForm | tm.Cookie])
again = Personal(text(), tm.Registration, tm.Registration)
assert_type(again, Personal[str, tm.Registration])
labelled = Personal(text(), pg.Label(tm.Registration))
assert_type(labelled, Personal[str, Any])
assert_type(Personal(None, tm.Registration), Personal[None, tm.Registration])
assert_type(Personal([number()], tm.Registration), Personal[list[int], tm.Registration])
assert_type(mail.label, pg.Label)
assert_type(str(mail), str)
assert_type(f"{mail}", str)
assert_type(mail == both, bool)
assert_type(mail is both, bool)

# Covariance: a source is each purpose it may serve, a parent's item is its parent, a value's type is its bases.

renewing: Personal[str, tm.RenewalGuidance] = mail
renewing_both: Personal[str, tm.RenewalGuidance] = both
offering: Personal[str, tm.AnyProductGuidance] = web
providing: Personal[str, tm.ProductProvision] = three
as_customer: Personal[str, tm.Customer] = mail
as_object: Personal[object, pg.Source] = mail
as_any: Personal[Any, Any] = mail

# `map` keeps the sources.

assert_type(mail.map(len), Personal[int, tm.Registration])
assert_type(mail.map(str.upper), Personal[str, tm.Registration])
assert_type(both.map(str.split), Personal[list[str], tm.Registration | tm.Contract])
assert_type(device.map(hex), Personal[str, tm.ProductData])
assert_type(mail.map(str.upper).map(len), Personal[int, tm.Registration])

# `zip` and `collect` unite them.

assert_type(mail.zip(device), Personal[tuple[str, int], tm.Registration | tm.ProductData])
assert_type(mail.zip(device, both), Personal[tuple[str, int, str], tm.Registration | tm.ProductData | tm.Contract])
assert_type(
    mail.zip(device, web, cookie),
    Personal[tuple[str, int, str, bytes], tm.Registration | tm.ProductData | tm.WebContact | tm.Cookie],
)
assert_type(mail.zip(mail), Personal[tuple[str, str], tm.Registration])
assert_type(mail.zip(mail, mail, mail, mail), Personal[tuple[str, ...], tm.Registration])
assert_type(mail.zip(figure), Personal[tuple[str, int], tm.Registration | pg.NotPersonal])
assert_type(mail.zip(device).map(len), Personal[int, tm.Registration | tm.ProductData])
increased: Personal[int, tm.ProductData] = device.map(lambda value: value + 1)
repeated: Personal[str, tm.ProductProvision] = mail.zip(device).map(lambda pair: pair[0] * pair[1])

mails: list[Personal[str, tm.Registration]] = [mail, mail]
assert_type(Personal.collect([mail, mail]), Personal[tuple[str, ...], tm.Registration])
assert_type(Personal.collect(mails), Personal[tuple[str, ...], tm.Registration])
assert_type(Personal.collect((mail, mail)), Personal[tuple[str, ...], tm.Registration])
assert_type(Personal.collect(one for one in mails), Personal[tuple[str, ...], tm.Registration])
assert_type(Personal.collect({"home": mail}.values()), Personal[tuple[str, ...], tm.Registration])
assert_type(Personal.collect(mails, tm.Contract), Personal[tuple[str, ...], tm.Registration | tm.Contract])
assert_type(
    Personal.collect(mails, tm.Contract, tm.ProductData),
    Personal[tuple[str, ...], tm.Registration | tm.Contract | tm.ProductData],
)
assert_type(Personal.collect(mails).map(len), Personal[int, tm.Registration])
assert_type(
    Personal.collect([mail.zip(device)]), Personal[tuple[tuple[str, int], ...], tm.Registration | tm.ProductData]
)

# Opening gives the plain type.

with guard.purpose(tm.RenewalGuidance) as renewal:
    assert_type(renewal, Use[tm.RenewalGuidance])
    assert_type(renewal.open(mail), str)
    assert_type(renewal.open(both), str)
    assert_type(renewal.open(renewing), str)
    assert_type(renewal.open(figure), int)
    assert_type(renewal.open(labelled), str)
    assert_type(renewal.open(mail.map(len)), int)
    assert_type(renewal.open(mail.zip(both)), tuple[str, str])
    assert_type(renewal.open(mail.zip(both, figure)), tuple[str, str, int])
    assert_type(renewal.open(Personal.collect(mails)), tuple[str, ...])
    assert_type(renewal.open(Personal.collect(mails, tm.Contract)), tuple[str, ...])
    assert_type(renewal.open_all([mail, mail]), list[str])
    assert_type(renewal.open_all(mails), list[str])
    assert_type(renewal.open_all(one.map(len) for one in mails), list[int])
    assert_type(renewal.open_all((mail, both)), list[str])
    # Whether this purpose may use it is asked when it runs, so any seal may be tried.
    assert_type(renewal.try_open(mail, text()), str)
    assert_type(renewal.try_open(device, None), int | None)
    assert_type(renewal.try_open(mail.zip(device), None), tuple[str, int] | None)

with guard.purpose(tm.ProductProvision) as provision:
    assert_type(provision.open(mail.zip(device)), tuple[str, int])
    assert_type(provision.open(three), str)

with guard.purpose(tm.UsageAnalysis) as analysis:
    assert_type(analysis.open(cookie), bytes)
    assert_type(analysis.open(Personal.collect([cookie])), tuple[bytes, ...])

# A family opens what one of its purposes opens, member by member.

with guard.purpose(tm.AnyProductGuidance, channel="email") as offer:
    assert_type(offer, Use[tm.ProductGuidance | tm.WebProductGuidance | tm.ProspectProductGuidance])
    assert_type(offer.open(mail), str)
    assert_type(offer.open(web), str)
    assert_type(offer.open(offering), str)
    assert_type(offer.open(mail.zip(web, prospect)), tuple[str, str, str])
    assert_type(offer.open(Personal.collect(mails, tm.WebForm)), tuple[str, ...])

with guard.purpose(tm.WebInquiryResponse | tm.ProspectInquiryResponse) as answer:
    assert_type(answer, Use[tm.WebInquiryResponse | tm.ProspectInquiryResponse])
    assert_type(answer.open(web.zip(prospect)), tuple[str, str])

# By an id the purpose is known when it runs.

with guard.purpose("1.2(1)①") as by_id:
    assert_type(by_id, Use[Any])
    assert_type(by_id.open(mail), str)
    assert_type(by_id.open(both.map(len)), int)
    remind: Use[tm.RenewalGuidance] = by_id

with guard.purpose("AnyInquiryResponse") as by_name:
    assert_type(by_name, Use[Any])

with guard.purpose(tm.NOTICE.family("AnyInquiryResponse")) as by_family:
    assert_type(by_family, Use[Any])
    assert_type(by_family.open(web), str)
    assert_type(guard.current, Use[Any])


# Where the block is far away, its use is asked for by the purpose.

with guard.purpose(tm.RenewalGuidance):
    assert_type(guard.current, Use[Any])
    assert_type(guard.use(tm.RenewalGuidance), Use[tm.RenewalGuidance])
    assert_type(guard.use(tm.RenewalGuidance).open(mail), str)
    assert_type(guard.use("1.2(1)①"), Use[Any])

with guard.purpose(tm.AnyInquiryResponse):
    assert_type(guard.use(tm.AnyInquiryResponse), Use[tm.WebInquiryResponse | tm.ProspectInquiryResponse])
    # A family's block is also for each of its purposes.
    assert_type(guard.use(tm.WebInquiryResponse), Use[tm.WebInquiryResponse])
    just_web: Use[tm.WebInquiryResponse] = guard.use(tm.WebInquiryResponse)
    assert_type(guard.use(tm.WebInquiryResponse).open(web), str)


async def later() -> None:
    async with guard.purpose(tm.RenewalGuidance) as use:
        assert_type(use, Use[tm.RenewalGuidance])
        assert_type(use.open(mail), str)


asyncio.run(later())
