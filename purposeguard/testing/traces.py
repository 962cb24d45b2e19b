"""Whether a text holds a value, as it is or transformed: in another case, encoded, hashed, reversed, cut in two.

What is encoded is decoded and looked into again, so encodings may be nested; hashes are those of the plain value.
"""

from __future__ import annotations

import base64
import binascii
import functools
import hashlib
import html
import quopri
import re
import urllib.parse
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

_DEEPEST: Final = 3
"""Encodings within encodings that are undone."""

_MOST: Final = 4_000
"""Decoded pieces of one text that are looked into."""

_SHORTEST: Final = 10
"""Characters of a text that is known by its halves."""

_PREFIX: Final = 8
"""Hexadecimal digits of a hash that was cut short, at least."""


@dataclass(frozen=True)
class Trace:
    """Where a value is: from `start` to `end` of a text, and `how` it was transformed; empty where it was not.

    Where the place is not known to the letter, because a whole text was decoded, the two are its ends.
    """

    start: int
    end: int
    how: tuple[str, ...] = ()

    @property
    def told(self) -> str:
        """How it was transformed, in words: `in base64, in another case`."""
        return ", ".join(self.how)


@dataclass(frozen=True)
class _Piece:
    """What was made of a part of a text by undoing encodings."""

    text: str
    raw: bytes
    start: int
    end: int
    how: tuple[str, ...] = ()


class Haystack:
    """A text that is looked into for several values: what it holds is decoded once."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._pieces = list(_pieces(text))

    def trace(self, texts: Collection[str]) -> Trace | None:
        """The first trace of a value that looks like one of these; the plainest where there are several."""
        needles = tuple(dict.fromkeys(texts))
        if not needles:
            return None
        for find in (_plain, _folded, _separated, _reversed, _hashed):
            for piece in self._pieces:
                found = find(piece, needles)
                if found is not None:
                    start, end, how = found
                    if piece.how:  # the place in what was decoded is none in the text
                        start, end = piece.start, piece.end
                    return Trace(start, end, (*piece.how, *how))
        return self._split(needles)

    def _split(self, needles: tuple[str, ...]) -> Trace | None:
        """Both halves of a text, wherever it was cut."""
        folded = [piece.text.casefold() for piece in self._pieces]
        for needle in needles:
            whole = needle.casefold()
            half = _half(whole)
            if whole.isascii() and len(whole) < _SHORTEST:
                continue
            for cut in range(half, len(whole) - half + 1):
                first = next((number for number, text in enumerate(folded) if whole[:cut] in text), None)
                if first is None:
                    break  # nor is a longer beginning
                if not any(whole[cut:] in text for text in folded):
                    continue
                piece = self._pieces[first]
                start = piece.start if piece.how else folded[first].index(whole[:cut])
                return Trace(start, piece.end if piece.how else start + cut, (*piece.how, "cut in two"))
        return None


def _half(text: str) -> int:
    """How long the shorter half must be to be known: of digits, as in dates, others may have one as well."""
    if not text.isascii():
        return 3  # of many letters each says more
    return 4 if any(one.isalpha() for one in text) else 5


def trace_of(text: str, texts: Collection[str]) -> Trace | None:
    """Where one of `texts` is in `text`, as it is or transformed; None where it is not."""
    return Haystack(text).trace(texts)


# ---- What is looked for in a piece --------------------------------------------------------------------------------

_Found = tuple[int, int, tuple[str, ...]] | None


def _plain(piece: _Piece, needles: tuple[str, ...]) -> _Found:
    return _first(piece.text, needles, ())


def _folded(piece: _Piece, needles: tuple[str, ...]) -> _Found:
    return _first(piece.text.casefold(), [one.casefold() for one in needles], ("in another case",))


def _reversed(piece: _Piece, needles: tuple[str, ...]) -> _Found:
    return _first(piece.text.casefold(), [one.casefold()[::-1] for one in needles], ("reversed",))


def _first(text: str, needles: Collection[str], how: tuple[str, ...]) -> _Found:
    for one in needles:
        start = text.find(one)
        if start >= 0:
            return start, start + len(one), how
    return None


_SEPARATORS: Final = re.compile(r"[\s.,:;/_\-()'+|]+")


def _separated(piece: _Piece, needles: tuple[str, ...]) -> _Found:
    """The same letters and digits, in other groups."""
    text = _SEPARATORS.sub("", piece.text.casefold())
    for one in needles:
        bare = _SEPARATORS.sub("", one.casefold())
        if len(bare) >= _PREFIX and bare in text:
            return 0, len(piece.text), ("with other separators",)
    return None


_HEX_RUN: Final = re.compile(rf"[0-9a-f]{{{_PREFIX},}}")


def _hashed(piece: _Piece, needles: tuple[str, ...]) -> _Found:
    lowered = piece.text.lower()
    runs = [(found[0], found.start(), found.end()) for found in _HEX_RUN.finditer(lowered)]
    if piece.how[-1:] == ("in base64",):
        runs.append((piece.raw.hex(), 0, len(piece.text)))
    bare = lowered.replace("-", "")
    for needle in needles:
        for name, digest in _digests(needle):
            for run, start, end in runs:
                if digest in run or (len(run) >= _PREFIX and (digest.startswith(run) or digest.endswith(run))):
                    return start, end, (f"hashed by {name}",)
            if digest in bare:
                return 0, len(piece.text), (f"hashed by {name}",)
    return None


_ALGORITHMS: Final = (
    "md5", "sha1", "sha224", "sha256", "sha384", "sha512", "sha3_224", "sha3_256", "sha3_384", "sha3_512",
)  # fmt: skip
_SIZES: Final = (4, 5, 6, 8, 10, 12, 16, 20, 24, 28, 32, 48, 64)
_NAMESPACES: Final = (uuid.NAMESPACE_DNS, uuid.NAMESPACE_URL, uuid.NAMESPACE_OID, uuid.NAMESPACE_X500)


@functools.lru_cache(maxsize=512)
def _digests(text: str) -> tuple[tuple[str, str], ...]:
    """The hashes of a text, in hexadecimal, by the names of what made them."""
    found: list[tuple[str, str]] = []
    for form in dict.fromkeys((text, text.lower(), text.upper())):
        data = form.encode("utf-8", "surrogatepass")
        found += [(name, hashlib.new(name, data, usedforsecurity=False).hexdigest()) for name in _ALGORITHMS]
        found += [("blake2b", hashlib.blake2b(data, digest_size=size).hexdigest()) for size in _SIZES]
        found += [("blake2s", hashlib.blake2s(data, digest_size=size).hexdigest()) for size in _SIZES if size <= 32]
        found += [("uuid3", uuid.uuid3(space, form).hex) for space in _NAMESPACES]
        found += [("uuid5", uuid.uuid5(space, form).hex) for space in _NAMESPACES]
        found.append(("hash()", str(abs(hash(form)))))
    return tuple((name, digest) for name, digest in found if len(digest) >= _PREFIX)


# ---- Decoding -----------------------------------------------------------------------------------------------------


def _pieces(text: str) -> Iterator[_Piece]:
    """The text, and what is in it once encodings are undone, the plainer ones first."""
    level = [_Piece(text, b"", 0, len(text))]
    seen = {text}
    for _ in range(_DEEPEST + 1):
        yield from level
        deeper: list[_Piece] = []
        for piece in level:
            for one in _decoded(piece):
                if one.text not in seen and len(seen) < _MOST:
                    seen.add(one.text)
                    deeper.append(one)
        level = deeper


def _decoded(piece: _Piece) -> Iterator[_Piece]:
    for how, whole in _WHOLE:
        text = whole(piece.text)
        if text != piece.text:
            yield _Piece(text, b"", piece.start, piece.end, (*piece.how, how))
    for how, pattern, decode in _RUNS:
        for found in pattern.finditer(piece.text):
            # Of what is in something that was decoded, the place of that is known.
            start, end = (piece.start, piece.end) if piece.how else found.span()
            for raw in decode(found[0]):
                yield _Piece(raw.decode("utf-8", "replace"), raw, start, end, (*piece.how, how))


def _unescaped(text: str) -> str:
    r"""`\u0041`, `\x41` and `\/` as what they stand for; two that make one character are put together."""
    if "\\" not in text:
        return text
    found = _ESCAPE.sub(lambda one: chr(int(one[1] or one[2], 16)) if one[1] or one[2] else one[3], text)
    return found.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


_ESCAPE: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|([\"'/\\]))")


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


_WHOLE: Final[tuple[tuple[str, Callable[[str], str]], ...]] = (
    ("URL-encoded", _unquoted),
    ("as HTML", html.unescape),
    ("escaped as in JSON", _unescaped),
    ("as quoted-printable", _printable),
    ("on several lines", _in_one_line),
)


def _of_base64(run: str) -> Iterator[bytes]:
    run = run.rstrip("=").translate(_URL_SAFE)
    for offset in range(4):  # the run may begin with something else
        part = run[offset:]
        if len(part) % 4 == 1:
            part = part[:-1]
        try:
            yield base64.b64decode(part + "=" * (-len(part) % 4))
        except binascii.Error:
            continue


def _of_hex(run: str) -> Iterator[bytes]:
    digits = re.sub(r"[^0-9a-fA-F]", "", run)
    for offset in (0, 1) if digits == run else (0,):
        part = digits[offset:]
        yield bytes.fromhex(part[: len(part) // 2 * 2])


_URL_SAFE: Final = str.maketrans("-_", "+/")
_RUNS: Final[tuple[tuple[str, re.Pattern[str], Callable[[str], Iterator[bytes]]], ...]] = (
    ("in base64", re.compile(r"[A-Za-z0-9+/_-]{8,}={0,2}"), _of_base64),
    ("in hexadecimal", re.compile(r"[0-9a-fA-F]{8,}"), _of_hex),
    ("in hexadecimal", re.compile(r"(?:[0-9a-fA-F]{2}[:\- ]){4,}[0-9a-fA-F]{2}"), _of_hex),
)


def joined(texts: Iterable[str]) -> str:
    """Several texts as one, for what is cut in two between them."""
    return " \0 ".join(texts)
