"""Finds values in a text: plain, in another case, encoded, compressed or hashed.

Encoded text is decoded and searched again, three levels deep. Hashes are those of the plain value.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import enum
import functools
import hashlib
import html
import ipaddress
import itertools
import quopri
import re
import unicodedata
import urllib.parse
import uuid
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import singledispatch
from typing import Any, Final, NamedTuple

from pydantic import Secret, SecretBytes, SecretStr

from purposeguard.values.annotations import is_taggable
from purposeguard.values.plan import MISSING, read_field
from purposeguard.values.sealed import Sealed, content
from purposeguard.values.type_schema import Model

SHORTEST: Final = 5
"""The fewest characters of a recognisable text; shorter ones occur by chance."""

# ---- Values as text -----------------------------------------------------------------------------------------------


def texts_of(value: object) -> tuple[str, ...]:
    """Return the usual text forms of a value; empty if none is recognisable."""
    return tuple(dict.fromkeys(text for text in _forms(value) if len(text) >= SHORTEST))


def _forms(value: object) -> Iterable[str]:
    if value is None or isinstance(value, (bool, enum.Enum)):
        return ()  # few values: not recognisable
    if is_taggable(type(value)):
        return _forms_of_fields(value)
    return _match_written(value)


def _forms_of_fields(value: object) -> Iterator[str]:
    for name in Model(type(value)).fields():
        part = read_field(value, name)
        if part is not MISSING:
            yield from _forms(part)


@singledispatch
def _match_written(value: Any) -> Iterable[str]:
    return (str(value),)


@_match_written.register
def _(value: Sealed) -> Iterable[str]:
    return _forms(content(value))


@_match_written.register
def _(value: SecretStr | SecretBytes | Secret) -> Iterable[str]:  # type: ignore[type-arg]  # dispatch goes by the class
    return _forms(value.get_secret_value())


@_match_written.register
def _(value: str) -> Iterator[str]:
    yield value
    # A number in groups, such as a telephone number, is often stored as digits.
    digits = re.sub(r"[\s()\-.]", "", value)
    if re.fullmatch(r"\+?[0-9]{7,}", digits):
        yield digits
        yield digits.removeprefix("+")
        if digits.startswith("+") and len(digits) > 11:
            yield digits[-9:]  # the national form has another prefix


@_match_written.register
def _(value: bytes | bytearray) -> Iterable[str]:
    return value.decode("utf-8", "replace"), value.hex(), base64.b64encode(value).decode()


@_match_written.register
def _(value: int) -> Iterable[str]:
    return _if_long(str(value), f"{value:,}")


@_match_written.register
def _(value: float) -> Iterable[str]:
    return _if_long(repr(value), f"{value:,}", f"{value:.2f}", f"{value:,.2f}")


@_match_written.register
def _(value: Decimal) -> Iterable[str]:
    return _if_long(str(value), f"{value:,}", f"{value:f}", repr(float(value)))


def _if_long(plain: str, *others: str) -> Iterable[str]:
    """Return the forms of a number; none of a short one: `1,000` and `7.50` occur by chance."""
    return (plain, *others) if len(plain) >= SHORTEST else ()


@_match_written.register
def _(value: datetime.datetime) -> Iterator[str]:
    iso, stamp = value.isoformat(), value.timestamp()
    yield from (iso, str(value), f"{iso.removesuffix('+00:00')}Z", str(stamp), str(int(stamp)), str(int(stamp * 1000)))
    yield from _forms(value.date())


@_match_written.register
def _(value: datetime.date) -> Iterator[str]:
    year, month, day = value.year, value.month, value.day
    yield from (value.isoformat(), f"{value:%Y/%m/%d}", f"{value:%Y%m%d}", f"{value:%d.%m.%Y}", f"{value:%m/%d/%Y}")
    yield from (f"{year}年{month}月{day}日", f"{year}/{month}/{day}", f"{year}-{month}-{day}")
    for name in (f"{value:%B}", f"{value:%b}"):
        yield from (f"{name} {day}, {year}", f"{day} {name} {year}", f"{day:02} {name} {year}")


@_match_written.register
def _(value: datetime.timedelta) -> Iterable[str]:
    return str(value), str(value.total_seconds())


@_match_written.register
def _(value: uuid.UUID) -> Iterable[str]:
    return str(value), value.hex


@_match_written.register
def _(value: ipaddress.IPv6Address) -> Iterable[str]:
    return str(value), value.exploded


@_match_written.register
def _(value: Mapping) -> Iterator[str]:  # type: ignore[type-arg]  # dispatch goes by the class alone
    for key, item in value.items():
        yield from _forms(key)
        yield from _forms(item)


@_match_written.register
def _(value: list | tuple | set | frozenset) -> Iterator[str]:  # type: ignore[type-arg]  # likewise
    for item in value:
        yield from _forms(item)


# ---- Traces -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Trace:
    """The place of a value in a text, `start` to `end`, and `how` it was transformed (empty: not at all).

    If a part of the text was decoded, `start` and `end` are those of that part.
    """

    start: int
    end: int
    how: tuple[str, ...] = ()

    @property
    def description(self) -> str:
        """The transformations in words: `in base64, in another case`."""
        return ", ".join(self.how)


def trace_of(text: str, texts: Iterable[str]) -> Trace | None:
    """Return the place of one of `texts` in `text`, plain or transformed; None if there is none."""
    return Haystack(text).trace(texts)


class Haystack:
    """A text to search for several values; it is decoded once."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._pieces = list(pieces(text))

    def trace(self, texts: Iterable[str]) -> Trace | None:
        """Return the trace of one of `texts`, the least transformed first; None if there is none."""
        needles = tuple(dict.fromkeys(texts))
        if not needles:
            return None
        for search in (_plain, _fold_text, _normalize_text, _match_separated, _match_reversed, _match_hash):
            for piece in self._pieces:
                match = search(piece, needles)
                if match is not None:
                    start, end, how = match
                    if piece.how:  # positions in decoded text mean nothing in the original
                        start, end = piece.start, piece.end
                    return Trace(start, end, (*piece.how, *how))
        return None


_Match = tuple[int, int, tuple[str, ...]] | None


def _plain(piece: Piece, needles: tuple[str, ...]) -> _Match:
    return _first(piece.text, needles, ())


def _fold_text(piece: Piece, needles: tuple[str, ...]) -> _Match:
    return _first(piece.folded, _each(str.casefold, needles), ("in another case",))


def _normalize_text(piece: Piece, needles: tuple[str, ...]) -> _Match:
    match = _first(piece.normal, _each(_normal, needles), ("in another form",))
    return None if match is None else (0, len(piece.text), match[2])


def _match_separated(piece: Piece, needles: tuple[str, ...]) -> _Match:
    """Return the same letters and digits, in other groups."""
    if any(len(needle) >= SHORTEST_DIGEST and needle in piece.bare for needle in _each(_bare, needles)):
        return 0, len(piece.text), ("with other separators",)
    return None


def _match_reversed(piece: Piece, needles: tuple[str, ...]) -> _Match:
    return _first(piece.folded, _each(_backwards, needles), ("reversed",))


def _first(text: str, needles: Sequence[str], how: tuple[str, ...]) -> _Match:
    for needle in needles:
        start = text.find(needle)
        while start >= 0 and _is_in_a_number(text, start, needle):
            start = text.find(needle, start + 1)
        if start >= 0:
            return start, start + len(needle), how
    return None


def _is_in_a_number(text: str, start: int, needle: str) -> bool:
    """Return True if a short number lies within a longer one or a hash, where it occurs by chance."""
    if len(needle) >= SHORTEST_DIGEST or not needle.isdigit():
        return False
    around = text[max(0, start - 1) : start], text[start + len(needle) : start + len(needle) + 1]
    return any(side.isalnum() and side.isascii() for side in around)


@functools.lru_cache(maxsize=512)
def _each(change: Callable[[str], str], needles: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(change, needles))


def _normal(text: str) -> str:
    """Return a text in one width and case, without invisible characters."""
    normal = unicodedata.normalize("NFKC", text).casefold()
    return "".join(letter for letter in normal if unicodedata.category(letter) != "Cf")


def _bare(text: str) -> str:
    return _SEPARATORS.sub("", text.casefold())


def _backwards(text: str) -> str:
    return text.casefold()[::-1]


# ---- Hashes -------------------------------------------------------------------------------------------------------

SHORTEST_DIGEST: Final = 8
"""The fewest hexadecimal digits of a truncated hash."""

_CERTAIN: Final = 12
"""The fewest digits of a hash within a longer run; shorter ones occur by chance."""

_ALGORITHMS: Final = ("md5", "sha1", "sha224", "sha256", "sha384", "sha512", "sha3_256", "blake2b", "blake2s")
_SIZES: Final = (4, 6, 8, 10, 12, 16, 20, 32)
"""Digest sizes of BLAKE2 beside 64 bytes; the caller chooses one."""

_NAMESPACES: Final = (uuid.NAMESPACE_DNS, uuid.NAMESPACE_URL)


@functools.lru_cache(maxsize=512)
def _digests(needle: str) -> tuple[tuple[str, str], ...]:
    """Return the digests of a text, each with the name of its algorithm, in hexadecimal digits."""
    forms = dict.fromkeys((needle, needle.lower(), needle.upper(), f"{needle}\n"))
    return tuple(itertools.chain.from_iterable(map(_digests_of_form, forms)))


def _digests_of_form(form: str) -> Iterator[tuple[str, str]]:
    data = form.encode("utf-8", "surrogatepass")
    for name in _ALGORITHMS:
        yield name, hashlib.new(name, data, usedforsecurity=False).hexdigest()
    for size in _SIZES:
        yield "blake2b", hashlib.blake2b(data, digest_size=size).hexdigest()
    for space in _NAMESPACES:
        yield "uuid5", uuid.uuid5(space, form).hex
    yield "CRC-32", f"{zlib.crc32(data):08x}"


@functools.lru_cache(maxsize=512)
def _ends(needles: tuple[str, ...]) -> frozenset[str]:
    """Return the first and the last digits of each digest of some texts."""
    ends: set[str] = set()
    for needle in needles:
        for _, digest in _digests(needle):
            ends |= {digest[:SHORTEST_DIGEST], digest[-SHORTEST_DIGEST:]}
    return frozenset(ends)


def _match_hash(piece: Piece, needles: tuple[str, ...]) -> _Match:
    """Return a hash that is a run, lies within a run, or is truncated to a run."""
    runs = [run for run in piece.runs if _has_an_end(run.digits, _ends(needles))]  # few, so that few are compared
    if not runs:
        return None
    for needle in needles:
        for name, digest in _digests(needle):
            for run in runs:
                if run.digits in digest:
                    match = digest.startswith(run.digits) or digest.endswith(run.digits)
                else:
                    match = len(digest) >= _CERTAIN and digest in run.digits
                if match:
                    return run.start, run.end, (*run.how, f"hashed by {name}")
    return None


def _has_an_end(digits: str, ends: frozenset[str]) -> bool:
    return any(digits[at : at + SHORTEST_DIGEST] in ends for at in range(len(digits) - SHORTEST_DIGEST + 1))


# ---- Decoding -----------------------------------------------------------------------------------------------------

_DEEPEST: Final = 3
"""Levels of nested encodings that are decoded."""

_MOST: Final = 2_000
"""The most decoded pieces of one text."""

_LONG: Final = 24
"""Bytes from which decoded data is not an ordinary word by chance."""

_LARGEST: Final = 5_000_000
"""The most bytes that are decompressed."""

_SEPARATORS: Final = re.compile(r"[\W_]+")
_HEX: Final = re.compile(rf"[0-9a-f]{{{SHORTEST_DIGEST},}}")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]{8,}={0,2}")
_URL_SAFE: Final = str.maketrans("-_", "+/")
_HEXADECIMAL: Final = re.compile(r"[0-9a-fA-F]{8,}|(?:[0-9a-fA-F]{2}[:\- ]){4,}[0-9a-fA-F]{2}")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_PACKED: Final = rb"\x1f\x8b\x08|\x78[\x01\x5e\x9c\xda]"
_WORDS: Final = re.compile(rb"[\x20-\x7e]{5,}|(?:[\xe3-\xe9][\x80-\xbf]{2}){2,}|^(?:" + _PACKED + rb")")
_ZIPPED: Final = re.compile(rb"PK\x03\x04.{22}(..)(..)", re.DOTALL)
_CHARSETS: Final = (
    ("in UTF-8", "utf-8", 0),
    ("in Shift JIS", "cp932", 0),
    ("in UTF-16", "utf-16-le", 0),
    ("in UTF-16", "utf-16-le", 1),
    ("in UTF-16", "utf-16-be", 0),
    ("in UTF-16", "utf-16-be", 1),
)
"""The name of a character set in messages, its codec, and the number of bytes to skip before it."""


class HexRun(NamedTuple):
    """A run of hexadecimal digits that may be a hash."""

    digits: str
    start: int
    end: int
    how: tuple[str, ...]
    """How the run was decoded."""


@dataclass(frozen=True)
class Piece:
    """A decoded part of a text; `raw`: its bytes, if any."""

    text: str
    raw: bytes
    start: int
    end: int
    how: tuple[str, ...] = ()

    @functools.cached_property
    def folded(self) -> str:
        """The text, case-folded."""
        return self.text.casefold()

    @functools.cached_property
    def bare(self) -> str:
        """The letters and digits of the text."""
        return _bare(self.text)

    @functools.cached_property
    def normal(self) -> str:
        """The text in one width and case."""
        return self.folded if self.text.isascii() else _normal(self.text)

    @functools.cached_property
    def runs(self) -> tuple[HexRun, ...]:
        """The runs of hexadecimal digits that may be hashes."""
        return tuple(self._iter_runs())

    def _iter_runs(self) -> Iterator[HexRun]:
        text = self.text.lower()
        for match in _HEX.finditer(text):
            yield HexRun(match[0], match.start(), match.end(), ())
        if "-" in text:  # of UUIDs
            for match in _HEX.finditer(text.replace("-", "")):
                yield HexRun(match[0], 0, len(text), ())
        for match in _BASE64.finditer(self.text):
            for raw in _of_base64(match[0]):
                if len(raw) >= SHORTEST_DIGEST:
                    yield HexRun(raw.hex(), match.start(), match.end(), ("in base64",))


def pieces(text: str) -> Iterator[Piece]:
    """Yield the text and its decoded pieces, the least decoded first."""
    level = [Piece(text, _octets(text), 0, len(text))]
    seen = {text}
    for _ in range(_DEEPEST + 1):
        yield from level
        deeper: list[Piece] = []
        for piece in level:
            for decoded in _iter_decoded(piece):
                if decoded.text not in seen and len(seen) < _MOST:
                    seen.add(decoded.text)
                    deeper.append(decoded)
        level = deeper


def _iter_decoded(piece: Piece) -> Iterator[Piece]:
    for name, decode in _WHOLE:
        text = decode(piece.text)
        if text != piece.text:
            yield Piece(text, _octets(text), piece.start, piece.end, (*piece.how, name))
    for raw in _unpack(piece.raw):
        yield Piece(_read(raw), raw, piece.start, piece.end, (*piece.how, "compressed"))
    yield from _in_other_charsets(piece)
    for name, pattern, decode_run in _RUNS:
        for match in pattern.finditer(piece.text):
            start, end = (piece.start, piece.end) if piece.how else match.span()
            for raw in decode_run(match[0]):
                if len(raw) >= _LONG or _WORDS.search(raw):
                    yield Piece(_read(raw), raw, start, end, (*piece.how, name))


def _in_other_charsets(piece: Piece) -> Iterator[Piece]:
    if not piece.raw or (piece.how and (len(piece.raw) < _LONG or piece.how[-1] not in _BINARY)):
        return
    for name, charset, skipped in _CHARSETS:
        text = piece.raw[skipped:].decode(charset, "ignore")
        if any(ord(letter) > 0xFF for letter in text):
            yield Piece(text, b"", piece.start, piece.end, (*piece.how, name))


def _octets(text: str) -> bytes:
    """Return the bytes of what is no text: `effects` show what is not UTF-8 byte by byte."""
    if text.isascii() and not _CONTROL.search(text):
        return b""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return b""


def _read(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1") if len(raw) >= _LONG else raw.decode("utf-8", "replace")


def _unpack(raw: bytes) -> Iterator[bytes]:
    """Yield the contents of gzip, zlib and ZIP data, wherever it begins."""
    starts = [(match.start(), zlib.MAX_WBITS + 32) for match in re.finditer(_PACKED, raw)]
    for match in _ZIPPED.finditer(raw):
        name, extra = (int.from_bytes(length, "little") for length in match.groups())
        starts.append((match.end() + name + extra, -zlib.MAX_WBITS))
    for start, wbits in starts:
        try:
            yield zlib.decompressobj(wbits).decompress(raw[start:], _LARGEST)
        except zlib.error:
            continue


def _of_base64(run: str) -> Iterator[bytes]:
    run = run.rstrip("=").translate(_URL_SAFE)
    for offset in range(4):  # the run may begin with something else
        part = run[offset:]
        part = part[:-1] if len(part) % 4 == 1 else part
        try:
            yield base64.b64decode(part + "=" * (-len(part) % 4))
        except binascii.Error:
            continue


def _of_hexadecimal(run: str) -> Iterator[bytes]:
    digits = re.sub(r"[^0-9a-fA-F]", "", run)
    for offset in (0, 1) if digits == run else (0,):
        part = digits[offset:]
        yield bytes.fromhex(part[: len(part) // 2 * 2])


def _unquote(text: str) -> str:
    return urllib.parse.unquote_plus(text) if re.search(r"%[0-9a-fA-F]{2}", text) else text


def _unescape(text: str) -> str:
    r"""Return `\u0041`, `\x41`, `\n` and `\/` as what they stand for; surrogate pairs are joined."""
    if "\\" not in text:
        return text
    plain = _ESCAPE.sub(lambda m: chr(int(m[1] or m[2], 16)) if m[1] or m[2] else _MEANINGS[m[3]], text)
    return plain.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


_ESCAPE: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|([\"'/\\ntr]))")
_MEANINGS: Final = {'"': '"', "'": "'", "/": "/", "\\": "\\", "n": "\n", "t": "\t", "r": "\r"}


def _unprintable(text: str) -> str:
    """Decode the quoted-printable encoding of mails."""
    if not re.search(r"=(?:[0-9A-F]{2}|\r?\n)", text):
        return text
    return quopri.decodestring(text.encode("utf-8", "replace")).decode("utf-8", "replace")


def _in_one_line(text: str) -> str:
    """Join the lines that base64 is broken into."""
    return re.sub(r"(?<=[\w+/=])\r?\n[ \t]*(?=[\w+/=])", "", text)


_WHOLE: Final[tuple[tuple[str, Callable[[str], str]], ...]] = (
    ("URL-encoded", _unquote),
    ("as HTML", html.unescape),
    ("escaped as in JSON", _unescape),
    ("as quoted-printable", _unprintable),
    ("on several lines", _in_one_line),
    ("in UTF-16", lambda text: text.replace("\0", "")),
)
_RUNS: Final[tuple[tuple[str, re.Pattern[str], Callable[[str], Iterator[bytes]]], ...]] = (
    ("in base64", _BASE64, _of_base64),
    ("in hexadecimal", _HEXADECIMAL, _of_hexadecimal),
)
_BINARY: Final = frozenset({"compressed", *(name for name, _, _ in _RUNS)})
"""The encodings whose decoders return bytes and not a text."""
