"""The vocabulary: source categories and purposes as classes, and the spellings of their ids.

A source class is a subclass of every purpose it may serve, so a type checker that knows nothing of this library
decides as the guard does. The classes are names with structure, never containers: they have no instances and cannot
be changed once made.
"""

from __future__ import annotations

import copyreg
import re
import sys
import unicodedata
from collections.abc import Iterable, Mapping
from types import MappingProxyType, UnionType
from typing import Any, ClassVar, NoReturn, Union, get_args, get_origin

from purposeguard.errors import hides_own_frames
from purposeguard.notice.immutable import Immutable
from purposeguard.notice.mro import linearize

LONGEST_ID = 200
"""The greatest length of an id. Anything longer is refused unread."""


MOST_BASES = 64
"""The greatest number of bases of a class that Python orders quickly enough by itself."""


class TermMeta(type):
    """The metaclass of all terms: they have no instances, cannot be changed, and show their clause in `repr`."""

    def __new__(mcls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **kwargs: Any) -> TermMeta:
        """Make the class, with read-only titles."""
        title = namespace.get("title")
        if title is not None:
            namespace["title"] = MappingProxyType(dict(title))
        return super().__new__(mcls, name, bases, namespace, **kwargs)

    def mro(cls) -> list[type]:
        """Return the method resolution order of the class.

        For many bases, `linearize` is used: Python's own way takes the square of their number.
        """
        return linearize(cls) if len(cls.__bases__) > MOST_BASES else super().mro()

    @hides_own_frames
    def __call__(cls, *_args: object, **_kwargs: object) -> NoReturn:
        """Refuse to make an instance: a term is only a name."""
        raise TypeError(f"{cls.__name__} is a term of a notice and has no instances: use the class itself")

    def __setattr__(cls, name: str, value: object) -> None:
        raise AttributeError(f"{cls.__name__} is a term of a notice: `{name}` cannot be changed")

    def __delattr__(cls, name: str) -> None:
        raise AttributeError(f"{cls.__name__} is a term of a notice: `{name}` cannot be removed")

    def __repr__(cls) -> str:
        clause = cls.__dict__.get("clause")
        return f"<{cls.__name__} {clause}>" if clause else f"<{cls.__name__}>"


def _reduce_term(term: Any) -> str | tuple[Any, ...]:
    """Pickle a class of an importable module by its name, and a class made from a file as a stand-in.

    A stand-in says what it was, which is what a violation that crosses to another process needs. No notice knows it,
    so no guard decides by it.
    """
    name: str = term.__qualname__
    if getattr(sys.modules.get(term.__module__), name, None) is term:
        return name
    base = Source if issubclass(term, Source) else Purpose
    return _make_stand_in, (
        term.__name__,
        base,
        {name: getattr(term, name) for name in ("clause", "slug")},
        dict(term.title),
    )


def _make_stand_in(name: str, base: type, namespace: dict[str, Any], title: dict[str, str]) -> TermMeta:
    return TermMeta(name, (base,), {**namespace, "title": title, "__module__": __name__})


copyreg.pickle(TermMeta, _reduce_term)


class Purpose(metaclass=TermMeta):
    """Base of the purposes of use that a notice states.

    Concrete classes bear `clause` (the canonical id, e.g. `1.2(1)①`), `slug` (`renewal-guidance`) and `title` (by
    language).
    """

    clause: ClassVar[str]
    slug: ClassVar[str]
    title: ClassVar[Mapping[str, str]]


class Source(metaclass=TermMeta):
    """Base of the source categories: the clause under which a datum was collected, e.g. `1.1(a)`.

    Concrete classes bear `clause`, `slug` and `title`, and are subclasses of each purpose they may serve.
    """

    clause: ClassVar[str]
    slug: ClassVar[str]
    title: ClassVar[Mapping[str, str]]


def clause_sort_key(term: TermMeta) -> tuple[str, str]:
    """Return a sort key that orders terms by clause. Terms without a clause, such as `Source` itself, come first."""
    return vars(term).get("clause", ""), term.__qualname__


class NotPersonal(Source):
    """The explicit marker of data that is not personal (rule 4): any purpose may use it.

    It adds nothing to a label that has other sources. Only a declared reclassification makes it from personal data.
    """

    clause = "not-personal"
    slug = "not-personal"
    title: ClassVar[Mapping[str, str]] = {"en": "Not personal data", "ja": "個人情報でない情報"}


class Family(Immutable):
    """A named set of purposes that state the same real-world goal in several clauses.

    It equals, and hashes as, the union of its members (`A | B | C`, in any order), which is how code writes it.
    """

    __slots__ = ("_hash", "members", "name", "slug", "title", "union")

    name: str
    slug: str
    title: Mapping[str, str]
    members: tuple[type[Purpose], ...]
    union: object
    _hash: int

    def __init__(self, name: str, slug: str, title: Mapping[str, str], members: tuple[type[Purpose], ...]) -> None:
        union: object = Union[members]  # noqa: UP007  # the members are known only now
        self._fill(
            name=name, slug=slug, title=MappingProxyType(dict(title)), members=members, union=union, _hash=hash(union)
        )

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Family):
            return self.name == other.name and self.members == other.members
        return frozenset(self.members) == union_members(other) if is_union(other) else NotImplemented

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> tuple[Any, ...]:
        return Family, (self.name, self.slug, dict(self.title), self.members)

    def __repr__(self) -> str:
        return f"<family {self.name} {' '.join(list_term_ids(self.members))}>"


def list_members(purpose: type[Purpose] | Family) -> tuple[type[Purpose], ...]:
    """Return the members of a family, or a purpose by itself."""
    return purpose.members if isinstance(purpose, Family) else (purpose,)


def list_term_ids(terms: Iterable[type[Source | Purpose]]) -> list[str]:
    """Return the ids of terms, such as the sources of a label."""
    return [term.clause for term in terms]


def is_union(given: object) -> bool:
    """Return True if `given` is `A | B` or `Union[A, B]`."""
    return isinstance(given, UnionType) or get_origin(given) is Union


def union_members(given: object) -> frozenset[object]:
    """Return the members of a union, without an order."""
    return frozenset(get_args(given))


def is_text(given: object) -> bool:
    """Return True if `given` is a text that is not blank."""
    return isinstance(given, str) and bool(given.strip())


def make_slug(name: str) -> str:
    """Make a slug from a class name: `RenewalGuidance` → `renewal-guidance`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", name).lower()


_BETWEEN = r"\s_.,()\[\]§¶°&'’:/·・\-\N{HYPHEN}\N{EN DASH}\N{EM DASH}"
_TOKEN = re.compile(rf"\d+|[^\d{_BETWEEN}]+")
_READABLE = re.compile(rf"(?:[^\W_]|[{_BETWEEN}])*")


def fold(given: str) -> str | None:
    """Fold an id to a form that all its spellings share. Return None if the text cannot be an id.

    Clause ids fold to their numbers and letters (`1.2(1)①`, `1.2(1)-1` and `１．２（１）１` to `1.2.1.1`), names to
    their letters (`RenewalGuidance` and `renewal-guidance` to `renewalguidance`). Circled and parenthesised digits
    are read by their numeric value, since the notice mixes glyphs of several blocks and NFKC does not fold them all.
    Letters keep the marks that their script writes them with. Letters and digits of other scripts stay different.
    """
    if len(given) > LONGEST_ID:
        return None
    if not given.isascii():
        given = unicodedata.normalize("NFKC", "".join(map(_plain_number, given)))
    given = given.casefold()
    if not _READABLE.fullmatch(given) and not _READABLE.fullmatch(_strip_marks(given)):
        return None
    tokens = _TOKEN.findall(given)
    if not tokens:
        return None
    return "".join(tokens) if all(token.isalpha() for token in tokens) else ".".join(tokens)


def _strip_marks(text: str) -> str:
    """Remove the marks above, below and beside letters (`धारा`), where they follow a letter."""
    return re.sub(r"(?<=[^\W\d_])\W+", lambda others: others[0].lstrip("".join(filter(_is_mark, others[0]))), text)


def _is_mark(char: str) -> bool:
    return unicodedata.category(char) in ("Mn", "Mc")


def _plain_number(char: str) -> str:
    """Return an enclosed number (①, ➁, ⑴, ⒈) as ` 1 `, and any other character unchanged."""
    if unicodedata.category(char) != "No":
        return char
    name = unicodedata.name(char, "")
    if not any(word in name for word in ("CIRCLED", "PARENTHESIZED", "FULL STOP")):
        return char
    value = unicodedata.numeric(char)
    return f" {int(value)} " if value == int(value) else char


def find_nearest(given: object, known: Iterable[str], likeness: float = 0.5) -> tuple[str, ...]:
    """Return up to three of the `known` ids that look most like `given`; none if `given` is no text.

    `likeness` is the least similarity that counts, from 0 to 1.
    """
    if not isinstance(given, str):
        return ()
    names = {name.casefold(): name for name in known}
    import difflib  # noqa: PLC0415  # most applications never need it

    matches = difflib.get_close_matches(given[:80].casefold(), names, n=3, cutoff=likeness)
    return tuple(names[name] for name in matches)
