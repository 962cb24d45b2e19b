"""Sealed values made of one another, with what is in them and what they derive from; modules of generated notices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from purposeguard import Notice, NotPersonal, Personal, Source
from purposeguard.notice.codegen import generate
from purposeguard.policy import spec

PLAIN: st.SearchStrategy[object] = st.one_of(
    st.text(max_size=5), st.integers(), st.floats(), st.none(), st.binary(max_size=3),
    st.lists(st.integers(), max_size=2), st.builds(object),
)  # fmt: skip
"""Values of which some are equal to nothing but themselves, and some not even to that."""


def boxed(value: object) -> object:
    return [value]


def doubled(value: object) -> object:
    return value, value


def kind(value: object) -> object:
    return type(value).__name__


@dataclass(frozen=True)
class Sample:
    """A sealed value, what is in it, and what it derives from. `made`: it was made of others."""

    value: Personal[Any, Any]
    plain: object
    sources: frozenset[type[Source]]
    made: bool = False

    @property
    def ids(self) -> list[str]:
        """The clauses that it derives from; none where it is not personal."""
        return sorted(source.clause for source in self.sources if source is not NotPersonal)

    def is_in(self, opened: object) -> bool:
        """Whether what was opened is what was sealed."""
        return opened is self.plain or (self.made and opened == self.plain)

    def may_serve(self, notice: Notice, purpose: str, channel: str | None) -> bool:
        """Whether it may, by the reference; what is not personal may serve any purpose that can be pursued."""
        return spec.permits(notice.document, self.ids, purpose, channel) if self.ids else True


@st.composite
def sealed(draw: st.DrawFn, notice: Notice, steps: int = 8) -> list[Sample]:
    """Values sealed under sources of a notice, then some made of them by `map`, `zip` and `collect`."""
    sources: st.SearchStrategy[type[Source]] = st.sampled_from([*notice.sources, *notice.sources, NotPersonal])
    leaves = st.lists(st.tuples(PLAIN, st.lists(sources, min_size=1, max_size=2)), min_size=1, max_size=4)
    found = [Sample(Personal(plain, *under), plain, frozenset(under)) for plain, under in draw(leaves)]
    for _ in range(draw(st.integers(0, steps))):
        found.append(draw(made_of(found, sources)))
    return found


@st.composite
def made_of(draw: st.DrawFn, known: Sequence[Sample], sources: st.SearchStrategy[type[Source]]) -> Sample:
    """One more sealed value, made of some that are known; one may go into it twice."""
    way = draw(st.sampled_from(["map", "zip", "collect"]))
    parts = draw(st.lists(st.sampled_from(known), min_size=1, max_size=3))
    united = frozenset().union(*(part.sources for part in parts))
    first, *others = parts
    if way == "map" or (way == "zip" and not others):
        fn = draw(st.sampled_from([boxed, doubled, kind]))
        return Sample(first.value.map(fn), fn(first.plain), first.sources, made=True)
    values = tuple(part.plain for part in parts)
    if way == "zip":
        return Sample(first.value.zip(*(part.value for part in others)), values, united, made=True)
    more = draw(st.lists(sources, max_size=1))
    collected: Personal[Any, Any] = Personal.collect((part.value for part in parts), *more)
    return Sample(collected, values, united.union(more), made=True)


def module_of(notice: Notice) -> dict[str, Any]:
    """The names of the module that is generated from a notice; its `NOTICE` has classes of its own."""
    names: dict[str, Any] = {"__name__": "generated_notice"}
    exec(compile(generate(notice), "generated_notice.py", "exec"), names)  # noqa: S102  # what a generated module is for
    return names
