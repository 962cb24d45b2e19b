"""Strategies for hypothesis: terms and questions of a notice, sealed values, instances of models.

Needs hypothesis: `pip install 'purposeguard[hypothesis]'`. Labels and questions are drawn at the border between
allowed and denied, so that neither is rare, and shrink to the simplest.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple, TypeVar

from purposeguard.containers import exclude, intersect
from purposeguard.extras import Needs
from purposeguard.guard import Guard
from purposeguard.notice.label import Label
from purposeguard.notice.notice import Notice
from purposeguard.notice.vocabulary import Family, NotPersonal, Purpose, Source, list_members
from purposeguard.policy import spec
from purposeguard.runtime.activity import Block
from purposeguard.testing._drawing import Drawing, Redrawing
from purposeguard.testing._places import structures_of
from purposeguard.testing.values import Markers, value_strategy
from purposeguard.values.personal import Personal
from purposeguard.values.tagging import sources_of

with Needs(__name__, "hypothesis"):
    from hypothesis import strategies as st

__all__ = [
    "Question",
    "channels",
    "families",
    "instances",
    "labels",
    "purposes",
    "questions",
    "sealed",
    "sources",
    "twins",
    "uses",
    "value_strategy",
]

Asked = type[Purpose] | Family
"""A purpose or a family."""


def name_of(term: type[Source] | Asked) -> str:
    """Return the id of a term, the name of a family."""
    return term.name if isinstance(term, Family) else term.clause


def list_purposes(notice: Notice) -> tuple[Asked, ...]:
    """Return the purposes and families of a notice."""
    return (*notice.purposes, *notice.families)


def declarable(guard: Guard) -> list[tuple[str, str | None]]:
    """Return the purposes and families, by their names, and channels for which an activity can be declared (rule 7)."""
    table = guard.engine.snapshot.matrix
    ways: list[tuple[str, str | None]] = []
    for term in list_purposes(guard.notice):
        unstated = () if table.must_state_channel(term) else (None,)
        ways += [(name_of(term), channel) for channel in (*unstated, *table.list_admitted_channels(term))]
    return ways


T = TypeVar("T")

# ---- Terms, labels and questions ----------------------------------------------------------------------------------


def sources(notice: Notice) -> st.SearchStrategy[type[Source]]:
    """Return a strategy for the sources of a notice: clauses, items, overlays, derivations."""
    return st.sampled_from(notice.sources)


def purposes(notice: Notice) -> st.SearchStrategy[type[Purpose]]:
    """Return a strategy for the purposes of a notice."""
    return st.sampled_from(notice.purposes)


def families(notice: Notice) -> st.SearchStrategy[Family]:
    """Return a strategy for the families of a notice; nothing can be drawn from a notice without families."""
    return st.sampled_from(notice.families) if notice.families else st.nothing()


def channels(notice: Notice) -> st.SearchStrategy[str | None]:
    """Return a strategy for a channel that the notice names, or none."""
    return st.sampled_from((None, *notice.channels))


def labels(
    notice: Notice, purpose: object = None, *, channel: str | None = None, most: int = 4
) -> st.SearchStrategy[Label]:
    """Return a strategy for labels at the border between allowed and denied.

    Some labels are allowed for the purpose, some are denied because of one source alone, and some have any sources.

    Args:
        notice: The notice.
        purpose: The purpose: an id, a class or a family. By default, each label is drawn for another one.
        channel: The channel, if any.
        most: The greatest number of sources in a label.

    Raises:
        UnknownPurpose: the notice has no such purpose.
        ValueError: `most` is not positive.
    """
    if most < 1:
        raise ValueError("a label has one source at least")
    terms = st.sampled_from(list_purposes(notice)) if purpose is None else st.just(notice.purpose_or_family(purpose))
    return terms.flatmap(lambda term: _labels_for(notice, term, channel, most))


@st.composite
def _labels_for(draw: st.DrawFn, notice: Notice, asked: Asked, channel: str | None, most: int) -> Label:
    may = [source for source in notice.sources if _may(notice, source, asked, channel)]
    rest = exclude(notice.sources, may)
    kind = draw(st.sampled_from([_ANY, *([_ALLOWED] if may else []), *([_BORDERLINE] if rest and may else [])]))
    if kind == _ANY:
        return Label(*draw(_some(notice.sources, most)))
    if kind == _ALLOWED:
        return Label(*draw(_some(may, most)))
    return Label(draw(st.sampled_from(rest)), *(draw(_some(may, most - 1)) if most > 1 else ()))


_ANY, _ALLOWED, _BORDERLINE = "any", "allowed", "one source away from allowed"


def _some(options: Sequence[type[Source]], most: int) -> st.SearchStrategy[list[type[Source]]]:
    return st.lists(st.sampled_from(options), min_size=1, max_size=min(most, len(options)), unique=True)


def _may(notice: Notice, source: type[Source], asked: Asked, channel: str | None) -> bool:
    """Return True if the notice grants the purpose to one source; only guides drawing, and decides nothing."""
    members = list_members(asked)
    granted = (member.clause for member in members if member in notice.grants[source])
    return any(spec.admits(notice.document, purpose, channel) for purpose in granted)


class Question(NamedTuple):
    """One question to a guard: `guard.allows(*question)`."""

    sources: Label
    purpose: type[Purpose] | Family
    channel: str | None


@st.composite
def questions(draw: st.DrawFn, notice: Notice, *, most: int = 4) -> Question:
    """Return a strategy for questions to a guard: a label of up to `most` sources, a purpose or family, a channel."""
    term = draw(st.sampled_from(list_purposes(notice)))
    channel = draw(channels(notice))
    return Question(draw(labels(notice, term, channel=channel, most=most)), term, channel)


@st.composite
def uses(draw: st.DrawFn, guard: Guard) -> Block[Any]:
    """Return a strategy for blocks in which an activity can be declared.

    Use it as `with data.draw(uses(guard)) as use: …`.

    A purpose whose list of channels is closed is stated with one of them (rule 7).

    Raises:
        ValueError: none can be declared, when one is drawn.
    """
    ways = declarable(guard)
    if not ways:
        raise ValueError("no activity can be declared: each purpose names channels that the notice does not")
    name, channel = draw(st.sampled_from(ways))
    return guard.purpose(name, channel=channel)


# ---- Sealed values ------------------------------------------------------------------------------------------------


def sealed(
    values: st.SearchStrategy[T], under: Label | type[Source] | Notice | st.SearchStrategy[Label]
) -> st.SearchStrategy[Personal[T, Any]]:
    """Return a strategy for sealed values.

    The label is `under` itself, a source, drawn labels, or labels of a notice.

    With a notice, some are labelled as not personal.
    """
    if isinstance(under, Notice):
        drawn = labels(under) | st.just(Label(NotPersonal))
    elif isinstance(under, st.SearchStrategy):
        drawn = under
    else:
        drawn = st.just(under if isinstance(under, Label) else Label(under))
    return st.builds(Personal, values, drawn)


# ---- Instances of models ------------------------------------------------------------------------------------------


def instances(
    model: type[T], markers: Markers | None = None, /, **fields: st.SearchStrategy[Any]
) -> st.SearchStrategy[T]:
    """Return a strategy for instances of a tagged model, or of an annotation that contains one.

    A model is a pydantic model, dataclass, TypedDict, NamedTuple or attrs class.

    Values satisfy constraints; what validators accept is found by trying. With `markers`, personal fields get marked
    values, which `markers` remembers: make a new one in each example. `fields` draw the fields of these names.

    Raises:
        TypeError: no strategy is known for a field, when one is drawn: pass one for the field.
    """
    return _instances(model, markers, fields)


@st.composite
def _instances(draw: st.DrawFn, model: Any, markers: Markers | None, fields: dict[str, st.SearchStrategy[Any]]) -> Any:
    if markers is None:
        return Drawing(draw).instance(model, fields)
    made = Drawing(draw, marking=True, salt=markers._next_salt()).instance(model, fields)
    markers.remember(made, model, without=tuple(fields))
    return made


def twins(instance: T, fields: Collection[str], model: Any = None) -> st.SearchStrategy[T]:
    """Return a strategy for valid copies of an instance with new values in these fields only.

    Sealed values keep their label. A value of a type that has only one stays.

    Args:
        instance: The instance.
        fields: Paths as `pg.sources_of` prints them; within a container they stand for every item. The path of a
            container or an optional field without a tag, `devices`, stands for its structure: which items there are,
            and whether there is a value. A field that may be absent is present in some twins, and absent in others.
        model: The annotation of the instance, if its class does not say it (a TypedDict, a generic dataclass, a list).

    Raises:
        ValueError: one of these paths is of no tagged field, and of nothing that holds one.
    """
    model = type(instance) if model is None else model
    tagged_fields, structures = sources_of(model), structures_of(model)
    unknown = exclude(fields, {*tagged_fields, *structures})
    if unknown or not fields:
        raise ValueError(f"`{unknown[0]}` is no tagged field" if unknown else "no fields were named")
    return _twins(instance, intersect(fields, tagged_fields), intersect(fields, structures), model)


@st.composite
def _twins(draw: st.DrawFn, instance: Any, fields: Sequence[str], structures: Sequence[str], model: Any) -> Any:
    return Redrawing(Drawing(draw), fields, structures).value(instance, model)
