"""Kinds of plausible values, each made from a number: the same number gives the same value, another one another.

Whether a field takes a kind is found out by trying it: what a validator of an application wants, only it knows.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import ipaddress
import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import partial
from typing import Any, Final, NamedTuple

LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"
_HIRAGANA: Final = "あいうえおかきくけこさしすせそたちつてとなにぬねのはひふへほまみむめもやゆよらりるれろわ"
_KANJI: Final = "山田中村川井上野木林森石原本高橋松藤佐伊東西南北大小長島岡青白黒金谷水清和春夏秋冬花月"
_HALF_WIDTH: Final = "ｱｲｳｴｵｶｷｸｹｺｻｼｽｾｿﾀﾁﾂﾃﾄﾅﾆﾇﾈﾉﾊﾋﾌﾍﾎﾏﾐﾑﾒﾓﾔﾕﾖﾗﾘﾙﾚﾛﾜ"
_FULL_WIDTH: Final = {ord(char): chr(ord(char) + 0xFEE0) for char in "0123456789"}
_KATAKANA: Final = "アイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワ"


class Kind(NamedTuple):
    """One kind of values: `make` gives that of a number."""

    name: str
    make: Callable[[int], Any]

    def then(self, change: Callable[[Any], Any]) -> Kind:
        """The kind of what becomes of them."""
        return Kind(self.name, lambda n: change(self.make(n)))


def number_of(*parts: object) -> int:
    """A number that depends on nothing but these parts, in every process: 64 bits of a digest of them."""
    text = "\0".join(map(str, parts))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def word(n: int, length: int = 12) -> str:
    """Lower-case letters."""
    return _spelled(n, length, LETTERS)


def digits(n: int, length: int) -> str:
    """Decimal digits, of which the first is not 0."""
    rest = _spelled(n // 9, length - 1, "0123456789")
    return f"{n % 9 + 1}{rest}" if length else ""


def _spelled(n: int, length: int, alphabet: str) -> str:
    found: list[str] = []
    more = n
    while len(found) < length:
        if more == 0 and found:
            more = number_of(n, len(found))
        more, index = divmod(more, len(alphabet))
        found.append(alphabet[index])
    return "".join(found)


def text_of_length(n: int, least: int, most: int | None) -> str:
    """A text that is as long as may be, up to 12 letters; longer where it must be."""
    length = max(least, 12 if most is None else min(12, most))
    return word(n, length)


def _card(n: int) -> str:
    """A number of 16 digits with the check digit of payment cards."""
    body = f"4{digits(n, 14)}"
    total = 0
    for index, digit in enumerate(reversed(body)):
        value = int(digit) * (2 if index % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return f"{body}{-total % 10}"


def _my_number(n: int) -> str:
    """The number of a person in Japan, twelve digits of which the last one checks."""
    body = digits(n, 11)
    total = sum(int(digit) * weight for digit, weight in zip(body, (6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2), strict=True))
    return f"{body}{(11 - total % 11) % 11 % 10}"


def _grouped(number: str, *ends: int) -> str:
    """A number in groups, the first of which end at these places."""
    starts = (0, *ends)
    return "-".join(number[start:end] for start, end in zip(starts, (*ends, None), strict=True))


def _postcode(n: int) -> str:
    return f"{digits(n, 3)}-{digits(n // 999, 4)}"


def _address(n: int, scheme: str) -> str:
    return f"{scheme}://localhost/{word(n)}"


def _hexadecimal(n: int, length: int) -> str:
    return _spelled(n, length, "0123456789abcdef")


def _capitals(n: int, length: int) -> str:
    return word(n, length).upper()


def _iban(n: int) -> str:
    """An account number of Germany with its check digits."""
    account = digits(n, 18)
    return f"DE{98 - int(f'{account}131400') % 97:02}{account}"


def _mobile(n: int) -> str:
    return digits(n, 8)


def day(n: int) -> datetime.date:
    """A day between 1921 and 2003, such as one is born on."""
    return datetime.date(1921, 1, 1) + datetime.timedelta(days=n % 30_000)


def moment(n: int) -> datetime.datetime:
    """A moment of such a day, to the microsecond."""
    return datetime.datetime.combine(day(n), datetime.time()) + datetime.timedelta(microseconds=n % 86_399_999_999 + 1)


def _soon(n: int) -> datetime.datetime:
    """A moment that is long to come."""
    return datetime.datetime(2200, 1, 1) + datetime.timedelta(seconds=n % 10**9, microseconds=n % 999_983)  # noqa: DTZ001  # naive on purpose


def _ipv4(n: int) -> ipaddress.IPv4Address:
    return ipaddress.IPv4Address((11 << 24) + n % (1 << 24))


def _ipv6(n: int) -> ipaddress.IPv6Address:
    return ipaddress.IPv6Address((0x2001_0DB8 << 96) + n % (1 << 64))


def _uuid(n: int) -> uuid.UUID:
    return uuid.UUID(int=(n << 64) + number_of(n), version=4)


TEXTS: Final = (
    Kind("word", word),
    Kind("name", lambda n: f"{word(n, 7).title()} {word(n // 26**7 + 1, 8).title()}"),
    Kind("title-case word", lambda n: word(n).title()),
    Kind("upper-case word", lambda n: word(n).upper()),
    Kind("letters and digits", lambda n: f"{word(n, 6)}{digits(n, 6)}"),
    Kind("e-mail address", lambda n: f"{word(n)}@example.com"),
    Kind("e-mail address, Japanese", lambda n: f"{word(n)}@example.co.jp"),
    Kind("domain", lambda n: f"{word(n)}.example.com"),
    Kind("URL", lambda n: f"https://example.com/{word(n)}"),
    Kind("name and e-mail address", lambda n: f"{word(n).title()} <{word(n)}@example.com>"),
    Kind("phone number, international", lambda n: f"+8190{_mobile(n)}"),
    Kind("phone number, international, in groups", lambda n: f"+81 90-{_mobile(n)[:4]}-{_mobile(n)[4:]}"),
    Kind("phone number, national", lambda n: f"090-{_mobile(n)[:4]}-{_mobile(n)[4:]}"),
    Kind("phone number, digits", lambda n: f"090{_mobile(n)}"),
    Kind("landline number", lambda n: _grouped(f"03{_mobile(n)}", 2, 6)),
    Kind("landline number of the country", lambda n: _grouped(f"045{digits(n, 7)}", 3, 6)),
    Kind("landline number, digits", lambda n: f"03{_mobile(n)}"),
    Kind("phone number, full width", lambda n: _grouped(f"090{_mobile(n)}", 3, 7).translate(_FULL_WIDTH)),
    Kind("phone number, American", lambda n: f"+1202{2 + n % 8}{digits(n, 6)}"),
    Kind("UUID", lambda n: str(_uuid(n))),
    Kind("IPv4 address", lambda n: str(_ipv4(n))),
    Kind("IPv6 address", lambda n: str(_ipv6(n))),
    Kind("MAC address", lambda n: ":".join(f"{byte:02x}" for byte in (n % (1 << 46)).to_bytes(6, "big"))),
    Kind("payment card", _card),
    Kind("IBAN", _iban),
    Kind("day", lambda n: day(n).isoformat()),
    Kind("moment", lambda n: moment(n).isoformat()),
    Kind("moment, UTC", lambda n: moment(n).replace(tzinfo=datetime.UTC).isoformat()),
    Kind("katakana", lambda n: _spelled(n, 7, _KATAKANA)),
    Kind("katakana name", lambda n: f"{_spelled(n, 4, _KATAKANA)}　{_spelled(n // 7, 4, _KATAKANA)}"),
    Kind("hiragana", lambda n: _spelled(n, 7, _HIRAGANA)),
    Kind("katakana, half width", lambda n: _spelled(n, 9, _HALF_WIDTH)),
    Kind("kanji", lambda n: _spelled(n, 5, _KANJI)),
    Kind("kanji name", lambda n: f"{_spelled(n, 3, _KANJI)} {_spelled(n // 7, 3, _KANJI)}"),
    Kind("Japanese postal code", _postcode),
    Kind("Japanese postal code with its mark", lambda n: f"〒{_postcode(n)}"),
    Kind("number of a person in Japan", _my_number),
    Kind("password", lambda n: f"{word(n, 6).title()}-{digits(n, 6)}"),
    Kind("base64", lambda n: base64.b64encode(word(n).encode()).decode()),
    Kind("colour", lambda n: f"#{n % (1 << 24):06x}"),
    Kind("JSON", lambda n: f'"{word(n)}"'),
    *(Kind(f"{length} digits", partial(digits, length=length)) for length in (16, 13, 12, 11, 10, 9, 8, 7)),
    *(Kind(f"{length} hexadecimal digits", partial(_hexadecimal, length=length)) for length in (64, 40, 32, 16)),
    *(Kind(f"{length} digits", partial(digits, length=length)) for length in range(6, 0, -1)),
    *(Kind(f"{length} capitals", partial(_capitals, length=length)) for length in range(6, 0, -1)),
    *(Kind(f"{length} letters", partial(word, length=length)) for length in range(6, 0, -1)),
    *(
        Kind(f"address of {scheme}", partial(_address, scheme=scheme))
        for scheme in ("file", "ftp", "postgresql", "mysql", "mongodb", "redis", "amqp", "nats", "kafka", "ws")
    ),
    Kind("country", lambda n: ("JP", "DE", "US", "FR")[n % 4]),
    Kind("language", lambda n: ("ja", "de", "en", "fr")[n % 4]),
    Kind("currency", lambda n: ("JPY", "EUR", "USD", "GBP")[n % 4]),
    Kind("time zone", lambda n: ("Asia/Tokyo", "Europe/Berlin", "UTC", "America/New_York")[n % 4]),
)  # fmt: skip
"""Texts, the more recognisable ones first."""

OTHERS: Final = (
    Kind("int", lambda n: 10**9 + n % (9 * 10**9)),
    Kind("small int", lambda n: n % 100),
    Kind("float", lambda n: float(f"{digits(n, 7)}.{digits(n, 3)}")),
    Kind("Decimal", lambda n: Decimal(f"{digits(n, 7)}.{digits(n, 2)}")),
    Kind("past day", day),
    Kind("past moment", moment),
    Kind("past moment, UTC", lambda n: moment(n).replace(tzinfo=datetime.UTC)),
    Kind("future day", lambda n: _soon(n).date()),
    Kind("future moment", _soon),
    Kind("future moment, UTC", lambda n: _soon(n).replace(tzinfo=datetime.UTC)),
    Kind("time", lambda n: moment(n).time()),
    Kind("duration", lambda n: datetime.timedelta(seconds=n % 10**9, microseconds=n % 999_983)),
    Kind("UUID object", _uuid),
    Kind("bytes", lambda n: word(n).encode()),
    Kind("IPv4 object", _ipv4),
    Kind("IPv6 object", _ipv6),
    Kind("IPv4 network", lambda n: ipaddress.IPv4Network(int(_ipv4(n)))),
    Kind("flag", lambda n: n % 2 == 0),
)
"""What is no text."""


def usable(kinds: tuple[Kind, ...], takes: Callable[[Any], bool]) -> Iterator[Kind]:
    """Those of the kinds of which a field takes what they make."""
    return (kind for kind in kinds if all(takes(kind.make(n)) for n in SAMPLES))


SAMPLES: Final = tuple(number_of("sample", index) for index in range(4))
