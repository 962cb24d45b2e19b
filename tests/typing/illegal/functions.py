"""Sealed values in functions, methods, protocols and generics: an error on each line that is marked so."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Concatenate, Generic, ParamSpec, Protocol, TypeAlias, TypeVar

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

Renewable: TypeAlias = Personal[str, tm.RenewalGuidance]
Renewal: TypeAlias = Use[tm.RenewalGuidance]


def text() -> str:
    return "mail@example.org"


mail = Personal(text(), tm.Registration)
device = Personal(text(), tm.ProductData)
web = Personal(text(), tm.WebContact)
mails: list[Personal[str, tm.Registration]] = [mail]
devices: list[Personal[str, tm.ProductData]] = [device]
mixed = [mail, device]


def remind(use: Renewal, to: Renewable) -> str:
    return use.open(to)


def find(key: int) -> Personal[str, tm.Registration] | None:
    return mail if key else None


# Bodies keep to what they ask for.


def wrong_use(use: Use[tm.ProductProvision], to: Renewable) -> str:
    return use.open(to)  # error


def wrong_value(use: Renewal, of: Personal[str, tm.ProductProvision]) -> str:
    return use.open(of)  # error


def wrong_result(use: Renewal, to: Renewable) -> int:
    return use.open(to)  # error


def wrong_seal(of: Personal[str, tm.ProductData]) -> Renewable:
    return of  # error


def wrong_union(one: Personal[str, tm.Registration], other: Personal[str, tm.ProductData], new: bool) -> Renewable:
    return one if new else other  # error


def wrong_choice(value: Personal[str, tm.Registration] | Personal[str, tm.ProductData], use: Renewal) -> str:
    return use.open(value)  # error


def of_member(use: Use[tm.ProductGuidance], to: Personal[str, tm.AnyProductGuidance]) -> str:
    return use.open(to)  # error


def leaking(use: Renewal, to: Renewable) -> Iterator[str]:
    yield use.open(to)
    yield to  # error


# Optional.


def optional(use: Renewal, to: Renewable | None, inside: Personal[str | None, tm.Registration]) -> str:
    remind(use, to)  # error
    remind(use, inside)  # error
    use.open(to)  # error
    to.map(len)  # error
    to.zip(mail)  # error
    inside.map(str.upper)  # error
    use.open(inside).upper()  # error
    use.try_open(to, None)  # error
    use.open(find(1))  # error
    find(1).label  # error
    mail.zip(find(1))  # error
    Personal.collect([find(1)])  # error
    given = to or text()
    return given  # error


def plain_or_sealed(use: Renewal, value: str | Personal[str, tm.Registration]) -> str:
    use.open(value)  # error
    value.upper()  # error
    if isinstance(value, Personal):
        return value  # error
    return use.open(value)  # error


# Generics of one's own.


def shout(value: Personal[str, S]) -> Personal[str, S]:
    return value.map(str.upper)


def paired(one: Personal[A, S], other: Personal[B, Z]) -> Personal[tuple[A, B], S | Z]:
    return one.zip(other)


def forgotten(one: Personal[A, S], other: Personal[B, Z]) -> Personal[tuple[A, B], S]:
    return one.zip(other)  # error


def renamed(value: Personal[A, S]) -> Personal[A, tm.RenewalGuidance]:
    return value  # error


def freed(value: Personal[A, S]) -> A:
    return value  # error


def opened(use: Renewal, value: Personal[A, S]) -> A:
    return use.open(value)  # error


def deliver(use: Use[S], to: Personal[A, S]) -> A:
    return use.open(to)


def deliver_all(use: Use[S], to: Iterable[Personal[A, S]]) -> list[A]:
    return use.open_all(to)


def first(values: Sequence[Personal[A, S]]) -> Personal[A, S]:
    return values[0]


class Envelope(Generic[A, S_co]):
    def __init__(self, content: Personal[A, S_co]) -> None:
        self._content = content

    @property
    def content(self) -> Personal[A, S_co]:
        return self._content

    def plain(self) -> A:
        return self._content  # error

    def renew(self, use: Renewal) -> A:
        return use.open(self._content)  # error


with guard.purpose(tm.RenewalGuidance) as of_generics:
    remind(of_generics, shout(device))  # error
    remind(of_generics, shout(mail.map(len)))  # error
    remind(of_generics, first(devices))  # error
    remind(of_generics, first(mixed))  # error
    of_generics.open(paired(mail, device))  # error
    of_generics.open(Envelope(device).content)  # error
    of_generics.open(Envelope(mail))  # error
    deliver(of_generics, device)  # error
    deliver(of_generics, mail.zip(web))  # error
    deliver(of_generics, text())  # error
    deliver_all(of_generics, devices)  # error
    deliver_all(of_generics, mixed)  # error
    deliver_all(of_generics, mail)  # error
    number: int = deliver(of_generics, mail)  # error
envelope: Envelope[str, tm.RenewalGuidance] = Envelope(device)  # error
bad_argument: Personal[str, str]  # error
bad_use: Use[int]  # error

# Protocols and methods.


class HasMail(Protocol):
    @property
    def mail(self) -> Renewable: ...


class Finds(Protocol[S_co]):
    def find(self, key: int, /) -> Personal[str, S_co]: ...


class Customer:
    def __init__(self) -> None:
        self.mail = device
        self.home = mail

    def find(self, key: int, /) -> Personal[str, tm.ProductData]:
        return self.home  # error

    @guard.purpose(tm.RenewalGuidance)
    def remind(self, use: Renewal) -> str:
        return use.open(self.mail)  # error

    @classmethod
    def of(cls, other: Customer) -> Renewable:
        return other.mail  # error

    @staticmethod
    def of_all(others: Iterable[Customer]) -> Personal[tuple[str, ...], tm.RenewalGuidance]:
        return Personal.collect([other.mail for other in others])  # error

    @property
    def name(self) -> str:
        return self.home  # error


class Shadow(Customer):
    def find(self, key: int, /) -> Personal[str, tm.Cookie]:  # error
        return Personal(text(), tm.Cookie)


def write_to(whom: HasMail) -> None: ...


def find_in(place: Finds[tm.RenewalGuidance]) -> None: ...


write_to(Customer())  # error
find_in(Customer())  # error
finder: Finds[tm.RenewalGuidance] = Customer()  # error
Customer().mail = mail  # error
Customer().home.upper()  # error

# Async.


async def load(key: int) -> Personal[str, tm.ProductData]:
    return device


async def leaking_later(use: Renewal) -> str:
    use.open(load(1))  # error
    use.open(await load(1))  # error
    remind(use, load(1))  # error
    remind(use, await load(1))  # error
    many = [use.open(await load(key)) for key in range(3)]  # error
    many = use.open_all([await load(key) for key in range(3)])  # error
    await use.open(mail)  # error
    await remind(use, mail)  # error
    async with guard.purpose(tm.ProductProvision) as other:
        other.open(await load(1))
        remind(other, mail)  # error
        other.open(web)  # error
    return await load(1)  # error


later: Callable[[int], Awaitable[Renewable]] = load  # error

# Decorators: signatures are kept, so what is asked for is asked for.


def renewing(fn: Callable[Concatenate[Renewal, Q], R]) -> Callable[Q, R]:
    def with_use(*args: Q.args, **kwargs: Q.kwargs) -> R:
        with guard.purpose(tm.RenewalGuidance) as use:
            return fn(use, *args, **kwargs)

    return with_use


@renewing
def letter(use: Renewal, to: Renewable, copies: int = 1) -> str:
    return use.open(to) * copies


@guard.purpose(tm.RenewalGuidance)
def note(to: Renewable, *, copies: int = 1) -> str:
    return guard.current.open(to) * copies


@guard.access(tm.Registration)
def load_mail(key: int) -> Personal[str, tm.Registration]:
    return device  # error


@guard.access(tm.Registration)
async def load_later(key: int) -> Personal[str, tm.Registration]:
    return mail


@renewing  # error
def wrong_letter(use: Use[tm.ProductGuidance], to: Personal[str, tm.ProductGuidance]) -> str:
    return use.open(to)


@guard.purpose(tm.RenewalGuidance).with_use
def card(use: Renewal, to: Renewable, *, copies: int = 1) -> str:
    return use.open(to) * copies


@guard.purpose(tm.ProductImprovement).with_use
async def improve(use: Use[tm.ProductImprovement], of: Personal[str, tm.ProductImprovement]) -> str:
    remind(use, mail)  # error
    return use.open(of)


@guard.purpose(tm.ProductGuidance).with_use  # error
def wrong_card(use: Renewal, to: Renewable) -> str:
    return use.open(to)


@guard.purpose(tm.ProductGuidance).with_use  # error
def wrong_family(use: Use[tm.AnyProductGuidance], to: Renewable) -> str:
    return str(to)


@guard.purpose(tm.AnyProductGuidance, channel="email").with_use  # error
def wrong_member(use: Use[tm.ProductGuidance], to: Personal[str, tm.Registration]) -> str:
    return use.open(to)


@guard.purpose(tm.ProductGuidance).with_use  # error
def without_use() -> str:
    return text()


@guard.purpose(tm.ProductGuidance).with_use  # error
def seal_first(to: Renewable, use: Use[tm.ProductGuidance]) -> str:
    return use.open(mail)


card(device)  # error
card(mail, 2)  # error
card(mail, many=2)  # error
card()  # error
card(text())  # error
copied: int = card(mail)  # error
improve(web)  # error
improved: str = improve(mail)  # error
letter(device)  # error
letter(mail, "2")  # error
letter(mail, many=2)  # error
letter()  # error
note(device)  # error
note(mail, 2)  # error
note(text())  # error
load_mail("1")  # error
load_mail(1).upper()  # error
loaded: str = load_mail(1)  # error
load_later(1).map(len)  # error
guard.carry(note)(device)  # error
sender: Callable[[Personal[str, tm.ProductData]], str] = letter  # error
