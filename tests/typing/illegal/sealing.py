"""Seals that are made or combined wrongly: an error on each line that is marked so, and on no other."""

from __future__ import annotations

import purposeguard as pg
from purposeguard import Personal
from purposeguard.notices import trendmicro_jp as tm


def text() -> str:
    return "mail@example.org"


mail = Personal(text(), tm.Registration)
contract = Personal(text(), tm.Contract)
device = Personal(len(text()), tm.ProductData)
web = Personal(text(), tm.WebContact)
cookie = Personal(text(), tm.Cookie)
figure = Personal(len(text()), pg.NotPersonal)
mails = [mail, mail]
devices = [device]

# A seal says where its value is from: by a source or a label, and by nothing else.

Personal(text())  # error
Personal()  # error
Personal(text(), tm.RenewalGuidance)  # error
Personal(text(), tm.Registration, tm.RenewalGuidance)  # error
Personal(text(), tm.AnyProductGuidance)  # error
Personal(text(), pg.Purpose)  # error
Personal(text(), "1.1(a)")  # error
Personal(text(), tm.Registration, "1.1(c)")  # error
Personal(text(), None)  # error
Personal(text(), 5)  # error
Personal(text(), str)  # error
Personal(text(), [tm.Registration, tm.Contract])  # error
Personal(text(), pg.Label(tm.Registration), tm.Contract)  # error
Personal(value=text())  # error
Personal[str, str](text(), tm.Registration)  # error


class Letter(Personal[str, tm.Registration]): ...  # error


# The types say what is inside, and from where.

number: Personal[int, tm.Registration] = mail  # error
narrower: Personal[str, tm.Registration] = Personal(text(), tm.Registration, tm.Contract)  # error
other: Personal[str, tm.Contract] = mail  # error
item: Personal[int, tm.ProductData] = Personal(len(text()), tm.Customer)  # error
parent: Personal[str, tm.Website] = mail  # error
harmless: Personal[str, pg.NotPersonal] = mail  # error
renewal: Personal[int, tm.RenewalGuidance] = device  # error
renewal_of_all: Personal[str, tm.RenewalGuidance] = Personal(text(), tm.Customer)  # error
traffic: Personal[tuple[str, str], tm.TrafficAnalysis] = cookie.zip(web)  # error
guidance: Personal[str, tm.ProductGuidance] = web  # error
family: Personal[int, tm.AnyProductGuidance] = device  # error
nothing: Personal[str, tm.Registration] = None  # error
bare: Personal[str, tm.Registration] = text()  # error
use_of_it: pg.Use[tm.Registration] = mail  # error

# A seal is not changed.

mail.label = pg.Label(tm.Contract)  # error
mail.value = text()  # error

# `map` takes a function of what is inside.

mail.map()  # error
mail.map(5)  # error
mail.map(text)  # error
mail.map(abs)  # error
mail.map(len, len)  # error
mail.map(mail)  # error
device.map(str.upper)  # error
mail.map(len).map(str.upper)  # error
length: Personal[str, tm.Registration] = mail.map(len)  # error
upper: Personal[str, tm.Contract] = mail.map(str.upper)  # error
freed: str = mail.map(str.upper)  # error
anonymous: Personal[int, pg.NotPersonal] = mail.map(len)  # error

# `zip` and `collect` unite sources, and do not forget one.

mail.zip()  # error
mail.zip(text())  # error
mail.zip(None)  # error
mail.zip([mail])  # error
mail.zip(device, text())  # error
forgetful: Personal[tuple[str, int], tm.Registration] = mail.zip(device)  # error
forgetful_again: Personal[tuple[str, int], tm.ProductData] = mail.zip(device)  # error
swapped: Personal[tuple[int, str], tm.Registration | tm.ProductData] = mail.zip(device)  # error
unzipped: tuple[str, int] = mail.zip(device)  # error
two_of_three: Personal[tuple[str, int, str], tm.ProductProvision] = mail.zip(device, web)  # error
with_figure: Personal[tuple[str, int], pg.NotPersonal] = mail.zip(figure)  # error
Personal.collect()  # error
Personal.collect(mail)  # error
Personal.collect([text()])  # error
Personal.collect(mails, tm.RenewalGuidance)  # error
Personal.collect(mails, "1.1(a)")  # error
Personal.collect(mail, mail)  # error
collected: Personal[tuple[str, ...], tm.Contract] = Personal.collect(mails)  # error
as_list: Personal[list[str], tm.Registration] = Personal.collect(mails)  # error
with_more: Personal[tuple[str, ...], tm.Registration] = Personal.collect(mails, tm.Cookie)  # error
of_devices: Personal[tuple[int, ...], tm.RenewalGuidance] = Personal.collect(devices)  # error
of_both: Personal[tuple[str, ...], tm.Registration] = Personal.collect([*mails, contract])  # error
listed: list[str] = Personal.collect(mails)  # error
