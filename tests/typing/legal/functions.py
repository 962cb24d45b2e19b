"""Functions, methods, protocols and generics of one's own over sealed values. Accepted, and runs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import wraps
from typing import Concatenate, Generic, ParamSpec, Protocol, TypeAlias, TypeVar, assert_type

import purposeguard as pg
from purposeguard import Personal, Use
from purposeguard.notices import trendmicro_jp as tm

guard = pg.Guard(tm.NOTICE)

A = TypeVar("A")
B = TypeVar("B")
R = TypeVar("R")
Q = ParamSpec("Q")
S = TypeVar("S", bound=pg.Source | pg.Purpose)
Z = TypeVar("Z", bound=pg.Source | pg.Purpose)
S_co = TypeVar("S_co", bound=pg.Source | pg.Purpose, covariant=True)

Mail: TypeAlias = Personal[str, tm.Registration]


def text() -> str:
    return "mail@example.org"


mail = Personal(text(), tm.Registration)
contract = Personal(text(), tm.Contract)
both = Personal(text(), tm.Registration, tm.Contract)
device = Personal(len(text()), tm.ProductData)
web = Personal(text(), tm.WebContact)
maybe: Mail | None = mail if text() else None


def missing() -> str | None:
    return None


inside = Personal(missing(), tm.Registration)


# A function asks in its signature for what it needs.


def remind(use: Use[tm.RenewalGuidance], to: Personal[str, tm.RenewalGuidance]) -> str:
    return use.open(to)


def offer(use: Use[tm.AnyProductGuidance], to: Personal[str, tm.AnyProductGuidance]) -> str:
    return use.open(to)


def offer_mine(use: Use[tm.ProductGuidance], to: Personal[str, tm.ProductGuidance]) -> str:
    return use.open(to)


async def remind_later(use: Use[tm.RenewalGuidance], to: Personal[str, tm.RenewalGuidance]) -> str:
    await asyncio.sleep(0)
    return use.open(to)


with guard.purpose(tm.RenewalGuidance) as renewal:
    assert_type(remind(renewal, mail), str)
    remind(renewal, both)
    remind(renewal, to=contract)
    assert_type([remind(renewal, one) for one in (mail, both, contract)], list[str])
    if maybe is not None:
        remind(renewal, maybe)
    assert_type(renewal.open(inside), str | None)

with guard.purpose(tm.AnyProductGuidance, channel="email") as offering:
    offer(offering, mail)
    offer(offering, web)
    offer_mine(guard.use(tm.ProductGuidance), mail)


# A seal may be one of several things.


def plain_or_sealed(value: str | Personal[str, tm.Registration], use: Use[tm.RenewalGuidance]) -> str:
    if isinstance(value, Personal):
        return use.open(value)
    assert_type(value, str)
    return value


def matched(value: Personal[str, tm.RenewalGuidance] | None, use: Use[tm.RenewalGuidance]) -> str:
    match value:
        case None:
            return ""
        case Personal():
            return use.open(value)


# Generic in what is sealed, in the sources, and in the purpose.


def shout(value: Personal[str, S]) -> Personal[str, S]:
    return value.map(str.upper)


def first(values: Sequence[Personal[A, S]]) -> Personal[A, S]:
    return values[0]


def paired(one: Personal[A, S], other: Personal[B, Z]) -> Personal[tuple[A, B], S | Z]:
    return one.zip(other)


def lengths(values: Iterable[Personal[str, S]]) -> Personal[tuple[int, ...], S]:
    return Personal.collect(value.map(len) for value in values)


def deliver(use: Use[S], to: Personal[A, S]) -> A:
    return use.open(to)


def deliver_all(use: Use[S], to: Iterable[Personal[A, S]]) -> list[A]:
    return use.open_all(to)


assert_type(shout(mail), Mail)
assert_type(shout(both), Personal[str, tm.Registration | tm.Contract])
assert_type(first([mail, mail]), Mail)
assert_type(paired(mail, device), Personal[tuple[str, int], tm.Registration | tm.ProductData])
assert_type(lengths([mail, mail]), Personal[tuple[int, ...], tm.Registration])

with guard.purpose(tm.RenewalGuidance) as use_of_generics:
    assert_type(deliver(use_of_generics, mail), str)
    assert_type(deliver(use_of_generics, mail.map(len)), int)
    assert_type(deliver_all(use_of_generics, [both, both]), list[str])


class Envelope(Generic[A, S_co]):
    """A class of one's own that keeps sealed values."""

    def __init__(self, content: Personal[A, S_co]) -> None:
        self._content = content

    @property
    def content(self) -> Personal[A, S_co]:
        return self._content

    def with_(self, other: Personal[B, Z]) -> Envelope[tuple[A, B], S_co | Z]:
        return Envelope(self._content.zip(other))


envelope = Envelope(mail)
assert_type(envelope, Envelope[str, tm.Registration])
assert_type(envelope.content, Mail)
assert_type(envelope.with_(device).content, Personal[tuple[str, int], tm.Registration | tm.ProductData])
may_renew: Envelope[str, tm.RenewalGuidance] = envelope


# Protocols.


class HasMail(Protocol):
    @property
    def mail(self) -> Personal[str, tm.RenewalGuidance]: ...


class Finds(Protocol[S_co]):
    def find(self, key: int, /) -> Personal[str, S_co]: ...


class Customer:
    def __init__(self) -> None:
        self.mail = mail
        self.device = device

    def find(self, key: int, /) -> Mail:
        return self.mail.map(lambda value: f"{value} {key}")

    @guard.purpose(tm.RenewalGuidance)
    def remind(self) -> str:
        return guard.current.open(self.mail)

    @classmethod
    def of(cls, other: Customer) -> Mail:
        return other.mail

    @staticmethod
    def of_all(others: Iterable[Customer]) -> Personal[tuple[str, ...], tm.Registration]:
        return Personal.collect([other.mail for other in others], tm.Registration)


def write_to(use: Use[tm.RenewalGuidance], whom: HasMail) -> str:
    return use.open(whom.mail)


def find_in(place: Finds[S], key: int) -> Personal[str, S]:
    return place.find(key)


customer = Customer()
assert_type(customer.mail, Mail)
assert_type(customer.remind(), str)
assert_type(Customer.of(customer), Mail)
assert_type(Customer.of_all([customer]), Personal[tuple[str, ...], tm.Registration])
assert_type(find_in(customer, 1), Mail)
finder: Finds[tm.RenewalGuidance] = customer
with guard.purpose(tm.RenewalGuidance) as use_of_protocols:
    write_to(use_of_protocols, customer)
    use_of_protocols.open(finder.find(1))


# Containers: what only is read is covariant.

as_sequence: Sequence[Personal[str, tm.RenewalGuidance]] = [mail, mail]
as_tuple: tuple[Personal[str, tm.RenewalGuidance], ...] = (mail, both)
as_mapping: Mapping[str, Personal[str, tm.RenewalGuidance]] = {"a": mail}
widened: list[Personal[str, tm.RenewalGuidance]] = [mail, both, contract]
by_key: dict[int, Mail] = {1: mail}
as_values: Iterable[Personal[str, tm.RenewalGuidance]] = by_key.values()

with guard.purpose(tm.RenewalGuidance) as use_of_containers:
    for one in as_sequence:
        assert_type(use_of_containers.open(one), str)
    assert_type(use_of_containers.open_all(as_tuple), list[str])
    assert_type({key: use_of_containers.open(one) for key, one in by_key.items()}, dict[int, str])
    assert_type(use_of_containers.open_all(widened), list[str])
    assert_type([use_of_containers.open(one) for one in widened if one is not mail], list[str])


# Decorators, the guard's and one's own.


def logged(fn: Callable[Q, R]) -> Callable[Q, R]:
    @wraps(fn)
    def logging(*args: Q.args, **kwargs: Q.kwargs) -> R:
        return fn(*args, **kwargs)

    return logging


def renewing(fn: Callable[Concatenate[Use[tm.RenewalGuidance], Q], R]) -> Callable[Q, R]:
    @wraps(fn)
    def with_use(*args: Q.args, **kwargs: Q.kwargs) -> R:
        with guard.purpose(tm.RenewalGuidance) as use:
            return fn(use, *args, **kwargs)

    return with_use


@renewing
def letter(use: Use[tm.RenewalGuidance], to: Personal[str, tm.RenewalGuidance], copies: int = 1) -> str:
    return use.open(to) * copies


@logged
@guard.purpose(tm.RenewalGuidance)
def note(to: Mail, *, copies: int = 1) -> str:
    return guard.current.open(to) * copies


@guard.purpose(tm.RenewalGuidance).with_use
def card(use: Use[tm.RenewalGuidance], to: Personal[str, tm.RenewalGuidance], *, copies: int = 1) -> str:
    return use.open(to) * copies


@guard.purpose(tm.AnyProductGuidance, channel="email").with_use
async def catalogue(use: Use[tm.AnyProductGuidance], to: Personal[str, tm.AnyProductGuidance]) -> str:
    return use.open(to)


@guard.access(tm.Registration)
def load(key: int) -> Mail:
    return mail.map(lambda value: f"{value} {key}")


@guard.access(tm.Registration)
async def load_later(key: int) -> Mail:
    return load(key)


@guard.transform
def domain(value: str) -> str:
    return value.partition("@")[2]


assert_type(letter(mail, copies=2), str)
assert_type(note(mail, copies=2), str)
assert_type(card(mail, copies=2), str)
assert_type(mail.map(domain), Mail)

with guard.purpose(tm.RenewalGuidance) as use_of_loaded:
    assert_type(use_of_loaded.open(load(1)), str)
    carried = guard.carry(load)
    assert_type(carried(1), Mail)
    opening = guard.carry(remind)
    assert_type(opening(use_of_loaded, mail), str)


with guard.purpose(tm.RenewalGuidance) as use_of_threads, ThreadPoolExecutor() as pool:
    opening_there = guard.carry(use_of_threads.open)
    assert_type(opening_there(mail), str)
    assert pool.submit(opening_there, mail).result() == text()
    assert_type(pool.submit(guard.carry(remind), use_of_threads, mail).result(), str)


@contextmanager
def renewing_here() -> Generator[Use[tm.RenewalGuidance]]:
    with guard.purpose(tm.RenewalGuidance) as use:
        yield use


with renewing_here() as use_of_ones_own:
    assert_type(use_of_ones_own, Use[tm.RenewalGuidance])
    remind(use_of_ones_own, Personal(text(), tm.Registration))
    remind(use_of_ones_own, Personal(text(), tm.Registration, tm.Contract))


def either(use: Use[tm.RenewalGuidance] | Use[tm.ProductGuidance]) -> str:
    return use.open(mail)


# Generators and coroutines.


@guard.purpose(tm.RenewalGuidance)
def each(of: Iterable[Mail]) -> Iterator[str]:
    for one in of:
        yield guard.current.open(one)


@guard.purpose(tm.RenewalGuidance)
async def loaded(keys: Iterable[int]) -> list[str]:
    use = guard.current
    return [use.open(await load_later(key)) for key in keys]


async def story() -> None:
    async with guard.purpose(tm.RenewalGuidance) as use:
        assert_type(await remind_later(use, mail), str)
        assert_type([use.open(await one) for one in (load_later(1), load_later(2))], list[str])
    assert_type(await loaded([1]), list[str])
    assert_type(await catalogue(web), str)


later: Callable[[Iterable[int]], Awaitable[list[str]]] = loaded
assert_type(list(each([mail, mail])), list[str])
asyncio.run(story())
