"""Uses and seals chosen while a program runs, or handed to threads and tasks: an error on each marked line."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain

import purposeguard as pg
from purposeguard import Personal, Use
from purposeguard.notices import trendmicro_jp as tm

guard = pg.Guard(tm.NOTICE)


def text() -> str:
    return "mail@example.org"


mail = Personal(text(), tm.Registration)
device = Personal(text(), tm.ProductData)
web = Personal(text(), tm.WebContact)


def remind(use: Use[tm.RenewalGuidance], to: Personal[str, tm.RenewalGuidance]) -> str:
    return use.open(to)


# What may be one of two must be right for both.


def either(use: Use[tm.RenewalGuidance] | Use[tm.ProductProvision]) -> None:
    use.open(mail)
    use.open(device)  # error
    remind(use, mail)  # error


def maybe(use: Use[tm.RenewalGuidance] | None) -> None:
    use.open(mail)  # error
    remind(use, mail)  # error


def chosen(one: type[tm.RenewalGuidance] | type[tm.ProductProvision]) -> None:
    with guard.purpose(one) as use:
        use.open(web)  # error
        remind(use, mail)  # error


def sealed(parent: type[tm.Customer], one: type[tm.Registration] | type[tm.ProductData], any_: type[pg.Source]) -> None:
    with guard.purpose(tm.RenewalGuidance) as use:
        use.open(Personal(text(), parent))  # error
        use.open(Personal(text(), one))  # error
        use.open(Personal(text(), any_))  # error
        use.open(Personal(text(), tm.Registration, any_))  # error
        remind(use, Personal(text(), parent))  # error
        remind(use, Personal(text(), tm.ProductData))  # error
        remind(use, Personal(text(), tm.Registration, tm.ProductData))  # error
        remind(use, Personal.collect([mail, device]).map(str))  # error
        remind(use, mail if parent is tm.Registration else device)  # error
    Personal(text(), type(mail))  # error


def default(to: Personal[str, tm.RenewalGuidance] = device) -> None: ...  # error


def made() -> Personal[str, tm.RenewalGuidance]:
    return Personal(text(), tm.ProductData)  # error


# Threads and tasks.

with guard.purpose(tm.RenewalGuidance) as use_here, ThreadPoolExecutor() as pool:
    pool.submit(use_here.open, device)  # error
    pool.submit(remind, use_here, device)  # error
    pool.submit(remind, use_here)  # error
    pool.submit(guard.carry(remind), use_here, device)  # error
    pool.submit(guard.carry(remind), device, use_here)  # error
    opening = guard.carry(use_here.open)
    opening(device)  # error
    opening(text())  # error
    pool.submit(opening, device)  # error
    number: int = opening(mail)  # error
    later_number: int = pool.submit(remind, use_here, mail).result()  # error
    opener: Callable[[Personal[str, tm.ProductData]], str] = use_here.open  # error
    maker: Callable[[str], Personal[str, tm.Registration]] = use_here.open  # error


async def asynchronously(use: Use[tm.RenewalGuidance]) -> None:
    await asyncio.to_thread(use.open, device)  # error
    await asyncio.to_thread(remind, use, device)  # error
    await asyncio.to_thread(guard.carry(remind), use, device)  # error
    asyncio.create_task(use.open(mail))  # error
    await asyncio.gather(use.open(mail))  # error


# Context managers, iterators and functions of one's own.


@contextmanager
def renewing() -> Generator[Use[tm.RenewalGuidance]]:
    with guard.purpose(tm.RenewalGuidance) as use:
        yield use


@contextmanager
def pretending() -> Generator[Use[tm.RenewalGuidance]]:
    with guard.purpose(tm.ProductProvision) as use:
        yield use  # error


with renewing() as renewal:
    renewal.open(device)  # error
    renewal.open(mail.map(lambda: 1))  # error
    renewal.open(mail.map(lambda value, other: value))  # error
    renewal.open(device.map(lambda value: len(value)))  # error
    renewal.open_all(chain([mail], [device]))  # error
    renewal.open_all(reversed([device]))  # error
    renewal.open(next(iter([device])))  # error
    list(chain([mail], [device]))[0].upper()  # error
    wrong: Personal[int, tm.Registration] = device.map(lambda value: len(value))  # error


class Mailer:
    @guard.purpose(tm.RenewalGuidance)
    def remind(self, to: Personal[str, tm.RenewalGuidance]) -> str:
        return guard.use(tm.RenewalGuidance).open(to)

    def provide(self, use: Use[tm.ProductProvision]) -> str:
        self.remind(device)  # error
        return remind(use, mail)  # error


Mailer().remind(device)  # error
Mailer().remind(mail).label  # error
sending: Callable[[Personal[str, tm.ProductData]], str] = Mailer().remind  # error
