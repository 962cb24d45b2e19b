"""Whether a text holds a value, as it is or transformed: in another case, encoded, hashed, reversed, cut in two.

What is encoded is decoded and looked into again, so encodings may be nested; hashes are those of the plain value.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import re
import uuid
import zlib
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Final

from purposeguard.testing._decoding import SHORTEST_DIGEST, Piece, bared, normalised, pieces, turned

_SHORTEST: Final = 10
"""Characters of a text that is known by its halves."""


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


class Haystack:
    """A text that is looked into for several values: what it holds is decoded once."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._pieces = list(pieces(text))

    def trace(self, texts: Collection[str]) -> Trace | None:
        """The first trace of a value that looks like one of these; the plainest where there are several."""
        needles = tuple(dict.fromkeys(texts))
        if not needles:
            return None
        for find in (_plain, _folded, _normalised, _separated, _reversed, _turned, _hashed):
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
        folded = [piece.folded for piece in self._pieces]
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
                if whole.isdigit() and not _are_near(folded[first], whole[:cut], whole[cut:]):
                    continue
                piece = self._pieces[first]
                start = piece.start if piece.how else folded[first].index(whole[:cut])
                return Trace(start, piece.end if piece.how else start + cut, (*piece.how, "cut in two"))
        return None


_NEAR: Final = 60
"""Characters between two halves of a number: in a long list of numbers any two would be found."""


def _are_near(text: str, one: str, other: str) -> bool:
    starts = [found.start() for found in re.finditer(re.escape(one), text)]
    return any(
        other in text[max(0, start - len(other) - _NEAR) : start + len(one) + _NEAR + len(other)] for start in starts
    )


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


def _plain(piece: Piece, needles: tuple[str, ...]) -> _Found:
    return _first(piece.text, needles, ())


def _folded(piece: Piece, needles: tuple[str, ...]) -> _Found:
    return _first(piece.folded, _each(str.casefold, needles), ("in another case",))


def _reversed(piece: Piece, needles: tuple[str, ...]) -> _Found:
    return _first(piece.folded, _each(_backwards, needles), ("reversed",))


def _backwards(text: str) -> str:
    return text.casefold()[::-1]


@functools.lru_cache(maxsize=512)
def _each(change: Callable[[str], str], needles: tuple[str, ...]) -> tuple[str, ...]:
    """What is looked for in many pieces, changed once."""
    return tuple(map(change, needles))


def _turned(piece: Piece, needles: tuple[str, ...]) -> _Found:
    letters = tuple(one for one in needles if any(map(str.isalpha, one)))
    return _first(piece.text, _each(turned, letters), ("by rot13",))


def _first(text: str, needles: Collection[str], how: tuple[str, ...]) -> _Found:
    for one in needles:
        start = text.find(one)
        while start >= 0 and _is_in_a_number(text, start, one):
            start = text.find(one, start + 1)
        if start >= 0:
            return start, start + len(one), how
    return None


def _is_in_a_number(text: str, start: int, one: str) -> bool:
    """Whether a short number stands within a longer one, or a hash, where any might."""
    if len(one) >= SHORTEST_DIGEST or not one.isdigit():
        return False
    around = text[max(0, start - 1) : start], text[start + len(one) : start + len(one) + 1]
    return any(side.isalnum() and side.isascii() for side in around)


def _normalised(piece: Piece, needles: tuple[str, ...]) -> _Found:
    found = _first(piece.normal, _each(normalised, needles), ("in another form",))
    return None if found is None else (0, len(piece.text), found[2])


def _separated(piece: Piece, needles: tuple[str, ...]) -> _Found:
    """The same letters and digits, in other groups."""
    if any(len(one) >= SHORTEST_DIGEST and one in piece.bare for one in _each(bared, needles)):
        return 0, len(piece.text), ("with other separators",)
    return None


def _hashed(piece: Piece, needles: tuple[str, ...]) -> _Found:
    """Whole, at any place of a run, or cut short to what the run is."""
    if not piece.digests:
        return None
    beginnings, endings = _digests_of(needles)
    for run in piece.digests:
        digits = run.digits
        found = (
            name
            for start in range(len(digits) - SHORTEST_DIGEST + 1)
            for name, digest in beginnings.get(digits[start : start + SHORTEST_DIGEST], ())
            if (digits.startswith(digest, start) and (len(digest) >= _LONG or len(digest) == len(digits)))
            or (start == 0 and digest.startswith(digits))
        )
        ending = (name for name, digest in endings.get(digits[-SHORTEST_DIGEST:], ()) if digest.endswith(digits))
        name = next(itertools.chain(found, ending), None)
        if name is not None:
            return run.start, run.end, (*run.how, f"hashed by {name}")
    return None


_LONG: Final = 12
"""Digits of a hash that is known within a longer run, where shorter ones stand by chance."""

_Ends = dict[str, list[tuple[str, str]]]


@functools.lru_cache(maxsize=512)
def _digests_of(needles: tuple[str, ...]) -> tuple[_Ends, _Ends]:
    """The hashes of several texts, by their first digits and by their last ones."""
    beginnings: _Ends = {}
    endings: _Ends = {}
    for name, digest in itertools.chain.from_iterable(map(_digests, needles)):
        beginnings.setdefault(digest[:SHORTEST_DIGEST], []).append((name, digest))
        endings.setdefault(digest[-SHORTEST_DIGEST:], []).append((name, digest))
    return beginnings, endings


_ALGORITHMS: Final = tuple(
    sorted(
        hashlib.algorithms_available
        & {
            *("md5", "sha1", "sha224", "sha256", "sha384", "sha512", "sha512_224", "sha512_256"),
            *("sha3_224", "sha3_256", "sha3_384", "sha3_512"),
        }
    )
)
_SIZES: Final = (4, 5, 6, 8, 10, 12, 16, 20, 24, 28, 32, 48, 64)
_NAMESPACES: Final = (uuid.NAMESPACE_DNS, uuid.NAMESPACE_URL, uuid.NAMESPACE_OID, uuid.NAMESPACE_X500)


@functools.lru_cache(maxsize=512)
def _digests(text: str) -> tuple[tuple[str, str], ...]:
    """The hashes of a text, in hexadecimal, by the names of what made them."""
    found: list[tuple[str, str]] = []
    for form in dict.fromkeys((text, text.lower(), text.upper(), f"{text}\n")):
        data = form.encode("utf-8", "surrogatepass")
        found += [(name, hashlib.new(name, data, usedforsecurity=False).hexdigest()) for name in _ALGORITHMS]
        found += [("blake2b", hashlib.blake2b(data, digest_size=size).hexdigest()) for size in _SIZES]
        found += [("blake2s", hashlib.blake2s(data, digest_size=size).hexdigest()) for size in _SIZES if size <= 32]
        found += [("uuid3", uuid.uuid3(space, form).hex) for space in _NAMESPACES]
        found += [("uuid5", uuid.uuid5(space, form).hex) for space in _NAMESPACES]
        found += [(name, str(int(digest, 16))) for name, digest in found if name in {"md5", "sha1", "sha256"}]
        found += [("CRC-32", one) for one in (f"{zlib.crc32(data):08x}", str(zlib.crc32(data)))]
        found.append(("hash()", str(abs(hash(form)))))
    return tuple((name, digest) for name, digest in found if len(digest) >= SHORTEST_DIGEST)


_NEVER: Final = "ꙮ"
"""A letter that stands in no value, so that what is on both sides of it is not one word."""


def joined(texts: Iterable[str]) -> str:
    """Several texts as one, for what is cut in two between them."""
    return f" {_NEVER} ".join(texts)
