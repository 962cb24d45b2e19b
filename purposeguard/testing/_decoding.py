"""Texts with their encodings undone, one within another: base64, hexadecimal, URLs, mails, archives, character sets."""

from __future__ import annotations

import base64
import binascii
import bz2
import codecs
import functools
import html
import itertools
import lzma
import quopri
import re
import sys
import unicodedata
import urllib.parse
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

_DEEPEST: Final = 3
"""Encodings within encodings that are undone."""

_MOST: Final = 4_000
"""Decoded pieces of one text that are looked into."""


@dataclass(frozen=True)
class Piece:
    """What was made of a part of a text by undoing encodings; `raw`: the bytes that it was made from, if any."""

    text: str
    raw: bytes
    start: int
    end: int
    how: tuple[str, ...] = ()

    @functools.cached_property
    def folded(self) -> str:
        """Without regard to case."""
        return self.text.casefold()

    @functools.cached_property
    def bare(self) -> str:
        """Letters and digits alone."""
        return _SEPARATORS.sub("", self.folded)

    @functools.cached_property
    def normal(self) -> str:
        """In one form, as `normalised` gives it."""
        return self.folded if self.text.isascii() else normalised(self.text)

    @functools.cached_property
    def noise(self) -> bool:
        """Whether it looks as a picture or a key does as text: words may stand in it, but nothing encodes all of it."""
        return len(self.text) >= _LONGER and len(_NOISE.findall(self.text)) * 20 > len(self.text)

    @functools.cached_property
    def words(self) -> str:
        """What may be encoded in it as a whole: of noise the words, whatever letters encode them."""
        return " ".join(_PRINTED.findall(self.text)) if self.noise else self.text

    @functools.cached_property
    def digests(self) -> tuple[Run, ...]:
        """What may be hashes in it, or hold some."""
        lowered = self.text.lower()
        found = [Run(one[0], one.start(), one.end()) for one in _HEX.finditer(lowered)]
        if "-" in lowered:
            found += [Run(one[0], 0, len(self.text)) for one in _HEX.finditer(lowered.replace("-", ""))]
        if self.raw:
            found.append(Run(self.raw.hex(), 0, len(self.text)))
        for how, pattern, decode in (_BASE64, _BASE32):
            for one in pattern.finditer(self.text):
                found += [Run(raw.hex(), one.start(), one.end(), (how,)) for raw in decode(one[0]) if len(raw) >= 8]
        return tuple(found)


@dataclass(frozen=True)
class Run:
    """What may be a hash, or hold one, in hexadecimal."""

    digits: str
    start: int
    end: int
    how: tuple[str, ...] = ()


SHORTEST_DIGEST: Final = 8
"""Hexadecimal digits of a hash that was cut short, at least."""

_HEX: Final = re.compile(rf"[0-9a-f]{{{SHORTEST_DIGEST},}}")
_SEPARATORS: Final = re.compile(r"[\W_]+")


@functools.cache
def _plainer() -> dict[int, int | None]:
    """Hiragana as katakana, and nothing for what nobody sees."""
    unseen = (code for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) == "Cf")
    return {code: code + 0x60 for code in range(0x3041, 0x3097)} | dict.fromkeys(unseen)


def bared(text: str) -> str:
    """The letters and digits of a text, in whichever groups they stand."""
    return _SEPARATORS.sub("", text.casefold())


def normalised(text: str) -> str:
    """A text in one form: of one width and case, in katakana, without what nobody sees."""
    return unicodedata.normalize("NFKC", text).casefold().translate(_plainer())


def pieces(text: str) -> Iterator[Piece]:
    """The text, and what is in it once encodings are undone, the plainer ones first."""
    level = [Piece(text, _octets(text), 0, len(text))]
    seen = {text}
    for _ in range(_DEEPEST + 1):
        yield from level
        deeper: list[Piece] = []
        for piece in level:
            for one in _decoded(piece):
                if one.text not in seen and len(seen) < _MOST:
                    seen.add(one.text)
                    deeper.append(one)
        level = deeper


def _decoded(piece: Piece) -> Iterator[Piece]:
    for how, whole in _WHOLE:
        text = whole(piece.words)
        if text != piece.words:
            yield Piece(text, _octets(text), piece.start, piece.end, (*piece.how, how))
    for raw in _unpacked(piece.raw):
        yield Piece(_read(raw), raw, piece.start, piece.end, (*piece.how, "compressed"))
    if piece.raw and (len(piece.raw) >= _LONG or piece.how[-1:] not in _SHORT):
        for how, charset, skipped in _CHARSETS:
            text = piece.raw[skipped:].decode(charset, "ignore")
            if any(ord(one) > 0xFF for one in text):
                yield Piece(text, b"", piece.start, piece.end, (*piece.how, how))
    for how, pattern, decode in _RUNS:
        for found in pattern.finditer(piece.text):
            # Of what is in something that was decoded, the place of that is known.
            start, end = (piece.start, piece.end) if piece.how else found.span()
            for raw in decode(found[0]):
                yield Piece(_read(raw), raw, start, end, (*piece.how, how))


def _octets(text: str) -> bytes:
    """The bytes that a text stands for which is none: what cannot be read as UTF-8 is shown byte by byte."""
    if text.isascii() and not _CONTROL.search(text):
        return b""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return b""


_LONGER: Final = 256
"""Characters of which one can say what they look like."""

_NOISE: Final = re.compile(r"[\x01-\x08\x0b\x0c\x0e-\x1f]")
_PRINTED: Final = re.compile(r"[\x1b\x20-\x7e\u0100-\U0010ffff]{5,}")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


def _read(raw: bytes) -> str:
    """Bytes as a text, one way or the other."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1") if len(raw) >= _LONG else raw.decode("utf-8", "replace")


# ---- What encodes a text as a whole -------------------------------------------------------------------------------


def _unescaped(text: str) -> str:
    r"""`\u0041`, `\x41`, `\n` and `\/` as what they stand for; two that make one character are put together."""
    if "\\" not in text:
        return text
    found = _ESCAPE.sub(lambda one: chr(int(one[1] or one[2], 16)) if one[1] or one[2] else _MEANT[one[3]], text)
    return found.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


_ESCAPE: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|([\"'/\\ntr]))")
_MEANT: Final = {'"': '"', "'": "'", "/": "/", "\\": "\\", "n": "\n", "t": "\t", "r": "\r"}


def _unquoted(text: str) -> str:
    return urllib.parse.unquote_plus(text) if re.search(r"%[0-9a-fA-F]{2}", text) else text


def _printable(text: str) -> str:
    """Without the quoting of mails."""
    if not re.search(r"=(?:[0-9A-F]{2}|\r?\n)", text):
        return text
    return quopri.decodestring(text.encode("utf-8", "replace")).decode("utf-8", "replace")


def _in_one_line(text: str) -> str:
    """Encodings are broken into lines."""
    return re.sub(r"(?<=[\w+/=])\r?\n[ \t]*(?=[\w+/=])", "", text)


def _with_lines(text: str) -> str:
    """Of Japanese mails."""
    if "\x1b$" not in text:
        return text
    return text.encode("latin-1", "replace").decode("iso2022_jp", "replace")


def _seven_bits(text: str) -> str:
    """Of old mails: letters that are no ASCII stand between a plus and a minus."""
    if not _SEVEN_BITS.search(text):
        return text
    return text.encode("latin-1", "replace").decode("utf-7", "ignore")


_SEVEN_BITS: Final = re.compile(r"\+[A-Za-z0-9+/]{3,}-")

_WHOLE: Final[tuple[tuple[str, Callable[[str], str]], ...]] = (
    ("URL-encoded", _unquoted),
    ("as HTML", html.unescape),
    ("escaped as in JSON", _unescaped),
    ("as quoted-printable", _printable),
    ("on several lines", _in_one_line),
    ("in ISO-2022-JP", _with_lines),
    ("in UTF-7", _seven_bits),
    ("in UTF-16", lambda text: text.replace("\0", "")),
)


# ---- What is packed in bytes --------------------------------------------------------------------------------------


def _unpacked(raw: bytes) -> Iterator[bytes]:
    """What compression has packed, wherever it begins."""
    for header in re.finditer(rb"\x1f\x8b\x08", raw):
        yield from _inflated(raw[header.start() :], zlib.MAX_WBITS + 16)
    for header in re.finditer(rb"\x78[\x01\x5e\x9c\xda]", raw):
        yield from _inflated(raw[header.start() :], zlib.MAX_WBITS)
    for header in re.finditer(rb"PK\x03\x04.{22}(..)(..)", raw, re.DOTALL):  # also what spreadsheets are kept in
        start = header.end() + int.from_bytes(header[1], "little") + int.from_bytes(header[2], "little")
        yield from _inflated(raw[start:], -zlib.MAX_WBITS)
    for magic, decompressor in ((b"BZh", bz2.BZ2Decompressor), (b"\xfd7zXZ\x00", lzma.LZMADecompressor)):
        start = raw.find(magic)
        if start >= 0:
            try:
                yield decompressor().decompress(raw[start:])
            except (OSError, EOFError, lzma.LZMAError):
                continue


def _inflated(raw: bytes, wbits: int) -> Iterator[bytes]:
    try:
        found = zlib.decompressobj(wbits).decompress(raw, _LARGEST)
    except zlib.error:
        return
    if found:
        yield found


_LARGEST: Final = 5_000_000


_CHARSETS: Final = (
    ("in UTF-8", "utf-8", 0),
    ("in Shift JIS", "cp932", 0),
    ("in EUC-JP", "euc_jp", 0),
    *(("in UTF-16", charset, skipped) for charset in ("utf-16-le", "utf-16-be") for skipped in (0, 1)),
)


# ---- What encodes a run of letters --------------------------------------------------------------------------------

_LONG: Final = 24
"""Bytes that nobody encodes by chance: ordinary words are no encodings, and give fewer."""

_WORDS: Final = re.compile(rb"[\x20-\x7e]{5,}|(?:[\xe3-\xe9][\x80-\xbf]{2}){2,}|^(?:\x1f\x8b|\x78[\x01\x5e\x9c\xda])")


def _means_something(raw: bytes) -> bool:
    return len(raw) >= _LONG or _WORDS.search(raw) is not None


def _of_base64(run: str) -> Iterator[bytes]:
    return filter(_means_something, _bytes_of_base64(run))


def _bytes_of_base64(run: str) -> Iterator[bytes]:
    run = run.rstrip("=").translate(_URL_SAFE)
    if _HEXADECIMAL.fullmatch(run):
        return
    for offset in range(4):  # the run may begin with something else
        part = run[offset:]
        if len(part) % 4 == 1:
            part = part[:-1]
        try:
            yield base64.b64decode(part + "=" * (-len(part) % 4))
        except binascii.Error:
            continue


_HEXADECIMAL: Final = re.compile(r"[0-9a-f]{24,}|[0-9A-F]{24,}")


def _of_hex(run: str) -> Iterator[bytes]:
    digits = re.sub(r"0x|[^0-9a-fA-F]", "", run)
    for offset in (0, 1) if digits == run else (0,):
        part = digits[offset:]
        raw = bytes.fromhex(part[: len(part) // 2 * 2])
        if _WORDS.search(raw):
            yield raw


def _of_numbers(run: str) -> Iterator[bytes]:
    numbers = [int(one) for one in re.findall(r"\d+", run)]
    yield "".join(map(chr, numbers)).encode("utf-8", "surrogatepass")


def _of_base32(run: str) -> Iterator[bytes]:
    run = run.rstrip("=").upper()
    try:
        yield base64.b32decode(run[: len(run) - (1 if len(run) % 8 in {1, 3, 6} else 0)] + "=" * (-len(run) % 8))
    except binascii.Error:
        return


def _of_binary(run: str) -> Iterator[bytes]:
    digits = re.sub(r"[^01]", "", run)
    yield int(digits, 2).to_bytes(len(digits) // 8)


def _of_base85(run: str) -> Iterator[bytes]:
    for part, decode in itertools.product(_quoted(run), (base64.b85decode, base64.a85decode)):
        try:
            raw = decode(part)
        except ValueError:
            continue
        if _WORDS.search(raw):
            yield raw


def _quoted(run: str) -> set[str]:
    """What may be meant, where quotes and brackets may be letters too."""
    return {run, run[1:-1], *run.split('"'), *re.findall("<~(.+?)~>", run)}


_URL_SAFE: Final = str.maketrans("-_", "+/")
_BASE64: Final = ("in base64", re.compile(r"[A-Za-z0-9+/_-]{8,}={0,2}"), _bytes_of_base64)
_BASE32: Final = ("in base32", re.compile(r"\b(?:[A-Z2-7]{16,}|[a-z2-7]{16,})={0,6}"), _of_base32)
_RUNS: Final[tuple[tuple[str, re.Pattern[str], Callable[[str], Iterator[bytes]]], ...]] = (
    (*_BASE64[:2], _of_base64),
    ("in hexadecimal", re.compile(r"[0-9a-fA-F]{8,}"), _of_hex),
    ("in hexadecimal", re.compile(r"(?:(?:0x)?[0-9a-fA-F]{2}[:\-, '\"]{1,4}){4,}(?:0x)?[0-9a-fA-F]{2}"), _of_hex),
    ("as numbers", re.compile(r"(?:\d{2,5}[, ]{1,2}){4,}\d{2,5}"), _of_numbers),
    _BASE32,
    ("in binary digits", re.compile(r"(?:[01]{8}[, ]?){4,}"), _of_binary),
    ("in base85", re.compile(r"[!-~]{12,400}"), _of_base85),
)


_SHORT: Final = frozenset((how,) for how, _, _ in _RUNS)
"""What ordinary words decode by chance as."""


def turned(text: str) -> str:
    """By rot13."""
    return codecs.encode(text, "rot13")
