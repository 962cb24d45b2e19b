"""Labels: the sets of sources that values derive from. They are interned, so that equal labels are one object."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator
from typing import Any, Self, cast

from purposeguard.errors import UnknownSource, UnlabelledData
from purposeguard.locks import make_lock
from purposeguard.notice.immutable import Immutable
from purposeguard.notice.vocabulary import NotPersonal, Purpose, Source, TermMeta, clause_sort_key, list_term_ids


class Label(Immutable):
    """`Label(Registration, Contract)`: data derived from both. Immutable, compared by identity, never empty.

    `a | b` and `Label.join(…)` unite sources (rule 2: combining never widens). `NotPersonal` adds nothing to a label
    that has other sources.

    Raises:
        UnlabelledData: no sources were given (rule 4).
        UnknownSource: a class is no source category.
    """

    __slots__ = ("__weakref__", "sources")

    sources: frozenset[type[Source]]

    def __new__(cls, *sources: type[Source]) -> Self:
        """Return the only label of these sources; make it if there is none yet."""
        classes: tuple[Any, ...] = sources  # Untyped code may pass anything.
        for source in classes:
            if not isinstance(source, type) or not issubclass(source, Source) or source is Source:
                raise UnknownSource(source, _explain_non_source(source))
        return cls._intern(frozenset(sources))

    @classmethod
    def _intern(cls, sources: frozenset[type[Source]]) -> Self:
        if len(sources) > 1 and NotPersonal in sources:
            sources -= {NotPersonal}
        if not sources:
            raise UnlabelledData("a label without sources: data that is not personal is marked `NotPersonal`")
        with _interning:
            label = _interned.get(sources)
            if label is None:
                made = object.__new__(cls)
                made._fill(sources=sources)
                # A finaliser that ran meanwhile, in this thread, may have made the same.
                label = _interned.setdefault(sources, made)
        return cast("Self", label)

    @classmethod
    def join(cls, *labels: Label) -> Label:
        """Return the label of a value that is made from values of all these labels.

        Raises:
            UnlabelledData: no labels were given.
        """
        if len(labels) == 1:
            return labels[0]
        return cls._intern(frozenset().union(*(label.sources for label in labels)))

    def __or__(self, other: object) -> Label:
        if other is self:
            return self
        return Label._intern(self.sources | other.sources) if isinstance(other, Label) else NotImplemented

    def __iter__(self) -> Iterator[type[Source]]:
        """Iterate over the source classes, ordered by clause."""
        return iter(sorted(self.sources, key=clause_sort_key) if len(self.sources) > 1 else self.sources)

    def __len__(self) -> int:
        return len(self.sources)

    def __contains__(self, source: type[Source]) -> bool:
        return source in self.sources

    def __repr__(self) -> str:
        return f"Label({', '.join(list_term_ids(self))})"

    def __reduce__(self) -> tuple[Any, ...]:
        return Label, tuple(self)


def _explain_non_source(given: object) -> str:
    if isinstance(given, TermMeta) and issubclass(given, Purpose):
        return "is a purpose, and a label is made of source classes"
    return "a label is made of source classes"


OneSource = type[Source] | str | Label
Sources = OneSource | Iterable[OneSource]
"""A source class, an id, a label, or an iterable of these."""


# Not on the decision path: labels are made when code is loaded or values are joined, and looked up by identity after.
_interned: weakref.WeakValueDictionary[frozenset[type[Source]], Any] = weakref.WeakValueDictionary()
_interning = make_lock()
