"""Plausible texts made from numbers: the same number gives the same text, another number another text.

Digests give random letters, which can be recognised anywhere. Small numbers give plain texts: 0 gives `a@example.com`.
Which kinds a field accepts is found by trying: only the application knows its validators.
"""

from __future__ import annotations

import base64
import datetime
import functools
import hashlib
import ipaddress
import random
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple

_HIRAGANA: Final = "あいうえおかきくけこさしすせそたちつてとなにぬねのはひふへほまみむめもやゆよらりるれろわ"
_KATAKANA: Final = "アイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワ"
_HALF_WIDTH: Final = "ｱｲｳｴｵｶｷｸｹｺｻｼｽｾｿﾀﾁﾂﾃﾄﾅﾆﾇﾈﾉﾊﾋﾌﾍﾎﾏﾐﾑﾒﾓﾔﾕﾖﾗﾘﾙﾚﾛﾜ"
_KANJI: Final = "山田中村川井上野木林森石原本高橋松藤佐伊東西南北大小長島岡青白黒金谷水清和春夏秋冬花月"
_FULL_WIDTH: Final = {ord(char): chr(ord(char) + 0xFEE0) for char in "0123456789"}


class TextKind(NamedTuple):
    """A kind of values: `make` gives the value of a number."""

    name: str
    make: Callable[[int], Any]

    def then(self, change: Callable[[Any], Any]) -> TextKind:
        """Return the kind whose values are these, changed."""
        return TextKind(self.name, lambda n: change(self.make(n)))


def number_of(*parts: object) -> int:
    """Return a 64-bit digest of these parts; the same in every process."""
    text = "\0".join(map(str, parts))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


PLAIN: Final = 2**16
"""Numbers below give plain texts. Digests are never as small."""

SAMPLES: Final = tuple(map(functools.partial(number_of, "sample"), range(4)))


def usable(kinds: Iterable[TextKind], takes: Callable[[Any], bool]) -> Iterator[TextKind]:
    """Yield the kinds whose sample values a field accepts."""
    for kind in kinds:
        if all(map(takes, map(kind.make, SAMPLES))):
            yield kind


def _spell(n: int, length: int, alphabet: str) -> str:
    """Return a text of this length; that of a small number is the number in the digits of the alphabet."""
    if n >= PLAIN:
        return "".join(random.Random(n).choices(alphabet, k=length))  # noqa: S311  # no secret
    return "".join(alphabet[n // len(alphabet) ** place % len(alphabet)] for place in reversed(range(length)))


def word(n: int, length: int | None = None) -> str:
    """Return lower-case letters: by default twelve, or as few as a small number needs."""
    if length is None:
        length = 12 if n >= PLAIN else 1 + sum(n >= 26**place for place in (1, 2, 3))
    return _spell(n, length, "abcdefghijklmnopqrstuvwxyz")


def digits(n: int, length: int) -> str:
    """Return decimal digits, of which the first is not 0."""
    if n < PLAIN:
        return f"1{_spell(n, length - 1, '0123456789')}" if length > 1 else str(n % 9 + 1)[:length]
    return f"{n % 9 + 1}{_spell(n, length - 1, '0123456789')}" if length else ""


def day(n: int) -> datetime.date:
    """Return a plausible date of birth, between 1921 and 2003."""
    return datetime.date(1921, 1, 1) + datetime.timedelta(days=n % 30_000)


def _moment(n: int) -> str:
    return f"{day(n)}T{n % 24:02}:{n % 60:02}:{n % 59:02}.{n % 999_983:06}"


def _group_digits(number: str, *lengths: int) -> str:
    """Return a number in groups of these lengths; the rest is the last group."""
    groups = []
    for length in lengths:
        groups.append(number[:length])
        number = number[length:]
    return "-".join([*groups, number])


def _card(n: int) -> str:
    """Return a number of 16 digits with the check digit of payment cards."""
    body = f"4{digits(n, 14)}"
    total = sum(sum(divmod(int(digit) * (2 - index % 2), 10)) for index, digit in enumerate(reversed(body)))
    return f"{body}{-total % 10}"


def _my_number(n: int) -> str:
    """Return a Japanese Individual Number: twelve digits, the last a check digit."""
    body = digits(n, 11)
    total = sum(int(digit) * weight for digit, weight in zip(body, (6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2), strict=True))
    return f"{body}{(11 - total % 11) % 11 % 10}"


def _iban(n: int) -> str:
    """Return an account number of Germany with its check digits."""
    account = digits(n, 18)
    return f"DE{98 - int(f'{account}131400') % 97:02}{account}"


def _uuid(n: int, version: int = 4) -> str:
    """Return a UUID; built by hand, since `uuid.UUID` knows not every version in every Python."""
    number = n if n < PLAIN else (n << 64) + number_of(n)
    return str(uuid.UUID(int=number & ~(0xF000 << 64) & ~(0xC000 << 48) | version << 76 | 0x8000 << 48))


def _resize(name: str, make: Callable[..., str], lengths: Iterable[int]) -> Iterator[TextKind]:
    for length in lengths:
        yield TextKind(f"{length} {name}", functools.partial(make, length=length))


def _address_kinds() -> Iterator[TextKind]:
    for scheme in ("file", "ftp", "postgresql", "mysql", "mongodb", "redis", "amqp", "nats", "kafka", "ws"):
        yield TextKind(f"address of {scheme}", functools.partial(_address, scheme))


def _address(scheme: str, n: int) -> str:
    return f"{scheme}://localhost/{word(n)}"


TEXTS: Final = (
    TextKind("word", word),
    TextKind("name", lambda n: f"{word(n, 7).title()} {word(n + 1, 8).title()}"),
    TextKind("title-case word", lambda n: word(n).title()),
    TextKind("upper-case word", lambda n: word(n).upper()),
    TextKind("letters and digits", lambda n: f"{word(n, 6)}{digits(n, 6)}"),
    TextKind("e-mail address", lambda n: f"{word(n)}@example.com"),
    TextKind("e-mail address, Japanese", lambda n: f"{word(n)}@example.co.jp"),
    TextKind("domain", lambda n: f"{word(n)}.example.com"),
    TextKind("URL", lambda n: f"https://example.com/{word(n)}"),
    TextKind("name and e-mail address", lambda n: f"{word(n).title()} <{word(n)}@example.com>"),
    TextKind("phone number, international", lambda n: f"+8190{digits(n, 8)}"),
    TextKind("phone number, international, in groups", lambda n: f"+81 90-{_group_digits(digits(n, 8), 4)}"),
    TextKind("phone number, national", lambda n: f"090-{_group_digits(digits(n, 8), 4)}"),
    TextKind("phone number, digits", lambda n: f"090{digits(n, 8)}"),
    TextKind("landline number", lambda n: f"03-{_group_digits(digits(n, 8), 4)}"),
    TextKind("landline number, digits", lambda n: f"03{digits(n, 8)}"),
    TextKind("phone number, full width", lambda n: f"090-{_group_digits(digits(n, 8), 4)}".translate(_FULL_WIDTH)),
    TextKind("phone number, American", lambda n: f"+1202{2 + n % 8}{digits(n, 6)}"),
    *(TextKind(f"UUID {version}", functools.partial(_uuid, version=version)) for version in (4, 1, 3, 5, 7)),
    TextKind("IPv4 address", lambda n: str(ipaddress.IPv4Address((11 << 24) + n % (1 << 24)))),
    TextKind("IPv6 address", lambda n: str(ipaddress.IPv6Address((0x2001_0DB8 << 96) + n % (1 << 64)))),
    TextKind("MAC address", lambda n: (n % (1 << 46)).to_bytes(6, "big").hex(":")),
    TextKind("payment card", _card),
    TextKind("IBAN", _iban),
    TextKind("day", lambda n: day(n).isoformat()),
    TextKind("moment", _moment),
    TextKind("moment, UTC", lambda n: f"{_moment(n)}Z"),
    TextKind("future day", lambda n: f"22{n % 90 + 10}-0{n % 9 + 1}-{n % 19 + 10}"),
    TextKind("future moment", lambda n: f"22{_moment(n)[2:]}"),
    TextKind("future moment, UTC", lambda n: f"22{_moment(n)[2:]}Z"),
    TextKind("katakana", lambda n: _spell(n, 7, _KATAKANA)),
    TextKind("katakana name", lambda n: f"{_spell(n, 4, _KATAKANA)}　{_spell(n + 1, 4, _KATAKANA)}"),
    TextKind("hiragana", lambda n: _spell(n, 7, _HIRAGANA)),
    TextKind("katakana, half width", lambda n: _spell(n, 9, _HALF_WIDTH)),
    TextKind("kanji", lambda n: _spell(n, 5, _KANJI)),
    TextKind("kanji name", lambda n: f"{_spell(n, 3, _KANJI)} {_spell(n + 1, 3, _KANJI)}"),
    TextKind("Japanese postal code", lambda n: _group_digits(digits(n, 7), 3)),
    TextKind("Japanese postal code with its mark", lambda n: f"〒{_group_digits(digits(n, 7), 3)}"),
    TextKind("number of a person in Japan", _my_number),
    TextKind("password", lambda n: f"{word(n, 6).title()}-{digits(n, 6)}"),
    TextKind("base64", lambda n: base64.b64encode(word(n).encode()).decode()),
    TextKind("colour", lambda n: f"#{n % (1 << 24):06x}"),
    TextKind("JSON", lambda n: f'"{word(n)}"'),
    TextKind("decimal number", lambda n: f"{digits(n, 7)}.{digits(n, 2)}"),
    TextKind("duration", lambda n: f"PT{n % 10**9}.{n % 999_983:06}S"),
    *_resize("digits", digits, (16, 13, 12, 11, 10, 9, 8, 7)),
    *_resize("hexadecimal digits", lambda n, length: _spell(n, length, "0123456789abcdef"), (64, 40, 32, 16)),
    *_resize("digits", digits, range(6, 0, -1)),
    *_resize("capitals", lambda n, length: word(n, length).upper(), range(6, 0, -1)),
    *_resize("letters", word, range(6, 0, -1)),
    *_address_kinds(),
    TextKind("country", lambda n: ("JP", "DE", "US", "FR")[n % 4]),
    TextKind("language", lambda n: ("ja", "de", "en", "fr")[n % 4]),
    TextKind("currency", lambda n: ("JPY", "EUR", "USD", "GBP")[n % 4]),
    TextKind("time zone", lambda n: ("Asia/Tokyo", "Europe/Berlin", "UTC", "America/New_York")[n % 4]),
)
"""Texts, the more recognisable ones first."""

DIGITAL: Final = tuple(kind for kind in TEXTS if kind.make(SAMPLES[0]).lstrip("+").isdecimal())
