"""A sealed value is not what it seals: an error on each line that is marked so, and on no other."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from purposeguard import Personal
from purposeguard.notices import trendmicro_jp as tm


def text() -> str:
    return "mail@example.org"


mail = Personal(text(), tm.Registration)
number = Personal(len(text()), tm.Registration)
names = Personal([text()], tm.Registration)
by_key = Personal({text(): text()}, tm.Registration)


def send(to: str) -> None: ...


def send_all(to: Iterable[str]) -> None: ...


# Handed over as plain.

plain: str = mail  # error
as_int: int = number  # error
as_list: list[str] = names  # error
as_object: list[str] = [mail]  # error
as_tuple: tuple[str, int] = (mail, number)  # error
as_value: dict[str, str] = {"to": mail}  # error
as_key: dict[str, int] = {mail: 1}  # error
as_set: set[str] = {mail}  # error
send(mail)  # error
send(to=mail)  # error
send(*[mail])  # error
send_all([mail])  # error
send_all(mail)  # error
send_all(names)  # error


def returned() -> str:
    return mail  # error


def yielded() -> Iterator[str]:
    yield mail  # error


# Text.

mail.upper()  # error
mail.value  # error
mail._plain  # error
mail + text()  # error
text() + mail  # error
mail * 2  # error
mail % 5  # error
mail[0]  # error
mail[1:3]  # error
"a" in mail  # error
len(mail)  # error
list(mail)  # error
sorted(mail)  # error
", ".join([mail])  # error
", ".join(mail)  # error
text().startswith(mail)  # error
text().replace("a", mail)  # error
re.match("a", mail)  # error
Path(mail)  # error
open(mail)  # error
bytes(mail)  # error
mail.encode()  # error
json.loads(mail)  # error
logging.getLogger(mail)  # error
for letter in mail:  # error
    pass
letters = [one for one in mail]  # error
first, *rest = mail  # error
text().join(one for one in mail)  # error

# Numbers.

number + 1  # error
1 + number  # error
total = number
total += 1  # error
-number  # error
int(number)  # error
float(number)  # error
abs(number)  # error
round(number)  # error
range(number)  # error
[1, 2, 3][number]  # error
sum([number, number])  # error
max([number, number])  # error
number < 5  # error
number > number  # error
5 >= number  # error
number & 1  # error
~number  # error

# Containers inside a seal.

names[0]  # error
names[0] = text()  # error
del names[0]  # error
names.append(text())  # error
len(names)  # error
for name in names:  # error
    pass
[*names]  # error
by_key["a"]  # error
by_key.items()  # error
{**by_key}  # error
dict(by_key)  # error
send(**by_key)  # error
reversed(names)  # error
zip(names, names)  # error
map(len, names)  # error
enumerate(names)  # error

# What is no function, iterator or context manager is not used as one.

mail()  # error
next(mail)  # error
with mail:  # error
    pass


async def awaited() -> None:
    await mail  # error
    async for one in mail:  # error
        pass
