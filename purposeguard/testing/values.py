"""Values of annotations, and marked values: unique, of the right type, and recognisable as text.

```python
markers = Markers()
customer = markers.instance(Customer)       # each personal field has a unique value
markers["email"].texts                      # its forms in a log: ("fkqpwmzxyabc@example.com", …)
```
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import operator
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, Final, TypeVar

from purposeguard.containers import exclude, map_values
from purposeguard.extras import Needs
from purposeguard.notice.label import Label
from purposeguard.notice.vocabulary import NotPersonal
from purposeguard.testing._drawing import Drawing, Redrawing
from purposeguard.testing._leaves import draw_from, make_source
from purposeguard.testing._models import few_valued
from purposeguard.testing._places import places
from purposeguard.testing.traces import texts_of
from purposeguard.values.annotations import describe_kind
from purposeguard.values.sealed import Sealed
from purposeguard.values.tagging import sources_of

with Needs(__name__, "hypothesis"):
    from hypothesis import strategies as st
    from hypothesis.errors import StopTest, Unsatisfiable, UnsatisfiedAssumption
    from hypothesis.internal.conjecture.choice import ChoiceTemplate
    from hypothesis.internal.conjecture.data import ConjectureData

__all__ = ["CanaryMark", "Markers", "simplest", "texts_of", "value_strategy"]

T = TypeVar("T")
_ATTEMPTS: Final = 5
_OTHERS: Final = 200
"""How many other values are tried where the simplest does not pass a filter."""
_NOT_PERSONAL: Final = Label(NotPersonal)


@st.composite
def value_strategy(draw: st.DrawFn, annotation: Any) -> Any:
    """Return a strategy for values of any annotation that a field of a model can have.

    Values satisfy constraints; what validators accept is found by trying plausible values of many kinds.

    Raises:
        TypeError: no strategy is known for the annotation, when a value is drawn.
    """
    return Drawing(draw).value(annotation)


@dataclasses.dataclass(frozen=True, slots=True)
class CanaryMark:
    """The value put into a personal field, and its texts.

    `field` is the path as `pg.sources_of` prints it, `label` the sources of the field. `texts` is empty if no
    value of the type is recognisable: a bool, a member of an enumeration, a number of few digits.
    """

    model: type
    field: str
    label: Label
    value: object
    texts: tuple[str, ...]

    @property
    def recognisable(self) -> bool:
        """True if it can be recognised in output."""
        return bool(self.texts)


class Markers:
    """Makes instances with marked personal fields, and remembers the values.

    Values depend on `salt`, on the field and on the number of instances made: each run makes the same ones.
    """

    def __init__(self, salt: str = "") -> None:
        self._salt = salt
        self._marks: list[CanaryMark] = []
        self._made = 0

    @property
    def marks(self) -> tuple[CanaryMark, ...]:
        """All marks, in order of creation."""
        return tuple(self._marks)

    def __iter__(self) -> Iterator[CanaryMark]:
        return iter(self.marks)

    def __len__(self) -> int:
        return len(self._marks)

    def __getitem__(self, field: str) -> CanaryMark:
        """Return the last mark of a field; raises KeyError if there is none."""
        for mark in reversed(self._marks):
            if mark.field == field:
                return mark
        raise KeyError(field)

    def instance(self, model: type[T], /, **fields: object) -> T:
        """Return a new instance of a tagged model with marked personal fields; other fields have simple values.

        `fields` are used unchanged, and are not marked.

        Raises:
            TypeError: no strategy is known for a field, or validators refuse every value that is tried.
        """
        strategies = map_values(st.just, fields)
        made: T = self._unlike_others(lambda salt: _one_of(model, salt, strategies), model, tuple(fields))
        return made

    def mark(self, instance: T, model: Any = None, /) -> T:
        """Return a copy of an instance with marked personal fields, the others unchanged.

        `model` is its annotation, if its class does not say it (a TypedDict, a generic dataclass).

        Raises:
            TypeError: as `instance`.
        """
        model = type(instance) if model is None else model
        made: T = self._unlike_others(lambda salt: _copy_with_marks(instance, model, salt), model, ())
        return made

    def _unlike_others(self, strategy: Callable[[str], Any], model: Any, without: tuple[str, ...]) -> Any:
        """Return the simplest instance whose marks differ from all earlier ones, if possible.

        A type may have too few values for that.
        """
        earlier_texts = _texts_of_marks(self._marks)
        made, marks = None, []
        for _ in range(_ATTEMPTS):
            try:
                made = simplest(strategy(self._next_salt()))
            except Unsatisfiable:
                raise TypeError(
                    f"the validators of {describe_kind(model)} refuse whatever is tried: give fields"
                ) from None
            marks = self._marks_of(made, model, without)
            if earlier_texts.isdisjoint(_texts_of_marks(marks)):
                break
        self._marks += marks
        return made

    def remember(self, instance: object, model: Any = None, *, without: Collection[str] = ()) -> None:
        """Record the personal fields of an instance as marks, except the fields `without`."""
        self._marks += self._marks_of(instance, type(instance) if model is None else model, without)

    def _marks_of(self, instance: object, model: Any, without: Collection[str]) -> list[CanaryMark]:
        labels, few = sources_of(model), few_valued(model)
        cls = model if isinstance(model, type) else type(instance)
        marks: list[CanaryMark] = []
        there = places(instance, model)
        # A tagged container contains its items' texts, those of types with few values included: no marks either.
        usual: set[str] = set()
        for place in there:
            if place.path in few:
                usual.update(texts_of(place.content))
        for place in there:
            # For a sealed field that names a purpose, only the value has the sources.
            label = labels.get(place.path) or (place.value.label if isinstance(place.value, Sealed) else None)
            if (
                label is None
                or label is _NOT_PERSONAL
                or place.content is None
                or re.split(r"[.\[]", place.path)[0] in without
            ):
                continue
            texts: tuple[str, ...] = ()
            if place.path not in few:
                texts = tuple(exclude(texts_of(place.content), usual))
            marks.append(CanaryMark(cls, place.path, label, place.content, texts))
        return marks

    def _next_salt(self) -> str:
        self._made += 1
        return f"{self._salt}/{self._made}"


def _texts_of_marks(marks: Iterable[CanaryMark]) -> set[str]:
    """Return the texts of all these marks."""
    return set(itertools.chain.from_iterable(map(operator.attrgetter("texts"), marks)))


def simplest(strategy: st.SearchStrategy[T]) -> T:
    """Return the simplest value of a strategy: the same at each call, also within a hypothesis test.

    Raises:
        Unsatisfiable: nothing that is tried passes its filters.
    """
    for data in _iter_attempts():
        with contextlib.suppress(StopTest, UnsatisfiedAssumption):
            return draw_from(data, strategy)
    raise Unsatisfiable("nothing that is tried passes the filters of the strategy")


def _iter_attempts() -> Iterator[ConjectureData]:
    """Yield sources of choices: the simplest ones, then others that are always the same."""
    yield ConjectureData.for_choices((ChoiceTemplate("simplest", count=None),))
    for seed in range(_OTHERS):
        yield make_source(seed)


@st.composite
def _one_of(draw: st.DrawFn, model: Any, salt: str, strategies: Mapping[str, st.SearchStrategy[Any]]) -> Any:
    return Drawing(draw, marking=True, salt=salt).instance(model, strategies)


@st.composite
def _copy_with_marks(draw: st.DrawFn, instance: Any, model: Any, salt: str) -> Any:
    drawing = Drawing(draw, marking=True, salt=salt)
    return Redrawing(drawing, sources_of(model), differing=False).value(instance, model)
