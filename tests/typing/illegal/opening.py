"""Seals opened for what they may not serve: an error on each line that is marked so, and on no other."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, AsyncExitStack, ExitStack

import purposeguard as pg
from purposeguard import Personal, Use
from purposeguard.notices import trendmicro_jp as tm

guard = pg.Guard(tm.NOTICE)


def text() -> str:
    return "mail@example.org"


mail = Personal(text(), tm.Registration)
contract = Personal(text(), tm.Contract)
both = Personal(text(), tm.Registration, tm.Contract)
device = Personal(len(text()), tm.ProductData)
customer = Personal(text(), tm.Customer)
web = Personal(text(), tm.WebContact)
prospect = Personal(text(), tm.ProspectContact)
cookie = Personal(text(), tm.Cookie)
figure = Personal(len(text()), pg.NotPersonal)


def known() -> Personal[str, tm.RenewalGuidance]:
    return mail


renewable = known()

# One purpose: each source must serve it.

with guard.purpose(tm.RenewalGuidance) as renewal:
    renewal.open(device)  # error
    renewal.open(customer)  # error
    renewal.open(web)  # error
    renewal.open(cookie)  # error
    renewal.open(mail.zip(device))  # error
    renewal.open(mail.zip(both, contract, device))  # error
    renewal.open(device.zip(mail))  # error
    renewal.open(device.map(str))  # error
    renewal.open(figure.zip(device))  # error
    renewal.open(Personal(text(), tm.Registration, tm.ProductData))  # error
    renewal.open(Personal.collect([device]))  # error
    renewal.open(Personal.collect([mail], tm.ProductData))  # error
    renewal.open(tm.link_usage(cookie, mail))  # error
    renewal.open(mail.map(len), device)  # error
    number: int = renewal.open(mail)  # error
    length: str = renewal.open(mail.map(len))  # error
    pair: tuple[int, str] = renewal.open(mail.zip(mail.map(len)))  # error

with guard.purpose(tm.ProductProvision) as provision:
    provision.open(mail.zip(device))
    provision.open(web)  # error
    provision.open(mail.zip(device, web))  # error
    provision.open(cookie.zip(mail))  # error

with guard.purpose(tm.UsageAnalysis) as analysis:
    analysis.open(cookie)
    analysis.open(cookie.zip(mail))  # error
    analysis.open(mail)  # error

with guard.purpose(tm.TrafficAnalysis) as traffic:
    traffic.open(cookie)
    traffic.open(tm.link_usage(cookie, mail))  # error

# Only seals are opened.

with guard.purpose(tm.RenewalGuidance) as opening:
    opening.open(text())  # error
    opening.open(None)  # error
    opening.open(5)  # error
    opening.open([mail])  # error
    opening.open((mail, mail))  # error
    opening.open(tm.Registration)  # error
    opening.open(opening)  # error
    opening.open(mail, mail)  # error
    opening.open()  # error
    opening.open(value=mail)  # error
    opening.open_all(mail)  # error
    opening.open_all([text()])  # error
    opening.open_all(mail, contract)  # error
    opening.open_all([device])  # error
    opening.open_all([mail, device])  # error
    opening.open_all([mail, None])  # error
    opening.open_all({"a": mail})  # error
    opening.open_all(one for one in (mail, web))  # error
    opening.try_open(mail)  # error
    opening.try_open(text(), None)  # error
    tried: int = opening.try_open(device, None)  # error
    tried_too: str = opening.try_open(mail, 5)  # error
    opened: list[int] = opening.open_all([mail])  # error
    opening.value  # error
    opening.purpose = tm.ProductGuidance  # error
    opening(mail)  # error
    opening.open = provision.open  # error

# A family: each source must serve one of its purposes.

with guard.purpose(tm.AnyProductGuidance, channel="email") as family:
    family.open(web.zip(mail, prospect))
    family.open(device)  # error
    family.open(cookie)  # error
    family.open(customer)  # error
    family.open(web.zip(device))  # error
    family.open(Personal.collect([web], tm.Cookie))  # error
    family.open_all([mail, web, device])  # error

with guard.purpose(tm.AnyInquiryResponse) as answering:
    answering.open(web.zip(prospect))
    answering.open(mail)  # error
    answering.open(renewable)  # error

with guard.purpose(tm.WebInquiryResponse | tm.ProspectInquiryResponse) as union:
    union.open(mail)  # error

# What is known to serve one purpose is not known to serve another, nor to have a source.

with guard.purpose(tm.RelatedThirdPartyProducts) as third_party:
    third_party.open(mail)
    third_party.open(renewable)  # error

with guard.purpose(tm.ProductGuidance) as single:
    single.open(web)  # error
    single.open(Personal.collect([mail, web]))  # error

# A use of one purpose is none of another, and a use of a member is none of its family.


def remind(use: Use[tm.RenewalGuidance], to: Personal[str, tm.RenewalGuidance]) -> str:
    return use.open(to)


def offer(use: Use[tm.AnyProductGuidance], to: Personal[str, tm.AnyProductGuidance]) -> str:
    return use.open(to)


def inspect(use: Use[tm.ProductProvision], of: Personal[int, tm.ProductProvision]) -> int:
    return use.open(of)


with guard.purpose(tm.RenewalGuidance) as for_renewal, guard.purpose(tm.ProductGuidance) as for_guidance:
    remind(for_guidance, mail)  # error
    remind(for_renewal, device)  # error
    remind(for_renewal, mail.zip(both))  # error
    remind(for_renewal, mail.map(len))  # error
    remind(for_renewal, text())  # error
    remind(for_renewal, None)  # error
    remind(for_renewal)  # error
    remind(mail, for_renewal)  # error
    remind(None, mail)  # error
    remind(tm.RenewalGuidance, mail)  # error
    remind(guard, mail)  # error
    offer(for_guidance, mail)  # error
    offer(for_renewal, mail)  # error
    inspect(for_renewal, device)  # error
    inspect(for_renewal, mail.map(len))  # error
    wider: Use[tm.AnyProductGuidance] = for_guidance  # error
    other: Use[tm.ProductGuidance] = for_renewal  # error
    broad: Use[tm.Purpose] = for_renewal  # error
    of_device: Use[tm.ProductData] = for_renewal  # error

# A use is of just its purpose: what is asked for does not make it another one.

with guard.purpose(tm.ProductProvision) as provided, ExitStack() as stack:
    remind(provided, mail)  # error
    remind(guard.use(tm.ProductProvision), mail)  # error
    remind(guard.use(tm.AnyProductGuidance), mail)  # error
    remind(guard.purpose(tm.ProductProvision).__enter__(), mail)  # error
    remind(stack.enter_context(guard.purpose(tm.ProductProvision)), mail)  # error
    assigned: Use[tm.RenewalGuidance] = guard.use(tm.ProductProvision)  # error
    entered: Use[tm.RenewalGuidance] = stack.enter_context(guard.purpose(tm.ProductProvision))  # error
    block: AbstractContextManager[Use[tm.RenewalGuidance]] = guard.purpose(tm.ProductProvision)  # error
    maker: Callable[[], Use[tm.RenewalGuidance]] = lambda: guard.use(tm.ProductProvision)  # error
    of_parent: Use[tm.Registration] = guard.use(tm.ProductProvision)  # error
with guard.purpose(tm.AnyProductGuidance, channel="email") as of_family:
    of_member: Use[tm.ProductGuidance] = of_family  # error
    remind(of_family, mail)  # error


def given() -> Use[tm.RenewalGuidance]:
    return guard.use(tm.ProductProvision)  # error


async def given_later() -> str:
    async with AsyncExitStack() as later, guard.purpose(tm.ProductProvision) as here_too:
        remind(await later.enter_async_context(guard.purpose(tm.ProductProvision)), mail)  # error
        return remind(here_too, mail)  # error


# Carried, and kept.

with guard.purpose(tm.RenewalGuidance) as here:
    guard.carry(remind)(here, device)  # error
    guard.carry(remind)(mail)  # error
    guard.carry(mail)  # error
    guard.carry(here.open)(device)  # error
    kept: Use[tm.ProductProvision] = here  # error

with guard.purpose(tm.ProductProvision):
    guard.use(tm.RenewalGuidance).open(device)  # error
    guard.use(tm.AnyProductGuidance).open(device)  # error
    text_of_it: str = guard.use(tm.ProductProvision).open(device)  # error
    guard.use()  # error
    guard.use(5)  # error
    guard.use(mail)  # error
    guard.use(tm.ProductProvision, mail)  # error
    guard.use.open(mail)  # error

guard.purpose(pg.NotPersonal)  # error
guard.purpose(pg.Source)  # error
guard.use(pg.NotPersonal)  # error
guard.purpose(None)  # error
guard.purpose(str)  # error
guard.purpose(str | None)  # error
guard.purpose([tm.RenewalGuidance])  # error
guard.purpose(tm.NOTICE)  # error
guard.purpose()  # error
guard.purpose(mail)  # error
guard.check(mail, tm.RenewalGuidance)  # error
guard.open(mail)  # error
guard.current.open(text())  # error
guard.purpose(tm.RenewalGuidance).open(mail)  # error
Use[str]  # error
